"""The agents' market behind the loopback exchange: one crowd of seeded agents an instrument."""

import random

from hatmanifesto.errors import UserError
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.simulation.agents.market import AgentsMarket
from hatmanifesto.simulation.agents.parameters import MARKETS


class AgentsDriver:
    """Lets every agent act before each block, and passes on the prices and funding that they make."""

    def __init__(self, loopback: Loopback, rng: random.Random, block_ms: int) -> None:
        missing = [market.name for market in loopback.markets if market.name not in MARKETS]
        if missing:
            raise UserError(f"there are no agents for {', '.join(missing)}", f"list only {', '.join(MARKETS)}")
        self.loopback = loopback
        before = len(loopback.exchange.floor.accounts)
        self.markets = [
            AgentsMarket(
                loopback.exchange,
                index,
                MARKETS[market.name],
                random.Random(rng.getrandbits(64)),
                block_ns=block_ms * 10**6,
            )
            for index, market in enumerate(loopback.markets)
        ]
        # what agents bring along is without bound, so that margin never stops the market
        loopback.rules.unlimited |= set(range(before, len(loopback.exchange.floor.accounts)))

    def step(self, now_ms: int) -> None:
        """Act before the block of this time."""
        for index, market in enumerate(self.markets):
            market.act(now_ms * 1_000_000)
            if market.mark:
                self.loopback.rules.marks[index] = int(market.mark)
                self.loopback.day_open[index] = self.loopback.day_open[index] or int(market.mark)
            self.loopback.funding_rates[index] = market.funding_rate

    async def close(self) -> None:
        """Nothing is held open."""
