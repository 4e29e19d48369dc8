"""One instrument of the live market: orders enter, match by price and time, rest, fire, and end."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.fees import BUILDER_UNIT
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import RATE_SCALE, muldiv, rate_of
from hatmanifesto.model.order import GOOD_TILL_CANCEL, POST_ONLY
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import Holding, LiveAccount
from hatmanifesto.simulation.live.events import FILLS, REFUSED, RESTS, Answer, Fill, LevelChanged, Trade
from hatmanifesto.simulation.live.floor import Floor
from hatmanifesto.simulation.live.order_book import LiveBook, LiveSide
from hatmanifesto.simulation.live.orders import (
    ARMED,
    BY_OWNER,
    ENDED,
    IMMEDIATE_BITS,
    MARKET,
    RESTING,
    WAITING,
    WORKING,
    LiveOrder,
)
from hatmanifesto.simulation.live.prices import Prices


@final
class LiveMarket:
    """See the module's text. Whether an order is taken at all is asked before, in admission.py."""

    def __init__(self, index: i64, floor: Floor) -> None:
        self.index: Final[i64] = index
        self.floor: Final[Floor] = floor
        self.instrument: Final[Instrument] = floor.instruments[index]
        self.book: Final[LiveBook] = LiveBook()
        self.prices: Final[Prices] = Prices(self.book)
        self._armed: Final[dict[int, LiveOrder]] = {}
        self._look: bool = False  # whether an armed trigger may fire

    # -- an order enters --------------------------------------------------------------------------

    def enter(self, order: LiveOrder) -> Answer:
        """Match an order that was taken, rest what may rest, and answer."""
        if order.time_in_force != POST_ONLY:
            self._take(order)
        filled = order.filled_size()
        if order.remaining == 0:
            self._end_filled(order)
            return Answer(FILLS, order.oid, order.cloid, "", filled, order.filled_value)
        if order.reduce_only and self._reducible(order) <= 0:
            self.end(order, wording.REDUCE_ONLY_CANCELED)
        elif (IMMEDIATE_BITS >> order.time_in_force) & 1:
            if filled == 0:
                return self._unmatched(order)
            self.end(order, wording.CANCELED)
        else:
            self._rest(order)
        if filled == 0:
            return Answer(RESTS, order.oid, order.cloid)
        return Answer(FILLS, order.oid, order.cloid, "", filled, order.filled_value)

    def _unmatched(self, order: LiveOrder) -> Answer:
        """An immediate order found nothing."""
        if order.time_in_force == MARKET and self.book.of(-order.side).best is None:
            status, text = wording.NO_LIQUIDITY_REJECTED, wording.NO_LIQUIDITY
        else:
            status, text = wording.NO_MATCH_REJECTED, wording.NO_MATCH
        self.end(order, status)
        return Answer(REFUSED, order.oid, order.cloid, self.floor.refusal_text(text, self.index))

    def _reducible(self, order: LiveOrder) -> i64:
        """Return how much of the account's position an order of this side could close."""
        return self.reducible(self.floor.accounts[order.account], order.side)

    def reducible(self, account: LiveAccount, side: i64) -> i64:
        """Return how much of an account's position this side could close; nothing or less than that: none."""
        return -account.holdings[self.index].position.size * side

    def _rest(self, order: LiveOrder) -> None:
        account = self.floor.accounts[order.account]
        holding = account.holdings[self.index]
        self.book.of(order.side).join(order)
        oid = int(order.oid)
        account.orders[oid] = order
        holding.resting[oid] = order
        holding.count_open(order, order.remaining)
        if order.cloid:
            account.by_cloid[order.cloid] = order
        self.floor.tell(order, wording.OPEN)
        if order.reduce_only:
            holding.reducing[oid] = order
            self._trim(holding)

    # -- matching ---------------------------------------------------------------------------------

    def _take(self, order: LiveOrder) -> None:
        """Trade with the other side, best price first and oldest first, up to the limit price."""
        floor = self.floor
        other = self.book.of(-order.side)
        while order.remaining > 0:
            level = other.best
            if level is None or (order.price - level.price) * order.side < 0:
                return
            maker = level.first
            assert maker is not None
            if maker.account == order.account:
                self.end(maker, wording.SELF_TRADE_CANCELED)
                continue
            size = order.remaining if order.remaining < maker.remaining else maker.remaining
            if maker.reduce_only:
                reducible = self._reducible(maker)
                if reducible <= 0:
                    self.end(maker, wording.REDUCE_ONLY_CANCELED)
                    continue
                if size > reducible:
                    size = reducible
            if order.reduce_only:
                reducible = self._reducible(order)
                if reducible <= 0:
                    return
                if size > reducible:
                    size = reducible
            account = floor.accounts[maker.account]
            if not maker.reduce_only and not floor.rules.may_fill(
                account, self.instrument, maker.side, maker.price, size, self.prices.reference()
            ):
                self.end(maker, wording.MARGIN_CANCELED)
                continue
            self._trade(order, maker, other, size)

    def _trade(self, taker: LiveOrder, maker: LiveOrder, other: LiveSide, size: i64) -> None:
        """Exchange a size at the maker's price."""
        floor = self.floor
        price = maker.price
        tid = floor.next_tid()
        other.reduce(maker, size)
        taker.remaining -= size
        buyer = taker if taker.side > 0 else maker
        seller = maker if taker.side > 0 else taker
        by_venue = taker.twap != 0 or taker.closing != BY_OWNER
        floor.events.append(Trade(self.index, tid, price, size, taker.side, buyer.account, seller.account, by_venue))
        taking = self._book_fill(taker, tid, price, size, True)
        making = self._book_fill(maker, tid, price, size, False)
        making.count_open(maker, -size)
        self.prices.last = price
        if maker.remaining == 0:
            self._end_filled(maker)
        if taker.siblings is not None:
            self._cancel_siblings(taker)
        if maker.siblings is not None:
            self._cancel_siblings(maker)
        self._position_moved(taking)
        self._position_moved(making)

    def exchange_outside(self, giver: LiveOrder, taker: LiveOrder, price: i64, size: i64) -> None:
        """Exchange a size outside the book, free of fees: no print, the orders rest nowhere."""
        tid = self.floor.next_tid()
        for order in [giver, taker]:
            order.remaining -= size
            holding = self._book_fill(order, tid, price, size, order is giver, free=True)
            self.floor.tell(order, wording.FILLED)
            order.place = ENDED
            self._position_moved(holding)

    def _book_fill(
        self, order: LiveOrder, tid: i64, price: i64, size: i64, crossed: bool, free: bool = False
    ) -> Holding:
        floor = self.floor
        account = floor.accounts[order.account]
        holding = account.holdings[self.index]
        position = holding.position
        order.filled_value += price * size
        notional = self.instrument.notional(price, size)
        fee: i64 = 0 if free else floor.rules.fee(account, self.instrument, notional, crossed)
        if order.builder_tenths != 0:
            fee += rate_of(notional, order.builder_tenths * BUILDER_UNIT)
        start = position.size
        closed = position.apply_fill(order.side, price, size, fee, crossed)
        account.cash += closed - fee
        account.volume += notional
        floor.rules.booked(account, self.instrument, order.side, price, size, fee, crossed)
        after = position.size
        self.prices.open_interest += (after if after > 0 else 0) - (start if start > 0 else 0)
        floor.events.append(Fill(order, tid, price, size, crossed, fee, start, closed))
        return holding

    def _position_moved(self, holding: Holding) -> None:
        if holding.reducing or holding.triggers:
            self._trim(holding)

    def _trim(self, holding: Holding) -> None:
        """Cancel reduce-only orders that reduce nothing, and the oldest while together they exceed the position."""
        held = holding.position.size
        reducible = held if held > 0 else -held
        total: i64 = 0
        for order in holding.reducing.values():
            total += order.remaining
        for order in list(holding.reducing.values()):
            if order.side * held >= 0 or (total > reducible and total > order.remaining):
                total -= order.remaining
                self.end(order, wording.REDUCE_ONLY_CANCELED)
        if holding.triggers:
            for order in list(holding.triggers.values()):
                if order.place == ARMED and order.reduce_only and order.side * held >= 0:
                    self.end(order, wording.REDUCE_ONLY_CANCELED)

    # -- an order ends ----------------------------------------------------------------------------

    def end(self, order: LiveOrder, status: str) -> None:
        """End an order that is not filled, wherever it is, and report it."""
        self._remove(order)
        self.floor.tell(order, status)
        children = order.children
        if children is not None:
            order.children = None
            arms = status == wording.MARGIN_CANCELED and order.filled_size() > 0
            for child in children:
                if child.place == WAITING:
                    if arms:
                        self.arm(child)
                    else:
                        self.end(child, wording.CANCELED)

    def _end_filled(self, order: LiveOrder) -> None:
        self._remove(order)
        self.floor.tell(order, wording.FILLED)
        children = order.children
        if children is not None:
            order.children = None
            for child in children:
                if child.place == WAITING:
                    self.arm(child)

    def _cancel_siblings(self, order: LiveOrder) -> None:
        siblings = order.siblings
        order.siblings = None
        if siblings is not None:
            for other in siblings:
                if other is not order and other.place != ENDED and other.place != WORKING:
                    self.end(other, wording.SIBLING_FILLED_CANCELED)

    def _remove(self, order: LiveOrder) -> None:
        """Take an order out of everything that lists it."""
        place = order.place
        order.place = ENDED
        if place == WORKING or place == ENDED:
            return
        account = self.floor.accounts[order.account]
        holding = account.holdings[self.index]
        oid = int(order.oid)
        account.orders.pop(oid, None)
        if order.cloid and account.by_cloid.get(order.cloid) is order:
            del account.by_cloid[order.cloid]
        if place == RESTING:
            self.book.of(order.side).leave(order, ENDED)
            holding.count_open(order, -order.remaining)
            del holding.resting[oid]
            if order.reduce_only:
                del holding.reducing[oid]
        else:
            self._armed.pop(oid, None)
            del holding.triggers[oid]

    # -- triggers ---------------------------------------------------------------------------------

    def keep_trigger(self, order: LiveOrder, place: i64) -> None:
        """List a trigger order: ARMED, or WAITING for its parent."""
        account = self.floor.accounts[order.account]
        oid = int(order.oid)
        order.place = place
        account.orders[oid] = order
        account.holdings[self.index].triggers[oid] = order
        if order.cloid:
            account.by_cloid[order.cloid] = order
        if place == ARMED:
            self._armed[oid] = order
            self._look = True
        self.floor.tell(order, wording.OPEN)

    def arm(self, order: LiveOrder) -> None:
        """Let a waiting child watch the mark price."""
        order.place = ARMED
        self._armed[int(order.oid)] = order
        self._look = True

    def set_prices(self, mark: i64, oracle: i64) -> None:
        """Take the venue's mark and oracle price."""
        self.prices.mark = mark
        self.prices.oracle = oracle
        self._look = True

    def fire_triggers(self) -> None:
        """Turn the triggers that the mark price has reached into orders, in the order in which they were armed."""
        if not self._look:
            return
        self._look = False
        mark = self.prices.mark
        if mark == 0 or not self._armed:
            return
        for order in [order for order in self._armed.values() if order.fires_at(mark)]:
            if order.place == ARMED:
                self._fire(order, mark)

    def _fire(self, order: LiveOrder, mark: i64) -> None:
        reducible = self._reducible(order)
        if order.reduce_only and reducible <= 0:
            self.end(order, wording.REDUCE_ONLY_CANCELED)
            return
        self._remove(order)
        order.place = WORKING
        order.time_ns = self.floor.now_ns
        self.floor.tell(order, wording.TRIGGERED)
        if order.size == 0:
            order.size = reducible
            order.remaining = reducible
        order.time_in_force = MARKET if order.is_market else GOOD_TILL_CANCEL
        if order.is_market:
            slippage = i64(muldiv(int(mark), self.floor.options.trigger_slippage, RATE_SCALE))
            order.price = self.instrument.snap(mark + order.side * slippage, order.side)
        account = self.floor.accounts[order.account]
        if not order.reduce_only and not self.floor.rules.may_open(
            account, self.instrument, order.side, order.price, order.remaining, mark
        ):
            self.end(order, wording.MARGIN_REJECTED)
            return
        self.enter(order)

    # -- the end of a block -----------------------------------------------------------------------

    def report_levels(self) -> None:
        """Report the levels that changed, bids then asks, best first."""
        self._report_side(self.book.bids)
        self._report_side(self.book.asks)

    def _report_side(self, side: LiveSide) -> None:
        changed = side.changed
        if not changed:
            return
        events = self.floor.events
        for key in sorted(changed, reverse=True):
            level = side.levels.get(key)
            if level is None:
                events.append(LevelChanged(self.index, side.side, key * side.side, 0, 0))
            else:
                events.append(LevelChanged(self.index, side.side, level.price, level.size, level.count))
        changed.clear()

    def holding_of(self, account: LiveAccount) -> Holding:
        """Return an account's holding of this instrument."""
        return account.holdings[self.index]
