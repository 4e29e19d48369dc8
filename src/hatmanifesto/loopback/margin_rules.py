"""Money's rules at the loopback exchange: fee tiers, cross margin, leverage, and who is liquidated."""

from mypy_extensions import i64

from hatmanifesto.model.fees import AccountFees
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import MarginTable, initial_margin
from hatmanifesto.simulation.live.account import AccountRules, LiveAccount

DEFAULT_LEVERAGE = 20


class MarginRules(AccountRules):
    """Cross margin on every market. `marks` are read through a callable, since they move block by block.

    An order that could add to the position needs initial margin for the larger of the two sides' worst case; source:
    the reference leaves the venue's netting of open orders open, this is the conservative reading.
    """

    def __init__(self, tables: list[MarginTable]) -> None:
        self.tables = tables
        self.marks: list[int] = [0 for _ in tables]
        self.leverage: dict[tuple[int, int], int] = {}
        self.fees: dict[int, AccountFees] = {}
        self.unlimited: set[int] = set()
        self.now_ns = 0

    def leverage_of(self, account: LiveAccount, instrument: Instrument) -> int:
        """Return an account's leverage on a market."""
        index = int(instrument.index)
        return self.leverage.get((int(account.index), index), min(DEFAULT_LEVERAGE, self.tables[index].max_leverage))

    def fee(self, account: LiveAccount, instrument: Instrument, notional: i64, crossed: bool) -> i64:
        fees = self.fees.get(int(account.index))
        if fees is None:
            return super().fee(account, instrument, notional, crossed)
        return fees.charge(self.now_ns, int(instrument.index), notional, crossed)

    def equity(self, account: LiveAccount) -> int:
        """Return the account's value at the present marks."""
        return int(account.equity([i64(mark) for mark in self.marks]))

    def needed(self, account: LiveAccount, extra: tuple[int, int, int] | None = None) -> int:
        """Return the initial margin of positions and open orders, with one more order (instrument, side, size)."""
        total = 0
        for index, holding in enumerate(account.holdings):
            size = int(holding.position.size)
            buys, sells = int(holding.open_buy_size), int(holding.open_sell_size)
            if extra is not None and extra[0] == index:
                if extra[1] > 0:
                    buys += extra[2]
                else:
                    sells += extra[2]
            worst = max(abs(size), abs(size + buys), abs(size - sells))
            if worst:
                notional = int(holding.instrument.notional(self.marks[index], worst))
                total += int(initial_margin(notional, self.leverage_of(account, holding.instrument)))
        return total

    def maintenance(self, account: LiveAccount) -> int:
        """Return the maintenance margin of all positions."""
        total = 0
        for index, holding in enumerate(account.holdings):
            size = abs(int(holding.position.size))
            if size:
                total += int(self.tables[index].maintenance(holding.instrument.notional(self.marks[index], size)))
        return total

    def may_open(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        if int(account.index) in self.unlimited:
            return True
        return self.needed(account, (int(instrument.index), int(side), int(size))) <= self.equity(account)

    def may_fill(
        self, account: LiveAccount, instrument: Instrument, side: i64, price: i64, size: i64, mark: i64
    ) -> bool:
        if int(account.index) in self.unlimited:
            return True
        return self.needed(account) <= self.equity(account)

    def set_leverage(self, account: LiveAccount, instrument: Instrument, leverage: i64, cross: bool) -> str:
        index = int(instrument.index)
        if not cross:
            return "Isolated margin is not simulated here."
        if not 1 <= leverage <= self.tables[index].max_leverage:
            return "Invalid leverage value"
        key = (int(account.index), index)
        before = self.leverage.get(key)
        self.leverage[key] = int(leverage)
        if int(account.holdings[index].position.size) and self.needed(account) > self.equity(account):
            if before is None:
                del self.leverage[key]
            else:
                self.leverage[key] = before
            return (
                "Cross position does not have sufficient margin available to decrease leverage. "
                "To decrease leverage, deposit more collateral."
            )
        return ""

    def change_margin(self, account: LiveAccount, instrument: Instrument, amount: i64) -> str:
        return "Position does not use isolated margin."
