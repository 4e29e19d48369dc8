"""A run's numbers, counted from the journal in exact integers: orders, intents, P&L parts, ratios."""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import exact_sum, ratio_text
from hatmanifesto.backtest.order_history import (
    ACKED_NS,
    CANCEL_REASON,
    ENDED_SEQ,
    F_DECISION_MID,
    F_FEE,
    F_INSTRUMENT,
    F_ORDER,
    F_POSITION,
    F_PRICE,
    F_REALIZED,
    F_SIDE,
    F_SIZE,
    F_STRATEGY,
    F_TAKER,
    INSTRUMENT,
    LIMIT,
    REASON,
    SIDE,
    STATE,
    STRATEGY,
    SUBMITTED_NS,
    VALUE,
    Followed,
)
from hatmanifesto.backtest.units import value_text
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order_state import CANCELLED, EXPIRED, FILLED, REJECTED
from hatmanifesto.model.position import Position, share_close, share_funding
from hatmanifesto.model.reasons import (
    CANCEL_OPERATOR,
    CANCEL_RISK,
    CANCEL_SHUTDOWN,
    CANCEL_WITHDRAWN,
    REASONS,
    VENUE_NO_MATCH,
    VENUE_POST_ONLY,
)

WITHDRAWN: Final = frozenset((CANCEL_WITHDRAWN, CANCEL_RISK, CANCEL_OPERATOR, CANCEL_SHUTDOWN))
_REQUOTED: Final = frozenset((VENUE_POST_ONLY, VENUE_NO_MATCH))
"""Rejections after which the router quotes the same intent again."""
_ENDS: Final = {FILLED: "filled", CANCELLED: "cancelled", REJECTED: "rejected", EXPIRED: "expired"}
_OPEN, _FILLED, _WITHDRAWN, _REFUSED, _PLACED = range(5)
"""What an order's beginning or end means for its intent; _OPEN: nothing, its side is quoted again."""
_OUTCOMES: Final = {_FILLED: "filled", _WITHDRAWN: "withdrawn", _REFUSED: "refused"}

Ints = NDArray[np.int64]


class Tally:
    """Orders and intents of one strategy on one instrument."""

    def __init__(self) -> None:
        self.orders: Counter[str] = Counter()
        self.intents: Counter[str] = Counter()
        self.working: set[int] = set()  # sides with an intent under way
        self.slippage = 0  # side x (2 x price - bid - ask) x size: twice the money, in units of price x size
        self.slippage_base = 0


