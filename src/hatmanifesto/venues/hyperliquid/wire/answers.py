"""Answers of /exchange: one status an order or cancel, or one refusal of the whole action.

Errors that the venue finds before it executes anything come once for a whole batch, as `err` or as a single status;
`statuses_of` spreads them.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from hatmanifesto.venues.hyperliquid.wire.info import Id
from hatmanifesto.venues.hyperliquid.wire.reading import Reader


class Resting(msgspec.Struct):
    """The order is on the book (or armed, when it is a trigger)."""

    oid: Id
    cloid: str | UnsetType | None = UNSET


class Filled(msgspec.Struct, rename="camel"):
    """Something matched at once; `total_sz` may be less than the order, whose rest rests (Gtc) or is gone (Ioc)."""

    total_sz: str
    avg_px: str
    oid: Id
    cloid: str | UnsetType | None = UNSET


class Status(msgspec.Struct):
    """Exactly one is set."""

    resting: Resting | UnsetType = UNSET
    filled: Filled | UnsetType = UNSET
    error: str | UnsetType = UNSET


class StatusList(msgspec.Struct):
    """One entry an element; plain text is `success`, `waitingForTrigger` or `waitingForFill`."""

    statuses: list[Status | str]


class Inner(msgspec.Struct):
    """The answer proper: `default` has no data."""

    type: str
    data: Raw | UnsetType = UNSET


class Outer(msgspec.Struct):
    """`ok` with an answer or `err` with a text."""

    status: str
    response: Raw | UnsetType = UNSET


class Refusal(msgspec.Struct, frozen=True):
    """The venue refused: the whole action, or every element of it for the same reason."""

    text: str


class Accepted(msgspec.Struct, frozen=True):
    """An action without elements was carried out; `data` is what it answered, if anything."""

    type: str
    data: Any = None


_outer: Final = Reader[Outer](Outer)
_inner: Final = Reader[Inner](Inner)
_list: Final = Reader[StatusList](StatusList)
_text: Final = Reader[str](str)
_anything: Final = Reader[Any](Any)

Answer = Refusal | Accepted | list[Status | str]


def parse_answer(data: bytes | memoryview | Raw) -> Answer:
    """Decode an answer to an action.

    Returns the statuses of orders or cancels, `Accepted` for an action without elements, or `Refusal`. Raises
    msgspec.DecodeError when it is none of these: then nothing is known of the action's outcome.
    """
    outer = _outer.decode(data)
    if outer.response is UNSET:
        raise msgspec.ValidationError("an answer without a response")
    if outer.status == "err":
        return Refusal(_text.decode(outer.response))
    if outer.status != "ok":
        raise msgspec.ValidationError(f"an answer with status {outer.status[:40]!r}")
    inner = _inner.decode(outer.response)
    if inner.data is UNSET:
        return Accepted(inner.type)
    if inner.type in ("order", "cancel"):
        return _list.decode(inner.data).statuses
    return Accepted(inner.type, _anything.decode(inner.data))


def statuses_of(answer: Answer, count: int) -> list[Status | str] | None:
    """Return one status an element of an action of `count` elements; None when the answer does not fit it.

    A refusal of the whole action, and a single error for a batch (the venue's pre-validation), become one error
    an element.
    """
    if isinstance(answer, Refusal):
        return [Status(error=answer.text)] * count
    if isinstance(answer, Accepted):
        return None
    if len(answer) == count:
        return answer
    if len(answer) == 1 and isinstance(answer[0], Status) and answer[0].error is not UNSET:
        return answer * count
    return None
