"""Margin tables, account values and liquidation prices: by hand, by the reference, and by recorded accounts."""

import gzip
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import (
    MarginTable,
    backstop_due,
    leverage_allowed,
    liquidation_price,
    partial_size,
    single_tier,
    withdrawable,
)
from hatmanifesto.model.margin_account import BACKSTOP, LIQUIDATE, SOUND, MarginAccount, MarginLeg
from hatmanifesto.model.reasons import NONE, VENUE_MARGIN, VENUE_POSITION_TIER

USD = 1_000_000
BTC_TABLE = MarginTable([(0, 40), (150_000_000 * USD, 20)])


def coin(name: str = "BTC", decimals: int = 5, leverage: int = 40, **values: int) -> Instrument:
    return Instrument(name, price_scale=6 - decimals, size_scale=decimals, max_leverage=leverage, **values)


def leg(leverage: int = 10, isolated: bool = False, mark: int = 1_000_000, table: MarginTable = BTC_TABLE) -> MarginLeg:
    """BTC at 100,000.0; a size of 100,000 is one coin."""
    made = MarginLeg(coin(), table, leverage, isolated)
    made.mark_price = made.oracle_price = mark
    return made


@pytest.mark.parametrize(
    ("notional", "maintenance", "most"),
    [
        ("0", "0", 40),
        ("377667", "4720.8375", 40),  # the reference's account
        ("149999999", "1874999.9875", 40),
        ("150000000", "1875000", 20),  # the tiers meet: no jump
        ("160000000", "2125000", 20),  # 2.5 % above the border
    ],
)
def test_maintenance_by_tier(notional: str, maintenance: str, most: int) -> None:
    amount = int(Decimal(notional) * USD)
    assert BTC_TABLE.maintenance(amount) == int(Decimal(maintenance) * USD)
    assert BTC_TABLE.max_leverage_at(amount) == most


@given(st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True), st.integers(0, 10**17), st.data())
def test_maintenance_is_continuous_rises_and_follows_the_deductions(
    leverages: list[int], notional: int, data: st.DataObject
) -> None:
    falling = sorted(leverages, reverse=True)
    borders = sorted(
        data.draw(st.lists(st.integers(1, 10**17), min_size=len(falling) - 1, max_size=len(falling) - 1, unique=True))
    )
    tiers = list(zip([0, *borders], falling, strict=True))
    table = MarginTable(tiers)
    deduction = Fraction(0)
    rate = Fraction(1, 2 * falling[0])
    for (lower, leverage), upper in zip(tiers, [*borders, None], strict=True):
        deduction += lower * (Fraction(1, 2 * leverage) - rate)
        rate = Fraction(1, 2 * leverage)
        if lower <= notional and (upper is None or notional < upper):
            assert table.maintenance(notional) == int(notional * rate - deduction)
    for border in borders:
        assert 0 <= table.maintenance(border) - table.maintenance(border - 1) <= 1
    assert table.maintenance(notional + 1) >= table.maintenance(notional)


