"""The market's best prices around the moment that is being measured, from a tape or from the journal's own views.

Figures ask only for columns of (time, best bid, best ask); where they come from is decided here. A tape has every
change, on the venue's clock. Without one, what the strategies saw at their decisions is used, on the receiver's clock:
coarser.
"""

from abc import abstractmethod
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.journal_scan import rows_of
from hatmanifesto.backtest.tape.format import RowStream
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.record import VIEW
from hatmanifesto.simulation.touch_trace import TOUCH_WORDS, TouchTrace

Ints = NDArray[np.int64]
UNKNOWN: Final = 0
"""A twice-mid where a side of the book is empty, the book is crossed, or no book was seen yet."""


class Touches(NamedTuple):
    """Best prices from each time on, until the next one. `mid` is twice the mid price, UNKNOWN where there is none."""

    ts: Ints
    bid: Ints
    ask: Ints
    mid: Ints

    def mid_at(self, times: Ints) -> Ints:
        """Return twice the mid after everything stamped up to each time."""
        return _picked(self.mid, np.searchsorted(self.ts, times, side="right") - 1)

    def mid_before(self, times: Ints) -> Ints:
        """Return twice the mid before anything stamped at each time."""
        return _picked(self.mid, np.searchsorted(self.ts, times, side="left") - 1)


def touches(ts: Ints, bid: Ints, ask: Ints) -> Touches:
    """Return the columns with their mids; times must not fall."""
    return Touches(ts, bid, ask, np.where((bid > 0) & (ask > bid), bid + ask, UNKNOWN))


def _picked(values: Ints, places: NDArray[np.intp]) -> Ints:
    if not len(values):
        return np.zeros(len(places), dtype=np.int64)
    found: Ints = np.where(places >= 0, values[np.maximum(places, 0)], UNKNOWN)
    return found


class Market:
    """What a projection asks of the market, instrument by instrument. Time only goes forward."""

    source: str = ""

    def __init__(self, instruments: int) -> None:
        nothing = np.zeros(0, dtype=np.int64)
        self.windows: list[Touches] = [touches(nothing, nothing, nothing) for _ in range(instruments)]
        self.known_ns = 0

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """See a batch of the journal before it is measured."""

    @abstractmethod
    def advance(self, until_ns: int, instrument: Ints, side: Ints, price: Ints, ts: Ints) -> Ints:
        """Go on to a time; return the size shown at each price at each time (-1 = cannot be told).

        The probes' times lie between the last call's `until_ns` and this one's. Afterwards `windows` reach to
        `until_ns`, and `known_ns` says so.
        """

    @abstractmethod
    def finish(self) -> None:
        """Go on to the market's end; `known_ns` then is its last moment."""

    def forget(self, before_ns: int) -> None:
        """Drop what lies before a time, but for the touch that still holds then."""
        for index, window in enumerate(self.windows):
            first = max(0, int(np.searchsorted(window.ts, before_ns, side="right")) - 1)
            if first:
                self.windows[index] = Touches(*(column[first:].copy() for column in window))

    def _append(self, index: int, ts: Ints, bid: Ints, ask: Ints) -> None:
        window = self.windows[index]
        joined = (np.concatenate(pair) for pair in zip(window[:3], (ts, bid, ask), strict=True))
        self.windows[index] = touches(*joined)


class TapeMarket(Market):
    """The market as a tape's exchange stream has it, read chunk by chunk."""

    source = "tape"

    def __init__(self, stream: RowStream, instruments: int) -> None:
        super().__init__(instruments)
        self._trace = TouchTrace(stream, instruments)

    def take(self, batch: Batch) -> None:
        """The tape knows better than the journal's views."""

    def advance(self, until_ns: int, instrument: Ints, side: Ints, price: Ints, ts: Ints) -> Ints:
        order = np.argsort(ts, kind="stable")
        probes = np.stack((ts, instrument, side, price), axis=1)[order]
        self._trace.ask(np.ascontiguousarray(probes, dtype="<i8").tobytes())
        self._go(until_ns)
        self._trace.answer_until(NEVER - 1)  # a time beyond until_ns is answered as if it were now
        answers = np.zeros(len(ts), dtype=np.int64)
        answers[order] = np.frombuffer(self._trace.take_answers(), dtype="<i8")
        self.known_ns = max(self.known_ns, until_ns)
        return answers

    def finish(self) -> None:
        self._go(NEVER - 1)
        self.known_ns = int(self._trace.last_ns)

    def _go(self, until_ns: int) -> None:
        self._trace.run(until_ns)
        found = np.frombuffer(self._trace.take_touches(), dtype="<i8").reshape(-1, TOUCH_WORDS)
        for index in np.unique(found[:, 1]).tolist():
            mine = found[found[:, 1] == index]
            self._append(index, mine[:, 0], mine[:, 2], mine[:, 3])


class ViewMarket(Market):
    """The market as the journal's views have it; the size ahead is known only at or before the best price."""

    source = "journal"

    def __init__(self, instruments: int) -> None:
        super().__init__(instruments)
        self._sizes: list[tuple[Ints, Ints]] = [(np.zeros(0, dtype=np.int64),) * 2 for _ in range(instruments)]
        self._seen_ns = 0

    def take(self, batch: Batch) -> None:
        views = rows_of(batch, VIEW)
        if not len(views):
            return
        self._seen_ns = int(views.ts_ns[-1])
        columns = [views.field(name) for name in ("bid_price", "ask_price", "bid_size", "ask_size")]
        for index in np.unique(views.aux).tolist():
            mine = views.aux == index
            bid, ask, bid_size, ask_size = (column[mine] for column in columns)
            self._append(index, views.ts_ns[mine], bid, ask)
            bids, asks = self._sizes[index]
            self._sizes[index] = np.concatenate((bids, bid_size)), np.concatenate((asks, ask_size))

    def advance(self, until_ns: int, instrument: Ints, side: Ints, price: Ints, ts: Ints) -> Ints:
        answers = np.full(len(ts), -1, dtype=np.int64)
        for index, window in enumerate(self.windows):
            mine = np.flatnonzero(instrument == index)
            if not len(mine) or not len(window.ts):
                continue
            place = np.maximum(np.searchsorted(window.ts, ts[mine], side="right") - 1, 0)
            buys = side[mine] > 0
            best = np.where(buys, window.bid[place], window.ask[place])
            shown = np.where(buys, self._sizes[index][0][place], self._sizes[index][1][place])
            better = (price[mine] - best) * side[mine]
            answers[mine] = np.where(better > 0, 0, np.where(better == 0, shown, -1))
        self.known_ns = max(self.known_ns, min(until_ns, self._seen_ns))
        return answers

    def forget(self, before_ns: int) -> None:
        for index, window in enumerate(self.windows):
            first = max(0, int(np.searchsorted(window.ts, before_ns, side="right")) - 1)
            bids, asks = self._sizes[index]
            self._sizes[index] = bids[first:], asks[first:]
        super().forget(before_ns)

    def finish(self) -> None:
        self.known_ns = self._seen_ns
