"""One instrument's book of price levels, and the merge of a venue's feeds into it.

A side is a dense window of levels over the price, best end upward, so that a level update is one
store and bids and asks share one code path: a level's *key* is side x price, and a greater key is a
better price on either side. Levels far from the market lie in a dictionary until the market comes near.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.market_row import BBO, BUY_BIT, DEPTH, FIRST, KIND_MASK, MORE, SELL_BIT, SNAPSHOT
from hatmanifesto.model.words import store

WINDOW: Final = 1 << 16
"""Price units a side keeps densely."""
_HEADROOM: Final = 1 << 14
"""Units kept free above the best when the window is laid anew."""


def _next_occupied(levels: vec[i64], at: i64, low: i64) -> i64:
    """Return the first occupied level from `at` down to `low`, `low` - 1 when there is none."""
    while at >= low and levels[at] == 0:
        at -= 1
    return at


def _zeros(count: int) -> vec[i64]:
    levels = vec[i64](capacity=i64(count))
    for _ in range(count):
        levels = append(levels, i64(0))
    return levels


@final
class BookSide:
    """Levels of one side. `side` is +1 for bids, -1 for asks; sizes are totals at a price, never negative.

    Both sides of a book keep their levels in one array, each in a window of its own from `base` to `end`, so that a
    reader of rows can reach either without a branch: a level's index is side x price - origin.
    No count of levels is kept: an update of a level behind the best is one store. `low` bounds the scans.
    """

    def __init__(self, side: i64, levels: vec[i64], base: i64) -> None:
        self.side: Final[i64] = side
        self.levels: Final[vec[i64]] = levels
        self.base: Final[i64] = base
        self.end: Final[i64] = base + WINDOW
        self.origin: i64 = 0
        self.best: i64 = -1  # index of the best level in the window, -1 when there is none
        self.low: i64 = base + WINDOW  # no level of the window below this index is occupied
        self.far: dict[int, int] = {}  # key -> size, only keys below the window

    def set(self, price: i64, size: i64) -> bool:
        """Set a level's total size, 0 removes it; True when the level was or became the best one."""
        at = price * self.side - self.origin
        best = self.best
        if at < self.base or at >= self.end or best < 0:
            return self._set_outside(price * self.side, size)
        store(self.levels, at, size)
        if at < self.low:
            self.low = at
        if at < best:
            return False
        if size > 0:
            self.best = at
        elif at == best:
            self._find_best()
        return True

    def _find_best(self) -> None:
        """Find the best level after the best one was removed."""
        at = _next_occupied(self.levels, self.best, self.low)
        if at >= self.low:
            self.best = at
            return
        self.best = -1
        self.low = self.end
        if self.far:
            self._lay_window(max(self.far))

    def _set_outside(self, key: i64, size: i64) -> bool:
        """Handle a level outside the window, or the first level of an empty one."""
        if key - self.origin < self.base and self.best >= 0:
            if size > 0:
                self.far[int(key)] = int(size)
            else:
                self.far.pop(int(key), 0)
            return False
        if size == 0:
            self.far.pop(int(key), 0)
            return False
        at = key - self.origin
        if at < self.base + _HEADROOM or at >= self.end:  # outside, or with little room below
            self._lay_window(int(key))
            at = key - self.origin
        self.levels[at] = size
        if at > self.best:
            self.best = at
        if at < self.low:
            self.low = at
        return True

    def _lay_window(self, best_key: int) -> None:
        """Move the window so that best_key lies inside, with room above; no level is lost."""
        kept = self.occupied()
        levels = self.levels
        for at in range(self.base, self.end):
            levels[at] = 0
        self.origin = i64(best_key) - (self.end - _HEADROOM)
        self.best = -1
        self.low = self.end
        self.far = {}
        for key, size in kept:
            at2 = i64(key) - self.origin
            if at2 < self.base:
                self.far[key] = size
            else:
                levels[at2] = i64(size)
                if at2 > self.best:
                    self.best = at2
                if at2 < self.low:
                    self.low = at2

    def occupied(self) -> list[tuple[int, int]]:
        """Return every (key, size), best first: those of the window, then the far ones."""
        found: list[tuple[int, int]] = []
        at = self.best
        levels = self.levels
        while at >= self.low:
            size = levels[at]
            if size > 0:
                found.append((int(at + self.origin), int(size)))
            at -= 1
        for key in sorted(self.far, reverse=True):
            found.append((key, self.far[key]))
        return found

    def clear(self) -> None:
        """Remove every level."""
        at = self.best
        low = self.low
        levels = self.levels
        while at >= low:
            levels[at] = 0
            at -= 1
        self.best = -1
        self.low = self.end
        if self.far:
            self.far = {}

    def set_best(self, price: i64, size: i64) -> None:
        """Make this the best level: better ones no longer exist. Size 0 empties the side."""
        if size == 0:
            self.clear()
            return
        self.trim(price * self.side)
        self.set(price, size)

    def trim(self, key: i64) -> None:
        """Remove the levels better than a key."""
        levels = self.levels
        while self.best >= 0 and self.best + self.origin > key:
            levels[self.best] = 0
            self._find_best()

    def empty(self) -> bool:
        """Tell whether the side has no level at all."""
        return self.best < 0

    def best_price(self) -> i64:
        """Return the best price, 0 when the side is empty."""
        if self.best < 0:
            return 0
        return (self.best + self.origin) * self.side

    def reaches(self, price: i64) -> bool:
        """Tell whether the best level is at this price or better: an order at it from the other side would trade."""
        return self.best >= 0 and self.best + self.origin >= price * self.side

    def best_size(self) -> i64:
        """Return the size at the best price, 0 when the side is empty."""
        if self.best < 0:
            return 0
        return self.levels[self.best]

    def size_at(self, price: i64) -> i64:
        """Return the size at a price, 0 when there is none."""
        at = price * self.side - self.origin
        if self.base <= at < self.end:
            return self.levels[at]
        return i64(self.far.get(int(price * self.side), 0))

    def next_price(self, price: i64) -> i64:
        """Return the next worse occupied price, 0 when there is none."""
        at = price * self.side - self.origin - 1
        if at > self.best:
            at = self.best
        low = self.low
        levels = self.levels
        while at >= low:
            if levels[at] > 0:
                return (at + self.origin) * self.side
            at -= 1
        if self.far:
            below = [key for key in self.far if key < int(price * self.side)]
            if below:
                return i64(max(below)) * self.side
        return 0

    def worst_price(self) -> i64:
        """Return the worst occupied price, 0 when the side is empty: the edge of what is visible."""
        if self.far:
            return i64(min(self.far)) * self.side
        if self.best < 0:
            return 0
        at = self.low
        levels = self.levels
        while levels[at] == 0:
            at += 1
        self.low = at
        return (at + self.origin) * self.side


