"""report.html: one file that needs nothing else, with the run's charts, numbers, refusals and assumptions."""

import html
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from hatmanifesto.backtest.projection import Projected
from hatmanifesto.backtest.series import Buckets

MS: Final = 1_000_000


def write_report(path: Path, readings: list[Projected], summary: dict[str, Any]) -> None:
    """Write the report of a run's readings, the first one in full; the same run gives the same bytes."""
    here = resources.files("hatmanifesto.backtest")
    vendor = here / "vendor"
    data = _data(readings, summary)
    # inside a script element only `</` could end it
    encoded = msgspec.json.encode(data).decode().replace("</", "<\\/")
    parts = {
        "@@TITLE@@": html.escape(data["title"]),
        "@@UPLOT_CSS@@": (vendor / "uPlot.min.css").read_text(encoding="utf-8"),
        "@@UPLOT_JS@@": (vendor / "uPlot.iife.min.js").read_text(encoding="utf-8"),
        "@@MAKER_JS@@": (here / "report_maker.js").read_text(encoding="utf-8"),
        "@@DATA@@": encoded,
    }
    text = (here / "report_template.html").read_text(encoding="utf-8")
    for mark, part in parts.items():
        before, _, after = text.partition(mark)
        text = before + part + after
    path.write_text(text, encoding="utf-8")


def _data(readings: list[Projected], summary: dict[str, Any]) -> dict[str, Any]:
    projected = readings[0]
    opening, charts = projected.opening, projected.charts
    plan = opening.plan
    begin = int(opening.facts["start_ns"]) // MS
    end = int(projected.closing["end_ns"]) // MS
    unit = 10**plan.money_scale
    models = ", ".join(f"{name} {model}" for name, model in summary["exchange_models"].items())
    instruments = []
    for index, entry in enumerate(plan.instruments):
        position = _line(charts.positions[index], begin, 10**entry.size_scale)
        last = position["v"][-1] if position["v"] else 0
        position["t"] = [0, *position["t"], end - begin]
        position["v"] = [0, *position["v"], last]
        instruments.append(
            {
                "name": entry.name,
                "decimals": entry.price_scale,
                "size_decimals": entry.size_scale,
                "price_by": 10**entry.price_scale,
                "size_by": 10**entry.size_scale,
                "price": _line(charts.prices[index], begin, 2 * 10**entry.price_scale),
                "position": position,
                "joined": charts.marks[index].joined,
                "marks": [_mark(mark, begin) for mark in charts.marks[index].marks()],
            }
        )
    facts = opening.facts
    return {
        "title": f"{', '.join(summary['strategies'])} on {summary['tape']}",
        "subtitle": f"{'slice ' if summary['slice'] else ''}{summary['first_utc'][:19]}Z to"
        f" {summary['last_utc'][:19]}Z, {summary['rows']:,} rows;"
        f" exchange model: {models}",
        "foot": f"Hat Manifesto {facts['version']}, engine {facts['engine']};"
        f" data {facts['tape']['content_hash']}; configuration {facts['config_hash']};"
        f" journal {summary['journal']['digest']}."
        " Made from the journal alone.",
        "summary": summary,
        "begin_ms": begin,
        "span_ms": end - begin,
        "edges_ms": [edge // MS - begin for edge in projected.maker["edges_ns"]],
        "readings": [
            {"name": name, **_reading(one, begin, unit)}
            for name, one in zip(summary["fills_models"], readings, strict=True)
        ],
        "instruments": instruments,
    }


def _reading(projected: Projected, begin_ms: int, unit: int) -> dict[str, Any]:
    """Return what is charted of every reading of the tape."""
    charts, maker = projected.charts, projected.maker
    drawdown = _line(charts.drawdown, begin_ms, unit)
    drawdown["v"] = [-value for value in drawdown["v"]]
    return {
        "equity": _line(charts.equity, begin_ms, unit),
        "drawdown": drawdown,
        **{name: maker[name] for name in ("uptime_ppm", "cancels", "fills", "lifetimes")},
    }


def _mark(mark: dict[str, Any], begin_ms: int) -> list[int]:
    time = mark["t"] // MS - begin_ms
    return [time, mark["side"], mark["price"], mark["size"], int(mark["taker"]), mark["n"]]


def _line(buckets: Buckets, begin_ms: int, by: int) -> dict[str, Any]:
    """Return a line's points: ms since the begin, and integers that are divided by `by` when drawn."""
    times, values = buckets.points()
    return {"t": [time // MS - begin_ms for time in times], "v": values, "by": by}
