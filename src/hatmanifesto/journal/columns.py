"""Records as columns: find them in payloads, check them and decode them, many at a time.

Groups are taken together until they are large enough for numpy, so one-record groups of a live session
decode as fast as the megabyte groups of a backtest. `split` finds records as they are stored, which their checks are
made of; `widen` has all of them in their long forms, which is what readers want.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.journal.format import BLOB_WORDS, DamagedError, Group
from hatmanifesto.model import record, record_forms
from hatmanifesto.model.record_forms import SHORT
from hatmanifesto.model.record_walk import record_walk

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[np.generic]]
"""Columns by name: seq, ts_ns, aux, then the kind's FIELDS, or `payload` (bytes objects) of a blob."""

BATCH_BYTES: Final = 1 << 20
_LEVEL_WORDS: Final = 4
LEVEL_NAMES: Final = ("bid_price", "bid_size", "ask_price", "ask_size")
_WANTED_WORDS: Final = 3
WANTED_NAMES: Final = ("wanted_price", "wanted_size", "wanted_side_flags")
_MASK: Final = np.int64(record.CHECK_MASK)


class Batch(NamedTuple):
    """Records of consecutive groups: all words, and for each record its first word's index, its number and its kind.

    The kind is the long form's, whichever form is stored.
    """

    words: Ints
    starts: Ints
    seqs: Ints
    kinds: NDArray[np.uint8]
    data: bytes

    def times(self, chosen: Ints | slice) -> Ints:
        """Return the ts_ns of chosen records."""
        return self.words[self.starts[chosen] + 1]

    @property
    def last_ts_ns(self) -> int:
        """The ts_ns of the last record."""
        return int(self.words[self.starts[-1] + 1])


def batches(groups: Iterable[Group], size: int = BATCH_BYTES) -> Iterator[list[Group]]:
    """Take groups together until their payloads reach `size` bytes."""
    taken: list[Group] = []
    held = 0
    for group in groups:
        taken.append(group)
        held += len(group.payload)
        if held >= size:
            yield taken
            taken, held = [], 0
    if taken:
        yield taken


def split(groups: list[Group]) -> Batch:
    """Find the records of the groups as they are stored; DamagedError when they do not fill the groups exactly."""
    data = _joined(groups)
    starts = record_starts(data)
    lengths = np.array([len(group.payload) for group in groups], dtype=np.int64)
    where = np.cumsum(lengths) - lengths
    counts = np.array([group.records for group in groups], dtype=np.int64)
    if len(starts) != counts.sum() or np.any(counts == 0) or np.any(starts[np.cumsum(counts) - counts] * 8 != where):
        raise _not_filled(groups)
    words = np.frombuffer(data, dtype="<i8")
    kinds = (words[starts] & 0xFF).astype(np.uint8)
    short = kinds < record.FIRST_BLOB
    kinds[short] &= ~np.uint8(SHORT)
    return Batch(words, starts, _numbers(groups), kinds, data)


def widen(groups: list[Group]) -> Batch:
    """Return the records of the groups, all in their long forms and with empty checks.

    DamagedError when they do not fill the groups exactly or cannot be read.
    """
    try:
        data, places = record_forms.widen(_joined(groups))
    except ValueError as error:
        last = groups[-1].first_seq + groups[-1].records - 1
        raise DamagedError(f"records {groups[0].first_seq}–{last}: {error}") from error
    starts = np.frombuffer(places, dtype=np.int64)
    if len(starts) != sum(group.records for group in groups):
        raise _not_filled(groups)
    words = np.frombuffer(data, dtype="<i8")
    return Batch(words, starts, _numbers(groups), (words[starts] & 0xFF).astype(np.uint8), data)


def _joined(groups: list[Group]) -> bytes:
    return groups[0].payload if len(groups) == 1 else b"".join([group.payload for group in groups])


def _numbers(groups: list[Group]) -> Ints:
    """Return each record's sequence number."""
    counts = np.array([group.records for group in groups], dtype=np.int64)
    firsts = np.array([group.first_seq for group in groups], dtype=np.int64)
    numbers: Ints = np.arange(counts.sum(), dtype=np.int64) + np.repeat(firsts - (np.cumsum(counts) - counts), counts)
    return numbers


