"""The ledger beside the venue's own answers, row by row: fills, funding, transfers, the account's money and positions.

The venue reckons closed profit with an average entry that it rounds down to its price's decimals; a difference smaller
than that step on the closed size is the venue's rounding and is counted apart.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import CASH, POSITION_COST, TRANSFERS
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.venue_answers import MONEY_SCALE, Answers
from hatmanifesto.ledger.venue_history import HistoryFill, HistoryFunding, fills_of_answer, funding_of_answer, scaled
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.position import Position

_TOLD: int = 100
MS_NS: Final = 1_000_000
SETTLED_IN: Final = "USDC"


class Reconciliation:
    """What was compared and what differs."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.differences: list[str] = []
        self.different = 0

    def count(self, name: str, by: int = 1) -> None:
        """Count something."""
        self.counts[name] = self.counts.get(name, 0) + by

    def differ(self, text: str) -> None:
        """Take a difference."""
        self.different += 1
        if len(self.differences) < _TOLD:
            self.differences.append(text)

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.different == 0

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"ok": self.ok, "counts": self.counts, "different": self.different, "differences": self.differences}


def reconcile_files(
    store: Store, *, fills: Path | None = None, funding: Path | None = None, account: Path | None = None
) -> Reconciliation:
    """Compare with answers of the venue in files. UserError when one cannot be read."""
    store.check()
    found = Reconciliation()
    if fills is not None:
        compare_fills(store, _answer(fills, fills_of_answer), found)
    if funding is not None:
        compare_funding(store, _answer(funding, funding_of_answer), found)
    if account is not None:
        compare_account(store, _answer(account, _state_of_answer), found)
    return found


def reconcile_answers(store: Store, told: Answers) -> Reconciliation:
    """Compare with what the venue was asked, in both directions: what it has, and what only the ledger has."""
    store.check()
    found = Reconciliation()
    compare_fills(store, told.fills, found, (told.fills_from_ms, told.until_ms))
    compare_funding(store, told.funding, found, (told.from_ms, told.until_ms))
    compare_transfers(store, told, found)
    compare_account(store, told.account, found, told.until_ms)
    return found


def _answer(path: Path, read: Any) -> Any:
    try:
        return read(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path} is not an answer of the venue: {error!r}", "save the answer of /info as it is"
        ) from error


def _state_of_answer(answer: Any) -> dict[str, Any]:
    """Read a `clearinghouseState` answer."""
    return {"marginSummary": dict(answer["marginSummary"]), "assetPositions": list(answer["assetPositions"])}


class _Trade(NamedTuple):
    """A fill as the ledger has it, its strategies' shares together; `before` is the account's position before it."""

    symbol: str
    trade_id: int
    side: int
    exch_ts_ns: int
    price: int
    size: int
    fee: int
    taker: bool
    before: int
    realized: int


def _trades(store: Store) -> list[_Trade]:
    """Return the ledger's fills in the venue's order, with the account's position and the profit that it closed."""
    booked, moved, accounts = schema.postings, schema.transactions, schema.accounts
    shares: dict[tuple[int, int], list[Any]] = {}
    positions: dict[str, Position] = {}
    with store.connect() as connection:
        for row in connection.execute(sa.select(schema.instruments)):
            positions[row.name] = Position(row.factor)
        begun = (
            sa.select(accounts.c.instrument, sa.func.sum(booked.c.amount), sa.func.sum(booked.c.quantity))
            .join(booked, booked.c.account == accounts.c.id)
            .join(moved, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq))
            .where(moved.c.kind == "opening", accounts.c.kind == POSITION_COST)
            .group_by(accounts.c.instrument)
        )
        for name, cost, size in connection.execute(begun):
            positions[name].cost, positions[name].size = int(cost), int(size)
        for row in store.rows(connection, schema.trades):
            shares.setdefault((row.journal, row.seq), []).append(row)
    found: list[_Trade] = []
    for rows in sorted(shares.values(), key=lambda rows: (rows[0].exch_ts_ns, rows[0].journal, rows[0].seq)):
        first, position = rows[0], positions[rows[0].symbol]
        size, fee = (sum(getattr(row, name) for row in rows) for name in ("quantity", "fee"))
        before = int(position.size)
        realized = int(position.apply_fill(first.side, first.price, size, fee, bool(first.taker)))
        found.append(
            _Trade(
                first.symbol, first.trade_id, first.side, first.exch_ts_ns, first.price, size, fee, bool(first.taker),
                before, realized,
            )
        )  # fmt: skip
    return found


