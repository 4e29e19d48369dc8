"""The API validator: the venue's rules, checked in integers before anything is sent.

`check` answers with a reason (model.reasons, 0 = valid) and leaves the value and the limit in `value` and `limit`.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.portfolio import Desk, Holding, Portfolio
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import rate_of
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.model.reasons import (
    LOT_SIZE,
    MARGIN,
    MAX_PRICE,
    MAX_SIZE,
    MIN_NOTIONAL,
    NO_BOOK,
    NONE,
    POST_ONLY_CROSSES,
    PRICE_BAND,
    REDUCE_ONLY,
    STALE_BOOK,
    TICK_SIZE,
)


@final
class ApiValidator:
    """Checks one order against its instrument's rules and the book as known at the decision."""

    def __init__(self, portfolio: Portfolio, max_book_age_ns: i64) -> None:
        self.portfolio: Final[Portfolio] = portfolio
        self.max_book_age_ns: i64 = max_book_age_ns
        self.value: i64 = 0
        self.limit: i64 = 0

    def _refuse(self, reason: i64, value: i64, limit: i64) -> i64:
        self.value = value
        self.limit = limit
        return reason

    def check(
        self, desk: Desk, now: i64, side: i64, price: i64, size: i64, time_in_force: i64, reduce_only: bool
    ) -> i64:
        """Return NONE when the venue would accept the order, as far as is known here, else the reason."""
        return self._check(desk.holding, desk.holding.instrument, now, side, price, size, time_in_force, reduce_only)

    def _check(
        self,
        holding: Holding,
        instrument: Instrument,
        now: i64,
        side: i64,
        price: i64,
        size: i64,
        time_in_force: i64,
        reduce_only: bool,
    ) -> i64:
        if price <= 0 or price > instrument.max_price:
            return self._refuse(MAX_PRICE, price, instrument.max_price)
        if size > instrument.max_size:
            return self._refuse(MAX_SIZE, size, instrument.max_size)
        tick = instrument.tick_at(price)
        if tick != 1 and price % tick != 0:
            return self._refuse(TICK_SIZE, price, instrument.snap(price, side))
        if size <= 0 or (instrument.lot_size != 1 and size % instrument.lot_size != 0):
            return self._refuse(LOT_SIZE, size, instrument.snap_size(size))
        bid = holding.bid_price
        ask = holding.ask_price
        if bid <= 0 or ask <= 0 or bid > ask:
            return self._refuse(NO_BOOK, bid, ask)
        if now - holding.book_ts_ns > self.max_book_age_ns:
            return self._refuse(STALE_BOOK, now - holding.book_ts_ns, self.max_book_age_ns)
        if time_in_force == POST_ONLY:
            opposite = ask if side > 0 else bid
            if (price - opposite) * side >= 0:
                return self._refuse(POST_ONLY_CROSSES, price, opposite)
        notional = price * size * holding.factor
        held = holding.position.size
        if reduce_only:
            reducible = -held * side
            if reducible <= 0 or size > reducible:
                return self._refuse(REDUCE_ONLY, size, reducible if reducible > 0 else 0)
            if notional < instrument.min_notional and size != reducible:
                return self._refuse(MIN_NOTIONAL, notional, instrument.min_notional)
        elif notional < instrument.min_notional:
            return self._refuse(MIN_NOTIONAL, notional, instrument.min_notional)
        if instrument.price_band > 0:
            reference = holding.mark_price
            width = rate_of(reference, instrument.price_band)
            distance = price - reference if price >= reference else reference - price
            if reference <= 0 or distance > width:
                return self._refuse(PRICE_BAND, price, reference + width if price > reference else reference - width)
        return self._check_margin(holding, self.portfolio, side, size)

    def _check_margin(self, holding: Holding, portfolio: Portfolio, side: i64, size: i64) -> i64:
        """Initial margin of the worst case must not exceed equity; an order that only reduces needs none."""
        working = holding.open_buy if side > 0 else holding.open_sell
        if holding.position.size * side + working + size <= 0:
            return NONE
        needed = holding.worst_notional_with(side, size) // holding.leverage + portfolio.margin_beside(holding)
        if needed > portfolio.equity:
            return self._refuse(MARGIN, needed, portfolio.equity)
        return NONE
