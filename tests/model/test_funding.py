"""Funding: premium to rate to payment, by the documents' examples and by every recorded row there is."""

import gzip
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.funding import (
    FUNDING_SCALE,
    HOUR_NS,
    HYPERLIQUID_FUNDING,
    FundingRule,
    PremiumAverage,
    funding_payment,
    premium_of,
    premium_of_mid,
    settlements_between,
)

STEP = 100


def units(text: str) -> int:
    """A rate as text in 10^-12."""
    scaled = Decimal(text) * FUNDING_SCALE
    assert scaled == int(scaled)
    return int(scaled)


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        ("0.01", "0.0011875"),  # the documents' example: 1 % gives 0.95 % over eight hours
        ("0", "0.0000125"),
        ("0.0006", "0.0000125"),  # as far as the clamp reaches
        ("-0.0004", "0.0000125"),
        ("0.0006000008", "0.0000125001"),
        ("-0.0005", "0"),
        ("-0.002", "-0.0001875"),
        ("0.0009943926", "0.0000617991"),  # a recorded hour of BTC
        ("1", "0.04"),  # the cap
        ("-1", "-0.04"),
    ],
)
def test_hyperliquids_hourly_rate(premium: str, rate: str) -> None:
    assert HYPERLIQUID_FUNDING.rate(units(premium)) == units(rate)


def test_another_venue_pays_the_whole_rate_every_eight_hours() -> None:
    rule = FundingRule(
        interest=100_000_000, clamp=500_000_000, parts=1, cap=20_000_000_000, interval_ns=8 * HOUR_NS, step=10_000
    )
    assert rule.rate(units("0.001")) == units("0.0005")
    assert rule.rate(0) == units("0.0001")


@given(st.integers(-(10**13), 10**13))
def test_the_rate_is_odd_around_the_interest_and_within_the_cap(premium: int) -> None:
    rule = FundingRule(interest=0, clamp=500_000_000, parts=8, cap=40_000_000_000, interval_ns=HOUR_NS, step=1)
    assert rule.rate(-premium) == -rule.rate(premium)
    assert abs(rule.rate(premium)) <= rule.cap
    assert abs(rule.rate(premium)) * 8 <= abs(premium) + 4


def test_a_premium_sample_by_the_reference() -> None:
    assert premium_of(837_570, 837_668, 837_781) == units("-0.0001348801")
    assert premium_of(101, 103, 100) == units("0.01")
    assert premium_of(99, 101, 100) == 0  # the oracle lies between the impact prices
    assert premium_of_mid(99, 103, 100) == units("0.01")
    with pytest.raises(ValueError, match="oracle"):
        premium_of(1, 2, 0)
    with pytest.raises(ValueError, match="oracle"):
        premium_of_mid(1, 2, 0)


def test_the_average_of_an_interval_begins_anew() -> None:
    average = PremiumAverage()
    for premium in (100, 200, 600):
        average.add(premium)
    assert (average.samples, average.take()) == (3, 300)
    assert (average.samples, average.take()) == (0, 0)


PAYMENTS = [
    # size, size_scale, oracle price, price_scale, rate, paid (micro)
    ("30.0", "39.968", "0.0000369155", -44_263),  # recorded: HYPE, a long pays
    ("-14448.6", "1.3183", "0.0001", 1_904_758),  # recorded: ARB, a short receives
    ("-88.0", "7.386", "-0.00123798", -804_647),  # recorded: INJ, a short pays while the rate is negative
    ("-14.8716", "1877.2", "0.0001", 2_791_696),  # recorded: ETH
    ("0", "100", "0.0001", 0),
]


@pytest.mark.parametrize(("size", "oracle", "rate", "paid"), PAYMENTS)
def test_a_payment_is_size_times_oracle_times_rate_truncated(size: str, oracle: str, rate: str, paid: int) -> None:
    sizes, prices = int(Decimal(size) * 10**4), int(Decimal(oracle) * 10**4)
    assert Decimal(sizes).scaleb(-4) == Decimal(size)
    # sizes and prices of four decimals: the money scale is eight, so the recorded micro-dollars are cut here
    exact = funding_payment(sizes, prices, 1, units(rate))
    assert int(Decimal(exact) / 100) == paid


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.integers(-(4 * 10**10), 4 * 10**10))
def test_what_longs_pay_shorts_receive(size: int, oracle: int, rate: int) -> None:
    paid = funding_payment(size, oracle, 1, rate)
    assert paid == -funding_payment(-size, oracle, 1, rate) == -funding_payment(size, oracle, 1, -rate)
    assert paid == int(-Fraction(size * oracle * rate, FUNDING_SCALE))


