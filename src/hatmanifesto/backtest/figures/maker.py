"""All maker figures of a session, gathered batch by batch from its orders, its fills and the market around them."""

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import bps_text, exact_sum
from hatmanifesto.backtest.figures.lifetimes import EDGES, Lifetimes
from hatmanifesto.backtest.figures.markouts import (
    AT_FILL,
    HORIZONS,
    LONGEST,
    QUEUE_NAMES,
    Curve,
    Fills,
    queue_class,
)
from hatmanifesto.backtest.figures.quoting import BUCKETS, Quoting, Resting, uptime_json
from hatmanifesto.backtest.figures.shortfall import Shortfall
from hatmanifesto.backtest.figures.touches import Market
from hatmanifesto.backtest.order_history import (
    AHEAD,
    ARRIVAL_MID,
    ARRIVED_EXCH_NS,
    ASK,
    BID,
    CANCEL_NS,
    END_MID,
    ENDED_EXCH_NS,
    F_DECISION_MID,
    F_EXCH,
    F_FEE,
    F_INSTRUMENT,
    F_PLACE,
    F_PRICE,
    F_SIDE,
    F_SIZE,
    F_STRATEGY,
    F_TAKER,
    F_TS,
    FILLED,
    INSTRUMENT,
    PRICE,
    RESTING_EXCH_NS,
    SIDE,
    SIZE,
    STATE,
    STRATEGY,
    UNKNOWN_AHEAD,
    Followed,
)
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.money import format_decimal

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LATE_NS: Final = 60_000_000_000
"""The venue's word on an own order may be this old when it arrives; older stamps count from later on."""
FUTURE: Final = 1 << 62
COUNTED_TOGETHER: Final = 4_096
"""Fills that are added to the markout curves at once."""

# rows behind those of order_history in a block of fills
G_ARRIVAL_MID, G_AHEAD, G_RESTED_NS, G_MID = range(F_PLACE + 1, F_PLACE + 5)
G_LATER: Final = G_MID + 1
"""The first of as many rows as there are HORIZONS: twice the mid then, 0 = unknown."""
G_ROWS: Final = G_LATER + len(HORIZONS)


class Level:
    """Markout curves of the account, an instrument or a strategy."""

    def __init__(self, instrument: int = -1, strategy: int = -1) -> None:
        self.instrument: Final = instrument
        self.strategy: Final = strategy
        self.maker = Curve()
        self.taker = Curve()
        self.sides: Final = {"buy": Curve(), "sell": Curve()}
        self.queue: Final = {name: Curve() for name in QUEUE_NAMES}

    def add(self, block: Ints, fills: Fills, classes: Ints) -> None:
        """Take a block of fills whose future is known."""
        mine = np.ones(block.shape[1], dtype=bool)
        if self.instrument >= 0:
            mine &= block[F_INSTRUMENT] == self.instrument
        if self.strategy >= 0:
            mine &= block[F_STRATEGY] == self.strategy
        taker = mine & (block[F_TAKER] == 1)
        if taker.any():
            self.taker.add(fills, taker)
        maker = mine & ~taker
        if not maker.any():
            return
        self.maker.add(fills, maker)
        for side, curve in zip((1, -1), self.sides.values(), strict=True):
            curve.add(fills, maker & (block[F_SIDE] == side))
        for place in np.unique(classes[maker]).tolist():
            self.queue[QUEUE_NAMES[place]].add(fills, maker & (classes == place))


class Desk:
    """What is counted for one strategy on one instrument."""

    def __init__(self, strategy: int, instrument: int, edges: Ints) -> None:
        self.strategy: Final = strategy
        self.instrument: Final = instrument
        self.quoting = Quoting(edges)
        self.shortfall = Shortfall()
        self.lifetimes = Lifetimes()
        self.rebate = 0
        self.maker_notional = 0


