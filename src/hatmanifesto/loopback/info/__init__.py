"""Answers to /info. Fields, types and formats are those of recorded answers; a test compares them field by field."""
