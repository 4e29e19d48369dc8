"""What goes over one stream: subscriptions out, messages to the feeds, and bringing the account up to date after it
was down."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from hatmanifesto.venues.hyperliquid.feed.account import AccountFeed
from hatmanifesto.venues.hyperliquid.feed.market import MarketFeed
from hatmanifesto.venues.hyperliquid.limits import Use
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway
from hatmanifesto.venues.hyperliquid.queries import Queries
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire import stream as wire
from hatmanifesto.venues.hyperliquid.wire.stream import GREETING, parse_message
from hatmanifesto.venues.port import ALL_INSTRUMENTS, Trust, VenueError, VenueListener

MARGIN_MS: Final = 10_000
"""How far before the last known fill is asked, since answers may lag and stamps are not ordered across coins."""
_RETRY_S: Final = 1.0
_READINGS: Final = 6
"""How often a fill that could not be read is asked for again, each time later; the next connection asks anew."""
_CONFIRM_S: Final = 10.0


class MarketConnection:
    """A source of market data. `send` and `drop` are its stream's."""

    def __init__(self, source: int, feed: MarketFeed, listener: VenueListener) -> None:
        self.source: Final = source
        self.feed: Final = feed
        self.listener: Final = listener
        self.send: Callable[[bytes], bool] = lambda payload: False
        self.drop: Callable[[str], None] = lambda why: None
        self.unread: Final[dict[str, int]] = {}
        self.handlers: Final[dict[type, Callable[[Any, int], None]]] = {
            wire.Bbo: partial(feed.on_bbo, source),
            wire.L2Book: partial(feed.on_book, source),
            wire.Trades: partial(feed.on_trades, source),
            wire.ActiveAssetCtx: partial(feed.on_context, source),
            wire.ErrorMessage: self.on_error,
            wire.Unread: self.on_unread,
        }

    def on_frame(self, payload: bytes, now_ns: int) -> None:
        """Take one message; what cannot be read makes the source untrusted."""
        try:
            message = parse_message(payload)
        except msgspec.DecodeError as error:
            if payload.startswith(GREETING):
                return
            self.listener.on_notice(
                now_ns,
                "unreadable_message",
                {"source": self.source, "why": str(error)[:200], "bytes": len(payload), "head": _head(payload)},
            )
            self.feed.on_unreadable(self.source, now_ns, str(error)[:200])
            return
        handler = self.handlers.get(type(message))
        if handler is not None:
            handler(message, now_ns)

    def on_up(self, now_ns: int) -> None:
        """Connected: subscribe."""
        self.listener.on_notice(now_ns, "connected", {"source": self.source})
        self.feed.on_up(self.source, now_ns)
        for subscription in self.feed.subscriptions():
            self.subscribe(subscription)

    def on_down(self, now_ns: int, why: str) -> None:
        """The connection ended, or could not be made."""
        self.listener.on_notice(now_ns, "disconnected", {"source": self.source, "why": why[:200]})
        self.feed.on_down(self.source, now_ns, why)

    def subscribe(self, subscription: Mapping[str, object]) -> None:
        """Ask for a feed."""
        self.send(msgspec.json.encode({"method": "subscribe", "subscription": subscription}))

    def on_error(self, message: wire.ErrorMessage, now_ns: int) -> None:
        """A complaint of the venue about a request of ours."""
        self.listener.on_notice(now_ns, "venue_error", {"source": self.source, "text": message.data[:300]})

    def on_unread(self, message: wire.Unread, now_ns: int) -> None:
        """A channel that nothing reads: told once."""
        name = message.channel[:60]
        if name not in self.unread and len(self.unread) < 100:
            self.listener.on_notice(now_ns, "unread_channel", {"source": self.source, "channel": name})
        self.unread[name] = self.unread.get(name, 0) + 1


