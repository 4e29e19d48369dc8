"""A run's numbers, counted from the journal in exact integers: orders, intents, P&L parts, ratios."""

from collections import Counter
from typing import Any, Final

from hatmanifesto.backtest.units import value_text
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order_state import CANCELLED, EXPIRED, FILLED, REJECTED
from hatmanifesto.model.position import Position
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
_LATENCIES: Final = 1 << 16


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

    def placed(self, strategy: int, instrument: int, side: int) -> None:
        """An order was sent; it begins an intent unless one is under way on that side."""
        tally = self._desk(strategy, instrument)[0]
        tally.orders["placed"] += 1
        if side not in tally.working:
            tally.working.add(side)
            tally.intents["placed"] += 1

    def ended(self, strategy: int, instrument: int, side: int, state: int, reason: int) -> None:
        """An order has ended at the venue."""
        tally = self._desk(strategy, instrument)[0]
        tally.orders[_ENDS[state]] += 1
        if state in (REJECTED, EXPIRED):
            self.rejections[reason] += 1
        outcome = ""
        if state == FILLED:
            outcome = "filled"
        elif reason in WITHDRAWN:
            outcome = "withdrawn"
        elif state in (REJECTED, EXPIRED) and reason not in _REQUOTED:
            outcome = "refused"
        if outcome and side in tally.working:
            tally.working.remove(side)
            tally.intents[outcome] += 1

    def denied(self, strategy: int, instrument: int, reason: int, value: int, limit: int) -> None:
        """An order was refused locally."""
        self._desk(strategy, instrument)[0].orders["denied"] += 1
        known = self.denials.get(reason)
        if known is None:
            self.denials[reason] = [1, instrument, value, limit]
        else:
            known[0] += 1

    def cancel_sent(self, reason: int) -> None:
        """A cancel went out."""
        self.cancels[reason] += 1

    def fault(self, reason: int) -> None:
        """The venue broke an expectation."""
        self.faults[reason] += 1

    def acknowledged(self, latency_ns: int) -> None:
        """The venue confirmed an order that long after it was sent."""
        self.latency_sum += latency_ns
        self.latency_count += 1
        self.latency_max = max(self.latency_max, latency_ns)

    def funding(self, instrument: int, amount: int) -> None:
        """A funding payment was booked."""
        self.positions[instrument].apply_funding(amount)

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
            "max_drawdown_ratio": _ratio(closing["max_drawdown"], closing["peak_equity"]),
            **self._quality(tallies, self.positions),
            "order_latency_ms": {
                "mean": _ratio(self.latency_sum, self.latency_count * 1_000_000, 3),
                "max": _ratio(self.latency_max, 1_000_000, 3),
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
            "maker_ratio": _ratio(maker, traded),
            "fill_rate": _ratio(intents["filled"], due),
            "intents": {name: intents[name] for name in ("placed", "filled", "withdrawn", "refused", "working_at_end")},
            "average_slippage_bps": _ratio(slippage * 10_000, base, 4),
            "average_fee_bps": _ratio(costs * 10_000, traded, 4),
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
    ]


def _ratio(part: int, whole: int, places: int = 6) -> str | None:
    """Return part / whole as decimal text, None when there is no whole."""
    if whole == 0:
        return None
    size = (2 * abs(part) * 10**places + whole) // (2 * whole)
    return format_decimal(size if part >= 0 else -size, places)
