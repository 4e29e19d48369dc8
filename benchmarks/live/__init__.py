"""The processes that benchmarks.live_path starts: the exchange's side, our trader, and the official SDK."""
