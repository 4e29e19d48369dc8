"""The maker router: turns wanted quotes into the fewest cancels and new orders.

A resting order that still serves a quote is kept, because its queue position is money. What no quote wants is
cancelled. Policies: KEEP, and REQUOTE_ALWAYS, which cancels whatever is acknowledged and sends every quote anew.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.strategy import Quotes
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY, Order, OrderList
from hatmanifesto.model.order_state import CANCEL_PENDING, OPEN, PARTIALLY_FILLED
from hatmanifesto.model.reasons import CANCEL_REPRICE, CANCEL_WITHDRAWN

KEEP: Final = 0
REQUOTE_ALWAYS: Final = 1
POLICY_NAMES: Final = {0: "keep", 1: "requote_always"}


@final
class MakerRouter:
    """Plans one desk's actions. After `plan`: `cancels`, and each quote's `place_size` (0 = none).

    `refresh_tolerance` is the largest price distance, in price units, at which a resting order still serves a
    quote; an order larger than the quote is replaced, one that fills have made smaller is kept and topped up.
    """

    def __init__(self, policy: i64, refresh_tolerance: i64) -> None:
        self.policy: Final[i64] = policy
        self.refresh_tolerance: i64 = refresh_tolerance
        self.cancels: Final[OrderList] = OrderList()

    def plan(self, desk: Desk, quotes: Quotes) -> None:
        """Compare what is wanted with what works."""
        self.cancels.clear()
        if self.policy == REQUOTE_ALWAYS:
            self._requote(desk, quotes)
        else:
            self._keep(desk, quotes)

    def _requote(self, desk: Desk, quotes: Quotes) -> None:
        orders = desk.orders
        for at in range(orders.count):
            order = orders.items[at]
            if order.state == OPEN or order.state == PARTIALLY_FILLED:
                self.cancels.append(order)
        for at in range(quotes.count):
            quote = quotes.items[at]
            quote.place_size = quote.size

    def _keep(self, desk: Desk, quotes: Quotes) -> None:
        awaited_buy = False
        awaited_sell = False
        orders = desk.orders
        for at in range(orders.count):
            order = orders.items[at]
            if order.state == CANCEL_PENDING:
                continue
            if self._serves(order, quotes):
                continue
            if order.state == OPEN or order.state == PARTIALLY_FILLED:
                self.cancels.append(order)
            elif order.side > 0:
                awaited_buy = True  # submitted or unknown: its answer comes first
            else:
                awaited_sell = True
        instrument = desk.holding.instrument
        for at in range(quotes.count):
            quote = quotes.items[at]
            missing = quote.size - quote.matched
            missing -= missing % instrument.lot_size
            awaited = awaited_buy if quote.side > 0 else awaited_sell
            if missing <= 0 or awaited or (quote.time_in_force == POST_ONLY and desk.book_behind(quote.side)):
                missing = 0  # nothing to add, an answer to wait for, or a book that the venue proved old
            elif (
                quote.matched > 0
                and missing <= instrument.max_size
                and (instrument.notional(quote.price, missing) < instrument.min_notional)
            ):
                missing = 0  # a top-up too small for the venue: wait for more fills
            quote.place_size = missing

    def _serves(self, order: Order, quotes: Quotes) -> bool:
        """Find the first quote that this order serves and count its unfilled size toward it."""
        remaining = order.size - order.filled
        for at in range(quotes.count):
            quote = quotes.items[at]
            if (
                quote.side != order.side
                or quote.time_in_force == IMMEDIATE_OR_CANCEL
                or quote.time_in_force != order.time_in_force
                or quote.reduce_only != order.reduce_only
            ):
                continue
            distance = quote.price - order.price
            if distance < 0:
                distance = -distance
            if distance <= self.refresh_tolerance and quote.matched + remaining <= quote.size:
                quote.matched += remaining
                return True
        return False

    def reason_for(self, order: Order, quotes: Quotes) -> i64:
        """Say why an order is cancelled: its side is quoted elsewhere, or is not quoted any more."""
        for at in range(quotes.count):
            if quotes.items[at].side == order.side:
                return CANCEL_REPRICE
        return CANCEL_WITHDRAWN
