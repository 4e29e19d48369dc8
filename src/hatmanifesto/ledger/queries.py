"""What reports, the console and `hat pnl` ask a ledger: profit by cause and period, trades, balances.

Amounts of attribution are kept in half money units; they come out as decimal text with one more decimal than money
has, so that nothing is rounded. Periods are UTC days, ISO weeks and months.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import CASH, POSITION_COST
from hatmanifesto.ledger.store import Store
from hatmanifesto.model.money import format_decimal

By = Literal["strategy", "symbol", "hour", "day", "week", "month", "cause"]
EVER: Final = 1 << 62
"""A time after all others."""
HOUR_NS: Final = 3_600_000_000_000
BY: Final = ("strategy", "symbol", "hour", "day", "week", "month", "cause")


class Line(NamedTuple):
    """One line of profit: `parts` and `total` in half money units of `currency`."""

    key: str
    currency: str
    scale: int
    parts: dict[str, int]
    total: int

    def text(self, amount: int) -> str:
        """Return an amount as exact decimal text."""
        return half_text(amount, self.scale)

    def as_json(self) -> dict[str, str]:
        """Return it with decimal text."""
        told = {name: self.text(amount) for name, amount in self.parts.items()}
        return {"key": self.key, "currency": self.currency, **told, "total": self.text(self.total)}


class Period(NamedTuple):
    """A day, week or month in one currency; money units, `line` in half money units."""

    name: str
    currency: str
    begin_equity: int
    end_equity: int
    transfers: int
    corrections: int
    trades: int
    traded_notional: int
    line: Line

    def as_json(self) -> dict[str, Any]:
        """Return it with decimal text."""
        scale = self.line.scale
        money = {
            name: format_decimal(getattr(self, name), scale)
            for name in ("begin_equity", "end_equity", "transfers", "corrections", "traded_notional")
        }
        return {"period": self.name, "trades": self.trades, **money, **self.line.as_json()}


def half_text(amount: int, scale: int) -> str:
    """Return half money units as decimal text, exact."""
    return format_decimal(5 * amount, scale + 1)


def period_name(ts_ns: int, by: str) -> str:
    """Return the hour, UTC day, ISO week or month that a time lies in."""
    moment = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)
    if by == "hour":
        return moment.strftime("%Y-%m-%dT%H")
    if by == "week":
        year, week, _ = moment.isocalendar()
        return f"{year}-W{week:02}"
    return moment.strftime("%Y-%m" if by == "month" else "%Y-%m-%d")


def scales_of(connection: Connection) -> dict[str, int]:
    """Return each currency's decimals."""
    return {row.code: row.scale for row in connection.execute(sa.select(schema.currencies))}


def pnl(store: Store, by: By, begin_ns: int = 0, end_ns: int = EVER) -> list[Line]:
    """Return profit by strategy, symbol, period or cause, between two times (whole hours). Sorted by key.

    By cause there is one line a cause, with its amount as the only part. Corrections stand under `corrections`.
    UserError when there is no such grouping, or the times are no whole hours.
    """
    if by not in BY:
        raise UserError(f"profit cannot be grouped by {by}", f"use one of {', '.join(BY)}")
    if begin_ns % HOUR_NS or (end_ns % HOUR_NS and end_ns != EVER):
        raise UserError("profit is kept by the hour", "begin and end at whole hours, as 2026-01-31 or 2026-01-31T08:00")
    store.check()
    found: dict[tuple[str, str], dict[str, int]] = {}
    with store.connect() as connection:
        scales = scales_of(connection)
        table = schema.attribution
        rows = connection.execute(sa.select(table).where(table.c.hour_ns >= begin_ns, table.c.hour_ns < end_ns))
        for row in rows:
            told = row._mapping
            for part in schema.PARTS:
                key = {
                    "strategy": row.strategy or "(none)", "symbol": row.instrument, "cause": part
                }.get(by) or period_name(row.hour_ns, by)  # fmt: skip
                sums = found.setdefault((key, row.currency), {})
                name = "amount" if by == "cause" else part
                sums[name] = sums.get(name, 0) + int(told[part])
        for ts, currency, instrument, strategy, amount in corrections(connection, begin_ns, end_ns):
            key = {"strategy": strategy or "(none)", "symbol": instrument or "(none)", "cause": "corrections"}.get(
                by
            ) or period_name(ts, by)
            sums = found.setdefault((key, currency), {})
            name = "amount" if by == "cause" else "corrections"
            sums[name] = sums.get(name, 0) + 2 * amount
    lines = [
        Line(key, currency, scales.get(currency, 6), parts, sum(parts.values()))
        for (key, currency), parts in found.items()
    ]
    if by == "cause":
        order = [*schema.PARTS, "corrections"]
        return sorted(lines, key=lambda line: (line.currency, order.index(line.key)))
    return sorted(lines, key=lambda line: (line.key, line.currency))


