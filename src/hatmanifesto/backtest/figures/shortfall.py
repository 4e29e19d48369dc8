"""Implementation shortfall: what trading cost against a paper account that deals free, at the mid of the decision.

For an order of side s and size Q that was decided at mid M₀, reached the venue at mid M₁, filled q_i at prices p_i
with the mid at m_i just before, and ended at mid M₂ with u unfilled:

    delay        Σ s·(M₁ − M₀)·q_i      the market moved on the way to the venue
    impact       Σ s·(m_i − M₁)·q_i     it moved while the order waited
    spread       Σ s·(p_i − m_i)·q_i    half-spread paid (+) or earned (−)
    fees         Σ fees − rebates
    opportunity  s·(M₂ − M₀)·u          the move that the unfilled part missed

Together: Σ s·(p_i − M₀)·q_i + fees + s·(M₂ − M₀)·u, exactly. Costs are positive. A quote that is repriced is several
orders; each begins where the last one ended, so that opportunity adds up over them to that of the whole
quote, and for a maker who quotes both sides the two sides' opportunity cancels but for what inventory
missed. Source: Perold, "The implementation shortfall: paper versus reality" (Journal of Portfolio Management 14(3),
1988); the split into delay, impact and spread is the usual one of transaction-cost analysis.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import bps_text, exact_sum
from hatmanifesto.model.money import format_decimal

Ints = NDArray[np.int64]

PARTS: Final = ("delay", "impact", "spread", "fees", "opportunity")


class Shortfall:
    """Sums in half units of money (a mid may lie on half a price unit), exact."""

    def __init__(self) -> None:
        self.parts = dict.fromkeys(PARTS, 0)
        self.notional = 0
        self.fills = 0
        self.left_out = 0

    def add_fills(
        self, side: Ints, price: Ints, size: Ints, fee: Ints, decision: Ints, arrival: Ints, mid: Ints, factor: Ints
    ) -> None:
        """Take fills; the three mids are twice the mid, 0 = unknown: such fills are counted and left out."""
        known = (decision > 0) & (arrival > 0) & (mid > 0)
        self.left_out += int((~known).sum())
        side, price, size, fee = side[known], price[known], size[known], fee[known]
        decision, arrival, mid = decision[known], arrival[known], mid[known]
        amount = side * size * factor[known]
        self.parts["delay"] += exact_sum((arrival - decision) * amount)
        self.parts["impact"] += exact_sum((mid - arrival) * amount)
        self.parts["spread"] += exact_sum((2 * price - mid) * amount)
        self.parts["fees"] += 2 * exact_sum(fee)
        self.notional += 2 * exact_sum(price * size * factor[known])
        self.fills += len(side)

    def add_unfilled(self, side: Ints, unfilled: Ints, decision: Ints, end: Ints, factor: Ints) -> None:
        """Take orders that have ended with some of their size unfilled."""
        known = (decision > 0) & (end > 0) & (unfilled > 0)
        amount = side[known] * unfilled[known] * factor[known]
        self.parts["opportunity"] += exact_sum((end[known] - decision[known]) * amount)

    def plus(self, other: "Shortfall") -> "Shortfall":
        """Return the sum of two."""
        both = Shortfall()
        both.parts = {name: self.parts[name] + other.parts[name] for name in PARTS}
        both.notional = self.notional + other.notional
        both.fills = self.fills + other.fills
        both.left_out = self.left_out + other.left_out
        return both

    def as_json(self, money_scale: int) -> dict[str, Any]:
        """Return each part and the total, in money and in bps of the notional that was filled."""
        total = sum(self.parts.values())
        parts = {**self.parts, "total": total}
        return {
            "fills": self.fills,
            "fills_left_out": self.left_out,
            "money": {name: format_decimal(5 * part, money_scale + 1) for name, part in parts.items()},
            "bps": {name: bps_text(part, self.notional) for name, part in parts.items()},
        }
