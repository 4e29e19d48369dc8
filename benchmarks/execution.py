"""Implementation shortfall of the router's decision rule against always-passive and always-cross, out of sample.

`python -m benchmarks.execution --json` prints one object: name, ours, peer, ratio, unit, notes. Parent orders of
fixed size are bought and sold from many start times on the recordings of ../shared/data/hyperliquid/recorder_20250904
through the whole engine and the simulated exchange (model queue, risk-averse). What the rule needs is calibrated on
the first half of each recording; every figure is of the second half. Estimates are measured; what is chosen by trying
is changed only where the first half shows a gain beyond chance.

    routed   the policy expected_value with normal urgency and take_after = the parent's time
    passive  joins the best price, follows it, and takes what is left when time is up
    cross    takes at once

Shortfall (Perold 1988) in bps of the mid at the parent's start: fills against that mid, plus fees, plus what is left
unfilled at the opposite best when the parent ends, with the taker fee. Buys and sells start at the same times and count
as one observation, so that the market's drift cancels. Intervals: bootstrap over blocks of start times, 95 %.

Without the recordings a synthetic market is used; its figures say only that the program runs.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_environment import ROOT
from hatmanifesto import build
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.tape.format import EXCH, META, PRICE, SIZE, as_rows
from hatmanifesto.backtest.tape.importers.hyperliquid_recorder import import_recorder
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.config.settings import parse
from hatmanifesto.journal.reader import decode_columns
from hatmanifesto.model import record
from hatmanifesto.model.book import Book
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    BUY_BIT,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MORE,
    SELL_BIT,
    TRADE,
)

CACHE: Final = ROOT / ".cache" / "bench"
SHARED: Final = Path(os.environ.get("HAT_SHARED") or ROOT.parent / "shared")
RECORDINGS: Final = SHARED / "data" / "hyperliquid" / "recorder_20250904"
STYLES: Final = ("routed", "passive", "cross")
S: Final = 1_000_000_000
PPB: Final = 1_000_000_000
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Parent(NamedTuple):
    """One parent order's outcome, bps of the mid at its start; shares of its size."""

    start_ns: int
    shortfall: float
    price: float
    fees: float
    unfilled: float
    maker: float


class Half(NamedTuple):
    """A part of one instrument's recording."""

    tape: MemoryTape
    begin_ns: int
    end_ns: int


# -- the recordings -------------------------------------------------------------------------------


def recorded(folder: Path, coins: Sequence[str]) -> Path:
    """Return the tape of the recordings, imported once."""
    target = CACHE / f"execution-{'-'.join(coins)}.tape"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        files = sorted(path for path in folder.iterdir() if path.name.endswith(".csv.gz"))
        with TapeWriter(target) as writer:
            import_recorder(ImportRequest(files=files, instruments=list(coins)), writer, lambda done, total: None)
    return target


