"""`hat pnl`: where profit came from, by strategy, symbol, period, cause, order or fill; as a table or a chart."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hatmanifesto.cli.ledger import ConfigOption, DatabaseOption, SchemaOption, current
from hatmanifesto.cli.output import JsonOption, command
from hatmanifesto.cli.tables import print_table
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.ledger.queries import Line

_SHORT = {"adverse_selection": "adverse", "directional": "direction", "liquidation": "liquid."}
_SINGLE = ("fill", "order")
_USUAL_TOP = 20


def pnl(
    place: Annotated[
        Path, typer.Argument(metavar="RUN_OR_FOLDER", help="A run's folder, a live folder, or a journal.")
    ],
    by: Annotated[
        str, typer.Option("--by", help="strategy, symbol, hour, day, week, month, cause, order or fill.")
    ] = "strategy",
    begin: Annotated[
        str, typer.Option("--from", help="From this UTC day or time on, as 2026-01-31 or 2026-01-31T08:00.")
    ] = "",
    end: Annotated[
        str, typer.Option("--to", help="Before this time; a day is meant with all its hours.", show_default=False)
    ] = "",
    top: Annotated[
        int | None,
        typer.Option(
            "--top", help="Only the largest gains and losses, so many. Default for orders and fills: 20.", min=1
        ),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the totals as bars in the terminal.")] = False,
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show profit and where it came from; the parts add up to the change of equity, transfers apart, exactly.

    The table rounds to cents; --json has every digit. Orders and fills are valued at the ledger's end.
    """
    with command(as_json) as output:
        from hatmanifesto.ledger.fill_attribution import pnl_of_fills
        from hatmanifesto.ledger.queries import BY
        from hatmanifesto.ledger.queries import pnl as profit

        if by not in (*BY, *_SINGLE):
            raise UserError(f"profit cannot be grouped by {by}", f"use one of {', '.join((*BY, *_SINGLE))}")
        span = _span(begin, end)
        _, store = current(place, database, schema, config)
        payload: dict[str, Any] = {"ledger": store.place, "by": by}
        if by in _SINGLE:
            found = pnl_of_fills(store, by, *span, top=top or _USUAL_TOP)  # type: ignore[arg-type]
            lines, totals, count = found.lines, found.totals, found.number
        else:
            every = profit(store, by, *span)  # type: ignore[arg-type]
            totals, count = _totals(every), len(every)
            lines = sorted(every, key=lambda line: -abs(line.total))[:top] if top else every
        payload |= {
            "count": count,
            "lines": [line.as_json() for line in lines],
            "totals": [line.as_json() for line in totals],
        }

        def render(out: Console) -> None:
            show(out, [*lines, *totals], by)
            if count > len(lines):
                out.print(f"{count:,} in all; --top shows more", markup=False, highlight=False)
            if plot:
                bars(out, lines)

        output.result(payload, render)


def _span(begin: str, end: str) -> tuple[int, int]:
    """Read --from and --to; a day as the end is meant with all its hours."""
    from hatmanifesto.instants import parse_instant
    from hatmanifesto.ledger.days import DAY_NS
    from hatmanifesto.ledger.queries import EVER

    found = [0, EVER]
    for at, text in enumerate((begin, end)):
        if text:
            try:
                found[at] = parse_instant(text)
            except ValueError as error:
                raise UserError(f"{text!r} is no time", "write it as 2026-01-31 or 2026-01-31T08:00 (UTC)") from error
    if len(end) == len("2026-01-31") and not end.isdecimal():
        found[1] += DAY_NS
    if found[0] >= found[1]:
        raise UserError(f"{begin} is not before {end}", "give --from a time before --to")
    return found[0], found[1]


def _totals(lines: "Sequence[Line]") -> "list[Line]":
    from hatmanifesto.ledger.queries import Line

    totals: dict[str, Line] = {}
    for line in lines:
        old = totals.get(line.currency)
        parts = dict(old.parts) if old else {}
        for name, amount in line.parts.items():
            parts[name] = parts.get(name, 0) + amount
        totals[line.currency] = Line("total", line.currency, line.scale, parts, sum(parts.values()))
    return list(totals.values())


def cents(amount: int, scale: int) -> str:
    """Return half money units rounded to cents, half away from zero."""
    unit = 2 * 10 ** max(0, scale - 2)
    size = (2 * abs(amount) + unit) // (2 * unit)
    return f"{'-' if amount < 0 and size else ''}{size // 100:,}.{size % 100:02}"


def show(out: Console, lines: "Sequence[Line]", by: str) -> None:
    """Print a table: a line a key, a column a cause that occurs."""
    causes = [] if by == "cause" else list(dict.fromkeys(name for line in lines for name in line.parts))
    causes = [name for name in causes if any(line.parts.get(name) for line in lines)]
    several = len({line.currency for line in lines}) > 1
    head = [by, *(["currency"] if several else []), *(_SHORT.get(name, name) for name in causes), "total"]
    rows = [
        [
            line.key,
            *([line.currency] if several else []),
            *(cents(line.parts.get(name, 0), line.scale) for name in causes),
            cents(line.total, line.scale),
        ]
        for line in lines
    ]
    print_table(out, head, rows, ("currency",))
    if lines and not several:
        out.print(f"in {lines[0].currency}", markup=False, highlight=False)


def bars(out: Console, lines: "Sequence[Line]") -> None:
    """Draw the totals: losses to the left of the axis, gains to the right."""
    most = max((abs(line.total) for line in lines), default=0)
    if not most:
        return
    out.print()
    head = min(max(len(line.key) for line in lines), out.width // 2)
    width = min(40, (out.width - head - 2) // 2)
    for line in lines:
        size = abs(line.total) * width // most or (1 if line.total else 0)
        left, right = ("█" * size, "") if line.total < 0 else ("", "█" * size)
        out.print(f"{line.key[:head]:<{head}} {left:>{width}}│{right}", markup=False, highlight=False)
