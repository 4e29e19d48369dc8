"""What every simulated matching engine shares: own orders by id, priority lists, answers, fees, positions."""

from abc import abstractmethod
from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.model.book import Book
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    BUY_BIT,
    BUY_SHIFT,
    DEPTH,
    INSTRUMENT_BITS,
    INSTRUMENT_SHIFT,
    ROW_WORDS,
    SELL_BIT,
    SELL_SHIFT,
    TRADE,
    WHOLE_ROW_BITS,
    WORD_META,
    WORD_PRICE,
    WORD_SIZE,
)
from hatmanifesto.model.money import rate_of
from hatmanifesto.model.order import SLOT_MASK
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    CONFIRM_CANCEL,
    EXPIRE,
    FIND_ABSENT,
    FIND_OPEN,
    REFUSE_CANCEL,
    REJECT,
)
from hatmanifesto.model.reasons import NONE, VENUE_NEVER_PLACED
from hatmanifesto.simulation.latency import OrderLatency
from hatmanifesto.simulation.venue_account import VenueAccount
from hatmanifesto.simulation.wire import EVENT, FILLED, Line

FAR_ABOVE: Final = (1 << 60) - 1
"""Above every price, and differences of two such still fit 64 bits."""


@final
class RestingOrder:
    """An own order at the venue. `ahead` is the market's size before it in its level's queue.

    The queue model's own memory: the level's size when last reported, prints since that it does not show yet with
    the moment of the last one, and the part of a size unit (2^-30) by which the order has moved up.
    """

    def __init__(self) -> None:
        self.order_id: i64 = 0
        self.side: i64 = 1
        self.price: i64 = 0
        self.remaining: i64 = 0
        self.ahead: i64 = 0
        self.shown: i64 = 0
        self.printed: i64 = 0
        self.printed_ns: i64 = 0
        self.fraction: i64 = 0
        self.reduce_only: bool = False
        self.resting: bool = False
        self.end: i64 = FIND_ABSENT


def _put(orders: list[RestingOrder], at: i64, order: RestingOrder) -> None:
    orders[at] = order  # through a parameter, as in model.words


@final
class OwnSide:
    """Own resting orders of one side, best price first, then oldest first.

    `best_key` and `worst_key` (side x price) bound them, so that most rows are known at once to concern none;
    with no orders best_key is below every key and worst_key above.
    """

    def __init__(self, side: i64) -> None:
        self.side: Final[i64] = side
        self.orders: Final[list[RestingOrder]] = []  # [:count]; its storage never shrinks
        self.count: i64 = 0
        self.best_key: i64 = -FAR_ABOVE
        self.worst_key: i64 = FAR_ABOVE

    def insert(self, order: RestingOrder) -> None:
        """Add an order behind own orders of the same price."""
        at = self.count
        self.count = at + 1
        if at == len(self.orders):
            self.orders.append(order)
        key = order.price * self.side
        if key < self.worst_key:
            self.worst_key = key
        if key > self.best_key:
            self.best_key = key
        before = at - 1
        while before >= 0 and self.orders[before].price * self.side < key:
            self.orders[at] = self.orders[before]
            at = before
            before -= 1
        _put(self.orders, at, order)

    def remove(self, order: RestingOrder) -> None:
        """Take an order out."""
        last = self.count - 1
        self.count = last
        if last == 0:
            self.best_key = -FAR_ABOVE
            self.worst_key = FAR_ABOVE
            return
        at: i64 = 0
        while self.orders[at].order_id != order.order_id:
            at += 1
        while at < last:
            self.orders[at] = self.orders[at + 1]
            at += 1
        last -= 1
        self.best_key = self.orders[0].price * self.side
        self.worst_key = self.orders[last].price * self.side


