"""From an action to a signature that the venue recovers to the right address, and back."""
