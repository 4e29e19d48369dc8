"""The risk manager: limits per order, instrument, strategy and account, and overrides. It fails closed.

`check` answers with a reason (model.reasons, 0 = allowed) and leaves the value and the limit that were
compared in `value` and `limit`, so that every refusal can say both.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.core.portfolio import Desk, Holding, InstrumentLimits, Portfolio
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import EXIT, QUOTE
from hatmanifesto.model.reasons import (
    ACCOUNT_NOTIONAL,
    LEVERAGE,
    MAX_PRICE,
    MAX_SIZE,
    NO_MARK,
    NONE,
    ORDER_COUNT,
    ORDER_NOTIONAL,
    ORDER_RATE,
    ORDER_SIZE,
    ORDER_UNKNOWN,
    OVERRIDE_CLOSE,
    OVERRIDE_HALT,
    OVERRIDE_REDUCE_ONLY,
    OWN_ORDERS_CROSS,
    POSITION_NOTIONAL,
    POSITION_SIZE,
    STRATEGY_NOTIONAL,
)
from hatmanifesto.model.words import store

NO_OVERRIDE: Final = 0
SCALE: Final = 1
REDUCE_ONLY: Final = 2
CLOSE: Final = 3
HALT: Final = 4
OVERRIDE_NAMES: Final = {0: "none", 1: "scale", 2: "reduce_only", 3: "close", 4: "halt"}
"""Overrides in rising strictness; of those that apply to an order the strictest wins, of scales the smallest."""

OPERATOR_SOURCE: Final = 0
RECONCILIATION_SOURCE: Final = 1
FEED_SOURCE: Final = 2
KILL_SWITCH_SOURCE: Final = 3
SOURCE_NAMES: Final = {0: "operator", 1: "reconciliation", 2: "feed", 3: "kill_switch"}
"""Who holds an override of the account; each releases only its own."""


@final
class AccountLimits:
    """Limits of the account: notional in money units, leverage in hundredths, orders live and sent a second."""

    def __init__(
        self,
        *,
        max_account_notional: int,
        max_leverage_hundredths: int,
        max_open_orders: int,
        max_orders_per_second: int,
    ) -> None:
        self.max_account_notional: i64 = max_account_notional
        self.max_leverage_hundredths: i64 = max_leverage_hundredths
        self.max_open_orders: i64 = max_open_orders
        self.max_orders_per_second: i64 = max_orders_per_second


@final
class RiskManager:
    """Decides whether a new order is allowed, on the worst case that every open order fills."""

    def __init__(
        self,
        portfolio: Portfolio,
        account: AccountLimits,
        instruments: list[InstrumentLimits],
        strategy_notionals: list[int],
    ) -> None:
        self.portfolio: Final[Portfolio] = portfolio
        self.account: Final[AccountLimits] = account
        for holding, limits in zip(portfolio.holdings, instruments, strict=True):
            holding.limits = limits
        for desk in portfolio.desks:
            desk.max_strategy_notional = i64(strategy_notionals[int(desk.strategy)])
        self.account_override: i64 = NO_OVERRIDE  # the strictest of all sources
        self.account_overrides: Final[list[int]] = [NO_OVERRIDE for _ in SOURCE_NAMES]
        self.account_scale: i64 = 100
        self.live_orders: i64 = 0
        self.value: i64 = 0
        self.limit: i64 = 0
        # submission times of the last max_orders_per_second orders, a ring
        times = vec[i64]()
        for _ in range(max(1, int(account.max_orders_per_second))):
            times = append(times, i64(-(1 << 61)))
        self._sent: Final[vec[i64]] = times
        self._next_sent: i64 = 0
        self._gross_limit: i64 = 0

    def start_decision(self) -> None:
        """Value the account and fix the gross exposure it allows at its leverage limit."""
        self.portfolio.mark()
        equity = self.portfolio.equity
        self._gross_limit = 0
        if equity > 0:
            self._gross_limit = equity // 100 * self.account.max_leverage_hundredths

    def set_account_override(self, source: int, override: int) -> None:
        """Set what one source demands of the whole account."""
        self.account_overrides[source] = override
        self.account_override = max(self.account_overrides)

    def set_override(self, desk: Desk, override: i64, scale_percent: i64) -> None:
        """Set a desk's override, and the percentage of its limits under SCALE."""
        desk.override = override
        desk.scale_percent = scale_percent

    def note_sent(self, now: i64) -> None:
        """Count an order that was sent."""
        self.live_orders += 1
        if self.account.max_orders_per_second > 0:
            store(self._sent, self._next_sent, now)
            self._next_sent += 1
            if self._next_sent == self.account.max_orders_per_second:
                self._next_sent = 0

    def note_adopted(self) -> None:
        """Count an order of an earlier session, which was not sent now."""
        self.live_orders += 1

    def note_ended(self) -> None:
        """Count an order that has ended."""
        self.live_orders -= 1

    def _refuse(self, reason: i64, value: i64, limit: i64) -> i64:
        self.value = value
        self.limit = limit
        return reason

    def _check_override(self, desk: Desk, side: i64, size: i64, purpose: i64) -> i64:
        """Apply the strictest override; SCALE is applied to the limits instead."""
        override = desk.override if desk.override > self.account_override else self.account_override
        if override < REDUCE_ONLY:
            return NONE
        if override >= HALT:
            return self._refuse(OVERRIDE_HALT, override, NO_OVERRIDE)
        held = desk.position.size
        working = desk.open_buy if side > 0 else desk.open_sell
        reducible = -held * side - working
        if size > reducible:
            return self._refuse(OVERRIDE_CLOSE if override == CLOSE else OVERRIDE_REDUCE_ONLY, size, reducible)
        if override == CLOSE and purpose == QUOTE:
            return self._refuse(OVERRIDE_CLOSE, purpose, EXIT)
        return NONE

    def check(self, desk: Desk, now: i64, side: i64, price: i64, size: i64, purpose: i64) -> i64:
        """Return NONE when a new order is allowed, else the reason; `value` and `limit` say by how much."""
        reason = self._check_override(desk, side, size, purpose)
        if reason != NONE:
            return reason
        return self._check_limits(desk, desk.holding, desk.holding.instrument, self.account, now, side, price, size)

    def _check_limits(
        self,
        desk: Desk,
        holding: Holding,
        instrument: Instrument,
        account: AccountLimits,
        now: i64,
        side: i64,
        price: i64,
        size: i64,
    ) -> i64:
        percent = desk.scale_percent if desk.scale_percent < self.account_scale else self.account_scale
        mark = holding.mark_price
        if mark <= 0:
            return self._refuse(NO_MARK, mark, 1)
        if size > holding.limits.max_order_size:
            return self._refuse(ORDER_SIZE, size, holding.limits.max_order_size)
        # inside these bounds the products below fit 64 bits
        if price > instrument.max_price:
            return self._refuse(MAX_PRICE, price, instrument.max_price)
        if size > instrument.max_size:
            return self._refuse(MAX_SIZE, size, instrument.max_size)
        notional = (price if price > mark else mark) * size * holding.factor
        if notional > holding.limits.max_order_notional:
            return self._refuse(ORDER_NOTIONAL, notional, holding.limits.max_order_notional)
        if self.live_orders >= account.max_open_orders:
            return self._refuse(ORDER_COUNT, self.live_orders + 1, account.max_open_orders)
        if account.max_orders_per_second <= 0 or now - self._sent[self._next_sent] < 1_000_000_000:
            return self._refuse(ORDER_RATE, account.max_orders_per_second + 1, account.max_orders_per_second)
        reason = self._check_own_orders(desk, side, price)
        if reason != NONE:
            return reason
        # from here on an order that only reduces, even with all open orders of its side filled, is free
        reached = holding.position.size * side + (holding.open_buy if side > 0 else holding.open_sell) + size
        if reached <= 0:
            return NONE
        if holding.unknown_orders > 0:
            return self._refuse(ORDER_UNKNOWN, holding.unknown_orders, 0)
        limit = holding.limits.max_position
        if percent != 100:
            limit = limit * percent // 100
        if reached > limit:
            return self._refuse(POSITION_SIZE, reached, limit)
        limit = holding.limits.max_position_notional
        if percent != 100:
            limit = limit // 100 * percent
        worst = holding.worst_notional_with(side, size)
        if worst > limit:
            return self._refuse(POSITION_NOTIONAL, worst, limit)
        limit = desk.max_strategy_notional
        if percent != 100:
            limit = limit // 100 * percent
        total = self.portfolio.strategy_notional_beside(desk) + desk.worst_notional_with(side, size)
        if total > limit:
            return self._refuse(STRATEGY_NOTIONAL, total, limit)
        limit = account.max_account_notional
        if percent != 100:
            limit = limit // 100 * percent
        total = self.portfolio.worst_notional_beside(holding) + worst
        if total > limit:
            return self._refuse(ACCOUNT_NOTIONAL, total, limit)
        if total > self._gross_limit:
            return self._refuse(LEVERAGE, total, self._gross_limit)
        return NONE

    def _check_own_orders(self, desk: Desk, side: i64, price: i64) -> i64:
        """No two own orders may cross; one whose cancel is on the way goes first and does not count."""
        for at in range(i64(len(desk.holding.desks))):
            crossed = desk.holding.desks[at].crossed_price(side, price)
            if crossed != 0:
                return self._refuse(OWN_ORDERS_CROSS, price, crossed)
        return NONE
