"""What a trade row says of its order: when it was sent and answered, its state, its ids, what went wrong with it."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger.told import Told
from hatmanifesto.model.order import FORCED_FILL_REASONS
from hatmanifesto.model.order_state import (
    CONFIRM_CANCEL,
    DONE_STATES,
    EXPIRE,
    FILL_PART,
    FILL_WHOLE,
    OPEN,
    PARTIALLY_FILLED,
    REJECT,
    REQUEST_CANCEL,
    STATE_COUNT,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    TRIGGER_COUNT,
    OrderState,
)
from hatmanifesto.model.reasons import REASONS
from hatmanifesto.model.record import ADOPT, CANCEL, FILL, ORDER_EVENT, SUBMIT, TIMEOUT, VENUE_ID

Ints = NDArray[np.int64]
REMEMBERED: Final = 16_384
"""Ended orders kept at hand for late fills; older ones are found in the journals again."""
FORGOTTEN_AFTER_NS: Final = 60_000_000_000
"""An order that ended unfilled this long before a batch's end is not kept at all: most orders of a maker do."""
STATE_NAMES: Final = [state.name for state in OrderState]
_ENDING: Final = (CONFIRM_CANCEL, REJECT, EXPIRE)
_NEXT: Final = [
    [TRANSITIONS.get((state, trigger), state) for trigger in range(TRIGGER_COUNT)] for state in range(STATE_COUNT)
]
"""The transition table by state and trigger; a step that it does not have changes nothing."""
_DONE: Final = [state in DONE_STATES for state in range(STATE_COUNT)]


class OrderFacts:
    """One order, as far as the journal has told."""

    __slots__ = (
        "arrival_mid2", "decision_mid2", "error", "filled", "flags", "latency_ns", "retries", "session", "signal_seq",
        "size", "state", "submitted_ns", "venue_id",
    )  # fmt: skip

    def __init__(
        self, session: int, submitted_ns: int, size: int, flags: int, signal_seq: int, decision_mid2: int
    ) -> None:
        self.session = session
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

    def fill(self, size: int, ts_ns: int, mid2: int) -> None:
        """Take a fill."""
        if self.arrival_mid2 < 0:  # the venue's first word of it
            self.arrival_mid2 = mid2
            self.latency_ns = ts_ns - self.submitted_ns
        self.filled += size
        if _DONE[self.state]:
            self.error = "late_fill"
            return
        if self.filled > self.size:
            self.error = "overfill"
        self.state = _NEXT[self.state][FILL_WHOLE if self.filled >= self.size else FILL_PART]


class OrderOfFill(NamedTuple):
    """What a fill's trade row says of its order, after the fill."""

    decision_mid2: int
    arrival_mid2: int
    signal_seq: int
    session: int
    flags: int
    venue_id: int
    order_state: str
    latency_ns: int | None
    retries: int
    error: str


FindOrder = Callable[[int], OrderFacts | None]


