"""The policy `expected_value`: post or take by expected value, escalate by age, keep queue places, within budgets.

Maker or taker by `valuation`. Queue value, Moallemi and Yuan (2016): keep while the value of the position is at least
that of queueing again.
"""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.core.maker_router import MakerRouter
from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.routing.budget import Budget
from hatmanifesto.core.routing.exits import ExitGuard
from hatmanifesto.core.routing.fixed_point import bounded
from hatmanifesto.core.routing.intents import cap_price, improved_price, next_change, stage_at, touch_price
from hatmanifesto.core.routing.queue_tracker import Tracked, ahead_at
from hatmanifesto.core.routing.rules import Rules
from hatmanifesto.core.routing.shaping import add_layers, passive_price, skew_of
from hatmanifesto.core.routing.terms import Terms
from hatmanifesto.core.routing.valuation import Valuation
from hatmanifesto.core.strategy import MAX_QUOTES, Quote, Quotes, View
from hatmanifesto.model.order import (
    HIGH,
    IMMEDIATE_OR_CANCEL,
    NO_URGENCY,
    NORMAL,
    POST_ONLY,
    URGENCY_SHIFT,
    Order,
    pack_side_flags,
    urgency_of,
)
from hatmanifesto.model.order_state import CANCEL_PENDING, OPEN, PARTIALLY_FILLED
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.reasons import (
    CANCEL_ESCALATE,
    CANCEL_REPRICE,
    CANCEL_STOP_LOSS,
    CANCEL_TAKE_PROFIT,
    CANCEL_WITHDRAWN,
)
from hatmanifesto.model.record import ROUTE
from hatmanifesto.model.routing import (
    BEYOND_CAP,
    ESCALATE,
    HOLD_ACTIONS,
    HOLD_CANCELS,
    IMPROVING,
    KEEP_QUEUE,
    KEEP_TOLERANCE,
    POST,
    POST_CAPPED,
    POST_VALUE,
    REPRICE,
    STOP_LOSS,
    TAKE_AGE,
    TAKE_ASKED,
    TAKE_VALUE,
    TAKER,
    TOUCH,
    WITHDRAW,
)


