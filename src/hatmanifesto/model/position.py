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
        self.average_price: i64 = 0  # of the entry, price units, rounded toward zero; 0 when flat
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
        held += side * size
        self.size = held
        self.average_price = self.cost // (held * self.notional_factor) if held != 0 else 0
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

    def cash(self) -> i64:
        """Return what this position has changed in cash: realized - fees + rebates + funding, money units."""
        return self.realized - self.fees + self.rebates + self.funding

    def unrealized(self, mark_price: i64) -> i64:
        """Return size x mark - cost in money units."""
        return self.size * mark_price * self.notional_factor - self.cost

    def notional(self, mark_price: i64) -> i64:
        """Return |size| x mark in money units."""
        value = self.size * mark_price * self.notional_factor
        return value if value >= 0 else -value


def share_funding(positions: list[Position], amount: i64, whole: i64) -> None:
    """Book an account's funding on the positions that make up its position of size `whole`.

    Each takes the part of its own signed size, so that opposite ones pay and receive; what rounding leaves goes to the
    last one that holds anything. Where they do not add up to the whole, the difference stays with the account.
    """
    total: i64 = 0
    last: Position | None = None
    for position in positions:
        total += position.size
        if position.size != 0:
            last = position
    if last is None or whole == 0:
        return
    left = amount
    direction = 1 if whole > 0 else -1
    for position in positions:
        if position.size != 0 and (position is not last or total != whole):
            part = i64(muldiv(int(amount), int(position.size) * direction, int(whole) * direction))
            position.apply_funding(part)
            left -= part
    if total == whole:
        last.apply_funding(left)


def share_close(positions: list[Position], side: i64, price: i64, size: i64, fee: i64, taker: bool) -> None:
    """Book a fill that the venue forced on the account on the positions that it closes, in their order.

    The fee goes by size. What exceeds them all stays with the account.
    """
    left = size
    fee_left = fee
    for position in positions:
        reducible = -position.size * side
        if reducible > 0 and left > 0:
            part = reducible if reducible < left else left
            part_fee = fee_left if part == left else share_of(fee, part, size)
            position.apply_fill(side, price, part, part_fee, taker)
            left -= part
            fee_left -= part_fee
