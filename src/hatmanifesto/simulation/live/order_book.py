"""One instrument's real book: every order in the queue of its level, best level first.

A side keeps its levels by key (side x price, so that a greater key is better) and the keys in a sorted
list, best last. A level's queue is a chain through its orders: joining and leaving cost the same anywhere.
"""

from bisect import bisect_left
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.live.orders import RESTING, LiveOrder


@final
class Level:
    """The queue at one price, oldest first."""

    def __init__(self, key: i64, price: i64) -> None:
        self.key: Final[i64] = key
        self.price: Final[i64] = price
        self.size: i64 = 0
        self.count: i64 = 0
        self.first: LiveOrder | None = None
        self.last: LiveOrder | None = None

    def orders(self) -> list[LiveOrder]:
        """Return its orders, oldest first."""
        found: list[LiveOrder] = []
        order = self.first
        while order is not None:
            found.append(order)
            order = order.behind
        return found


@final
class LiveSide:
    """The levels of one side. `changed` collects the keys of levels that changed since they were last reported."""

    def __init__(self, side: i64) -> None:
        self.side: Final[i64] = side
        self.levels: Final[dict[int, Level]] = {}
        self.keys: Final[list[int]] = []
        self.best: Level | None = None
        self.changed: Final[dict[int, bool]] = {}

    def join(self, order: LiveOrder) -> None:
        """Put an order at the back of its level's queue."""
        key = order.price * self.side
        level = self.levels.get(int(key))
        if level is None:
            level = Level(key, order.price)
            self.levels[int(key)] = level
            keys = self.keys
            if not keys or int(key) > keys[-1]:
                keys.append(int(key))
                self.best = level
            else:
                keys.insert(bisect_left(keys, int(key)), int(key))
        last = level.last
        order.before = last
        order.behind = None
        if last is None:
            level.first = order
        else:
            last.behind = order
        level.last = order
        level.size += order.remaining
        level.count += 1
        order.place = RESTING
        self.changed[int(key)] = True

    def leave(self, order: LiveOrder, place: i64) -> None:
        """Take an order out of its queue; `place` says where it is now."""
        key = int(order.price * self.side)
        level = self.levels[key]
        before = order.before
        behind = order.behind
        if before is None:
            level.first = behind
        else:
            before.behind = behind
        if behind is None:
            level.last = before
        else:
            behind.before = before
        order.before = None
        order.behind = None
        order.place = place
        level.size -= order.remaining
        level.count -= 1
        self.changed[key] = True
        if level.count == 0:
            del self.levels[key]
            keys = self.keys
            if keys[-1] == key:
                keys.pop()
                self.best = self.levels[keys[-1]] if keys else None
            else:
                del keys[bisect_left(keys, key)]

    def reduce(self, order: LiveOrder, size: i64) -> None:
        """Fill part of a resting order; it keeps its place."""
        key = int(order.price * self.side)
        self.levels[key].size -= size
        order.remaining -= size
        self.changed[key] = True

    def best_price(self) -> i64:
        """Return the best price, 0 when the side is empty."""
        best = self.best
        return 0 if best is None else best.price

    def top(self, depth: int) -> list[Level]:
        """Return the best levels, best first, at most `depth`."""
        return [self.levels[key] for key in reversed(self.keys[-depth:])]


@final
class LiveBook:
    """Both sides."""

    def __init__(self) -> None:
        self.bids: Final[LiveSide] = LiveSide(1)
        self.asks: Final[LiveSide] = LiveSide(-1)

    def of(self, side: i64) -> LiveSide:
        """Return the side on which an order of this side rests."""
        return self.bids if side > 0 else self.asks

    def mid(self) -> i64:
        """Return the mid price rounded down to a price unit, 0 while a side is empty."""
        bid = self.bids.best_price()
        ask = self.asks.best_price()
        return (bid + ask) // 2 if bid > 0 and ask > 0 else 0

    def crossed(self) -> bool:
        """Tell whether the best bid is at or above the best ask, which never holds between actions."""
        bid = self.bids.best_price()
        ask = self.asks.best_price()
        return bid > 0 and ask > 0 and bid >= ask
