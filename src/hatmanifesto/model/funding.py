"""Funding: from premium to rate, and from rate to payment, in exact integers.

Source: Hyperliquid docs, funding. Rates and premiums are integers in 10^-12 (one basis point = 100 000 000), because
the venue publishes ten decimals and other venues' rates divide further.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import muldiv, round_half_even

FUNDING_SCALE: Final = 1_000_000_000_000
"""Funding rates and premiums are integers in parts per 10^12."""
HOUR_NS: Final = 3_600_000_000_000
PUBLISHED_STEP: Final = 100
"""The venue publishes rates and premiums with ten decimals: this many of our units."""


@final
class FundingRule:
    """How a venue makes a rate: `interest` and `clamp` per base period, paid in `parts` of it, capped a payment.

    Hyperliquid: F8 = P + clamp(0.01 % - P, ±0.05 %) over eight hours, an eighth paid each hour, at most 4 % an hour.
    `step` is the rate's last published place. Raises ValueError for values that make no rule.
    """

    def __init__(self, *, interest: int, clamp: int, parts: int, cap: int, interval_ns: int, step: int) -> None:
        if clamp < 0 or parts < 1 or cap < 0 or interval_ns < 1 or step < 1:
            raise ValueError(
                f"clamp {clamp} and cap {cap} must not be negative; parts {parts}, interval_ns {interval_ns} and "
                f"step {step} must be at least 1"
            )
        self.interest: Final[int] = interest
        self.clamp: Final[int] = clamp
        self.parts: Final[int] = parts
        self.cap: Final[int] = cap
        self.interval_ns: Final[i64] = interval_ns
        self.step: Final[int] = step

    def rate(self, premium: int) -> int:
        """Return the rate of one payment from the average premium, both in 10^-12, rounded to the published step."""
        gap = self.interest - premium
        if gap > self.clamp:
            gap = self.clamp
        elif gap < -self.clamp:
            gap = -self.clamp
        rate = self.step * round_half_even(premium + gap, self.parts * self.step)
        if rate > self.cap:
            return self.cap
        return rate if rate >= -self.cap else -self.cap


HYPERLIQUID_FUNDING: Final[FundingRule] = FundingRule(
    interest=100_000_000,
    clamp=500_000_000,
    parts=8,
    cap=40_000_000_000,
    interval_ns=HOUR_NS,
    step=PUBLISHED_STEP,
)
"""Hyperliquid's own perpetuals: paid hourly, an eighth of the eight-hour formula."""


def premium_of(impact_bid: int, impact_ask: int, oracle_price: int) -> int:
    """Return a premium sample in 10^-12, rounded to ten decimals; prices in price units, oracle > 0.

    (max(impact bid - oracle, 0) - max(oracle - impact ask, 0)) / oracle; the impact prices are the average execution
    prices of the venue's impact notional. Raises ValueError when the oracle price is not positive.
    """
    if oracle_price <= 0:
        raise ValueError(f"the oracle price must be positive, got {oracle_price}")
    above = max(impact_bid - oracle_price, 0)
    below = max(oracle_price - impact_ask, 0)
    return PUBLISHED_STEP * round_half_even((above - below) * (FUNDING_SCALE // PUBLISHED_STEP), oracle_price)


def premium_of_mid(impact_bid: int, impact_ask: int, oracle_price: int) -> int:
    """Return a premium sample of a builder-deployed market: mean of the impact prices over the oracle, less one."""
    if oracle_price <= 0:
        raise ValueError(f"the oracle price must be positive, got {oracle_price}")
    gap = impact_bid + impact_ask - 2 * oracle_price
    return PUBLISHED_STEP * round_half_even(gap * (FUNDING_SCALE // PUBLISHED_STEP), 2 * oracle_price)


@final
class PremiumAverage:
    """The mean of an interval's premium samples (the venue takes one every five seconds)."""

    def __init__(self) -> None:
        self.total: int = 0
        self.samples: i64 = 0

    def add(self, premium: int) -> None:
        """Take a sample, 10^-12."""
        self.total += premium
        self.samples += 1

    def take(self) -> int:
        """Return the mean rounded to ten decimals, 0 without samples, and begin the next interval."""
        if self.samples == 0:
            return 0
        mean = PUBLISHED_STEP * round_half_even(self.total, int(self.samples) * PUBLISHED_STEP)
        self.total = 0
        self.samples = 0
        return mean


def funding_payment(size: i64, oracle_price: i64, notional_factor: i64, rate: i64) -> i64:
    """Return the balance change of one payment in money units, positive = received.

    size (signed) x oracle price x rate; longs pay shorts while the rate is positive. The amount is truncated toward
    zero at the currency's last decimal.
    """
    value = int(size) * int(oracle_price) * int(notional_factor)
    return i64(muldiv(-value, int(rate), FUNDING_SCALE))


def settlements_between(after_ns: int, until_ns: int, interval_ns: int) -> list[int]:
    """Return the moments of payment in (after, until]: whole multiples of the interval since 1970 UTC."""
    first = after_ns // interval_ns + 1
    return [at * interval_ns for at in range(first, until_ns // interval_ns + 1)]
