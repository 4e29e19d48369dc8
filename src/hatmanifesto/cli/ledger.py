"""`hat ledger`: build, audit, ask and export the trade ledger, which is made from journals and nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.output import JsonOption, command
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.ledger.sources import Folder
    from hatmanifesto.ledger.store import Store

app = typer.Typer(name="ledger", help="The trade ledger: double entry, made from journals.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(metavar="RUN_OR_FOLDER", help="A run's folder, a live folder, or a journal.")]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="HAT_LEDGER_DATABASE",
        help="An SQLite file, or postgresql://HOST/DATABASE (password: PGPASSWORD). Default: beside the journals.",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    str, typer.Option("--schema", envvar="HAT_LEDGER_SCHEMA", help="PostgreSQL: the schema that holds this ledger.")
]
ByOption = Annotated[str, typer.Option("--by", help="Your name: it is written beside what you do.")]

EXIT_FOUND = 1


def opened(place: Path, database: str, schema: str, *, rebuilding: bool = False) -> "tuple[Folder, Store]":
    """Find the journals and the store of a ledger."""
    from hatmanifesto.ledger.sources import find
    from hatmanifesto.ledger.store import Store

    folder = find(place)
    return folder, Store(database or str(folder.database), schema, rebuilding=rebuilding)


def current(place: Path, database: str, schema: str) -> "tuple[Folder, Store]":
    """Return a ledger that has read its journals to the end; it is made where there is none."""
    from hatmanifesto.ledger.build import catch_up

    folder, store = opened(place, database, schema)
    catch_up(folder, store)
    return folder, store


@app.command(epilog="Example: hat ledger rebuild runs/first")
def rebuild(
    place: Place, database: DatabaseOption = "", schema: SchemaOption = "hat_ledger", as_json: JsonOption = False
) -> None:
    """Throw the ledger away and build it from the journals again; the old one stays until the new one is whole."""
    with command(as_json) as output:
        from hatmanifesto.ledger.build import rebuild as build

        folder, store = opened(place, database, schema, rebuilding=True)
        with output.progress() as bar:
            task = bar.add_task("building", total=None)
            built = build(folder, store, lambda done, total: bar.update(task, completed=done, total=total))
        payload = {"ledger": store.place, **built._asdict()}
        output.result(
            payload,
            lambda out: plain(
                out,
                f"{store.place}: {built.transactions:,} transactions from {built.journals} "
                f"journal{'s' * (built.journals != 1)}, {built.records:,} records",
            ),
        )


@app.command(epilog="Example: hat ledger verify runs/first")
def verify(
    place: Place, database: DatabaseOption = "", schema: SchemaOption = "hat_ledger", as_json: JsonOption = False
) -> None:
    """Audit the ledger: balance, the journals' chain, sums, and every row against the journals.

    Exit code 0: it is what the journals say. 1: every difference is named.
    """
    with command(as_json) as output:
        from hatmanifesto.ledger.build import catch_up
        from hatmanifesto.ledger.verify import verify as audit

        folder, store = opened(place, database, schema)
        store.check()
        catch_up(folder, store)
        verdict = audit(folder, store)
        payload = {
            "ledger": store.place,
            "ok": verdict.ok,
            "transactions": verdict.transactions,
            "trades": verdict.trades,
            "findings": [finding._asdict() for finding in verdict.findings],
            "counts": verdict.counts,
            "notes": [note._asdict() for note in verdict.notes],
            "venue": verdict.venue,
        }

        def render(out: Console) -> None:
            state = "in order" if verdict.ok else "NOT what the journals say"
            plain(out, f"{store.place}: {state}, {verdict.transactions:,} transactions, {verdict.trades:,} trades")
            for finding in verdict.findings:
                plain(out, f"  {finding.kind}: {finding.where}: {finding.detail}")
            hidden = sum(verdict.counts.values()) - len(verdict.findings)
            if hidden:
                plain(out, f"  and {hidden} more")
            for note in verdict.notes:
                plain(out, f"  note: {note.kind}: {note.where}: {note.detail}")
            if not verdict.ok:
                plain(out, "  to do: find out who changed it, then build it again: hat ledger rebuild")

        output.result(payload, render)
        if not verdict.ok:
            raise typer.Exit(EXIT_FOUND)


@app.command(epilog="Example: hat ledger query runs/first --symbol BTC --count 20")
def query(
    place: Place,
    what: Annotated[str, typer.Option("--what", help="`trades`, `balances` or `periods`.")] = "trades",
    symbol: Annotated[str, typer.Option(help="Only this instrument.")] = "",
    strategy: Annotated[str, typer.Option(help="Only this strategy.")] = "",
    count: Annotated[int, typer.Option(help="The last so many trades.", min=1)] = 30,
    by: Annotated[str, typer.Option(help="With periods: day, week or month.")] = "day",
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Show trades, account balances, or days, weeks and months with their profit by cause."""
    with command(as_json) as output:
        from hatmanifesto.ledger.queries import balances, periods
        from hatmanifesto.ledger.trade_rows import trades

        _, store = current(place, database, schema)
        if what == "trades":
            rows: list[dict[str, Any]] = list(trades(store, symbol=symbol, strategy=strategy, last=count))
            shown: tuple[str, ...] = (
                "time",
                "symbol",
                "side",
                "quantity",
                "price",
                "fee",
                "liquidity",
                "realized_pnl",
                "reason_code",
            )
        elif what == "balances":
            rows, shown = (
                list(balances(store)),
                ("account", "currency", "instrument", "strategy", "balance", "quantity"),
            )
        elif what == "periods" and by in ("day", "week", "month"):
            rows = [period.as_json() for period in periods(store, by)]  # type: ignore[arg-type]
            shown = ("period", "currency", "begin_equity", "end_equity", "transfers", "trades", "total")
        else:
            raise UserError(f"there is no query {what} by {by}", "use trades, balances, or periods by day, week, month")
        output.result({"ledger": store.place, what: rows}, lambda out: table(out, rows, shown))


