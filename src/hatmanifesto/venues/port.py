"""The venue port: what a venue's adapter tells a trading session, and what the session asks of it.

An adapter owns connections, keys, nonces, rate limits and the venue's wire format; a session owns the engine and the
journal. Both live on one event loop: an adapter calls its `Listener` from there and nothing else, and `send` never
blocks. Prices, sizes and money are integers in the units of the instruments that the session passed to `open`;
times are nanoseconds; `order_id` is the engine's, which the adapter carries in the venue's client order id together
with the session's number, so that an order can be found again after a crash.

The conformance suite (tests/venues/conformance.py) is what an adapter must pass.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument

NOT_OURS = 0
"""The order id of an order or fill that does not carry our prefix."""


class Place(NamedTuple):
    """A new order. Where the venue can, it must refuse the order once `expires_ns` (venue's clock) has passed."""

    order_id: int
    instrument: int
    side: int
    price: int
    size: int
    time_in_force: int
    reduce_only: bool
    purpose: int
    expires_ns: int


class Cancel(NamedTuple):
    """A cancel by client order id; `session` is the one that placed the order."""

    order_id: int
    instrument: int
    session: int


class Query(NamedTuple):
    """A question what became of an order, asked until it is answered definitely.

    The venue may say that it never saw the order only when it cannot arrive any more: after `expires_ns`.
    """

    order_id: int
    instrument: int
    session: int
    expires_ns: int


class VenueFill(NamedTuple):
    """A fill as the venue booked it. `trade_id` is unique an account and instrument; fee in money units, - = rebate."""

    ts_ns: int
    session: int
    order_id: int
    instrument: int
    side: int
    price: int
    size: int
    fee: int
    taker: bool
    trade_id: int
    venue_order_id: int
    liquidation: bool = False


class VenueFunding(NamedTuple):
    """A funding payment; `amount` is the balance change in money units, `rate` as in the journal."""

    ts_ns: int
    instrument: int
    amount: int
    rate: int
    position_size: int
    oracle_price: int


class VenueOrder(NamedTuple):
    """An open order at the venue; `order_id` is NOT_OURS without our prefix."""

    session: int
    order_id: int
    venue_order_id: int
    instrument: int
    side: int
    price: int
    remaining: int
    ts_ns: int


class VenuePosition(NamedTuple):
    """A position: signed size, and its entry cost (signed like the size, money units)."""

    instrument: int
    size: int
    cost: int


class VenueAccount(NamedTuple):
    """The account at one moment. `cash` is equity without unrealized profit; all in money units.

    `foreign_positions` are (name, signed size text) of markets that this session does not trade.
    """

    ts_ns: int
    equity: int
    cash: int
    positions: list[VenuePosition]
    foreign_positions: list[tuple[str, str]]


class FeeRates(NamedTuple):
    """The account's rates in parts per billion of notional; negative = rebate."""

    maker: int
    taker: int


class Listener(Protocol):
    """What a session hears. Calls come one at a time, each with everything that arrived together."""

    def on_rows(self, words: vec[i64]) -> None:
        """Packed market rows (model.market_row) of whole messages, stamped with the receipt time."""

    def on_order_event(
        self, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int, text: str
    ) -> None:
        """The venue's word on one of this session's orders; `text` as the venue put it when it refused."""

    def on_fill(self, fill: VenueFill) -> None:
        """A fill of this account, of whatever session or origin; may come twice."""

    def on_funding(self, payment: VenueFunding) -> None:
        """A funding payment; may come twice."""

    def on_feed(self, instrument: int, trusted: bool, why: str) -> None:
        """Whether an instrument's market data can be trusted from here on (-1: all of them)."""

    def on_account_stream(self, whole: bool, why: str) -> None:
        """Whether order and fill messages arrive. After each return to True something may have been missed."""

    def on_fault(self, what: str, detail: str) -> None:
        """Something the venue said or did that must not be: counted and journaled, never fatal. No secrets."""


class Venue(Protocol):
    """One account at one venue."""

    @property
    def name(self) -> str:
        """A short name for people, such as `hyperliquid`."""

    async def describe(self, names: Sequence[str]) -> list[Instrument]:
        """Return these instruments as the venue defines them. Raises UserError naming those it does not have."""

    async def open(self, session: int, instruments: Sequence[Instrument], listener: Listener) -> None:
        """Connect, subscribe, and tell the listener from here on. Raises UserError when that cannot be done."""

    def send(self, places: Sequence[Place], cancels: Sequence[Cancel], queries: Sequence[Query]) -> None:
        """Send what one turn of the engine asked for: cancels first. Never blocks, never raises.

        Each is answered through the listener, or not at all: the engine's deadlines take care of that.
        """

    async def account(self) -> VenueAccount:
        """Ask where the account stands. This and the other questions raise OSError when there is no answer."""

    async def open_orders(self) -> list[VenueOrder]:
        """Ask for every open order of the session's instruments, ours or not."""

    async def fills_since(self, ts_ns: int) -> list[VenueFill]:
        """Ask for every fill from a moment on, oldest first."""

    async def funding_since(self, ts_ns: int) -> list[VenueFunding]:
        """Ask for every funding payment from a moment on, oldest first."""

    async def transfers_since(self, ts_ns: int) -> int:
        """Ask what was paid in less what was taken out from a moment on, money units."""

    async def fee_rates(self) -> FeeRates:
        """Ask for the account's fee tier."""

    async def clock_offset_ns(self) -> int:
        """Measure venue's clock less ours."""

    async def cancel_all(self) -> int:
        """Cancel every open order that carries our prefix, of any session; return how many were open."""

    async def close(self) -> None:
        """Disconnect; what is under way is lost. Never raises."""
