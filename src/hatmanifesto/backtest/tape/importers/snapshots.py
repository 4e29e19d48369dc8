"""Visible books as arrays: which snapshots to keep, and their rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, WORDS, Rows
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, filled
from hatmanifesto.backtest.tape.importers.grid import Grid
from hatmanifesto.backtest.tape.importers.request import malformed
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BUY_BIT,
    CHANNEL_BOOK,
    CHANNEL_SHIFT,
    FIRST,
    INSTRUMENT_SHIFT,
    MORE,
    SELL_BIT,
    SNAPSHOT,
)

BOOK_LAST: Final = 2
"""Where channels share a timestamp the order is trades (0), best prices (1), books."""
_META: Final = SNAPSHOT | CHANNEL_BOOK << CHANNEL_SHIFT
_BATCH: Final = 2_000


class TextLevel(msgspec.Struct, frozen=True):
    """A level of Hyperliquid's messages: price and size as decimal text."""

    px: str
    sz: str


Levels = tuple[list[TextLevel], list[TextLevel]]


class TextSnapshot(msgspec.Struct, frozen=True):
    """A book as text, and where it was read."""

    path: Path
    line: int
    exch_ns: int
    local_ns: int
    levels: Levels


class SnapshotCounts(msgspec.Struct):
    """What became of a coin's snapshots. Locked ones (best bid = best ask) are kept."""

    read: int = 0
    kept: int = 0
    repeated_dropped: int = 0
    crossed_dropped: int = 0
    one_sided_dropped: int = 0
    locked: int = 0


class Snapshots:
    """Decides which snapshots of one coin to keep, over many batches."""

    def __init__(self, counts: SnapshotCounts, *, strict: bool) -> None:
        self._counts = counts
        self._strict = strict
        self._last: NDArray[np.int64] | None = None

    def keep(
        self,
        exch: NDArray[np.int64],
        price: NDArray[np.int64],
        size: NDArray[np.int64],
        error: Callable[[int, str], UserError],
    ) -> NDArray[np.bool_]:
        """Return which snapshots to keep.

        `price` and `size` have shape (snapshots, 2 x depth), bids first, 0 where there is no level.
        With strict, `error(row, why)` is raised for the first crossed or one-sided one.
        """
        depth = price.shape[1] // 2
        there = (price > 0) & (size > 0)
        bids, asks = there[:, :depth].any(axis=1), there[:, depth:].any(axis=1)
        best_bid = np.where(there[:, :depth], price[:, :depth], 0).max(axis=1)
        best_ask = np.where(there[:, depth:], price[:, depth:], np.int64(1 << 62)).min(axis=1)
        one_sided = ~(bids & asks)
        crossed = ~one_sided & (best_bid > best_ask)
        if self._strict and (one_sided | crossed).any():
            row = int(np.argmax(one_sided | crossed))
            raise error(row, "the snapshot is crossed" if crossed[row] else "the snapshot has an empty side")
        whole = np.concatenate([exch[:, None], price, size], axis=1)
        repeated = np.zeros(len(exch), bool)
        repeated[1:] = (whole[1:] == whole[:-1]).all(axis=1)
        if self._last is not None and len(self._last) == whole.shape[1] and len(exch):
            repeated[0] = bool((whole[0] == self._last).all())
        if len(exch):
            self._last = whole[-1]
        kept: NDArray[np.bool_] = ~(one_sided | crossed | repeated)
        counts = self._counts
        counts.read += len(exch)
        counts.kept += int(kept.sum())
        counts.repeated_dropped += int(repeated.sum())
        counts.crossed_dropped += int((crossed & ~repeated).sum())
        counts.one_sided_dropped += int((one_sided & ~repeated).sum())
        counts.locked += int((kept & (best_bid == best_ask)).sum())
        return kept


def snapshot_rows(
    exch: NDArray[np.int64],
    local: NDArray[np.int64],
    price: NDArray[np.int64],
    size: NDArray[np.int64],
    instrument: int,
) -> Rows:
    """Return one SNAPSHOT message a snapshot, bids then asks; `instrument` is its index shifted."""
    count, levels = price.shape
    rows = np.empty((count, levels, WORDS), np.int64)
    rows[:, :, EXCH] = exch[:, None]
    rows[:, :, LOCAL] = local[:, None]
    rows[:, : levels // 2, META] = _META | BUY_BIT | MORE | instrument
    rows[:, levels // 2 :, META] = _META | SELL_BIT | MORE | instrument
    rows[:, :, PRICE] = price
    rows[:, :, SIZE] = size
    there = (price > 0) & (size > 0)
    each = np.arange(count)
    rows[each, np.argmax(there, axis=1), META] |= FIRST
    rows[each, levels - 1 - np.argmax(there[:, ::-1], axis=1), META] &= ~MORE
    flat: Rows = rows.reshape(-1, WORDS)
    return flat if there.all() else flat[there.reshape(-1)]


class SnapshotTexts:
    """One coin's books, read as text, into the spool, some thousand at a time."""

    def __init__(
        self, spool: Spool, index: int, *, price_scale: int, size_scale: int, strict: bool, grid: Grid | None = None
    ) -> None:
        self._spool = spool
        self._instrument = index << INSTRUMENT_SHIFT
        self._price_scale = price_scale
        self._size_scale = size_scale
        self._grid = grid
        self._waiting: list[TextSnapshot] = []
        self.counts = SnapshotCounts()
        self._snapshots = Snapshots(self.counts, strict=strict)
        self.times: list[Rows] = []
        """[exchange, receiver] times of the books kept."""
        self.largest_price = 0
        self.largest_size = 0

    def add(self, snapshot: TextSnapshot) -> None:
        """Take the next book."""
        self._waiting.append(snapshot)
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Bring what waits into the spool; raises UserError naming file and line."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        depth = max(1, max(len(side) for snapshot in waiting for side in snapshot.levels))
        price = self._field(waiting, depth, "px", self._price_scale)
        size = self._field(waiting, depth, "sz", self._size_scale)
        exch = np.array([snapshot.exch_ns for snapshot in waiting], np.int64)
        local = np.array([snapshot.local_ns for snapshot in waiting], np.int64)
        keep = self._snapshots.keep(
            exch, price, size, lambda row, why: malformed(waiting[row].path, waiting[row].line, why)
        )
        rows = snapshot_rows(exch[keep], local[keep], price[keep], size[keep], self._instrument)
        if len(rows):
            self.largest_price = max(self.largest_price, int(rows[:, PRICE].max()))
            self.largest_size = max(self.largest_size, int(rows[:, SIZE].max()))
            if self._grid is not None:
                self._grid.note(rows[:, PRICE], rows[:, SIZE])
            self.times.append(np.stack([exch[keep], local[keep]], axis=1))
            self._spool.add(rows, priority=BOOK_LAST)

    def _field(self, waiting: list[TextSnapshot], depth: int, field: str, scale: int) -> NDArray[np.int64]:
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
