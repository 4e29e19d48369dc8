"""Fees: schedules as data, what an account pays where, and recorded fills to the last micro-dollar."""

import csv
import gzip
import json
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.fees import (
    DAY_NS,
    HYPERLIQUID_PERPS,
    PLAIN_MARKET,
    AccountFees,
    FeeSchedule,
    MarketFees,
    ShareTier,
    VolumeTier,
    effective_rate,
    fill_fee,
)

MICRO = 1_000_000
MICRO_STEP = Decimal("0.000001")


@pytest.mark.parametrize(
    ("volume", "taker", "maker"),
    [
        (0, 450_000, 150_000),
        (5_000_000, 450_000, 150_000),  # more than, not from
        (5_000_001, 400_000, 120_000),
        (25_000_001, 350_000, 80_000),
        (100_000_001, 300_000, 40_000),
        (500_000_001, 280_000, 0),
        (2_000_000_001, 260_000, 0),
        (7_000_000_001, 240_000, 0),
    ],
)
def test_hyperliquids_volume_tiers(volume: int, taker: int, maker: int) -> None:
    tier = HYPERLIQUID_PERPS.tier_of(volume)
    assert (tier.taker, tier.maker) == (taker, maker)


@pytest.mark.parametrize(
    ("share", "rate"),
    [(0, 0), (5_000_000, 0), (5_000_001, -10_000), (15_000_001, -20_000), (30_000_001, -30_000)],
)
def test_hyperliquids_maker_rebates_by_share_of_maker_volume(share: int, rate: int) -> None:
    assert HYPERLIQUID_PERPS.rebate_of(share) == rate


@pytest.mark.parametrize(
    ("hype", "discount"),
    [("10", 0), ("10.000001", 5), ("101", 10), ("1001", 15), ("10001", 20), ("100001", 30), ("500001", 40)]
)  # fmt: skip
def test_hyperliquids_staking_discounts(hype: str, discount: int) -> None:
    assert HYPERLIQUID_PERPS.staking_discount(int(Decimal(hype) * MICRO)) == discount * 10_000_000


FILLS = [
    # notional (micro), rate (ppb), builder (tenths of a bp), fee (micro), where it is from
    (66_653_000, 150_000, 0, 9_997),  # reference: 66.653 x 1.5 bps = 0.00999795
    (24_242_570, 432_000, 10, 12_896),  # reference: 4.32 bps and a builder's bp, each truncated
    (421_317_850, -30_000, 0, -12_639),  # a recorded rebate: 0.0126395355
    (12_600_160, -30_000, 0, -378),  # another: 0.0003780048
    (0, 450_000, 0, 0),
    (1, 450_000, 0, 0),
    (10**18, 450_000, 0, 450_000_000_000_000),
]


@pytest.mark.parametrize(("notional", "rate", "builder", "fee"), FILLS)
def test_a_fill_pays_its_rate_truncated_toward_zero(notional: int, rate: int, builder: int, fee: int) -> None:
    assert fill_fee(notional, rate, builder) == fee


MARKETS = [
    # rate, referral discount in %, deployer scale in %, growth, aligned, taker -> rate
    ("4.5", 0, 0, False, False, True, "4.5"),
    ("4.5", 4, 0, False, False, True, "4.32"),
    ("1.5", 4, 0, False, False, False, "1.44"),
    ("-0.3", 4, 0, False, False, False, "-0.3"),  # rebates know no referral
    ("4.5", 0, 50, False, False, True, "6.75"),  # below 1: times 1 + scale
    ("4.5", 0, 100, False, False, True, "9"),  # from 1 on: times 2 scale
    ("1.5", 0, 300, False, False, False, "9"),
    ("4.5", 0, 100, True, False, True, "0.9"),  # growth mode: a tenth
    ("-0.3", 0, 100, True, False, False, "-0.03"),  # the scale leaves rebates alone, growth does not
    ("4.5", 0, 0, False, True, True, "3.6"),  # aligned: a fifth off the protocol's share
    ("4.5", 0, 100, False, True, True, "8.1"),  # of which the deployer has half
    ("1.5", 0, 0, False, True, False, "1.5"),
    ("-0.2", 0, 0, False, True, False, "-0.3"),  # aligned rebates half as much again
    ("-0.2", 0, 100, False, True, False, "-0.25"),
    ("0", 4, 100, True, True, False, "0"),
]


@pytest.mark.parametrize(("rate", "referral", "scale", "growth", "aligned", "taker", "charged"), MARKETS)
def test_what_a_market_makes_of_a_rate(
    rate: str, referral: int, scale: int, growth: bool, aligned: bool, taker: bool, charged: str
) -> None:
    market = MarketFees(scale * 10_000_000, growth, aligned)
    assert effective_rate(bps(rate), referral * 10_000_000, market, taker) == bps(charged)


def bps(text: str) -> int:
    return int(Decimal(text) * 100_000)


