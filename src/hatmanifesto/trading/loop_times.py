"""How long the trader's turns take: counts in buckets an eighth of a power of two wide, cheap enough for every turn."""

from typing import Final

_STEPS: Final = 8
_BUCKETS: Final = 45 * _STEPS


class LoopTimes:
    """A histogram of nanoseconds, from 1 ns to hours, each bucket at most 12.5 % wide."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total_ns = 0
        self.longest_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one turn."""
        bits = duration_ns.bit_length()
        if bits <= 4:
            at = max(0, duration_ns)
        else:
            at = (bits - 4) * _STEPS + (duration_ns >> (bits - 4))
        self._counts[min(at, _BUCKETS - 1)] += 1
        self.count += 1
        self.total_ns += duration_ns
        if duration_ns > self.longest_ns:
            self.longest_ns = duration_ns

    def quantile_ns(self, share: float) -> int:
        """Return a duration that this share of the turns did not exceed, up to the bucket's width; 0 without turns."""
        wanted = share * self.count
        seen = 0
        for at, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(self._upper(at), self.longest_ns)
        return 0

    @staticmethod
    def _upper(at: int) -> int:
        if at < 2 * _STEPS:
            return at
        bits, step = divmod(at - _STEPS, _STEPS)
        return ((step + _STEPS + 1) << bits) - 1
