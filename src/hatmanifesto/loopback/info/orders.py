"""Answers about an account's orders, fills and payments."""

from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.fills import aggregated
from hatmanifesto.loopback.info.questions import PAGE, Request, account_of, within
from hatmanifesto.loopback.orders import basic_order, frontend_order, order_status
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import MALFORMED, Malformed

FILLS_PAGE: Final = 2_000
ORDERS_PAGE: Final = 2_000


def open_orders(loopback: Loopback, participant: Participant | None, *, long: bool) -> list[dict[str, Any]]:
    """Return what is open, the newest first, in the long (frontend) or the short form."""
    if participant is None:
        return []
    form = frontend_order if long else basic_order
    return [
        form(loopback.instruments[order.instrument], order, int(order.remaining))
        for order in reversed(participant.account.orders.values())
    ]


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


def history(loopback: Loopback, participant: Participant | None, count: int = ORDERS_PAGE) -> list[dict[str, Any]]:
    """Return the newest orders with their latest status."""
    shown: list[dict[str, Any]] = []
    if participant is not None:
        for entry in participant.newest_orders():
            if len(shown) == count:
                break
            shown.append(order_status(loopback.instruments[entry.order.instrument], entry))
    return shown


def historical_orders(loopback: Loopback, request: Request) -> Any:
    return history(loopback, account_of(loopback, request))


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
