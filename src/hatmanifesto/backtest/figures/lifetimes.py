"""How long orders rest, how much of what was quoted fills, and how many cancels a fill costs."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.exact import exact_sum, ratio_text
from hatmanifesto.model.order_state import CANCELLED, FILLED

Ints = NDArray[np.int64]

PER_DECADE: Final = 10
EDGES: Final = np.array([round(10 ** (at / PER_DECADE)) for at in range(3 * PER_DECADE, 15 * PER_DECADE + 1)])
"""Class edges in ns, ten a decade from 1 µs to 11 days: quantiles are right within 26 %, usually far closer."""


class Lifetimes:
    """Orders that rested at the venue and have ended."""

    def __init__(self) -> None:
        self.orders = 0
        self.filled_orders = 0
        self.cancelled_orders = 0
        self.cancels = 0
        self.fills = 0
        self.rest_ns = 0
        self.size_time = 0
        self.filled_size_time = 0
        self.size = 0
        self.filled_size = 0
        self.counts = np.zeros(len(EDGES) + 1, dtype=np.int64)
        self.filled_counts = np.zeros(len(EDGES) + 1, dtype=np.int64)

    def add_orders(self, begin: Ints, end: Ints, state: Ints, notional: Ints, filled_notional: Ints) -> None:
        """Take ended orders that rested: times by the venue's clock (ns), what was quoted and filled (money units)."""
        life = np.maximum(end - begin, 0)
        filled = state == FILLED
        self.orders += len(life)
        self.filled_orders += int(filled.sum())
        self.cancelled_orders += int((state == CANCELLED).sum())
        self.rest_ns += exact_sum(life)
        self.size += exact_sum(notional)
        self.filled_size += exact_sum(filled_notional)
        # money x time passes 64 bits: milliseconds, and floats, are exact enough for a share
        weight = notional.astype(np.float64) * (life // 1_000).astype(np.float64)
        part = np.divide(filled_notional, notional, out=np.zeros(len(life)), where=notional > 0)
        self.size_time += int(weight.sum())
        self.filled_size_time += int((weight * part).sum())
        places = np.searchsorted(EDGES, life, side="right")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.filled_counts += np.bincount(places[filled], minlength=len(self.counts))

    def plus(self, other: "Lifetimes") -> "Lifetimes":
        """Return the sum of two."""
        both = Lifetimes()
        for name, value in vars(self).items():
            setattr(both, name, value + getattr(other, name))
        return both

    def quantile_seconds(self, share: float) -> float | None:
        """Return a lifetime that this share of orders did not outlive, interpolated inside its class."""
        total = int(self.counts.sum())
        if not total:
            return None
        wanted = share * total
        upto = np.cumsum(self.counts)
        at = int(np.searchsorted(upto, wanted, side="left"))
        low = float(EDGES[at - 1]) if at > 0 else 0.0
        high = float(EDGES[min(at, len(EDGES) - 1)])
        inside = (wanted - float(upto[at] - self.counts[at])) / max(1, int(self.counts[at]))
        return round((low + (high - low) * inside) / 1e9, 6)

    def as_json(self) -> dict[str, Any]:
        """Return the shares, ratios and the distribution."""
        filled = self.filled_orders
        hours = 3_600_000_000_000
        return {
            "filled_share_of_size": ratio_text(self.filled_size, self.size),
            "filled_share_of_quote_time": ratio_text(self.filled_size_time, self.size_time),
            "fills_per_quote_hour": ratio_text(self.fills * hours, self.rest_ns, 3),
            "cancel_to_fill": ratio_text(self.cancels, self.fills, 3),
            "order_lifetime": {
                "orders": self.orders,
                "filled": filled,
                "cancelled": self.cancelled_orders,
                "mean_seconds": ratio_text(self.rest_ns, self.orders * 1_000_000_000, 6),
                **{
                    f"{name}_seconds": self.quantile_seconds(share)
                    for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("p99", 0.99))
                },
            },
        }