def corrections(connection: Connection, begin_ns: int, end_ns: int) -> Iterator[tuple[int, str, str, str, int]]:
    """Yield what corrections changed in equity: time, currency, instrument, strategy, money units."""
    moved, booked, accounts = schema.transactions, schema.postings, schema.accounts
    query = (
        sa.select(moved.c.ts_ns, accounts.c.currency, accounts.c.instrument, accounts.c.strategy, booked.c.amount)
        .join(booked, (booked.c.journal == moved.c.journal) & (booked.c.seq == moved.c.seq))
        .join(accounts, accounts.c.id == booked.c.account)
        .where(moved.c.kind == "correction", accounts.c.kind.in_((CASH, POSITION_COST)))
        .where(moved.c.ts_ns >= begin_ns, moved.c.ts_ns < end_ns)
    )
    for row in connection.execute(query):
        yield row[0], row[1], row[2], row[3], int(row[4])


def periods(
    store: Store, by: Literal["day", "week", "month"] = "day", begin_ns: int = 0, end_ns: int = EVER
) -> list[Period]:
    """Return each period's equity, transfers, volume and attribution: what reports and the console show.

    Between two times (whole hours), a period that lies partly outside counts with its part inside.
    """
    lines = {(line.key, line.currency): line for line in pnl(store, by, begin_ns, end_ns)}
    with store.connect() as connection:
        scales = scales_of(connection)
        currency_of = {row.name: row.currency for row in connection.execute(sa.select(schema.instruments))}
        ends: dict[tuple[str, str], list[int]] = {}
        before: dict[str, int] = {}
        for hour, currency, equity, transfers in sorted(
            tuple(row) for row in connection.execute(sa.select(schema.equity))
        ):
            if not begin_ns <= hour < end_ns:
                before[currency] = equity
                continue
            held = ends.setdefault((period_name(hour, by), currency), [before.get(currency, 0), 0, 0])
            held[1] = before[currency] = equity
            held[2] += transfers
        added: dict[tuple[str, str], int] = {}
        for ts, currency, _, _, amount in corrections(connection, begin_ns, end_ns):
            key = (period_name(ts, by), currency)
            added[key] = added.get(key, 0) + amount
        traded: dict[tuple[str, str], list[int]] = {}
        day = schema.trades.c.ts_ns // sa.literal_column("86400000000000", sa.BigInteger)
        counted = (
            sa.select(
                day.label("day"), schema.trades.c.symbol,
                sa.func.count().label("trades"), sa.func.sum(schema.trades.c.notional).label("notional"),
            )
            .where(schema.trades.c.ts_ns >= begin_ns, schema.trades.c.ts_ns < end_ns)
            .group_by("day", schema.trades.c.symbol)
        )  # fmt: skip
        for row in connection.execute(counted):
            key = (period_name(int(row.day) * 86_400_000_000_000, by), currency_of[row.symbol])
            sums = traded.setdefault(key, [0, 0])
            sums[0] += int(row.trades)
            sums[1] += int(row.notional)
    found = []
    for key in sorted({*ends, *lines}):
        line = lines.get(key) or Line(*key, scales[key[1]], {}, 0)
        begin, end, transfers = ends.get(key, [0, 0, 0])
        count, notional = traded.get(key, [0, 0])
        found.append(Period(*key, begin, end, transfers, added.get(key, 0), count, notional, line))
    return found


def balances(store: Store) -> list[dict[str, str]]:
    """Return every account's balance (debits positive) and quantity, as decimal text."""
    store.check()
    with store.connect() as connection:
        scales = scales_of(connection)
        sizes = {row.name: row.size_scale for row in connection.execute(sa.select(schema.instruments))}
        accounts, booked = schema.accounts, schema.postings
        query = (
            sa.select(accounts, sa.func.sum(booked.c.amount), sa.func.sum(booked.c.quantity))
            .join(booked, booked.c.account == accounts.c.id)
            .group_by(*accounts.columns)
            .order_by(accounts.c.id)
        )
        return [
            {
                "account": row.kind, "currency": row.currency, "instrument": row.instrument, "strategy": row.strategy,
                "balance": format_decimal(int(row[5]), scales.get(row.currency, 6)),
                "quantity": format_decimal(int(row[6]), sizes.get(row.instrument, 0)) if row[6] else "",
            }
            for row in connection.execute(query)
        ]  # fmt: skip
