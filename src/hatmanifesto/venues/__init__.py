"""Venues: the port that a venue's adapter implements, and the adapters."""
