"""The simulated venue's clearing as a plan asks for it: fee tiers, funding, margin; and what it assumes, in words."""

from typing import Final

from hatmanifesto.backtest.tape.format import RowStream
from hatmanifesto.backtest.venue_clock import ClockedStream, FundingRates
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.quantities import duration_text
from hatmanifesto.model.fees import PLAIN_MARKET, SCHEDULES, AccountFees
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import MarginTable, single_tier
from hatmanifesto.model.margin_account import MarginAccount, MarginLeg
from hatmanifesto.model.money import format_decimal
from hatmanifesto.simulation.clearing import Clearing, ClearingRules
from hatmanifesto.simulation.latency import OrderLatency
from hatmanifesto.simulation.wire import Line

OFF: Final = "the configuration turns it off"


def build_clearing(
    plan: SessionPlan, instruments: list[Instrument], responses: Line, latency: OrderLatency
) -> Clearing | None:
    """Return the venue's clearing, None when the plan asks for nothing that needs one."""
    exchange = plan.exchange
    if exchange.fees is None and exchange.funding is None and exchange.margin is None:
        return None
    margin = exchange.margin
    legs = []
    for at, (entry, instrument) in enumerate(zip(plan.instruments, instruments, strict=True)):
        if margin is None:
            legs.append(MarginLeg(instrument, single_tier(entry.max_leverage), entry.leverage))
        else:
            legs.append(MarginLeg(instrument, MarginTable(margin.tiers[at]), entry.leverage, margin.isolated))
    fees = None
    if exchange.fees is not None:
        place = exchange.fees
        fees = AccountFees(
            SCHEDULES[place.schedule],
            [PLAIN_MARKET for _ in instruments],
            money_unit=10**plan.money_scale,
            volume=place.volume,
            maker_share=place.maker_share,
            staked=place.staked,
            referred=place.referred,
            builder_tenths=place.builder_tenths,
        )
    rules = ClearingRules(
        margin=margin is not None,
        funding_ns=0 if exchange.funding is None else exchange.funding.interval_ns,
        partial_notional=0 if margin is None else margin.partial_notional,
        deleverage_move=0 if margin is None else margin.deleverage_move,
        deleverage_percent=100 if margin is None else margin.deleverage_percent,
    )
    return Clearing(MarginAccount(plan.deposit, legs), rules, fees, responses, latency)


def clocked_rows(plan: SessionPlan, rows: RowStream) -> RowStream | None:
    """Return the exchange's rows with the clock's among them, None where no clock is needed."""
    funding, margin = plan.exchange.funding, plan.exchange.margin
    if funding is None and margin is None:
        return None
    mark_ns = margin.mark_interval_ns if margin is not None else 0
    if funding is None:
        return ClockedStream(rows, len(plan.instruments), mark_ns, 0)
    rates = FundingRates(funding.constant, funding.table)
    # funding alone needs a mark only where the tape has no oracle: at the settlement itself
    return ClockedStream(rows, len(plan.instruments), mark_ns, funding.interval_ns, rates)


def clearing_in_short(plan: SessionPlan) -> dict[str, str]:
    """Say in a few words each what is simulated of fees, funding and margin, or why it is not."""
    exchange = plan.exchange
    left_out = exchange.left_out
    rates = left_out.get("fees")
    fees = f"fixed rates{f': {rates}' if rates else ''}"
    if exchange.fees is not None:
        fees = f"schedule {exchange.fees.schedule}, from {exchange.fees.volume:,} of 14-day volume"
    funding = f"not simulated: {left_out.get('funding', OFF)}"
    if exchange.funding is not None:
        source = "at the tape's rates"
        if exchange.funding.constant is not None:
            source = "at a constant rate"
        elif exchange.funding.table:
            source = "at a file's rates"
        funding = f"every {duration_text(exchange.funding.interval_ns)} on oracle notional, {source}"
    margin = f"not simulated: {left_out.get('margin', OFF)}"
    if exchange.margin is not None:
        margin = f"{'isolated' if exchange.margin.isolated else 'cross'}, checked and liquidated at the mark"
    return {"fees": fees, "funding": funding, "margin": margin}


def clearing_assumptions(plan: SessionPlan) -> list[str]:
    """Say in words what fees, funding and margin assume here."""
    return [_fee_words(plan), _funding_words(plan), *_margin_words(plan)]


def _fee_words(plan: SessionPlan) -> str:
    fees = plan.exchange.fees
    if fees is None:
        why = plan.exchange.left_out.get("fees")
        return (
            "Fees are fixed rates of price x size, truncated toward zero; volume tiers stay put"
            f"{f' ({why})' if why else ''}."
        )
    return (
        f"Fees follow the schedule {fees.schedule}, from a 14-day volume of {fees.volume:,} on: tiers move with this"
        " account's own volume at the end of each UTC day; its share of the exchange's maker volume and its stake stay"
        " as configured."
    )


def _funding_words(plan: SessionPlan) -> str:
    funding = plan.exchange.funding
    if funding is None:
        why = plan.exchange.left_out.get("funding", OFF)
        return f"Funding is not simulated: {why}. What a position pays or receives for being held is missing."
    if funding.constant is not None:
        rates = f"at the constant rate {format_decimal(funding.constant, 12)}"
    elif funding.table:
        rates = f"at the rates of a file of {len(funding.table)}"
    else:
        rates = "at the last rate that the tape showed before"
    return (
        f"Funding is paid every {duration_text(funding.interval_ns)} on position x oracle price (where the tape has no"
        f" oracle: its mark, else the mid), {rates}."
    )


def _margin_words(plan: SessionPlan) -> list[str]:
    margin = plan.exchange.margin
    if margin is None:
        why = plan.exchange.left_out.get("margin", OFF)
        return [
            f"Margin is not simulated: {why}. The venue refuses nothing for it, and no position is ever liquidated."
        ]
    kind = "isolated" if margin.isolated else "cross"
    words = [
        f"Positions have {kind} margin. Marks are the tape's; where it has none, the mid every"
        f" {duration_text(margin.mark_interval_ns)}, which is calmer or wilder than the venue's own mark. A"
        " liquidation takes what the recorded book shows, and the market does not react to it; what then has less"
        " than two thirds of its maintenance margin goes to the backstop with all that is left."
    ]
    if margin.deleverage_move:
        move = format_decimal(margin.deleverage_move, 5)
        words.append(
            f"After a move of the mark of more than {move} bps within a minute in a position's favour"
            f" {margin.deleverage_percent} % of it is closed at the mark before: whom the venue would deleverage"
            " depends on accounts that a tape does not show."
        )
    else:
        words.append("Nobody is auto-deleveraged against a bankrupt other side.")
    return words
