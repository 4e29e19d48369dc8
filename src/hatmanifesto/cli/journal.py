"""`hat journal`: verify, repair, show and index the files that sessions leave behind.

Exit codes: 0 in order, 1 damage found, 2 could not be read.
"""

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.output import JsonOption, command

app = typer.Typer(name="journal", help="Verify, repair, show and index journals.", no_args_is_help=True)

JournalFile = Annotated[Path, typer.Argument(help="A journal.", show_default=False)]

EXIT_DAMAGED = 1


@app.command(epilog="Example: hat journal verify runs/first/journal")
def verify(file: JournalFile, as_json: JsonOption = False) -> None:
    """Check header, chain, sequence and every record; name what was changed, moved or is missing."""
    from hatmanifesto.journal.verify import Report
    from hatmanifesto.journal.verify import verify as check

    def render(out: Console) -> None:
        state = "in order" if report.ok else "DAMAGED" if report.damaged else "cut off"
        closed = "closed" if report.closed else "not closed"
        plain(
            out,
            f"{file}: {state}, {closed}: {report.records} records in {report.groups} groups, "
            f"{report.bytes} bytes, final digest {report.final_digest}",
        )
        for finding in report.findings:
            plain(out, f"  byte {finding.offset}: {finding.message}")
        if report.more_findings:
            plain(out, f"  and {report.more_findings} more")
        if report.torn and not report.damaged:
            plain(out, f"  to do: hat journal repair {file}")

    with command(as_json) as output:
        report: Report = check(file)
        payload = {
            "path": report.path,
            "ok": report.ok,
            "repairable": report.torn is not None and not report.damaged,
            "closed": report.closed,
            "bytes": report.bytes,
            "session": report.session,
            "metadata": report.metadata,
            "groups": report.groups,
            "records": report.records,
            "first_seq": report.first_seq,
            "next_seq": report.next_seq,
            "first_ts_ns": report.first_ts_ns,
            "last_ts_ns": report.last_ts_ns,
            "final_digest": report.final_digest,
            "findings": [finding._asdict() for finding in report.findings],
            "more_findings": report.more_findings,
        }
        output.result(payload, render)
        if not report.ok:
            raise typer.Exit(EXIT_DAMAGED)


@app.command(epilog="Example: hat journal repair runs/first/journal")
def repair(file: JournalFile, as_json: JsonOption = False) -> None:
    """Cut an unfinished last group back to its last whole record; other damage is refused."""
    from hatmanifesto.journal.repair import repair as mend

    with command(as_json) as output:
        done = mend(file)
        output.result(done, lambda out: plain(out, done.message))


@app.command(epilog="Example: hat journal show runs/first/journal")
def show(
    file: JournalFile,
    first: Annotated[int, typer.Option("--from", help="First sequence number.", min=0)] = 0,
    count: Annotated[int, typer.Option(help="Records at most.", min=1)] = 50,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print records."""
    from hatmanifesto.journal.reader import JournalReader, Record

    def described(entry: Record) -> dict[str, Any]:
        content: object = entry.fields()
        if entry.payload:
            content = entry.payload.decode(errors="replace")
            if as_json:
                with suppress(msgspec.DecodeError):
                    content = msgspec.json.decode(entry.payload)
        return {
            "seq": entry.seq,
            "ts_ns": entry.ts_ns,
            "kind": entry.name,
            "aux": entry.aux,
            "content": content,
        }

    def render(out: Console) -> None:
        table = Table("seq", "ts_ns", "kind", "aux", "content", box=None, header_style="bold")
        for row in rows:
            content = row["content"]
            if isinstance(content, dict):
                content = " ".join(f"{name}={value}" for name, value in content.items())
            table.add_row(*(str(row[name]) for name in ("seq", "ts_ns", "kind", "aux")), content)
        out.print(table, markup=False, highlight=False)

    with command(as_json) as output:
        kinds = numbers(kind)
        with JournalReader(file) as reader:
            rows = [described(entry) for entry in islice(reader.records(first, kinds), count)]
        output.result({"path": str(file), "records": rows}, render)


@app.command(epilog="Example: hat journal index runs/first/journal")
def index(file: JournalFile, as_json: JsonOption = False) -> None:
    """Build the index beside a journal, or bring it up to date; print what it holds."""
    from hatmanifesto.journal.index import JournalIndex
    from hatmanifesto.journal.reader import kind_name

    with command(as_json) as output, JournalIndex(file) as made:
        counts = {kind_name(kind): records for kind, records in made.counts().items()}
        payload = {
            "path": str(made.index_path),
            "rebuilt": made.rebuilt,
            "runs": len(made.runs),
            "next_seq": made.next_seq,
            "records": counts,
        }

        def render(out: Console) -> None:
            done = "built" if made.rebuilt else "up to date"
            plain(out, f"{made.index_path}: {done}, {len(made.runs)} runs, {sum(counts.values())} records")
            for name, records in counts.items():
                plain(out, f"  {name}: {records}")

        output.result(payload, render)


def plain(out: Console, text: str) -> None:
    """Print as it is: no markup, no colours, no wrapping."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def numbers(names: list[str] | None) -> set[int] | None:
    """Kinds by name; None means all. UserError for a name that no kind has."""
    from hatmanifesto.errors import UserError
    from hatmanifesto.model.record import KIND_NAMES

    if not names:
        return None
    known = {name: kind for kind, name in KIND_NAMES.items()}
    for name in names:
        if name not in known:
            raise UserError(f"no record kind is called {name}", f"one of: {', '.join(known)}")
    return {known[name] for name in names}