@given(
    st.integers(-50_000, 450_000),
    st.integers(0, 3 * 10**9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 40_000_000]),
)
def test_the_effective_rate_is_the_formula_truncated(
    rate: int, scale: int, growth: bool, aligned: bool, taker: bool, referral: int
) -> None:
    unit = 10**9
    deployer = Fraction(scale, unit)
    share = deployer / (1 + deployer) if deployer < 1 else Fraction(1, 2)
    exact = Fraction(rate) * (Fraction(1, 10) if growth else 1)
    if rate > 0:
        exact *= (1 + deployer if deployer < 1 else 2 * deployer) * (1 - Fraction(referral, unit))
        if taker and aligned:
            exact *= (1 - share) * Fraction(8, 10) + share
    elif aligned:
        exact *= (1 - share) * Fraction(3, 2) + share
    expected = int(exact)  # toward zero
    assert effective_rate(rate, referral, MarketFees(scale, growth, aligned), taker) == expected


def account(**values: object) -> AccountFees:
    return AccountFees(HYPERLIQUID_PERPS, [PLAIN_MARKET], money_unit=MICRO, **values)  # type: ignore[arg-type]


def test_a_tier_moves_at_the_end_of_the_day_and_falls_back_when_the_volume_leaves_the_window() -> None:
    fees = account()
    million = 1_000_000 * MICRO
    assert fees.charge(0, 0, million, True) == 450 * MICRO
    for _ in range(5):
        fees.charge(DAY_NS - 1, 0, million, False)
    assert fees.charge(DAY_NS - 1, 0, million, False) == 150 * MICRO  # 7 M traded today count from tomorrow on
    assert fees.charge(DAY_NS, 0, million, False) == 120 * MICRO
    assert fees.charge(DAY_NS, 0, million, True) == 400 * MICRO
    assert fees.charge(14 * DAY_NS, 0, million, True) == 400 * MICRO  # day 0 is the oldest of fourteen
    assert fees.charge(15 * DAY_NS, 0, million, True) == 450 * MICRO
    assert fees.tier_changes == 2


def test_a_long_pause_empties_the_window() -> None:
    fees = account(volume=30_000_000)
    assert fees.user_taker == 350_000
    fees.charge(0, 0, MICRO, True)
    fees.charge(1000 * DAY_NS, 0, MICRO, True)
    assert (fees.volume(), fees.user_taker) == (0, 450_000)


