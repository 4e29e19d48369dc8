"""Every order's life, told from the journal by the transition table; and the intents that orders serve."""

from collections import OrderedDict
from typing import Any, Final

import numpy as np

from hatmanifesto.backtest.statistics import Statistics
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.order import PURPOSE_NAMES, PURPOSE_SHIFT, TIF_SHIFT, TIME_IN_FORCE_NAMES
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    DENIED,
    DONE_STATES,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    FILLED,
    FIND_OPEN,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    OrderState,
)
from hatmanifesto.model.reasons import REASONS
from hatmanifesto.model.record import (
    CANCEL,
    DENY,
    FAULT,
    FILL,
    FUNDING_PAYMENT,
    ORDER_EVENT,
    SUBMIT,
    TIMEOUT,
    VIEW,
)

REMEMBERED: Final = 16_384
"""Ended orders that are still known, so that a late fill finds its strategy."""
FOLLOWED: Final = np.array([SUBMIT, CANCEL, DENY, ORDER_EVENT, FILL, TIMEOUT, FAULT, FUNDING_PAYMENT])
_NO_VIEW: Final = (0, 0)
_STATE_NAMES: Final = {int(state): state.name for state in OrderState}


class TrackedOrder:
    """One order while it lives. Integers in the instrument's units, times in ns, 0 = not yet."""

    __slots__ = (
        "acked_ns", "ask", "bid", "cancel_ns", "cancel_reason", "ended_ns", "filled", "flags", "instrument",
        "limit", "order_id", "price", "reason", "side", "size", "state", "strategy", "submitted_ns", "value",
    )  # fmt: skip

    def __init__(self, order_id: int, code: int, price: int, size: int, flags: int, ts_ns: int) -> None:
        self.order_id = order_id
        self.instrument = code & 0xFF
        self.strategy = code >> 8
        self.price = price
        self.size = size
        self.flags = flags
        self.side = 1 if flags & 1 else -1
        self.submitted_ns = ts_ns
        self.state = SUBMITTED
        self.filled = 0
        self.reason = 0
        self.value = 0
        self.limit = 0
        self.acked_ns = 0
        self.cancel_ns = 0
        self.cancel_reason = 0
        self.ended_ns = 0
        self.bid = 0
        self.ask = 0


class OrderHistory:
    """Feed it batches in order; take `orders` (ended ones) and `fills`, rows for the tables, as they grow."""

    def __init__(self, plan: SessionPlan, statistics: Statistics) -> None:
        self.statistics = statistics
        self.orders: list[tuple[Any, ...]] = []
        self.fills: list[tuple[Any, ...]] = []
        self._names = [entry.name for entry in plan.instruments]
        self._strategies = [entry.name for entry in plan.strategies]
        self._price_units = [10.0**-entry.price_scale for entry in plan.instruments]
        self._size_units = [10.0**-entry.size_scale for entry in plan.instruments]
        self._live: dict[int, TrackedOrder] = {}
        self._ended: OrderedDict[int, TrackedOrder] = OrderedDict()
        self._view = _NO_VIEW

    def feed(self, batch: Batch) -> None:
        """Follow the orders through a batch of records."""
        chosen = np.flatnonzero(np.isin(batch.kinds, FOLLOWED))
        views = np.flatnonzero(batch.kinds == VIEW)
        last = np.searchsorted(views, chosen) - 1
        view_at = batch.starts[views]
        bids = batch.words[view_at + 3].tolist()
        asks = batch.words[view_at + 5].tolist()
        words = batch.words.tolist()
        handlers = {
            SUBMIT: self._submit, CANCEL: self._cancel, DENY: self._deny, ORDER_EVENT: self._event,
            FILL: self._fill, TIMEOUT: self._timeout, FAULT: self._fault, FUNDING_PAYMENT: self._funding,
        }  # fmt: skip
        before = self._view
        for at, kind, view in zip(
            batch.starts[chosen].tolist(), batch.kinds[chosen].tolist(), last.tolist(), strict=True
        ):
            self._view = (bids[view], asks[view]) if view >= 0 else before
            handlers[kind](words, at, (words[at] >> 16) & 0xFFFF, words[at + 1])
        if len(views):
            self._view = (bids[-1], asks[-1])

    def finish(self) -> None:
        """The journal has ended: orders that still work are written as they stand."""
        for order in list(self._live.values()):
            self.orders.append(self._row(order))
        self._live.clear()

    # -- one record -------------------------------------------------------------------------------

    def _submit(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        order = TrackedOrder(words[at + 2], aux, words[at + 3], words[at + 4], words[at + 5], ts_ns)
        order.bid, order.ask = self._view
        self._live[order.order_id] = order
        self.statistics.placed(order.strategy, order.instrument, order.side)

    def _deny(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        code = words[at + 8]
        order = TrackedOrder(words[at + 2], code, words[at + 3], words[at + 4], words[at + 5], ts_ns)
        order.bid, order.ask = self._view
        order.state = DENIED
        order.reason = aux
        order.value = words[at + 6]
        order.limit = words[at + 7]
        order.ended_ns = ts_ns
        order.submitted_ns = 0
        self.statistics.denied(order.strategy, order.instrument, aux, order.value, order.limit)
        self.orders.append(self._row(order, decided_ns=ts_ns))

    def _cancel(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        order = self._live.get(words[at + 2])
        self.statistics.cancel_sent(aux)
        if order is not None:
            order.cancel_ns = ts_ns
            order.cancel_reason = aux
            self._move(order, REQUEST_CANCEL, ts_ns)

    def _event(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        order = self._live.get(words[at + 2])
        if order is None:
            return
        trigger, reason = aux & 0xFF, aux >> 8
        if trigger in (ACKNOWLEDGE, FIND_OPEN) and order.acked_ns == 0:
            order.acked_ns = ts_ns
            self.statistics.acknowledged(ts_ns - order.submitted_ns)
        if reason:
            order.reason = reason
        self._move(order, trigger, ts_ns)

    def _timeout(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        order = self._live.get(words[at + 2])
        if order is not None:
            self._move(order, TIME_OUT, ts_ns)

    def _fault(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        self.statistics.fault(aux)

    def _funding(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        self.statistics.funding(aux & 0xFF, words[at + 2])

    def _fill(self, words: list[int], at: int, aux: int, ts_ns: int) -> None:
        order_id, price, size, fee, exch_ts_ns, trade_id, side = words[at + 2 : at + 9]
        taker, instrument = aux & 1, aux >> 8
        order = self._live.get(order_id) or self._ended.get(order_id)
        strategy = order.strategy if order is not None else -1
        mid2 = order.bid + order.ask if order is not None and order.bid > 0 and order.ask > 0 else 0
        realized, position = self.statistics.fill(strategy, instrument, side, price, size, fee, taker == 1, mid2)
        self.fills.append(
            (
                ts_ns, exch_ts_ns, order_id, trade_id, self._names[instrument],
                self._strategies[strategy] if strategy >= 0 else "", side, price, size, fee, taker == 1,
                realized, position, mid2, price * self._price_units[instrument],
                size * self._size_units[instrument],
            )
        )  # fmt: skip
        if order is None:
            return
        live = order_id in self._live
        order.filled += size
        trigger = FILL_LATE if not live else FILL_WHOLE if order.filled >= order.size else FILL_PART
        self._move(order, trigger, ts_ns)

    def _move(self, order: TrackedOrder, trigger: int, ts_ns: int) -> None:
        after = TRANSITIONS.get((order.state, trigger))
        if after is None:
            return
        order.state = after
        if after in DONE_STATES and order.ended_ns == 0:
            order.ended_ns = ts_ns
            del self._live[order.order_id]
            self._ended[order.order_id] = order
            if len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            reason = order.reason or order.cancel_reason
            self.statistics.ended(order.strategy, order.instrument, order.side, after, reason)
            self.orders.append(self._row(order))

    def _row(self, order: TrackedOrder, decided_ns: int = 0) -> tuple[Any, ...]:
        reason = order.reason
        if reason == 0 and order.state != FILLED:
            reason = order.cancel_reason
        entry = REASONS.get(reason)
        return (
            order.order_id,
            self._strategies[order.strategy],
            self._names[order.instrument],
            order.side,
            order.price,
            order.size,
            order.filled,
            _STATE_NAMES[order.state],
            TIME_IN_FORCE_NAMES[(order.flags >> TIF_SHIFT) & 3],
            order.flags & 16 != 0,
            PURPOSE_NAMES[order.flags >> PURPOSE_SHIFT],
            entry.key if entry else "",
            entry.component if entry else "",
            entry.message if entry else "",
            entry.remedy if entry else "",
            order.value if order.state == DENIED else None,
            order.limit if order.state == DENIED else None,
            order.submitted_ns or decided_ns,
            order.submitted_ns or None,
            order.acked_ns or None,
            order.cancel_ns or None,
            order.ended_ns or None,
            order.bid,
            order.ask,
        )
