"""Import Hyperliquid's public archive: lz4 files of JSON lines, one l2Book snapshot a line, no trades.

A line is {"time": the archive writer's clock, ISO with nanoseconds, "raw": the websocket message}.
"""

import calendar
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from hatmanifesto.backtest.tape.format import Footer, Source
from hatmanifesto.backtest.tape.importers.decimals import decimals_of
from hatmanifesto.backtest.tape.importers.files import open_recording
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import (
    PRICE_AND_SIZE_DECIMALS,
    perp,
    size_decimals,
)
from hatmanifesto.backtest.tape.importers.request import (
    ImportRequest,
    Progress,
    choose,
    damaged,
    describe_files,
    malformed,
)
from hatmanifesto.backtest.tape.importers.snapshots import Levels, SnapshotTexts, TextSnapshot
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError

_MS: Final = 1_000_000
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z?")


class _Book(msgspec.Struct, frozen=True):
    coin: str
    time: int
    levels: Levels


class _Message(msgspec.Struct, frozen=True):
    channel: str
    data: _Book


class _Line(msgspec.Struct, frozen=True):
    time: str
    raw: _Message


def import_archive(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from archive files of one or more coins; raises UserError naming file and line."""
    total = sum(path.stat().st_size for path in request.files)
    found: dict[str, int] = {}
    for path in request.files:
        for coin, snapshot in _snapshots(path):
            if size_decimals(coin, 0)[1]:
                sizes = pl.Series([level.sz for side in snapshot.levels for level in side], dtype=pl.String)
                found[coin] = max(found.get(coin, 0), decimals_of(sizes))
            elif coin not in found:
                found[coin] = 0
    if not found:
        raise UserError("the archive files are empty", "check that they are the hours you meant")
    coins = choose(list(found), request.instruments)
    decimals = {coin: size_decimals(coin, found[coin]) for coin in coins}
    with Spool(writer.path.parent) as spool:
        imports = {
            coin: SnapshotTexts(
                spool,
                index,
                price_scale=PRICE_AND_SIZE_DECIMALS - decimals[coin][0],
                size_scale=decimals[coin][0],
                strict=request.strict,
            )
            for index, coin in enumerate(coins)
        }
        done = 0
        for path in request.files:
            for coin, snapshot in _snapshots(path):
                if coin in imports:
                    imports[coin].add(snapshot)
            done += path.stat().st_size
            progress(done, total)
        for coin_import in imports.values():
            coin_import.flush()
        statistics = {
            **spool.write(writer),
            "instruments": {coin: {"snapshots": msgspec.to_builtins(one.counts)} for coin, one in imports.items()},
        }
    return writer.finish(
        instruments=[
            perp(coin, decimals[coin][0], largest_price=one.largest_price, largest_size=one.largest_size)
            for coin, one in imports.items()
        ],
        source=Source(
            format="hyperliquid-archive",
            files=describe_files(request.files),
            notes=[note for _, note in decimals.values() if note],
        ),
        statistics=statistics,
    )


def _snapshots(path: Path) -> Iterator[tuple[str, TextSnapshot]]:
    decoder = msgspec.json.Decoder(_Line)
    number = 0
    try:
        with open_recording(path) as recording:
            for number, text in enumerate(recording.text, 1):
                if not text.strip():
                    continue
                try:
                    line = decoder.decode(text)
                except msgspec.DecodeError as error:
                    raise malformed(path, number, f"no l2Book line: {error}") from error
                local = iso_ns(line.time)
                if line.raw.channel != "l2Book" or local is None:
                    raise malformed(path, number, "no l2Book line with an ISO time")
                book = line.raw.data
                yield book.coin, TextSnapshot(path, number, book.time * _MS, local, book.levels)
    except UnicodeDecodeError as error:
        raise damaged(path, f"{error} (after line {number})") from error


def iso_ns(text: str) -> int | None:
    """Return an ISO time of UTC as nanoseconds since 1970, exact to the last digit; None when it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = int((match[7] or "").ljust(9, "0"))
    return calendar.timegm((year, month, day, hour, minute, second)) * 1_000_000_000 + fraction
