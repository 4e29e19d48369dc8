"""How often trades reach a depth: the rate a exp(-k depth), fitted to how far trades went in windows of time.

In a window of length h that begins at mid m, a side's reach is how far its trades went beyond m. If trades beyond
a depth come at the rate a exp(-k depth), the reach stays below it with probability exp(-h a exp(-k depth)). That is
fitted by maximum likelihood to counts of windows by reach. Reaches below `lower` (the usual half-spread: nothing
trades nearer) are one class, those above `upper` (the farthest twentieth) another, so that neither the spread
nor rare sweeps decide over the slope where quotes stand.
"""

import math
from typing import Final, final

from mypy_extensions import i64

_BPS: Final = 10_000.0
CLASSES_A_DECADE: Final = 24
LEAST_EDGE_BPS: Final = 0.01
DEPTH_EDGES: Final[list[float]] = [LEAST_EDGE_BPS * math.pow(10.0, at / CLASSES_A_DECADE) for at in range(24 * 4 + 1)]
"""Bounds of the classes of reach in bps, 0.01 to 100, each a tenth above the one before. Class 0 holds windows with
no reach beyond the first bound, class i those up to bound i, the last class all beyond the last."""
LEAST_HITS: Final = 30.0
"""Windows with a reach beyond `lower` that a fit needs."""
TAIL: Final = 0.05


def depth_class(depth_bps: float) -> int:
    """Return the class of a reach."""
    if depth_bps <= LEAST_EDGE_BPS:
        return 0
    # the logarithm finds the class but for rounding at a bound
    at = int(math.log10(depth_bps / LEAST_EDGE_BPS) * CLASSES_A_DECADE)
    if at > len(DEPTH_EDGES):
        at = len(DEPTH_EDGES)
    while at < len(DEPTH_EDGES) and DEPTH_EDGES[at] < depth_bps:
        at += 1
    while at > 0 and DEPTH_EDGES[at - 1] >= depth_bps:
        at -= 1
    return at


@final
class IntensityFit:
    """A fitted intensity: `a` a second, `k` 1/bps, over depths from `lower` to `upper` bps.

    `rate` is the fitted a exp(-k lower). `rate_error` and `k_error` are relative standard errors from the
    likelihood's curvature, right if windows are independent. `hits`: windows that reached beyond `lower`.
    """

    def __init__(
        self,
        a: float,
        k: float,
        rate: float,
        lower: float,
        upper: float,
        hits: float,
        rate_error: float,
        k_error: float,
    ) -> None:
        self.a: Final[float] = a
        self.k: Final[float] = k
        self.rate: Final[float] = rate
        self.lower: Final[float] = lower
        self.upper: Final[float] = upper
        self.hits: Final[float] = hits
        self.rate_error: Final[float] = rate_error
        self.k_error: Final[float] = k_error

    def at(self, depth_bps: float) -> float:
        """Return the rate at a depth, a second."""
        return self.rate * math.exp(-self.k * (depth_bps - self.lower))


