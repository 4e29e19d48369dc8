"""The engine's requests to the venue: collected during a turn, then batched, signed and sent by `flush`.

Post-only orders go in a batch of their own, since one order that may take moves its whole batch behind the block's
cancels. Every order carries `expiresAfter`, so that a request lost on the way cannot execute minutes later. Cancels
that a limit holds back are sent as soon as they may; orders are not: they are refused, and nothing was sent.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import EXIT, POST_ONLY, QUOTE
from hatmanifesto.model.order_state import CONFIRM_CANCEL, REJECT
from hatmanifesto.model.reasons import NONE, VENUE_NEVER_PLACED, VENUE_NOT_CONNECTED, VENUE_OTHER, VENUE_RATE_LIMIT
from hatmanifesto.venues.hyperliquid.cloid import cloid_head, make_cloid
from hatmanifesto.venues.hyperliquid.limits import Limits, Refusal, Use, action_weight, info_weight
from hatmanifesto.venues.hyperliquid.nonces import NonceWindowError
from hatmanifesto.venues.hyperliquid.orders.questions import Question, Questions, absence_is_definite
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.orders.tracker import NOBODY, Live, OrderTracker
from hatmanifesto.venues.hyperliquid.orders.words import fate_of, reason_of
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.outcomes import TOO_MANY_REQUESTS, Answered, Outcome, Refused
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire.actions import (
    Action,
    CancelByCloid,
    CloidWire,
    Order,
    OrderWire,
    order_type_of,
)
from hatmanifesto.venues.hyperliquid.wire.answers import Status, parse_answer, statuses_of
from hatmanifesto.venues.hyperliquid.wire.decimals import exact
from hatmanifesto.venues.hyperliquid.wire.info import ANSWERS, FrontendOrder, OrderStatus
from hatmanifesto.venues.hyperliquid.wire.reading import Reader
from hatmanifesto.venues.port import OrderFate, VenueGateway, VenueListener, VenueOrder

MS: Final = 1_000_000
MAX_BATCH: Final = 100
_ORDER, _CANCEL, _EMERGENCY = Use.ORDER, Use.CANCEL, Use.EMERGENCY  # looked up once: an enum's names are slow


@dataclass(frozen=True)
class OrderSettings:
    """`good_for`: seconds after which the venue must refuse an order that arrives late; 0 = any time later.

    `fast_cancel` marks cancels as plain ones (`f`), which keep their priority over takers in the venue's mempool.
    """

    good_for: float = 10.0
    fast_cancel: bool = True


_Placement = tuple[int, int, int, int, int, int, bool]


class HyperliquidGateway(VenueGateway):
    """Places, cancels and asks over the stream's posts, or over HTTP where the stream is down.

    `assets` are the venue's asset ids by instrument. The owner calls `tick` a few times a second, and `on_update` and
    `on_fill` with what the streams say. Raises nothing into the engine: what cannot be sent is told later.
    """

    def __init__(
        self,
        *,
        instruments: Sequence[Instrument],
        assets: Sequence[int],
        user: str,
        signer: ActionSigner,
        posts: Posts,
        http: HttpChannel,
        limits: Limits,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock_ns: Callable[[], int],
        settings: OrderSettings | None = None,
    ) -> None:
        self._instruments = instruments
        self._assets = assets
        self._user = user
        self._signer = signer
        self._posts = posts
        self._http = http
        self._limits = limits
        self._spawn = spawn
        self._clock_ns = clock_ns
        settings = settings or OrderSettings()
        self._good_for_ms = int(settings.good_for * 1000)
        self._fast = True if settings.fast_cancel else UNSET
        self._heads: dict[int, str] = {}
        self._listener: VenueListener = NOBODY
        self.tracker: Final = OrderTracker()
        self.questions: Final = Questions()
        self._placements: list[_Placement] = []
        self._all_post_only = True
        self._all_reduce = True
        self._cancels: list[int] = []
        self._held_cancels: dict[int, None] = {}
        self._queries: list[int] = []
        self._later: list[Callable[[int], None]] = []
        self._flushing = False

    def begin(self, listener: VenueListener, session: int) -> None:
        """From here on orders are of this session, and the listener is told of them."""
        self._listener = self.tracker.listener = listener
        self._heads = {purpose: cloid_head(session, purpose) for purpose in (QUOTE, EXIT)}

    def now_ns(self) -> int:
        """Return the adapter's clock."""
        return self._clock_ns()

    # -- what the engine asks ---------------------------------------------------------------------

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
        self._placements.append((order_id, instrument, side, price, size, time_in_force, reduce_only))
        if time_in_force != POST_ONLY:
            self._all_post_only = False
        if not reduce_only:
            self._all_reduce = False

    def cancel(self, now: int, order_id: int, instrument: int) -> None:
        self._cancels.append(order_id)

    def query(self, now: int, order_id: int, instrument: int) -> None:
        self._queries.append(order_id)

    def adopt(self, order: VenueOrder, filled: int) -> None:
        cloid = make_cloid(order.session, order.order_id, order.purpose)
        self.tracker.adopt(order.order_id, order.instrument, cloid, order.size, filled, order.venue_order_id)

    def flush(self, now_ns: int) -> None:
        """Send what was asked since the last flush: cancels, orders, questions."""
        self._flushing = True
        try:
            self._flush(now_ns)
        finally:
            self._flushing = False

    def _flush(self, now_ns: int) -> None:
        if self._cancels:
            cancels, self._cancels = self._cancels, []
            self._send_cancels(now_ns, cancels)
        if self._placements:
            placements, self._placements = self._placements, []
            post_only, reduce = self._all_post_only, self._all_reduce
            self._all_post_only = self._all_reduce = True
            if post_only and len(placements) <= MAX_BATCH:  # the usual case
                self._send_orders(now_ns, placements, reduce)
            else:
                for batch in (
                    [placement for placement in placements if placement[5] == POST_ONLY],
                    [placement for placement in placements if placement[5] != POST_ONLY],
                ):
                    for begin in range(0, len(batch), MAX_BATCH):
                        part = batch[begin : begin + MAX_BATCH]
                        self._send_orders(now_ns, part, all(placement[6] for placement in part))
        if self._queries:
            queries, self._queries = self._queries, []
            for order_id in queries:
                self.questions.want(order_id, now_ns)
            self._ask(now_ns)

    # -- orders -----------------------------------------------------------------------------------

    def _send_orders(self, now_ns: int, placements: list[_Placement], reducing: bool) -> None:
        """Send one batch; `reducing`: all of it only reduces."""
        count = len(placements)
        use = _EMERGENCY if reducing else _ORDER
        weight = action_weight(count)
        connected = self._posts.connected
        if self._refusal(now_ns, use, count, weight, connected) is not None:
            self._refuse(placements, VENUE_RATE_LIMIT)
            return
        if not connected and not reducing:
            self._refuse(placements, VENUE_NOT_CONNECTED)
            return
        expires = now_ns // MS + self._good_for_ms if self._good_for_ms else 0
        heads, assets, instruments = self._heads, self._assets, self._instruments
        wires = [
            OrderWire(
                assets[instrument],
                side > 0,
                instruments[instrument].price_text(price),
                instruments[instrument].size_text(size),
                reduce_only,
                order_type_of(tif),
                f"{heads[EXIT if reduce_only else QUOTE]}{order_id:016x}",
            )
            for order_id, instrument, side, price, size, tif, reduce_only in placements
        ]
        lives: list[Live] = []
        handler = partial(self._on_placed, lives)
        if not self._send(now_ns, Order(wires), count, use, weight, expires or None, handler):
            self._refuse(placements, VENUE_NOT_CONNECTED)
            return
        # known from here on, before any answer can be read; what need not be done before sending is done after it
        track = self.tracker.track
        for (order_id, instrument, _, _, size, tif, _), wire in zip(placements, wires, strict=True):
            lives.append(track(order_id, instrument, str(wire.c), size, tif, expires))

    def _refuse(self, placements: list[_Placement], reason: int) -> None:
        """Nothing was sent: say so in a turn of its own."""
        for placement in placements:
            self._tell_later(partial(self._tell_refused, placement[0], reason))

    def _tell_refused(self, order_id: int, reason: int, now_ns: int) -> None:
        self._listener.on_order_event(now_ns, order_id, REJECT, reason, 0, 0)

    def notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        """Tell the listener something worth knowing, after the driver's call when it is in one."""
        if self._flushing:
            self._tell_later(lambda later_ns: self._listener.on_notice(later_ns, kind, data))
        else:
            self._listener.on_notice(now_ns, kind, data)

    def _tell_later(self, tell: Callable[[int], None]) -> None:
        """Tell the listener in a turn of its own: the driver is in the middle of one when it calls `flush`."""
        if not self._later:
            self._spawn(self._tell_all())
        self._later.append(tell)

    async def _tell_all(self) -> None:
        later, self._later = self._later, []
        for tell in later:
            tell(self._clock_ns())

    def _on_placed(self, lives: list[Live], now_ns: int, outcome: Outcome) -> None:
        """What became of an order action."""
        statuses = self._statuses(now_ns, outcome, len(lives))
        if statuses is None:
            for live in lives:
                self.tracker.unknown(now_ns, live)
            return
        for live, status in zip(lives, statuses, strict=True):
            if isinstance(status, int):
                self.tracker.finish(now_ns, live, REJECT, status, 0)
            elif isinstance(status, str):
                self.tracker.acknowledge(now_ns, live, 0, 0)  # armed, waiting for its trigger or its parent
            elif status.resting is not UNSET:
                self.tracker.acknowledge(now_ns, live, status.resting.oid, 0)
            elif status.filled is not UNSET:
                self.tracker.acknowledge(now_ns, live, status.filled.oid, 0)
                total = self._size_or_none(live, status.filled.total_sz)
                if total is not None:
                    self.tracker.filled(now_ns, live, total, 0)
            elif status.error is not UNSET:
                self._refused_by_venue(now_ns, live, status.error)
            else:
                self.tracker.unknown(now_ns, live)

    def _refused_by_venue(self, now_ns: int, live: Live, text: str) -> None:
        reason = reason_of(text)
        if reason == VENUE_OTHER:
            self._listener.on_notice(now_ns, "order_refused", {"order_id": live.order_id, "text": text[:300]})
        self.tracker.finish(now_ns, live, REJECT, reason, 0)

    # -- cancels ----------------------------------------------------------------------------------

    def _send_cancels(self, now_ns: int, order_ids: Sequence[int]) -> None:
        known = [self.tracker.live[order_id] for order_id in order_ids if order_id in self.tracker.live]
        for begin in range(0, len(known), MAX_BATCH):
            lives = known[begin : begin + MAX_BATCH]
            weight = action_weight(len(lives))
            if self._refusal(now_ns, _CANCEL, len(lives), weight, self._posts.connected) is not None:
                self._held_cancels.update(dict.fromkeys(live.order_id for live in lives))
                continue
            cancel = CancelByCloid([CloidWire(self._assets[live.instrument], live.cloid) for live in lives], self._fast)
            handler = partial(self._on_cancelled, lives)
            if not self._send(now_ns, cancel, len(lives), _CANCEL, weight, None, handler):
                self._held_cancels.update(dict.fromkeys(live.order_id for live in lives))

    def _on_cancelled(self, lives: list[Live], now_ns: int, outcome: Outcome) -> None:
        """What became of a cancel action. A lost one is repeated by the engine, which waits for its answer."""
        if isinstance(outcome, Refused) and outcome.status in (0, TOO_MANY_REQUESTS):
            self._note_status(now_ns, outcome)
            self._held_cancels.update(
                dict.fromkeys(live.order_id for live in lives if live.order_id in self.tracker.live)
            )
            return
        statuses = self._statuses(now_ns, outcome, len(lives))
        if statuses is None:
            return
        for live, status in zip(lives, statuses, strict=True):
            if live.order_id not in self.tracker.live:
                continue
            if status == "success":
                self.tracker.finish(now_ns, live, CONFIRM_CANCEL, NONE, 0, live.seen)
            elif isinstance(status, Status) and status.error is not UNSET:
                reason = reason_of(status.error)
                if reason != VENUE_NEVER_PLACED:
                    self._listener.on_notice(
                        now_ns, "cancel_refused", {"order_id": live.order_id, "text": status.error[:300]}
                    )
                self.tracker.refuse_cancel(now_ns, live, reason)
            elif isinstance(status, int):
                self.tracker.refuse_cancel(now_ns, live, status)

    # -- sending and answers ----------------------------------------------------------------------

    def _refusal(self, now_ns: int, use: Use, actions: int, weight: int, stream: bool) -> Refusal | None:
        self._limits.in_flight = len(self._posts)
        return self._limits.refusal(now_ns, use, actions, weight, stream=stream)

    def _send(
        self,
        now_ns: int,
        action: Action,
        elements: int,
        use: Use,
        weight: int,
        expires: int | None,
        handler: Callable[[int, Outcome], None],
    ) -> bool:
        """Sign and send; False, and nothing sent, when there is no nonce to be had."""
        try:
            body = self._signer.body(action, expires, now_ns // MS)
        except (NonceWindowError, OSError) as error:
            self.notice(now_ns, "no_nonce", {"why": str(error)[:300]})
            return False
        stream = self._posts.action(now_ns, body, handler)
        if not stream:
            self._spawn(self._send_http(body, handler))
        self._limits.spend(now_ns, use, elements, weight, stream=stream)
        return True

    async def _send_http(self, body: bytes, handler: Callable[[int, Outcome], None]) -> None:
        outcome = await self._http.request("/exchange", body)
        handler(self._clock_ns(), outcome)

    def _statuses(self, now_ns: int, outcome: Outcome, count: int) -> Sequence[Status | str | int] | None:
        """Return an answer's statuses, a reason for each element when it was refused unread, None when unknown."""
        if isinstance(outcome, Answered):
            try:
                statuses = statuses_of(parse_answer(outcome.payload), count)
            except msgspec.DecodeError as error:
                statuses = None
                self._listener.on_notice(now_ns, "unreadable_answer", {"why": str(error)[:300]})
            else:
                self._limits.back_off.accepted(now_ns)
            return statuses
        self._note_status(now_ns, outcome)
        if isinstance(outcome, Refused):
            reason = VENUE_OTHER
            if outcome.status == TOO_MANY_REQUESTS:
                reason = VENUE_RATE_LIMIT
            elif outcome.status == 0:
                reason = VENUE_NOT_CONNECTED
            return [reason] * count
        return None

    def _note_status(self, now_ns: int, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            if outcome.status == TOO_MANY_REQUESTS:
                self._limits.refused_by_venue(now_ns)
            self._listener.on_notice(now_ns, "request_refused", {"status": outcome.status, "text": outcome.text[:300]})
        elif not isinstance(outcome, Answered):
            self._listener.on_notice(now_ns, "outcome_unknown", {"why": outcome.why[:300]})

    # -- questions --------------------------------------------------------------------------------

    def _ask(self, now_ns: int) -> None:
        for question in self.questions.due(now_ns):
            live = self.tracker.live.get(question.order_id)
            if live is None:
                self.questions.close(question)
                continue
            weight = info_weight("orderStatus")
            refusal = self._refusal(now_ns, _CANCEL, 0, weight, self._posts.connected)
            if refusal is not None:
                question.due_ns = now_ns + max(refusal.wait_ns, MS)
                continue
            body = b'{"type":"orderStatus","user":"%b","oid":"%b"}' % (self._user.encode(), live.cloid.encode())
            self.questions.asked(question, now_ns, live.version)
            handler = partial(self._on_told, question)
            stream = self._posts.info(now_ns, body, handler)
            if not stream:
                self._spawn(self._ask_http(body, handler))
            self._limits.spend(now_ns, Use.CANCEL, 0, weight, stream=stream)

    async def _ask_http(self, body: bytes, handler: Callable[[int, Outcome], None]) -> None:
        outcome = await self._http.request("/info", body)
        handler(self._clock_ns(), outcome)

    def _on_told(self, question: Question, now_ns: int, outcome: Outcome) -> None:
        """The answer to a question about an order."""
        live = self.tracker.live.get(question.order_id)
        if live is None:
            self.questions.close(question)
            return
        if not isinstance(outcome, Answered):
            self._note_status(now_ns, outcome)
            self.questions.again(question, now_ns)
            return
        try:
            told = _order_status(outcome.payload)
        except msgspec.DecodeError as error:
            self._listener.on_notice(now_ns, "unreadable_answer", {"why": str(error)[:300]})
            self.questions.again(question, now_ns)
            return
        if told.status == "unknownOid" or told.order is UNSET:
            if live.expires_ms and absence_is_definite(question.asked_ns, live.expires_ms):
                self.tracker.found_absent(now_ns, live, question.version)
            if question.order_id in self.tracker.live:
                self.questions.again(question, now_ns)
            else:
                self.questions.close(question)
            return
        record = told.order
        fate = fate_of(record.status)
        self.questions.close(question)
        if fate is None:
            self._listener.on_notice(now_ns, "unknown_status", {"status": record.status[:100]})
            return
        exch_ns = record.status_timestamp * MS
        if fate[0] is OrderFate.OPEN:
            self.tracker.found_open(now_ns, live, question.version, record.order.oid, exch_ns)
        else:
            self._ended(now_ns, live, fate, record.order.oid, record.order.sz, exch_ns)

    # -- the streams ------------------------------------------------------------------------------

    def on_update(self, now_ns: int, order_id: int, status: str, oid: int, remaining: str, exch_ns: int) -> None:
        """Take an order's new status; ignored when the order has ended or is not of this session."""
        live = self.tracker.live.get(order_id)
        if live is None:
            return
        fate = fate_of(status)
        if fate is None:
            self._listener.on_notice(now_ns, "unknown_status", {"status": status[:100], "order_id": order_id})
            self.questions.want(order_id, now_ns)
        elif fate[0] is OrderFate.OPEN:
            self.tracker.acknowledge(now_ns, live, oid, exch_ns)
        else:
            self._ended(now_ns, live, fate, oid, remaining, exch_ns)

    def _ended(
        self, now_ns: int, live: Live, fate: tuple[OrderFate, int], oid: int, remaining: str, exch_ns: int
    ) -> None:
        """An order's end, with what the venue says remained of it."""
        kind, reason = fate
        if kind is OrderFate.REJECTED:
            live.venue_order_id = live.venue_order_id or oid
            self.tracker.finish(now_ns, live, REJECT, reason, exch_ns)
            return
        self.tracker.acknowledge(now_ns, live, oid, exch_ns)
        if kind is OrderFate.FILLED:
            self.tracker.filled(now_ns, live, live.size, exch_ns)
            return
        rest = self._size_or_none(live, remaining)
        counted = live.seen if rest is None else max(live.size - rest, 0)
        self.tracker.finish(now_ns, live, CONFIRM_CANCEL, reason, exch_ns, counted)

    def _size_or_none(self, live: Live, text: str) -> int | None:
        try:
            return exact(text, int(self._instruments[live.instrument].size_scale))
        except ValueError:
            return None

    def tick(self, now_ns: int) -> None:
        """Look at what is overdue: answers, questions, held cancels, ends that wait for fills."""
        self._posts.expire(now_ns)
        if self._held_cancels:
            held, self._held_cancels = self._held_cancels, {}
            self._send_cancels(now_ns, list(held))
        self._ask(now_ns)
        self.tracker.check(now_ns)

    def resync(self, now_ns: int, open_orders: Sequence[FrontendOrder]) -> None:
        """After the streams were down, which repeat nothing: ask about every live order that the venue has not open.

        `open_orders` is its answer to which it has, asked after the streams were back.
        """
        by_cloid = {order.cloid: order.oid for order in open_orders if order.cloid}
        for live in list(self.tracker.live.values()):
            oid = by_cloid.get(live.cloid)
            if oid is None:
                self.questions.want(live.order_id, now_ns)
            else:
                self.tracker.acknowledge(now_ns, live, oid, 0)
        self._ask(now_ns)


class _InfoAnswer(msgspec.Struct):
    """An info post's payload wraps its answer in `type` and `data`; over HTTP it comes bare."""

    data: msgspec.Raw | msgspec.UnsetType = UNSET


_wrapped: Final = Reader[_InfoAnswer](_InfoAnswer)


def _order_status(payload: bytes) -> OrderStatus:
    wrapped = _wrapped.decode(payload)
    return ANSWERS.decode(payload if wrapped.data is UNSET else wrapped.data, OrderStatus)
