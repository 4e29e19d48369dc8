"""What a strategy sees (View), what it says (Quotes), and the class that a user's own strategy derives from."""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr

from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT, TIMER, TRADED_THROUGH, TradedRange
from hatmanifesto.model.book import Book
from hatmanifesto.model.holds import MAX_HOLD
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import (
    EXIT,
    HIGH,
    IMMEDIATE_OR_CANCEL,
    LOW,
    NO_URGENCY,
    NORMAL,
    POST_ONLY,
    QUOTE,
    URGENCY_SHIFT,
    pack_side_flags,
)
from hatmanifesto.model.record_forms import pack_wanted

MAX_QUOTES: Final = 48
"""Quotes a strategy may ask for in one decision: with 20 levels, all that a view record's 255 words hold."""
MAX_DEPTH: Final = 20
RANGE_WORDS: Final = 2

_INTERPRETED: Final[bool] = __file__.endswith(".py")


class QuoteError(ValueError):
    """A strategy asked for something that is no quote; the message says what to do."""


@final
class View:
    """All that a strategy knows when it decides, in the instrument's integer units.

    Prices are 0 where that side of the book is empty. Volumes, trades and order-flow imbalance count since this
    strategy's last decision on this instrument. Sizes of own orders include those whose answer is awaited.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument: Final[Instrument] = instrument
        self.now_ns: i64 = 0
        self.trigger: i64 = 0
        self.bid_price: i64 = 0
        self.bid_size: i64 = 0
        self.ask_price: i64 = 0
        self.ask_size: i64 = 0
        self.book_ts_ns: i64 = 0
        self.mark_price: i64 = 0
        self.buy_volume: i64 = 0
        self.sell_volume: i64 = 0
        self.trades: i64 = 0
        self.order_flow_imbalance: i64 = 0
        self.position: i64 = 0
        self.average_price: i64 = 0
        self.open_buy_size: i64 = 0
        self.open_sell_size: i64 = 0
        self.max_position: i64 = 0
        self.levels: i64 = 1
        self.extras: i64 = 0
        # how the record's `decision` tells levels and extras
        self.layout: i64 = 1 << 8
        # levels beyond the first: bid price, bid size, ask price, ask size each; then the extras
        self.deeper_words: vec[i64] = vec[i64]()

    def deepen(self, levels: i64, traded_range: bool = False) -> None:
        """Make room for that many levels a side (1 to 20), and for the range of traded prices."""
        self.levels = levels
        self.extras = RANGE_WORDS if traded_range else 0
        self.layout = levels << 8 | self.extras << 40
        deeper = vec[i64]()
        for _ in range(4 * (levels - 1) + self.extras):
            deeper = append(deeper, i64(0))
        self.deeper_words = deeper

    def take_range(self, traded: TradedRange) -> None:
        """Set the extras from a range of traded prices, and begin that range anew."""
        word = 4 * (self.levels - 1)
        words = self.deeper_words
        words[word] = traded.highest_buy
        words[word + 1] = traded.lowest_sell
        traded.highest_buy = 0
        traded.lowest_sell = 0

    def fill_levels(self, book: Book) -> None:
        """Set the levels beyond the first from a book; zeros where it has none."""
        bid = self.bid_price
        ask = self.ask_price
        bids = book.bids
        asks = book.asks
        words = self.deeper_words
        for word in range(i64(0), 4 * (self.levels - 1), i64(4)):
            bid_size: i64 = 0
            ask_size: i64 = 0
            if bid > 0:
                bid = bids.next_price(bid)
                bid_size = bids.size_at(bid)
            if ask > 0:
                ask = asks.next_price(ask)
                ask_size = asks.size_at(ask)
            words[word] = bid
            words[word + 1] = bid_size
            words[word + 2] = ask
            words[word + 3] = ask_size

    def set_deeper(self, word: i64, value: i64) -> None:
        """Set one word of the levels beyond the first."""
        self.deeper_words[word] = value

    def bid_price_at(self, level: i64) -> i64:
        """Return the bid price of a level, 0 = best; 0 where there is none. Raises IndexError beyond `levels`."""
        return self.bid_price if level == 0 else self._word(level, 0)

    def bid_size_at(self, level: i64) -> i64:
        """Return the bid size of a level, 0 = best. Raises IndexError beyond `levels`."""
        return self.bid_size if level == 0 else self._word(level, 1)

    def ask_price_at(self, level: i64) -> i64:
        """Return the ask price of a level, 0 = best; 0 where there is none. Raises IndexError beyond `levels`."""
        return self.ask_price if level == 0 else self._word(level, 2)

    def ask_size_at(self, level: i64) -> i64:
        """Return the ask size of a level, 0 = best. Raises IndexError beyond `levels`."""
        return self.ask_size if level == 0 else self._word(level, 3)

    def highest_buy_price(self) -> i64:
        """Return the highest price that a buyer paid since the last decision; 0 for no trade.

        Raises IndexError unless the strategy's `traded_range` is set.
        """
        return self._extra(0)

    def lowest_sell_price(self) -> i64:
        """Return the lowest price that a seller got since the last decision; 0 for no trade.

        Raises IndexError unless the strategy's `traded_range` is set.
        """
        return self._extra(1)

    def _extra(self, word: i64) -> i64:
        if self.extras == 0:
            raise IndexError("the range of traded prices is not in this view; set the strategy's `traded_range`")
        return self.deeper_words[4 * (self.levels - 1) + word]

    def _word(self, level: i64, field: i64) -> i64:
        if level < 1 or level >= self.levels:
            raise IndexError(f"level {level} is not in this view; set the strategy's `depth` (now {self.levels})")
        return self.deeper_words[4 * (level - 1) + field]

    def mid_price(self) -> i64:
        """Return the mid price rounded down to a price unit, 0 while a side is empty."""
        if self.bid_price == 0 or self.ask_price == 0:
            return 0
        return (self.bid_price + self.ask_price) >> 1


@final
class Quote:
    """One wanted order."""

    def __init__(self) -> None:
        self.side: i64 = 1
        self.price: i64 = 0
        self.size: i64 = 0
        self.time_in_force: i64 = POST_ONLY
        self.reduce_only: bool = False
        self.purpose: i64 = QUOTE
        self.side_flags: i64 = 0
        # the router's: what working orders already serve of it, and what is to be sent anew
        self.matched: i64 = 0
        self.place_size: i64 = 0

    def want(self, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool, purpose: i64) -> None:
        """Become what a strategy asks for; nothing serves it yet."""
        self.side = side
        self.price = price
        self.size = size
        self.time_in_force = time_in_force
        self.reduce_only = reduce_only
        self.purpose = purpose
        self.side_flags = pack_side_flags(side, time_in_force, reduce_only, purpose)
        self.matched = 0

    def packed(self, bid_price: i64) -> i64:
        """Return its word in a view's short record; negative where a number is too large for it."""
        return pack_wanted(self.price - bid_price, self.size, self.side_flags)


