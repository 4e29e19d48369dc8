"""Records and journals to test with: packed by the scalar check, split into groups at will."""

import struct
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from hatmanifesto.journal.format import Group, pack_blob
from hatmanifesto.journal.reader import JournalReader, records_of
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record

METADATA = {"session": "test", "engine": "0.1"}


class Content(NamedTuple):
    """A record without its sequence number."""

    kind: int
    ts_ns: int
    aux: int
    values: tuple[int, ...] = ()
    payload: bytes = b""

    def pack(self, seq: int) -> bytes:
        if self.kind >= record.FIRST_BLOB:
            return pack_blob(self.kind, self.ts_ns, self.aux, self.payload, seq)
        low = self.kind | (2 + len(self.values)) << 8 | self.aux << 16
        words = [low, self.ts_ns, *self.values]
        words[0] |= record.check_words(words, seq) << 32
        return struct.pack(f"<{len(words)}q", *words)


words = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-5, 5)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    kind = draw(st.sampled_from(sorted(record.KIND_NAMES)))
    ts_ns, aux = draw(words), draw(st.integers(0, 0xFFFF))
    if kind >= record.FIRST_BLOB:
        return Content(kind, ts_ns, aux, payload=draw(st.binary(max_size=40)))
    size = len(record.FIELDS[kind])
    if kind == record.VIEW:
        levels, wanted = draw(st.integers(1, 4)), draw(st.integers(0, 3))
        return view(ts_ns, aux, levels, wanted, draw(st.lists(words, min_size=31, max_size=31)))
    return Content(kind, ts_ns, aux, tuple(draw(st.lists(words, min_size=size, max_size=size))))


def view(ts_ns: int, aux: int, levels: int, wanted: int, values: list[int]) -> Content:
    """A view of that many levels and wanted quotes, its words after `decision` taken from `values`."""
    size = len(record.FIELDS[record.VIEW]) - 1 + 4 * (levels - 1) + 3 * wanted
    return Content(record.VIEW, ts_ns, aux, (levels << 8 | wanted << 24, *values[:size]))


@st.composite
def split_records(draw: st.DrawFn, max_size: int = 30) -> list[list[Content]]:
    """Records in groups."""
    entries = draw(st.lists(contents(), min_size=1, max_size=max_size))
    cuts = sorted(draw(st.sets(st.integers(1, len(entries)), max_size=8)) | {len(entries)})
    return [entries[begin:end] for begin, end in zip([0, *cuts], cuts, strict=False) if end > begin]


def pack_groups(groups: list[list[Content]], first_seq: int = 0) -> list[Group]:
    packed = []
    for group in groups:
        payload = b"".join(entry.pack(first_seq + place) for place, entry in enumerate(group))
        packed.append(Group(first_seq, len(group), payload))
        first_seq += len(group)
    return packed


def write(path: Path, groups: list[list[Content]], first_seq: int = 0, close: bool = False) -> bytes:
    """Write a journal and return its bytes."""
    with JournalWriter(path, METADATA, session=7, first_seq=first_seq, sync_interval_s=0) as writer:
        for group in pack_groups(groups, first_seq):
            writer.append(group.first_seq, group.records, group.payload)
        if close:
            writer.close(99, {"fills": 3})
    return path.read_bytes()


def fill(number: int) -> Content:
    return Content(record.FILL, 1_000 + number, 0, (number, 50_000 + number, 3, -12, 900 + number, number, 1))


def sample(sizes: tuple[int, ...] = (3, 5, 1, 4, 6)) -> list[list[Content]]:
    """Groups of fills, cancels, views of two levels and notes, no record like another."""
    makers = (
        fill,
        lambda n: Content(record.CANCEL, 1_000 + n, 112, (n,)),
        lambda n: Content(record.VIEW, 1_000 + n, 1, (2 << 8, *range(n, n + 14))),
        lambda n: Content(record.NOTE, 1_000 + n, 0, payload=b'{"n": %d, "on": 1}' % n),
    )
    groups, number = [], 0
    for size in sizes:
        groups.append([makers[(number + place) % 4](number + place) for place in range(size)])
        number += size
    return groups


def read_groups(path: Path) -> list[Group]:
    with JournalReader(path) as reader:
        return list(reader.groups())


def record_bytes(group: Group) -> list[bytes]:
    """A group's records as they stand in it."""
    parts, at = [], 0
    for entry in records_of(group):
        size = 16 + 8 * len(entry.values)
        if entry.kind >= record.FIRST_BLOB:
            size = 32 + len(entry.payload) + -len(entry.payload) % 8
        parts.append(group.payload[at : at + size])
        at += size
    return parts
