"""`hat replay`: run the engine again on a journal's inputs and compare every output, or show an instant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.output import JsonOption, command
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.backtest.replay import Outcome, Until
    from hatmanifesto.journal.reader import Record

JournalFile = Annotated[Path, typer.Argument(help="The journal of a backtest or a session.", show_default=False)]
UntilOption = Annotated[
    str,
    typer.Option(
        "--until",
        help="Stop there and show the state: an ISO time (UTC), nanoseconds since 1970, or seq:N.",
        show_default=False,
    ),
]
StrategyOption = Annotated[
    str,
    typer.Option(
        "--strategy",
        help="`recorded` to replay the recorded answers, or a strategy's name or path.py:Class. "
        "Default: the session's own strategy, if its source is unchanged.",
        show_default=False,
    ),
]


def replay(
    file: JournalFile, until: UntilOption = "", strategy: StrategyOption = "", as_json: JsonOption = False
) -> None:
    """Run a journal's inputs through the engine again and compare what comes out, to the bit.

    Exit code 0: every record came out the same. 1: the first difference is shown. 2: it cannot be replayed.
    """
    with command(as_json) as output:
        from hatmanifesto.backtest.replay import replay_journal, state_of

        stop = parse_until(until) if until else None
        with output.progress() as bar:
            task = bar.add_task("replaying", total=None)
            outcome = replay_journal(
                file, strategy, stop, lambda done, total: bar.update(task, completed=done, total=total)
            )
        for note in outcome.notes:
            output.note(note)
        state = state_of(outcome)
        payload: dict[str, Any] = {
            "path": str(file),
            "equal": outcome.equal,
            "records": outcome.records,
            "closed": outcome.closed,
            "strategies": outcome.strategies,
            "notes": outcome.notes,
            "difference": as_fields(outcome),
        }
        if stop is not None:
            payload["state"] = state

        def render(out: Console) -> None:
            if stop is not None:
                show_state(out, state)
            ran = "; ".join(f"{name}: {what}" for name, what in outcome.strategies.items())
            out.print(f"{file}: {outcome.records} records replayed ({ran})", markup=False, soft_wrap=True)
            if outcome.difference is None:
                out.print("equal: the engine wrote every record again, bit for bit", markup=False)
            else:
                out.print(f"different: {outcome.difference.describe()}", markup=False, soft_wrap=True)

        output.result(payload, render)
        if not outcome.equal:
            raise typer.Exit(1)


def parse_until(text: str) -> "Until":
    """Read an instant: `seq:N`, nanoseconds, or an ISO time (UTC unless it says otherwise)."""
    from hatmanifesto.backtest.replay import Until
    from hatmanifesto.instants import parse_instant

    if text.startswith("seq:") and text[4:].isdecimal():
        return Until(seq=int(text[4:]))
    try:
        return Until(ts_ns=parse_instant(text))
    except ValueError:
        raise UserError(
            f"--until {text} is no instant", "write 2025-09-04T20:00:00Z, nanoseconds since 1970, or seq:N"
        ) from None


def as_fields(outcome: "Outcome") -> dict[str, Any] | None:
    """Return the first difference for machines."""
    found = outcome.difference
    if found is None:
        return None

    def side(entry: "Record | None") -> dict[str, Any] | None:
        if entry is None:
            return None
        fields: dict[str, Any] = {
            "kind": entry.name,
            "ts_ns": entry.ts_ns,
            "aux": entry.aux,
            **entry.fields(),
        }
        if entry.payload:
            fields["payload"] = entry.payload.decode(errors="replace")
        return fields

    return {
        "seq": found.seq,
        "journal": side(found.journal),
        "replay": side(found.replay),
        "message": found.describe(),
    }


def show_state(out: Console, state: dict[str, Any]) -> None:
    """Print the state as tables."""
    from hatmanifesto.instants import utc_text

    out.print(
        f"after record {state['seq']} at {utc_text(state['ts_ns'])}: "
        f"equity {state['equity']}, cash {state['cash']}, "
        f"drawdown {state['drawdown']} (largest {state['max_drawdown']}), faults {state['faults']}",
        markup=False,
        soft_wrap=True,
    )
    for title in ("positions", "orders", "views"):
        rows = state[title]
        if not rows:
            out.print(f"no {title}", markup=False)
            continue
        table = Table(title=title)
        for name in rows[0]:
            table.add_column(name, overflow="fold")  # a narrow terminal breaks a number, never shortens it
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        out.print(table)
