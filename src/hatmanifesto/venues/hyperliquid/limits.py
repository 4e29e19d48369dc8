"""The venue's rate limits, counted here before anything is sent, so that they are never found out from a 429.

Per IP: request weight a minute, WebSocket messages a minute, posts in flight. Per address: one action (an order,
cancel or modify) for every USDC ever traded, 10,000 to begin with; cancels have more. From both budgets a reserve is
kept back for cancels and emergencies. Times are nanoseconds of one monotonic clock that the caller passes in.
Source: Hyperliquid docs, "rate limits and user limits".
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
IP_WEIGHT: Final = 1200
STREAM_MESSAGES: Final = 2000
POSTS_IN_FLIGHT: Final = 100
FIRST_ACTIONS: Final = 10_000
EXTRA_CANCELS: Final = 100_000
TRICKLE_NS: Final = 10 * SECOND_NS
"""Beyond its budget an address may send one action in this time."""
BATCH_WEIGHT: Final = 40
STALE_EXPIRY_COST: Final = 5
"""What an action costs that arrives after its `expiresAfter`."""
_MESSAGES_KEPT: Final = (200, 100, 0, 0)
_POSTS_KEPT: Final = (20, 10, 0, 0)
"""What a query, an order, a cancel and an emergency leave of both."""

_GRAIN_NS: Final = SECOND_NS // 100
_CHEAP: Final = 2
_USUAL: Final = 20
INFO_WEIGHTS: Final = {
    **dict.fromkeys(
        ("l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"), _CHEAP
    ),
    "userRole": 60,
}
"""Weights of /info requests; every other one weighs 20."""
ITEM_WEIGHTS: Final = {
    **dict.fromkeys(
        (
            "recentTrades", "historicalOrders", "userFills", "userFillsByTime", "fundingHistory", "userFunding",
            "userNonFundingLedgerUpdates", "twapHistory", "userTwapSliceFills", "userTwapSliceFillsByTime",
            "delegatorHistory", "delegatorRewards", "validatorStats",
        ),
        20,
    ),
    "candleSnapshot": 60,
}  # fmt: skip
"""How many items of an answer add one more weight."""


class Use(IntEnum):
    """What something is sent for; the later, the more it may."""

    QUERY = 0
    ORDER = 1
    CANCEL = 2
    EMERGENCY = 3


class Refusal(NamedTuple):
    """Why something must not be sent now: the rule, its value and limit, and when to ask again (ns from now)."""

    rule: str
    value: int
    limit: int
    wait_ns: int


class Notice(NamedTuple):
    """A limit began or ended to bind: what the journal is told. `held` counts what was refused meanwhile."""

    rule: str
    binding: bool
    value: int
    limit: int
    wait_ns: int
    held: int


def action_weight(elements: int) -> int:
    """Return the IP weight of an action of so many orders, cancels or modifies."""
    return 1 + elements // BATCH_WEIGHT


def info_weight(kind: str, items: int = 0) -> int:
    """Return the IP weight of an /info request, with what the items of its answer add."""
    return INFO_WEIGHTS.get(kind, _USUAL) + items // ITEM_WEIGHTS.get(kind, 1 << 62)


class SlidingWindow:
    """At most `limit` units in any stretch of `span_ns`."""

    def __init__(self, limit: int, span_ns: int = MINUTE_NS) -> None:
        self.limit: Final[int] = limit
        self._span_ns = span_ns
        self._spent: deque[tuple[int, int]] = deque()
        self.used = 0

    def __len__(self) -> int:
        return len(self._spent)

    def _forget(self, now_ns: int) -> None:
        spent = self._spent
        until = now_ns - self._span_ns
        while spent and spent[0][0] <= until:
            self.used -= spent.popleft()[1]

    def wait_ns(self, now_ns: int, units: int, reserve: int = 0) -> int:
        """Return how long to wait until `units` fit beside a reserve; 0 when they do now."""
        self._forget(now_ns)
        excess = self.used + units - (self.limit - reserve)
        if excess <= 0:
            return 0
        for spent_ns, amount in self._spent:
            excess -= amount
            if excess <= 0:
                return spent_ns + self._span_ns - now_ns
        return self._span_ns

    def spend(self, now_ns: int, units: int) -> None:
        """Count units that are sent now."""
        self._forget(now_ns)
        self.used += units
        spent = self._spent
        # a burst within ten milliseconds is one entry, which counts until the last of it is old enough
        end_ns = now_ns - now_ns % _GRAIN_NS + _GRAIN_NS
        if spent and spent[-1][0] == end_ns:
            spent[-1] = (end_ns, spent[-1][1] + units)
        else:
            spent.append((end_ns, units))


class AddressBudget:
    """The account's actions: as many as it ever traded USDC, and 10,000 more.

    Volume grows the cap as fills come in (`note_volume`, micro-USDC) and `correct` sets all of it to what the venue
    says. Orders stop `reserve` actions before the cap.
    """

    def __init__(self, reserve: int) -> None:
        self.reserve = reserve
        self.cap = FIRST_ACTIONS
        self.used = 0
        self._volume = 0
        self._trickled_ns = -TRICKLE_NS

    @property
    def cancel_cap(self) -> int:
        """Return how many actions may have been sent when a cancel still goes."""
        return min(self.cap + EXTRA_CANCELS, 2 * self.cap)

    def correct(self, used: int, cap: int) -> None:
        """Take the venue's own count and cap in place of ours."""
        self.used = used
        self.cap = cap
        self._volume = 0

    def note_volume(self, notional: int) -> None:
        """Count traded notional, micro-USDC."""
        self._volume += notional
        self.cap += self._volume // 1_000_000
        self._volume %= 1_000_000

    def refusal(self, now_ns: int, use: Use, actions: int) -> Refusal | None:
        """Return why so many actions must not be sent, or None."""
        after = self.used + actions
        if use == Use.ORDER:
            limit = self.cap - self.reserve
            return Refusal("address actions", after, limit, TRICKLE_NS) if after > limit else None
        if use == Use.CANCEL:
            limit = self.cancel_cap - self.reserve
        else:
            limit = self.cancel_cap
        if after <= limit:
            return None
        wait = self._trickled_ns + TRICKLE_NS - now_ns
        return Refusal("address actions", after, limit, wait) if wait > 0 else None

    def spend(self, now_ns: int, use: Use, actions: int) -> None:
        """Count actions that are sent."""
        self.used += actions
        if use >= Use.CANCEL and self.used > self.cancel_cap - (self.reserve if use == Use.CANCEL else 0):
            self._trickled_ns = now_ns