class MakerFigures:
    """Feed it what OrderHistory followed; take settled fills; ask for the summary at the end."""

    def __init__(self, plan: SessionPlan, market: Market, begin_ns: int, end_ns: int) -> None:
        self.plan = plan
        self.market = market
        self.edges = np.linspace(begin_ns, max(begin_ns + 1, end_ns), BUCKETS + 1).astype(np.int64)
        self._settled: list[Ints] = []
        self._uncounted: list[Ints] = []
        self._waiting = 0
        self.cancels_in = np.zeros(BUCKETS, dtype=np.int64)
        self.fills_in = np.zeros(BUCKETS, dtype=np.int64)
        self._factors = np.array(
            [10 ** (plan.money_scale - entry.price_scale - entry.size_scale) for entry in plan.instruments]
        )
        self._pending: deque[Ints] = deque()
        self._until_ns = begin_ns
        self.desks = {(d.strategy, d.instrument): Desk(d.strategy, d.instrument, self.edges) for d in plan.desks}
        self.account = Level()
        self.instruments = [Level(instrument=index) for index in range(len(plan.instruments))]
        self.strategies = [Level(strategy=index) for index in range(len(plan.strategies))]
        # one of each: all levels are the same
        self._levels = [self.account]
        for levels in (self.instruments, self.strategies):
            if len(levels) == 1:
                levels[0] = self.account
            else:
                self._levels += levels

    # -- while the journal is read ----------------------------------------------------------------

    def follow(self, done: Followed, now_ns: int) -> None:
        """Take what a batch did; `now_ns` is its last record's time. Fills in the orders' and fills' market columns."""
        table = done.table
        stamps = [self._until_ns, now_ns - LATE_NS]
        for found in (table[ARRIVED_EXCH_NS, done.answered], table[ENDED_EXCH_NS, done.ended], done.fills[F_EXCH]):
            if len(found):
                stamps.append(int(found.max()))
        until = max(stamps)
        self._advance(table, done, until)
        block = self._block(done)
        if block.shape[1]:
            self._pending.append(block)
        self._count(done, block)
        self._quote(table, self._until_ns, until)
        self._until_ns = until
        self._settle()
        self.market.forget(min([until, *(int(one[F_EXCH].min()) for one in self._pending)]))

    def finish(self, working: Ints) -> None:
        """The journal has ended; `working` are the orders that still live."""
        self.market.finish()
        until = max(self._until_ns, self.market.known_ns)
        self._quote(working, self._until_ns, until)
        for index, window in enumerate(self.market.windows):
            mine = working[INSTRUMENT] == index
            working[END_MID, mine] = window.mid_at(np.full(int(mine.sum()), until))
        self._opportunity(working)
        self._settle(everything=True)

    def _advance(self, table: Ints, done: Followed, until: int) -> None:
        """Go on with the market and note what it showed on arrival and at the end of orders."""
        answered = done.answered
        rests = answered[table[RESTING_EXCH_NS, answered] > 0]
        table[AHEAD, rests] = self.market.advance(
            until, table[INSTRUMENT, rests], table[SIDE, rests], table[PRICE, rests], table[RESTING_EXCH_NS, rests]
        )
        for index, window in enumerate(self.market.windows):
            mine = answered[table[INSTRUMENT, answered] == index]
            table[ARRIVAL_MID, mine] = window.mid_at(table[ARRIVED_EXCH_NS, mine])
            mine = done.ended[table[INSTRUMENT, done.ended] == index]
            table[END_MID, mine] = window.mid_at(table[ENDED_EXCH_NS, mine])

    def _block(self, done: Followed) -> Ints:
        """Return the batch's fills with the market at their moment."""
        fills, table = done.fills, done.table
        block = np.zeros((G_ROWS, fills.shape[1]), dtype=np.int64)
        block[: F_PLACE + 1] = fills
        known = np.flatnonzero(fills[F_PLACE] >= 0)
        place = fills[F_PLACE, known]
        block[G_AHEAD] = UNKNOWN_AHEAD
        block[G_AHEAD, known] = table[AHEAD, place]
        block[G_ARRIVAL_MID, known] = table[ARRIVAL_MID, place]
        block[G_RESTED_NS, known] = np.where(
            table[RESTING_EXCH_NS, place] > 0, np.maximum(fills[F_EXCH, known] - table[RESTING_EXCH_NS, place], 0), 0
        )
        for index, window in enumerate(self.market.windows):
            mine = fills[F_INSTRUMENT] == index
            block[G_MID, mine] = window.mid_before(fills[F_EXCH, mine])
        return block

    def _count(self, done: Followed, block: Ints) -> None:
        table = done.table
        place = done.cancels[0][done.cancels[0] >= 0]
        self.cancels_in += np.bincount(self._bucket(table[CANCEL_NS, place]), minlength=BUCKETS)
        self.fills_in += np.bincount(self._bucket(block[F_TS]), minlength=BUCKETS)
        ended = table[:, done.ended]
        rested = ended[:, ended[RESTING_EXCH_NS] > 0]
        self._opportunity(ended)
        for desk in self.desks.values():
            factor = int(self._factors[desk.instrument])
            mine = (rested[STRATEGY] == desk.strategy) & (rested[INSTRUMENT] == desk.instrument)
            one = rested[:, mine]
            worth = one[PRICE] * factor
            desk.lifetimes.add_orders(
                one[RESTING_EXCH_NS], one[ENDED_EXCH_NS], one[STATE], one[SIZE] * worth, one[FILLED] * worth
            )
            desk.lifetimes.cancels += int(
                ((table[STRATEGY, place] == desk.strategy) & (table[INSTRUMENT, place] == desk.instrument)).sum()
            )
            own = block[:, (block[F_STRATEGY] == desk.strategy) & (block[F_INSTRUMENT] == desk.instrument)]
            desk.lifetimes.fills += own.shape[1]
            desk.rebate -= exact_sum(np.minimum(own[F_FEE], 0))
            desk.maker_notional += exact_sum((own[F_PRICE] * own[F_SIZE] * factor)[own[F_TAKER] == 0])
            desk.shortfall.add_fills(
                own[F_SIDE], own[F_PRICE], own[F_SIZE], own[F_FEE],
                own[F_DECISION_MID], own[G_ARRIVAL_MID], own[G_MID], np.full(own.shape[1], factor),
            )  # fmt: skip

    def _opportunity(self, orders: Ints) -> None:
        decision = np.where((orders[BID] > 0) & (orders[ASK] > 0), orders[BID] + orders[ASK], 0)
        for desk in self.desks.values():
            mine = (orders[STRATEGY] == desk.strategy) & (orders[INSTRUMENT] == desk.instrument)
            if mine.any():
                factor = np.full(int(mine.sum()), self._factors[desk.instrument])
                unfilled = (orders[SIZE] - orders[FILLED])[mine]
                desk.shortfall.add_unfilled(orders[SIDE, mine], unfilled, decision[mine], orders[END_MID, mine], factor)

    def _quote(self, table: Ints, begin_ns: int, end_ns: int) -> None:
        rests = table[:, table[RESTING_EXCH_NS] > 0]
        end = np.where(rests[ENDED_EXCH_NS] > 0, rests[ENDED_EXCH_NS], FUTURE)
        for desk in self.desks.values():
            mine = (rests[STRATEGY] == desk.strategy) & (rests[INSTRUMENT] == desk.instrument)
            orders = Resting(rests[RESTING_EXCH_NS, mine], end[mine], rests[SIDE, mine], rests[PRICE, mine])
            desk.quoting.add(orders, self.market.windows[desk.instrument], begin_ns, end_ns)

    def _settle(self, *, everything: bool = False) -> None:
        """Look up the future of the fills that have one by now, or of all."""
        known = self.market.known_ns
        while self._pending and (everything or int(self._pending[0][F_EXCH].max()) + LONGEST <= known):
            block = self._pending.popleft()
            for index, window in enumerate(self.market.windows):
                mine = block[F_INSTRUMENT] == index
                for row, horizon in enumerate(HORIZONS.values(), G_LATER):
                    then = block[F_EXCH, mine] + horizon
                    block[row, mine] = np.where(then <= known, window.mid_at(then), 0)
            self._settled.append(block)
            self._uncounted.append(block)
            self._waiting += block.shape[1]
        if self._waiting >= COUNTED_TOGETHER or (everything and self._uncounted):
            self._mark_out(np.concatenate(self._uncounted, axis=1))
            self._uncounted, self._waiting = [], 0

    def _mark_out(self, block: Ints) -> None:
        """Add fills whose future is known to the markout curves."""
        factor = self._factors[block[F_INSTRUMENT]]
        fills = Fills(
            block[F_EXCH], block[F_SIDE], block[F_PRICE], block[F_SIZE], factor, block[G_MID], list(block[G_LATER:])
        )
        classes = np.zeros(block.shape[1], dtype=np.int64)
        for index in range(len(self._factors)):
            mine = block[F_INSTRUMENT] == index
            classes[mine] = queue_class(
                block[G_AHEAD, mine], block[F_PRICE, mine], int(self._factors[index]), 10**self.plan.money_scale
            )
        for level in self._levels:
            level.add(block, fills, classes)

    def take_settled(self) -> Ints:
        """Return the fills settled since the last call, G_ROWS rows a column, in the journal's order."""
        settled = self._settled
        self._settled = []
        return np.concatenate([np.zeros((G_ROWS, 0), dtype=np.int64), *settled], axis=1)

    def _bucket(self, times: Ints) -> Ints:
        return np.clip(np.searchsorted(self.edges, times, side="right") - 1, 0, BUCKETS - 1)

    # -- afterwards -------------------------------------------------------------------------------

    def of_account(self) -> dict[str, Any]:
        """Return the figures of everything together."""
        return {"market": self.market.source, **self._figures(self.account, list(self.desks.values()))}

    def of_instrument(self, index: int) -> dict[str, Any]:
        """Return one instrument's figures, over all strategies."""
        return self._figures(self.instruments[index], [d for d in self.desks.values() if d.instrument == index])

    def of_strategy(self, index: int) -> dict[str, Any]:
        """Return one strategy's figures, over all instruments."""
        return self._figures(self.strategies[index], [d for d in self.desks.values() if d.strategy == index])

    def _figures(self, level: Level, desks: list[Desk]) -> dict[str, Any]:
        scale = self.plan.money_scale
        shortfall, lifetimes = Shortfall(), Lifetimes()
        for desk in desks:
            shortfall = shortfall.plus(desk.shortfall)
            lifetimes = lifetimes.plus(desk.lifetimes)
        captured = level.maker.points[AT_FILL]
        return {
            **uptime_json([desk.quoting for desk in desks]),
            **lifetimes.as_json(),
            "spread_captured": {
                "money": format_decimal(5 * captured.gain, scale + 1),
                "bps": bps_text(captured.gain, captured.notional),
            },
            "rebate": {
                "money": format_decimal(sum(desk.rebate for desk in desks), scale),
                "bps": bps_text(sum(desk.rebate for desk in desks), sum(desk.maker_notional for desk in desks)),
            },
            "markouts": level.maker.as_json(scale),
            "markouts_by_side": {name: curve.as_json(scale) for name, curve in level.sides.items()},
            "markouts_by_queue_ahead": {
                name: curve.as_json(scale) for name, curve in level.queue.items() if curve.points[AT_FILL].fills
            },
            "adverse_selection_bps": level.maker.adverse_selection_bps(),
            "taker_markouts": level.taker.as_json(scale) if level.taker.points[AT_FILL].fills else None,
            "shortfall": shortfall.as_json(scale),
        }

    def series(self) -> dict[str, Any]:
        """Return what only charts need: uptime, cancels and fills over time, the distribution of lifetimes."""
        quoted = sum((desk.quoting.quoted_in for desk in self.desks.values()), np.zeros(BUCKETS, dtype=np.int64))
        known = sum((desk.quoting.known_in for desk in self.desks.values()), np.zeros(BUCKETS, dtype=np.int64))
        lifetimes = Lifetimes()
        for desk in self.desks.values():
            lifetimes = lifetimes.plus(desk.lifetimes)
        seen = np.flatnonzero(lifetimes.counts)
        span = range(int(seen[0]), int(seen[-1]) + 1) if len(seen) else range(0)
        return {
            "edges_ns": self.edges.tolist(),
            "uptime_ppm": [
                None if all_ns == 0 else round(1e6 * ns / all_ns)
                for ns, all_ns in zip(quoted.tolist(), known.tolist(), strict=True)
            ],
            "cancels": self.cancels_in.tolist(),
            "fills": self.fills_in.tolist(),
            "lifetimes": [
                {
                    "from_ns": int(EDGES[at - 1]) if at else 0,
                    "orders": int(lifetimes.counts[at]),
                    "filled": int(lifetimes.filled_counts[at]),
                }
                for at in span
            ],
        }
