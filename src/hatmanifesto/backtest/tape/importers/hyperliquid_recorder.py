"""Import a recorder's csv files of Hyperliquid, plain or gzip: orderbooks_COIN, prices_COIN, trades_COIN.

Order books become SNAPSHOT messages, prices (best bid and ask) BBO messages, trades TRADE rows. Where
channels share a timestamp the order is trades, best prices, books: a block's prints come before the
state they left behind. Left out and counted: trades older than the book they would print into (the
backlog that the venue sends on every subscription), repeated trade ids, repeated snapshots, snapshots
with an empty side or crossed prices (with `strict` an error).
"""

import re
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import (
    EXCH,
    LOCAL,
    META,
    PRICE,
    SIZE,
    WORDS,
    Footer,
    Rows,
    Source,
    message_ends,
)
from hatmanifesto.backtest.tape.importers.backlog import backlog, first_of_each
from hatmanifesto.backtest.tape.importers.csv_blocks import Block, csv_blocks, read_header
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, decimals_of, filled, is_number
from hatmanifesto.backtest.tape.importers.files import FileProgress
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import perp, size_decimals
from hatmanifesto.backtest.tape.importers.request import (
    ImportRequest,
    Progress,
    choose,
    describe_files,
    malformed,
)
from hatmanifesto.backtest.tape.importers.snapshots import SnapshotCounts, Snapshots, snapshot_rows
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_SHIFT,
    CHANNEL_TRADES,
    INSTRUMENT_SHIFT,
    MORE,
    SELL_BIT,
    TRADE,
)

_MS: Final = 1_000_000
_NS_DECIMALS: Final = 9
_TRADES_FIRST, _BBO_NEXT, _BOOK_LAST = 0, 1, 2
_NAME: Final = re.compile(r"(?:orderbooks|prices|trades)_(?P<coin>[^/]+?)\.csv(?:\.gz)?")
_PRICES: Final = ["timestamp", "price", "size", "side", "exchange_timestamp"]
_TRADES: Final = ["timestamp", "price", "size", "side", "trade_id", "exchange_timestamp"]
_BOOK_START: Final = ["timestamp", "sequence", "exchange_timestamp"]


class CoinCounts(msgspec.Struct):
    """What became of one coin's lines."""

    snapshots: SnapshotCounts = msgspec.field(default_factory=SnapshotCounts)
    bbo_rows: int = 0
    trades_read: int = 0
    trades_kept: int = 0
    trades_backlog_dropped: int = 0
    trades_duplicate_dropped: int = 0


class _File(msgspec.Struct, frozen=True):
    path: Path
    kind: str
    coin: str
    columns: list[str]


