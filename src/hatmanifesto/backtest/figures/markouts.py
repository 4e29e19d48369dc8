"""Markouts: where the mid went after own fills, by side, by role and by the queue in front of the order.

For a fill of side s (+1 bought) at price p, with the mid m₀ just before it and m_h a time h after it:

    effective half-spread  s·(m₀ − p)      what the fill earned against the mid of its moment
    markout at h           s·(m_h − p)     what was left of that after h; the realised half-spread
    adverse selection      s·(m₀ − m_h)    the difference: what the market took back

weighted by size and divided by the notional p·size. Positive is good for the account, except adverse selection, which
is a cost. Fees are apart. Sources: Huang and Stoll, "Dealer versus auction markets" (Journal of Financial
Economics 41, 1996), effective and realised spread; SEC Rule 605 for the horizon convention.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import bps_text, exact_sum
from hatmanifesto.model.money import format_decimal

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SECOND: Final = 1_000_000_000
HORIZONS: Final = {"1s": SECOND, "5s": 5 * SECOND, "30s": 30 * SECOND, "5min": 300 * SECOND}
"""Time after the fill, ns."""
LONGEST: Final = max(HORIZONS.values())
AT_FILL: Final = "at_fill"
"""The horizon 0: against the mid just before the fill, which is the effective half-spread."""
LEAST_BLOCK: Final = 60 * SECOND
LEAST_BLOCKS: Final = 10
"""Blocks of time that a confidence band needs at least."""
BAND: Final = 1.959964
"""Normal quantile of a two-sided 95 % band."""
QUEUE_EDGES: Final = (1, 1_000, 10_000, 100_000)
"""Notional ahead, quote currency: where the classes by queue position begin. Below the first edge: nothing ahead."""
QUEUE_NAMES: Final = ("nothing", "below 1k", "1k to 10k", "10k to 100k", "100k and more", "unknown")


def queue_class(ahead: Ints, price: Ints, factor: int, money_unit: int) -> Ints:
    """Return the place in QUEUE_NAMES of each order's queue on arrival.

    `ahead` in size units (negative = unknown), `price` in price units, `factor` makes money of their product,
    `money_unit` is one quote currency in money units.
    """
    notional = np.maximum(ahead, 0) * price * factor // money_unit
    found = np.searchsorted(np.array(QUEUE_EDGES), notional, side="right")
    found = np.where((ahead > 0) & (found == 0), 1, found)  # a little is not nothing
    return np.where(ahead < 0, len(QUEUE_NAMES) - 1, found).astype(np.int64)


class MarkoutSum:
    """A notional-weighted mean of gains at one horizon, exact, with a band that respects that fills come in bursts.

    The band is that of a ratio of sums over blocks of time at least as long as the horizon (and a minute):
    neighbouring fills share most of their future, so they do not count as independent. Source of the linearised
    variance of a ratio: Cochran, Sampling Techniques (3rd ed. 1977), section 6.
    """

    def __init__(self, horizon_ns: int) -> None:
        self.block_ns: Final = max(LEAST_BLOCK, horizon_ns)
        self.fills = 0
        self.gain = 0
        self.notional = 0
        self._block = -1
        self._open = (0.0, 0.0)
        self._blocks = 0
        self._squares = (0.0, 0.0, 0.0)

    def add(self, ts: Ints, gain: Ints, notional: Ints) -> None:
        """Take fills in order of time; gain and notional in the same unit of money."""
        if not len(ts):
            return
        self.fills += len(ts)
        self.gain += exact_sum(gain)
        self.notional += exact_sum(notional)
        block = np.maximum.accumulate(np.maximum(ts // self.block_ns, self._block))
        first = np.flatnonzero(np.diff(block, prepend=block[0] - 1))
        gains = np.add.reduceat(gain.astype(np.float64), first)
        notionals = np.add.reduceat(notional.astype(np.float64), first)
        numbers = block[first]
        begin = 0
        if int(numbers[0]) == self._block:
            self._open = (self._open[0] + float(gains[0]), self._open[1] + float(notionals[0]))
            begin = 1
        if begin == len(first):
            return
        if self._block >= 0:
            self._close(np.array([self._open[0]]), np.array([self._open[1]]))
        self._close(gains[begin:-1], notionals[begin:-1])
        self._block = int(numbers[-1])
        self._open = (float(gains[-1]), float(notionals[-1]))

    def _close(self, gains: NDArray[np.float64], notionals: NDArray[np.float64]) -> None:
        self._blocks += len(gains)
        self._squares = tuple(  # type: ignore[assignment]
            old + float(new)
            for old, new in zip(
                self._squares,
                ((gains * gains).sum(), (gains * notionals).sum(), (notionals * notionals).sum()),
                strict=True,
            )
        )

    def half_width_bps(self) -> float | None:
        """Return the half width of the 95 % band in bps; None below LEAST_BLOCKS blocks."""
        blocks = self._blocks + (self._block >= 0)
        if blocks < LEAST_BLOCKS or self.notional <= 0:
            return None
        gain, weight = self._open
        a, b, c = self._squares
        a, b, c = a + gain * gain, b + gain * weight, c + weight * weight
        mean = self.gain / self.notional
        spread = max(0.0, a - 2 * mean * b + mean * mean * c)
        return BAND * math.sqrt(spread * blocks / (blocks - 1)) / self.notional * 10_000

    def as_json(self, money_scale: int) -> dict[str, Any]:
        """Return fills, gain in money and in bps of the notional, and the band."""
        half = self.half_width_bps()
        mean = self.gain / self.notional * 10_000 if self.notional else 0.0
        # gains are kept in half units of money, because a mid may lie on half a price unit
        return {
            "fills": self.fills,
            "money": format_decimal(5 * self.gain, money_scale + 1),
            "bps": bps_text(self.gain, self.notional),
            "low_bps": None if half is None else f"{mean - half:.4f}",
            "high_bps": None if half is None else f"{mean + half:.4f}",
        }


class Fills:
    """Fills whose future is known, as columns. Gains are twice the money, in money units."""

    def __init__(
        self, ts: Ints, side: Ints, price: Ints, size: Ints, factor: Ints, mid: Ints, later: Sequence[Ints]
    ) -> None:
        """`mid` is twice the mid before each fill, `later` twice the mid at each of HORIZONS; 0 = unknown."""
        self.ts = ts
        self.side = side
        self.notional = 2 * price * size * factor
        self.known: list[Flags] = []
        self.gains: list[Ints] = []
        for then in (mid, *later):
            self.known.append((then > 0) & (mid > 0))
            self.gains.append(side * (then - 2 * price) * size * factor)


class Curve:
    """One markout curve: the sums at the fill and at every horizon."""

    def __init__(self) -> None:
        self.points: Final = {name: MarkoutSum(time) for name, time in ((AT_FILL, 0), *HORIZONS.items())}

    def add(self, fills: Fills, chosen: Flags) -> None:
        """Take some of the fills."""
        for point, known, gain in zip(self.points.values(), fills.known, fills.gains, strict=True):
            mine = chosen & known
            if mine.any():
                point.add(fills.ts[mine], gain[mine], fills.notional[mine])

    def as_json(self, money_scale: int) -> dict[str, Any]:
        """Return the points by name."""
        return {name: point.as_json(money_scale) for name, point in self.points.items()}

    def adverse_selection_bps(self) -> dict[str, str | None]:
        """Return effective half-spread minus markout, each over the fills whose horizon lies on the tape."""
        start = self.points[AT_FILL]
        found: dict[str, str | None] = {}
        for name in HORIZONS:
            point = self.points[name]
            if not point.notional or not start.notional:
                found[name] = None
                continue
            # both means are ratios of integers: one fraction of them
            part = start.gain * point.notional - point.gain * start.notional
            found[name] = bps_text(part, start.notional * point.notional)
        return found
