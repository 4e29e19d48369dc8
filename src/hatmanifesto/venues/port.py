"""The venue port: what a venue's adapter offers to the driver, and what it tells it. The next venue implements this.

An adapter lives on one asyncio loop and one thread. It calls its listener from that loop only, never inside a call
that the driver makes, so the engine is never entered twice. Times are nanoseconds since 1970, `now_ns` is the receipt
stamp and never decreases. Prices, sizes and money are integers in the instrument's own scales (model.instrument).

What the engine asks (place, cancel, query) is collected by the adapter's gateway and sent by `flush`, so that the
driver can journal a turn before its commands leave.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.ports import OrderGateway

ALL_INSTRUMENTS = -1


class Trust(IntEnum):
    """How far a market's data can be relied on; below LIVE nothing new is quoted."""

    DOWN = 0
    """No connection carries it."""
    SYNCING = 1
    """Connected, but a first whole book, or the account's own state, is still missing."""
    STALE = 2
    """Connected, and silent for too long."""
    BROKEN = 3
    """The venue sends what cannot be read or cannot be true."""
    LIVE = 4
    """Fresh and consistent."""


class VenueListener(ABC):
    """What an adapter tells its driver."""

    @abstractmethod
    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        """Take packed market rows (model.market_row, little-endian), one or more whole messages of one instrument."""

    @abstractmethod
    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None:
        """Take the venue's word on an own order: EngineInput.on_order_event's arguments."""

    @abstractmethod
    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None:
        """An order was sent and its answer will not come: it may or may not be at the venue."""

    @abstractmethod
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
    ) -> None:
        """Take a fill: EngineInput.on_fill's arguments; order_id 0 = not ours.

        An order of an earlier session keeps its order id here: ids go on from session to session.
        """

    @abstractmethod
    def on_funding(
        self,
        now_ns: int,
        instrument: int,
        amount: int,
        rate: int,
        position_size: int,
        oracle_price: int,
        exch_ts_ns: int,
    ) -> None:
        """Take a funding payment: EngineInput.on_funding's arguments; oracle_price 0 = not told."""

    @abstractmethod
    def on_trust(self, now_ns: int, instrument: int, trust: Trust, why: str) -> None:
        """An instrument's data (ALL_INSTRUMENTS: the account's own events) changed in how far it can be relied on."""

    @abstractmethod
    def on_notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        """Something that the journal keeps: a limit that binds, a connection, a message that could not be read."""


class VenueOrder(NamedTuple):
    """An open order as the venue has it; `order_id` and `session` are 0 when its client order id is not ours."""

    instrument: int
    coin: str
    venue_order_id: int
    session: int
    order_id: int
    purpose: int
    side: int
    price: int
    remaining: int
    size: int
    reduce_only: bool
    placed_ns: int
    client_order_id: str


class VenueFill(NamedTuple):
    """A fill as the venue has it; `order_id` and `session` are 0 when its client order id is not ours."""

    instrument: int
    session: int
    order_id: int
    venue_order_id: int
    side: int
    price: int
    size: int
    fee: int
    taker: bool
    exch_ts_ns: int
    trade_id: int


class VenueFunding(NamedTuple):
    """A funding payment as the venue has it: balance change in money units, rate as the journal has it."""

    instrument: int
    amount: int
    rate: int
    position_size: int
    oracle_price: int
    exch_ts_ns: int


class VenuePosition(NamedTuple):
    """A position: signed size, its entry cost (signed like the size, money units), and what is shown of it."""

    instrument: int
    coin: str
    size: int
    cost: int
    entry_price: str
    unrealized: int


class VenueAccount(NamedTuple):
    """The account at one moment, money units; `cash` is account value less unrealized P&L."""

    account_value: int
    cash: int
    withdrawable: int
    margin_used: int
    positions: tuple[VenuePosition, ...]
    exch_ts_ns: int


class VenueFees(NamedTuple):
    """This account's own rates after every discount, parts per billion; a negative maker fee is a rebate."""

    maker: int
    taker: int


class OrderFate(IntEnum):
    """What a venue says of an order that it was asked about."""

    OPEN = 0
    FILLED = 1
    CANCELLED = 2
    REJECTED = 3
    ABSENT = 4
    """It does not have it now; for a moment after sending, that proves nothing."""


