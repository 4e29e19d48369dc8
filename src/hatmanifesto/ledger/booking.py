"""Booking fills and funding: positions, cash, attribution, and what each trade's row says of them.

Fills come by the million, so those between two events of another kind are booked together, column by column; only the
positions, whose closing profit is rounded step by step, are folded fill by fill.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger.attribution import FORCED, FUNDING, SLIPPAGE, SPREAD, Holding
from hatmanifesto.ledger.books import InstrumentBook
from hatmanifesto.ledger.exact import product, running
from hatmanifesto.ledger.general import General
from hatmanifesto.ledger.orders import OrderOfFill
from hatmanifesto.ledger.postings import funding_postings
from hatmanifesto.ledger.reason_codes import LIQUIDATED, OF_PURPOSES, RISK_REDUCTION, codes_of_desk
from hatmanifesto.ledger.roster import Roster
from hatmanifesto.ledger.told import Told
from hatmanifesto.model import record
from hatmanifesto.model.order import PURPOSE_SHIFT

Ints = NDArray[np.int64]


class Fills:
    """A batch's fills as columns, with the prices before them, the fees expected of them and their orders."""

    def __init__(self, told: Told, roster: Roster, orders: list[OrderOfFill]) -> None:
        columns = told.columns[record.FILL]
        aux = columns["aux"].astype(np.int64)
        self.roster = roster
        self.seq, self.ts, self.order_id, self.trade_id, self.price, self.size, self.fee, self.side, exch_ts = (
            columns[name]
            for name in ("seq", "ts_ns", "order_id", "trade_id", "price", "size", "fee", "side", "exch_ts_ns")
        )
        self.exch_ts: Ints = np.where(exch_ts > 0, exch_ts, self.ts)
        self.instrument, self.taker = aux >> 8, aux & 1
        self.factor = np.array(roster.factors)[self.instrument]
        self.signed: Ints = self.side * self.size
        self.value = product(self.price, self.size, self.factor)
        self.cash: Ints = -self.side * self.value - self.fee
        names, prices = roster.names, told.prices
        self.mid2 = prices.mids_before(names, self.instrument, self.seq)
        self.marks = [prices.marks[name].before(self.seq) for name in names]
        own = np.stack(self.marks)[self.instrument, np.arange(len(self.seq))]
        self.mark: Ints = np.where(own > 0, own, self.price)
        self.owner = roster.owners(self.order_id, self.instrument)
        self.orders = orders
        self.purpose = np.array([order.flags for order in orders], dtype=np.int64) >> PURPOSE_SHIFT
        self.expected: Ints = np.where(
            self.order_id < 0,
            self.fee,
            roster.fees.fees(self.exch_ts, self.instrument, self.value, self.taker, self.order_id >= 0),
        )


class Changes:
    """What the fills of one run changed, trade by trade: a forced fill has a trade for each strategy that shares it."""

    def __init__(self, rows: Ints) -> None:
        count = len(rows)
        self.row = rows
        self.part: Ints = np.zeros(count, dtype=np.int64)
        self.size, self.cost, self.realized, self.fee = (np.zeros(count, dtype=np.int64) for _ in range(4))
        self.position, self.position_cost, self.funding, self.equity = (
            np.zeros(count, dtype=np.int64) for _ in range(4)
        )
        self.strategy: list[str] = [""] * count
        self.code: list[str] = [""] * count
        self.regime: list[str] = []


