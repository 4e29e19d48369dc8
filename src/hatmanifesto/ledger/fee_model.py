"""Our model of the venue's fees beside what it charged: what it charged is booked, a difference is reported."""

from typing import Final

from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.fees import PLAIN_MARKET, SCHEDULES, AccountFees, fill_fee

TOLERANCE_UNITS: Final = 2
"""Money units by which a fee may differ: roundings that the venue did not publish."""
TOLERANCE_PPB: Final = 1_000
"""And the part of the notional by which it may differ: 0.01 bps, in parts per billion."""


class FeeModel:
    """The fees that a plan expects; with a schedule, tiers move with the account's own volume."""

    def __init__(self, plan: SessionPlan) -> None:
        self._rates = [(entry.maker_fee, entry.taker_fee) for entry in plan.instruments]
        self._account: AccountFees | None = None
        fees = plan.exchange.fees
        if fees is not None:
            self._account = AccountFees(
                SCHEDULES[fees.schedule],
                [PLAIN_MARKET for _ in plan.instruments],
                money_unit=10**plan.money_scale,
                volume=fees.volume,
                maker_share=fees.maker_share,
                staked=fees.staked,
                referred=fees.referred,
                builder_tenths=fees.builder_tenths,
            )

    def fee(self, exch_ts_ns: int, instrument: int, notional: int, taker: bool) -> int:
        """Return the fee expected of a fill, money units; fills must come in their order."""
        if self._account is not None:
            return int(self._account.charge(exch_ts_ns, instrument, notional, taker))
        return int(fill_fee(notional, self._rates[instrument][taker]))


def fee_differs(fee: int, expected: int, notional: int) -> bool:
    """Tell whether a booked fee lies outside the tolerance."""
    return abs(fee - expected) > max(TOLERANCE_UNITS, notional * TOLERANCE_PPB // 1_000_000_000)