class OrderReport(NamedTuple):
    """The answer to a question about one order."""

    fate: OrderFate
    reason: int
    venue_order_id: int
    exch_ts_ns: int
    status: str


class VenueGateway(OrderGateway):
    """An OrderGateway that collects what the engine asks, and sends it when told."""

    def flush(self, now_ns: int) -> None:
        """Send what was asked since the last flush. Refusals made here are told to the listener in a later turn."""
        raise NotImplementedError

    def adopt(self, order: "VenueOrder", filled: int) -> None:
        """Take over an open order of an earlier session, `filled` of which is booked: from here on it can be cancelled
        and asked about by its order id, and is told of, like one of this session's. Nothing is sent."""
        raise NotImplementedError


class Venue(ABC):
    """One account at one venue. `open`, then `start`, then `stop`; gateway and queries are there from `open` on.

    Queries raise VenueError when they got no definite answer; they are repeated within reason before.
    """

    instruments: Sequence[Instrument]

    @property
    @abstractmethod
    def gateway(self) -> VenueGateway:
        """Return where the engine's requests go."""

    @abstractmethod
    async def open(self, coins: Sequence[str]) -> Sequence[Instrument]:
        """Read the venue's rules and this account's fees, and return the instruments in the order asked for.

        Raises UserError for a coin that is not there, or an account or key that the venue does not know.
        """

    @abstractmethod
    async def start(
        self,
        listener: VenueListener,
        session: int,
        *,
        from_ns: int | None = None,
        booked: Collection[VenueFill] = (),
    ) -> None:
        """Connect the feeds and begin to tell the listener; client order ids carry `session` (32 bits).

        Fills and funding from the venue time `from_ns` on are told (None: from now), except fills that are `booked`
        already. Returns at once: `on_trust` says when data and own events can be relied on.
        """

    @abstractmethod
    async def watch(self) -> None:
        """Wait until `stop`; raises what the listener, or the adapter itself, raised in the background."""

    @abstractmethod
    async def stop(self) -> None:
        """Close every connection. What is under way stays unknown. Safe to call twice."""

    def rehearse(self, now_ns: int) -> None:  # noqa: B027 - a venue need not
        """Do what sending an order takes, but send nothing and change nothing: it keeps the way in the caches."""

    @abstractmethod
    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return every open order of the account, of other sessions and other programs too."""

    @abstractmethod
    async def order_report(self, session: int, order_id: int, purpose: int) -> OrderReport:
        """Ask what became of one of our orders, of this or an earlier session."""

    @abstractmethod
    async def fills_since(self, exch_ts_ns: int) -> Sequence[VenueFill]:
        """Return the account's fills from a moment on, oldest first, in the session's instruments."""

    @abstractmethod
    async def funding_since(self, exch_ts_ns: int) -> Sequence[VenueFunding]:
        """Return the account's funding payments from a moment on, oldest first, in the session's instruments."""

    @abstractmethod
    async def transfers_since(self, exch_ts_ns: int) -> int:
        """Return what was paid in less what was taken out from a moment on, in money units."""

    @abstractmethod
    async def prices(self) -> Mapping[int, int]:
        """Return a present price of each instrument by index; sizes given in money are turned into coins with it."""

    @abstractmethod
    async def account(self) -> VenueAccount:
        """Return balances and positions, those of markets that the session does not trade with instrument -1."""

    @abstractmethod
    async def fees(self) -> VenueFees:
        """Return the account's own fee rates."""

    @abstractmethod
    async def set_leverage(self, instrument: int, leverage: int, *, cross: bool) -> None:
        """Set an instrument's leverage; raises VenueError with the venue's words when it is refused."""

    @abstractmethod
    async def schedule_cancel(self, at_ns: int | None) -> None:
        """Ask the venue to cancel everything at a moment unless told otherwise (None: never).

        Raises VenueError when it is refused; not every account may.
        """

    @abstractmethod
    async def cancel_orders(self, orders: Sequence[VenueOrder]) -> int:
        """Cancel open orders by their venue ids, from the emergency reserve; returns how many the venue confirmed."""

    @abstractmethod
    async def clock_offset_ns(self) -> int:
        """Return the venue's clock minus ours, as well as it can be told (half the round trip is uncertain)."""


class VenueError(RuntimeError):
    """The venue refused, or gave no definite answer. `definite` tells a refusal from an outcome that is not known."""

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite
