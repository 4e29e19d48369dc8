"""What people write beside the sessions: corrections, and days that are closed. A journal of their own keeps it.

A correction never edits anything: it is a transaction of its own, with an author and a reason, dated when it was
written. The record is `{"command": "ledger_correction", "by", "reason", "postings": [{"account", "currency",
"instrument", "strategy", "amount", "quantity"}]}`; a closed day is `{"command": "close_day", "by", "day", "hash"}`.
"""

import time
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.tail import read_tail
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import MEANINGS, Account
from hatmanifesto.ledger.postings import Posting, UnbalancedError, check_balance
from hatmanifesto.ledger.store import Store
from hatmanifesto.model import record

CORRECTION = "ledger_correction"
CLOSE_DAY = "close_day"
MOST: Final = 1 << 60
"""Money units that one posting may have."""


def append(path: Path, content: dict[str, Any], now_ns: int | None = None) -> int:
    """Write a record into people's own journal, made when it is missing; return its sequence number."""
    now = time.time_ns() if now_ns is None else now_ns
    if path.exists():
        writer = JournalWriter.open_append(path)
        seq = read_tail(path).next_seq
    else:
        writer, seq = JournalWriter(path, {"kind": "ledger"}), 0
    with writer:
        payload = msgspec.json.encode(content, order="deterministic")
        writer.append(seq, 1, pack_blob(record.OPERATOR, now, 0, payload, seq))
        writer.sync()
    return seq


def correct(path: Path, by: str, reason: str, postings: list[Posting], now_ns: int | None = None) -> int:
    """Write a correction. UserError when it has no author, no reason, an unknown account, or does not balance."""
    if not by.strip() or not reason.strip():
        raise UserError("a correction needs an author and a reason", "name both: --by and --reason")
    for posting in postings:
        if posting.account.kind not in MEANINGS:
            raise UserError(f"there is no account {posting.account.kind}", f"use one of {', '.join(MEANINGS)}")
        if abs(posting.amount) > MOST:
            raise UserError(f"an amount of {posting.amount} money units is too large", f"at most {MOST} can be booked")
    if len({posting.account for posting in postings}) < len(postings):
        raise UserError(
            "a correction that debits and credits the same account changes nothing", "name two different accounts"
        )
    try:
        check_balance(postings, "the correction")
    except UnbalancedError as error:
        raise UserError(str(error), "give every amount its other side") from error
    told = [
        {**posting.account._asdict(), "amount": p.amount, "quantity": p.quantity}
        for posting in postings
        for p in [posting]
    ]
    for entry in told:
        entry["account"] = entry.pop("kind")
    return append(path, {"command": CORRECTION, "by": by, "reason": reason, "postings": told}, now_ns)


def project_corrections(store: Store, path: Path) -> int:
    """Book what people wrote since the last time; return how many transactions were added."""
    with store.connect() as connection:
        query = sa.select(schema.journals.c.next_seq).where(schema.journals.c.id == 0)
        begin = int(connection.scalar(query) or 0)
        found = connection.execute(sa.select(schema.accounts)).all()
    accounts = {Account(*row[1:]): row[0] for row in found}
    known = len(accounts)
    transactions: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    days: list[tuple[Any, ...]] = []
    last = (begin, 0)
    with JournalReader(path) as reader:
        for entry in reader.records(begin):
            last = (entry.seq + 1, entry.ts_ns)
            if entry.kind != record.OPERATOR:
                continue
            told = msgspec.json.decode(entry.payload)
            if told.get("command") == CLOSE_DAY:
                days.append((told["day"], told["hash"], told["by"], entry.seq))
            if told.get("command") != CORRECTION:
                continue
            transactions.append((0, entry.seq, entry.ts_ns, 0, "correction", f"{told['by']}: {told['reason']}"))
            for line, one in enumerate(told["postings"]):
                account = Account(one["account"], one["currency"], one["instrument"], one["strategy"])
                number = accounts.setdefault(account, len(accounts) + 1)
                rows.append((0, entry.seq, line, number, one["amount"], one.get("quantity", 0)))
    if last[0] == begin:
        return 0
    added = [(number, *account) for account, number in accounts.items() if number > known]
    with store.begin() as connection:
        store.insert(connection, schema.accounts, added)
        store.insert(connection, schema.transactions, transactions)
        store.insert(connection, schema.postings, rows)
        store.replace(connection, schema.closed_days, days)
        store.replace(connection, schema.journals, [(0, path.name, "ledger", 0, "", last[0], 0, "", last[1])])
    return len(transactions)
