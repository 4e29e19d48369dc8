"""One account at a venue: cash, positions, cross and isolated margin; what it may open and when it is liquidated.

Cash is kept as the venue keeps it, `raw` quote currency: what was paid for a position is taken out of it at once, so
value is raw + size x mark, and nothing is ever rounded. Used by both simulated exchanges; the engine's own books are
in core.portfolio. Source: Hyperliquid docs, margining, and the identities of recorded `clearinghouseState` answers.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.funding import funding_payment
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import (
    MarginTable,
    backstop_due,
    initial_margin,
    leverage_allowed,
    liquidation_price,
    used_margin,
    withdrawable,
)
from hatmanifesto.model.money import RATE_SCALE, muldiv, rate_of
from hatmanifesto.model.position import Position, share_of
from hatmanifesto.model.reasons import NONE, VENUE_MARGIN, VENUE_POSITION_TIER

SOUND: Final = 0
LIQUIDATE: Final = 1
BACKSTOP: Final = 2
"""Standing of what carries a position: above maintenance, below it, or below two thirds of it."""


@final
class MarginLeg:
    """One instrument of an account. `raw` is an isolated position's own cash; cross positions share the account's.

    `open_buy` and `open_sell` are the sizes of resting orders that are not reduce-only; whoever matches keeps them.
    """

    def __init__(self, instrument: Instrument, table: MarginTable, leverage: int, isolated: bool = False) -> None:
        if not leverage_allowed(table, leverage):
            raise ValueError(
                f"{instrument.name}: leverage {leverage} must lie between 1 and the market's {table.max_leverage}"
            )
        self.instrument: Final[Instrument] = instrument
        self.factor: Final[i64] = instrument.notional_factor
        self.table: Final[MarginTable] = table
        self.leverage: i64 = leverage
        self.isolated: bool = isolated
        self.position: Final[Position] = Position(instrument.notional_factor)
        self.raw: i64 = 0
        self.mark_price: i64 = 0
        self.oracle_price: i64 = 0
        self.funding_rate: i64 = 0
        self.open_buy: i64 = 0
        self.open_sell: i64 = 0

    def notional(self) -> i64:
        """Return |size| x mark in money units."""
        return self.position.notional(self.mark_price)

    def value(self) -> i64:
        """Return size x mark in money units, signed."""
        return self.position.size * self.mark_price * self.factor

    def maintenance(self) -> i64:
        """Return the position's maintenance margin at the mark."""
        return self.table.maintenance(self.notional())

    def increase(self, extra_buy: i64, extra_sell: i64) -> i64:
        """Return by how much |position| could grow if every order of one side, and the extra ones, were filled."""
        held = self.position.size
        long = held + self.open_buy + extra_buy
        short = self.open_sell + extra_sell - held
        worst = long if long > short else short
        size = held if held >= 0 else -held
        return worst - size if worst > size else 0


