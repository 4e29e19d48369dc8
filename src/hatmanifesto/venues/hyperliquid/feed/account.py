"""The account's own events: order updates, fills and funding, each told once, whatever is repeated or missed.

Nothing of these streams is numbered, so fills are known by (time, coin, trade id, side) and funding by (time, coin).
After a reconnect, or a fill that could not be read, the fills since the last known one are asked for; `begin` says from
when on they count at all.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import UNSET

from hatmanifesto.model.funding import FUNDING_SCALE
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT
from hatmanifesto.venues.hyperliquid.cloid import parse_cloid
from hatmanifesto.venues.hyperliquid.feed.seen import Seen
from hatmanifesto.venues.hyperliquid.limits import AddressBudget
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway
from hatmanifesto.venues.hyperliquid.wire.decimals import exact, rounded
from hatmanifesto.venues.hyperliquid.wire.info import Fill, FundingDelta
from hatmanifesto.venues.hyperliquid.wire.stream import FundingPayment, OrderUpdates
from hatmanifesto.venues.port import ALL_INSTRUMENTS, Trust, VenueFill, VenueFunding, VenueListener

MS: Final = 1_000_000
_FUNDING_DECIMALS: Final = len(str(FUNDING_SCALE)) - 1
_KNOWN_FILLS: Final = 20_000
_KNOWN_FUNDINGS: Final = 5_000
FEE_TOKEN: Final = "USDC"


def fill_key(fill: Fill) -> tuple[int, str, object, str]:
    """Return what a fill is known by: both sides of a trade with oneself share all but the side. Very old ones have no
    trade id."""
    return fill.time, fill.coin, fill.tid if fill.tid is not UNSET else (fill.oid, fill.start_position), fill.side


def venue_fill(fill: Fill, instrument: Instrument) -> VenueFill:
    """Return a fill in the instrument's units; raises ValueError when these cannot hold it.

    The fee is cut off at the money's last decimal.
    """
    ours = parse_cloid(fill.cloid)
    told = VenueFill(
        instrument=int(instrument.index),
        session=ours.session if ours else 0,
        order_id=ours.order_id if ours else 0,
        venue_order_id=fill.oid,
        side=1 if fill.side == "B" else -1,
        price=exact(fill.px, int(instrument.price_scale)),
        size=exact(fill.sz, int(instrument.size_scale)),
        fee=rounded(fill.fee, int(instrument.money_scale)),
        taker=fill.crossed,
        exch_ts_ns=fill.time * MS,
        trade_id=fill.tid if fill.tid is not UNSET else 0,
    )
    if told.price <= 0 or told.size <= 0:
        raise ValueError(f"price {fill.px:.40} or size {fill.sz:.40}")
    if told.price * told.size * int(instrument.notional_factor) > MAX_AMOUNT or abs(told.fee) > MAX_AMOUNT:
        raise ValueError(f"price {fill.px:.40} x size {fill.sz:.40} or fee {fill.fee:.40} is beyond 62 bits")
    return told


def venue_funding(payment: FundingPayment | FundingDelta, time_ms: int, instrument: Instrument) -> VenueFunding:
    """Return a funding payment in the instrument's units; raises ValueError for what is no number."""
    told = VenueFunding(
        instrument=int(instrument.index),
        amount=rounded(payment.usdc, int(instrument.money_scale)),
        rate=exact(payment.funding_rate, _FUNDING_DECIMALS),
        position_size=rounded(payment.szi, int(instrument.size_scale)),
        oracle_price=0,
        exch_ts_ns=time_ms * MS,
    )
    if max(abs(told.amount), abs(told.rate), abs(told.position_size)) > MAX_AMOUNT:
        raise ValueError(f"a payment of {payment.usdc:.40} at {payment.funding_rate:.40} is beyond 62 bits")
    return told


