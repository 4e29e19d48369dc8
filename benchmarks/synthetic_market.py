"""Compare the agents' market with the recordings it was fitted to, statistic by statistic and chart by chart.

    python -m benchmarks.synthetic_market --json                  one object a line: name, recorded, synthetic, ratio, …
    python -m benchmarks.synthetic_market --charts docs/charts    the charts of docs/synthetic-market.md
    python -m benchmarks.synthetic_market --markdown              its tables

`recorded` is recorder_20250904 (35 minutes, what the parameters were fitted to), `held_out` recorder_20250903 (nine
minutes of the day before, not used), `synthetic` the mean of some seeds of as many minutes, `synthetic_low` and `_high`
the least and the greatest of them: how far two stretches of one market differ. Only statistics leave this program.
"""

import argparse
import gzip
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.market_statistics import MarketStatistics, measure, together
from benchmarks.small_charts import Chart, Panel, Series, svg
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.simulation.agents.dice import Dice
from hatmanifesto.simulation.agents.fair_value import Basis
from hatmanifesto.simulation.agents.parameters import MARKETS

COINS = ("BTC", "ETH")
TOGETHER = "BTC with ETH"
GROUPS = (*COINS, TOGETHER)
FITTED = "data/hyperliquid/recorder_20250904"
HELD_OUT = "data/hyperliquid/recorder_20250903"
PREMIUMS = "data/funding/yuchengzhang/hl_{coin}_funding_rates.json.gz"
PREMIUMS_FROM_MS = 1_750_000_000_000
CHARTS = [
    # file, title, curve, x, y, log x, log y
    ("spread", "Share of time by spread", "spread_share_by_ticks", "spread, ticks (11: more)", "share", False, True),
    ("depth", "Mean size by level", "depth_by_level", "level", "coins", False, False),
    ("distance", "Mean distance from the touch by level", "distance_by_level_ticks", "level", "ticks", False, False),
    ("order-sizes", "Aggressive orders larger than", "aggressor_size_above_usd", "USD", "share", True, True),
    ("volatility", "Volatility by horizon", "volatility_by_horizon_bps", "seconds", "bps", True, True),
    ("trade-signs", "Autocorrelation of trade signs", "sign_autocorrelation_by_lag", "lag, orders", "", False, False),
    ("waiting", "Wait between aggressive orders longer than", "wait_longer_than_s", "seconds", "share", True, True),
]
SHOWN = [
    # statistic, in words
    ("spread_mean_bps", "spread, mean, bps"),
    ("spread_one_tick_share", "share of time at one tick"),
    ("spread_above_10_ticks_share", "share of time above ten ticks"),
    ("depth_level_1_mean_coin", "size at the touch, mean, coins"),
    ("depth_level_1_median_coin", "size at the touch, median, coins"),
    ("depth_level_2_mean_coin", "size at level 2, mean"),
    ("depth_level_5_mean_coin", "size at level 5, mean"),
    ("depth_level_20_mean_coin", "size at level 20, mean"),
    ("level_20_distance_ticks", "level 20 from the touch, ticks"),
    ("touch_imbalance_std", "imbalance at the touch, deviation"),
    ("aggressors_per_minute", "aggressive orders a minute"),
    ("prints_per_aggressor", "prints of one of them"),
    ("volume_per_minute_coin", "volume a minute, coins"),
    ("aggressor_p50_usd", "aggressive order, median, USD"),
    ("aggressor_p95_usd", "aggressive order, 95 %, USD"),
    ("print_p50_usd", "print, median, USD"),
    ("sign_autocorrelation_lag_1", "trade signs, autocorrelation, lag 1"),
    ("sign_autocorrelation_lag_10", "trade signs, autocorrelation, lag 10"),
    ("arrivals_per_second_fano", "arrivals a second, variance / mean"),
    ("arrivals_per_second_autocorrelation_lag_1", "arrivals a second, autocorrelation"),
    ("touch_changes_per_minute", "changes of the touch a minute"),
    ("price_changes_per_minute", "changes of its prices a minute"),
    ("volatility_1_s_bps", "volatility of 1 s, bps"),
    ("volatility_10_s_bps", "volatility of 10 s, bps"),
    ("volatility_60_s_bps", "volatility of 60 s, bps"),
    ("returns_1_s_kurtosis", "returns of 1 s, kurtosis"),
    ("returns_1_s_autocorrelation", "returns of 1 s, autocorrelation"),
    *((f"returns_correlation_{horizon}_s", f"returns of {horizon} s, correlation") for horizon in (1, 10, 60)),
    ("absolute_returns_correlation_10_s", "their sizes over 10 s, correlation"),
    ("premium_mean_bps", "hourly premium, mean, bps"),
    ("premium_std_bps", "hourly premium, deviation, bps"),
    ("premium_hourly_autocorrelation", "hourly premium, autocorrelation"),
]


