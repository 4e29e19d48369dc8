"""market_making out of sample: calibrated on the first part of a recording, traded on the rest, beside touch_joiner.

`python -m benchmarks.market_making --json` prints one object a line: name, ours, peer, ratio, unit, notes. `ours` and
`peer` are the net results (USD, fees paid, positions at the mark) of market_making with calibrated and re-estimated
parameters and of touch_joiner, on data that neither calibration nor strategy has seen, under base and pessimistic
fills. The recordings are those of docs/market-making.md, where the figures are explained; without them
(HAT_SHARED) there is nothing to measure, and it says so.
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

from hatmanifesto import build
from hatmanifesto.backtest.backtest import run_backtest
from hatmanifesto.backtest.calibration.calibrate import Report, calibrate_tape
from hatmanifesto.backtest.calibration.settings_file import settings_text
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.slice import SlicedTape, Span, whole_span
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
READINGS: Final = ("base", "pessimistic")
BASE_QUEUE: Final = ('exchange.queue_model="power"', "exchange.queue_power=1")
"""Base fills: each unit of a level is as likely to be cancelled as another."""
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


def trade(tape: TapeLike, report: Report, variant: str, options: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Run one contender under base and pessimistic fills; return what is told of it by reading and instrument."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        draft = load(configuration(here, report, variant), options)
        run = run_backtest(tape, draft, here / "run", fills=None)
        views = {
            "base": decode_columns(run.folder / "journal", {VIEW})[VIEW],
            "pessimistic": decode_columns(run.folder / "pessimistic" / "journal", {VIEW})[VIEW],
        }
    names = [item.name for item in tape.instruments]
    found = {}
    for reading in READINGS:
        numbers = run.summary if reading == "base" else run.summary["pessimistic"]
        for name in (one.instrument for one in report.found):
            found[reading, name] = {
                **figures(numbers["instruments"][name]),
                "held_back": held_back(views[reading], names.index(name)),
            }
    return found


def figures(one: dict[str, Any]) -> dict[str, Any]:
    """Return what of an instrument's part of summary.json is compared."""
    traded, net = Decimal(one["traded_notional"]), Decimal(one["pnl"]["net"])
    maker = one["maker"]
    return {
        "net_usd": float(net),
        "net_bps_of_traded": float(net / traded * 10_000) if traded else None,
        "unrealized_usd": float(one["pnl"]["unrealized"]),
        "traded_usd": float(traded),
        "fills": one["fills"],
        "orders": one["orders"]["placed"],
        "position": one["position"],
        "maker_ratio": one["maker_ratio"],
        "average_fee_bps": one["average_fee_bps"],
        "quote_uptime": maker["quote_uptime"],
        "time_at_best": maker["time_at_best"]["either"],
        "filled_share_of_size": maker["filled_share_of_size"],
        "cancel_to_fill": maker["cancel_to_fill"],
        "markout_bps": {at: maker["markouts"][at]["bps"] for at in ("at_fill", "1s", "5s", "30s", "5min")},
        "markout_fills": {at: maker["markouts"][at]["fills"] for at in ("at_fill", "30s")},
    }


def held_back(views: dict[str, Any], instrument: int) -> dict[str, float]:
    """Return the share of market time by reason for which a decision left a side out."""
    own = views["aux"] == instrument
    reasons = (views["decision"][own] >> 32) & 0xFF
    spans = np.diff(views["ts_ns"][own], append=views["ts_ns"][own][-1:])
    whole = float(spans.sum()) or 1.0
    return {hold_key(int(one)): float(spans[reasons == one].sum()) / whole for one in np.unique(reasons) if one}


def measure(recording: Recording, share: float) -> list[dict[str, Any]]:
    """Calibrate on the first share, trade the rest with every contender, model and fee; return lines to print."""
    earlier = recording.calibrated_on
    with Tape.open(tape_of(earlier or recording.sources)) as tape:
        report = calibrate_tape(
            tape, [], horizon_ns=HORIZON_NS, share=1.0 if earlier else share, full_position=FULL_POSITION
        )
    with Tape.open(tape_of(recording.sources)) as tape:
        whole = whole_span(tape)
        span = Span(max(whole.begin_ns, report.end_ns), whole.end_ns)
        return traded_lines(recording, report, SlicedTape(tape, span), span)


def traded_lines(recording: Recording, report: Report, rest: TapeLike, span: Span) -> list[dict[str, Any]]:
    """Trade the part of a recording that the calibration has not seen; return lines to print."""
    lines: list[dict[str, Any]] = []
    for fee in (recording.fees[0], "0"):
        options = [
            *BASE_QUEUE,
            f'exchange.maker_fee_bps="{fee}"',
            f'exchange.taker_fee_bps="{recording.fees[1]}"',
        ]
        found = {variant: trade(rest, report, variant, options) for variant in VARIANTS}
        for reading in READINGS:
            for one in report.found:
                name = one.instrument
                lines.append(
                    {
                        "name": f"market_making/{recording.name}/{name}/{reading}/maker fee {fee} bps",
                        "ours": found["market_making"][reading, name]["net_usd"],
                        "peer": found["touch_joiner"][reading, name]["net_usd"],
                        "ratio": None,
                        "unit": "USD net, out of sample",
                        "notes": {
                            "recording": recording.name,
                            "instrument": name,
                            "fills": reading,
                            "maker_fee_bps": fee,
                            "calibrated_seconds": round(one.seconds),
                            "traded_seconds": round((span.end_ns - span.begin_ns) / 1e9),
                            "a_per_second": one.a._asdict(),
                            "k_per_bps": one.k._asdict(),
                            "sigma": one.volatility.sigma._asdict(),
                            "r_squared": one.goodness.r_squared,
                            "gamma": one.gamma,
                            "half_spread_bps": one.half_spread,
                            "contenders": {variant: found[variant][reading, name] for variant in VARIANTS},
                            "build": build.mode(),
                        },
                    }
                )
    return lines


def show(line: dict[str, Any]) -> None:
    """Print one line's figures for people."""
    notes = line["notes"]
    fee = notes["maker_fee_bps"]
    print(f"\n{notes['recording']} {notes['instrument']}, {notes['fills']} fills, maker fee {fee} bps")
    print(f"{notes['traded_seconds']} s traded after {notes['calibrated_seconds']} s calibrated")
    heads = ("net USD", "traded", "fills", "orders", "bps", "at fill", "1 s", "30 s", "quoted")
    print(" " * 29 + "".join(f"{head:>9}" for head in heads))
    for variant, one in notes["contenders"].items():
        out = one["markout_bps"]
        cells = [f"{one['net_usd']:.3f}", f"{one['traded_usd']:.0f}", str(one["fills"]), str(one["orders"])]
        for value in (one["net_bps_of_traded"], out["at_fill"], out["1s"], out["30s"]):
            cells.append("-" if value is None else f"{float(value):.2f}")
        print(
            f"{variant:29}" + "".join(f"{cell:>9}" for cell in (*cells, _percent(one["quote_uptime"]["any_distance"])))
        )


def _percent(ratio: str | None) -> str:
    return "-" if ratio is None else f"{float(ratio):.0%}"


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