class Booking:
    """Positions, holdings and cash while fills and funding are booked."""

    def __init__(
        self, general: General, books: dict[str, InstrumentBook], holdings: dict[tuple[str, str], Holding]
    ) -> None:
        self.general = general
        self.books = books
        self.holdings = holdings
        self.funding_since: dict[tuple[str, str], int] = {}
        """Funding of each holding since its last trade."""
        self.closing: dict[str, str] = {}
        """The reason code of what closes a strategy's positions, while a command to close holds."""
        self.reducing = False
        self.regime = ""
        self.fills: Fills
        self.done: list[Changes] = []

    def holding(self, strategy: str, name: str) -> Holding:
        """Return what a strategy holds of an instrument."""
        found = self.holdings.get((strategy, name))
        if found is None:
            found = self.holdings[(strategy, name)] = Holding()
        return found

    # -- fills of orders --------------------------------------------------------------------------

    def run(self, first: int, last: int) -> Ints:
        """Book the batch's fills from one row to before another; return the session's balance after each.

        The balance is that of the session's currency: settled cash and the entry cost of positions.
        """
        fills, roster = self.fills, self.fills.roster
        part = slice(first, last)
        instrument, owner = fills.instrument[part], fills.owner[part]
        done = Changes(np.arange(first, last))
        done.size, done.fee = fills.signed[part], fills.fee[part]
        done.regime = [self.regime] * (last - first)
        account_cost = np.zeros(last - first, dtype=np.int64)
        entry_cost = self.entry_cost(roster.opening.currency)
        before = {name: int(self.books[name].account.size) for name in roster.names}
        for index in np.unique(instrument).tolist():
            mine = instrument == index
            owners = np.unique(owner[mine]).tolist()
            book = self.books[roster.names[index]]
            alone = len(owners) == 1 and book.is_all_of(roster.owner_name(owners[0]))
            for who in owners:
                self._book_owned(done, np.flatnonzero(mine & (owner == who)), first, index, who)
            if alone:  # the account's position goes the way of the strategy's
                position = book.desk(roster.owner_name(owners[0]))
                book.account.size, book.account.cost = position.size, position.cost
                account_cost[mine] = done.cost[mine]
            else:
                _, account_cost[mine] = _fold(book.account, fills, np.flatnonzero(mine) + first)
        cash = self._cash_and_equity(done, before, part)
        self.done.append(done)
        return entry_cost + cash + np.cumsum(account_cost)

    def _book_owned(self, done: Changes, whose: Ints, first: int, index: int, who: int) -> None:
        """Book the fills of one strategy on one instrument, at these places of the run."""
        fills, roster = self.fills, self.fills.roster
        name, strategy = roster.names[index], roster.owner_name(who)
        position = self.books[name].desk(strategy)
        begin_size, begin_cost = int(position.size), int(position.cost)
        rows = whose + first
        signed = done.size[whose]
        realized, costs = _fold(position, fills, rows)
        after = running(begin_size, signed)
        held = after - signed
        done.realized[whose], done.cost[whose] = realized, costs
        done.position[whose], done.position_cost[whose] = after, running(begin_cost, costs)
        done.funding[whose[0]] = self.funding_since.pop((strategy, name), 0)
        shrinks = (np.sign(held) * np.sign(signed) < 0) & (np.abs(signed) <= np.abs(held))
        closing = self.closing.get(strategy, "") or (RISK_REDUCTION if self.reducing else "")
        codes = codes_of_desk(roster.owner_code(who), bool(strategy), closing)
        for place, shrunk, purpose in zip(whose.tolist(), shrinks.tolist(), fills.purpose[rows].tolist(), strict=True):
            done.strategy[place] = strategy
            done.code[place] = OF_PURPOSES.get(purpose, codes[shrunk]) if strategy else codes[shrunk]
        mid2 = fills.mid2[rows]
        self.holding(strategy, name).fill(
            fills.ts[rows],
            signed * self.books[name].factor,
            fills.price[rows],
            np.where(mid2 > 0, mid2, 2 * fills.mark[rows]),
            np.where(fills.taker[rows] > 0, SLIPPAGE, SPREAD),
            fills.fee[rows],
        )

    def _cash_and_equity(self, done: Changes, before: dict[str, int], part: slice) -> Ints:
        """Book the run's cash and work out equity after each fill; return the session currency's cash after each."""
        fills, roster, general = self.fills, self.fills.roster, self.general
        instrument = fills.instrument[part]
        found = np.zeros(len(instrument), dtype=np.int64)
        for currency in {general.currency_of[name] for name in roster.names}:
            members = [at for at, name in enumerate(roster.names) if general.currency_of[name] == currency]
            mine = np.isin(instrument, members)
            cash = running(general.cash[currency], np.where(mine, fills.cash[part], 0))
            worth = cash
            for index in members:
                name, own = roster.names[index], instrument == index
                if before[name] or own.any():
                    held = running(before[name], np.where(own, done.size, 0))
                    mark = np.where(own, fills.mark[part], fills.marks[index][part])
                    worth = worth + product(held, mark, np.full(len(held), self.books[name].factor))
            done.equity[mine] = worth[mine]
            general.cash[currency] = int(cash[-1])
            if currency == roster.opening.currency:
                found = cash
        return found

    def entry_cost(self, currency: str) -> int:
        """Return what the account's positions in a currency cost."""
        currency_of = self.general.currency_of
        return sum(int(book.account.cost) for name, book in self.books.items() if currency_of[name] == currency)

    # -- what the venue does by itself ------------------------------------------------------------

    def forced(self, row: int) -> None:
        """Book a fill that the venue forced, on the strategies whose positions it closes."""
        fills, roster = self.fills, self.fills.roster
        index = int(fills.instrument[row])
        name = roster.names[index]
        book, currency = self.books[name], self.general.currency_of[name]
        price, mid2, mark = int(fills.price[row]), int(fills.mid2[row]), int(fills.mark[row])
        shares = book.forced_fill(
            roster.held_by[index], int(fills.side[row]), price, int(fills.size[row]), int(fills.fee[row]),
            bool(fills.taker[row]),
        )  # fmt: skip
        self.general.cash[currency] += int(fills.cash[row])
        equity = self.general.cash[currency]
        for at, other in enumerate(roster.names):
            if self.general.currency_of[other] == currency:
                size = int(self.books[other].account.size)
                equity += size * (mark if at == index else int(fills.marks[at][row])) * self.books[other].factor
        done = Changes(np.full(len(shares), row))
        done.part = np.arange(len(shares))
        done.regime = [self.regime] * len(shares)
        for at, share in enumerate(shares):
            position = book.desk(share.strategy)
            done.strategy[at], done.code[at] = share.strategy, LIQUIDATED
            done.size[at], done.cost[at] = share.size, share.cost
            done.realized[at], done.fee[at] = share.realized, share.fee
            done.position[at], done.position_cost[at] = position.size, position.cost
            done.funding[at] = self.funding_since.pop((share.strategy, name), 0)
            done.equity[at] = equity
            self.holding(share.strategy, name).fill(
                *(np.array([value]) for value in (
                    int(fills.ts[row]), share.size * book.factor, price, mid2 or 2 * mark, FORCED, share.fee
                ))
            )  # fmt: skip
        self.done.append(done)

    def funding(self, roster: Roster, seq: int, ts: int, exch_ts: int, instrument: int, amount: int) -> None:
        """Book a funding payment on the strategies that hold the instrument."""
        name = roster.names[instrument]
        shares = self.books[name].pay(roster.held_by[instrument], amount)
        told = [(one.strategy, one.funding) for one in shares]
        postings = funding_postings(self.general.currency_of[name], name, told)
        self.general.book(seq, ts, "funding", postings, exch_ts)
        for strategy, paid in told:
            self.holding(strategy, name).parts[FUNDING] += 2 * paid
            key = (strategy, name)
            self.funding_since[key] = self.funding_since.get(key, 0) + paid


def _fold(position: Any, fills: Fills, rows: Ints) -> tuple[Ints, Ints]:
    """Apply fills to a position; return what each realized, and by how much it changed the position's cost."""
    apply, begin = position.apply_fill, int(position.cost)
    realized: list[int] = []
    costs: list[int] = []
    columns = (fills.side, fills.price, fills.size, fills.fee)
    taken = zip(*(column[rows].tolist() for column in columns), (fills.taker[rows] > 0).tolist(), strict=True)
    for side, price, size, fee, taker in taken:
        realized.append(apply(side, price, size, fee, taker))
        costs.append(position.cost)
    after = np.array(costs, dtype=np.int64)
    return np.array(realized, dtype=np.int64), np.diff(after, prepend=begin)
