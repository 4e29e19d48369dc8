"""Hyperliquid: wire formats, signing, transport, feeds, orders and queries of its perpetual futures."""
