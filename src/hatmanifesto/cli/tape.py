"""`hat tape`: import recordings, and say what a tape holds."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hatmanifesto.cli.output import JsonOption, Output, command

if TYPE_CHECKING:
    from hatmanifesto.backtest.tape.format import Footer
    from hatmanifesto.backtest.tape.info import InstrumentInfo, TapeInfo
    from hatmanifesto.backtest.tape.reader import Tape

app = typer.Typer(help="Import recorded market data and inspect tapes.", no_args_is_help=True)

_TargetOption = Annotated[Path, typer.Option("-o", "--output", help="The tape file to write.")]
_ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the tape when it exists.")]


@app.command("import", epilog="Example: hat tape import ../shared/data/hyperliquid/recorder_20250904 -o btc.tape")
def import_recording(
    source: Annotated[list[Path], typer.Argument(help="A recording: files, or a folder of them.")],
    output: _TargetOption,
    source_format: Annotated[
        str,
        typer.Option("--format", help="A name of docs/tapes.md, such as binance-ws; left out: guessed."),
    ] = "",
    instrument: Annotated[
        list[str] | None, typer.Option(help="Only this coin; repeat for several. Left out: all.")
    ] = None,
    tick: Annotated[str, typer.Option(help="Price step where the recording does not say it: 0.1")] = "",
    lot: Annotated[str, typer.Option(help="Size step where the recording does not say it: 0.001")] = "",
    name: Annotated[str, typer.Option(help="Instrument name where the recording does not say it.")] = "",
    clock: Annotated[
        str, typer.Option(help="Receive times before the venue's: correct, keep, or a time to add to all: 1.27s")
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse crossed or one-sided books instead of dropping them.")
    ] = False,
    book: Annotated[
        bool, typer.Option("--book/--no-book", help="Leave depth updates out, for captures without a snapshot.")
    ] = True,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="TOML that says what the columns of your own CSV or Parquet mean.")
    ] = None,
    force: _ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import a recording into one tape. Whatever goes wrong, no half-written tape is left."""
    with command(as_json) as voice:
        from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
        from hatmanifesto.backtest.tape.importers.request import ImportRequest
        from hatmanifesto.backtest.tape.writer import TapeWriter

        found, files = find_source(source, source_format or ("columns" if mapping else ""))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped import cleans up like Ctrl-C
        request = ImportRequest(
            files=files,
            instruments=instrument or [],
            tick=tick,
            lot=lot,
            name=name,
            strict=strict,
            clock=clock,
            book=book,
            mapping=mapping,
        )
        with TapeWriter(output, overwrite=force) as writer, voice.progress() as bar:
            task = bar.add_task(f"importing {found}", total=None)
            footer = IMPORTERS[found](
                request, writer, lambda done, total: bar.update(task, completed=done, total=total)
            )
        payload = {
            "tape": str(output),
            "bytes": output.stat().st_size,
            "format": found,
            "content_hash": footer.content_hash,
            "rows": {"exchange": footer.exchange.rows, "receiver": (footer.receiver or footer.exchange).rows},
            "same_order": footer.receiver is None,
            "instruments": [spec.name for spec in footer.instruments],
            "statistics": footer.statistics,
            "notes": footer.source.notes,
        }
        voice.result(payload, lambda console: _print_import(console, output, footer))
        for note in footer.source.notes:
            voice.note(f"note: {note}")


