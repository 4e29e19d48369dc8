"""Markets that follow something recorded or observed: a tape, or the real venue's public feed.

One account quotes what the followed book shows, another takes what it printed; whoever trades here trades with them,
in the matcher's own queues. What was taken here comes back with the followed book's next change.
"""

from typing import Final, Protocol

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BUY_BIT,
    FUNDING,
    KIND_MASK,
    MARK,
    ORACLE,
    ROW_WORDS,
    TRADE,
    WORD_EXCH_TS,
    WORD_META,
    WORD_PRICE,
    WORD_SIZE,
)
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL
from hatmanifesto.simulation.live.actions import Cancel, Place
from hatmanifesto.simulation.live.orders import OrderRequest

DEPTH: Final = 20
CASH: Final = 10**15


class Follower:
    """One market's crowd: `take` rows as they come, `act` before each block."""

    def __init__(self, loopback: Loopback, index: int) -> None:
        self.loopback = loopback
        self.index = index
        self.instrument = loopback.instruments[index]
        self.book = Book()
        exchange = loopback.exchange
        self.quoter = exchange.open_account(f"book of {self.instrument.name}", CASH)
        self.taker = exchange.open_account(f"prints of {self.instrument.name}", CASH)
        loopback.rules.unlimited |= {self.quoter, self.taker}
        self.mark = self.oracle = 0
        self._prints: list[tuple[int, int, int]] = []
        self._levels: dict[tuple[int, int], int] = {}

    def take(self, meta: int, price: int, size: int, exch_ts: int) -> None:
        """Take one market row of this instrument."""
        kind = meta & KIND_MASK
        if kind == TRADE:
            side = 1 if meta & BUY_BIT else -1
            self._prints.append((side, price, size))
        elif kind == MARK:
            self.mark = price
        elif kind == ORACLE:
            self.oracle = price
        elif kind == FUNDING:
            self.loopback.funding_rates[self.index] = price
        else:
            self.book.apply(meta, price, size, exch_ts)

    def act(self) -> None:
        """Take what was printed, then quote what the book shows, and publish mark and oracle."""
        mid = int(self.book.mid())
        mark = self.mark or mid
        if mark:
            self.loopback.set_prices(self.instrument.name, mark, self.oracle or mark)
        exchange = self.loopback.exchange
        takes = [
            OrderRequest(self.index, side, price, min(size, int(self.instrument.max_size)), IMMEDIATE_OR_CANCEL)
            for side, price, size in self._prints
            if int(self.instrument.notional(price, size)) >= int(self.instrument.min_notional)
        ]
        self._prints.clear()
        if takes:
            exchange.submit(self.taker, Place(takes))
        wanted = self._wanted()
        held: dict[tuple[int, int], tuple[int, int]] = {}
        stale: list[tuple[int, int]] = []
        for order in exchange.account(self.quoter).orders.values():
            key = (int(order.side), int(order.price))
            if key in held or wanted.get(key) != int(order.remaining):
                stale.append((self.index, int(order.oid)))
            else:
                held[key] = (int(order.oid), int(order.remaining))
        if stale:
            exchange.submit(self.quoter, Cancel(stale))
        fresh = [
            OrderRequest(self.index, side, price, size, GOOD_TILL_CANCEL)
            for (side, price), size in wanted.items()
            if (side, price) not in held
        ]
        if fresh:
            exchange.submit(self.quoter, Place(fresh))

    def _wanted(self) -> dict[tuple[int, int], int]:
        wanted: dict[tuple[int, int], int] = {}
        for side, levels in ((1, self.book.bids), (-1, self.book.asks)):
            price = int(levels.best_price())
            for _ in range(DEPTH):
                if price == 0:
                    break
                size = min(int(levels.size_at(price)), int(self.instrument.max_size))
                if int(self.instrument.notional(price, size)) >= int(self.instrument.min_notional):
                    wanted[(side, price)] = size
                price = int(levels.next_price(price))
        return wanted


class Rows(Protocol):
    """A stream of packed rows in chunks."""

    def words(self, index: int) -> vec[i64]:
        """Return a chunk, empty after the last."""


class TapeMarket:
    """Plays a tape's exchange stream from its first row on, in real time or `speed` times as fast; then it stands."""

    def __init__(self, loopback: Loopback, rows: Rows, coins: list[int], speed: float = 1.0) -> None:
        self.followers: Final = {index: Follower(loopback, index) for index in set(coins)}
        self._rows = rows
        self._coins = coins
        self._chunk = 0
        self._words = rows.words(0)
        self._at = 0
        self._begin_ns = int(self._words[WORD_EXCH_TS]) if len(self._words) else 0
        self._from_ms = 0
        self._speed = speed
        self.ended = len(self._words) == 0

    def step(self, now_ms: int) -> None:
        """Take the rows up to now and let everybody act."""
        self._from_ms = self._from_ms or now_ms
        until = self._begin_ns + int((now_ms - self._from_ms) * 1_000_000 * self._speed)
        while not self.ended:
            if self._at >= len(self._words):
                self._chunk += 1
                self._words, self._at = self._rows.words(self._chunk), 0
                self.ended = len(self._words) == 0
                continue
            words, at = self._words, self._at
            if int(words[at + WORD_EXCH_TS]) > until:
                break
            meta = int(words[at + WORD_META])
            place = (meta >> 16) & 0xFFFF
            if place < len(self._coins) and self._coins[place] in self.followers:
                self.followers[self._coins[place]].take(
                    meta, int(words[at + WORD_PRICE]), int(words[at + WORD_SIZE]), int(words[at + WORD_EXCH_TS])
                )
            self._at += ROW_WORDS
        for follower in self.followers.values():
            follower.act()
