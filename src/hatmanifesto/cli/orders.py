"""`hat orders`: the orders of a run or a journal, and why the router sent, kept and cancelled them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.control import FolderOption, running
from hatmanifesto.cli.output import JsonOption, Output, command


def orders(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN_OR_JOURNAL", help="A run's or session's folder, or a journal; left out: the running session."
        ),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Say why each was sent, kept and cancelled.")] = False,
    order: Annotated[int, typer.Option("--order", help="Only this order id.", min=0)] = 0,
    count: Annotated[int, typer.Option(help="The last so many orders.", min=1)] = 30,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """List orders, of a run or those live in a session; with --why say why the router sent, kept and cancelled them.

    The terms are fill chance, what posting saves, adverse selection, opportunity cost, age, queue and budgets. Only
    the router policy `expected_value` explains itself; the others keep or requote by rule.
    """
    with command(as_json) as output:
        from hatmanifesto.backtest.order_reasons import journal_of, read_reasons

        if place is None and not why and not order:
            live_orders(output, folder)
            return
        # what a running session has decided is in its journal as soon as it has been sent
        path = journal_of(place if place is not None else running(folder))
        found = read_reasons(path, order=order, count=count)
        rows = found.orders
        if not why:
            for row in rows:
                del row["why"]
        payload: dict[str, Any] = {"path": str(path), "orders": rows, "orders_in_all": found.seen}
        if why:
            payload["desks"] = [] if order else found.desks
        if why and not found.routed:
            output.note(
                "note: no decision is explained in this journal: its router policy was keep or requote_always; "
                "set engine.router = expected_value"
            )

        def render(out: Console) -> None:
            show_orders(out, rows)
            if why:
                show_reasons(out, rows)
                show_desks(out, payload["desks"])
            if len(rows) < found.seen and not order:
                plain(out, f"the last {len(rows)} of {found.seen:,} orders; --count shows more")

        output.result(payload, render)


def live_orders(output: Output, folder: Path | None) -> None:
    """Show what works in a running session."""
    from hatmanifesto.cli.live_view import orders_table
    from hatmanifesto.trading.control import ask

    answer = ask(running(folder), {"do": "orders"})
    output.result(answer, lambda console: console.print(orders_table(answer["orders"], most=1_000)))


def show_orders(out: Console, rows: list[dict[str, Any]]) -> None:
    """Print orders in 100 columns."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("order id", "time", "symbol", "side", "price", "size", "filled", "kind", "state"):
        table.add_column(name, justify="right" if name in ("price", "size", "filled") else "left", no_wrap=True)
    for row in rows:
        kind = {"post_only": "post", "good_till_cancel": "limit", "immediate_or_cancel": "take"}[row["time_in_force"]]
        if row["purpose"] != "quote":
            kind += f" {row['purpose']}"
        state = row["state"] + (f": {row['reason']}" if row["reason"] else "")
        table.add_row(
            str(row["order_id"]), clock(row["submitted_ns"]), row["instrument"], row["side"], row["price"],
            row["size"], row["filled"], kind, state,
        )  # fmt: skip
    out.print(table, markup=False, highlight=False)


def show_reasons(out: Console, rows: list[dict[str, Any]]) -> None:
    """Print what the router decided of each order, in its sequence."""
    for row in rows:
        if not row["why"]:
            continue
        plain(out, f"\n{row['order_id']}: {row['side']} {row['size']} {row['instrument']} at {row['price']}")
        for entry in row["why"]:
            plain(out, f"  {clock(entry['ts_ns'])} {entry['verdict']}: {entry['text']}")


def show_desks(out: Console, rows: list[dict[str, Any]]) -> None:
    """Print decisions that led to no order."""
    if rows:
        plain(out, "\ndecisions without an order")
    for row in rows:
        where = f"{row['strategy']} on {row['instrument']}"
        plain(out, f"  {clock(row['ts_ns'])} {where}: {row['verdict']}: {row['text']}")


def clock(ts_ns: int) -> str:
    """Return the time of day in UTC, to the millisecond."""
    of_day = ts_ns // 1_000_000 % 86_400_000
    seconds, ms = divmod(of_day, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


def plain(out: Console, text: str) -> None:
    """Print as it is: no markup, no colours."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)
