"""Orders that an earlier session left open at the venue: taken over as they stand there, or cancelled, and why.

An order is taken over only when a journal knows it, the venue has it as the journal does, and its desk may quote now:
its price, what is filled of it and its place in the queue are then kept.
"""

from collections.abc import Sequence
from typing import Final

from hatmanifesto.core.risk_manager import OVERRIDE_NAMES, RECONCILIATION_SOURCE, REDUCE_ONLY, SOURCE_NAMES
from hatmanifesto.model.order import REDUCE_ONLY_BIT, desk_of, side_of
from hatmanifesto.trading.trader import Trader
from hatmanifesto.venues.port import Venue, VenueOrder

_TOLD: Final = 20
"""Orders named one by one in a note; the rest are counted."""


def adopt_orders(trader: Trader, venue: Venue, orders: Sequence[VenueOrder]) -> int:
    """Take over what can be taken over of the venue's open orders; what is left, the caller cancels. Returns how many
    were taken over."""
    taken = 0
    refused: list[str] = []
    for order in orders:
        if order.order_id == 0 or order.session == trader.session_of(order.order_id):
            continue  # foreign, or kept already
        why = why_not(trader, order)
        if not why:
            filled = trader.earlier[order.order_id].filled
            if trader.adopt(order.order_id, order.venue_order_id):
                venue.gateway.adopt(order, filled)
                taken += 1
                continue
            why = "its place is taken"
        refused.append(f"{order.session}:{order.order_id}: {why}")
    if taken or refused:
        trader.note({"adopted": taken, "not_adopted": refused[:_TOLD], "not_adopted_in_all": len(refused)})
    return taken


def why_not(trader: Trader, order: VenueOrder) -> str:
    """Say why an open order of an earlier session cannot be taken over; empty when it can."""
    known = trader.earlier.get(order.order_id)
    if known is None or known.session != order.session:
        return "no journal tells of it"
    session = trader.session
    owner = int(desk_of(order.order_id))
    if owner >= len(session.clocks) or int(session.clocks[owner].desk.holding.instrument.index) != order.instrument:
        return "its desk is gone"
    side, reduce_only = int(side_of(known.side_flags)), known.side_flags & REDUCE_ONLY_BIT != 0
    if (known.price, known.size, side, reduce_only) != (order.price, order.size, order.side, order.reduce_only):
        return "the venue has it otherwise than the journal"
    if known.filled >= known.size:
        return "all of it is filled"
    for source, override in enumerate(session.risk.account_overrides):
        if source != RECONCILIATION_SOURCE and override >= REDUCE_ONLY:
            return f"{SOURCE_NAMES[source]} demands {OVERRIDE_NAMES[override]}"
    if session.clocks[owner].desk.override >= REDUCE_ONLY:
        return f"its desk is held: {OVERRIDE_NAMES[int(session.clocks[owner].desk.override)]}"
    return ""
