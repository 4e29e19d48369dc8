"""market_making out of sample: calibrated on the first part of a recording, traded on the rest, beside touch_joiner.

`python -m benchmarks.market_making --json` prints one object a line: name, ours, peer, ratio, unit, notes. `ours` and
`peer` are the net results (USD, fees paid, positions at the mark) of market_making with calibrated and re-estimated
parameters and of touch_joiner, on data that neither calibration nor strategy has seen. Both exchange models run:
`queue` (base) and `cross` (pessimistic). The recordings are those of docs/market-making.md, where the figures are
explained; without them (HAT_SHARED) there is nothing to measure, and it says so.
"""

import argparse
import json
import os
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from hatmanifesto import build
from hatmanifesto.backtest.backtest import run_backtest
from hatmanifesto.backtest.calibration.calibrate import Report, calibrate_tape
from hatmanifesto.backtest.calibration.samples import STEP_NS, Samples, sample, span_of
from hatmanifesto.backtest.calibration.settings_file import settings_text
from hatmanifesto.backtest.calibration.split import tape_after
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.config.settings import load
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import decode_columns
from hatmanifesto.model.holds import hold_key
from hatmanifesto.model.record import VIEW

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
SHARED: Final = Path(os.environ.get("HAT_SHARED") or ROOT.parent / "shared")
HORIZON_NS: Final = 1_000_000_000
MARKOUTS_S: Final = (1, 5, 30)
MODELS: Final = {"base": "queue", "pessimistic": "cross"}
ORDER_USD: Final = "100"
FULL_POSITION: Final = 10


class Recording(NamedTuple):
    """A recording: its name, its files below the shared data, and the maker and taker fee of its venue in bps.

    `calibrated_on` are the files of an earlier recording to calibrate on as a whole, in place of the first part.
    """

    name: str
    sources: tuple[str, ...]
    fees: tuple[str, str]
    calibrated_on: tuple[str, ...] = ()


HYPERLIQUID_FEES: Final = ("1.5", "4.5")
BINANCE_FEES: Final = ("2", "5")
"""Base tiers of both venues."""
RECORDINGS: Final = (
    Recording("hyperliquid-20250904", ("hyperliquid/recorder_20250904",), HYPERLIQUID_FEES),
    Recording(
        "hyperliquid-next-day",
        ("hyperliquid/recorder_20250904",),
        HYPERLIQUID_FEES,
        calibrated_on=("hyperliquid/recorder_20250903",),
    ),
    Recording("binance-btc-20240808", ("binance/raw_ws/usdm_btcusdt_20240808.gz",), BINANCE_FEES),
    Recording("binance-eth-20240808", ("binance/raw_ws/usdm_ethusdt_20240808.gz",), BINANCE_FEES),
    Recording(
        "binance-btc-20240718",
        ("binance/raw_ws/usdm_btcusdt_20240718.gz", "binance/raw_ws/usdm_btcusdt_20240719.gz"),
        BINANCE_FEES,
    ),
    Recording(
        "binance-btc-20230404",
        ("binance/raw_ws/usdm_btcusdt_20230404.dat.gz", "binance/raw_ws/usdm_btcusdt_20230405.dat.gz"),
        BINANCE_FEES,
    ),
)
VARIANTS: Final = ("touch_joiner", "market_making", "market_making, as calibrated")


