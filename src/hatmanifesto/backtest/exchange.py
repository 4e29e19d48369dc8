"""The simulated venue of a run: the exchange model that fits the tape, and what it assumes."""

from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.clearing import build_clearing, clearing_assumptions, clocked_rows
from hatmanifesto.backtest.survey import Survey
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, TapeLike, as_rows
from hatmanifesto.config.plan import ExchangePlan, SessionPlan
from hatmanifesto.config.quantities import duration_text
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import row_words
from hatmanifesto.simulation.chance import Chance
from hatmanifesto.simulation.latency import (
    ConstantLatency,
    FeedLatency,
    LognormalLatency,
    LognormalWay,
    OrderLatency,
    RecordedLatency,
    SampledLatency,
)
from hatmanifesto.simulation.matcher import Matcher
from hatmanifesto.simulation.queue_matcher import QueueMatcher
from hatmanifesto.simulation.queue_models import (
    PROBABILITIES,
    ProbabilisticQueue,
    QueueModel,
    RiskAverseQueue,
    TracedQueue,
)
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
    if asked == "reference" and (plan.exchange.margin is not None or plan.exchange.funding is not None):
        raise UserError(
            "the exchange model reference knows neither funding nor margin",
            'set exchange.funding.source and exchange.margin.mode to "off", or use another exchange.model',
        )
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
    latency = build_latency(plan, tape)
    requests, responses = Line(), Line()
    clearing = build_clearing(plan, instruments, responses, latency)
    matchers: list[Matcher] = []
    for name, instrument in zip(models, instruments, strict=True):
        if name == "reference":
            matchers.append(ReferenceMatcher(instrument, responses, latency))
        else:
            queue = build_queue_model(exchange.queue_model, exchange.queue_power_thousandths, instrument)
            matchers.append(QueueMatcher(instrument, responses, latency, name == "queue", queue))
    if clearing is not None:
        clearing.serve(matchers)
    rows = tape.stream("exchange")
    return ReplayMarket(
        rows,
        tape.stream("receiver"),
        matchers,
        requests,
        responses,
        latency,
        exchange.constant_feed_ns,
        clocked_rows(plan, rows),
    )


def build_latency(plan: SessionPlan, tape: TapeLike) -> OrderLatency:
    """Return the order latency of a run; drawn ones come from the plan's seed."""
    exchange = plan.exchange
    samples = exchange.latency_samples
    if exchange.latency_model == "lognormal":
        return LognormalLatency(
            LognormalWay(exchange.latency_floor_ns, exchange.entry_ns, exchange.entry_p99_ns, Chance(plan.seed, 1)),
            LognormalWay(
                exchange.latency_floor_ns, exchange.response_ns, exchange.response_p99_ns, Chance(plan.seed, 2)
            ),
        )
    if exchange.latency_model == "sampled":
        return SampledLatency([(entry, response) for _, entry, response in samples], Chance(plan.seed, 3))
    if exchange.latency_model == "feed":
        return FeedLatency(row_words(feed_delays(tape, exchange.feed_latency_thousandths)))
    if samples:
        return RecordedLatency(list(samples))
    return ConstantLatency(exchange.entry_ns, exchange.response_ns)


def feed_delays(tape: TapeLike, thousandths: int = 1000, interval_ns: int = 1_000_000_000) -> bytes:
    """Return packed (exch_ns, delay_ns): the median delay of the market data in each interval, never below 0.

    The delays are multiplied by a factor in thousandths.
    """
    stream = tape.stream("exchange")
    parts: list[NDArray[np.int64]] = []
    for index in range(stream.count):
        rows = as_rows(stream.chunk(index))
        delays = np.maximum(rows[:, LOCAL] - rows[:, EXCH], 0)
        _, starts = np.unique(rows[:, EXCH] // interval_ns, return_index=True)
        ends = np.append(starts[1:], len(rows))
        medians = [
            int(np.median(delays[start:end])) * thousandths // 1000 for start, end in zip(starts, ends, strict=True)
        ]
        parts.append(np.stack([rows[starts, EXCH], np.array(medians, np.int64)], axis=1))
    if not parts:
        return np.zeros(2, "<i8").tobytes()
    return np.concatenate(parts).astype("<i8").tobytes()


def build_queue_model(name: str, power_thousandths: int, instrument: Instrument) -> QueueModel:
    """Return the queue model of that name for an instrument; ValueError when there is none."""
    if name == "risk_averse":
        return RiskAverseQueue()
    unit = 10 ** int(instrument.size_scale)
    if name == "traced":
        return TracedQueue(PROBABILITIES["power3"], power_thousandths, unit)
    if name not in PROBABILITIES:
        raise ValueError(f"there is no queue model {name!r}")
    return ProbabilisticQueue(PROBABILITIES[name], power_thousandths or 1000, unit)


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
    "traced": "1 - (f / (b + f))^n",
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
    lead = "Of what a level loses besides prints, "
    if exchange.queue_model == "traced":
        lead = "A cancel of exactly a size that joined behind an own order is taken to be that one. Of any other, "
    exponent = f" with n = {power:f}" if exchange.queue_power_thousandths else ""
    return (
        f"{lead}{_BEHIND[exchange.queue_model]}{exponent} is taken to come from"
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
    if exchange.latency_model == "lognormal":
        words.append(
            f"An order takes {duration_text(exchange.entry_ns)} to the venue and its answer"
            f" {duration_text(exchange.response_ns)} back at the median,"
            f" {duration_text(exchange.entry_p99_ns)} and {duration_text(exchange.response_p99_ns)} in one case of a"
            " hundred, each drawn by itself: real delays come in bursts, when the market moves. Rate limits and outages"
            " of the venue are not simulated."
        )
    elif exchange.latency_model == "sampled":
        words.append(
            f"Order latency is drawn from {len(exchange.latency_samples)} measured samples, each by itself: real delays"
            " come in bursts, when the market moves. Rate limits and outages of the venue are not simulated."
        )
    elif exchange.latency_model == "feed":
        words.append(
            "Orders and answers take as long as the market data took on its way to the recorder, by the median of each"
            " second: the recorder's way is taken for the trader's, and orders are often slower than data. Rate limits"
            " and outages of the venue are not simulated."
        )
    elif exchange.latency_samples:
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
    words += clearing_assumptions(plan)
    words.append("Positions left at the end are valued at the last mark (without one: the mid).")
    return words
