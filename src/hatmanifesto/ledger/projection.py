"""From journal records to ledger rows, batch after batch; the same journal gives the same rows however it is cut.

Rows of a batch are collected in `Rows`; what the next batch must know is in `state`. Both are written together, so
that a crash leaves the ledger as it was after a whole batch, from where the journal is read on.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from hatmanifesto.config.checkpoint import Checkpoint, checkpoint_from_json
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.journal.columns import Batch
from hatmanifesto.journal.format import BLOB_WORDS
from hatmanifesto.journal.trace_id import trace_id
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import CASH, LIQUIDATION, OPENING, POSITION_COST, REALIZED, Account
from hatmanifesto.ledger.attribution import (
    FEES,
    FORCED,
    FUNDING,
    HOUR_NS,
    REBATES,
    SLIPPAGE,
    SPREAD,
    Holding,
)
from hatmanifesto.ledger.books import UNASSIGNED, Change, InstrumentBook
from hatmanifesto.ledger.fee_model import FeeModel, fee_differs
from hatmanifesto.ledger.orders import STATE_NAMES, OrderFacts, Orders
from hatmanifesto.ledger.postings import (
    Posting,
    check_balance,
    fill_postings,
    funding_postings,
    transfer_postings,
)
from hatmanifesto.ledger.prices import Prices
from hatmanifesto.ledger.reason_codes import RISK_REDUCTION, closing_code, reason_code
from hatmanifesto.ledger.sources import Opening, opening_of
from hatmanifesto.model import record
from hatmanifesto.model.order import FORCED_FILL_REASONS, desk_of, purpose_of
from hatmanifesto.model.order_state import OPEN, PARTIALLY_FILLED
from hatmanifesto.model.reasons import CANCEL_TIMEOUT, REASONS
from hatmanifesto.venues.hyperliquid.cloid import make_cloid

_TOLD: Final = np.array(
    [
        record.ORDER_EVENT, record.FILL, record.TIMEOUT, record.FUNDING_PAYMENT, record.VENUE_ID, record.SUBMIT,
        record.ADOPT, record.CANCEL, record.EQUITY, record.SESSION, record.CHECKPOINT, record.OPERATOR, record.NOTE,
        record.CLOSE,
    ]
)  # fmt: skip
_OF_ORDERS: Final = np.array(
    [
        record.SUBMIT,
        record.ADOPT,
        record.ORDER_EVENT,
        record.VENUE_ID,
        record.FILL,
        record.TIMEOUT,
        record.CANCEL,
    ]
)
_FIELDS: Final = 7
_HORIZONS_NS: Final = {"1s": 1_000_000_000, "5s": 5_000_000_000, "30s": 30_000_000_000, "5min": 300_000_000_000}
_LAST_HORIZON: Final = 300_000_000_000
_LATER: Final = [_HORIZONS_NS[name] for name in schema.LATER_MIDS]
_COLUMNS: Final = [column.name for column in schema.trades.columns]
_FIRST_LATER: Final = _COLUMNS.index("mid2_1s")

_PLAIN: Final = (
    "cash", "transfers", "currency_of", "scales", "hour", "began", "closing", "reducing", "regime", "opened", "last_ts",
    "gap", "cash_gap", "last_signal", "journal",
)  # fmt: skip
"""Parts of the state that are plain values."""

FindOrder = Callable[[int], OrderFacts | None]


class Rows:
    """What a batch adds to the ledger."""

    def __init__(self) -> None:
        self.transactions: list[tuple[Any, ...]] = []
        self.postings: list[tuple[Any, ...]] = []
        self.trades: list[list[Any]] = []
        self.matured: list[tuple[Any, ...]] = []
        self.accounts: list[tuple[Any, ...]] = []
        self.attribution: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.equity: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.issues: list[tuple[Any, ...]] = []
        self.currencies: list[tuple[str, int]] = []
        self.instruments: list[tuple[Any, ...]] = []


class Projection:
    """The fold over all journals of a ledger, in their order. `find_order` looks up an order that is not at hand."""

    def __init__(self, find_order: FindOrder = lambda order_id: None) -> None:
        self.find_order = find_order
        self.rows = Rows()
        self.prices = Prices()
        self.orders = Orders()
        self.books: dict[str, InstrumentBook] = {}
        self.holdings: dict[tuple[str, str], Holding] = {}
        self.cash: dict[str, int] = {}
        self.transfers: dict[str, int] = {}
        self.currency_of: dict[str, str] = {}
        self.scales: dict[str, int] = {}
        self.accounts: dict[Account, int] = {}
        self.hour = -1
        self.began = False
        self.waiting: list[list[Any]] = []
        self.funding_since: dict[tuple[str, str], int] = {}
        self.closing: dict[str, str] = {}
        self.reducing = False
        self.regime = ""
        self.opened = False
        self.last_ts = 0
        self.gap = False
        self.cash_gap = 0
        self.last_signal = -1
        self.journal = 0
        self.opening: Opening | None = None
        self.plan: SessionPlan
        self.fees: FeeModel

    # -- journals ---------------------------------------------------------------------------------

    def begin_journal(self, number: int) -> None:
        """Go on to the next journal."""
        self.journal = number
        self.opening = None
        self.opened = False
        self.gap = self.hour >= 0
        self.last_signal = -1
        self.waiting.clear()
        self.orders.end_session()
        self.closing.clear()
        self.reducing = False
        for holding in self.holdings.values():
            holding.settle()

    def resume_journal(self, number: int, session: bytes, name: str) -> None:
        """Go on within a journal whose SESSION record is this."""
        self.journal = number
        self._know(opening_of(session, name), new=False)

    def _know(self, opening: Opening, new: bool) -> None:
        self.opening, self.plan = opening, opening.plan
        self.fees = FeeModel(opening.plan)
        self.names = [entry.name for entry in opening.plan.instruments]
        self.index_of = {name: index for index, name in enumerate(self.names)}
        self.factors = [
            10 ** (opening.plan.money_scale - entry.price_scale - entry.size_scale)
            for entry in opening.plan.instruments
        ]
        self.desks = [
            (opening.plan.strategies[desk.strategy].name, opening.plan.strategies[desk.strategy].cls, desk.instrument)
            for desk in opening.plan.desks
        ]
        self.held_by = [
            [strategy for strategy, _, instrument in self.desks if instrument == index]
            for index in range(len(self.names))
        ]
        if not new:
            return
        for entry, factor in zip(opening.plan.instruments, self.factors, strict=True):
            currency = opening.currencies.get(entry.name, opening.currency)
            self._know_currency(currency, opening.plan.money_scale)
            self.prices.know(entry.name)
            if entry.name not in self.books:
                self.books[entry.name] = InstrumentBook(factor)
                self.currency_of[entry.name] = currency
                self.rows.instruments.append((entry.name, currency, entry.price_scale, entry.size_scale, factor))
        self._know_currency(opening.currency, opening.plan.money_scale)

    def _know_currency(self, code: str, scale: int) -> None:
        if code not in self.scales:
            self.scales[code] = scale
            self.cash[code] = 0
            self.rows.currencies.append((code, scale))

    # -- a batch ----------------------------------------------------------------------------------

    def take(self, batch: Batch) -> None:
        """Project a batch of the current journal."""
        if self.opening is None:
            self._find_opening(batch)
        if self.opening is not None:
            self.prices.take(batch, self.names)
        chosen = np.flatnonzero(np.isin(batch.kinds, _TOLD))
        known_ts = int(batch.words[batch.starts[-1] + 1])
        starts = batch.starts[chosen].tolist()
        for row, (seq, ts, kind, aux, fields) in enumerate(self._read(batch, chosen)):
            if ts // HOUR_NS != self.hour:
                self._roll(ts)
            if kind == record.FILL:
                self._fill(row, seq, ts, aux, fields)
            elif kind == record.FUNDING_PAYMENT:
                self._funding(seq, ts, aux, fields)
            elif kind == record.EQUITY:
                self._check_cash(seq, fields[1])
            elif kind >= record.FIRST_BLOB:
                begin = (starts[row] + BLOB_WORDS) * 8
                self._blob(kind, seq, ts, batch.data[begin : begin + fields[0]])
            else:
                self._order_record(row, seq, ts, kind, aux, fields)
        if known_ts // HOUR_NS != self.hour:
            self._roll(known_ts)
        self.last_ts = known_ts
        self._mature(known_ts)
        if self.opening is not None:
            self._value(None, self.hour)

    def follow_order(self, batch: Batch, order_id: int, until: int) -> None:
        """Follow one order alone through a batch, up to a sequence number; nothing is booked."""
        if self.opening is None:
            self._find_opening(batch)
        if self.opening is None:
            return
        self.prices.take(batch, self.names)
        told = np.isin(batch.kinds, _OF_ORDERS) & (batch.seqs < until)
        told[told] = batch.words[batch.starts[told] + 2] == order_id
        read = self._read(batch, np.flatnonzero(told))
        for row, (seq, ts, kind, aux, fields) in enumerate(read):
            if kind == record.FILL:
                order = self.orders.find(order_id)
                if order is not None:
                    order.answered(ts, self._mids[aux >> 8][row])
                    order.fill(fields[2])
                    self.orders.ended(order_id, order)
            else:
                self._order_record(row, seq, ts, kind, aux, fields)

    def _read(self, batch: Batch, chosen: Any) -> list[tuple[int, int, int, int, list[int]]]:
        """Return (seq, ts_ns, kind, aux, fields) of records, and keep the prices and decisions before them."""
        at, seqs = batch.starts[chosen], batch.seqs[chosen]
        last = len(batch.words) - 1
        fields = np.stack([batch.words[np.minimum(at + (2 + place), last)] for place in range(_FIELDS)]).T.tolist()
        heads = batch.words[at]
        self._mids = [self.prices.mids[name].before(seqs).tolist() for name in self.names] if self.opening else []
        self._marks = [self.prices.marks[name].before(seqs).tolist() for name in self.names] if self.opening else []
        self._signals = self._decisions(batch, seqs)
        columns = (seqs, batch.words[at + 1], heads & 0xFF, (heads >> 16) & 0xFFFF)
        return list(zip(*(column.tolist() for column in columns), fields, strict=True))

    def _order_record(self, row: int, seq: int, ts: int, kind: int, aux: int, fields: list[int]) -> None:
        """Take a record that concerns an order and moves no money."""
        if kind == record.SUBMIT:
            self._submit(row, ts, aux, fields)
        elif kind == record.ADOPT:
            self._adopt(row, ts, aux, fields)
        elif kind == record.ORDER_EVENT:
            order = self.orders.live.get(fields[0])
            if order is not None:
                mid2 = self._mids[self.index_of[order.instrument]][row] if order.arrival_mid2 < 0 else 0
                self.orders.event(fields[0], aux & 0xFF, ts, mid2)
        elif kind == record.VENUE_ID:
            order = self.orders.live.get(fields[0])
            if order is not None:
                order.venue_id = fields[1]
        elif kind == record.CANCEL:
            self.orders.cancel(fields[0], aux == CANCEL_TIMEOUT)
        elif kind == record.TIMEOUT:
            self.orders.timeout(fields[0])

    def _find_opening(self, batch: Batch) -> None:
        found = np.flatnonzero(batch.kinds == record.SESSION)
        if len(found):
            start = int(batch.starts[found[0]])
            begin = (start + BLOB_WORDS) * 8
            payload = batch.data[begin : begin + int(batch.words[start + 2])]
            self._know(opening_of(payload, f"journal {self.journal}"), new=True)

    def _decisions(self, batch: Batch, seqs: Any) -> list[int]:
        """Return for each record the sequence number of the last decision before it, -1 when there is none."""
        views = batch.seqs[batch.kinds == record.VIEW]
        known = np.concatenate((views, [self.last_signal]))
        found: list[int] = known[np.searchsorted(views, seqs) - 1].tolist()  # place -1: what was before the batch
        if len(views):
            self.last_signal = int(views[-1])
        return found

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
        rows = self.rows
        worth = dict(self.cash)
        limit = self.last_ts if until_ns is None else until_ns
        for (strategy, name), holding in self.holdings.items():
            mids = self.prices.mids[name]
            mid2, mark = self.prices.valued(name, until_ns)
            if holding.young:
                holding.ripen(limit, lambda ts, mids=mids: int(mids.at(np.array([ts]))[0]))
            holding.value(mid2, mark)
            if any(holding.parts):
                key = (hour * HOUR_NS, self.currency_of[name], strategy, name)
                rows.attribution[key] = (*key, *holding.parts)
                if until_ns is not None:
                    holding.parts = [0] * len(schema.PARTS)
        for name, book in self.books.items():
            size = sum(int(position.size) for position in book.desks.values())
            if size:
                worth[self.currency_of[name]] += size * self.prices.valued(name, until_ns)[1] * book.factor
        for currency, value in worth.items():
            if self.began:
                rows.equity[(hour * HOUR_NS, currency)] = (
                    hour * HOUR_NS, currency, value, self.transfers.get(currency, 0)
                )  # fmt: skip
        if until_ns is not None:
            self.transfers = {}

    def _mature(self, known_ts: int) -> None:
        """Fill in the mids after each horizon that has passed."""
        if not self.waiting:
            return
        by_name: dict[str, list[list[Any]]] = {}
        for entry in self.waiting:
            by_name.setdefault(entry[0], []).append(entry)
        for name, entries in by_name.items():
            fills = np.array([entry[1] for entry in entries], dtype=np.int64)
            series = self.prices.mids[name]
            for place, horizon in enumerate(_LATER):
                due = fills + horizon
                values = series.at(due).tolist()
                for entry, value, passed in zip(entries, values, (due < known_ts).tolist(), strict=True):
                    if passed and entry[4][place] is None:
                        entry[4][place] = value
                        entry[5] = True
        still = []
        for entry in self.waiting:
            row = entry[3]
            if row is not None:  # of this batch: the row is not written yet
                row[_FIRST_LATER : _FIRST_LATER + len(_LATER)] = entry[4]
            elif entry[5]:
                self.rows.matured.append((*entry[4], *entry[2]))
            entry[3], entry[5] = None, False
            if entry[1] + _LAST_HORIZON >= known_ts:
                still.append(entry)
        self.waiting = still

    # -- records ----------------------------------------------------------------------------------

    def _submit(self, row: int, ts: int, aux: int, fields: list[int]) -> None:
        order_id, _, size, flags = fields[:4]
        instrument = aux & 0xFF
        assert self.opening is not None
        self.orders.live[order_id] = OrderFacts(
            self.opening.session, self.names[instrument], self.plan.strategies[aux >> 8].name, size, flags, ts,
            self._signals[row], self._mids[instrument][row],
        )  # fmt: skip

    def _adopt(self, row: int, ts: int, aux: int, fields: list[int]) -> None:
        """An order of an earlier session lives on in this one, with what is known of it."""
        order_id, filled, venue_id = fields[0], fields[4], fields[6]
        order = self.orders.take_back(order_id) or self.find_order(order_id)
        if order is None:
            self._submit(row, ts, aux, fields)
            order = self.orders.live[order_id]
        order.filled, order.venue_id = filled, venue_id
        order.state = PARTIALLY_FILLED if filled else OPEN
        self.orders.live[order_id] = order

    def _fill(self, row: int, seq: int, ts: int, aux: int, fields: list[int]) -> None:
        assert self.opening is not None
        order_id, price, size, fee, exch_ts, trade_id, side = fields
        instrument, taker = aux >> 8, bool(aux & 1)
        name = self.names[instrument]
        book, currency = self.books[name], self.currency_of[name]
        factor = book.factor
        value = price * size * factor
        mark = self._marks[instrument][row]
        mid2 = self._mids[instrument][row]
        order = None
        if order_id > 0:
            order = self.orders.find(order_id)
            if order is None:
                order = self.find_order(order_id)
                if order is not None:
                    self.orders.remember(order_id, order)
        strategy = UNASSIGNED
        cls = ""
        if order_id > 0:
            desk = int(desk_of(order_id))
            if desk < len(self.desks) and self.desks[desk][2] == instrument:
                strategy, cls = self.desks[desk][:2]
        expected = self.fees.fee(exch_ts or ts, instrument, value, taker) if order_id >= 0 else fee
        if fee_differs(fee, expected, value):
            self._issue(seq, "fee_differs", f"{name}: the venue charged {fee}, our model {expected} money units")
        held = int(book.desk(strategy).size)
        if order_id < 0:
            changes = book.forced_fill(self.held_by[instrument], side, price, size, fee, taker)
        else:
            changes = [book.fill(strategy, side, price, size, fee, taker)]
        gains = LIQUIDATION if order_id < 0 else REALIZED
        postings: list[Posting] = []
        for change in changes:
            postings += fill_postings(
                currency, name, change.strategy,
                signed_notional=price * change.size * factor, cost_change=change.cost, realized=change.realized,
                fee=change.fee, quantity=change.size, gains=gains,
            )  # fmt: skip
        self._book(seq, ts, "fill", postings)
        mark = mark or price
        known_mid2 = mid2 or 2 * mark
        error = ""
        if order is not None:
            order.answered(ts, mid2)
            order.fill(size)
            self.orders.ended(order_id, order)
            error = order.error
        elif order_id < 0:
            error = REASONS[FORCED_FILL_REASONS[order_id]].key
        else:
            error = "foreign_fill" if order_id == 0 else "unknown_order"
        part = FORCED if order_id < 0 else SLIPPAGE if taker else SPREAD
        equity = self._equity(currency, row, instrument, mark)
        for number, change in enumerate(changes):
            holding = self._holding(change.strategy, name)
            holding.fill(ts, change.size * factor, price, known_mid2, part)
            if change.fee > 0:
                holding.parts[FEES] -= 2 * change.fee
            else:
                holding.parts[REBATES] -= 2 * change.fee
            self._trade(
                (self.journal, seq, number), ts, exch_ts, name, instrument, change, price, expected, taker, mid2, mark,
                order, order_id, trade_id, error, equity, held, cls,
            )  # fmt: skip

    def _trade(
        self, key: tuple[int, int, int], ts: int, exch_ts: int, name: str, instrument: int, change: Change, price: int,
        expected: int, taker: bool, mid2: int, mark: int, order: OrderFacts | None, order_id: int, trade_id: int,
        error: str, equity: int, held: int, cls: str,
    ) -> None:  # fmt: skip
        assert self.opening is not None
        book = self.books[name]
        desk = book.desk(change.strategy)
        entry = self.plan.instruments[instrument]
        size = abs(change.size)
        after = int(desk.size)
        flags = order.flags if order else 0
        session = order.session if order else self.opening.session
        closing = self.closing.get(change.strategy, "") or (RISK_REDUCTION if self.reducing else "")
        code = reason_code(order_id, change.strategy, cls, int(purpose_of(flags)), closing, held, change.size)
        row: list[Any] = [
            *key, ts, exch_ts or ts, self.opening.venue, name, change.strategy, 1 if change.size > 0 else -1, size,
            price, price * size * book.factor, change.fee, expected, int(taker),
            self.funding_since.pop((change.strategy, name), 0),
            order.decision_mid2 if order else 0, max(0, order.arrival_mid2) if order else 0, mid2,
            None, None, None, None,
            change.realized, after * mark * book.factor - int(desk.cost) if after else 0, code,
            order.signal_seq if order else -1, session, order_id, trade_id,
            make_cloid(session, order_id, int(purpose_of(flags)) & 0xF) if order_id > 0 else "",
            order.venue_id if order else 0, STATE_NAMES[order.state] if order else "",
            order.latency_ns if order else None, order.retries if order else 0, error, entry.leverage,
            abs(after) * mark * book.factor // entry.leverage, after, equity, self.regime,
            trace_id(session, order_id) if order_id > 0 else "",
        ]  # fmt: skip
        self.rows.trades.append(row)
        self.waiting.append([name, ts, key, row, [None] * len(_LATER), False])

    def _funding(self, seq: int, ts: int, aux: int, fields: list[int]) -> None:
        name = self.names[aux & 0xFF]
        shares = self.books[name].pay(self.held_by[aux & 0xFF], fields[0])
        self._book(
            seq, ts, "funding",
            funding_postings(self.currency_of[name], name, [(one.strategy, one.funding) for one in shares]),
        )  # fmt: skip
        for one in shares:
            self._holding(one.strategy, name).parts[FUNDING] += 2 * one.funding
            key = (one.strategy, name)
            self.funding_since[key] = self.funding_since.get(key, 0) + one.funding

    def _blob(self, kind: int, seq: int, ts: int, payload: bytes) -> None:
        assert self.opening is not None
        if kind == record.SESSION:
            if self.opening.kind == "backtest":
                self._begin(seq, ts, self.plan.deposit, None)
        elif kind == record.CHECKPOINT:
            self._checkpoint(seq, ts, checkpoint_from_json(payload))
        elif kind == record.OPERATOR:
            self._command(seq, ts, msgspec.json.decode(payload))
        elif kind == record.NOTE:
            told = msgspec.json.decode(payload)
            if isinstance(told, dict) and isinstance(told.get("regime"), str):
                self.regime = told["regime"]
        elif kind == record.CLOSE:
            self._check_closing(seq, msgspec.json.decode(payload))

    def _begin(self, seq: int, ts: int, cash: int, state: Checkpoint | None) -> None:
        """Book what the account begins with, or what is not as the journal before left it."""
        assert self.opening is not None
        currency = self.opening.currency
        postings: list[Posting] = []
        cost = 0
        for index, name in enumerate(self.names):
            book = self.books[name]
            begins = state.holdings[index] if state else None
            size, worth = (begins.size, begins.cost) if begins else (0, 0)
            d_size, d_cost = size - int(book.account.size), worth - int(book.account.cost)
            if self.began and (d_size or d_cost):
                self._issue(seq, "continuity", f"{name}: begins with {size} at {worth}, the ledger had "
                            f"{int(book.account.size)} at {int(book.account.cost)}")  # fmt: skip
            if not (d_size or d_cost):
                continue
            book.account.size, book.account.cost = size, worth
            shares: list[tuple[str, int, int]] = []
            if state and not self.began:
                for number, (strategy, _, instrument) in enumerate(self.desks):
                    held = state.desks[number]
                    if instrument == index and (held.size or held.cost):
                        shares.append((strategy, held.size, held.cost))
            rest = d_size - sum(one[1] for one in shares), d_cost - sum(one[2] for one in shares)
            if any(rest):
                shares.append((UNASSIGNED, *rest))
            for strategy, part, part_cost in shares:
                desk = book.desk(strategy)
                desk.size += part
                desk.cost += part_cost
                postings.append(Posting(Account(POSITION_COST, currency, name, strategy), part_cost, part))
                cost += part_cost
                mid2, mark = self.prices.mids[name].value[0], self.prices.marks[name].value[0]
                known = int(mark) or abs(part_cost) // max(1, abs(part) * book.factor)
                self._holding(strategy, name).open(part * book.factor, int(mid2) or 2 * known, known)
                if not mark and known:
                    self.prices.marks[name].value[0] = known
        account_cost = sum(int(self.books[name].account.cost) for name in self.names)
        change = cash - account_cost - self.cash[currency]
        if self.began and change + cost:
            self._issue(seq, "continuity", f"begins with {cash} money units, {change + cost} more than the ledger had")
        if change:
            postings.append(Posting(Account(CASH, currency), change))
        if change + cost:
            postings.append(Posting(Account(OPENING, currency), -change - cost))
        if postings:
            self._book(seq, ts, "opening", postings)
        outside = change + sum(
            posting.quantity * int(self.prices.marks[posting.account.instrument].value[0])
            * self.books[posting.account.instrument].factor
            for posting in postings if posting.account.kind == POSITION_COST
        )  # fmt: skip
        if outside:
            self.transfers[currency] = self.transfers.get(currency, 0) + outside
        self.began = True
        self.opened = True

    def _checkpoint(self, seq: int, ts: int, state: Checkpoint) -> None:
        cash = state.deposit + sum(
            one.realized - one.fees + one.rebates + one.funding for one in state.holdings
        )  # fmt: skip
        if not self.opened:
            for name, mark in zip(self.names, state.marks, strict=True):
                if mark > 0:
                    self.prices.set_mark(name, mark)
            self._begin(seq, ts, cash, state)
            return
        self._check_cash(seq, cash)
        for name, one in zip(self.names, state.holdings, strict=True):
            if one.size != self.books[name].account.size:
                self._issue(seq, "position_differs", f"{name}: the session says {one.size}, the ledger "
                            f"{int(self.books[name].account.size)}")  # fmt: skip

    def _command(self, seq: int, ts: int, command: dict[str, Any]) -> None:
        assert self.opening is not None
        name = command.get("command")
        if name == "transfer":
            self._transfer(seq, ts, self.opening.currency, int(command.get("amount", 0)))
        elif name == "collateral":
            currency = str(command["currency"])
            self._know_currency(currency, int(command["scale"]))
            self._transfer(seq, ts, currency, int(command["amount"]))
        elif name in ("close", "open"):
            desk = int(command.get("desk", -1))
            code = closing_code(command) if name == "close" else ""
            for at, (strategy, _, _) in enumerate(self.desks):
                if desk in (-1, at):
                    self.closing[strategy] = code
        elif name == "override" and int(command.get("desk", -1)) < 0:
            self.reducing = command.get("override") in ("reduce_only", "close")

    def _transfer(self, seq: int, ts: int, currency: str, amount: int) -> None:
        if amount:
            self._book(seq, ts, "transfer", transfer_postings(currency, amount))
            self.transfers[currency] = self.transfers.get(currency, 0) + amount

    # -- checks against what the session itself wrote ----------------------------------------------

    def _balance(self) -> int:
        """Return the venue's balance: settled cash with the entry cost of the account's positions."""
        assert self.opening is not None
        currency = self.opening.currency
        return self.cash[currency] + sum(
            int(book.account.cost) for name, book in self.books.items() if self.currency_of[name] == currency
        )

    def _check_cash(self, seq: int, cash: int) -> None:
        assert self.opening is not None
        if any(self.currency_of[name] != self.opening.currency for name in self.names):
            return  # a session counts its money in one currency
        gap = self._balance() - cash
        if gap != self.cash_gap:
            self.cash_gap = gap
            self._issue(seq, "cash_differs", f"the session says {cash}, the ledger {cash + gap} money units")

    def _check_closing(self, seq: int, closing: dict[str, Any]) -> None:
        if "cash" in closing:
            self._check_cash(seq, int(closing["cash"]))
        for name, told in closing.get("positions", {}).items():
            if name in self.books and int(told["size"]) != int(self.books[name].account.size):
                self._issue(seq, "position_differs", f"{name}: the session closed with {told['size']}, the ledger has "
                            f"{int(self.books[name].account.size)}")  # fmt: skip

    # -- parts ------------------------------------------------------------------------------------

    def _holding(self, strategy: str, name: str) -> Holding:
        found = self.holdings.get((strategy, name))
        if found is None:
            found = self.holdings[(strategy, name)] = Holding()
        return found

    def _equity(self, currency: str, row: int, instrument: int, mark: int) -> int:
        """Return equity in a currency after a fill on an instrument at this mark."""
        total = self.cash[currency]
        for index, name in enumerate(self.names):
            book = self.books[name]
            if book.account.size and self.currency_of[name] == currency:
                total += (
                    int(book.account.size) * (mark if index == instrument else self._marks[index][row]) * book.factor
                )
        return total

    def _book(self, seq: int, ts: int, kind: str, postings: list[Posting], memo: str = "") -> None:
        check_balance(postings, f"journal {self.journal}, record {seq} ({kind})")
        self.rows.transactions.append((self.journal, seq, ts, kind, memo))
        for line, posting in enumerate(postings):
            account = posting.account
            number = self.accounts.get(account)
            if number is None:
                number = self.accounts[account] = len(self.accounts) + 1
                self.rows.accounts.append((number, *account))
            if account.kind == CASH:
                self.cash[account.currency] += posting.amount
            self.rows.postings.append((self.journal, seq, line, number, posting.amount, posting.quantity))

    def _issue(self, seq: int, kind: str, detail: str) -> None:
        self.rows.issues.append((self.journal, seq, kind, detail))

    # -- between batches --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what the next batch must know, as plain values."""
        return {
            "prices": self.prices.state(),
            "orders": self.orders.state(),
            "books": {name: book.state() for name, book in self.books.items()},
            "holdings": [[*key, holding.state()] for key, holding in self.holdings.items()],
            "waiting": [[*entry[:3], None, *entry[4:]] for entry in self.waiting],
            "funding_since": [[*key, amount] for key, amount in self.funding_since.items()],
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def restore(self, state: dict[str, Any], accounts: dict[Account, int]) -> None:
        """Go on where `state` was taken; `resume_journal` follows."""
        self.prices = Prices.from_state(state["prices"])
        self.orders = Orders.from_state(state["orders"])
        self.books = {name: InstrumentBook.from_state(book) for name, book in state["books"].items()}
        self.holdings = {(one[0], one[1]): Holding.from_state(one[2]) for one in state["holdings"]}
        self.waiting = [[*entry[:2], tuple(entry[2]), *entry[3:]] for entry in state["waiting"]]
        self.funding_since = {(one[0], one[1]): one[2] for one in state["funding_since"]}
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.accounts = accounts

    def take_rows(self) -> Rows:
        """Return what was collected, and begin anew."""
        rows, self.rows = self.rows, Rows()
        return rows
