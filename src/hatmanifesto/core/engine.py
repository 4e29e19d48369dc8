"""The engine: market rows, order events, timers and operator commands in; requests to the venue out.

No clock, no I/O, no randomness, no logging. `now` is the receipt stamp of the event in hand; every input that
decisions depend on and every output is journaled through the Recorder, so the same inputs give the same bytes.
"""

from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.core.api_validator import ApiValidator
from hatmanifesto.core.closing import RETRY_NS, quote_close
from hatmanifesto.core.decision_clock import DecisionClock, EngineSettings
from hatmanifesto.core.maker_router import MakerRouter
from hatmanifesto.core.market_view import OPERATOR, OWN_EVENT, TIMER, TRADED_THROUGH, MarketView
from hatmanifesto.core.portfolio import Desk, Holding, Portfolio
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.risk_manager import CLOSE, NO_OVERRIDE, OPERATOR_SOURCE, REDUCE_ONLY, RiskManager
from hatmanifesto.core.state_machine import StateMachine
from hatmanifesto.core.strategy import Quote, Quotes, View
from hatmanifesto.model.holds import HOLD_NO_BOOK, HOLD_STALE_BOOK
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    ROW_WORDS,
    WORD_META,
)
from hatmanifesto.model.order import (
    FORCED_FILL_REASONS,
    QUOTE,
    REDUCE_ONLY_BIT,
    Order,
    desk_of,
    purpose_of,
    side_of,
    time_in_force_of,
)
from hatmanifesto.model.order_state import (
    ADOPT,
    ATTRIBUTE,
    CANCEL_PENDING,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    FIND_OPEN,
    NO_STATE,
    PARTIALLY_FILLED,
    REJECT,
    REQUEST_CANCEL,
    TIME_OUT,
    TRIGGER_COUNT,
    UNKNOWN,
    VENUE_BITS,
)
from hatmanifesto.model.ports import NEVER, EngineInput, OrderGateway
from hatmanifesto.model.reasons import (
    CANCEL_OPERATOR,
    CANCEL_RISK,
    CANCEL_TIMEOUT,
    FOREIGN_FILL,
    LATE_FILL,
    NONE,
    OVERFILL,
    RETRIES_EXHAUSTED,
    SLOTS_EXHAUSTED,
    STATE_TIMEOUT,
    UNEXPECTED_EVENT,
    VENUE_POST_ONLY,
    VENUE_RATE_LIMIT,
)
from hatmanifesto.model.record import (
    ADJUSTED,
    CONTEXT,
    DENY,
    EQUITY,
    FAULT,
    FILL,
    FUNDING_PAYMENT,
    QUERY,
    TIMEOUT,
    VENUE_ID,
)
from hatmanifesto.model.record import ADOPT as ADOPT_RECORD

RATE_LIMIT_PAUSE_NS: Final = 1_000_000_000
"""How long a desk sends no new quote after one was refused by a rate limit; cancels and exits still go."""


