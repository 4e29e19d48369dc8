"""From the wire's actions to the matcher's, and from its answers back to the wire's."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from hatmanifesto.loopback.participants import Builder
from hatmanifesto.loopback.spot import FIRST_SPOT_ASSET
from hatmanifesto.loopback.text import mean_price_text, size_text
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT, parse_decimal
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live import actions as live
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.events import (
    FILLS,
    REFUSED,
    RESTS,
    RUNS,
    SUCCESS,
    WAITS_FOR_TRIGGER,
    ActionAnswered,
    Answer,
)
from hatmanifesto.simulation.live.orders import MARKET, PARENT_GROUP, POSITION_GROUP, UNGROUPED, OrderRequest
from hatmanifesto.simulation.live.twap_order import TwapRequest
from hatmanifesto.venues.hyperliquid.wire import actions as wire

_TIFS: Final = {
    "Alo": POST_ONLY,
    "Gtc": GOOD_TILL_CANCEL,
    "Ioc": IMMEDIATE_OR_CANCEL,
    "FrontendMarket": MARKET,
}
NO_BUILDER: Final = Builder(-1, 0)
_GROUPS: Final = {"na": UNGROUPED, "normalTpsl": PARENT_GROUP, "positionTpsl": POSITION_GROUP}


class Building:
    """An action for the matcher; `refused` are elements that never reach it, by place. `answer`: nothing does."""

    def __init__(
        self, kind: str, action: live.Action | None = None, answer: dict[str, Any] | None = None, elements: int = 0
    ) -> None:
        self.kind = kind
        self.action = action
        self.answer = answer
        self.elements = elements
        self.refused: dict[int, str] = {}


class _Whole(Exception):  # noqa: N818 - what is refused
    """The whole action is refused in these words."""


def build_action(instruments: list[Instrument], builders: Mapping[str, Builder], action: wire.Action) -> Building:
    """Return what to submit; an action that the matcher does not know has neither `action` nor `answer`.

    `builders` are those to whom the acting account allowed a fee, by lower-case address.
    """
    try:
        return _build(instruments, builders, action)
    except _Whole as refusal:
        return Building("", answer={"status": "err", "response": str(refusal)})


def _build(instruments: list[Instrument], builders: Mapping[str, Builder], action: wire.Action) -> Building:
    match action:
        case wire.Order():
            return _place(instruments, action, _builder_of(builders, action.builder))
        case wire.Cancel(cancels=cancels, f=fast):
            pairs = [(cancel.a, cancel.o) for cancel in cancels]
            return Building("cancel", live.Cancel(pairs, fast=fast is True), elements=len(pairs))
        case wire.CancelByCloid(cancels=cancels, f=fast):
            named = [(cancel.asset, cancel.cloid.lower()) for cancel in cancels]
            return Building("cancel", live.CancelByCloid(named, fast=fast is True), elements=len(named))
        case wire.Modify(oid=oid, order=order, a=always):
            change = _change(instruments, oid, order)
            return Building("modify", live.Modify([change], always=always is True), elements=1)
        case wire.BatchModify(modifies=modifies, a=always):
            changes = [_change(instruments, modify.oid, modify.order) for modify in modifies]
            return Building("order", live.Modify(changes, always=always is True), elements=len(changes))
        case wire.ScheduleCancel(time=time):
            at_ns = 0 if time is UNSET else min(time, 1 << 42) * 1_000_000
            return Building("default", live.ScheduleCancel(at_ns))
        case wire.UpdateLeverage(asset=asset, is_cross=cross, leverage=leverage):
            if not 0 <= leverage <= 1_000:
                raise _Whole("Invalid leverage value")
            return Building("default", live.SetLeverage(asset, leverage, cross=cross))
        case wire.UpdateIsolatedMargin(asset=asset, ntli=amount):
            if abs(amount) > MAX_AMOUNT:
                raise _Whole("Account does not have sufficient margin available for increase.")
            return Building("default", live.ChangeMargin(asset, amount))
        case wire.TwapOrder():
            return _twap(instruments, action)
        case wire.TwapCancel(a=asset, t=number):
            return Building("twapCancel", live.CancelTwap(asset, number))
    return Building("")


def _place(instruments: list[Instrument], action: wire.Order, builder: Builder) -> Building:
    building = Building("order", elements=len(action.orders))
    requests = []
    for place, order in enumerate(action.orders):
        request = _request(instruments, order, builder)
        if isinstance(request, str):
            building.refused[place] = request
        else:
            requests.append(request)
    group = _GROUPS[action.grouping] if isinstance(action.grouping, str) else UNGROUPED
    if building.refused and group != UNGROUPED:
        # a family is taken whole or not at all
        text = next(iter(building.refused.values()))
        building.answer = _statuses("order", [{"error": text} for _ in action.orders])
    elif requests or not action.orders:
        building.action = live.Place(requests, group)
    else:
        building.answer = _statuses("order", [{"error": text} for text in building.refused.values()])
    return building


def _twap(instruments: list[Instrument], action: wire.TwapOrder) -> Building:
    asked = action.twap
    if not 0 <= asked.a < len(instruments):
        raise _Whole(wording.UNKNOWN_ASSET)
    instrument = instruments[asked.a]
    trigger, above, stop = 0, False, 0
    if action.details is not UNSET:
        if action.details.t is not None:
            trigger, above = _valid_price(instrument, action.details.t.p), action.details.t.a
        if action.details.s is not None:
            stop = _valid_price(instrument, action.details.s)
    request = TwapRequest(
        asked.a,
        1 if asked.b else -1,
        _size(instrument, asked.s),
        max(-1, min(asked.m, 1 << 31)),
        reduce_only=asked.r,
        randomize=asked.t,
        trigger_price=trigger,
        above=above,
        stop_price=stop,
    )
    return Building("twapOrder", live.PlaceTwap(request))


def _builder_of(builders: Mapping[str, Builder], asked: wire.Builder | UnsetType) -> Builder:
    """Return whose account gets how much of each fill. Raises _Whole for a fee that was not allowed."""
    if asked is UNSET:
        return NO_BUILDER
    allowed = builders.get(asked.b.lower())
    if allowed is None or not 0 <= asked.f <= allowed.most_tenths:
        raise _Whole("Builder fee has not been approved")
    return Builder(allowed.account, asked.f)


def _change(instruments: list[Instrument], oid: int | str, order: wire.OrderWire) -> live.Change:
    request = _request(instruments, order)
    if isinstance(request, str):
        raise _Whole(wording.MODIFY_FAILED + request)
    return live.Change(oid, "", request) if isinstance(oid, int) else live.Change(0, oid.lower(), request)


def _request(instruments: list[Instrument], order: wire.OrderWire, builder: Builder = NO_BUILDER) -> OrderRequest | str:
    """Return the order in the matcher's units, or the words that refuse it alone. Raises _Whole."""
    if order.a == FIRST_SPOT_ASSET:
        if order.r:
            raise _Whole(wording.SPOT_REDUCE_ONLY)
        return f"{wording.SPOT_BALANCE} asset={order.a}"
    if not 0 <= order.a < len(instruments):
        raise _Whole(wording.UNKNOWN_ASSET)
    instrument = instruments[order.a]
    size = _size(instrument, order.s)
    price = _price(instrument, order.p)
    trigger, is_market, take_profit = 0, False, False
    tif = GOOD_TILL_CANCEL
    if order.t.trigger is not UNSET:
        told = _price(instrument, order.t.trigger.trigger_px)
        if told is None:
            return f"{wording.TRIGGER_PRICE} asset={order.a}"
        trigger, is_market, take_profit = told, order.t.trigger.is_market, order.t.trigger.tpsl == "tp"
        if trigger <= 0:
            return f"{wording.TRIGGER_PRICE} asset={order.a}"
    elif order.t.limit is not UNSET:
        tif = _TIFS[order.t.limit.tif]
    if price is None:
        return f"{wording.TICK} asset={order.a}"
    if price <= 0:
        raise _Whole(wording.INVALID_PRICE)
    if price > int(instrument.max_price):
        raise _Whole(wording.REFERENCE_PRICE)
    cloid = "" if order.c is UNSET else order.c.lower()
    return OrderRequest(
        order.a,
        1 if order.b else -1,
        price,
        size,
        tif,
        reduce_only=order.r,
        cloid=cloid,
        trigger_price=trigger,
        is_market=is_market,
        take_profit=take_profit,
        builder=builder.account,
        builder_tenths=builder.most_tenths,
    )


