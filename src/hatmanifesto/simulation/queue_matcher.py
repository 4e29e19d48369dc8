"""The exchange models `queue` and `cross`: own orders against a recorded market, liquidity never filled twice.

The tape is history: it does not react. An own maker order waits behind the size that stood at its price when it
arrived, moves up by prints and as its queue model says (`queue_models`: risk-averse unless chosen otherwise), and
shares each print with the other own orders in price-time priority. An own taker order takes the sizes shown, level
by level, and what it took stays taken until the level shrinks below it. `cross` ignores prints: for
tapes without trades, an order fills only from sizes shown at or through its price.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.book import BookSide
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import BBO, BUY_BIT, DEPTH, KIND_MASK, MORE, SELL_BIT, SNAPSHOT, TRADE
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import CONFIRM_CANCEL, FILL_WHOLE
from hatmanifesto.model.reasons import (
    NONE,
    VENUE_MIN_NOTIONAL,
    VENUE_NO_MATCH,
    VENUE_OTHER,
    VENUE_POST_ONLY,
    VENUE_REDUCE_ONLY,
    VENUE_TICK,
)
from hatmanifesto.simulation.latency import OrderLatency
from hatmanifesto.simulation.matcher import Matcher, OwnSide, RestingOrder
from hatmanifesto.simulation.queue_models import QueueModel, RiskAverseQueue
from hatmanifesto.simulation.wire import Line

UNSEEN: Final = (1 << 61) - 1
"""Size ahead at a price beyond the visible book: unknown, so no print fills the order until the level is seen."""


@final
class TakenLiquidity:
    """What own orders have used of one side's shown sizes, by price."""

    def __init__(self, side: BookSide) -> None:
        self.side: Final[BookSide] = side
        self.taken: dict[int, int] = {}

    def available(self, price: i64) -> i64:
        """Return the shown size that own orders have not used."""
        shown = self.side.size_at(price)
        if not self.taken:
            return shown
        return shown - i64(self.taken.get(int(price), 0))

    def take(self, price: i64, size: i64) -> None:
        """Use some of a level."""
        self.taken[int(price)] = self.taken.get(int(price), 0) + int(size)

    def level_now(self, price: i64, size: i64) -> None:
        """A level's size was reported: no more can have been taken of it than is there."""
        before = self.taken.get(int(price), 0)
        if before > int(size):
            if size > 0:
                self.taken[int(price)] = int(size)
            else:
                del self.taken[int(price)]

    def book_now(self) -> None:
        """The whole book was reported."""
        for price in list(self.taken):
            self.level_now(i64(price), self.side.size_at(i64(price)))


