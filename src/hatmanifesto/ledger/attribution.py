"""Where profit came from, exactly: every part of it has a cause, and the parts add up to the change of equity.

A fill of side s (+1 bought), size z, price p, with the mid m₀ before it and the mid m₁ ADVERSE_NS later:

    spread captured     s·z·(m₀ − p)     of a maker's fill; a taker's is `slippage`, a forced one's `liquidation`
    adverse selection   s·z·(m₁ − m₀)    what the market took back (negative) or gave
    directional         s·z·(m − m₁)     from there on, mid to mid, and from the mid to the mark that values equity
    fees, rebates, funding               as the venue booked them

For each fill the parts telescope to s·z·(mark − p) less fees, which is its share of equity, so nothing is left over.
Everything is kept in HALF money units, because a mid may lie between two prices: no part is ever rounded.
"""

from collections import deque
from typing import Any, Final

from hatmanifesto.ledger.schema import PARTS

ADVERSE: Final = "5s"
ADVERSE_NS: Final = 5_000_000_000
"""How long after a fill the market's move counts as adverse selection, ns."""
HOUR_NS: Final = 3_600_000_000_000
DIRECTIONAL, SPREAD, ADVERSE_PART, FEES, REBATES, FUNDING, SLIPPAGE, FORCED = range(len(PARTS))


class Holding:
    """One strategy's position on one instrument, as its fills entered it; values in half money units.

    `ripe` fills are past the horizon: their size x factor, and what that was worth when they were. `young` ones are
    [ripe at (ns), size x factor, twice the mid]. `basis` is the position's worth at the mark less that at the mid.
    """

    def __init__(self) -> None:
        self.parts = [0] * len(PARTS)
        self.ripe = 0
        self.ripe_value = 0
        self.young: deque[list[int]] = deque()
        self.size = 0
        self.basis = 0

    def open(self, size: int, mid2: int, mark: int) -> None:
        """Begin with a position (size x factor), valued at the mark."""
        self.ripe += size
        self.size += size
        self.ripe_value += size * mid2
        self.basis += size * (2 * mark - mid2)

    def fill(self, ts_ns: int, size: int, price: int, mid2: int, part: int) -> None:
        """Take a fill of a signed size x factor; its price's distance from the mid goes to `part`."""
        self.parts[part] += size * (mid2 - 2 * price)
        self.young.append([ts_ns + ADVERSE_NS, size, mid2])
        self.size += size

    def ripen(self, until_ns: int, mid2_at: Any) -> None:
        """Let fills ripen whose horizon lies before a time; `mid2_at` gives twice the mid at a time."""
        young = self.young
        while young and young[0][0] < until_ns:
            ripe_ns, size, mid2 = young.popleft()
            then = mid2_at(ripe_ns) or mid2
            self.parts[ADVERSE_PART] += size * (then - mid2)
            self.ripe += size
            self.ripe_value += size * then

    def value(self, mid2: int, mark: int) -> None:
        """Bring every part up to prices of a moment: half-way values cancel, so any number of moments may be taken."""
        if mid2 > 0:  # where no mid was ever known, all of it is directional
            self.parts[DIRECTIONAL] += self.ripe * mid2 - self.ripe_value
            self.ripe_value = self.ripe * mid2
            for entry in self.young:
                self.parts[ADVERSE_PART] += entry[1] * (mid2 - entry[2])
                entry[2] = mid2
        at_mids = self.ripe_value + sum(entry[1] * entry[2] for entry in self.young)
        basis = 2 * self.size * mark - at_mids
        self.parts[DIRECTIONAL] += basis - self.basis
        self.basis = basis

    def settle(self) -> None:
        """A journal has ended: what is young ripens where it was valued last."""
        for _, size, mid2 in self.young:
            self.ripe += size
            self.ripe_value += size * mid2
        self.young.clear()

    def state(self) -> list[Any]:
        """Return what survives the process."""
        return [self.parts, self.ripe, self.ripe_value, [list(entry) for entry in self.young], self.size, self.basis]

    @classmethod
    def from_state(cls, state: list[Any]) -> "Holding":
        """Go on where `state` was taken."""
        holding = cls()
        holding.parts, holding.ripe, holding.ripe_value = list(state[0]), state[1], state[2]
        holding.young, holding.size, holding.basis = deque(list(entry) for entry in state[3]), state[4], state[5]
        return holding
