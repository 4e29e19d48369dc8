"""Import hftbacktest's event arrays (`.npz` with key `data`, or `.npy`), version 2, level 2.

Kinds: 1 depth → DEPTH, 2 trade → TRADE, 5 best price → BBO; 4 snapshot levels of the same timestamps
make one SNAPSHOT message. 3 (clear) inside such a group is what a SNAPSHOT does anyway; a clear that
stands alone becomes a SNAPSHOT of one row with price and size 0, an empty book. A clear of one side
only, or only up to a price, therefore empties more than it says: such clears are counted, and refused
with `strict`. Bits 31 and 30 tell who saw a row, the exchange, the receiver or both.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import (
    EXCH,
    LOCAL,
    META,
    PRICE,
    SIZE,
    WORDS,
    Footer,
    InstrumentSpec,
    Rows,
    Source,
    message_ends,
    time_sorted,
)
from hatmanifesto.backtest.tape.importers.request import (
    ImportRequest,
    Progress,
    damaged,
    describe_files,
    price_limit,
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
    MORE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
)

_BATCH: Final = 262_144
_FIELDS: Final = ("ev", "exch_ts", "local_ts", "px", "qty")
_CLEAR, _LEVEL = 3, 4
_META: Final = np.full(256, -1, np.int64)
_META[1] = DEPTH | CHANNEL_BOOK << CHANNEL_SHIFT
_META[2] = TRADE | CHANNEL_TRADES << CHANNEL_SHIFT
_META[_CLEAR] = _META[_LEVEL] = SNAPSHOT | CHANNEL_BOOK << CHANNEL_SHIFT
_META[5] = BBO | CHANNEL_BBO << CHANNEL_SHIFT


def import_npz(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from one file; raises UserError for wrong ticks, unknown kinds and damaged files."""
    if len(request.files) != 1:
        raise UserError("an hftbacktest tape is one file", "name exactly one .npz")
    if not request.tick or not request.lot:
        raise UserError(
            "hftbacktest files do not say their price and size steps",
            "add --tick and --lot: --tick 0.1 --lot 0.001",
        )
    path = request.files[0]
    converter = _Converter(path, _step(request.tick, "--tick"), _step(request.lot, "--lot"))
    statistics = _write_one_order(path, converter, writer, progress)
    if statistics is None:  # who saw what differs, or the clocks disagree: sort
        writer.restart()
        converter.reset()
        statistics = _write_two_orders(path, converter, writer, progress)
    if request.strict and converter.wide_clears:
        raise UserError(
            f"{path.name}: {converter.wide_clears} clear events are of one side or a price only",
            "import without --strict to empty the whole book there",
        )
    statistics["clears_widened_to_both_sides"] = converter.wide_clears
    name = request.name or path.name.split(".")[0]
    return writer.finish(
        instruments=[converter.instrument(name)],
        source=Source(
            format="hftbacktest",
            files=describe_files([path]),
            options={"tick": request.tick, "lot": request.lot, "name": name},
        ),
        statistics=statistics,
    )


def _write_one_order(
    path: Path, converter: "_Converter", writer: TapeWriter, progress: Progress
) -> dict[str, Any] | None:
    """Stream the file as it lies; None as soon as one order is not enough."""
    rows_read = messages = early = 0
    last = (-(1 << 62), -(1 << 62))
    writer.begin("exchange")
    for events, done, total in _batches(path):
        progress(done, total)
        rows, at = converter.rows(events, rows_read)
        rows_read += len(events)
        if len(rows) == 0:
            continue
        first = (int(rows[0, EXCH]), int(rows[0, LOCAL]))
        in_order = time_sorted(rows, EXCH) and time_sorted(rows, LOCAL)
        if not in_order or first[0] < last[0] or first[1] < last[1] or not (at == 3).all():
            return None
        last = (int(rows[-1, EXCH]), int(rows[-1, LOCAL]))
        writer.append(rows)
        ends = message_ends(rows) - 1
        messages += len(ends)
        early += int((rows[ends, LOCAL] < rows[ends, EXCH]).sum())
    return {"rows_read": rows_read, "messages": messages, "received_before_sent": early}


def _write_two_orders(path: Path, converter: "_Converter", writer: TapeWriter, progress: Progress) -> dict[str, Any]:
    rows_read = 0
    with Spool(writer.path.parent, keep_file_order=True) as spool:
        for events, done, total in _batches(path):
            progress(done, total)
            rows, at = converter.rows(events, rows_read)
            rows_read += len(events)
            spool.add(rows, at=at[message_ends(rows) - 1])
        return {"rows_read": rows_read, **spool.write(writer)}


