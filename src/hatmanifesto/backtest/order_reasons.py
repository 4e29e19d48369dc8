"""Every order of a journal with why it was sent, kept and cancelled: `route` records joined to their orders."""

from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatmanifesto.backtest.journal_scan import Opening, read_opening
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader, Record
from hatmanifesto.model import record
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order import (
    PURPOSE_NAMES,
    TIME_IN_FORCE_NAMES,
    URGENCY_NAMES,
    purpose_of,
    side_of,
    time_in_force_of,
    urgency_of,
)
from hatmanifesto.model.order_state import (
    DENIED,
    DONE_STATES,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    OPEN,
    PARTIALLY_FILLED,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    OrderState,
)
from hatmanifesto.model.reasons import REASONS
from hatmanifesto.model.routing import (
    BEYOND_CAP,
    EXIT_DONE,
    HOLD_ACTIONS,
    KEEP_QUEUE,
    POST,
    POST_CAPPED,
    POST_VALUE,
    REPRICE,
    STAGE_NAMES,
    STOP_LOSS,
    TAKE_AGE,
    TAKE_ASKED,
    TAKE_PROFIT,
    TAKE_VALUE,
    VERDICTS,
)

_PLACED: Final = frozenset((POST, POST_VALUE, POST_CAPPED, TAKE_VALUE, TAKE_AGE, TAKE_ASKED))
_WEIGHED: Final = frozenset((POST_VALUE, POST_CAPPED, TAKE_VALUE, TAKE_AGE, BEYOND_CAP))
_KINDS: Final = frozenset(
    (
        record.VIEW, record.ROUTE, record.SUBMIT, record.DENY, record.CANCEL, record.ORDER_EVENT, record.FILL,
        record.TIMEOUT, record.ADOPT,
    )
)  # fmt: skip
_AFTER_END: Final = 4_096
"""Ended orders that late events may still reach."""


class Why(NamedTuple):
    """One decision of the router: `terms` has the record's fields in their integers, `text` says it in words."""

    ts_ns: int
    verdict: str
    text: str
    terms: dict[str, int]


class OrderStory:
    """One order from its submission or denial on, prices and sizes in the instrument's units."""

    def __init__(self, order_id: int, instrument: int, strategy: int, price: int, size: int, flags: int) -> None:
        self.order_id = order_id
        self.instrument = instrument
        self.strategy = strategy
        self.price = price
        self.size = size
        self.flags = flags
        self.filled = 0
        self.state = SUBMITTED
        self.reason = 0
        self.cancel_reason = 0
        self.submitted_ns = 0
        self.ended_ns = 0
        self.why: list[Why] = []


class Reasons(NamedTuple):
    """The last orders of a journal, oldest first, and what concerns a desk rather than an order."""

    orders: list[dict[str, Any]]
    desks: list[dict[str, Any]]
    seen: int
    routed: bool


def journal_of(place: Path) -> Path:
    """Return the journal of a run's folder, the newest one of a session's folder, or the file itself.

    UserError when there is none.
    """
    found = place / "journal" if place.is_dir() else place
    if found.is_dir():
        # a session's folder has one file each time it was started; their names sort as they followed each other
        found = max((one for one in found.glob("*.journal") if one.stat().st_size), default=found)
    if not found.is_file():
        raise UserError(f"there is no journal at {place}", "name a run's or a session's folder, or a journal")
    return found


def read_reasons(path: Path, *, order: int = 0, count: int = 50) -> Reasons:
    """Read a journal; `order` leaves only one order, else the last `count` are returned.

    UserError when the file is no journal of a session, or has no such order.
    """
    opening = read_opening(path)
    reader = _Reader(opening, order, count)
    with JournalReader(path) as journal:
        for entry in journal.records(kinds=_KINDS):
            reader.take(entry)
    if order and not reader.kept:
        raise UserError(f"there is no order {order} in {path}", "take an id from `hat orders`")
    return Reasons([reader.described(story) for story in reader.kept], list(reader.desks), reader.seen, reader.routed)