@pytest.mark.parametrize(
    ("tiers", "says"),
    [
        ([], "first tier"),
        ([(1, 10)], "first tier"),
        ([(0, 10), (5, 10)], "leverages fall"),
        ([(0, 10), (5, 5), (5, 3)], "rise"),
        ([(0, 0)], "between 1 and 1000"),
    ],
)
def test_tables_that_make_no_sense_are_named(tiers: list[tuple[int, int]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MarginTable(tiers)


@pytest.mark.parametrize(
    ("value", "used", "notional", "free"),
    [
        ("38252.7", "37766.7", "377667", "486"),  # the reference's account
        ("1000", "10", "5000", "500"),  # a tenth of the notional is more than the margin used
        ("100", "200", "0", "0"),
    ],
)
def test_withdrawable(value: str, used: str, notional: str, free: str) -> None:
    amounts = [int(Decimal(text) * USD) for text in (value, used, notional, free)]
    assert withdrawable(*amounts[:3]) == amounts[3]


def test_a_recorded_liquidation_price_of_an_isolated_long() -> None:
    """From the reference: raw cash -95.059824, size 0.0335, 50x at most: 2866.2694."""
    table = single_tier(50)
    for mark in (287_000, 300_000, 450_000):
        equity = 335 * mark - 95_059_824
        maintenance = table.maintenance(335 * mark)
        found = liquidation_price(table, 335, 1, mark, equity, maintenance, 4)
        assert abs(found - 28_662_694 * 100) <= 100  # 10^-6 of a unit: the maintenance at the mark was truncated


@given(
    st.integers(1, 10**7),
    st.sampled_from([1, -1]),
    st.integers(10**5, 10**6),
    st.integers(-(10**13), 10**15),
    st.sampled_from([0, 10**10, 10**13]),
)
def test_at_the_liquidation_price_equity_meets_maintenance(
    size: int, side: int, mark: int, equity: int, others: int
) -> None:
    table = MarginTable([(0, 40), (10**12, 20), (3 * 10**12, 5)])
    held = size * side
    at_mark = table.maintenance(size * mark)
    price = liquidation_price(table, held, 1, mark, equity, at_mark + others, 0)
    if price == 0:
        return
    for around, sound in ((price + 2 * side, True), (price - 2 * side, False)):
        if around > 0:
            there = equity + held * (around - mark)
            assert (there >= table.maintenance(size * around) + others) == sound


def test_a_position_that_cannot_be_liquidated_has_no_price() -> None:
    account = MarginAccount(1_000_000 * USD, [leg()])
    account.apply_fill(0, 1, 1_000_000, 100_000, 0, True)
    assert account.liquidation_price(0) == 0
    assert MarginAccount(0, [leg()]).liquidation_price(0) == 0


def test_the_cross_liquidation_price_does_not_depend_on_the_leverage_chosen() -> None:
    prices = set()
    for leverage in (3, 10, 40):
        account = MarginAccount(20_000 * USD, [leg(leverage), leg()])
        account.apply_fill(0, -1, 1_000_000, 100_000, 0, True)
        account.apply_fill(1, 1, 1_000_000, 20_000, 0, True)
        prices.add(account.liquidation_price(0, 2))
    # value 20,000, maintenance 1,250 + 250: 100,000 + 18,500 / 1.0125
    assert prices == {118_271_605}


@pytest.mark.parametrize(
    ("size", "notional", "order"),
    [(100_000, 100_000, 100_000), (100_000, 100_001, 20_000), (3, 10**6, 1), (7, 10**6, 2), (1, 10**6, 1)],
)
def test_large_positions_are_liquidated_a_fifth_first(size: int, notional: int, order: int) -> None:
    assert partial_size(size, notional * USD, 100_000 * USD, 1) == order


def test_backstop_below_two_thirds_of_maintenance() -> None:
    assert not backstop_due(200, 300)
    assert backstop_due(199, 300)
    assert backstop_due(-1, 300)


# -- an account -------------------------------------------------------------------------------------


def test_an_order_needs_initial_margin_and_the_taker_fee_of_what_it_may_open() -> None:
    account = MarginAccount(10_045 * USD, [leg(leverage=10)])
    one = 100_000
    assert account.refusal(0, 1, 1_000_000, one) == NONE  # 10,000 margin and 45 fee
    assert account.refusal(0, 1, 1_000_000, one + 1) == VENUE_MARGIN
    assert account.refusal(0, 1, 1_000_001, one) == VENUE_MARGIN
    assert account.refusal(0, -1, 900_000, one) == NONE  # sold below the mark still ties up the mark's value


def test_resting_orders_tie_up_margin_once_for_the_worse_side() -> None:
    account = MarginAccount(10_045 * USD, [leg(leverage=10)])
    account.legs[0].open_buy = 60_000
    assert account.refusal(0, -1, 1_000_000, 60_000) == NONE
    assert account.refusal(0, -1, 1_000_000, 100_001) == VENUE_MARGIN
    assert account.refusal(0, 1, 1_000_000, 40_001) == VENUE_MARGIN


def test_an_order_that_only_reduces_is_always_allowed() -> None:
    account = MarginAccount(5_000 * USD, [leg(leverage=40)])
    account.apply_fill(0, 1, 1_000_000, 100_000, 0, True)
    account.legs[0].mark_price = 960_000  # value 1,000, initial margin 2,400
    assert account.refusal(0, 1, 960_000, 1) == VENUE_MARGIN
    assert account.refusal(0, -1, 960_000, 100_000) == NONE
    assert account.refusal(0, -1, 960_000, 230_000) == VENUE_MARGIN


def test_a_position_must_fit_the_tier_of_its_leverage() -> None:
    account = MarginAccount(10**9 * USD, [leg(leverage=40)])
    assert account.refusal(0, 1, 1_000_000, 149_999_999) == NONE
    assert account.refusal(0, 1, 1_000_000, 150_000_000) == VENUE_POSITION_TIER
    assert account.set_leverage(0, 20, False) == ""
    assert account.refusal(0, 1, 1_000_000, 150_000_000) == NONE


def test_leverage_changes_that_the_venue_refuses() -> None:
    account = MarginAccount(12_000 * USD, [leg(leverage=10)])
    assert account.set_leverage(0, 41, False) == "Invalid leverage value"
    account.apply_fill(0, 1, 1_000_000, 100_000, 0, True)
    assert account.set_leverage(0, 10, True) == "Cannot switch leverage type with open position."
    assert account.set_leverage(0, 20, False) == ""
    assert account.set_leverage(0, 5, False).startswith("Cross position does not have sufficient margin")
    assert account.legs[0].leverage == 20
    with pytest.raises(ValueError, match="leverage 41"):
        leg(leverage=41)
    assert not leverage_allowed(BTC_TABLE, 0)


def test_an_isolated_position_carries_its_own_margin_and_fee() -> None:
    """The account of a public client's example: HYPE 2.0 at 37.829, 10x isolated, taker 4.5 bps."""
    hype = MarginLeg(coin("HYPE", 2, 10), MarginTable([(0, 10), (20_000_000 * USD, 5)]), 10, True)
    account = MarginAccount(83_347_684, [hype])
    account.apply_fill(0, 1, 378_290, 200, 34_046, True)
    hype.mark_price = 378_260
    assert hype.raw == -68_126_246
    assert account.leg_equity(0) == account.margin_used() == 7_525_754
    assert account.cross_value() == account.withdrawable() == 75_781_884
    assert account.account_value() == 83_307_638
    assert account.cross_maintenance() == account.cross_notional() == 0
    assert account.liquidation_price(0, 6) == 358_559_189_474
    assert account.standing(0) == SOUND
    hype.mark_price = 358_559
    assert account.standing(0) == LIQUIDATE
    assert account.standing(-1) == SOUND
    hype.mark_price = 350_000
    assert account.standing(0) == BACKSTOP


def test_isolated_margin_moves_in_and_out() -> None:
    account = MarginAccount(1_000 * USD, [leg(leverage=10, isolated=True)])
    assert account.move_isolated_margin(0, 0) == "Update to isolated margin cannot be zero."
    assert account.move_isolated_margin(0, 1) == "Cannot update margin for empty position."
    account.apply_fill(0, 1, 1_000_000, 1_000, 0, True)  # 1,000 notional, 100 margin
    assert (account.cross_value(), account.leg_equity(0)) == (900 * USD, 100 * USD)
    assert account.move_isolated_margin(0, 50 * USD) == ""
    assert account.move_isolated_margin(0, 851 * USD).startswith("Account does not have sufficient")
    assert account.move_isolated_margin(0, -51 * USD).startswith("Position does not have sufficient")
    assert account.move_isolated_margin(0, -50 * USD) == ""
    assert (account.cross_value(), account.leg_equity(0)) == (900 * USD, 100 * USD)
    account.apply_fill(0, -1, 1_100_000, 500, 0, True)  # equity 200 at this price: half of it goes home
    assert account.cross_value() == 1_000 * USD
    account.apply_fill(0, -1, 1_100_000, 500, 0, True)
    assert (account.raw, account.legs[0].raw) == (1_100 * USD, 0)


def test_bankruptcy_leaves_nothing_and_never_less() -> None:
    account = MarginAccount(5_000 * USD, [leg(leverage=40)])
    account.apply_fill(0, 1, 1_000_000, 100_003, 0, True)
    account.legs[0].mark_price = 940_000
    price = account.bankruptcy_price(0)
    account.apply_fill(0, -1, price, 100_003, 0, True)
    assert 0 <= account.raw < 100_003
    short = MarginAccount(5_000 * USD, [leg(leverage=40)])
    short.apply_fill(0, -1, 1_000_000, 100_003, 0, True)
    short.legs[0].mark_price = 1_030_000
    short.apply_fill(0, 1, short.bankruptcy_price(0), 100_003, 0, True)
    assert 0 <= short.raw < 100_003


def test_the_more_it_gained_and_the_more_it_is_levered_the_sooner_a_position_is_deleveraged() -> None:
    def rank(deposit: int, side: int, mark: int) -> int:
        account = MarginAccount(deposit * USD, [leg(leverage=40)])
        account.apply_fill(0, side, 1_000_000, 10_000, 0, True)
        account.legs[0].mark_price = mark
        return account.deleverage_rank(0)

    # (1.2) x 12,000 / (5,000 + 2,000)
    assert rank(5_000, 1, 1_200_000) == 1_200_000_000 * 12 // 7
    assert rank(5_000, 1, 1_300_000) > rank(5_000, 1, 1_200_000) > rank(50_000, 1, 1_200_000)
    assert rank(5_000, -1, 800_000) == 1_250_000_000 * 8 // 7
    assert MarginAccount(0, [leg()]).deleverage_rank(0) == 0


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(0, 2), st.sampled_from([1, -1]), st.integers(900_000, 1_100_000),
                  st.integers(1, 50_000), st.integers(-100, 10_000)),
        st.tuples(st.just("fund"), st.integers(0, 2), st.integers(-(10**10), 10**10)),
        st.tuples(st.just("mark"), st.integers(0, 2), st.integers(900_000, 1_100_000)),
        st.tuples(st.just("move"), st.integers(0, 2), st.integers(-(10**9), 10**9)),
    ),
    max_size=30,
)  # fmt: skip