def test_volume_from_before_leaves_day_by_day() -> None:
    fees = account(volume=28_000_000)
    seen = []
    for day in range(16):
        fees.charge(day * DAY_NS, 0, 0, True)
        seen.append(fees.volume() // 1_000_000)
    assert seen == [28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0, 0]


def test_staking_rebate_referral_and_builder_together() -> None:
    fees = account(staked=1_001 * MICRO, referred=True, builder_tenths=10)
    # 4.5 bps - 15 % - 4 % = 3.672 bps and a builder's bp
    assert fees.charge(0, 0, 10_000 * MICRO, True) == 3_672_000 + 1_000_000
    rebated = account(maker_share=20_000_000, staked=1_001 * MICRO, referred=True)
    assert rebated.charge(0, 0, 10_000 * MICRO, False) == -200_000


def test_the_referral_discount_ends_with_the_account_s_first_25_million() -> None:
    fees = account(referred=True)
    assert fees.charge(0, 0, 25_000_000 * MICRO, True) == 10_800 * MICRO
    assert fees.charge(0, 0, 1_000 * MICRO, True) == 450_000


def test_growth_mode_counts_a_tenth_of_the_volume() -> None:
    fees = AccountFees(HYPERLIQUID_PERPS, [PLAIN_MARKET, MarketFees(0, True)], money_unit=MICRO)
    fees.charge(0, 1, 40_000_000 * MICRO, True)
    fees.charge(DAY_NS, 1, 0, True)
    assert fees.volume() == 4_000_000


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: FeeSchedule("x", [], [], [], 0, 0), "first tier"),
        (lambda: FeeSchedule("x", [VolumeTier(0, 1, 1), VolumeTier(0, 1, 1)], [], [], 0, 0), "do not rise"),
        (lambda: FeeSchedule("x", [VolumeTier(0, 1, 1)], [ShareTier(2, 1), ShareTier(1, 1)], [], 0, 0), "do not rise"),
        (lambda: MarketFees(3_000_000_001), "between 0 and 3"),
        (lambda: account(builder_tenths=101), "between 0 and 100"),
        (lambda: account(volume=-1), "not be negative"),
    ],
)
def test_values_that_make_no_fees_are_named(build: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build()  # type: ignore[operator]


# -- recorded ---------------------------------------------------------------------------------------


def recorded(shared_dir: Path, name: str) -> Path:
    file = shared_dir / "data" / "hyperliquid" / name
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    return file


@pytest.mark.parametrize("name", ["info_api_20260601T2105.json.gz", "info_api_20260602T1831.json.gz"])
def test_the_schedule_is_the_recorded_one(shared_dir: Path, name: str) -> None:
    with gzip.open(recorded(shared_dir, f"api_fixtures/{name}")) as file:
        answer = json.load(file)["calls"]["info.user_fees[account]"]["response"]
    schedule = answer["feeSchedule"]

    def ppb(text: str) -> int:
        return int(Decimal(text) * 10**9)

    tiers = [(0, ppb(schedule["cross"]), ppb(schedule["add"]))]
    tiers += [(int(Decimal(t["ntlCutoff"])), ppb(t["cross"]), ppb(t["add"])) for t in schedule["tiers"]["vip"]]
    assert [(t.volume, t.taker, t.maker) for t in HYPERLIQUID_PERPS.tiers] == tiers
    rebates = [(ppb(t["makerFractionCutoff"]), ppb(t["add"])) for t in schedule["tiers"]["mm"]]
    assert [(t.share, t.value) for t in HYPERLIQUID_PERPS.rebates] == rebates
    # in bps of the maximal supply, of which there are 10^9: one bp of it is 10^5 HYPE
    staking = [
        (int(Decimal(t["bpsOfMaxSupply"]) * 10**5 * MICRO), ppb(t["discount"]))
        for t in schedule["stakingDiscountTiers"]
    ]
    assert [(0, 0), *((t.share, t.value) for t in HYPERLIQUID_PERPS.staking)] == staking
    assert ppb(schedule["referralDiscount"]) == HYPERLIQUID_PERPS.referral_discount
    assert (ppb(answer["userCrossRate"]), ppb(answer["userAddRate"])) == (450_000, 150_000)


def test_fills_of_the_api_pay_exactly_the_model_s_fee(shared_dir: Path) -> None:
    """Taker fills with the 4 % referral discount, a resting order hit by a liquidation, and two rebates."""
    rows: list[tuple[dict[str, str], int]] = []
    for name in ("info_api_20260601T2105.json.gz", "info_api_20260602T1831.json.gz"):
        with gzip.open(recorded(shared_dir, f"api_fixtures/{name}")) as file:
            calls = json.load(file)["calls"]
        for call in ("info.user_fills[account]", "info.user_fills_by_time[account]"):
            answer = calls[call]["response"]
            items = answer["_items"] if isinstance(answer, dict) else answer
            rows += [(fill, 432_000 if fill["crossed"] else 144_000) for fill in items if fill["feeToken"] == "USDC"]
    liquidation = json.loads(recorded(shared_dir, "api_fixtures/nautilus_ws_user_fill_liquidation.json").read_text())
    rows += [(fill, 150_000) for fill in liquidation["data"]["fills"]]
    rebates = json.loads(recorded(shared_dir, "api_fixtures/nautilus_http_user_fills_with_cloid.json").read_text())
    rows += [(fill, -30_000) for fill in rebates]
    off = []
    for fill, rate in rows:
        notional = int(Decimal(fill["px"]) * Decimal(fill["sz"]) * MICRO)
        builder = 0
        if "builderFee" in fill:
            builder = int(Decimal(fill["builderFee"]) * MICRO)
        if fill_fee(notional, rate) + builder != int(Decimal(fill["fee"]) * MICRO):
            off.append(fill)
    assert len(rows) == 67
    assert off == []


@pytest.mark.parametrize(
    ("vault", "maker", "taker", "expected"),
    [
        ("0x2f5fb1_bbd904ad", 150_000, 450_000, (1889, 110, 0, 1)),
        ("0x8f61ec_5fd1bf67", 150_000, 450_000, (1839, 153, 7, 1)),
        ("0xa4e9c8_915d0b23", 100_000, 350_000, (1980, 20, 0, 0)),
        ("0xfdb03a_25c3db25", 150_000, 450_000, (1238, 762, 0, 0)),
    ],
)
def test_fees_of_four_real_vaults(
    shared_dir: Path, vault: str, maker: int, taker: int, expected: tuple[int, int, int, int]
) -> None:
    """Each row is one order's fills of a moment joined, so that several truncated fees may add up to a little less
    than one truncated fee of the sum; never to more."""
    found: Counter[str] = Counter()
    with gzip.open(
        recorded(shared_dir, f"vault_fills/vault_{vault}_trades.csv.gz"), "rt", encoding="utf-8-sig"
    ) as file:
        rows = list(csv.reader(file))[1:]
    for row in rows:
        exact = Decimal(row[1]) * Decimal(row[2])
        charged = int(Decimal(row[12]) * MICRO)
        notional = int((exact * MICRO).to_integral_value(ROUND_DOWN))
        model = fill_fee(notional, taker if row[11] == "True" else maker)
        if row[7] == "Auto-Deleveraging":
            assert charged == 0
            found["auto-deleveraging, free"] += 1
        elif charged == model:
            found["equal"] += 1
        elif 0 < model - charged <= 60:
            found["joined fills, a little less"] += 1
        else:
            found["partly maker, partly taker"] += 1
    names = ("equal", "joined fills, a little less", "auto-deleveraging, free", "partly maker, partly taker")
    assert tuple(found[name] for name in names) == expected
    assert found.total() == len(rows) == 2000
