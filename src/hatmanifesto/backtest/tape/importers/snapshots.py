"""Visible books as arrays: which snapshots to keep, and their rows."""

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, WORDS, Rows
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BUY_BIT,
    CHANNEL_BOOK,
    CHANNEL_SHIFT,
    FIRST,
    MORE,
    SELL_BIT,
    SNAPSHOT,
)

_META = SNAPSHOT | CHANNEL_BOOK << CHANNEL_SHIFT


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
