"""Estimators of the fair price from the view: mid, weighted mid ("microprice"), and order flow."""

import math
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.strategy import View

BPS: Final = 10_000.0


def mid(view: View) -> float:
    """Return the middle of the best prices in price units, unrounded; 0 where a side is empty."""
    if view.bid_price <= 0 or view.ask_price <= 0:
        return 0.0
    return float(view.bid_price + view.ask_price) / 2.0


def microprice(view: View) -> float:
    """Return I ask + (1 - I) bid with I = bid size / (bid size + ask size); the mid where no sizes are known.

    The baseline of S. Stoikov, "The micro-price", Quantitative Finance 18 (2018): the price leans to the side on
    which less waits.
    """
    total = view.bid_size + view.ask_size
    if view.bid_price <= 0 or view.ask_price <= 0 or total <= 0:
        return mid(view)
    share = float(view.bid_size) / float(total)
    return float(view.bid_price) + float(view.ask_price - view.bid_price) * share


@final
class OrderFlow:
    """Recent order-flow imbalance over the size that usually stands at the best prices; no unit.

    The imbalance is that of Cont, Kukanov, Stoikov, "The price impact of order book events" (2014), which the view
    carries. An impulse counts half after `half_life_ns`; the usual size is averaged over 60 half-lives.
    """

    def __init__(self, half_life_ns: int) -> None:
        if half_life_ns <= 0:
            raise ValueError(f"half_life_ns must be positive, got {half_life_ns}")
        self.half_life_ns: Final[float] = float(half_life_ns)
        self._flow: float = 0.0
        self._size: float = 0.0
        self._last_ns: i64 = 0

    def update(self, view: View) -> None:
        """Take in a view: call it once a decision, since the view counts from the last one."""
        self.add(view.now_ns, float(view.order_flow_imbalance), float(view.bid_size + view.ask_size) / 2.0)

    def add(self, now_ns: i64, imbalance: float, size: float) -> None:
        """Take in the imbalance since the last call, and the mean size at the best prices now."""
        if self._last_ns == 0:
            self._size = size
        else:
            halvings = float(now_ns - self._last_ns) / self.half_life_ns
            self._flow *= math.pow(0.5, halvings)
            kept = math.pow(0.5, halvings / 60.0)
            self._size = self._size * kept + size * (1.0 - kept)
            self._flow += imbalance
        self._last_ns = now_ns

    def value(self) -> float:
        """Return the imbalance in units of the usual size; positive when bids grew or asks shrank."""
        if self._size <= 0.0:
            return 0.0
        return self._flow / self._size


@final
class FairPrice:
    """The mid, moved by `microprice_weight` of the way to the microprice and by `flow_bps` for each unit of flow.

    `hat calibrate` estimates both weights by regression. The result never leaves the spread by more than its width.
    """

    def __init__(self, microprice_weight: float, flow_bps: float, flow_half_life_ns: int) -> None:
        if not math.isfinite(microprice_weight) or not math.isfinite(flow_bps):
            raise ValueError(f"microprice_weight {microprice_weight} and flow_bps {flow_bps} must be numbers")
        self.microprice_weight: Final[float] = microprice_weight
        self.flow_bps: Final[float] = flow_bps
        self.flow: Final[OrderFlow] = OrderFlow(flow_half_life_ns)

    def update(self, view: View) -> float:
        """Take in a view and return the fair price in price units; 0 where a side is empty."""
        self.flow.update(view)
        middle = mid(view)
        if middle <= 0.0:
            return 0.0
        fair = middle + self.microprice_weight * (microprice(view) - middle)
        fair += self.flow_bps / BPS * middle * self.flow.value()
        spread = float(view.ask_price - view.bid_price)
        least = float(view.bid_price) - spread
        most = float(view.ask_price) + spread
        if fair < least:
            return least
        if fair > most:
            return most
        return fair
