"""Puts an engine together from a plan: the one place where engine objects are built, for every driver."""

from typing import NamedTuple

from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.routing import build_router
from hatmanifesto.core.api_validator import ApiValidator
from hatmanifesto.core.decision_clock import DecisionClock, EngineSettings
from hatmanifesto.core.engine import Engine
from hatmanifesto.core.market_view import MarketView
from hatmanifesto.core.portfolio import Desk, Holding, InstrumentLimits, Portfolio
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.risk_manager import AccountLimits, RiskManager
from hatmanifesto.core.strategy import Strategy, View
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.ports import OrderGateway, RecordSink


class Session(NamedTuple):
    """An engine and what a driver looks at. `clocks` follow the plan's desks, `markets` its instruments."""

    plan: SessionPlan
    engine: Engine
    portfolio: Portfolio
    clocks: list[DecisionClock]
    risk: RiskManager
    recorder: Recorder
    markets: list[MarketView]
    instruments: list[Instrument]
    strategies: list[Strategy]

    def desk_name(self, index: int) -> str:
        """Return `strategy on INSTRUMENT` of a desk."""
        desk = self.plan.desks[index]
        return f"{self.plan.strategies[desk.strategy].name} on {self.plan.instruments[desk.instrument].name}"


def assemble(
    plan: SessionPlan,
    strategies: list[Strategy],
    gateway: OrderGateway,
    sink: RecordSink,
    first_seq: int = 0,
    instruments: list[Instrument] | None = None,
) -> Session:
    """Build a session. `strategies` has one object a desk of the plan.

    `instruments` are used as they are when a driver has built them from the plan already. Raises ValueError
    when there are not as many strategies as desks.
    """
    if len(strategies) != len(plan.desks):
        raise ValueError(f"the plan has {len(plan.desks)} desks, {len(strategies)} strategies were given")
    if instruments is None:
        instruments = build_instruments(plan)
    holdings = [
        Holding(instrument, entry.leverage) for instrument, entry in zip(instruments, plan.instruments, strict=True)
    ]
    desks: list[Desk] = []
    clocks: list[DecisionClock] = []
    budget = plan.router_budget.build()
    for index, (entry, strategy) in enumerate(zip(plan.desks, strategies, strict=True)):
        holding = holdings[entry.instrument]
        desk = Desk(index, entry.strategy, holding)
        holding.desks.append(desk)
        desks.append(desk)
        strategy.triggers = entry.triggers
        strategy.interval_ns = entry.interval_ns
        strategy.min_decision_interval_ns = entry.min_interval_ns
        view = View(holding.instrument)
        view.max_position = plan.instruments[entry.instrument].max_position
        if entry.depth > 1 or entry.traded_range:
            view.deepen(entry.depth, entry.traded_range)
        router = build_router(
            entry.policy or plan.router,
            entry.routing,
            view,
            budget,
            refresh_tolerance=entry.refresh_tolerance,
            max_book_age_ns=plan.max_book_age_ns,
        )
        clock = DecisionClock(desk, strategy, router, view)
        # compiled code does not see what an interpreted subclass sets beside its base's attributes: say it here
        clock.triggers = entry.triggers
        clock.interval_ns = entry.interval_ns
        clock.min_interval_ns = entry.min_interval_ns
        clocks.append(clock)
    portfolio = Portfolio(plan.deposit, holdings, desks)
    risk = RiskManager(
        portfolio,
        AccountLimits(
            max_account_notional=plan.max_account_notional,
            max_leverage_hundredths=plan.max_leverage_hundredths,
            max_open_orders=plan.max_open_orders,
            max_orders_per_second=plan.max_orders_per_second,
        ),
        [
            InstrumentLimits(
                max_order_size=entry.max_order_size,
                max_order_notional=entry.max_order_notional,
                max_position=entry.max_position,
                max_position_notional=entry.max_position_notional,
            )
            for entry in plan.instruments
        ],
        [entry.max_notional for entry in plan.strategies],
    )
    markets = [MarketView() for _ in instruments]
    for index, market in enumerate(markets):
        market.instrument = index  # also where no desk trades: its rows must be taken all the same
    recorder = Recorder(sink, first_seq)
    engine = Engine(
        markets,
        portfolio,
        clocks,
        risk,
        ApiValidator(portfolio, plan.max_book_age_ns),
        gateway,
        recorder,
        EngineSettings(
            answer_timeout_ns=plan.answer_timeout_ns,
            max_cancel_attempts=plan.max_cancel_attempts,
            equity_interval_ns=plan.equity_interval_ns,
        ),
    )
    return Session(plan, engine, portfolio, clocks, risk, recorder, markets, instruments, strategies)


def build_instruments(plan: SessionPlan) -> list[Instrument]:
    """Return the plan's instruments, at their indices."""
    return [entry.build(index) for index, entry in enumerate(plan.instruments)]
