"""A venue in the test's own process: the live matcher behind the venue port, with latency and seeded faults.

The exchange and its other participants live as long as the test; an adapter lives as long as a session, and can be
cut off at any moment, as if its process had been killed.
"""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import CHANNEL_BOOK, CHANNEL_TRADES, DEPTH, MORE, TRADE, make_meta
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    CONFIRM_CANCEL,
    EXPIRE,
    FIND_ABSENT,
    FIND_OPEN,
    REFUSE_CANCEL,
    REJECT,
)
from hatmanifesto.model.reasons import (
    NONE,
    VENUE_NEVER_PLACED,
    VENUE_NO_MATCH,
    VENUE_OTHER,
    VENUE_POST_ONLY,
    VENUE_RATE_LIMIT,
)
from hatmanifesto.simulation.live import events as told
from hatmanifesto.simulation.live.actions import Cancel, CancelByCloid, Place
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.orders import ENDED, LiveOrder, OrderRequest
from hatmanifesto.venues.hyperliquid.cloid import make_cloid, parse_cloid
from hatmanifesto.venues.port import (
    ALL_INSTRUMENTS,
    OrderFate,
    OrderReport,
    Trust,
    Venue,
    VenueAccount,
    VenueError,
    VenueFees,
    VenueFill,
    VenueFunding,
    VenueGateway,
    VenueListener,
    VenueOrder,
    VenuePosition,
)
from support.virtual_time import VirtualLoop

MS = 1_000_000


@dataclass
class Faults:
    """How often, of a thousand, something goes wrong; delays in ms."""

    lost_request: int = 0
    lost_answer: int = 0
    repeated: int = 0
    delayed: int = 0
    late_ms: int = 2_000
    unanswered_question: int = 0
    disconnect: int = 0  # of a thousand blocks
    half_open: int = 0  # of a thousand blocks: connected, and nothing is heard any more until it is cut
    storm: int = 0  # of a thousand blocks: everything is refused with 429 for a while


@dataclass
class Record:
    """What the exchange itself has booked for the account: the truth that a session's books must equal."""

    fills: list[VenueFill] = field(default_factory=list)
    funding: list[VenueFunding] = field(default_factory=list)


