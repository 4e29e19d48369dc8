"""A participant's side of the live market: positions, open orders, and the rules that money imposes.

`AccountRules` is the seam to fees and margin: the market asks it before an order is taken, before a resting
order is filled, and tells it what was booked. The base class charges the instrument's fees and knows no margin.
"""

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import rate_of
from hatmanifesto.model.position import Position
from hatmanifesto.simulation.live.orders import LiveOrder


@final
class Holding:
    """One account's position and orders on one instrument.

    `open_*` are totals of resting orders that are not reduce-only: what could still add to the position.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument: Final[Instrument] = instrument
        self.position: Final[Position] = Position(instrument.notional_factor)
        self.resting: Final[dict[int, LiveOrder]] = {}  # oldest first
        self.reducing: Final[dict[int, LiveOrder]] = {}  # those of them that are reduce-only
        self.triggers: Final[dict[int, LiveOrder]] = {}  # armed or waiting for their parent
        self.open_buy_size: i64 = 0
        self.open_buy_notional: i64 = 0
        self.open_sell_size: i64 = 0
        self.open_sell_notional: i64 = 0

    def count_open(self, order: LiveOrder, size: i64) -> None:
        """Add a size (negative: take away) of a resting order to the totals."""
        if order.reduce_only:
            return
        notional = self.instrument.notional(order.price, size)
        if order.side > 0:
            self.open_buy_size += size
            self.open_buy_notional += notional
        else:
            self.open_sell_size += size
            self.open_sell_notional += notional


@final
class LiveAccount:
    """One address. Amounts in money units; `cash` is what was paid in, less fees, plus realized profit and funding."""

    def __init__(self, index: i64, name: str, instruments: list[Instrument], cash: i64) -> None:
        self.index: Final[i64] = index
        self.name: Final[str] = name
        self.holdings: Final[list[Holding]] = [Holding(instrument) for instrument in instruments]
        self.by_cloid: Final[dict[str, LiveOrder]] = {}
        self.orders: Final[dict[int, LiveOrder]] = {}
        """Everything open: resting, armed and waiting orders, oldest first."""
        self.cash: i64 = cash
        self.volume: i64 = 0
        self.cancel_at_ns: i64 = 0
        self.cancel_day: i64 = 0
        self.cancels_fired: i64 = 0

    def equity(self, marks: list[i64]) -> i64:
        """Return the account's value with every position at these mark prices, by instrument index."""
        value = self.cash
        for at in range(len(self.holdings)):
            position = self.holdings[at].position
            if position.size != 0:
                value += position.unrealized(marks[at])
        return value


@mypyc_attr(allow_interpreted_subclasses=True)
class AccountRules:
    """What money allows. Derive from it for fee tiers and margin; the base has neither."""

    def fee(self, account: LiveAccount, instrument: Instrument, notional: i64, crossed: bool) -> i64:
        """Return the fee of a fill in money units, negative = rebate, truncated toward zero as the venue does."""
        return rate_of(notional, instrument.taker_fee if crossed else instrument.maker_fee)

    def may_open(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        """Tell whether an order that could add to the position has the margin it needs."""
        return True

    def within_tier(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        """Tell whether the position that an order could make is allowed at the account's leverage."""
        return True

    def may_fill(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        """Tell whether a resting order still has its margin when it is about to be filled."""
        return True

    def booked(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, fee: i64, crossed: bool
    ) -> None:
        """A fill was booked."""

    def funded(self, account: LiveAccount, instrument: Instrument, amount: i64) -> None:
        """A funding payment was booked; `amount` is the balance's change."""

    def set_leverage(self, account: LiveAccount, instrument: Instrument, leverage: i64, cross: bool) -> str:
        """Set the leverage; return the venue's refusal, or nothing."""
        return ""

    def change_margin(self, account: LiveAccount, instrument: Instrument, amount: i64) -> str:
        """Move money into or out of an isolated position; return the venue's refusal, or nothing."""
        return ""
