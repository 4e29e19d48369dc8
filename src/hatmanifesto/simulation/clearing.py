"""The venue's side of one account in the replay market: fee tiers, hourly funding, margin, liquidation, deleveraging.

Simplified, and meant to be: marks come from the tape (or are the mid of its book at the venue's clock), a liquidation
takes what the recorded book shows, and what other accounts do is not known. docs/fees-and-margin.md says the rest.
Nothing here runs unless it was asked for: matchers without a venue account never come here.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.fees import AccountFees
from hatmanifesto.model.margin import PARTIAL_PAUSE_NS, partial_size
from hatmanifesto.model.margin_account import BACKSTOP, SOUND, MarginAccount
from hatmanifesto.model.market_row import (
    CLOCK,
    CLOCK_FUNDING,
    FUNDING,
    MARK,
    ORACLE,
)
from hatmanifesto.model.money import RATE_SCALE, muldiv, rate_of
from hatmanifesto.model.order import BACKSTOP_FILL, DELEVERAGE_FILL, LIQUIDATION_FILL
from hatmanifesto.model.reasons import NONE, VENUE_LIQUIDATED
from hatmanifesto.simulation.latency import OrderLatency
from hatmanifesto.simulation.matcher import Matcher, OwnSide
from hatmanifesto.simulation.venue_account import VenueAccount
from hatmanifesto.simulation.wire import FILLED, FUNDED, Line

DELEVERAGE_WINDOW_NS: Final = 60_000_000_000
"""A favourable move of the mark is measured against the first mark of its minute."""


@final
class ClearingRules:
    """What the venue does: check margin, liquidate; pay funding every so often; deleverage after a violent move.

    `funding_ns` 0 pays none; `partial_notional` in money units; `deleverage_move` is a move of the mark in parts per
    billion (0: never) after which `deleverage_percent` of a gaining position is closed at the mark before it.
    """

    def __init__(
        self,
        *,
        margin: bool,
        funding_ns: int = 0,
        partial_notional: int = 0,
        deleverage_move: int = 0,
        deleverage_percent: int = 100,
    ) -> None:
        if funding_ns < 0 or partial_notional < 0 or deleverage_move < 0 or not 1 <= deleverage_percent <= 100:
            raise ValueError(
                f"funding_ns {funding_ns}, partial_notional {partial_notional} and deleverage_move {deleverage_move} "
                f"must not be negative, deleverage_percent {deleverage_percent} must lie between 1 and 100"
            )
        self.margin: Final[bool] = margin
        self.funding_ns: Final[i64] = funding_ns
        self.partial_notional: Final[i64] = partial_notional
        self.deleverage_move: Final[i64] = deleverage_move
        self.deleverage_percent: Final[i64] = deleverage_percent


@final
class LegClock:
    """What the clearing remembers of an instrument between marks; times in ns."""

    def __init__(self) -> None:
        self.marked: bool = False
        self.partial_ns: i64 = -(1 << 61)
        self.window_ns: i64 = -(1 << 61)
        self.window_mark: i64 = 0


@final
class Clearing(VenueAccount):
    """See the module's text. `fees` None: the instruments' own rates. Give it the matchers with `serve`."""

    def __init__(
        self,
        account: MarginAccount,
        rules: ClearingRules,
        fees: AccountFees | None,
        responses: Line,
        latency: OrderLatency,
    ) -> None:
        self.account: Final[MarginAccount] = account
        self.rules: Final[ClearingRules] = rules
        self.fees: Final[AccountFees | None] = fees
        self.responses: Final[Line] = responses
        self.latency: Final[OrderLatency] = latency
        self.matchers: list[Matcher] = []
        self.clocks: Final[list[LegClock]] = [LegClock() for _ in account.legs]
        self.funding_payments: i64 = 0
        self.liquidations: i64 = 0
        self.backstops: i64 = 0
        self.deleveragings: i64 = 0

    def serve(self, matchers: list[Matcher]) -> None:
        """Become the account of these matchers, one an instrument."""
        self.matchers = matchers
        for matcher in matchers:
            matcher.account = self

    # -- asked by the matchers --------------------------------------------------------------------

    def charge(self, instrument: i64, side: i64, price: i64, size: i64, taker: bool, now: i64) -> i64:
        leg = self.account.legs[instrument]
        notional = price * size * leg.factor
        fees = self.fees
        if fees is not None:
            fee = fees.charge(now, instrument, notional, taker)
        else:
            fee = rate_of(notional, leg.instrument.taker_fee if taker else leg.instrument.maker_fee)
        self.account.apply_fill(instrument, side, price, size, fee, taker)
        return fee

    def refusal(self, instrument: i64, side: i64, price: i64, size: i64) -> i64:
        if not self.rules.margin:
            return NONE
        legs = self.account.legs
        for at, matcher in enumerate(self.matchers):
            leg = legs[at]
            leg.open_buy = _open_size(matcher.bids)
            leg.open_sell = _open_size(matcher.asks)
            if leg.mark_price == 0:
                leg.mark_price = self._middle(at)
        return self.account.refusal(instrument, side, price, size)

    def context(self, instrument: i64, kind: i64, price: i64, size: i64, now: i64) -> None:
        leg = self.account.legs[instrument]
        if kind == MARK:
            self.clocks[instrument].marked = True
            self._mark(instrument, price, now)
        elif kind == ORACLE:
            leg.oracle_price = price
        elif kind == FUNDING:
            # the rate of its own interval, as much of it as is paid at once here
            interval = size * 1_000_000_000
            if interval > 0 and self.rules.funding_ns > 0 and interval != self.rules.funding_ns:
                leg.funding_rate = i64(muldiv(int(price), int(self.rules.funding_ns), int(interval)))
            else:
                leg.funding_rate = price
        elif kind == CLOCK:
            if not self.clocks[instrument].marked:
                middle = self._middle(instrument)
                if middle > 0:
                    self._mark(instrument, middle, now)
            elif self.rules.margin:
                self._check(now)
            if price & CLOCK_FUNDING:
                self._pay(instrument, now)

    # -- marks and funding ------------------------------------------------------------------------

    def _middle(self, instrument: i64) -> i64:
        """Return the mid of the recorded book, 0 while a side is empty."""
        book = self.matchers[instrument].book
        if book.bids.best < 0 or book.asks.best < 0:
            return 0
        return (book.best_bid() + book.best_ask()) // 2

    def _mark(self, instrument: i64, price: i64, now: i64) -> None:
        """A new mark: a violent move may deleverage, and margin is looked at."""
        leg = self.account.legs[instrument]
        before = leg.mark_price
        if price <= 0:
            return
        leg.mark_price = price
        if self.rules.deleverage_move > 0:
            self._deleverage(instrument, before, now)
        if self.rules.margin:
            self._check(now)

    def _pay(self, instrument: i64, now: i64) -> None:
        """Settle funding on what is held at this moment; nothing held, or no price known, pays nothing."""
        leg = self.account.legs[instrument]
        if leg.position.size == 0 or leg.funding_rate == 0:
            return
        seen = leg.oracle_price
        if seen == 0:
            # without an oracle on the tape its mark stands in
            leg.oracle_price = leg.mark_price
        if leg.oracle_price > 0:
            size = leg.position.size
            amount = self.account.apply_funding(instrument)
            self.funding_payments += 1
            message = self.responses.send(self.latency.at_engine_ns(now), FUNDED, 0)
            message.instrument = instrument
            message.fee = amount
            message.price = leg.oracle_price
            message.size = size
            message.rate = leg.funding_rate
            message.exch_ts = now
        leg.oracle_price = seen

    # -- liquidation ------------------------------------------------------------------------------

    def _check(self, now: i64) -> None:
        account = self.account
        for at in range(len(account.legs)):
            if account.legs[at].isolated and account.legs[at].position.size != 0 and account.standing(at) != SOUND:
                self._liquidate(at, now)
        if account.standing(-1) != SOUND:
            self._liquidate(-1, now)

    def _liquidate(self, which: i64, now: i64) -> None:
        """Cancel what rests, sell into the book, and leave what is still under water to the backstop.

        `which` is an isolated position's instrument, or -1 for the cross account with all its positions.
        """
        account = self.account
        for at, leg in enumerate(account.legs):
            if at == which or (which < 0 and not leg.isolated):
                self.matchers[at].cancel_all(now, VENUE_LIQUIDATED)
        if account.standing(which) != BACKSTOP:
            for at, leg in enumerate(account.legs):
                if at == which or (which < 0 and not leg.isolated and leg.position.size != 0):
                    self._sell(at, now)
                    if account.standing(which) == SOUND:
                        return
        if account.standing(which) == BACKSTOP:
            self._take_over(which, now)

    def _sell(self, instrument: i64, now: i64) -> None:
        """Send the venue's market order for a position, a fifth first where it is large, and pay the taker fee."""
        leg = self.account.legs[instrument]
        clock = self.clocks[instrument]
        held = leg.position.size
        size = held if held > 0 else -held
        order = size
        if now - clock.partial_ns > PARTIAL_PAUSE_NS:
            order = partial_size(size, leg.notional(), self.rules.partial_notional, leg.instrument.lot_size)
            if order < size:
                clock.partial_ns = now
        self.liquidations += 1
        side: i64 = -1 if held > 0 else 1
        self.matchers[instrument].sweep(now, LIQUIDATION_FILL, side, order, self._worst_price(instrument))

    def _worst_price(self, instrument: i64) -> i64:
        """Return the last price at which closing, fee paid, leaves nothing less than nothing: what is beyond is the
        backstop's."""
        leg = self.account.legs[instrument]
        bankrupt = int(self.account.bankruptcy_price(instrument))
        rate = int(self.fees.taker_rates[instrument] if self.fees is not None else leg.instrument.taker_fee)
        if leg.position.size > 0:
            return i64(-(-bankrupt * RATE_SCALE // (RATE_SCALE - rate)))
        price = bankrupt * RATE_SCALE // (RATE_SCALE + rate)
        return i64(price if price > 1 else 1)

    def _take_over(self, which: i64, now: i64) -> None:
        """The backstop takes positions and margin: the largest goes at the price that leaves nothing, others at
        mark."""
        account = self.account
        self.backstops += 1
        last: i64 = -1
        most: i64 = -1
        for at, leg in enumerate(account.legs):
            if leg.position.size == 0 or not (at == which or (which < 0 and not leg.isolated)):
                continue
            if leg.notional() > most:
                last = at
                most = leg.notional()
        for at, leg in enumerate(account.legs):
            if at != last and leg.position.size != 0 and which < 0 and not leg.isolated:
                self._close(at, leg.position.size, leg.mark_price, 0, BACKSTOP_FILL, now)
        if last < 0:
            return
        leg = account.legs[last]
        price = account.bankruptcy_price(last)
        unit = leg.position.size * leg.factor
        equity = account.leg_equity(last) if leg.isolated else account.cross_value()
        rest = int(equity) + int(unit) * (int(price) - int(leg.mark_price))
        # what one price unit cannot express is kept by the venue as a fee
        self._close(last, leg.position.size, price, i64(rest), BACKSTOP_FILL, now)

    def _close(self, instrument: i64, held: i64, price: i64, fee: i64, order_id: i64, now: i64) -> None:
        """Close `held` (signed) of a position at a price, outside the book, and say so."""
        side: i64 = -1 if held > 0 else 1
        size = held if held > 0 else -held
        self.account.apply_fill(instrument, side, price, size, fee, True)
        matcher = self.matchers[instrument]
        matcher.position += side * size
        matcher.trade_id += 1
        matcher.fills += 1
        message = self.responses.send(self.latency.at_engine_ns(now), FILLED, order_id)
        message.instrument = instrument
        message.side = side
        message.price = price
        message.size = size
        message.fee = fee
        message.taker = True
        message.exch_ts = now
        message.trade_id = matcher.trade_id

    def _deleverage(self, instrument: i64, before: i64, now: i64) -> None:
        """A mark that ran too far our way within a minute: someone on the other side is bankrupt."""
        leg = self.account.legs[instrument]
        clock = self.clocks[instrument]
        if now - clock.window_ns >= DELEVERAGE_WINDOW_NS or clock.window_mark == 0:
            clock.window_ns = now
            clock.window_mark = leg.mark_price
            return
        held = leg.position.size
        direction: i64 = 1 if held > 0 else -1
        gains = (leg.mark_price - clock.window_mark) * direction
        limit = int(clock.window_mark) * int(self.rules.deleverage_move)
        if held == 0 or before <= 0 or int(gains) * RATE_SCALE <= limit:
            return
        size = held * direction * self.rules.deleverage_percent // 100
        size -= size % leg.instrument.lot_size
        if size == 0:
            return
        self.deleveragings += 1
        clock.window_ns = now
        clock.window_mark = leg.mark_price
        self._close(instrument, size * direction, before, 0, DELEVERAGE_FILL, now)
        self.matchers[instrument].drop_useless(now)


def _open_size(side: OwnSide) -> i64:
    """Return the unfilled size of resting orders that are not reduce-only."""
    total: i64 = 0
    for at in range(side.count):
        order = side.orders[at]
        if not order.reduce_only:
            total += order.remaining
    return total