def _not_filled(groups: list[Group]) -> DamagedError:
    last = groups[-1].first_seq + groups[-1].records - 1
    return DamagedError(f"records {groups[0].first_seq}–{last} do not fill their groups")


def times(batch: Batch) -> Ints:
    """Return the time of every record of a batch as stored; a short form without one has that of the record before."""
    stored = batch.words[batch.starts] & 0xFF
    timed = (stored >= record.FIRST_BLOB) | (stored & SHORT == 0) | (stored == record.VIEW | SHORT)
    latest = np.maximum.accumulate(np.where(timed, np.arange(len(stored)), 0))
    found: Ints = batch.words[batch.starts[latest] + 1]
    return found


def record_starts(payload: bytes) -> Ints:
    """Return the word index of every record; DamagedError when records do not end where the payload does."""
    if len(payload) % 8:
        raise DamagedError(f"a payload of {len(payload)} bytes is not whole words")
    heads = np.frombuffer(payload, dtype=np.uint8).reshape(-1, 8)
    # a step of 0 marks what has to be looked at: a blob, or damage
    steps = np.where(heads[:, 0] < record.FIRST_BLOB, heads[:, 1], 0).astype(np.uint8).tobytes()
    parts: list[Ints] = [np.zeros(0, dtype=np.int64)]
    at, end = 0, len(steps)
    while at < end:
        walked = np.frombuffer(record_walk(steps, at), dtype=np.int64)
        parts.append(walked)
        last = int(walked[-1])
        at = last + (steps[last] or _blob_words(payload, last))
    if at != end:
        raise DamagedError("a record reaches beyond its group")
    return np.concatenate(parts)


def _blob_words(payload: bytes, at: int) -> int:
    if payload[at * 8] < record.FIRST_BLOB or payload[at * 8 + 1] != BLOB_WORDS:
        raise DamagedError("a record has an impossible length")
    return BLOB_WORDS + (int.from_bytes(payload[at * 8 + 16 : at * 8 + 24], "little") + 7 >> 3)


def checks(words: Ints, starts: Ints, seqs: Ints) -> Ints:
    """Return what record.check_words gives for each record; a blob's bytes do not count."""
    if not len(starts):
        return np.zeros(0, dtype=np.int64)
    lengths = np.diff(starts, append=len(words))
    values = words.copy()
    values[starts] &= record.HEADER_LOW
    factors = np.arange(len(words), dtype=np.int64)
    factors -= np.repeat(starts, lengths)
    factors *= record.FACTOR_STEP
    factors += record.FIRST_FACTOR
    blobs = starts[(words[starts] & 0xFF) >= record.FIRST_BLOB]
    for blob in blobs.tolist():
        length = int(words[blob + 2])
        values[blob + BLOB_WORDS : blob + BLOB_WORDS + (length + 7 >> 3)] = 0
    high = np.bitwise_xor.reduceat(values, starts)
    # a sum of 255 products may pass 2^63: numpy wraps, and the check is taken modulo 2^31
    total: Ints = np.add.reduceat((values & _MASK) * factors, starts)
    total += (((high >> 31) ^ (high >> 62)) & _MASK) * record.HIGH_FACTOR
    total += (seqs & _MASK) * record.SEQ_FACTOR
    total &= _MASK
    return total


def unchanged(batch: Batch) -> bool:
    """Whether every record's check, as stored, is right for its place, and every blob's bytes for its CRC."""
    return first_changed(batch) < 0


def first_changed(batch: Batch) -> int:
    """Return the number of the first record that `unchanged` finds fault with, -1 when there is none."""
    heads = batch.words[batch.starts]
    wrong = ((heads >> 32) & _MASK) != checks(batch.words, batch.starts, batch.seqs)
    wrong |= heads < 0
    for place in np.flatnonzero(batch.kinds >= record.FIRST_BLOB).tolist():
        wrong[place] |= not blob_sound(batch.data, int(batch.starts[place]) * 8)
    return int(batch.seqs[int(np.argmax(wrong))]) if wrong.any() else -1


def blob_sound(data: bytes, at: int) -> bool:
    """Whether the blob at byte `at` has the bytes its CRC was made of, and zeros behind them."""
    length = int.from_bytes(data[at + 16 : at + 24], "little")
    begin = at + BLOB_WORDS * 8
    payload = data[begin : begin + length]
    padding = data[begin + length : begin + length + (-length % 8)]
    return zlib.crc32(payload) == int.from_bytes(data[at + 24 : at + 32], "little") and not any(padding)