class _Converter:
    """Event batches to rows, with what is learned on the way."""

    def __init__(self, path: Path, tick: tuple[int, int], lot: tuple[int, int]) -> None:
        self.path = path
        self.tick_size, self.price_scale = tick
        self.lot_size, self.size_scale = lot
        self.reset()

    def reset(self) -> None:
        """Forget what was counted, to read the file again."""
        self.wide_clears = 0
        self.largest_price = 0
        self.largest_size = 0

    def instrument(self, name: str) -> InstrumentSpec:
        """Return the instrument; money in 10^-9 where that is exact, so that ppb fees are."""
        money_scale = max(9, self.price_scale + self.size_scale)
        if money_scale > 12:
            raise UserError(
                f"tick and lot have {money_scale} decimals together, at most 12 are possible",
                "check --tick and --lot",
            )
        factor = int(10 ** (money_scale - self.price_scale - self.size_scale))
        return InstrumentSpec(
            name=name,
            venue="hftbacktest",
            price_scale=self.price_scale,
            size_scale=self.size_scale,
            money_scale=money_scale,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            max_price=price_limit(self.largest_price, self.largest_size, price_scale=self.price_scale, factor=factor),
        )

    def rows(self, events: NDArray[Any], first_row: int) -> tuple[Rows, NDArray[np.int64]]:
        """Return a batch's rows and who saw each (1 exchange, 2 receiver, 3 both)."""
        ev = events["ev"].astype(np.uint64).view(np.int64)
        kind = ev & 0xFF
        rows = np.empty((len(events), WORDS), np.int64)
        rows[:, EXCH] = events["exch_ts"]
        rows[:, LOCAL] = events["local_ts"]
        rows[:, META] = _META[kind]
        unknown = rows[:, META] < 0
        if unknown.any():
            row = int(np.argmax(unknown))
            raise UserError(
                f"{self.path.name}, row {first_row + row}: event kind {int(kind[row])} is not level 2",
                "export level 2: depth, trades, snapshots, best prices",
            )
        rows[:, META] |= ((ev >> 29) & 1) * BUY_BIT | ((ev >> 28) & 1) * SELL_BIT
        wrong_side = ((rows[:, META] & BUY_BIT != 0) == (rows[:, META] & SELL_BIT != 0)) & np.isin(kind, (1, 4, 5))
        if wrong_side.any():
            row = int(np.argmax(wrong_side))
            raise UserError(f"{self.path.name}, row {first_row + row}: a book row needs one side", "export it again")
        cleared = kind == _CLEAR
        clear_price = events["px"][cleared]
        price, size = events["px"], events["qty"]
        if cleared.any():
            price, size = np.where(cleared, 0.0, price), np.where(cleared, 0.0, size)
        rows[:, PRICE] = self._units(price, self.price_scale, self.tick_size, "price", "tick", first_row)
        rows[:, SIZE] = self._units(size, self.size_scale, self.lot_size, "size", "lot", first_row)
        if len(rows):
            self.largest_price = max(self.largest_price, int(rows[:, PRICE].max()))
            self.largest_size = max(self.largest_size, int(rows[:, SIZE].max()))
        at = (ev >> 31) & 1 | (((ev >> 30) & 1) << 1)
        grouped = (kind == _LEVEL) | cleared
        if grouped.any():
            kept = self._group_snapshots(rows, at, grouped, cleared, clear_price)
            rows, at = rows[kept], at[kept]
        seen = at != 0
        return (rows, at) if seen.all() else (rows[seen], at[seen])

    def _group_snapshots(
        self,
        rows: Rows,
        at: NDArray[np.int64],
        grouped: NDArray[np.bool_],
        cleared: NDArray[np.bool_],
        clear_price: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Flag runs of snapshot and clear rows as messages, in place; returns which rows stay."""
        joins = same_group(rows, at, grouped)
        group = np.cumsum(grouped & ~joins) - 1
        count = int(group[-1]) + 1
        has_levels = np.bincount(group[grouped & ~cleared], minlength=count) > 0
        alone = cleared & ~has_levels[group]
        kept: NDArray[np.bool_] = ~cleared | (alone & ~joins)
        if alone.any():
            sides = np.zeros((count, 2), bool)
            for column, bit in enumerate((BUY_BIT, SELL_BIT)):
                sides[group[alone & (rows[:, META] & bit != 0)], column] = True
            named, both = np.asarray(sides.any(axis=1)), np.asarray(sides.all(axis=1))
            one_sided = int((named & ~both).sum())
            at_price = np.zeros(len(rows), bool)
            at_price[cleared] = np.isfinite(clear_price) & (clear_price != 0)
            up_to_price = len(np.unique(group[alone & at_price & both[group]]))
            self.wide_clears += one_sided + up_to_price
            rows[alone, META] &= ~(BUY_BIT | SELL_BIT)
            rows[alone, PRICE] = 0
            rows[alone, SIZE] = 0
        where = np.flatnonzero(grouped & kept)
        numbers = group[where]
        starts = np.concatenate([[True], numbers[1:] != numbers[:-1]])
        rows[where[starts], META] |= FIRST
        rows[where[:-1][~starts[1:]], META] |= MORE
        return kept

    def _units(
        self, values: NDArray[np.float64], scale: int, step: int, what: str, step_name: str, first_row: int
    ) -> NDArray[np.int64]:
        scaled = values * float(10**scale)
        whole = np.rint(scaled)
        with np.errstate(invalid="ignore"):
            good = (np.abs(scaled - whole) <= 1e-6 + 1e-15 * np.abs(scaled)) & (whole >= 0) & (whole < 1e18)
        units: NDArray[np.int64] = np.where(good, whole, 0).astype(np.int64)
        if step != 1:
            good &= units % step == 0
        if not good.all():
            row = int(np.argmin(good))
            raise UserError(
                f"{self.path.name}, row {first_row + row}: {what} {values[row]} is off the {step_name} "
                f"{Decimal(step).scaleb(-scale)}",
                f"give the source's true step with --{step_name}",
            )
        return units


def same_group(rows: Rows, at: NDArray[np.int64], grouped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell for every row whether it continues the snapshot message of the row before it."""
    joins = np.zeros(len(rows), bool)
    joins[1:] = (
        grouped[1:]
        & grouped[:-1]
        & (rows[1:, EXCH] == rows[:-1, EXCH])
        & (rows[1:, LOCAL] == rows[:-1, LOCAL])
        & (at[1:] == at[:-1])
    )
    return joins


def _step(text: str, option: str) -> tuple[int, int]:
    """Return a decimal step as (units, scale): 0.5 is (5, 1)."""
    try:
        value = Decimal(text).normalize()
    except InvalidOperation:
        value = Decimal(0)
    exponent = value.as_tuple().exponent
    if not value.is_finite() or value <= 0 or not isinstance(exponent, int) or abs(exponent) > 12:
        raise UserError(f"{option} {text!r} is no positive decimal number", f"write it like {option} 0.1")
    scale = max(0, -exponent)
    return int(value.scaleb(scale)), scale


def _batches(path: Path) -> Iterator[tuple[NDArray[Any], int, int]]:
    """Yield (events, rows done, rows in all); a run of snapshot rows is never cut in two."""
    with _open_array(path) as (file, dtype, count):
        done = 0
        held = np.empty(0, dtype)
        while done < count:
            wanted = min(_BATCH, count - done)
            data = _read_exactly(file, wanted * dtype.itemsize, path)
            events = np.frombuffer(data, dtype)
            done += wanted
            if len(held):
                events = np.concatenate([held, events])
            cut = len(events) if done == count else _snapshot_start(events)
            held = events[cut:]
            if cut:
                yield events[:cut], done, count
        if file.read(1):
            raise damaged(path, "bytes follow the last event")


def _snapshot_start(events: NDArray[Any]) -> int:
    """Return where the run of snapshot rows that ends the batch begins."""
    kind = events["ev"] & 0xFF
    outside = np.flatnonzero((kind != _CLEAR) & (kind != _LEVEL))
    return int(outside[-1]) + 1 if len(outside) else 0


@contextmanager
def _open_array(path: Path) -> Iterator[tuple[IO[bytes], np.dtype[Any], int]]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if "data.npy" not in archive.namelist():
                    raise UserError(
                        f"{path.name} has no array `data`",
                        "save it with np.savez(path, data=events)",
                    )
                with archive.open("data.npy") as member:
                    yield (member, *_array_header(member, path))
        else:
            with path.open("rb") as file:
                yield (file, *_array_header(file, path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}", "check its name and permissions") from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise damaged(path, error) from error


def _array_header(file: IO[bytes], path: Path) -> tuple[np.dtype[Any], int]:
    if path.suffix == ".npz" and not zipfile.is_zipfile(path):
        raise damaged(path, "its zip directory is missing")
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError as error:
        raise damaged(path, error) from error
    missing = [name for name in _FIELDS if name not in (dtype.names or ())]
    if missing or len(shape) != 1:
        raise UserError(
            f"{path.name} holds no hftbacktest events (missing: {', '.join(missing) or 'one dimension'})",
            "export it with hftbacktest 2",
        )
    return dtype, int(shape[0])


def _read_exactly(file: IO[bytes], length: int, path: Path) -> bytes:
    parts = []
    left = length
    while left:
        part = file.read(left)
        if not part:
            raise damaged(path, "it ends before its last event")
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
