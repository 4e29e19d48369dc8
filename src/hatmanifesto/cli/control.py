"""`hat status`, `positions`, `pause`, `resume`, `flatten`, `cancel`, `set` and `stop`: a running session's operator."""

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hatmanifesto.cli.output import JsonOption, command

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="The session's folder; left out: the only one that runs.")
]
WhyOption = Annotated[str, typer.Option("--reason", help="Why, for the journal.")]
DeskOption = Annotated[str | None, typer.Option("--desk", help="A strategy, an instrument, or `strategy on NAME`.")]
SESSIONS = Path("sessions")


def running(folder: Path | None) -> Path:
    """Return the folder of the session that is meant. UserError when there is none, or more than one."""
    from hatmanifesto.errors import UserError
    from hatmanifesto.trading.control import SOCKET

    if folder is not None:
        return folder
    found = sorted(socket.parent for socket in SESSIONS.glob(f"*/{SOCKET}"))
    if not found:
        raise UserError(f"no session runs under {SESSIONS}", "start one with hat run, or name its --folder")
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise UserError(f"several sessions run: {names}", "name one with --folder")
    return found[0]


def _ask(folder: Path | None, request: dict[str, Any], desk: str | None = None, reason: str = "") -> dict[str, Any]:
    from hatmanifesto.trading.control import ask

    if desk is not None:
        request["desk"] = desk
    if reason:
        request["reason"] = reason
    request["by"] = getpass.getuser()
    return ask(running(folder), request)


def status(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Show state, money, positions, orders and loop times of a running session."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "status"})

        def render(console: Console) -> None:
            from hatmanifesto.cli.live_view import view

            console.print(view(answer, []))

        voice.result(answer, render)


def positions(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Show every instrument's position."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "positions"})

        def render(console: Console) -> None:
            from hatmanifesto.cli.live_view import positions_table

            console.print(positions_table(answer["positions"]))

        voice.result(answer, render)


def pause(
    folder: FolderOption = None, desk: DeskOption = None, reason: WhyOption = "", as_json: JsonOption = False
) -> None:
    """Withdraw all quotes and place none until `hat resume`; positions stay."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "pause"}, desk, reason)
        voice.result(
            answer, lambda console: console.print(f"paused {desk or 'every desk'}; the session is {answer['state']}")
        )


def resume(
    folder: FolderOption = None, desk: DeskOption = None, reason: WhyOption = "", as_json: JsonOption = False
) -> None:
    """Quote again after `pause` or `flatten`."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "resume"}, desk, reason)
        held = ", ".join(f"{source}: {override}" for source, override in answer["held_by"].items())
        words = f"still held by {held}" if held else f"resumed; the session is {answer['state']}"
        voice.result(answer, lambda console: console.print(words))


def flatten(
    folder: FolderOption = None,
    desk: DeskOption = None,
    slippage_bps: Annotated[int, typer.Option("--slippage-bps", help="How far beyond the best price, at most.")] = 50,
    reason: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Withdraw quotes and close positions with reduce-only orders, then stay closed until `hat resume`."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "flatten", "slippage_bps": slippage_bps}, desk, reason)
        voice.result(answer, lambda console: console.print("closing; see hat positions"))


def cancel(
    order: Annotated[int | None, typer.Argument(help="The order's id (hat status --json); left out: all.")] = None,
    folder: FolderOption = None,
    reason: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Cancel one order, or every open one; strategies may quote again at once."""
    with command(as_json) as voice:
        request: dict[str, Any] = {"do": "cancel"}
        if order is not None:
            request["order_id"] = order
        answer = _ask(folder, request, None, reason)
        voice.result(answer, lambda console: console.print(f"asked; {len(answer['orders'])} orders are still live"))


def set_values(
    changes: Annotated[list[str], typer.Argument(help="KEY=VALUE, as in the configuration.")],
    folder: FolderOption = None,
    reason: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change limits and strategies' parameters of a running session; checked as the configuration is."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "set", "changes": changes}, None, reason)
        words = "\n".join(str(change) for change in answer["changed"]) or "nothing changed"
        voice.result(answer, lambda console: console.print(words))


def stop(
    folder: FolderOption = None,
    flat: Annotated[bool, typer.Option("--flatten", help="Close positions first.")] = False,
    reason: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a running session in order: withdraw, compare with the venue, close the journal."""
    with command(as_json) as voice:
        request: dict[str, Any] = {"do": "stop"}
        if flat:
            request["flatten"] = True
        answer = _ask(folder, request, None, reason)
        voice.result(answer, lambda console: console.print("stopping"))


def reconcile(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Compare a running session's books with the venue's now."""
    with command(as_json) as voice:
        answer = _ask(folder, {"do": "reconcile"})
        found = answer["reconciliation"]
        words = "the books equal the venue's" if not found["differences"] else "\n".join(found["differences"])
        voice.result(answer, lambda console: console.print(words))
