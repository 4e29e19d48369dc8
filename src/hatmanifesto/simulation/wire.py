"""What is under way between engine and venue: lines that deliver in the order of sending, after a latency."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.ports import NEVER

PLACE: Final = 1
CANCEL: Final = 2
QUERY: Final = 3
EVENT: Final = 4
FILLED: Final = 5
FUNDED: Final = 6
"""A funding payment: `fee` is the balance change, `price` the oracle's, `size` the position, `rate` the rate."""


@final
class Message:
    """One request or answer; which fields count depends on `kind`. Reused once it was delivered."""

    def __init__(self) -> None:
        self.arrival_ns: i64 = NEVER  # while it waits for nothing
        self.kind: i64 = 0
        self.order_id: i64 = 0
        self.instrument: i64 = 0
        self.side: i64 = 0
        self.price: i64 = 0
        self.size: i64 = 0
        self.time_in_force: i64 = 0
        self.reduce_only: bool = False
        self.trigger: i64 = 0
        self.reason: i64 = 0
        self.exch_ts: i64 = 0
        self.fee: i64 = 0
        self.taker: bool = False
        self.trade_id: i64 = 0
        self.rate: i64 = 0
        self.next: Message = self


@final
class Line:
    """A first-in-first-out line of messages; `next_ns` is the head's arrival, NEVER when it is empty.

    A ring of messages that are used again: those on the line from the head on, then those that are free.
    """

    def __init__(self) -> None:
        self._head: Message = Message()
        self._free: Message = self._head
        self._last_ns: i64 = 0
        self.next_ns: i64 = NEVER
        for _ in range(15):
            self._lengthen(self._free)

    def send(self, arrival_ns: i64, kind: i64, order_id: i64) -> Message:
        """Put a message on the line, behind the one before it, and return it to be filled in."""
        message = self._free
        if message.next is self._head:
            self._lengthen(message)
        self._free = message.next
        if arrival_ns < self._last_ns:
            arrival_ns = self._last_ns
        self._last_ns = arrival_ns
        if self.next_ns == NEVER:
            self.next_ns = arrival_ns
        message.arrival_ns = arrival_ns
        message.kind = kind
        message.order_id = order_id
        return message

    def take(self) -> Message:
        """Take the head off the line; it stays valid until the line has gone round once."""
        message = self._head
        self._head = message.next
        self.next_ns = self._head.arrival_ns
        message.arrival_ns = NEVER
        return message

    def _lengthen(self, message: Message) -> None:
        """Put one more into the ring behind a free one."""
        more = Message()
        more.next = message.next
        message.next = more
