"""The session's clock: wall time in nanoseconds that never steps back."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns nanoseconds since 1970 UTC, never less than it returned before."""


class WallClock:
    """The machine's clock; where it is set back, time stands still until it has caught up. `behind_ns` says how far."""

    def __init__(self, read: Clock = time.time_ns) -> None:
        self._read = read
        self._last = 0
        self.behind_ns = 0

    def __call__(self) -> int:
        now = self._read()
        if now < self._last:
            self.behind_ns = self._last - now
            return self._last
        self.behind_ns = 0
        self._last = now
        return now
