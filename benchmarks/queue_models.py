"""Queue models judged on level-3 data, where true queue positions are known.

`python -m benchmarks.queue_models --json` prints one object a line for each kind of order, feed and queue model: name,
ours (the model's Brier score), peer (that of the risk-averse model on the same orders), ratio, unit, notes with bias,
fill-time error, error of the size ahead, calibration and sample sizes. --source names a recording that `hat tape
import --format bitstamp_l3` takes; without it the recording beside the repository is used, else a generated market,
on which nothing about real queues can be learned. --chart writes the calibration chart.

Every model sees only what a tape shows: the level's total, prints, opposite sizes that would meet the order. It runs in
the exchange model `queue` itself. The orders: *real* ones, taken out of the projection, and *hypothetical* ones right
behind a real order, which nobody reacted to. Only orders are scored whose price was printed at or through while they
lived: for the others every model says unfilled, and is right.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.generated_level3 import write_recording
from benchmarks.peer_environment import ROOT
from benchmarks.queue_chart import write_chart
from hatmanifesto.backtest.exchange import build_queue_model
from hatmanifesto.backtest.queue_truth import GONE, Case, Truth, snapshots
from hatmanifesto.backtest.tape.importers.bitstamp_events import JOIN, LEAVE, read_level3
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import BUY_BIT, CHANNEL_BOOK, DEPTH, KIND_MASK, TRADE, make_meta
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.model.ports import NEVER
from hatmanifesto.simulation.latency import ConstantLatency
from hatmanifesto.simulation.queue_matcher import QueueMatcher
from hatmanifesto.simulation.wire import FILLED, Line

SHARED: Final = ROOT.parent / "shared" / "data" / "bitstamp_l3"
MODELS: Final = {
    "risk_averse": ("risk_averse", 0),
    "traced 3": ("traced", 3000),
    "power 1": ("power", 1000),
    "power 2": ("power", 2000),
    "power 3": ("power", 3000),
    "power2 2": ("power2", 2000),
    "power3 3": ("power3", 3000),
    "power3 10": ("power3", 10_000),
    "log": ("log", 0),
    "log2": ("log2", 0),
}
"""What is judged: the name of the queue model and its exponent in thousandths."""
FEEDS: Final[dict[str, Callable[[Case], Case]]] = {
    "every event": lambda case: case,
    "levels each 100 ms": lambda case: snapshots(case, 100_000_000),
    "levels each 500 ms": lambda case: snapshots(case, 500_000_000),
}
HORIZONS_NS: Final = (5_000_000_000, 20_000_000_000, 60_000_000_000)
"""After which hypothetical orders are cancelled; and the last how long real ones that filled stay wanted."""
NEAR_TICKS: Final = 20
AGES_NS: Final = tuple(age * 1_000_000_000 for age in (1, 2, 5, 10, 20, 50))
"""Ages at which predicted and true sizes ahead are compared."""
BLOCK_NS: Final = 60_000_000_000
"""Orders of one minute meet the same prints: intervals are drawn by resampling minutes, not orders."""
BINS: Final = 8


class Sample(NamedTuple):
    """Orders to be judged, and how many were looked at that nothing was printed for."""

    cases: list[Case]
    uncontested: int


class Prediction(NamedTuple):
    """What a model said of one case: fills, and pairs of (predicted, true) size ahead."""

    fills: list[tuple[int, int]]
    at_prints: list[tuple[int, int, int]]
    at_ages: list[tuple[int, int]]


class Simulator:
    """Runs single orders through the exchange model `queue`."""

    def __init__(self, model: str, thousandths: int, instrument: Instrument) -> None:
        self._responses = Line()
        queue = build_queue_model(model, thousandths, instrument)
        self._matcher = QueueMatcher(instrument, self._responses, ConstantLatency(0, 0), True, queue)

    def run(self, case: Case) -> Prediction:
        """Return what becomes of a case's order on what a tape shows; the matcher is clean again afterwards."""
        matcher = self._matcher
        side, price = case.side, case.price
        matcher.apply(make_meta(DEPTH, side, CHANNEL_BOOK, 0), price, case.shown, case.start_ns)
        matcher.arrive(case.start_ns, 1, side, price, case.size, POST_ONLY, False)
        order = matcher.find(1)
        assert order is not None
        at_prints: list[tuple[int, int, int]] = []
        at_ages: list[tuple[int, int]] = []
        age = 0
        for (ns, meta, at, size), truth in zip(case.rows, case.ahead, strict=True):
            ahead = int(order.ahead) if order.resting else 0
            if truth != GONE:
                if meta & KIND_MASK == TRADE and at == price and order.resting:
                    at_prints.append((ahead, truth, size))
                while age < len(AGES_NS) and ns - case.start_ns >= AGES_NS[age]:
                    at_ages.append((ahead, truth))
                    age += 1
            matcher.apply(meta, at, size, ns)
        fills = self._answers()
        if order.resting:
            matcher.cancel(case.end_ns, 1)
        self._answers()
        levels = {(1 if meta & BUY_BIT else -1, at) for _, meta, at, _ in case.rows if meta & KIND_MASK == DEPTH}
        for level_side, at in {*levels, (side, price)}:
            matcher.apply(make_meta(DEPTH, level_side, CHANNEL_BOOK, 0), at, 0, case.end_ns)
        return Prediction(fills, at_prints, at_ages)

    def _answers(self) -> list[tuple[int, int]]:
        found = []
        while self._responses.next_ns != NEVER:
            message = self._responses.take()
            if message.kind == FILLED:
                found.append((int(message.exch_ts), int(message.size)))
        return found


