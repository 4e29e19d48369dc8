"""The auditor: is the ledger what the journals say, to the last unit? Everything that is not is found and named.

The journals' own chain comes first. Then sums inside the ledger: each transaction to zero, attribution to the change of
equity. Then the journals are projected again, into a store that is thrown away, and compared row by row.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import sqlalchemy as sa

from hatmanifesto.config.checkpoint import checkpoint_from_json
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.verify import verify as verify_journal
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.build import Builder
from hatmanifesto.ledger.canonical import ORDERED, SMALL, canonical_hash, table_rows
from hatmanifesto.ledger.days import day_bounds
from hatmanifesto.ledger.fee_model import DEFAULT_TOLERANCE, FeeTolerance
from hatmanifesto.ledger.reconcile import Reconciliation
from hatmanifesto.ledger.sources import Folder, opening_of
from hatmanifesto.ledger.store import Store
from hatmanifesto.model import record
from hatmanifesto.model.order import SEQ_SHIFT

MOST: Final = 100
"""Findings that are told one by one; the others are counted."""
_NOTES: Final = frozenset({"fee_differs"})
"""What the projection reports and is not the ledger's fault: the venue's fee is booked, our model differs."""


class Finding(NamedTuple):
    """One thing that is wrong; `kind` is its stable name, `where` the journal record or the table's row."""

    kind: str
    where: str
    detail: str


class Verdict:
    """What the auditor found."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.transactions = 0
        self.trades = 0
        self.venue: dict[str, Any] | None = None

    def add(self, kind: str, where: str, detail: str) -> None:
        """Take a finding."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind, where, detail))

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts


def verify(folder: Folder, store: Store, at_venue: Reconciliation | None = None) -> Verdict:
    """Audit a ledger against its journals, and what a comparison with the venue found, if there was one.

    UserError when there is no ledger, or a journal cannot be read.
    """
    store.check()
    verdict = Verdict()
    for source in folder.journals:
        report = verify_journal(source.path)
        for finding in report.findings:
            if report.damaged:
                verdict.add("journal_damaged", source.name, finding.message)
    _balances(store, verdict)
    _attribution(store, verdict)
    if "journal_damaged" not in verdict.counts:
        _journal_fills(folder, verdict)
        _compare(folder, store, verdict)
    _told(store, verdict)
    _closed_days(store, verdict)
    verdict.venue = last_reconciliation(folder)
    if verdict.venue is not None and not verdict.venue.get("reconciled", True):
        verdict.add("venue_differs", "the last reconciliation", "; ".join(verdict.venue.get("differences", [])))
    for difference in at_venue.differences if at_venue else []:
        verdict.add("venue_differs", "the venue now", difference)
    return verdict


# -- sums inside the ledger --------------------------------------------------------------------------


def _balances(store: Store, verdict: Verdict) -> None:
    with store.connect() as connection:
        rows = connection.execute(
            sa.select(schema.postings.c.journal, schema.postings.c.seq, schema.accounts.c.currency,
                      sa.func.sum(schema.postings.c.amount).label("total"))
            .join(schema.accounts, schema.accounts.c.id == schema.postings.c.account)
            .group_by(schema.postings.c.journal, schema.postings.c.seq, schema.accounts.c.currency)
            .having(sa.func.sum(schema.postings.c.amount) != 0)
        )  # fmt: skip
        for row in rows:
            verdict.add("unbalanced", f"journal {row.journal}, record {row.seq}",
                        f"postings in {row.currency} add up to {row.total}, not to zero")  # fmt: skip
        verdict.transactions = int(connection.scalar(sa.select(sa.func.count()).select_from(schema.transactions)) or 0)
        verdict.trades = int(connection.scalar(sa.select(sa.func.count()).select_from(schema.trades)) or 0)


def _attribution(store: Store, verdict: Verdict) -> None:
    """The parts of each hour are twice the change of equity less what was paid in."""
    with store.connect() as connection:
        parts: dict[tuple[int, str], int] = {}
        for row in connection.execute(sa.select(schema.attribution)):
            key = (row.hour_ns, row.currency)
            parts[key] = parts.get(key, 0) + sum(row[4:])
        before: dict[str, int] = {}
        for hour, currency, equity, transfers in sorted(
            tuple(one) for one in connection.execute(sa.select(schema.equity))
        ):
            change = equity - before.get(currency, 0) - transfers
            before[currency] = equity
            told = parts.pop((hour, currency), 0)
            if told != 2 * change:
                verdict.add("attribution_differs", f"hour {hour}, {currency}",
                            f"the parts add up to {told} half units, equity changed by {2 * change}")  # fmt: skip
        for (hour, currency), told in parts.items():
            if told:
                verdict.add("attribution_differs", f"hour {hour}, {currency}", f"{told} half units without equity")


