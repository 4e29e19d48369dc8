"""A part of a tape between two moments, as if it were a tape of its own.

Each stream is cut on its own clock: the venue's at the venue's stamps, the receiver's at receipts. What stood before
the cut (every book, the last mark, oracle price and funding rate) is read from the rows before it and comes first,
stamped with the moment; rows before are never traded.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, Rows, RowStream, TapeLike, as_rows
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    DEPTH,
    FIRST,
    FUNDING,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MARK,
    MORE,
    ORACLE,
    ROW_BYTES,
    SNAPSHOT,
    make_meta,
)

_CONTEXT: Final = (MARK, ORACLE, FUNDING)
_BOOK_KINDS: Final = (DEPTH, BBO, SNAPSHOT)
_FAR: Final = (1 << 62) - 1

Line = tuple[int, int, int, int, int]
"""One row: the venue's stamp, the receiver's, meta, price, size."""


class Span(NamedTuple):
    """A part of a tape: receiver's stamps in ns, the end not included."""

    begin_ns: int
    end_ns: int


_NO_CUT: Final = Span(-_FAR, _FAR)


def whole_span(tape: TapeLike) -> Span:
    """Return what a tape covers. It must have rows."""
    stream = tape.stream("receiver")
    return Span(int(as_rows(stream.chunk(0))[0, LOCAL]), int(as_rows(stream.chunk(stream.count - 1))[-1, LOCAL]) + 1)


class SlicedTape:
    """See the module's text. UserError where the span lies outside the tape's or holds no message.

    `of` is the tape that it is cut from.
    """

    def __init__(self, tape: TapeLike, span: Span) -> None:
        whole = whole_span(tape) if tape.stream("receiver").rows else Span(0, 0)
        if not whole.begin_ns <= span.begin_ns < span.end_ns <= whole.end_ns:
            raise UserError(
                f"{span.begin_ns} to {span.end_ns} ns is no part of the tape, which has {whole.begin_ns} to"
                f" {whole.end_ns} ns",
                "choose an earlier and a later moment inside it",
            )
        self.of: Final = tape
        self.span: Final = span
        self.instruments: Final = tape.instruments
        self.venues: Final = tape.venues
        self.path: Final = getattr(tape, "path", Path("memory"))
        count = len(tape.instruments)
        # an end of the tape's own is no cut, whatever the venue's clock shows there
        cuts = Span(
            span.begin_ns if span.begin_ns > whole.begin_ns else _NO_CUT.begin_ns,
            span.end_ns if span.end_ns < whole.end_ns else _NO_CUT.end_ns,
        )
        self._streams: Final = {
            "exchange": SlicedStream(tape.stream("exchange"), EXCH, cuts, count),
            "receiver": SlicedStream(tape.stream("receiver"), LOCAL, cuts, count),
        }
        if not all(stream.rows for stream in self._streams.values()):
            raise UserError(
                f"nothing was recorded from {span.begin_ns} to {span.end_ns} ns", "choose a longer part of the tape"
            )

    def stream(self, name: str) -> "SlicedStream":
        """Return the `exchange` or the `receiver` stream; raises KeyError for other names."""
        return self._streams[name]

    def content_hash(self, whole: str) -> str:
        """Return the name of the data: made from the whole tape's and the span."""
        text = f"{whole} {self.span.begin_ns} {self.span.end_ns}"
        return blake2b(text.encode(), digest_size=32).hexdigest()


class SlicedStream(RowStream):
    """The rows of a stream stamped in a span on one of its clocks, behind what stood before them."""

    def __init__(self, base: RowStream, column: int, span: Span, instruments: int) -> None:
        self._base = base
        self._first = _place(base, column, span.begin_ns)
        self._last = _place(base, column, span.end_ns)
        began = _before(base, self._first, instruments)
        lines = [line for index, one in enumerate(began) for line in one.lines(index, column, span.begin_ns)]
        self._head = np.array(lines, dtype="<i8").reshape(-1, 5).tobytes()
        self._at = 1 if self._head else 0
        whole = range(self._first.chunk, self._last.chunk)
        inside = sum(base.rows_in(index) for index in whole) - self._first.row + self._last.row
        self._parts = [*whole, *([self._last.chunk] if self._last.row else [])]
        self._rows = inside + len(lines) if inside else 0

    @property
    def count(self) -> int:
        """Number of chunks."""
        return self._at + len(self._parts)

    @property
    def rows(self) -> int:
        """Number of rows, those that say what stood before included; 0 where nothing lies in the span."""
        return self._rows

    def chunk(self, index: int) -> bytes:
        """Return the packed rows of a chunk; empty bytes after the last one."""
        if index < self._at:
            return self._head
        if index >= self.count:
            return b""
        part = self._parts[index - self._at]
        packed = self._base.chunk(part)
        if part == self._last.chunk:
            packed = packed[: self._last.row * ROW_BYTES]
        return packed[self._first.row * ROW_BYTES :] if part == self._first.chunk else packed


class _Place(NamedTuple):
    """The first row at or after a moment: its chunk and its number there."""

    chunk: int
    row: int


