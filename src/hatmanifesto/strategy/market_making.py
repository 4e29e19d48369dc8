"""market_making: quotes of Gueant, Lehalle and Fernandez-Tapia around an estimated fair price."""

import math
from typing import Final

from mypy_extensions import i64

from hatmanifesto.core.strategy import BEST_CHANGED, OWN_EVENT, TIMER, TRADED_THROUGH, Quotes, Strategy, View
from hatmanifesto.model.holds import (
    HOLD_FAIR_PRICE_UNKNOWN,
    HOLD_PARAMETERS_IMPLAUSIBLE,
    HOLD_PARAMETERS_UNKNOWN,
)
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.strategy.fair_price import BPS, FairPrice, mid
from hatmanifesto.strategy.glft import Glft
from hatmanifesto.strategy.intensity import IntensityEstimator
from hatmanifesto.strategy.inventory import InventoryLimit
from hatmanifesto.strategy.volatility import TwoScaleVolatility

RATE_OF_BPS: Final = 100_000.0
"""Parts per billion, the unit of an instrument's fees."""
LEAST_VOLATILITY_SAMPLES: Final = 10.0
"""Independent long returns before an estimate of the volatility is used."""


def _number(name: str, value: float, least: float) -> float:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be a number from {least:g} on, got {value}")
    return value