class BackOff:
    """After a 429: nothing but one cancel or emergency a second, for a time that doubles with every further 429."""

    def __init__(self, first_ns: int = SECOND_NS, longest_ns: int = MINUTE_NS) -> None:
        self._first_ns = first_ns
        self._longest_ns = longest_ns
        self._pause_ns = 0
        self.until_ns = 0
        self._probed_ns = -SECOND_NS

    def refused(self, now_ns: int) -> int:
        """The venue said 429: return how long to be quiet, ns. Refusals of what was under way count once."""
        if now_ns < self.until_ns:
            return self.until_ns - now_ns
        self._pause_ns = min(self._pause_ns * 2, self._longest_ns) if self._pause_ns else self._first_ns
        self.until_ns = now_ns + self._pause_ns
        return self._pause_ns

    def accepted(self, now_ns: int) -> None:
        """The venue took a request after the pause: the next 429 begins with the shortest pause again."""
        if now_ns >= self.until_ns:
            self._pause_ns = 0

    def refusal(self, now_ns: int, use: Use) -> Refusal | None:
        """Return why nothing may be sent now, or None."""
        left = self.until_ns - now_ns
        if left <= 0:
            return None
        if use >= Use.CANCEL:
            wait = self._probed_ns + SECOND_NS - now_ns
            if wait <= 0:
                return None
            left = min(left, wait)
        return Refusal("back-off after 429", self._pause_ns // 1_000_000, self._longest_ns // 1_000_000, left)

    def spend(self, now_ns: int) -> None:
        """Something is sent."""
        if now_ns < self.until_ns:
            self._probed_ns = now_ns


class Limits:
    """All limits of one IP and one address. `reserve_share` of the IP weight and `reserve_actions` are kept back.

    `on_notice` is told when a limit begins to bind and when it ends to.
    """

    def __init__(
        self,
        on_notice: Callable[[Notice], None],
        *,
        ip_weight: int = IP_WEIGHT,
        stream_messages: int = STREAM_MESSAGES,
        reserve_weight: int = 200,
        reserve_actions: int = 500,
    ) -> None:
        self._on_notice = on_notice
        self._reserve_weight = reserve_weight
        self.weight: Final = SlidingWindow(ip_weight)
        self.messages: Final = SlidingWindow(stream_messages)
        self.address: Final = AddressBudget(reserve_actions)
        self.back_off: Final = BackOff()
        self._weight_kept: Final = 2 * reserve_weight
        self.in_flight = 0
        self._binding: dict[str, int] = {}

    def refusal(self, now_ns: int, use: Use, actions: int, weight: int, *, stream: bool) -> Refusal | None:
        """Return why a request must not be sent now, or None.

        `actions` counts against the address (0 for a query), `weight` against the IP; `stream` says that it goes
        over the WebSocket and counts against its limits too.
        """
        if (  # the usual case in few steps: everybody's reserve stays, whatever the windows could forget by now
            now_ns >= self.back_off.until_ns
            and self.address.used + actions <= self.address.cap - self.address.reserve
            and self.weight.used + weight <= self.weight.limit - self._weight_kept
            and self.messages.used < self.messages.limit - _MESSAGES_KEPT[0]
            and self.in_flight < POSTS_IN_FLIGHT - _POSTS_KEPT[0]
            and not self._binding
        ):
            return None
        return self._closely(now_ns, use, actions, weight, stream=stream)

    def _closely(self, now_ns: int, use: Use, actions: int, weight: int, *, stream: bool) -> Refusal | None:
        found = self.back_off.refusal(now_ns, use)
        if found is None and actions:
            found = self.address.refusal(now_ns, use, actions)
        if found is None:
            # queries leave twice the reserve, so that orders are not starved by them
            reserve = (2 * self._reserve_weight, self._reserve_weight, 0, 0)[use]
            wait = self.weight.wait_ns(now_ns, weight, reserve)
            if wait:
                found = Refusal("IP weight", self.weight.used + weight, self.weight.limit - reserve, wait)
        if found is None and stream:
            kept = _MESSAGES_KEPT[use]
            wait = self.messages.wait_ns(now_ns, 1, kept)
            if wait:
                found = Refusal("WebSocket messages", self.messages.used + 1, self.messages.limit - kept, wait)
            kept = _POSTS_KEPT[use]
            if found is None and self.in_flight >= POSTS_IN_FLIGHT - kept:
                found = Refusal("posts in flight", self.in_flight + 1, POSTS_IN_FLIGHT - kept, SECOND_NS // 10)
        if found is not None:
            self._bind(found)
        elif self._binding:
            self._release(use)
        return found

    def spend(self, now_ns: int, use: Use, actions: int, weight: int, *, stream: bool) -> None:
        """Count a request that is sent now."""
        if actions:
            self.address.spend(now_ns, use, actions)
        self.weight.spend(now_ns, weight)
        self.back_off.spend(now_ns)
        if stream:
            self.messages.spend(now_ns, 1)

    def charge(self, now_ns: int, weight: int) -> None:
        """Count weight that an answer's length added."""
        if weight:
            self.weight.spend(now_ns, weight)

    def refused_by_venue(self, now_ns: int) -> int:
        """The venue said 429: return how long to be quiet, ns."""
        before = self.back_off.until_ns
        pause = self.back_off.refused(now_ns)
        if self.back_off.until_ns != before:
            self._bind(Refusal("back-off after 429", pause // 1_000_000, MINUTE_NS // 1_000_000, pause))
        return pause

    def _bind(self, refusal: Refusal) -> None:
        held = self._binding.get(refusal.rule)
        self._binding[refusal.rule] = 0 if held is None else held + 1
        if held is None:
            self._on_notice(Notice(refusal.rule, True, refusal.value, refusal.limit, refusal.wait_ns, 0))

    def _release(self, use: Use) -> None:
        """Something of ordinary use may be sent again: no limit binds."""
        if use > Use.ORDER:
            return
        for rule, held in self._binding.items():
            self._on_notice(Notice(rule, False, 0, 0, 0, held))
        self._binding.clear()