def _size(instrument: Instrument, text: str) -> int:
    """Return a size in the instrument's units. Raises _Whole."""
    try:
        size = parse_decimal(text, int(instrument.size_scale))
    except ValueError:
        raise _Whole(wording.INVALID_SIZE) from None
    if not 0 <= size <= int(instrument.max_size):
        raise _Whole(wording.INVALID_SIZE)
    return size


def _valid_price(instrument: Instrument, text: str) -> int:
    """Return a price that the venue would take in the instrument's units. Raises _Whole."""
    price = _price(instrument, text)
    if price is None or not 0 < price <= int(instrument.max_price):
        raise _Whole(wording.INVALID_PRICE)
    return price


def _price(instrument: Instrument, text: str) -> int | None:
    """Return a price in the instrument's units, None when it has more decimals than they do. Raises _Whole."""
    try:
        return parse_decimal(text, int(instrument.price_scale))
    except ValueError:
        try:
            parse_decimal(text, 30)
        except ValueError:
            raise _Whole(wording.INVALID_PRICE) from None
        return None


def response_of(instruments: list[Instrument], building: Building, answered: ActionAnswered) -> dict[str, Any]:
    """Return the answer on the wire."""
    if answered.error:
        return {"status": "err", "response": answered.error}
    if building.kind == "default":
        return {"status": "ok", "response": {"type": "default"}}
    if building.kind == "modify":
        answer = answered.answers[0]
        if answer.kind == REFUSED:
            return {"status": "err", "response": answer.text}
        return {"status": "ok", "response": {"type": "default"}}
    if building.kind in ("twapOrder", "twapCancel"):
        return _twap_response(building.kind, _twap_status(answered.answers[0]))
    told = iter(answered.answers)
    elements: list[Any] = []
    for place in range(building.elements):
        if place in building.refused:
            elements.append({"error": building.refused[place]})
            continue
        answer = next(told)
        index = _instrument_index(building, place)
        elements.append(_status(instruments[index] if 0 <= index < len(instruments) else None, answer))
    return _statuses("cancel" if building.kind == "cancel" else "order", elements)


