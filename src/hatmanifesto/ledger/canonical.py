"""A ledger as lines of JSON in one fixed order: the same facts give the same bytes, in whatever database they lie."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hatmanifesto.ledger import schema
from hatmanifesto.ledger.store import Store

ORDERED: Final = (schema.transactions, schema.postings, schema.trades)
"""Tables that may be large; their keys are integers, so every database sorts them alike."""
SMALL: Final = (
    schema.currencies,
    schema.instruments,
    schema.attribution,
    schema.equity,
    schema.issues,
    schema.closed_days,
)


def account_names(connection: Connection) -> dict[int, str]:
    """Return every account's name by its number: `kind:currency:instrument:strategy`."""
    return {row[0]: ":".join(row[1:]) for row in connection.execute(sa.select(schema.accounts))}


def table_rows(
    store: Store, connection: Connection, table: sa.Table, begin_ns: int = 0, end_ns: int = 1 << 62
) -> Iterator[tuple[Any, ...]]:
    """Yield a table's rows in canonical order, accounts by name; with times, only what lies between them."""
    conditions = []
    for name in ("ts_ns", "hour_ns"):
        if name in table.c:
            conditions = [table.c[name] >= begin_ns, table.c[name] < end_ns]
    if table is schema.postings:
        names = account_names(connection)
        query = sa.select(table)
        if (begin_ns, end_ns) != (0, 1 << 62):
            moved = schema.transactions
            query = query.join(moved, (moved.c.journal == table.c.journal) & (moved.c.seq == table.c.seq)).where(
                moved.c.ts_ns >= begin_ns, moved.c.ts_ns < end_ns
            )
        query = query.order_by(*table.primary_key.columns)
        for row in connection.execution_options(yield_per=10_000).execute(query):
            yield (*row[:3], names[row[3]], *row[4:])
    elif table in ORDERED:
        for row in store.rows(connection, table, *conditions):
            yield tuple(row)
    else:
        yield from sorted(tuple(row) for row in connection.execute(sa.select(table).where(*conditions)))


def canonical(store: Store, begin_ns: int = 0, end_ns: int = 1 << 62) -> Iterator[bytes]:
    """Yield the ledger's lines; between two times only what is dated there."""
    whole = (begin_ns, end_ns) == (0, 1 << 62)
    encode = msgspec.json.encode
    with store.connect() as connection:
        for table in (*SMALL, *ORDERED):
            dated = any(name in table.c for name in ("ts_ns", "hour_ns")) or table is schema.postings
            if whole or dated:
                for row in table_rows(store, connection, table, begin_ns, end_ns):
                    yield encode([str(table.name), *row]) + b"\n"


def canonical_hash(store: Store, begin_ns: int = 0, end_ns: int = 1 << 62) -> str:
    """Return the BLAKE2b-256 of the canonical lines."""
    digest = hashlib.blake2b(digest_size=32)
    for line in canonical(store, begin_ns, end_ns):
        digest.update(line)
    return digest.hexdigest()
