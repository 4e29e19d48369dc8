"""Import tables, CSV or Parquet, whose columns a mapping describes; StandX and Aster (presets.py) are such mappings.

Whole books → SNAPSHOT, best prices → BBO, level changes → DEPTH, trades → TRADE. Where tables share a timestamp
the order is trades, best prices, books. Missing sides of trades are inferred from the book before them. A clock that a
table lacks is made from the other one and the mapping's latency.
"""

import re
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, WORDS, Footer, InstrumentSpec, Source
from hatmanifesto.backtest.tape.importers.backlog import first_of_each
from hatmanifesto.backtest.tape.importers.clock import ReceiverClock
from hatmanifesto.backtest.tape.importers.files import FileProgress
from hatmanifesto.backtest.tape.importers.grid import (
    RAW_PRICE_DECIMALS,
    RAW_SIZE_DECIMALS,
    Grid,
    Rescale,
    Steps,
    given_step,
)
from hatmanifesto.backtest.tape.importers.mapping import Mapping, Rules, Table, load_mapping
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress, describe_files
from hatmanifesto.backtest.tape.importers.row_batch import Roster
from hatmanifesto.backtest.tape.importers.side_inference import SideCounts, infer_sides
from hatmanifesto.backtest.tape.importers.snapshots import BOOK_LAST, SnapshotCounts, Snapshots, snapshot_rows
from hatmanifesto.backtest.tape.importers.tables import (
    TableBlock,
    TableFile,
    exact,
    inspect_table,
    nanoseconds,
    table_blocks,
    words,
)
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_SHIFT,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    INSTRUMENT_SHIFT,
    MORE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
)

_TRADES_FIRST: Final = 0
_BBO_NEXT: Final = 1
_TRADE_META: Final = TRADE | CHANNEL_TRADES << CHANNEL_SHIFT
_BBO_META: Final = BBO | CHANNEL_BBO << CHANNEL_SHIFT
_BOOK_CHANNEL: Final = CHANNEL_BOOK << CHANNEL_SHIFT

_PLURAL: Final = {"trades": "trades", "book": "books", "best": "best prices", "levels": "level changes"}

Ints = NDArray[np.int64]


