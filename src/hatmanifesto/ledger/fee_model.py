"""Our model of the venue's fees beside what it charged: what it charged is booked, a difference is reported."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.fees import PLAIN_MARKET, SCHEDULES, AccountFees, fill_fee
from hatmanifesto.model.money import RATE_SCALE

Ints = NDArray[np.int64]


class FeeTolerance(NamedTuple):
    """By how much a fee may differ from the model: money units (roundings that the venue did not publish) or parts per
    billion of the notional (1,000 = 0.01 bps), whichever is more."""

    units: int = 2
    ppb: int = 1_000

    def exceeded(self, fee: int, expected: int, notional: int) -> bool:
        """Tell whether a booked fee lies outside."""
        return abs(fee - expected) > max(self.units, notional * self.ppb // 1_000_000_000)


DEFAULT_TOLERANCE: Final = FeeTolerance()


class FeeModel:
    """The fees that a plan expects; with a schedule, tiers move with the account's own volume."""

    def __init__(self, plan: SessionPlan, tolerance: FeeTolerance = DEFAULT_TOLERANCE) -> None:
        self.tolerance = tolerance
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

    def fees(self, exch_ts_ns: Ints, instrument: Ints, notional: Ints, taker: Ints, counted: Ints) -> Ints:
        """Return the fees expected of fills in their order; 0 for those that are not counted."""
        if self._account is not None:
            columns = (exch_ts_ns, instrument, notional, taker, counted)
            return np.array(
                [
                    self.fee(ts, index, value, bool(taken)) if one else 0
                    for ts, index, value, taken, one in zip(*(column.tolist() for column in columns), strict=True)
                ],
                dtype=np.int64,
            )
        rate = np.array(self._rates, dtype=np.int64)[instrument, taker]
        # notional x rate may pass 64 bits: whole units of 10^9 first; truncated toward zero, as fill_fee does
        whole, rest = np.divmod(np.abs(notional), RATE_SCALE)
        size = whole * np.abs(rate) + rest * np.abs(rate) // RATE_SCALE
        return np.where(counted, np.sign(notional) * np.sign(rate) * size, 0)

    @property
    def has_tiers(self) -> bool:
        """Whether a fee depends on the fills before it."""
        return self._account is not None
