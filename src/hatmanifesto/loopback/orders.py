"""Orders and fills as the venue shows them."""

from typing import Any, Final

from hatmanifesto.loopback.participants import OrderEntry
from hatmanifesto.loopback.text import money_text, price_text, printed, size_text
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live.events import Fill
from hatmanifesto.simulation.live.orders import DELEVERAGED, MARKET, LiveOrder

_TIFS: Final = {POST_ONLY: "Alo", GOOD_TILL_CANCEL: "Gtc", IMMEDIATE_OR_CANCEL: "Ioc", MARKET: "FrontendMarket"}


def basic_order(instrument: Instrument, order: LiveOrder, remaining: int) -> dict[str, Any]:
    """Return the short form: openOrders, orderUpdates. `remaining` is the unfilled size to show."""
    shown: dict[str, Any] = {
        "coin": instrument.name,
        "side": "B" if order.side > 0 else "A",
        "limitPx": price_text(instrument, int(order.price)),
        "sz": size_text(instrument, remaining),
        "oid": int(order.oid),
        "timestamp": int(order.time_ns) // 1_000_000,
        "origSz": size_text(instrument, int(order.size)),
    }
    if order.cloid:
        shown["cloid"] = order.cloid
    if order.reduce_only:
        shown["reduceOnly"] = True
    return shown


def frontend_order(instrument: Instrument, order: LiveOrder, remaining: int, *, fired: bool) -> dict[str, Any]:
    """Return the long form: frontendOpenOrders, orderStatus, historicalOrders.

    A fired trigger is shown as no trigger any more, whose condition is "Triggered", as recorded ones are.
    """
    trigger = 0 if fired else int(order.trigger_price)
    condition = "Triggered" if fired else "N/A"
    if trigger:
        condition = (
            f"Price {'above' if order.fires_above() else 'below'} {price_text(instrument, trigger).removesuffix('.0')}"
        )
    kind = "Limit"
    if trigger or fired:
        kind = f"{'Take Profit' if order.take_profit else 'Stop'} {'Market' if order.is_market else 'Limit'}"
    elif order.twap:
        kind = "Twap Slice"
    elif order.time_in_force == MARKET:
        kind = "Market"
    return {
        **basic_order(instrument, order, remaining),
        "triggerCondition": condition,
        "isTrigger": trigger != 0,
        "triggerPx": price_text(instrument, trigger),
        "children": [
            frontend_order(instrument, child, int(child.remaining), fired=False) for child in order.children or ()
        ],
        "isPositionTpsl": order.of_position,
        "reduceOnly": order.reduce_only,
        "orderType": kind,
        "tif": "Gtc" if fired else None if trigger else _TIFS[int(order.time_in_force)],
        "cloid": order.cloid or None,
    }


def order_status(instrument: Instrument, entry: OrderEntry) -> dict[str, Any]:
    """Return an order as it was when its latest status came: a partial fill since then does not show."""
    return {
        "order": frontend_order(instrument, entry.order, entry.remaining, fired=entry.fired),
        "status": entry.status,
        "statusTimestamp": entry.status_ms,
    }


def trade_hash(tid: int, *, by_venue: bool) -> str:
    """Return the hash of the action that made a trade; what the venue itself sends has none."""
    return f"0x{0 if by_venue else tid:064x}"


def fill_object(instrument: Instrument, fill: Fill, now_ms: int, *, by_venue: bool) -> dict[str, Any]:
    """Return a fill; `by_venue`: the venue sent the order that took, in a TWAP or a liquidation."""
    order = fill.order
    start, size, side = int(fill.start), int(fill.size), int(order.side)
    shown: dict[str, Any] = {
        "coin": instrument.name,
        "px": price_text(instrument, int(fill.price)),
        "sz": size_text(instrument, size),
        "side": "B" if side > 0 else "A",
        "time": now_ms,
        "startPosition": printed(start, int(instrument.size_scale)),
        "dir": "Auto-Deleveraging" if order.closing == DELEVERAGED else _direction(start, side, size),
        "closedPnl": money_text(int(fill.closed)),
        "hash": trade_hash(int(fill.tid), by_venue=by_venue),
        "oid": int(order.oid),
        "crossed": bool(fill.crossed),
        "fee": money_text(int(fill.fee)),
        "tid": int(fill.tid),
    }
    if order.cloid:
        shown["cloid"] = order.cloid
    shown["feeToken"] = "USDC"
    shown["twapId"] = int(order.twap) or None
    return shown


def _direction(start: int, side: int, size: int) -> str:
    end = start + side * size
    if start == 0 or (start > 0) == (side > 0):
        return "Open Long" if side > 0 else "Open Short"
    if end == 0 or (end > 0) == (start > 0):
        return "Close Long" if start > 0 else "Close Short"
    return "Long > Short" if start > 0 else "Short > Long"
