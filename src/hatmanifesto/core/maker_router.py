"""The maker router: turns wanted quotes into cancels and new orders.

Policies are classes behind one small interface, MakerRouter. Here are the two plain ones: KeepRouter, which leaves a
resting order that still serves where it is, because its queue position is money, and RequoteRouter, which cancels
whatever is acknowledged and sends every quote anew. What weighs costs and explains itself is in core.routing.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.strategy import Quotes
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY, Order, OrderList
from hatmanifesto.model.order_state import CANCEL_PENDING, OPEN, PARTIALLY_FILLED
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.reasons import CANCEL_REPRICE, CANCEL_WITHDRAWN

KEEP: Final = 0
REQUOTE_ALWAYS: Final = 1
EXPECTED_VALUE: Final = 2
POLICY_NAMES: Final = {0: "keep", 1: "requote_always", 2: "expected_value"}


class MakerRouter:
    """What the engine asks of a policy. After `plan`: the orders to cancel are in `cancels`.

    `wake_ns` is when the policy wants to decide again though nothing happens; it lies after the last decision.
    """

    def __init__(self) -> None:
        self.cancels: Final[OrderList] = OrderList()
        self.wake_ns: i64 = NEVER

    def attach(self, recorder: Recorder) -> None:
        """Take the journal's recorder, before the first decision."""

    def plan(self, desk: Desk, quotes: Quotes) -> Quotes:
        """Compare what is wanted with what works; return quotes whose `place_size` is to be sent (0 = nothing)."""
        return quotes

    def reason_for(self, order: Order, quotes: Quotes) -> i64:
        """Say why an order is cancelled: its side is quoted elsewhere, or is not quoted any more."""
        for at in range(quotes.count):
            if quotes.items[at].side == order.side:
                return CANCEL_REPRICE
        return CANCEL_WITHDRAWN


@final
class RequoteRouter(MakerRouter):
    """Every decision cancels what rests and sends every quote anew: gives queue positions up, for comparisons."""

    def plan(self, desk: Desk, quotes: Quotes) -> Quotes:
        self.cancels.clear()
        for at in range(desk.orders.first, desk.orders.end):
            state = desk.orders.items[at].state
            if state == OPEN or state == PARTIALLY_FILLED:
                self.cancels.append(desk.orders.items[at])
        for at in range(quotes.count):
            quotes.items[at].place_size = quotes.items[at].size
        return quotes


@final
class KeepRouter(MakerRouter):
    """A resting order that still serves a quote stays.

    `refresh_tolerance` is the largest price distance, in price units, at which a resting order still serves a
    quote; an order larger than the quote is replaced, one that fills have made smaller is kept and topped up.
    """

    def __init__(self, refresh_tolerance: i64) -> None:
        super().__init__()
        self.refresh_tolerance: i64 = refresh_tolerance

    def plan(self, desk: Desk, quotes: Quotes) -> Quotes:
        self.cancels.clear()
        awaited_buy = False
        awaited_sell = False
        orders = desk.orders
        for at in range(orders.first, orders.end):
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
        return quotes

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
