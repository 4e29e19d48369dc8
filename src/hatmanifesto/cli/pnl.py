"""`hat pnl`: where profit came from, by strategy, symbol, period or cause; exact, as a table or a chart."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.ledger import DatabaseOption, SchemaOption, current
from hatmanifesto.cli.output import JsonOption, command

_SHORT = {"adverse_selection": "adverse", "directional": "direction", "liquidation": "liquid."}


def pnl(
    place: Annotated[
        Path, typer.Argument(metavar="RUN_OR_FOLDER", help="A run's folder, a live folder, or a journal.")
    ],
    by: Annotated[str, typer.Option("--by", help="strategy, symbol, hour, day, week, month or cause.")] = "strategy",
    plot: Annotated[bool, typer.Option("--plot", help="Draw the totals as bars in the terminal.")] = False,
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Show profit and where it came from; the parts add up to the change of equity, transfers apart, exactly.

    The table rounds to cents; --json has every digit.
    """
    with command(as_json) as output:
        from hatmanifesto.ledger.queries import Line
        from hatmanifesto.ledger.queries import pnl as profit

        _, store = current(place, database, schema)
        lines = profit(store, by)  # type: ignore[arg-type]
        totals: dict[str, Line] = {}
        for line in lines:
            old = totals.get(line.currency)
            parts = dict(old.parts) if old else {}
            for name, amount in line.parts.items():
                parts[name] = parts.get(name, 0) + amount
            totals[line.currency] = Line("total", line.currency, line.scale, parts, sum(parts.values()))
        payload = {
            "ledger": store.place,
            "by": by,
            "lines": [line.as_json() for line in lines],
            "totals": [line.as_json() for line in totals.values()],
        }

        def render(out: Console) -> None:
            show(out, [*lines, *totals.values()], by)
            if plot:
                bars(out, lines)

        output.result(payload, render)


def cents(amount: int, scale: int) -> str:
    """Return half money units rounded to cents, half away from zero."""
    unit = 2 * 10 ** max(0, scale - 2)
    size = (2 * abs(amount) + unit) // (2 * unit)
    return f"{'-' if amount < 0 and size else ''}{size // 100:,}.{size % 100:02}"


def show(out: Console, lines: list[Any], by: str) -> None:
    """Print a table: a line a key, a column a cause that occurs."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [] if by == "cause" else list(dict.fromkeys(name for line in lines for name in line.parts))
    names = [name for name in names if any(line.parts.get(name) for line in lines)]
    table.add_column(by, no_wrap=True)
    for name in names:
        table.add_column(_SHORT.get(name, name), justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in lines:
        told = [cents(line.parts.get(name, 0), line.scale) for name in names]
        table.add_row(line.key, *told, cents(line.total, line.scale), line.currency)
    out.print(table, markup=False, highlight=False)


def bars(out: Console, lines: list[Any], width: int = 40) -> None:
    """Draw the totals: losses to the left of the axis, gains to the right."""
    most = max((abs(line.total) for line in lines), default=0)
    if not most:
        return
    out.print()
    head = max(len(line.key) for line in lines)
    for line in lines:
        size = abs(line.total) * width // most or (1 if line.total else 0)
        left, right = ("█" * size, "") if line.total < 0 else ("", "█" * size)
        out.print(f"{line.key:<{head}} {left:>{width}}│{right}", markup=False, highlight=False)
