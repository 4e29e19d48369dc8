"""Position arithmetic against fractions, and by example."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.money import RATE_SCALE, format_decimal, muldiv, parse_decimal, rate_of
from hatmanifesto.model.position import Position, share_of

amounts = st.integers(-(1 << 61), 1 << 61) | st.integers(-(1 << 43), 1 << 43) | st.integers(-1000, 1000)


def toward_zero(value: Fraction) -> int:
    return int(value)


@given(amounts, st.integers(-(1 << 40), 1 << 40), st.integers(1, 1 << 40))
def test_muldiv_is_the_fraction_truncated(amount: int, factor: int, divisor: int) -> None:
    assert muldiv(amount, factor, divisor) == toward_zero(Fraction(amount) * factor / divisor)


@pytest.mark.parametrize("divisor", [0, -1])
def test_muldiv_when_divisor_is_not_positive_then_says_so(divisor: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        muldiv(1, 1, divisor)


@given(amounts, st.integers(-RATE_SCALE, RATE_SCALE))
def test_rate_of_is_the_fraction_truncated(amount: int, rate: int) -> None:
    assert rate_of(amount, rate) == toward_zero(Fraction(amount) * rate / RATE_SCALE)


@pytest.mark.parametrize("amount", [1_999_999_999, 2_000_000_000, 2_000_000_001, -2_000_000_000])
@pytest.mark.parametrize("rate", [1_999_999_999, 2_000_000_000, -2_000_000_001])
def test_rate_of_at_the_edge_of_the_fast_path(amount: int, rate: int) -> None:
    assert rate_of(amount, rate) == toward_zero(Fraction(amount) * rate / RATE_SCALE)


@given(amounts, st.integers(1, 1 << 44), st.data())
def test_share_of_is_the_fraction_truncated(amount: int, whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole) | st.sampled_from([0, whole, min(whole, 1 << 20)]))
    assert share_of(amount, part, whole) == toward_zero(Fraction(amount) * part / whole)


@given(st.integers(-(10**17), 10**17), st.integers(0, 12))
def test_decimal_text_goes_around(amount: int, scale: int) -> None:
    text = format_decimal(amount, scale)
    assert parse_decimal(text, scale) == amount
    assert Fraction(text) == Fraction(amount, 10**scale)
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    "text", ["", ".", "-", "+", "1e5", "0x1", "nan", "inf", "1.2.3", "1,5", "--1", "١", "²", "1_0"]
)
def test_parse_decimal_when_text_is_no_number_then_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        parse_decimal(text, 3)


def test_parse_decimal_when_decimals_are_too_many_then_says_how_many() -> None:
    with pytest.raises(ValueError, match="4 decimals; at most 3"):
        parse_decimal("1.2345", 3)
    assert parse_decimal("1.230000", 2) == 123


# -- positions ------------------------------------------------------------------------------------------

fills = st.lists(
    st.tuples(
        st.sampled_from([1, -1]), st.integers(1, 10**7), st.integers(1, 10**5), st.integers(-(10**9), 10**9),
        st.booleans(),
    ),
    max_size=30,
)  # fmt: skip


@given(fills, st.integers(1, 10**7), st.sampled_from([1, 100]))
def test_position_is_the_sum_of_fills_and_equity_the_sum_of_cash_flows(
    history: list[tuple[int, int, int, int, bool]], mark: int, factor: int
) -> None:
    position = Position(factor)
    size = cash = fees = volume = traded = maker = 0
    for side, price, amount, fee, taker in history:
        booked = position.apply_fill(side, price, amount, fee, taker)
        size += side * amount
        cash -= side * price * amount * factor
        fees += fee
        volume += amount
        traded += price * amount * factor
        maker += 0 if taker else price * amount * factor
        assert position.size == size
        # to the last unit, through every flip: what was realized and what the cost still holds
        assert position.realized - position.cost == cash
        assert position.realized + position.unrealized(mark) == cash + size * mark * factor
        if size == 0:
            assert position.cost == 0
        assert position.cost * size >= 0
        assert isinstance(booked, int)
    assert position.fees - position.rebates == fees
    assert (position.fills, position.volume) == (len(history), volume)
    assert (position.traded, position.maker_traded) == (traded, maker)


@given(fills)
def test_average_price_lies_between_the_prices_that_made_it(
    history: list[tuple[int, int, int, int, bool]],
) -> None:
    position = Position(1)
    low, high = 0, 0
    for side, price, amount, _, _ in history:
        before = position.size
        position.apply_fill(side, price, amount, 0, False)
        if before * side >= 0 and before != 0:
            low, high = min(low, price), max(high, price)
        elif position.size * side > 0:
            low = high = price
        if position.size:
            # closing truncates its share of the cost, so the average may drift by less than one unit a fill
            assert low - len(history) <= position.average_price <= high + len(history)


@pytest.mark.parametrize(
    ("trades", "size", "cost", "realized"),
    [
        ([(1, 100, 10)], 10, 1000, 0),
        ([(1, 100, 10), (1, 110, 10)], 20, 2100, 0),
        ([(1, 100, 10), (1, 110, 10), (-1, 120, 10)], 10, 1050, 150),
        ([(1, 100, 10), (-1, 90, 25)], -15, -1350, -100),  # a flip closes everything before it opens
        ([(-1, 100, 10), (1, 90, 4)], -6, -600, 40),
        ([(-1, 100, 10), (1, 90, 10)], 0, 0, 100),
        ([(1, 100, 1), (1, 101, 2), (-1, 100, 1)], 2, 202, 0),  # a third of 302 is 100, never rounded up
    ],
)
def test_positions_by_example(trades: list[tuple[int, int, int]], size: int, cost: int, realized: int) -> None:
    position = Position(1)
    for side, price, amount in trades:
        position.apply_fill(side, price, amount, 0, False)
    assert (position.size, position.cost, position.realized) == (size, cost, realized)


def test_a_rebate_is_income_once_and_funding_keeps_its_sign() -> None:
    position = Position(1)
    position.apply_fill(1, 100, 10, -5, False)
    position.apply_fill(-1, 100, 10, 7, True)
    position.apply_funding(-3)
    position.apply_funding(11)
    assert (position.fees, position.rebates, position.funding, position.realized) == (7, 5, 8, 0)
