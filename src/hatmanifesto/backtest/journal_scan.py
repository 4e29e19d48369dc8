"""A run's journal read forwards for its projections: its opening, batches of records, its closing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Batch, batches, widen
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.model.record import CLOSE, FIELDS, SESSION


class Opening(NamedTuple):
    """What the journal's first record says: the plan, and everything else as plain values."""

    plan: SessionPlan
    facts: dict[str, Any]


def read_opening(path: Path) -> Opening:
    """Return the session record; UserError when the journal does not begin with one of a backtest."""
    with JournalReader(path) as reader:
        first = next(reader.records(kinds={SESSION}), None)
    if first is None:
        raise UserError(f"{path} has no session record", "name the journal of a run")
    facts: dict[str, Any] = msgspec.json.decode(first.payload)
    try:
        plan = msgspec.convert(facts["plan"], SessionPlan)
    except (KeyError, msgspec.ValidationError) as error:
        raise UserError(f"{path} has a session record this version cannot read: {error}") from error
    return Opening(plan, facts)


def read_batches(path: Path) -> Iterator[Batch]:
    """Yield the journal's records, about a megabyte at a time."""
    with JournalReader(path) as reader:
        for groups in batches(reader.groups()):
            yield widen(groups)


def closing_in(batch: Batch) -> dict[str, Any] | None:
    """Return the closing record's content when the batch holds it."""
    chosen = np.flatnonzero(batch.kinds == CLOSE)
    if not len(chosen):
        return None
    start = int(batch.starts[chosen[0]])
    length = int(batch.words[start + 2])
    begin = (start + 4) * 8
    found: dict[str, Any] = msgspec.json.decode(batch.data[begin : begin + length])
    return found


class Rows(NamedTuple):
    """The records of one packed kind in a batch."""

    ts_ns: NDArray[np.int64]
    aux: NDArray[np.int64]
    at: NDArray[np.int64]
    words: NDArray[np.int64]
    kind: int

    def field(self, name: str) -> NDArray[np.int64]:
        """Return one named word of every record."""
        return self.words[self.at + (2 + FIELDS[self.kind].index(name))]

    def __len__(self) -> int:
        return len(self.at)


def rows_of(batch: Batch, kind: int) -> Rows:
    """Return a batch's records of one packed kind."""
    at = batch.starts[batch.kinds == kind]
    heads = batch.words[at]
    return Rows(batch.words[at + 1], (heads >> 16) & 0xFFFF, at, batch.words, kind)
