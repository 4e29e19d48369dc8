"""The simulated venue of a run: the exchange model that fits the tape, and what it assumes."""

from decimal import Decimal
from typing import NamedTuple

from hatmanifesto.backtest.survey import Survey
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.config.plan import ExchangePlan, SessionPlan
from hatmanifesto.config.quantities import duration_text
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.simulation.latency import ConstantLatency, OrderLatency, RecordedLatency
from hatmanifesto.simulation.matcher import Matcher
from hatmanifesto.simulation.queue_matcher import QueueMatcher
from hatmanifesto.simulation.queue_models import PROBABILITIES, ProbabilisticQueue, QueueModel, RiskAverseQueue
from hatmanifesto.simulation.reference_matcher import ReferenceMatcher
from hatmanifesto.simulation.replay_market import ReplayMarket
from hatmanifesto.simulation.wire import Line


class Models(NamedTuple):
    """The exchange model of each instrument, and a word to the person where `auto` had to choose."""

    names: list[str]
    note: str


def choose_models(plan: SessionPlan, survey: Survey) -> Models:
    """Return each instrument's exchange model; UserError when the tape does not support the one asked for."""
    asked = plan.exchange.model
    without = [i for i in range(len(plan.instruments)) if i not in survey.with_trades]
    traded = {desk.instrument for desk in plan.desks}
    names = ", ".join(plan.instruments[i].name for i in without)
    if asked in ("queue", "reference"):
        blind = [plan.instruments[i].name for i in without if i in traded]
        if blind:
            raise UserError(
                f"the exchange model {asked} needs trades, and the tape has none of {', '.join(blind)}",
                "use exchange.model = cross (or auto), or import a recording with trades",
            )
    if asked != "auto":
        return Models([asked] * len(plan.instruments), "")
    note = f"no trades of {names} on the tape: orders fill by the model cross" if without else ""
    return Models(["cross" if i in without else "queue" for i in range(len(plan.instruments))], note)


def build_market(plan: SessionPlan, models: list[str], instruments: list[Instrument], tape: TapeLike) -> ReplayMarket:
    """Return the venue, ready to run."""
    exchange = plan.exchange
    latency: OrderLatency = ConstantLatency(exchange.entry_ns, exchange.response_ns)
    if exchange.latency_samples:
        latency = RecordedLatency(list(exchange.latency_samples))
    requests, responses = Line(), Line()
    matchers: list[Matcher] = []
    for name, instrument in zip(models, instruments, strict=True):
        if name == "reference":
            matchers.append(ReferenceMatcher(instrument, responses, latency))
        else:
            queue = build_queue_model(exchange.queue_model, exchange.queue_power_thousandths, instrument)
            matchers.append(QueueMatcher(instrument, responses, latency, name == "queue", queue))
    return ReplayMarket(
        tape.stream("exchange"),
        tape.stream("receiver"),
        matchers,
        requests,
        responses,
        latency,
        exchange.constant_feed_ns,
    )


def build_queue_model(name: str, power_thousandths: int, instrument: Instrument) -> QueueModel:
    """Return the queue model of that name for an instrument; ValueError when there is none."""
    if name == "risk_averse":
        return RiskAverseQueue()
    if name not in PROBABILITIES:
        raise ValueError(f"there is no queue model {name!r}")
    return ProbabilisticQueue(PROBABILITIES[name], power_thousandths or 1000, 10 ** int(instrument.size_scale))


_ASSUMES = {
    "queue": [
        "A resting order waits behind all the size that stood at its price when it arrived.",
        "A print fills own orders at its price only beyond the size ahead of them, and each print, like each"
        " shown size, is used once. The market does not react to own orders: no one steps in front, no one"
        " pulls a quote. With sizes that matter to the market, results are too good.",
    ],
    "cross": [
        "Prints are not used: a resting order fills only when the opposite side shows size at or through its"
        " price. Fills at the touch are missed, and those that happen are the adverse ones: a lower bound.",
        "Shown size is used once, and the market does not react to own orders.",
    ],
    "reference": [
        "The public one-level maker contract, to the letter: orders fill whole, at their own price, as soon"
        " as the queue ahead is used up, a print goes through or the opposite best reaches them. It may count"
        " the same liquidity twice. For comparing engines, not for believing a result.",
    ],
}


_BEHIND = {
    "power": "b^n / (b^n + f^n)",
    "power2": "(b / (b + f))^n",
    "power3": "1 - (f / (b + f))^n",
    "log": "ln(1 + b) / (ln(1 + b) + ln(1 + f))",
    "log2": "ln(1 + b) / ln(1 + b + f)",
}


def _queue_words(exchange: ExchangePlan) -> str:
    if exchange.queue_model == "risk_averse":
        return (
            "Cancels of others are taken to come from behind an own order, so it moves up only by prints and by a"
            " level shrinking below the size ahead. Real queues are often quicker: fills may come later here than"
            " they would have."
        )
    power = Decimal(exchange.queue_power_thousandths).scaleb(-3).normalize()
    exponent = f" with n = {power:f}" if exchange.queue_power_thousandths else ""
    return (
        f"Of what a level loses besides prints, {_BEHIND[exchange.queue_model]}{exponent} is taken to come from"
        " behind an own order, f and b being the size before and behind it; the rest moves it up. An expectation,"
        " no knowledge: single fills come earlier or later than they would have."
    )


def assumptions(plan: SessionPlan, models: list[str]) -> list[str]:
    """Say in words what this run assumes and where that is wrong."""
    exchange = plan.exchange
    words = []
    for model in dict.fromkeys(models):
        names = ", ".join(entry.name for entry, name in zip(plan.instruments, models, strict=True) if name == model)
        words += [f"{model} ({names}): {text}" for text in _ASSUMES[model]]
        if model == "queue":
            words.append(f"queue model {exchange.queue_model}: {_queue_words(exchange)}")
    if exchange.latency_samples:
        words.append(
            f"Order latency follows {len(exchange.latency_samples)} recorded samples: the last one before"
            " each request. Rate limits and outages of the venue are not simulated."
        )
    else:
        words.append(
            f"An order takes {duration_text(exchange.entry_ns)} to the venue and its answer"
            f" {duration_text(exchange.response_ns)} back, always. Real latency has a tail, and it is worst"
            " when the market moves. Rate limits and outages of the venue are not simulated."
        )
    if exchange.constant_feed_ns < 0:
        words.append(
            "Market data reaches the engine when it reached the recorder; the recorder's way to the venue is"
            " taken for the trader's."
        )
    else:
        words.append(
            f"Market data reaches the engine {duration_text(exchange.constant_feed_ns)} after the venue's stamp."
        )
    words.append("Funding is not paid or charged, and no position is ever liquidated.")
    words.append("Fees are the configured rates of price x size, truncated toward zero; volume tiers stay put.")
    words.append("Positions left at the end are valued at the last mark (without one: the mid).")
    return words
