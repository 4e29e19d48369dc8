"""The strategies shipped; may touch core's strategy interface and model."""
