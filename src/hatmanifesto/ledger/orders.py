"""What a trade row says of its order: when it was sent and answered, its state, its ids, what went wrong with it."""

from collections import OrderedDict
from typing import Any, Final

from hatmanifesto.model.order_state import (
    DONE_STATES,
    FILL_PART,
    FILL_WHOLE,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    OrderState,
)

REMEMBERED: Final = 16_384
"""Ended orders kept at hand for late fills; older ones are found in the journals again."""
STATE_NAMES: Final = [state.name for state in OrderState]


class OrderFacts:
    """One order, as far as the journal has told."""

    __slots__ = (
        "arrival_mid2", "decision_mid2", "error", "filled", "flags", "instrument", "latency_ns", "retries", "session",
        "signal_seq", "size", "state", "strategy", "submitted_ns", "venue_id",
    )  # fmt: skip

    def __init__(
        self, session: int, instrument: str, strategy: str, size: int, flags: int, submitted_ns: int, signal_seq: int,
        decision_mid2: int,
    ) -> None:  # fmt: skip
        self.session = session
        self.instrument = instrument
        self.strategy = strategy
        self.size = size
        self.flags = flags
        self.submitted_ns = submitted_ns
        self.signal_seq = signal_seq
        self.decision_mid2 = decision_mid2
        self.arrival_mid2 = -1
        self.latency_ns = -1
        self.venue_id = 0
        self.filled = 0
        self.state = SUBMITTED
        self.retries = 0
        self.error = ""

    def as_list(self) -> list[Any]:
        """Return it for the state."""
        return [getattr(self, name) for name in OrderFacts.__slots__]

    @classmethod
    def from_list(cls, values: list[Any]) -> "OrderFacts":
        """Read it back."""
        facts = cls.__new__(cls)
        for name, value in zip(cls.__slots__, values, strict=True):
            setattr(facts, name, value)
        return facts

    def answered(self, ts_ns: int, mid2: int) -> None:
        """The venue spoke of it: the first time is its arrival."""
        if self.arrival_mid2 < 0:
            self.arrival_mid2 = mid2
            self.latency_ns = ts_ns - self.submitted_ns

    def move(self, trigger: int) -> None:
        """Take a step of the transition table; one that it does not have changes nothing."""
        self.state = TRANSITIONS.get((self.state, trigger), self.state)

    def fill(self, size: int) -> None:
        """Take a fill."""
        if self.state in DONE_STATES:
            self.error = "late_fill"
        elif self.filled + size > self.size:
            self.error = "overfill"
        self.filled += size
        if self.state not in DONE_STATES:
            self.move(FILL_WHOLE if self.filled >= self.size else FILL_PART)


class Orders:
    """The orders that live, and the last ones that ended."""

    def __init__(self) -> None:
        self.live: dict[int, OrderFacts] = {}
        self.gone: OrderedDict[int, OrderFacts] = OrderedDict()

    def find(self, order_id: int) -> OrderFacts | None:
        """Return an order that lives or ended lately."""
        return self.live.get(order_id) or self.gone.get(order_id)

    def take_back(self, order_id: int) -> OrderFacts | None:
        """Return an order of an ended session that lives on, and forget it."""
        return self.gone.pop(order_id, None)

    def event(self, order_id: int, trigger: int, ts_ns: int, mid2: int) -> None:
        """Take the venue's word."""
        facts = self.live.get(order_id)
        if facts is None or trigger == FILL_WHOLE:
            return
        facts.answered(ts_ns, mid2)
        facts.move(trigger)
        self.ended(order_id, facts)

    def cancel(self, order_id: int, again: bool) -> None:
        """A cancel was sent."""
        facts = self.live.get(order_id)
        if facts is not None:
            facts.move(REQUEST_CANCEL)
            facts.retries += again

    def timeout(self, order_id: int) -> None:
        """An answer did not come in time."""
        facts = self.live.get(order_id)
        if facts is not None:
            facts.move(TIME_OUT)
            facts.error = "state_timeout"

    def ended(self, order_id: int, facts: OrderFacts) -> None:
        """Move an order that is done out of the way."""
        if facts.state in DONE_STATES and self.live.pop(order_id, None) is not None:
            self.remember(order_id, facts)

    def remember(self, order_id: int, facts: OrderFacts) -> None:
        """Keep an ended order at hand."""
        self.gone[order_id] = facts
        if len(self.gone) > REMEMBERED:
            self.gone.popitem(last=False)

    def end_session(self) -> None:
        """A session has ended: none of its orders is this process's any more."""
        for order_id, facts in self.live.items():
            self.remember(order_id, facts)
        self.live.clear()

    def state(self) -> dict[str, Any]:
        """Return what survives the process."""
        return {str(order_id): facts.as_list() for order_id, facts in self.live.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Orders":
        """Go on where `state` was taken."""
        orders = cls()
        orders.live = {int(order_id): OrderFacts.from_list(values) for order_id, values in state.items()}
        return orders
