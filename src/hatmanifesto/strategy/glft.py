"""The closed form of Gueant, Lehalle and Fernandez-Tapia for a market maker's depths, stationary in time.

Source: O. Gueant, "Optimal market making", arXiv:1605.01862, eqs 4.6 and 4.7; the model is that of Gueant,
Lehalle, Fernandez-Tapia, "Dealing with the inventory risk", Mathematics and Financial Economics 7 (2013).
"""

import math
from typing import Final, final

_SMALL: Final = 1e-6
"""Below it the limits of the closed form are used: their error is of its size, rounding's of its inverse."""


def positive(name: str, value: float) -> float:
    """Return a value that is finite and positive; ValueError names it otherwise."""
    if not (value > 0.0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a positive number, got {value}")
    return value


@final
class Glft:
    """Depths of both quotes around the fair price, by inventory.

    `a` (fills a second) and `k` (1/price): fills come at the rate a exp(-k depth). `sigma`: volatility of the fair
    price, price/sqrt(s). `gamma`: risk aversion, 1/(price x size). `size` of a quote, in the unit of inventory.
    `xi` is gamma in the model with exponential utility (the default, -1) and 0 where only inventory is penalized.
    Any unit of price will do if all use it; the strategy market_making counts in bps of the fair price and in
    quotes (size 1). `cost` of a fill, price (a maker fee; a rebate is negative): depths are those without it at the
    rate a exp(-k cost), and it is added, since the model sees depth less cost as its depth.

        c1 = ln(1 + xi size / k) / (xi size)
        c2 = sqrt(gamma / (2 a exp(-k cost) size k) (1 + xi size / k)^(k / (xi size) + 1))
        bid depth = cost + c1 + size sigma c2 / 2 + inventory sigma c2, and the ask's with the other sign

    ValueError names the first value that is not positive (sigma may be 0: then inventory costs nothing).
    """

    def __init__(
        self,
        a: float,
        k: float,
        sigma: float,
        gamma: float,
        xi: float = -1.0,
        size: float = 1.0,
        cost: float = 0.0,
    ) -> None:
        positive("a", a)
        positive("k", k)
        positive("gamma", gamma)
        positive("size", size)
        if not (sigma >= 0.0 and math.isfinite(sigma)):
            raise ValueError(f"sigma must be a number from 0 on, got {sigma}")
        if xi == -1.0:
            xi = gamma
        if not (xi >= 0.0 and math.isfinite(xi)):
            raise ValueError(f"xi must be a number from 0 on (or -1 for gamma), got {xi}")
        if not math.isfinite(cost):
            raise ValueError(f"cost must be a number, got {cost}")
        c1: float
        power: float
        ratio = xi * size / k
        if ratio < _SMALL:
            c1 = (1.0 - ratio / 2.0) / k
            power = math.e * (1.0 + ratio / 2.0)
        else:
            c1 = math.log1p(ratio) / (xi * size)
            power = math.exp((1.0 / ratio + 1.0) * math.log1p(ratio))
        self.c1: Final[float] = c1
        # a market that never reaches beyond the cost makes every inventory infinitely dear, which is no error
        rarer = math.exp(k * cost / 2.0) if k * cost < 1400.0 else math.inf
        self.c2: Final[float] = math.sqrt(gamma / (2.0 * a * size * k) * power) * rarer
        self.half_spread: Final[float] = cost + c1 + size * sigma * self.c2 / 2.0
        self.skew: Final[float] = sigma * self.c2

    def bid_depth(self, inventory: float) -> float:
        """Return how far below the fair price to bid; negative where inventory makes it worth paying."""
        return self.half_spread + inventory * self.skew

    def ask_depth(self, inventory: float) -> float:
        """Return how far above the fair price to offer."""
        return self.half_spread - inventory * self.skew


def gamma_for_skew(a: float, k: float, sigma: float, inventory: float, cost: float = 0.0) -> float:
    """Return the gamma at which an inventory, in quotes, shifts both quotes by the half-spread (xi = gamma, size 1).

    With it a full position is quoted out at the fair price, and `cost` beyond it. Found by bisection on a
    logarithmic scale; the shift of more than half a quote grows faster with gamma than the half-spread, so there is
    one. ValueError for parameters that are not positive and for an inventory below 1.
    """
    if not inventory >= 1.0:
        raise ValueError(f"inventory must be at least one quote, got {inventory}")
    positive("sigma", sigma)
    low, high = -100.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2.0
        depths = Glft(a, k, sigma, math.exp(middle), -1.0, 1.0, cost)
        if inventory * depths.skew < depths.half_spread - cost:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2.0)