def recorded(folder: Path) -> dict[str, MarketStatistics]:
    """Import a recording into a passing tape and measure it."""
    with tempfile.TemporaryDirectory() as passing:
        path = Path(passing) / "recorded.tape"
        source, files = find_source([folder])
        with TapeWriter(path) as writer:
            IMPORTERS[source](ImportRequest(files=files, instruments=list(COINS)), writer, lambda done, total: None)
        with Tape.open(path) as tape:
            names = [instrument.name for instrument in tape.instruments]
            places = [names.index(coin) for coin in COINS]
            found = {coin: measure(tape, place) for coin, place in zip(COINS, places, strict=True)}
            return {**found, TOGETHER: together(tape, *places)}


def synthetic(seeds: int, minutes: int) -> list[dict[str, MarketStatistics]]:
    """Generate and measure some markets."""
    found = []
    for seed in range(1, seeds + 1):
        print(f"synthetic market, seed {seed} of {seeds}, {minutes} minutes", file=sys.stderr, flush=True)
        tape = generate(seed=seed, minutes=minutes, instruments=COINS)
        each = {coin: measure(tape, at) for at, coin in enumerate(COINS)}
        found.append({**each, TOGETHER: together(tape, 0, 1)})
    return found


def recorded_premiums(shared: Path, coin: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the hourly premiums, bps, of the last months of the recording."""
    with gzip.open(shared / PREMIUMS.format(coin=coin)) as file:
        rows = json.load(file)
    return np.array([float(row["premium"]) * 1e4 for row in rows if row["time"] >= PREMIUMS_FROM_MS])


def synthetic_premiums(coin: str, hours: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return hourly samples of the basis alone, bps, stepped five minutes at a time."""
    market = MARKETS[coin]
    basis = Basis(
        Dice(random.Random(seed)), market.basis_mean, market.basis_deviation, max(1, market.basis_memory_s // 300)
    )
    found = []
    for _ in range(hours):
        for _ in range(12):
            basis.step()
        found.append(basis.value / 1000)
    return np.array(found)


def premium_lines(shared: Path) -> Iterator[dict[str, Any]]:
    """Compare the premium, which the recordings of books lack: hourly values of 2025 against the basis alone."""
    for coin in COINS:
        real = recorded_premiums(shared, coin)
        made = synthetic_premiums(coin, 20 * len(real), 1)
        for name, pick in (("mean_bps", np.mean), ("std_bps", np.std), ("hourly_autocorrelation", _hourly)):
            yield line(f"{coin} premium_{name}", float(pick(real)), None, [float(pick(made))])


def _hourly(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


def line(name: str, real: float, held_out: float | None, made: list[float]) -> dict[str, Any]:
    """Return one line of the result."""
    mean = sum(made) / len(made)
    return {
        "name": name,
        "recorded": _short(real),
        "held_out": None if held_out is None else _short(held_out),
        "synthetic": _short(mean),
        "synthetic_low": _short(min(made)),
        "synthetic_high": _short(max(made)),
        "ratio": _short(mean / real) if real else None,
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def compare(
    real: dict[str, MarketStatistics], held_out: dict[str, MarketStatistics], made: list[dict[str, MarketStatistics]]
) -> Iterator[dict[str, Any]]:
    """Yield a line for every statistic that both have."""
    for coin in GROUPS:
        for name, value in real[coin].figures.items():
            values = [one[coin].figures[name] for one in made]
            yield line(f"{coin} {name}", value, held_out[coin].figures[name], values)


def draw(
    folder: Path,
    real: dict[str, MarketStatistics],
    held_out: dict[str, MarketStatistics],
    made: list[dict[str, MarketStatistics]],
    shared: Path,
) -> None:
    """Write the charts."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, title, curve, x_name, y_name, log_x, log_y in CHARTS:
        panels = []
        for coin in COINS:
            points = [x for x, _ in real[coin].curves[curve]]
            means = np.mean([[y for _, y in one[coin].curves[curve]] for one in made], axis=0)
            series = [
                Series("recorded", real[coin].curves[curve]),
                Series("synthetic", list(zip(points, means.tolist(), strict=True))),
                Series("day before", held_out[coin].curves[curve]),
            ]
            panels.append(Panel(f"{coin}: {title.lower()}", series))
        chart = Chart(title, x_name, y_name, panels, log_x, log_y)
        (folder / f"synthetic-{file}.svg").write_text(svg(chart), encoding="utf-8")
    curve = "returns_correlation_by_horizon"
    points = [x for x, _ in real[TOGETHER].curves[curve]]
    means = np.mean([[y for _, y in one[TOGETHER].curves[curve]] for one in made], axis=0)
    panel = Panel(
        "BTC with ETH: correlation of returns",
        [
            Series("recorded", real[TOGETHER].curves[curve]),
            Series("synthetic", list(zip(points, means.tolist(), strict=True))),
            Series("day before", held_out[TOGETHER].curves[curve]),
        ],
    )
    chart = Chart("Correlation of returns by horizon", "seconds", "", [panel], True, False)
    (folder / "synthetic-correlation.svg").write_text(svg(chart), encoding="utf-8")
    shares = np.linspace(0.01, 0.99, 50)
    panels = []
    for coin in COINS:
        values = (recorded_premiums(shared, coin), synthetic_premiums(coin, 40_000, 1))
        lines = [list(zip(shares.tolist(), np.quantile(one, shares).tolist(), strict=True)) for one in values]
        panels.append(
            Panel(f"{coin}: hourly premium by quantile", [Series("recorded", lines[0]), Series("synthetic", lines[1])])
        )
    chart = Chart("Hourly premium by quantile", "share of hours below", "bps", panels)
    (folder / "synthetic-premium.svg").write_text(svg(chart), encoding="utf-8")


def tables(lines: list[dict[str, Any]]) -> str:
    """Return the tables of the page: what is shown of each coin."""
    by_name = {one["name"]: one for one in lines}
    out = []
    for coin in GROUPS:
        out += [
            f"| {coin} | recorded | synthetic | range | ratio | day before |",
            "| --- | --: | --: | --: | --: | --: |",
        ]
        for name, words in SHOWN:
            one = by_name.get(f"{coin} {name}")
            if one is None:
                continue  # of one coin, or of both together
            low, high = _plain(one["synthetic_low"]), _plain(one["synthetic_high"])
            day_before = "" if one["held_out"] is None else _plain(one["held_out"])
            span = "" if low == high else f"{low} … {high}"
            out.append(
                f"| {words} | {_plain(one['recorded'])} | {_plain(one['synthetic'])} | {span} | "
                f"{one['ratio']:.2f} | {day_before} |"
            )
        out.append("")
    return "\n".join(out)


def _plain(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.10g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--charts", type=Path, help="write the charts into this folder")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/synthetic-market.md")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=35)
    args = parser.parse_args()
    shared = Path(os.environ.get("HAT_SHARED") or "../shared")
    if not (shared / FITTED).is_dir():
        print(f"synthetic_market: no recordings in {shared} (set HAT_SHARED): nothing to compare with", file=sys.stderr)
        return
    real, held_out = recorded(shared / FITTED), recorded(shared / HELD_OUT)
    made = synthetic(args.seeds, args.minutes)
    lines = [*compare(real, held_out, made), *premium_lines(shared)]
    if args.charts:
        draw(args.charts, real, held_out, made, shared)
    if args.json:
        for one in lines:
            print(json.dumps(one))
        return
    if args.markdown:
        print(tables(lines))
        return
    print(f"{'':44}{'recorded':>11}{'day before':>11}{'synthetic':>11}{'low':>10}{'high':>10}{'ratio':>7}")
    for one in lines:
        day_before = "" if one["held_out"] is None else f"{one['held_out']:.4g}"
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.2f}"
        print(
            f"{one['name'][:44]:44}{one['recorded']:>11.4g}{day_before:>11}{one['synthetic']:>11.4g}"
            f"{one['synthetic_low']:>10.4g}{one['synthetic_high']:>10.4g}{ratio:>7}"
        )


if __name__ == "__main__":
    main()
