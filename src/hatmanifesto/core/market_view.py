"""The engine's view of one market: the book as the receiver knows it, and what has happened so far."""

from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.core.portfolio import Holding
from hatmanifesto.model.book import Book, BookSide
from hatmanifesto.model.market_row import (
    BUY_BIT,
    DEPTH,
    FUNDING,
    INSTRUMENT_BITS,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MARK,
    MORE,
    ORACLE,
    ROW_WORDS,
    SELL_BIT,
    SELL_SHIFT,
    TRADE,
    WHOLE_ROW_BITS,
    WORD_META,
    WORD_PRICE,
    WORD_SIZE,
)

BEST_CHANGED: Final = 1
TRADED_THROUGH: Final = 2
OWN_EVENT: Final = 4
TIMER: Final = 8
OPERATOR: Final = 16
TRIGGER_NAMES: Final = {1: "best_changed", 2: "traded_through", 4: "own_event", 8: "timer", 16: "operator"}

FAR_ABOVE: Final = (1 << 62) - 1


@final
class Top:
    """The best level of one side as it was when last looked at; `key` is side x price, least when empty."""

    def __init__(self, side: BookSide) -> None:
        self.side: Final[BookSide] = side
        self.key: i64 = -FAR_ABOVE
        self.size: i64 = 0
        self.flow: i64 = 0

    def moved(self) -> bool:
        """Look again; True when price or size differ. Their order-flow imbalance is added to `flow`."""
        side = self.side
        key: i64 = -FAR_ABOVE
        size: i64 = 0
        if side.best >= 0:
            key = side.best + side.origin
            size = side.levels[side.best]
        old = self.key
        if key == old and size == self.size:
            return False
        flow: i64 = 0
        if key >= old:
            flow = size
        if key <= old:
            flow -= self.size
        self.flow += flow * side.side
        self.key = key
        self.size = size
        return True

    def resize(self, size: i64) -> None:
        """Take a new size at the same price, as `moved` does when it looks again."""
        self.flow += (size - self.size) * self.side.side
        self.size = size


@final
class TradedRange:
    """The prices that trades reached since it was last taken: highest bought at, lowest sold at; 0 = none.

    A trade whose aggressor the venue lost counts for both.
    """

    def __init__(self) -> None:
        self.highest_buy: i64 = 0
        self.lowest_sell: i64 = 0

    def note(self, meta: i64, price: i64) -> None:
        """Widen the range by a trade."""
        if meta & SELL_BIT == 0 and price > self.highest_buy:
            self.highest_buy = price
        if meta & BUY_BIT == 0 and (self.lowest_sell == 0 or price < self.lowest_sell):
            self.lowest_sell = price


