"""`hat backtest`: trade a tape with a strategy on the simulated venue and write the run's folder."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.moments import sliced
from hatmanifesto.cli.output import JsonOption, Output, command
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.backtest.backtest import Run
    from hatmanifesto.config.settings import Draft

RUNS = Path("runs")


class Fills(StrEnum):
    """Readings of a tape, as `--fills` takes them."""

    base = "base"
    pessimistic = "pessimistic"
    both = "both"


def backtest(
    tape: Annotated[Path, typer.Option("--tape", help="The tape to trade; `hat tape import` makes one.")],
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            help="touch_joiner or my.py:MyMaker; left out: the configuration's, else touch_joiner.",
        ),
    ] = "",
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file; see examples/config.toml.")] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="Trade only from there: an ISO time (UTC), or how long after the tape's first message, such as 10m;"
            " rows before are read for the book alone.",
        ),
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Trade only up to there, not included; written as --from.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder; left out: runs/NAME-N.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder of an earlier run.")] = False,
    fills: Annotated[
        Fills | None,
        typer.Option(
            "--fills",
            help="Which reading of the tape: the configured one, a pessimistic one, or both side by side;"
            " left out: both where the tape has trades.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, such as exchange.model=cross; repeat for several."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a tape through the engine that trades live, on a venue where fills respect queue and latency."""
    with command(as_json) as voice:
        from hatmanifesto.config.settings import load

        draft = load(config, settings, strategy)
        name = strategy or next(iter(draft.settings.strategies))
        folder = out or free_folder(f"{tape.stem}-{Path(name.rpartition(':')[2] or name).stem}")
        run = run_tape_file(
            voice, tape, draft, folder, force=force, fills=fills.value if fills else None, begin=begin, end=end
        )
        voice.result(payload_of(run), lambda console: print_run(console, run))


def free_folder(name: str) -> Path:
    """Return runs/NAME-N with the first number that is free."""
    return next(RUNS / f"{name}-{n}" for n in range(1, 100_000) if not (RUNS / f"{name}-{n}").exists())


def run_tape_file(
    voice: Output,
    tape: Path,
    draft: "Draft",
    folder: Path,
    *,
    force: bool,
    fills: Literal["base", "pessimistic", "both"] | None = None,
    begin: str = "",
    end: str = "",
) -> "Run":
    """Run a backtest under a progress bar; every note goes to stderr. Raises UserError."""
    from hatmanifesto.backtest.backtest import run_backtest
    from hatmanifesto.backtest.run_folder import check_target
    from hatmanifesto.backtest.tape.reader import Tape

    if not tape.exists():
        raise UserError(f"the tape {tape} does not exist", "make one: hat tape import RECORDING -o FILE.tape")
    check_target(folder, force=force)
    with Tape.open(tape) as opened, voice.progress() as bar:
        task = bar.add_task("trading the tape", total=None)
        run = run_backtest(
            sliced(opened, begin, end),
            draft,
            folder,
            force=force,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            fills=fills,
        )
    for note in run.notes:
        voice.note(f"note: {note}")
    return run


def payload_of(run: "Run") -> dict[str, Any]:
    """Return what `--json` prints: where the run lies, and its summary."""
    return {"folder": str(run.folder), "report": str(run.folder / "report.html"), "summary": run.summary}


