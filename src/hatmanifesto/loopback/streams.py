"""WebSocket subscriptions: what a connection asked for, its first message, and what each block sends it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from hatmanifesto.loopback import info
from hatmanifesto.loopback.candles import INTERVALS
from hatmanifesto.loopback.exchange import BlockNews, Loopback
from hatmanifesto.loopback.orders import order_status

MOST_SUBSCRIPTIONS: Final = 1_000
MOST_USERS: Final = 10
BOOK_MS: Final = 500
SLOW_BOOK_MS: Final = 5_000
MIDS_MS: Final = 2_000
CONTEXT_MS: Final = 1_000
STATE_MS: Final = 5_000
FAST_DEPTH: Final = 5

Send = Callable[[bytes], None]
_encode = msgspec.json.Encoder().encode
_OF_COIN: Final = frozenset({"l2Book", "bbo", "trades", "candle", "activeAssetCtx", "activeAssetData"})
_OF_USER: Final = frozenset(
    {
        "orderUpdates",
        "userEvents",
        "userFills",
        "userFundings",
        "userNonFundingLedgerUpdates",
        "userHistoricalOrders",
        "userTwapSliceFills",
        "userTwapHistory",
        "activeAssetData",
        "clearinghouseState",
        "openOrders",
        "spotState",
        "twapStates",
        "notification",
        "webData2",
    }
)
_OTHERS: Final = frozenset({"allMids", "assetCtxs", "allDexsAssetCtxs"})
KINDS: Final = _OF_COIN | _OF_USER | _OTHERS


class InvalidSubscription(ValueError):  # noqa: N818 - what it is
    """There is no such subscription."""


class Subscription:
    """One subscription: its normalised form, which is echoed, and when it was last served."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.kind: str = shown["type"]
        self.coin: str = shown.get("coin", "")
        self.user: str = shown.get("user", "")
        self.due_ms = 0
        self.last: Any = None


def normalised(loopback: Loopback, asked: Any) -> dict[str, Any]:
    """Return a subscription as the venue echoes it. Raises InvalidSubscription."""
    if not isinstance(asked, dict) or asked.get("type") not in KINDS:
        raise InvalidSubscription
    kind = asked["type"]
    shown: dict[str, Any] = {"type": kind}
    if kind in _OF_USER:
        user = asked.get("user")
        if not isinstance(user, str) or len(user) != 42 or not _hexadecimal(user[2:]):
            raise InvalidSubscription
        shown["user"] = user.lower()
    if kind in _OF_COIN:
        coin = asked.get("coin")
        if not isinstance(coin, str) or coin not in loopback.by_coin:
            raise InvalidSubscription
        shown["coin"] = coin
    if kind == "l2Book":
        shown["nSigFigs"], shown["mantissa"] = asked.get("nSigFigs"), asked.get("mantissa")
        if shown["nSigFigs"] not in (None, 2, 3, 4, 5) or shown["mantissa"] not in (None, 1, 2, 5):
            raise InvalidSubscription
        if asked.get("fast") is True:
            shown["fast"] = True
    if kind == "candle":
        if asked.get("interval") not in INTERVALS:
            raise InvalidSubscription
        shown["interval"] = asked["interval"]
    if kind == "userFills":
        shown["aggregateByTime"] = bool(asked.get("aggregateByTime"))
    return shown


def _hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


