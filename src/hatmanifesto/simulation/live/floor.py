"""What all instruments of the live market share: the clock, the counters, the accounts, the events of the block."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import RATE_SCALE
from hatmanifesto.simulation.live.account import AccountRules, LiveAccount
from hatmanifesto.simulation.live.events import Event, OrderChanged
from hatmanifesto.simulation.live.orders import LiveOrder


@final
class LiveOptions:
    """How strict the venue is. Rates in parts per billion, money in money units (10^-6 USDC); 0 switches a rule off.

    asset_ids: the venue's number of each instrument (its index when left out), which refusals end with.
    reference_band: largest distance of an order's price from the reference price (mark, else oracle, else mid).
    oracle_band: largest distance from the oracle price; the venue's own width is not published, so it is off.
    trigger_slippage: how far a fired market trigger may trade from the mark price.
    open_orders: orders an account may have open, plus one for each `volume_per_order` it traded, at most
    `most_open_orders`; from `open_orders` on reduce-only and trigger orders are refused.
    schedule_volume: volume an account must have traded before it may schedule a cancel.
    twap_minimum: what a TWAP must be worth as a whole. twap_slippage: how far its suborders may trade from the middle.
    taking_delay_blocks: blocks that taking actions wait longer than others (cancels overtake them on the real venue).
    """

    def __init__(
        self,
        *,
        asset_ids: list[int] | None = None,
        first_oid: int = 1,
        first_tid: int = 1,
        reference_band: int = 950_000_000,
        oracle_band: int = 0,
        trigger_slippage: int = 100_000_000,
        open_orders: int = 1000,
        volume_per_order: int = 5_000_000_000_000,
        most_open_orders: int = 5000,
        schedule_volume: int = 1_000_000_000_000,
        twap_minimum: int = 100_000_000,
        twap_slippage: int = 30_000_000,
        taking_delay_blocks: int = 0,
    ) -> None:
        self.asset_ids: Final[list[int]] = asset_ids or []
        self.first_oid: Final[int] = first_oid
        self.first_tid: Final[int] = first_tid
        self.reference_band: Final[int] = reference_band
        self.oracle_band: Final[int] = oracle_band
        self.trigger_slippage: Final[int] = trigger_slippage
        self.open_orders: Final[int] = open_orders
        self.volume_per_order: Final[int] = volume_per_order
        self.most_open_orders: Final[int] = most_open_orders
        self.schedule_volume: Final[int] = schedule_volume
        self.twap_minimum: Final[int] = twap_minimum
        self.twap_slippage: Final[int] = twap_slippage
        self.taking_delay_blocks: Final[int] = taking_delay_blocks


@final
class Floor:
    """See the module's text."""

    def __init__(self, instruments: list[Instrument], rules: AccountRules, options: LiveOptions) -> None:
        self.instruments: Final[list[Instrument]] = instruments
        self.rules: Final[AccountRules] = rules
        self.options: Final[LiveOptions] = options
        self.accounts: Final[list[LiveAccount]] = []
        self.now_ns: i64 = 0
        self.post_only_until_ns: i64 = 0
        self.events: list[Event] = []
        self._oid: i64 = options.first_oid - 1
        self._tid: i64 = options.first_tid - 1

    def next_oid(self) -> i64:
        """Return a new order id; one counter for all instruments."""
        self._oid += 1
        return self._oid

    def next_tid(self) -> i64:
        """Return a new trade id."""
        self._tid += 1
        return self._tid

    def tell(self, order: LiveOrder, status: str) -> None:
        """Report a new status of an order."""
        self.events.append(OrderChanged(order, status))

    def refusal_text(self, text: str, instrument: i64) -> str:
        """Return a refusal as it is answered: with the asset's number."""
        ids = self.options.asset_ids
        return f"{text} asset={ids[instrument] if ids else instrument}"

    def open_order_limit(self, account: LiveAccount) -> int:
        """Return how many orders an account may have open."""
        options = self.options
        earned = int(account.volume) // options.volume_per_order if options.volume_per_order else 0
        return min(options.open_orders + earned, options.most_open_orders)


def beyond_band(price: i64, reference: i64, band: int) -> bool:
    """Tell whether a price is farther than band (parts per billion) from a reference; never when either is 0."""
    if band == 0 or reference == 0:
        return False
    distance = int(price - reference)
    return abs(distance) * RATE_SCALE > int(reference) * band