class _Reader:
    def __init__(self, opening: Opening, order: int, count: int) -> None:
        self.plan = opening.plan
        self.order = order
        self.live: dict[int, OrderStory] = {}
        self.ended: dict[int, OrderStory] = {}
        self.kept: deque[OrderStory] = deque(maxlen=count)
        self.pending: deque[Why] = deque()
        self.desks: deque[dict[str, Any]] = deque(maxlen=count)
        self.seen = 0
        self.routed = False

    def take(self, entry: Record) -> None:
        kind, values = entry.kind, entry.values
        if kind == record.VIEW:
            self.pending.clear()
        elif kind == record.ROUTE:
            self._route(entry)
        elif kind in (record.SUBMIT, record.DENY, record.ADOPT):
            self._new(entry)
        elif kind == record.CANCEL:
            story = self._of(values[0])
            if story is not None:
                story.cancel_reason = entry.aux
                self._move(story, REQUEST_CANCEL, entry.ts_ns)
        elif kind == record.TIMEOUT:
            self._move(self._of(values[0]), TIME_OUT, entry.ts_ns)
        elif kind == record.FILL:
            story = self._of(values[0])
            if story is not None:
                story.filled += values[2]
                whole = FILL_WHOLE if story.filled >= story.size else FILL_PART
                self._move(story, whole if values[0] in self.live else FILL_LATE, entry.ts_ns)
        else:
            story = self._of(values[0])
            if story is not None:
                story.reason = entry.aux >> 8 or story.reason
                self._move(story, entry.aux & 0xFF, entry.ts_ns)

    def _of(self, order_id: int) -> OrderStory | None:
        return self.live.get(order_id) or self.ended.get(order_id)

    def _move(self, story: OrderStory | None, trigger: int, ts_ns: int) -> None:
        if story is None:
            return
        after = TRANSITIONS.get((story.state, trigger))
        if after is None:
            return
        story.state = after
        if after in DONE_STATES and story.order_id in self.live:
            story.ended_ns = ts_ns
            self.ended[story.order_id] = self.live.pop(story.order_id)
            if len(self.ended) > _AFTER_END:
                del self.ended[next(iter(self.ended))]

    def _new(self, entry: Record) -> None:
        values = entry.values
        code = values[6] if entry.kind == record.DENY else entry.aux
        story = OrderStory(values[0], code & 0xFF, code >> 8, values[1], values[2], values[3])
        story.submitted_ns = entry.ts_ns
        if self.pending and entry.kind != record.ADOPT:
            story.why.append(self.pending.popleft())
        if entry.kind == record.DENY:
            story.state, story.reason, story.ended_ns = DENIED, entry.aux, entry.ts_ns
        else:
            self.live[story.order_id] = story
        if entry.kind == record.ADOPT:
            story.filled = values[4]
            story.state = PARTIALLY_FILLED if story.filled else OPEN
        self.seen += 1
        if self.order in (0, story.order_id):
            self.kept.append(story)

    def _route(self, entry: Record) -> None:
        self.routed = True
        verdict = entry.aux & 0xFF
        terms = entry.fields()
        desk = self.plan.desks[entry.aux >> 8]
        why = Why(entry.ts_ns, VERDICTS[verdict].key, self._words(verdict, terms, desk.instrument), terms)
        story = self._of(terms["order_id"]) if terms["order_id"] else None
        if verdict in _PLACED:
            self.pending.append(why)
        elif story is not None:
            story.why.append(why)
        else:
            self.desks.append(
                {
                    "ts_ns": entry.ts_ns,
                    "strategy": self.plan.strategies[desk.strategy].name,
                    "instrument": self.plan.instruments[desk.instrument].name,
                    "verdict": why.verdict,
                    "text": why.text,
                    "terms": terms,
                }
            )

    # -- words ------------------------------------------------------------------------------------

    def described(self, story: OrderStory) -> dict[str, Any]:
        """Return an order as plain values, decimals as text."""
        instrument = self.plan.instruments[story.instrument]
        reason = story.reason
        if reason == 0 and story.state in DONE_STATES and story.filled < story.size:
            reason = story.cancel_reason
        return {
            "order_id": story.order_id,
            "strategy": self.plan.strategies[story.strategy].name,
            "instrument": instrument.name,
            "side": "buy" if side_of(story.flags) > 0 else "sell",
            "price": format_decimal(story.price, instrument.price_scale),
            "size": format_decimal(story.size, instrument.size_scale),
            "filled": format_decimal(story.filled, instrument.size_scale),
            "state": OrderState(story.state).name,
            "time_in_force": TIME_IN_FORCE_NAMES[time_in_force_of(story.flags)],
            "purpose": PURPOSE_NAMES[purpose_of(story.flags)],
            "urgency": URGENCY_NAMES[urgency_of(story.flags)],
            "reason": REASONS[reason].key if reason in REASONS else "",
            "submitted_ns": story.submitted_ns,
            "ended_ns": story.ended_ns or None,
            "why": [why._asdict() for why in story.why],
        }

    def _words(self, verdict: int, terms: dict[str, int], index: int) -> str:
        instrument = self.plan.instruments[index]
        parts = [VERDICTS[verdict].meaning]
        if verdict in (STOP_LOSS, TAKE_PROFIT):
            parts.append(
                f"profit {format_decimal(terms['value_ppb'], self.plan.money_scale)} on a position of "
                f"{format_decimal(terms['size'], instrument.size_scale)} at the mark "
                f"{format_decimal(terms['price'], instrument.price_scale)}"
            )
            return "; ".join(parts)
        if verdict == EXIT_DONE:
            return parts[0]
        if verdict in _WEIGHED:
            chance = terms["fill_chance_ppm"]
            gain = f"({_bps(terms['saved_ppb'])} + {_bps(terms['fee_saved_ppb'])} - {_bps(terms['adverse_ppb'])})"
            sign = ">" if terms["value_ppb"] > terms["other_value_ppb"] else "<="
            parts.append(
                f"{_percent(chance)} x {gain} = {_bps(terms['value_ppb'])} {sign} {_percent(1_000_000 - chance)} x "
                f"{_bps(terms['opportunity_ppb'])} = {_bps(terms['other_value_ppb'])} bps"
            )
            stage = STAGE_NAMES[terms["stage_urgency"] & 0xFF]
            urgency = URGENCY_NAMES[terms["stage_urgency"] >> 8]
            parts.append(f"stage {stage}, urgency {urgency}, {terms['age_ns'] / 1e9:.1f} s old")
        elif verdict in (KEEP_QUEUE, REPRICE):
            parts.append(
                f"this place {_bps(terms['value_ppb'])} bps at {_percent(terms['fill_chance_ppm'])}, a new one "
                f"{_bps(terms['other_value_ppb'])} bps"
            )
        elif verdict == POST:
            parts.append(f"fill chance {_percent(terms['fill_chance_ppm'])} within the quote horizon")
        if terms["queue_ahead"]:
            parts.append(f"{format_decimal(terms['queue_ahead'], instrument.size_scale)} ahead")
        if terms["limit_price"]:
            parts.append(f"not beyond {format_decimal(terms['limit_price'], instrument.price_scale)}")
        if verdict == HOLD_ACTIONS or terms["desk_cancels_left"] >= 0 or terms["desk_actions_left"] >= 0:
            parts.append(f"desk has {_left(terms['desk_cancels_left'], terms['desk_actions_left'])}")
        if terms["account_cancels_left"] >= 0 or terms["account_actions_left"] >= 0:
            parts.append(f"account has {_left(terms['account_cancels_left'], terms['account_actions_left'])}")
        return "; ".join(parts)


def _bps(ppb: int) -> str:
    return f"{ppb / 100_000:.3f}"


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.1f} %"


def _left(cancels: int, actions: int) -> str:
    words = ["no limit" if left < 0 else f"{left} left" for left in (cancels, actions)]
    return f"cancels {words[0]}, actions {words[1]}"
