"""Margin: tables of tiers, initial and maintenance margin, liquidation price, withdrawable, in exact integers.

Source: Hyperliquid docs, margining, margin tiers and liquidations; checked against recorded `clearinghouseState`
answers. Money is in money units, prices in price units; leverage is a whole number. Nothing here keeps state, see
model.margin_account for an account.
"""

from math import lcm
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import round_half_even

WITHDRAWAL_FLOOR: Final = 10
"""What may be withdrawn leaves at least a tenth of the cross notional as equity."""
BACKSTOP_TOP: Final = 2
BACKSTOP_BOTTOM: Final = 3
"""Below two thirds of the maintenance margin the venue's backstop takes the position over."""
PARTIAL_NOTIONAL: Final = 100_000
"""Positions worth more (whole quote units) are liquidated in part first."""
PARTIAL_PERCENT: Final = 20
PARTIAL_PAUSE_NS: Final = 30_000_000_000
"""After a partial liquidation further orders are for the whole position, for this long."""


@final
class MarginTable:
    """A market's margin tiers: from a position's notional on, which leverage is the most allowed.

    The maintenance rate of a tier is 1 / (2 x its maximal leverage); the deduction makes maintenance continuous where
    tiers meet. Built from (lower notional in money units, maximal leverage); the first tier starts at 0. Raises
    ValueError where notionals do not rise or leverages do not fall.
    """

    def __init__(self, tiers: list[tuple[int, int]]) -> None:
        if not tiers or tiers[0][0] != 0:
            raise ValueError(f"a margin table needs a first tier from notional 0 on, got {tiers}")
        for at in range(len(tiers)):
            if tiers[at][1] < 1 or tiers[at][1] > 1000:
                raise ValueError(f"a tier's leverage must lie between 1 and 1000, got {tiers[at][1]}")
            if at > 0 and (tiers[at][0] <= tiers[at - 1][0] or tiers[at][1] >= tiers[at - 1][1]):
                raise ValueError(f"a margin table's notionals must rise and its leverages fall, got {tiers}")
        self.tiers: Final[list[tuple[int, int]]] = tiers
        self.max_leverage: Final[int] = tiers[0][1]
        # maintenance = (notional x weight - deduction) / base, all whole numbers
        base = 1
        for tier in tiers:
            base = lcm(base, 2 * tier[1])
        self.base: Final[int] = base
        self.weights: Final[list[int]] = [base // (2 * tier[1]) for tier in tiers]
        deductions = [0]
        for at in range(1, len(tiers)):
            deductions.append(deductions[at - 1] + tiers[at][0] * (self.weights[at] - self.weights[at - 1]))
        self.deductions: Final[list[int]] = deductions

    def _place(self, notional: int) -> int:
        found = 0
        for at in range(1, len(self.tiers)):
            if notional >= self.tiers[at][0]:
                found = at
        return found

    def max_leverage_at(self, notional: i64) -> i64:
        """Return the most leverage that a position of this notional may use."""
        return i64(self.tiers[self._place(int(notional))][1])

    def maintenance(self, notional: i64) -> i64:
        """Return the maintenance margin of a position of this notional (not negative), truncated."""
        at = self._place(int(notional))
        return i64((int(notional) * self.weights[at] - self.deductions[at]) // self.base)

    def weight_at(self, notional: int) -> tuple[int, int, int]:
        """Return (weight, deduction, base): maintenance = (notional x weight - deduction) / base in that tier."""
        at = self._place(notional)
        return self.weights[at], self.deductions[at], self.base


def single_tier(max_leverage: int) -> MarginTable:
    """Return a table of one tier, as a market without tiers has."""
    return MarginTable([(0, max_leverage)])


def initial_margin(notional: i64, leverage: i64) -> i64:
    """Return notional / leverage, rounded up to the currency's last decimal: what a position ties up."""
    return -(-notional // leverage)


def used_margin(notional: i64, leverage: i64) -> i64:
    """Return notional / leverage truncated, as the venue shows a cross position's `marginUsed`."""
    return notional // leverage


def withdrawable(account_value: i64, margin_used: i64, notional: i64) -> i64:
    """Return what may leave the cross account: value less the larger of margin used and a tenth of the notional.

    All three are of the cross positions; isolated margin is not in them. Never negative.
    """
    floor = notional // WITHDRAWAL_FLOOR
    kept = margin_used if margin_used > floor else floor
    free = account_value - kept
    return free if free > 0 else 0


def liquidation_price(
    table: MarginTable, size: i64, notional_factor: i64, mark_price: i64, equity: i64, maintenance: i64, decimals: int
) -> int:
    """Return the mark at which equity meets maintenance, in price units x 10^decimals, rounded; 0 where there is none.

    `equity` and `maintenance` are of what carries the position now: the cross account with all its positions, or the
    isolated position alone. price = mark - side x available / size / (1 - l x side), with available = equity -
    maintenance and l the maintenance rate of the tier at that price (the tier is found from the price).
    """
    held = int(size)
    if held == 0:
        return 0
    side = 1 if held > 0 else -1
    held_size = held * side
    factor = int(notional_factor)
    at_mark = held_size * int(mark_price) * factor
    others = int(maintenance) - int(table.maintenance(i64(at_mark)))
    unit = 10**decimals
    price = 0
    for at in range(len(table.tiers)):
        # side x (v - at_mark) + equity = others + (v x weight - deduction) / base, solved for the notional v there
        weight, deduction, base = table.weights[at], table.deductions[at], table.base
        bottom = side * base - weight
        top = (others - int(equity) + side * at_mark) * base - deduction
        if bottom < 0:
            top, bottom = -top, -bottom
        if top <= 0:
            continue
        value = top // bottom
        upper = table.tiers[at + 1][0] if at + 1 < len(table.tiers) else -1
        if value >= table.tiers[at][0] and (upper < 0 or value < upper):
            price = round_half_even(top * unit, bottom * held_size * factor)
            break
    return price


def backstop_due(equity: i64, maintenance: i64) -> bool:
    """Tell whether equity has fallen below two thirds of maintenance."""
    return int(equity) * BACKSTOP_BOTTOM < int(maintenance) * BACKSTOP_TOP


def partial_size(size: i64, notional: i64, limit: i64, lot: i64) -> i64:
    """Return how much of a position (size > 0) the first liquidation order is for.

    A fifth, rounded up to the lot, where the notional exceeds the limit, else all of it.
    """
    if notional <= limit:
        return size
    part = i64(-(-int(size) * PARTIAL_PERCENT // 100))
    rest = part % lot
    if rest != 0:
        part += lot - rest
    return part if part < size else size


def leverage_allowed(table: MarginTable, leverage: int) -> bool:
    """Tell whether a market takes this leverage setting: a whole number from 1 to the first tier's maximum."""
    return 1 <= leverage <= table.max_leverage
