"""When each desk decides, and the engine's own times."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.maker_router import MakerRouter
from hatmanifesto.core.market_view import TIMER, TradedRange
from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.strategy import Strategy, View
from hatmanifesto.model.ports import NEVER


@final
class EngineSettings:
    """Times in nanoseconds. `answer_timeout_ns`: how long the venue may take before an order is unknown."""

    def __init__(
        self,
        *,
        answer_timeout_ns: int = 5_000_000_000,
        max_cancel_attempts: int = 5,
        equity_interval_ns: int = 1_000_000_000,
    ) -> None:
        self.answer_timeout_ns: i64 = answer_timeout_ns
        self.max_cancel_attempts: i64 = max_cancel_attempts
        self.equity_interval_ns: i64 = equity_interval_ns


@final
class DecisionClock:
    """When one desk decides: its strategy, what it sees, and the next moment it may or must decide."""

    def __init__(self, desk: Desk, strategy: Strategy, router: MakerRouter, view: View) -> None:
        self.desk: Final[Desk] = desk
        self.strategy: Final[Strategy] = strategy
        self.router: Final[MakerRouter] = router
        self.view: Final[View] = view
        self.triggers: i64 = strategy.triggers
        self.interval_ns: i64 = strategy.interval_ns
        if self.triggers & TIMER and self.interval_ns <= 0:
            raise ValueError(f"a strategy with the TIMER trigger needs interval_ns > 0, got {self.interval_ns}")
        self.min_interval_ns: i64 = strategy.min_decision_interval_ns
        self.allowed_ns: i64 = 0
        self.timer_ns: i64 = NEVER
        self.deferred_ns: i64 = NEVER
        self.stale_ns: i64 = NEVER
        self.pending: i64 = 0
        self.decisions: i64 = 0
        self.seen_buy_volume: i64 = 0
        self.seen_sell_volume: i64 = 0
        self.seen_trades: i64 = 0
        self.seen_imbalance: i64 = 0
        self.traded: Final[TradedRange] = TradedRange()

    def due_ns(self) -> i64:
        """Return the next moment at which this desk has something to do by itself."""
        due = self.timer_ns
        if self.deferred_ns < due:
            due = self.deferred_ns
        if self.stale_ns < due:
            due = self.stale_ns
        return due