def halves(tape: Tape | MemoryTape, index: int) -> tuple[Half, Half]:
    """Cut one instrument's rows in the middle of their span."""
    stream = tape.stream("exchange")
    rows = np.concatenate([as_rows(stream.chunk(at)) for at in range(stream.count)])
    rows = rows[(rows[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK == index].copy()
    rows[:, META] -= index << INSTRUMENT_SHIFT
    instrument = alone(tape.instruments[index])
    begin, end = int(rows[0, EXCH]), int(rows[-1, EXCH])
    middle = (begin + end) // 2
    first, second = rows[rows[:, EXCH] < middle], rows[rows[:, EXCH] >= middle]
    return (
        Half(MemoryTape(first, [instrument]), begin, middle),
        Half(MemoryTape(second, [instrument]), middle, end),
    )


def alone(item: Instrument) -> Instrument:
    """Return the same instrument at index 0."""
    names = (
        "price_scale", "size_scale", "money_scale", "tick_size", "lot_size", "significant_figures", "min_notional",
        "max_price", "max_size", "maker_fee", "taker_fee", "max_leverage", "price_band",
    )  # fmt: skip
    return Instrument(item.name, index=0, **{name: int(getattr(item, name)) for name in names})


# -- calibration ----------------------------------------------------------------------------------


class Facts(NamedTuple):
    """What the first half says: the router's parameters, and the spread for the reader (bps)."""

    turnover_ns: int
    adverse_ppb: int
    imbalance_drift_ppb: int
    spread_bps: float
    trades: int


def facts_of(half: Half, horizon_ns: int) -> Facts:
    """Measure turnover of the touch, adverse selection of prints after 5 s, and the drift that imbalance foretells."""
    stream = half.tape.stream("exchange")
    rows = np.concatenate([as_rows(stream.chunk(at)) for at in range(stream.count)])
    book = Book()
    times: list[int] = []
    tops: list[tuple[int, int, int, int]] = []
    prints: list[tuple[int, int, int]] = []
    volume = 0
    for stamp, _, meta, price, size in rows[:, [EXCH, EXCH, META, PRICE, SIZE]].tolist():
        if meta & KIND_MASK == TRADE:
            volume += size
            side = 1 if meta & BUY_BIT else -1 if meta & SELL_BIT else 0
            if side and tops:
                prints.append((stamp, side, len(tops) - 1))
            continue
        book.apply(meta, price, size, stamp)
        bid, ask = int(book.bids.best_price()), int(book.asks.best_price())
        if meta & MORE == 0 and 0 < bid < ask:
            top = (bid, int(book.bids.best_size()), ask, int(book.asks.best_size()))
            if not tops or top != tops[-1]:
                times.append(stamp)
                tops.append(top)
    at = np.array(times, dtype=np.int64)
    top = np.array(tops, dtype=np.float64)
    mid = (top[:, 0] + top[:, 2]) / 2
    held = np.diff(at, append=half.end_ns).astype(np.float64)
    shown = float(((top[:, 1] + top[:, 3]) / 2 * held).sum() / held.sum())
    a_second_a_side = volume / 2 / ((half.end_ns - half.begin_ns) / S)
    turnover = int(shown / a_second_a_side * S) if a_second_a_side > 0 else 60 * S
    adverse = 0.0
    if prints:
        stamps, sides, places = (np.array(column, dtype=np.int64) for column in zip(*prints, strict=True))
        later = np.searchsorted(at, stamps + 5 * S, side="right") - 1
        adverse = float(np.mean(sides * (mid[later] - mid[places]) / mid[places])) * PPB
    grid = np.arange(int(at[0]), half.end_ns - horizon_ns, S // 2)
    now = np.searchsorted(at, grid, side="right") - 1
    later = np.searchsorted(at, grid + horizon_ns, side="right") - 1
    imbalance = (top[now, 1] - top[now, 3]) / (top[now, 1] + top[now, 3])
    moved = (mid[later] - mid[now]) / mid[now]
    slope = float((imbalance * moved).sum() / max(1e-12, float((imbalance**2).sum()))) * PPB
    spread = float(((top[:, 2] - top[:, 0]) / mid * held).sum() / held.sum()) * 1e4
    return Facts(max(S // 10, turnover), round(adverse), round(slope), spread, len(prints))


# -- runs -----------------------------------------------------------------------------------------


class Setup(NamedTuple):
    """What is executed, and how the rule is configured."""

    within_ns: int
    notional: str
    router: dict[str, Any]

    @property
    def every_ns(self) -> int:
        return self.within_ns + 5 * S


def execute(half: Half, setup: Setup, style: str, offset_ns: int, side: int, folder: Path) -> list[Parent]:
    """Run one backtest and return its parents."""
    journal = folder / "journal"
    journal.unlink(missing_ok=True)
    settings = {
        "account": {"deposit": "1000000"},
        "risk": {
            "account": {"max_account_notional": "1000000", "max_leverage": "10"},
            "instrument": {"default": {"max_order_notional": "100000", "max_position_notional": "200000"}},
        },
        "engine": {"router": "expected_value" if style == "routed" else "keep", "max_book_age": "30s"},
        "router": setup.router if style == "routed" else {},
        "strategies": {
            "parent_orders": {
                "class": "parent_orders",
                "min_decision_interval": "50ms",
                "params": {
                    "order_size": f"{setup.notional} USD",
                    "every": f"{setup.every_ns}ns",
                    "within": f"{setup.within_ns}ns",
                    "delay": f"{offset_ns}ns",
                    "first_side": side,
                    "style": style,
                },
            }
        },
    }
    draft = parse(settings)
    prepared, _ = run_tape(half.tape, draft, journal)
    params = prepared.session.plan.desks[0].params
    return parents_of(journal, half.tape.instruments[0], setup, offset_ns, side, int(params["order_size"]))


def parents_of(
    journal: Path, instrument: Instrument, setup: Setup, offset_ns: int, first_side: int, size: int
) -> list[Parent]:
    """Read a run's parents out of its journal; one that the end of the data cut short is left out."""
    columns = decode_columns(journal, {record.VIEW, record.FILL})
    view = columns[record.VIEW]
    whole = (view["bid_price"] > 0) & (view["ask_price"] > view["bid_price"])
    # the strategy's clock starts with the first decision on a whole book
    begin = int(view["ts_ns"][whole][0]) + offset_ns
    stamps, bids, asks = (view[name][whole].astype(np.int64) for name in ("ts_ns", "bid_price", "ask_price"))
    fill = columns.get(record.FILL)
    found = []
    for number in range(int(stamps[-1] - begin) // setup.every_ns + 1):
        start = begin + number * setup.every_ns
        end = start + setup.every_ns
        if end > int(stamps[-1]):
            break
        side = first_side if number % 2 == 0 else -first_side
        opened = int(np.searchsorted(stamps, start, side="left"))
        closed = int(np.searchsorted(stamps, end, side="left")) - 1
        mid = (bids[opened] + asks[opened]) / 2
        cost = fees = filled = maker = 0.0
        if fill is not None:
            inside = (fill["ts_ns"] >= start) & (fill["ts_ns"] < end)
            for price, amount, fee, of, aux in zip(
                *(fill[name][inside].tolist() for name in ("price", "size", "fee", "side", "aux")), strict=True
            ):
                if of == side:
                    cost += side * (price - mid) * amount
                    filled += amount
                    maker += 0 if aux & 1 else amount
                fees += fee / int(instrument.notional_factor)
        rest = max(0.0, size - filled)
        opposite = asks[closed] if side > 0 else bids[closed]
        missed = rest * (side * (opposite - mid) + opposite * int(instrument.taker_fee) / PPB)
        unit = mid * size / 1e4
        found.append(
            Parent(start, (cost + fees + missed) / unit, cost / unit, fees / unit, missed / unit, maker / size)
        )
    return found


def observations(
    half: Half, setup: Setup, style: str, offsets: Sequence[int], folder: Path
) -> dict[tuple[int, int], tuple[Parent, Parent]]:
    """Return a buy and a sell by (offset, number)."""
    found: dict[tuple[int, int], tuple[Parent, Parent]] = {}
    for offset in offsets:
        one = execute(half, setup, style, offset, 1, folder)
        other = execute(half, setup, style, offset, -1, folder)
        for number, pair in enumerate(zip(one, other, strict=False)):
            found[(offset, number)] = pair
    return found


def mean_shortfall(found: dict[tuple[int, int], tuple[Parent, Parent]]) -> float:
    return float(np.mean([(one.shortfall + other.shortfall) / 2 for one, other in found.values()]))


# -- choosing on the first half -------------------------------------------------------------------


def candidates(facts: Facts, within_ns: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the router with measured estimates and built-in choices first, then what differs from it in one choice."""
    usual: dict[str, Any] = {
        "turnover": f"{facts.turnover_ns}ns",
        "adverse_selection_bps": in_bps(facts.adverse_ppb),
    }
    urgency = {"improve_after": "0s", "touch_after": "0s", "take_after": f"{within_ns}ns", "slippage_cap_bps": "100"}
    later = {**urgency, "touch_after": f"{within_ns // 2}ns"}
    patient = {**urgency, "weight": "0"}
    yield "usual", {**usual, "urgency": {"normal": urgency}}
    yield "best price only", {**usual, "improve_inside": False, "urgency": {"normal": urgency}}
    yield "inside later", {**usual, "urgency": {"normal": later}}
    yield "patient", {**usual, "urgency": {"normal": patient}}
    drift = in_bps(facts.imbalance_drift_ppb)
    yield "imbalance in D", {**usual, "imbalance_drift_bps": drift, "urgency": {"normal": urgency}}
    lean = in_bps(facts.imbalance_drift_ppb / 2)
    yield "lean", {**usual, "imbalance_lean_bps": lean, "urgency": {"normal": urgency}}


def choose(
    trials: dict[str, dict[tuple[int, int], tuple[Parent, Parent]]], block_ns: int
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the name of the best trial that beats `usual` beyond chance, else `usual`; and every paired difference."""
    usual = trials["usual"]
    chosen, least = "usual", 0.0
    report: dict[str, dict[str, Any]] = {}
    for name, found in trials.items():
        keys = sorted(set(found) & set(usual))
        differences = np.array(
            [sum(p.shortfall for p in found[key]) / 2 - sum(p.shortfall for p in usual[key]) / 2 for key in keys]
        )
        starts = np.array([found[key][0].start_ns for key in keys], dtype=np.int64)
        report[name] = {"bps": round(mean_shortfall(found), 3)}
        if name != "usual":
            report[name]["against_usual"] = figure(differences, in_blocks(starts, differences, block_ns))
            if report[name]["against_usual"]["high_bps"] < 0 and float(differences.mean()) < least:
                chosen, least = name, float(differences.mean())
    return chosen, report


def in_bps(ppb: float) -> str:
    return f"{ppb / 100_000:.5f}"


# -- statistics -----------------------------------------------------------------------------------


def interval(blocks: list[Floats], seed: int = 7, draws: int = 4_000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over blocks drawn with replacement."""
    rng = np.random.default_rng(seed)
    sums = np.array([block.sum() for block in blocks])
    counts = np.array([len(block) for block in blocks])
    chosen = rng.integers(0, len(blocks), size=(draws, len(blocks)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def in_blocks(starts: Ints, values: Floats, block_ns: int) -> list[Floats]:
    """Group observations by time."""
    places = (starts - starts.min()) // block_ns
    return [values[places == place] for place in np.unique(places)]


def compare(
    results: dict[str, dict[str, dict[tuple[int, int], tuple[Parent, Parent]]]], block_ns: int
) -> dict[str, Any]:
    """Return each style's figures and the rule's paired differences, by coin and for all coins alike."""
    report: dict[str, Any] = {}
    pooled: dict[str, list[list[Floats]]] = {name: [] for name in (*STYLES, "routed-passive", "routed-cross")}
    for coin, by_style in results.items():
        keys = sorted(set.intersection(*(set(by_style[style]) for style in STYLES)))
        if not keys:
            continue
        starts = np.array([by_style["routed"][key][0].start_ns for key in keys], dtype=np.int64)
        means = {
            style: np.array([sum(parent.shortfall for parent in by_style[style][key]) / 2 for key in keys])
            for style in STYLES
        }
        series = {
            **means,
            "routed-passive": means["routed"] - means["passive"],
            "routed-cross": means["routed"] - means["cross"],
        }
        one_coin: dict[str, Any] = {"start_times": len(keys), "parents": 2 * len(keys)}
        for name, values in series.items():
            blocks = in_blocks(starts, values, block_ns)
            pooled[name].append(blocks)
            one_coin["blocks"] = len(blocks)
            one_coin[name] = figure(values, blocks)
        for style in STYLES:
            both = [parent for key in keys for parent in by_style[style][key]]
            one_coin[style] |= {
                "price_bps": round(float(np.mean([p.price for p in both])), 3),
                "fees_bps": round(float(np.mean([p.fees for p in both])), 3),
                "unfilled_bps": round(float(np.mean([p.unfilled for p in both])), 3),
                "maker_share": round(float(np.mean([p.maker for p in both])), 3),
            }
        report[coin] = one_coin
    report["all"] = {
        name: figure(np.concatenate([b for blocks in parts for b in blocks]), [b for blocks in parts for b in blocks])
        for name, parts in pooled.items()
        if parts
    }
    return report


def figure(values: Floats, blocks: list[Floats]) -> dict[str, Any]:
    low, high = interval(blocks)
    return {"mean_bps": round(float(values.mean()), 3), "low_bps": round(low, 3), "high_bps": round(high, 3)}


# -- the whole ------------------------------------------------------------------------------------


def evaluate(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Calibrate on first halves, execute on second halves."""
    recordings = Path(args.recordings)
    synthetic = not recordings.is_dir()
    tape: Tape | MemoryTape
    if synthetic:
        tape = generate(seed=5, minutes=args.toy_minutes)
    else:
        tape = Tape.open(recorded(recordings, args.coins))
    within = args.within * S
    results: dict[str, dict[str, dict[tuple[int, int], tuple[Parent, Parent]]]] = {}
    chosen: dict[str, Any] = {}
    for index, instrument in enumerate(tape.instruments):
        first, second = halves(tape, index)
        facts = facts_of(first, min(within, 10 * S))
        setup = Setup(within, args.notional, {})
        step = setup.every_ns // args.offsets
        offsets = [step * at for at in range(args.offsets)]
        routers = dict(candidates(facts, within))
        trials = {}
        for name, router in routers.items():
            used = setup._replace(router=router)
            trials[name] = observations(first, used, "routed", offsets[:: args.trial_stride], folder)
            say(f"{instrument.name}: first half, {name}: {mean_shortfall(trials[name]):.3f} bps")
        best, report = choose(trials, args.block * S)
        chosen[instrument.name] = {
            "spread_bps": round(facts.spread_bps, 3),
            "prints": facts.trades,
            "chosen": best,
            "router": routers[best],
            "first_half": report,
        }
        results[instrument.name] = {}
        for style in STYLES:
            used = setup._replace(router=routers[best])
            results[instrument.name][style] = observations(second, used, style, offsets, folder)
            say(f"{instrument.name}: second half, {style}: {mean_shortfall(results[instrument.name][style]):.3f} bps")
    return {
        "data": "synthetic" if synthetic else recordings.name,
        "calibrated": chosen,
        "second_half": compare(results, args.block * S),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the evaluation and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--recordings", default=str(RECORDINGS))
    parser.add_argument("--coins", nargs="+", default=["BTC", "ETH", "WLFI"])
    parser.add_argument("--within", type=int, default=60, help="seconds a parent may take")
    parser.add_argument("--notional", default="500", help="USD a parent order")
    parser.add_argument("--offsets", type=int, default=6, help="start times a parent's length")
    parser.add_argument("--trial-stride", type=int, default=1, help="use every so many offsets on the first half")
    parser.add_argument("--block", type=int, default=130, help="seconds of a bootstrap block")
    parser.add_argument("--toy-minutes", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = evaluate(args, Path(folder))
    everything = found["second_half"]["all"]
    ours, passive, cross = (everything[style]["mean_bps"] for style in STYLES)
    answer = {
        "name": "execution",
        "ours": ours,
        "peer": passive,
        "ratio": round(ours / passive, 3) if passive else None,
        "unit": "bps of shortfall, lower is better; peer: always passive",
        "notes": {**found, "always_cross_bps": cross, "within_s": args.within, "notional_usd": args.notional,
                  "offsets": args.offsets, "build": build.mode()},
    }  # fmt: skip
    if args.json:
        print(json.dumps(answer))
        return
    show(answer)


def show(answer: dict[str, Any]) -> None:
    """Print the figures as a table of 100 columns."""
    notes = answer["notes"]
    print(f"shortfall in bps, second half of {notes['data']}, {notes['notional_usd']} USD within {notes['within_s']} s")
    print(f"{'coin':6}{'parents':>8}  {'routed':>22}{'passive':>22}{'cross':>22}")
    for coin, one in notes["second_half"].items():
        cells = "".join(f"{_cell(one[style]):>22}" for style in STYLES)
        print(f"{coin:6}{one.get('parents', ''):>8}  {cells}")
    for coin, one in notes["second_half"].items():
        print(f"{coin:6} routed - passive {_cell(one['routed-passive'])}, routed - cross {_cell(one['routed-cross'])}")


def _cell(one: dict[str, Any]) -> str:
    return f"{one['mean_bps']:.2f} [{one['low_bps']:.2f}, {one['high_bps']:.2f}]"


if __name__ == "__main__":
    main()
