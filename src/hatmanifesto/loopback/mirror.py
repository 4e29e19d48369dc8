"""Follows the public feed of the real venue (or of another loopback exchange): its book, prints and prices, here.

It uses the same decoders and the same judgement of trust as trading does. While the feed cannot be relied on nothing
is quoted: a bot that is tested here then sees an empty book instead of an old one.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from hatmanifesto.errors import UserError
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.follower import Follower
from hatmanifesto.model.market_row import ROW_WORDS, WORD_EXCH_TS, WORD_META, WORD_PRICE, WORD_SIZE
from hatmanifesto.venues.hyperliquid.adapter import MAINNET_URL, stream_url
from hatmanifesto.venues.hyperliquid.connection import MarketConnection
from hatmanifesto.venues.hyperliquid.feed.market import FeedSettings, MarketFeed
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.outcomes import Answered
from hatmanifesto.venues.hyperliquid.transport.stream import Stream, StreamSettings
from hatmanifesto.venues.hyperliquid.wire.info import ANSWERS, Meta
from hatmanifesto.venues.port import Trust, VenueListener

FIRST_BOOK_S: Final = 15.0
CHECK_MS: Final = 250


class _Listener(VenueListener):
    """Hands market rows and trust to the followers; nothing is told of orders, since none are sent there."""

    def __init__(self, followers: list[Follower]) -> None:
        self.followers = followers
        self.whole = asyncio.Event()
        self.notices: dict[str, int] = {}

    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        follower = self.followers[instrument]
        words = memoryview(rows).cast("q")
        for at in range(0, len(words), ROW_WORDS):
            follower.take(
                words[at + WORD_META], words[at + WORD_PRICE], words[at + WORD_SIZE], words[at + WORD_EXCH_TS]
            )

    def on_trust(self, now_ns: int, instrument: int, trust: Trust, why: str) -> None:
        self.followers[instrument].quoting = trust is Trust.LIVE
        if all(follower.quoting for follower in self.followers):
            self.whole.set()

    def on_notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        self.notices[kind] = self.notices.get(kind, 0) + 1

    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None: ...

    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None: ...

    def on_fill(
        self,
        now_ns: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        fee: int,
        taker: bool,
        exch_ts_ns: int,
        trade_id: int,
    ) -> None: ...

    def on_funding(
        self,
        now_ns: int,
        instrument: int,
        amount: int,
        rate: int,
        position_size: int,
        oracle_price: int,
        exch_ts_ns: int,
    ) -> None: ...


class Mirror:
    """One connection to the followed venue; it reconnects by itself. Use `open`, `step` before each block, `close`."""

    def __init__(
        self,
        loopback: Loopback,
        url: str,
        *,
        feed: FeedSettings | None = None,
        stream: StreamSettings | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.followers: Final = [Follower(loopback, index) for index in range(len(loopback.markets))]
        for follower in self.followers:
            follower.quoting = False
        self.listener: Final = _Listener(self.followers)
        self.feed: Final = MarketFeed(
            loopback.instruments, self.listener, lambda source, why: self.stream.drop(why), sources=1, settings=feed
        )
        connection = MarketConnection(0, self.feed, self.listener)
        self.stream: Final = Stream(
            stream_url(url),
            connection.on_frame,
            connection.on_up,
            connection.on_down,
            clock_ns=clock_ns,
            settings=stream,
        )
        connection.send, connection.drop = self.stream.send, self.stream.drop
        self._clock_ns = clock_ns
        self._task: asyncio.Task[None] | None = None
        self._checked_ms = 0

    @classmethod
    async def open(
        cls,
        loopback: Loopback,
        url: str = MAINNET_URL,
        *,
        feed: FeedSettings | None = None,
        stream: StreamSettings | None = None,
        patience_s: float = FIRST_BOOK_S,
    ) -> "Mirror":
        """Connect and wait for a whole book of every market.

        Raises UserError when the venue cannot be reached in time, or defines a market otherwise than it is here.
        """
        await _compare_rules(loopback, url)
        mirror = cls(loopback, url, feed=feed, stream=stream)
        mirror._task = asyncio.get_running_loop().create_task(mirror.stream.run())
        try:
            async with asyncio.timeout(patience_s):
                await mirror.listener.whole.wait()
        except TimeoutError:
            await mirror.close()
            waiting = [follower.instrument.name for follower in mirror.followers if not follower.quoting]
            raise UserError(
                f"{url} sent no whole book of {', '.join(waiting)} within {patience_s:g} s",
                "check the connection, or use --market agents",
            ) from None
        return mirror

    def step(self, now_ms: int) -> None:
        """Show what the followed venue showed up to now. Raises what following it raised."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        if now_ms - self._checked_ms >= CHECK_MS or now_ms < self._checked_ms:
            self._checked_ms = now_ms
            self.feed.check(self._clock_ns())
        for follower in self.followers:
            follower.act()

    async def close(self) -> None:
        """Disconnect."""
        self.stream.stop()
        if self._task is not None:
            await asyncio.wait({self._task})


async def _compare_rules(loopback: Loopback, url: str) -> None:
    """Refuse to follow markets that the venue lists with other decimals, or not at all."""
    channel = HttpChannel(url)
    try:
        outcome = await channel.request("/info", b'{"type":"meta"}')
    finally:
        await channel.close()
    if not isinstance(outcome, Answered):
        raise UserError(f"{url} does not answer: {outcome[-1]}", "check the address, or use --market agents")
    try:
        decimals = {asset.name: asset.sz_decimals for asset in ANSWERS.decode(outcome.payload, Meta).universe}
    except msgspec.DecodeError as error:
        raise UserError(f"{url} answers what is no `meta`: {error}", "name a base URL of Hyperliquid") from None
    for market in loopback.markets:
        if decimals.get(market.name) != market.size_decimals:
            told = decimals.get(market.name, "no")
            raise UserError(
                f"{market.name} has {told} size decimals there and {market.size_decimals} here",
                "leave it out of --coins",
            )
