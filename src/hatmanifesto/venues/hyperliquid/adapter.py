"""Hyperliquid as a venue: the parts put together. Mainnet, testnet or any base URL, a loopback exchange's too."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET

from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT
from hatmanifesto.venues.hyperliquid.cloid import make_cloid
from hatmanifesto.venues.hyperliquid.connection import AccountConnection, MarketConnection
from hatmanifesto.venues.hyperliquid.exchange import Exchange
from hatmanifesto.venues.hyperliquid.feed.account import AccountFeed, venue_fill, venue_funding
from hatmanifesto.venues.hyperliquid.feed.market import FeedSettings, MarketFeed
from hatmanifesto.venues.hyperliquid.limits import IP_WEIGHT, STREAM_MESSAGES, Limits, Notice, SlidingWindow, Use
from hatmanifesto.venues.hyperliquid.nonces import NonceSource
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway, OrderSettings
from hatmanifesto.venues.hyperliquid.orders.rehearsal import Rehearsal
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.orders.words import fate_of
from hatmanifesto.venues.hyperliquid.queries import Queries, QuerySettings
from hatmanifesto.venues.hyperliquid.reports import account_of, open_order, transferred
from hatmanifesto.venues.hyperliquid.rules import account_fees, instruments_of
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer, address_bytes
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.transport.stream import Stream, StreamSettings
from hatmanifesto.venues.hyperliquid.wire.actions import CancelWire
from hatmanifesto.venues.hyperliquid.wire.decimals import rounded
from hatmanifesto.venues.port import (
    OrderFate,
    OrderReport,
    Venue,
    VenueAccount,
    VenueError,
    VenueFees,
    VenueFill,
    VenueFunding,
    VenueListener,
    VenueOrder,
)

MS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MAINNET_URL: Final = "https://api.hyperliquid.xyz"
TESTNET_URL: Final = "https://api.hyperliquid-testnet.xyz"
CONNECTIONS_A_MINUTE: Final = 26
"""The venue allows 30 new connections a minute and IP; some are left to other processes."""
MAX_CANCELS: Final = 100


@dataclass(frozen=True)
class HyperliquidSettings:
    """`mainnet`: for which network to sign; None = mainnet only at the mainnet's own URL, as the official SDK does.

    `second_url`: where the redundant market data comes from; "" = none, None = the same place again. `account`: whose
    account the agent trades for; None = as the venue says. `vault`: a vault or sub-account to act for.
    `answer_timeout`, `tick`: seconds. `prepared_signatures`: how many are kept ready (signing.prepared).
    """

    base_url: str = MAINNET_URL
    mainnet: bool | None = None
    second_url: str | None = None
    account: str | None = None
    vault: str | None = None
    answer_timeout: float = 4.0
    tick: float = 0.05
    prepared_signatures: int = 0
    ip_weight: int = IP_WEIGHT
    stream_messages: int = STREAM_MESSAGES
    reserve_weight: int = 200
    reserve_actions: int = 500
    feed: FeedSettings = field(default_factory=FeedSettings)
    orders: OrderSettings = field(default_factory=OrderSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    queries: QuerySettings = field(default_factory=QuerySettings)

    @property
    def for_mainnet(self) -> bool:
        """Return the network that signatures are for."""
        return self.base_url.rstrip("/") == MAINNET_URL if self.mainnet is None else self.mainnet


def stream_url(base_url: str) -> str:
    """Return the WebSocket's URL; raises UserError for what is no http URL."""
    if not base_url.startswith(("http://", "https://")):
        raise UserError(f"{base_url!r} is no base URL of Hyperliquid", "write http://HOST:PORT or https://HOST")
    return "ws" + base_url.removeprefix("http").rstrip("/") + "/ws"


