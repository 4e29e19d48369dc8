"""A market maker put together from the program's building blocks, in plain Python, in one file.

    hat backtest --tape FILE.tape --strategy examples/own_market_maker.py

It does what the shipped market_making does at its core (estimate how often trades reach a depth and how much the
price moves, solve for the depths of its quotes, shift them with inventory), and adds a rule of its own: it leaves a
side out while order flow runs hard against it. docs/strategies.md lists the blocks.
"""

from hatmanifesto.core.strategy import BEST_CHANGED, OWN_EVENT, TIMER, Quotes, Strategy, View
from hatmanifesto.model.holds import FIRST_OWN_HOLD, HOLD_PARAMETERS_UNKNOWN
from hatmanifesto.strategy.fair_price import FairPrice, mid
from hatmanifesto.strategy.glft import Glft
from hatmanifesto.strategy.intensity import IntensityEstimator
from hatmanifesto.strategy.inventory import InventoryLimit
from hatmanifesto.strategy.volatility import TwoScaleVolatility

FLOW_AGAINST = FIRST_OWN_HOLD
"""Own reason for leaving a side out; `hat journal show` has it in bits 32 to 39 of a view's `decision`."""


class OwnMarketMaker(Strategy):
    """Sizes in size units. `gamma`: risk aversion, 1/(bps x quotes); `most_flow`: usual sizes of order flow."""

    triggers = BEST_CHANGED | OWN_EVENT | TIMER
    interval_ns = 100_000_000
    min_decision_interval_ns = 50_000_000
    # the view then has highest_buy_price() and lowest_sell_price()
    traded_range = True

    def __init__(self, order_size: int = 100, max_position: int = 1000, gamma: float = 0.001, most_flow: float = 20.0):
        self.order_size = order_size
        self.gamma = gamma
        self.most_flow = most_flow
        self.fair_price = FairPrice(microprice_weight=1.0, flow_bps=0.0, flow_half_life_ns=1_000_000_000)
        self.volatility = TwoScaleVolatility()
        self.intensity = IntensityEstimator()
        self.limit = InventoryLimit(max_position)
        self.depths: Glft | None = None

    def quote(self, view: View, quotes: Quotes) -> None:
        """Say which orders should be working now."""
        self.learn(view)
        fair = self.fair_price.update(view)
        if self.depths is None:
            quotes.hold(HOLD_PARAMETERS_UNKNOWN)
            return
        inventory = view.position / self.order_size
        flow = self.fair_price.flow.value()
        for side, depth in ((1, self.depths.bid_depth(inventory)), (-1, self.depths.ask_depth(inventory))):
            if -side * flow > self.most_flow:
                quotes.hold(FLOW_AGAINST)
                continue
            # depths are in bps of the fair price; a maker stays on its own side of the book
            price = round(fair * (1 - side * depth / 10_000))
            price = min(price, view.ask_price - 1) if side > 0 else max(price, view.bid_price + 1)
            # as the venue will take it, so that the limit sees the same price at every decision
            price = view.instrument.snap(price, side)
            size = self.limit.size(view, side, price, self.order_size)
            if size == 0:
                quotes.hold(self.limit.reason)
            elif side > 0:
                quotes.bid(price, size)
            else:
                quotes.ask(price, size)

    def learn(self, view: View) -> None:
        """Take the view into the estimators; solve anew once a second, when both have something to say."""
        self.volatility.add(view.now_ns, mid(view))
        window_ended = self.intensity.add(
            view.now_ns, view.bid_price, view.ask_price, view.highest_buy_price(), view.lowest_sell_price()
        )
        if not window_ended:
            return
        fit = self.intensity.fit()
        sigma = self.volatility.value()
        if fit is not None and sigma > 0:
            fee_bps = view.instrument.maker_fee / 100_000
            self.depths = Glft(fit.a, fit.k, sigma, self.gamma, cost=fee_bps)
