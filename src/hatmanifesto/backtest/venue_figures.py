"""What the venue did to the account by itself: funding payments and forced fills, from a run's journal."""

from typing import Any, Final

from hatmanifesto.backtest.journal_scan import rows_of
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order import FORCED_FILL_REASONS
from hatmanifesto.model.reasons import REASONS
from hatmanifesto.model.record import FILL, FUNDING_PAYMENT


class VenueFigures:
    """Feed it batches in order; money in 10^-money_scale."""

    def __init__(self, plan: SessionPlan) -> None:
        self.plan: Final = plan
        count = len(plan.instruments)
        self.payments = [0] * count
        self.received = [0] * count
        self.paid = [0] * count
        self.forced: dict[int, list[int]] = {order_id: [0, 0, 0] for order_id in FORCED_FILL_REASONS}
        self._factors = [10 ** (plan.money_scale - entry.price_scale - entry.size_scale) for entry in plan.instruments]

    def feed(self, batch: Batch) -> None:
        """Take a batch's funding payments and forced fills."""
        funding = rows_of(batch, FUNDING_PAYMENT)
        if len(funding):
            for instrument, amount in zip(funding.aux.tolist(), funding.field("amount").tolist(), strict=True):
                self.payments[instrument] += 1
                if amount >= 0:
                    self.received[instrument] += amount
                else:
                    self.paid[instrument] -= amount
        fills = rows_of(batch, FILL)
        if not len(fills):
            return
        ids = fills.field("order_id")
        forced = ids < 0
        if forced.any():
            columns = [ids, fills.aux >> 8, *(fills.field(name) for name in ("price", "size", "fee"))]
            for row in zip(*(column[forced].tolist() for column in columns), strict=True):
                order_id, instrument, price, size, fee = row
                sums = self.forced.setdefault(order_id, [0, 0, 0])
                sums[0] += 1
                sums[1] += price * size * self._factors[instrument]
                sums[2] += fee

    def summary(self) -> dict[str, Any]:
        """Return the sections `funding` and `forced_fills` of summary.json; money as exact decimal text."""
        return {
            "funding": {
                **self._funding(range(len(self.payments))),
                "instruments": {
                    entry.name: self._funding([at])
                    for at, entry in enumerate(self.plan.instruments)
                    if self.payments[at]
                },
            },
            "forced_fills": {
                REASONS[FORCED_FILL_REASONS[order_id]].key: {
                    "fills": fills,
                    "notional": self._money(notional),
                    "fees": self._money(fees),
                }
                for order_id, (fills, notional, fees) in self.forced.items()
            },
        }

    def _funding(self, places: Any) -> dict[str, Any]:
        received = sum(self.received[at] for at in places)
        paid = sum(self.paid[at] for at in places)
        return {
            "payments": sum(self.payments[at] for at in places),
            "received": self._money(received),
            "paid": self._money(paid),
            "net": self._money(received - paid),
        }

    def _money(self, amount: int) -> str:
        return format_decimal(amount, self.plan.money_scale)
