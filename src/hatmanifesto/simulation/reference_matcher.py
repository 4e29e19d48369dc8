"""The exchange model `reference`: the public one-level maker contract, to the letter.

No partial fills: an order fills whole at its own price when the size ahead of it is used up, when a print goes
through its price, or when the opposite best reaches it. It counts liquidity as often as the contract does and is
for exact comparison with other engines, not for believing a result.
"""

from typing import final

from mypy_extensions import i64

from hatmanifesto.model.book import BookSide
from hatmanifesto.model.market_row import BUY_BIT, DEPTH, KIND_MASK, MORE, TRADE
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import FILL_WHOLE
from hatmanifesto.model.reasons import VENUE_NO_MATCH, VENUE_POST_ONLY
from hatmanifesto.simulation.matcher import Matcher, OwnSide, RestingOrder


@final
class ReferenceMatcher(Matcher):
    """See the module's text; constant latencies and fees come from the outside as for every matcher."""

    def apply(self, meta: i64, price: i64, size: i64, now: i64) -> None:
        kind = meta & KIND_MASK
        if kind == DEPTH:
            if meta & BUY_BIT:
                self._level(self.book.bids, self.bids, self.asks, price, size, now)
            else:
                self._level(self.book.asks, self.asks, self.bids, price, size, now)
        elif kind == TRADE:
            passive = self.asks if meta & BUY_BIT else self.bids
            if price * passive.side <= passive.best_key:
                self._print(passive, price, size, now)
        else:
            self.book.apply(meta, price, size, now)
            if meta & MORE == 0:
                if self.asks.count > 0 and self.book.bids.best >= 0:
                    self._fill_reached(self.asks, self.book.best_bid(), now)
                if self.bids.count > 0 and self.book.asks.best >= 0:
                    self._fill_reached(self.bids, self.book.best_ask(), now)

    def _level(self, side: BookSide, same: OwnSide, opposite: OwnSide, price: i64, size: i64, now: i64) -> None:
        """A level's new size caps what is ahead at its price; a new best may reach own orders opposite."""
        touched = side.set(price, size)
        key = price * same.side
        if same.worst_key <= key <= same.best_key:
            self.reported(same, price, size, now)
        if touched and size > 0 and -key <= opposite.best_key:
            self._fill_reached(opposite, price, now)

    def reported(self, own: OwnSide, price: i64, size: i64, now: i64) -> None:
        for at in range(own.count):
            order = own.orders[at]
            if order.price == price and order.ahead > size:
                order.ahead = size

    def _fill_reached(self, own: OwnSide, price: i64, now: i64) -> None:
        """Fill whole every order that the opposite best has reached or passed."""
        while own.best_key >= price * own.side:
            self._fill_whole(own.orders[0], now)

    def _print(self, own: OwnSide, price: i64, size: i64, now: i64) -> None:
        at: i64 = 0
        while at < own.count:
            order = own.orders[at]
            distance = (order.price - price) * order.side
            if distance < 0:
                return
            if distance == 0:
                order.ahead -= size
                if order.ahead >= 0:
                    at += 1
                    continue
            self._fill_whole(order, now)

    def _fill_whole(self, order: RestingOrder, now: i64) -> None:
        self.remove(order, FILL_WHOLE)
        self.fill(now, order, order.price, order.remaining, False)

    def arrive(
        self, now: i64, order_id: i64, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool
    ) -> None:
        order = self.admit(order_id, side, price, size, reduce_only)
        crosses = self.book.asks.reaches(price) if side > 0 else self.book.bids.reaches(price)
        if crosses:
            if time_in_force == POST_ONLY:
                self.expire(now, order, VENUE_POST_ONLY)
            else:
                order.end = FILL_WHOLE
                self.fill(now, order, self.book.best_ask() if side > 0 else self.book.best_bid(), size, True)
            return
        if time_in_force == IMMEDIATE_OR_CANCEL:
            self.expire(now, order, VENUE_NO_MATCH)
            return
        order.ahead = self.book.bids.size_at(price) if side > 0 else self.book.asks.size_at(price)
        self.rest(order, now)
