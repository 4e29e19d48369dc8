"""The GLFT closed form against values computed independently, its limits, and what must rise with what."""

import math
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.strategy.glft import Glft, gamma_for_skew

RATE = st.floats(0.001, 100)
SLOPE = st.floats(0.01, 20)
SIGMA = st.floats(0.01, 50)
GAMMA = st.floats(1e-6, 10)
INVENTORY = st.floats(-50, 50)


def by_decimals(a: str, k: str, sigma: str, gamma: str, xi: str, size: str, inventory: str) -> tuple[float, float]:
    """The formula of the paper in 50 digits, written anew."""
    getcontext().prec = 50
    rate, slope, vol, risk, pen, unit, held = (Decimal(one) for one in (a, k, sigma, gamma, xi, size, inventory))
    base = 1 + pen * unit / slope
    c1 = base.ln() / (pen * unit)
    c2 = (risk / (2 * rate * unit * slope) * base ** (slope / (pen * unit) + 1)).sqrt()
    return float(c1 + unit * vol * c2 / 2 + held * vol * c2), float(c1 + unit * vol * c2 / 2 - held * vol * c2)


@pytest.mark.parametrize(
    "values",
    [
        ("0.9", "0.3", "0.3", "0.01", "0.01", "1", "0"),
        ("0.9", "0.3", "0.3", "0.01", "0.01", "1", "3"),
        ("0.087", "1.25", "0.65", "0.00132", "0.00132", "1", "-7"),
        ("12", "0.05", "4", "2", "0.5", "1", "2.5"),
        ("0.1", "1.4", "0.5", "0.2", "0.2", "50", "-100"),
        ("5", "0.2", "1", "0.0001", "0.0001", "0.01", "0.3"),
    ],
)
def test_depths_are_those_of_the_formula(values: tuple[str, str, str, str, str, str, str]) -> None:
    a, k, sigma, gamma, xi, size, inventory = (float(one) for one in values)
    depths = Glft(a, k, sigma, gamma, xi, size)
    bid, ask = by_decimals(*values)
    assert depths.bid_depth(inventory) == pytest.approx(bid, rel=1e-12)
    assert depths.ask_depth(inventory) == pytest.approx(ask, rel=1e-12)


def test_without_exponential_utility_the_spread_is_that_of_the_limit() -> None:
    """xi -> 0: c1 = 1 / k, c2 = sqrt(gamma e / (2 a size k))."""
    depths = Glft(0.7, 0.4, 1.1, 0.03, 0.0, 2.0)
    assert depths.c1 == pytest.approx(1 / 0.4, rel=1e-15)
    assert depths.c2 == pytest.approx(math.sqrt(0.03 * math.e / (2 * 0.7 * 2.0 * 0.4)), rel=1e-15)


@given(RATE, SLOPE, SIGMA, GAMMA, st.floats(0.5, 2))
def test_the_limit_joins_the_formula_without_a_step(a: float, k: float, sigma: float, gamma: float, at: float) -> None:
    below, above = Glft(a, k, sigma, gamma, 0.999_999e-6 * k), Glft(a, k, sigma, gamma, 1.000_001e-6 * k)
    assert below.c1 == pytest.approx(above.c1, rel=1e-9)
    assert below.c2 == pytest.approx(above.c2, rel=1e-9)
    assert Glft(a, k, sigma, gamma, 0.0).c1 * at == pytest.approx(at / k, rel=1e-12)


@given(RATE, SLOPE, SIGMA, GAMMA, INVENTORY)
def test_bid_and_ask_are_mirror_images(a: float, k: float, sigma: float, gamma: float, inventory: float) -> None:
    depths = Glft(a, k, sigma, gamma)
    assert depths.bid_depth(inventory) == depths.ask_depth(-inventory)
    assert depths.bid_depth(0.0) == depths.ask_depth(0.0) == depths.half_spread
    total = depths.bid_depth(inventory) + depths.ask_depth(inventory)
    assert total == pytest.approx(2 * depths.half_spread, rel=1e-6)


