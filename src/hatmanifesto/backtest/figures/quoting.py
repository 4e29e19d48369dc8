"""Quote uptime and time at best: how long own orders rested where, as shares of the time with a two-sided book.

A desk is one strategy on one instrument. It quotes two-sided within x bps while an own bid and an own ask both rest at
most x bps away from the mid; it is at the best on a side while an own order's price is at least as good as the best
that the market shows without it. Rest begins and ends by the venue's clock: acknowledgement to end. Presence is
measured as market-maker schemes of exchanges do: the share of time with two-sided quotes (MiFID II, RTS 8).
"""

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import ratio_text
from hatmanifesto.backtest.figures.touches import Touches

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

UPTIME_BPS: Final = (5, 10, 25)
"""Distances from the mid within which uptime is told; one more class counts any distance."""
HEADLINE_BPS: Final = 10
MOST_PIECES: Final = 200_000
"""Pieces looked at together, so that memory stays bounded."""
CLASSES: Final = (*(f"within_{bps}_bps" for bps in UPTIME_BPS), "any_distance")
BUCKETS: Final = 240


class Resting(NamedTuple):
    """Orders of one desk: when they rest (ns; `end` of a living one is in the future), side, price."""

    begin: Ints
    end: Ints
    side: Ints
    price: Ints


class Pieces(NamedTuple):
    """Stretches of time in which one order rests and the touch stands still; conditions hold for all of it."""

    begin: Ints
    end: Ints
    side: Ints
    within: list[Flags]
    at_best: Flags


def piece_count(orders: Resting, market: Touches, begin_ns: int, end_ns: int) -> int:
    """Return how many pieces `pieces_of` would look at."""
    first = np.searchsorted(market.ts, np.maximum(orders.begin, begin_ns), side="right")
    last = np.searchsorted(market.ts, np.minimum(orders.end, end_ns), side="left")
    return int(np.maximum(last - first, 0).sum()) + len(first)


def pieces_of(orders: Resting, market: Touches, begin_ns: int, end_ns: int) -> Pieces:
    """Cut the orders' lives inside [begin_ns, end_ns) at every change of the touch."""
    start = np.maximum(orders.begin, begin_ns)
    end = np.minimum(orders.end, end_ns)
    lives = np.flatnonzero(end > start)
    start, end = start[lives], end[lives]
    first = np.searchsorted(market.ts, start, side="right")
    last = np.searchsorted(market.ts, end, side="left")
    counts = np.maximum(last - first, 0) + 1
    whose = np.repeat(np.arange(len(lives)), counts)
    number = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
    touch = first[whose] + number - 1  # the touch that holds during the piece
    held = np.maximum(touch, 0)
    known = (touch >= 0) & (market.mid[held] > 0) if len(market.ts) else np.zeros(len(whose), dtype=bool)
    # a last touch past the window's end is never reached: `last` stops before `end`
    begins = np.where(number == 0, start[whose], market.ts[held] if len(market.ts) else 0)
    following = np.minimum(touch + 1, len(market.ts) - 1)
    ends = np.where(number == counts[whose] - 1, end[whose], market.ts[following] if len(market.ts) else 0)
    chosen = np.flatnonzero(known & (ends > begins))
    held, order = held[chosen], lives[whose[chosen]]
    side, price, mid = orders.side[order], orders.price[order], market.mid[held]
    distance = np.abs(2 * price - mid)
    best = np.where(side > 0, market.bid[held], market.ask[held])
    within = [distance * 10_000 <= bps * mid for bps in UPTIME_BPS]
    within.append(np.ones(len(chosen), dtype=bool))
    return Pieces(begins[chosen], ends[chosen], side, within, (price - best) * side >= 0)


class Covered(NamedTuple):
    """Elementary stretches [ts[i], ts[i+1]) and whether a condition holds in each; the last one is empty."""

    ts: Ints
    holds: Flags

    def total(self) -> int:
        """Return the time for which it holds, ns."""
        return int(np.diff(self.ts)[self.holds[:-1]].sum()) if len(self.ts) else 0

    def until(self, times: Ints) -> Ints:
        """Return the time for which it held before each moment, ns."""
        if not len(self.ts):
            return np.zeros(len(times), dtype=np.int64)
        before = np.concatenate(([0], np.cumsum(np.where(self.holds[:-1], np.diff(self.ts), 0))))
        place = np.searchsorted(self.ts, times, side="right") - 1
        inside = np.maximum(place, 0)
        partly = np.where(self.holds[inside], times - self.ts[inside], 0)
        found: Ints = np.where(place >= 0, before[inside] + partly, 0)
        return found


