"""Trades that a venue sends a second time: the backlog on every subscription, and repeated trade ids."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import Rows

_RECONNECT_NS: Final = 60_000_000_000
"""A pause of the book feed longer than this counts as a reconnect, with a backlog of trades after it."""
_BACKLOG_EARLY_NS: Final = 10_000_000_000
"""A backlog arrives at most this long before the first book row of its connection."""


def backlog(trades: Rows, book_times: list[Rows]) -> NDArray[np.bool_]:
    """Tell which trades the venue repeated on a subscription, from before the book it then sent.

    `trades` and each of `book_times` have the columns [exchange, receiver], nanoseconds.
    """
    late = np.zeros(len(trades), bool)
    if not book_times:
        return late
    book = np.concatenate(book_times)
    book = book[np.argsort(book[:, 0], kind="stable")]
    after = np.searchsorted(book[:, 0], trades[:, 0], side="right")
    ahead = after < len(book)
    following = book[np.minimum(after, len(book) - 1)]
    before = np.where(after > 0, book[np.maximum(after - 1, 0), 0], np.int64(-(1 << 62)))
    paused = following[:, 0] - before > _RECONNECT_NS
    resent = trades[:, 1] >= following[:, 1] - _BACKLOG_EARLY_NS
    late[:] = (after == 0) | (ahead & paused & resent)
    return late


def first_of_each(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which ids are there for the first time."""
    once = np.zeros(len(ids), bool)
    once[np.unique(ids, return_index=True)[1]] = True
    return once
