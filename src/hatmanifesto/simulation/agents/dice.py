"""Random integers from a seeded generator. No float is drawn: the same seed gives the same bytes on every machine."""

import random
from math import exp, log
from statistics import NormalDist
from typing import Final, final

from mypy_extensions import i64

MILLION: Final = 1_000_000
_BINS: Final = 4096


def _rounded(values: list[float]) -> list[int]:
    """Millionths; far coarser than what mathematical libraries disagree about."""
    return [round(value * MILLION) for value in values]


_MIDDLES: Final = [(at + 0.5) / _BINS for at in range(_BINS)]
_NORMAL: Final = _rounded([NormalDist().inv_cdf(p) for p in _MIDDLES])
_WAITING: Final = _rounded([-log(p) for p in _MIDDLES])
_EXP_STEP: Final = 64
_EXP: Final = _rounded([exp(at / _EXP_STEP) for at in range(-4 * _EXP_STEP, 4 * _EXP_STEP + 1)])


def exponential(millionths: i64) -> i64:
    """Return e^x in millionths for x in millionths, from a table of steps of 1/64, x kept within ±4."""
    at = (millionths * _EXP_STEP) // MILLION + 4 * _EXP_STEP
    if at < 0:
        at = 0
    if at > 8 * _EXP_STEP:
        at = 8 * _EXP_STEP
    return i64(_EXP[at])


@final
class Quantiles:
    """A distribution by its quantiles: (share in thousandths, value), values positive, log-linear between them."""

    def __init__(self, points: list[tuple[int, int]]) -> None:
        if points[0][0] != 0 or points[-1][0] != 1000:
            raise ValueError(f"quantiles must run from 0 to 1000 thousandths, got {points}")
        table: list[int] = []
        at = 0
        for bin_ in range(_BINS):
            share = (bin_ + 0.5) * 1000 / _BINS
            while share > points[at + 1][0]:
                at += 1
            low, high = points[at], points[at + 1]
            part = (share - low[0]) / (high[0] - low[0])
            table.append(round(exp(log(low[1]) + part * (log(high[1]) - log(low[1])))))
        self.table: Final[list[int]] = table


@final
class Dice:
    """Draws from one generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final[random.Random] = rng

    def below(self, count: i64) -> i64:
        """Return one of 0 … count − 1, count < 2^31."""
        return (i64(self._rng.getrandbits(31)) * count) >> 31

    def chance(self, millionths: i64) -> bool:
        """Return True with a probability in millionths."""
        return i64(self._rng.getrandbits(31)) * MILLION < millionths << 31

    def side(self) -> i64:
        """Return +1 or −1."""
        return 1 if self._rng.getrandbits(1) else -1

    def normal(self, deviation: i64) -> i64:
        """Return a normal value of mean 0 in the unit of its deviation, cut at 3.7 deviations."""
        return deviation * i64(_NORMAL[self._rng.getrandbits(12)]) // MILLION

    def waiting(self, mean: i64) -> i64:
        """Return an exponential value of a mean, below nine times the mean."""
        return mean * i64(_WAITING[self._rng.getrandbits(12)]) // MILLION

    def lognormal(self, median: i64, sigma: i64) -> i64:
        """Return a log-normal value; sigma, of the logarithm, in millionths."""
        return median * exponential(self.normal(sigma)) // MILLION

    def draw(self, quantiles: Quantiles) -> i64:
        """Return a value of a distribution."""
        return i64(quantiles.table[self._rng.getrandbits(12)])
