"""Where own orders stand in their queues, as far as views tell, and what became of them."""

from typing import Final, final

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.strategy import View
from hatmanifesto.model.order import POST_ONLY, Order
from hatmanifesto.model.order_state import SUBMITTED


def ahead_at(view: View, side: int, price: int) -> int:
    """Return the size that a new order at `price` would wait behind: better levels and the level itself.

    Prices beyond the levels of the view count with the best level's size for each level's worth of distance.
    """
    total = 0
    last = 0
    best = int(view.bid_size_at(0) if side > 0 else view.ask_size_at(0))
    for level in range(int(view.levels)):
        shown = int(view.bid_price_at(level) if side > 0 else view.ask_price_at(level))
        if shown <= 0 or (shown - price) * side < 0:
            return total
        total += int(view.bid_size_at(level) if side > 0 else view.ask_size_at(level))
        last = shown
    beyond = (last - price) * side
    if beyond > 0:
        tick = int(view.instrument.tick_at(last))
        total += best * max(1, beyond // tick)
    return total


def shown_at(view: View, side: int, price: int) -> int:
    """Return the size shown at a price, 0 where the view shows that there is none, -1 where it does not reach."""
    for level in range(int(view.levels)):
        shown = int(view.bid_price_at(level) if side > 0 else view.ask_price_at(level))
        if shown == price:
            return int(view.bid_size_at(level) if side > 0 else view.ask_size_at(level))
        if shown <= 0 or (shown - price) * side < 0:
            return 0
    return -1


@final
class Tracked:
    """One own order: the estimated size ahead of it at its level, and what was believed when it was posted."""

    def __init__(self, order: Order, ahead: int, now: int) -> None:
        self.order: Final[Order] = order
        self.order_id: Final[int] = int(order.order_id)
        self.side: Final[int] = int(order.side)
        self.price: Final[int] = int(order.price)
        self.maker: Final[bool] = order.time_in_force == POST_ONLY
        self.reduce_only: Final[bool] = order.reduce_only
        self.since_ns: Final[int] = now
        self.ahead: int = ahead
        self.seen_filled: int = int(order.filled_before)
        self.predicted: int = -1
        self.verdict: int = 0
        self.served: int = -1

    def same(self) -> bool:
        """Tell whether the order object still is this order."""
        return int(self.order.order_id) == self.order_id


@final
class QueueTracker:
    """The desk's orders as seen at its decisions.

    The estimate is the cautious one: cancels of others come from behind. It falls by what is traded at the best
    while the order's price is the best, and never exceeds what its level shows.
    """

    def __init__(self) -> None:
        self.items: Final[list[Tracked]] = []
        self.ended: Final[list[Tracked]] = []
        self._last_bid: int = 0
        self._last_ask: int = 0

    def update(self, desk: Desk, view: View) -> None:
        """Move live orders in their queues, add new ones, and put those that have ended into `ended`."""
        now = int(view.now_ns)
        items = self.items
        self.ended.clear()
        kept = 0
        for item in items:
            if item.same() and item.order.live():
                items[kept] = item
                kept += 1
            else:
                self.ended.append(item)
        del items[kept:]
        bid = int(view.bid_price)
        ask = int(view.ask_price)
        whole = bid > 0 and ask > bid
        for item in items:
            if item.maker and whole:
                self._move(item, view)
        orders = desk.orders
        for at in range(orders.first, orders.end):
            order = orders.items[at]
            if self.of(order) is None:
                item = Tracked(order, 0, now)
                if whole:
                    item.ahead = max(0, shown_at(view, item.side, item.price))
                items.append(item)
        self._last_bid = bid
        self._last_ask = ask

    def _move(self, item: Tracked, view: View) -> None:
        shown = shown_at(view, item.side, item.price)
        if item.order.state == SUBMITTED:
            if shown >= 0:
                item.ahead = shown
            return
        if item.order.filled > 0:
            item.ahead = 0
            return
        best = int(view.bid_price if item.side > 0 else view.ask_price)
        before = self._last_bid if item.side > 0 else self._last_ask
        if best == item.price and before == item.price:
            traded = int(view.sell_volume if item.side > 0 else view.buy_volume)
            item.ahead = max(0, item.ahead - traded)
        if 0 <= shown < item.ahead:
            item.ahead = shown

    def of(self, order: Order) -> Tracked | None:
        """Return what is known of an order."""
        for item in self.items:
            if item.order is order and item.same():
                return item
        return None
