"""An address at the loopback exchange: its agents, orders, fills, payments and counters."""

from collections import deque
from typing import Any, Final, NamedTuple

from hatmanifesto.simulation.live.account import LiveAccount
from hatmanifesto.simulation.live.orders import LiveOrder

FILLS_KEPT: Final = 10_000
ORDERS_KEPT: Final = 5_000
STATUSES_KEPT: Final = 2_000
PAYMENTS_KEPT: Final = 10_000
TWAP_KEPT: Final = 2_000
HISTORY_KEPT: Final = 2_000
DAY_MS: Final = 86_400_000
VOLUME_DAYS: Final = 15


class OrderEntry:
    """An order as it was when a status came: what was unfilled then, and whether its trigger had fired."""

    __slots__ = ("fired", "order", "remaining", "status", "status_ms")

    def __init__(self, order: LiveOrder, status: str, remaining: int, status_ms: int) -> None:
        self.order = order
        self.status = status
        self.remaining = remaining
        self.status_ms = status_ms
        self.fired = bool(order.has_fired())


class Agent:
    """An approved agent of an account; `valid_until_ms` is when the approval ends."""

    __slots__ = ("address", "name", "valid_until_ms")

    def __init__(self, address: str, name: str, valid_until_ms: int) -> None:
        self.address = address
        self.name = name
        self.valid_until_ms = valid_until_ms


class Builder(NamedTuple):
    """Whose client may take a fee: the builder's account, and the most it may take, tenths of a basis point."""

    account: int
    most_tenths: int


class Participant:
    """One address. Money in micro-USDC. `master` is whose sub-account it is, empty for an account of its own."""

    def __init__(self, address: str, account: LiveAccount, master: str = "", name: str = "") -> None:
        self.address: Final = address
        self.account: Final = account
        self.master: Final = master
        self.name = name
        self.agents: dict[str, Agent] = {}  # by name, the unnamed one's is empty
        self.builders: dict[str, Builder] = {}  # by address
        self.orders: dict[int, OrderEntry] = {}  # with the latest status, oldest first
        self.statuses: deque[OrderEntry] = deque(maxlen=STATUSES_KEPT)
        self.by_cloid: dict[str, OrderEntry] = {}
        self.fills: deque[dict[str, Any]] = deque(maxlen=FILLS_KEPT)
        self.funding: deque[dict[str, Any]] = deque(maxlen=PAYMENTS_KEPT)
        self.ledger: deque[dict[str, Any]] = deque(maxlen=PAYMENTS_KEPT)
        self.twap_fills: deque[dict[str, Any]] = deque(maxlen=TWAP_KEPT)
        self.twap_history: deque[dict[str, Any]] = deque(maxlen=TWAP_KEPT)
        self.history: deque[tuple[int, int, int]] = deque(maxlen=HISTORY_KEPT)  # (ms, account value, profit)
        self.paid_in = 0
        self.spot = 0  # USDC of the spot wallet, 10^-8
        self.volume = 0
        self.daily: dict[int, list[int]] = {}  # UTC day -> [taken, made], notional
        self.requests = 0
        self.last_over_budget_ms = 0
        self.removed_agent_ms = -(1 << 42)
        self.funding_since_open: dict[int, int] = {}
        self.funding_since_change: dict[int, int] = {}
        self.funding_all_time: dict[int, int] = {}

    # -- orders -----------------------------------------------------------------------------------

    def remember(self, order: LiveOrder, status: str, remaining: int, now_ms: int) -> OrderEntry:
        """Note an order's new status."""
        oid = int(order.oid)
        entry = OrderEntry(order, status, remaining, now_ms)
        self.statuses.append(entry)
        old = self.orders.get(oid)
        self.orders[oid] = entry
        if order.cloid and (old is None or self.by_cloid.get(order.cloid) is old):
            self.by_cloid[order.cloid] = entry
        if old is None and len(self.orders) > 2 * ORDERS_KEPT:
            self._forget()
        return entry

    def _forget(self) -> None:
        """Drop the oldest ended orders."""
        ended = [oid for oid in self.orders if oid not in self.account.orders]
        for oid in ended[:ORDERS_KEPT]:
            entry = self.orders.pop(oid)
            if self.by_cloid.get(entry.order.cloid) is entry:
                del self.by_cloid[entry.order.cloid]

    def order_entry(self, oid: int | str) -> OrderEntry | None:
        """Return an order by its id or its client id."""
        return self.by_cloid.get(oid.lower()) if isinstance(oid, str) else self.orders.get(oid)

    # -- money ------------------------------------------------------------------------------------

    def filled(self, shown: dict[str, Any], index: int, notional: int, crossed: bool, opens: bool, now_ms: int) -> None:
        """Keep a fill and count its volume; `opens`: there was no position before it."""
        self.fills.append(shown)
        self.volume += notional
        day = self.daily.setdefault(now_ms // DAY_MS, [0, 0])
        day[0 if crossed else 1] += notional
        while len(self.daily) > VOLUME_DAYS:
            del self.daily[next(iter(self.daily))]
        self.funding_since_change.pop(index, None)
        if opens:
            self.funding_since_open.pop(index, None)

    def funded(self, shown: dict[str, Any], index: int, amount: int) -> None:
        """Keep a funding payment; the sums count what was paid."""
        self.funding.append(shown)
        for sums in (self.funding_since_open, self.funding_since_change, self.funding_all_time):
            sums[index] = sums.get(index, 0) - amount

    def note(self, now_ms: int, kind: str, **delta: Any) -> dict[str, Any]:
        """Add a ledger update and return it."""
        update = {"time": now_ms, "hash": "0x" + "0" * 64, "delta": {"type": kind, **delta}}
        self.ledger.append(update)
        return update
