"""Price grids against an independent decimal implementation of Hyperliquid's rule."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.instrument import Instrument

perp = st.integers(0, 5)


def a_perp(size_decimals: int) -> Instrument:
    return Instrument(
        "PERP", price_scale=6 - size_decimals, size_scale=size_decimals, significant_figures=5,
        max_price=10**13, max_size=10**5,
    )  # fmt: skip


def venue_allows(price: Decimal, size_decimals: int) -> bool:
    """An integer, or at most five significant figures and at most 6 - szDecimals decimals."""
    plain = price.normalize()
    if plain == plain.to_integral_value():
        return plain > 0
    figures = len(plain.as_tuple().digits)
    decimals = -int(plain.as_tuple().exponent)
    return plain > 0 and figures <= 5 and decimals <= 6 - size_decimals


def venue_step(price: Decimal, size_decimals: int) -> Decimal:
    """min(1, max(10^(floor(log10 p) - 4), 10^-(6 - szDecimals)))."""
    return min(Decimal(1), max(Decimal(10) ** (price.adjusted() - 4), Decimal(10) ** -(6 - size_decimals)))


@pytest.mark.parametrize(
    ("text", "size_decimals", "allowed"),
    [
        ("1234.5", 0, True), ("1234.5", 5, True), ("1234.56", 0, False), ("1234.56", 4, False),
        ("123456", 0, True), ("123456", 5, True), ("12345.6", 0, False), ("12345.6", 5, False),
        ("0.001234", 0, True), ("0.01234", 1, True), ("83767", 5, True), ("83767.5", 5, False),
        ("99999", 5, True), ("100000", 5, True), ("100001", 5, True), ("9999.9", 5, True),
        ("0.00001", 0, True), ("0.000001", 0, True), ("10000000", 0, True), ("1.0000", 1, True),
    ],
)  # fmt: skip
def test_the_table_of_the_venues_documentation(text: str, size_decimals: int, allowed: bool) -> None:
    instrument = a_perp(size_decimals)
    if not allowed:
        try:
            price = instrument.parse_price(text)
        except ValueError:
            return
        assert not instrument.on_grid(price)
        return
    price = instrument.parse_price(text)
    assert instrument.on_grid(price)
    assert Decimal(instrument.price_text(price)) == Decimal(text)


@pytest.mark.parametrize(("text", "size_decimals"), [("0.0012345", 0), ("0.012345", 1), ("1.2", 6)])
def test_more_decimals_than_the_venue_takes_cannot_even_be_written(text: str, size_decimals: int) -> None:
    with pytest.raises(ValueError, match="decimals"):
        a_perp(size_decimals).parse_price(text)


@given(perp, st.integers(1, 10**13) | st.integers(1, 10**7), st.sampled_from([1, -1]))
def test_a_snapped_price_is_allowed_and_the_nearest_away_from_the_market(
    size_decimals: int, price: int, side: int
) -> None:
    instrument = a_perp(size_decimals)
    scale = 6 - size_decimals
    exact = Decimal(price).scaleb(-scale)
    assert instrument.on_grid(price) == venue_allows(exact, size_decimals)
    snapped = instrument.snap(price, side)
    # never toward the market: a maker price cannot become a taker price
    assert (price - snapped) * side >= 0
    step = venue_step(exact, size_decimals)
    rounding = ROUND_FLOOR if side > 0 else ROUND_CEILING
    expected = (exact / step).to_integral_value(rounding) * step
    assert Decimal(snapped).scaleb(-scale) == expected
    if snapped > 0:
        assert instrument.on_grid(snapped)
        assert instrument.snap(snapped, side) == snapped
        text = instrument.price_text(snapped)
        assert instrument.parse_price(text) == snapped
        assert venue_allows(Decimal(text), size_decimals)


@given(st.integers(1, 10**6), st.sampled_from([1, 2, 5, 25, 1000]), st.sampled_from([1, -1]))
def test_a_fixed_tick_snaps_alike(price: int, tick: int, side: int) -> None:
    instrument = Instrument("FIXED", price_scale=2, size_scale=2, tick_size=tick, max_price=10**7, max_size=10**6)
    snapped = instrument.snap(price, side)
    assert snapped % tick == 0
    assert 0 <= (price - snapped) * side < tick
    assert instrument.on_grid(price) == (price % tick == 0)


@given(st.integers(0, 10**9), st.integers(1, 1000))
def test_a_snapped_size_is_the_largest_multiple_of_the_lot(size: int, lot: int) -> None:
    instrument = Instrument("LOT", price_scale=0, size_scale=0, lot_size=lot)
    snapped = instrument.snap_size(size)
    assert snapped % lot == 0
    assert 0 <= size - snapped < lot


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price_scale": 4, "size_scale": 3}, "must not exceed money_scale"),
        ({"price_scale": -1}, "must not exceed"),
        ({"money_scale": 13}, "at most 12"),
        ({"tick_size": 0}, "at least 1"),
        ({"lot_size": 0}, "at least 1"),
        ({"max_leverage": 0}, "between 1 and 1000"),
        ({"max_price": 10**10, "max_size": 10**9}, "exceeds 2\\^62"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_an_instrument_that_cannot_be_is_refused(changes: dict[str, int], message: str) -> None:
    values: dict[str, int] = {"price_scale": 1, "size_scale": 2, **changes}
    name = str(values.pop("name", "BAD"))
    with pytest.raises(ValueError, match=message):
        Instrument(name, **values)
