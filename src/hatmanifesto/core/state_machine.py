"""Every own order's state: the only place that changes one, always through the transition table.

Also keeps the table of orders by slot, and the deadlines by which the venue must have answered.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.order import SLOT_BITS, SLOT_COUNT, SLOT_MASK, Order
from hatmanifesto.model.order_state import (
    DENY_PATH,
    DONE_BITS,
    IDLE,
    LIVE_BITS,
    SUBMIT_PATH,
    TRIGGER_SHIFT,
    dense_table,
    path_end,
)

_INITIAL_SLOTS: Final = 64


@final
class StateMachine:
    """Orders by slot, their transitions, and a line of deadlines, earliest first."""

    def __init__(self) -> None:
        self._next_state: vec[i64] = dense_table()
        self._submitted: i64 = path_end(IDLE, SUBMIT_PATH)
        self._denied: i64 = path_end(IDLE, DENY_PATH)
        self.orders: Final[list[Order]] = []
        # free slots, a ring of SLOT_COUNT: a slot rests as long as possible before it is used again
        ring = vec[i64](capacity=SLOT_COUNT)
        for _ in range(SLOT_COUNT):
            ring = append(ring, i64(0))
        self._free: vec[i64] = ring
        self._free_head: i64 = 0
        self._free_count: i64 = 0
        self.order_seq: i64 = 0
        deadlines = vec[i64](capacity=2 * SLOT_COUNT)
        for _ in range(2 * SLOT_COUNT):
            deadlines = append(deadlines, i64(0))
        self._deadlines: vec[i64] = deadlines
        times = vec[i64](capacity=2 * SLOT_COUNT)
        for _ in range(2 * SLOT_COUNT):
            times = append(times, i64(0))
        self._times: vec[i64] = times
        self._deadline_head: i64 = 0
        self._deadline_count: i64 = 0

    def take_order(self) -> Order | None:
        """Return an idle order object with a new client order id, or None when all slots are in use."""
        if self._free_count == 0 and not self._grow():
            return None
        slot = self._free[self._free_head]
        self._free_head = (self._free_head + 1) & SLOT_MASK
        self._free_count -= 1
        order = self.orders[slot]
        self.order_seq += 1
        order.order_id = self.order_seq << SLOT_BITS | slot
        order.state = IDLE
        order.filled = 0
        order.deadline_ns = 0
        order.cancel_reason = 0
        order.cancels_sent = 0
        return order

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
        self._free[(self._free_head + self._free_count) & SLOT_MASK] = order.slot
        self._free_count += 1

    def find(self, order_id: i64) -> Order | None:
        """Return the order with this id while its slot has not been given to another one."""
        slot = order_id & SLOT_MASK
        if slot >= len(self.orders):
            return None
        order = self.orders[slot]
        return order if order.order_id == order_id else None

    def move(self, order: Order, trigger: i64) -> bool:
        """Apply a trigger; False, and nothing changed, when the table has no such step."""
        after = self._next_state[(order.state << TRIGGER_SHIFT) | trigger]
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
        """The venue must answer by deadline_ns. The line is kept in rising order; mostly that is the end of it."""
        order.deadline_ns = deadline_ns
        if self._deadline_count >= 2 * SLOT_COUNT:
            self.next_deadline()
        if self._deadline_count >= 2 * SLOT_COUNT:
            self._compact()
        count = self._deadline_count
        at = (self._deadline_head + count) & (2 * SLOT_COUNT - 1)
        while count > 0:
            before = (at - 1) & (2 * SLOT_COUNT - 1)
            if self._times[before] <= deadline_ns:
                break
            self._times[at] = self._times[before]
            self._deadlines[at] = self._deadlines[before]
            at = before
            count -= 1
        self._deadlines[at] = order.order_id
        self._times[at] = deadline_ns
        self._deadline_count += 1

    def _compact(self) -> None:
        """Keep one line entry for each order that still awaits an answer, the earliest deadline first."""
        waiting = [order for order in self.orders if order.deadline_ns > 0]
        waiting.sort(key=lambda order: (order.deadline_ns, order.order_id))
        self._deadline_head = 0
        self._deadline_count = 0
        for order in waiting:
            self._deadlines[self._deadline_count] = order.order_id
            self._times[self._deadline_count] = order.deadline_ns
            self._deadline_count += 1

    def next_deadline(self) -> Order | None:
        """Return the order whose answer is awaited longest, or None; settled ones are dropped from the line."""
        while self._deadline_count > 0:
            order_id = self._deadlines[self._deadline_head]
            order = self.orders[order_id & SLOT_MASK]
            if order.order_id == order_id and order.deadline_ns > 0:
                return order
            self.drop_deadline()
        return None

    def drop_deadline(self) -> None:
        """Take the head off the line, after it was handled."""
        self._deadline_head = (self._deadline_head + 1) & (2 * SLOT_COUNT - 1)
        self._deadline_count -= 1