class Orders:
    """The orders that live, and the last ones that ended. `find_order` looks up one that is neither."""

    def __init__(self, find_order: FindOrder = lambda order_id: None) -> None:
        self.find_order = find_order
        self.live: dict[int, OrderFacts] = {}
        self.gone: OrderedDict[int, OrderFacts] = OrderedDict()
        self._lost: set[int] = set()

    def find(self, order_id: int) -> OrderFacts | None:
        """Return an order that lives or ended lately."""
        return self.live.get(order_id) or self.gone.get(order_id)

    def follow(self, told: Told, session: int) -> list[OrderOfFill]:
        """Follow all orders through a batch; return what is to be said of each fill's."""
        kinds, records = told.of_orders(self._not_worth_following(told))
        submits, events, fills = (records.get(kind, iter(())) for kind in (SUBMIT, ORDER_EVENT, FILL))
        live, found = self.live, []
        for kind in kinds:
            if kind == ORDER_EVENT:
                order_id, trigger, ts, mid2 = next(events)
                facts = live.get(order_id)
                if facts is None or trigger == FILL_WHOLE:  # only fills fill
                    continue
                if facts.arrival_mid2 < 0:
                    facts.arrival_mid2 = mid2
                    facts.latency_ns = ts - facts.submitted_ns
                state = facts.state = _NEXT[facts.state][trigger]
                if _DONE[state]:
                    self._ended(order_id, facts)
            elif kind == SUBMIT:
                order_id, *about = next(submits)
                live[order_id] = OrderFacts(session, *about)
            elif kind == FILL:
                order_id, size, ts, mid2 = next(fills)
                facts = self._of_fill(order_id) if order_id > 0 else None
                if facts is None:
                    found.append(_no_order(order_id, session))
                    continue
                facts.fill(size, ts, mid2)
                if _DONE[facts.state] and order_id in live:
                    self._ended(order_id, facts)
                latency = facts.latency_ns if facts.latency_ns >= 0 else None
                found.append(
                    OrderOfFill(
                        facts.decision_mid2, facts.arrival_mid2, facts.signal_seq, facts.session, facts.flags,
                        facts.venue_id, STATE_NAMES[facts.state], latency, facts.retries, facts.error,
                    )
                )  # fmt: skip
            elif kind == ADOPT:
                self._adopt(*next(records[kind]))
            else:
                self._other(kind, *next(records[kind]))
        return found

    def _adopt(self, order_id: int, session: int, ts: int, size: int, flags: int, filled: int, venue_id: int) -> None:
        """An order of an earlier session lives on in this one, with what is known of it."""
        facts = self.gone.pop(order_id, None) or self.find_order(order_id)
        if facts is None:
            facts = OrderFacts(session, ts, size, flags, -1, 0)
            facts.arrival_mid2 = 0  # it arrived in a session that is not known here
        facts.filled, facts.venue_id = filled, venue_id
        facts.state = PARTIALLY_FILLED if filled else OPEN
        self.live[order_id] = facts

    def _other(self, kind: int, order_id: int, value: int = 0) -> None:
        facts = self.live.get(order_id)
        if facts is None:
            return
        if kind == CANCEL:
            facts.state = _NEXT[facts.state][REQUEST_CANCEL]
            facts.retries += value
        elif kind == VENUE_ID:
            facts.venue_id = value
        elif kind == TIMEOUT:  # an answer did not come in time
            facts.state = _NEXT[facts.state][TIME_OUT]
            facts.error = "state_timeout"

    def _of_fill(self, order_id: int) -> OrderFacts | None:
        facts = self.find(order_id)
        if facts is None and order_id not in self._lost:
            facts = self.find_order(order_id)
            if facts is None:
                self._lost.add(order_id)
            else:
                self.remember(order_id, facts)
        return facts

    def _not_worth_following(self, told: Told) -> Ints:
        """Return orders that were sent and ended within the batch without a fill, some time before its end."""
        events = told.columns.get(ORDER_EVENT)
        if events is None or SUBMIT not in told.columns:
            return np.zeros(0, dtype=np.int64)
        past = np.isin(events["aux"] & 0xFF, _ENDING) & (events["ts_ns"] < told.last_ts_ns - FORGOTTEN_AFTER_NS)
        ended = np.intersect1d(events["order_id"][past], told.columns[SUBMIT]["order_id"])
        fills = told.columns.get(FILL)
        return ended if fills is None else np.setdiff1d(ended, fills["order_id"])

    def _ended(self, order_id: int, facts: OrderFacts) -> None:
        del self.live[order_id]
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

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.live = {int(order_id): OrderFacts.from_list(values) for order_id, values in state.items()}


def _no_order(order_id: int, session: int) -> OrderOfFill:
    if order_id < 0:
        error = REASONS[FORCED_FILL_REASONS[order_id]].key
    else:
        error = "foreign_fill" if order_id == 0 else "unknown_order"
    return OrderOfFill(0, 0, -1, session, 0, 0, "", None, 0, error)
