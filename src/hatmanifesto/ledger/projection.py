"""From journal records to ledger rows, batch after batch; the same journal gives the same rows however it is cut.

What a batch adds is collected in `Rows`; what the next batch must know is in `state`. Both are written together, so
that a crash leaves the ledger as it was after a whole batch, from where the journal is read on.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.config.checkpoint import checkpoint_from_json
from hatmanifesto.journal.columns import Batch, decode
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import Account
from hatmanifesto.ledger.attribution import HOUR_NS, Holding
from hatmanifesto.ledger.booking import Booking, Fills
from hatmanifesto.ledger.books import InstrumentBook
from hatmanifesto.ledger.fee_model import DEFAULT_TOLERANCE, FeeTolerance
from hatmanifesto.ledger.fills import FillColumns
from hatmanifesto.ledger.general import General
from hatmanifesto.ledger.markouts import Markouts, matured_rows
from hatmanifesto.ledger.orders import FindOrder, Orders
from hatmanifesto.ledger.postings import transfer_postings
from hatmanifesto.ledger.prices import Prices
from hatmanifesto.ledger.reason_codes import closing_code
from hatmanifesto.ledger.roster import Roster
from hatmanifesto.ledger.rows import Rows
from hatmanifesto.ledger.sources import Opening, opening_of
from hatmanifesto.ledger.statements import Statements
from hatmanifesto.ledger.told import OF_ORDERS, Told
from hatmanifesto.model import record

Ints = NDArray[np.int64]
_PLAIN: Final = ("hour", "last_ts", "gap", "last_signal")
_OF_STATEMENTS: Final = ("began", "opened", "cash_gap")
_OF_BOOKING: Final = ("closing", "reducing", "regime")
"""Parts of the state that are plain values."""
_RUN: Final = np.zeros(256, dtype=bool)
_RUN[[*OF_ORDERS, record.EQUITY]] = True
"""Kinds that may lie between fills which are booked together; forced fills apart."""


class Projection:
    """The fold over all journals of a ledger, in their order. `find_order` looks up an order that is not at hand."""

    def __init__(
        self, find_order: FindOrder = lambda order_id: None, tolerance: FeeTolerance = DEFAULT_TOLERANCE
    ) -> None:
        self.tolerance = tolerance
        self.general = General()
        self.prices = Prices()
        self.orders = Orders(find_order)
        self.books: dict[str, InstrumentBook] = {}
        self.holdings: dict[tuple[str, str], Holding] = {}
        self.markouts = Markouts()
        self.statements = Statements(self.general, self.prices, self.books, self.holdings)
        self.booking = Booking(self.general, self.books, self.holdings)
        self.hour = -1
        self.gap = False
        self.last_ts = 0
        self.last_signal = -1
        self.roster: Roster | None = None
        self._trading: Roster
        """The roster, once there is one."""

    # -- journals ---------------------------------------------------------------------------------

    def begin_journal(self, number: int) -> None:
        """Go on to the next journal."""
        self.general.journal = number
        self.roster = None
        self.statements.opened = False
        self.gap = self.hour >= 0
        self.last_signal = -1
        self.markouts.forget()
        self.orders.end_session()
        self.booking.closing.clear()
        self.booking.reducing = False
        for holding in self.holdings.values():
            holding.settle()

    def resume_journal(self, number: int, session: bytes, name: str) -> None:
        """Go on within a journal whose SESSION record is this."""
        self.general.journal = number
        self._know(opening_of(session, name))

    def _know(self, opening: Opening) -> None:
        self.roster = self._trading = self.statements.roster = Roster(opening, self.tolerance)

    def _find_opening(self, batch: Batch) -> None:
        found: Any = decode(batch, record.SESSION)["payload"]
        if len(found):
            opening = opening_of(found[0], f"journal {self.general.journal}")
            self._know(opening)
            self._meet(opening)

    def _meet(self, opening: Opening) -> None:
        """Get to know a session's instruments and currencies."""
        general, scale = self.general, opening.plan.money_scale
        for entry, factor in zip(opening.plan.instruments, self._trading.factors, strict=True):
            currency = opening.currencies.get(entry.name, opening.currency)
            general.know_currency(currency, scale)
            self.prices.know(entry.name)
            if entry.name not in self.books:
                self.books[entry.name] = InstrumentBook(factor)
                general.currency_of[entry.name] = currency
                general.rows.instruments.append((entry.name, currency, entry.price_scale, entry.size_scale, factor))
        general.know_currency(opening.currency, scale)

    # -- a batch ----------------------------------------------------------------------------------

    def take(self, batch: Batch) -> None:
        """Project a batch of the current journal."""
        told = self._read(batch)
        if told.rows(record.FILL):
            self.booking.fills = self._fills(told)
        elif self.roster is not None:
            self.orders.follow(told, self.roster.opening.session)
        self._in_order(told)
        known_ts = told.last_ts_ns
        if known_ts // HOUR_NS != self.hour:
            self._roll(known_ts)
        self.last_ts = known_ts
        self._write_fills(known_ts)
        if self.roster is not None:
            self._value(None, self.hour)

    def follow_order(self, batch: Batch, order_id: int, until: int) -> None:
        """Follow one order alone through a batch, up to a sequence number; nothing is booked."""
        told = self._read(batch, order_id, until)
        if self.roster is not None:
            self.orders.follow(told, self.roster.opening.session)

    def _read(self, batch: Batch, order_id: int = 0, until: int = 0) -> Told:
        if self.roster is None:
            self._find_opening(batch)
        if self.roster is not None:
            self.prices.take(batch, self.roster.names)
        told = Told(batch, self.prices, self.roster, self.last_signal, order_id, until)
        self.last_signal = told.last_signal
        return told

    def _fills(self, told: Told) -> Fills:
        """Read the batch's fills and report fees that are not as expected."""
        roster = self._trading
        fills = Fills(told, roster, self.orders.follow(told, roster.opening.session))
        for at in np.flatnonzero(fills.fee != fills.expected).tolist():
            fee, expected = int(fills.fee[at]), int(fills.expected[at])
            if self.tolerance.exceeded(fee, expected, int(fills.value[at])):
                name = roster.names[int(fills.instrument[at])]
                self.general.issue(
                    int(fills.seq[at]),
                    "fee_differs",
                    f"{name}: the venue charged {fee}, our model {expected} money units",
                )
        return fills

    def _in_order(self, told: Told) -> None:
        """Take what moves money, in order: runs of fills together, everything else by itself."""
        kinds = told.kinds
        alone = ~_RUN[kinds]
        fills = np.flatnonzero(kinds == record.FILL)
        if len(fills):
            alone[fills[self.booking.fills.order_id < 0]] = True
        hours = dict(told.hours(self.hour))
        rows = {kind: np.flatnonzero(kinds == kind) for kind in told.columns}
        begin = 0
        for at in sorted({*np.flatnonzero(alone).tolist(), *hours}):
            self._run(told, rows, begin, at)
            begin = at
            if at in hours:
                self._roll(hours[at])
            if alone[at]:
                kind = int(kinds[at])
                self._alone(told, kind, int(np.searchsorted(rows[kind], at)))
                begin = at + 1
        self._run(told, rows, begin, len(kinds))

    def _run(self, told: Told, rows: dict[int, Ints], begin: int, end: int) -> None:
        """Book the fills between two places, and compare what the session says of its cash between them."""
        none = np.zeros(0, dtype=np.int64)
        fills, equity = (rows.get(kind, none) for kind in (record.FILL, record.EQUITY))
        first, last = np.searchsorted(fills, (begin, end)).tolist()
        said = slice(*np.searchsorted(equity, (begin, end)).tolist())
        balances = none
        before = self.statements.balance() if said.stop > said.start else 0
        if last > first:
            balances = self.booking.run(first, last)
        if said.stop > said.start:
            columns = told.columns[record.EQUITY]
            known = np.concatenate(([before], balances))[np.searchsorted(fills[first:last], equity[said])]
            self.statements.check_balances(
                *(one.tolist() for one in (columns["seq"][said], columns["cash"][said], known))
            )

    def _alone(self, told: Told, kind: int, row: int) -> None:
        """Take one record that is no ordinary fill."""
        columns = told.columns[kind]
        seq, ts = int(columns["seq"][row]), int(columns["ts_ns"][row])
        if kind == record.FILL:
            self.booking.forced(row)
        elif kind == record.FUNDING_PAYMENT:
            instrument, exch_ts = int(columns["aux"][row]) & 0xFF, int(columns["exch_ts_ns"][row])
            self.booking.funding(self._trading, seq, ts, exch_ts, instrument, int(columns["amount"][row]))
        else:
            self._blob(kind, seq, ts, columns["payload"][row])

    # -- time -------------------------------------------------------------------------------------

    def _roll(self, ts: int) -> None:
        """Close the hours before a time."""
        hour = ts // HOUR_NS
        if hour < self.hour:
            return  # a clock that was set back: what follows counts for the hour that is open
        if self.hour >= 0:
            if self.gap:
                self._value((self.hour + 1) * HOUR_NS, self.hour)
            else:
                for closing in range(self.hour, hour):
                    self._value((closing + 1) * HOUR_NS, closing)
        self.gap = False
        self.hour = hour

    def _value(self, until_ns: int | None, hour: int) -> None:
        """Bring every holding up to prices before a time (None: now), and write the hour's rows."""
        general = self.general
        rows = general.rows
        worth = dict(general.cash)
        limit = self.last_ts if until_ns is None else until_ns
        for (strategy, name), holding in self.holdings.items():
            holding.ripen(limit, self.prices.mids[name])
            holding.value(*self.prices.valued(name, until_ns))
            if any(holding.parts):
                key = (hour * HOUR_NS, general.currency_of[name], strategy, name)
                rows.attribution[key] = (*key, *holding.parts)
                if until_ns is not None:
                    holding.parts = [0] * len(schema.PARTS)
        for name, book in self.books.items():
            size = sum(int(position.size) for position in book.desks.values())
            if size:
                worth[general.currency_of[name]] += size * self.prices.valued(name, until_ns)[1] * book.factor
        if self.statements.began:
            for currency, value in worth.items():
                at = (hour * HOUR_NS, currency)
                rows.equity[at] = (*at, value, general.transfers.get(currency, 0))
        if until_ns is not None:
            general.transfers = {}

    def _write_fills(self, known_ts: int) -> None:
        """Turn the batch's fills into columns, and fill in the mids after each horizon that has passed."""
        general, rows = self.general, self.general.rows
        if self.booking.done:
            columns = FillColumns(self.booking.fills, self.booking.done)
            self.booking.done = []
            later, learnt = columns.later_mids(general.journal, self.prices, self.markouts, known_ts)
            rows.matured += learnt
            rows.of_fills = {
                "transactions": columns.transactions(general.journal),
                "postings": columns.postings(general),
                "trades": columns.trades(general.journal, later),
            }
        elif self.roster is not None:
            for name in self.roster.names:
                rows.matured += matured_rows(self.markouts.mature(name, self.prices.mids[name], known_ts)[1])

    # -- money without trading --------------------------------------------------------------------

    def _blob(self, kind: int, seq: int, ts: int, payload: bytes) -> None:
        if kind == record.SESSION:
            if self._trading.opening.kind == "backtest":
                self.statements.begin(seq, ts, self._trading.opening.plan.deposit, None)
        elif kind == record.CHECKPOINT:
            self.statements.checkpoint(seq, ts, checkpoint_from_json(payload))
        elif kind == record.OPERATOR:
            self._command(seq, ts, msgspec.json.decode(payload))
        elif kind == record.NOTE:
            told = msgspec.json.decode(payload)
            if isinstance(told, dict) and isinstance(told.get("regime"), str):
                self.booking.regime = told["regime"]
        elif kind == record.CLOSE:
            self.statements.closing(seq, msgspec.json.decode(payload))

    def _command(self, seq: int, ts: int, command: dict[str, Any]) -> None:
        name = command.get("command")
        if name == "transfer":
            until = int(command.get("until_ns", 0))  # the venue's time that the trader had seen
            self._transfer(seq, ts, self._trading.opening.currency, int(command.get("amount", 0)), until)
        elif name == "collateral":
            currency = str(command["currency"])
            self.general.know_currency(currency, int(command["scale"]))
            self._transfer(seq, ts, currency, int(command["amount"]))
        elif name in ("close", "open"):
            which = int(command.get("desk", -1))
            code = closing_code(command) if name == "close" else ""
            for at, desk in enumerate(self._trading.desks):
                if which in (-1, at):
                    self.booking.closing[self._trading.strategies[desk.strategy]] = code
        elif name == "override" and int(command.get("desk", -1)) < 0:
            self.booking.reducing = command.get("override") in ("reduce_only", "close")

    def _transfer(self, seq: int, ts: int, currency: str, amount: int, exch_ts: int = 0) -> None:
        if amount:
            self.general.book(seq, ts, "transfer", transfer_postings(currency, amount), exch_ts)
            self.general.pay_in(currency, amount)

    # -- between batches --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what the next batch must know, as plain values."""
        return {
            "general": self.general.state(),
            "prices": self.prices.state(),
            "orders": self.orders.state(),
            "books": {name: book.state() for name, book in self.books.items()},
            "holdings": [[*key, holding.state()] for key, holding in self.holdings.items()],
            "markouts": self.markouts.state(),
            "funding_since": [[*key, amount] for key, amount in self.booking.funding_since.items()],
            "statements": {name: getattr(self.statements, name) for name in _OF_STATEMENTS},
            "booking": {name: getattr(self.booking, name) for name in _OF_BOOKING},
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def restore(self, state: dict[str, Any], accounts: dict[Account, int]) -> None:
        """Go on where `state` was taken; `resume_journal` follows."""
        self.general.restore(state["general"], accounts)
        self.prices = Prices.from_state(state["prices"])
        self.orders.restore(state["orders"])
        self.books = {name: InstrumentBook.from_state(book) for name, book in state["books"].items()}
        self.holdings = {(one[0], one[1]): Holding.from_state(one[2]) for one in state["holdings"]}
        self.markouts = Markouts.from_state(state["markouts"])
        self.statements = Statements(self.general, self.prices, self.books, self.holdings)
        self.booking = Booking(self.general, self.books, self.holdings)
        self.booking.funding_since = {(one[0], one[1]): one[2] for one in state["funding_since"]}
        for part, names in ((self.statements, _OF_STATEMENTS), (self.booking, _OF_BOOKING)):
            for name in names:
                setattr(part, name, state["statements" if part is self.statements else "booking"][name])
        for name in _PLAIN:
            setattr(self, name, state[name])

    def take_rows(self) -> Rows:
        """Return what was collected, and begin anew."""
        rows, self.general.rows = self.general.rows, Rows()
        return rows