class Connection:
    """One WebSocket connection's subscriptions. `send` must not block."""

    def __init__(self, loopback: Loopback, send: Send, *, most: int = MOST_SUBSCRIPTIONS) -> None:
        self.loopback = loopback
        self.send = send
        self.most = most
        self.subscriptions: dict[str, Subscription] = {}

    def tell(self, channel: str, data: Any) -> None:
        """Send one message."""
        self.send(_encode({"channel": channel, "data": data}))

    def subscribe(self, asked: Any) -> None:
        """Add a subscription: its echo, then its first message; an error message when it cannot be."""
        try:
            shown = normalised(self.loopback, asked)
        except InvalidSubscription:
            self.tell("error", f"Invalid subscription {_compact(asked)}")
            return
        key = _compact(shown)
        if key in self.subscriptions:
            self.tell("error", f"Already subscribed: {_compact(asked)}")
            return
        if len(self.subscriptions) >= self.most:
            self.tell("error", f"Cannot subscribe to more than {self.most} channels.")
            return
        users = {subscription.user for subscription in self.subscriptions.values() if subscription.user}
        if shown.get("user") and shown["user"] not in users and len(users) >= MOST_USERS:
            self.tell("error", f"Cannot track more than {MOST_USERS} total users.")
            return
        subscription = self.subscriptions[key] = Subscription(shown)
        self.tell("subscriptionResponse", {"method": "subscribe", "subscription": shown})
        self._first(subscription)

    def unsubscribe(self, asked: Any) -> None:
        """Take a subscription out."""
        try:
            shown = normalised(self.loopback, asked)
        except InvalidSubscription:
            self.tell("error", f"Invalid subscription {_compact(asked)}")
            return
        if self.subscriptions.pop(_compact(shown), None) is None:
            self.tell("error", f"Already unsubscribed: {_compact(asked)}")
            return
        self.tell("subscriptionResponse", {"method": "unsubscribe", "subscription": shown})

    # -- messages ---------------------------------------------------------------------------------

    def _first(self, subscription: Subscription) -> None:
        """Send what a new subscription begins with."""
        loopback, kind, user = self.loopback, subscription.kind, subscription.user
        participant = loopback.participants.get(user)
        if kind == "trades":
            recent = list(loopback.trades[loopback.by_coin[subscription.coin]])[-10:]
            if recent:
                self.tell("trades", recent)
        elif kind == "userFills":
            fills = [] if participant is None else list(participant.fills)[-100:]
            self.tell(kind, {"isSnapshot": True, "user": user, "fills": fills})
        elif kind == "userFundings":
            paid = [] if participant is None else participant.funding[-100:]
            shown = [{"time": entry["time"], **without_type(entry["delta"])} for entry in paid]
            self.tell(kind, {"isSnapshot": True, "user": user, "fundings": shown})
        elif kind == "userNonFundingLedgerUpdates":
            ledger = [] if participant is None else participant.ledger[-100:]
            self.tell(kind, {"isSnapshot": True, "user": user, "nonFundingLedgerUpdates": ledger})
        elif kind == "userHistoricalOrders":
            entries = [] if participant is None else list(participant.orders.values())[-100:]
            history = [order_status(loopback.instruments[entry.order.instrument], entry) for entry in entries]
            self.tell(kind, {"isSnapshot": True, "user": user, "orderHistory": history})
        elif kind == "userTwapSliceFills":
            self.tell(kind, {"isSnapshot": True, "user": user, "twapSliceFills": []})
        elif kind == "userTwapHistory":
            self.tell(kind, {"isSnapshot": True, "user": user, "history": []})
        else:
            self._periodic(subscription, loopback.now_ms, changed=True)

    def on_block(self, news: BlockNews) -> None:
        """Send what a block did to those who asked for it."""
        for subscription in list(self.subscriptions.values()):
            kind, coin, user = subscription.kind, subscription.coin, subscription.user
            if kind == "trades":
                if coin in news.trades:
                    self.tell("trades", news.trades[coin])
            elif kind == "candle":
                if coin in news.trades:
                    self._candle(subscription, news.time_ms)
            elif kind == "orderUpdates":
                if user in news.order_updates:
                    self.tell(kind, news.order_updates[user])
            elif kind == "userEvents":
                self._user_events(user, news)
            elif kind == "userFills":
                if user in news.fills:
                    self.tell(kind, {"user": user, "fills": news.fills[user]})
            elif kind == "userFundings":
                if user in news.funding:
                    self.tell(kind, {"user": user, "fundings": news.funding[user]})
            elif kind == "userNonFundingLedgerUpdates":
                if user in news.ledger:
                    self.tell(kind, {"user": user, "nonFundingLedgerUpdates": news.ledger[user]})
            elif kind == "userHistoricalOrders":
                if user in news.order_updates:
                    self.tell(kind, {"user": user, "orderHistory": self._history(user, news)})
            else:
                self._periodic(subscription, news.time_ms, changed=coin in news.books or not coin)

    def _history(self, user: str, news: BlockNews) -> list[dict[str, Any]]:
        participant = self.loopback.participants[user]
        entries = (participant.orders[update["order"]["oid"]] for update in news.order_updates[user])
        return [order_status(self.loopback.instruments[entry.order.instrument], entry) for entry in entries]

    def _user_events(self, user: str, news: BlockNews) -> None:
        if user in news.fills:
            self.tell("user", {"fills": news.fills[user]})
        for payment in news.funding.get(user, []):
            self.tell("user", {"funding": payment})
        cancelled = [
            {"coin": update["order"]["coin"], "oid": update["order"]["oid"]}
            for update in news.order_updates.get(user, [])
            if update["status"] not in ("open", "filled", "canceled", "triggered", "rejected")
            and update["status"].endswith(("Canceled", "Cancel"))
        ]
        if cancelled:
            self.tell("user", {"nonUserCancel": cancelled})

    def _candle(self, subscription: Subscription, now_ms: int) -> None:
        index = self.loopback.by_coin[subscription.coin]
        interval = subscription.shown["interval"]
        found = self.loopback.candles[index].span(interval, now_ms, now_ms)
        if found:
            self.tell("candle", found[-1])

    def _periodic(self, subscription: Subscription, now_ms: int, *, changed: bool) -> None:
        """Send a state when it is due, best prices whenever they changed."""
        loopback, kind, coin, user = self.loopback, subscription.kind, subscription.coin, subscription.user
        if kind == "bbo":
            if changed:
                self._bbo(subscription, now_ms)
            return
        if now_ms < subscription.due_ms:
            return
        if kind == "l2Book":
            fast = subscription.shown.get("fast") is True
            subscription.due_ms = now_ms + (BOOK_MS if fast else SLOW_BOOK_MS)
            depth = FAST_DEPTH if fast else info.DEPTH
            shown = info.book(
                loopback, coin, depth, subscription.shown["nSigFigs"], subscription.shown["mantissa"] or 1
            )
            if fast:
                shown["fast"] = True
            self.tell("l2Book", shown)
        elif kind == "allMids":
            subscription.due_ms = now_ms + MIDS_MS
            mids = {market.name: info.mid_text(loopback, at) for at, market in enumerate(loopback.markets)}
            self.tell("allMids", {"mids": mids})
        elif kind in ("activeAssetCtx", "assetCtxs", "allDexsAssetCtxs"):
            subscription.due_ms = now_ms + CONTEXT_MS
            self._contexts(subscription)
        elif kind == "activeAssetData":
            subscription.due_ms = now_ms + STATE_MS
            self.tell(kind, info.active_asset(loopback, loopback.participants.get(user), user, coin))
        elif kind in ("clearinghouseState", "openOrders", "spotState", "twapStates"):
            subscription.due_ms = now_ms + STATE_MS
            self._state(kind, user)

    def _bbo(self, subscription: Subscription, now_ms: int) -> None:
        shown = info.book(self.loopback, subscription.coin, 1)
        best = [side[0] if side else None for side in shown["levels"]]
        if best != subscription.last:
            subscription.last = best
            self.tell("bbo", {"coin": subscription.coin, "time": now_ms, "bbo": best})

    def _contexts(self, subscription: Subscription) -> None:
        loopback = self.loopback
        if subscription.kind == "activeAssetCtx":
            index = loopback.by_coin[subscription.coin]
            shown = info.context(loopback, index)
            if shown != subscription.last:
                subscription.last = shown
                self.tell("activeAssetCtx", {"coin": subscription.coin, "ctx": shown})
            return
        contexts = [info.context(loopback, index) for index in range(len(loopback.markets))]
        if subscription.kind == "assetCtxs":
            self.tell("assetCtxs", {"dex": "", "ctxs": contexts})
        else:
            self.tell("allDexsAssetCtxs", {"ctxs": [["", contexts]]})

    def _state(self, kind: str, user: str) -> None:
        participant = self.loopback.participants.get(user)
        if kind == "clearinghouseState":
            state = info.clearinghouse(self.loopback, participant)
            self.tell(kind, {"dex": "", "user": user, "clearinghouseState": state})
        elif kind == "openOrders":
            orders = info.open_orders(self.loopback, participant, long=True)
            self.tell(kind, {"dex": "", "user": user, "orders": orders})
        elif kind == "spotState":
            self.tell(kind, {"user": user, "spotState": {"balances": []}})
        else:
            self.tell(kind, {"dex": "", "user": user, "states": []})


def without_type(delta: dict[str, Any]) -> dict[str, Any]:
    """Return a ledger entry's delta without its type."""
    return {name: value for name, value in delta.items() if name != "type"}


def _compact(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()[:500]
    except (TypeError, ValueError):
        return "?"
