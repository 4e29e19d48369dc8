"""What the account holds and has working: positions, open sizes, equity, drawdown, worst-case exposure."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import Order, OrderList
from hatmanifesto.model.order_state import CANCEL_PENDING
from hatmanifesto.model.position import Position, share_close, share_funding

FAR_ABOVE: Final = (1 << 62) - 1
"""Above every price."""


def worst_size(position: i64, open_buy: i64, open_sell: i64) -> i64:
    """Return the largest |position| if every open order of either side were filled."""
    long = position + open_buy
    short = open_sell - position
    return long if long > short else short


@final
class InstrumentLimits:
    """Limits of one instrument: sizes in size units, notionals in money units. 0 allows nothing."""

    def __init__(
        self, *, max_order_size: int, max_order_notional: int, max_position: int, max_position_notional: int
    ) -> None:
        self.max_order_size: i64 = max_order_size
        self.max_order_notional: i64 = max_order_notional
        self.max_position: i64 = max_position
        self.max_position_notional: i64 = max_position_notional


NOTHING_ALLOWED: Final[InstrumentLimits] = InstrumentLimits(
    max_order_size=0, max_order_notional=0, max_position=0, max_position_notional=0
)
"""What a holding starts with, until the risk manager sets its limits."""


@final
class Holding:
    """One instrument's share of the account, all strategies together."""

    def __init__(self, instrument: Instrument, leverage: i64) -> None:
        self.instrument: Final[Instrument] = instrument
        self.factor: Final[i64] = instrument.notional_factor
        self.leverage: i64 = leverage
        self.position: Final[Position] = Position(instrument.notional_factor)
        self.limits: InstrumentLimits = NOTHING_ALLOWED
        self.open_buy: i64 = 0
        self.open_sell: i64 = 0
        self.unknown_orders: i64 = 0
        self.mark_price: i64 = 0
        self.bid_price: i64 = 0
        self.ask_price: i64 = 0
        self.book_ts_ns: i64 = 0
        self.funding_rate: i64 = 0  # of the interval, parts per billion, as journaled in CONTEXT
        self.desks: Final[list[Desk]] = []

    def apply_funding(self, amount: i64) -> None:
        """Book a funding payment on the account's position and on the desks' that make it up."""
        self.position.apply_funding(amount)
        share_funding([desk.position for desk in self.desks], amount, self.position.size)

    def share_close(self, side: i64, price: i64, size: i64, fee: i64, taker: bool) -> None:
        """Book a fill that the venue forced, and the account has booked, on the desks whose position it closes."""
        share_close([desk.position for desk in self.desks], side, price, size, fee, taker)

    def value(self) -> i64:
        """Return what this position has changed in equity, at the last mark, money units."""
        total = self.position.cash()
        if self.position.size != 0:
            total += self.position.unrealized(self.mark_price)
        return total

    def worst_notional(self) -> i64:
        """Return the worst-case notional in money units at the last mark."""
        return worst_size(self.position.size, self.open_buy, self.open_sell) * self.mark_price * self.factor

    def worst_notional_with(self, side: i64, size: i64) -> i64:
        """Return the worst-case notional with one more order of that side and size."""
        if side > 0:
            worst = worst_size(self.position.size, self.open_buy + size, self.open_sell)
        else:
            worst = worst_size(self.position.size, self.open_buy, self.open_sell + size)
        return worst * self.mark_price * self.factor


