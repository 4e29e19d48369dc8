"""The live market: every participant's orders in one real book per instrument, under the venue's rules."""
