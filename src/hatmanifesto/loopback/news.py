"""What one block did, for those who listen."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Shown = dict[str, Any]


def _lists() -> dict[str, list[Shown]]:
    return defaultdict(list)


@dataclass
class BlockNews:
    """Keys are coins (`trades`, `books`) or addresses (the rest); the entries are as they are shown."""

    time_ms: int
    trades: dict[str, list[Shown]] = field(default_factory=_lists)
    books: set[str] = field(default_factory=set)
    order_updates: dict[str, list[Shown]] = field(default_factory=_lists)
    fills: dict[str, list[Shown]] = field(default_factory=_lists)
    funding: dict[str, list[Shown]] = field(default_factory=_lists)
    ledger: dict[str, list[Shown]] = field(default_factory=_lists)
    liquidations: dict[str, list[Shown]] = field(default_factory=_lists)
    twap_fills: dict[str, list[Shown]] = field(default_factory=_lists)
    twap_history: dict[str, list[Shown]] = field(default_factory=_lists)
