"""Fair price, volatility and intensity: known values come back, and silences are not bridged."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.core.strategy import View
from hatmanifesto.strategy.fair_price import FairPrice, OrderFlow, microprice, mid
from hatmanifesto.strategy.intensity import DEPTH_EDGES, IntensityEstimator, depth_class, fit_intensity
from hatmanifesto.strategy.volatility import TwoScaleVolatility
from support.engines import T0, S, an_instrument

MS = 1_000_000


def a_view(bid: int = 1000, ask: int = 1010, bid_size: int = 30, ask_size: int = 10, now: int = T0) -> View:
    view = View(an_instrument())
    view.now_ns, view.bid_price, view.ask_price, view.bid_size, view.ask_size = now, bid, ask, bid_size, ask_size
    return view


# -- fair price -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((30, 10), 1007.5), ((10, 10), 1005.0), ((10, 30), 1002.5), ((0, 0), 1005.0)],
)
def test_the_microprice_leans_to_where_less_waits(sizes: tuple[int, int], expected: float) -> None:
    assert microprice(a_view(bid_size=sizes[0], ask_size=sizes[1])) == expected


def test_an_empty_side_has_no_price() -> None:
    assert mid(a_view(bid=0)) == microprice(a_view(ask=0)) == 0.0
    assert FairPrice(1.0, 1.0, S).update(a_view(bid=0)) == 0.0


def test_flow_halves_in_its_half_life_and_is_counted_in_usual_sizes() -> None:
    flow = OrderFlow(S)
    flow.add(T0, 500.0, 100.0)  # from before the first view: nobody knows since when
    assert flow.value() == 0.0
    flow.add(T0 + S, 200.0, 100.0)
    assert flow.value() == pytest.approx(2.0)
    flow.add(T0 + 2 * S, 0.0, 100.0)
    assert flow.value() == pytest.approx(1.0)
    flow.add(T0 + 4 * S, -75.0, 100.0)
    assert flow.value() == pytest.approx(0.25 - 0.75)


def test_the_fair_price_adds_its_inputs_and_stays_near_the_spread() -> None:
    fair = FairPrice(0.5, 0.0, S)
    assert fair.update(a_view()) == 1005.0 + 0.5 * 2.5
    pushed = FairPrice(0.0, 1e6, S)
    view = a_view()
    pushed.update(view)
    view.now_ns, view.order_flow_imbalance = T0 + S, 10
    assert pushed.update(view) == 1020.0
    view.now_ns, view.order_flow_imbalance = T0 + 2 * S, -1000
    assert pushed.update(view) == 990.0


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="must be numbers"):
        FairPrice(math.nan, 0.0, S)
    with pytest.raises(ValueError, match="half_life_ns"):
        FairPrice(1.0, 0.0, 0)


# -- volatility -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "noise"), [(0.5, 0.0), (0.5, 0.3), (4.0, 1.0)])
def test_volatility_comes_back_without_the_noise(sigma: float, noise: float) -> None:
    rng = random.Random(7)
    estimator, level, now = TwoScaleVolatility(100 * MS, 50, 0), 0.0, T0
    for _ in range(60_000):
        level += sigma * math.sqrt(0.1) * rng.gauss(0, 1)
        estimator.add(now, math.exp((level + noise * rng.gauss(0, 1)) / 10_000))
        now += 100 * MS
    # 60,000 overlapping returns of 50 steps: 1,200 independent ones, so about 3 % of error
    assert estimator.value() == pytest.approx(sigma, rel=0.08)
    assert estimator.samples() == pytest.approx(1200, rel=0.01)


def test_prices_told_at_any_moment_are_read_at_equal_steps() -> None:
    """A price told twice, or between two steps and changed again, counts once and as it stood at the step."""
    even, uneven = TwoScaleVolatility(100 * MS, 2, 0), TwoScaleVolatility(100 * MS, 2, 0)
    prices = [100.0, 101.0, 99.0, 102.0, 102.0, 98.0]
    for at, price in enumerate(prices):
        even.add(T0 + at * 100 * MS, price)
    for at, price in enumerate(prices):
        uneven.add(T0 + at * 100 * MS, price)
        uneven.add(T0 + at * 100 * MS + 30 * MS, 55.0)
        uneven.add(T0 + at * 100 * MS + 60 * MS, price)
    assert uneven.value() == even.value() > 0.0


def test_a_silence_is_not_a_return() -> None:
    estimator = TwoScaleVolatility(100 * MS, 2, 0)
    for at in range(20):
        estimator.add(T0 + at * 100 * MS, 100.0)
    estimator.add(T0 + 60 * S, 200.0)
    for at in range(20):
        estimator.add(T0 + 60 * S + at * 100 * MS, 200.0)
    assert estimator.value() == 0.0


def test_recent_returns_count_more() -> None:
    estimator, price = TwoScaleVolatility(100 * MS, 5, 10 * S), 100.0
    rng = random.Random(3)
    for at in range(4000):
        price *= 1 + (0.0001 if at < 2000 else 0.0004) * rng.choice((-1, 1))
        estimator.add(T0 + at * 100 * MS, price)
    assert estimator.value() == pytest.approx(4 / math.sqrt(0.1), rel=0.4)


# -- intensity ------------------------------------------------------------------------------------------------


@given(st.floats(0.0, 200.0))
def test_the_class_of_a_reach_is_the_first_bound_not_below_it(depth: float) -> None:
    assert depth_class(depth) == int(np.searchsorted(DEPTH_EDGES, depth))


@given(st.integers(0, len(DEPTH_EDGES) - 1))
def test_a_reach_on_a_bound_belongs_below_it(at: int) -> None:
    assert depth_class(DEPTH_EDGES[at]) == at


def reaches(a: float, k: float, seconds: float, windows: int, seed: int, least: float = 0.0) -> list[float]:
    """The farthest of Poisson trades with exponential depths, which is what the model says."""
    rng, found = random.Random(seed), []
    for _ in range(windows):
        # exp(-seconds a exp(-k reach)) = u
        u = rng.random()
        reach = math.log(-seconds * a / math.log(u)) / k
        found.append(max(reach, least if reach > 0 and u > math.exp(-seconds * a) else 0.0))
    return found


@pytest.mark.parametrize(("a", "k", "seconds"), [(0.5, 0.8, 1.0), (0.05, 0.3, 2.0), (3.0, 5.0, 0.5), (0.2, 0.08, 1.0)])
def test_the_fit_recovers_what_the_counts_were_made_of(a: float, k: float, seconds: float) -> None:
    counts = [0.0] * (len(DEPTH_EDGES) + 1)
    for reach in reaches(a, k, seconds, 40_000, 5):
        counts[depth_class(reach)] += 1.0
    fit = fit_intensity(counts, seconds, 0.05)
    assert fit is not None
    assert abs(math.log(fit.k / k)) < 4 * fit.k_error
    assert abs(math.log(fit.rate / (a * math.exp(-k * fit.lower)))) < 4 * fit.rate_error
    assert fit.k_error < 0.05
    assert fit.at(fit.lower) == pytest.approx(fit.a * math.exp(-fit.k * fit.lower))


def test_stated_errors_are_those_that_happen() -> None:
    fits = []
    for seed in range(60):
        counts = [0.0] * (len(DEPTH_EDGES) + 1)
        for reach in reaches(0.3, 0.5, 1.0, 1500, seed):
            counts[depth_class(reach)] += 1.0
        fit = fit_intensity(counts, 1.0, 0.05)
        assert fit is not None
        fits.append(fit)
    happened = np.std([math.log(fit.k) for fit in fits])
    assert happened == pytest.approx(np.mean([fit.k_error for fit in fits]), rel=0.3)
    assert np.mean([fit.k for fit in fits]) == pytest.approx(0.5, rel=0.03)


def test_what_lies_inside_the_spread_does_not_bend_the_slope() -> None:
    """Where the spread keeps trades at least 2 bps away, the fit begins there and finds the same line."""
    counts = [0.0] * (len(DEPTH_EDGES) + 1)
    for reach in reaches(0.5, 0.4, 1.0, 40_000, 9, least=2.0):
        counts[depth_class(reach)] += 1.0
    fit = fit_intensity(counts, 1.0, 2.0)
    assert fit is not None
    assert fit.lower >= 2.0
    assert fit.k == pytest.approx(0.4, rel=0.05)
    assert fit.a == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    "counts",
    [{}, {0: 5000.0}, {0: 100.0, 60: 29.0}, {0: 100.0, 60: 5000.0}, {97: 400.0}],
    ids=["nothing", "no reach", "too few", "one class", "all beyond"],
)
def test_no_fit_where_nothing_can_be_told(counts: dict[int, float]) -> None:
    table = [counts.get(at, 0.0) for at in range(len(DEPTH_EDGES) + 1)]
    assert fit_intensity(table, 1.0, 0.05) is None


@given(st.lists(st.floats(0, 1e6), min_size=len(DEPTH_EDGES) + 1, max_size=len(DEPTH_EDGES) + 1), st.floats(0, 150))
def test_whatever_the_counts_a_fit_is_finite_or_none(counts: list[float], half_spread: float) -> None:
    fit = fit_intensity(counts, 1.0, half_spread)
    if fit is not None:
        assert fit.a > 0
        assert fit.k > 0
        assert all(math.isfinite(value) for value in (fit.a, fit.k, fit.rate_error, fit.k_error))


def test_windows_begin_where_the_last_ended_and_count_both_sides() -> None:
    estimator = IntensityEstimator(S, 0)
    assert not estimator.add(T0, 9_999, 10_001, 0, 0)
    assert not estimator.add(T0 + 400 * MS, 9_999, 10_001, 10_010, 0)  # 10 bps up
    assert not estimator.add(T0 + 700 * MS, 9_999, 10_001, 10_005, 9_980)  # nearer; 20 bps down
    assert estimator.add(T0 + S, 10_009, 10_011, 0, 0)
    assert estimator.counts[depth_class(10.0)] == 1.0
    assert estimator.counts[depth_class(20.0)] == 1.0
    assert estimator.half_spread_bps() == pytest.approx(1.0)
    # the next window's mid is 10010; nothing traded in it
    assert estimator.add(T0 + 2 * S, 10_009, 10_011, 0, 0)
    assert estimator.counts[0] == 2.0
    assert estimator.windows == 2
    assert estimator.fit() is None


def test_a_window_with_a_silence_or_without_a_book_is_thrown_away() -> None:
    estimator = IntensityEstimator(S, 0)
    estimator.add(T0, 9_999, 10_001, 0, 0)
    assert not estimator.add(T0 + 11 * S, 9_999, 10_001, 10_100, 0)
    assert not estimator.add(T0 + 11 * S + 500 * MS, 0, 10_001, 0, 0)
    assert not estimator.add(T0 + 12 * S, 9_999, 10_001, 10_100, 0)
    assert sum(estimator.counts) == 0.0


@pytest.mark.parametrize("make", [lambda: IntensityEstimator(0), lambda: TwoScaleVolatility(0)])
def test_times_that_are_none_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        make()  # type: ignore[operator]