class LocalExchange:
    """The exchange, its clock, its other participants: a quoting crowd and takers who move the price."""

    def __init__(self, loop: VirtualLoop, seed: int, instruments: Sequence[Instrument], cash: int = 10**10) -> None:
        self.loop = loop
        self.chance = random.Random(seed)
        self.instruments = list(instruments)
        self.exchange = LiveExchange(self.instruments)
        self.account = self.exchange.open_account("maker", cash)
        self.crowd = self.exchange.open_account("crowd", 10**15)
        self.takers = self.exchange.open_account("takers", 10**15)
        self.mid = [100_000 for _ in instruments]
        self.record = Record()
        self.orders: dict[str, LiveOrder] = {}
        self.takers_rest = False
        self.transfers: list[tuple[int, int]] = []
        self.switch_ns = 0  # the dead man's switch, 0: not set
        self.switch_refusal = ""
        self.switch_asked = 0
        self.adapter: LocalVenue | None = None
        self._last_ns = 0
        self._crowd_oids: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Advance block after block."""
        for index in range(len(self.instruments)):
            self.exchange.set_prices(index, self.mid[index], self.mid[index])
        while True:
            self._others_act()
            now = max(self.loop.now_ns(), self._last_ns + 1)
            if 0 < self.switch_ns <= now:
                self.switch_ns = 0
                self.cancel_everything()
            self._last_ns = now
            self._tell(self.exchange.advance(now), now)
            await asyncio.sleep(BLOCK_NS / 1e9)

    def pay_in(self, amount: int) -> None:
        """A person moves money to the account."""
        self.exchange.account(self.account).cash += amount
        self.transfers.append((self.loop.now_ns(), amount))

    def pay_funding(self, instrument: int, rate: int) -> None:
        """Settle one hour's funding in the next block."""
        self.exchange.settle_funding(instrument, rate)

    def cancel_everything(self) -> None:
        """Cancel every order of the account, as somebody else may."""
        orders = self.exchange.account(self.account).orders.values()
        self.exchange.submit(self.account, Cancel([(int(order.instrument), int(order.oid)) for order in orders]))

    def _others_act(self) -> None:
        chance, exchange = self.chance, self.exchange
        for index, instrument in enumerate(self.instruments):
            self.mid[index] = max(1_000, self.mid[index] + chance.choice((-3, -1, 0, 0, 1, 3)))
            mid = self.mid[index]
            exchange.set_prices(index, mid, mid)
            mine = [pair for pair in self._crowd_oids if pair[0] == index]
            if mine:
                exchange.submit(self.crowd, Cancel(mine))
                self._crowd_oids = [pair for pair in self._crowd_oids if pair[0] != index]
            quotes = [
                OrderRequest(index, side, mid - side * (4 + step), chance.randint(200, 900), POST_ONLY)
                for side in (1, -1)
                for step in range(3)
            ]
            exchange.submit(self.crowd, Place(quotes))
            if chance.random() < 0.35 and not self.takers_rest:
                side = chance.choice((1, -1))
                size = chance.randint(100, 1_200)
                taker = OrderRequest(index, side, mid + side * 40, size, IMMEDIATE_OR_CANCEL)
                exchange.submit(self.takers, Place([taker]))
            del instrument

    def _tell(self, events: Sequence[Any], now: int) -> None:
        rows: dict[int, list[tuple[int, int, int]]] = {}
        for event in events:
            if isinstance(event, told.OrderChanged):
                order = event.order
                if order.account == self.crowd and event.status == "open":
                    self._crowd_oids.append((int(order.instrument), int(order.oid)))
                if order.account == self.account:
                    self.orders[order.cloid] = order
                    if self.adapter is not None:
                        self.adapter.order_changed(order, event.status, now)
            elif isinstance(event, told.Fill) and event.order.account == self.account:
                parsed = parse_cloid(event.order.cloid)
                fill = VenueFill(
                    int(event.order.instrument),
                    parsed.session if parsed else 0,
                    parsed.order_id if parsed else 0,
                    int(event.order.oid),
                    int(event.order.side),
                    int(event.price),
                    int(event.size),
                    int(event.fee),
                    bool(event.crossed),
                    now,
                    int(event.tid),
                )
                self.record.fills.append(fill)
                if self.adapter is not None:
                    self.adapter.filled(fill)
            elif isinstance(event, told.FundingPaid) and event.account == self.account:
                payment = VenueFunding(
                    int(event.instrument), int(event.amount), int(event.rate), int(event.size), int(event.oracle), now
                )
                self.record.funding.append(payment)
                if self.adapter is not None:
                    self.adapter.paid(payment)
            elif isinstance(event, told.Trade):
                meta = make_meta(TRADE, int(event.side), CHANNEL_TRADES, int(event.instrument))
                rows.setdefault(int(event.instrument), []).append((meta, int(event.price), int(event.size)))
            elif isinstance(event, told.LevelChanged):
                meta = make_meta(DEPTH, int(event.side), CHANNEL_BOOK, int(event.instrument))
                rows.setdefault(int(event.instrument), []).append((meta, int(event.price), int(event.size)))
            elif isinstance(event, told.ActionAnswered) and self.adapter is not None:
                self.adapter.answered(event, now)
        if self.adapter is not None:
            for index, changed in rows.items():
                self.adapter.rows(index, changed, now)


class LocalGateway(VenueGateway):
    """Collects what the engine asks until `flush`."""

    def __init__(self, venue: "LocalVenue") -> None:
        self.venue = venue
        self.asked: list[tuple[Any, ...]] = []

    def place(
        self,
        now: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        time_in_force: int,
        reduce_only: bool,
    ) -> None:
        self.asked.append(("place", order_id, instrument, side, price, size, time_in_force, reduce_only))

    def cancel(self, now: int, order_id: int, instrument: int) -> None:
        self.asked.append(("cancel", order_id, instrument))

    def query(self, now: int, order_id: int, instrument: int) -> None:
        self.asked.append(("query", order_id, instrument))

    def adopt(self, order: VenueOrder, filled: int) -> None:
        self.venue.sessions[order.order_id] = order.session

    def flush(self, now_ns: int) -> None:
        asked, self.asked = self.asked, []
        for request in asked:
            self.venue.send(request, now_ns)


