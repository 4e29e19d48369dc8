"""What a tape's books showed, for measuring: every change of the best prices, and sizes at asked prices and times.

It steps the same books as the simulated venue, over the venue's own clock, and knows nothing of orders: what was asked
is answered from history alone, so a recorded live session is measured like a backtest.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BUY_BIT,
    DEPTH,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MORE,
    ROW_WORDS,
    TRADE,
    WORD_EXCH_TS,
    WORD_META,
    WORD_PRICE,
    WORD_SIZE,
    row_words,
)
from hatmanifesto.model.ports import NEVER, ChunkSource
from hatmanifesto.simulation.replay_market import Cursor

TOUCH_WORDS: Final = 4
"""A touch: time (ns, the venue's clock), instrument, best bid, best ask; 0 = that side is empty."""
PROBE_WORDS: Final = 4
"""A probe: time (ns), instrument, side (+1 bid, -1 ask), price."""
UNSEEN: Final = -1
"""The answer where the book shows too few levels to tell."""


@final
class TouchTrace:
    """Runs through the exchange stream of a tape; take the touches and answers as they grow.

    A probe is answered with the size shown at its price after all rows stamped up to its time, which is what stands
    before an order that arrives then.
    """

    def __init__(self, exchange_rows: ChunkSource, instruments: int) -> None:
        self._cursor: Final[Cursor] = Cursor(exchange_rows, WORD_EXCH_TS, 0)
        self.last_ns: i64 = 0
        self.books: Final[list[Book]] = [Book() for _ in range(instruments)]
        self._bids: Final[list[int]] = [0] * instruments
        self._asks: Final[list[int]] = [0] * instruments
        self._touches: vec[i64] = vec[i64]()
        self._answers: vec[i64] = vec[i64]()
        self._probes: vec[i64] = vec[i64]()
        self._at: i64 = 0
        self._probe_ns: i64 = NEVER
        self._inside: bool = False  # a message that moved something is not complete yet

    def ask(self, probes: bytes) -> None:
        """Put probes, packed as PROBE_WORDS words each in order of time, behind those not answered yet."""
        rest = vec[i64]()
        for at in range(self._at, len(self._probes)):
            rest = append(rest, self._probes[at])
        for word in row_words(probes):
            rest = append(rest, word)
        self._probes = rest
        self._at = 0
        self._probe_ns = rest[0] if len(rest) > 0 else NEVER

    def run(self, until_ns: int) -> bool:
        """Apply the rows stamped at most `until_ns`; False once the tape has ended."""
        limit: i64 = until_ns
        cursor = self._cursor
        while cursor.next_ns <= limit:
            if cursor.next_ns == NEVER:
                return False
            self._take_rows(limit)
            cursor.look()
        return cursor.next_ns != NEVER

    def _take_rows(self, limit: i64) -> None:
        """Apply rows of the present chunk."""
        cursor = self._cursor
        rows = cursor.rows
        place = cursor.at
        while place < cursor.end:
            now = rows[place]
            if now > limit:
                break
            if now > self._probe_ns:
                self._answer(now)
            self.last_ns = now
            meta = rows[place + WORD_META]
            kind = meta & KIND_MASK
            if kind != TRADE:
                instrument = (meta >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
                book = self.books[instrument]
                price = rows[place + WORD_PRICE]
                if kind == DEPTH:
                    side = book.bids if meta & BUY_BIT else book.asks
                    moved = side.set(price, rows[place + WORD_SIZE])
                else:
                    book.apply(meta, price, rows[place + WORD_SIZE], now)
                    moved = True
                if meta & MORE:
                    self._inside = self._inside or moved
                elif moved or self._inside:
                    self._inside = False
                    self._look(now, instrument, book)
            place += ROW_WORDS
        cursor.at = place

    def answer_until(self, until_ns: int) -> None:
        """Answer the probes of times at most `until_ns` from the books as they are now."""
        self._answer(i64(until_ns) + 1)

    def _answer(self, before_ns: i64) -> None:
        """Answer the probes of times before a moment."""
        probes = self._probes
        at = self._at
        while at < len(probes) and probes[at] < before_ns:
            self._answers = append(self._answers, self.size_at(probes[at + 1], probes[at + 2], probes[at + 3]))
            at += PROBE_WORDS
        self._at = at
        self._probe_ns = probes[at] if at < len(probes) else NEVER

    def size_at(self, instrument: i64, side: i64, price: i64) -> i64:
        """Return the size shown at a price; UNSEEN beyond the worst level of a book that shows only some."""
        book = self.books[instrument]
        levels = book.bids if side > 0 else book.asks
        if book.depth_limited() and levels.best >= 0 and (price - levels.worst_price()) * side < 0:
            return UNSEEN
        return levels.size_at(price)

    def _look(self, now: i64, instrument: i64, book: Book) -> None:
        bid = book.best_bid()
        ask = book.best_ask()
        if bid == self._bids[instrument] and ask == self._asks[instrument]:
            return
        self._bids[instrument] = int(bid)
        self._asks[instrument] = int(ask)
        self._touches = append(append(append(append(self._touches, now), instrument), bid), ask)

    def take_touches(self) -> bytes:
        """Return the touches since the last call, packed words."""
        packed = bytes(memoryview(self._touches)[: len(self._touches)])
        self._touches = vec[i64]()
        return packed

    def take_answers(self) -> bytes:
        """Return the answers since the last call, a word each in the order of the probes."""
        packed = bytes(memoryview(self._answers)[: len(self._answers)])
        self._answers = vec[i64]()
        return packed
