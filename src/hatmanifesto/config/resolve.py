"""From settings and instruments to a plan: amounts become integers, limits are checked against 64 bits."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatmanifesto.config.clearing import fee_plan, funding_plan, margin_plan
from hatmanifesto.config.clearing_settings import FundingSettings
from hatmanifesto.config.plan import DeskPlan, ExchangePlan, FundingPlan, InstrumentPlan, SessionPlan, StrategyPlan
from hatmanifesto.config.problems import Problem, refuse, shown, suggestion
from hatmanifesto.config.quantities import parameter, to_units
from hatmanifesto.config.router_settings import RouterRules, RouterSettings, StrategyRouter
from hatmanifesto.config.routing import BudgetPlan, RoutingPlan, resolve_budget, resolve_routing
from hatmanifesto.config.settings import (
    DEFAULT,
    POWER_MODELS,
    Draft,
    ExchangeSettings,
    InstrumentRisk,
    StrategySettings,
)
from hatmanifesto.config.strategies import StrategyClass, load_strategy, make_strategy
from hatmanifesto.config.venue_rules import VenueFacts, rules_for
from hatmanifesto.core.market_view import OWN_EVENT, TRIGGER_NAMES
from hatmanifesto.core.strategy import MAX_DEPTH, Strategy
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT, format_decimal
from hatmanifesto.model.order import DESK_BITS

_TRIGGERS: Final = {name: bit for bit, name in TRIGGER_NAMES.items()}
_MAX_DESKS: Final = 1 << DESK_BITS
_AMOUNT_LIMIT: Final = MAX_AMOUNT // 100
"""Money limits leave room for being multiplied by a percentage."""
LONGEST_DRAWN_NS: Final = 1 << 40
"""The longest 99th percentile of a drawn latency: 18 minutes."""
_SAMPLE: Final = "time_ns,entry_ns,response_ns"


class Resolved(NamedTuple):
    """A plan and the strategy objects for its desks."""

    plan: SessionPlan
    strategies: list[Strategy]


def resolve(
    draft: Draft,
    instruments: list[Instrument],
    reference_prices: Mapping[int, int] | None = None,
    facts: VenueFacts | None = None,
) -> Resolved:
    """Turn a draft into a plan for these instruments.

    `reference_prices` (price units by instrument index) turn sizes given in money into coins; `facts` are what the
    simulated venue's `auto` settings go by, None where no venue is simulated. Raises one UserError that names every
    mistake, those of the draft included.
    """
    return _Resolver(draft, instruments, reference_prices or {}, facts).run()


class _Resolver:
    def __init__(
        self, draft: Draft, instruments: list[Instrument], prices: Mapping[int, int], facts: VenueFacts | None
    ) -> None:
        self.draft = draft
        self.facts = facts
        self.settings = draft.settings
        self.problems = list(draft.problems)
        self.instruments = instruments
        self.names = [item.name for item in instruments]
        self.prices = prices
        self.money_scale = max((int(item.money_scale) for item in instruments), default=6)

    def run(self) -> Resolved:
        settings = self.settings
        names = [item.name for item in self.instruments]
        for name in settings.risk.instrument:
            if name != DEFAULT and name not in names:
                self.problem(
                    f"risk.instrument.{name}",
                    "",
                    f"the tape has no such instrument; {suggestion(name, names)}",
                )
        deposit = self.money("account.deposit", settings.account.deposit)
        account = settings.risk.account
        leverage = self.units("risk.account.max_leverage", account.max_leverage, 2)
        if deposit // 100 * leverage > MAX_AMOUNT:
            largest = format_decimal(MAX_AMOUNT // leverage * 100, self.money_scale)
            self.problem("account.deposit", settings.account.deposit, f"must be at most {largest} at this leverage")
        max_notional = self.money("risk.account.max_account_notional", account.max_account_notional)
        planned = [self.instrument(item) for item in self.instruments]
        strategies, desks, made = self.strategies(max_notional)
        exchange = self.exchange(settings.exchange, planned)
        refuse(self.problems, self.draft.source)
        engine = settings.engine
        plan = SessionPlan(
            seed=settings.seed,
            money_scale=self.money_scale,
            deposit=deposit,
            max_account_notional=max_notional,
            max_leverage_hundredths=leverage,
            max_open_orders=account.max_open_orders,
            max_orders_per_second=account.max_orders_per_second,
            answer_timeout_ns=engine.answer_timeout,
            max_cancel_attempts=engine.max_cancel_attempts,
            max_book_age_ns=engine.max_book_age,
            equity_interval_ns=engine.equity_interval,
            router=engine.router,
            router_budget=self.account_budget(),
            instruments=planned,
            strategies=strategies,
            desks=desks,
            exchange=exchange,
        )
        return Resolved(plan, made)

    # -- amounts ----------------------------------------------------------------------------------

    def problem(self, path: str, value: object, allowed: str) -> None:
        found = Problem(path, "" if value == "" else shown(value), allowed)
        if found not in self.problems:
            self.problems.append(found)

    def unknown(self, path: str, name: str, known: list[str]) -> None:
        self.problem(path, name, f"the tape has no such instrument; {suggestion(name, known)}")

    def units(self, path: str, number: Decimal, scale: int) -> int:
        try:
            return to_units(number, scale)
        except ValueError as error:
            self.problem(path, number, str(error))
            return 0

    def money(self, path: str, number: Decimal) -> int:
        value = self.units(path, number, self.money_scale)
        if value > _AMOUNT_LIMIT:
            largest = format_decimal(_AMOUNT_LIMIT, self.money_scale)
            self.problem(path, number, f"must be at most {largest}")
        return value

    def size(self, path: str, number: Decimal | None, instrument: Instrument, largest: int) -> int:
        if number is None:
            return largest
        value = self.units(path, number, int(instrument.size_scale))
        if value > largest:
            self.problem(
                path,
                number,
                f"must be at most {instrument.size_text(largest)}, what {instrument.name} allows",
            )
        return value

    # -- instruments ------------------------------------------------------------------------------

    def instrument(self, item: Instrument) -> InstrumentPlan:
        limits = self.settings.risk.limits_of(item.name)
        own = self.settings.risk.instrument.get(item.name)

        def path(key: str) -> str:
            section = item.name if own is not None and key in own.model_fields_set else DEFAULT
            return f"risk.instrument.{section}.{key}"

        max_price = int(item.max_price)
        factor = 10 ** (self.money_scale - int(item.price_scale) - int(item.size_scale))
        max_size = min(int(item.max_size), MAX_AMOUNT // (max_price * factor) // 4)
        leverage = self.leverage(path("leverage"), limits, item)
        exchange = self.settings.exchange
        maker = int(item.maker_fee) if exchange.maker_fee_bps is None else exchange.maker_fee_bps
        taker = int(item.taker_fee) if exchange.taker_fee_bps is None else exchange.taker_fee_bps
        return InstrumentPlan(
            name=item.name,
            price_scale=int(item.price_scale),
            size_scale=int(item.size_scale),
            money_scale=self.money_scale,
            tick_size=int(item.tick_size),
            lot_size=int(item.lot_size),
            significant_figures=int(item.significant_figures),
            min_notional=int(item.min_notional) * 10 ** (self.money_scale - int(item.money_scale)),
            max_price=max_price,
            max_size=max_size,
            maker_fee=maker,
            taker_fee=taker,
            max_leverage=int(item.max_leverage),
            price_band=int(item.price_band),
            leverage=leverage,
            max_order_size=self.size(path("max_order_size"), limits.max_order_size, item, max_size),
            max_order_notional=self.money(path("max_order_notional"), limits.max_order_notional),
            max_position=self.size(path("max_position"), limits.max_position, item, max_size),
            max_position_notional=self.money(path("max_position_notional"), limits.max_position_notional),
            reference_price=int(self.prices.get(int(item.index), 0)),
        )

    def leverage(self, path: str, limits: InstrumentRisk, item: Instrument) -> int:
        asked = "leverage" in limits.model_fields_set
        if asked and limits.leverage > item.max_leverage:
            self.problem(path, limits.leverage, f"must be at most {item.max_leverage}, what {item.name} allows")
        return min(limits.leverage, int(item.max_leverage))

    # -- strategies -------------------------------------------------------------------------------

    def strategies(self, max_notional: int) -> tuple[list[StrategyPlan], list[DeskPlan], list[Strategy]]:
        plans: list[StrategyPlan] = []
        desks: list[DeskPlan] = []
        made: list[Strategy] = []
        for name, entry in self.settings.strategies.items():
            path = f"strategies.{name}"
            loaded = self.attempt(f"{path}.class", entry.cls, partial(load_strategy, entry.cls, self.draft.folder))
            limit = max_notional
            if entry.max_notional is not None:
                limit = self.money(f"{path}.max_notional", entry.max_notional)
            if loaded is None:
                continue
            plans.append(StrategyPlan(name=name, cls=loaded.name, source_hash=loaded.source_hash, max_notional=limit))
            for instrument in self.traded(path, entry):
                desk = self.desk(path, entry, loaded, len(plans) - 1, instrument)
                if desk is not None:
                    desks.append(desk[0])
                    made.append(desk[1])
        if len(desks) > _MAX_DESKS:
            self.problem(
                "strategies", f"{len(desks)} desks", f"may make at most {_MAX_DESKS}, one a traded instrument each"
            )
        return plans, desks, made

    def attempt(self, path: str, value: object, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except UserError as error:
            self.problem(path, value, str(error))
            return None

    def traded(self, path: str, entry: StrategySettings) -> list[Instrument]:
        if entry.instruments is None:
            return self.instruments
        by_name = {item.name: item for item in self.instruments}
        for name in dict.fromkeys(entry.instruments):
            if name not in by_name:
                self.problem(
                    f"{path}.instruments",
                    name,
                    f"the tape has no such instrument; {suggestion(name, list(by_name))}",
                )
        return [by_name[name] for name in dict.fromkeys(entry.instruments) if name in by_name]

    def desk(
        self, path: str, entry: StrategySettings, loaded: StrategyClass, index: int, instrument: Instrument
    ) -> tuple[DeskPlan, Strategy] | None:
        params: dict[str, Any] = {}
        failed = False
        for key, value in {**loaded.defaults, **entry.params}.items():
            try:
                params[key] = parameter(value, instrument, int(self.prices.get(int(instrument.index), 0)))
            except ValueError as error:
                failed = True
                self.problem(f"{path}.params.{key}", value, str(error))
        if failed:
            return None
        strategy = self.attempt(f"{path}.params", "", partial(make_strategy, loaded, params))
        if strategy is None:
            return None
        if not 1 <= strategy.depth <= MAX_DEPTH:
            self.problem(f"{path}.class", entry.cls, f"its depth {strategy.depth} must lie between 1 and {MAX_DEPTH}")
        engine = self.settings.engine
        pause = entry.min_decision_interval
        if pause is None:
            pause = engine.min_decision_interval
        triggers = int(strategy.triggers)
        if entry.triggers is not None:
            triggers = sum({_TRIGGERS[name] for name in entry.triggers})
        if (entry.router.policy or engine.router) == "expected_value":
            triggers |= OWN_EVENT  # what it cancels to replace is replaced when the venue has answered
        price = int(self.prices.get(int(instrument.index), 0))
        tick = int(instrument.tick_at(price)) if price > 0 else int(instrument.tick_size)
        plan = DeskPlan(
            strategy=index,
            instrument=int(instrument.index),
            params=params,
            triggers=triggers,
            interval_ns=int(strategy.interval_ns) if entry.interval is None else entry.interval,
            min_interval_ns=int(strategy.min_decision_interval_ns) if pause is None else pause,
            depth=int(strategy.depth),
            traded_range=bool(strategy.traded_range),
            refresh_tolerance=engine.refresh_tolerance_ticks * tick,
            policy="" if entry.router.policy is None else entry.router.policy,
            routing=self.routing(path, entry, instrument, price, tick),
        )
        return plan, strategy

    def account_budget(self) -> BudgetPlan:
        return resolve_budget("router.account", self.settings.router.account, self.problem)

    def routing(
        self, path: str, entry: StrategySettings, instrument: Instrument, price: int, tick: int
    ) -> RoutingPlan | None:
        """Return what `expected_value` needs on one desk; mistakes in it are found whatever the policy is."""
        general, own = self.settings.router, entry.router
        sections: list[tuple[str, RouterRules]] = [("router", general)]
        places: list[tuple[str, RouterSettings | StrategyRouter]] = [("router", general), (f"{path}.router", own)]
        for at, (place, section) in enumerate(places):
            if at > 0:
                sections.append((place, section))
            for name in section.instrument:
                if name not in self.names:
                    self.unknown(f"{place}.instrument.{name}", name, self.names)
            if instrument.name in section.instrument:
                sections.append((f"{place}.instrument.{instrument.name}", section.instrument[instrument.name]))
        plan = resolve_routing(sections, instrument, price, tick, self.money, self.problem)
        return plan if (own.policy or self.settings.engine.router) == "expected_value" else None

    # -- the venue --------------------------------------------------------------------------------

    def exchange(self, settings: ExchangeSettings, planned: list[InstrumentPlan]) -> ExchangePlan:
        model, samples = self.latency(settings)
        rules = rules_for(settings, self.instruments, self.facts)
        return ExchangePlan(
            model=settings.model,
            queue_model=settings.queue_model,
            queue_power_thousandths=self.queue_power(settings),
            entry_ns=settings.order_entry_latency,
            response_ns=settings.response_latency,
            latency_model=model,
            entry_p99_ns=(settings.order_entry_latency_p99 or 0) if model == "lognormal" else 0,
            response_p99_ns=(settings.response_latency_p99 or 0) if model == "lognormal" else 0,
            latency_floor_ns=settings.latency_floor if model == "lognormal" else 0,
            latency_samples=samples,
            constant_feed_ns=-1 if settings.feed == "recorded" else settings.feed,
            pessimistic_latency_thousandths=self.units(
                "exchange.pessimistic_latency_factor", settings.pessimistic_latency_factor, 3
            ),
            fees=fee_plan(rules.fees, self.problem),
            funding=self.funding(rules.funding),
            margin=margin_plan(rules.margin, planned, self.money_scale, self.problem),
            left_out=rules.left_out,
        )

    def latency(self, settings: ExchangeSettings) -> tuple[str, list[tuple[int, int, int]]]:
        """Return the latency model and its samples, every mistake noted."""
        model: str = settings.latency_model
        if model == "auto":
            model = "constant" if settings.latency_file is None else "recorded"
        if model == "lognormal":
            floor = settings.latency_floor
            for name, median, p99 in (
                ("order_entry_latency", settings.order_entry_latency, settings.order_entry_latency_p99),
                ("response_latency", settings.response_latency, settings.response_latency_p99),
            ):
                if p99 is None:
                    self.problem(f"exchange.{name}_p99", "", "is needed by the latency model lognormal")
                elif not floor < median <= p99 < LONGEST_DRAWN_NS:
                    self.problem(
                        f"exchange.{name}_p99",
                        p99,
                        f"latency_floor ({floor} ns) < {name} ({median} ns) <= {name}_p99 < 18min must hold",
                    )
        if model not in ("recorded", "sampled"):
            if settings.latency_file is not None:
                self.problem(
                    "exchange.latency_file",
                    settings.latency_file,
                    f"belongs to the latency models recorded and sampled, and exchange.latency_model is {model}",
                )
            return model, []
        if settings.latency_file is None:
            self.problem("exchange.latency_file", "", f"is needed by the latency model {model}")
            return model, []
        read = read_latency if model == "recorded" else read_samples
        file = self.draft.folder / settings.latency_file
        return model, self.attempt("exchange.latency_file", settings.latency_file, partial(read, file)) or []

    def funding(self, settings: FundingSettings) -> FundingPlan | None:
        names = [item.name for item in self.instruments]
        make = partial(funding_plan, settings, names, self.draft.folder, self.problem)
        plan: FundingPlan | None = self.attempt("exchange.funding.file", settings.file or "", make)
        return plan

    def queue_power(self, settings: ExchangeSettings) -> int:
        """Return the exponent of the queue model in thousandths, 0 for a model without one."""
        if settings.queue_model not in POWER_MODELS:
            return 0
        return self.units("exchange.queue_power", settings.queue_power, 3)


def read_latency(path: Path) -> list[tuple[int, int, int]]:
    """Read measured latencies: CSV lines of time_ns,entry_ns,response_ns with rising times.

    A header is skipped. UserError names the line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read", "name a CSV file of time_ns,entry_ns,response_ns") from error
    samples: list[tuple[int, int, int]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and not line.replace(",", "").strip().isdigit()):
            continue
        try:
            time_ns, entry_ns, response_ns = (int(word) for word in line.split(","))
        except ValueError:
            raise UserError(
                f"{path}, line {number}: {shown(line)} is not time_ns,entry_ns,response_ns",
                "correct that line",
            ) from None
        if entry_ns < 0 or response_ns < 0 or (samples and time_ns < samples[-1][0]):
            raise UserError(
                f"{path}, line {number}: times must rise and latencies not be negative", "correct that line"
            )
        samples.append((time_ns, entry_ns, response_ns))
    if not samples:
        raise UserError(f"{path} has no samples", "write lines of time_ns,entry_ns,response_ns")
    return samples


def read_samples(path: Path) -> list[tuple[int, int, int]]:
    """Read measured latencies to be drawn from: columns entry_ns and response_ns of a CSV or Parquet file.

    Other columns are passed over and the order means nothing. Times are given as 0. UserError says what is wrong.
    """
    import polars as pl

    remedy = "name a CSV or Parquet file with columns entry_ns and response_ns of whole nanoseconds"
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
        columns = [frame[name].cast(pl.Int64).to_list() for name in ("entry_ns", "response_ns")]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}", remedy) from error
    samples = [(0, entry, response) for entry, response in zip(*columns, strict=True)]
    for number, sample in enumerate(samples, 1):
        if None in sample or min(sample) < 0 or max(sample) >= 1 << 61:
            raise UserError(f"{path}, row {number}: {sample[1:]} are no latencies in nanoseconds", remedy)
    if not samples:
        raise UserError(f"{path} has no samples", remedy)
    return samples
