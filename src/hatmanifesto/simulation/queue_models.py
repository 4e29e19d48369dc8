"""Where an own order stands in its level's queue: what prints say surely, and what other changes suggest.

A tape shows a level's total, not its orders. Prints come off the front. What else a level loses was cancelled
before us or behind us: `RiskAverseQueue` takes all of it from behind, `ProbabilisticQueue` divides it by a function of
the size before and behind. Sizes of own orders are no part of a level: they are not on the tape.
"""

from abc import abstractmethod
from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.order import SLOT_MASK
from hatmanifesto.simulation.matcher import RestingOrder
from hatmanifesto.simulation.queue_probability import (
    ONE,
    logarithm,
    logarithm_of_share,
    power,
    power_of_share_ahead,
    power_of_share_behind,
)

POWER: Final = 1
POWER_2: Final = 2
POWER_3: Final = 3
LOG: Final = 4
LOG_2: Final = 5
PROBABILITIES: Final = {"power": POWER, "power2": POWER_2, "power3": POWER_3, "log": LOG, "log2": LOG_2}
"""The probabilistic models by name."""
MEMORY: Final = 63
"""Sizes that `TracedQueue` remembers behind an order."""


class QueueModel:
    """How `RestingOrder.ahead` moves besides prints, which the matcher takes off the front itself."""

    @abstractmethod
    def joined(self, order: RestingOrder, shown: i64) -> None:
        """An order began to rest where the market shows so much; its `ahead` is set already."""

    @abstractmethod
    def printed(self, order: RestingOrder, size: i64, now: i64) -> None:
        """A print of this size happened at the order's price; what of it was ahead is taken off already."""

    @abstractmethod
    def reported(self, order: RestingOrder, shown: i64, now: i64) -> None:
        """The level of the order was reported to show so much."""


@final
class RiskAverseQueue(QueueModel):
    """Everything cancelled was behind: the least favourable reading of a level that still holds it."""

    def joined(self, order: RestingOrder, shown: i64) -> None:
        pass

    def printed(self, order: RestingOrder, size: i64, now: i64) -> None:
        pass

    def reported(self, order: RestingOrder, shown: i64, now: i64) -> None:
        if order.ahead > shown:
            order.ahead = shown


class ProbabilisticQueue(QueueModel):
    """A part of what was cancelled stood before the order: one minus the probability that it was behind.

    `kind` is one of this module's numbers; `thousandths` the exponent of the powers; `unit` one coin in
    size units, for the logarithms, whose result depends on it. The part moves the order by its expectation, the
    fraction of a size unit carried on. What a print took is not counted again when the level shows it: a print
    explains a decrease stamped like it, or else that of the first report after it.
    """

    def __init__(self, kind: int, thousandths: int, unit: int) -> None:
        if kind not in PROBABILITIES.values():
            raise ValueError(f"no queue probability has the number {kind}")
        if not 1 <= thousandths <= 100_000:
            raise ValueError(f"the exponent must lie between 0.001 and 100, got {thousandths} thousandths")
        if unit < 1:
            raise ValueError(f"one coin must be at least one size unit, got {unit}")
        self._kind: Final[i64] = kind
        self._thousandths: Final[i64] = thousandths
        self._unit: Final[i64] = unit

    def joined(self, order: RestingOrder, shown: i64) -> None:
        order.shown = shown
        order.fraction = 0
        order.printed = 0

    def printed(self, order: RestingOrder, size: i64, now: i64) -> None:
        order.printed += size
        order.printed_ns = now

    def reported(self, order: RestingOrder, shown: i64, now: i64) -> None:
        lost = order.shown - shown
        if order.printed > 0:
            explained = order.printed
            if explained > lost:
                explained = lost
            if explained > 0:
                order.printed -= explained
                lost -= explained
            if now > order.printed_ns:
                order.printed = 0
        if lost < 0:
            self.gained(order, -lost)
        elif lost > 0 and 0 < order.ahead <= shown + lost:
            self.lost(order, shown + lost, lost)
        order.shown = shown
        if order.ahead > shown:
            order.ahead = shown
            order.fraction = 0

    def gained(self, order: RestingOrder, size: i64) -> None:
        """The level grew: behind the order."""

    def lost(self, order: RestingOrder, before: i64, lost: i64) -> None:
        """The level lost size besides prints: take the order's share off what is ahead of it."""
        ahead = order.ahead
        unlikely = ONE - self.behind(ahead, before - ahead)
        if lost < 1 << 32:
            share = lost * unlikely + order.fraction
            moved = share >> 30
            order.fraction = share & (ONE - 1)
        else:
            wide = int(lost) * int(unlikely) + int(order.fraction)
            moved = i64(wide >> 30)
            order.fraction = i64(wide & (ONE - 1))
        order.ahead = ahead - moved if moved < ahead else 0

    def behind(self, front: i64, back: i64) -> i64:
        """Return the probability, in 2^-30, that a decrease happens behind an order between two sizes."""
        kind = self._kind
        if kind == POWER:
            return power(front, back, self._thousandths)
        if kind == POWER_2:
            return power_of_share_behind(front, back, self._thousandths)
        if kind == POWER_3:
            return power_of_share_ahead(front, back, self._thousandths)
        if kind == LOG:
            return logarithm(front, back, self._unit)
        return logarithm_of_share(front, back, self._unit)


@final
class TracedQueue(ProbabilisticQueue):
    """Newcomers behind the order are remembered by size; a cancel of exactly such a size is taken to be theirs.

    Of several of one size the newest goes. A cancel of no known size is divided as in `ProbabilisticQueue`. Level-3
    data shows why: most cancels are of the newest order of a level. At most `MEMORY` sizes are kept for an order.
    """

    def __init__(self, kind: int, thousandths: int, unit: int) -> None:
        super().__init__(kind, thousandths, unit)
        self._newcomers: Final[list[vec[i64]]] = []  # by the order's slot; the first word counts the others

    def joined(self, order: RestingOrder, shown: i64) -> None:
        super().joined(order, shown)
        slot = order.order_id & SLOT_MASK
        while slot >= len(self._newcomers):
            self._newcomers.append(_no_newcomers())
        self._newcomers[slot][0] = 0

    def gained(self, order: RestingOrder, size: i64) -> None:
        sizes = self._newcomers[order.order_id & SLOT_MASK]
        count = sizes[0]
        if count == MEMORY:
            at: i64 = 1
            while at < count:
                sizes[at] = sizes[at + 1]
                at += 1
            sizes[count] = size
        else:
            sizes[count + 1] = size
            sizes[0] = count + 1

    def lost(self, order: RestingOrder, before: i64, lost: i64) -> None:
        sizes = self._newcomers[order.order_id & SLOT_MASK]
        count = sizes[0]
        at = count
        while at > 0 and sizes[at] != lost:
            at -= 1
        if at == 0 or lost > before - order.ahead:
            super().lost(order, before, lost)
            return
        while at < count:
            sizes[at] = sizes[at + 1]
            at += 1
        sizes[0] = count - 1


def _no_newcomers() -> vec[i64]:
    sizes = vec[i64](capacity=i64(MEMORY + 1))
    for _ in range(MEMORY + 1):
        sizes = append(sizes, i64(0))
    return sizes
