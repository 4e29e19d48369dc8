"""What a run must know of a tape before it starts: first prices, who has trades, span, hash."""

from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from hatmanifesto.backtest.tape.format import EXCH, META, PRICE, SIZE, TapeLike, as_rows
from hatmanifesto.backtest.tape.slice import SlicedTape, Span
from hatmanifesto.config.venue_rules import VenueFacts
from hatmanifesto.errors import UserError
from hatmanifesto.instants import utc_text
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import FUNDING, INSTRUMENT_MASK, INSTRUMENT_SHIFT, KIND_MASK, TRADE


class Survey(NamedTuple):
    """Per instrument: first mid price (0 = the book never had both sides), whether there are trades.

    First and last are the venue's stamps in ns; `content_hash` names the data; `venue` is what the simulated venue's
    rules go by; `span` is the part of a tape that was taken, None for the whole.
    """

    first_prices: dict[int, int]
    with_trades: set[int]
    first_ns: int
    last_ns: int
    rows: int
    content_hash: str
    name: str
    venue: VenueFacts
    span: Span | None = None

    def data(self) -> dict[str, Any]:
        """Say which data this is, as the journal's first record and the manifest do."""
        return {"content_hash": self.content_hash, "rows": self.rows, **({"slice": self.part()} if self.span else {})}

    def part(self) -> dict[str, Any] | None:
        """Say which part of the tape this is, on the receiver's clock; None for the whole."""
        if self.span is None:
            return None
        return {
            "from_utc": utc_text(self.span.begin_ns),
            "to_utc": utc_text(self.span.end_ns),
            "from_ns": self.span.begin_ns,
            "to_ns": self.span.end_ns,
        }


def survey(tape: TapeLike) -> Survey:
    """Read a tape as far as needed: to the end where an instrument has no trades, no funding or no two-sided book.

    UserError for a tape without rows.
    """
    stream = tape.stream("exchange")
    if stream.rows == 0:
        raise UserError("the tape has no rows", "import a recording that has some")
    wanted = range(len(tape.instruments))
    books = {index: Book() for index in wanted}
    prices: dict[int, int] = {}
    with_trades: set[int] = set()
    intervals: dict[int, int] = {}
    for i in range(stream.count):
        rows = as_rows(stream.chunk(i))
        of = (rows[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        kinds = rows[:, META] & KIND_MASK
        with_trades.update(np.unique(of[kinds == TRADE]).tolist())
        if len(intervals) < len(wanted):
            for index, seconds in zip(
                of[kinds == FUNDING].tolist(), rows[kinds == FUNDING, SIZE].tolist(), strict=True
            ):
                intervals.setdefault(index, seconds * 1_000_000_000)
        for index in [index for index in wanted if index not in prices]:
            book = books[index]
            for row in rows[of == index].tolist():
                book.apply(row[META], row[PRICE], row[SIZE], row[EXCH])
                mid = book.mid()
                if mid > 0 and not book.crossed():
                    prices[index] = int(mid)
                    break
        if len(prices) == len(with_trades) == len(intervals) == len(wanted):
            break
    return Survey(
        first_prices=prices,
        with_trades=with_trades,
        first_ns=int(as_rows(stream.chunk(0))[0, EXCH]),
        last_ns=int(as_rows(stream.chunk(stream.count - 1))[-1, EXCH]),
        rows=stream.rows,
        content_hash=_content_hash(tape),
        name=getattr(getattr(tape, "path", None), "name", "memory"),
        span=tape.span if isinstance(tape, SlicedTape) else None,
        venue=VenueFacts(tape.venues, min((one for one in intervals.values() if one > 0), default=0)),
    )


def _content_hash(tape: TapeLike) -> str:
    """Return the tape's own hash, or one of its rows when it is not a file."""
    if isinstance(tape, SlicedTape):
        return tape.content_hash(_content_hash(tape.of))
    footer = getattr(tape, "meta", None)
    if footer is not None:
        return str(footer.content_hash)
    digest = blake2b(digest_size=32)
    for name in ("exchange", "receiver"):
        stream = tape.stream(name)
        for i in range(stream.count):
            digest.update(stream.chunk(i))
    return digest.hexdigest()
