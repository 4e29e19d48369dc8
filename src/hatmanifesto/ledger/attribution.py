"""Where profit came from, exactly: every part of it has a cause, and the parts add up to the change of equity.

A fill of side s (+1 bought), size z, price p, with the mid m₀ before it and the mid m₁ ADVERSE_NS later:

    spread captured     s·z·(m₀ − p)     of a maker's fill; a taker's is `slippage`, a forced one's `liquidation`
    adverse selection   s·z·(m₁ − m₀)    what the market took back (negative) or gave
    directional         s·z·(m − m₁)     from there on, mid to mid, and from the mid to the mark that values equity
    fees, rebates, funding               as the venue booked them

For each fill the parts telescope to s·z·(mark − p) less fees, which is its share of equity, so nothing is left over.
Everything is kept in HALF money units, because a mid may lie between two prices: no part is ever rounded.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger.exact import dot, total
from hatmanifesto.ledger.prices import Series
from hatmanifesto.ledger.schema import PARTS

ADVERSE: Final = "5s"
ADVERSE_NS: Final = 5_000_000_000
"""How long after a fill the market's move counts as adverse selection, ns."""
HOUR_NS: Final = 3_600_000_000_000
Ints = NDArray[np.int64]
_NO_YOUNG: Final = np.zeros((0, 3), dtype=np.int64)
DIRECTIONAL, SPREAD, ADVERSE_PART, FEES, REBATES, FUNDING, SLIPPAGE, FORCED = range(len(PARTS))


class Holding:
    """One strategy's position on one instrument, as its fills entered it; values in half money units.

    `ripe` fills are past the horizon: their size x factor, and what that was worth when they were. `young` ones are
    rows of [ripe at (ns), size x factor, twice the mid]. `basis` is the position's worth at the mark less that at the
    mid.
    """

    def __init__(self) -> None:
        self.parts = [0] * len(PARTS)
        self.ripe = 0
        self.ripe_value = 0
        self.young: Ints = _NO_YOUNG
        self.size = 0
        self.basis = 0

    def open(self, size: int, mid2: int, mark: int) -> None:
        """Begin with a position (size x factor), valued at the mark."""
        self.ripe += size
        self.size += size
        self.ripe_value += size * mid2
        self.basis += size * (2 * mark - mid2)

    def fill(self, ts_ns: Ints, size: Ints, price: Ints, mid2: Ints, part: Ints, fee: Ints) -> None:
        """Take fills of signed sizes x factor; each one's distance from the mid goes to its `part`."""
        for name in (SPREAD, SLIPPAGE, FORCED):
            mine = part == name
            self.parts[name] += dot(size[mine], mid2[mine] - 2 * price[mine])
        self.parts[FEES] -= 2 * total(fee[fee > 0])
        self.parts[REBATES] -= 2 * total(fee[fee < 0])
        self.young = np.concatenate((self.young, np.stack((ts_ns + ADVERSE_NS, size, mid2), axis=1)))
        self.size += total(size)

    def ripen(self, until_ns: int, mids: Series) -> None:
        """Let fills ripen whose horizon lies before a time, at the mids of theirs."""
        if not len(self.young):
            return
        waiting = np.flatnonzero(self.young[:, 0] >= until_ns)
        count = int(waiting[0]) if len(waiting) else len(self.young)
        due, size, mid2 = self.young[:count].T
        then = mids.at(due)
        then = np.where(then > 0, then, mid2)
        self.parts[ADVERSE_PART] += dot(size, then - mid2)
        self.ripe += total(size)
        self.ripe_value += dot(size, then)
        self.young = self.young[count:]

    def value(self, mid2: int, mark: int) -> None:
        """Bring every part up to prices of a moment: half-way values cancel, so any number of moments may be taken."""
        if mid2 > 0:  # where no mid was ever known, all of it is directional
            self.parts[DIRECTIONAL] += self.ripe * mid2 - self.ripe_value
            self.ripe_value = self.ripe * mid2
            if len(self.young):
                self.parts[ADVERSE_PART] += dot(self.young[:, 1], mid2 - self.young[:, 2])
                self.young = self.young.copy()
                self.young[:, 2] = mid2
        at_mids = self.ripe_value + (dot(self.young[:, 1], self.young[:, 2]) if len(self.young) else 0)
        basis = 2 * self.size * mark - at_mids
        self.parts[DIRECTIONAL] += basis - self.basis
        self.basis = basis

    def settle(self) -> None:
        """A journal has ended: what is young ripens where it was valued last."""
        self.ripe += total(self.young[:, 1])
        self.ripe_value += dot(self.young[:, 1], self.young[:, 2])
        self.young = _NO_YOUNG

    def state(self) -> list[Any]:
        """Return what survives the process."""
        return [self.parts, self.ripe, self.ripe_value, self.young.tolist(), self.size, self.basis]

    @classmethod
    def from_state(cls, state: list[Any]) -> "Holding":
        """Go on where `state` was taken."""
        holding = cls()
        holding.parts, holding.ripe, holding.ripe_value = list(state[0]), state[1], state[2]
        holding.young = np.array(state[3], dtype=np.int64).reshape(-1, 3)
        holding.size, holding.basis = state[4], state[5]
        return holding