def import_columns(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape by the mapping that `--map` names."""
    if request.mapping is None:
        raise UserError(
            "a table of your own needs a mapping", "write one as docs/tapes.md shows and give it with --map"
        )
    return import_mapped(request, writer, progress, load_mapping(request.mapping), "columns")


def import_mapped(
    request: ImportRequest, writer: TapeWriter, progress: Progress, mapping: Mapping, format_name: str
) -> Footer:
    """Write one tape from tables by a mapping; raises UserError naming file and line or row."""
    tables = [(file, mapping.table_of(file.path, file.columns)) for file in map(inspect_table, request.files)]
    tables.sort(key=lambda pair: pair[1].kind == "trades")  # books first: sides may be inferred from them
    clock = ReceiverClock(request.clock)
    with Spool(writer.path.parent) as spool:
        reading = _Reading(spool, request, mapping, keep_books=any(not table.side for _, table in tables))
        following = FileProgress(progress, [file.path for file, _ in tables])
        for file, table in tables:
            reading.read(file, table, following)
        reading.roster.check()
        reading.finish()
        names = reading.roster.names
        steps = [
            grid.inferred(name, request.tick or mapping.rules(name).tick, request.lot or mapping.rules(name).lot)
            for name, grid in zip(names, reading.roster.grids, strict=True)
        ]
        statistics = {
            **spool.write(writer, adjust=Rescale(steps), clock=clock.shift),
            "receiver_clock_shift_ns": clock.shift_ns,
            "instruments": reading.statistics(),
        }
    given = {"clock": request.clock, "tick": request.tick, "lot": request.lot}
    return writer.finish(
        instruments=[
            _instrument(name, mapping.venue, one, mapping.rules(name)) for name, one in zip(names, steps, strict=True)
        ],
        source=Source(
            format=format_name,
            files=describe_files(request.files),
            options={
                **{key: value for key, value in given.items() if value},
                **({"mapping": msgspec.to_builtins(mapping)} if format_name == "columns" else {}),
            },
            notes=[note for note in (*mapping.notes, *reading.notes(), clock.note()) if note],
        ),
        statistics=statistics,
    )


def _instrument(name: str, venue: str, steps: Steps, rules: Rules) -> InstrumentSpec:
    return InstrumentSpec(
        name=name,
        venue=venue,
        price_scale=steps.price_scale,
        size_scale=steps.size_scale,
        money_scale=steps.money_scale,
        tick_size=steps.tick_size,
        lot_size=steps.lot_size,
        max_price=steps.max_price,
        maker_fee=rules.maker_fee(),
        taker_fee=rules.taker_fee(),
        max_leverage=rules.max_leverage,
    )


class _Counts(msgspec.Struct):
    snapshots: SnapshotCounts = msgspec.field(default_factory=SnapshotCounts)
    locked_books_widened: int = 0
    best_rows: int = 0
    best_crossed_dropped: int = 0
    level_rows: int = 0
    trades_read: int = 0
    trades_kept: int = 0
    trades_duplicate_dropped: int = 0
    sides_inferred: SideCounts | None = None


class _Instrument:
    """What is known of one instrument while its tables are read."""

    def __init__(self, index: int, grid: Grid, *, strict: bool) -> None:
        self.bits = index << INSTRUMENT_SHIFT
        self.grid = grid
        self.counts = _Counts()
        self.snapshots = Snapshots(self.counts.snapshots, strict=strict)
        self.quotes: list[tuple[Ints, Ints, Ints]] = []  # exchange ns, bid, ask
        self.slack = 0
        self.sideless: list[Ints] = []  # rows of trades
        self.ids: list[tuple[Ints, Ints]] = []  # message number, id


class _Reading:
    """Reads tables into the spool."""

    def __init__(self, spool: Spool, request: ImportRequest, mapping: Mapping, *, keep_books: bool) -> None:
        self._spool = spool
        self._request = request
        self._mapping = mapping
        self._keep_books = keep_books
        self._latency = mapping.latency_ns()
        self._one_clock: set[str] = set()
        self._assumed_sizes: set[str] = set()
        self.roster = Roster(request.instruments)
        self._instruments: dict[int, _Instrument] = {}

    def read(self, file: TableFile, table: Table, progress: FileProgress) -> None:
        """Read one file."""
        levels = table.level_columns(file.columns) if table.wide() else []
        columns = [*table.needed(), *(name for level in levels for name in level)]
        values = len(columns) if table.kind != "book" or table.wide() else 4_000
        held: dict[int, NDArray[np.int64]] = {}
        for block in table_blocks(file, list(dict.fromkeys(columns)), progress, values_a_row=values):
            for name, part in self._by_instrument(block, table):
                index = self.roster.index(name)
                if index < 0:
                    continue
                one = self._instruments.get(index)
                if one is None:
                    one = _Instrument(index, self.roster.grids[index], strict=self._request.strict)
                    self._instruments[index] = one
                exch, local = self._times(part, table)
                if table.kind == "book":
                    self._book(one, self._mapping.rules(name), part, table, levels, exch, local)
                elif table.kind == "best":
                    self._best(one, name, part, table, exch, local)
                elif table.kind == "levels":
                    held[index] = self._levels(one, part, table, exch, local, held.get(index))
                else:
                    self._trades(one, part, table, exch, local)
        for rows in held.values():
            self._spool.add(rows, priority=BOOK_LAST)

    def _by_instrument(self, block: TableBlock, table: Table) -> list[tuple[str, TableBlock]]:
        """Split a block by instrument; rows keep their numbers only where there is one."""
        if self._request.name and not table.instrument_column:
            return [(self._request.name, block)]
        name = table.instrument
        if table.instrument_pattern:
            match = re.search(table.instrument_pattern, block.file.path.name)
            if match is None:
                raise UserError(
                    f"{block.file.path.name} does not say its instrument as {table.instrument_pattern} asks",
                    "rename the file, or name the instrument with --name",
                )
            name = match[1]
        if not table.instrument_column:
            return [(name + table.instrument_suffix, block)]
        column = block.frame[table.instrument_column].cast(pl.String)
        if column.null_count():
            raise block.error(column.is_null().arg_true()[0], f"{table.instrument_column} is empty")
        found = []
        for one in column.unique(maintain_order=True).to_list():
            mine = column == one
            part = block.frame if mine.all() else block.frame.filter(mine)
            first = block.first_row + int(mine.arg_true()[0])
            found.append((one + table.instrument_suffix, TableBlock(block.file, part, first)))
        return found

    def _times(self, block: TableBlock, table: Table) -> tuple[Ints, Ints]:
        exch = nanoseconds(block, table.exchange_time, table.exchange_unit) if table.exchange_time else None
        local = nanoseconds(block, table.receive_time, table.receive_unit) if table.receive_time else None
        if exch is None:
            assert local is not None
            self._one_clock.add(f"{_PLURAL[table.kind]} have no exchange time: receive time less")
            return local - self._latency, local
        if local is None:
            self._one_clock.add(f"{_PLURAL[table.kind]} have no receive time: exchange time plus")
            return exch, exch + self._latency
        return exch, local

    # -- books and best prices --------------------------------------------------------------------

    def _book(
        self,
        one: _Instrument,
        rules: Rules,
        block: TableBlock,
        table: Table,
        levels: list[tuple[str, str, str, str]],
        exch: Ints,
        local: Ints,
    ) -> None:
        if table.wide():
            price, size = self._wide(block, table, levels)
        else:
            bid_price, bid_size = self._lists(block, table, table.bid_price, table.bid_size)
            ask_price, ask_size = self._lists(block, table, table.ask_price, table.ask_size)
            depth = max(bid_price.shape[1], ask_price.shape[1])
            price, size = (
                np.concatenate([_padded(bids, depth), _padded(asks, depth)], axis=1)
                for bids, asks in ((bid_price, ask_price), (bid_size, ask_size))
            )
        bid, ask = _best_prices(price, size)
        if table.truncated_to:
            self._widen(one, rules, table, price, bid, ask)
        keep = one.snapshots.keep(exch, price, size, block.error)
        price, size = price[keep], size[keep]
        rows = snapshot_rows(exch[keep], local[keep], price, size, one.bits)
        one.grid.note(rows[:, PRICE], rows[:, SIZE])
        self._spool.add(rows, priority=BOOK_LAST)
        if self._keep_books:
            one.quotes.append((exch[keep], bid[keep], ask[keep]))

    def _wide(self, block: TableBlock, table: Table, levels: list[tuple[str, str, str, str]]) -> tuple[Ints, Ints]:
        depth = len(levels)
        price = np.empty((len(block.frame), 2 * depth), np.int64)
        size = np.empty_like(price)
        for place, (bid_price, bid_size, ask_price, ask_size) in enumerate(levels):
            for column, price_name, size_name in ((place, bid_price, bid_size), (depth + place, ask_price, ask_size)):
                price[:, column] = _price(block, table, price_name)
                size[:, column] = _size(block, table, size_name)
        return price, size

    def _lists(self, block: TableBlock, table: Table, price_name: str, size_name: str) -> tuple[Ints, Ints]:
        """Return a side's list columns as arrays of shape (books, deepest), 0 where a book is shorter."""
        prices, sizes = block.frame[price_name], block.frame[size_name]
        for name, column in ((price_name, prices), (size_name, sizes)):
            if not isinstance(column.dtype, pl.List):
                raise UserError(
                    f"{block.file.path.name}: column {name} holds {column.dtype}, no lists",
                    "put {level} into its name if each level has its column",
                )
        counts = prices.list.len().fill_null(0).to_numpy().astype(np.int64)
        different = counts != sizes.list.len().fill_null(0).to_numpy()
        if different.any():
            raise block.error(int(np.argmax(different)), f"{price_name} and {size_name} differ in length")
        depth = max(1, int(counts.max()) if len(counts) else 1)
        there = np.arange(depth) < counts[:, None]
        values = []
        for column, scale, unit in (
            (prices, RAW_PRICE_DECIMALS, table.price_decimals),
            (sizes, RAW_SIZE_DECIMALS, table.size_decimals),
        ):
            filled = np.zeros(there.shape, np.int64)
            flat = column.filter(column.list.len() > 0).explode()
            filled[there] = exact(block, flat, scale, counts=unit, name=column.name)
            values.append(filled)
        return values[0], values[1]

    def _widen(self, one: _Instrument, rules: Rules, table: Table, price: Ints, bid: Ints, ask: Ints) -> None:
        """Move the best ask of locked books up, in place: cut-down prices hide a spread below the step."""
        step = given_step(table.truncated_to, RAW_PRICE_DECIMALS, "truncated_to")
        tick = given_step(self._request.tick or rules.tick, RAW_PRICE_DECIMALS, "tick") or step // 10
        one.slack = step - tick
        locked = (bid == ask) & (bid > 0)
        depth = price.shape[1] // 2
        asks = price[:, depth:]
        best = locked[:, None] & (asks == ask[:, None])
        asks[best] += one.slack
        one.counts.locked_books_widened += int(locked.sum())

    def _best(self, one: _Instrument, name: str, block: TableBlock, table: Table, exch: Ints, local: Ints) -> None:
        count = len(block.frame)
        rows = np.empty((count, 2, WORDS), np.int64)
        rows[:, :, EXCH], rows[:, :, LOCAL] = exch[:, None], local[:, None]
        assumed = 0
        if not table.bid_size:
            assumed = given_step(self._mapping.rules(name).best_size, RAW_SIZE_DECIMALS, "best_size")
            if assumed == 0:
                raise UserError(
                    f"{block.file.path.name} has best prices without sizes, and none is assumed for {name}",
                    f'give a mapping with best_size under [instruments."{name}"]',
                )
            self._assumed_sizes.add(
                f"{name}: best prices were recorded without sizes, "
                f"{self._mapping.rules(name).best_size} was assumed for each"
            )
        for place, (side, price, size, more) in enumerate(
            ((BUY_BIT, table.bid_price, table.bid_size, MORE), (SELL_BIT, table.ask_price, table.ask_size, 0))
        ):
            rows[:, place, META] = _BBO_META | side | more | one.bits
            rows[:, place, PRICE] = _price(block, table, price)
            rows[:, place, SIZE] = _size(block, table, size) if size else assumed
        empty = (rows[:, :, PRICE] == 0) | (rows[:, :, SIZE] == 0)
        rows[:, :, SIZE][empty] = 0
        crossed = ~empty.any(axis=1) & (rows[:, 0, PRICE] > rows[:, 1, PRICE])
        if self._request.strict and crossed.any():
            raise block.error(int(np.argmax(crossed)), "the best prices are crossed")
        one.counts.best_rows += count
        one.counts.best_crossed_dropped += int(crossed.sum())
        rows = rows[~crossed]
        flat = rows.reshape(-1, WORDS)
        one.grid.note(flat[:, PRICE], flat[:, SIZE])
        self._spool.add(flat, priority=_BBO_NEXT)
        if self._keep_books:
            one.quotes.append((rows[:, 0, EXCH], rows[:, 0, PRICE], rows[:, 1, PRICE]))

    def _levels(
        self, one: _Instrument, block: TableBlock, table: Table, exch: Ints, local: Ints, held: Ints | None
    ) -> Ints:
        """Send level changes; returns the last message, which may go on in the next block."""
        rows = np.empty((len(block.frame), WORDS), np.int64)
        rows[:, EXCH], rows[:, LOCAL] = exch, local
        rows[:, META] = _BOOK_CHANNEL | self._sides(block, table) | one.bits
        if table.snapshot:
            flagged = words(block.frame[table.snapshot]).is_in([word.lower() for word in table.snapshot_words])
            rows[:, META] |= np.where(flagged.fill_null(False).to_numpy(), SNAPSHOT, DEPTH)
        else:
            rows[:, META] |= DEPTH
        rows[:, PRICE] = _price(block, table, table.price, needed=True)
        rows[:, SIZE] = _size(block, table, table.size)
        one.counts.level_rows += len(rows)
        one.grid.note(rows[:, PRICE], rows[:, SIZE])
        if held is not None:
            held[:, META] &= ~(MORE | FIRST)
            rows = np.concatenate([held, rows])
        kind = rows[:, META] & 0xFF
        joins = np.zeros(len(rows), bool)
        joins[1:] = (np.diff(rows[:, EXCH]) == 0) & (np.diff(rows[:, LOCAL]) == 0) & (np.diff(kind) == 0)
        rows[~joins & (kind == SNAPSHOT), META] |= FIRST
        rows[:-1, META] |= np.where(joins[1:], MORE, 0)
        last = int(np.flatnonzero(~joins)[-1])
        self._spool.add(rows[:last], priority=BOOK_LAST)
        return rows[last:].copy()

    # -- trades -----------------------------------------------------------------------------------

    def _sides(self, block: TableBlock, table: Table) -> Ints:
        texts = words(block.frame[table.side])
        buying = texts.is_in([word.lower() for word in table.buy]).fill_null(False).to_numpy()
        selling = texts.is_in([word.lower() for word in table.sell]).fill_null(False).to_numpy()
        wrong = buying == selling
        if wrong.any():
            row = int(np.argmax(wrong))
            raise block.error(
                row, f"{table.side} is {texts[row]!r}, not one of {', '.join(table.buy)} or {', '.join(table.sell)}"
            )
        sides: Ints = np.where(buying, BUY_BIT, SELL_BIT).astype(np.int64)
        return sides

    def _trades(self, one: _Instrument, block: TableBlock, table: Table, exch: Ints, local: Ints) -> None:
        rows = np.empty((len(block.frame), WORDS), np.int64)
        rows[:, EXCH], rows[:, LOCAL] = exch, local
        rows[:, META] = _TRADE_META | one.bits
        rows[:, PRICE] = _price(block, table, table.price, needed=True)
        rows[:, SIZE] = _size(block, table, table.size, needed=True)
        nothing = (rows[:, PRICE] <= 0) | (rows[:, SIZE] <= 0)
        if nothing.any():
            raise block.error(int(np.argmax(nothing)), "a trade needs a price and a size above 0")
        one.counts.trades_read += len(rows)
        one.grid.note(rows[:, PRICE], rows[:, SIZE])
        if not table.side:
            one.sideless.append(rows)
            return
        rows[:, META] |= self._sides(block, table)
        first, last = self._spool.add(rows, priority=_TRADES_FIRST)
        if table.id:
            one.ids.append((np.arange(first, last, dtype=np.int64), _ids(block, table.id)))

    def finish(self) -> None:
        """Infer missing sides and leave out repeated trades."""
        for one in self._instruments.values():
            if one.sideless:
                self._infer(one)
            if one.ids:
                numbers, ids = (np.concatenate(parts) for parts in zip(*one.ids, strict=True))
                again = ~first_of_each(ids)
                one.counts.trades_duplicate_dropped = int(again.sum())
                self._spool.drop(numbers[again])
            one.counts.trades_kept = one.counts.trades_read - one.counts.trades_duplicate_dropped

    def _infer(self, one: _Instrument) -> None:
        rows = np.concatenate(one.sideless)
        one.sideless = []
        rows = rows[np.argsort(rows[:, EXCH], kind="stable")]
        parts = one.quotes or [(np.empty(0, np.int64),) * 3]
        book_ns, bid, ask = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(book_ns, kind="stable")
        side, counts = infer_sides(rows[:, EXCH], rows[:, PRICE], book_ns[order], bid[order], ask[order], one.slack)
        one.counts.sides_inferred = counts
        rows[:, META] |= np.where(side > 0, BUY_BIT, np.where(side < 0, SELL_BIT, 0))
        self._spool.add(rows, priority=_TRADES_FIRST)

    # -- what is said of it -----------------------------------------------------------------------

    def notes(self) -> list[str]:
        """Say in sentences what was assumed."""
        found = []
        for start in sorted(self._one_clock):
            found.append(f"{start} {self._latency / 1e6:g} ms was taken (an assumption of the mapping)")
        found += sorted(self._assumed_sizes)
        for index, one in sorted(self._instruments.items()):
            name, counts = self.roster.names[index], one.counts
            if counts.locked_books_widened:
                found.append(
                    f"{name}: {counts.locked_books_widened:,} locked books were cut-down prices with a spread below "
                    "the step: their best ask was moved up to just below the next step"
                )
            sides = counts.sides_inferred
            if sides is not None:
                found.append(
                    f"{name}: aggressor sides were not recorded and are inferred: {sides.by_touch:,} by the touch, "
                    f"{sides.by_mid:,} by the mid, {sides.by_last_price:,} by the last price, {sides.unknown:,} unknown"
                )
            rules = self._mapping.rules(name)
            if not (self._request.tick or rules.tick) or not (self._request.lot or rules.lot):
                found.append(f"{name}: price or size step inferred from what was seen")
        return found

    def statistics(self) -> dict[str, Any]:
        """Return what became of every instrument's rows."""
        return {
            self.roster.names[index]: msgspec.to_builtins(one.counts)
            for index, one in sorted(self._instruments.items())
        }


def _price(block: TableBlock, table: Table, name: str, *, needed: bool = False) -> Ints:
    return exact(block, block.frame[name], RAW_PRICE_DECIMALS, counts=table.price_decimals, needed=needed)


def _size(block: TableBlock, table: Table, name: str, *, needed: bool = False) -> Ints:
    return exact(block, block.frame[name], RAW_SIZE_DECIMALS, counts=table.size_decimals, needed=needed)


def _ids(block: TableBlock, name: str) -> Ints:
    series = block.frame[name]
    if series.dtype.is_integer():
        numbers: Ints = series.cast(pl.Int64).fill_null(-1).to_numpy()
        return numbers
    hashes: Ints = series.cast(pl.String).hash(1).reinterpret(signed=True).to_numpy()
    return hashes


def _padded(values: Ints, depth: int) -> Ints:
    if values.shape[1] == depth:
        return values
    wide = np.zeros((len(values), depth), np.int64)
    wide[:, : values.shape[1]] = values
    return wide


def _best_prices(price: Ints, size: Ints) -> tuple[Ints, Ints]:
    """Return the best bid and ask of books of shape (books, 2 x depth), 0 where a side is empty."""
    depth = price.shape[1] // 2
    there = (price > 0) & (size > 0)
    bid: Ints = np.where(there[:, :depth], price[:, :depth], 0).max(axis=1)
    far = np.int64(1 << 62)
    ask: Ints = np.where(there[:, depth:], price[:, depth:], far).min(axis=1)
    return bid, np.where(ask == far, 0, ask)