def fit_intensity(counts: list[float], seconds: float, half_spread_bps: float) -> IntensityFit | None:
    """Fit counts of windows by class of reach (see DEPTH_EDGES); `seconds` is the length of one window.

    None where a and k cannot be told: fewer than 30 windows with a reach, or all of them in one class.
    Fisher scoring in the logarithms of rate and k, with halved steps where one went too far.
    """
    classes = len(DEPTH_EDGES)
    total = 0.0
    for count in counts:
        total += count
    low = 0
    while low < classes - 2 and DEPTH_EDGES[low] < half_spread_bps:
        low += 1
    hits = 0.0
    for at in range(low + 1, classes + 1):
        hits += counts[at]
    if hits < LEAST_HITS or total <= 0.0 or seconds <= 0.0:
        return None
    high = classes - 1
    beyond = counts[classes]
    while high > low + 1 and beyond + counts[high] <= TAIL * hits:
        beyond += counts[high]
        high -= 1
    lower = DEPTH_EDGES[low]
    # the classes that count: up to lower, those between, beyond upper
    excess: list[float] = []
    seen: list[float] = [total - hits]
    used = 0
    for at in range(low, high + 1):
        excess.append(DEPTH_EDGES[at] - lower)
        if at > low:
            seen.append(counts[at])
            used += 1 if counts[at] > 0.0 else 0
    seen.append(beyond)
    if used + (1 if beyond > 0.0 else 0) < 2:
        return None
    below = seen[0] if seen[0] > 0.5 else 0.5
    log_rate = math.log(-math.log(below / total) / seconds) if below < total else math.log(0.5 / total / seconds)
    spent = beyond * excess[-1]
    for at in range(1, len(seen) - 1):
        spent += seen[at] * (excess[at - 1] + excess[at]) / 2.0
    log_k = math.log((hits - beyond) / spent if hits > beyond else 0.5 / spent)
    likelihood = _log_likelihood(seen, excess, seconds, log_rate, log_k)
    information = [0.0, 0.0, 0.0]
    for _ in range(100):
        step = _scoring_step(seen, excess, seconds, total, log_rate, log_k, information)
        size = 1.0
        there = _log_likelihood(seen, excess, seconds, log_rate + step[0], log_k + step[1])
        while there < likelihood and size > 1e-6:
            size /= 2.0
            there = _log_likelihood(seen, excess, seconds, log_rate + size * step[0], log_k + size * step[1])
        if there < likelihood:
            break
        log_rate += size * step[0]
        log_k += size * step[1]
        gained = there - likelihood
        likelihood = there
        if gained < 1e-12 * (1.0 + math.fabs(likelihood)) and size == 1.0:
            break
    determinant = information[0] * information[2] - information[1] * information[1]
    if not determinant > 0.0:
        return None
    k = math.exp(log_k)
    rate = math.exp(log_rate)
    if k * lower > 50.0:
        return None
    return IntensityFit(
        rate * math.exp(k * lower),
        k,
        rate,
        lower,
        DEPTH_EDGES[high],
        hits,
        math.sqrt(information[2] / determinant),
        math.sqrt(information[0] / determinant),
    )


def _log_likelihood(seen: list[float], excess: list[float], seconds: float, log_rate: float, log_k: float) -> float:
    if math.fabs(log_rate) > 30.0 or math.fabs(log_k) > 30.0:
        return -math.inf
    expected = math.exp(log_rate) * seconds
    k = math.exp(log_k)
    total = 0.0
    before = 0.0
    for at in range(len(seen)):
        within = math.exp(-expected * math.exp(-k * excess[at])) if at < len(excess) else 1.0
        if seen[at] > 0.0:
            share = within - before
            if share <= 0.0:
                return -math.inf
            total += seen[at] * math.log(share)
        before = within
    return total


def _scoring_step(
    seen: list[float],
    excess: list[float],
    seconds: float,
    total: float,
    log_rate: float,
    log_k: float,
    information: list[float],
) -> list[float]:
    """Return the step in both logarithms; `information` gets the expected information (rate, both, k)."""
    expected = math.exp(log_rate) * seconds
    k = math.exp(log_k)
    score_rate = 0.0
    score_k = 0.0
    by_rate = 0.0
    by_both = 0.0
    by_k = 0.0
    before = 0.0
    before_rate = 0.0
    before_k = 0.0
    for at in range(len(seen)):
        within = 1.0
        rate_slope = 0.0
        k_slope = 0.0
        if at < len(excess):
            mean = expected * math.exp(-k * excess[at])
            within = math.exp(-mean)
            rate_slope = -mean * within
            k_slope = mean * within * k * excess[at]
        share = within - before
        if share > 1e-300:
            by_share = (rate_slope - before_rate) / share
            k_by_share = (k_slope - before_k) / share
            score_rate += seen[at] * by_share
            score_k += seen[at] * k_by_share
            by_rate += total * share * by_share * by_share
            by_both += total * share * by_share * k_by_share
            by_k += total * share * k_by_share * k_by_share
        before = within
        before_rate = rate_slope
        before_k = k_slope
    information[0] = by_rate
    information[1] = by_both
    information[2] = by_k
    determinant = by_rate * by_k - by_both * by_both
    if not determinant > 0.0:
        return [0.0, 0.0]
    return [
        (by_k * score_rate - by_both * score_k) / determinant,
        (by_rate * score_k - by_both * score_rate) / determinant,
    ]


