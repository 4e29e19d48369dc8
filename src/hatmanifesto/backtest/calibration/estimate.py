"""a, k, sigma and the weights of the fair price from samples, each with an interval from a block bootstrap.

The formulas are those of the strategy itself (strategy.intensity, strategy.volatility, strategy.fair_price); what
is estimated here and what it estimates while trading differ only in how much of the past counts. Intervals come
from drawing blocks of consecutive windows with replacement, so that they allow for what neighbours have in common.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy import stats

from hatmanifesto.backtest.calibration.samples import Floats, Ints, Samples
from hatmanifesto.strategy.fair_price import OrderFlow
from hatmanifesto.strategy.glft import Glft, gamma_for_skew
from hatmanifesto.strategy.intensity import DEPTH_EDGES, LEAST_HITS, IntensityFit, fit_intensity
from hatmanifesto.strategy.volatility import two_scales

DRAWS: Final = 200
SEED: Final = 0
LEAST_BLOCKS: Final = 8
BLOCK_SECONDS: Final = 30.0
VOLATILITY_STEPS: Final = 50
EARNED_AFTER_S: Final = 5.0
"""When a fill is judged: so long after its window's end."""
LEAST_POINT: Final = 5
"""Windows that must have reached a depth for its rate to be drawn and to count in the fit's R2."""
_BPS: Final = 10_000.0
_CLASSES: Final = len(DEPTH_EDGES) + 1