class MarketMaking(Strategy):
    """GLFT quotes. Depths are in bps of the fair price, inventory counts in quotes of `order_size`.

    `a` (1/s), `k` (1/bps), `sigma` (bps/sqrt(s)): from `hat calibrate`; 0 = not known. With `reestimate` they are
    estimated from what the strategy sees, and the estimates take the place of the given values as soon as there is
    enough for one (30 windows of `horizon` with trades beyond the usual half-spread; 50 s of prices). What is neither
    given nor estimated yet keeps the strategy from quoting, and the journal says so. `gamma` is the risk aversion,
    1/(bps x quotes).

    The venue's maker fee is the cost of a fill. The half-spread is at least `min_spread_ticks` / 2, and at least the
    fee plus `min_edge_bps`; above `max_half_spread_bps` nothing is quoted. A quote whose wanted price moved less than
    `keep_share` of the half-spread stays where it is and keeps its place in the queue. `max_position` is never
    exceeded, whatever is under way. Durations in nanoseconds, sizes in size units.
    """

    def __init__(
        self,
        order_size: int,
        max_position: int,
        gamma: float,
        a: float = 0.0,
        k: float = 0.0,
        sigma: float = 0.0,
        xi: float = -1.0,
        reestimate: bool = True,
        horizon: int = 1_000_000_000,
        half_life: int = 300_000_000_000,
        volatility_step: int = 100_000_000,
        microprice_weight: float = 1.0,
        flow_bps: float = 0.0,
        flow_half_life: int = 1_000_000_000,
        min_spread_ticks: int = 1,
        min_edge_bps: float = 0.0,
        max_half_spread_bps: float = 100.0,
        keep_share: float = 0.1,
    ) -> None:
        if order_size <= 0 or max_position < order_size:
            raise ValueError(
                f"order_size must be positive and max_position at least as large, got {order_size} and {max_position}"
            )
        if min_spread_ticks < 1:
            raise ValueError(f"min_spread_ticks must be at least 1, got {min_spread_ticks}")
        if not (math.isfinite(gamma) and gamma > 0.0):
            raise ValueError(f"gamma must be a positive number, got {gamma}")
        if not math.isfinite(xi) or (xi < 0.0 and xi != -1.0):
            raise ValueError(f"xi must be a number from 0 on (or -1 for gamma), got {xi}")
        if not reestimate and not (a > 0.0 and k > 0.0 and sigma > 0.0):
            raise ValueError(
                f"without reestimate a, k and sigma must be given, got {a}, {k} and {sigma}; `hat calibrate` finds them"
            )
        self.triggers = BEST_CHANGED | TRADED_THROUGH | OWN_EVENT | TIMER
        self.interval_ns = volatility_step
        self.min_decision_interval_ns = 20_000_000
        self.traded_range = True
        self.order_size: i64 = order_size
        self.gamma: float = gamma
        self.xi: float = xi
        self.reestimate: bool = reestimate
        self.min_spread_ticks: i64 = min_spread_ticks
        self.min_edge_bps: float = min_edge_bps
        if not math.isfinite(min_edge_bps):
            raise ValueError(f"min_edge_bps must be a number, got {min_edge_bps}")
        self.max_half_spread_bps: float = _number("max_half_spread_bps", max_half_spread_bps, 0.0)
        self.keep_share: float = _number("keep_share", keep_share, 0.0)
        self.a: float = _number("a", a, 0.0)
        self.k: float = _number("k", k, 0.0)
        self.sigma: float = _number("sigma", sigma, 0.0)
        self.fair_price: FairPrice = FairPrice(microprice_weight, flow_bps, flow_half_life)
        self.limit: InventoryLimit = InventoryLimit(max_position)
        self.volatility: TwoScaleVolatility = TwoScaleVolatility(volatility_step, 50, half_life)
        self.intensity: IntensityEstimator = IntensityEstimator(horizon, half_life)
        self._depths: Glft | None = None
        self._fresh: bool = False
        self._bid: i64 = 0
        self._ask: i64 = 0

    def depths(self, instrument: Instrument) -> Glft | None:
        """Return the depths of quotes now, None while a, k or sigma is not known."""
        if not self._fresh:
            self._fresh = True
            self._depths = None
            if self.a > 0.0 and self.k > 0.0 and self.sigma > 0.0:
                fee = float(instrument.maker_fee) / RATE_OF_BPS
                self._depths = Glft(self.a, self.k, self.sigma, self.gamma, self.xi, 1.0, fee)
        return self._depths

    def _observe(self, view: View) -> None:
        """Take the view into the estimators, and their estimates where there is enough behind them."""
        self.volatility.add(view.now_ns, mid(view))
        window = self.intensity.add(
            view.now_ns, view.bid_price, view.ask_price, view.highest_buy_price(), view.lowest_sell_price()
        )
        if not window:
            return
        fit = self.intensity.fit()
        if fit is not None:
            self.a = fit.a
            self.k = fit.k
        if self.volatility.samples() >= LEAST_VOLATILITY_SAMPLES and self.volatility.value() > 0.0:
            self.sigma = self.volatility.value()
        self._fresh = False

    def quote(self, view: View, quotes: Quotes) -> None:
        if self.reestimate:
            self._observe(view)
        fair = self.fair_price.update(view)
        depths = self.depths(view.instrument)
        if depths is None:
            quotes.hold(HOLD_PARAMETERS_UNKNOWN)
            return
        if fair <= 0.0:
            quotes.hold(HOLD_FAIR_PRICE_UNKNOWN)
            return
        if not depths.half_spread <= self.max_half_spread_bps:
            quotes.hold(HOLD_PARAMETERS_IMPLAUSIBLE)
            return
        instrument = view.instrument
        tick = instrument.tick_at(view.ask_price)
        least = float(self.min_spread_ticks * tick) / 2.0 / fair * BPS
        after_fee = float(instrument.maker_fee) / RATE_OF_BPS + self.min_edge_bps
        half = depths.half_spread
        if half < least:
            half = least
        if half < after_fee:
            half = after_fee
        shift = float(view.position) / float(self.order_size) * depths.skew
        kept = self.keep_share * half / BPS * fair
        bid = self._settled(self._bid, fair * (1.0 - (half + shift) / BPS), kept)
        ask = self._settled(self._ask, fair * (1.0 + (half - shift) / BPS), kept)
        # a maker never crosses, however far inventory or flow push
        if bid >= view.ask_price:
            bid = view.ask_price - tick
        if ask <= view.bid_price:
            ask = view.bid_price + tick
        self._bid = instrument.snap(bid, 1)
        self._ask = instrument.snap(ask, -1)
        self._say(view, quotes, 1, self._bid)
        self._say(view, quotes, -1, self._ask)

    def _settled(self, last: i64, wanted: float, kept: float) -> i64:
        """Return the last price where the wanted one is near it, else the wanted one rounded."""
        if last > 0 and math.fabs(wanted - float(last)) <= kept:
            return last
        return i64(math.floor(wanted + 0.5))

    def _say(self, view: View, quotes: Quotes, side: i64, price: i64) -> None:
        if price <= 0:
            quotes.hold(HOLD_PARAMETERS_IMPLAUSIBLE)
            return
        size = self.limit.size(view, side, price, self.order_size)
        if size <= 0:
            quotes.hold(self.limit.reason)
        elif side > 0:
            quotes.bid(price, size)
        else:
            quotes.ask(price, size)