def test_a_payment_wider_than_64_bits_in_between() -> None:
    assert funding_payment(10**10, 10**8, 1, 40_000_000_000) == -(10**18 * 4 // 100)


def test_settlements_fall_on_whole_hours() -> None:
    hour = HOUR_NS
    assert settlements_between(0, hour, hour) == [hour]
    assert settlements_between(hour, hour, hour) == []
    assert settlements_between(hour - 1, 3 * hour + 5, hour) == [hour, 2 * hour, 3 * hour]
    assert settlements_between(0, 24 * hour, 8 * hour) == [8 * hour, 16 * hour, 24 * hour]


@pytest.mark.parametrize("wrong", [{"parts": 0}, {"clamp": -1}, {"interval_ns": 0}, {"step": 0}])
def test_values_that_make_no_rule_are_named(wrong: dict[str, int]) -> None:
    values = {"interest": 0, "clamp": 0, "parts": 8, "cap": 0, "interval_ns": HOUR_NS, "step": 1} | wrong
    with pytest.raises(ValueError, match="at least 1"):
        FundingRule(**values)


# -- recorded ---------------------------------------------------------------------------------------


def contexts(shared_dir: Path) -> list[tuple[str, dict[str, Any]]]:
    fixtures = shared_dir / "data" / "hyperliquid" / "api_fixtures"
    found: list[tuple[str, dict[str, Any]]] = []
    for name in ("info_api_20260601T2105.json.gz", "info_api_20260602T1831.json.gz"):
        if not (fixtures / name).is_file():
            pytest.skip(f"{name} is not here")
        with gzip.open(fixtures / name) as file:
            listed = json.load(file)["calls"]["info.meta_and_asset_ctxs"]["response"][1]
        found += [("", ctx) for ctx in (listed["_items"] if isinstance(listed, dict) else listed)]
    with gzip.open(fixtures / "nautilus_ws_all_dexs_asset_ctxs.json.gz") as file:
        for dex, ctxs in json.load(file)["data"]["ctxs"]:
            found += [(dex, ctx) for ctx in ctxs]
    return [(dex, ctx) for dex, ctx in found if ctx["premium"] is not None and ctx["impactPxs"]]


def test_every_recorded_premium_equals_the_formula(shared_dir: Path) -> None:
    """The venue's own markets and the builder-deployed ones, each by its formula, to the tenth decimal."""
    own = deployed = 0
    for dex, ctx in contexts(shared_dir):
        bid, ask, oracle = (int(Decimal(text) * 10**8) for text in (*ctx["impactPxs"], ctx["oraclePx"]))
        if dex == "":
            assert premium_of(bid, ask, oracle) == units(ctx["premium"])
            own += 1
        else:
            assert premium_of_mid(bid, ask, oracle) == units(ctx["premium"])
            deployed += 1
    assert (own, deployed) == (225, 155)


@pytest.mark.parametrize(("coin", "ties"), [("BTC", 311), ("ETH", 397)])
def test_every_recorded_rate_of_two_years_follows_from_its_premium(shared_dir: Path, coin: str, ties: int) -> None:
    """12,192 hours a coin, 2024 and 2025. The venue computes in floating point: of the exact halves some are printed
    to the other side (counted, one unit of the tenth decimal); every other row is equal."""
    file = shared_dir / "data" / "funding" / "yuchengzhang" / f"hl_{coin}_funding_rates.json.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    rows = json.loads(gzip.decompress(file.read_bytes()))
    other_side = 0
    for row in rows:
        model, booked = HYPERLIQUID_FUNDING.rate(units(row["premium"])), units(row["funding_rate"])
        if model != booked:
            assert abs(model - booked) == STEP
            gap = max(-500_000_000, min(500_000_000, 100_000_000 - units(row["premium"])))
            assert Fraction(units(row["premium"]) + gap, 8 * STEP) % 1 == Fraction(1, 2)
            other_side += 1
    assert (len(rows), other_side) == (12_192, ties)


def test_recorded_payments_have_the_model_s_sign(shared_dir: Path) -> None:
    """userFunding rows carry no oracle price, and those of 2023 a rate cut to eight decimals: the sign is what can be
    compared of them; the newer recorded rows are in PAYMENTS."""
    file = shared_dir / "data" / "hyperliquid" / "api_fixtures" / "python_sdk_cassettes.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    with gzip.open(file, "rt") as lines:
        answers = [json.loads(line) for line in lines]
    rows = max((a["response"] for a in answers if a["request"].get("type") == "userFunding"), key=len)
    for row in (row["delta"] for row in rows):
        size, rate, paid = (int(Decimal(row[name]).scaleb(12)) for name in ("szi", "fundingRate", "usdc"))
        assert (funding_payment(size // 10**4, 10**6, 1, rate) > 0) == (paid > 0)
    assert len(rows) == 218