class Timeline:
    """The pieces' ends in order of time, from which any condition's coverage is counted."""

    def __init__(self, pieces: Pieces) -> None:
        times = np.concatenate((pieces.begin, pieces.end))
        self._order = np.argsort(times, kind="stable")
        self.ts = times[self._order]
        self._buy = pieces.side > 0

    def count(self, condition: Flags, side: int) -> Ints:
        """Return how many orders of a side fulfil the condition from each time on."""
        steps = (condition & (self._buy == (side > 0))).astype(np.int64)
        found: Ints = np.cumsum(np.concatenate((steps, -steps))[self._order])
        return found

    def covered(self, holds: Flags) -> Covered:
        """Return the stretches as a value."""
        return Covered(self.ts, holds)


class Quoting:
    """One desk's uptime, counted window by window. All sums are ns."""

    def __init__(self, edges: Ints) -> None:
        """`edges` are the moments between which uptime over time is charted."""
        self.known_ns = 0
        self.two_sided = dict.fromkeys(CLASSES, 0)
        self.bid_ns = 0
        self.ask_ns = 0
        self.best = {"bid": 0, "ask": 0, "either": 0, "both": 0}
        self._edges = edges
        self.known_in = np.zeros(len(edges) - 1, dtype=np.int64)
        self.quoted_in = np.zeros(len(edges) - 1, dtype=np.int64)

    def add(self, orders: Resting, market: Touches, begin_ns: int, end_ns: int) -> None:
        """Take the time from begin to end; `market` has the touches of it, and the one that held at its begin."""
        count = piece_count(orders, market, begin_ns, end_ns)
        parts = min(count // MOST_PIECES + 1, max(1, end_ns - begin_ns))
        cuts = [begin_ns + (end_ns - begin_ns) * at // parts for at in range(parts)]
        for begin, end in pairwise([*cuts, end_ns]):
            self._window(orders, market, begin, end)

    def _window(self, orders: Resting, market: Touches, begin_ns: int, end_ns: int) -> None:
        if end_ns <= begin_ns:
            return
        first = max(0, int(np.searchsorted(market.ts, begin_ns, side="right")) - 1)
        last = int(np.searchsorted(market.ts, end_ns, side="left"))
        ts = np.append(np.clip(market.ts[first:last], begin_ns, end_ns), end_ns)
        known = Covered(ts, np.append(market.mid[first:last] > 0, False))
        self.known_ns += known.total()
        self.known_in += np.diff(known.until(self._edges))
        pieces = pieces_of(orders, market, begin_ns, end_ns)
        if not len(pieces.begin):
            return
        line = Timeline(pieces)
        for name, condition in zip(CLASSES, pieces.within, strict=True):
            both = line.covered((line.count(condition, 1) > 0) & (line.count(condition, -1) > 0))
            self.two_sided[name] += both.total()
            if name == f"within_{HEADLINE_BPS}_bps":
                self.quoted_in += np.diff(both.until(self._edges))
        every = pieces.within[-1]
        self.bid_ns += line.covered(line.count(every, 1) > 0).total()
        self.ask_ns += line.covered(line.count(every, -1) > 0).total()
        bid, ask = line.count(pieces.at_best, 1) > 0, line.count(pieces.at_best, -1) > 0
        for name, holds in (("bid", bid), ("ask", ask), ("either", bid | ask), ("both", bid & ask)):
            self.best[name] += line.covered(holds).total()


def uptime_json(desks: list[Quoting]) -> dict[str, Any]:
    """Return shares of time, the mean over the desks weighted by the time their books were known."""
    known = sum(desk.known_ns for desk in desks)
    return {
        "quote_uptime": {name: ratio_text(sum(desk.two_sided[name] for desk in desks), known) for name in CLASSES},
        "side_uptime": {
            "bid": ratio_text(sum(desk.bid_ns for desk in desks), known),
            "ask": ratio_text(sum(desk.ask_ns for desk in desks), known),
        },
        "time_at_best": {
            name: ratio_text(sum(desk.best[name] for desk in desks), known) for name in ("bid", "ask", "either", "both")
        },
    }