@given(EVENTS)
def test_cash_is_conserved_through_fills_funding_and_margin_moves(events: list[tuple[int, ...]]) -> None:
    """All cash = deposit + what fills realized - fees + funding - the cost of what is held; isolated or not."""
    deposit = 10**12
    account = MarginAccount(deposit, [leg(), leg(isolated=True), leg(leverage=40, isolated=True)])
    sizes = [0, 0, 0]
    for event in events:
        what, at = event[0], event[1]
        if what == "fill":
            _, _, side, price, size, fee = event
            account.apply_fill(at, side, price, size, fee, True)
            sizes[at] += side * size
        elif what == "fund":
            account.legs[at].funding_rate = event[2]
            account.apply_funding(at)
        elif what == "mark":
            account.legs[at].mark_price = account.legs[at].oracle_price = event[2]
        else:
            account.move_isolated_margin(at, event[2])
        positions = [entry.position for entry in account.legs]
        assert [position.size for position in positions] == sizes
        earned = sum(p.realized - p.fees + p.rebates + p.funding for p in positions)
        assert account.total_raw() == deposit + earned - sum(p.cost for p in positions)
        value = deposit + earned + sum(
            entry.position.unrealized(entry.mark_price) for entry in account.legs if entry.position.size
        )  # fmt: skip
        assert account.account_value() == value
        assert all(entry.raw == 0 for entry in account.legs if not entry.isolated or entry.position.size == 0)