# -- the journals themselves -------------------------------------------------------------------------


def _journal_fills(folder: Folder, verdict: Verdict) -> None:
    """Find fills that a journal has twice, and fills of orders that were never sent."""
    keys: list[Any] = []
    sent: list[Any] = []
    begun = -1
    names: dict[str, int] = {}
    filled: list[tuple[int, Any, Any]] = []
    for source in folder.journals:
        with JournalReader(source.path) as reader:
            table: list[int] = []
            for columns in reader.columns({record.SESSION, record.CHECKPOINT, record.SUBMIT, record.FILL}):
                for payload in columns.get(record.SESSION, {}).get("payload", []):
                    opening = opening_of(payload, source.name)
                    table = [names.setdefault(one.name, len(names)) for one in opening.plan.instruments]
                if begun < 0:
                    for payload in columns.get(record.CHECKPOINT, {}).get("payload", [])[:1]:
                        begun = checkpoint_from_json(payload).order_seq
                if record.SUBMIT in columns:
                    sent.append(columns[record.SUBMIT]["order_id"])
                if record.FILL in columns and table:
                    fills = columns[record.FILL]
                    index = np.array(table)[np.asarray(fills["aux"], dtype=np.int64) >> 8]
                    place = np.full(len(index), source.number)
                    keys.append(np.stack((index, fills["trade_id"], fills["exch_ts_ns"] // 1_000_000, fills["side"],
                                          place, fills["seq"])))  # fmt: skip
                    filled.append((source.number, fills["order_id"], fills["seq"]))
    if keys:
        joined = np.concatenate(keys, axis=1)
        order = np.lexsort(joined[::-1])
        joined = joined[:, order]
        same = np.all(joined[:4, 1:] == joined[:4, :-1], axis=0)
        for at in (np.flatnonzero(same) + 1).tolist():
            verdict.add("duplicate_fill", f"journal {joined[4, at]}, record {joined[5, at]}",
                        f"trade {joined[1, at]} was told before in journal {joined[4, at - 1]}, record "
                        f"{joined[5, at - 1]}")  # fmt: skip
    known = np.unique(np.concatenate(sent)) if sent else np.zeros(0, dtype=np.int64)
    for number, orders, seqs in filled:
        strange = (orders > 0) & ~np.isin(orders, known) & ((orders >> SEQ_SHIFT) > begun)
        for order_id, seq in zip(orders[strange].tolist(), seqs[strange].tolist(), strict=True):
            verdict.add("unknown_order", f"journal {number}, record {seq}", f"a fill of order {order_id}, never sent")


def last_reconciliation(folder: Folder) -> dict[str, Any] | None:
    """Return what the newest session's last reconciliation with the venue said."""
    found: dict[str, Any] | None = None
    with JournalReader(folder.journals[-1].path) as reader:
        for columns in reader.columns({record.NOTE}):
            for payload in columns.get(record.NOTE, {}).get("payload", []):
                if b'"reconciliation"' in payload:
                    found = msgspec.json.decode(payload)
    return found


# -- the ledger beside a new projection --------------------------------------------------------------


def _compare(folder: Folder, store: Store, verdict: Verdict) -> None:
    with tempfile.TemporaryDirectory(prefix="hat-ledger-") as place:
        fresh = Store(str(Path(place) / "ledger.sqlite"))
        fresh.create()
        Builder(folder, fresh, tolerance=_tolerance(store)).run()
        try:
            with fresh.connect() as ours, store.connect() as theirs:
                for table in (*ORDERED, *SMALL):
                    rows = table_rows(fresh, ours, table), table_rows(store, theirs, table)
                    width = 2 if table is schema.postings else len(table.primary_key.columns)
                    for key, expected, found in _merge(*rows, width):
                        if expected != found:
                            _name(verdict, table.name, key, expected, found)
        finally:
            fresh.close()


def _tolerance(store: Store) -> FeeTolerance:
    with store.connect() as connection:
        told = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.name == "fee_tolerance"))
    return FeeTolerance(*msgspec.json.decode(told)) if told else DEFAULT_TOLERANCE


