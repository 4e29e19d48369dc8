"""Mark and impact prices: the median of three, the venue's 150 s average, and what an order of some money would pay."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.funding import premium_of
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.simulation.live.mark import MarkPrice, impact_price
from support.live import Floor

MEDIANS = [
    # oracle, bid, ask, last, elsewhere -> mark, for a first sample (whose average basis is the mid's own)
    (1000, 1010, 1020, 1012, 1005, 1012),  # 1015 by the basis, 1012 by the book, 1005 elsewhere
    (1000, 1010, 1020, 1900, 1005, 1015),  # the last trade is far away: the book says its ask
    (1000, 1010, 1020, 1, 1500, 1015),
    (1000, 1010, 1020, 0, 1005, 1015),  # nothing traded yet
    (1000, 0, 0, 0, 1005, 1005),  # no book
    (1000, 1010, 1020, 1012, 0, 1013),  # two inputs: their mean
    (1000, 0, 0, 0, 0, 1000),
]


@pytest.mark.parametrize(("oracle", "bid", "ask", "last", "elsewhere", "mark"), MEDIANS)
def test_the_mark_is_the_median(oracle: int, bid: int, ask: int, last: int, elsewhere: int, mark: int) -> None:
    assert MarkPrice(3_000).update(oracle, bid, ask, last, elsewhere) == mark


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=80))
def test_the_average_basis_is_the_venues_formula(gaps: list[int]) -> None:
    """num ← num·e^(−t/τ) + sample·t, den ← den·e^(−t/τ) + t, seen through the mean of two inputs."""
    mark, numerator, denominator = MarkPrice(3_000), 0.0, 0.0
    got = 0
    for gap in gaps:
        keep = math.exp(-3 / 150)
        numerator, denominator = numerator * keep + gap * 3, denominator * keep + 3
        mid = 1_000_000 + gap
        got = mark.update(1_000_000, mid, mid, mid, 0)
    book, basis = 1_000_000 + gaps[-1], 1_000_000 + numerator / denominator
    assert abs(got - (book + basis) / 2) <= 1.5


def test_the_impact_price_is_the_mean_price_of_so_much_money() -> None:
    floor = Floor()
    floor.place(0, -1, 60_000, 10_000, POST_ONLY)  # 6,000 USDC
    floor.place(0, -1, 60_010, 10_000, POST_ONLY)
    floor.place(0, -1, 60_100, 100_000, POST_ONLY)
    market = floor.exchange.markets[0]
    usd = 1_000_000

    def naive(notional: int) -> int:
        left, value, size = notional, 0, 0
        for price, there, _ in floor.book()[1]:
            taken = min(there, left // (price) + 1)
            left -= taken * price
            value, size = value + taken * price, size + taken
            if left <= 0:
                return value // size
        return 0

    for notional in (1_000, 6_000, 6_001, 12_000, 20_000, 60_000, 90_000):
        assert impact_price(market.book.asks, market.instrument, notional * usd) == naive(notional * usd)
    assert impact_price(market.book.asks, market.instrument, 90_000 * usd) == 0
    assert impact_price(market.book.bids, market.instrument, usd) == 0


def test_the_recorded_premium_comes_from_recorded_impact_prices() -> None:
    assert premium_of(837_570, 837_668, 837_781) == -134_880_100  # -0.0001348801
