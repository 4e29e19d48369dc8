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
        self.arrival_ns: i64 = 0
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


@final
class Line:
    """A first-in-first-out line of messages; `next_ns` is the head's arrival, NEVER when it is empty."""

    def __init__(self) -> None:
        self._ring: Final[list[Message]] = [Message() for _ in range(16)]
        self._mask: i64 = 15
        self._head: i64 = 0
        self._count: i64 = 0
        self._last_ns: i64 = 0
        self.next_ns: i64 = NEVER

    def send(self, arrival_ns: i64, kind: i64, order_id: i64) -> Message:
        """Put a message on the line, behind the one before it, and return it to be filled in."""
        if self._count > self._mask:
            self._grow()
        if arrival_ns < self._last_ns:
            arrival_ns = self._last_ns
        self._last_ns = arrival_ns
        if self._count == 0:
            self.next_ns = arrival_ns
        at = (self._head + self._count) & self._mask
        message = self._ring[at]
        self._count += 1
        message.arrival_ns = arrival_ns
        message.kind = kind
        message.order_id = order_id
        return message

    def take(self) -> Message:
        """Take the head off the line; it stays valid until the line has gone round once."""
        message = self._ring[self._head]
        self._head = (self._head + 1) & self._mask
        self._count -= 1
        if self._count > 0:
            self.next_ns = self._ring[self._head].arrival_ns
        else:
            self.next_ns = NEVER
        return message

    def _grow(self) -> None:
        ring = self._ring
        waiting = [ring[(self._head + at) & self._mask] for at in range(self._count)]
        ring[:] = waiting
        ring.extend([Message() for _ in waiting])
        self._head = 0
        self._mask = len(ring) - 1
