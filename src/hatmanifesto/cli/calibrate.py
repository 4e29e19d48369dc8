"""`hat calibrate`: a, k and sigma of a market maker from a tape, with intervals, chart and configuration."""

import math
import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.moments import sliced
from hatmanifesto.cli.output import JsonOption, command
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.backtest.calibration.calibrate import Report
    from hatmanifesto.backtest.calibration.estimate import Calibration, Estimate, Point

_ROWS = 8


def calibrate(
    tape: Annotated[Path, typer.Argument(help="A tape with trades; `hat tape import` makes one.")],
    instrument: Annotated[
        list[str] | None, typer.Option(help="Only this instrument; repeat for several. Left out: all with trades.")
    ] = None,
    horizon: Annotated[
        str, typer.Option(help="How long a quote stands: the window that trades may reach it in.")
    ] = "1s",
    share: Annotated[
        float, typer.Option(help="Use only the first share of the time, to trade the rest out of sample.")
    ] = 1.0,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="Look only from there on: an ISO time (UTC) or a distance from the first message, such as 10m.",
        ),
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Look only up to there, not included; written as --from.")] = "",
    order_usd: Annotated[str, typer.Option(help="Size of a quote for the configuration, in quote currency.")] = "100",
    full_position: Annotated[
        int, typer.Option(min=1, help="Quotes in a full position: sets max_position and the suggested gamma.")
    ] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a configuration for `hat backtest --config`.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Write the chart (SVG); left out: beside --out, with .svg.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit how often trades reach a depth, and the volatility, and write them as a configuration.

    The rate is a exp(-k depth), fitted by maximum likelihood to how far trades went from the mid in windows of the
    horizon; sigma is a two-scales estimate without the noise of single prices; intervals are of 95 %, from a block
    bootstrap. docs/market-making.md explains them, and where they are wrong.
    """
    with command(as_json) as voice:
        from hatmanifesto.backtest.calibration.calibrate import calibrate_tape
        from hatmanifesto.backtest.calibration.chart import chart as draw
        from hatmanifesto.backtest.calibration.settings_file import settings_text
        from hatmanifesto.backtest.tape.reader import Tape
        from hatmanifesto.backtest.tape.slice import whole_span

        horizon_ns = _duration(horizon)
        _check_money(order_usd)
        picture = chart if chart is not None else out.with_suffix(".svg") if out is not None else None
        for path in (out, picture):
            _check_target(path, force=force)
        with Tape.open(tape) as opened, voice.progress() as bar:
            task = bar.add_task("reading the tape", total=None)
            report = calibrate_tape(
                sliced(opened, begin, end),
                instrument or [],
                horizon_ns=horizon_ns,
                share=share,
                full_position=full_position,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
            held_back = report.end_ns < whole_span(opened).end_ns
        title = f"{tape.name}: intensity of trades by depth, horizon {horizon}"
        if out is not None:
            part = "".join(f" {name} {text}" for name, text in (("--from", begin), ("--to", end)) if text)
            origin = f"made by `hat calibrate {tape.name} --horizon {horizon} --share {share:g}{part}`"
            text = settings_text(
                origin,
                report.found,
                horizon_ns=horizon_ns,
                flow_half_life_ns=report.flow_half_life_ns,
                order_usd=order_usd,
                full_position=full_position,
            )
            _write(out, text)
        if picture is not None:
            _write(picture, draw(title, report.found))
        for note in report.notes:
            voice.note(f"note: {note}")
        payload = _payload(tape, report, out, picture)
        voice.result(payload, lambda console: _print(console, tape, report, out, picture))
        if held_back:
            config = f" --config {out}" if out is not None else ""
            voice.note(f"not looked at: hat backtest --tape {tape}{config} --from {report.last_utc}")


def _duration(text: str) -> int:
    from hatmanifesto.config.quantities import duration_ns

    try:
        return duration_ns(text)
    except ValueError as error:
        raise UserError(f"--horizon {text} {error}", "write a duration such as 1s or 500ms") from None


def _check_money(text: str) -> None:
    try:
        good = Decimal(text).is_finite() and Decimal(text) > 0
    except InvalidOperation:
        good = False
    if not good:
        raise UserError(f"--order-usd {text} is no positive amount", "write a number such as 100")


def _check_target(path: Path | None, *, force: bool) -> None:
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder", "name a file")
    if path.exists() and not force:
        raise UserError(f"{path} exists already", "name another file, or replace it with --force")
    if not path.absolute().parent.is_dir():
        raise UserError(f"the folder {path.absolute().parent} does not exist", "make it first, or name another file")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path}: {error.strerror}", "name a file in a folder that can be written"
        ) from error


def _payload(tape: Path, report: "Report", out: Path | None, chart: Path | None) -> dict[str, Any]:
    return {
        "tape": str(tape),
        "method": report.method,
        "horizon_seconds": report.horizon_ns / 1e9,
        "step_seconds": report.step_ns / 1e9,
        "share": report.share,
        "first_utc": report.first_utc,
        "last_utc": report.last_utc,
        "instruments": {one.instrument: _facts(one) for one in report.found},
        "config": None if out is None else str(out),
        "chart": None if chart is None else str(chart),
        "notes": report.notes,
    }


def _facts(one: "Calibration") -> dict[str, Any]:
    from hatmanifesto.backtest.calibration.estimate import EARNED_AFTER_S

    weights = one.fair_price
    return {
        "seconds": one.seconds,
        "windows": one.windows,
        "trades": one.trades,
        "hits": one.hits,
        "a_per_second": _interval(one.a),
        "k_per_bps": _interval(one.k),
        "fitted_from_bps": one.lower,
        "fitted_to_bps": one.upper,
        "half_spread_bps": one.half_spread,
        "buyers": one.buys,
        "sellers": one.sells,
        "goodness": one.goodness._asdict(),
        "sigma_bps_per_sqrt_second": _interval(one.volatility.sigma),
        "price_noise_bps": one.volatility.noise,
        "plain_volatility": one.volatility.plain,
        "microprice_weight": _interval(weights.microprice_weight),
        "flow_bps": _interval(weights.flow_bps),
        "fair_price_r_squared": weights.r_squared,
        "gamma": one.gamma,
        "glft_half_spread_bps": one.glft_half_spread,
        "glft_skew_bps_per_quote": one.glft_skew,
        "maker_fee_bps": one.maker_fee,
        "points": [point._asdict() for point in one.points],
        "earned_bps": [{"depth": row.depth, "fills": row.fills, **_interval(row.bps)} for row in one.earned],
        "earned_after_seconds": EARNED_AFTER_S,
    }


def _interval(estimate: "Estimate") -> dict[str, float | None]:
    return estimate._asdict()


def _print(console: Console, tape: Path, report: "Report", out: Path | None, chart: Path | None) -> None:
    console.print(
        f"{tape.name}: {report.first_utc[:19]}Z to {report.last_utc[:19]}Z, windows of {report.horizon_ns / 1e9:g} s",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(width=88, pad_edge=False)
    table.add_column("")
    for name in ("a, 1/s", "k, 1/bps", "sigma, bps/√s", "R²", "hits"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.found:
        r_squared = one.goodness.r_squared
        table.add_row(
            one.instrument, _shown(one.a), _shown(one.k), _shown(one.volatility.sigma),
            "-" if r_squared is None else f"{r_squared:.3f}", f"{one.hits:,}",
        )  # fmt: skip
    console.print(table)
    for one in report.found:
        _print_fit(console, one)
    for what, path in (("configuration", out), ("chart", chart)):
        if path is not None:
            console.print(f"{what}: {path}", markup=False, highlight=False, soft_wrap=True)


def _print_fit(console: Console, one: "Calibration") -> None:
    from hatmanifesto.backtest.calibration.estimate import EARNED_AFTER_S

    points = _chosen(one.points)
    table = Table(
        title=f"{one.instrument}: rate at which trades reach a depth, fitted to {one.lower:.2f}-{one.upper:.1f} bps",
        width=88, pad_edge=False,
    )  # fmt: skip
    for name in ("depth, bps", "windows", "rate, 1/s", "fitted, 1/s", "earned"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("logarithm: rate #, fitted |", no_wrap=True)
    earned = {row.depth: row.bps.value for row in one.earned}
    rates = [point.rate for point in points] + [point.fitted for point in points if point.in_fit]
    for point in points:
        table.add_row(
            f"{point.depth:.2f}", f"{point.windows:,}", f"{point.rate:.4f}",
            f"{point.fitted:.4f}" if point.in_fit else f"({point.fitted:.4f})",
            f"{earned[point.depth]:.2f}" if point.depth in earned else "-", _bar(point, min(rates), max(rates)),
        )  # fmt: skip
    console.print(table)
    for line in (
        f"  with gamma {one.gamma:.3g}: quotes {one.glft_half_spread:.2f} bps from the fair price, moved "
        f"{one.glft_skew:.3f} bps a quote held",
        f"  earned: by a fill there, bps after {EARNED_AFTER_S:g} s, before fees; its depth if nothing were adverse",
        f"  the market's half-spread is {one.half_spread:.2f} bps, the maker fee {one.maker_fee:g} bps",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bar(point: "Point", low: float, high: float, width: int = 20) -> str:
    def place(rate: float) -> int:
        return 1 + round((width - 1) * math.log(min(max(rate, low), high) / low) / math.log(high / low))

    filled = place(point.rate)
    bar = list("#" * filled + " " * (width - filled))
    if point.in_fit:
        bar[place(point.fitted) - 1] = "|"
    return "".join(bar).rstrip()


def _chosen(points: "list[Point]") -> "list[Point]":
    """Return about eight points spread over all."""
    if len(points) <= _ROWS:
        return points
    return [points[round(at * (len(points) - 1) / (_ROWS - 1))] for at in range(_ROWS)]


def _shown(estimate: "Estimate") -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} ({estimate.low:.3g}-{estimate.high:.3g})"
