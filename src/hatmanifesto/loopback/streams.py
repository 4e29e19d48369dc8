"""One WebSocket connection's subscriptions: what it asked for, its echo, and what each block sends it."""

from collections.abc import Callable
from typing import Any

import msgspec

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.feeds import MARKET_DATA, block_messages, first_messages
from hatmanifesto.loopback.news import BlockNews
from hatmanifesto.loopback.subscriptions import (
    InvalidSubscription,
    Subscription,
    UnknownSubscription,
    compact,
    read_subscription,
)

Send = Callable[[bytes], None]
Admit = Callable[[Subscription], str]
"""Tells why a subscription is one too many; nothing when it is not."""
_encode = msgspec.json.Encoder().encode


class Subscriptions:
    """`send` must not block. `admit` guards the venue's limits by IP."""

    def __init__(self, loopback: Loopback, send: Send, admit: Admit) -> None:
        self.loopback = loopback
        self.send = send
        self.admit = admit
        self.held: dict[str, Subscription] = {}

    def tell(self, channel: str, data: Any) -> None:
        """Send one message."""
        self.send(_encode({"channel": channel, "data": data}))

    def take(self, method: str, asked: Any) -> bool:
        """Subscribe or unsubscribe; False when the request cannot be read at all."""
        try:
            subscription = read_subscription(self.loopback, asked)
        except UnknownSubscription:
            return False
        except InvalidSubscription:
            self.tell("error", f"Invalid subscription {compact(asked)}")
            return True
        key = subscription.key()
        if method == "unsubscribe":
            if self.held.pop(key, None) is None:
                self.tell("error", f"Already unsubscribed: {compact(asked)}")
                return True
        else:
            refusal = f"Already subscribed: {compact(asked)}" if key in self.held else self.admit(subscription)
            if refusal:
                self.tell("error", refusal)
                return True
            self.held[key] = subscription
        self.tell("subscriptionResponse", {"method": method, "subscription": subscription.shown})
        if method == "subscribe":
            for channel, data in first_messages(self.loopback, subscription):
                self.tell(channel, data)
        return True

    def on_block(self, news: BlockNews, *, stale: bool = False) -> None:
        """Send what a block did to those who asked for it; nothing of markets while they are stale."""
        for subscription in list(self.held.values()):
            if stale and subscription.kind in MARKET_DATA:
                continue
            for channel, data in block_messages(self.loopback, subscription, news):
                self.tell(channel, data)