def _instrument_index(building: Building, place: int) -> int:
    """Return which instrument an element that was answered is of."""
    action = building.action
    reached = place - sum(1 for at in building.refused if at < place)
    if isinstance(action, live.Place):
        return int(action.orders[reached].instrument)
    if isinstance(action, live.Modify):
        return int(action.changes[reached].order.instrument)
    return -1


def _twap_status(answer: Answer) -> Any:
    if answer.kind == REFUSED:
        return {"error": answer.text}
    return {"running": {"twapId": int(answer.oid)}} if answer.kind == RUNS else "success"


def _twap_response(kind: str, status: Any) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": kind, "data": {"status": status}}}


def _statuses(kind: str, elements: list[Any]) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": elements}}}


def _status(instrument: Instrument | None, answer: Answer) -> Any:
    if answer.kind == SUCCESS:
        return "success"
    if answer.kind == REFUSED:
        return {"error": answer.text}
    if answer.kind == RESTS:
        resting: dict[str, Any] = {"oid": int(answer.oid)}
        if answer.cloid:
            resting["cloid"] = answer.cloid
        return {"resting": resting}
    if answer.kind == FILLS and instrument is not None:
        filled: dict[str, Any] = {
            "totalSz": size_text(instrument, int(answer.filled_size)),
            "avgPx": mean_price_text(instrument, int(answer.filled_value), int(answer.filled_size)),
            "oid": int(answer.oid),
        }
        if answer.cloid:
            filled["cloid"] = answer.cloid
        return {"filled": filled}
    return "waitingForTrigger" if answer.kind == WAITS_FOR_TRIGGER else "waitingForFill"
