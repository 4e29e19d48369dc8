"""Builds engines by hand: the one place in the tests that knows how the parts are put together."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hatmanifesto.backtest.exchange import build_queue_model
from hatmanifesto.core.api_validator import ApiValidator
from hatmanifesto.core.decision_clock import DecisionClock, EngineSettings
from hatmanifesto.core.engine import Engine
from hatmanifesto.core.maker_router import EXPECTED_VALUE, KEEP, KeepRouter, MakerRouter, RequoteRouter
from hatmanifesto.core.market_view import MarketView
from hatmanifesto.core.portfolio import Desk, Holding, InstrumentLimits, Portfolio
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.risk_manager import AccountLimits, RiskManager
from hatmanifesto.core.routing.budget import Budget, unlimited
from hatmanifesto.core.routing.expected_value import ExpectedValueRouter
from hatmanifesto.core.routing.rules import Rules
from hatmanifesto.core.strategy import Quotes, Strategy, View
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import ROW_WORDS, WORD_LOCAL_TS, row_words
from hatmanifesto.model.order import POST_ONLY, Order
from hatmanifesto.model.ports import NEVER, OrderGateway
from hatmanifesto.simulation.latency import ConstantLatency, OrderLatency
from hatmanifesto.simulation.matcher import Matcher
from hatmanifesto.simulation.queue_matcher import QueueMatcher
from hatmanifesto.simulation.reference_matcher import ReferenceMatcher
from hatmanifesto.simulation.replay_market import ReplayMarket
from hatmanifesto.simulation.wire import FILLED, Line
from support.rows import MemoryRows, Records, Rows

US = 1_000
MS = 1_000_000
S = 1_000_000_000
T0 = 1_700_000_000 * S
LARGE = 10**15


class Request(NamedTuple):
    """Something the engine asked of the venue."""

    kind: str
    now: int
    order_id: int
    instrument: int
    side: int = 0
    price: int = 0
    size: int = 0
    time_in_force: int = 0
    reduce_only: bool = False


class ScriptedGateway(OrderGateway):
    """Keeps what was asked; the test answers through the engine."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.seen = 0

    def place(
        self,
        now: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        time_in_force: int,
        reduce_only: bool,
    ) -> None:
        self.requests.append(Request("place", now, order_id, instrument, side, price, size, time_in_force, reduce_only))

    def cancel(self, now: int, order_id: int, instrument: int) -> None:
        self.requests.append(Request("cancel", now, order_id, instrument))

    def query(self, now: int, order_id: int, instrument: int) -> None:
        self.requests.append(Request("query", now, order_id, instrument))

    def new(self, kind: str | None = None) -> list[Request]:
        """What was asked since the last call, of one kind or of all."""
        found = self.requests[self.seen :]
        self.seen = len(self.requests)
        return [request for request in found if kind is None or request.kind == kind]


class Wanted(NamedTuple):
    """One quote that the scripted strategy asks for."""

    side: int
    price: int
    size: int
    how: str = "post"  # post, take, exit, exit_take, work, work_exit
    urgency: int = 2  # of work and work_exit


class ScriptedStrategy(Strategy):
    """Wants what the test put into `want`; keeps copies of what it saw."""

    def __init__(self, triggers: int | None = None, **settings: int) -> None:
        if triggers is not None:
            self.triggers = triggers
        for name, value in settings.items():
            setattr(self, name, value)
        self.want: list[Wanted] = []
        self.seen: list[dict[str, int]] = []
        self.on_quote: Callable[[View], list[Wanted]] | None = None

    def quote(self, view: View, quotes: Quotes) -> None:
        self.seen.append(
            {
                name: getattr(view, name)
                for name in (
                    "now_ns",
                    "trigger",
                    "bid_price",
                    "bid_size",
                    "ask_price",
                    "ask_size",
                    "mark_price",
                    "buy_volume",
                    "sell_volume",
                    "trades",
                    "order_flow_imbalance",
                    "position",
                    "average_price",
                    "open_buy_size",
                    "open_sell_size",
                )
            }
        )
        want = self.want if self.on_quote is None else self.on_quote(view)
        for wanted in want:
            ask_for(quotes, wanted)


def ask_for(quotes: Quotes, wanted: Wanted) -> None:
    if wanted.how == "take":
        quotes.take(wanted.side, wanted.price, wanted.size)
    elif wanted.how == "exit":
        quotes.exit(wanted.side, wanted.price, wanted.size)
    elif wanted.how == "exit_take":
        quotes.exit(wanted.side, wanted.price, wanted.size, False)
    elif wanted.how == "work":
        quotes.work(wanted.side, wanted.price, wanted.size, wanted.urgency)
    elif wanted.how == "work_exit":
        quotes.exit(wanted.side, wanted.price, wanted.size, True, wanted.urgency)
    elif wanted.side > 0:
        quotes.bid(wanted.price, wanted.size)
    else:
        quotes.ask(wanted.price, wanted.size)


