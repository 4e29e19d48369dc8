"""The simulated venue's clearing as a plan asks for it: fee tiers, funding, margin; and what it assumes, in words."""

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


def clearing_assumptions(plan: SessionPlan) -> list[str]:
    """Say in words what fees, funding and margin assume here."""
    return [_fee_words(plan), _funding_words(plan), *_margin_words(plan)]


def _fee_words(plan: SessionPlan) -> str:
    fees = plan.exchange.fees
    if fees is None:
        return "Fees are the configured rates of price x size, truncated toward zero; volume tiers stay put."
    return (
        f"Fees follow the schedule {fees.schedule}: tiers move with this account's own volume at the end of each UTC"
        " day; its share of the exchange's maker volume and its stake stay as configured."
    )


def _funding_words(plan: SessionPlan) -> str:
    funding = plan.exchange.funding
    if funding is None:
        return "Funding is not paid or charged."
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
        return ["The venue checks no margin, and no position is ever liquidated."]
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
