"""What a session itself wrote about its money and positions: where it begins, and what the ledger is compared with."""

from typing import Any

from hatmanifesto.config.checkpoint import Checkpoint
from hatmanifesto.ledger.accounts import CASH, OPENING, POSITION_COST, Account
from hatmanifesto.ledger.attribution import Holding
from hatmanifesto.ledger.books import UNASSIGNED, InstrumentBook
from hatmanifesto.ledger.general import General
from hatmanifesto.ledger.postings import Posting
from hatmanifesto.ledger.prices import Prices
from hatmanifesto.ledger.roster import Roster


class Statements:
    """Books how a session begins, and reports where its own words differ from the ledger."""

    def __init__(
        self, general: General, prices: Prices, books: dict[str, InstrumentBook],
        holdings: dict[tuple[str, str], Holding],
    ) -> None:  # fmt: skip
        self.general = general
        self.prices = prices
        self.books = books
        self.holdings = holdings
        self.began = False
        """Whether any session has begun: from then on a session must begin as the one before ended."""
        self.opened = False
        """Whether the current one has."""
        self.cash_gap = 0
        self.roster: Roster

    # -- where it begins --------------------------------------------------------------------------

    def begin(self, seq: int, ts: int, cash: int, state: Checkpoint | None) -> None:
        """Book what the account begins with, or what is not as the session before left it."""
        currency = self.roster.opening.currency
        postings: list[Posting] = []
        for index, name in enumerate(self.roster.names):
            postings += self._begin_with(seq, index, name, state)
        cost = sum(posting.amount for posting in postings)
        account_cost = sum(int(self.books[name].account.cost) for name in self.roster.names)
        change = cash - account_cost - self.general.cash[currency]
        if self.began and change + cost:
            self.general.issue(
                seq, "continuity", f"begins with {cash} money units, {change + cost} more than the ledger had"
            )
        outside = change + sum(
            posting.quantity * self._mark(posting.account.instrument) * self.books[posting.account.instrument].factor
            for posting in postings
        )
        if change:
            postings.append(Posting(Account(CASH, currency), change))
        if change + cost:
            postings.append(Posting(Account(OPENING, currency), -change - cost))
        if postings:
            self.general.book(seq, ts, "opening", postings)
        if outside:
            self.general.pay_in(currency, outside)
        self.began = True
        self.opened = True

    def _begin_with(self, seq: int, index: int, name: str, state: Checkpoint | None) -> list[Posting]:
        """Take over an instrument's position and return its side of the opening transaction."""
        book, currency = self.books[name], self.roster.opening.currency
        begins = state.holdings[index] if state else None
        size, worth = (begins.size, begins.cost) if begins else (0, 0)
        held, cost = int(book.account.size), int(book.account.cost)
        if (size, worth) == (held, cost):
            return []
        if self.began:
            self.general.issue(
                seq, "continuity", f"{name}: begins with {size} at {worth}, the ledger had {held} at {cost}"
            )
        book.account.size, book.account.cost = size, worth
        shares: list[tuple[str, int, int]] = []
        if state and not self.began:
            for desk, position in zip(self.roster.desks, state.desks, strict=True):
                if desk.instrument == index and (position.size or position.cost):
                    shares.append((self.roster.strategies[desk.strategy], position.size, position.cost))
        rest = size - held - sum(one[1] for one in shares), worth - cost - sum(one[2] for one in shares)
        if any(rest):
            shares.append((UNASSIGNED, *rest))
        return [self._share(name, currency, strategy, part, part_cost) for strategy, part, part_cost in shares]

    def _share(self, name: str, currency: str, strategy: str, size: int, cost: int) -> Posting:
        """Give a strategy its share of a position that a session begins with."""
        book = self.books[name]
        position = book.desk(strategy)
        position.size += size
        position.cost += cost
        mid2, mark = int(self.prices.mids[name].value[0]), self._mark(name)
        known = mark or abs(cost) // max(1, abs(size) * book.factor)
        holding = self.holdings.setdefault((strategy, name), Holding())
        holding.open(size * book.factor, mid2 or 2 * known, known)
        if not mark and known:
            self.prices.marks[name].value[0] = known
        return Posting(Account(POSITION_COST, currency, name, strategy), cost, size)

    def _mark(self, name: str) -> int:
        return int(self.prices.marks[name].value[0])

    # -- what it says later -----------------------------------------------------------------------

    def checkpoint(self, seq: int, ts: int, state: Checkpoint) -> None:
        """The first one says where a live session begins; later ones are compared."""
        cash = state.deposit + sum(one.realized - one.fees + one.rebates + one.funding for one in state.holdings)
        if not self.opened:
            for name, mark in zip(self.roster.names, state.marks, strict=True):
                if mark > 0:
                    self.prices.set_mark(name, mark)
            self.begin(seq, ts, cash, state)
            return
        self.check_balances([seq], [cash], [self.balance()])
        for name, one in zip(self.roster.names, state.holdings, strict=True):
            self._check_size(seq, name, int(one.size), "says")

    def closing(self, seq: int, closing: dict[str, Any]) -> None:
        """Compare with the session's last record."""
        if "cash" in closing:
            self.check_balances([seq], [int(closing["cash"])], [self.balance()])
        for name, told in closing.get("positions", {}).items():
            if name in self.books:
                self._check_size(seq, name, int(told["size"]), "closed with")

    def balance(self) -> int:
        """Return the venue's balance as the ledger has it now: settled cash with the entry cost of positions."""
        currency, currency_of = self.roster.opening.currency, self.general.currency_of
        costs = (int(book.account.cost) for name, book in self.books.items() if currency_of[name] == currency)
        return self.general.cash[currency] + sum(costs)

    def check_balances(self, seqs: list[int], told: list[int], balances: list[int]) -> None:
        """Compare what the session said with the ledger's balances; a gap is reported when it changes."""
        currency_of = self.general.currency_of
        if any(currency_of[name] != self.roster.opening.currency for name in self.roster.names):
            return  # a session counts its money in one currency
        for seq, cash, balance in zip(seqs, told, balances, strict=True):
            if balance - cash != self.cash_gap:
                self.cash_gap = balance - cash
                self.general.issue(seq, "cash_differs", f"the session says {cash}, the ledger {balance} money units")

    def _check_size(self, seq: int, name: str, size: int, verb: str) -> None:
        held = int(self.books[name].account.size)
        if size != held:
            self.general.issue(seq, "position_differs", f"{name}: the session {verb} {size}, the ledger has {held}")
