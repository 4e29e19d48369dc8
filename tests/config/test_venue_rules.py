"""What `auto` makes of fees, funding and margin, and the word that is said where one is left out."""

from typing import Any

import pytest

from hatmanifesto.backtest.clearing import clearing_assumptions, clearing_in_short
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import parse
from hatmanifesto.config.venue_rules import VenueFacts
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument

HOUR = 3_600_000_000_000
PERP = Instrument("BTC", index=0, price_scale=1, size_scale=5, max_leverage=40)
SPOT = Instrument("PURR/USDC", index=0, price_scale=4, size_scale=0, max_leverage=1)
HYPERLIQUID = VenueFacts(["hyperliquid"], HOUR)
WITHOUT_RATES = VenueFacts(["hyperliquid"], 0)
BINANCE = VenueFacts(["binance"], 8 * HOUR)


def planned(facts: VenueFacts | None, exchange: dict[str, Any], instrument: Instrument = PERP) -> SessionPlan:
    return resolve(parse({"exchange": exchange}), [instrument], {0: 1_000_000}, facts).plan


SCHEDULE = "schedule hyperliquid, from 0 of 14-day volume"
HOURLY = "every 1h on oracle notional, at the tape's rates"
CROSS = "cross, checked and liquidated at the mark"
OFF = "not simulated: the configuration turns it off"
CASES: list[tuple[VenueFacts, dict[str, Any], Instrument, tuple[str, str, str]]] = [
    (HYPERLIQUID, {}, PERP, (SCHEDULE, HOURLY, CROSS)),
    (WITHOUT_RATES, {}, PERP, (SCHEDULE, "not simulated: the tape has no funding rates", CROSS)),
    (
        BINANCE, {}, PERP,
        (
            "fixed rates: no schedule of binance is known here",
            "every 8h on oracle notional, at the tape's rates",
            "not simulated: no margin rules of binance are known here",
        ),
    ),
    (BINANCE, {"margin": {"mode": "cross"}, "funding": {"interval": "1h"}}, PERP,
     ("fixed rates: no schedule of binance is known here", HOURLY, CROSS)),
    (
        VenueFacts([""]), {}, PERP,
        (
            "fixed rates: no schedule of the tape's venue is known here",
            "not simulated: the tape has no funding rates",
            "not simulated: no margin rules of the tape's venue are known here",
        ),
    ),
    (
        WITHOUT_RATES, {}, SPOT,
        (
            "fixed rates: no schedule of hyperliquid for spot pairs is known here",
            "not simulated: the tape has no funding rates",
            "not simulated: no margin rules of hyperliquid for spot pairs are known here",
        ),
    ),
    (
        HYPERLIQUID, {"model": "reference"}, PERP,
        (
            "fixed rates: the exchange model reference has fixed rates",
            "not simulated: the exchange model reference does not know it",
            "not simulated: the exchange model reference does not know it",
        ),
    ),
    (HYPERLIQUID, {"maker_fee_bps": "-0.5"}, PERP, ("fixed rates: rates are set by hand", HOURLY, CROSS)),
    (
        HYPERLIQUID,
        {"fees": {"schedule": "instrument"}, "funding": {"source": "off"}, "margin": {"mode": "off"}}, PERP,
        ("fixed rates", OFF, OFF),
    ),
    (
        HYPERLIQUID,
        {"fees": {"volume_14d": "30000000"}, "funding": {"source": "constant"}, "margin": {"mode": "isolated"}}, PERP,
        (
            "schedule hyperliquid, from 30,000,000 of 14-day volume",
            "every 1h on oracle notional, at a constant rate",
            "isolated, checked and liquidated at the mark",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "exchange", "instrument", "short"), CASES)
def test_a_venue_s_own_rules_hold_unless_told_otherwise_and_what_is_missing_is_said(
    facts: VenueFacts, exchange: dict[str, Any], instrument: Instrument, short: tuple[str, str, str]
) -> None:
    plan = planned(facts, exchange, instrument)
    assert tuple(clearing_in_short(plan).values()) == short
    words = " ".join(clearing_assumptions(plan))
    for section, missing in zip(("Funding", "Margin"), short[1:], strict=True):
        said = f"{section} is not simulated: " in words
        assert said == missing.startswith("not simulated")


def test_one_instrument_without_known_rules_leaves_them_out_for_all() -> None:
    other = Instrument("X", index=1, price_scale=1, size_scale=5)
    plan = resolve(parse({}), [PERP, other], {0: 10**6, 1: 10**6}, VenueFacts(["hyperliquid", "aster"])).plan
    assert plan.exchange.fees is None
    assert plan.exchange.margin is None
    assert "aster" in plan.exchange.left_out["margin"]


def test_a_live_session_simulates_nothing_of_it() -> None:
    exchange = planned(None, {}).exchange
    assert (exchange.fees, exchange.funding, exchange.margin, exchange.left_out) == (None, None, None, {})


@pytest.mark.parametrize(
    ("exchange", "says"),
    [
        ({"funding": {"rate": "0.001"}}, 'counts only with source = "constant"'),
        ({"funding": {"source": "tape", "file": "rates.csv"}}, 'counts only with source = "file"'),
        ({"fees": {"staked": "100"}, "maker_fee_bps": "1"}, "counts only with schedule"),
    ],
)
def test_settings_that_would_have_no_effect_are_mistakes(exchange: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        planned(HYPERLIQUID, exchange)
