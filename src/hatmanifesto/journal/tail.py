"""Read a journal from its end: where it stops, what continues it, and the last checkpoint."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import split, unchanged
from hatmanifesto.journal.format import (
    BLOB_WORDS,
    FILE_HEADER_BYTES,
    GROUP_HEADER_BYTES,
    GROUP_MAGIC,
    DamagedError,
    FileHeader,
    Group,
    GroupHeader,
    chain_digest,
    unpack_file_header,
    unpack_group_header,
)
from hatmanifesto.model import record

_BLOCK_BYTES: Final = 1 << 18


class Tail(NamedTuple):
    """A journal's end: `digest` and `next_seq` are what the next group continues, `end` is where it goes."""

    digest: bytes
    next_seq: int
    end: int
    closed: bool
    torn_bytes: int


class Checkpoint(NamedTuple):
    """A CHECKPOINT record; `offset` is where its group begins, from which a reader can go on."""

    seq: int
    ts_ns: int
    payload: bytes
    offset: int


def open_journal(path: str | Path) -> int:
    """Open for reading; UserError when the file is missing or cannot be read."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def read_file_header(descriptor: int, path: str | Path) -> FileHeader:
    """Read the file header; UserError when it is not a journal's, DamagedError when it was changed."""
    try:
        start = os.pread(descriptor, FILE_HEADER_BYTES, 0)
        length = int.from_bytes(start[12:16], "little")
        size = os.fstat(descriptor).st_size
        start += os.pread(descriptor, min(length, size), FILE_HEADER_BYTES)
        return unpack_file_header(start, str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def read_tail(path: str | Path) -> Tail:
    """Find the end and check the last whole group; cost does not depend on the file's size.

    DamagedError when the last group was changed. Earlier groups are `verify`'s affair.
    """
    descriptor = open_journal(path)
    try:
        header = read_file_header(descriptor, path)
        size = os.fstat(descriptor).st_size
        backward = groups_backward(descriptor, header.end, size)
        last = next(backward, None)
        if last is None:
            return Tail(header.digest, header.first_seq, header.end, False, size - header.end)
        before = next(backward, None)
        sound = last.digest == chain_digest(before.digest if before else header.digest, last)
        if not sound or not unchanged(batch := split([last])):
            raise DamagedError(f"{path}: the last group (from record {last.first_seq} on) was changed")
        closed = int(batch.kinds[-1]) == record.CLOSE
        return Tail(last.digest, last.first_seq + last.records, last.end, closed, size - last.end)
    finally:
        os.close(descriptor)


def last_checkpoint(path: str | Path) -> Checkpoint | None:
    """Find the last CHECKPOINT record, reading backwards from the end; None when there is none.

    Its check and CRC are checked; a torn tail is passed over. DamagedError when groups do not join.
    """
    descriptor = open_journal(path)
    try:
        header = read_file_header(descriptor, path)
        for group in groups_backward(descriptor, header.end, os.fstat(descriptor).st_size):
            if record.CHECKPOINT not in group.payload[::8]:
                continue  # nothing looks like one
            batch = split([group])
            places = (batch.kinds == record.CHECKPOINT).nonzero()[0]
            if not len(places):
                continue
            if not unchanged(batch):
                raise DamagedError(f"{path}: the group with the last checkpoint was changed")
            place = int(places[-1])
            start = int(batch.starts[place])
            begin = (start + BLOB_WORDS) * 8
            return Checkpoint(
                int(batch.seqs[place]),
                int(batch.words[start + 1]),
                group.payload[begin : begin + int(batch.words[start + 2])],
                group.offset,
            )
        return None
    finally:
        os.close(descriptor)


def groups_backward(descriptor: int, begin: int, end: int) -> Iterator[Group]:
    """Yield whole groups from the last to the first; bytes behind the last whole group are passed over.

    A group counts when its header's checksum is right and it ends exactly where the next one begins.
    DamagedError when nothing ends where it should.
    """
    boundary = end
    torn = True  # until the first whole group is found, nothing has to end at the end of the file
    low, data = end, b""
    search = 0
    while boundary > begin:
        at = data.rfind(GROUP_MAGIC, 0, search)
        if at < 0:
            if low == begin:
                if torn:
                    return
                raise DamagedError(f"no group ends at byte {boundary}, where the next one begins")
            kept = data[: boundary - low]
            step = min(low - begin, max(_BLOCK_BYTES, len(kept)))
            low -= step
            data = os.pread(descriptor, step, low) + kept
            search = min(step + len(GROUP_MAGIC) - 1, len(data))  # the magic may lie across the seam
            continue
        found = unpack_group_header(data, at)
        place = low + at
        search = at + len(GROUP_MAGIC) - 1
        if found is None:
            continue
        group_end = place + GROUP_HEADER_BYTES + found.length
        if group_end != boundary and not (torn and group_end < boundary):
            continue
        payload = data[at + GROUP_HEADER_BYTES : at + GROUP_HEADER_BYTES + found.length]
        torn = False
        boundary = place
        search = at
        yield Group(found.first_seq, found.records, payload, found.digest, place)


def find_header(descriptor: int, begin: int, end: int) -> tuple[int, GroupHeader] | None:
    """Find the first group header with a right checksum in [begin, end); None when there is none."""
    at = begin
    while at < end:
        data = os.pread(descriptor, _BLOCK_BYTES + GROUP_HEADER_BYTES, at)
        place = data.find(GROUP_MAGIC)
        while 0 <= place < _BLOCK_BYTES and at + place < end:
            header = unpack_group_header(data, place)
            if header is not None:
                return at + place, header
            place = data.find(GROUP_MAGIC, place + 1)
        at += _BLOCK_BYTES
    return None