def iter_columns(groups: Iterable[Group], kinds: Collection[int] | None = None) -> Iterator[dict[int, Columns]]:
    """Yield {kind: columns} for about a megabyte of records at a time, kinds without a record left out."""
    for taken in batches(groups):
        batch = widen(taken)
        present = np.flatnonzero(np.bincount(batch.kinds, minlength=256)).tolist()
        yield {kind: decode(batch, kind) for kind in present if kinds is None or kind in kinds}


def decode(batch: Batch, kind: int, names: Collection[str] | None = None) -> Columns:
    """Return a batch's records of one kind as columns; with `names` only these fields, and nothing that repeats.

    DamagedError when a record does not have its kind's length, or nobody assigned the kind.
    """
    chosen = batch.kinds == kind
    at = batch.starts[chosen]
    heads = batch.words[at]
    columns: Columns = {
        "seq": batch.seqs[chosen],
        "ts_ns": batch.words[at + 1],
        "aux": ((heads >> 16) & 0xFFFF).astype(np.uint16),
    }
    if kind >= record.FIRST_BLOB:
        payloads = np.empty(len(at), dtype=object)
        for row, start in enumerate((at * 8).tolist()):
            length = int.from_bytes(batch.data[start + 16 : start + 24], "little")
            payloads[row] = batch.data[start + BLOB_WORDS * 8 : start + BLOB_WORDS * 8 + length]
        columns["payload"] = payloads
        return columns
    fields = record.FIELDS.get(kind)
    if fields is None:
        raise DamagedError(f"record {columns['seq'][0]} has kind {kind}, which nobody assigned")
    extra = ((heads >> 8) & 0xFF) - (2 + len(fields))
    levels = np.zeros(len(at), dtype=np.int64)
    wanted = extras = levels
    if kind == record.VIEW:
        decision = batch.words[at + 2]
        levels = ((decision >> 8) & 0xFF) - 1
        wanted = (decision >> 24) & 0xFF
        extras = (decision >> 40) & 0xFF
    odd = extra != _LEVEL_WORDS * levels + extras + _WANTED_WORDS * wanted
    if np.any(odd):
        wrong = columns["seq"][int(np.argmax(odd))]
        raise DamagedError(f"record {wrong} ({record.KIND_NAMES[kind]}) does not have the length of its kind")
    for place, name in enumerate(fields):
        if names is None or name in names:
            columns[name] = batch.words[at + (2 + place)]
    if names is not None:
        return columns
    rest = at + (2 + len(fields))
    _add_groups(columns, batch.words, rest, levels, LEVEL_NAMES, 2)
    rest = rest + _LEVEL_WORDS * levels
    for place, name in enumerate(record.EXTRA_NAMES[: int(extras.max(initial=0))]):
        columns[name] = np.zeros(len(at), dtype=np.int64)
        columns[name][extras > place] = batch.words[rest[extras > place] + place]
    _add_groups(columns, batch.words, rest + extras, wanted, WANTED_NAMES, 1)
    return columns


def _add_groups(columns: Columns, words: Ints, at: Ints, counts: Ints, names: tuple[str, ...], first: int) -> None:
    """Repeated groups of words become columns NAME_first, NAME_first+1, …; 0 where a record has fewer of them."""
    for group in range(int(counts.max(initial=0))):
        has = counts > group
        for place, name in enumerate(names):
            values = np.zeros(len(at), dtype=np.int64)
            values[has] = words[at[has] + (group * len(names) + place)]
            columns[f"{name}_{group + first}"] = values


def join_columns(parts: Iterable[dict[int, Columns]]) -> dict[int, Columns]:
    """Put the batches of iter_columns after one another; a view's missing levels become 0."""
    held: dict[int, list[Columns]] = {}
    for part in parts:
        for kind, columns in part.items():
            held.setdefault(kind, []).append(columns)
    joined: dict[int, Columns] = {}
    for kind in sorted(held):
        names = max((list(columns) for columns in held[kind]), key=len)
        joined[kind] = {
            name: np.concatenate([c.get(name, np.zeros(len(c["seq"]), dtype=np.int64)) for c in held[kind]])
            for name in names
        }
    return joined
