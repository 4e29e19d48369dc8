"""A small seeded generator for simulations: the same numbers on every machine, compiled or not."""

from math import isqrt
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.queue_probability import ONE, log2

_WORD: Final = (1 << 32) - 1
_WEYL: Final = 362437
_LN_2: Final = 744261118
"""ln 2 in 2^-30."""
_FURTHEST: Final = 6 * ONE


@final
class Chance:
    """Marsaglia's xorwow (2003): five words of 32 bits and a counter, period 2^192 - 2^32.

    `stream` separates generators of one seed. Raises ValueError for a negative seed or stream.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        if seed < 0 or stream < 0:
            raise ValueError(f"seed and stream must not be negative, got {seed} and {stream}")
        mixed = [_mix(seed, stream, at) for at in range(6)]
        self._x: i64 = mixed[0] | 1
        self._y: i64 = mixed[1]
        self._z: i64 = mixed[2]
        self._w: i64 = mixed[3]
        self._v: i64 = mixed[4]
        self._counter: i64 = mixed[5]

    def word(self) -> i64:
        """Return 32 random bits."""
        t = self._x ^ (self._x >> 2)
        self._x = self._y
        self._y = self._z
        self._z = self._w
        self._w = self._v
        self._v = (self._v ^ ((self._v << 4) & _WORD)) ^ (t ^ ((t << 1) & _WORD))
        self._counter = (self._counter + _WEYL) & _WORD
        return (self._v + self._counter) & _WORD

    def below(self, limit: i64) -> i64:
        """Return a number from 0 to below the limit (1 to 2^30), each as likely but for one part in 2^32 / limit."""
        return (self.word() * limit) >> 32

    def normal(self) -> i64:
        """Return a standard normal number in 2^-30, by Marsaglia's polar method; never beyond 6."""
        while True:
            first = (self.word() >> 1) - ONE
            second = (self.word() >> 1) - ONE
            square = ((first * first) >> 30) + ((second * second) >> 30)
            if 0 < square < ONE:
                break
        minus_log = (30 * ONE - log2(square)) * (_LN_2 >> 10) >> 20
        ratio = isqrt((int(minus_log) * 2 << 60) // int(square))
        drawn = i64(int(first) * ratio >> 30)
        if drawn > _FURTHEST:
            return _FURTHEST
        return drawn if drawn > -_FURTHEST else -_FURTHEST


def _mix(seed: int, stream: int, at: int) -> int:
    """Return a well mixed word of a seed: SplitMix64's finalizer (Steele, Lea, Flood 2014), in unbounded integers."""
    mask = (1 << 64) - 1
    state = (seed + (stream << 32) * 0x9E3779B97F4A7C15 + (at + 1) * 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return (state ^ (state >> 31)) & _WORD
