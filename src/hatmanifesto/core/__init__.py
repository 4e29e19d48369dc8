"""The deterministic engine; may touch model only: no clock, no I/O, no randomness, no logging."""
