"""Every own order's state: the only place that changes one, always through the transition table.

Also keeps the table of orders by slot, and the deadlines by which the venue must have answered.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.order import SEQ_SHIFT, SLOT_BITS, SLOT_COUNT, SLOT_MASK, Order, OrderList, desk_of
from hatmanifesto.model.order_state import (
    DENY_PATH,
    DONE_BITS,
    IDLE,
    SUBMIT_PATH,
    TRIGGER_SHIFT,
    dense_table,
    path_end,
)
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.words import store

_INITIAL_SLOTS: Final = 32
"""Few, so that the orders in turn stay in the processor's first cache; doubled while less than half are free."""


@final
class StateMachine:
    """Orders by slot, their transitions, and the earliest of their deadlines."""

    def __init__(self) -> None:
        self._next_state: Final[vec[i64]] = dense_table()
        self._submitted: i64 = path_end(IDLE, SUBMIT_PATH)
        self._denied: i64 = path_end(IDLE, DENY_PATH)
        self.orders: Final[list[Order]] = []
        # free slots, a ring of SLOT_COUNT: a slot rests as long as possible before it is used again
        ring = vec[i64](capacity=SLOT_COUNT)
        for _ in range(SLOT_COUNT):
            ring = append(ring, i64(0))
        self._free: Final[vec[i64]] = ring
        self._free_head: i64 = 0
        self._free_count: i64 = 0
        self.order_seq: i64 = 0
        # no deadline lies before this moment; those met meanwhile may leave it too early
        self.earliest_ns: i64 = NEVER
        self._live: Final[list[OrderList]] = []

    def watch(self, orders: OrderList) -> None:
        """Look for overdue answers among these live orders."""
        self._live.append(orders)

    def take_order(self, desk: i64) -> Order | None:
        """Return an idle order object with a new client order id, or None when all slots are in use."""
        if self._free_count * 2 < len(self.orders) or self._free_count == 0:
            self._grow()
            if self._free_count == 0:
                return None
        slot = self._free[self._free_head]
        self._free_head = (self._free_head + 1) & SLOT_MASK
        self._free_count -= 1
        order = self.orders[slot]
        self.order_seq += 1
        order.order_id = self.order_seq << SEQ_SHIFT | desk << SLOT_BITS | slot
        order.desk = desk
        order.state = IDLE
        order.filled = 0
        order.filled_before = 0
        order.deadline_ns = 0
        order.cancel_reason = 0
        order.cancels_sent = 0
        return order

    def adopt_order(self, order_id: i64) -> Order | None:
        """Return an idle order object under an id given by an earlier session; None when its slot is in use."""
        slot = order_id & SLOT_MASK
        while slot >= len(self.orders):
            if not self._grow():
                return None
        for step in range(self._free_count):
            at = (self._free_head + step) & SLOT_MASK
            if self._free[at] == slot:
                self._free[at] = self._free[self._free_head]
                self._free_head = (self._free_head + 1) & SLOT_MASK
                self._free_count -= 1
                order = self.orders[slot]
                order.order_id = order_id
                order.desk = desk_of(order_id)
                order.state = IDLE
                order.deadline_ns = 0
                order.cancel_reason = 0
                order.cancels_sent = 0
                if order_id >> SEQ_SHIFT > self.order_seq:
                    self.order_seq = order_id >> SEQ_SHIFT  # no id is given twice
                return order
        return None

    def _grow(self) -> bool:
        have = len(self.orders)
        if have >= SLOT_COUNT:
            return False
        more = have if have > 0 else _INITIAL_SLOTS
        for slot in range(have, min(have + more, SLOT_COUNT)):
            self.orders.append(Order(slot))
            self.free_order(self.orders[slot])
        return True

    def free_order(self, order: Order) -> None:
        """Give an ended order's slot back."""
        store(self._free, (self._free_head + self._free_count) & SLOT_MASK, order.slot)
        self._free_count += 1

    def find(self, order_id: i64) -> Order | None:
        """Return the order with this id while its slot has not been given to another one."""
        slot = order_id & SLOT_MASK
        if slot >= len(self.orders):
            return None
        order = self.orders[slot]
        return order if order.order_id == order_id else None

    def find_live(self, order_id: i64) -> Order | None:
        """Return the order with this id if the venue has it or may have it."""
        found = self.find(order_id)
        return found if found is not None and found.live() else None

    def move(self, order: Order, trigger: i64) -> bool:
        """Apply a trigger; False, and nothing changed, when the table has no such step."""
        step = (order.state << TRIGGER_SHIFT) | trigger
        after = self._next_state[step]
        if after < 0:
            return False
        order.state = after
        return True

    def submit(self, order: Order) -> None:
        """Take an idle order along the whole path to submitted; the path was checked against the table."""
        order.state = self._submitted

    def deny(self, order: Order) -> None:
        """Take an idle order along the path of a local refusal, to its end."""
        order.state = self._denied

    def is_done(self, order: Order) -> bool:
        """Tell whether the order has ended and awaits attribution."""
        return (DONE_BITS >> order.state) & 1 == 1

    def expect_answer(self, order: Order, deadline_ns: i64) -> None:
        """The venue must answer by deadline_ns; an order's deadline of 0 means that no answer is awaited."""
        order.deadline_ns = deadline_ns
        if deadline_ns < self.earliest_ns:
            self.earliest_ns = deadline_ns

    def overdue(self, now: i64) -> Order | None:
        """Return the order whose answer is overdue longest, or None; then `earliest_ns` is exact again."""
        earliest: i64 = NEVER
        latest: Order | None = None
        for orders in self._live:
            for at in range(orders.first, orders.end):
                order = orders.items[at]
                if 0 < order.deadline_ns < earliest:
                    earliest = order.deadline_ns
                    latest = order
        self.earliest_ns = earliest
        return latest if earliest <= now else None