@final
class IntensityEstimator:
    """Keeps counts of windows by reach, both sides together, and fits them.

    A window counts half after `half_life_ns`; with 0 all count the same. It begins at one decision and ends with the
    first one `horizon_ns` later; silences of more than ten seconds between decisions are left out.
    """

    def __init__(self, horizon_ns: int = 1_000_000_000, half_life_ns: int = 300_000_000_000) -> None:
        if horizon_ns <= 0 or half_life_ns < 0:
            raise ValueError(f"horizon_ns {horizon_ns} must be positive, half_life_ns {half_life_ns} not negative")
        self.horizon_ns: Final[i64] = horizon_ns
        self._kept: float = 1.0 if half_life_ns == 0 else math.pow(0.5, float(horizon_ns) / float(half_life_ns))
        self.counts: Final[list[float]] = [0.0] * (len(DEPTH_EDGES) + 1)
        self._weight: float = 0.0
        self._seconds: float = 0.0
        self._half_spread: float = 0.0
        self._begin_ns: i64 = 0
        self._last_ns: i64 = 0
        self._mid: float = 0.0
        self._highest: i64 = 0
        self._lowest: i64 = 0
        self.windows: i64 = 0

    def add(self, now_ns: i64, bid_price: i64, ask_price: i64, highest_buy: i64, lowest_sell: i64) -> bool:
        """Take in the best prices now, and how far trades went since the last call (0 = none).

        Returns whether a window has ended, so that a new fit is worth while.
        """
        if bid_price <= 0 or ask_price <= bid_price:
            self._begin_ns = 0
            return False
        middle = float(bid_price + ask_price) / 2.0
        ended = False
        if self._begin_ns != 0 and now_ns - self._last_ns <= 10_000_000_000:
            if highest_buy > self._highest:
                self._highest = highest_buy
            if lowest_sell > 0 and (self._lowest == 0 or lowest_sell < self._lowest):
                self._lowest = lowest_sell
            if now_ns - self._begin_ns >= self.horizon_ns:
                self._close(now_ns, float(ask_price - bid_price) / 2.0)
                ended = True
        else:
            self._begin_ns = 0
        self._last_ns = now_ns
        if self._begin_ns == 0 or ended:
            self._begin_ns = now_ns
            self._mid = middle
            self._highest = 0
            self._lowest = 0
        return ended

    def _close(self, now_ns: i64, half_spread: float) -> None:
        kept = self._kept
        counts = self.counts
        if kept != 1.0:
            for at in range(len(counts)):
                counts[at] *= kept
        up = (float(self._highest) - self._mid) / self._mid * _BPS if self._highest > 0 else 0.0
        down = (self._mid - float(self._lowest)) / self._mid * _BPS if self._lowest > 0 else 0.0
        counts[depth_class(up)] += 1.0
        counts[depth_class(down)] += 1.0
        self._weight = self._weight * kept + 1.0
        self._seconds = self._seconds * kept + float(now_ns - self._begin_ns) / 1e9
        self._half_spread = self._half_spread * kept + half_spread / self._mid * _BPS
        self.windows += 1

    def half_spread_bps(self) -> float:
        """Return the mean half-spread at the ends of windows, 0 before the first."""
        return self._half_spread / self._weight if self._weight > 0.0 else 0.0

    def fit(self) -> IntensityFit | None:
        """Return the fit to what has been seen; None where too little has."""
        if self._weight <= 0.0:
            return None
        return fit_intensity(self.counts, self._seconds / self._weight, self.half_spread_bps())