class HyperliquidVenue(Venue):
    """One account, one agent key, one process. `state` is the folder that keeps the key's nonces."""

    def __init__(
        self,
        settings: HyperliquidSettings,
        key: PrivateKey,
        state: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        spread: random.Random | None = None,
    ) -> None:
        self.settings: Final = settings
        self._key = key
        key.keep_prepared(settings.prepared_signatures)
        self._clock_ns = clock_ns
        self._spread = spread or random.Random()
        self._stream_url = stream_url(settings.base_url)
        self._vault = address_bytes(settings.vault) if settings.vault else None
        self._nonces = NonceSource(state, key.address, lambda: clock_ns() // MS)
        self.limits: Final = Limits(
            self._on_limit,
            ip_weight=settings.ip_weight,
            stream_messages=settings.stream_messages,
            reserve_weight=settings.reserve_weight,
            reserve_actions=settings.reserve_actions,
        )
        self._http = HttpChannel(settings.base_url, settings.answer_timeout)
        self.queries: Final = Queries(self._http, self.limits, clock_ns, settings.queries)
        self._signer = ActionSigner(L1Signer(key, mainnet=settings.for_mainnet, vault=self._vault), self._nonces)
        self._connections_window = SlidingWindow(CONNECTIONS_A_MINUTE)
        self._stream: Stream | None = None
        self._posts = Posts(self._send_on_stream, self._stream_up, int(settings.answer_timeout * SECOND_NS))
        self.exchange: Final = Exchange(self._signer, self._posts, self._http, self.limits, clock_ns)
        self.instruments: Sequence[Instrument] = ()
        self.assets: Sequence[int] = ()
        self.user = ""
        self._listener: VenueListener | None = None
        self._gateway: HyperliquidGateway | None = None
        self._rehearsal: Rehearsal | None = None
        self.account_feed: AccountFeed | None = None
        self.market_feed: MarketFeed | None = None
        self._streams: list[Stream] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[None] | None = None
        self._stopping = False

    # -- life -------------------------------------------------------------------------------------

    async def open(self, coins: Sequence[str]) -> Sequence[Instrument]:
        self.user = await self._account_address()
        meta = await self.queries.meta()
        await self.refresh_budget()
        found, self.assets = instruments_of(meta, coins, await self.fees())
        self.instruments = found
        self._gateway = HyperliquidGateway(
            instruments=self.instruments,
            assets=self.assets,
            user=self.user,
            signer=self._signer,
            posts=self._posts,
            http=self._http,
            limits=self.limits,
            spawn=self._spawn,
            clock_ns=self._clock_ns,
            settings=self.settings.orders,
        )
        self._rehearsal = Rehearsal(found, self._clock_ns, self._http, prepared=self._key.prepared is not None)
        return found

    async def _account_address(self) -> str:
        """Return whose account is traded: the vault's, or the one that the venue says this key acts for."""
        role = await self.queries.user_role(self._key.address)
        master = self._key.address
        if role.role == "agent" and role.data is not UNSET and role.data.user is not UNSET:
            master = role.data.user.lower()
        elif role.role == "missing":
            raise UserError(
                f"the venue does not know the key {self._key.address}",
                "approve it as an agent of your account, check the network (mainnet or testnet), or deposit",
            )
        wanted = self.settings.account.lower() if self.settings.account else master
        if wanted != master:
            raise UserError(
                f"key {self._key.address} acts for {master}, not for {wanted}",
                "approve it as an agent of the account, or correct the account's address",
            )
        return self.settings.vault.lower() if self.settings.vault else master

    async def start(
        self,
        listener: VenueListener,
        session: int,
        *,
        from_ns: int | None = None,
        booked: Collection[VenueFill] = (),
    ) -> None:
        if self._gateway is None:
            raise RuntimeError("open() comes before start()")
        settings = self.settings
        self._listener = listener
        self._failed = asyncio.get_running_loop().create_future()
        gateway = self._gateway
        gateway.begin(listener, session)
        if self._rehearsal is not None:
            self._rehearsal.begin(session)
        by_coin = {instrument.name: instrument for instrument in self.instruments}
        self.account_feed = AccountFeed(by_coin, session, gateway, self.limits.address, listener)
        self.account_feed.begin(self._clock_ns() if from_ns is None else from_ns)
        self.account_feed.skip(
            (
                fill.exch_ts_ns // MS,
                self.instruments[fill.instrument].name,
                fill.trade_id,
                "B" if fill.side > 0 else "A",
            )
            for fill in booked
        )
        urls = [self._stream_url]
        if settings.second_url != "":
            urls.append(stream_url(settings.second_url) if settings.second_url else self._stream_url)
        self.market_feed = MarketFeed(
            self.instruments, listener, self._drop_source, sources=len(urls), settings=settings.feed
        )
        for source, url in enumerate(urls):
            self._connect(source, url)
        self._spawn(self._ticking())

    def _connect(self, source: int, url: str) -> None:
        assert self.market_feed is not None
        assert self._listener is not None
        assert self._gateway is not None
        assert self.account_feed is not None
        market = MarketConnection(source, self.market_feed, self._listener)
        if source == 0:
            market = AccountConnection(
                market, self.user, self.account_feed, self._gateway, self._posts, self.queries, self._spawn
            )
        stream = Stream(
            url,
            market.on_frame,
            market.on_up,
            market.on_down,
            clock_ns=self._clock_ns,
            connect_wait_ns=self._connection_wait_ns,
            settings=self.settings.stream,
            spread=self._spread,
        )
        market.send = stream.send
        market.drop = stream.drop
        self._streams.append(stream)
        if source == 0:
            self._stream = stream
        self._spawn(stream.run())

    async def stop(self) -> None:
        self._stopping = True
        for stream in self._streams:
            stream.stop()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=1.0)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(None)
        await self._http.close()
        self._nonces.close()

    async def watch(self) -> None:
        if self._failed is None:
            raise RuntimeError("start() comes before watch()")
        await asyncio.shield(self._failed)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _ticking(self) -> None:
        """What is looked at by the clock: ages, overdue answers, nonces; now and then the address budget."""
        assert self._gateway is not None
        assert self.market_feed is not None
        assert self.account_feed is not None
        budget_ns = self._clock_ns() + 60 * SECOND_NS
        chased_ns = 0
        while not self._stopping:
            await asyncio.sleep(self.settings.tick)
            now_ns = self._clock_ns()
            self._nonces.prepare()
            self._prepare_signature()
            self._gateway.tick(now_ns)
            self.market_feed.check(now_ns)
            if self._gateway.tracker.waiting_ends and now_ns - chased_ns > SECOND_NS:
                chased_ns = now_ns
                self._spawn(self.chase_fills())
            if now_ns >= budget_ns:
                budget_ns = now_ns + 60 * SECOND_NS
                self._spawn(self._refresh_budget_quietly())

    async def chase_fills(self) -> None:
        """Ask for fills that the stream should have told."""
        assert self.account_feed is not None
        since = max(self.account_feed.last_fill_ms - 10_000, 0)
        try:
            fills = await self.queries.fills_by_time(self.user, since)
        except VenueError as error:
            self._notice("query_failed", {"why": str(error)[:300]})
            return
        self.account_feed.on_fills(fills, self._clock_ns())

    async def _refresh_budget_quietly(self) -> None:
        try:
            await self.refresh_budget()
        except VenueError as error:
            self._notice("query_failed", {"why": str(error)[:300]})

    async def refresh_budget(self) -> None:
        """Take the venue's own count of the address budget."""
        told = await self.queries.rate_limit(self.user)
        self.limits.address.correct(told.n_requests_used, told.n_requests_cap)

    # -- small wires between the parts ------------------------------------------------------------

    def _send_on_stream(self, payload: bytes) -> bool:
        return self._stream is not None and self._stream.send(payload)

    def _stream_up(self) -> bool:
        return self._stream is not None and self._stream.up

    def _drop_source(self, source: int, why: str) -> None:
        self._streams[source].drop(why)

    def _connection_wait_ns(self, now_ns: int) -> int:
        wait_ns = self._connections_window.wait_ns(now_ns, 1)
        if not wait_ns:
            self._connections_window.spend(now_ns, 1)
        return wait_ns

    def _on_limit(self, notice: Notice) -> None:
        self._notice(
            "limit_binds" if notice.binding else "limit_eased",
            {
                "rule": notice.rule,
                "value": notice.value,
                "limit": notice.limit,
                "wait_ms": notice.wait_ns // MS,
                "held": notice.held,
            },
        )

    def _notice(self, kind: str, data: dict[str, int | str]) -> None:
        if self._gateway is not None and self._listener is not None:
            self._gateway.notice(self._clock_ns(), kind, data)

    # -- the port ---------------------------------------------------------------------------------

    @property
    def gateway(self) -> HyperliquidGateway:
        if self._gateway is None:
            raise RuntimeError("open() comes before gateway")
        return self._gateway

    def rehearse(self, now_ns: int) -> None:
        if not self._prepare_signature() and self._rehearsal is not None:
            self._rehearsal.run(now_ns)

    def _prepare_signature(self) -> bool:
        return self._key.prepared is not None and self._key.prepared.prepare()

    async def open_orders(self) -> Sequence[VenueOrder]:
        by_coin = {instrument.name: instrument for instrument in self.instruments}
        orders = await self.queries.frontend_open_orders(self.user, use=Use.CANCEL)
        try:
            return [open_order(order, by_coin.get(order.coin)) for order in orders]
        except ValueError as error:
            raise VenueError(f"an open order cannot be read: {error}", definite=False) from error

    async def order_report(self, session: int, order_id: int, purpose: int) -> OrderReport:
        told = await self.queries.order_status(self.user, make_cloid(session, order_id, purpose))
        if told.order is UNSET:
            return OrderReport(OrderFate.ABSENT, 0, 0, 0, told.status)
        fate = fate_of(told.order.status)
        if fate is None:
            raise VenueError(
                f"an order's status is {told.order.status!r:.60}, which has no meaning here", definite=False
            )
        return OrderReport(fate[0], fate[1], told.order.order.oid, told.order.status_timestamp * MS, told.order.status)

    async def fills_since(self, exch_ts_ns: int) -> Sequence[VenueFill]:
        by_coin = {instrument.name: instrument for instrument in self.instruments}
        fills = await self.queries.fills_by_time(self.user, exch_ts_ns // MS)
        try:
            return [venue_fill(fill, by_coin[fill.coin]) for fill in fills if fill.coin in by_coin]
        except ValueError as error:
            raise VenueError(f"a fill cannot be read: {error}", definite=False) from error

    async def funding_since(self, exch_ts_ns: int) -> Sequence[VenueFunding]:
        by_coin = {instrument.name: instrument for instrument in self.instruments}
        told = await self.queries.user_funding(self.user, exch_ts_ns // MS)
        try:
            return [
                venue_funding(record.delta, record.time, by_coin[record.delta.coin])
                for record in told
                if record.delta.coin in by_coin
            ]
        except ValueError as error:
            raise VenueError(f"a funding payment cannot be read: {error}", definite=False) from error

    async def transfers_since(self, exch_ts_ns: int) -> int:
        # the venue's times are whole ms: what falls into the one asked from was there before
        records = await self.queries.ledger(self.user, -(-exch_ts_ns // MS))
        try:
            moved = sum(transferred(record, self.user) for record in records)
            if abs(moved) > MAX_AMOUNT:
                raise ValueError("the sum is beyond 62 bits")
            return moved
        except ValueError as error:
            raise VenueError(f"a transfer cannot be read: {error}", definite=False) from error

    async def prices(self) -> Mapping[int, int]:
        mids = await self.queries.mids()
        try:
            found = {
                int(instrument.index): rounded(mids[instrument.name], int(instrument.price_scale))
                for instrument in self.instruments
                if instrument.name in mids
            }
            return {index: price for index, price in found.items() if price > 0}
        except ValueError as error:
            raise VenueError(f"a price cannot be read: {error}", definite=False) from error

    async def account(self) -> VenueAccount:
        state = await self.queries.clearinghouse_state(self.user)
        try:
            return account_of(state, {instrument.name: instrument for instrument in self.instruments})
        except ValueError as error:
            raise VenueError(f"the account cannot be read: {error}", definite=False) from error

    async def fees(self) -> VenueFees:
        told = await self.queries.user_fees(self.user)
        try:
            return account_fees(told)
        except ValueError as error:
            raise VenueError(f"the fees cannot be read: {error}", definite=False) from error

    async def set_leverage(self, instrument: int, leverage: int, *, cross: bool) -> None:
        await self.exchange.set_leverage(self.assets[instrument], leverage, cross=cross)

    async def schedule_cancel(self, at_ns: int | None) -> None:
        await self.exchange.schedule_cancel(None if at_ns is None else at_ns // MS)

    async def cancel_orders(self, orders: Sequence[VenueOrder]) -> int:
        meta = None
        if any(order.instrument < 0 for order in orders):
            meta = {asset.name: place for place, asset in enumerate((await self.queries.meta()).universe)}
        wires: list[CancelWire] = []
        for order in orders:
            if order.instrument >= 0:
                wires.append(CancelWire(self.assets[order.instrument], order.venue_order_id))
            elif meta is not None and order.coin in meta:
                wires.append(CancelWire(meta[order.coin], order.venue_order_id))
        confirmed = 0
        for begin in range(0, len(wires), MAX_CANCELS):
            statuses = await self.exchange.cancel(wires[begin : begin + MAX_CANCELS])
            confirmed += sum(status == "success" for status in statuses)
        return confirmed

    async def clock_offset_ns(self) -> int:
        before = self._clock_ns()
        state = await self.queries.clearinghouse_state(self.user)
        after = self._clock_ns()
        if state.time is UNSET:
            raise VenueError("the venue did not say what time it is", definite=False)
        return state.time * MS - (before + after) // 2


__all__ = ["MAINNET_URL", "TESTNET_URL", "HyperliquidSettings", "HyperliquidVenue"]