def _require_integers(price: object, size: object) -> None:
    if type(price) is not int or type(size) is not int:
        raise TypeError(f"price and size must be integers, got {price!r} and {size!r}")


@final
class Quotes:
    """The orders a strategy wants to have working after this decision; what it leaves out is withdrawn.

    Prices and sizes are integers in the instrument's units. A price off the venue's grid is moved away from the
    market to the next valid one and journaled as adjusted. Raises QuoteError for a price or size that is not
    positive and for more than MAX_QUOTES quotes; TypeError for anything but integers.
    """

    def __init__(self) -> None:
        self.items: Final[list[Quote]] = [Quote() for _ in range(MAX_QUOTES)]
        self.count: i64 = 0
        self.hold_reason: i64 = 0

    def bid(self, price: i64, size: i64) -> None:
        """Want a post-only buy."""
        self.add(1, price, size, POST_ONLY, False, QUOTE)

    def ask(self, price: i64, size: i64) -> None:
        """Want a post-only sell."""
        self.add(-1, price, size, POST_ONLY, False, QUOTE)

    def take(self, side: i64, price: i64, size: i64) -> None:
        """Want an immediate-or-cancel order up to a limit price; side +1 buys, -1 sells."""
        self.add(side, price, size, IMMEDIATE_OR_CANCEL, False, QUOTE)

    def exit(self, side: i64, price: i64, size: i64, post_only: bool = True, urgency: i64 = NO_URGENCY) -> None:
        """Want a reduce-only order: post-only, or immediate-or-cancel up to the limit price.

        With an urgency (see `work`) it starts as post-only and escalates; it never turns the position around.
        """
        self.add(side, price, size, POST_ONLY if post_only else IMMEDIATE_OR_CANCEL, True, EXIT)
        if urgency != NO_URGENCY:
            self._make_urgent(urgency)

    def work(self, side: i64, price: i64, size: i64, urgency: i64 = NORMAL) -> None:
        """Want `size` traded, with LOW, NORMAL or HIGH urgency: post-only at `price` first.

        The router policy `expected_value` improves the price with age and decides when to take, under the slippage
        cap of that urgency; the other policies leave the order at `price`. Ask again at every decision for
        what is still wanted; leaving it out ends it.
        """
        self.add(side, price, size, POST_ONLY, False, QUOTE)
        self._make_urgent(urgency)

    def _make_urgent(self, urgency: i64) -> None:
        item = self.items[self.count - 1]
        if urgency < LOW or urgency > HIGH or item.time_in_force != POST_ONLY:
            self.count -= 1
            raise QuoteError(f"urgency must be LOW (1), NORMAL (2) or HIGH (3) of a post-only order, got {urgency}")
        item.side_flags |= urgency << URGENCY_SHIFT

    def hold(self, reason: i64) -> None:
        """Say why a side or both are left out: a number of model.holds (1 to 255), journaled with the decision."""
        if reason < 1 or reason > MAX_HOLD:
            raise QuoteError(f"a reason for holding back must lie between 1 and {MAX_HOLD}, got {reason}")
        self.hold_reason = reason

    def add(self, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool, purpose: i64) -> None:
        """Want an order with everything spelt out; the calls above are what a strategy uses."""
        if _INTERPRETED:
            _require_integers(price, size)
        if price <= 0 or size <= 0:
            raise QuoteError(f"price and size must be positive, got price {price} and size {size}")
        if side != 1 and side != -1:
            raise QuoteError(f"side must be +1 (buy) or -1 (sell), got {side}")
        if self.count >= MAX_QUOTES:
            raise QuoteError(f"a decision may ask for at most {MAX_QUOTES} quotes; ask for fewer, larger ones")
        self.items[self.count].want(side, price, size, time_in_force, reduce_only, purpose)
        self.count += 1


@mypyc_attr(allow_interpreted_subclasses=True)
class Strategy:
    """Derive from this class, override `quote`, and set what should call it.

    `triggers` is a sum of BEST_CHANGED, TRADED_THROUGH, OWN_EVENT and TIMER. A decision comes at most every
    `min_decision_interval_ns` of event time; with TIMER also every `interval_ns`. `depth` levels of the book
    are in the View (1 to 20); with `traded_range` also the highest and lowest price traded since the last decision.
    """

    triggers: i64 = BEST_CHANGED | TRADED_THROUGH | OWN_EVENT
    interval_ns: i64 = 1_000_000_000
    min_decision_interval_ns: i64 = 10_000_000
    depth: i64 = 1
    traded_range: bool = False

    def quote(self, view: View, quotes: Quotes) -> None:
        """Say which orders should be working now: call quotes.bid, quotes.ask, quotes.take or quotes.exit."""


__all__ = [
    "BEST_CHANGED",
    "HIGH",
    "LOW",
    "MAX_DEPTH",
    "MAX_QUOTES",
    "NORMAL",
    "OWN_EVENT",
    "TIMER",
    "TRADED_THROUGH",
    "Quote",
    "QuoteError",
    "Quotes",
    "Strategy",
    "View",
]
