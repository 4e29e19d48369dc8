"""Name what happened to the records of a damaged group: changed, missing, moved or doubled.

A record's check includes its sequence number, so an unchanged record says whose place it came from.
"""

import struct
from collections import Counter
from typing import NamedTuple

from hatmanifesto.journal.columns import blob_sound
from hatmanifesto.journal.format import BLOB_WORDS
from hatmanifesto.journal.reader import kind_name
from hatmanifesto.model import record
from hatmanifesto.model.record_forms import long_kind


class Finding(NamedTuple):
    """One thing that is not as it was written.

    `code` is changed, missing, reordered, twice, header, chain, foreign or torn; `seq` the first record
    concerned (-1: none), `offset` a byte of the file near it.
    """

    code: str
    seq: int
    message: str
    offset: int


class Piece(NamedTuple):
    """A stretch of bytes: an unchanged record with the number it was written under, or damage (-1)."""

    seq: int
    kind: int
    begin: int
    end: int


class Damage:
    """Reads the payload of one damaged group; `findings` name its records, `next_seq` follows the last one.

    `expected` and `last` are the sequence numbers that belong here (`sure`: the group ends with `last`),
    `known` all that this file can have.
    """

    def __init__(self, data: bytes, offset: int, expected: int, last: int, known: range, sure: bool = True) -> None:
        self.findings: list[Finding] = []
        self.next_seq = expected
        self._offset = offset
        self._last = last
        self._pieces = pieces(data, known, range(expected, last + 1))
        self.readable = sum(piece.seq >= 0 for piece in self._pieces)
        self._ahead = Counter(piece.seq for piece in self._pieces)
        self._met: set[int] = set()
        damaged: Piece | None = None
        for piece in self._pieces:
            if piece.seq < 0:
                damaged = piece
                continue
            if damaged is not None:
                self._changed(damaged, piece.seq)
                damaged = None
            self._place(piece)
        if damaged is not None:
            self._changed(damaged, last + 1 if sure else self.next_seq + 1)
        elif sure and self.next_seq <= last:
            self._add("missing", self.next_seq, f"{span(self.next_seq, last)} missing at its group's end", 0)
            self.next_seq = last + 1

    def _add(self, code: str, seq: int, message: str, at: int) -> None:
        self.findings.append(Finding(code, seq, message, self._offset + at))

    def _changed(self, piece: Piece, following: int) -> None:
        first = self.next_seq
        if following == first:
            text = f"{piece.end - piece.begin} bytes that are no record stand before record {first}"
            self._add("foreign", first, text, piece.begin)
            return
        end = following if following > first and following <= self._last + 1 else first + 1
        if end == first + 1:
            self._add("changed", first, f"record {first} ({kind_name(piece.kind)}) was changed", piece.begin)
        else:
            self._add("changed", first, f"records {first}–{end - 1} were changed", piece.begin)
        self.next_seq = end

    def _place(self, piece: Piece) -> None:
        seq, expected = piece.seq, self.next_seq
        self._ahead[seq] -= 1
        here = seq in self._met  # it has been seen in its place, or in another's
        self._met.add(seq)
        awaited = self._ahead[expected] > 0
        if seq == expected:
            self.next_seq += 1
        elif expected < seq <= self._last and not awaited and not here:
            text = f"{span(expected, seq - 1)} missing: {seq} follows {expected - 1}"
            self._add("missing", expected, text, piece.begin)
            self.next_seq = seq + 1
        elif awaited and (here or seq < self._pieces[0].seq or seq > self._last):
            self._add("twice", seq, f"record {seq} stands a second time, before {expected}", piece.begin)
        elif here and expected > self._last:
            self._add("twice", seq, f"record {seq} stands a second time, behind {expected - 1}", piece.begin)
        else:
            text = f"record {seq} ({kind_name(piece.kind)}) stands at the place of {expected} (reordered)"
            self._add("reordered", seq, text, piece.begin)
            self.next_seq += 1


def span(first: int, last: int) -> str:
    """Return "record 57 is" or "records 57–59 are"."""
    return f"record {first} is" if first == last else f"records {first}–{last} are"


def pieces(data: bytes, known: range, near: range) -> list[Piece]:
    """Divide bytes into unchanged records, in the order they stand, and the damage between them."""
    found: list[Piece] = []
    step = 1 if len(data) % 8 else 8  # bytes were taken out or put in
    at = 0
    while at < len(data):
        end = record_end(data, at)
        seq = stored_seq(data, at, end, known, near)
        if seq < 0:
            if not (end == len(data) or stored_seq(data, end, record_end(data, end), known, near) >= 0):
                places = range(at + step, len(data), step)
                end = next((p for p in places if _readable(data, p, near)), len(data))
            found.append(Piece(-1, long_kind(data[at]), at, end))
        else:
            found.append(Piece(seq, long_kind(data[at]), at, end))
        at = end
    return found


def whole_records(data: bytes, first_seq: int) -> tuple[int, int, bool]:
    """Count the unchanged records in sequence at the start of cut bytes.

    Returns their number, their length in bytes, and whether what follows is only a record that was cut.
    """
    at, seq = 0, first_seq
    while (end := record_end(data, at)) > at and stored_seq(data, at, end, range(seq, seq + 1)) == seq:
        at, seq = end, seq + 1
    return seq - first_seq, at, end <= at and _cut_short(data, at)


def _cut_short(data: bytes, at: int) -> bool:
    """Whether the bytes from `at` on can be the beginning of a record that is longer than they are."""
    left = len(data) - at
    if left < 2:
        return True
    kind, words = data[at], data[at + 1]
    if kind < record.FIRST_BLOB:
        return long_kind(kind) in record.KIND_NAMES and left < words * 8
    if words != BLOB_WORDS:
        return False
    length = int.from_bytes(data[at + 16 : at + 24], "little")
    return left < BLOB_WORDS * 8 or left < BLOB_WORDS * 8 + (length + 7 & ~7)


def record_end(data: bytes, at: int) -> int:
    """Where the record at `at` ends by its own word count; `at` when that cannot be a record."""
    if at + 16 > len(data):
        return at
    kind, words = data[at], data[at + 1]
    end = at + words * 8
    if kind >= record.FIRST_BLOB:
        if words != BLOB_WORDS:
            return at
        end += int.from_bytes(data[at + 16 : at + 24], "little") + 7 & ~7
    elif long_kind(kind) not in record.KIND_NAMES or words < 2:
        return at
    return end if end <= len(data) else at


def stored_seq(data: bytes, begin: int, end: int, known: range, near: range = range(0)) -> int:
    """Return the sequence number in `known` that a record was written under; -1 when it was changed."""
    if end <= begin:
        return -1
    blob = data[begin] >= record.FIRST_BLOB
    words = list(struct.unpack_from(f"<{BLOB_WORDS if blob else end - begin >> 3}q", data, begin))
    if words[0] < 0 or (blob and not blob_sound(data, begin)):
        return -1
    folded = record.stored_seq(words)
    for around in (near.start if near else known.start, known.stop - 1):
        high = around >> 31
        seq = high << 31 | (folded ^ high ^ high >> 31) & record.CHECK_MASK
        if seq in known:
            return seq
    return -1


def _readable(data: bytes, at: int, near: range) -> bool:
    return stored_seq(data, at, record_end(data, at), near) >= 0
