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
from hatmanifesto.core.own_orders import OwnOrders
from hatmanifesto.core.portfolio import Desk, Holding, Portfolio
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.risk_manager import CLOSE, NO_OVERRIDE, OPERATOR_SOURCE, REDUCE_ONLY, RiskManager
from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.holds import HOLD_NO_BOOK, HOLD_STALE_BOOK
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    ROW_WORDS,
    WORD_META,
)
from hatmanifesto.model.order import (
    QUOTE,
)
from hatmanifesto.model.ports import NEVER, EngineInput, OrderGateway
from hatmanifesto.model.reasons import (
    CANCEL_OPERATOR,
    CANCEL_RISK,
)
from hatmanifesto.model.record import (
    ADJUSTED,
    CONTEXT,
    EQUITY,
    FILL,
    FUNDING_PAYMENT,
    VENUE_ID,
)


@final
class Engine(EngineInput):
    """Decides when the strategies do, shows them the market, and hands what they want to router and own orders.

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
        self.recorder: Final[Recorder] = recorder
        self.settings: Final[EngineSettings] = settings
        self.orders: Final[OwnOrders] = OwnOrders(portfolio, risk, validator, gateway, recorder, settings)
        self.quotes: Final[Quotes] = Quotes()
        self.now: i64 = 0
        self.next_equity_ns: i64 = 0
        self.replaying: bool = False
        for index, market in enumerate(markets):
            market.instrument = index
        for clock in clocks:
            clock.router.attach(recorder)
            market = markets[clock.desk.holding.instrument.index]
            market.wanted |= clock.triggers
            if clock.triggers & OWN_EVENT:
                self.orders.awaited = True
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
            if self.orders.machine.earliest_ns < due:
                due = self.orders.machine.earliest_ns
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
        while self.orders.machine.earliest_ns <= now:
            waiting = self.orders.machine.overdue(now)
            if waiting is not None:
                self.on_timeout(now, waiting.order_id)
        self._set_timer()

    def on_timeout(self, now: i64, order_id: i64) -> None:
        """An answer is overdue: the order is unknown from here on, is cancelled, and is asked about."""
        self.now = now
        self.orders.time_out(now, order_id)

    # -- own orders -------------------------------------------------------------------------------

    def on_order_event(
        self, now: i64, order_id: i64, trigger: i64, reason: i64, exch_ts: i64, venue_order_id: i64
    ) -> None:
        self.now = now
        self.recorder.put_order_event(trigger, reason, now, order_id, exch_ts)
        if venue_order_id != 0:
            self.recorder.put2(VENUE_ID, 0, now, order_id, venue_order_id)
        desk = self.orders.take_event(now, order_id, trigger, reason, exch_ts)
        if desk >= 0:
            self._own_event(self.clocks[desk], now)

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
        desk = self.orders.take_fill(now, order_id, instrument, side, price, size, fee, taker)
        if desk >= 0:
            self._own_event(self.clocks[desk], now)
        elif order_id < 0:  # forced by the venue: the desks that held the position are told
            for held in self.portfolio.holdings[instrument].desks:
                self._own_event(self.clocks[held.index], now)

    def adopt_order(
        self, now: i64, order_id: i64, price: i64, size: i64, side_flags: i64, filled: i64, session: i64, venue_id: i64
    ) -> bool:
        """Take over an order that an earlier session left open at the venue, see `OwnOrders.adopt`."""
        self.now = now
        return self.orders.adopt(now, order_id, price, size, side_flags, filled, session, venue_id)

    def on_funding(
        self, now: i64, instrument: i64, amount: i64, rate: i64, position_size: i64, oracle_price: i64, exch_ts: i64 = 0
    ) -> None:
        self.now = now
        self.recorder.put5(FUNDING_PAYMENT, instrument, now, amount, rate, position_size, oracle_price, exch_ts)
        self.portfolio.holdings[instrument].apply_funding(amount)

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
                    self.orders.cancel_desk(now, clock.desk, CANCEL_RISK)
        self._set_timer()

    def cancel_all(self, now: i64, reason: i64 = CANCEL_OPERATOR) -> None:
        """Cancel every working order."""
        self.now = now
        for clock in self.clocks:
            self.orders.cancel_desk(now, clock.desk, reason)
        self._set_timer()

    def cancel_order(self, now: i64, order_id: i64, reason: i64 = CANCEL_OPERATOR) -> bool:
        """Cancel one order; False when it is not working or is being cancelled already."""
        self.now = now
        order = self.orders.machine.find_live(order_id)
        if order is None:
            return False
        before = order.cancels_sent
        self.orders.cancel(order, now, reason)
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
            self.orders.cancel(order, now, router.reason_for(order, quotes))
        quiet_until_ns = desk.quiet_until_ns
        for at in range(routed.count):
            quote = routed.items[at]
            if quote.place_size > 0:
                if now >= quiet_until_ns or quote.purpose != QUOTE:
                    self.orders.place(desk, quote, quote.place_size, now)
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
