"""A tape as a strategy would see it at equal steps of the receiver's clock: best prices, flow, reach of trades."""

from array import array
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import LOCAL, META, TapeLike, as_rows
from hatmanifesto.backtest.tape.slice import Span, whole_span
from hatmanifesto.core.market_view import MarketView, TradedRange
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    ROW_WORDS,
    TRADE,
    WORD_LOCAL_TS,
    row_words,
)

STEP_NS: Final = 100_000_000
MOST_STEPS: Final = 2_000_000
"""Longer tapes are sampled at longer steps, so that memory stays bounded (some 160 MB an instrument)."""
MAX_BOOK_AGE_NS: Final = 10_000_000_000
"""Steps with an older book are left out, as the engine would not quote then."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


class Samples(NamedTuple):
    """One instrument's steps: row i is the state at `first_ns` + i x `step_ns`, prices and sizes in its units.

    `highest_buy` and `lowest_sell` are of the step that ends there, 0 = no trade; `flow` is the order-flow imbalance
    in it. `usable` is False where a side was missing, the book crossed or old.
    """

    instrument: Instrument
    first_ns: int
    step_ns: int
    bid_price: Ints
    bid_size: Ints
    ask_price: Ints
    ask_size: Ints
    flow: Ints
    highest_buy: Ints
    lowest_sell: Ints
    usable: NDArray[np.bool_]
    trades: int

    @property
    def mid(self) -> Floats:
        """The mid price; meaningless where not usable."""
        middle: Floats = (self.bid_price + self.ask_price) / 2.0
        return middle

    @property
    def seconds(self) -> float:
        """The time that the usable steps cover."""
        return float(np.count_nonzero(self.usable)) * self.step_ns / 1e9


def span_of(tape: TapeLike, share: float = 1.0) -> Span:
    """Return the first share of a tape, by time on the receiver's clock. The tape must have rows."""
    begin, end = whole_span(tape)
    return Span(begin, begin + max(1, int((end - begin) * share)))


def step_for(span: Span, step_ns: int = STEP_NS) -> int:
    """Return the step, a multiple of the one asked for where the tape is very long."""
    times = -(-(span.end_ns - span.begin_ns) // (step_ns * MOST_STEPS))
    return step_ns * max(1, times)


class _Collector:
    """Follows one instrument's book and writes a line of eight numbers a step."""

    def __init__(self, index: int, span: Span, step_ns: int) -> None:
        self.market = MarketView()
        self.market.instrument = index
        self.traded = TradedRange()
        self.market.add_range(self.traded)
        self.step_ns = step_ns
        self.next_ns = span.begin_ns
        self.end_ns = span.end_ns
        self.lines = array("q")
        self.flow = 0
        self.trades = 0

    def feed(self, rows: Ints) -> None:
        """Take rows of this instrument, in the receiver's order."""
        self.trades += int(np.count_nonzero((rows[:, META] & KIND_MASK) == TRADE))
        words = row_words(np.ascontiguousarray(rows).tobytes())
        stamps = rows[:, LOCAL]
        at, end = 0, len(rows) * ROW_WORDS
        while at < end:
            at = int(self.market.take_rows(words, at, end, self.next_ns, WORD_LOCAL_TS))
            if at < end:
                self.until(int(stamps[at // ROW_WORDS]))

    def until(self, now_ns: int) -> None:
        """Write the steps that lie before a moment."""
        while self.next_ns < now_ns and self.next_ns < self.end_ns:
            self._write()
            self.next_ns += self.step_ns
        if self.next_ns >= self.end_ns:
            self.next_ns = 1 << 61  # the rest is only drained

    def _write(self) -> None:
        market, traded = self.market, self.traded
        bids, asks = market.book.bids, market.book.asks
        bid, ask = int(bids.best_price()), int(asks.best_price())
        flow = int(market.order_flow_imbalance())
        usable = 0 < bid < ask and self.next_ns - market.book_ts_ns <= MAX_BOOK_AGE_NS
        self.lines.extend(
            (
                bid, int(bids.best_size()), ask, int(asks.best_size()), flow - self.flow,
                int(traded.highest_buy), int(traded.lowest_sell), int(usable),
            )
        )  # fmt: skip
        self.flow = flow
        traded.highest_buy = 0
        traded.lowest_sell = 0


def sample(
    tape: TapeLike,
    indices: list[int],
    span: Span,
    step_ns: int,
    progress: Progress = lambda done, total: None,
) -> list[Samples]:
    """Return the samples of some instruments over a part of a tape; one pass, memory bounded by MOST_STEPS."""
    stream = tape.stream("receiver")
    collectors = {index: _Collector(index, span, step_ns) for index in indices}
    for number in range(stream.count):
        rows = as_rows(stream.chunk(number))
        inside = rows[rows[:, LOCAL] < span.end_ns]
        of = (inside[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        for index, collector in collectors.items():
            own = inside[of == index]
            if len(own):
                collector.feed(own)
        progress(number + 1, stream.count)
        if len(inside) < len(rows):
            break
    return [_finished(tape.instruments[index], collectors[index], span) for index in indices]


def _finished(instrument: Instrument, collector: _Collector, span: Span) -> Samples:
    collector.until(span.end_ns)
    lines = np.frombuffer(collector.lines, dtype=np.int64).reshape(-1, 8)
    bid_price, bid_size, ask_price, ask_size, flow, highest_buy, lowest_sell = (
        np.ascontiguousarray(lines[:, place]) for place in range(7)
    )
    return Samples(
        instrument=instrument,
        first_ns=span.begin_ns,
        step_ns=collector.step_ns,
        bid_price=bid_price,
        bid_size=bid_size,
        ask_price=ask_price,
        ask_size=ask_size,
        flow=flow,
        highest_buy=highest_buy,
        lowest_sell=lowest_sell,
        usable=lines[:, 7] == 1,
        trades=collector.trades,
    )
