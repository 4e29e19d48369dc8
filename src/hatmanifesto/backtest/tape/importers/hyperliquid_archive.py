"""Import Hyperliquid's public archive: lz4 files of JSON lines, one l2Book snapshot a line, no trades.

A line is {"time": the archive writer's clock, ISO with nanoseconds, "raw": the websocket message}.
"""

import calendar
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import lz4.frame
import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import PRICE, SIZE, Footer, Source
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, decimals_of, filled
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
from hatmanifesto.backtest.tape.importers.snapshots import SnapshotCounts, Snapshots, snapshot_rows
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import INSTRUMENT_SHIFT

_BATCH: Final = 2_000
_MS: Final = 1_000_000
_BOOK_LAST: Final = 2
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z?")


class _Level(msgspec.Struct, frozen=True):
    px: str
    sz: str


class _Book(msgspec.Struct, frozen=True):
    coin: str
    time: int
    levels: tuple[list[_Level], list[_Level]]


class _Message(msgspec.Struct, frozen=True):
    channel: str
    data: _Book


class _Line(msgspec.Struct, frozen=True):
    time: str
    raw: _Message


class _Snapshot(msgspec.Struct, frozen=True):
    path: Path
    line: int
    exch_ns: int
    local_ns: int
    levels: tuple[list[_Level], list[_Level]]


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
            coin: _Coin(spool, index, decimals[coin][0], strict=request.strict) for index, coin in enumerate(coins)
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


class _Coin:
    """One coin's snapshots into the spool, some thousand at a time."""

    def __init__(self, spool: Spool, index: int, size_scale: int, *, strict: bool) -> None:
        self._spool = spool
        self._instrument = index << INSTRUMENT_SHIFT
        self._size_scale = size_scale
        self._waiting: list[_Snapshot] = []
        self.counts = SnapshotCounts()
        self._snapshots = Snapshots(self.counts, strict=strict)
        self.largest_price = 0
        self.largest_size = 0

    def add(self, snapshot: _Snapshot) -> None:
        self._waiting.append(snapshot)
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        depth = max(1, max(len(side) for snapshot in waiting for side in snapshot.levels))
        price = self._grid(waiting, depth, "px", PRICE_AND_SIZE_DECIMALS - self._size_scale)
        size = self._grid(waiting, depth, "sz", self._size_scale)
        exch = np.array([snapshot.exch_ns for snapshot in waiting], np.int64)
        local = np.array([snapshot.local_ns for snapshot in waiting], np.int64)
        keep = self._snapshots.keep(
            exch, price, size, lambda row, why: malformed(waiting[row].path, waiting[row].line, why)
        )
        rows = snapshot_rows(exch[keep], local[keep], price[keep], size[keep], self._instrument)
        if len(rows):
            self.largest_price = max(self.largest_price, int(rows[:, PRICE].max()))
            self.largest_size = max(self.largest_size, int(rows[:, SIZE].max()))
            self._spool.add(rows, priority=_BOOK_LAST)

    def _grid(self, waiting: list[_Snapshot], depth: int, field: str, scale: int) -> NDArray[np.int64]:
        """Return one field of all levels, shape (snapshots, 2 x depth), 0 where a book is shorter."""
        texts: list[str | None] = []
        for snapshot in waiting:
            for side in snapshot.levels:
                texts += [getattr(level, field) for level in side]
                texts += [None] * (depth - len(side))
        column = pl.Series(texts, dtype=pl.String)
        units = decimal_units(column, scale)
        bad = (units.is_null() & column.is_not_null()) | (units < 0).fill_null(False)
        if bad.any():
            at = bad.arg_true()[0]
            snapshot = waiting[at // (2 * depth)]
            why = f"{field} {column[at]!r} is no number of at most {scale} decimals"
            raise malformed(snapshot.path, snapshot.line, why)
        return filled(units).reshape(len(waiting), 2 * depth)


def _snapshots(path: Path) -> Iterator[tuple[str, _Snapshot]]:
    decoder = msgspec.json.Decoder(_Line)
    number = 0
    try:
        with _open(path) as file:
            for number, text in enumerate(file, 1):
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
                yield book.coin, _Snapshot(path, number, book.time * _MS, local, book.levels)
    except (EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise damaged(path, f"{error} (after line {number})") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}", "check its name and permissions") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        packed = raw.read(4) == b"\x04\x22\x4d\x18"
    if packed:
        file: IO[bytes] = lz4.frame.open(path, "rb")
        return file
    if path.suffix == ".lz4" and path.stat().st_size:
        raise damaged(path, "it is no lz4 frame")
    return path.open("rb")


def iso_ns(text: str) -> int | None:
    """Return an ISO time of UTC as nanoseconds since 1970, exact to the last digit; None when it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = int((match[7] or "").ljust(9, "0"))
    return calendar.timegm((year, month, day, hour, minute, second)) * 1_000_000_000 + fraction
