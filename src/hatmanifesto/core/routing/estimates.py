"""What the router believes of its market, learned from nothing but views and its own orders, so that a replay agrees.

Every estimate starts from a configured prior and moves as evidence comes; the prior counts as so many observations.
"""

from typing import Final, final

from hatmanifesto.core.routing.fixed_point import PPB, PPM, beyond, bounded, exp_neg, root, share
from hatmanifesto.core.strategy import View

_PENDING: Final = 64
_FORGET_AT: Final = 400
_LARGEST_MOVE: Final = PPB // 10
_FINE: Final = 1 << 16
"""Decayed sums are kept in fractions of a unit, since each step rounds down."""


@final
class MarketEstimates:
    """Trade flow against either side and the mid's volatility, as exponentially forgotten averages over time.

    `turnover_ns` is the prior: the size shown at the best is traded once in that time, and the mid moves by
    a spread. It counts as much as a quarter of the half-life of evidence.
    """

    def __init__(self, half_life_ns: int, turnover_ns: int) -> None:
        self.decay_ns: Final[int] = half_life_ns * 1_442_695 // PPM
        self.turnover_ns: Final[int] = turnover_ns
        self.prior_ns: Final[int] = max(1, half_life_ns // 4)
        self.last_ns: int = -1
        self.twice_mid: int = 0
        self.time_ns: int = 0
        self.buys: int = 0
        self.sells: int = 0
        self.squares: int = 0
        self.bid: int = 0
        self.ask: int = 0
        self.bid_size: int = 0
        self.ask_size: int = 0

    def take(self, view: View) -> None:
        """Learn from a view with a whole book; views without one say nothing of prices, yet count for time."""
        now = int(view.now_ns)
        passed = now - self.last_ns if self.last_ns >= 0 else 0
        self.last_ns = now
        keep = exp_neg(passed * PPM // self.decay_ns) if self.decay_ns > 0 else 0
        self.time_ns = self.time_ns * keep // PPM + passed
        self.buys = self.buys * keep // PPM + int(view.buy_volume) * _FINE
        self.sells = self.sells * keep // PPM + int(view.sell_volume) * _FINE
        self.squares = self.squares * keep // PPM
        bid = int(view.bid_price)
        ask = int(view.ask_price)
        if bid <= 0 or ask <= bid:
            return
        if self.twice_mid > 0:
            move = bid + ask - self.twice_mid
            self.squares += move * move * _FINE
        self.bid = bid
        self.ask = ask
        self.bid_size = int(view.bid_size)
        self.ask_size = int(view.ask_size)
        self.twice_mid = bid + ask

    def fill_chance(
        self, side: int, price: int, tick: int, ahead: int, size: int, horizon_ns: int, scale_ppm: int
    ) -> int:
        """Return the chance, in ppm, that an order at `price` behind `ahead` is filled within the horizon.

        Either the queue trades away, 1 - (1 - v)(1 - m) being the chance of one or the other, or the market moves
        through: v = exp(-x / scale), x = (ahead + size) / (flow x horizon), as if the volume of a horizon were
        exponentially distributed; m the chance that the mid comes a tick beyond the price. Reaches 1 as the horizon
        grows and 0 as it goes to nothing.
        """
        if horizon_ns <= 0 or self.twice_mid <= 0:
            return 0
        distance = share(side * (self.twice_mid - 2 * price) + 2 * tick, self.twice_mid, PPB)
        through = beyond(distance, self.deviation(horizon_ns))
        shown = self.bid_size if side > 0 else self.ask_size
        volume = (self.sells if side > 0 else self.buys) + shown * _FINE * self.prior_ns // max(1, self.turnover_ns)
        traded = 0
        if volume > 0:
            span = self.time_ns + self.prior_ns
            x = (ahead + size) * _FINE * span * PPM * PPM // (volume * horizon_ns * max(1, scale_ppm))
            traded = exp_neg(x)
        return PPM - (PPM - traded) * (PPM - through) // PPM

    def deviation(self, horizon_ns: int) -> int:
        """Return the mid's standard deviation over a horizon, as ppb of the mid."""
        if self.twice_mid <= 0 or horizon_ns <= 0:
            return 0
        spread = 2 * (self.ask - self.bid)
        squares = self.squares + spread * spread * _FINE * self.prior_ns // max(1, self.turnover_ns)
        variance = squares * horizon_ns * PPM // ((self.time_ns + self.prior_ns) * _FINE)
        return share(root(variance), self.twice_mid, PPB // 1000)

    def imbalance(self) -> int:
        """Return (bid size - ask size) / (bid size + ask size) at the best, in ppm."""
        return share(self.bid_size - self.ask_size, self.bid_size + self.ask_size, PPM)

    def lean(self, full_ppb: int) -> int:
        """Return the price shift, in price units, of a lean of `full_ppb` of the mid at an imbalance of one."""
        return share(self.imbalance() * full_ppb * self.twice_mid, 2 * PPM * PPB, 1)

    def spread(self) -> int:
        """Return the spread, 2h, in ppb of the mid."""
        return share(2 * (self.ask - self.bid), self.twice_mid, PPB)

    def distance(self, side: int, price: int) -> int:
        """Return what a fill at `price` saves over crossing now, in ppb of the mid; at the own best it is 2h."""
        opposite = self.ask if side > 0 else self.bid
        return share(2 * side * (opposite - price), self.twice_mid, PPB)

    def edge_to_mid(self, side: int, price: int) -> int:
        """Return how much better than the mid a fill at `price` is, in ppb of the mid."""
        return share(side * (self.twice_mid - 2 * price), self.twice_mid, PPB)


@final
class Odds:
    """Corrects predicted chances by what came true: ten classes of prediction, each a count of trials and hits."""

    def __init__(self, prior_weight: int) -> None:
        self.prior_weight: Final[int] = prior_weight
        self.trials: Final[list[int]] = [0] * 10
        self.hits: Final[list[int]] = [0] * 10

    def corrected(self, predicted: int) -> int:
        """Return the chance in ppm: the prediction, counted `prior_weight` times, and the class's own history."""
        at = min(9, predicted // (PPM // 10))
        whole = self.prior_weight + self.trials[at]
        if whole <= 0:
            return predicted
        return (self.prior_weight * predicted + self.hits[at] * PPM) // whole

    def observe(self, predicted: int, hit: bool) -> None:
        """Count one outcome; old ones lose weight."""
        at = min(9, predicted // (PPM // 10))
        if self.trials[at] >= _FORGET_AT:
            self.trials[at] //= 2
            self.hits[at] //= 2
        self.trials[at] += 1
        if hit:
            self.hits[at] += 1

    def forget(self, predicted: int) -> None:
        """One of this class was not put to the test: its history fades, or it could rule the class out for good."""
        at = min(9, predicted // (PPM // 10))
        self.trials[at] = self.trials[at] * 15 // 16
        self.hits[at] = self.hits[at] * 15 // 16


@final
class Average:
    """A mean that starts from a prior worth `prior_weight` observations; old observations lose weight."""

    def __init__(self, prior: int, prior_weight: int) -> None:
        self.prior: Final[int] = prior
        self.prior_weight: Final[int] = prior_weight
        self.count: int = 0
        self.total: int = 0

    def observe(self, value: int) -> None:
        """Count one observation."""
        if self.count >= _FORGET_AT:
            self.count //= 2
            self.total = share(self.total, 2, 1)
        self.count += 1
        self.total += value

    def value(self) -> int:
        """Return the mean, truncated toward zero."""
        whole = self.prior_weight + self.count
        if whole <= 0:
            return self.prior
        return share(self.prior * self.prior_weight + self.total, whole, 1)


@final
class AdverseSelection:
    """How far the mid has moved against maker fills one markout after them, in ppb, from the mid before the fill."""

    def __init__(self, prior: int, prior_weight: int, markout_ns: int) -> None:
        self.mean: Final[Average] = Average(prior, prior_weight)
        self.markout_ns: Final[int] = markout_ns
        self._due: list[int] = []
        self._side: list[int] = []
        self._twice_mid: list[int] = []

    def note_fill(self, now: int, side: int, twice_mid_before: int) -> None:
        """A maker fill was seen; of more than 64 that wait for their markout the oldest is dropped."""
        if twice_mid_before <= 0:
            return
        if len(self._due) >= _PENDING:
            self._drop()
        self._due.append(now + self.markout_ns)
        self._side.append(side)
        self._twice_mid.append(twice_mid_before)

    def _drop(self) -> None:
        del self._due[0]
        del self._side[0]
        del self._twice_mid[0]

    def take(self, now: int, twice_mid: int) -> None:
        """Score the fills whose markout has come at this mid."""
        while self._due and self._due[0] <= now:
            before = self._twice_mid[0]
            moved = share(self._side[0] * (before - twice_mid), before, PPB)
            self.mean.observe(bounded(moved, _LARGEST_MOVE))
            self._drop()