@final
class Desk:
    """One strategy on one instrument: its own position, orders and decision clock."""

    def __init__(self, index: i64, strategy: i64, holding: Holding) -> None:
        self.index: Final[i64] = index
        self.strategy: Final[i64] = strategy
        self.holding: Final[Holding] = holding
        self.position: Final[Position] = Position(holding.factor)
        self.orders: Final[OrderList] = OrderList()
        self.open_buy: i64 = 0
        self.open_sell: i64 = 0
        self.max_strategy_notional: i64 = 0
        self.override: i64 = 0
        self.scale_percent: i64 = 100
        self.closing_bps: i64 = -1  # how far beyond the best price its position is closed; -1: not closing
        self.crossed_buy_ns: i64 = 0
        self.crossed_sell_ns: i64 = 0
        self.quiet_until_ns: i64 = 0  # a rate limit bound: no new quote is sent before
        # bounds of the live orders' prices, exact after `tighten`: no buy is above, no sell below
        self.highest_buy: i64 = 0
        self.lowest_sell: i64 = FAR_ABOVE

    def crossed_price(self, side: i64, price: i64) -> i64:
        """Return the price of a live order that one of that side and price would cross, 0 when there is none.

        One whose cancel is on the way goes first and does not count.
        """
        apart = price < self.lowest_sell if side > 0 else price > self.highest_buy
        if apart:
            return 0  # from every live order of the other side
        self.tighten()
        for at in range(self.orders.first, self.orders.end):
            order = self.orders.items[at]
            if order.side != side and order.state != CANCEL_PENDING and (price - order.price) * side >= 0:
                return order.price
        return 0

    def tighten(self) -> None:
        """Make the bounds of the live orders' prices exact."""
        self.highest_buy = 0
        self.lowest_sell = FAR_ABOVE
        for at in range(self.orders.first, self.orders.end):
            self.widen(self.orders.items[at])

    def widen(self, order: Order) -> None:
        """Let the bounds of the live orders' prices hold for one more."""
        if order.side > 0:
            if order.price > self.highest_buy:
                self.highest_buy = order.price
        elif order.price < self.lowest_sell:
            self.lowest_sell = order.price

    def note_crossed(self, side: i64, exch_ts: i64) -> None:
        """The venue refused a post-only order at exch_ts because it would have traded: our book was behind."""
        if side > 0:
            self.crossed_buy_ns = exch_ts
        else:
            self.crossed_sell_ns = exch_ts

    def book_behind(self, side: i64) -> bool:
        """Tell whether the book is older than the venue's last such refusal, so that it would be refused again."""
        if side > 0:
            return self.holding.book_ts_ns < self.crossed_buy_ns
        return self.holding.book_ts_ns < self.crossed_sell_ns

    def worst_notional(self) -> i64:
        """Return this desk's worst-case notional in money units at the last mark."""
        holding = self.holding
        return worst_size(self.position.size, self.open_buy, self.open_sell) * holding.mark_price * holding.factor

    def worst_notional_with(self, side: i64, size: i64) -> i64:
        """Return the same with one more order of that side and size."""
        if side > 0:
            worst = worst_size(self.position.size, self.open_buy + size, self.open_sell)
        else:
            worst = worst_size(self.position.size, self.open_buy, self.open_sell + size)
        return worst * self.holding.mark_price * self.holding.factor


@final
class Portfolio:
    """The account, in money units: `deposit` plus what trading changed."""

    def __init__(self, deposit: i64, holdings: list[Holding], desks: list[Desk]) -> None:
        self.deposit: i64 = deposit
        self.holdings: Final[list[Holding]] = holdings
        self.desks: Final[list[Desk]] = desks
        self._several_holdings: bool = len(holdings) > 1
        self._several_desks: bool = len(desks) > 1
        self.equity: i64 = deposit
        self.peak_equity: i64 = deposit
        self.max_drawdown: i64 = 0

    def add_order(self, order: Order, desk: Desk) -> None:
        """Count an order that is about to be sent."""
        desk.orders.append(order)
        desk.widen(order)
        if order.side > 0:
            desk.open_buy += order.size
            desk.holding.open_buy += order.size
        else:
            desk.open_sell += order.size
            desk.holding.open_sell += order.size

    def remove_order(self, order: Order, desk: Desk) -> None:
        """Stop counting an order that has ended, with whatever of it is unfilled."""
        desk.orders.remove(order)
        self.release(order, desk, order.size - order.filled)

    def release(self, order: Order, desk: Desk, size: i64) -> None:
        """Take a size out of the open total: it was filled or is no longer working."""
        if size <= 0:
            return
        if order.side > 0:
            desk.open_buy -= size
            desk.holding.open_buy -= size
        else:
            desk.open_sell -= size
            desk.holding.open_sell -= size

    def value(self) -> i64:
        """Return equity at the last marks: deposit + realized - fees + funding + unrealized, money units."""
        total = self.deposit
        for at in range(i64(len(self.holdings))):
            total += self.holdings[at].value()
        return total

    def mark(self) -> None:
        """Value the account and move the peak; drawdown is measured from the peak of marked equity."""
        equity = self.value()
        self.equity = equity
        if equity > self.peak_equity:
            self.peak_equity = equity
        fall = self.peak_equity - equity
        if fall > self.max_drawdown:
            self.max_drawdown = fall

    def cash(self) -> i64:
        """Return deposit + realized - fees + rebates + funding, money units."""
        total = self.deposit
        for holding in self.holdings:
            total += holding.position.cash()
        return total

    def gross_notional(self) -> i64:
        """Return the sum of |position| x mark over instruments, money units."""
        total: i64 = 0
        for holding in self.holdings:
            total += holding.position.notional(holding.mark_price)
        return total

    def worst_notional_beside(self, holding: Holding) -> i64:
        """Return the worst-case notional of every other instrument, money units."""
        total: i64 = 0
        if self._several_holdings:
            for other in self.holdings:
                if other is not holding:
                    total += other.worst_notional()
        return total

    def margin_beside(self, holding: Holding) -> i64:
        """Return the initial margin that every other instrument's worst case needs, money units."""
        total: i64 = 0
        if self._several_holdings:
            for other in self.holdings:
                if other is not holding:
                    total += other.worst_notional() // other.leverage
        return total

    def strategy_notional_beside(self, desk: Desk) -> i64:
        """Return the worst-case notional of the same strategy's other desks, money units."""
        total: i64 = 0
        if self._several_desks:
            for other in self.desks:
                if other.strategy == desk.strategy and other is not desk:
                    total += other.worst_notional()
        return total