def _place(stream: RowStream, column: int, moment_ns: int) -> _Place:
    low, high = 0, stream.count
    while low < high:
        middle = (low + high) // 2
        if as_rows(stream.chunk(middle))[-1, column] < moment_ns:
            low = middle + 1
        else:
            high = middle
    if low == stream.count:
        return _Place(low, 0)
    return _Place(low, int(np.searchsorted(as_rows(stream.chunk(low))[:, column], moment_ns, side="left")))


class _Began:
    """How one instrument stood at the cut: its book, the newest stamp in it, the last context row of each kind."""

    def __init__(self) -> None:
        self.book: Final = Book()
        self.newest_ns = 0
        self.context: Final[dict[int, list[int]]] = {}

    def apply(self, rows: Rows) -> None:
        """Take rows of this instrument's book."""
        for exch, meta, price, size in rows[:, [EXCH, META, PRICE, SIZE]].tolist():
            self.book.apply(meta, price, size, exch)
        if len(rows):
            self.newest_ns = max(self.newest_ns, int(rows[:, EXCH].max()))

    def lines(self, instrument: int, column: int, begin_ns: int) -> list[Line]:
        """Return it as rows received at the moment; on the venue's clock they are stamped with the moment, else as
        what they come from."""
        own_stamp = column == LOCAL
        book = self.book
        snapshot_ns = (int(book.snapshot_ts) or self.newest_ns) if own_stamp else begin_ns
        levels = [
            (side, key * side, size) for side, one in ((1, book.bids), (-1, book.asks)) for key, size in one.occupied()
        ]
        found: list[Line] = []
        # a feed that repeats snapshots shows a limited book: two of them say so
        for _ in range(2 if book.depth_limited() else 1):
            for at, (side, price, size) in enumerate(levels):
                flags = (FIRST if at == 0 else 0) | (MORE if at < len(levels) - 1 else 0)
                meta = make_meta(SNAPSHOT, side, CHANNEL_BOOK, instrument, flags)
                found.append((snapshot_ns, begin_ns, meta, price, size))
        if own_stamp and levels:
            found += self._newer(instrument, snapshot_ns, begin_ns)
        for _, row in sorted(self.context.items()):
            stamp = row[EXCH] if own_stamp else begin_ns
            found.append((stamp, begin_ns, row[META] & ~MORE, row[PRICE], row[SIZE]))
        return found

    def _newer(self, instrument: int, snapshot_ns: int, begin_ns: int) -> list[Line]:
        """Return best prices that the venue stamped later than the snapshot: they are to be merged again on top of one
        that is still under way. Without them a level is told again, so that the book is as old as it was."""
        book = self.book
        found: list[Line] = []
        sides = (
            (int(book.bbo_bid_ts), 1, int(book.bbo_bid), int(book.bbo_bid_size), book.bids),
            (int(book.bbo_ask_ts), -1, int(book.bbo_ask), int(book.bbo_ask_size), book.asks),
        )
        for stamp, side, price, size, levels in sorted(sides, key=lambda one: one[:2]):
            if stamp > snapshot_ns and (price, size) == (levels.best_price(), levels.best_size()):
                found.append((stamp, begin_ns, make_meta(BBO, side, CHANNEL_BBO, instrument), price, size))
        if not found and self.newest_ns > snapshot_ns:
            side, levels = (1, book.bids) if not book.bids.empty() else (-1, book.asks)
            meta = make_meta(DEPTH, side, CHANNEL_BOOK, instrument)
            found.append((self.newest_ns, begin_ns, meta, int(levels.best_price()), int(levels.best_size())))
        return found


def _before(stream: RowStream, end: _Place, instruments: int) -> list[_Began]:
    """Return how every instrument stood just before a place, reading no more of what comes before than is needed."""
    found = [_Began() for _ in range(instruments)]
    chunks = [index for index in range(end.chunk + 1) if index < stream.count]
    needs_book = set(range(instruments))
    begin = 0
    for index in reversed(chunks):
        rows = _until(stream, index, end)
        of = (rows[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        kinds = rows[:, META] & KIND_MASK
        if needs_book:
            whole = (kinds == SNAPSHOT) & ((rows[:, META] & FIRST) != 0)
            needs_book -= set(of[whole].tolist())
            # best prices received before a snapshot may be newer than it: one chunk more
            begin = max(0, index - 1)
        for at in np.flatnonzero(np.isin(kinds, _CONTEXT))[::-1].tolist():
            found[int(of[at])].context.setdefault(int(kinds[at]), rows[at].tolist())
        if not needs_book and all(len(one.context) == len(_CONTEXT) for one in found):
            break
    for index in chunks[begin:]:
        rows = _until(stream, index, end)
        of = (rows[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        of_book = np.isin(rows[:, META] & KIND_MASK, _BOOK_KINDS)
        for instrument, one in enumerate(found):
            one.apply(rows[of_book & (of == instrument)])
    return found


def _until(stream: RowStream, index: int, end: _Place) -> Rows:
    rows = as_rows(stream.chunk(index))
    return rows[: end.row] if index == end.chunk else rows
