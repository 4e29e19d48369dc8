"""Money's rules at the loopback exchange: fee tiers, cross and isolated margin, leverage, position tiers.

Every participant has a MarginAccount (model.margin_account), which is kept beside what the matcher books and decides.
Those who make the market have none: their means are without bound, and they pay no fees.
"""

from collections.abc import Sequence
from typing import Final

from mypy_extensions import i64

from hatmanifesto.model.fees import AccountFees
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import MarginTable
from hatmanifesto.model.margin_account import MarginAccount, MarginLeg
from hatmanifesto.model.reasons import NONE, VENUE_MARGIN, VENUE_POSITION_TIER
from hatmanifesto.simulation.live.account import AccountRules, LiveAccount
from hatmanifesto.simulation.live.market import LiveMarket

DEFAULT_LEVERAGE: Final = 20


class MarginRules(AccountRules):
    """See the module's text. `markets` are the matcher's, whose marks count; set them before the first account."""

    def __init__(self, tables: list[MarginTable]) -> None:
        self.tables: Final = tables
        self.markets: Sequence[LiveMarket] = ()
        self.fees: Final[dict[int, AccountFees]] = {}
        self.now_ns = 0
        self._accounts: Final[dict[int, MarginAccount]] = {}
        self._live: Final[dict[int, LiveAccount]] = {}

    def enter(self, account: LiveAccount, fees: AccountFees) -> None:
        """Put an account, empty as yet, under these rules."""
        index = int(account.index)
        legs = [
            MarginLeg(holding.instrument, table, min(DEFAULT_LEVERAGE, table.max_leverage))
            for holding, table in zip(account.holdings, self.tables, strict=True)
        ]
        self._accounts[index] = MarginAccount(0, legs)
        self._live[index] = account
        self.fees[index] = fees

    def of(self, account: LiveAccount) -> MarginAccount:
        """Return an account's margin at the present marks, with its open orders; KeyError for one without."""
        margin = self._accounts[int(account.index)]
        for leg, holding, market in zip(margin.legs, account.holdings, self.markets, strict=True):
            leg.mark_price = i64(market.prices.reference())
            leg.open_buy = holding.open_buy_size
            leg.open_sell = holding.open_sell_size
        return margin

    def pay(self, account: LiveAccount, amount: int) -> None:
        """Pay money units into an account's cross cash, or (negative) out of it."""
        account.cash += amount
        self._accounts[int(account.index)].raw += amount

    # -- what the matcher asks --------------------------------------------------------------------

    def fee(self, account: LiveAccount, instrument: Instrument, notional: i64, crossed: bool) -> i64:
        fees = self.fees.get(int(account.index))
        return i64(0) if fees is None else fees.charge(i64(self.now_ns), instrument.index, notional, crossed)

    def may_open(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        return self._refusal(account, instrument, side, price, size) != VENUE_MARGIN

    def within_tier(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        return self._refusal(account, instrument, side, price, size) != VENUE_POSITION_TIER

    def may_fill(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        return self._refusal(account, instrument, side, price, 0) != VENUE_MARGIN

    def _refusal(self, account: LiveAccount, instrument: Instrument, side: int, price: int, size: int) -> int:
        if int(account.index) not in self._accounts:
            return NONE
        return int(self.of(account).refusal(instrument.index, i64(side), i64(price), i64(size)))

    def set_leverage(self, account: LiveAccount, instrument: Instrument, leverage: i64, cross: bool) -> str:
        if int(account.index) not in self._accounts:
            return ""
        return str(self.of(account).set_leverage(instrument.index, int(leverage), not cross))

    def change_margin(self, account: LiveAccount, instrument: Instrument, amount: i64) -> str:
        if int(account.index) not in self._accounts:
            return ""
        return str(self.of(account).move_isolated_margin(instrument.index, amount))

    # -- what the matcher tells -------------------------------------------------------------------

    def booked(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, fee: i64, crossed: bool
    ) -> None:
        margin = self._accounts.get(int(account.index))
        if margin is not None:
            margin.apply_fill(instrument.index, side, price, size, fee, crossed)

    def funded(self, account: LiveAccount, instrument: Instrument, amount: i64) -> None:
        margin = self._accounts.get(int(account.index))
        if margin is None:
            return
        leg = margin.legs[int(instrument.index)]
        leg.position.apply_funding(amount)
        if leg.isolated:
            leg.raw += amount
        else:
            margin.raw += amount
