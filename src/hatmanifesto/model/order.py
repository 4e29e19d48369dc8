"""An order as the engine keeps it, and the identifiers it is found by."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.order_state import IDLE, LIVE_BITS
from hatmanifesto.model.reasons import BACKSTOPPED, DELEVERAGED, LIQUIDATED

SLOT_BITS: Final = 14
SLOT_COUNT: Final = 1 << SLOT_BITS
SLOT_MASK: Final = SLOT_COUNT - 1
"""The low bits of an order id are its slot in the order table, so that no dictionary is on the order path."""
DESK_BITS: Final = 8
DESK_MASK: Final = (1 << DESK_BITS) - 1
SEQ_SHIFT: Final = SLOT_BITS + DESK_BITS
"""Above the slot lies the desk, so that a fill finds it when its order is long forgotten; above that a sequence."""

POST_ONLY: Final = 0
GOOD_TILL_CANCEL: Final = 1
IMMEDIATE_OR_CANCEL: Final = 2
TIME_IN_FORCE_NAMES: Final = {0: "post_only", 1: "good_till_cancel", 2: "immediate_or_cancel"}

QUOTE: Final = 0
EXIT: Final = 1
STOP_LOSS: Final = 2
TAKE_PROFIT: Final = 3
PURPOSE_NAMES: Final = {0: "quote", 1: "exit", 2: "stop_loss", 3: "take_profit"}
"""All but QUOTE leave a position: they are reduce-only."""

NO_URGENCY: Final = 0
LOW: Final = 1
NORMAL: Final = 2
HIGH: Final = 3
URGENCY_NAMES: Final = {0: "none", 1: "low", 2: "normal", 3: "high"}
"""How much it matters that a wanted order gets done: with any but `none` the router may end up taking."""

LIQUIDATION_FILL: Final = -1
BACKSTOP_FILL: Final = -2
DELEVERAGE_FILL: Final = -3
"""Order ids of fills that the venue made without an order of ours: sold into the book, taken over by its
backstop, closed against a bankrupt other side."""
FORCED_FILL_REASONS: Final = {
    LIQUIDATION_FILL: LIQUIDATED,
    BACKSTOP_FILL: BACKSTOPPED,
    DELEVERAGE_FILL: DELEVERAGED,
}

SIDE_BIT: Final = 1
TIF_SHIFT: Final = 1
REDUCE_ONLY_BIT: Final = 1 << 4
URGENCY_SHIFT: Final = 5
PURPOSE_SHIFT: Final = 8


def pack_side_flags(side: i64, time_in_force: i64, reduce_only: bool, purpose: i64) -> i64:
    """Pack side and flags as the journal keeps them: bit 0 set for a buy, then the fields above."""
    flags = (time_in_force << TIF_SHIFT) | (purpose << PURPOSE_SHIFT)
    if side > 0:
        flags |= SIDE_BIT
    if reduce_only:
        flags |= REDUCE_ONLY_BIT
    return flags


def desk_of(order_id: i64) -> i64:
    """Return the index of the desk that sent the order with this id."""
    return (order_id >> SLOT_BITS) & DESK_MASK


def side_of(side_flags: i64) -> i64:
    """Return +1 for a buy, -1 for a sell."""
    return 1 if side_flags & SIDE_BIT else -1


def time_in_force_of(side_flags: i64) -> i64:
    """Return the time in force of packed flags."""
    return (side_flags >> TIF_SHIFT) & 3


def urgency_of(side_flags: i64) -> i64:
    """Return the urgency of packed flags, bits 5 and 6."""
    return (side_flags >> URGENCY_SHIFT) & 3


def purpose_of(side_flags: i64) -> i64:
    """Return the purpose of packed flags, from bit 8 on."""
    return side_flags >> PURPOSE_SHIFT


@final
class Order:
    """One own order. Prices, sizes and times in the units of model.instrument; side +1 buys, -1 sells."""

    def __init__(self, slot: i64) -> None:
        self.slot: Final[i64] = slot
        self.order_id: i64 = 0
        self.instrument: i64 = 0
        self.strategy: i64 = 0
        self.desk: i64 = 0
        self.side: i64 = 1
        self.price: i64 = 0
        self.size: i64 = 0
        self.filled: i64 = 0
        self.filled_before: i64 = 0  # by an earlier session, which this one took it over from
        self.state: i64 = IDLE
        self.time_in_force: i64 = POST_ONLY
        self.reduce_only: bool = False
        self.purpose: i64 = QUOTE
        self.submitted_ns: i64 = 0
        self.deadline_ns: i64 = 0
        self.cancel_reason: i64 = 0
        self.cancels_sent: i64 = 0

    def remaining(self) -> i64:
        """Return the unfilled size."""
        return self.size - self.filled

    def live(self) -> bool:
        """Tell whether the venue has it or may have it."""
        return (LIVE_BITS >> self.state) & 1 == 1


def _put(items: list[Order], at: i64, order: Order) -> None:
    items[at] = order  # through a parameter, as in model.words


@final
class OrderList:
    """Orders oldest first, `items[first:end]`. Never shrinks its storage, so that quoting allocates nothing.

    The oldest mostly end first: taking the first one out moves no other.
    """

    def __init__(self) -> None:
        self.items: Final[list[Order]] = []
        self.first: i64 = 0
        self.end: i64 = 0

    @property
    def count(self) -> i64:
        """How many there are."""
        return self.end - self.first

    def append(self, order: Order) -> None:
        """Add an order at the end."""
        if self.end == len(self.items):
            self._make_room(order)
        _put(self.items, self.end, order)
        self.end += 1

    def _make_room(self, order: Order) -> None:
        """Use what stands free in front, or when that is less than half, lengthen the storage by one."""
        items = self.items
        first = self.first
        if first * 2 <= len(items):
            items.append(order)
            return
        for at in range(first, self.end):
            items[at - first] = items[at]
        self.first = 0
        self.end -= first

    def remove(self, order: Order) -> None:
        """Take an order out; the others keep their sequence. Raises IndexError when it is not there."""
        at = self.first
        while at < self.end and self.items[at].order_id != order.order_id:
            at += 1
        if at == self.end:
            raise IndexError(f"order {order.order_id} is not among these")
        if at == self.first:
            self.first = at + 1
            if self.first == self.end:
                self.first = 0
                self.end = 0
            return
        last = self.end - 1
        while at < last:
            self.items[at] = self.items[at + 1]
            at += 1
        self.end = last

    def clear(self) -> None:
        """Forget all orders."""
        self.first = 0
        self.end = 0

    def snapshot(self) -> list[Order]:
        """Return a copy, for callers that change the list while they go through it."""
        return self.items[int(self.first) : int(self.end)]
