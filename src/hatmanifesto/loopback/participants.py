"""An address at the loopback exchange: its agents, orders, fills, payments and counters."""

from collections import deque
from typing import Any, Final

from hatmanifesto.simulation.live.account import LiveAccount
from hatmanifesto.simulation.live.orders import LiveOrder

FILLS_KEPT: Final = 10_000
ORDERS_KEPT: Final = 5_000


class OrderEntry:
    """An order and its latest status."""

    __slots__ = ("order", "status", "status_ms")

    def __init__(self, order: LiveOrder, status: str, status_ms: int) -> None:
        self.order = order
        self.status = status
        self.status_ms = status_ms


class Participant:
    """One address. Money in micro-USDC."""

    def __init__(self, address: str, account: LiveAccount) -> None:
        self.address: Final = address
        self.account: Final = account
        self.agents: dict[str, str] = {}  # name -> address
        self.orders: dict[int, OrderEntry] = {}  # oldest first
        self.by_cloid: dict[str, OrderEntry] = {}
        self.fills: deque[dict[str, Any]] = deque(maxlen=FILLS_KEPT)
        self.funding: list[dict[str, Any]] = []
        self.ledger: list[dict[str, Any]] = []
        self.volume = 0
        self.requests = 0
        self.referrer_set = False
        self.funding_since_open: dict[int, int] = {}
        self.funding_all_time: dict[int, int] = {}

    def remember(self, order: LiveOrder, status: str, now_ms: int) -> OrderEntry:
        """Note an order's status."""
        oid = int(order.oid)
        entry = self.orders.get(oid)
        if entry is None:
            entry = self.orders[oid] = OrderEntry(order, status, now_ms)
            if order.cloid:
                self.by_cloid[order.cloid] = entry
            if len(self.orders) > 2 * ORDERS_KEPT:
                self._forget()
        entry.status = status
        entry.status_ms = now_ms
        return entry

    def _forget(self) -> None:
        """Drop the oldest ended orders."""
        for oid in [oid for oid, entry in self.orders.items() if oid not in self.account.orders][:ORDERS_KEPT]:
            entry = self.orders.pop(oid)
            if self.by_cloid.get(entry.order.cloid) is entry:
                del self.by_cloid[entry.order.cloid]

    def note(self, now_ms: int, kind: str, **delta: Any) -> dict[str, Any]:
        """Add a ledger update."""
        update = {"time": now_ms, "hash": "0x" + "0" * 64, "delta": {"type": kind, **delta}}
        self.ledger.append(update)
        return update