class Statistics:
    """Counts while the journal is read; `summary` turns the counts into exact decimal text."""

    def __init__(self, plan: SessionPlan) -> None:
        self.plan = plan
        self._factors = [10 ** (plan.money_scale - entry.price_scale - entry.size_scale) for entry in plan.instruments]
        self.positions = [Position(factor) for factor in self._factors]
        self.desks: dict[tuple[int, int], tuple[Tally, Position]] = {}
        for desk in plan.desks:
            self._desk(desk.strategy, desk.instrument)
        self.denials: dict[int, list[Any]] = {}
        self.rejections: Counter[int] = Counter()
        self.cancels: Counter[int] = Counter()
        self.faults: Counter[int] = Counter()
        self.latency_sum = 0
        self.latency_count = 0
        self.latency_max = 0

    def _desk(self, strategy: int, instrument: int) -> tuple[Tally, Position]:
        found = self.desks.get((strategy, instrument))
        if found is None:
            found = self.desks[(strategy, instrument)] = (Tally(), Position(self._factors[instrument]))
        return found

    # -- while the journal is read ----------------------------------------------------------------

    def follow(self, done: Followed, fundings: list[tuple[int, int, int]]) -> None:
        """Count what a batch did to the orders, and book its fills and fundings.

        A funding says how many of the batch's fills come before it, the instrument and the amount.
        """
        table = done.table
        self.cancels.update(dict(enumerate(np.bincount(done.cancels[1]).tolist())))
        answered = done.answered[table[ACKED_NS, done.answered] > 0]
        self._latencies(table[ACKED_NS, answered] - table[SUBMITTED_NS, answered])
        ended = table[:, done.ended]
        reason = np.where(ended[REASON] > 0, ended[REASON], ended[CANCEL_REASON])
        refused = np.isin(ended[STATE], (REJECTED, EXPIRED))
        self.rejections.update(dict(enumerate(np.bincount(reason[refused]).tolist())))
        self._intents(table[:, done.submitted], done.submitted_seq, ended, _outcomes(ended[STATE], reason))
        for key in _desk_keys(done.denied):
            mine = _of_desk(done.denied, key)
            self._desk(*key)[0].orders["denied"] += int(mine.sum())
        for order in done.denied.T.tolist():
            self._denied(order[REASON], order[INSTRUMENT], order[VALUE], order[LIMIT])
        self._book(done.fills, fundings)

    def _latencies(self, waited: Ints) -> None:
        if len(waited):
            self.latency_sum += exact_sum(waited)
            self.latency_count += len(waited)
            self.latency_max = max(self.latency_max, int(waited.max()))

    def _intents(self, placed: Ints, placed_seq: Ints, ended: Ints, outcome: Ints) -> None:
        """Count orders and intents: an order begins an intent unless one is under way on its side of its desk."""
        both = np.concatenate((placed, ended), axis=1)
        seq = np.concatenate((placed_seq, ended[ENDED_SEQ]))
        what = np.concatenate((np.full(placed.shape[1], _PLACED), outcome))
        order = np.argsort(seq, kind="stable")
        both, what = both[:, order], what[order]
        for key in _desk_keys(both):
            tally = self._desk(*key)[0]
            mine = _of_desk(both, key)
            tally.orders["placed"] += int((mine & (what == _PLACED)).sum())
            for state, name in _ENDS.items():
                tally.orders[name] += int((mine & (what != _PLACED) & (both[STATE] == state)).sum())
            for side in (1, -1):
                steps = what[mine & (both[SIDE] == side) & (what != _OPEN)]
                if not len(steps):
                    continue
                # an intent is under way after an order was placed, and is not after an outcome
                before = np.concatenate(([side in tally.working], steps[:-1] == _PLACED))
                tally.intents["placed"] += int(((steps == _PLACED) & ~before).sum())
                for number, name in _OUTCOMES.items():
                    tally.intents[name] += int(((steps == number) & before).sum())
                if steps[-1] == _PLACED:
                    tally.working.add(side)
                else:
                    tally.working.discard(side)

    def _denied(self, reason: int, instrument: int, value: int, limit: int) -> None:
        known = self.denials.get(reason)
        if known is None:
            self.denials[reason] = [1, instrument, value, limit]
        else:
            known[0] += 1

    def _book(self, fills: Ints, fundings: list[tuple[int, int, int]]) -> None:
        """Book fills and fundings one by one: positions are a chain. Notes in the fills what booking gave."""
        left = fundings[::-1]
        for at, fill in enumerate(fills.T.tolist()):
            while left and left[-1][0] <= at:
                self.funding(*left.pop()[1:])
            values = (fill[F_SIDE], fill[F_PRICE], fill[F_SIZE], fill[F_FEE], fill[F_TAKER] == 1)
            if fill[F_ORDER] < 0:
                booked = self.forced_fill(fill[F_INSTRUMENT], *values)
            else:
                booked = self.fill(fill[F_STRATEGY], fill[F_INSTRUMENT], *values, fill[F_DECISION_MID])
            fills[F_REALIZED, at], fills[F_POSITION, at] = booked
        for _, instrument, amount in left[::-1]:
            self.funding(instrument, amount)

    def faults_in(self, reasons: Ints) -> None:
        """The venue broke expectations, for these reasons."""
        self.faults.update(dict(enumerate(np.bincount(reasons).tolist())))

    def funding(self, instrument: int, amount: int) -> None:
        """A funding payment was booked; the strategies that hold the instrument share it, as in the engine."""
        position = self.positions[instrument]
        position.apply_funding(amount)
        share_funding(self._positions_on(instrument), amount, position.size)

    def forced_fill(self, instrument: int, side: int, price: int, size: int, fee: int, taker: bool) -> tuple[int, int]:
        """Book a fill that the venue made by itself; return the profit that it realized and the new position."""
        position = self.positions[instrument]
        realized = position.apply_fill(side, price, size, fee, taker)
        share_close(self._positions_on(instrument), side, price, size, fee, taker)
        return int(realized), int(position.size)

    def _positions_on(self, instrument: int) -> list[Position]:
        """Return the strategies' positions on an instrument, in the order of the plan."""
        keys = sorted(key for key in self.desks if key[1] == instrument)
        return [self.desks[key][1] for key in keys]

    def fill(
        self,
        strategy: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        fee: int,
        taker: bool,
        mid2: int,
    ) -> tuple[int, int]:
        """Book a fill; return the profit that the instrument realized by it and its new position.

        `mid2` is twice the mid at the decision, 0 when unknown.
        """
        position = self.positions[instrument]
        realized = position.apply_fill(side, price, size, fee, taker)
        if strategy >= 0:
            tally, own = self._desk(strategy, instrument)
            own.apply_fill(side, price, size, fee, taker)
            if mid2 > 0:
                factor = self._factors[instrument]
                tally.slippage += side * (2 * price - mid2) * size * factor
                tally.slippage_base += mid2 * size * factor
        return int(realized), int(position.size)

    # -- afterwards -------------------------------------------------------------------------------

    def summary(self, closing: dict[str, Any]) -> dict[str, Any]:
        """Return every number; money as exact decimal text, `closing` is the journal's last record."""
        marks = [int(closing["positions"][entry.name]["mark_price"]) for entry in self.plan.instruments]
        tallies = [tally for tally, _ in self.desks.values()]
        total = self._account(self.positions, marks, range(len(self.positions)))
        fills = sum(int(position.fills) for position in self.positions)
        return {
            "decisions": closing["decisions"],
            "requests": closing["requests"],
            "cancels_sent": closing["cancels_sent"],
            "faults": closing["faults"],
            "orders": _orders(tallies),
            "fills": fills,
            "deposit": self.money(self.plan.deposit),
            "equity": self.money(closing["equity"]),
            "pnl": total,
            "max_drawdown": self.money(closing["max_drawdown"]),
            "max_drawdown_ratio": ratio_text(closing["max_drawdown"], closing["peak_equity"]),
            **self._quality(tallies, self.positions),
            "order_latency_ms": {
                "mean": ratio_text(self.latency_sum, self.latency_count * 1_000_000, 3),
                "max": ratio_text(self.latency_max, 1_000_000, 3),
                "samples": self.latency_count,
            },
            "instruments": {
                entry.name: self._instrument(index, marks) for index, entry in enumerate(self.plan.instruments)
            },
            "strategies": {
                entry.name: self._strategy(index, marks) for index, entry in enumerate(self.plan.strategies)
            },
            "denials": [self._denial(reason) for reason in sorted(self.denials)],
            "rejections": _by_reason(self.rejections),
            "cancels": _by_reason(self.cancels),
            "fault_reasons": _by_reason(self.faults),
        }

    def money(self, amount: int) -> str:
        """Return a money amount as decimal text."""
        return format_decimal(amount, self.plan.money_scale)

    def _account(self, positions: list[Position], marks: list[int], of: Any) -> dict[str, str]:
        realized = sum(int(position.realized) for position in positions)
        fees = sum(int(position.fees) for position in positions)
        rebates = sum(int(position.rebates) for position in positions)
        funding = sum(int(position.funding) for position in positions)
        unrealized = sum(
            int(position.unrealized(marks[index]))
            for position, index in zip(positions, of, strict=True)
            if position.size != 0
        )
        return {
            "realized": self.money(realized),
            "unrealized": self.money(unrealized),
            "fees": self.money(-fees),
            "rebates": self.money(rebates),
            "funding": self.money(funding),
            "net": self.money(realized + unrealized - fees + rebates + funding),
        }

    def _quality(self, tallies: list[Tally], positions: list[Position]) -> dict[str, Any]:
        traded = sum(int(position.traded) for position in positions)
        maker = sum(int(position.maker_traded) for position in positions)
        costs = sum(int(position.fees) - int(position.rebates) for position in positions)
        intents: Counter[str] = Counter()
        for tally in tallies:
            intents.update(tally.intents)
            intents["working_at_end"] += len(tally.working)
        due = intents["placed"] - intents["withdrawn"] - intents["working_at_end"]
        slippage = sum(tally.slippage for tally in tallies)
        base = sum(tally.slippage_base for tally in tallies)
        return {
            "traded_notional": self.money(traded),
            "maker_ratio": ratio_text(maker, traded),
            "fill_rate": ratio_text(intents["filled"], due),
            "intents": {name: intents[name] for name in ("placed", "filled", "withdrawn", "refused", "working_at_end")},
            "average_slippage_bps": ratio_text(slippage * 10_000, base, 4),
            "average_fee_bps": ratio_text(costs * 10_000, traded, 4),
        }

    def _instrument(self, index: int, marks: list[int]) -> dict[str, Any]:
        entry, position = self.plan.instruments[index], self.positions[index]
        tallies = [tally for (_, instrument), (tally, _) in self.desks.items() if instrument == index]
        return {
            "orders": _orders(tallies),
            "fills": int(position.fills),
            "volume": format_decimal(int(position.volume), entry.size_scale),
            "position": format_decimal(int(position.size), entry.size_scale),
            "mark_price": format_decimal(marks[index], entry.price_scale),
            "pnl": self._account([position], marks, [index]),
            **self._quality(tallies, [position]),
        }

    def _strategy(self, index: int, marks: list[int]) -> dict[str, Any]:
        own = {key[1]: desk for key, desk in self.desks.items() if key[0] == index}
        tallies = [tally for tally, _ in own.values()]
        positions = [position for _, position in own.values()]
        return {
            "class": self.plan.strategies[index].cls,
            "orders": _orders(tallies),
            "fills": sum(int(position.fills) for position in positions),
            "pnl": self._account(positions, marks, own),
            **self._quality(tallies, positions),
        }

    def _denial(self, reason: int) -> dict[str, Any]:
        count, instrument, value, limit = self.denials[reason]
        entry = REASONS[reason]
        spec = self.plan.instruments[instrument]
        return {
            "reason": entry.key,
            "component": entry.component,
            "message": entry.message,
            "meaning": entry.meaning,
            "remedy": entry.remedy,
            "count": count,
            "first": {
                "instrument": spec.name,
                "value": value_text(reason, value, spec, self.plan.money_scale),
                "limit": value_text(reason, limit, spec, self.plan.money_scale),
            },
        }