@final
class QueueMatcher(Matcher):
    """See the module's text. `use_trades` False is the model `cross`, which asks no queue model."""

    def __init__(
        self,
        instrument: Instrument,
        responses: Line,
        latency: OrderLatency,
        use_trades: bool,
        queue: QueueModel | None = None,
    ) -> None:
        super().__init__(instrument, responses, latency)
        self.queue: Final[QueueModel] = queue if queue is not None else RiskAverseQueue()
        self.use_trades: Final[bool] = use_trades
        self._partly_reported: bool = False
        self.taken_bids: Final[TakenLiquidity] = TakenLiquidity(self.book.bids)
        self.taken_asks: Final[TakenLiquidity] = TakenLiquidity(self.book.asks)

    # -- the market moves -------------------------------------------------------------------------

    def quiet_levels(self) -> bool:
        return not self._partly_reported and not self.taken_bids.taken and not self.taken_asks.taken

    def apply(self, meta: i64, price: i64, size: i64, now: i64) -> None:
        kind = meta & KIND_MASK
        if kind == DEPTH:
            if meta & BUY_BIT:
                self._level(self.taken_bids, self.bids, self.asks, meta, price, size, now)
            else:
                self._level(self.taken_asks, self.asks, self.bids, meta, price, size, now)
        elif kind == TRADE:
            if self.use_trades:
                self._print(meta, price, size, now)
        elif kind == BBO or kind == SNAPSHOT:
            self.book.apply(meta, price, size, now)
            if meta & MORE == 0:
                self._book_reported(now)
        elif self.account is not None:
            self.account.context(self.instrument.index, kind, price, size, now)

    def _level(
        self, shown: TakenLiquidity, same: OwnSide, opposite: OwnSide, meta: i64, price: i64, size: i64, now: i64
    ) -> None:
        """A level's new size caps what is ahead at its price; a new best may meet own orders opposite."""
        touched = shown.side.set(price, size)
        if shown.taken:
            shown.level_now(price, size)
        key = price * same.side
        if same.worst_key <= key <= same.best_key:
            self.reported(same, price, size, now)
        if meta & MORE:
            self._partly_reported = True
        elif self._partly_reported:
            self._book_reported(now)
        elif touched and -key <= opposite.best_key:
            self._meet(opposite, shown, now)

    def _book_reported(self, now: i64) -> None:
        """A message that changed many levels is complete."""
        self._partly_reported = False
        if self.taken_bids.taken:
            self.taken_bids.book_now()
        if self.taken_asks.taken:
            self.taken_asks.book_now()
        if self.bids.count > 0:
            self._report_all(self.bids, self.book.bids, now)
            self._meet(self.bids, self.taken_asks, now)
        if self.asks.count > 0:
            self._report_all(self.asks, self.book.asks, now)
            self._meet(self.asks, self.taken_bids, now)

    def reported(self, own: OwnSide, price: i64, size: i64, now: i64) -> None:
        # a younger order never comes to stand before an older one
        least: i64 = 0
        for at in range(own.count):
            order = own.orders[at]
            if order.price == price:
                self.queue.reported(order, size, now)
                if order.ahead < least:
                    order.ahead = least
                least = order.ahead

    def _report_all(self, own: OwnSide, side: BookSide, now: i64) -> None:
        """Tell every order whose level is visible what it shows."""
        if side.best < 0:
            return
        worst = side.worst_price()
        last: i64 = 0
        for at in range(own.count):
            price = own.orders[at].price
            if price != last and (price - worst) * own.side >= 0:
                self.reported(own, price, side.size_at(price), now)
            last = price

    def _print(self, meta: i64, price: i64, size: i64, now: i64) -> None:
        """Share a print among own orders that stand at its price or better, best and oldest first."""
        if meta & BUY_BIT:
            passive = self.asks
        elif meta & SELL_BIT:
            passive = self.bids
        elif 0 < self.book.best_ask() <= price:
            passive = self.asks
        elif price <= self.book.best_bid():
            passive = self.bids
        else:
            return
        left = size
        passed: i64 = 0  # of the market's queue at this price
        at: i64 = 0
        while at < passive.count:
            order = passive.orders[at]
            distance = (order.price - price) * order.side
            if distance < 0:
                return
            if distance > 0:
                order.ahead = 0  # the print went through: nothing was left before this order
            else:
                step = order.ahead - passed
                if step > 0:
                    if step > left:
                        step = left
                    passed += step
                    left -= step
                if passed < order.ahead:
                    order.ahead -= passed
                else:
                    order.ahead = 0
                self.queue.printed(order, size, now)
            if left > 0 and order.ahead == 0:
                done = self._fill_resting(order, left, now)
                left -= done
                if order.resting:
                    at += 1
            else:
                at += 1

    def _meet(self, own: OwnSide, shown: TakenLiquidity, now: i64) -> None:
        """The opposite book shows sizes at or through own prices: those orders would have met ours first."""
        price = shown.side.best_price()
        while price > 0 and own.best_key >= price * own.side:
            available = shown.available(price)
            if available > 0:
                order = own.orders[0]
                done = self._fill_resting(order, available, now)
                if done > 0:
                    shown.take(price, done)
                elif order.resting:
                    return
            else:
                price = shown.side.next_price(price)

    def _fill_resting(self, order: RestingOrder, available: i64, now: i64) -> i64:
        """Fill a resting order at its price, as far as reduce-only allows; return the size filled.

        An order whose margin is gone is cancelled instead.
        """
        size = order.remaining if order.remaining < available else available
        if order.reduce_only:
            reducible = -self.position * order.side
            if size > reducible:
                size = reducible
        elif self.account is not None:
            reason = self.account.refusal(self.instrument.index, order.side, order.price, 0)
            if reason != NONE:
                self.remove(order, CONFIRM_CANCEL)
                self.answer(now, order.order_id, CONFIRM_CANCEL, reason)
                return 0
        if size > 0:
            if size == order.remaining:
                self.remove(order, FILL_WHOLE)
            self.fill(now, order, order.price, size, False)
        self._drop_reduce_only(now)
        if size > 0:
            return size
        return 0

    def sweep(self, now: i64, order_id: i64, side: i64, size: i64, price: i64) -> None:
        order = RestingOrder()
        order.order_id = order_id
        order.side = side
        order.price = price
        order.remaining = size
        self._take(order, self.taken_asks if side > 0 else self.taken_bids, now)

    def drop_useless(self, now: i64) -> None:
        self._drop_reduce_only(now)

    def _drop_reduce_only(self, now: i64) -> None:
        """The venue cancels reduce-only orders that no longer reduce anything."""
        if self.position >= 0:
            self._drop_from(self.bids, now)
        if self.position <= 0:
            self._drop_from(self.asks, now)

    def _drop_from(self, own: OwnSide, now: i64) -> None:
        at: i64 = 0
        while at < own.count:
            order = own.orders[at]
            if order.reduce_only:
                self.remove(order, CONFIRM_CANCEL)
                self.answer(now, order.order_id, CONFIRM_CANCEL, VENUE_REDUCE_ONLY)
            else:
                at += 1

    # -- own orders arrive ------------------------------------------------------------------------

    def arrive(
        self, now: i64, order_id: i64, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool
    ) -> None:
        order = self.admit(order_id, side, price, size, reduce_only)
        instrument = self.instrument
        if not instrument.on_grid(price) or size % instrument.lot_size != 0:
            self.reject(now, order, VENUE_TICK)
            return
        reducible = -self.position * side
        if reduce_only:
            if reducible <= 0:
                self.reject(now, order, VENUE_REDUCE_ONLY)
                return
        else:
            if instrument.notional(price, size) < instrument.min_notional:
                self.reject(now, order, VENUE_MIN_NOTIONAL)
                return
            if self.account is not None:
                reason = self.account.refusal(instrument.index, side, price, size)
                if reason != NONE:
                    self.reject(now, order, reason)
                    return
        opposite = self.taken_asks if side > 0 else self.taken_bids
        crosses = opposite.side.reaches(price)
        own_opposite = self.asks if side > 0 else self.bids
        if time_in_force == POST_ONLY:
            if crosses or own_opposite.best_key >= -price * side:
                self.reject(now, order, VENUE_POST_ONLY)
                return
        elif crosses:
            self._take(order, opposite, now)
            if order.remaining == 0:
                order.end = FILL_WHOLE
                return
        if time_in_force == IMMEDIATE_OR_CANCEL:
            if order.remaining == size:
                self.reject(now, order, VENUE_NO_MATCH)
            else:
                self.expire(now, order, VENUE_NO_MATCH)
            return
        own_side = self.book.bids if side > 0 else self.book.asks
        shown: i64 = 0
        if self.book.depth_limited() and own_side.best >= 0 and (price - own_side.worst_price()) * side < 0:
            order.ahead = UNSEEN
        else:
            shown = own_side.size_at(price)
            order.ahead = shown
        self.queue.joined(order, shown)
        self.rest(order, now)

    def _take(self, order: RestingOrder, opposite: TakenLiquidity, now: i64) -> None:
        """Take shown sizes level by level up to the limit price; own orders in the way are cancelled first."""
        self._expire_own(order, now)
        price = opposite.side.best_price()
        while order.remaining > 0 and price > 0 and (order.price - price) * order.side >= 0:
            available = opposite.available(price)
            size = order.remaining if order.remaining < available else available
            if order.reduce_only:
                reducible = -self.position * order.side
                if size > reducible:
                    size = reducible
                if reducible <= 0:
                    break
            if size > 0:
                opposite.take(price, size)
                self.fill(now, order, price, size, True)
            price = opposite.side.next_price(price)
        self._drop_reduce_only(now)

    def _expire_own(self, taker: RestingOrder, now: i64) -> None:
        """Self-trade prevention, expire maker: own orders that this one would hit are cancelled."""
        own = self.asks if taker.side > 0 else self.bids
        while own.best_key >= -taker.price * taker.side:
            order = own.orders[0]
            self.remove(order, CONFIRM_CANCEL)
            self.answer(now, order.order_id, CONFIRM_CANCEL, VENUE_OTHER)
