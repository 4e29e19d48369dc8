"""The engine under random markets, answers, time-outs and commands, against books of its own."""

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.core.maker_router import KEEP, REQUOTE_ALWAYS
from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT, TIMER, TRADED_THROUGH
from hatmanifesto.core.portfolio import InstrumentLimits
from hatmanifesto.core.risk_manager import AccountLimits
from hatmanifesto.model import record
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.model.order_state import (
    ATTRIBUTE,
    ATTRIBUTED,
    CANCEL_PENDING,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    LIVE_STATES,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    UNKNOWN,
    VENUE_BITS,
)
from hatmanifesto.model.reasons import CANCEL_TIMEOUT
from support.engines import (
    MS,
    T0,
    EngineSettings,
    Request,
    Rig,
    S,
    ScriptedStrategy,
    Seat,
    Wanted,
    an_instrument,
)
from support.rows import Rows

VENUE_WORDS = [trigger for trigger in range(18) if VENUE_BITS >> trigger & 1]
FACTOR = 100

prices = st.integers(985, 1015)
wanted = st.builds(
    Wanted, st.sampled_from([1, -1]), prices, st.sampled_from([1, 10, 50, 100, 250]),
    st.sampled_from(["post", "post", "post", "take", "exit", "exit_take"]),
)  # fmt: skip
quotes = st.tuples(st.just("want"), st.integers(0, 2), st.lists(wanted, max_size=3))
book = st.tuples(st.just("book"), st.integers(0, 1), st.integers(988, 1004), st.integers(1, 6), st.integers(1, 9))
trade = st.tuples(st.just("trade"), st.integers(0, 1), st.sampled_from([1, -1]), prices, st.integers(1, 99))
mark = st.tuples(st.just("mark"), st.integers(0, 1), prices)
answer = st.tuples(st.just("answer"), st.integers(0, 40), st.sampled_from([5, 5, 5, *VENUE_WORDS]))
odd = st.tuples(st.just("answer"), st.integers(0, 40), st.integers(0, 40))
fill = st.tuples(st.just("fill"), st.integers(0, 40), st.sampled_from([1, 5, 50, 100, 250, 400]), st.integers(-40, 90))
wait = st.tuples(st.just("wait"), st.sampled_from([1, 5, 900, 6_000, 20_000]))
command = st.tuples(st.just("override"), st.integers(-1, 2), st.integers(0, 4), st.sampled_from([0, 30, 100]))
funding = st.tuples(st.just("pay"), st.integers(0, 1), st.integers(-999, 999))
cancel_all = st.tuples(st.just("cancel_all"))
step = st.one_of(quotes, quotes, book, book, book, trade, mark, answer, answer, answer, fill, fill, wait)
rare = st.one_of(odd, command, funding, cancel_all)
stories = st.lists(st.one_of(step, step, step, rare), min_size=10, max_size=60)


class Account:
    """What the test knows of an order: asked for, filled, and its state by the table."""

    def __init__(self, request: Request, desk: int) -> None:
        self.request = request
        self.desk = desk
        self.state = SUBMITTED
        self.filled = 0

    def rest(self) -> int:
        return max(0, self.request.size - self.filled)


