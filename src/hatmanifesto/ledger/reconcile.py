"""The ledger beside the venue's own answers, row by row: fills, funding payments, the account's money and positions.

The venue reckons closed profit with an average entry that it rounds down to its price's decimals; a difference smaller
than that step on the closed size is the venue's rounding and is counted apart.
"""

from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import CASH, POSITION_COST
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.venue_history import HistoryFill, HistoryFunding, fills_of_answer, funding_of_answer, scaled
from hatmanifesto.model.money import format_decimal

_TOLD: int = 100


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


def reconcile(
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
        compare_account(store, _answer(account, lambda answer: answer), found)
    return found


def _answer(path: Path, read: Any) -> Any:
    try:
        return read(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{path} is not an answer of the venue: {error!r}", "save the answer of /info as it is"
        ) from error


def compare_fills(store: Store, told: list[HistoryFill], found: Reconciliation) -> None:
    """Compare every fill that the venue tells: role, side, price, size, fee, position before it, closed profit."""
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        instruments = {row.name: row for row in connection.execute(sa.select(schema.instruments))}
        ours: dict[tuple[str, int, int], Any] = {}
        for one in connection.execute(sa.select(schema.trades)):
            ours[(one.symbol, one.trade_id, one.side)] = one
    for fill in told:
        row = ours.get((fill.coin, fill.trade_id, fill.side))
        where = f"{fill.coin} trade {fill.trade_id}"
        if row is None:
            found.differ(f"{where}: the venue has it, the ledger has not")
            continue
        entry = instruments[fill.coin]
        scale = scales[entry.currency]
        found.count("fills")
        for name, here, there in (
            ("price", row.price, scaled(fill.price, entry.price_scale)),
            ("size", row.quantity, scaled(fill.size, entry.size_scale)),
            ("fee", row.fee, scaled(fill.fee, scale)),
            ("taker", bool(row.taker), fill.taker),
            (
                "position before",
                row.position_after - row.side * row.quantity,
                scaled(fill.start_position, entry.size_scale),
            ),
        ):
            if here != there:
                found.differ(f"{where}: {name} is {here}, the venue has {there}")
        closed = scaled(fill.closed_pnl, scale)
        before = row.position_after - row.side * row.quantity
        shrunk = min(row.quantity, abs(before)) if before * row.side < 0 else 0
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


def compare_funding(store: Store, told: list[HistoryFunding], found: Reconciliation) -> None:
    """Compare every funding payment that the venue tells, by instrument and hour."""
    moved, booked, accounts = schema.transactions, schema.postings, schema.accounts
    ours: dict[tuple[str, int], int] = {}
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        currency_of = {row.name: row.currency for row in connection.execute(sa.select(schema.instruments))}
        query = (
            sa.select(moved.c.ts_ns, accounts.c.instrument, booked.c.amount)
            .join(booked, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq))
            .join(accounts, accounts.c.id == booked.c.account)
            .where(moved.c.kind == "funding", accounts.c.kind != CASH)
        )
        for row in connection.execute(query):
            key = (row.instrument, row.ts_ns // 3_600_000_000_000)
            ours[key] = ours.get(key, 0) - int(row.amount)
    for payment in told:
        where = f"{payment.coin} funding at {payment.time_ms}"
        here = ours.get((payment.coin, payment.time_ms // 3_600_000))
        if here is None or payment.coin not in currency_of:
            found.differ(f"{where}: the venue has it, the ledger has not")
            continue
        scale = scales[currency_of[payment.coin]]
        found.count("funding payments")
        if here != scaled(payment.usdc, scale):
            found.differ(f"{where}: {format_decimal(here, scale)}, the venue has {payment.usdc}")


def compare_account(store: Store, told: dict[str, Any], found: Reconciliation) -> None:
    """Compare positions, and settled cash with the venue's `totalRawUsd`: account value less positions at the mark."""
    booked, accounts = schema.postings, schema.accounts
    with store.connect() as connection:
        scales = {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}
        sizes = {row.name: row.size_scale for row in connection.execute(sa.select(schema.instruments))}
        held: dict[str, int] = {}
        cash: dict[str, int] = {}
        query = sa.select(
            accounts.c.kind, accounts.c.currency, accounts.c.instrument, booked.c.amount, booked.c.quantity
        ).join(booked, booked.c.account == accounts.c.id)
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