@final
class Book:
    """Both sides of one instrument, fed by rows in the order in which an observer learns of them.

    The merge rule, the same for the simulated exchange and the engine's market view: a snapshot replaces
    everything, but best prices (BBO) that the venue stamped later than the snapshot are applied again on
    top of it, the older first; a BBO older than the last snapshot or BBO is passed over. A BBO removes the levels
    that it proves gone, on its own side and on the other.
    """

    def __init__(self) -> None:
        self.levels: Final[vec[i64]] = _zeros(2 * WINDOW)
        self.bids: Final[BookSide] = BookSide(1, self.levels, 0)
        self.asks: Final[BookSide] = BookSide(-1, self.levels, WINDOW)
        self.bbo_bid_ts: i64 = 0
        self.bbo_bid: i64 = 0
        self.bbo_bid_size: i64 = 0
        self.bbo_ask_ts: i64 = 0
        self.bbo_ask: i64 = 0
        self.bbo_ask_size: i64 = 0
        self.snapshots: i64 = 0
        self.snapshot_ts: i64 = 0

    def apply(self, meta: i64, price: i64, size: i64, exch_ts: i64) -> None:
        """Apply one DEPTH, BBO or SNAPSHOT row; rows of other kinds are ignored."""
        kind = meta & KIND_MASK
        if kind == DEPTH:
            if meta & BUY_BIT:
                self.bids.set(price, size)
            else:
                self.asks.set(price, size)
        elif kind == BBO:
            self._apply_bbo(1 if meta & BUY_BIT else -1, price, size, exch_ts)
        elif kind == SNAPSHOT:
            if meta & FIRST:
                self.bids.clear()
                self.asks.clear()
            if size > 0:
                if meta & BUY_BIT:
                    self.bids.set(price, size)
                elif meta & SELL_BIT:
                    self.asks.set(price, size)
            if meta & MORE == 0:
                self.snapshots += 1
                self.snapshot_ts = exch_ts
                bid_first = self.bbo_bid_ts <= self.bbo_ask_ts
                if bid_first and self.bbo_bid_ts > exch_ts:
                    self._merge_bbo(1, self.bbo_bid, self.bbo_bid_size)
                if self.bbo_ask_ts > exch_ts:
                    self._merge_bbo(-1, self.bbo_ask, self.bbo_ask_size)
                if not bid_first and self.bbo_bid_ts > exch_ts:
                    self._merge_bbo(1, self.bbo_bid, self.bbo_bid_size)

    def _apply_bbo(self, side: i64, price: i64, size: i64, exch_ts: i64) -> None:
        if exch_ts < self.snapshot_ts:
            return
        if side > 0:
            if exch_ts < self.bbo_bid_ts:
                return
            self.bbo_bid_ts = exch_ts
            self.bbo_bid = price
            self.bbo_bid_size = size
        else:
            if exch_ts < self.bbo_ask_ts:
                return
            self.bbo_ask_ts = exch_ts
            self.bbo_ask = price
            self.bbo_ask_size = size
        self._merge_bbo(side, price, size)

    def _merge_bbo(self, side: i64, price: i64, size: i64) -> None:
        own = self.bids if side > 0 else self.asks
        other = self.asks if side > 0 else self.bids
        own.set_best(price, size)
        if size > 0:
            # an opposite level at this price or better would have traded: it is gone
            other.trim(-(price * side) - 1)

    def depth_limited(self) -> bool:
        """Tell whether the feed repeats snapshots, so that levels beyond the worst visible one are unknown."""
        return self.snapshots > 1

    def best_bid(self) -> i64:
        """Return the best bid price, 0 when there is none."""
        return self.bids.best_price()

    def best_ask(self) -> i64:
        """Return the best ask price, 0 when there is none."""
        return self.asks.best_price()

    def crossed(self) -> bool:
        """Tell whether the best bid is above the best ask."""
        return self.bids.best >= 0 and self.asks.best >= 0 and self.best_bid() > self.best_ask()

    def mid(self) -> i64:
        """Return the mid price rounded down to a price unit, 0 while a side is empty."""
        if self.bids.best < 0 or self.asks.best < 0:
            return 0
        return (self.best_bid() + self.best_ask()) >> 1
