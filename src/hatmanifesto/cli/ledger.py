"""`hat ledger`: build, audit, ask and export the trade ledger, which is made from journals and nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console

from hatmanifesto.cli.output import JsonOption, command
from hatmanifesto.cli.tables import print_table
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.ledger.fee_model import FeeTolerance
    from hatmanifesto.ledger.reconcile import Reconciliation
    from hatmanifesto.ledger.sources import Folder
    from hatmanifesto.ledger.store import Store

app = typer.Typer(name="ledger", help="The trade ledger: double entry, made from journals.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(metavar="RUN_OR_FOLDER", help="A run's folder, a live folder, or a journal.")]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="HAT_LEDGER_DATABASE",
        help="An SQLite file, or postgresql://HOST/DATABASE (password: PGPASSWORD). Default: [ledger] database, else "
        "beside the journals.",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    str,
    typer.Option(
        "--schema",
        envvar="HAT_LEDGER_SCHEMA",
        help="PostgreSQL: the schema that holds this ledger. Default: hat_ledger.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="A configuration file, for its [ledger]. Default: the live session's own."),
]
ByOption = Annotated[str, typer.Option("--by", help="Your name: it is written beside what you do.")]

VenueOption = Annotated[
    str,
    typer.Option(
        "--venue", help="Whom to ask: mainnet, testnet or a URL. Default: the live session's own.", show_default=False
    ),
]
AccountOption = Annotated[
    str,
    typer.Option("--account", help="The account's address, 0x…. Default: the live session's own.", show_default=False),
]

EXIT_FOUND = 1


class Opened(NamedTuple):
    """A ledger's journals, its store, and what its model of fees may differ by."""

    folder: "Folder"
    store: "Store"
    tolerance: "FeeTolerance"


def opened(place: Path, database: str, schema: str, config: Path | None, *, rebuilding: bool = False) -> Opened:
    """Find the journals and the store of a ledger."""
    from hatmanifesto.ledger.address import address_of
    from hatmanifesto.ledger.sources import find
    from hatmanifesto.ledger.store import Store

    folder = find(place)
    address = address_of(folder, database, schema, config)
    return Opened(folder, Store(address.database, address.schema, rebuilding=rebuilding), address.tolerance)


def current(place: Path, database: str, schema: str, config: Path | None) -> "tuple[Folder, Store]":
    """Return a ledger that has read its journals to the end; it is made where there is none."""
    from hatmanifesto.ledger.build import catch_up

    found = opened(place, database, schema, config)
    catch_up(found.folder, found.store, tolerance=found.tolerance)
    return found.folder, found.store


