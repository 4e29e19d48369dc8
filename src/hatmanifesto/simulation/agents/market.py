"""The agents' market: makers and takers of one instrument, its mark and oracle prices and its funding.

A driver steps it block by block, so that other participants can trade in the same book:

    agents = AgentsMarket(exchange, index, BTC, random.Random(seed))
    agents.act(now_ns)                     # before each block: everybody submits
    events = exchange.advance(now_ns)

Several markets move together where they are given one `common_factor`, stepped before each block.
"""

import random
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.funding import HOUR_NS, HYPERLIQUID_FUNDING, PremiumAverage, premium_of
from hatmanifesto.simulation.agents.desk import Desk
from hatmanifesto.simulation.agents.dice import MILLION, Dice
from hatmanifesto.simulation.agents.fair_value import Basis, CommonFactor
from hatmanifesto.simulation.agents.makers import Crowd, GridMaker, TouchMaker
from hatmanifesto.simulation.agents.parameters import (
    JUMP_CHANCE,
    VOLATILITY_MEMORY_S,
    VOLATILITY_SPREAD,
    MarketParameters,
)
from hatmanifesto.simulation.agents.takers import InformedTaker, NoiseTakers
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.mark import MarkPrice, impact_price

PRICES_NS: Final = 3_000_000_000
"""How often mark and oracle are published."""
PREMIUM_NS: Final = 5_000_000_000
MAJORS: Final = ("BTC", "ETH")
"""Instruments whose impact prices are those of 20,000 USDC; of others 6,000 (source: Hyperliquid docs, funding)."""


def common_factor(rng: random.Random) -> CommonFactor:
    """Return what moves several markets at once; step it once before each block."""
    return CommonFactor(Dice(rng), i64(VOLATILITY_SPREAD), i64(VOLATILITY_MEMORY_S), i64(JUMP_CHANCE))


@final
class AgentsMarket:
    """See the module's text. Funding is settled by whoever drives the exchange, at `funding_rate` (10^-12), hourly."""

    def __init__(
        self,
        exchange: LiveExchange,
        index: int,
        parameters: MarketParameters,
        rng: random.Random,
        *,
        block_ns: int = BLOCK_NS,
        common: CommonFactor | None = None,
    ) -> None:
        dice = Dice(rng)
        # a market alone has a factor of its own, which it steps itself
        self._own: Final[CommonFactor | None] = common_factor(rng) if common is None else None
        shared = common if common is not None else self._own
        assert shared is not None
        self.desk: Final[Desk] = Desk(exchange, index, parameters, dice, block_ns, shared)
        desk = self.desk
        self._touch: Final[list[TouchMaker]] = [TouchMaker(desk, at) for at in range(parameters.touch_makers)]
        self._grid: Final[list[GridMaker]] = [GridMaker(desk, at) for at in range(parameters.grid_makers)]
        self._crowd: Final[Crowd] = Crowd(desk)
        self._noise: Final[NoiseTakers] = NoiseTakers(desk)
        self._informed: Final[InformedTaker] = InformedTaker(desk)
        self._basis: Final[Basis] = Basis(
            desk.dice,
            desk.distance(parameters.basis_mean),
            desk.distance(parameters.basis_deviation),
            i64(parameters.basis_memory_s) * 1_000_000_000 // PRICES_NS,
        )
        self._mark: Final[MarkPrice] = MarkPrice(PRICES_NS // 1_000_000)
        self._impact: Final[int] = (20_000 if desk.instrument.name in MAJORS else 6_000) * MILLION
        self._average: Final[PremiumAverage] = PremiumAverage()
        self._prices_ns: i64 = 0
        self._premium_ns: i64 = 0
        self.mark: i64 = 0
        self.oracle: i64 = 0
        self.funding_rate: int = HYPERLIQUID_FUNDING.rate(0)

    def act(self, now_ns: int) -> None:
        """Let everybody submit what they want in the block of this time; call it once before each block."""
        desk = self.desk
        if self._own is not None:
            self._own.step()
        desk.fair.step()
        desk.look(i64(now_ns))
        if now_ns >= self._prices_ns:
            self._prices_ns = now_ns + PRICES_NS
            self._publish()
        if now_ns >= self._premium_ns:
            self._premium_ns = now_ns + PREMIUM_NS
            self._sample_premium(now_ns)
        for maker in self._touch:
            maker.act(desk)
        for grid in self._grid:
            grid.act(desk)
        self._crowd.act(desk)
        self._noise.act(desk)
        self._informed.act(desk)

    def _publish(self) -> None:
        """Move the basis, and publish oracle and mark price."""
        desk = self.desk
        self._basis.step()
        fair = desk.fair.value * desk.tick // MILLION
        self.oracle = (desk.fair.value - self._basis.value) * desk.tick // MILLION
        book = desk.market.book
        prices = desk.market.prices
        self.mark = i64(
            self._mark.update(
                int(self.oracle),
                int(book.bids.best_price()),
                int(book.asks.best_price()),
                int(prices.last),
                int(fair),
            )
        )
        desk.exchange.set_prices(desk.index, int(self.mark), int(self.oracle))

    def _sample_premium(self, now_ns: i64) -> None:
        desk = self.desk
        bid = impact_price(desk.market.book.bids, desk.instrument, self._impact)
        ask = impact_price(desk.market.book.asks, desk.instrument, self._impact)
        if bid > 0 and ask > 0 and self.oracle > 0:
            self._average.add(premium_of(bid, ask, int(self.oracle)))
            mean = self._average.total // int(self._average.samples)
            self.funding_rate = HYPERLIQUID_FUNDING.rate(mean)
        if now_ns % HOUR_NS < PREMIUM_NS:
            self._average.take()