def _merge(
    expected: Iterator[tuple[Any, ...]], found: Iterator[tuple[Any, ...]], width: int
) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """Yield the rows of both sides with the same first `width` values, both sides in order."""

    def groups(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
        key: tuple[Any, ...] | None = None
        held: list[tuple[Any, ...]] = []
        for row in rows:
            if key is not None and row[:width] != key:
                yield key, held
                held = []
            key = row[:width]
            held.append(row)
        if key is not None:
            yield key, held

    left, right = groups(expected), groups(found)
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0] < two[0]):
            assert one is not None
            yield one[0], one[1], []
            one = next(left, None)
        elif one is None or two[0] < one[0]:
            yield two[0], [], two[1]
            two = next(right, None)
        else:
            yield one[0], one[1], two[1]
            one, two = next(left, None), next(right, None)


def _name(
    verdict: Verdict, table: str, key: tuple[Any, ...], expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]
) -> None:
    """Say what is wrong with rows that differ."""
    where = f"{table} {':'.join(map(str, key))}"
    if table in ("transactions", "postings", "trades"):
        where = f"journal {key[0]}, record {key[1]} ({table})"
    if not found:
        verdict.add("deleted_row", where, "the journal has it, the ledger has not")
    elif not expected:
        verdict.add("unexpected_row", where, "the ledger has it, no journal record caused it")
    elif table == "postings":
        kind, detail = name_postings([row[3:] for row in expected], [row[3:] for row in found])
        verdict.add(kind, where, detail)
    elif len(expected) == len(found) == 1 and len(expected[0]) == len(found[0]):
        columns = [column.name for column in schema.metadata.tables[table].columns]
        changed = [
            f"{name} is {there!r}, should be {here!r}"
            for name, here, there in zip(columns, expected[0], found[0], strict=True)
            if here != there
        ]
        kind = "edited_amount" if table == "trades" else "edited_row"
        verdict.add(kind, where, "; ".join(changed))
    else:
        verdict.add("edited_row", where, "the rows differ")


def name_postings(expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> tuple[str, str]:
    """Name what was done to a transaction's postings, each (account name, amount, quantity)."""
    here, there = _sums(expected), _sums(found)
    for account, amount in here.items():
        kind = account.partition(":")[0]
        other = there.get(account, 0)
        if kind in ("trading_fees", "rebates", "funding_received", "funding_paid") and other != amount:
            name = kind.replace("_", " ")
            if other == -amount:
                return "flipped_sign", f"{name} of {amount} is booked as {other}"
            if other == 2 * amount:
                return "booked_twice", f"{name} of {amount} is booked as {other}"
            swapped = {"trading_fees": "rebates", "rebates": "trading_fees", "funding_received": "funding_paid",
                       "funding_paid": "funding_received"}[kind] + account[len(kind):]  # fmt: skip
            if other == 0 and there.get(swapped, 0) == -amount:
                what = "receipt_as_cost" if amount < 0 else "cost_as_receipt"
                return what, f"{name} of {amount} is booked in {swapped} as {-amount}"
    if len(found) < len(expected):
        missing = [row for row in expected if row not in found]
        return "deleted_row", f"without {missing[0][0]} {missing[0][1]}" if missing else "a posting is missing"
    changed = [f"{name} is {there.get(name, 0)}, should be {here.get(name, 0)}" for name in sorted({*here, *there})
               if here.get(name, 0) != there.get(name, 0)]  # fmt: skip
    return "edited_amount", "; ".join(changed) or "quantities differ"


def _sums(rows: list[tuple[Any, ...]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for account, amount, _ in rows:
        sums[account] = sums.get(account, 0) + amount
    return sums


# -- what was reported and closed --------------------------------------------------------------------


def _told(store: Store, verdict: Verdict) -> None:
    with store.connect() as connection:
        for row in sorted(tuple(one) for one in connection.execute(sa.select(schema.issues))):
            where = f"journal {row[0]}, record {row[1]}"
            if row[2] in _NOTES:
                if len(verdict.notes) < MOST:
                    verdict.notes.append(Finding(row[2], where, row[3]))
            else:
                verdict.add(row[2], where, row[3])


def _closed_days(store: Store, verdict: Verdict) -> None:
    with store.connect() as connection:
        days = sorted(tuple(row) for row in connection.execute(sa.select(schema.closed_days)))
    for day, told, author, _ in days:
        now = canonical_hash(store, *day_bounds(day))
        if now != told:
            verdict.add("closed_day_changed", day, f"closed by {author} with {told}, its rows now give {now}")
