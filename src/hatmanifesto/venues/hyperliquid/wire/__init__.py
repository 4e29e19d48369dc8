"""What travels: actions to the venue, and every message and answer from it."""