def hypothetical(truth: Truth, count: int, seed: int) -> Sample:
    """Draw orders right behind real ones that joined near the touch, with the real one's size."""
    events = truth.events
    rng = np.random.default_rng(seed)
    joins = np.flatnonzero(events.kind == JOIN)
    joins = joins[joins >= events.opening]
    cases: list[Case] = []
    quiet = 0
    for at in rng.permutation(joins).tolist():
        if len(cases) == count:
            break
        side, price = int(events.side[at]), int(events.price[at])
        if (int(truth.best[side][at]) - price) * side > NEAR_TICKS:
            continue
        horizon = HORIZONS_NS[int(rng.integers(len(HORIZONS_NS)))]
        end_ns = int(events.exch_ns[at]) + horizon
        if end_ns > int(events.exch_ns[-1]):
            continue
        if truth.contested(side, price, at + 1, truth.after(end_ns)):
            cases.append(truth.hypothetical(at, int(events.quantity[at]), horizon))
        else:
            quiet += 1
    return Sample(cases, quiet)


def real(truth: Truth) -> Sample:
    """Return every real order with an end and a print at or through its price while it lived."""
    events = truth.events
    gone = np.flatnonzero(events.kind == LEAVE)
    ends = dict(zip(events.order_id[gone].tolist(), gone.tolist(), strict=True))
    cases: list[Case] = []
    quiet = 0
    for at in np.flatnonzero(events.kind == JOIN).tolist():
        end = ends.get(int(events.order_id[at]))
        if at < events.opening or end is None or end < at:
            continue
        if truth.contested(int(events.side[at]), int(events.price[at]), at + 1, end):
            case = truth.real(at, HORIZONS_NS[-1])
            if case is not None:
                cases.append(case)
        else:
            quiet += 1
    return Sample(cases, quiet)


def judge(cases: list[Case], predictions: list[Prediction], unit: int) -> dict[str, Any]:
    """Compare predictions with the truth; `unit` is one coin in size units."""
    predicted = np.array([sum(size for _, size in one.fills) for one in predictions], float)
    size = np.array([case.size for case in cases], float)
    true = np.array([case.filled() for case in cases], float)
    said, was = predicted == size, true == size
    late = [
        (one.fills[-1][0] - case.fills[-1][0]) / 1e9
        for case, one, both in zip(cases, predictions, said & was, strict=True)
        if both
    ]
    prints = np.array([point for one in predictions for point in one.at_prints], float).reshape(-1, 3)
    waiting = prints[prints[:, 1] > 0]
    reach_said, reach_was = waiting[:, 2] > waiting[:, 0], waiting[:, 2] > waiting[:, 1]
    return {
        "orders": len(cases),
        "filled_share": _round(was.mean()),
        "brier": _round(((predicted - true) ** 2 / size**2).mean()),
        "bias": _round(((predicted - true) / size).mean()),
        "filled_wrongly": int((said & ~was).sum()),
        "missed": int((~said & was).sum()),
        "fill_time_error_s": {
            "orders": len(late),
            "mean": _round(float(np.mean(late))) if late else None,
            "mean_absolute": _round(float(np.mean(np.abs(late)))) if late else None,
            "p95_absolute": _round(float(np.percentile(np.abs(late), 95))) if late else None,
        },
        "size_ahead_at_prints": {
            "prints": len(waiting),
            "bias_coins": _round((waiting[:, 0] - waiting[:, 1]).mean() / unit) if len(waiting) else None,
            "mean_absolute_coins": _round(np.abs(waiting[:, 0] - waiting[:, 1]).mean() / unit)
            if len(waiting)
            else None,
            "reached_wrongly_said": _round((reach_said != reach_was).mean()) if len(waiting) else None,
        },
        "calibration": calibration(cases, predictions),
    }


def squared_errors(cases: list[Case], predictions: list[Prediction]) -> NDArray[np.float64]:
    """Return each order's squared error of the share filled."""
    return np.array(
        [
            ((sum(size for _, size in one.fills) - case.filled()) / case.size) ** 2
            for case, one in zip(cases, predictions, strict=True)
        ]
    )


def calibration(cases: list[Case], predictions: list[Prediction]) -> list[dict[str, float]]:
    """Return, by predicted size ahead as a share of what stood there on arrival, the mean true share."""
    pairs = [
        (min(1.0, ahead / case.shown), min(1.0, truth / case.shown))
        for case, one in zip(cases, predictions, strict=True)
        for ahead, truth in one.at_ages
        if case.shown > 0
    ]
    table = np.array(pairs, float).reshape(-1, 2)
    bins = np.minimum((table[:, 0] * BINS).astype(int), BINS - 1)
    return [
        {
            "predicted": _round(table[bins == at, 0].mean()),
            "true": _round(table[bins == at, 1].mean()),
            "points": int((bins == at).sum()),
        }
        for at in range(BINS)
        if (bins == at).any()
    ]