@final
class MarketView:
    """Merges the rows of a venue's channels for one instrument.

    Volumes and trades count from the start, in size units; order-flow imbalance is the sum of Cont, Kukanov and
    Stoikov's e (2014) in size units, positive when bids grew or asks shrank.
    """

    def __init__(self) -> None:
        self.book: Final[Book] = Book()
        self.book_ts_ns: i64 = 0
        self.received_ns: i64 = 0
        self.mark_price: i64 = 0
        self.oracle_price: i64 = 0
        self.funding_rate: i64 = 0
        self.context_changed: bool = False
        self.buy_volume: i64 = 0
        self.sell_volume: i64 = 0
        self.trades: i64 = 0
        self.own_bid: i64 = 0
        self.own_ask: i64 = FAR_ABOVE
        self.instrument: i64 = 0
        self.wanted: i64 = 0  # bits that some strategy waits for
        self.moved: i64 = 0  # the wanted bits that made take_rows return
        self.ranged: bool = False
        self.ranges: Final[list[TradedRange]] = []  # of those who ask for one
        self._pending: i64 = 0
        self._incomplete: bool = False  # a snapshot's or best prices' message is: the tops are not looked at yet
        self._top_bid: Final[Top] = Top(self.book.bids)
        self._top_ask: Final[Top] = Top(self.book.asks)

    def take_rows(self, rows: vec[i64], at: i64, end: i64, limit: i64, clock_word: i64) -> i64:
        """Apply packed rows of this instrument while their word `clock_word` is at most `limit`.

        Returns where the first row not taken begins: at a later stamp, another instrument, or after a row
        that completed something wanted, which `moved` then says.
        """
        self.moved = 0
        wanted = self.wanted
        instrument = self.instrument << INSTRUMENT_SHIFT
        depth_of_ours = instrument | DEPTH
        trade_of_ours = instrument | TRADE
        bids = self.book.bids
        asks = self.book.asks
        levels = self.book.levels
        last_depth: i64 = -1
        # bids' origin, lowest and best index, and how the asks' differ: chosen by arithmetic, since the side of a row
        # is a coin toss that a branch would lose half of the time
        origin = bids.origin
        low = bids.low
        best = bids.best
        origin_step = asks.origin - origin
        low_step = asks.low - low
        best_step = asks.best - best
        top_bid = self._top_bid
        top_ask = self._top_ask
        bid_size = top_bid.size
        ask_size = top_ask.size
        # inside a message every row goes to `apply`: its last one must come there
        whole = self._pending == 0 and not self._incomplete
        while at < end and rows[at + clock_word] <= limit:
            meta = rows[at + WORD_META]
            price = rows[at + WORD_PRICE]
            if whole and meta & WHOLE_ROW_BITS == depth_of_ours:
                # 0 for a bid, all bits for an ask
                ask = -((meta >> SELL_SHIFT) & 1)
                key = (price ^ ask) - ask
                level = key - origin - (origin_step & ask)
                best_level = best + (best_step & ask)
                if low + (low_step & ask) <= level <= best_level:
                    size = rows[at + WORD_SIZE]
                    # most rows change a level behind the best one: that is one store
                    if level < best_level:
                        levels[level] = size
                        last_depth = at
                        at += ROW_WORDS
                        continue
                    if size > 0:
                        levels[level] = size
                        last_depth = at
                        at += ROW_WORDS
                        grown = size - bid_size - ((ask_size - bid_size) & ask)
                        bid_size += grown & ~ask
                        ask_size += grown & ask
                        if grown != 0 and wanted & BEST_CHANGED:
                            self.moved = BEST_CHANGED
                            break
                        continue
            elif whole and meta & WHOLE_ROW_BITS == trade_of_ours:
                at += ROW_WORDS
                if self._print(meta, price, rows[at - ROW_WORDS + WORD_SIZE]) & wanted:
                    self.moved = TRADED_THROUGH
                    break
                continue
            elif meta & INSTRUMENT_BITS != instrument:
                break
            top_bid.resize(bid_size)
            top_ask.resize(ask_size)
            bits = self.apply(meta, price, rows[at + WORD_SIZE], rows[at])
            bid_size = top_bid.size
            ask_size = top_ask.size
            at += ROW_WORDS
            if bits & wanted:
                self.moved = bits & wanted
                break
            origin = bids.origin
            low = bids.low
            best = bids.best
            origin_step = asks.origin - origin
            low_step = asks.low - low
            best_step = asks.best - best
            whole = self._pending == 0 and not self._incomplete
        top_bid.resize(bid_size)
        top_ask.resize(ask_size)
        if last_depth >= 0:
            stamp = rows[last_depth]
            if stamp > self.book_ts_ns:
                self.book_ts_ns = stamp
        return at

    def apply(self, meta: i64, price: i64, size: i64, exch_ts: i64) -> i64:
        """Apply a row; return BEST_CHANGED and TRADED_THROUGH bits once a message is complete, else 0."""
        kind = meta & KIND_MASK
        bits: i64 = 0
        if kind == DEPTH:
            if exch_ts > self.book_ts_ns:
                self.book_ts_ns = exch_ts
            top = self._top_bid if meta & BUY_BIT else self._top_ask
            if top.side.set(price, size):
                if top.moved():
                    bits = BEST_CHANGED
            elif meta & MORE == 0 and self._pending == 0:
                return 0
        elif kind == TRADE:
            bits = self._print(meta, price, size)
        elif kind == MARK:
            self.mark_price = price
            self.context_changed = True
        elif kind == ORACLE:
            self.oracle_price = price
            self.context_changed = True
        elif kind == FUNDING:
            self.funding_rate = price
            self.context_changed = True
        else:
            if exch_ts > self.book_ts_ns:
                self.book_ts_ns = exch_ts
            self.book.apply(meta, price, size, exch_ts)
            self._incomplete = meta & MORE != 0
            if meta & MORE == 0:
                bid_moved = self._top_bid.moved()
                if self._top_ask.moved() or bid_moved:
                    bits = BEST_CHANGED
        if meta & MORE:
            self._pending |= bits
            return 0
        if self._pending != 0:
            bits |= self._pending
            self._pending = 0
        return bits

    def _print(self, meta: i64, price: i64, size: i64) -> i64:
        """Count a trade; return TRADED_THROUGH when it went through an own price, else 0."""
        self.trades += 1
        if self.ranged:
            for one in self.ranges:
                one.note(meta, price)
        if meta & BUY_BIT:
            self.buy_volume += size
        elif meta & SELL_BIT:
            self.sell_volume += size
        if price > self.own_ask or price < self.own_bid:
            return TRADED_THROUGH
        return 0

    def add_range(self, traded: TradedRange) -> None:
        """Keep a range of traded prices up to date from here on."""
        self.ranges.append(traded)
        self.ranged = True

    def order_flow_imbalance(self) -> i64:
        """Return the sum of order-flow imbalance so far, size units."""
        return self._top_bid.flow + self._top_ask.flow

    def watch_own_prices(self, holding: Holding) -> None:
        """Note the best own prices, so that a trade through one of them is told."""
        bid: i64 = 0
        ask: i64 = FAR_ABOVE
        for desk in holding.desks:
            orders = desk.orders
            for at in range(orders.first, orders.end):
                order = orders.items[at]
                if order.side > 0:
                    if order.price > bid:
                        bid = order.price
                elif order.price < ask:
                    ask = order.price
        self.own_bid = bid
        self.own_ask = ask
