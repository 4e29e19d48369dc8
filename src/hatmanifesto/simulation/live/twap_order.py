"""A TWAP as a participant asks for it, and as it is kept: what it has done, and how much is next."""

from typing import Final, final

from mypy_extensions import i64

SLICE_NS: Final = 30_000_000_000
LEAST_MINUTES: Final = 5
MOST_MINUTES: Final = 1_440
_SLICES_A_MINUTE: Final = 2
_CATCH_UP: Final = 3
"""How many normal suborders one may be that catches up."""
_SPREAD: Final = 20
"""How far a random suborder may differ from the normal one, percent."""
_WORD: Final = (1 << 64) - 1

# where a TWAP is
ACTIVATED: Final = 0
WAITING_FOR_TRIGGER: Final = 1
FINISHED: Final = 2
TERMINATED: Final = 3
"""Cancelled."""
STOPPED: Final = 4
"""The mark price reached its stop."""
FAILED: Final = 5
RUNNING_BITS: Final = 1 << ACTIVATED | 1 << WAITING_FOR_TRIGGER


@final
class TwapRequest:
    """A size (side +1 buys, -1 sells) to be worked over so many minutes.

    `trigger_price` > 0: it begins when the mark is there, coming from below when `above`. `stop_price` > 0: it ends
    when the mark has run so far against it: up for a buyer, down for a seller.
    """

    def __init__(
        self,
        instrument: int,
        side: int,
        size: int,
        minutes: int,
        *,
        reduce_only: bool = False,
        randomize: bool = False,
        trigger_price: int = 0,
        above: bool = False,
        stop_price: int = 0,
    ) -> None:
        self.instrument: Final[i64] = instrument
        self.side: Final[i64] = side
        self.size: Final[i64] = size
        self.minutes: Final[i64] = minutes
        self.reduce_only: Final[bool] = reduce_only
        self.randomize: Final[bool] = randomize
        self.trigger_price: Final[i64] = trigger_price
        self.above: Final[bool] = above
        self.stop_price: Final[i64] = stop_price

    def last_slice(self) -> i64:
        """Return the number of the last suborder, counted from 0: the one at the end of the time."""
        return self.minutes * _SLICES_A_MINUTE

    def fires_at(self, mark: i64) -> bool:
        """Tell whether a mark price lets it begin."""
        return mark >= self.trigger_price if self.above else mark <= self.trigger_price


@final
class Twap:
    """A TWAP that was taken. `executed_value` is the sum of price x size; `slices` are the suborders that were due."""

    def __init__(self, number: i64, account: i64, request: TwapRequest, now_ns: i64) -> None:
        self.number: Final[i64] = number
        self.account: Final[i64] = account
        self.request: Final[TwapRequest] = request
        self.placed_ns: Final[i64] = now_ns
        self.begun_ns: i64 = now_ns
        self.status: i64 = ACTIVATED
        self.slices: i64 = 0
        self.executed_size: i64 = 0
        self.executed_value: i64 = 0

    def next_size(self) -> int:
        """Return the size of the suborder that `slices` counted last, before it is cut to lots.

        It is a normal one and what earlier ones left undone, at most three normal ones.
        """
        request = self.request
        count = int(request.last_slice()) + 1
        whole, done = int(request.size), int(self.executed_size)
        behind = whole * int(self.slices) // count - done
        most = -(-whole * _CATCH_UP // count)
        if request.randomize and self.slices <= request.last_slice():
            share = 100 - _SPREAD + self._draw() % (2 * _SPREAD + 1)
            behind += whole * (share - 100) // (100 * count)
        return max(0, min(behind, most, whole - done))

    def _draw(self) -> int:
        """Return a number that looks drawn, and is the same for the same suborder in every run (SplitMix64)."""
        word = (int(self.number) * 0x10001 + int(self.slices)) * 0x9E3779B97F4A7C15 & _WORD
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _WORD
        return word ^ (word >> 31)