class AccountConnection(MarketConnection):
    """The first source: also the account's own events, and the posts.

    After connecting, own events count as SYNCING until the venue confirmed the subscriptions and every fill since the
    last known one was asked for; then they are LIVE.
    """

    FEEDS: Final = ("orderUpdates", "userFills", "userFundings")

    def __init__(
        self,
        market: MarketConnection,
        user: str,
        account: AccountFeed,
        gateway: HyperliquidGateway,
        posts: Posts,
        queries: Queries,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        super().__init__(market.source, market.feed, market.listener)
        self._user = user
        self._account = account
        self._gateway = gateway
        self._posts = posts
        self._queries = queries
        self._spawn = spawn
        self._waiting: set[str] = set()
        self._generation = 0
        self._subscribed = asyncio.Event()
        self._reading_again = False
        account.on_unreadable = self._read_again
        self.handlers.update(
            {
                wire.Post: lambda message, now_ns: posts.on_answer(now_ns, message.data),
                wire.OrderUpdates: account.on_updates,
                wire.UserFills: self._on_fills,
                wire.UserFundings: self._on_fundings,
                wire.SubscriptionResponse: self._on_subscribed,
            }
        )

    def on_up(self, now_ns: int) -> None:
        self._generation += 1
        self._waiting = set(self.FEEDS)
        self._subscribed.clear()
        self.listener.on_trust(now_ns, ALL_INSTRUMENTS, Trust.SYNCING, "connected; asking for what was missed")
        for feed in self.FEEDS:  # first: nothing of the account's may be missed while the market's are set up
            self.subscribe({"type": feed, "user": self._user})
        super().on_up(now_ns)
        self._spawn(self._resync(self._generation))

    def on_down(self, now_ns: int, why: str) -> None:
        self._generation += 1
        self._posts.on_down(now_ns, why)
        self.listener.on_trust(now_ns, ALL_INSTRUMENTS, Trust.DOWN, why[:200])
        super().on_down(now_ns, why)

    def on_error(self, message: wire.ErrorMessage, now_ns: int) -> None:
        if not self._posts.on_error(now_ns, message.data):
            super().on_error(message, now_ns)

    def _on_subscribed(self, message: wire.SubscriptionResponse, now_ns: int) -> None:
        if message.data.method == "subscribe":
            self._waiting.discard(str(message.data.subscription.get("type")))
            if not self._waiting:
                self._subscribed.set()

    def _on_fills(self, message: wire.UserFills, now_ns: int) -> None:
        if message.data.user.lower() == self._user:
            self._account.on_fills(message.data.fills, now_ns)

    def _on_fundings(self, message: wire.UserFundings, now_ns: int) -> None:
        if message.data.user.lower() == self._user:
            self._account.on_fundings(message.data.fundings, now_ns)

    async def _resync(self, generation: int) -> None:
        """Wait until subscribed, then ask for what the streams do not repeat; again until it is answered."""
        try:
            async with asyncio.timeout(_CONFIRM_S):
                await self._subscribed.wait()
        except TimeoutError:
            if generation == self._generation:
                self.drop(f"subscriptions not confirmed: {', '.join(sorted(self._waiting))}")
            return
        while generation == self._generation:
            try:
                fills = await self._queries.fills_by_time(self._user, max(self._account.last_fill_ms - MARGIN_MS, 0))
                open_orders = await self._queries.frontend_open_orders(self._user, use=Use.CANCEL)
            except VenueError as error:
                if generation == self._generation:
                    self.listener.on_notice(self._now(), "resync_failed", {"why": str(error)[:300]})
                    await asyncio.sleep(_RETRY_S)
                continue
            if generation != self._generation:
                return
            now_ns = self._now()
            self._account.on_history(fills, now_ns)
            self._gateway.resync(now_ns, open_orders)
            if not self._account.broken:
                self.listener.on_trust(now_ns, ALL_INSTRUMENTS, Trust.LIVE, "subscribed, and no fill is missing")
            return

    def _read_again(self) -> None:
        """A fill could not be read: ask for it, unless a new connection does so anyway."""
        if self._subscribed.is_set() and not self._reading_again:
            self._reading_again = True
            self._spawn(self._ask_for_unreadable(self._generation))

    async def _ask_for_unreadable(self, generation: int) -> None:
        since = max(self._account.last_fill_ms - MARGIN_MS, 0)
        try:
            for reading in range(_READINGS):
                await asyncio.sleep(_RETRY_S * 2**reading)
                if generation != self._generation:
                    return
                try:
                    fills = await self._queries.fills_by_time(self._user, since)
                except VenueError as error:
                    self.listener.on_notice(self._now(), "resync_failed", {"why": str(error)[:300]})
                    continue
                if generation != self._generation:
                    return
                now_ns = self._now()
                self._account.on_history(fills, now_ns)
                if not self._account.broken:
                    self.listener.on_notice(now_ns, "fills_read_again", {"readings": reading + 1})
                    self.listener.on_trust(now_ns, ALL_INSTRUMENTS, Trust.LIVE, "every fill was asked for and read")
                    return
            self.listener.on_notice(self._now(), "fill_stays_unreadable", {"readings": _READINGS})
        finally:
            self._reading_again = False

    def _now(self) -> int:
        return self._gateway.now_ns()


def _head(payload: bytes) -> str:
    """Return the beginning of a message, harmless to print."""
    return payload[:80].decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii")
