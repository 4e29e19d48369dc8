"""Token buckets in event time: how many actions a desk and the account may take."""

from typing import Final, final

from mypy_extensions import i64

_MINUTE_NS: Final = 60_000_000_000
UNLIMITED: Final = -1


@final
class TokenBucket:
    """At most `burst` tokens at once, refilled evenly with `per_minute` a minute; per_minute -1 is no limit.

    Kept as nanoseconds of credit, so that nothing is lost to rounding: one token costs 60e9 // per_minute ns. With
    per_minute 0 the burst is all there ever is.
    """

    def __init__(self, per_minute: i64, burst: i64) -> None:
        self.per_minute: Final[i64] = per_minute
        self.cost_ns: Final[i64] = _MINUTE_NS // per_minute if per_minute > 0 else _MINUTE_NS
        self.full_ns: Final[i64] = self.cost_ns * burst
        self.credit_ns: i64 = self.full_ns
        self.last_ns: i64 = -1

    def refill(self, now: i64) -> None:
        """Add what the time since the last call has earned."""
        if self.last_ns >= 0 and now > self.last_ns and self.per_minute > 0:
            earned = now - self.last_ns
            if earned >= self.full_ns - self.credit_ns:
                self.credit_ns = self.full_ns
            else:
                self.credit_ns += earned
        if now > self.last_ns:
            self.last_ns = now

    def tokens(self) -> i64:
        """Return the whole tokens left, -1 where there is no limit."""
        if self.per_minute < 0:
            return UNLIMITED
        return self.credit_ns // self.cost_ns

    def has_one(self) -> bool:
        """Tell whether an action is allowed."""
        return self.per_minute < 0 or self.credit_ns >= self.cost_ns

    def take(self) -> None:
        """Use a token; what must be done anyway uses what is left and never less than nothing."""
        if self.per_minute >= 0:
            self.credit_ns -= self.cost_ns if self.credit_ns >= self.cost_ns else self.credit_ns


@final
class Budget:
    """Cancels, and actions (orders and cancels together), of a desk or of the account."""

    def __init__(self, cancels: TokenBucket, actions: TokenBucket) -> None:
        self.cancels: Final[TokenBucket] = cancels
        self.actions: Final[TokenBucket] = actions

    def refill(self, now: i64) -> None:
        """Let time pass."""
        self.cancels.refill(now)
        self.actions.refill(now)

    def allows(self, cancel: bool) -> bool:
        """Tell whether one more action is allowed."""
        return self.actions.has_one() and (not cancel or self.cancels.has_one())

    def take(self, cancel: bool) -> None:
        """Count one action."""
        self.actions.take()
        if cancel:
            self.cancels.take()


def unlimited() -> Budget:
    """Return a budget without limits."""
    return Budget(TokenBucket(UNLIMITED, 0), TokenBucket(UNLIMITED, 0))
