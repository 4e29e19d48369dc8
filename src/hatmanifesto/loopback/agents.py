"""The agents' market behind the loopback exchange: one crowd of seeded agents an instrument."""

import random

from hatmanifesto.errors import UserError
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.simulation.agents.market import AgentsMarket, common_factor
from hatmanifesto.simulation.agents.parameters import MARKETS


class AgentsDriver:
    """Lets every agent act before each block; marks, oracle prices and the book are what they make of them."""

    def __init__(self, loopback: Loopback, rng: random.Random, block_ms: int) -> None:
        missing = [market.name for market in loopback.markets if market.name not in MARKETS]
        if missing:
            raise UserError(f"there are no agents for {', '.join(missing)}", f"list only {', '.join(MARKETS)}")
        self.common = common_factor(random.Random(rng.getrandbits(64)))
        self.markets = [
            AgentsMarket(
                loopback.exchange,
                index,
                MARKETS[market.name],
                random.Random(rng.getrandbits(64)),
                block_ns=block_ms * 10**6,
                common=self.common,
            )
            for index, market in enumerate(loopback.markets)
        ]

    def step(self, now_ms: int) -> None:
        """Act before the block of this time."""
        self.common.step()
        for market in self.markets:
            market.act(now_ms * 1_000_000)

    async def close(self) -> None:
        """Nothing is held open."""