@final
class Engine(EngineInput):
    """Risk manager, state machine, API validator, maker router and portfolio around the strategies.

    Raises whatever a strategy raises out of the input method that led to its decision; the driver ends the
    session then. `markets`, `holdings` and limits are indexed by instrument.
    """

    def __init__(
        self,
        markets: list[MarketView],
        portfolio: Portfolio,
        clocks: list[DecisionClock],
        risk: RiskManager,
        validator: ApiValidator,
        gateway: OrderGateway,
        recorder: Recorder,
        settings: EngineSettings,
    ) -> None:
        self.markets: Final[list[MarketView]] = markets
        self.portfolio: Final[Portfolio] = portfolio
        self.clocks: Final[list[DecisionClock]] = clocks
        self.risk: Final[RiskManager] = risk
        self.validator: Final[ApiValidator] = validator
        self.gateway: Final[OrderGateway] = gateway
        self.recorder: Final[Recorder] = recorder
        self.settings: Final[EngineSettings] = settings
        self.machine: Final[StateMachine] = StateMachine()
        self.quotes: Final[Quotes] = Quotes()
        self.now: i64 = 0
        self.next_equity_ns: i64 = 0
        self.requests: i64 = 0
        self.orders_placed: i64 = 0
        self.orders_denied: i64 = 0
        self.cancels_sent: i64 = 0
        self.faults: i64 = 0
        self.replaying: bool = False
        for index, market in enumerate(markets):
            market.instrument = index
        for clock in clocks:
            clock.router.attach(recorder)
            self.machine.watch(clock.desk.orders)
            market = markets[clock.desk.holding.instrument.index]
            market.wanted |= clock.triggers
            if clock.view.extras > 0:
                market.add_range(clock.traded)

    # -- the session ------------------------------------------------------------------------------

    def start(self, now: i64) -> None:
        """Begin at a moment: strategies with a TIMER decide first one interval later."""
        self.now = now
        for clock in self.clocks:
            clock.allowed_ns = now
            if clock.triggers & TIMER:
                clock.timer_ns = now + clock.interval_ns
        self._set_timer()

    def _set_timer(self) -> None:
        """Find the next moment at which something is due."""
        due: i64 = NEVER
        if not self.replaying:
            for at in range(i64(len(self.clocks))):
                clock_due = self.clocks[at].due_ns()
                if clock_due < due:
                    due = clock_due
            if self.machine.earliest_ns < due:
                due = self.machine.earliest_ns
        self.next_timer_ns = due

    # -- market data ------------------------------------------------------------------------------

    def on_rows(self, rows: vec[i64], at: i64, end: i64, until_ns: i64, clock_word: i64, delay_ns: i64) -> i64:
        limit = until_ns if until_ns < self.next_timer_ns else self.next_timer_ns
        limit -= delay_ns
        while at < end and rows[at + clock_word] <= limit:
            instrument = (rows[at + WORD_META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
            market = self.markets[instrument]
            at = market.take_rows(rows, at, end, limit, clock_word)
            if market.moved != 0:
                now = rows[at - ROW_WORDS + clock_word] + delay_ns
                if self._market_moved(instrument, market.moved, now):
                    break
        return at

    def _market_moved(self, instrument: i64, bits: i64, now: i64) -> bool:
        """Decide, or arrange to decide, where a desk waits for this. True when the timer or requests changed."""
        acted = False
        for clock in self.clocks:
            if clock.desk.holding.instrument.index == instrument and clock.triggers & bits:
                if now >= clock.allowed_ns:
                    self.now = now
                    self._decide(clock, now, clock.triggers & bits | clock.pending)
                    acted = True
                else:
                    if clock.pending == 0:
                        clock.deferred_ns = clock.allowed_ns
                        acted = True
                    clock.pending |= clock.triggers & bits
        if acted:
            self._set_timer()
        return acted

    # -- time -------------------------------------------------------------------------------------

    def on_timer(self, now: i64) -> None:
        self.now = now
        for clock in self.clocks:
            trigger: i64 = 0
            if clock.timer_ns <= now:
                clock.timer_ns += clock.interval_ns
                if clock.timer_ns <= now:
                    clock.timer_ns = now + clock.interval_ns
                trigger = TIMER
            if clock.deferred_ns <= now:
                clock.deferred_ns = NEVER
                trigger |= clock.pending
            if clock.router.wake_ns <= now:
                clock.router.wake_ns = NEVER
                clock.stale_ns = NEVER
                trigger |= TIMER
            elif clock.stale_ns <= now:
                fresh_until = (
                    self.markets[clock.desk.holding.instrument.index].book_ts_ns + self.validator.max_book_age_ns
                )
                if fresh_until >= now:
                    clock.stale_ns = fresh_until + 1
                    if clock.router.wake_ns < clock.stale_ns:
                        clock.stale_ns = clock.router.wake_ns
                else:
                    clock.stale_ns = NEVER
                    trigger |= TIMER
            if trigger != 0:
                if now >= clock.allowed_ns:
                    self._decide(clock, now, trigger)
                else:
                    clock.pending |= trigger
                    clock.deferred_ns = clock.allowed_ns
        while self.machine.earliest_ns <= now:
            waiting = self.machine.overdue(now)
            if waiting is not None:
                self.on_timeout(now, waiting.order_id)
        self._set_timer()

    def on_timeout(self, now: i64, order_id: i64) -> None:
        """An answer is overdue: the order is unknown from here on, is cancelled, and is asked about."""
        self.now = now
        found = self.machine.find(order_id)
        if found is None or not found.live():
            return
        order: Order = found
        self.recorder.put1(TIMEOUT, TIME_OUT, now, order_id)
        order.deadline_ns = 0
        self._fault(STATE_TIMEOUT, now, order_id, now - order.submitted_ns, self.settings.answer_timeout_ns)
        before = order.state
        if self.machine.move(order, TIME_OUT):
            self._account_unknown(order, before, self._clock_of(order).desk.holding)
            self._pursue(order, now)

    def _pursue(self, order: Order, now: i64) -> None:
        """Cancel and ask about an unknown order, waiting longer each time, a bounded number of times."""
        if order.cancels_sent >= self.settings.max_cancel_attempts:
            self._fault(RETRIES_EXHAUSTED, now, order.order_id, order.cancels_sent, self.settings.max_cancel_attempts)
            return
        wait = self.settings.answer_timeout_ns
        for _ in range(order.cancels_sent):
            wait *= 2
        order.cancels_sent += 1
        self.requests += 1
        self.cancels_sent += 1
        self.recorder.put_cancel(CANCEL_TIMEOUT, now, order.order_id)
        self.gateway.cancel(now, order.order_id, order.instrument)
        self.recorder.put1(QUERY, 0, now, order.order_id)
        self.gateway.query(now, order.order_id, order.instrument)
        self.machine.expect_answer(order, now + wait)

    def _fault(self, reason: i64, now: i64, order_id: i64, value: i64, limit: i64) -> None:
        self.faults += 1
        self.recorder.put3(FAULT, reason, now, order_id, value, limit)

    # -- own orders -------------------------------------------------------------------------------

    def on_order_event(
        self, now: i64, order_id: i64, trigger: i64, reason: i64, exch_ts: i64, venue_order_id: i64
    ) -> None:
        self.now = now
        self.recorder.put_order_event(trigger, reason, now, order_id, exch_ts)
        if venue_order_id != 0:
            self.recorder.put2(VENUE_ID, 0, now, order_id, venue_order_id)
        found = self.machine.find(order_id)
        if trigger < 0 or trigger >= TRIGGER_COUNT or (VENUE_BITS >> trigger) & 1 == 0:
            self._fault(UNEXPECTED_EVENT, now, order_id, trigger, NO_STATE)
            return
        if found is None or not found.live():
            # what crossed with the order's end says nothing new; but alive it must not be
            if trigger == FIND_OPEN:
                self._fault(UNEXPECTED_EVENT, now, order_id, trigger, 0)
            return
        order: Order = found
        if trigger == FILL_WHOLE:
            # only fills fill: the word that it is filled makes us wait for them, and ask again
            if order.deadline_ns == 0:
                self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
            return
        before = order.state
        if not self.machine.move(order, trigger):
            self._fault(UNEXPECTED_EVENT, now, order_id, trigger, before)
            return
        state = order.state
        clock = self._clock_of(order)
        if before == UNKNOWN or state == UNKNOWN:
            self._account_unknown(order, before, clock.desk.holding)
        if trigger == REJECT:
            if reason == VENUE_POST_ONLY:
                clock.desk.note_crossed(order.side, exch_ts)
            elif reason == VENUE_RATE_LIMIT:
                clock.desk.quiet_until_ns = now + RATE_LIMIT_PAUSE_NS
        if self.machine.is_done(order):
            self._finish(order, clock.desk)
        elif state == UNKNOWN:
            # the venue does not know it, yet its end has not been seen: ask, and ask again later
            self.recorder.put1(QUERY, 0, now, order_id)
            self.gateway.query(now, order_id, order.instrument)
            if order.deadline_ns == 0:
                self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
        elif state != CANCEL_PENDING:
            order.deadline_ns = 0
        elif before == UNKNOWN:
            # found alive: the cancel must still be confirmed
            self._pursue(order, now)
        if clock.triggers & OWN_EVENT:
            self._own_event(clock, now)

    def _account_unknown(self, order: Order, before: i64, holding: Holding) -> None:
        if before == UNKNOWN and order.state != UNKNOWN:
            holding.unknown_orders -= 1
        elif before != UNKNOWN and order.state == UNKNOWN:
            holding.unknown_orders += 1

    def on_fill(
        self,
        now: i64,
        order_id: i64,
        instrument: i64,
        side: i64,
        price: i64,
        size: i64,
        fee: i64,
        taker: bool,
        exch_ts: i64,
        trade_id: i64,
    ) -> None:
        self.now = now
        self.recorder.put7(
            FILL, (1 if taker else 0) | instrument << 8, now, order_id, price, size, fee, exch_ts, trade_id, side
        )
        holding = self.portfolio.holdings[instrument]
        holding.position.apply_fill(side, price, size, fee, taker)
        found = self.machine.find(order_id)
        if found is None:
            if order_id < 0:
                self._forced_fill(now, order_id, holding, side, price, size, fee, taker)
                return
            # of an order that is long forgotten, perhaps of an earlier session; 0 is not ours at all
            owner = desk_of(order_id)
            if order_id != 0 and owner < len(self.clocks) and self.clocks[owner].desk.holding is holding:
                self.clocks[owner].desk.position.apply_fill(side, price, size, fee, taker)
            self._fault(LATE_FILL if order_id != 0 else FOREIGN_FILL, now, order_id, size, 0)
            return
        order: Order = found
        clock = self._clock_of(order)
        clock.desk.position.apply_fill(side, price, size, fee, taker)
        if not order.live():
            self._fault(LATE_FILL, now, order_id, size, order.size - order.filled)
            self.machine.move(order, FILL_LATE)
            order.filled += size
            self._own_event(clock, now)
            return
        rest = order.size - order.filled
        if size > rest:
            self._fault(OVERFILL, now, order_id, order.filled + size, order.size)
        before = order.state
        order.filled += size
        self.portfolio.release(order, clock.desk, size if size < rest else rest)
        self.machine.move(order, FILL_PART if size < rest else FILL_WHOLE)
        self._account_unknown(order, before, holding)
        if self.machine.is_done(order):
            self._finish(order, clock.desk)
        elif order.state == PARTIALLY_FILLED:
            order.deadline_ns = 0
        self._own_event(clock, now)

    def adopt_order(
        self, now: i64, order_id: i64, price: i64, size: i64, side_flags: i64, filled: i64, session: i64, venue_id: i64
    ) -> bool:
        """Take over an order that an earlier session left open at the venue, as it stands there.

        `filled` is what has been booked of it, in the units of the desk's instrument as everything else. False, and
        nothing is changed or journaled, when no desk owns it, nothing of it is left, or its slot is in use.
        """
        self.now = now
        owner = desk_of(order_id)
        if owner >= len(self.clocks) or not 0 <= filled < size:
            return False
        taken = self.machine.adopt_order(order_id)
        if taken is None:
            return False
        order: Order = taken
        desk = self.clocks[owner].desk
        order.instrument = desk.holding.instrument.index
        order.strategy = desk.strategy
        order.side = side_of(side_flags)
        order.price = price
        order.size = size
        order.filled = filled
        order.filled_before = filled
        order.time_in_force = time_in_force_of(side_flags)
        order.reduce_only = side_flags & REDUCE_ONLY_BIT != 0
        order.purpose = purpose_of(side_flags)
        order.submitted_ns = now
        self.recorder.put7(
            ADOPT_RECORD, order.instrument | order.strategy << 8, now,
            order_id, price, size, side_flags, filled, session, venue_id,
        )  # fmt: skip
        self.machine.move(order, ADOPT)
        self.portfolio.add_order(order, desk)
        if filled > 0:
            self.machine.move(order, FILL_PART)
            self.portfolio.release(order, desk, filled)
        self.risk.note_adopted()
        return True

    def on_funding(
        self, now: i64, instrument: i64, amount: i64, rate: i64, position_size: i64, oracle_price: i64, exch_ts: i64 = 0
    ) -> None:
        self.now = now
        self.recorder.put5(FUNDING_PAYMENT, instrument, now, amount, rate, position_size, oracle_price, exch_ts)
        self.portfolio.holdings[instrument].apply_funding(amount)

    def _forced_fill(
        self, now: i64, order_id: i64, holding: Holding, side: i64, price: i64, size: i64, fee: i64, taker: bool
    ) -> None:
        """The venue has closed some of the position by itself; the desks that held it are told."""
        left = holding.position.size if holding.position.size >= 0 else -holding.position.size
        self._fault(i64(FORCED_FILL_REASONS.get(int(order_id), LATE_FILL)), now, order_id, size, left)
        holding.share_close(side, price, size, fee, taker)
        for desk in holding.desks:
            self._own_event(self.clocks[desk.index], now)

    def _finish(self, order: Order, desk: Desk) -> None:
        """An order has ended and all of it is booked: take it out of the open totals, attribute it, free its slot."""
        order.deadline_ns = 0
        self.portfolio.remove_order(order, desk)
        self.risk.note_ended()
        self.machine.move(order, ATTRIBUTE)
        self.machine.free_order(order)

    def _clock_of(self, order: Order) -> DecisionClock:
        return self.clocks[order.desk]

    def _own_event(self, clock: DecisionClock, now: i64) -> None:
        if clock.triggers & OWN_EVENT == 0 or self.replaying:
            return
        if now >= clock.allowed_ns:
            self._decide(clock, now, OWN_EVENT | clock.pending)
        elif clock.pending & OWN_EVENT == 0:
            clock.pending |= OWN_EVENT
            clock.deferred_ns = clock.allowed_ns
        self._set_timer()

    # -- operator ---------------------------------------------------------------------------------

    def set_override(
        self, now: i64, desk: i64, override: i64, scale_percent: i64, source: i64 = OPERATOR_SOURCE
    ) -> None:
        """Set what a source demands of the account (desk -1), or one desk's override.

        From REDUCE_ONLY on what works there is cancelled, since it may increase the position; what the
        override allows is quoted again. The account's scale is the operator's.
        """
        self.now = now
        if desk < 0:
            self.risk.set_account_override(int(source), int(override))
            if source == OPERATOR_SOURCE:
                self.risk.account_scale = scale_percent
        else:
            self.risk.set_override(self.clocks[desk].desk, override, scale_percent)
        if override >= REDUCE_ONLY:
            for clock in self.clocks:
                if desk < 0 or clock.desk.index == desk:
                    self.cancel_desk(now, clock.desk, CANCEL_RISK)
        self._set_timer()

    def cancel_all(self, now: i64, reason: i64 = CANCEL_OPERATOR) -> None:
        """Cancel every working order."""
        self.now = now
        for clock in self.clocks:
            self.cancel_desk(now, clock.desk, reason)
        self._set_timer()

    def cancel_desk(self, now: i64, desk: Desk, reason: i64) -> None:
        """Cancel one desk's working orders."""
        for order in desk.orders.snapshot():
            self._cancel(order, now, reason)

    def cancel_order(self, now: i64, order_id: i64, reason: i64 = CANCEL_OPERATOR) -> bool:
        """Cancel one order; False when it is not working or is being cancelled already."""
        self.now = now
        order = self.machine.find(order_id)
        if order is None or not order.live():
            return False
        before = order.cancels_sent
        self._cancel(order, now, reason)
        self._set_timer()
        return order.cancels_sent > before

    def close_desk(self, now: i64, desk: i64, slippage_bps: i64) -> None:
        """Withdraw a desk's quotes and close its position, then keep it closed until `open_desk`."""
        clock = self.clocks[desk]
        clock.desk.closing_bps = slippage_bps
        self.set_override(now, desk, CLOSE, 100)
        clock.pending |= OPERATOR
        if not self.replaying:
            clock.deferred_ns = now if now >= clock.allowed_ns else clock.allowed_ns
        self._set_timer()

    def open_desk(self, now: i64, desk: i64) -> None:
        """Let a closed or paused desk quote again."""
        self.clocks[desk].desk.closing_bps = -1
        self.set_override(now, desk, NO_OVERRIDE, 100)

    # -- decisions --------------------------------------------------------------------------------

    def _decide(self, clock: DecisionClock, now: i64, trigger: i64) -> None:
        """Fill the strategy's view from the market and run one decision."""
        market = self.markets[clock.desk.holding.instrument.index]
        self._fill_view(clock, clock.view, market, now)
        self.decide_on_view(clock, now, trigger)
        if clock.triggers & TRADED_THROUGH:
            market.watch_own_prices(clock.desk.holding)

    def _fill_view(self, clock: DecisionClock, view: View, market: MarketView, now: i64) -> None:
        view.bid_price = market.book.bids.best_price()
        view.bid_size = market.book.bids.best_size()
        view.ask_price = market.book.asks.best_price()
        view.ask_size = market.book.asks.best_size()
        view.book_ts_ns = market.book_ts_ns
        # valued at the venue's mark, else at the mid
        view.mark_price = market.mark_price if market.mark_price > 0 else view.mid_price()
        # a desk counts from its own last decision, whatever others on this instrument did meanwhile
        view.buy_volume = market.buy_volume - clock.seen_buy_volume
        view.sell_volume = market.sell_volume - clock.seen_sell_volume
        view.trades = market.trades - clock.seen_trades
        imbalance = market.order_flow_imbalance()
        view.order_flow_imbalance = imbalance - clock.seen_imbalance
        clock.seen_buy_volume = market.buy_volume
        clock.seen_sell_volume = market.sell_volume
        clock.seen_trades = market.trades
        clock.seen_imbalance = imbalance
        if market.context_changed:
            market.context_changed = False
            clock.desk.holding.funding_rate = market.funding_rate
            self.recorder.put3(
                CONTEXT, clock.desk.holding.instrument.index, now,
                market.mark_price, market.oracle_price, market.funding_rate,
            )  # fmt: skip
        if view.levels > 1:
            view.fill_levels(market.book)
        if view.extras > 0:
            view.take_range(clock.traded)

    def decide_on_view(self, clock: DecisionClock, now: i64, trigger: i64) -> None:
        """Journal the view, ask the strategy, and carry out what it wants. The replay driver enters here."""
        self._decide_on(clock, clock.desk, clock.desk.holding, clock.view, self.quotes, now, trigger)

    def _decide_on(
        self, clock: DecisionClock, desk: Desk, holding: Holding, view: View, quotes: Quotes, now: i64, trigger: i64
    ) -> None:
        view.now_ns = now
        view.trigger = trigger
        view.position = desk.position.size
        view.average_price = desk.position.average_price
        view.open_buy_size = desk.open_buy
        view.open_sell_size = desk.open_sell
        holding.bid_price = view.bid_price
        holding.ask_price = view.ask_price
        holding.book_ts_ns = view.book_ts_ns
        if view.mark_price > 0:
            holding.mark_price = view.mark_price
        clock.pending = 0
        clock.deferred_ns = NEVER
        clock.allowed_ns = now + clock.min_interval_ns
        clock.decisions += 1
        self.risk.start_decision()
        quotes.count = 0
        quotes.hold_reason = 0
        # not quoting on an empty, locked, crossed or stale book: what works is withdrawn
        if view.bid_price <= 0 or view.ask_price <= view.bid_price:
            quotes.hold_reason = HOLD_NO_BOOK
        elif now - view.book_ts_ns > self.validator.max_book_age_ns:
            quotes.hold_reason = HOLD_STALE_BOOK
        elif desk.closing_bps >= 0:
            quote_close(desk, view, quotes)
        else:
            try:
                clock.strategy.quote(view, quotes)
            except BaseException:
                quotes.count = 0
                self.recorder.put_view(desk.index, view, quotes)
                raise
        self.recorder.put_view(desk.index, view, quotes)
        self._carry_out(desk, holding.instrument, clock.router, quotes, now)
        clock.stale_ns = clock.router.wake_ns
        if desk.orders.count > 0:
            stale_ns = self._stale_after(view.book_ts_ns, now)
            if stale_ns < clock.stale_ns:
                clock.stale_ns = stale_ns
        if desk.closing_bps >= 0 and (view.position != 0 or desk.orders.count > 0):
            clock.pending = OPERATOR
            clock.deferred_ns = now + RETRY_NS
        if now >= self.next_equity_ns:
            self._record_equity(now)

    def _stale_after(self, book_ts_ns: i64, now: i64) -> i64:
        """Return when to look whether the book has gone stale; if it has, when to look again for orders left."""
        age = self.validator.max_book_age_ns
        due = book_ts_ns + age + 1
        return due if due > now else now + age + 1

    def _record_equity(self, now: i64) -> None:
        portfolio = self.portfolio
        cash = portfolio.cash()
        equity = portfolio.equity
        self.next_equity_ns = now + self.settings.equity_interval_ns
        self.recorder.put5(
            EQUITY, 0, now, equity, cash, equity - cash, portfolio.gross_notional(), portfolio.peak_equity - equity
        )

    def _carry_out(self, desk: Desk, instrument: Instrument, router: MakerRouter, quotes: Quotes, now: i64) -> None:
        if instrument.significant_figures != 0 or instrument.tick_size != 1:
            self._snap(instrument, quotes, now)
        routed = router.plan(desk, quotes)
        for at in range(router.cancels.first, router.cancels.end):
            order = router.cancels.items[at]
            self._cancel(order, now, router.reason_for(order, quotes))
        quiet_until_ns = desk.quiet_until_ns
        for at in range(routed.count):
            quote = routed.items[at]
            if quote.place_size > 0:
                if now >= quiet_until_ns or quote.purpose != QUOTE:
                    self._place(desk, quote, quote.place_size, now)
                elif quiet_until_ns < router.wake_ns:
                    router.wake_ns = quiet_until_ns

    def _snap(self, instrument: Instrument, quotes: Quotes, now: i64) -> None:
        """Move prices off the venue's grid away from the market; a limit to take up to only becomes tighter."""
        for at in range(quotes.count):
            quote = quotes.items[at]
            snapped = instrument.snap(quote.price, quote.side)
            if snapped != quote.price and snapped > 0:
                self.recorder.put3(ADJUSTED, instrument.index, now, quote.price, snapped, quote.side)
                quote.price = snapped

    def _place(self, desk: Desk, quote: Quote, size: i64, now: i64) -> None:
        """Signal, risk approval, validation, submission: one step after the other, or a denial."""
        instrument = desk.holding.instrument.index
        taken = self.machine.take_order(desk.index)
        if taken is None:
            self._deny(0, quote, size, SLOTS_EXHAUSTED, now, 0, 0, instrument | desk.strategy << 8)
            return
        order: Order = taken
        order.instrument = instrument
        order.strategy = desk.strategy
        order.side = quote.side
        order.price = quote.price
        order.size = size
        order.time_in_force = quote.time_in_force
        order.reduce_only = quote.reduce_only
        order.purpose = quote.purpose
        order.submitted_ns = now
        reason = self.risk.check(desk, now, quote.side, quote.price, size, quote.purpose)
        if reason != NONE:
            self._deny(
                order.order_id,
                quote,
                size,
                reason,
                now,
                self.risk.value,
                self.risk.limit,
                instrument | desk.strategy << 8,
            )
            self.machine.deny(order)
            self.machine.free_order(order)
            return
        reason = self.validator.check(desk, now, quote.side, quote.price, size, quote.time_in_force, quote.reduce_only)
        if reason != NONE:
            self._deny(
                order.order_id,
                quote,
                size,
                reason,
                now,
                self.validator.value,
                self.validator.limit,
                instrument | desk.strategy << 8,
            )
            self.machine.deny(order)
            self.machine.free_order(order)
            return
        self.machine.submit(order)
        self.portfolio.add_order(order, desk)
        self.risk.note_sent(now)
        self.requests += 1
        self.orders_placed += 1
        self.recorder.put_submit(
            instrument | desk.strategy << 8, now, order.order_id, quote.price, size, quote.side_flags
        )
        self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
        self.gateway.place(
            now, order.order_id, instrument, quote.side, quote.price, size, quote.time_in_force, quote.reduce_only
        )

    def _deny(
        self, order_id: i64, quote: Quote, size: i64, reason: i64, now: i64, value: i64, limit: i64, code: i64
    ) -> None:
        self.orders_denied += 1
        self.recorder.put7(DENY, reason, now, order_id, quote.price, size, quote.side_flags, value, limit, code)

    def _cancel(self, order: Order, now: i64, reason: i64) -> None:
        """Send a cancel for a working order; one that is already being cancelled or unknown is left alone."""
        if not self.machine.move(order, REQUEST_CANCEL):
            return
        order.cancel_reason = reason
        order.cancels_sent += 1
        self.requests += 1
        self.cancels_sent += 1
        self.recorder.put_cancel(reason, now, order.order_id)
        self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
        self.gateway.cancel(now, order.order_id, order.instrument)
