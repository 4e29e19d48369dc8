"""What every agent of one instrument sees and says: the book, the fair value, the dice, and the way to the exchange."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.simulation.agents.dice import MILLION, Dice
from hatmanifesto.simulation.agents.fair_value import CommonFactor, FairValue
from hatmanifesto.simulation.agents.parameters import MarketParameters
from hatmanifesto.simulation.live.account import Holding
from hatmanifesto.simulation.live.actions import Cancel, Place
from hatmanifesto.simulation.live.exchange import LiveExchange
from hatmanifesto.simulation.live.market import LiveMarket
from hatmanifesto.simulation.live.orders import OrderRequest

CASH: Final = 1_000_000_000_000_000
"""What an agent brings along, micro-USDC: enough never to run into margin."""
_MS: Final = 1_000_000


@final
class Desk:
    """Prices of agents are whole ticks of one grid, `tick` price units each; sizes are lots."""

    def __init__(
        self,
        exchange: LiveExchange,
        index: int,
        parameters: MarketParameters,
        dice: Dice,
        block_ns: int,
        common: CommonFactor,
    ) -> None:
        self.exchange: Final[LiveExchange] = exchange
        self.index: Final[int] = index
        self.market: Final[LiveMarket] = exchange.markets[index]
        self.instrument: Final[Instrument] = self.market.instrument
        self.parameters: Final[MarketParameters] = parameters
        self.dice: Final[Dice] = dice
        self.block_ns: Final[i64] = block_ns
        start = i64(self.instrument.parse_price(parameters.start_price))
        # a grid that stays valid where the price gains a figure
        self.tick: Final[i64] = self.instrument.tick_at(start * 2)
        self.start: Final[i64] = start // self.tick
        # money of one lot at the start price, in millionths of a USDC
        self.lot_value: Final[i64] = self.instrument.notional(start, self.instrument.lot_size)
        self.fair: Final[FairValue] = FairValue(
            dice,
            self.start * MILLION,
            self.distance(parameters.volatility),
            self.distance(parameters.jump),
            i64(parameters.common),
            common,
        )
        self.now_ns: i64 = 0
        self.bid: i64 = 0
        self.ask: i64 = 0

    def distance(self, milli_bps: int) -> i64:
        """Return a distance in millionths of a tick."""
        return self.start * milli_bps // 10

    def blocks(self, milliseconds: i64) -> i64:
        """Return a time in blocks."""
        return milliseconds * _MS // self.block_ns

    def open_account(self, name: str) -> int:
        """Open an agent's account."""
        return self.exchange.open_account(name, CASH)

    def holding(self, account: int) -> Holding:
        """Return an agent's orders and position."""
        return self.exchange.floor.accounts[account].holdings[self.index]

    def look(self, now_ns: i64) -> None:
        """Look at the book before a block; an empty side is taken to be a tick from the other, or from fair value."""
        self.now_ns = now_ns
        book = self.market.book
        fair = self.fair.value // MILLION
        bid = book.bids.best_price() // self.tick
        ask = book.asks.best_price() // self.tick
        self.bid = bid if bid > 0 else (ask - 1 if ask > 0 else fair)
        self.ask = ask if ask > 0 else self.bid + 1

    def touch(self, side: i64) -> i64:
        """Return the best price of a side, ticks."""
        return self.bid if side > 0 else self.ask

    def size_of(self, usd: i64) -> i64:
        """Return a size worth so many USDC, at least the smallest order that the venue takes."""
        least = self.instrument.min_notional + self.instrument.min_notional // 20
        value = usd * MILLION
        if value < least:
            value = least
        lots = value // self.lot_value + 1
        return lots * self.instrument.lot_size

    def usd_of(self, size: i64) -> i64:
        """Return what a size is worth in whole USDC."""
        return size // self.instrument.lot_size * self.lot_value // MILLION

    def quote(self, account: int, side: i64, ticks: i64, size: i64, requests: list[OrderRequest]) -> None:
        """Add a post-only order to a list."""
        if ticks > 0:
            requests.append(OrderRequest(self.index, int(side), int(ticks * self.tick), int(size), POST_ONLY))

    def send(self, account: int, requests: list[OrderRequest], cancels: list[tuple[int, int]]) -> None:
        """Submit what an agent has decided."""
        if cancels:
            self.exchange.submit(account, Cancel(cancels))
        if requests:
            self.exchange.submit(account, Place(requests))