class Auditor:
    """Drives a rig of three desks on two instruments and keeps books of its own."""

    def __init__(self, policy: int, limits: InstrumentLimits, account: AccountLimits, notionals: list[int]) -> None:
        instruments = [an_instrument("AAA", 0), an_instrument("BBB", 1, tick_size=5)]
        self.strategies = [
            ScriptedStrategy(BEST_CHANGED | OWN_EVENT | TRADED_THROUGH, min_decision_interval_ns=0),
            ScriptedStrategy(BEST_CHANGED | OWN_EVENT, min_decision_interval_ns=3 * MS),
            ScriptedStrategy(TIMER, interval_ns=S, min_decision_interval_ns=0),
        ]
        seats = [
            Seat(self.strategies[0], 0, 0),
            Seat(self.strategies[1], 1, 0),
            Seat(self.strategies[2], 0, 1),
        ]
        self.limits, self.account_limits, self.notionals = limits, account, notionals
        self.rig = Rig(
            seats, instruments=instruments, limits=[limits, limits], account=account, deposit=10**9,
            strategy_notionals=notionals, policy=policy, max_book_age_ns=30 * S,
            settings=EngineSettings(answer_timeout_ns=5 * S, equity_interval_ns=S),
        ).start()  # fmt: skip
        self.desk_instrument = [0, 1, 0]
        self.now = T0
        self.orders: dict[int, Account] = {}
        self.sequence: list[int] = []
        self.fills: list[tuple[int, int, int, int, int, int]] = []  # instrument, desk, side, price, size, fee
        self.funding = 0
        self.kinds: dict[str, int] = {}
        self.sent: list[int] = []
        self.overrides = {-1: (0, 100), 0: (0, 100), 1: (0, 100), 2: (0, 100)}

    # -- the second set of books, from the journal ------------------------------------------------------

    def follow(self) -> None:
        """Read what the engine wrote since the last look and take every step with the table."""
        self.rig.recorder.flush()
        for entry in self.rig.sink.take():
            self.kinds[entry.name] = self.kinds.get(entry.name, 0) + 1
            if entry.kind == record.SUBMIT:
                self.submitted(entry.fields, entry.aux, entry.ts_ns)
            elif entry.kind == record.CANCEL:
                own = self.orders[entry.fields["order_id"]]
                if entry.aux != CANCEL_TIMEOUT:  # that one pursues an order, it does not move it
                    self.move(own, REQUEST_CANCEL)
            elif entry.kind == record.ORDER_EVENT:
                own = self.orders.get(entry.fields["order_id"])
                trigger = entry.aux & 0xFF
                lives = own is not None and own.state in LIVE_STATES and trigger in VENUE_WORDS
                lives = lives and trigger != FILL_WHOLE  # only fills fill
                if own is not None and lives and (own.state, trigger) in TRANSITIONS:
                    self.move(own, trigger)
            elif entry.kind == record.TIMEOUT:
                self.move(self.orders[entry.fields["order_id"]], TIME_OUT)
            elif entry.kind == record.FILL:
                own = self.orders.get(entry.fields["order_id"])
                if own is None or self.forgotten(own):
                    continue
                if own.state in LIVE_STATES:
                    self.move(own, FILL_PART if entry.fields["size"] < own.rest() else FILL_WHOLE)
                else:
                    self.move(own, FILL_LATE)
                own.filled += entry.fields["size"]
        self.check()

    def forgotten(self, own: Account) -> bool:
        return self.rig.engine.orders.machine.find(own.request.order_id) is None

    def move(self, own: Account, trigger: int) -> None:
        assert (own.state, trigger) in TRANSITIONS, f"no step from {own.state} by {trigger}"
        own.state = TRANSITIONS[own.state, trigger]
        if (own.state, ATTRIBUTE) in TRANSITIONS:
            own.state = TRANSITIONS[own.state, ATTRIBUTE]

    def submitted(self, fields: dict[str, int], aux: int, now: int) -> None:
        """An order went out: every limit is reckoned anew from the lists of orders and fills."""
        request = next(r for r in self.rig.asked.requests if r.kind == "place" and r.order_id == fields["order_id"])
        assert (request.price, request.size) == (fields["price"], fields["size"])
        desk = int(self.rig.order(request.order_id).desk)
        assert aux == request.instrument | int(self.rig.desks[desk].strategy) << 8
        self.brute_force(request, desk, now)
        self.orders[request.order_id] = Account(request, desk)
        self.sequence.append(request.order_id)
        self.sent.append(now)

    def live(self, instrument: int | None = None, desk: int | None = None) -> list[Account]:
        return [
            own for own in self.orders.values()
            if own.state in LIVE_STATES
            and (instrument is None or own.request.instrument == instrument)
            and (desk is None or own.desk == desk)
        ]  # fmt: skip

    def position(self, instrument: int | None = None, desk: int | None = None) -> int:
        return sum(
            side * size for i, d, side, _, size, _ in self.fills
            if (instrument is None or i == instrument) and (desk is None or d == desk)
        )  # fmt: skip

    def worst(self, orders: list[Account], position: int) -> int:
        buys = sum(own.rest() for own in orders if own.request.side > 0)
        sells = sum(own.rest() for own in orders if own.request.side < 0)
        return max(position + buys, sells - position)

    def brute_force(self, request: Request, desk: int, now: int) -> None:
        """Assert that nothing forbids this order; `self.fills` are those before it."""
        side, size, price = request.side, request.size, request.price
        instrument = request.instrument
        holding = self.rig.holdings[instrument]
        live = self.live(instrument)
        before = self.position(instrument)
        limits, account = self.limits, self.account_limits
        assert 0 < size <= limits.max_order_size
        mark = int(holding.mark_price)
        assert max(price, mark) * size * FACTOR <= limits.max_order_notional
        assert len(self.live()) + 1 <= account.max_open_orders
        recent = [sent for sent in self.sent if now - sent < S]
        assert len(recent) + 1 <= account.max_orders_per_second
        for own in live:
            if own.request.side != side and own.state != CANCEL_PENDING:
                assert (price - own.request.price) * side < 0, "own orders cross"
        override = max(self.overrides[-1][0], self.overrides[desk][0])
        scale = min(self.overrides[-1][1], self.overrides[desk][1])
        assert override < 4
        same = [own for own in self.live(desk=desk) if own.request.side == side]
        if override >= 2:
            assert size + sum(own.rest() for own in same) <= -self.position(desk=desk) * side
        tick = int(self.rig.instruments[instrument].tick_size)
        assert price % tick == 0
        if request.time_in_force == POST_ONLY:
            opposite = int(holding.ask_price if side > 0 else holding.bid_price)
            assert (price - opposite) * side < 0, "a post-only order that takes"
        if request.reduce_only:
            assert size <= -before * side, "a reduce-only order larger than the position"
        reached = before * side + sum(own.rest() for own in live if own.request.side == side) + size
        if reached <= 0:
            return  # only reduces
        assert not [own for own in live if own.state == UNKNOWN]
        assert reached <= Fraction(limits.max_position * scale, 100)
        new = Account(request, desk)
        worst = self.worst([*live, new], before) * mark * FACTOR
        assert worst <= Fraction(limits.max_position_notional * scale, 100)
        number = int(self.rig.desks[desk].strategy)
        strategy = gross = margin = 0
        for at, other in enumerate(self.rig.desks):
            if int(other.strategy) == number:
                orders = self.live(desk=at) + ([new] if at == desk else [])
                value = int(other.holding.mark_price) * FACTOR
                strategy += self.worst(orders, self.position(desk=at)) * value
        assert strategy <= Fraction(self.notionals[number] * scale, 100)
        for at, other_holding in enumerate(self.rig.holdings):
            orders = self.live(at) + ([new] if at == instrument else [])
            value = self.worst(orders, self.position(at)) * int(other_holding.mark_price) * FACTOR
            gross += value
            margin += value // int(other_holding.leverage)
        equity = int(self.rig.portfolio.equity)
        assert gross <= Fraction(account.max_account_notional * scale, 100)
        assert gross <= Fraction(equity * account.max_leverage_hundredths, 100)
        assert margin <= equity

    # -- what must always hold ----------------------------------------------------------------------------

    def check(self) -> None:
        rig = self.rig
        for order_id, own in self.orders.items():
            found = rig.engine.orders.machine.find(order_id)
            if found is None:
                assert own.state == ATTRIBUTED
            else:
                assert int(found.state) == own.state
                assert int(found.filled) == own.filled
        for at, desk in enumerate(rig.desks):
            live = self.live(desk=at)
            listed = [int(order.order_id) for order in desk.orders.snapshot()]
            assert listed == [order_id for order_id in self.sequence if self.orders[order_id] in live]
            assert desk.open_buy == sum(own.rest() for own in live if own.request.side > 0)
            assert desk.open_sell == sum(own.rest() for own in live if own.request.side < 0)
            assert desk.position.size == self.position(desk=at)
        cash = 10**9 + self.funding
        value = cash
        for at, holding in enumerate(rig.holdings):
            live = self.live(at)
            assert holding.open_buy == sum(own.rest() for own in live if own.request.side > 0)
            assert holding.open_sell == sum(own.rest() for own in live if own.request.side < 0)
            assert holding.unknown_orders == sum(own.state == UNKNOWN for own in live)
            assert holding.position.size == self.position(at)
            for instrument, _, side, price, size, fee in self.fills:
                if instrument == at:
                    value -= side * price * size * FACTOR + fee
                    cash -= fee
            value += self.position(at) * int(holding.mark_price) * FACTOR
            cash += int(holding.position.realized)
        assert rig.portfolio.value() == value
        assert rig.portfolio.cash() == cash
        assert rig.risk.live_orders == len(self.live())
        assert rig.portfolio.max_drawdown >= 0

    # -- steps ------------------------------------------------------------------------------------------

    def run(self, story: list[tuple[object, ...]]) -> None:
        for at, (name, *values) in enumerate(story):
            self.now += MS
            if self.rig.engine.next_timer_ns < self.now:
                self.rig.until(self.now)
                self.follow()
            getattr(self, str(name))(at, *values)
            self.follow()

    def want(self, at: int, desk: int, quotes: list[Wanted]) -> None:
        self.strategies[desk].want = quotes

    def book(self, at: int, instrument: int, bid: int, spread: int, size: int) -> None:
        self.rig.book(self.now, bid, size + at, bid + spread, size, instrument)

    def trade(self, at: int, instrument: int, side: int, price: int, size: int) -> None:
        self.rig.feed(Rows(instrument=instrument).trade(self.now, side, price, size))

    def mark(self, at: int, instrument: int, price: int) -> None:
        self.rig.feed(Rows(instrument=instrument).mark(self.now, price))

    def pick(self, number: int) -> Account | None:
        if not self.sequence:
            return None
        return self.orders[self.sequence[-1 - number % len(self.sequence)]]

    def answer(self, at: int, number: int, trigger: int) -> None:
        own = self.pick(number)
        self.rig.answer(self.now, own.request.order_id if own else number, trigger)

    def fill(self, at: int, number: int, size: int, fee: int) -> None:
        own = self.pick(number)
        if own is None:
            return
        request = own.request
        desk = own.desk
        self.fills.append((request.instrument, desk, request.side, request.price, size, fee))
        self.rig.fill(self.now, request, size, fee=fee)

    def wait(self, at: int, milliseconds: int) -> None:
        target = self.now + milliseconds * MS
        while self.rig.engine.next_timer_ns <= target:
            self.rig.until(self.rig.engine.next_timer_ns)
            self.follow()
        self.now = target

    def override(self, at: int, desk: int, number: int, scale: int) -> None:
        scale = 100 if number != 1 else scale
        self.overrides[desk] = (number, scale)
        self.rig.engine.set_override(self.now, desk, number, scale)

    def pay(self, at: int, instrument: int, amount: int) -> None:
        self.funding += amount
        self.rig.engine.on_funding(self.now, instrument, amount, 1, 1, 1)

    def cancel_all(self, at: int) -> None:
        self.rig.engine.cancel_all(self.now)


