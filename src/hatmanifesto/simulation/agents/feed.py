"""What the venue's public feed says about a block, as market rows: prints, then best prices, then books, then prices.

The channels and their pace are those of the recordings: every print, best prices when they change, twenty levels
a side about every half second, mark, oracle and funding every three seconds. Times are whole milliseconds; the
receiver's clock is later by a drawn latency, and never runs backwards.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.funding import HOUR_NS
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    FUNDING,
    MARK,
    MORE,
    ORACLE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from hatmanifesto.simulation.agents.dice import Dice, Quantiles
from hatmanifesto.simulation.agents.market import AgentsMarket
from hatmanifesto.simulation.live.events import Event, LevelChanged, Trade

LEVELS: Final = 20
BOOK_BLOCKS: Final = 8
"""Blocks between two snapshots."""
CONTEXT_NS: Final = 3_000_000_000
LATENCY_US: Final = [(0, 178_000), (10, 242_000), (500, 381_000), (900, 631_000), (990, 1_598_000), (1000, 3_000_000)]
"""From the venue's clock to a distant receiver's, as quantiles of a recording."""

Row = tuple[int, int, int, int, int]


@final
class Feed:
    """Collects the rows of one instrument. `changes` adds every changed level after one first snapshot, instead of
    repeated snapshots: more than the venue tells, for books without gaps.
    """

    def __init__(self, agents: AgentsMarket, index: int, dice: Dice, *, changes: bool = False) -> None:
        self._agents: Final[AgentsMarket] = agents
        self._index: Final[int] = index
        self._dice: Final[Dice] = dice
        self._changes: Final[bool] = changes
        self._latency: Final[Quantiles] = Quantiles(LATENCY_US)
        self._exch: int = 0
        self._local: int = 0
        self._delay_ns: int = 0
        self._blocks: i64 = 0
        self._context_ns: int = 0
        self._touch: list[int] = []
        self.rows: list[Row] = []

    def drain(self) -> list[Row]:
        """Return the rows since the last call."""
        rows = self.rows
        self.rows = []
        return rows

    def take(self, now_ns: int, events: list[Event]) -> None:
        """Take a block's events, those of other instruments included."""
        market = self._agents.desk.market
        self._exch = now_ns
        stamped = False
        first = self._blocks == 0
        for event in events:
            if isinstance(event, Trade) and int(event.instrument) == self._index:
                stamped = stamped or self._stamp()
                self._row(TRADE, int(event.side), CHANNEL_TRADES, int(event.price), int(event.size), 0)
        if self._changes and not first:
            changed = [
                event for event in events if isinstance(event, LevelChanged) and int(event.instrument) == self._index
            ]
            for at in range(len(changed)):
                stamped = stamped or self._stamp()
                event = changed[at]
                flags = MORE if at < len(changed) - 1 else 0
                self._row(DEPTH, int(event.side), CHANNEL_BOOK, int(event.price), int(event.size), flags)
        bids = market.book.bids.best
        asks = market.book.asks.best
        touch = [
            0 if bids is None else int(bids.price),
            0 if bids is None else int(bids.size),
            0 if asks is None else int(asks.price),
            0 if asks is None else int(asks.size),
        ]
        if touch != self._touch:
            self._touch = touch
            stamped = stamped or self._stamp()
            self._row(BBO, 1, CHANNEL_BBO, touch[0], touch[1], MORE)
            self._row(BBO, -1, CHANNEL_BBO, touch[2], touch[3], 0)
        if first or (not self._changes and self._blocks % BOOK_BLOCKS == 0):
            stamped = stamped or self._stamp()
            self._snapshot()
        if now_ns >= self._context_ns and self._agents.mark > 0:
            self._context_ns = now_ns + CONTEXT_NS
            stamped = stamped or self._stamp()
            self._row(MARK, 0, CHANNEL_CONTEXT, int(self._agents.mark), 0, MORE)
            self._row(ORACLE, 0, CHANNEL_CONTEXT, int(self._agents.oracle), 0, MORE)
            self._row(FUNDING, 0, CHANNEL_CONTEXT, self._agents.funding_rate, HOUR_NS // 1_000_000_000, 0)
        self._blocks += 1

    def _stamp(self) -> bool:
        if self._delay_ns == 0 or self._dice.chance(50_000):  # a connection is slow or fast for a while
            self._delay_ns = int(self._dice.draw(self._latency)) * 1000
        local = self._exch + self._delay_ns
        if local > self._local:
            self._local = local
        return True

    def _row(self, kind: int, side: int, channel: int, price: int, size: int, flags: int) -> None:
        self.rows.append((self._exch, self._local, make_meta(kind, side, channel, self._index, flags), price, size))

    def _snapshot(self) -> None:
        book = self._agents.desk.market.book
        depth = len(book.bids.keys) + len(book.asks.keys) if self._changes else LEVELS
        levels = [(1, level) for level in book.bids.top(depth)] + [(-1, level) for level in book.asks.top(depth)]
        for at in range(len(levels)):
            side, level = levels[at]
            flags = (FIRST if at == 0 else 0) | (MORE if at < len(levels) - 1 else 0)
            self._row(SNAPSHOT, side, CHANNEL_BOOK, int(level.price), int(level.size), flags)
