"""Seeded participants of the live market: makers, noise takers, informed flow, and the feed they produce."""
