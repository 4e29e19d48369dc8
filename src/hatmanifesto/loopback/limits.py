"""What one IP address may do: request weight a minute, connections, messages and posts under way."""

import time
from collections import deque
from typing import Any, Final

from hatmanifesto.venues.hyperliquid.wire.actions import element_count

WEIGHT_A_MINUTE: Final = 1_200
CONNECTIONS: Final = 10
MESSAGES_A_MINUTE: Final = 2_000
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
    "candleSnapshot": 60,
}


class Window:
    """Counts what was spent in the last minute. `limit` 0: unlimited."""

    def __init__(self, limit: int, seconds: float = 60.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def take(self, weight: int) -> bool:
        """Spend a weight; False, and nothing spent, when the minute's is used up."""
        now = time.monotonic()
        while self._spent and self._spent[0][0] <= now - self.seconds:
            self._sum -= self._spent.popleft()[1]
        if self.limit and self._sum + weight > self.limit:
            return False
        self._spent.append((now, weight))
        self._sum += weight
        return True


def info_weight(request: Any) -> int:
    """Return a question's weight before its answer is known."""
    kind = request.get("type") if isinstance(request, dict) else None
    if kind in _LIGHT:
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
