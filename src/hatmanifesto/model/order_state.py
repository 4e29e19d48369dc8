"""The order lifecycle: one table of (state, trigger) -> state.

Names, terminal sets, the code's transitions, the documentation page and the tests are all made from
TRANSITIONS. States and triggers are plain integers at run time; the enums beside them are for people.
"""

from enum import IntEnum
from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

IDLE: Final = 0
SIGNAL: Final = 1
APPROVED: Final = 2
VALIDATED: Final = 3
SUBMITTED: Final = 4
OPEN: Final = 5
PARTIALLY_FILLED: Final = 6
CANCEL_PENDING: Final = 7
UNKNOWN: Final = 8
FILLED: Final = 9
CANCELLED: Final = 10
REJECTED: Final = 11
DENIED: Final = 12
EXPIRED: Final = 13
ATTRIBUTED: Final = 14
STATE_COUNT: Final = 15

RAISE_SIGNAL: Final = 0
APPROVE: Final = 1
DENY: Final = 2
VALIDATE: Final = 3
SUBMIT: Final = 4
ACKNOWLEDGE: Final = 5
FILL_PART: Final = 6
FILL_WHOLE: Final = 7
REQUEST_CANCEL: Final = 8
CONFIRM_CANCEL: Final = 9
REFUSE_CANCEL: Final = 10
REJECT: Final = 11
EXPIRE: Final = 12
TIME_OUT: Final = 13
FIND_OPEN: Final = 14
FIND_ABSENT: Final = 15
ATTRIBUTE: Final = 16
FILL_LATE: Final = 17
ADOPT: Final = 18
TRIGGER_COUNT: Final = 19
TRIGGER_SHIFT: Final = 5
NO_STATE: Final = -1


class OrderState(IntEnum):
    """States of an order, for people; the numbers are the run-time constants above."""

    idle = IDLE
    signal = SIGNAL
    approved = APPROVED
    validated = VALIDATED
    submitted = SUBMITTED
    open = OPEN
    partially_filled = PARTIALLY_FILLED
    cancel_pending = CANCEL_PENDING
    unknown = UNKNOWN
    filled = FILLED
    cancelled = CANCELLED
    rejected = REJECTED
    denied = DENIED
    expired = EXPIRED
    attributed = ATTRIBUTED


class Trigger(IntEnum):
    """What moves an order from one state to the next, for people."""

    raise_signal = RAISE_SIGNAL
    approve = APPROVE
    deny = DENY
    validate = VALIDATE
    submit = SUBMIT
    acknowledge = ACKNOWLEDGE
    fill_part = FILL_PART
    fill_whole = FILL_WHOLE
    request_cancel = REQUEST_CANCEL
    confirm_cancel = CONFIRM_CANCEL
    refuse_cancel = REFUSE_CANCEL
    reject = REJECT
    expire = EXPIRE
    time_out = TIME_OUT
    find_open = FIND_OPEN
    find_absent = FIND_ABSENT
    attribute = ATTRIBUTE
    fill_late = FILL_LATE
    adopt = ADOPT


STATE_MEANINGS: Final = {
    OrderState.idle: "nothing asked yet",
    OrderState.signal: "a strategy asked for it",
    OrderState.approved: "the risk manager allows it",
    OrderState.validated: "the API validator found every venue rule kept",
    OrderState.submitted: "sent; no answer yet",
    OrderState.open: "resting at the venue",
    OrderState.partially_filled: "resting at the venue with some of its size filled",
    OrderState.cancel_pending: "a cancel was sent; it may still fill",
    OrderState.unknown: "an answer was lost: asked about until known, and no new risk on its instrument meanwhile",
    OrderState.filled: "its whole size is filled",
    OrderState.cancelled: "the venue confirmed that it is gone, wholly or partly unfilled",
    OrderState.rejected: "refused by the venue, or found never to have reached it",
    OrderState.denied: "refused locally: nothing was sent",
    OrderState.expired: "ended by its own terms (immediate-or-cancel remainder)",
    OrderState.attributed: "ended, and its fees, funding and slippage are booked",
}

_LIVE: Final = (SUBMITTED, OPEN, PARTIALLY_FILLED, CANCEL_PENDING, UNKNOWN)