@app.command("info", epilog="Example: hat tape info btc.tape --verify")
def show_info(
    tape: Annotated[Path, typer.Argument(help="A tape file.")],
    gap_seconds: Annotated[
        float, typer.Option(min=0.001, help="A channel silent for longer than this has a gap.")
    ] = 10.0,
    verify: Annotated[bool, typer.Option("--verify", help="Also compare every byte with the hash.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a tape holds: span, gaps, latency, prints at the touch, and the fill models it supports."""
    with command(as_json) as voice:
        from hatmanifesto.backtest.tape.reader import Tape

        with Tape.open(tape) as opened:
            info = _summarize(voice, opened, round(gap_seconds * 1_000_000_000), verify=verify)
            payload = _info_payload(opened, info, verified=verify)
            voice.result(payload, lambda console: _print_info(console, opened, info))


@app.command("synthetic", epilog="Example: hat tape synthetic -o made.tape --minutes 60")
def make_synthetic(
    output: _TargetOption,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same tape.")] = 1,
    minutes: Annotated[int, typer.Option(min=1, help="Length of the tape.")] = 30,
    instrument: Annotated[
        list[str] | None, typer.Option(help="BTC, ETH, SOL, HYPE or WLFI; repeat for several.")
    ] = None,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="Every change of the book, which is more than the venue tells."),
    ] = False,
    force: _ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a tape of the agents' market: seeded makers and takers in a real book, fitted to recordings."""
    with command(as_json) as voice:
        from hatmanifesto.backtest.tape.reader import Tape
        from hatmanifesto.backtest.tape.synthetic import generate_file

        coins = instrument or ["BTC", "ETH"]
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves nothing half written, like Ctrl-C
        with voice.progress() as bar:
            task = bar.add_task("trading", total=None)
            generate_file(
                output,
                seed=seed,
                minutes=minutes,
                instruments=coins,
                changes=changes,
                overwrite=force,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        with Tape.open(output) as opened:
            footer = opened.meta
        payload = {
            "tape": str(output),
            "bytes": output.stat().st_size,
            "rows": {"exchange": footer.exchange.rows, "receiver": (footer.receiver or footer.exchange).rows},
            "instruments": coins,
            "content_hash": footer.content_hash,
        }
        voice.result(payload, lambda console: _print_import(console, output, footer))


def _summarize(voice: Output, tape: "Tape", gap_ns: int, *, verify: bool) -> "TapeInfo":
    from hatmanifesto.backtest.tape.info import summarize

    if verify:
        tape.verify()
    with voice.progress() as bar:
        task = bar.add_task("reading the tape", total=None)
        return summarize(
            tape, gap_ns=gap_ns, on_progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _info_payload(tape: "Tape", info: "TapeInfo", *, verified: bool) -> dict[str, Any]:
    import msgspec

    return {
        "tape": str(tape.path),
        "bytes": tape.path.stat().st_size,
        "format_version": tape.meta.format_version,
        "content_hash": tape.meta.content_hash,
        "verified": verified,
        **msgspec.to_builtins(info),
        "specifications": msgspec.to_builtins(tape.meta.instruments),
        "source": msgspec.to_builtins(tape.meta.source),
        "import_statistics": tape.meta.statistics,
    }


def _print_import(console: Console, output: Path, footer: "Footer") -> None:
    receiver = "the same order" if footer.receiver is None else f"{footer.receiver.rows:,} rows in its own order"
    console.print(
        f"{output}: {footer.exchange.rows:,} rows, {output.stat().st_size / 1e6:.1f} MB, "
        f"{', '.join(spec.name for spec in footer.instruments)}; receiver stream: {receiver}",
        markup=False,
        highlight=False,
    )
    dropped = _dropped(footer.statistics)
    if dropped:
        table = Table("instrument", "left out or unusual", "count", title="what the import did")
        for row in dropped:
            table.add_row(*row)
        console.print(table)


def _dropped(statistics: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for key, value in statistics.items():
        if key in ("received_before_sent", "clears_widened_to_both_sides") and value:
            found.append(("all", key.replace("_", " "), f"{value:,}"))
    for coin, counts in statistics.get("instruments", {}).items():
        for name, value in [
            *counts.items(),
            *(("snapshots_" + k, v) for k, v in counts.get("snapshots", {}).items()),
        ]:
            if isinstance(value, int) and value and (name.endswith("dropped") or name.endswith("locked")):
                found.append((coin, name.replace("_", " "), f"{value:,}"))
    return found


def _print_info(console: Console, tape: "Tape", info: "TapeInfo") -> None:
    console.print(
        f"{tape.path}  {tape.path.stat().st_size / 1e6:.1f} MB, {info.rows['exchange']:,} rows from "
        f"{tape.meta.source.format}\n{info.first_utc} to {info.last_utc}, {_duration(info.seconds)}\n"
        f"rows by kind: {_counts(info.kinds)} (trades {info.trade_share:.1%})\n"
        f"rows by channel: {_counts(info.channels)}",
        markup=False,
        highlight=False,
    )
    latency = info.latency
    quantiles = ", ".join(f"{name} {value / 1e6:.1f}" for name, value in latency.quantiles_ns.items())
    console.print(
        f"feed latency, ms: min {latency.min_ns / 1e6:.1f}, {quantiles}, max {latency.max_ns / 1e6:.1f}; "
        f"negative (clock skew): {latency.negative:,} of {latency.messages:,} messages",
        markup=False,
        highlight=False,
    )
    for note in tape.meta.source.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(_channel_table(info))
    console.print(_book_table(info.instruments))
    console.print(_print_table(info.instruments))
    for model, answer in info.fill_models.items():
        console.print(f"fill model {model}: {answer}", markup=False, highlight=False)


def _channel_table(info: "TapeInfo") -> Table:
    limit = info.gap_threshold_ns / 1e9
    table = Table("instrument", "channel", title=f"channels; a gap is a silence of more than {limit:g} s")
    for heading in ("rows", "messages", "gaps", "longest"):
        table.add_column(heading, justify="right")
    table.add_column("from (UTC)")
    from hatmanifesto.instants import utc_text

    for one in info.instruments:
        for name, channel in one.channels.items():
            begin = utc_text(channel.longest_gap_from_ns)[5:19].replace("T", " ") if channel.longest_gap_ns else ""
            table.add_row(
                one.name,
                name,
                f"{channel.rows:,}",
                f"{channel.messages:,}",
                f"{channel.gaps:,}",
                _duration(channel.longest_gap_ns / 1e9),
                begin,
            )
    return table


def _book_table(instruments: list["InstrumentInfo"]) -> Table:
    table = Table("instrument", title="books")
    for heading in ("crossed", "for", "locked", "for"):
        table.add_column(heading, justify="right")
    table.add_column("fill models")
    for one in instruments:
        table.add_row(
            one.name,
            f"{one.crossed.episodes:,}",
            _duration(one.crossed.total_ns / 1e9),
            f"{one.locked.episodes:,}",
            _duration(one.locked.total_ns / 1e9),
            ", ".join(one.fill_models) or "none",
        )
    return table


def _print_table(instruments: list["InstrumentInfo"]) -> Table:
    table = Table("instrument", title="prints, by the touch before them")
    for heading in ("prints", "at touch", "through", "inside", "at or through"):
        table.add_column(heading, justify="right")
    for one in instruments:
        trades = one.trades
        table.add_row(
            one.name,
            f"{trades.count:,}",
            f"{trades.at_touch:,}",
            f"{trades.through_touch:,}",
            f"{trades.inside_spread:,}",
            f"{trades.share_at_or_through_touch:.1%}" if trades.count else "-",
        )
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