def limits_of(draw: st.DrawFn) -> tuple[InstrumentLimits, AccountLimits, list[int]]:
    unit = 100 * 1000 * FACTOR  # an order of 100 at about 1000
    some = st.sampled_from([unit // 2, unit, 3 * unit, 10 * unit, 10**13])
    limits = InstrumentLimits(
        max_order_size=draw(st.sampled_from([50, 100, 250, 1000])),
        max_order_notional=draw(some),
        max_position=draw(st.sampled_from([10, 100, 300, 10**6])),
        max_position_notional=draw(some),
    )
    account = AccountLimits(
        max_account_notional=draw(some),
        max_leverage_hundredths=draw(st.sampled_from([1, 5, 1000])),
        max_open_orders=draw(st.sampled_from([1, 3, 100])),
        max_orders_per_second=draw(st.sampled_from([1, 4, 100])),
    )
    return limits, account, [draw(some), draw(some)]


@st.composite
def auditors(draw: st.DrawFn) -> Auditor:
    return Auditor(draw(st.sampled_from([KEEP, KEEP, REQUOTE_ALWAYS])), *limits_of(draw))


def random_story(chance: random.Random, steps: int) -> list[tuple[object, ...]]:
    """A story in which orders mostly are placed, answered and filled as at a venue."""

    def some_quote() -> Wanted:
        side = chance.choice((1, -1))
        price = 1000 - side * chance.randint(-2, 6)
        how = chance.choice(("post", "post", "post", "post", "take", "exit", "exit_take"))
        return Wanted(side, price, chance.choice((1, 10, 50, 100)), how)

    story: list[tuple[object, ...]] = [("book", 0, 998, 4, 1), ("book", 1, 995, 10, 1)]
    for _ in range(steps):
        draw = chance.random()
        if draw < 0.25:
            story.append(("want", chance.randint(0, 2), [some_quote() for _ in range(chance.randint(0, 3))]))
        elif draw < 0.5:
            story.append(("book", chance.randint(0, 1), chance.randint(994, 999), chance.randint(1, 6), 3))
        elif draw < 0.7:
            story.append(("answer", chance.randint(0, 5), chance.choice((5, 5, 5, *VENUE_WORDS))))
        elif draw < 0.85:
            story.append(("fill", chance.randint(0, 8), chance.choice((1, 10, 50, 100)), chance.randint(-40, 90)))
        elif draw < 0.90:
            story.append(("wait", chance.choice((1, 5, 900, 1100, 6000))))
        elif draw < 0.94:
            story.append(("trade", chance.randint(0, 1), chance.choice((1, -1)), chance.randint(990, 1010), 9))
        elif draw < 0.96:
            story.append(("mark", chance.randint(0, 1), chance.randint(950, 1050)))
        elif draw < 0.97:
            story.append(("override", chance.randint(-1, 2), chance.choice((0, 1, 2, 3, 4)), chance.choice((30, 100))))
            story.append(("override", -1, 0, 100))
        elif draw < 0.98:
            story.append(("pay", chance.randint(0, 1), chance.randint(-999, 999)))
        elif draw < 0.99:
            story.append(("cancel_all",))
        else:
            story.append(("answer", chance.randint(0, 40), chance.randint(0, 40)))
    return story


@settings(max_examples=40)
@given(auditors(), stories)
def test_the_engine_keeps_its_books_its_table_and_its_limits(auditor: Auditor, story: list[tuple[object, ...]]) -> None:
    auditor.run(story)


@pytest.mark.parametrize("policy", [KEEP, REQUOTE_ALWAYS])
@pytest.mark.parametrize("tight", [0, 1, 2])
def test_the_engine_keeps_its_books_through_busy_sessions(policy: int, tight: int) -> None:
    kinds: dict[str, int] = {}
    for seed in range(6):
        most = (10**6, 300, 150)[tight]
        value = (10**13, 60_000_000, 25_000_000)[tight]
        limits = InstrumentLimits(
            max_order_size=100, max_order_notional=value, max_position=most, max_position_notional=value
        )
        account = AccountLimits(
            max_account_notional=value, max_leverage_hundredths=(100_000, 10, 4)[tight],
            max_open_orders=(1000, 12, 5)[tight], max_orders_per_second=(1000, 30, 10)[tight],
        )  # fmt: skip
        auditor = Auditor(policy, limits, account, [value, value])
        auditor.run(random_story(random.Random(1000 * tight + seed), 200))
        kinds = {name: kinds.get(name, 0) + auditor.kinds.get(name, 0) for name in {*kinds, *auditor.kinds}}
    # the stories are not about nothing
    assert kinds["submit"] > 80
    assert kinds["fill"] > 100
    assert kinds["cancel"] > 50
    assert kinds["deny"] > 50


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(300))
def test_the_engine_keeps_its_books_at_length(seed: int) -> None:
    chance = random.Random(seed)
    limits = InstrumentLimits(
        max_order_size=100, max_order_notional=10**13, max_position=chance.choice((150, 400, 10**6)),
        max_position_notional=chance.choice((25_000_000, 10**13)),
    )  # fmt: skip
    account = AccountLimits(
        max_account_notional=10**13, max_leverage_hundredths=chance.choice((4, 10, 1000)),
        max_open_orders=chance.choice((5, 100)), max_orders_per_second=chance.choice((10, 1000)),
    )  # fmt: skip
    Auditor(chance.choice((KEEP, REQUOTE_ALWAYS)), limits, account, [10**13] * 2).run(random_story(chance, 600))
