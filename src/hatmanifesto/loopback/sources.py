"""Who makes the market of a loopback exchange: agents, a tape, or the real venue's public feed."""

from typing import Protocol


class MarketSource(Protocol):
    """Acts before each block and is closed at the end."""

    def step(self, now_ms: int) -> None:
        """Submit what the block of this time (ms) shall execute, and set marks, oracle prices and funding rates."""

    async def close(self) -> None:
        """Let go of files and connections."""
