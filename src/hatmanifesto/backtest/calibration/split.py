"""The rest of a tape behind a moment, with the book as it stood then: what to trade after a calibration."""

import numpy as np

from hatmanifesto.backtest.calibration.samples import Ints
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, Rows, RowStream, TapeLike, as_rows
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    CHANNEL_BOOK,
    FIRST,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    MORE,
    SNAPSHOT,
    make_meta,
)


def tape_after(tape: TapeLike, moment_ns: int) -> MemoryTape:
    """Return a tape in memory of the messages received at or after a moment, behind a snapshot of each book then.

    Nothing that was received before it is in the rest. UserError when nothing was received after it.
    """
    received = _rows(tape.stream("receiver"))
    at_venue = _rows(tape.stream("exchange"))
    rest = at_venue[at_venue[:, LOCAL] >= moment_ns]
    if len(rest) == 0:
        raise UserError("no part of the tape lies behind the moment", "take a smaller share for the first part")
    earliest = int(rest[:, EXCH].min())
    books = _snapshots(received[received[:, LOCAL] < moment_ns], len(tape.instruments), earliest, moment_ns)
    return MemoryTape(
        np.concatenate([books, rest]),
        tape.instruments,
        receiver=np.concatenate([books, received[received[:, LOCAL] >= moment_ns]]),
    )


def _rows(stream: RowStream) -> Rows:
    return np.concatenate([as_rows(stream.chunk(number)) for number in range(stream.count)])


def _snapshots(before: Ints, instruments: int, exch_ns: int, local_ns: int) -> Rows:
    """Return each instrument's book as one message; none for a book that is empty."""
    rows: list[tuple[int, int, int, int, int]] = []
    of = (before[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
    for index in range(instruments):
        book = Book()
        for exch, meta, price, size in before[of == index][:, [EXCH, META, PRICE, SIZE]].tolist():
            book.apply(meta, price, size, exch)
        levels = [
            (side, key * side, size) for side, one in ((1, book.bids), (-1, book.asks)) for key, size in one.occupied()
        ]
        for at, (side, price, size) in enumerate(levels):
            flags = (FIRST if at == 0 else 0) | (MORE if at < len(levels) - 1 else 0)
            rows.append((exch_ns, local_ns, make_meta(SNAPSHOT, side, CHANNEL_BOOK, index, flags), price, size))
    return np.array(rows, dtype=np.int64).reshape(-1, 5)