@app.command(epilog="Example: hat ledger export runs/first --csv trades.csv")
def export(
    place: Place,
    csv: Annotated[Path | None, typer.Option(help="Write trades into this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write DAY.parquet files of trades into this folder.")] = None,
    canonical: Annotated[Path | None, typer.Option(help="Write the whole ledger as canonical lines.")] = None,
    day: Annotated[str, typer.Option(help="Only this UTC day, as 2026-01-31.")] = "",
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Write trades as CSV or Parquet, or the whole ledger in its canonical form."""
    with command(as_json) as output:
        from hatmanifesto.ledger import export as files
        from hatmanifesto.ledger.days import day_bounds

        if csv is None and parquet is None and canonical is None:
            raise UserError("nothing to export", "name --csv FILE, --parquet FOLDER or --canonical FILE")
        bounds = day_bounds(day) if day else (0, 1 << 62)
        _, store = current(place, database, schema)
        written: dict[str, Any] = {}
        if csv is not None:
            written["csv"] = {"path": str(csv), "trades": files.write_csv(store, csv, *bounds)}
        if parquet is not None:
            written["parquet"] = {"path": str(parquet), "days": files.write_parquet(store, parquet, *bounds)}
        if canonical is not None:
            written["canonical"] = {"path": str(canonical), "lines": files.write_canonical(store, canonical)}

        def render(out: Console) -> None:
            for kind, told in written.items():
                plain(out, f"{kind}: {told}")

        output.result({"ledger": store.place, **written}, render)


@app.command("close-day", epilog="Example: hat ledger close-day live/main 2026-01-31 --by jo")
def close_day(
    place: Place,
    day: Annotated[str, typer.Argument(help="A UTC day, as 2026-01-31.")],
    by: ByOption,
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Lock a day with a hash of its rows; `hat ledger verify` tells when they change."""
    with command(as_json) as output:
        from hatmanifesto.ledger.days import close_day as close

        folder, store = current(place, database, schema)
        closed = close(folder, store, day, by)
        again = " (it was closed before, and is unchanged)" if closed.again else ""
        output.result(
            {"ledger": store.place, **closed._asdict()}, lambda out: plain(out, f"{day}: {closed.hash}{again}")
        )


@app.command(
    epilog="Example: hat ledger correct live/main --by jo --reason why --debit cash --credit adjustments --amount 1.5"
)
def correct(
    place: Place,
    by: ByOption,
    reason: Annotated[str, typer.Option(help="Why; it stays in the ledger.")],
    debit: Annotated[str, typer.Option(help="The account that is debited.")],
    credit: Annotated[str, typer.Option(help="The account that is credited.")],
    amount: Annotated[str, typer.Option(help="How much, as decimal text.")],
    currency: Annotated[str, typer.Option(help="In which currency.")] = "USDC",
    symbol: Annotated[str, typer.Option(help="The instrument it concerns.")] = "",
    strategy: Annotated[str, typer.Option(help="The strategy it concerns.")] = "",
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Book a correction: a new transaction with author and reason, never an edit."""
    with command(as_json) as output:
        import sqlalchemy as sa

        from hatmanifesto.ledger import schema as tables
        from hatmanifesto.ledger.accounts import CASH, Account
        from hatmanifesto.ledger.corrections import correct as book
        from hatmanifesto.ledger.corrections import project_corrections
        from hatmanifesto.ledger.postings import Posting
        from hatmanifesto.model.money import parse_decimal

        folder, store = current(place, database, schema)
        with store.connect() as connection:
            scale = connection.scalar(sa.select(tables.currencies.c.scale).where(tables.currencies.c.code == currency))
        if scale is None:
            raise UserError(f"the ledger has no currency {currency}", "see hat ledger query --what balances")
        try:
            units = parse_decimal(amount, int(scale))
        except ValueError as error:
            raise UserError(str(error), "write the amount as decimal text, such as 1.5") from error
        if units <= 0:
            raise UserError(f"an amount of {amount} corrects nothing", "give a positive amount; swap debit and credit")

        def account(kind: str) -> Account:
            return Account(kind, currency) if kind == CASH else Account(kind, currency, symbol, strategy)

        seq = book(folder.corrections, by, reason, [Posting(account(debit), units), Posting(account(credit), -units)])
        project_corrections(store, folder.corrections)
        payload = {"ledger": store.place, "record": seq, "journal": str(folder.corrections), "amount": amount}
        output.result(payload, lambda out: plain(out, f"booked as record {seq} of {folder.corrections}"))


@app.command(epilog="Example: hat ledger reconcile live/main --fills fills.json --funding funding.json")
def reconcile(
    place: Place,
    fills: Annotated[Path | None, typer.Option(help="The venue's answer to userFills, as JSON.")] = None,
    funding: Annotated[Path | None, typer.Option(help="The venue's answer to userFunding, as JSON.")] = None,
    account: Annotated[Path | None, typer.Option(help="The venue's answer to clearinghouseState, as JSON.")] = None,
    database: DatabaseOption = "",
    schema: SchemaOption = "hat_ledger",
    as_json: JsonOption = False,
) -> None:
    """Compare the ledger with what the venue recorded, row by row. Exit code 1: something differs."""
    with command(as_json) as output:
        from hatmanifesto.ledger.reconcile import reconcile as compare

        if fills is None and funding is None and account is None:
            raise UserError("nothing to compare with", "name --fills, --funding or --account: the venue's own answers")
        _, store = current(place, database, schema)
        found = compare(store, fills=fills, funding=funding, account=account)
        payload = {"ledger": store.place, **found.as_json()}

        def render(out: Console) -> None:
            plain(out, "equal" if found.ok else "different")
            for name, number in found.counts.items():
                plain(out, f"  {name}: {number}")
            for difference in found.differences:
                plain(out, f"  {difference}")

        output.result(payload, render)
        if not found.ok:
            raise typer.Exit(EXIT_FOUND)


def plain(out: Console, text: str) -> None:
    """Print as it is: no markup, no colours."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def table(out: Console, rows: list[dict[str, Any]], shown: tuple[str, ...]) -> None:
    """Print some columns of rows."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    words = {
        "time",
        "symbol",
        "side",
        "liquidity",
        "reason_code",
        "account",
        "currency",
        "instrument",
        "strategy",
        "period",
    }
    for name in shown:
        made.add_column(name.replace("_", " "), justify="left" if name in words else "right", no_wrap=True)
    for row in rows:
        made.add_row(*(row[name][:19] if name == "time" else str(row[name]) for name in shown))
    out.print(made, markup=False, highlight=False)
