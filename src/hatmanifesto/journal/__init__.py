"""Append, read and verify the record of a session; may touch model and files."""
