"""The `hat` command; may touch every room and is imported by none."""
