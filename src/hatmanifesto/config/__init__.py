"""Settings and how a session is put together from them; may touch model, core and strategy."""
