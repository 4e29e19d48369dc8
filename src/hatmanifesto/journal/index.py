"""An SQLite projection of a journal for seeking: one row a run of groups, rebuilt whenever it is stale."""

import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import batches, split, times
from hatmanifesto.journal.format import GROUP_HEADER_BYTES, FileHeader, Group, unpack_group_header
from hatmanifesto.journal.reader import JournalReader, walk
from hatmanifesto.journal.tail import open_journal, read_file_header

INDEX_VERSION: Final = 1
RUN_BYTES: Final = 1 << 16
"""Payload bytes of a run of groups at least: so much is read to find a record, however small groups are."""

_SCHEMA: Final = """
create table state (
    version integer, header blob, last_offset integer, last_digest blob, end integer, next_seq integer);
create table runs (
    offset integer primary key, first_seq integer, records integer, groups integer,
    first_ts_ns integer, last_ts_ns integer);
create table kinds (offset integer, kind integer, records integer, primary key (offset, kind)) without rowid;
"""


class Run(NamedTuple):
    """Consecutive whole groups from file offset `offset` on."""

    offset: int
    first_seq: int
    records: int
    groups: int
    first_ts_ns: int
    last_ts_ns: int


class JournalIndex:
    """Finds records by sequence number, time or kind. Opening builds the index or brings it up to date.

    The file beside the journal (`<file>.idx`) can be deleted at any time. UserError when the journal cannot
    be read or the index not written, DamagedError when groups do not hold what their headers say.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.index_path = self.path.with_name(self.path.name + ".idx")
        self._descriptor = open_journal(path)
        try:
            self._header = read_file_header(self._descriptor, path)
            self.rebuilt = self._open()
            self._runs = [Run(*row) for row in self._database.execute("select * from runs order by offset")]
        except sqlite3.Error as error:
            os.close(self._descriptor)
            raise UserError(f"cannot keep an index in {self.index_path}: {error}") from error
        except BaseException:
            os.close(self._descriptor)
            raise
        self._seqs = [run.first_seq for run in self._runs]
        self.next_seq: int = self._database.execute("select next_seq from state").fetchone()[0]

    def _open(self) -> bool:
        """Open the database and bring it up to date; return whether it was built from the beginning."""
        try:
            self._database = sqlite3.connect(self.index_path)
            row = self._database.execute("select * from state").fetchone()
            if row and len(row) == 6 and self._continues(row):
                _extend(self._database, self._descriptor, row[4])
                return False
        except sqlite3.DatabaseError:  # no index yet, or not one of ours
            pass
        self._database.close()
        self.index_path.unlink(missing_ok=True)
        self._database = sqlite3.connect(self.index_path)
        self._database.executescript(_SCHEMA)
        _start(self._database, self._header)
        _extend(self._database, self._descriptor, self._header.end)
        return True

    def _continues(self, row: tuple[int, bytes, int, bytes, int, int]) -> bool:
        """Whether the index was made from what this file begins with."""
        version, header, last_offset, last_digest, end, _ = row
        if version != INDEX_VERSION or header != self._header.digest:
            return False
        if last_offset < 0:
            return True
        last = unpack_group_header(os.pread(self._descriptor, GROUP_HEADER_BYTES, last_offset))
        size = os.fstat(self._descriptor).st_size
        return last is not None and last.digest == last_digest and end <= size

    @property
    def runs(self) -> list[Run]:
        """All runs in the file's order."""
        return self._runs

    def counts(self) -> dict[int, int]:
        """Records of each kind."""
        return dict(self._database.execute("select kind, sum(records) from kinds group by kind order by kind"))

    def runs_with(self, kind: int) -> list[Run]:
        """The runs in which a kind occurs."""
        query = "select runs.* from runs join kinds using (offset) where kind = ? order by offset"
        return [Run(*row) for row in self._database.execute(query, (kind,))]

    def seek(self, seq: int) -> int | None:
        """Return the offset of the group that holds record `seq`; None when the journal does not have it."""
        if not self._runs or not self._seqs[0] <= seq < self.next_seq:
            return None
        start = self._runs[bisect_right(self._seqs, seq) - 1].offset
        for group in walk(self._descriptor, start):
            if seq < group.first_seq + group.records:
                return group.offset
        return None

    def seek_ts(self, ts_ns: int) -> int | None:
        """Return the sequence number of the first record stamped `ts_ns` or later; None without one."""
        run = next((run for run in self._runs if run.last_ts_ns >= ts_ns), None)
        if run is None:
            return None
        with JournalReader(self.path) as reader:
            return next((r.seq for r in reader.records(offset=run.offset) if r.ts_ns >= ts_ns), None)

    def close(self) -> None:
        """Close journal and index."""
        self._database.close()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start(database: sqlite3.Connection, header: FileHeader) -> None:
    row = (INDEX_VERSION, header.digest, -1, b"", header.end, header.first_seq)
    database.execute("insert into state values (?, ?, ?, ?, ?, ?)", row)


def _extend(database: sqlite3.Connection, descriptor: int, begin: int) -> None:
    """Add the runs from `begin` on, in one transaction."""
    with database:
        for groups in batches(walk(descriptor, begin), RUN_BYTES):
            _add_run(database, groups)


def _add_run(database: sqlite3.Connection, groups: Iterable[Group]) -> None:
    run = list(groups)
    batch = split(run)
    stamps = times(batch)
    first, last = run[0], run[-1]
    row = (first.offset, first.first_seq, len(stamps), len(run), int(stamps.min()), int(stamps.max()))
    database.execute("insert into runs values (?, ?, ?, ?, ?, ?)", row)
    counts = np.bincount(batch.kinds)
    rows = [(first.offset, kind, int(counts[kind])) for kind in np.flatnonzero(counts).tolist()]
    database.executemany("insert into kinds values (?, ?, ?)", rows)
    database.execute(
        "update state set last_offset = ?, last_digest = ?, end = ?, next_seq = ?",
        (last.offset, last.digest, last.end, last.first_seq + last.records),
    )