class Matcher:
    """One instrument's matching engine: derive from it and say how rows and arrivals fill own orders."""

    def __init__(self, instrument: Instrument, responses: Line, latency: OrderLatency) -> None:
        self.instrument: Final[Instrument] = instrument
        self.book: Final[Book] = Book()
        self.responses: Final[Line] = responses
        self.latency: Final[OrderLatency] = latency
        self.orders: Final[list[RestingOrder]] = []
        self.bids: Final[OwnSide] = OwnSide(1)
        self.asks: Final[OwnSide] = OwnSide(-1)
        self.account: VenueAccount | None = None
        self.position: i64 = 0
        self.trade_id: i64 = 0
        self.fills: i64 = 0

    def take_rows(self, rows: vec[i64], at: i64, end: i64, limit: i64) -> i64:
        """Apply packed rows of this instrument stamped before `limit`, and before any answer is due.

        Returns where the first row not taken begins.
        """
        responses = self.responses
        instrument = self.instrument.index << INSTRUMENT_SHIFT
        depth_of_ours = instrument | DEPTH
        trade_of_ours = instrument | TRADE
        bids = self.book.bids
        asks = self.book.asks
        levels = self.book.levels
        own_bids = self.bids
        own_asks = self.asks
        while at < end:
            if responses.next_ns < limit:
                limit = responses.next_ns
            # chosen by arithmetic, see MarketView.take_rows
            origin = bids.origin
            low = bids.low if self.quiet_levels() else bids.end + asks.end  # above every level: none is quiet
            best = bids.best
            own_best = own_bids.best_key
            own_worst = own_bids.worst_key
            origin_step = asks.origin - origin
            low_step = asks.low - bids.low
            best_step = asks.best - best
            own_best_step = own_asks.best_key - own_best
            own_worst_step = own_asks.worst_key - own_worst
            resting = own_bids.count + own_asks.count
            while at < end:
                now = rows[at]
                if now >= limit:
                    return at
                meta = rows[at + WORD_META]
                price = rows[at + WORD_PRICE]
                # most rows change the size of a level that stays: that is one store, of which own orders there are told
                if meta & WHOLE_ROW_BITS == depth_of_ours:
                    ask = -((meta >> SELL_SHIFT) & 1)
                    key = (price ^ ask) - ask
                    level = key - origin - (origin_step & ask)
                    size = rows[at + WORD_SIZE]
                    if low + (low_step & ask) <= level < best + (best_step & ask) + i64(size > 0) and (
                        -key > own_best + (own_best_step & ~ask)
                    ):
                        levels[level] = size
                        if own_worst + (own_worst_step & ask) <= key <= own_best + (own_best_step & ask):
                            self.reported(own_asks if ask else own_bids, price, size, now)
                        at += ROW_WORDS
                        continue
                elif meta & WHOLE_ROW_BITS == trade_of_ours:
                    # a print that reaches no own order changes nothing here
                    buy = -((meta >> BUY_SHIFT) & 1)
                    if (price ^ buy) - buy > own_best + (own_best_step & buy) and meta & (BUY_BIT | SELL_BIT) != 0:
                        at += ROW_WORDS
                        continue
                    self.apply(meta, price, rows[at + WORD_SIZE], now)
                    at += ROW_WORDS
                    if own_bids.count + own_asks.count == resting and responses.next_ns >= limit:
                        continue  # it used up what stood before an order, no more
                    break
                elif meta & INSTRUMENT_BITS != instrument:
                    return at
                self.apply(meta, price, rows[at + WORD_SIZE], now)
                at += ROW_WORDS
                break
        return at

    def quiet_levels(self) -> bool:
        """Tell whether a level can change its size without any effect but on own orders at its price."""
        return True

    @abstractmethod
    def reported(self, own: OwnSide, price: i64, size: i64, now: i64) -> None:
        """Tell the own orders at a price what their level shows."""

    @abstractmethod
    def apply(self, meta: i64, price: i64, size: i64, now: i64) -> None:
        """Apply a market row at the venue's time `now`; fills of own orders go onto the response line."""

    @abstractmethod
    def arrive(
        self, now: i64, order_id: i64, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool
    ) -> None:
        """Handle an own order that arrives at the venue."""

    def cancel(self, now: i64, order_id: i64) -> None:
        """Handle a cancel that arrives at the venue."""
        order = self.find(order_id)
        if order is None or not order.resting:
            self.answer(now, order_id, REFUSE_CANCEL, VENUE_NEVER_PLACED)
            return
        self.remove(order, CONFIRM_CANCEL)
        self.answer(now, order_id, CONFIRM_CANCEL, NONE)

    def query(self, now: i64, order_id: i64) -> None:
        """Answer what became of an order: open, how it ended, or never seen."""
        order = self.find(order_id)
        if order is None:
            self.answer(now, order_id, FIND_ABSENT, VENUE_NEVER_PLACED)
        elif order.resting:
            self.answer(now, order_id, FIND_OPEN, NONE)
        else:
            self.answer(now, order_id, order.end, NONE)

    def cancel_all(self, now: i64, reason: i64) -> None:
        """The venue cancels everything that rests."""
        for own in (self.bids, self.asks):
            while own.count > 0:
                order = own.orders[0]
                self.remove(order, CONFIRM_CANCEL)
                self.answer(now, order.order_id, CONFIRM_CANCEL, reason)

    def sweep(self, now: i64, order_id: i64, side: i64, size: i64, price: i64) -> None:
        """The venue's own order takes what the book shows up to a price; the rest is dropped. Needs a model that
        can."""
        raise NotImplementedError("this exchange model cannot liquidate")

    def drop_useless(self, now: i64) -> None:
        """The position was changed from outside: cancel reduce-only orders that no longer reduce anything."""

    def find(self, order_id: i64) -> RestingOrder | None:
        """Return the order with this id, if the venue has seen it and its slot was not used again."""
        slot = order_id & SLOT_MASK
        if slot >= len(self.orders):
            return None
        order = self.orders[slot]
        return order if order.order_id == order_id else None

    def admit(self, order_id: i64, side: i64, price: i64, size: i64, reduce_only: bool) -> RestingOrder:
        """Return the order object of an arriving order; it does not rest yet."""
        slot = order_id & SLOT_MASK
        while slot >= len(self.orders):
            self.orders.append(RestingOrder())
        order = self.orders[slot]
        order.order_id = order_id
        order.side = side
        order.price = price
        order.remaining = size
        order.reduce_only = reduce_only
        order.resting = False
        order.ahead = 0
        order.end = FIND_ABSENT
        return order

    def rest(self, order: RestingOrder, now: i64) -> None:
        """Put an order into its priority list, behind own orders of the same price, and acknowledge it."""
        if order.side > 0:
            self.bids.insert(order)
        else:
            self.asks.insert(order)
        order.resting = True
        self.answer(now, order.order_id, ACKNOWLEDGE, NONE)

    def remove(self, order: RestingOrder, end: i64) -> None:
        """Take an order out of its priority list; `end` is what a query will be answered."""
        if order.side > 0:
            self.bids.remove(order)
        else:
            self.asks.remove(order)
        order.resting = False
        order.end = end

    def answer(self, now: i64, order_id: i64, trigger: i64, reason: i64) -> None:
        """Send an order event back."""
        message = self.responses.send(self.latency.at_engine_ns(now), EVENT, order_id)
        message.trigger = trigger
        message.reason = reason
        message.exch_ts = now

    def reject(self, now: i64, order: RestingOrder, reason: i64) -> None:
        """Refuse an arriving order."""
        order.end = REJECT
        self.answer(now, order.order_id, REJECT, reason)

    def expire(self, now: i64, order: RestingOrder, reason: i64) -> None:
        """End an order by its own terms."""
        order.end = EXPIRE
        self.answer(now, order.order_id, EXPIRE, reason)

    def fill(self, now: i64, order: RestingOrder, price: i64, size: i64, taker: bool) -> None:
        """Fill part of an order: position, fee (truncated toward zero) and the message back."""
        account = self.account
        instrument = self.instrument
        order.remaining -= size
        self.position += order.side * size
        self.trade_id += 1
        self.fills += 1
        if account is None:
            fee = rate_of(
                price * size * instrument.notional_factor, instrument.taker_fee if taker else instrument.maker_fee
            )
        else:
            fee = account.charge(instrument.index, order.side, price, size, taker, now)
        message = self.responses.send(self.latency.at_engine_ns(now), FILLED, order.order_id)
        message.instrument = instrument.index
        message.side = order.side
        message.price = price
        message.size = size
        message.fee = fee
        message.taker = taker
        message.exch_ts = now
        message.trade_id = self.trade_id