def interval(difference: NDArray[np.float64], cases: list[Case], seed: int) -> list[float]:
    """Return the 95 % interval of a mean over orders, by resampling whole minutes of market."""
    rng = np.random.default_rng(seed)
    blocks = np.array([case.start_ns // BLOCK_NS for case in cases])
    names, index = np.unique(blocks, return_inverse=True)
    sums, counts = np.bincount(index, difference), np.bincount(index)
    drawn = rng.integers(len(names), size=(1000, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return [_round(value) for value in np.percentile(means, [2.5, 97.5])]


def _round(value: float) -> float:
    return round(float(value), 5)


def run(
    source: Path, *, orders: int, seed: int, chart: Path | None = None, models: tuple[str, ...] = tuple(MODELS)
) -> list[dict[str, Any]]:
    """Judge models, the first being the peer, on every feed and kind of order; returns what --json prints."""
    found = [source / name for name in ("orders.csv", "orders.csv.gz", "trades.csv", "trades.csv.gz")]
    events = read_level3([path for path in found if path.exists()])
    truth = Truth(events)
    instrument = Instrument(
        "L3",
        index=0,
        price_scale=events.price_scale,
        size_scale=events.size_scale,
        money_scale=max(6, events.price_scale + events.size_scale),
        max_price=int(events.price.max()) * 10,
        max_size=int(events.quantity.max()) * 10,
    )
    unit = 10**events.size_scale
    samples = {"hypothetical": hypothetical(truth, orders, seed), "real": real(truth)}
    simulators = {name: Simulator(*MODELS[name], instrument) for name in models}
    results: list[dict[str, Any]] = []
    for kind, sample in samples.items():
        for feed, shown in FEEDS.items():
            cases = [shown(case) for case in sample.cases]
            averse: NDArray[np.float64] | None = None
            for name, simulator in simulators.items():
                predictions = [simulator.run(case) for case in cases]
                notes = judge(cases, predictions, unit)
                errors = squared_errors(cases, predictions)
                averse = errors if averse is None else averse
                notes["difference_95"] = interval(errors - averse, cases, seed)
                notes["orders_without_a_print"] = sample.uncontested
                notes["prints_on_the_recording"] = sum(len(hits) for hits in truth.hits.values())
                peer = float(averse.mean())
                results.append(
                    {
                        "name": f"queue model {name}, {kind} orders, {feed}",
                        "model": name,
                        "orders": kind,
                        "feed": feed,
                        "ours": notes["brier"],
                        "peer": _round(peer),
                        "ratio": _round(float(errors.mean()) / peer) if peer > 0 else None,
                        "unit": "Brier score of the share filled",
                        "notes": notes,
                    }
                )
    if chart is not None:
        write_chart(chart, results)
    return results


def _table(results: list[dict[str, Any]]) -> str:
    lines = []
    place = ""
    for one in results:
        notes = one["notes"]
        here = f"{one['orders']} orders ({notes['orders']}, {notes['filled_share']:.0%} filled), {one['feed']}"
        if here != place:
            lines += ["", here, f"{'queue model':12s} {'Brier':>8s} {'bias':>8s} {'wrong':>6s} {'missed':>6s}"
                      f" {'time s':>7s} {'|time|':>7s} {'ahead':>8s} {'|ahead|':>8s} {'reach':>6s}"]  # fmt: skip
            place = here
        late, ahead = notes["fill_time_error_s"], notes["size_ahead_at_prints"]
        lines.append(
            f"{one['model']:12s} {one['ours']:8.4f} {notes['bias']:+8.4f}"
            f" {notes['filled_wrongly']:6d} {notes['missed']:6d}"
            f" {late['mean'] or 0:+7.2f} {late['mean_absolute'] or 0:7.2f} {ahead['bias_coins'] or 0:+8.4f}"
            f" {ahead['mean_absolute_coins'] or 0:8.4f} {ahead['reached_wrongly_said'] or 0:6.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder with orders.csv and trades.csv, plain or gzip")
    parser.add_argument("--orders", type=int, default=1500, help="hypothetical orders drawn (1500)")
    parser.add_argument("--seed", type=int, default=7, help="of the draw and of the intervals (7)")
    parser.add_argument("--chart", type=Path, help="write the calibration chart (SVG) here")
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.source
        if source is None and SHARED.is_dir():
            source = SHARED
        if source is None:
            print("no level-3 recording here: a generated market stands in; give --source", file=sys.stderr)
            source = write_recording(Path(folder), seed=arguments.seed, events=6000)
        results = run(source, orders=arguments.orders, seed=arguments.seed, chart=arguments.chart)
    if arguments.json:
        for one in results:
            print(json.dumps(one))
    else:
        print(_table(results))


if __name__ == "__main__":
    main()
