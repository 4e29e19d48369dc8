"""The loopback exchange: Hyperliquid's own protocol on 127.0.0.1, around the simulated exchange."""