def _orders(tallies: list[Tally]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(tally.orders)
    names = ("placed", "filled", "cancelled", "rejected", "expired", "denied")
    found = {name: total[name] for name in names}
    found["working_at_end"] = total["placed"] - sum(total[name] for name in names[1:5])
    return found


def _by_reason(counts: Counter[int]) -> list[dict[str, Any]]:
    return [
        {
            "reason": REASONS[reason].key if reason in REASONS else "none",
            "message": REASONS[reason].message if reason in REASONS else "",
            "remedy": REASONS[reason].remedy if reason in REASONS else "",
            "count": counts[reason],
        }
        for reason in sorted(counts)
        if counts[reason]
    ]


def _outcomes(state: Ints, reason: Ints) -> Ints:
    """Return what each order's end means for its intent."""
    refused = np.isin(state, (REJECTED, EXPIRED)) & ~np.isin(reason, list(_REQUOTED))
    found = np.where(refused, _REFUSED, _OPEN)
    found = np.where(np.isin(reason, list(WITHDRAWN)), _WITHDRAWN, found)
    return np.where(state == FILLED, _FILLED, found)


def _desk_keys(orders: Ints) -> list[tuple[int, int]]:
    """Return the (strategy, instrument) pairs that occur."""
    codes = np.unique(orders[STRATEGY] << 32 | orders[INSTRUMENT]).tolist()
    return [(code >> 32, code & 0xFFFFFFFF) for code in codes]


def _of_desk(orders: Ints, key: tuple[int, int]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (orders[STRATEGY] == key[0]) & (orders[INSTRUMENT] == key[1])
    return found