@given(RATE, SLOPE, SIGMA, GAMMA, st.floats(1.1, 10))
def test_what_must_rise_rises(a: float, k: float, sigma: float, gamma: float, factor: float) -> None:
    depths = Glft(a, k, sigma, gamma)
    assert Glft(a, k, sigma * factor, gamma).half_spread > depths.half_spread
    assert Glft(a, k, sigma * factor, gamma).skew > depths.skew
    assert Glft(a, k, sigma, gamma * factor).skew > depths.skew
    # more trade: inventory is turned over sooner, so both narrow
    assert Glft(a * factor, k, sigma, gamma).half_spread < depths.half_spread
    assert depths.bid_depth(1.0) > depths.bid_depth(0.0) > depths.bid_depth(-1.0)


def test_without_volatility_inventory_costs_nothing() -> None:
    depths = Glft(1.0, 0.5, 0.0, 0.1)
    assert depths.bid_depth(40.0) == depths.half_spread == pytest.approx(math.log1p(0.2) / 0.1)


@given(RATE, st.floats(0.01, 3), SIGMA, GAMMA, st.floats(-2, 3))
def test_a_cost_is_the_same_as_a_market_that_far_away(
    a: float, k: float, sigma: float, gamma: float, cost: float
) -> None:
    """Depths less cost are those without it where trades reach a depth as often as depth + cost before."""
    with_cost = Glft(a, k, sigma, gamma, -1.0, 1.0, cost)
    moved = Glft(a * math.exp(-k * cost), k, sigma, gamma)
    assert with_cost.half_spread - cost == pytest.approx(moved.half_spread, rel=1e-9, abs=1e-9)
    assert with_cost.skew == pytest.approx(moved.skew, rel=1e-12)


def test_the_quote_of_one_trade_maximizes_what_it_earns_an_hour() -> None:
    """gamma -> 0: the depth is where a exp(-k depth) (depth - cost) is greatest, found by trying all."""
    a, k, cost = 0.3, 0.8, 1.5
    best = max((a * math.exp(-k * depth) * (depth - cost), depth) for depth in (at / 1000 for at in range(10_000)))
    assert Glft(a, k, 0.5, 1e-12, -1.0, 1.0, cost).half_spread == pytest.approx(best[1], abs=0.001)


@given(RATE, SLOPE, st.floats(0.01, 50), st.floats(1, 100), st.floats(-1, 2))
def test_the_suggested_gamma_quotes_a_full_position_out_at_cost(
    a: float, k: float, sigma: float, inventory: float, cost: float
) -> None:
    gamma = gamma_for_skew(a, k, sigma, inventory, cost)
    assert Glft(a, k, sigma, gamma, -1.0, 1.0, cost).ask_depth(inventory) == pytest.approx(cost, abs=1e-6 + 1e-6 / k)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((0.0, 1.0, 1.0, 1.0), "a must"),
        ((1.0, -1.0, 1.0, 1.0), "k must"),
        ((1.0, 1.0, -0.1, 1.0), "sigma must"),
        ((1.0, 1.0, math.nan, 1.0), "sigma must"),
        ((1.0, 1.0, 1.0, 0.0), "gamma must"),
        ((1.0, 1.0, 1.0, 1.0, -0.5), "xi must"),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 0.0), "size must"),
        ((math.inf, 1.0, 1.0, 1.0), "a must"),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, math.nan), "cost must"),
    ],
)
def test_values_that_are_none_are_named(values: tuple[float, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Glft(*values)


def test_no_gamma_for_less_than_one_quote_or_no_volatility() -> None:
    with pytest.raises(ValueError, match="at least one quote"):
        gamma_for_skew(1.0, 1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="sigma must"):
        gamma_for_skew(1.0, 1.0, 0.0, 5.0)
