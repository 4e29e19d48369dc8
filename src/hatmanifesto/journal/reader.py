"""Read a journal forwards: its header, its groups, its records, its columns; memory stays bounded."""

import os
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from hatmanifesto.journal.columns import LEVEL_NAMES, WANTED_NAMES, Columns, iter_columns, join_columns, widen
from hatmanifesto.journal.format import (
    BLOB_WORDS,
    GROUP_HEADER_BYTES,
    DamagedError,
    Group,
    groups_in,
    unpack_group_header,
)
from hatmanifesto.journal.tail import open_journal, read_file_header
from hatmanifesto.model import record

_BLOCK_BYTES: Final = 1 << 22


class Record(NamedTuple):
    """One record: `values` of a packed kind in the order of FIELDS, `payload` (UTF-8 JSON) of a blob."""

    seq: int
    ts_ns: int
    kind: int
    aux: int
    values: tuple[int, ...] = ()
    payload: bytes = b""

    @property
    def name(self) -> str:
        """The kind's name."""
        return kind_name(self.kind)

    def fields(self) -> dict[str, int]:
        """Values by field name; a view's further levels as bid_price_2, …, what was wanted as wanted_price_1, …"""
        names = list(record.FIELDS.get(self.kind, ()))
        if self.kind == record.VIEW:
            decision = self.values[0]
            names += [f"{name}_{n}" for n in range(2, 1 + (decision >> 8 & 0xFF)) for name in LEVEL_NAMES]
            names += record.EXTRA_NAMES[: decision >> 40 & 0xFF]
            names += [f"{name}_{n}" for n in range(1, 1 + (decision >> 24 & 0xFF)) for name in WANTED_NAMES]
        return dict(zip(names, self.values, strict=False))


def kind_name(kind: int) -> str:
    """Return a kind's name, also of one that nobody assigned."""
    return record.KIND_NAMES.get(kind, f"kind {kind}")


def records_of(group: Group) -> Iterator[Record]:
    """Yield a group's records; DamagedError when they do not fill it exactly."""
    batch = widen([group])
    data = batch.data
    for seq, start in enumerate((batch.starts * 8).tolist(), group.first_seq):
        kind, size, aux, _, ts_ns = struct.unpack_from("<BBHIq", data, start)
        if kind < record.FIRST_BLOB:
            yield Record(seq, ts_ns, kind, aux, struct.unpack_from(f"<{size - 2}q", data, start + 16))
        else:
            length = int.from_bytes(data[start + 16 : start + 24], "little")
            begin = start + BLOB_WORDS * 8
            yield Record(seq, ts_ns, kind, aux, payload=data[begin : begin + length])


class JournalReader:
    """A journal open for reading, also while it is being written: iteration ends at the last whole group.

    Headers are checked by their checksums; chain and record checks are `verify`'s affair.
    UserError when the file cannot be read or is no journal of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._descriptor = open_journal(path)
        try:
            self.header = read_file_header(self._descriptor, path)
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def metadata(self) -> dict[str, Any]:
        """What the writer was given."""
        return self.header.metadata

    def groups(self, offset: int | None = None) -> Iterator[Group]:
        """Yield whole groups from the file offset of a group on (default: the first).

        Continue later with the last group's `end`. DamagedError where a header is not right.
        """
        begin = self.header.end if offset is None else offset
        reached = begin
        for group in walk(self._descriptor, begin):
            reached = group.end
            yield group
        rest = os.pread(self._descriptor, GROUP_HEADER_BYTES, reached)
        if len(rest) == GROUP_HEADER_BYTES and unpack_group_header(rest) is None:
            raise DamagedError(f"{self.path}: no group begins at byte {reached}")

    def records(
        self, from_seq: int = 0, kinds: Collection[int] | None = None, offset: int | None = None
    ) -> Iterator[Record]:
        """Yield records with seq ≥ `from_seq`; an `offset` from JournalIndex.seek saves the way there."""
        for group in self.groups(offset):
            if group.first_seq + group.records <= from_seq:
                continue
            for entry in records_of(group):
                if entry.seq >= from_seq and (kinds is None or entry.kind in kinds):
                    yield entry

    def columns(self, kinds: Collection[int] | None = None, offset: int | None = None) -> Iterator[dict[int, Columns]]:
        """Yield {kind: columns} of about a megabyte of records at a time."""
        return iter_columns(self.groups(offset), kinds)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def walk(descriptor: int, offset: int, end: int = 1 << 62) -> Iterator[Group]:
    """Yield groups from `offset` on until something is not a whole group inside the first `end` bytes."""
    while True:
        data = read_at(descriptor, offset, min(_BLOCK_BYTES, end - offset))
        header = unpack_group_header(data)
        if header is None:
            return
        need = GROUP_HEADER_BYTES + header.length
        if len(data) < need:
            data = read_at(descriptor, offset, min(need, end - offset))
            if len(data) < need:
                return
        at = 0
        for group in groups_in(data, offset):
            at = group.end - offset
            yield group
        offset += at


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset` on, fewer at the end of the file."""
    data = os.pread(descriptor, size, offset)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
        data += more
    return data


def decode_columns(source: str | Path | Iterable[Group], kinds: Collection[int] | None = None) -> dict[int, Columns]:
    """Return {kind: columns} of a whole journal, or of groups (a MemoryJournal's), as numpy arrays.

    Columns are seq, ts_ns, aux and the kind's FIELDS; a view's further levels are bid_price_2 … ask_size_2
    and so on, 0 where a view has fewer; a blob has `payload`. `polars.DataFrame(columns)` takes them.
    DamagedError when a record does not have its kind's length or groups do not hold what their headers say.
    """
    if isinstance(source, str | Path):
        with JournalReader(source) as reader:
            return join_columns(reader.columns(kinds))
    return join_columns(iter_columns(source, kinds))