@final
class ExpectedValueRouter(MakerRouter):
    """One desk's router; `account` is shared by all desks that have this policy."""

    def __init__(self, rules: Rules, view: View, own: Budget, account: Budget) -> None:
        super().__init__()
        self.rules: Final[Rules] = rules
        self.view: Final[View] = view
        self.own: Final[Budget] = own
        self.account: Final[Budget] = account
        self.routed: Final[Quotes] = Quotes()
        self.values: Final[Valuation] = Valuation(rules, view)
        self.guard: Final[ExitGuard] = ExitGuard(rules)
        # of each routed quote: the verdict by which it may be placed, and an urgent one's terms
        self._verdicts: Final[list[int]] = [0] * MAX_QUOTES
        self._decided: Final[list[Terms]] = [Terms() for _ in range(MAX_QUOTES)]
        self._held: Final[list[int]] = [0] * MAX_QUOTES
        self._recorder: Recorder | None = None
        self._desk_index: int = 0

    def attach(self, recorder: Recorder) -> None:
        self._recorder = recorder

    # -- one decision -----------------------------------------------------------------------------

    def plan(self, desk: Desk, quotes: Quotes) -> Quotes:
        self.cancels.clear()
        self.wake_ns = NEVER
        routed = self.routed
        routed.count = 0
        instrument = desk.holding.instrument
        self.values.fee_saved = int(instrument.taker_fee) - int(instrument.maker_fee)
        self._desk_index = int(desk.index)
        now = int(self.view.now_ns)
        self.values.learn(desk, now)
        self.own.refill(now)
        self.account.refill(now)
        verdict = self.guard.check(desk, self.view)
        if verdict != 0:
            self.values.terms.clear()
            self.values.terms.value = self.guard.profit
            self._explain(verdict, 0, int(self.view.mark_price), int(desk.position.size), 0)
        if self._book_is_whole(now):
            self._want(desk, quotes, now)
        self._match(desk)
        self._place(desk)
        for intent in self.values.intents:
            if intent.active and not intent.wanted:
                self.values.end_trial(intent, False)
                intent.active = False
        return routed

    def _book_is_whole(self, now: int) -> bool:
        view = self.view
        fresh = now - int(view.book_ts_ns) <= self.rules.max_book_age_ns
        return view.bid_price > 0 and view.ask_price > view.bid_price and fresh

    # -- what is wanted ---------------------------------------------------------------------------

    def _want(self, desk: Desk, quotes: Quotes, now: int) -> None:
        """Fill `routed`: the exit alone while the guard says so, else every wanted quote in its shape.

        Where an operator closes the desk, his quotes are what is wanted.
        """
        routed = self.routed
        view = self.view
        if self.guard.state != 0 and desk.closing_bps < 0:
            self._want_exit(desk, now)
            return
        reducing_only = self.guard.reducing_only(now)
        if reducing_only:
            self._wake_at(self.guard.resume_ns)
        shift = skew_of(self.rules, desk, view, self.values.market.lean(self.rules.imbalance_lean_ppb))
        for at in range(quotes.count):
            quote = quotes.items[at]
            if reducing_only and not quote.reduce_only:
                continue
            if urgency_of(quote.side_flags) != NO_URGENCY:
                self._want_urgent(
                    desk, int(quote.side), int(quote.price), int(quote.size), quote.reduce_only,
                    int(quote.purpose), int(urgency_of(quote.side_flags)), now,
                )  # fmt: skip
            elif quote.time_in_force == POST_ONLY and not quote.reduce_only:
                begin = routed.count
                add_layers(self.rules, desk, view, quote, shift, routed)
                for added in range(begin, routed.count):
                    self._verdicts[added] = POST
            elif routed.count < MAX_QUOTES:
                price = int(quote.price)
                if quote.time_in_force == POST_ONLY:
                    price = passive_price(desk.holding.instrument, view, int(quote.side), price)
                if price > 0:
                    added = routed.count
                    routed.add(quote.side, price, quote.size, quote.time_in_force, quote.reduce_only, quote.purpose)
                    self._verdicts[added] = POST if quote.time_in_force == POST_ONLY else TAKE_ASKED

    def _want_exit(self, desk: Desk, now: int) -> None:
        """Leave the position, reduce-only, in pieces that the limits allow."""
        holding = desk.holding
        held = int(desk.position.size)
        side = -1 if held > 0 else 1
        size = held if held > 0 else -held
        reducible = -int(holding.position.size) * side
        size = min(size, reducible, int(holding.limits.max_order_size))
        price = int(self.view.bid_price if side > 0 else self.view.ask_price)
        dearest = max(int(self.view.ask_price), int(holding.mark_price)) * int(holding.factor)
        if size * dearest > holding.limits.max_order_notional:
            size = int(holding.limits.max_order_notional) * 99 // (100 * dearest)
        size = int(holding.instrument.snap_size(size)) if size > 0 else 0
        if size <= 0:
            return
        urgency = HIGH if self.guard.state == STOP_LOSS else NORMAL
        purpose = 2 if self.guard.state == STOP_LOSS else 3
        self._want_urgent(desk, side, price, size, True, purpose, urgency, now)

    def _want_urgent(
        self, desk: Desk, side: int, wanted: int, size: int, reduce_only: bool, purpose: int, urgency: int, now: int
    ) -> None:
        """Price an urgent order by its stage, and decide whether it posts or takes."""
        routed = self.routed
        if routed.count >= MAX_QUOTES:
            return
        view = self.view
        instrument = desk.holding.instrument
        rules = self.rules.urgency(urgency)
        intent = self.values.intent(side, reduce_only)
        if not intent.active:
            intent.begin(now, self.values.market.twice_mid, size)
        intent.wanted = True
        age = now - intent.start_ns
        stage = stage_at(age, rules)
        own_best = self.values.own_best(side, reduce_only)
        touch = touch_price(instrument, view, side, own_best, self.rules.improve_inside)
        price = wanted
        if stage == IMPROVING:
            price = improved_price(wanted, touch, age, rules, int(instrument.tick_at(touch)), side)
        elif stage >= TOUCH and (touch - wanted) * side > 0:
            price = touch
        lean = self.values.market.lean(self.rules.imbalance_lean_ppb)
        if lean * side < 0:
            price += lean  # the market is expected to come: no need to stand before it
        price = passive_price(instrument, view, side, price)
        reference = self.values.market.twice_mid if reduce_only else intent.arrival_twice_mid
        cap = cap_price(instrument, side, reference, rules.cap_ppb)
        if (price - cap) * side > 0:
            price = cap
        if price <= 0 or cap <= 0:
            return
        remaining = max(1, rules.take_after_ns - age)
        self.values.weigh(
            side, price, size, self.values.ahead_of(side, price, reduce_only), remaining, rules.weight_percent, True
        )
        terms = self.values.terms
        if intent.predicted < 0 and intent.maker_filled == 0 and age == 0:
            intent.predicted = self.values.raw_chance
            intent.deviation = self.values.market.deviation(remaining)
            intent.horizon_ns = remaining
        verdict = POST_VALUE
        if stage == TAKER:
            verdict = TAKE_AGE
        elif intent.taking or terms.value <= terms.other:
            verdict = TAKE_VALUE
        opposite = int(view.ask_price if side > 0 else view.bid_price)
        if verdict != POST_VALUE and (opposite - cap) * side > 0:
            verdict = BEYOND_CAP
        intent.taking = verdict == TAKE_VALUE or verdict == TAKE_AGE
        if verdict == TAKE_VALUE and intent.predicted >= 0:
            self.values.intent_odds.forget(intent.predicted)  # what posting would have come to will not be known
            intent.predicted = -1
        added = routed.count
        if intent.taking:
            stage = TAKER
            routed.add(side, cap, size, IMMEDIATE_OR_CANCEL, reduce_only, purpose)
        else:
            routed.add(side, price, size, POST_ONLY, reduce_only, purpose)
        routed.items[added].side_flags |= urgency << URGENCY_SHIFT
        terms.stage = stage
        terms.age_ns = age
        terms.limit = cap
        self._verdicts[added] = POST_CAPPED if verdict == BEYOND_CAP else verdict
        self._decided[added].copy(terms)
        if verdict == BEYOND_CAP and intent.verdict != BEYOND_CAP:
            self._explain(verdict, 0, opposite, size, int(routed.items[added].side_flags))
        intent.verdict = verdict
        intent.stage = stage
        due = next_change(intent.start_ns, now, rules)
        if due > 0:
            self._wake_at(due)

    def _wake_at(self, due: int) -> None:
        if self.view.now_ns < due < self.wake_ns:
            self.wake_ns = due

    # -- what works against what is wanted --------------------------------------------------------

    def _match(self, desk: Desk) -> None:
        """Find for every working order the quote it serves; cancel what serves none, as far as the budget allows."""
        routed = self.routed
        items = self.values.queue.items
        for item in items:
            if item.maker and item.order.state != CANCEL_PENDING:
                self._serve_exactly(item)
        for item in items:
            state = item.order.state
            if item.served >= 0 or (state != OPEN and state != PARTIALLY_FILLED):
                continue
            at = self._nearest(item) if item.maker else -1
            if at < 0:
                self._cancel(item, CANCEL_WITHDRAWN, WITHDRAW, True)
                continue
            quote = routed.items[at]
            remaining = item.order.remaining()
            urgent = urgency_of(quote.side_flags) != NO_URGENCY
            if quote.time_in_force == IMMEDIATE_OR_CANCEL:
                self._cancel(item, CANCEL_ESCALATE, ESCALATE, self._reduces(desk, item))
                continue
            distance = int(quote.price) - item.price
            if distance < 0:
                distance = -distance
            verdict = 0
            if distance <= self.rules.refresh_tolerance:
                self.values.terms.clear()
                verdict = KEEP_TOLERANCE
            elif not urgent and self._queue_is_worth_more(item, quote) and distance <= self.rules.max_keep:
                verdict = KEEP_QUEUE
            if verdict == 0:
                harmless = self._reduces(desk, item) and urgent
                done = self._cancel(
                    item,
                    CANCEL_ESCALATE if urgent else CANCEL_REPRICE,
                    ESCALATE if urgent else REPRICE,
                    harmless or self.values.market.edge_to_mid(item.side, item.price) < 0,
                )
                if done:
                    continue
            elif item.verdict != verdict:
                item.verdict = verdict
                self._explain(verdict, item.order_id, item.price, int(remaining), int(quote.side_flags))
            quote.matched += remaining
            item.served = at

    def _serve_exactly(self, item: Tracked) -> None:
        """An unchanged price is never given up."""
        routed = self.routed
        remaining = item.order.remaining()
        for at in range(routed.count):
            quote = routed.items[at]
            if (
                quote.side == item.side
                and quote.price == item.price
                and quote.time_in_force == POST_ONLY
                and quote.reduce_only == item.reduce_only
                and quote.matched + remaining <= quote.size
            ):
                quote.matched += remaining
                item.served = at
                return

    def _nearest(self, item: Tracked) -> int:
        """Return the index of the nearest quote of the order's kind that still has room for it, -1 for none.

        A quote that has become a taker takes the place of any order of its kind.
        """
        routed = self.routed
        remaining = item.order.remaining()
        found = -1
        nearest = 0
        for at in range(routed.count):
            quote = routed.items[at]
            if quote.side != item.side or quote.reduce_only != item.reduce_only:
                continue
            if quote.time_in_force == IMMEDIATE_OR_CANCEL:
                if urgency_of(quote.side_flags) == NO_URGENCY:
                    continue
            elif quote.matched + remaining > quote.size:
                continue
            distance = int(quote.price) - item.price
            if distance < 0:
                distance = -distance
            if found < 0 or distance < nearest:
                found = at
                nearest = distance
        return found

    def _queue_is_worth_more(self, item: Tracked, quote: Quote) -> bool:
        """Compare the order's place with a new one at the wanted price; leave the terms of the order's place."""
        remaining = int(item.order.remaining())
        again = self.values.worth(
            item.side, int(quote.price), remaining, ahead_at(self.view, item.side, int(quote.price))
        )
        again -= self.rules.cancel_cost_ppb
        kept = self.values.worth(item.side, item.price, remaining, self.values.ahead(item))
        self.values.terms.other = again
        return kept >= again

    def _reduces(self, desk: Desk, item: Tracked) -> bool:
        return item.reduce_only and desk.position.size * item.side < 0

    def _cancel(self, item: Tracked, reason: int, verdict: int, harmless: bool) -> bool:
        """Put a cancel into the plan; False when the budget forbids one that reduces no risk."""
        state = self.guard.state
        if state != 0 and not item.reduce_only:
            reason = CANCEL_STOP_LOSS if state == STOP_LOSS else CANCEL_TAKE_PROFIT
        if verdict == WITHDRAW or verdict == ESCALATE:
            self.values.terms.clear()
        flags = int(pack_side_flags(item.side, item.order.time_in_force, item.reduce_only, item.order.purpose))
        if not harmless and not (self.own.allows(True) and self.account.allows(True)):
            if item.verdict != HOLD_CANCELS:
                item.verdict = HOLD_CANCELS
                self._explain(HOLD_CANCELS, item.order_id, item.price, int(item.order.remaining()), flags)
            return False
        self.own.take(True)
        self.account.take(True)
        item.order.cancel_reason = reason
        self.cancels.append(item.order)
        self._explain(verdict, item.order_id, item.price, int(item.order.remaining()), flags)
        return True

    def reason_for(self, order: Order, quotes: Quotes) -> i64:
        """Return the reason that `plan` noted on the order."""
        return order.cancel_reason

    # -- new orders -------------------------------------------------------------------------------

    def _place(self, desk: Desk) -> None:
        """Set what is to be sent of every quote: what nothing serves, once its answers are in."""
        routed = self.routed
        instrument = desk.holding.instrument
        for at in range(routed.count):
            quote = routed.items[at]
            quote.place_size = 0
            missing = quote.size - quote.matched - self._under_way(quote)
            missing -= missing % instrument.lot_size
            if missing <= 0:
                continue
            if quote.time_in_force == POST_ONLY and desk.book_behind(quote.side):
                continue
            small = missing <= instrument.max_size and (
                instrument.notional(quote.price, missing) < instrument.min_notional
            )
            if small and (quote.matched > 0 or not quote.reduce_only):
                continue
            reduces = desk.position.size * quote.side < 0 and missing <= desk.position.size * -quote.side
            if not reduces and not (self.own.allows(False) and self.account.allows(False)):
                if self._held[at] != HOLD_ACTIONS:
                    self._held[at] = HOLD_ACTIONS
                    self.values.terms.clear()
                    self._explain(HOLD_ACTIONS, 0, int(quote.price), int(missing), int(quote.side_flags))
                continue
            self._held[at] = 0
            self.own.take(False)
            self.account.take(False)
            quote.place_size = missing
            self._explain_order(at, quote, int(missing))

    def _under_way(self, quote: Quote) -> i64:
        """Return the size that may still fill besides what serves this quote and must be waited for.

        An order whose answer is awaited holds back its side. For urgent and reduce-only quotes one being cancelled
        counts too, so that what is wanted is never sent twice.
        """
        total: i64 = 0
        strict = urgency_of(quote.side_flags) != NO_URGENCY or quote.reduce_only
        for item in self.values.queue.items:
            if item.side != quote.side or item.served >= 0:
                continue
            state = item.order.state
            if state == CANCEL_PENDING or state == OPEN or state == PARTIALLY_FILLED:
                if strict and item.reduce_only == quote.reduce_only:
                    total += item.order.remaining()
            else:
                return quote.size
        return total

    def _explain_order(self, at: int, quote: Quote, size: int) -> None:
        """Write why an order is sent, with the terms of the price at which it is sent."""
        side = int(quote.side)
        price = int(quote.price)
        if urgency_of(quote.side_flags) != NO_URGENCY:
            self.values.terms.copy(self._decided[at])
        elif quote.time_in_force == POST_ONLY:
            self.values.worth(side, price, size, ahead_at(self.view, side, price))
        else:
            self.values.terms.clear()
            self.values.terms.limit = price
        self._explain(self._verdicts[at], 0, price, size, int(quote.side_flags))

    def _explain(self, verdict: int, order_id: int, price: int, size: int, side_flags: int) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        terms = self.values.terms
        urgency = int(urgency_of(side_flags))
        fields = vec[i64](capacity=19)
        for value in (
            order_id, price, size, side_flags, terms.stage | urgency << 8, terms.age_ns, terms.chance, terms.saved,
            terms.fee_saved, terms.adverse, terms.opportunity, terms.value, terms.other, terms.ahead, terms.limit,
            int(self.own.cancels.tokens()), int(self.own.actions.tokens()),
            int(self.account.cancels.tokens()), int(self.account.actions.tokens()),
        ):  # fmt: skip
            fields = append(fields, i64(bounded(value, (1 << 62) - 1)))
        recorder.put_words(ROUTE, verdict | self._desk_index << 8, self.view.now_ns, fields)
