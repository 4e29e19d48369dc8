"""A market for the NautilusTrader workloads: quotes (L1) and level changes (L2) of a random walk, as arrays.

Times are in ns, prices in ticks of 0.1, sizes in lots of 0.001. L1 has the arrays `ts bid_px ask_px bid_sz ask_sz`; L2
has `ts action side px sz last`, where `action` is 1 (a new level), 2 (another size), 3 (gone) or 4 (the book is
emptied, first of all), and `last` ends a batch. No book is crossed at the end of a batch. Where the workloads have
files of their own at hand, the benchmark takes those.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.int64]]

START_NS = 1_700_000_000_000_000_000
MIDDLE = 600_000
LARGEST = 20_000
ADD, UPDATE, DELETE, CLEAR = 1, 2, 3, 4
BUY, SELL = 1, 2
_DEPTH = 50
_BATCH = 10


def quotes(count: int, seed: int) -> Arrays:
    """Make `count` quotes, one each 10 ms on average, with a spread of one to three ticks."""
    random = np.random.default_rng((seed, 1))
    spread = random.integers(1, 4, count)
    walk = np.cumsum(np.rint(random.normal(0.0, 0.75, count)).astype(np.int64))
    bid = MIDDLE + walk - spread // 2
    return {
        "ts": _times(random, count, 10e6),
        "bid_px": bid,
        "ask_px": bid + spread,
        "bid_sz": random.integers(1, LARGEST, count),
        "ask_sz": random.integers(1, LARGEST, count),
    }


def deltas(count: int, seed: int) -> Arrays:
    """Make `count` level changes in batches of about ten, one each 20 ms on average."""
    random = np.random.default_rng((seed, 2))
    book = _Book(random)
    while len(book.changes) < count:
        begin = len(book.changes)
        if random.random() < 0.3:
            book.step(1 if random.random() < 0.5 else -1)
        while len(book.changes) - begin < _BATCH:
            book.touch_some_level()
        book.end_batch(max(1_000, int(random.exponential(20e6))))
    columns = np.array(book.changes[:count], np.int64).T
    found = dict(zip(("ts", "action", "side", "px", "sz", "last"), columns, strict=True))
    found["last"][-1] = 1
    return found


class _Book:
    """Levels by side, and the changes made to them."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._now = START_NS
        self._best = {BUY: MIDDLE, SELL: MIDDLE + 1}
        self._levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.changes: list[list[int]] = []
        self._change(CLEAR, 0, 0, 0)
        for place in range(_DEPTH):
            for side in (BUY, SELL):
                self._set(side, self._behind(side, place))
        self.end_batch(0)

    def _behind(self, side: int, ticks: int) -> int:
        return self._best[side] - ticks if side == BUY else self._best[side] + ticks

    def _change(self, action: int, side: int, price: int, size: int) -> None:
        self.changes.append([self._now, action, side, price, size, 0])

    def _set(self, side: int, price: int) -> None:
        levels = self._levels[side]
        size = int(self._random.integers(1, LARGEST))
        self._change(UPDATE if price in levels else ADD, side, price, size)
        levels[price] = size

    def _delete(self, side: int, price: int) -> None:
        if self._levels[side].pop(price, None) is not None:
            self._change(DELETE, side, price, 0)

    def step(self, direction: int) -> None:
        """Move both best prices a tick: the side in the way loses its level first, the other one gains one."""
        given, taken = (SELL, BUY) if direction > 0 else (BUY, SELL)
        self._delete(given, self._best[given])
        for side in (given, taken):
            self._best[side] += direction
            self._set(side, self._best[side])
        self._delete(taken, self._behind(taken, _DEPTH))

    def touch_some_level(self) -> None:
        """Set or, behind the best, sometimes delete a level, mostly near the best."""
        side = BUY if self._random.random() < 0.5 else SELL
        place = min(int(self._random.geometric(0.12)) - 1, _DEPTH - 1)
        price = self._behind(side, place)
        if place and price in self._levels[side] and self._random.random() < 0.15:
            self._delete(side, price)
        else:
            self._set(side, price)

    def end_batch(self, pause_ns: int) -> None:
        """End the batch and wait."""
        self.changes[-1][-1] = 1
        self._now += pause_ns


def _times(random: np.random.Generator, count: int, mean_ns: float) -> npt.NDArray[np.int64]:
    gaps = np.maximum(random.exponential(mean_ns, count).astype(np.int64), 1_000)
    times: npt.NDArray[np.int64] = START_NS + np.cumsum(gaps)
    return times


def load(path: Path, count: int) -> Arrays:
    """Read the first `count` events of a file in this layout."""
    with np.load(path) as stored:
        found = {name: stored[name][:count].astype(np.int64) for name in stored.files if stored[name].shape}
    if "last" in found and len(found["last"]):
        found["last"][-1] = 1
    return found
