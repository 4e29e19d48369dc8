"""Position arithmetic in exact integers: average entry, realized and unrealized profit, no rounding lost."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import muldiv


def share_of(amount: i64, part: i64, whole: i64) -> i64:
    """Return amount x part / whole truncated toward zero; exact for any operands, fast for common ones."""
    if part == whole:
        return amount
    reach: i64 = 1 << 42
    wide: i64 = 1 << 50
    if (-reach < amount < reach and part < 1 << 20) or (-wide < amount < wide and part < 1 << 12):
        product = amount * part
        if product >= 0:
            return product // whole
        return -(-product // whole)
    return i64(muldiv(int(amount), int(part), int(whole)))


@final
class Position:
    """One instrument's position, signed size, with its cost at entry (signed like the size, money units).

    Always: realized - fees + funding + (size x mark - cost) is what the fills and payments changed in equity.
    Opening trades average the entry, closing trades take their share of the cost with them, and a
    flip closes everything before it opens (source: Hyperliquid docs, position accounting).
    """

    def __init__(self, notional_factor: i64) -> None:
        self.notional_factor: Final[i64] = notional_factor
        self.size: i64 = 0
        self.cost: i64 = 0
        self.realized: i64 = 0
        self.fees: i64 = 0
        self.rebates: i64 = 0
        self.funding: i64 = 0
        self.fills: i64 = 0
        self.volume: i64 = 0
        self.traded: i64 = 0
        self.maker_traded: i64 = 0

    def apply_fill(self, side: i64, price: i64, size: i64, fee: i64, taker: bool) -> i64:
        """Book a fill; fee in money units, negative = rebate. Return the profit realized by it, fees apart."""
        value = price * size * self.notional_factor
        realized: i64 = 0
        held = self.size
        if held * side >= 0:
            self.cost += side * value
        else:
            direction: i64 = 1 if held > 0 else -1
            held_size = held * direction
            closed = size if size < held_size else held_size
            removed = share_of(self.cost, closed, held_size)
            realized = direction * (price * closed * self.notional_factor) - removed
            self.cost -= removed
            if size > held_size:
                self.cost = side * price * (size - held_size) * self.notional_factor
        self.size = held + side * size
        self.realized += realized
        if fee >= 0:
            self.fees += fee
        else:
            self.rebates -= fee
        self.fills += 1
        self.volume += size
        self.traded += value
        if not taker:
            self.maker_traded += value
        return realized

    def apply_funding(self, amount: i64) -> None:
        """Book a funding payment: the balance change in money units, positive = received."""
        self.funding += amount

    def unrealized(self, mark_price: i64) -> i64:
        """Return size x mark - cost in money units."""
        return self.size * mark_price * self.notional_factor - self.cost

    def notional(self, mark_price: i64) -> i64:
        """Return |size| x mark in money units."""
        value = self.size * mark_price * self.notional_factor
        return value if value >= 0 else -value

    def average_price(self) -> i64:
        """Return the average entry price in price units, rounded toward zero; 0 when flat."""
        if self.size == 0:
            return 0
        return self.cost // (self.size * self.notional_factor)
