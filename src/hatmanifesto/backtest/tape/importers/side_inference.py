"""The aggressor's side of trades that were recorded without it, inferred from the book before them.

Source: Lee and Ready (1991), quote rule first, tick rule where the quotes do not decide.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray


class SideCounts(msgspec.Struct):
    """How the sides of trades were found; `unknown` ones have no book before them and no price change either."""

    by_touch: int = 0
    by_mid: int = 0
    by_last_price: int = 0
    unknown: int = 0


def infer_sides(
    exch_ns: NDArray[np.int64],
    price: NDArray[np.int64],
    book_ns: NDArray[np.int64],
    bid: NDArray[np.int64],
    ask: NDArray[np.int64],
    slack: int = 0,
) -> tuple[NDArray[np.int64], SideCounts]:
    """Return +1 (buyer), -1 (seller) or 0 for each trade, and how that was found.

    Trades and books are in order of the venue's clock, any unit of price. The book is the last one before the trade's
    stamp: one with the same stamp is usually what the trade left behind. With `slack` the book's prices were cut
    down to a coarser step: a true bid or ask lies up to `slack` above what is shown. A price that could be both sides,
    or is exactly between them, goes by the last different price.
    """
    before = np.searchsorted(book_ns, exch_ns, side="left") - 1
    known = before >= 0
    at = np.maximum(before, 0)
    if len(book_ns) == 0:
        known = np.zeros(len(exch_ns), bool)
        low = high = np.zeros(len(exch_ns), np.int64)
    else:
        low, high = bid[at], ask[at]
    could_sell = known & (price <= low + slack)
    could_buy = known & (price >= high)
    side = np.where(could_buy & ~could_sell, 1, np.where(could_sell & ~could_buy, -1, 0)).astype(np.int64)
    counts = SideCounts(by_touch=int((side != 0).sum()))
    inside = known & ~could_buy & ~could_sell
    twice_mid = low + high + slack
    by_mid = np.where(inside, np.sign(2 * price - twice_mid), 0)
    counts.by_mid = int((by_mid != 0).sum())
    side = np.where(side == 0, by_mid, side)
    open_yet = side == 0
    if open_yet.any():
        moved = np.sign(np.diff(price, prepend=price[:1])).astype(np.int64)
        last_move = np.maximum.accumulate(np.where(moved != 0, np.arange(len(moved)), 0))
        side = np.where(open_yet, moved[last_move], side)
        counts.by_last_price = int((open_yet & (side != 0)).sum())
    counts.unknown = int((side == 0).sum())
    return side, counts