def tape_of(sources: tuple[str, ...]) -> Path:
    """Import a recording once into .cache/bench and return the tape; UserError where it is not at hand."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{'+'.join(source.replace('/', '-') for source in sources)}.tape"
    if path.exists():
        return path
    found, files = find_source([SHARED / "data" / source for source in sources], "")
    with TapeWriter(path) as writer:
        IMPORTERS[found](ImportRequest(files=files), writer, lambda done, total: None)
    return path


def configuration(folder: Path, report: Report, variant: str) -> Path:
    """Write the configuration of one contender and return its path."""
    text = settings_text(
        "benchmarks.market_making",
        report.found,
        horizon_ns=HORIZON_NS,
        flow_half_life_ns=report.flow_half_life_ns,
        order_usd=ORDER_USD,
        full_position=FULL_POSITION,
    )
    if variant == "touch_joiner":
        names = ", ".join(f'"{one.instrument}"' for one in report.found)
        text = (
            f'[strategies.touch_joiner]\nclass = "touch_joiner"\ninstruments = [{names}]\n'
            f'params = {{ order_size = "{ORDER_USD} USD", max_position = "{int(ORDER_USD) * FULL_POSITION} USD" }}\n'
        )
    elif variant == "market_making, as calibrated":
        text = text.replace('horizon = "1s"', 'horizon = "1s"\nreestimate = false')
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def trade(tape: MemoryTape, seen: list[Samples], report: Report, variant: str, options: list[str]) -> dict[str, Any]:
    """Run one contender and return what is told of it by instrument."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        draft = load(configuration(here, report, variant), options)
        run = run_backtest(tape, draft, here / "run")
        fills = pl.read_parquet(run.folder / "fills.parquet")
        views = decode_columns(run.folder / "journal", {VIEW})[VIEW]
    by_name = {one.instrument.name: one for one in seen}
    found: dict[str, Any] = {}
    for name in (one.instrument for one in report.found):
        one = run.summary["instruments"][name]
        traded = Decimal(one["traded_notional"])
        net = Decimal(one["pnl"]["net"])
        index = [item.name for item in tape.instruments].index(name)
        found[name] = {
            "net_usd": float(net),
            "net_bps_of_traded": float(net / traded * 10_000) if traded else None,
            "realized_usd": float(one["pnl"]["realized"]),
            "unrealized_usd": float(one["pnl"]["unrealized"]),
            "fees_usd": float(Decimal(one["pnl"]["fees"]) + Decimal(one["pnl"]["rebates"])),
            "traded_usd": float(traded),
            "fills": one["fills"],
            "orders": one["orders"]["placed"],
            "maker_ratio": one["maker_ratio"],
            "position": one["position"],
            "markout_bps": markouts(fills.filter(pl.col("instrument") == name), by_name[name]),
            **uptime(views, index),
        }
    return found


def markouts(fills: pl.DataFrame, seen: Samples) -> dict[str, float | None]:
    """Return side x (mid later - fill price) in bps of the price, weighted by size, at each time after the fill.

    At 0 s it is the spread captured; what it loses from there on is adverse selection. Fills too near the end count
    only at the times that lie on the tape.
    """
    result: dict[str, float | None] = {}
    side = np.where(fills["side"].to_numpy() == "buy", 1, -1) if len(fills) else np.zeros(0)
    for later in (0, *MARKOUTS_S):
        at = (fills["ts_ns"].to_numpy().astype(np.int64) + later * 1_000_000_000 - seen.first_ns) // seen.step_ns
        inside = at < len(seen.usable)
        inside[inside] &= seen.usable[at[inside]]
        price = fills["price"].to_numpy()[inside]
        weight = fills["size"].to_numpy()[inside]
        if weight.sum() == 0:
            result[f"{later}s"] = None
            continue
        gain = side[inside] * (seen.mid[at[inside]] - price) / price * 10_000
        result[f"{later}s"] = float((gain * weight).sum() / weight.sum())
    return result


def uptime(views: dict[str, Any], instrument: int) -> dict[str, Any]:
    """Return the share of market time with both sides and with one side wanted, and of each reason for less."""
    own = views["aux"] == instrument
    decision = views["decision"][own]
    spans = np.diff(views["ts_ns"][own], append=views["ts_ns"][own][-1:])
    whole = float(spans.sum()) or 1.0
    wanted = (decision >> 24) & 0xFF
    reasons = (decision >> 32) & 0xFF
    return {
        "both_sides": float(spans[wanted == 2].sum()) / whole,
        "one_side": float(spans[wanted == 1].sum()) / whole,
        "held_back": {
            hold_key(int(reason)): float(spans[reasons == reason].sum()) / whole
            for reason in np.unique(reasons)
            if reason
        },
    }