class Estimate(NamedTuple):
    """A value and its 95 % interval; the bounds are None where too little was seen for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def telling(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0) == (self.high > 0)


class Point(NamedTuple):
    """An empirical intensity: windows that reached a depth (bps), the rate a second, the fitted rate there."""

    depth: float
    windows: int
    rate: float
    fitted: float
    in_fit: bool


class Earned(NamedTuple):
    """What quotes at a depth from the mid at a window's beginning earned when trades reached them: bps of the mid some
    seconds later, before fees. The depth itself where fills tell nothing about the price; less where they do."""

    depth: float
    fills: int
    bps: Estimate


class Goodness(NamedTuple):
    """How well the exponential fits between `lower` and `upper`.

    `r_squared` of the logarithms of rates; `worst_ratio` of a measured and the fitted rate; `chi_squared` of counts
    by class, its degrees of freedom and probability (which takes windows for independent).
    """

    r_squared: float | None
    worst_ratio: float | None
    chi_squared: float | None
    degrees: int
    probability: float | None


class Volatility(NamedTuple):
    """`sigma` in bps/sqrt(s), noise removed; `noise` of one price in bps; plain figures by step in seconds."""

    sigma: Estimate
    noise: float
    plain: dict[str, float]


class FairPriceFit(NamedTuple):
    """The regression of the next window's change of the mid on what the strategy's fair price uses, in bps."""

    microprice_weight: Estimate
    flow_bps: Estimate
    r_squared: float


class Calibration(NamedTuple):
    """All that was found for one instrument. Depths in bps of the mid, rates a second, volatility bps/sqrt(s)."""

    instrument: str
    seconds: float
    windows: int
    trades: int
    hits: int
    a: Estimate
    k: Estimate
    half_spread: float
    lower: float
    upper: float
    buys: tuple[float, float] | None
    sells: tuple[float, float] | None
    goodness: Goodness
    volatility: Volatility
    fair_price: FairPriceFit
    gamma: float
    glft_half_spread: float
    glft_skew: float
    maker_fee: float
    points: list[Point]
    earned: list[Earned]

    @property
    def pays(self) -> bool:
        """Whether fills at some depth may have earned the maker fee: the interval of one reaches it, or of no depth
        enough was seen to tell."""
        told = [one for one in self.earned if one.fills >= LEAST_HITS]
        return not told or any(one.bps.high is None or one.bps.high > self.maker_fee for one in told)


class TooLittleError(ValueError):
    """An instrument cannot be calibrated; the text says of what there is too little."""


class _Windows(NamedTuple):
    """Whole windows of one instrument: where each begins in the samples, classes of reach, half-spread at its end."""

    begins: Ints
    buy_class: Ints
    sell_class: Ints
    half_spread: Floats


def calibrate(samples: Samples, horizon_ns: int, flow_half_life_ns: int, full_position: float) -> Calibration:
    """Estimate everything for one instrument.

    `horizon_ns`: the window in which a quote may be reached, a multiple of the samples' step. `full_position`: quotes
    in a full position; the suggested gamma shifts quotes by the half-spread (less the maker fee) there.
    TooLittleError where a and k or sigma cannot be told.
    """
    steps = max(1, horizon_ns // samples.step_ns)
    seconds = steps * samples.step_ns / 1e9
    windows = _windows(samples, steps)
    if samples.trades == 0:
        raise TooLittleError("there are no trades on the tape, and intensities are rates of trades")
    both = np.concatenate([windows.buy_class, windows.sell_class])
    half_spread = float(windows.half_spread.mean()) if len(both) else 0.0
    fit = _fit(np.bincount(both, minlength=_CLASSES), seconds, half_spread)
    if fit is None:
        beyond = np.count_nonzero(both > np.searchsorted(DEPTH_EDGES, half_spread))
        raise TooLittleError(
            f"{beyond} windows had trades beyond the usual half-spread of {half_spread:.2f} bps; "
            f"{LEAST_HITS:.0f} are needed, at more than one depth"
        )
    blocks = _Blocks(windows.begins, samples)
    a, k = _bootstrap_intensity(windows, blocks, fit, seconds, half_spread)
    volatility = _volatility(samples, blocks)
    if not volatility.sigma.value > 0.0:
        raise TooLittleError("the mid price never moved, so that there is no volatility to estimate")
    fee = int(samples.instrument.maker_fee) / 100_000
    gamma = gamma_for_skew(fit.a, fit.k, volatility.sigma.value, full_position, fee)
    depths = Glft(fit.a, fit.k, volatility.sigma.value, gamma, cost=fee)
    points = _points(both, fit, seconds)
    by_side = [
        _fit(np.bincount(one, minlength=_CLASSES), seconds, half_spread)
        for one in (windows.buy_class, windows.sell_class)
    ]
    return Calibration(
        instrument=samples.instrument.name,
        seconds=samples.seconds,
        windows=len(windows.begins),
        trades=samples.trades,
        hits=round(fit.hits),
        a=a,
        k=k,
        half_spread=half_spread,
        lower=fit.lower,
        upper=fit.upper,
        buys=None if by_side[0] is None else (by_side[0].a, by_side[0].k),
        sells=None if by_side[1] is None else (by_side[1].a, by_side[1].k),
        goodness=_goodness(both, fit, seconds, points),
        volatility=volatility,
        fair_price=_fair_price(samples, windows, blocks, steps, flow_half_life_ns),
        gamma=gamma,
        glft_half_spread=depths.half_spread,
        glft_skew=depths.skew,
        maker_fee=fee,
        points=points,
        earned=_earned(samples, windows, blocks, steps, [point.depth for point in points]),
    )


# -- windows and blocks ---------------------------------------------------------------------------------------


def _windows(samples: Samples, steps: int) -> _Windows:
    count = (len(samples.usable) - 1) // steps
    empty = np.zeros(0, dtype=np.int64)
    if count < 1:
        return _Windows(empty, empty, empty, np.zeros(0))
    begins = np.arange(count, dtype=np.int64) * steps
    inside = begins[:, None] + np.arange(steps + 1)
    begins = begins[samples.usable[inside].all(axis=1)]
    inside = begins[:, None] + np.arange(1, steps + 1)
    mid = samples.mid[begins]
    highest = samples.highest_buy[inside].max(axis=1, initial=0)
    sells = samples.lowest_sell[inside]
    lowest = np.where(sells > 0, sells, np.int64(1) << 61).min(axis=1, initial=1 << 61)
    up = np.where(highest > 0, (highest - mid) / mid * _BPS, 0.0)
    down = np.where(lowest < 1 << 61, (mid - lowest) / mid * _BPS, 0.0)
    edges = np.array(DEPTH_EDGES)
    spread = (samples.ask_price - samples.bid_price)[begins + steps] / 2.0 / mid * _BPS
    return _Windows(begins, np.searchsorted(edges, up), np.searchsorted(edges, down), spread)


class _Blocks:
    """Blocks of consecutive samples, and how often each is drawn: shape (draws, blocks)."""

    def __init__(self, begins: Ints, samples: Samples) -> None:
        length = min(BLOCK_SECONDS * 1e9, len(samples.usable) * samples.step_ns / 20)
        self.steps = max(1, int(length // samples.step_ns))
        filled = np.unique(begins // self.steps)
        self.number = np.full(len(samples.usable) // self.steps + 1, -1, dtype=np.int64)
        self.number[filled] = np.arange(len(filled))
        self.count = len(filled)
        drawn = np.random.default_rng(SEED).integers(0, max(1, self.count), size=(DRAWS, self.count))
        self.times = np.stack([np.bincount(draw, minlength=self.count) for draw in drawn]).astype(np.float64)

    def of(self, places: Ints) -> Ints:
        """Return the block of each place in the samples; -1 outside of all."""
        found: Ints = self.number[places // self.steps]
        return found

    def totals(self, places: Ints, values: Floats) -> Floats:
        """Return the sum of values by block."""
        block = self.of(places)
        sums = np.bincount(block[block >= 0], weights=values[block >= 0], minlength=self.count)
        return sums.astype(np.float64)

    @property
    def enough(self) -> bool:
        """Whether there are enough blocks for an interval."""
        return self.count >= LEAST_BLOCKS


def _interval(value: float, draws: list[float], blocks: _Blocks, *, logarithmic: bool = True) -> Estimate:
    """Return the 95 % interval of Student's t around the value, its width from the draws.

    Positive quantities get one in their logarithm. The factor n / (n - 1) is for the few blocks there may be.
    """
    known = np.array([draw for draw in draws if np.isfinite(draw) and (draw > 0 or not logarithmic)])
    if not blocks.enough or len(known) < DRAWS // 2:
        return Estimate(value, None, None)
    free = blocks.count - 1
    spread = float((np.log(known) if logarithmic else known).std()) * np.sqrt(blocks.count / free)
    reach = float(stats.t.ppf(0.975, free) * spread)
    if logarithmic:
        return Estimate(value, value * float(np.exp(-reach)), value * float(np.exp(reach)))
    return Estimate(value, value - reach, value + reach)


# -- intensity ------------------------------------------------------------------------------------------------


def _fit(counts: Ints | Floats, seconds: float, half_spread: float) -> IntensityFit | None:
    return fit_intensity([float(count) for count in counts], seconds, half_spread)


def _bootstrap_intensity(
    windows: _Windows, blocks: _Blocks, fit: IntensityFit, seconds: float, half_spread: float
) -> tuple[Estimate, Estimate]:
    table = np.zeros((blocks.count, _CLASSES))
    block = blocks.of(windows.begins)
    np.add.at(table, (block, windows.buy_class), 1.0)
    np.add.at(table, (block, windows.sell_class), 1.0)
    drawn = [_fit(times @ table, seconds, half_spread) for times in blocks.times] if blocks.enough else []
    return (
        _interval(fit.a, [one.a for one in drawn if one is not None], blocks),
        _interval(fit.k, [one.k for one in drawn if one is not None], blocks),
    )


def _points(classes: Ints, fit: IntensityFit, seconds: float) -> list[Point]:
    counts = np.bincount(classes, minlength=_CLASSES)
    reached = counts[::-1].cumsum()[::-1]
    found: list[Point] = []
    total = len(classes)
    for at, depth in enumerate(DEPTH_EDGES):
        hits = int(reached[at + 1])
        if hits < LEAST_POINT or hits == total or depth < fit.lower / 2:
            continue
        rate = -np.log1p(-hits / total) / seconds
        inside = fit.lower <= depth <= fit.upper
        found.append(Point(depth, hits, float(rate), fit.at(depth), inside))
    return found


def _earned(samples: Samples, windows: _Windows, blocks: _Blocks, steps: int, depths: list[float]) -> list[Earned]:
    """Judge fills on both sides by the mid some seconds after their window."""
    after = steps + round(EARNED_AFTER_S * 1e9 / samples.step_ns)
    known = windows.begins + after < len(samples.usable)
    known[known] = samples.usable[windows.begins[known] + after]
    begins = windows.begins[known]
    mid = samples.mid
    moved = (mid[begins + after] - mid[begins]) / mid[begins] * _BPS
    found: list[Earned] = []
    for depth in depths:
        at = DEPTH_EDGES.index(depth)
        # buyers who reach a depth fill a sale there, sellers a purchase
        sold, bought = windows.buy_class[known] > at, windows.sell_class[known] > at
        fills = np.count_nonzero(sold) + np.count_nonzero(bought)
        if fills < LEAST_POINT:
            continue
        gains = sold * (depth - moved) + bought * (depth + moved)
        sums = blocks.totals(begins, gains)
        counts = blocks.totals(begins, sold.astype(np.float64) + bought)
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = (blocks.times @ sums) / (blocks.times @ counts)
        value = float(gains.sum() / fills)
        found.append(Earned(depth, int(fills), _interval(value, draws.tolist(), blocks, logarithmic=False)))
    return found


def _goodness(classes: Ints, fit: IntensityFit, seconds: float, points: list[Point]) -> Goodness:
    inside = [point for point in points if point.in_fit]
    r_squared = worst = None
    if len(inside) >= 3:
        measured = np.log([point.rate for point in inside])
        residual = measured - np.log([point.fitted for point in inside])
        spread = float(((measured - measured.mean()) ** 2).sum())
        r_squared = 1.0 - float((residual**2).sum()) / spread if spread > 0 else None
        worst = float(np.exp(np.abs(residual).max()))
    edges = [depth for depth in DEPTH_EDGES if fit.lower <= depth <= fit.upper]
    below = np.array([np.exp(-seconds * fit.at(depth)) for depth in edges])
    expected = np.diff(np.concatenate([[0.0], below, [1.0]])) * len(classes)
    first = int(np.searchsorted(DEPTH_EDGES, fit.lower))
    counts = np.bincount(classes, minlength=_CLASSES)
    seen = np.concatenate(
        [[counts[: first + 1].sum()], counts[first + 1 : first + len(edges)], [counts[first + len(edges) :].sum()]]
    )
    # some ten groups: classes finer than the price grid would only show the grid
    least = max(LEAST_POINT, fit.hits / 10)
    merged: list[list[float]] = [[0.0, 0.0]]
    for one, other in zip(seen, expected, strict=True):
        if merged[-1][1] >= least:
            merged.append([0.0, 0.0])
        merged[-1][0] += float(one)
        merged[-1][1] += float(other)
    if len(merged) > 1 and merged[-1][1] < least:
        last = merged.pop()
        merged[-1][0] += last[0]
        merged[-1][1] += last[1]
    degrees = len(merged) - 3
    if degrees < 1:
        return Goodness(r_squared, worst, None, 0, None)
    chi = sum((one - other) ** 2 / other for one, other in merged)
    return Goodness(r_squared, worst, chi, degrees, float(stats.chi2.sf(chi, degrees)))


# -- volatility and fair price ----------------------------------------------------------------------------------


def _returns(level: Floats, usable: np.typing.NDArray[np.bool_], steps: int) -> tuple[Ints, Floats]:
    """Return where overlapping returns over so many steps end, and the returns; none across a gap."""
    bad = np.concatenate([[0], np.cumsum(~usable)])
    ends = np.arange(steps, len(level))
    whole = bad[ends + 1] - bad[ends - steps] == 0
    ends = ends[whole]
    return ends, level[ends] - level[ends - steps]


def _volatility(samples: Samples, blocks: _Blocks) -> Volatility:
    level = _BPS * np.log(np.where(samples.usable, samples.mid, 1.0))
    step_seconds = samples.step_ns / 1e9
    parts = []
    for steps in (1, VOLATILITY_STEPS):
        ends, changes = _returns(level, samples.usable, steps)
        parts.append((changes, blocks.totals(ends, changes**2), blocks.totals(ends, np.ones(len(ends)))))
    short, many = parts
    if len(many[0]) == 0:
        raise TooLittleError("there is no stretch long enough for a return of five seconds")

    def sigma(short_square: float, long_square: float) -> float:
        return two_scales(short_square, long_square, VOLATILITY_STEPS, step_seconds)

    short_square = float((short[0] ** 2).mean())
    value = sigma(short_square, float((many[0] ** 2).mean()))
    draws = [
        sigma(float(times @ short[1] / (times @ short[2])), float(times @ many[1] / (times @ many[2])))
        for times in blocks.times
        if times @ short[2] > 0 and times @ many[2] > 0
    ]
    plain: dict[str, float] = {}
    for seconds in (0.1, 1.0, 5.0, 30.0):
        steps = round(seconds / step_seconds)
        changes = _returns(level, samples.usable, steps)[1] if steps >= 1 else np.zeros(0)
        if len(changes):
            plain[f"{seconds:g}s"] = float(np.sqrt((changes**2).mean() / (steps * step_seconds)))
    noise = np.sqrt(max(0.0, short_square - value**2 * step_seconds) / 2)
    return Volatility(_interval(value, draws, blocks), float(noise), plain)


def _fair_price(
    samples: Samples, windows: _Windows, blocks: _Blocks, steps: int, flow_half_life_ns: int
) -> FairPriceFit:
    flow = OrderFlow(flow_half_life_ns)
    sizes = (samples.bid_size + samples.ask_size) / 2.0
    values = np.zeros(len(sizes))
    now = samples.first_ns
    for at, (imbalance, size) in enumerate(zip(samples.flow.tolist(), sizes.tolist(), strict=True)):
        flow.add(now, float(imbalance), float(size))
        values[at] = flow.value()
        now += samples.step_ns
    begins = windows.begins
    mid = samples.mid
    total = np.maximum(samples.bid_size + samples.ask_size, 1)[begins]
    spread = (samples.ask_price - samples.bid_price)[begins]
    lean = spread * (samples.bid_size[begins] / total - 0.5) / mid[begins] * _BPS
    inputs = np.stack([lean, values[begins]], axis=1)
    change = (mid[begins + steps] - mid[begins]) / mid[begins] * _BPS
    products = inputs[:, :, None] * inputs[:, None, :]
    squares = np.stack([blocks.totals(begins, products[:, i, j]) for i in (0, 1) for j in (0, 1)], axis=1)
    across = np.stack([blocks.totals(begins, inputs[:, i] * change) for i in (0, 1)], axis=1)

    def solve(times: Floats) -> Floats:
        matrix = (times @ squares).reshape(2, 2)
        return np.asarray(np.linalg.lstsq(matrix, times @ across, rcond=None)[0], dtype=np.float64)

    weights = solve(np.ones(blocks.count))
    draws = np.array([solve(times) for times in blocks.times])
    left = change - inputs @ weights
    spread_of = float((change**2).sum())
    return FairPriceFit(
        _interval(float(weights[0]), draws[:, 0].tolist(), blocks, logarithmic=False),
        _interval(float(weights[1]), draws[:, 1].tolist(), blocks, logarithmic=False),
        1.0 - float((left**2).sum()) / spread_of if spread_of > 0 else 0.0,
    )