TRANSITIONS: Final[dict[tuple[int, int], int]] = {
    (IDLE, RAISE_SIGNAL): SIGNAL,
    (SIGNAL, APPROVE): APPROVED,
    (SIGNAL, DENY): DENIED,
    (APPROVED, VALIDATE): VALIDATED,
    (APPROVED, DENY): DENIED,
    (VALIDATED, SUBMIT): SUBMITTED,
    (VALIDATED, DENY): DENIED,
    # left open at the venue by an earlier session
    (IDLE, ADOPT): OPEN,
    # the venue's first answer; a fill may come before the acknowledgement
    (SUBMITTED, ACKNOWLEDGE): OPEN,
    (SUBMITTED, REJECT): REJECTED,
    (SUBMITTED, EXPIRE): EXPIRED,
    (SUBMITTED, FILL_PART): PARTIALLY_FILLED,
    (SUBMITTED, FILL_WHOLE): FILLED,
    (SUBMITTED, REQUEST_CANCEL): CANCEL_PENDING,
    (SUBMITTED, CONFIRM_CANCEL): CANCELLED,
    (SUBMITTED, TIME_OUT): UNKNOWN,
    # at rest
    (OPEN, FILL_PART): PARTIALLY_FILLED,
    (OPEN, FILL_WHOLE): FILLED,
    (OPEN, REQUEST_CANCEL): CANCEL_PENDING,
    (OPEN, CONFIRM_CANCEL): CANCELLED,
    (OPEN, EXPIRE): EXPIRED,
    (PARTIALLY_FILLED, ACKNOWLEDGE): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, FILL_PART): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, FILL_WHOLE): FILLED,
    (PARTIALLY_FILLED, REQUEST_CANCEL): CANCEL_PENDING,
    (PARTIALLY_FILLED, CONFIRM_CANCEL): CANCELLED,
    (PARTIALLY_FILLED, EXPIRE): EXPIRED,
    # a cancel is under way: fills still count
    (CANCEL_PENDING, ACKNOWLEDGE): CANCEL_PENDING,
    (CANCEL_PENDING, FILL_PART): CANCEL_PENDING,
    (CANCEL_PENDING, FILL_WHOLE): FILLED,
    (CANCEL_PENDING, CONFIRM_CANCEL): CANCELLED,
    (CANCEL_PENDING, REFUSE_CANCEL): UNKNOWN,
    (CANCEL_PENDING, REJECT): REJECTED,
    (CANCEL_PENDING, EXPIRE): EXPIRED,
    (CANCEL_PENDING, TIME_OUT): UNKNOWN,
    # not known: only a definite answer leaves this state
    (UNKNOWN, ACKNOWLEDGE): CANCEL_PENDING,
    (UNKNOWN, FIND_OPEN): CANCEL_PENDING,
    (UNKNOWN, FIND_ABSENT): REJECTED,
    (UNKNOWN, REJECT): REJECTED,
    (UNKNOWN, EXPIRE): EXPIRED,
    (UNKNOWN, FILL_PART): UNKNOWN,
    (UNKNOWN, FILL_WHOLE): FILLED,
    (UNKNOWN, CONFIRM_CANCEL): CANCELLED,
    (UNKNOWN, REFUSE_CANCEL): UNKNOWN,
    (UNKNOWN, TIME_OUT): UNKNOWN,
    # ended at the venue; booked, it is attributed, and a late fill is still booked
    (FILLED, ATTRIBUTE): ATTRIBUTED,
    (CANCELLED, ATTRIBUTE): ATTRIBUTED,
    (REJECTED, ATTRIBUTE): ATTRIBUTED,
    (EXPIRED, ATTRIBUTE): ATTRIBUTED,
    (DENIED, ATTRIBUTE): ATTRIBUTED,
    (CANCELLED, FILL_LATE): CANCELLED,
    (REJECTED, FILL_LATE): REJECTED,
    (EXPIRED, FILL_LATE): EXPIRED,
    (FILLED, FILL_LATE): FILLED,
    (ATTRIBUTED, FILL_LATE): ATTRIBUTED,
}

LIVE_STATES: Final = frozenset(_LIVE)
"""The venue has it, or may have it: it counts toward exposure."""
DONE_STATES: Final = frozenset((FILLED, CANCELLED, REJECTED, DENIED, EXPIRED))
"""Ended, awaiting attribution."""
FINAL_STATE: Final = ATTRIBUTED

LIVE_BITS: Final = 1 << SUBMITTED | 1 << OPEN | 1 << PARTIALLY_FILLED | 1 << CANCEL_PENDING | 1 << UNKNOWN
DONE_BITS: Final = 1 << FILLED | 1 << CANCELLED | 1 << REJECTED | 1 << DENIED | 1 << EXPIRED

# What a venue may say of an order; every other trigger is the engine's own, and fills come as fills.
VENUE_BITS: Final = (
    1 << ACKNOWLEDGE | 1 << CONFIRM_CANCEL | 1 << REFUSE_CANCEL | 1 << REJECT | 1 << EXPIRE
    | 1 << FIND_OPEN | 1 << FIND_ABSENT | 1 << FILL_WHOLE
)  # fmt: skip

SUBMIT_PATH: Final = (RAISE_SIGNAL, APPROVE, VALIDATE, SUBMIT)
"""A new order's fixed path to the wire; a SUBMIT record stands for all of it."""
DENY_PATH: Final = (RAISE_SIGNAL, DENY, ATTRIBUTE)
"""The path of an order that is refused locally by risk; after approval DENY leads to the same state."""


def path_end(state: int, triggers: tuple[int, ...]) -> int:
    """Return the state at the end of a path through the table; raises KeyError when a step is not in it."""
    for trigger in triggers:
        state = TRANSITIONS[(state, trigger)]
    return state


def dense_table() -> vec[i64]:
    """Return the table laid out for the engine: index (state << TRIGGER_SHIFT) | trigger, NO_STATE where none."""
    table = vec[i64]()
    for state in range(STATE_COUNT):
        for trigger in range(1 << TRIGGER_SHIFT):
            table = append(table, i64(TRANSITIONS.get((state, trigger), NO_STATE)))
    return table
