"""What the router `expected_value` has learned of a market and its own orders, and what an order is worth by it.

Sources: maker or taker, Perold's implementation shortfall (1988): post iff P(2h + f_t - f_m - A) > (1 - P)D. Everything
it learns from is in the journal (views, order events, fills), so a replay values the same.
"""

from typing import Final, final

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.routing.estimates import AdverseSelection, Average, MarketEstimates, Odds
from hatmanifesto.core.routing.fixed_point import PPB, PPM, bounded, share
from hatmanifesto.core.routing.intents import Intent
from hatmanifesto.core.routing.queue_tracker import QueueTracker, Tracked, ahead_at
from hatmanifesto.core.routing.rules import Rules
from hatmanifesto.core.routing.terms import Terms
from hatmanifesto.core.strategy import View
from hatmanifesto.model.order_state import CANCEL_PENDING
from hatmanifesto.model.reasons import CANCEL_ESCALATE, CANCEL_REPRICE

_LARGEST_RATIO: Final = 10 * PPM


@final
class Valuation:
    """One desk's estimates. `terms` are those of the last order weighed, `raw_chance` its chance before correction."""

    def __init__(self, rules: Rules, view: View) -> None:
        self.rules: Final[Rules] = rules
        self.view: Final[View] = view
        self.market: Final[MarketEstimates] = MarketEstimates(rules.half_life_ns, rules.turnover_ns)
        self.adverse: Final[AdverseSelection] = AdverseSelection(
            rules.adverse_ppb, rules.prior_weight, rules.markout_ns
        )
        self.order_odds: Final[Odds] = Odds(rules.prior_weight)
        self.intent_odds: Final[Odds] = Odds(rules.prior_weight)
        self.drift: Final[Average] = Average(rules.drift_ppm, rules.prior_weight)
        self.queue: Final[QueueTracker] = QueueTracker()
        self.intents: Final[list[Intent]] = [Intent() for _ in range(4)]
        self.terms: Final[Terms] = Terms()
        self.fee_saved: int = 0
        self.raw_chance: int = 0

    # -- learning ---------------------------------------------------------------------------------

    def learn(self, desk: Desk, now: int) -> None:
        """Update every estimate from this view and from what own orders did since the last one."""
        twice_mid_before = self.market.twice_mid
        self.queue.update(desk, self.view)
        for item in self.queue.ended:
            self._note_fills(item, now, twice_mid_before)
            self._score(item, now)
        for item in self.queue.items:
            self._note_fills(item, now, twice_mid_before)
            self._score(item, now)
            item.served = -1
        self.market.take(self.view)
        for item in self.queue.items:
            if item.predicted < 0 and item.since_ns == now and item.maker:
                item.predicted = self._chance(
                    item.side, item.price, self.ahead(item), int(item.order.size), self.rules.quote_horizon_ns
                )
        self.adverse.take(now, self.market.twice_mid)
        for intent in self.intents:
            intent.wanted = False
            if intent.active and intent.predicted >= 0 and now - intent.start_ns >= intent.horizon_ns:
                self.end_trial(intent, True)

    def _note_fills(self, item: Tracked, now: int, twice_mid_before: int) -> None:
        if not item.same() or not item.maker:
            return
        filled = int(item.order.filled)
        if filled > item.seen_filled:
            intent = self.intent(item.side, item.reduce_only)
            if intent.active:
                intent.maker_filled += filled - item.seen_filled
            item.seen_filled = filled
            self.adverse.note_fill(now, item.side, twice_mid_before)

    def _score(self, item: Tracked, now: int) -> None:
        """Score the chance of one order: a hit is whole within the quote horizon, a miss is too late or repriced."""
        if item.predicted < 0 or not item.same():
            return
        order = item.order
        if order.filled >= order.size:
            self.order_odds.observe(item.predicted, True)
        elif now - item.since_ns >= self.rules.quote_horizon_ns or (
            not order.live() and (order.cancel_reason == CANCEL_REPRICE or order.cancel_reason == CANCEL_ESCALATE)
        ):
            self.order_odds.observe(item.predicted, False)
        elif order.live():
            return
        item.predicted = -1

    def end_trial(self, intent: Intent, whole: bool) -> None:
        """Score what was predicted at the intent's start: filled as a maker for the larger half, or drifted away.

        One that ended before its time (`whole` False) counts only when it was filled.
        """
        if intent.predicted < 0:
            return
        predicted = intent.predicted
        intent.predicted = -1
        if 2 * intent.maker_filled >= intent.size:
            self.intent_odds.observe(predicted, True)
        elif whole:
            self.intent_odds.observe(predicted, False)
            if intent.deviation > 0 and intent.arrival_twice_mid > 0:
                side = 1 if intent is self.intents[0] or intent is self.intents[2] else -1
                before = intent.arrival_twice_mid
                moved = share(side * (self.market.twice_mid - before), before, PPB)
                self.drift.observe(bounded(share(moved, intent.deviation, PPM), _LARGEST_RATIO))

    def intent(self, side: int, reduce_only: bool) -> Intent:
        """Return the intent of a side, among those that reduce or among the others."""
        return self.intents[(0 if side > 0 else 1) + (2 if reduce_only else 0)]

    # -- places in queues ------------------------------------------------------------------------

    def own_best(self, side: int, reduce_only: bool) -> int:
        """Return the best price of the desk's maker orders of that kind that are first in their queue, 0: none."""
        best = 0
        for item in self.queue.items:
            if not item.maker or item.side != side or item.reduce_only != reduce_only:
                continue
            if item.ahead > 0 or item.order.state == CANCEL_PENDING:
                continue
            if best == 0 or (item.price - best) * side > 0:
                best = item.price
        return best

    def ahead_of(self, side: int, price: int, reduce_only: bool) -> int:
        """Return the size ahead at a price: of the own order there, else of a new one."""
        for item in self.queue.items:
            if not item.maker or item.side != side or item.reduce_only != reduce_only:
                continue
            if item.price == price and item.order.state != CANCEL_PENDING:
                return self.ahead(item)
        return ahead_at(self.view, side, price)

    def ahead(self, item: Tracked) -> int:
        """Return all that would trade before an own order: better levels, then its own queue."""
        better = ahead_at(self.view, item.side, item.price + item.side)
        return better + item.ahead

    # -- what it is worth -------------------------------------------------------------------------

    def weigh(
        self, side: int, price: int, size: int, ahead: int, horizon_ns: int, weight_percent: int, intent: bool
    ) -> None:
        """Work out the terms of posting at a price: value = P(saved + fees - A), other = (1 - P)D, in ppb."""
        market = self.market
        rules = self.rules
        terms = self.terms
        terms.clear()
        raw = self._chance(side, price, ahead, size, horizon_ns)
        self.raw_chance = raw
        chance = self.intent_odds.corrected(raw) if intent else self.order_odds.corrected(raw)
        drift = share(self.drift.value() * market.deviation(horizon_ns), PPM, 1)
        drift += share(side * market.imbalance() * rules.imbalance_drift_ppb, PPM, 1)
        terms.chance = chance
        terms.ahead = ahead
        terms.saved = market.distance(side, price)
        terms.fee_saved = self.fee_saved
        terms.adverse = self.adverse.mean.value()
        terms.opportunity = share(drift * weight_percent, 100, 1)
        terms.value = share(chance * (terms.saved + terms.fee_saved - terms.adverse), PPM, 1)
        terms.other = share((PPM - chance) * terms.opportunity, PPM, 1)

    def _chance(self, side: int, price: int, ahead: int, size: int, horizon_ns: int) -> int:
        tick = int(self.view.instrument.tick_at(price))
        return self.market.fill_chance(side, price, tick, ahead, size, horizon_ns, self.rules.fill_scale_ppm)

    def worth(self, side: int, price: int, size: int, ahead: int) -> int:
        """Return the value of a quote that rests at a price with so much ahead."""
        self.weigh(side, price, size, ahead, self.rules.quote_horizon_ns, 0, False)
        return self.terms.value