def import_recorder(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from csv files of one or more coins; raises UserError naming file and line."""
    files = [_inspect(path, request) for path in request.files]
    coins = choose(list({file.coin for file in files}), request.instruments)
    files = [file for file in files if file.coin in coins]
    reading = FileProgress(progress, [file.path for file in files])
    specs, notes, counts = [], [], {}
    with Spool(writer.path.parent) as spool:
        for index, coin in enumerate(coins):
            own = [file for file in files if file.coin == coin]
            decimals, note = size_decimals(coin, _most_size_decimals(own) if _unknown(coin) else 0)
            notes += [note] if note else []
            importer = _CoinImporter(spool, index, decimals, reading, strict=request.strict)
            counts[coin] = msgspec.to_builtins(importer.run(own))
            specs.append(perp(coin, decimals, largest_price=importer.largest_price, largest_size=importer.largest_size))
        statistics = {**spool.write(writer), "instruments": counts}
    return writer.finish(
        instruments=specs,
        source=Source(format="hyperliquid-recorder", files=describe_files([file.path for file in files]), notes=notes),
        statistics=statistics,
    )


def recorder_columns(columns: list[str]) -> str:
    """Return which recorder file has this header: `orderbooks`, `prices`, `trades`, or '' for none."""
    if columns == _PRICES:
        return "prices"
    if columns == _TRADES:
        return "trades"
    levels = columns[len(_BOOK_START) :]
    if columns[: len(_BOOK_START)] == _BOOK_START and levels and levels == _level_columns(len(levels) // 4):
        return "orderbooks"
    return ""


def paired_sides(rows: Rows) -> NDArray[np.bool_]:
    """Tell which best-price rows are followed by the other side of their message.

    A recorder writes the two sides of one message, in either order, as neighbours with the same stamps.
    """
    pair = np.zeros(len(rows), bool)
    other_side = (rows[1:, META] ^ rows[:-1, META]) == BUY_BIT | SELL_BIT
    linked = other_side & (rows[1:, LOCAL] == rows[:-1, LOCAL]) & (rows[1:, EXCH] == rows[:-1, EXCH])
    place = np.arange(len(linked))
    run_start = np.maximum.accumulate(np.where(linked, 0, place + 1)) if len(linked) else place
    pair[:-1] = linked & ((place - run_start) % 2 == 0)
    return pair


def _level_columns(depth: int) -> list[str]:
    return [f"{side}_{what}_{i}" for i in range(depth) for side in ("bid", "ask") for what in ("price", "size")]


def _unknown(coin: str) -> bool:
    return bool(size_decimals(coin, 0)[1])


def _inspect(path: Path, request: ImportRequest) -> _File:
    columns = read_header(path)
    if columns == [""]:
        raise UserError(f"{path.name} is empty", "remove it from the import")
    kind = recorder_columns(columns)
    if not kind:
        raise malformed(path, 1, "its columns are those of no recorder file (orderbooks, prices, trades)")
    match = _NAME.fullmatch(path.name)
    if match:
        return _File(path, kind, match["coin"], columns)
    if len(request.instruments) == 1:
        return _File(path, kind, request.instruments[0], columns)
    raise UserError(
        f"{path.name} does not say its coin", f"name it {kind}_COIN.csv, or give one coin with --instrument"
    )


class _CoinImporter:
    """One coin's files into the spool."""

    def __init__(self, spool: Spool, index: int, decimals: int, reading: FileProgress, *, strict: bool) -> None:
        self._spool = spool
        self._instrument = index << INSTRUMENT_SHIFT
        self._size_scale = decimals
        self._price_scale = 6 - decimals
        self._reading = reading
        self._strict = strict
        self._counts = CoinCounts()
        self._book_times: list[Rows] = []  # one row a book message: [exch, local]
        self.largest_price = 0
        self.largest_size = 0

    def run(self, files: list[_File]) -> CoinCounts:
        """Read the coin's files, books first: they tell which trades are backlog."""
        self._read_books([file for file in files if file.kind == "orderbooks"])
        for file in files:
            if file.kind == "prices":
                self._read_prices(file)
        self._read_trades([file for file in files if file.kind == "trades"])
        return self._counts

    def _read_books(self, files: list[_File]) -> None:
        snapshots = Snapshots(self._counts.snapshots, strict=self._strict)
        for file in files:
            depth = (len(file.columns) - len(_BOOK_START)) // 4
            for block in csv_blocks(file.path, file.columns, self._reading):
                exch, local = self._times(file, block)
                count = len(block.frame)
                price = np.empty((count, depth * 2), np.int64)
                size = np.empty((count, depth * 2), np.int64)
                for side, offset in (("bid", 0), ("ask", depth)):
                    for i in range(depth):
                        price[:, offset + i] = self._column(file, block, f"{side}_price_{i}", self._price_scale)
                        size[:, offset + i] = self._column(file, block, f"{side}_size_{i}", self._size_scale)
                keep = snapshots.keep(
                    exch,
                    price,
                    size,
                    partial(_malformed_row, file.path, block.first_line),
                )
                rows = snapshot_rows(exch[keep], local[keep], price[keep], size[keep], self._instrument)
                self._add(rows, _BOOK_LAST, book=True)

    def _read_prices(self, file: _File) -> None:
        held = np.empty((0, WORDS), np.int64)
        for block in csv_blocks(file.path, file.columns, self._reading):
            side = self._side(file, block, "bid", "ask")
            rows = np.concatenate([held, self._rows(file, block, BBO | CHANNEL_BBO << CHANNEL_SHIFT | side)])
            self._counts.bbo_rows += len(block.frame)
            empty = (rows[:, PRICE] == 0) | (rows[:, SIZE] == 0)
            rows[empty, SIZE] = 0
            pair = paired_sides(rows)
            rows[pair, META] |= MORE
            whole = len(rows) > 1 and bool(pair[-2])
            cut = len(rows) if whole else len(rows) - 1  # its other side may be in the next block
            held = rows[cut:]
            self._add(rows[:cut], _BBO_NEXT, book=True)
        self._add(held, _BBO_NEXT, book=True)

    def _read_trades(self, files: list[_File]) -> None:
        ids, parts, first = [], [], None
        for file in files:
            for block in csv_blocks(file.path, file.columns, self._reading):
                side = self._side(file, block, "buy", "sell")
                rows = self._rows(file, block, TRADE | CHANNEL_TRADES << CHANNEL_SHIFT | side)
                nothing = (rows[:, PRICE] <= 0) | (rows[:, SIZE] <= 0)
                if nothing.any():
                    line = block.first_line + int(np.argmax(nothing))
                    raise malformed(file.path, line, "a trade needs a price and a size above 0")
                ids.append(self._column(file, block, "trade_id", 0))
                parts.append(rows[:, [EXCH, LOCAL]])
                begin, _ = self._add(rows, _TRADES_FIRST)
                first = begin if first is None else first
        if first is None:
            return
        times = np.concatenate(parts)
        once = first_of_each(np.concatenate(ids))
        late = backlog(times, self._book_times)
        self._counts.trades_read = len(times)
        self._counts.trades_backlog_dropped = int(late.sum())
        self._counts.trades_duplicate_dropped = int((~once & ~late).sum())
        dropped = late | ~once
        self._counts.trades_kept = len(times) - int(dropped.sum())
        self._spool.drop(np.flatnonzero(dropped).astype(np.int64) + first)

    def _add(self, rows: Rows, priority: int, *, book: bool = False) -> tuple[int, int]:
        if len(rows):
            self.largest_price = max(self.largest_price, int(rows[:, PRICE].max()))
            self.largest_size = max(self.largest_size, int(rows[:, SIZE].max()))
            if book:
                self._book_times.append(rows[message_ends(rows) - 1][:, [EXCH, LOCAL]])
        return self._spool.add(rows, priority=priority)

    def _rows(self, file: _File, block: Block, meta: NDArray[np.int64]) -> Rows:
        rows = np.empty((len(block.frame), WORDS), np.int64)
        rows[:, EXCH], rows[:, LOCAL] = self._times(file, block)
        rows[:, META] = meta | self._instrument
        rows[:, PRICE] = self._column(file, block, "price", self._price_scale)
        rows[:, SIZE] = self._column(file, block, "size", self._size_scale)
        return rows

    def _times(self, file: _File, block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        exch = self._column(file, block, "exchange_timestamp", 0, needed=True)
        local = self._column(file, block, "timestamp", _NS_DECIMALS, needed=True)
        return exch * _MS, local

    def _side(self, file: _File, block: Block, buy: str, sell: str) -> NDArray[np.int64]:
        texts = block.frame["side"]
        buying = filled((texts == buy).cast(pl.Int64))
        selling = filled((texts == sell).cast(pl.Int64))
        neither = (buying | selling) == 0
        if neither.any():
            row = int(np.argmax(neither))
            raise malformed(file.path, block.first_line + row, f"side is {texts[row]!r}, not {buy} or {sell}")
        return buying * BUY_BIT | selling * SELL_BIT

    def _column(self, file: _File, block: Block, name: str, scale: int, *, needed: bool = False) -> NDArray[np.int64]:
        """Return a column in units of 10^-scale; empty fields are 0 unless the value is needed."""
        texts = block.frame[name]
        units = decimal_units(texts, scale)
        bad = units.is_null() if needed else units.is_null() & texts.is_not_null()
        bad = bad | (units < 0).fill_null(False)
        if bad.any():
            row = bad.arg_true()[0]
            raise malformed(file.path, block.first_line + row, _explain(texts[row], name, scale))
        return filled(units)


def _malformed_row(path: Path, first_line: int, row: int, why: str) -> UserError:
    return malformed(path, first_line + row, why)


def _explain(text: str | None, name: str, scale: int) -> str:
    if text is None:
        return f"{name} is empty"
    if not is_number(text):
        return f"{name} {text!r} is not a number"
    if text.strip().startswith("-"):
        return f"{name} {text!r} is negative"
    return f"{name} {text!r} has more than {scale} decimals, or is too large"


def _most_size_decimals(files: list[_File]) -> int:
    most = 0
    for file in files:
        columns = [name for name in file.columns if name == "size" or "_size_" in name]
        for block in csv_blocks(file.path, file.columns):
            most = max([most, *(decimals_of(block.frame[name].drop_nulls()) for name in columns)])
    return most
