"""Own orders from the decision to their end: checked, sent, answered, filled, pursued when an answer is missing.

The only place that sends anything to the venue, and the only one that lets the state machine move an order.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.api_validator import ApiValidator
from hatmanifesto.core.decision_clock import EngineSettings
from hatmanifesto.core.portfolio import Desk, Holding, Portfolio
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.risk_manager import RiskManager
from hatmanifesto.core.state_machine import StateMachine
from hatmanifesto.core.strategy import Quote
from hatmanifesto.model.order import (
    FORCED_FILL_REASONS,
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
from hatmanifesto.model.ports import OrderGateway
from hatmanifesto.model.reasons import (
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
from hatmanifesto.model.record import ADOPT as ADOPT_RECORD
from hatmanifesto.model.record import (
    DENY,
    FAULT,
    QUERY,
    TIMEOUT,
)

RATE_LIMIT_PAUSE_NS: Final = 1_000_000_000
"""How long a desk sends no new quote after one was refused by a rate limit; cancels and exits still go."""
NOBODY: Final = -1
"""No desk has anything to be told."""


@final
class OwnOrders:
    """Risk manager, API validator, state machine and portfolio around every own order.

    The venue's word on an order, and its fills, the engine has journaled before they come here; all else is journaled
    here.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        risk: RiskManager,
        validator: ApiValidator,
        gateway: OrderGateway,
        recorder: Recorder,
        settings: EngineSettings,
    ) -> None:
        self.portfolio: Final[Portfolio] = portfolio
        self.risk: Final[RiskManager] = risk
        self.validator: Final[ApiValidator] = validator
        self.gateway: Final[OrderGateway] = gateway
        self.recorder: Final[Recorder] = recorder
        self.settings: Final[EngineSettings] = settings
        self.machine: Final[StateMachine] = StateMachine()
        self.requests: i64 = 0
        self.placed: i64 = 0
        self.denied: i64 = 0
        self.cancels_sent: i64 = 0
        self.faults: i64 = 0
        self.awaited: bool = False  # whether any desk decides when one of its orders moves; the engine knows which
        for desk in portfolio.desks:
            self.machine.watch(desk.orders)

    # -- out --------------------------------------------------------------------------------------

    def place(self, desk: Desk, quote: Quote, size: i64, now: i64) -> None:
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
            self._refuse(order, quote, reason, now, self.risk.value, self.risk.limit)
            return
        reason = self.validator.check(desk, now, quote.side, quote.price, size, quote.time_in_force, quote.reduce_only)
        if reason != NONE:
            self._refuse(order, quote, reason, now, self.validator.value, self.validator.limit)
            return
        self.machine.submit(order)
        self.portfolio.add_order(order, desk)
        self.risk.note_sent(now)
        self.requests += 1
        self.placed += 1
        self.recorder.put_submit(
            instrument | desk.strategy << 8, now, order.order_id, quote.price, size, quote.side_flags
        )
        self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
        self.gateway.place(
            now, order.order_id, instrument, quote.side, quote.price, size, quote.time_in_force, quote.reduce_only
        )

    def _refuse(self, order: Order, quote: Quote, reason: i64, now: i64, value: i64, limit: i64) -> None:
        """Deny an order that has its id already, and give its slot back."""
        code = order.instrument | order.strategy << 8
        self._deny(order.order_id, quote, order.size, reason, now, value, limit, code)
        self.machine.deny(order)
        self.machine.free_order(order)

    def _deny(
        self, order_id: i64, quote: Quote, size: i64, reason: i64, now: i64, value: i64, limit: i64, code: i64
    ) -> None:
        self.denied += 1
        self.recorder.put7(DENY, reason, now, order_id, quote.price, size, quote.side_flags, value, limit, code)

    def cancel(self, order: Order, now: i64, reason: i64) -> None:
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

    def cancel_desk(self, now: i64, desk: Desk, reason: i64) -> None:
        """Cancel one desk's working orders."""
        for order in desk.orders.snapshot():
            self.cancel(order, now, reason)

    # -- in ---------------------------------------------------------------------------------------

    def take_event(self, now: i64, order_id: i64, trigger: i64, reason: i64, exch_ts: i64) -> i64:
        """Take the venue's word on an order; return its desk when some desk waits for such events, else NOBODY."""
        if trigger < 0 or trigger >= TRIGGER_COUNT or (VENUE_BITS >> trigger) & 1 == 0:
            self._fault(UNEXPECTED_EVENT, now, order_id, trigger, NO_STATE)
            return NOBODY
        found = self.machine.find_live(order_id)
        if found is None:
            # what crossed with the order's end says nothing new; but alive it must not be
            if trigger == FIND_OPEN:
                self._fault(UNEXPECTED_EVENT, now, order_id, trigger, 0)
            return NOBODY
        order: Order = found
        if trigger == FILL_WHOLE:
            # only fills fill: the word that it is filled makes us wait for them, and ask again
            if order.deadline_ns == 0:
                self.machine.expect_answer(order, now + self.settings.answer_timeout_ns)
            return NOBODY
        before = order.state
        if not self.machine.move(order, trigger):
            self._fault(UNEXPECTED_EVENT, now, order_id, trigger, before)
            return NOBODY
        state = order.state
        if before == UNKNOWN or state == UNKNOWN:
            self._account_unknown(order, before, self.portfolio.desks[order.desk].holding)
        if trigger == REJECT:
            if reason == VENUE_POST_ONLY:
                self.portfolio.desks[order.desk].note_crossed(order.side, exch_ts)
            elif reason == VENUE_RATE_LIMIT:
                self.portfolio.desks[order.desk].quiet_until_ns = now + RATE_LIMIT_PAUSE_NS
        if self.machine.is_done(order):
            self._finish(order, self.portfolio.desks[order.desk])
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
        if self.awaited:
            return order.desk
        return NOBODY

    def take_fill(
        self,
        now: i64,
        order_id: i64,
        instrument: i64,
        side: i64,
        price: i64,
        size: i64,
        fee: i64,
        taker: bool,
    ) -> i64:
        """Book a fill; return the desk whose order it filled, NOBODY when it has none or was forced by the venue."""
        holding = self.portfolio.holdings[instrument]
        holding.position.apply_fill(side, price, size, fee, taker)
        found = self.machine.find(order_id)
        if found is None:
            if order_id < 0:
                self._forced_fill(now, order_id, holding, side, price, size, fee, taker)
                return NOBODY
            # of an order that is long forgotten, perhaps of an earlier session; 0 is not ours at all
            owner = desk_of(order_id)
            desks = self.portfolio.desks
            if order_id != 0 and owner < len(desks) and desks[owner].holding is holding:
                desks[owner].position.apply_fill(side, price, size, fee, taker)
            self._fault(LATE_FILL if order_id != 0 else FOREIGN_FILL, now, order_id, size, 0)
            return NOBODY
        order: Order = found
        desk = self.portfolio.desks[order.desk]
        desk.position.apply_fill(side, price, size, fee, taker)
        if not order.live():
            self._fault(LATE_FILL, now, order_id, size, order.size - order.filled)
            self.machine.move(order, FILL_LATE)
            order.filled += size
            return order.desk
        rest = order.size - order.filled
        if size > rest:
            self._fault(OVERFILL, now, order_id, order.filled + size, order.size)
        before = order.state
        order.filled += size
        self.portfolio.release(order, desk, size if size < rest else rest)
        self.machine.move(order, FILL_PART if size < rest else FILL_WHOLE)
        self._account_unknown(order, before, holding)
        if self.machine.is_done(order):
            self._finish(order, desk)
        elif order.state == PARTIALLY_FILLED:
            order.deadline_ns = 0
        return order.desk

    def _forced_fill(
        self, now: i64, order_id: i64, holding: Holding, side: i64, price: i64, size: i64, fee: i64, taker: bool
    ) -> None:
        """The venue has closed some of the position by itself."""
        left = holding.position.size if holding.position.size >= 0 else -holding.position.size
        self._fault(i64(FORCED_FILL_REASONS.get(int(order_id), LATE_FILL)), now, order_id, size, left)
        holding.share_close(side, price, size, fee, taker)

    def adopt(
        self, now: i64, order_id: i64, price: i64, size: i64, side_flags: i64, filled: i64, session: i64, venue_id: i64
    ) -> bool:
        """Take over an order that an earlier session left open at the venue, as it stands there.

        `filled` is what has been booked of it, in the units of the desk's instrument as everything else. False, and
        nothing is changed or journaled, when no desk owns it, nothing of it is left, or its slot is in use.
        """
        owner = desk_of(order_id)
        if owner >= len(self.portfolio.desks) or not 0 <= filled < size:
            return False
        taken = self.machine.adopt_order(order_id)
        if taken is None:
            return False
        order: Order = taken
        desk = self.portfolio.desks[owner]
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

    # -- what is not answered ---------------------------------------------------------------------

    def time_out(self, now: i64, order_id: i64) -> None:
        """An answer is overdue: the order is unknown from here on, is cancelled, and is asked about."""
        found = self.machine.find_live(order_id)
        if found is None:
            return
        order: Order = found
        self.recorder.put1(TIMEOUT, TIME_OUT, now, order_id)
        order.deadline_ns = 0
        self._fault(STATE_TIMEOUT, now, order_id, now - order.submitted_ns, self.settings.answer_timeout_ns)
        before = order.state
        if self.machine.move(order, TIME_OUT):
            self._account_unknown(order, before, self.portfolio.desks[order.desk].holding)
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

    # -- both -------------------------------------------------------------------------------------

    def _finish(self, order: Order, desk: Desk) -> None:
        """An order has ended and all of it is booked: take it out of the open totals, attribute it, free its slot."""
        order.deadline_ns = 0
        self.portfolio.remove_order(order, desk)
        self.risk.note_ended()
        self.machine.move(order, ATTRIBUTE)
        self.machine.free_order(order)

    def _account_unknown(self, order: Order, before: i64, holding: Holding) -> None:
        if before == UNKNOWN and order.state != UNKNOWN:
            holding.unknown_orders -= 1
        elif before != UNKNOWN and order.state == UNKNOWN:
            holding.unknown_orders += 1

    def _fault(self, reason: i64, now: i64, order_id: i64, value: i64, limit: i64) -> None:
        self.faults += 1
        self.recorder.put3(FAULT, reason, now, order_id, value, limit)
