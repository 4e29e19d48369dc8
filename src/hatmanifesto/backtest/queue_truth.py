"""True queue positions from level-3 events: what an order at a given place would have met, and what really came.

A *case* is a limit order whose fate the level-3 data knows: either a real one (its size is then taken out of the
projection, since an own order is on no tape) or a hypothetical one right behind a real order, which the market
cannot react to. The truth is priority by price and time: everything that stood before it must be gone before a
print reaches it. The projection is what a tape would show of the case's level: totals and prints, no orders.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import META, PRICE, SIZE
from hatmanifesto.backtest.tape.importers.bitstamp_events import CUT, HIT, JOIN, LEAVE, Level3
from hatmanifesto.backtest.tape.importers.bitstamp_l3 import project_level2
from hatmanifesto.model.market_row import BUY_BIT, CHANNEL_BOOK, DEPTH, KIND_MASK, SELL_BIT, TRADE, make_meta

Columns = NDArray[np.int64]
NO_ORDER: Final = 0
GONE: Final = -1


class Case(NamedTuple):
    """One order: where and when it joins, what a tape shows from then on, and its true fate.

    `rows` are (exch_ns, meta, price, size) of its level, of prints at or through its price and of opposite sizes that
    would meet it; `ahead` is what truly stood before it just before each row, GONE once it has filled. `shown` is the
    level when it joins. `fills` are (exch_ns, size); `end_ns` is when it is cancelled, `distance` the way to the best.
    """

    side: int
    price: int
    size: int
    start_ns: int
    end_ns: int
    behind_id: int
    distance: int
    shown: int
    rows: list[tuple[int, int, int, int]]
    ahead: list[int]
    fills: list[tuple[int, int]]

    def filled(self) -> int:
        """Return how much of it truly filled."""
        return sum(size for _, size in self.fills)


class Truth:
    """Level-3 events with what is needed to follow single levels."""

    def __init__(self, events: Level3) -> None:
        self.events: Final = events
        rows = project_level2(events)
        after = rows[len(rows) - (len(events.kind) - events.opening) :]
        opening = events.opening
        self._total = np.concatenate([np.zeros(opening, np.int64), after[:, SIZE]])
        kinds = after[:, META] & KIND_MASK
        assert ((kinds == TRADE) == (events.kind[opening:] == HIT)).all()
        assert (after[:, PRICE] == events.price[opening:]).all()
        order = np.lexsort((np.arange(len(events.kind)), events.price, events.side))
        keys = np.stack([events.side[order], events.price[order]], axis=1)
        starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
        ends = np.r_[starts[1:], len(order)]
        self._levels = {
            (int(keys[start, 0]), int(keys[start, 1])): order[start:end]
            for start, end in zip(starts, ends, strict=True)
        }
        hits = np.flatnonzero(events.kind == HIT)
        self.hits: Final = {side: hits[events.side[hits] == side] for side in (1, -1)}
        self.best: Final = self._bests()

    def _bests(self) -> dict[int, Columns]:
        """Return the best price of each side after every event (0 while a side is empty)."""
        events = self.events
        total: dict[int, dict[int, int]] = {1: {}, -1: {}}
        best = {1: 0, -1: 0}
        found = {1: np.zeros(len(events.kind), np.int64), -1: np.zeros(len(events.kind), np.int64)}
        columns = (events.kind, events.side, events.price, events.quantity)
        for at, (kind, side, price, quantity) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            if kind != HIT:
                levels = total[side]
                left = levels.get(price, 0) + (quantity if kind == JOIN else -quantity)
                if left:
                    levels[price] = left
                    if not best[side] or (price - best[side]) * side > 0:
                        best[side] = price
                else:
                    levels.pop(price, None)
                    if price == best[side]:
                        best[side] = (max(levels) if side > 0 else min(levels)) if levels else 0
            found[1][at], found[-1][at] = best[1], best[-1]
        return found

    def queue_at(self, side: int, price: int, at: int) -> dict[int, int]:
        """Return the orders of a level before event `at`, oldest first, with their sizes."""
        events = self.events
        queue: dict[int, int] = {}
        for index in self._level(side, price, 0, at):
            kind, order_id = int(events.kind[index]), int(events.order_id[index])
            if kind == JOIN:
                queue[order_id] = int(events.quantity[index])
            elif kind == CUT:
                queue[order_id] -= int(events.quantity[index])
            elif kind == LEAVE:
                del queue[order_id]
        return queue

    def _level(self, side: int, price: int, start: int, stop: int) -> Columns:
        indices = self._levels.get((side, price), np.zeros(0, np.int64))
        return indices[np.searchsorted(indices, start) : np.searchsorted(indices, stop)]

    def contested(self, side: int, price: int, start: int, stop: int) -> bool:
        """Tell whether a print came at or through a price between two events."""
        hits = self.hits[side]
        hits = hits[np.searchsorted(hits, start) : np.searchsorted(hits, stop)]
        return bool(((price - self.events.price[hits]) * side >= 0).any())

    def after(self, ns: int) -> int:
        """Return the first event stamped later."""
        return int(np.searchsorted(self.events.exch_ns, ns, side="right"))

    def hypothetical(self, at: int, size: int, horizon_ns: int) -> Case:
        """Return the case of an order right behind the one that joins at event `at`, cancelled after the horizon."""
        events = self.events
        assert events.kind[at] == JOIN
        end_ns = int(events.exch_ns[at]) + horizon_ns
        return self._case(at, size, self.after(end_ns), end_ns, NO_ORDER)

    def real(self, at: int, horizon_ns: int) -> Case | None:
        """Return the case of the very order that joins at event `at`; None when its end is not known.

        It is cancelled when it was; one that filled stays wanted up to the horizon, so that a late prediction shows.
        """
        events = self.events
        order_id, side, price = int(events.order_id[at]), int(events.side[at]), int(events.price[at])
        left = size = int(events.quantity[at])
        hit = 0
        for index in self._level(side, price, at + 1, len(events.kind)):
            if events.order_id[index] != order_id:
                continue
            quantity = int(events.quantity[index])
            if events.kind[index] == HIT:
                hit += quantity
            elif events.kind[index] == JOIN:
                return None
            else:
                left -= quantity
                if left == 0 and hit < size:
                    return self._case(at, size, int(index), int(events.exch_ns[index]), order_id)
                if left == 0:
                    end_ns = int(events.exch_ns[at]) + horizon_ns
                    stop = max(self.after(end_ns), int(index) + 1)
                    return self._case(at, size, stop, max(end_ns, int(events.exch_ns[index])), order_id)
        return None

    def _case(self, at: int, size: int, stop: int, end_ns: int, order_id: int) -> Case:
        events = self.events
        side, price = int(events.side[at]), int(events.price[at])
        queue = self.queue_at(side, price, at + 1)
        own = queue.pop(order_id, 0)
        shown = sum(queue.values())
        # the queue ahead by order, and whatever of the real order's size the projection must leave out
        ahead = dict(queue)
        left = size
        follow = _Follower(side, price, shown, ahead, order_id, own, left)
        for index in self._relevant(side, price, at + 1, stop):
            follow.event(
                int(events.exch_ns[index]),
                int(events.kind[index]),
                int(events.order_id[index]),
                int(events.side[index]),
                int(events.price[index]),
                int(events.quantity[index]),
                int(self._total[index]),
            )
        best = int(self.best[side][at])
        return Case(
            side,
            price,
            size,
            int(events.exch_ns[at]),
            end_ns,
            int(events.order_id[at]),
            (best - price) * side,
            shown,
            follow.rows,
            follow.truth,
            follow.fills,
        )

    def _relevant(self, side: int, price: int, start: int, stop: int) -> Columns:
        """Return the events of a level, prints through it, and opposite orders at or through it."""
        events = self.events
        through = (price - events.price[start:stop]) * side >= 0
        own = events.side[start:stop] == side
        same = own & (events.price[start:stop] == price)
        hits = own & through & (events.kind[start:stop] == HIT)
        return np.flatnonzero(same | hits | (~own & through)) + start


class _Follower:
    """Follows one case event by event."""

    def __init__(
        self, side: int, price: int, shown: int, ahead: dict[int, int], order_id: int, own: int, left: int
    ) -> None:
        self._side = side
        self._price = price
        self._ahead = ahead
        self._ahead_total = shown
        self._order_id = order_id
        self._own = own
        self._left = left
        self._hit = 0
        self.rows: list[tuple[int, int, int, int]] = []
        self.truth: list[int] = []
        self.fills: list[tuple[int, int]] = []

    def event(self, ns: int, kind: int, order_id: int, side: int, price: int, quantity: int, total: int) -> None:
        before = self._ahead_total if self._left else GONE
        if kind == HIT:
            self._print(ns, order_id, price, quantity)
        elif side == self._side:
            if order_id == self._order_id:
                self._own -= quantity
                return  # the projection does not have this order, so nothing is seen
            if order_id in self._ahead and kind != JOIN:
                self._ahead[order_id] -= quantity
                self._ahead_total -= quantity
                if kind == LEAVE:
                    del self._ahead[order_id]
            self._show(ns, make_meta(DEPTH, side, CHANNEL_BOOK, 0), price, total - self._own, before)
        else:
            self._show(ns, make_meta(DEPTH, side, CHANNEL_BOOK, 0), price, total, before)
            if kind == JOIN and self._order_id == NO_ORDER:
                self._fill(ns, quantity)  # it would have met this order on its way into the book

    def _print(self, ns: int, order_id: int, price: int, quantity: int) -> None:
        before = self._ahead_total if self._left else GONE
        self._show(ns, make_meta(TRADE, -self._side, 0, 0), price, quantity, before)
        if self._order_id != NO_ORDER:
            if order_id == self._order_id:
                self._fill(ns, quantity)
        elif order_id not in self._ahead:
            self._fill(ns, quantity)

    def _show(self, ns: int, meta: int, price: int, size: int, before: int) -> None:
        self.rows.append((ns, meta, price, size))
        self.truth.append(before)

    def _fill(self, ns: int, quantity: int) -> None:
        size = min(quantity, self._left)
        if size > 0:
            self._left -= size
            self.fills.append((ns, size))


def snapshots(case: Case, interval_ns: int) -> Case:
    """Return the case as a feed shows it that reports levels only at whole intervals, and prints at once.

    The level when it joins stays the true one.
    """
    rows: list[tuple[int, int, int, int]] = []
    truth: list[int] = []
    waiting: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    boundary = 0
    for row, ahead in zip(case.rows, case.ahead, strict=True):
        ns, meta, price, _ = row
        if waiting and ns > boundary:
            rows += waiting.values()
            truth += [ahead] * len(waiting)
            waiting.clear()
        if meta & KIND_MASK == TRADE:
            rows.append(row)
            truth.append(ahead)
        else:
            boundary = -(-ns // interval_ns) * interval_ns
            waiting[meta & (BUY_BIT | SELL_BIT), price] = (boundary, *row[1:])
    late = [row for row in waiting.values() if row[0] <= case.end_ns]
    return case._replace(rows=rows + late, ahead=truth + [case.ahead[-1]] * len(late) if case.ahead else [])