class LocalVenue(Venue):
    """One session's adapter."""

    def __init__(self, local: LocalExchange, faults: Faults, seed: int) -> None:
        self.local = local
        self.faults = faults
        self.chance = random.Random(seed)
        self.instruments = local.instruments
        self.session = 0
        self.listener: VenueListener | None = None
        self.connected = False
        self.cut = False
        self._gateway = LocalGateway(self)
        self._tickets: dict[int, tuple[str, list[int]]] = {}
        self._expires: dict[int, int] = {}
        self.sessions: dict[int, int] = {}  # of orders taken over
        self._deaf = False
        self._storm_until_ns = 0

    # -- faults -----------------------------------------------------------------------------------

    def _unlucky(self, of_thousand: int) -> bool:
        return self.chance.randrange(1_000) < of_thousand

    def _later(self, ms: float, call: Any, *args: Any) -> None:
        self.local.loop.call_later(ms / 1e3, self._if_alive, call, args)

    def _if_alive(self, call: Any, args: tuple[Any, ...]) -> None:
        if not self.cut:
            call(*args)

    def _hear(self, call: Any, *args: Any) -> None:
        """Tell the session something after the way back, unless it is lost; sometimes twice, sometimes late."""
        if not self.connected or self.cut or self._deaf or self._unlucky(self.faults.lost_answer):
            return
        late = self.faults.late_ms if self._unlucky(self.faults.delayed) else 0
        self._later(3 + late, call, *args)
        if self._unlucky(self.faults.repeated):
            self._later(9 + late, call, *args)

    def kill(self) -> None:
        """The session's process is gone: nothing reaches it any more; what it sent is under way all the same."""
        self.cut = True
        self.local.adapter = None

    # -- what the exchange says -------------------------------------------------------------------

    def _now(self) -> int:
        return self.local.loop.now_ns()

    def rows(self, index: int, changed: list[tuple[int, int, int]], now: int) -> None:
        if self._unlucky(self.faults.disconnect) and self.connected:
            self._disconnect()
        if self._unlucky(self.faults.half_open) and self.connected and not self._deaf:
            self._deaf = True  # noticed only after some seconds of silence
            self._later(self.chance.randint(1_000, 6_000), self._disconnect)
        if self._unlucky(self.faults.storm):
            self._storm_until_ns = self._now() + self.chance.randint(200, 5_000) * MS
        if self.connected and not self._deaf:
            self._later(3, self._rows, index, changed, now)

    def _rows(self, index: int, changed: list[tuple[int, int, int]], now: int) -> None:
        if self.listener is None or not self.connected:
            return
        words: list[int] = []
        for at, (meta, price, size) in enumerate(changed):
            words += [now, self._now(), meta | (MORE if at < len(changed) - 1 else 0), price, size]
        packed = b"".join(word.to_bytes(8, "little", signed=True) for word in words)
        self.listener.on_rows(self._now(), index, packed)

    def _disconnect(self) -> None:
        """Both streams are gone for a while; what happens meanwhile is not told again."""
        assert self.listener is not None
        if not self.connected:
            return
        self.connected = self._deaf = False
        for index in [*range(len(self.instruments)), ALL_INSTRUMENTS]:
            self.listener.on_trust(self._now(), index, Trust.DOWN, "connection lost")
        self._later(self.chance.randint(200, 4_000), self._reconnect)

    def _reconnect(self) -> None:
        assert self.listener is not None
        self.connected = True
        for index in range(len(self.instruments)):
            self._snapshot(index)
            self.listener.on_trust(self._now(), index, Trust.LIVE, "")
        self.listener.on_trust(self._now(), ALL_INSTRUMENTS, Trust.LIVE, "")
        for order_id in list(self._expires):  # what became of what was sent before
            order = self.local.orders.get(make_cloid(self.session_of(order_id), order_id, 0))
            if order is None or order.place != ENDED:
                self._answer_query(order_id)
            else:
                del self._expires[order_id]

    def _snapshot(self, index: int) -> None:
        from hatmanifesto.model.market_row import FIRST, SNAPSHOT

        assert self.listener is not None
        levels: list[tuple[int, int, int]] = []
        book: dict[tuple[int, int], int] = {}
        for account in range(3):
            for order in self.local.exchange.account(account).holdings[index].resting.values():
                key = (int(order.side), int(order.price))
                book[key] = book.get(key, 0) + int(order.remaining)
        levels = [(side, price, size) for (side, price), size in sorted(book.items())]
        words: list[int] = []
        now = self._now()
        for at, (side, price, size) in enumerate(levels):
            flags = (FIRST if at == 0 else 0) | (MORE if at < len(levels) - 1 else 0)
            words += [now, now, make_meta(SNAPSHOT, side, CHANNEL_BOOK, index, flags), price, size]
        if words:
            packed = b"".join(word.to_bytes(8, "little", signed=True) for word in words)
            self.listener.on_rows(now, index, packed)

    def order_changed(self, order: LiveOrder, status: str, now: int) -> None:
        parsed = parse_cloid(order.cloid)
        if parsed is None or parsed.session != self.session_of(parsed.order_id) or self.listener is None:
            return
        trigger = {"open": ACKNOWLEDGE, "canceled": CONFIRM_CANCEL, "selfTradeCanceled": CONFIRM_CANCEL}.get(status)
        if status == "canceled" and order.time_in_force == IMMEDIATE_OR_CANCEL:
            trigger = EXPIRE
        if trigger is not None:
            self._hear(self._event, parsed.order_id, trigger, NONE, now, int(order.oid))

    def answered(self, event: told.ActionAnswered, now: int) -> None:
        known = self._tickets.pop(int(event.ticket), None)
        if known is None or self.listener is None:
            return
        kind, order_ids = known
        for order_id, answer in zip(order_ids, event.answers, strict=False):
            if kind == "place" and answer.kind == told.REFUSED:
                post_only = "Post only" in answer.text
                no_match = "immediately match" in answer.text
                reason = VENUE_POST_ONLY if post_only else VENUE_NO_MATCH if no_match else VENUE_OTHER
                self._hear(self._event, order_id, EXPIRE if no_match else REJECT, reason, now, int(answer.oid))
            elif kind == "place" and answer.kind == told.RESTS:
                self._hear(self._event, order_id, ACKNOWLEDGE, NONE, now, int(answer.oid))
            elif kind == "cancel":
                trigger = CONFIRM_CANCEL if answer.kind == told.SUCCESS else REFUSE_CANCEL
                self._hear(self._event, order_id, trigger, NONE, now, 0)
        if event.error:
            for order_id in order_ids:
                self._hear(self._event, order_id, REJECT, VENUE_OTHER, now, 0)

    def _event(self, order_id: int, trigger: int, reason: int, exch_ts: int, oid: int) -> None:
        assert self.listener is not None
        self.listener.on_order_event(self._now(), order_id, trigger, reason, exch_ts, oid)

    def filled(self, fill: VenueFill) -> None:
        self._hear(self._fill, fill)

    def _fill(self, fill: VenueFill) -> None:
        assert self.listener is not None
        self.listener.on_fill(
            self._now(),
            fill.order_id,
            fill.instrument,
            fill.side,
            fill.price,
            fill.size,
            fill.fee,
            fill.taker,
            fill.exch_ts_ns,
            fill.trade_id,
        )

    def paid(self, payment: VenueFunding) -> None:
        self._hear(self._paid, payment)

    def _paid(self, payment: VenueFunding) -> None:
        assert self.listener is not None
        self.listener.on_funding(self._now(), *payment)

    # -- what the session asks --------------------------------------------------------------------

    @property
    def gateway(self) -> VenueGateway:
        return self._gateway

    def send(self, request: tuple[Any, ...], now: int) -> None:
        if self._now() < self._storm_until_ns:
            if request[0] == "place":
                self._later(1, self._event, request[1], REJECT, VENUE_RATE_LIMIT, 0, 0)
            elif request[0] == "cancel":  # the adapter keeps cancels until they may go
                self._later(500, self.send, request, now + 500 * MS)
            return
        if request[0] == "place":
            self._expires[request[1]] = now + 5_000 * MS
        if not self.connected or self._unlucky(self.faults.lost_request):
            return
        late = self.faults.late_ms if self._unlucky(self.faults.delayed) else 0
        # what was sent is on its way even when the process dies
        self.local.loop.call_later((3 + late) / 1e3, self._arrive, request)

    def _arrive(self, request: tuple[Any, ...]) -> None:
        kind, order_id, instrument = request[:3]
        exchange = self.local.exchange
        if kind == "query":
            self._answer_query(order_id)
            return
        cloid = make_cloid(self.session_of(order_id), order_id, 0)
        if kind == "place":
            _, _, _, side, price, size, tif, reduce_only = request
            action: Any = Place(
                [OrderRequest(instrument, side, price, size, tif, reduce_only=reduce_only, cloid=cloid)]
            )
            action.expires_ns = self._expires[order_id]
        else:
            action = CancelByCloid([(instrument, cloid)])
        ticket = exchange.submit(self.local.account, action)
        if self.local.adapter is self:
            self._tickets[ticket] = (kind, [order_id])

    def session_of(self, order_id: int) -> int:
        return self.sessions.get(order_id, self.session)

    def _answer_query(self, order_id: int) -> None:
        order = self.local.orders.get(make_cloid(self.session_of(order_id), order_id, 0))
        now = self._now()
        if order is None:
            if now > self._expires.get(order_id, 0) + 1_000 * MS:
                self._hear(self._event, order_id, FIND_ABSENT, VENUE_NEVER_PLACED, now, 0)
            else:
                self._later(500, self._answer_query, order_id)
        elif order.place != ENDED:
            self._hear(self._event, order_id, FIND_OPEN, NONE, now, int(order.oid))
        elif order.remaining > 0:
            self._hear(self._event, order_id, CONFIRM_CANCEL, NONE, now, int(order.oid))

    async def _ask(self) -> None:
        await asyncio.sleep(0.01)
        if self._unlucky(self.faults.unanswered_question) or self._now() < self._storm_until_ns:
            raise VenueError("no answer", definite=False)

    async def open(self, coins: Sequence[str]) -> Sequence[Instrument]:
        return self.instruments

    async def start(
        self, listener: VenueListener, session: int, *, from_ns: int, booked: Collection[VenueFill] = ()
    ) -> None:
        self.listener, self.session = listener, session
        self.local.adapter = self
        self._reconnect()

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.connected = False
        if self.local.adapter is self:
            self.local.adapter = None

    async def prices(self) -> Mapping[int, int]:
        return dict(enumerate(self.local.mid))

    async def open_orders(self) -> Sequence[VenueOrder]:
        await self._ask()
        found: list[VenueOrder] = []
        for order in self.local.exchange.account(self.local.account).orders.values():
            parsed = parse_cloid(order.cloid)
            at = int(order.instrument)
            found.append(
                VenueOrder(
                    at,
                    self.instruments[at].name,
                    int(order.oid),
                    parsed.session if parsed else 0,
                    parsed.order_id if parsed else 0,
                    0,
                    int(order.side),
                    int(order.price),
                    int(order.remaining),
                    int(order.size),
                    order.reduce_only,
                    int(order.time_ns),
                    order.cloid,
                )
            )
        return found

    async def order_report(self, session: int, order_id: int, purpose: int) -> OrderReport:
        await self._ask()
        order = self.local.orders.get(make_cloid(session, order_id, 0))
        if order is None:
            return OrderReport(OrderFate.ABSENT, VENUE_NEVER_PLACED, 0, self._now(), "unknownOid")
        if order.place != ENDED:
            return OrderReport(OrderFate.OPEN, NONE, int(order.oid), self._now(), "open")
        fate = OrderFate.FILLED if order.remaining == 0 else OrderFate.CANCELLED
        return OrderReport(fate, NONE, int(order.oid), self._now(), fate.name)

    async def fills_since(self, exch_ts_ns: int) -> Sequence[VenueFill]:
        await self._ask()
        return [fill for fill in self.local.record.fills if fill.exch_ts_ns >= exch_ts_ns]

    async def funding_since(self, exch_ts_ns: int) -> Sequence[VenueFunding]:
        await self._ask()
        return [paid for paid in self.local.record.funding if paid.exch_ts_ns >= exch_ts_ns]

    async def transfers_since(self, exch_ts_ns: int) -> int:
        await self._ask()
        return sum(amount for at_ns, amount in self.local.transfers if at_ns >= exch_ts_ns)

    async def account(self) -> VenueAccount:
        await self._ask()
        account = self.local.exchange.account(self.local.account)
        marks = [int(market.prices.mark) for market in self.local.exchange.markets]
        equity = int(account.equity(marks)) if all(marks) else int(account.cash)
        positions = tuple(
            VenuePosition(
                at,
                self.instruments[at].name,
                int(holding.position.size),
                int(holding.position.cost),
                "",
                int(holding.position.unrealized(marks[at])),
            )
            for at, holding in enumerate(account.holdings)
            if holding.position.size
        )
        cash = int(account.cash)
        return VenueAccount(equity, cash, equity, 0, positions, self._now())

    async def fees(self) -> VenueFees:
        return VenueFees(150_000, 450_000)

    async def set_leverage(self, instrument: int, leverage: int, *, cross: bool) -> None:
        return None

    async def schedule_cancel(self, at_ns: int | None) -> None:
        await self._ask()
        self.local.switch_asked += 1
        if self.local.switch_refusal:
            raise VenueError(self.local.switch_refusal, definite=True)
        self.local.switch_ns = at_ns or 0

    async def cancel_orders(self, orders: Sequence[VenueOrder]) -> int:
        await self._ask()
        for order in orders:
            self.local.exchange.submit(self.local.account, Cancel([(order.instrument, order.venue_order_id)]))
        await asyncio.sleep(0.2)
        return len(orders)

    async def clock_offset_ns(self) -> int:
        return 0