class AccountFeed:
    """Tells the listener fills and funding, and the gateway what becomes of its orders."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        session: int,
        gateway: HyperliquidGateway,
        budget: AddressBudget,
        listener: VenueListener,
    ) -> None:
        self._instruments = instruments
        self._session = session
        self._gateway = gateway
        self._budget = budget
        self._listener = listener
        self._fills: Final = Seen(_KNOWN_FILLS)
        self._fundings: Final = Seen(_KNOWN_FUNDINGS)
        self._from_ms = 0
        self._funding_from_ms = 0
        self.last_fill_ms = 0
        self.broken = False
        """A fill could not be read: positions are not known until it was asked for again and read."""
        self.on_unreadable: Callable[[], None] = lambda: None
        self.counts: Final[dict[str, int]] = dict.fromkeys(("fills", "duplicates", "old", "foreign", "fundings"), 0)

    def begin(self, from_ns: int) -> None:
        """Fills and funding from this venue time on count; earlier ones are someone else's to book."""
        self._from_ms = self._funding_from_ms = self.last_fill_ms = from_ns // MS

    def skip(self, fills: Iterable[tuple[int, str, int, str]]) -> None:
        """Fills (time in ms, coin, trade id, side as the venue writes it) that are booked already."""
        for key in fills:
            self._fills.add(key)

    def on_updates(self, message: OrderUpdates, now_ns: int) -> None:
        """Take order updates."""
        for update in message.data:
            order = update.order
            ours = parse_cloid(order.cloid)
            if ours is not None and ours.session == self._session:
                order_id = ours.order_id
            else:
                order_id = self._gateway.tracker.order_of(order.oid)
            if order_id:
                exch_ns = update.status_timestamp * MS
                self._gateway.on_update(now_ns, order_id, update.status, order.oid, order.sz, exch_ns)
            else:
                self.counts["foreign"] += 1

    def on_fills(self, fills: list[Fill], now_ns: int) -> None:
        """Take fills, of a stream's message, its snapshot or an answer, in any order."""
        if len(fills) > 1:
            fills = sorted(fills, key=lambda fill: fill.time)
        for fill in fills:
            if fill.time < self._from_ms:
                self.counts["old"] += 1
            elif (key := fill_key(fill)) in self._fills:
                self.counts["duplicates"] += 1
            elif self._fill(fill, now_ns):
                self._fills.add(key)

    def on_history(self, fills: list[Fill], now_ns: int) -> None:
        """Take the venue's answer to what was filled since the last known fill: what it has not, there was not."""
        self.broken = False
        self.on_fills(fills, now_ns)

    def _fill(self, fill: Fill, now_ns: int) -> bool:
        """Tell of a new fill; False when it cannot be read."""
        instrument = self._instruments.get(fill.coin)
        if instrument is None:
            self.counts["foreign"] += 1
            self._listener.on_notice(
                now_ns,
                "foreign_fill",
                {"coin": fill.coin[:40], "oid": fill.oid, "size": fill.sz[:40], "side": fill.side},
            )
            return True
        try:
            told = venue_fill(fill, instrument)
            if fill.fee_token not in (UNSET, FEE_TOKEN):
                raise ValueError(f"a fee in {fill.fee_token!r:.40}")
        except ValueError as error:
            self.broken = True
            self._listener.on_notice(
                now_ns, "unreadable_fill", {"coin": fill.coin, "oid": fill.oid, "why": str(error)[:300]}
            )
            self._listener.on_trust(now_ns, ALL_INSTRUMENTS, Trust.BROKEN, f"a fill could not be read: {error}"[:200])
            self.on_unreadable()
            return False
        order_id = told.order_id or self._gateway.tracker.order_of(fill.oid)
        live = self._gateway.tracker.live.get(order_id)
        if live is not None and told.session not in (0, self._session):
            ours = parse_cloid(live.cloid)
            if ours is None or ours.session != told.session:
                order_id, live = 0, None  # ids go on from session to session; this one was not continued
        if not order_id:
            self.counts["foreign"] += 1
            self._listener.on_notice(
                now_ns,
                "foreign_fill",
                {"coin": fill.coin, "oid": fill.oid, "session": told.session, "order_id": told.order_id},
            )
        self.counts["fills"] += 1
        self.last_fill_ms = max(self.last_fill_ms, fill.time)
        self._budget.note_volume(int(instrument.notional(told.price, told.size)))
        self._listener.on_fill(
            now_ns,
            order_id,
            told.instrument,
            told.side,
            told.price,
            told.size,
            told.fee,
            told.taker,
            told.exch_ts_ns,
            told.trade_id,
        )
        if live is not None:
            self._gateway.tracker.fill(now_ns, order_id, told.size)
        return True

    def on_fundings(self, payments: Iterable[FundingPayment], now_ns: int) -> None:
        """Take funding payments, repeated ones too."""
        for payment in sorted(payments, key=lambda payment: payment.time):
            instrument = self._instruments.get(payment.coin)
            if payment.time < self._funding_from_ms or not self._fundings.add((payment.time, payment.coin)):
                continue
            if instrument is None:
                self.counts["foreign"] += 1
                continue
            try:
                _, amount, rate, size, _, _ = venue_funding(payment, payment.time, instrument)
            except ValueError as error:
                self._listener.on_notice(now_ns, "unreadable_funding", {"coin": payment.coin, "why": str(error)[:300]})
                continue
            self.counts["fundings"] += 1
            self._listener.on_funding(now_ns, int(instrument.index), amount, rate, size, 0, payment.time * MS)