def compare_fills(
    store: Store, told: list[HistoryFill], found: Reconciliation, span_ms: tuple[int, int] | None = None
) -> None:
    """Compare every fill that the venue tells: role, side, price, size, fee, position before it, closed profit.

    The account's position and closed profit are reckoned from the ledger's fills, since strategies share an account.
    With a span of the venue's time (both ends in it), the ledger's fills within it that the venue does not tell are
    differences, too.
    """
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        instruments = {row.name: row for row in connection.execute(sa.select(schema.instruments))}
    ours = {(one.symbol, one.trade_id, one.side): one for one in _trades(store)}
    for fill in told:
        row = ours.pop((fill.coin, fill.trade_id, fill.side), None)
        where = f"{fill.coin} trade {fill.trade_id}"
        if row is None:
            found.differ(f"{where}: the venue has it, the ledger has not")
            continue
        entry = instruments[fill.coin]
        scale = scales[entry.currency]
        found.count("fills")
        for name, here, there in (
            ("price", row.price, scaled(fill.price, entry.price_scale)),
            ("size", row.size, scaled(fill.size, entry.size_scale)),
            ("fee", row.fee, scaled(fill.fee, scale)),
            ("taker", row.taker, fill.taker),
            ("position before", row.before, scaled(fill.start_position, entry.size_scale)),
        ):
            if here != there:
                found.differ(f"{where}: {name} is {here}, the venue has {there}")
        closed = scaled(fill.closed_pnl, scale)
        shrunk = min(row.size, abs(row.before)) if row.before * row.side < 0 else 0
        # the venue's price has max(0, 6 - size decimals) decimals
        step = 10 ** max(0, scale - entry.size_scale - max(0, 6 - entry.size_scale))
        if row.realized == closed:
            found.count("closed profit equal")
        elif abs(row.realized - closed) <= shrunk * step + 10 ** max(0, scale - 6):
            found.count("closed profit within the venue's rounding")
        else:
            found.count("closed profit different")
            found.differ(
                f"{where}: closed profit is {format_decimal(row.realized, scale)}, the venue has {fill.closed_pnl}"
            )
    if span_ms is not None:
        for row in ours.values():
            if span_ms[0] <= row.exch_ts_ns // MS_NS <= span_ms[1]:
                found.differ(f"{row.symbol} trade {row.trade_id}: the ledger has it, the venue has not")