def measure(recording: Recording, share: float) -> list[dict[str, Any]]:
    """Calibrate on the first share, trade the rest with every contender, model and fee; return lines to print."""
    earlier = recording.calibrated_on
    with Tape.open(tape_of(earlier or recording.sources)) as tape:
        report = calibrate_tape(
            tape, [], horizon_ns=HORIZON_NS, share=1.0 if earlier else share, full_position=FULL_POSITION
        )
    with Tape.open(tape_of(recording.sources)) as tape:
        rest = tape_after(tape, report.end_ns)
    span = span_of(rest)
    seen = sample(rest, list(range(len(rest.instruments))), span, STEP_NS)
    lines: list[dict[str, Any]] = []
    for fees in (recording.fees, ("0", recording.fees[1])):
        for outlook, model in MODELS.items():
            options = [
                f'exchange.model="{model}"',
                f'exchange.maker_fee_bps="{fees[0]}"',
                f'exchange.taker_fee_bps="{fees[1]}"',
            ]
            found = {variant: trade(rest, seen, report, variant, options) for variant in VARIANTS}
            for one in report.found:
                name = one.instrument
                lines.append(
                    {
                        "name": f"market_making/{recording.name}/{name}/{outlook}/maker fee {fees[0]} bps",
                        "ours": found["market_making"][name]["net_usd"],
                        "peer": found["touch_joiner"][name]["net_usd"],
                        "ratio": None,
                        "unit": "USD net, out of sample",
                        "notes": {
                            "recording": recording.name,
                            "instrument": name,
                            "exchange_model": model,
                            "outlook": outlook,
                            "maker_fee_bps": fees[0],
                            "calibrated_seconds": round(one.seconds),
                            "traded_seconds": round((span.end_ns - span.begin_ns) / 1e9),
                            "a_per_second": one.a._asdict(),
                            "k_per_bps": one.k._asdict(),
                            "sigma": one.volatility.sigma._asdict(),
                            "r_squared": one.goodness.r_squared,
                            "gamma": one.gamma,
                            "half_spread_bps": one.half_spread,
                            "contenders": {variant: found[variant][name] for variant in VARIANTS},
                            "build": build.mode(),
                        },
                    }
                )
    return lines


def show(line: dict[str, Any]) -> None:
    """Print one line's figures for people."""
    notes = line["notes"]
    fee = notes["maker_fee_bps"]
    print(f"\n{notes['recording']} {notes['instrument']}, {notes['outlook']} fills, maker fee {fee} bps")
    print(f"{notes['traded_seconds']} s traded after {notes['calibrated_seconds']} s calibrated")
    heads = ("net USD", "traded", "fills", "orders", "bps", "at fill", "1 s", "30 s", "up")
    print(" " * 29 + "".join(f"{head:>9}" for head in heads))
    for variant, one in notes["contenders"].items():
        out = one["markout_bps"]
        cells = [f"{one['net_usd']:.3f}", f"{one['traded_usd']:.0f}", str(one["fills"]), str(one["orders"])]
        for value in (one["net_bps_of_traded"], out["0s"], out["1s"], out["30s"]):
            cells.append("-" if value is None else f"{value:.2f}")
        print(f"{variant:29}" + "".join(f"{cell:>9}" for cell in (*cells, f"{one['both_sides']:.0%}")))


def main() -> int:
    """Measure every recording that is at hand; 2 where none is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line on standard output")
    parser.add_argument("--share", type=float, default=0.5, help="the part of a recording's time to calibrate on")
    parser.add_argument("--only", default="", help="recordings whose name contains this")
    arguments = parser.parse_args()
    done = 0
    for recording in RECORDINGS:
        if arguments.only not in recording.name:
            continue
        try:
            lines = measure(recording, arguments.share)
        except UserError as error:
            print(f"{recording.name}: {error}", file=sys.stderr)
            continue
        done += 1
        for line in lines:
            if arguments.json:
                print(json.dumps(line), flush=True)
            else:
                show(line)
    if not done:
        print("no recording is at hand: set HAT_SHARED to the folder that has data/", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