def print_run(console: Console, run: "Run") -> None:
    """Print a run's result in 80 columns."""
    summary = run.summary
    clock = summary["wall_clock"]
    _line(
        console,
        f"{summary['tape']}: {summary['rows']:,} rows, {_span(summary['span_seconds'])} of market, "
        f"traded in {clock['run_seconds']:.1f} s ({clock['build']})",
    )
    if summary["slice"]:
        _line(console, f"slice: {summary['slice']['from_utc']} to {summary['slice']['to_utc']}")
    first = next(iter(summary["fills_models"]))
    table = Table(title=f"{', '.join(summary['strategies'])}, {first} fills", width=80, pad_edge=False)
    table.add_column("USD")
    for heading in ("fills", "traded", "realized", "unrealized", "fees", "net", "position"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in summary["instruments"].items():
        table.add_row(*_cells(name, one), one["position"])
    if len(summary["instruments"]) > 1:
        table.add_section()
        table.add_row(*_cells("all", summary), "")
    console.print(table)
    orders, intents = summary["orders"], summary["intents"]
    refused = orders["rejected"] + orders["expired"]
    _line(
        console,
        f"equity {_money(summary['equity'])} of {_money(summary['deposit'])}, largest drawdown "
        f"{_money(summary['max_drawdown'])} ({_percent(summary['max_drawdown_ratio'], 2)})",
    )
    _line(
        console,
        f"orders: {orders['placed']:,} placed, {orders['filled']:,} filled, "
        f"{orders['cancelled']:,} cancelled, {refused:,} refused there,\n  {orders['denied']:,} denied here; "
        f"quotes: {intents['placed']:,}, of which filled {_percent(summary['fill_rate'], 1)}",
    )
    _line(
        console,
        f"maker share {_percent(summary['maker_ratio'], 1)}, slippage "
        f"{_bps(summary['average_slippage_bps'])}, fee {_bps(summary['average_fee_bps'])}",
    )
    for denial in summary["denials"]:
        first = denial["first"]
        _line(
            console,
            f"{denial['count']:,} x {denial['message']} (first: {first['instrument']} {first['value']},"
            f" limit {first['limit']})\n  to do: {denial['remedy']}",
        )
    for refusal in summary["rejections"]:
        _line(console, f"{refusal['count']:,} x venue: {refusal['message']}\n  to do: {refusal['remedy']}")
    venue = summary["venue_rules"]
    _line(console, f"fees {venue['fees']}\nfunding {venue['funding']}\nmargin {venue['margin']}")
    _print_maker(console, summary)
    _line(console, f"report: {run.folder / 'report.html'}")


_MAKER_ROWS = (
    ("net P&L, USD", "net_pnl", "money"),
    ("largest drawdown, USD", "max_drawdown", "money"),
    ("fills", "fills", "count"),
    ("traded, USD", "traded_notional", "whole"),
    ("maker share of traded notional", "maker_ratio", "percent"),
    ("fill rate of quotes", "fill_rate", "percent"),
    ("share of quoted size that filled", "filled_share_of_size", "percent"),
    ("two-sided within 10 bps, share of time", "quote_uptime_within_10_bps", "percent"),
    ("at the best on either side, share of time", "time_at_best_either", "percent"),
    ("half-spread captured at the fill, bps", "spread_captured_bps", "bps"),
    ("markout after 1 s, bps", "markout_1s_bps", "bps"),
    ("markout after 5 s, bps", "markout_5s_bps", "bps"),
    ("markout after 30 s, bps", "markout_30s_bps", "bps"),
    ("markout after 5 min, bps", "markout_5min_bps", "bps"),
    ("adverse selection within 5 s, bps", "adverse_selection_5s_bps", "bps"),
    ("rebate, bps of maker notional", "rebate_bps", "bps"),
    ("implementation shortfall, bps (- is a gain)", "shortfall_bps", "bps"),
    ("  of it delay", "shortfall_delay_bps", "bps"),
    ("  of it spread", "shortfall_spread_bps", "bps"),
    ("  of it impact", "shortfall_impact_bps", "bps"),
    ("  of it opportunity", "shortfall_opportunity_bps", "bps"),
    ("  of it fees", "shortfall_fees_bps", "bps"),
    ("cancels sent for each fill", "cancel_to_fill", "ratio"),
)


def _print_maker(console: Console, summary: dict[str, Any]) -> None:
    """Print the maker figures, base and pessimistic fills beside each other."""
    models = summary["fills_models"]
    table = Table(width=80, pad_edge=False)
    table.add_column("maker figures", no_wrap=True)
    for fills in models:
        table.add_column(f"{fills} fills", justify="right", no_wrap=True)
    for label, figure, kind in _MAKER_ROWS:
        table.add_row(label, *(_figure(value, kind) for value in summary["side_by_side"][figure].values()))
    console.print(table)
    for fills, model in models.items():
        queue = f"queue {model['queue_model']}, " if "queue" in summary["exchange_models"].values() else ""
        _line(
            console,
            f"{fills} fills: {queue}orders take {model['order_entry_latency']}, answers {model['response_latency']}",
        )


def _figure(value: Any, kind: str) -> str:
    if value is None:
        return "-"
    if kind == "percent":
        return _percent(value, 1)
    return _money(str(value), {"money": 2, "count": 0, "whole": 0, "bps": 2, "ratio": 2}[kind])


def _cells(name: str, one: dict[str, Any]) -> list[str]:
    pnl = one["pnl"]
    fees = str(Decimal(pnl["fees"]) + Decimal(pnl["rebates"]))
    return [
        name,
        f"{one['fills']:,}",
        _money(one["traded_notional"], 0),
        _money(pnl["realized"]),
        _money(pnl["unrealized"]),
        _money(fees),
        _money(pnl["net"]),
    ]


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _money(text: str, places: int = 2) -> str:
    return f"{Decimal(text):,.{places}f}"


def _percent(ratio: str | None, places: int) -> str:
    return "-" if ratio is None else f"{Decimal(ratio) * 100:.{places}f} %"


def _bps(text: str | None) -> str:
    return "-" if text is None else f"{Decimal(text):.2f} bps"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