def an_instrument(name: str = "TEST", index: int = 0, **changes: int) -> Instrument:
    """Price in tenths, size in thousandths, micro money; fees of the base tier."""
    values = {"price_scale": 1, "size_scale": 3, "money_scale": 6, "max_price": 10**7, "max_size": 10**6}
    values.update(changes)
    return Instrument(name, index=index, **values)


class Seat(NamedTuple):
    """One desk to be built: which strategy object, on which instrument, under which strategy number."""

    strategy: Strategy
    instrument: int = 0
    number: int = 0


def generous() -> InstrumentLimits:
    return InstrumentLimits(
        max_order_size=10**6, max_order_notional=LARGE, max_position=10**6, max_position_notional=LARGE
    )


def generous_account(**changes: int) -> AccountLimits:
    values = {
        "max_account_notional": LARGE,
        "max_leverage_hundredths": 100_000,
        "max_open_orders": 1000,
        "max_orders_per_second": 1000,
    }
    values.update(changes)
    return AccountLimits(**values)


class Rig:
    """An engine and all its parts, and small verbs to drive it by hand."""

    def __init__(
        self,
        seats: Sequence[Seat],
        *,
        instruments: Sequence[Instrument] | None = None,
        deposit: int = 10**12,
        account: AccountLimits | None = None,
        limits: Sequence[InstrumentLimits] | None = None,
        strategy_notionals: Sequence[int] | None = None,
        policy: int = KEEP,
        rules: Rules | None = None,
        own_budget: Budget | None = None,
        account_budget: Budget | None = None,
        refresh_tolerance: int = 0,
        max_book_age_ns: int = 10 * S,
        settings: EngineSettings | None = None,
        gateway: OrderGateway | None = None,
        leverage: int = 20,
        replaying: bool = False,
    ) -> None:
        self.instruments = list(instruments or [an_instrument()])
        self.holdings = [Holding(one, leverage) for one in self.instruments]
        self.desks: list[Desk] = []
        self.clocks: list[DecisionClock] = []
        self._account_budget = account_budget or unlimited()
        for index, seat in enumerate(seats):
            holding = self.holdings[seat.instrument]
            desk = Desk(index, seat.number, holding)
            holding.desks.append(desk)
            self.desks.append(desk)
            view = View(holding.instrument)
            if seat.strategy.depth > 1 or seat.strategy.traded_range:
                view.deepen(seat.strategy.depth, seat.strategy.traded_range)
            router = self._router(policy, refresh_tolerance, rules, own_budget, view)
            self.clocks.append(DecisionClock(desk, seat.strategy, router, view))
        self.portfolio = Portfolio(deposit, self.holdings, self.desks)
        numbers = max((seat.number for seat in seats), default=0) + 1
        self.account = account or generous_account()
        self.limits = list(limits or [generous() for _ in self.instruments])
        self.strategy_notionals = list(strategy_notionals or [LARGE] * numbers)
        self.risk = RiskManager(self.portfolio, self.account, self.limits, self.strategy_notionals)
        self.validator = ApiValidator(self.portfolio, max_book_age_ns)
        self.markets = [MarketView() for _ in self.instruments]
        self.sink = Records()
        self.recorder = Recorder(self.sink)
        self.gateway = gateway or ScriptedGateway()
        self.engine = Engine(
            self.markets,
            self.portfolio,
            self.clocks,
            self.risk,
            self.validator,
            self.gateway,
            self.recorder,
            settings or EngineSettings(),
        )
        self.engine.replaying = replaying

    def _router(
        self, policy: int, refresh_tolerance: int, rules: Rules | None, own_budget: Budget | None, view: View
    ) -> MakerRouter:
        if rules is not None or policy == EXPECTED_VALUE:
            rules = rules or Rules()
            return ExpectedValueRouter(rules, view, own_budget or unlimited(), self._account_budget)
        return KeepRouter(refresh_tolerance) if policy == KEEP else RequoteRouter()

    # -- driving --------------------------------------------------------------------------------------

    def start(self, now: int = T0) -> "Rig":
        self.engine.start(now)
        return self

    def feed(self, rows: Rows) -> None:
        """Give rows to the engine with every timer that is due before one of them."""
        words = row_words(rows.packed())
        at, end = 0, len(words)
        while at < end:
            stamp = rows.rows[at // ROW_WORDS].local_ts
            if self.engine.next_timer_ns < stamp:
                self.engine.on_timer(self.engine.next_timer_ns)
                continue
            at = self.engine.on_rows(words, at, end, NEVER, WORD_LOCAL_TS, 0)

    def book(self, now: int, bid: int, bid_size: int, ask: int, ask_size: int, instrument: int = 0) -> None:
        """Replace the whole book by one level a side."""
        self.feed(Rows(instrument=instrument).snapshot(now, {bid: bid_size}, {ask: ask_size}))

    def until(self, now: int, most: int = 10_000) -> int:
        """Fire every timer up to and including a moment; returns how many. Fails where they never end."""
        fired = 0
        while self.engine.next_timer_ns <= now:
            self.engine.on_timer(self.engine.next_timer_ns)
            fired += 1
            assert fired < most, "the timers do not end"
        return fired

    def answer(self, now: int, order_id: int, trigger: int, reason: int = 0) -> None:
        self.engine.on_order_event(now, order_id, trigger, reason, now, 0)

    def fill(
        self,
        now: int,
        request: Request,
        size: int,
        price: int | None = None,
        fee: int = 0,
        taker: bool = False,
        trade_id: int = 0,
    ) -> None:
        self.engine.on_fill(
            now,
            request.order_id,
            request.instrument,
            request.side,
            request.price if price is None else price,
            size,
            fee,
            taker,
            now,
            trade_id,
        )

    # -- looking --------------------------------------------------------------------------------------

    @property
    def asked(self) -> ScriptedGateway:
        assert isinstance(self.gateway, ScriptedGateway)
        return self.gateway

    def order(self, order_id: int) -> Order:
        order = self.engine.orders.machine.find(order_id)
        assert order is not None
        return order

    def state(self, order_id: int) -> int:
        return int(self.order(order_id).state)

    def records(self) -> Records:
        self.recorder.flush()
        return self.sink

    def reasons(self, kind: int) -> list[int]:
        """The reasons (aux) of every record of a kind."""
        return [entry.aux for entry in self.records().of(kind)]


class Desks(NamedTuple):
    """One scripted strategy on one instrument."""

    rig: Rig
    strategy: ScriptedStrategy


def one_desk(triggers: int | None = None, **options: object) -> Desks:
    """A rig with one scripted strategy; it is started at T0."""
    settings = {"min_decision_interval_ns": 0}
    strategy = ScriptedStrategy(triggers, **settings)
    rig = Rig([Seat(strategy)], **options)  # type: ignore[arg-type]
    return Desks(rig.start(), strategy)


class Venue:
    """One matcher with its answer line, driven by hand; answers are read as they were sent."""

    def __init__(self, model: str = "queue", instrument: Instrument | None = None, response_ns: int = 0) -> None:
        self.instrument = instrument or an_instrument()
        self.responses = Line()
        latency = ConstantLatency(0, response_ns)
        self.matcher = a_matcher(model, self.instrument, self.responses, latency)
        self.now = T0
        self.answers: list[Answer] = []

    def feed(self, rows: Rows) -> "Venue":
        for row in rows.rows:
            self.now = max(self.now, row.exch_ts)
            self.matcher.apply(row.meta, row.price, row.size, row.exch_ts)
        return self

    def place(
        self, order_id: int, side: int, price: int, size: int, tif: int = POST_ONLY, reduce_only: bool = False
    ) -> None:
        self.matcher.arrive(self.now, order_id, side, price, size, tif, reduce_only)

    def drain(self) -> list["Answer"]:
        """Every answer that is under way."""
        found = []
        while self.responses.next_ns != NEVER:
            message = self.responses.take()
            found.append(
                Answer(
                    message.order_id,
                    message.kind == FILLED,
                    message.trigger,
                    message.reason,
                    message.price,
                    message.size,
                    message.fee,
                    message.taker,
                    message.side,
                )
            )
        self.answers += found
        return found


class Answer(NamedTuple):
    """What a venue said, copied from its message; trigger and reason of an event, the rest of a fill."""

    order_id: int
    filled: bool
    trigger: int
    reason: int
    price: int
    size: int
    fee: int
    taker: bool
    side: int


def a_matcher(model: str, instrument: Instrument, responses: Line, latency: OrderLatency) -> Matcher:
    """`reference`, `cross`, `queue` (risk-averse), or `queue` with the queue model of that name."""
    if model == "reference":
        return ReferenceMatcher(instrument, responses, latency)
    queue = build_queue_model("risk_averse" if model in ("queue", "cross") else model, 2000, instrument)
    return QueueMatcher(instrument, responses, latency, model != "cross", queue)


class Backtest(NamedTuple):
    """A rig against a simulated venue on rows in memory."""

    rig: Rig
    market: ReplayMarket
    matchers: list[Matcher]

    def run(self, turns: int = 100_000, most: int = 1_000) -> "Backtest":
        self.rig.engine.start(self.market.start_ns)
        for _ in range(most):
            if not self.market.run(self.rig.engine, turns):
                self.rig.recorder.flush()
                return self
        raise AssertionError("the run does not end")


def a_backtest(
    seats: Sequence[Seat],
    rows: bytes,
    *,
    model: str = "queue",
    entry_ns: int = 10 * MS,
    response_ns: int = 10 * MS,
    rows_a_chunk: int = 1000,
    **options: object,
) -> Backtest:
    """Put an engine, matchers and a tape together."""
    instruments = options.pop("instruments", None) or [an_instrument()]
    latency = ConstantLatency(entry_ns, response_ns)
    requests, responses = Line(), Line()
    matchers = [a_matcher(model, one, responses, latency) for one in instruments]  # type: ignore[attr-defined]
    source = MemoryRows(rows, rows_a_chunk)
    market = ReplayMarket(source, source, matchers, requests, responses, latency)
    rig = Rig(seats, instruments=instruments, gateway=market, **options)  # type: ignore[arg-type]
    return Backtest(rig, market, matchers)