# -- recorded ---------------------------------------------------------------------------------------


def test_the_recorded_margin_tables_are_tables_and_known(shared_dir: Path) -> None:
    file = shared_dir / "data" / "hyperliquid" / "api_fixtures" / "info_api_20260602T1831.json.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    with gzip.open(file) as opened:
        meta = json.load(opened)["calls"]["info.meta"]["response"]
    tables = {
        number: MarginTable([(int(Decimal(t["lowerBound"]) * USD), t["maxLeverage"]) for t in entry["marginTiers"]])
        for number, entry in meta["marginTables"]
    }
    assert {number: table.tiers for number, table in tables.items()} == {
        50: [(0, 50)],
        51: [(0, 10), (3_000_000 * USD, 5)],
        52: [(0, 10), (20_000_000 * USD, 5)],
        53: [(0, 20), (40_000_000 * USD, 10)],
        54: [(0, 20), (70_000_000 * USD, 10)],
        55: [(0, 25), (100_000_000 * USD, 15)],
        56: [(0, 40), (150_000_000 * USD, 20)],
    }


def test_a_recorded_cross_account_row_by_row(shared_dir: Path) -> None:
    """March 2023, twelve positions at 20x under the rules of that time: withdrawable was value less margin used (no
    tenth of the notional yet), and liquidation prices lacked the division by 1 - l x side; the rest is as today."""
    file = shared_dir / "data" / "hyperliquid" / "api_fixtures" / "python_sdk_cassettes.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    with gzip.open(file, "rt") as lines:
        answers = [json.loads(line) for line in lines]
    state = next(a["response"] for a in answers if a["request"].get("type") == "clearinghouseState")
    legs = []
    for at, row in enumerate(state["assetPositions"]):
        entry = row["position"]
        size_text = Decimal(entry["szi"])
        decimals = max(0, -int(size_text.normalize().as_tuple().exponent))
        instrument = Instrument(entry["coin"], index=at, price_scale=6 - decimals, size_scale=decimals)
        one = MarginLeg(instrument, single_tier(50), entry["leverage"]["value"])
        size = int(size_text.scaleb(decimals))
        one.mark_price = int(Decimal(entry["positionValue"]) * USD / abs(size))
        one.position.size = size
        one.position.cost = int((size_text * one.mark_price) * 10**decimals) - int(
            Decimal(entry["unrealizedPnl"]) * USD
        )
        assert one.notional() == int(Decimal(entry["positionValue"]) * USD)
        legs.append(one)
    summary = {name: int(Decimal(text) * USD) for name, text in state["marginSummary"].items()}
    account = MarginAccount(summary["totalRawUsd"], legs)
    assert account.account_value() == account.cross_value() == summary["accountValue"]
    assert account.cross_notional() == summary["totalNtlPos"]
    assert abs(account.margin_used() - summary["totalMarginUsed"]) <= len(legs)
    assert int(Decimal(state["withdrawable"]) * USD) == summary["accountValue"] - summary["totalMarginUsed"]
    compared = without = 0
    for at, (one, row) in enumerate(zip(legs, state["assetPositions"], strict=True)):
        entry = row["position"]
        used = int(Decimal(entry["marginUsed"]) * USD)
        assert used - 1 <= one.notional() // one.leverage <= used
        assert one.position.unrealized(one.mark_price) == int(Decimal(entry["unrealizedPnl"]) * USD)
        if entry["liquidationPx"] is None:
            without += 1
            assert account.liquidation_price(at) == 0
            continue
        compared += 1
        today = Fraction(account.liquidation_price(at, 6), 10 ** (6 + int(one.instrument.price_scale)))
        mark = Fraction(int(one.mark_price), 10 ** int(one.instrument.price_scale))
        side = 1 if one.position.size > 0 else -1
        then = mark + (today - mark) * (1 - Fraction(side, 100))
        assert abs(then - Fraction(entry["liquidationPx"])) < Fraction(1, 10**3) * (1 + abs(then) / 1000)
    assert (compared, without) == (5, 7)
