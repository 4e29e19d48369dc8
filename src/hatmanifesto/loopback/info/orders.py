"""Answers about an account's orders, fills and payments."""

from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.fills import aggregated
from hatmanifesto.loopback.info.questions import PAGE, Request, account_of, span_of, within
from hatmanifesto.loopback.orders import basic_order, frontend_order, order_status
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.twaps import running_state

FILLS_PAGE: Final = 2_000


def open_orders(loopback: Loopback, participant: Participant | None, *, long: bool) -> list[dict[str, Any]]:
    """Return what is open, the newest first, in the long (frontend) or the short form."""
    if participant is None:
        return []
    shown = []
    for order in reversed(participant.account.orders.values()):
        instrument, remaining = loopback.instruments[order.instrument], int(order.remaining)
        if long:
            shown.append(frontend_order(instrument, order, remaining, fired=bool(order.has_fired())))
        else:
            shown.append(basic_order(instrument, order, remaining))
    return shown


def short_open_orders(loopback: Loopback, request: Request) -> Any:
    return open_orders(loopback, account_of(loopback, request), long=False)


def frontend_open_orders(loopback: Loopback, request: Request) -> Any:
    return open_orders(loopback, account_of(loopback, request), long=True)


def one_order(loopback: Loopback, request: Request) -> Any:
    participant, oid = account_of(loopback, request), request.get("oid")
    if not isinstance(oid, int | str) or isinstance(oid, bool):
        raise Malformed(MALFORMED)
    entry = None if participant is None else participant.order_entry(oid)
    if entry is None:
        return {"status": "unknownOid"}
    return {"status": "order", "order": order_status(loopback.instruments[entry.order.instrument], entry)}


def historical_orders(loopback: Loopback, request: Request) -> Any:
    """Every status that an order had is an entry of its own, as in recorded answers."""
    participant = account_of(loopback, request)
    return [
        order_status(loopback.instruments[entry.order.instrument], entry)
        for entry in reversed(() if participant is None else participant.statuses)
    ]


def fills(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    found = [] if participant is None else list(participant.fills)
    if request.get("aggregateByTime") is True:
        found = aggregated(found)
    return found[: -FILLS_PAGE - 1 : -1]


def fills_by_time(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    found = within(() if participant is None else participant.fills, request)
    if request.get("aggregateByTime") is True:
        found = aggregated(found)
    return found[: -FILLS_PAGE - 1 : -1] if request.get("reversed") is True else found[:FILLS_PAGE]


def funding_payments(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return within(() if participant is None else participant.funding, request)[:PAGE]


def ledger_updates(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return within(() if participant is None else participant.ledger, request)[:PAGE]


def twap_states(loopback: Loopback, participant: Participant | None) -> list[tuple[int, dict[str, Any]]]:
    """Return an account's TWAPs that have not ended, each with its number."""
    if participant is None:
        return []
    return [
        (int(twap.number), running_state(loopback.instruments[twap.request.instrument], participant.address, twap))
        for twap in loopback.exchange.twaps.of(int(participant.account.index))
    ]


def twap_history(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return [] if participant is None else list(participant.twap_history)[::-1]


def twap_fills(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return [] if participant is None else list(participant.twap_fills)[::-1]


def twap_fills_by_time(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    begin, end = span_of(request)
    found = () if participant is None else participant.twap_fills
    return [entry for entry in found if begin <= entry["fill"]["time"] <= end][:FILLS_PAGE]
