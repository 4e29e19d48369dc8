"""Volatility from prices that jump to and fro between ticks: the difference of two time scales."""

import math
from typing import Final, final

from mypy_extensions import i64

_BPS: Final = 10_000.0
MAX_GAP_NS: Final = 10_000_000_000
"""Prices further apart in time than this are not compared."""


def two_scales(short_square: float, long_square: float, steps: float, step_seconds: float) -> float:
    """Return the volatility per square root of a second from mean squared returns over one and over `steps` steps.

    An observed price is the efficient one and noise, so the squares hold the efficient variance of one and of many
    steps, and the same noise each: their difference has none. This is the two-scales estimator of Zhang, Mykland,
    Ait-Sahalia (JASA 100, 2005) with overlapping returns. Where the difference is not positive, the many-step
    square alone is used, an upper bound. Unit: that of the returns.
    """
    variance = (long_square - short_square) / ((steps - 1.0) * step_seconds)
    if variance <= 0.0:
        variance = long_square / (steps * step_seconds)
    return math.sqrt(variance)


@final
class TwoScaleVolatility:
    """Volatility in bps per square root of a second, from a price that is told now and then.

    The price is read off every `step_ns` (the last one told before counts), and returns over one and over `steps`
    steps are averaged. A square counts half after `half_life_ns`; with 0 all count the same. Nothing is compared
    across a silence of more than ten seconds.
    """

    def __init__(self, step_ns: int = 100_000_000, steps: int = 50, half_life_ns: int = 300_000_000_000) -> None:
        if step_ns <= 0 or steps < 2 or half_life_ns < 0:
            raise ValueError(
                f"step_ns {step_ns} must be positive, steps {steps} at least 2, half_life_ns {half_life_ns} from 0 on"
            )
        self.step_ns: Final[i64] = step_ns
        self.steps: Final[i64] = steps
        self._kept: float = 1.0 if half_life_ns == 0 else math.pow(0.5, float(step_ns) / float(half_life_ns))
        self._ring: list[float] = [0.0] * steps
        self._filled: i64 = 0
        self._next_ns: i64 = 0
        self._last_ns: i64 = 0
        self._last: float = 0.0
        self._short: float = 0.0
        self._short_weight: float = 0.0
        self._long: float = 0.0
        self._long_weight: float = 0.0

    def add(self, now_ns: i64, price: float) -> None:
        """Tell a price (any unit, positive); times must not fall."""
        if price <= 0.0:
            return
        level = _BPS * math.log(price)
        if self._last_ns == 0 or now_ns - self._last_ns > MAX_GAP_NS:
            self._filled = 0
            self._next_ns = now_ns
        while self._next_ns <= now_ns:
            self._sample(level if self._next_ns == now_ns else self._last)
            self._next_ns += self.step_ns
        self._last_ns = now_ns
        self._last = level

    def _sample(self, level: float) -> None:
        ring = self._ring
        at = self._filled % self.steps
        if self._filled > 0:
            change = level - ring[(self._filled - 1) % self.steps]
            self._short = self._short * self._kept + change * change
            self._short_weight = self._short_weight * self._kept + 1.0
        if self._filled >= self.steps:
            change = level - ring[at]
            self._long = self._long * self._kept + change * change
            self._long_weight = self._long_weight * self._kept + 1.0
        ring[at] = level
        self._filled += 1

    def samples(self) -> float:
        """Return the long returns that count, in independent ones: their weight over the steps of each."""
        return self._long_weight / float(self.steps)

    def value(self) -> float:
        """Return the volatility, bps per square root of a second; 0 before the first long return."""
        if self._long_weight <= 0.0:
            return 0.0
        return two_scales(
            self._short / self._short_weight,
            self._long / self._long_weight,
            float(self.steps),
            float(self.step_ns) / 1e9,
        )