@final
class MarginAccount:
    """An account's cash and legs (indexed by instrument); `deposit` in money units is its first cash."""

    def __init__(self, deposit: int, legs: list[MarginLeg]) -> None:
        self.legs: Final[list[MarginLeg]] = legs
        self.raw: i64 = deposit

    # -- values -----------------------------------------------------------------------------------

    def cross_value(self) -> i64:
        """Return the cross account's value at the marks: cash and every cross position."""
        total = self.raw
        for leg in self.legs:
            if not leg.isolated and leg.position.size != 0:
                total += leg.value()
        return total

    def leg_equity(self, at: i64) -> i64:
        """Return an isolated position's own equity at the mark."""
        leg = self.legs[at]
        return leg.raw + leg.value()

    def account_value(self) -> i64:
        """Return the whole value: cross and every isolated position's equity."""
        total = self.cross_value()
        for leg in self.legs:
            if leg.isolated:
                total += leg.raw + leg.value()
        return total

    def total_raw(self) -> i64:
        """Return all cash, that of isolated positions included."""
        total = self.raw
        for leg in self.legs:
            total += leg.raw
        return total

    def cross_notional(self) -> i64:
        """Return the sum of |position| x mark over cross positions."""
        total: i64 = 0
        for leg in self.legs:
            if not leg.isolated and leg.position.size != 0:
                total += leg.notional()
        return total

    def cross_maintenance(self) -> i64:
        """Return the maintenance margin of all cross positions."""
        total: i64 = 0
        for leg in self.legs:
            if not leg.isolated and leg.position.size != 0:
                total += leg.maintenance()
        return total

    def cross_margin_used(self) -> i64:
        """Return the initial margin of all cross positions, as the venue shows it."""
        total: i64 = 0
        for leg in self.legs:
            if not leg.isolated and leg.position.size != 0:
                total += used_margin(leg.notional(), leg.leverage)
        return total

    def margin_used(self) -> i64:
        """Return the cross positions' initial margin and the isolated positions' equity."""
        total = self.cross_margin_used()
        for leg in self.legs:
            if leg.isolated:
                total += leg.raw + leg.value()
        return total

    def withdrawable(self) -> i64:
        """Return what may leave the cross account."""
        return withdrawable(self.cross_value(), self.cross_margin_used(), self.cross_notional())

    def standing(self, at: i64) -> i64:
        """Return SOUND, LIQUIDATE or BACKSTOP for an isolated leg, or (at -1) for the cross account."""
        if at < 0:
            maintenance = self.cross_maintenance()
            if maintenance == 0:
                return SOUND
            equity = self.cross_value()
        else:
            leg = self.legs[at]
            if leg.position.size == 0:
                return SOUND
            maintenance = leg.maintenance()
            equity = leg.raw + leg.value()
        if equity >= maintenance:
            return SOUND
        return BACKSTOP if backstop_due(equity, maintenance) else LIQUIDATE

    def liquidation_price(self, at: i64, decimals: int = 0) -> int:
        """Return the mark at which this position would be liquidated, all else unmoved, x 10^decimals; 0 for none."""
        leg = self.legs[at]
        if leg.isolated:
            equity = leg.raw + leg.value()
            maintenance = leg.maintenance()
        else:
            equity = self.cross_value()
            maintenance = self.cross_maintenance()
        return liquidation_price(
            leg.table, leg.position.size, leg.factor, leg.mark_price, equity, maintenance, decimals
        )

    # -- what may be opened -----------------------------------------------------------------------

    def required(self, at: i64, side: i64, price: i64, size: i64) -> i64:
        """Return the initial margin of everything if one more order (size 0: none) rested on instrument `at`.

        Cross positions tie up notional / leverage at the mark. Open orders tie up the margin, and the taker fee, of
        the growth of |position| that they could cause, at the mark or the new order's price, whichever is higher;
        orders that can only reduce tie up nothing. The venue has not published how it nets open orders: this is on
        the safe side.
        """
        total: i64 = 0
        for index, leg in enumerate(self.legs):
            extra_buy: i64 = 0
            extra_sell: i64 = 0
            reference = leg.mark_price
            if index == at and size > 0:
                if side > 0:
                    extra_buy = size
                else:
                    extra_sell = size
                if price > reference:
                    reference = price
            grows = leg.increase(extra_buy, extra_sell)
            if grows > 0:
                value = grows * reference * leg.factor
                total += initial_margin(value, leg.leverage) + rate_of(value, leg.instrument.taker_fee)
            if not leg.isolated and leg.position.size != 0:
                total += initial_margin(leg.notional(), leg.leverage)
        return total

    def refusal(self, at: i64, side: i64, price: i64, size: i64) -> i64:
        """Return why an order of this size may not be opened (a reason of model.reasons), NONE when it may.

        Size 0 asks the same of the orders that rest already. An order that cannot make the position larger, all
        orders of its side filled, is always allowed.
        """
        leg = self.legs[at]
        resting = leg.open_buy if side > 0 else leg.open_sell
        if leg.position.size * side + resting + size <= 0:
            return NONE
        reference = leg.mark_price if leg.mark_price > price else price
        held = leg.position.size if leg.position.size >= 0 else -leg.position.size
        extra_buy = size if side > 0 else 0
        extra_sell = size if side < 0 else 0
        worst = (held + leg.increase(extra_buy, extra_sell)) * reference * leg.factor
        if leg.leverage > leg.table.max_leverage_at(worst):
            return VENUE_POSITION_TIER
        return VENUE_MARGIN if self.required(at, side, price, size) > self.cross_value() else NONE

    def set_leverage(self, at: i64, leverage: int, isolated: bool) -> str:
        """Change an instrument's leverage; return the venue's words where it refuses, else an empty text."""
        leg = self.legs[at]
        if not leverage_allowed(leg.table, leverage):
            return "Invalid leverage value"
        if leg.position.size != 0 and isolated != leg.isolated:
            return "Cannot switch leverage type with open position."
        before = leg.leverage
        leg.leverage = leverage
        if leg.position.size != 0 and leverage < before:
            if leg.isolated:
                if leg.raw + leg.value() < initial_margin(leg.notional(), leg.leverage):
                    leg.leverage = before
                    return (
                        "Isolated position does not have sufficient margin available to decrease leverage. "
                        "To decrease leverage, add margin to the position."
                    )
            elif self.required(at, 1, 0, 0) > self.cross_value():
                leg.leverage = before
                return (
                    "Cross position does not have sufficient margin available to decrease leverage. "
                    "To decrease leverage, deposit more collateral."
                )
        leg.isolated = isolated
        return ""

    def move_isolated_margin(self, at: i64, amount: i64) -> str:
        """Move cash into (positive) or out of an isolated position; return the venue's words where it refuses."""
        leg = self.legs[at]
        if amount == 0:
            return "Update to isolated margin cannot be zero."
        if leg.position.size == 0:
            return "Cannot update margin for empty position."
        if not leg.isolated:
            return "Position does not use isolated margin."
        if amount > 0 and amount > self.withdrawable():
            return "Account does not have sufficient margin available for increase."
        if amount < 0:
            kept = initial_margin(leg.notional(), leg.leverage)
            floor = leg.notional() // 10
            if leg.raw + leg.value() + amount < (kept if kept > floor else floor):
                return "Position does not have sufficient margin for reduction."
        leg.raw += amount
        self.raw -= amount
        return ""

    # -- what happens -----------------------------------------------------------------------------

    def apply_fill(self, at: i64, side: i64, price: i64, size: i64, fee: i64, taker: bool) -> i64:
        """Book a fill and return the profit it realized, fees apart.

        On an isolated instrument opening moves the initial margin in at the fill's price, closing moves the closed
        share of the position's equity out, and the fee comes out of the position.
        """
        leg = self.legs[at]
        if not leg.isolated:
            self.raw -= side * price * size * leg.factor + fee
            return leg.position.apply_fill(side, price, size, fee, taker)
        held = leg.position.size * side
        closed: i64 = 0
        if held < 0:
            closed = size if size < -held else -held
            equity = leg.raw + leg.position.size * price * leg.factor
            leg.raw -= side * price * closed * leg.factor
            released = equity if closed == -held else share_of(equity, closed, -held)
            if released < 0 and closed != -held:
                released = 0  # a position under water keeps its loss
            leg.raw -= released
            self.raw += released
        opened = size - closed
        if opened > 0:
            value = price * opened * leg.factor
            margin = initial_margin(value, leg.leverage)
            leg.raw += margin - side * value
            self.raw -= margin
        realized = leg.position.apply_fill(side, price, size, fee, taker)
        if leg.position.size == 0:
            self.raw += leg.raw - fee
            leg.raw = 0
        else:
            leg.raw -= fee
        return realized

    def apply_funding(self, at: i64) -> i64:
        """Pay one interval's funding at the leg's rate and oracle price; return the balance change in money units."""
        leg = self.legs[at]
        amount = funding_payment(leg.position.size, leg.oracle_price, leg.factor, leg.funding_rate)
        leg.position.apply_funding(amount)
        if leg.isolated and leg.position.size != 0:
            leg.raw += amount
        else:
            self.raw += amount
        return amount

    def bankruptcy_price(self, at: i64) -> i64:
        """Return the price at which closing this whole position would leave its equity at nothing or just above.

        For a cross position all others count at their marks. Never below one price unit.
        """
        leg = self.legs[at]
        size = leg.position.size
        if size == 0:
            return leg.mark_price
        equity = leg.raw + leg.value() if leg.isolated else self.cross_value()
        unit = int(size) * int(leg.factor)
        # mark - equity / unit, rounded so that what is left is not negative: up for a long, down for a short
        if unit > 0:
            price = int(leg.mark_price) - int(equity) // unit
        else:
            price = int(leg.mark_price) + int(equity) // -unit
        return i64(price if price > 1 else 1)

    def deleverage_rank(self, at: i64) -> int:
        """Return where a position stands in line for auto-deleveraging, parts per billion; the highest goes first.

        (mark / entry) x (notional / account value) for a long; for a short entry / mark, since it gains when the mark
        falls (the venue states the formula for longs only).
        """
        leg = self.legs[at]
        size = int(leg.position.size)
        cost = int(leg.position.cost)
        value = int(leg.raw + leg.value()) if leg.isolated else int(self.cross_value())
        marked = int(leg.value())
        if size == 0 or marked == 0 or cost == 0 or value <= 0:
            return 0
        gain = muldiv(RATE_SCALE, marked, cost) if size > 0 else muldiv(RATE_SCALE, -cost, -marked)
        return muldiv(gain, abs(marked), value)
