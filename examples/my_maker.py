"""A strategy in one file: quotes around the microprice and leans against its own position.

    hat backtest --tape FILE.tape --strategy examples/my_maker.py:MyMaker --config examples/config.toml

One object trades one instrument. Prices and sizes are whole numbers in the instrument's own units (a BTC
price of 109876.5 is 1098765 with one decimal): no float reaches an order. The class must not look at clocks,
files or random numbers: the same tape then gives the same run, to the bit.
"""

from hatmanifesto.core.strategy import BEST_CHANGED, TRADED_THROUGH, Quotes, Strategy, View


class MyMaker(Strategy):
    """`order_size` and `max_position` in size units; `lean_ticks`: ticks given way at a full position."""

    # what calls `quote`: a change of the best prices, or a trade through an own price
    triggers = BEST_CHANGED | TRADED_THROUGH
    # but never more often than this, in nanoseconds of market time
    min_decision_interval_ns = 100_000_000

    def __init__(self, order_size: int, max_position: int, lean_ticks: int = 2) -> None:
        if order_size <= 0 or max_position <= 0:
            raise ValueError("order_size and max_position must be positive")
        self.order_size = order_size
        self.max_position = max_position
        self.lean_ticks = lean_ticks

    def quote(self, view: View, quotes: Quotes) -> None:
        """Say which orders should be working now: the unchanged are kept, the unsaid cancelled."""
        # the price tends away from the side where more size waits: bid/(bid+ask) of the spread, in integers
        spread = view.ask_price - view.bid_price
        total = view.bid_size + view.ask_size
        fair = view.bid_price + spread * view.bid_size // total
        # lean: long positions lower both prices, short ones raise them
        tick = view.instrument.tick_at(fair)
        fair -= self.lean_ticks * tick * view.position // self.max_position
        # never better than the best prices: a maker joins or waits behind (prices off the grid move outward)
        bid = min(view.bid_price, fair - tick)
        ask = max(view.ask_price, fair + tick)
        if view.position < self.max_position:
            quotes.bid(bid, self.order_size)
        if view.position > -self.max_position:
            quotes.ask(ask, self.order_size)