@app.command(epilog="Example: hat ledger rebuild runs/first")
def rebuild(
    place: Place,
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Throw the ledger away and build it from the journals again; the old one stays until the new one is whole."""
    with command(as_json) as output:
        from hatmanifesto.ledger.build import rebuild as build

        folder, store, tolerance = opened(place, database, schema, config, rebuilding=True)
        with output.progress() as bar:
            task = bar.add_task("building", total=None)
            built = build(
                folder,
                store,
                lambda done, total: bar.update(task, completed=done, total=total),
                tolerance=tolerance,
            )
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
    place: Place,
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    venue: VenueOption = "",
    account: AccountOption = "",
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the venue.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Audit the ledger: balance, the journals' chain, sums, every row against the journals, the account at the venue.

    Exit code 0: it is what the journals say. 1: every difference is named. A live session's venue is asked, too; where
    it cannot be, that is said, and is no difference unless --venue names it.
    """
    with command(as_json) as output:
        from hatmanifesto.ledger.build import catch_up
        from hatmanifesto.ledger.verify import verify as audit

        folder, store, _ = opened(place, database, schema, config)
        store.check()
        catch_up(folder, store)
        at_venue, venue_now = asked_quietly(folder, store, venue, account, offline)
        verdict = audit(folder, store, at_venue)
        payload = {
            "ledger": store.place,
            "ok": verdict.ok,
            "transactions": verdict.transactions,
            "trades": verdict.trades,
            "findings": [finding._asdict() for finding in verdict.findings],
            "counts": verdict.counts,
            "notes": [note._asdict() for note in verdict.notes],
            "venue": verdict.venue,
            "venue_now": venue_now,
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
            if venue_now:
                plain(out, f"  venue: {venue_now['words']}")
            if not verdict.ok:
                plain(out, "  to do: find out who changed it, then build it again: hat ledger rebuild")

        output.result(payload, render)
        if not verdict.ok:
            raise typer.Exit(EXIT_FOUND)


def asked_quietly(
    folder: "Folder", store: "Store", venue: str, account: str, offline: bool
) -> "tuple[Reconciliation | None, dict[str, Any] | None]":
    """Compare with the venue, if there is one; a venue that nobody named may be away."""
    from hatmanifesto.ledger.at_venue import asked_of, reconcile_at_venue

    if offline and (venue or account):
        raise UserError("--offline asks nobody", "leave it out, or --venue and --account")
    if offline:
        return None, None
    try:
        asked = asked_of(folder, venue, account)
        if asked is None:
            return None, None
        found, told = reconcile_at_venue(folder, store, asked)
    except UserError as error:
        if venue or account:
            raise
        return None, {"compared": False, "words": f"not compared: {error.message}"}
    words = f"account value {told.account_value} at {asked.url}, " + ("equal" if found.ok else "DIFFERENT")
    return found, {"compared": True, "words": words, "account_value": told.account_value, **found.as_json()}


@app.command(epilog="Example: hat ledger query runs/first --symbol BTC --count 20")
def query(
    place: Place,
    what: Annotated[str, typer.Option("--what", help="`trades`, `balances` or `periods`.")] = "trades",
    symbol: Annotated[str, typer.Option(help="Only this instrument.")] = "",
    strategy: Annotated[str, typer.Option(help="Only this strategy.")] = "",
    count: Annotated[int, typer.Option(help="The last so many trades.", min=1)] = 30,
    by: Annotated[str, typer.Option(help="With periods: day, week or month.")] = "day",
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show trades, account balances, or days, weeks and months with their profit by cause."""
    with command(as_json) as output:
        from hatmanifesto.ledger.queries import balances, periods
        from hatmanifesto.ledger.trade_rows import trades

        _, store = current(place, database, schema, config)
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
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write trades as CSV or Parquet, or the whole ledger in its canonical form."""
    with command(as_json) as output:
        from hatmanifesto.ledger import export as files
        from hatmanifesto.ledger.days import day_bounds

        if csv is None and parquet is None and canonical is None:
            raise UserError("nothing to export", "name --csv FILE, --parquet FOLDER or --canonical FILE")
        bounds = day_bounds(day) if day else (0, 1 << 62)
        _, store = current(place, database, schema, config)
        written: dict[str, Any] = {}
        if csv is not None:
            written["csv"] = {"path": str(csv), "trades": files.write_csv(store, csv, *bounds)}
        if parquet is not None:
            written["parquet"] = {"path": str(parquet), "days": files.write_parquet(store, parquet, *bounds)}
        if canonical is not None:
            written["canonical"] = {"path": str(canonical), "lines": files.write_canonical(store, canonical)}

        def render(out: Console) -> None:
            for kind, told in written.items():
                counts = told.get("days") or {name: number for name, number in told.items() if name != "path"}
                words = ", ".join(f"{name} {number:,}" for name, number in counts.items())
                plain(out, f"{kind}: {told['path']}: {words or 'nothing'}")

        output.result({"ledger": store.place, **written}, render)


@app.command("close-day", epilog="Example: hat ledger close-day live/main 2026-01-31 --by jo")
def close_day(
    place: Place,
    day: Annotated[str, typer.Argument(help="A UTC day, as 2026-01-31.")],
    by: ByOption,
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lock a day with a hash of its rows; `hat ledger verify` tells when they change."""
    with command(as_json) as output:
        from hatmanifesto.ledger.days import close_day as close

        folder, store = current(place, database, schema, config)
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
    schema: SchemaOption = "",
    config: ConfigOption = None,
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

        folder, store = current(place, database, schema, config)
        with store.connect() as connection:
            scale = connection.scalar(sa.select(tables.currencies.c.scale).where(tables.currencies.c.code == currency))
            for what, name, column in (
                ("instrument", symbol, tables.instruments.c.name),
                ("strategy", strategy, tables.accounts.c.strategy),
            ):
                known = sorted(set(connection.scalars(sa.select(column))) - {""})
                if name and name not in known:
                    raise UserError(f"the ledger has no {what} {name}", f"it has {', '.join(known) or 'none'}")
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


@app.command(
    epilog="Examples: hat ledger reconcile sessions/maker · "
    "hat ledger reconcile sessions/maker --venue testnet --account 0xADDRESS · "
    "hat ledger reconcile sessions/maker --fills fills.json --funding funding.json"
)
def reconcile(
    place: Place,
    venue: VenueOption = "",
    account: AccountOption = "",
    fills: Annotated[Path | None, typer.Option(help="A saved answer to userFills, instead of asking.")] = None,
    funding: Annotated[Path | None, typer.Option(help="A saved answer to userFunding.")] = None,
    state: Annotated[Path | None, typer.Option(help="A saved answer to clearinghouseState.")] = None,
    database: DatabaseOption = "",
    schema: SchemaOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the ledger with what the venue recorded, row by row: fills, funding, transfers, positions, money.

    The venue is asked, that of the live session unless another is named, or its saved answers are read. Exit code 1:
    something differs, and every difference is named. 2: the venue does not answer.
    """
    with command(as_json) as output:
        from hatmanifesto.ledger.at_venue import asked_of, reconcile_at_venue
        from hatmanifesto.ledger.reconcile import reconcile_files

        saved = fills is not None or funding is not None or state is not None
        if saved and (venue or account):
            raise UserError("saved answers, or the venue?", "leave out --venue and --account, or the files")
        folder, store = current(place, database, schema, config)
        payload: dict[str, Any] = {"ledger": store.place}
        if saved:
            found = reconcile_files(store, fills=fills, funding=funding, account=state)
        else:
            asked = asked_of(folder, venue, account)
            if asked is None:
                raise UserError(
                    f"{place} is no live session's folder: there is nobody to ask",
                    "name --venue and --account, or saved answers: --fills, --funding, --state",
                )
            found, told = reconcile_at_venue(folder, store, asked)
            payload |= {"venue": asked.url, "account": asked.account, "account_value": told.account_value}
        payload |= found.as_json()

        def render(out: Console) -> None:
            plain(out, "equal" if found.ok else f"{found.different} differences")
            for name, number in found.counts.items():
                plain(out, f"  {name}: {number}")
            for difference in found.differences:
                plain(out, f"  {difference}")
            if found.different > len(found.differences):
                plain(out, f"  and {found.different - len(found.differences)} more")

        output.result(payload, render)
        if not found.ok:
            raise typer.Exit(EXIT_FOUND)


def plain(out: Console, text: str) -> None:
    """Print as it is: no markup, no colours."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def table(out: Console, rows: list[dict[str, Any]], shown: tuple[str, ...]) -> None:
    """Print some columns of rows."""
    told = [[row[name][:19] if name == "time" else str(row[name]) for name in shown] for row in rows]
    left = {"symbol", "side", "liquidity", "reason_code", "currency", "instrument", "strategy"}
    print_table(out, [name.replace("_", " ") for name in shown], told, [name.replace("_", " ") for name in left])