def compare_funding(
    store: Store, told: list[HistoryFunding], found: Reconciliation, span_ms: tuple[int, int] | None = None
) -> None:
    """Compare every funding payment that the venue tells, by instrument and the second that the venue stamped.

    With a span of the venue's time, the ledger's payments within it that the venue does not tell are differences, too.
    """
    moved, booked, accounts = schema.transactions, schema.postings, schema.accounts
    ours: dict[tuple[str, int], int] = {}
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        currency_of = {row.name: row.currency for row in connection.execute(sa.select(schema.instruments))}
        query = (
            sa.select(moved.c.exch_ts_ns, accounts.c.instrument, booked.c.amount)
            .join(booked, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq))
            .join(accounts, accounts.c.id == booked.c.account)
            .where(moved.c.kind == "funding", accounts.c.kind != CASH)
        )
        for row in connection.execute(query):
            key = (row.instrument, row.exch_ts_ns // (1000 * MS_NS))
            ours[key] = ours.get(key, 0) - int(row.amount)
    for payment in told:
        where = f"{payment.coin} funding at {payment.time_ms}"
        here = ours.pop((payment.coin, payment.time_ms // 1000), None)
        if payment.coin not in currency_of or (here is None and scaled(payment.usdc, 12)):
            found.differ(f"{where}: the venue has it, the ledger has not")
            continue
        scale = scales[currency_of[payment.coin]]
        found.count("funding payments")
        if (here or 0) != scaled(payment.usdc, scale):
            found.differ(f"{where}: {format_decimal(here or 0, scale)}, the venue has {payment.usdc}")
    if span_ms is not None:
        for (coin, second), amount in ours.items():
            if span_ms[0] // 1000 < second < span_ms[1] // 1000 and amount:
                found.differ(f"{coin} funding at {second * 1000}: the ledger has it, the venue has not")


def compare_transfers(store: Store, told: Answers, found: Reconciliation) -> None:
    """Compare what was paid in and out since the first session began; where sums differ the venue's are named."""
    moved, booked, accounts = schema.transactions, schema.postings, schema.accounts
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        query = (
            sa.select(sa.func.sum(booked.c.amount))
            .join(accounts, accounts.c.id == booked.c.account)
            .join(moved, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq))
            .where(accounts.c.kind == TRANSFERS, accounts.c.currency == SETTLED_IN)
            .where(moved.c.exch_ts_ns < (told.until_ms + 1) * MS_NS)
        )
        ours = -int(connection.scalar(query) or 0)
    scale = scales.get(SETTLED_IN, MONEY_SCALE)
    theirs = sum(row.amount for row in told.transfers) * 10 ** max(0, scale - MONEY_SCALE)
    found.count("transfers", len(told.transfers))
    if ours != theirs:
        found.differ(f"transfers: {format_decimal(ours, scale)}, the venue has {format_decimal(theirs, scale)}")
        for row in told.transfers:
            found.differ(f"  of these at {row.time_ms}: {row.kind} {format_decimal(row.amount, MONEY_SCALE)}")


def compare_account(store: Store, told: dict[str, Any], found: Reconciliation, until_ms: int | None = None) -> None:
    """Compare positions, and settled cash with the venue's `totalRawUsd`: account value less positions at the mark.

    With a time, the ledger as it stood at the venue then.
    """
    booked, accounts, moved = schema.postings, schema.accounts, schema.transactions
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        sizes = {row.name: row.size_scale for row in connection.execute(sa.select(schema.instruments))}
        held: dict[str, int] = {}
        cash: dict[str, int] = {}
        query = sa.select(
            accounts.c.kind, accounts.c.currency, accounts.c.instrument, booked.c.amount, booked.c.quantity
        ).join(booked, booked.c.account == accounts.c.id)
        if until_ms is not None:
            query = query.join(moved, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq)).where(
                moved.c.exch_ts_ns < (until_ms + 1) * MS_NS
            )
        for row in connection.execute(query.where(accounts.c.kind.in_((CASH, POSITION_COST)))):
            if row.kind == CASH:
                cash[row.currency] = cash.get(row.currency, 0) + int(row.amount)
            else:
                held[row.instrument] = held.get(row.instrument, 0) + int(row.quantity)
    theirs = {entry["position"]["coin"]: entry["position"]["szi"] for entry in told.get("assetPositions", [])}
    for coin in sorted({name for name, size in held.items() if size} | set(theirs)):
        here = format_decimal(held.get(coin, 0), sizes.get(coin, 0))
        there = theirs.get(coin, "0")
        found.count("positions")
        if scaled(there, 12) != scaled(here, 12):
            found.differ(f"{coin} position: {here}, the venue has {there}")
    raw = told.get("marginSummary", {}).get("totalRawUsd")
    if raw is not None:
        currency = "USDC" if "USDC" in cash else next(iter(cash), "USDC")
        scale = scales.get(currency, 6)
        found.count("balances")
        if abs(cash.get(currency, 0) - scaled(raw, scale)) > 10 ** max(0, scale - 6):
            found.differ(f"settled cash: {format_decimal(cash.get(currency, 0), scale)}, the venue has {raw}")
