"""Closing a day: its rows are hashed, and the hash is written where it cannot be changed unnoticed."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.canonical import canonical_hash
from hatmanifesto.ledger.corrections import CLOSE_DAY, append, project_corrections
from hatmanifesto.ledger.sources import Folder
from hatmanifesto.ledger.store import Store

DAY_NS: Final = 86_400_000_000_000
_SETTLED_NS: Final = 300_000_000_000
"""Markouts of a day's last fills are known this long after it."""


class ClosedDay(NamedTuple):
    """A day that is closed; `again` when it was already."""

    day: str
    hash: str
    by: str
    again: bool


def day_bounds(day: str) -> tuple[int, int]:
    """Return a UTC day's first nanosecond, and the next day's; UserError when it is no day."""
    try:
        begin = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UserError(f"{day!r} is no day", "write it as 2026-01-31 (UTC)") from error
    start = int((begin - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)) * 1_000_000_000
    return start, start + DAY_NS


def day_of(ts_ns: int) -> str:
    """Return the UTC day of a time."""
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def close_day(folder: Folder, store: Store, day: str, by: str) -> ClosedDay:
    """Lock a day with a hash of its rows. UserError when it is not over in the journals, or has other rows now."""
    if not by.strip():
        raise UserError("closing a day needs an author", "name one: --by")
    store.check()
    begin, end = day_bounds(day)
    found = canonical_hash(store, begin, end)
    with store.connect() as connection:
        closed = connection.execute(sa.select(schema.closed_days).where(schema.closed_days.c.day == day)).first()
        ends = sa.select(sa.func.max(schema.journals.c.last_ts_ns)).where(schema.journals.c.id > 0)
        last = int(connection.scalar(ends) or 0)
        first = int(connection.scalar(sa.select(sa.func.min(schema.equity.c.hour_ns))) or 0)
        kinds = set(connection.scalars(sa.select(schema.journals.c.kind).where(schema.journals.c.id > 0)))
    if closed is not None:
        if closed.hash != found:
            raise UserError(f"{day} was closed with {closed.hash} and its rows give {found} now", "hat ledger verify")
        return ClosedDay(day, found, closed.author, True)
    if not (first < end and begin <= last):
        raise UserError(
            f"the journals tell nothing of {day}", f"they tell of {day_of(first)} to {day_of(last)}; close one of these"
        )
    if last < end + _SETTLED_NS and "live" in kinds:
        raise UserError(
            f"the journals end {day_of(last)}, before {day} is over and its last markouts are known",
            "close it five minutes after midnight UTC",
        )
    append(folder.corrections, {"command": CLOSE_DAY, "day": day, "hash": found, "by": by})
    project_corrections(store, folder.corrections)
    return ClosedDay(day, found, by, False)
