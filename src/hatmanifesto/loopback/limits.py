"""What one IP address may do: request weight, connections, messages, subscriptions, users and posts under way.

Source: Hyperliquid docs, rate limits. Everybody here comes from one address, 127.0.0.1.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from hatmanifesto.venues.hyperliquid.wire.actions import element_count

WEIGHT_A_MINUTE: Final = 1_200
CONNECTIONS: Final = 10
CONNECTIONS_A_MINUTE: Final = 30
MESSAGES_A_MINUTE: Final = 2_000
SUBSCRIPTIONS: Final = 1_000
USERS: Final = 10
POSTS: Final = 100
_LIGHT: Final = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)
_PER_ITEM: Final = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "twapHistory": 20,
    "userTwapSliceFills": 20,
    "userTwapSliceFillsByTime": 20,
    "candleSnapshot": 60,
}


class Window:
    """Counts what was spent in the last minute, second by second. `limit` 0: unlimited."""

    def __init__(self, limit: int, seconds: int = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._spent: deque[tuple[int, int]] = deque()
        self._sum = 0

    def take(self, weight: int) -> bool:
        """Spend a weight; False, and nothing spent, when the minute's is used up."""
        if self.limit == 0:
            return True
        now = int(self._clock())
        while self._spent and self._spent[0][0] <= now - self.seconds:
            self._sum -= self._spent.popleft()[1]
        if self._sum + weight > self.limit:
            return False
        if self._spent and self._spent[-1][0] == now:
            weight_before = self._spent.pop()[1]
            self._spent.append((now, weight_before + weight))
        else:
            self._spent.append((now, weight))
        self._sum += weight
        return True


class IpLimits:
    """The windows of the one address; off, nothing is counted."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.weight = Window(WEIGHT_A_MINUTE if on else 0)
        self.messages = Window(MESSAGES_A_MINUTE if on else 0)
        self.connections = Window(CONNECTIONS_A_MINUTE if on else 0)


def info_weight(request: Any) -> int:
    """Return a question's weight before its answer is known."""
    kind = request.get("type") if isinstance(request, dict) else None
    if isinstance(kind, str) and kind in _LIGHT:
        return 2
    return 60 if kind == "userRole" else 20


def answer_weight(request: Any, answer: Any) -> int:
    """Return what the answer's length adds."""
    kind = request.get("type") if isinstance(request, dict) else None
    items = _PER_ITEM.get(kind) if isinstance(kind, str) else None
    return len(answer) // items if items and isinstance(answer, list) else 0


def action_weight(action: Any) -> int:
    """Return an action's weight."""
    return 1 + (0 if action is None else element_count(action)) // 40
