"""The address budget: 10,000 requests and one more for each USDC traded; beyond it one action every ten seconds.

Source: Hyperliquid docs, rate limits and user limits.
"""

from typing import Final

from hatmanifesto.loopback.markets import MONEY_SCALE
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import Refused
from hatmanifesto.model.money import format_decimal
from hatmanifesto.venues.hyperliquid.wire import actions as wire

FIRST_REQUESTS: Final = 10_000
EXTRA_CANCELS: Final = 100_000
PAUSE_MS: Final = 10_000


def cap_of(participant: Participant) -> int:
    """Return how many requests an account may have sent."""
    return FIRST_REQUESTS + participant.volume // 10**MONEY_SCALE


def spend(participant: Participant, action: wire.Action, now_ms: int) -> None:
    """Count an action against its account's budget. Raises Refused with the venue's words beyond it."""
    count = wire.element_count(action)
    cap = cap_of(participant)
    cancels = isinstance(action, wire.Cancel | wire.CancelByCloid)
    limit = min(cap + EXTRA_CANCELS, 2 * cap) if cancels else cap
    if participant.requests + count > limit:
        if now_ms - participant.last_over_budget_ms < PAUSE_MS:
            traded = format_decimal(participant.volume, MONEY_SCALE)
            raise Refused(
                f"Too many cumulative requests sent ({participant.requests + count} > {cap}) for cumulative volume "
                f"traded ${traded}. Place taker orders to free up 1 request per USDC traded."
            )
        participant.last_over_budget_ms = now_ms
    participant.requests += count
