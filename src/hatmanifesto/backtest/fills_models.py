"""Two readings of the same tape: base fills as configured, and pessimistic ones beside them.

What a maker would have got is not known from a tape. Base is the configured belief; pessimistic takes the least
favourable reading of what cannot be known: everything cancelled was behind the own order, and requests and answers
are slower by a factor. A result that only base fills show should not be believed.
"""

from typing import Any, Final, Literal

import msgspec

from hatmanifesto.backtest.survey import Survey
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.quantities import duration_text
from hatmanifesto.config.resolve import LONGEST_DRAWN_NS
from hatmanifesto.errors import UserError

FillsChoice = Literal["base", "pessimistic", "both"]
BASE: Final = "base"
PESSIMISTIC: Final = "pessimistic"
BOTH: Final = "both"
CHOICES: Final = (BASE, PESSIMISTIC, BOTH)

COMPARED: Final = {
    "net_pnl": ("pnl", "net"),
    "equity": ("equity",),
    "max_drawdown": ("max_drawdown",),
    "fills": ("fills",),
    "traded_notional": ("traded_notional",),
    "maker_ratio": ("maker_ratio",),
    "fill_rate": ("fill_rate",),
    "filled_share_of_size": ("maker", "filled_share_of_size"),
    "quote_uptime_within_10_bps": ("maker", "quote_uptime", "within_10_bps"),
    "time_at_best_either": ("maker", "time_at_best", "either"),
    "spread_captured_bps": ("maker", "spread_captured", "bps"),
    "markout_1s_bps": ("maker", "markouts", "1s", "bps"),
    "markout_5s_bps": ("maker", "markouts", "5s", "bps"),
    "markout_30s_bps": ("maker", "markouts", "30s", "bps"),
    "markout_5min_bps": ("maker", "markouts", "5min", "bps"),
    "adverse_selection_5s_bps": ("maker", "adverse_selection_bps", "5s"),
    "rebate_bps": ("maker", "rebate", "bps"),
    "shortfall_bps": ("maker", "shortfall", "bps", "total"),
    "shortfall_delay_bps": ("maker", "shortfall", "bps", "delay"),
    "shortfall_spread_bps": ("maker", "shortfall", "bps", "spread"),
    "shortfall_impact_bps": ("maker", "shortfall", "bps", "impact"),
    "shortfall_opportunity_bps": ("maker", "shortfall", "bps", "opportunity"),
    "shortfall_fees_bps": ("maker", "shortfall", "bps", "fees"),
    "cancel_to_fill": ("maker", "cancel_to_fill"),
    "average_fee_bps": ("average_fee_bps",),
}
"""What summary.json shows side by side, and where in a run's numbers it stands."""


def fills_of(choice: FillsChoice | None, model: str, survey: Survey) -> tuple[str, ...]:
    """Return the readings to run under an exchange model. None: both where the tape has trades, else base.

    UserError where the reference contract, which is fixed to the letter, is asked for a pessimistic reading.
    """
    if model == "reference":
        if choice in (PESSIMISTIC, BOTH):
            raise UserError(
                f"the exchange model reference has no {PESSIMISTIC} reading: it is a contract to the letter",
                "leave --fills out, or choose exchange.model = auto",
            )
        return (BASE,)
    if choice is None:
        return (BASE, PESSIMISTIC) if model in ("auto", "queue") and survey.with_trades else (BASE,)
    return (BASE, PESSIMISTIC) if choice == BOTH else (choice,)


def read_as(fills: str, plan: SessionPlan) -> SessionPlan:
    """Return the plan under base fills (as it is) or pessimistic ones."""
    if fills == BASE:
        return plan
    exchange = plan.exchange
    factor = exchange.pessimistic_latency_thousandths
    slower = [(at, entry * factor // 1000, answer * factor // 1000) for at, entry, answer in exchange.latency_samples]
    return msgspec.structs.replace(
        plan,
        exchange=msgspec.structs.replace(
            exchange,
            queue_model="risk_averse",
            queue_power_thousandths=0,
            entry_ns=exchange.entry_ns * factor // 1000,
            response_ns=exchange.response_ns * factor // 1000,
            entry_p99_ns=min(exchange.entry_p99_ns * factor // 1000, LONGEST_DRAWN_NS - 1),
            response_p99_ns=min(exchange.response_p99_ns * factor // 1000, LONGEST_DRAWN_NS - 1),
            latency_floor_ns=exchange.latency_floor_ns * factor // 1000,
            feed_latency_thousandths=factor,
            latency_samples=slower,
        ),
    )


def description(plan: SessionPlan, journal: str, digest: str) -> dict[str, Any]:
    """Say what a reading assumes, and where its journal lies in the run's folder."""
    exchange = plan.exchange
    constant = exchange.latency_model in ("constant", "lognormal")
    drawn = " at the median" if exchange.latency_model == "lognormal" else ""
    return {
        "queue_model": exchange.queue_model,
        "order_entry_latency": duration_text(exchange.entry_ns) + drawn if constant else exchange.latency_model,
        "response_latency": duration_text(exchange.response_ns) + drawn if constant else exchange.latency_model,
        "journal": journal,
        "journal_digest": digest,
    }


def side_by_side(numbers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {figure: {reading: value}} of the numbers of each reading."""
    return {figure: {fills: _at(found, path) for fills, found in numbers.items()} for figure, path in COMPARED.items()}


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        found = found[step]
    return found
