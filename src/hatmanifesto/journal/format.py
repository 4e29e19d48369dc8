"""The journal file's bytes: file header, group headers with their chain digest, blob records.

Everything is little-endian and a multiple of eight bytes long; docs/journal.md tells it in full.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from blake3 import blake3

from hatmanifesto.errors import UserError
from hatmanifesto.model import record

FORMAT_VERSION: Final = 1
FILE_MAGIC: Final = b"HATJRNL\n"
GROUP_MAGIC: Final = b"HATG"
DIGEST_BYTES: Final = 16
MAX_PAYLOAD: Final = 1 << 28
"""Bytes of a group's payload at most, so that a reader never allocates what a damaged length asks for."""

_FILE_FIELDS: Final = struct.Struct("<8sHHIQq")
_GROUP: Final = struct.Struct("<4sIIIq16s")
_GROUP_FIELDS: Final = struct.Struct("<IIq")
FILE_HEADER_BYTES: Final = _FILE_FIELDS.size + DIGEST_BYTES
GROUP_HEADER_BYTES: Final = _GROUP.size
BLOB_WORDS: Final = 4
_SMALL: Final = 4096
_BLOB_HEAD: Final = struct.Struct("<QqQQ")


class FileHeader(NamedTuple):
    """What a journal says about itself; `digest` is the first link of the chain, `end` where groups begin."""

    session: int
    first_seq: int
    metadata: dict[str, Any]
    digest: bytes
    end: int


class Group(NamedTuple):
    """Consecutive records as they were appended; `digest` is the chain up to and including this group."""

    first_seq: int
    records: int
    payload: bytes
    digest: bytes = b""
    offset: int = 0

    @property
    def end(self) -> int:
        """Offset in the file behind this group, bytes."""
        return self.offset + GROUP_HEADER_BYTES + len(self.payload)


class GroupHeader(NamedTuple):
    """A group's header whose own checksum is right."""

    records: int
    length: int
    first_seq: int
    digest: bytes


def pack_file_header(session: int, first_seq: int, metadata: Mapping[str, Any]) -> bytes:
    """Return the file's first bytes; ValueError when session or metadata cannot be stored."""
    if not 0 <= session < 1 << 64:
        raise ValueError(f"session id {session} does not fit 64 bits")
    text = msgspec.json.encode(metadata, order="deterministic")
    text += b" " * (-len(text) % 8)
    fields = _FILE_FIELDS.pack(FILE_MAGIC, FORMAT_VERSION, record.VERSION, len(text), session, first_seq)
    return fields + digest_of(fields, text) + text


def unpack_file_header(start: bytes, name: str) -> FileHeader:
    """Read a file header from a file's first bytes; UserError when they are not a whole, unchanged one."""
    if not start:
        raise UserError(f"{name} is empty", "nothing was recorded in it: remove it")
    if start[: len(FILE_MAGIC)] != FILE_MAGIC[: len(start)]:
        raise UserError(f"{name} is not a journal", "name the file `journal` of a run folder")
    if len(start) < FILE_HEADER_BYTES:
        raise UserError(f"{name} ends inside its file header", "nothing was recorded in it: remove it")
    fields = start[: _FILE_FIELDS.size]
    _, version, record_version, length, session, first_seq = _FILE_FIELDS.unpack(fields)
    digest = start[_FILE_FIELDS.size : FILE_HEADER_BYTES]
    text = start[FILE_HEADER_BYTES : FILE_HEADER_BYTES + length]
    whole = digest_of(fields, text) == digest
    if (version, record_version) != (FORMAT_VERSION, record.VERSION) and (whole or version > FORMAT_VERSION):
        raise UserError(
            f"{name} has format {version}, records {record_version}; "
            f"this version reads format {FORMAT_VERSION}, records {record.VERSION}",
            "use the version of hatmanifesto that wrote it, or a newer one",
        )
    if not whole and len(text) < length:
        raise UserError(f"{name} ends inside its file header", "nothing can be read from it")
    if not whole:
        raise DamagedError(f"{name}: the file header was changed")
    return FileHeader(session, first_seq, msgspec.json.decode(text), digest, FILE_HEADER_BYTES + length)


class DamagedError(UserError):
    """The file was changed or cut where a reader needs it whole."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "run `hat journal verify` to see what is damaged", exit_code=1)


def pack_group_header(previous: bytes, first_seq: int, count: int, payload: bytes | memoryview) -> bytes:
    """Return the header of the group that follows the one with digest `previous`."""
    fields = _GROUP_FIELDS.pack(count, len(payload), first_seq)
    if len(payload) < _SMALL:  # what a live session appends a turn, in one step
        rest = fields + blake3(b"".join((previous, fields, payload))).digest(DIGEST_BYTES)
    else:
        rest = fields + digest_of(previous, fields, payload)
    return GROUP_MAGIC + zlib.crc32(rest).to_bytes(4, "little") + rest


def unpack_group_header(data: bytes, at: int = 0) -> GroupHeader | None:
    """Read the group header at `at`; None when there is none whose checksum is right."""
    if len(data) - at < GROUP_HEADER_BYTES:
        return None
    magic, check, count, length, first_seq, digest = _GROUP.unpack_from(data, at)
    if magic != GROUP_MAGIC or length > MAX_PAYLOAD:
        return None
    if zlib.crc32(data[at + 8 : at + GROUP_HEADER_BYTES]) != check:
        return None
    return GroupHeader(count, length, first_seq, digest)


def groups_in(data: bytes, offset: int) -> Iterator[Group]:
    """Yield the groups at the start of a block read at `offset`, until one is not right or not whole.

    A live session has a group a turn of its loop, so this is unpack_group_header with nothing to spare.
    """
    unpack, crc32, size = _GROUP.unpack_from, zlib.crc32, len(data)
    at, begin = 0, GROUP_HEADER_BYTES
    while begin <= size:
        magic, check, records, length, first_seq, digest = unpack(data, at)
        end = begin + length
        if end > size or magic != GROUP_MAGIC or crc32(data[at + 8 : begin]) != check:
            return
        yield Group(first_seq, records, data[begin:end], digest, offset + at)
        at, begin = end, end + GROUP_HEADER_BYTES


def chain_digest(previous: bytes, group: Group) -> bytes:
    """Return the digest that `group` must carry when it follows the one with digest `previous`."""
    fields = _GROUP_FIELDS.pack(group.records, len(group.payload), group.first_seq)
    return digest_of(previous, fields, group.payload)


def digest_of(first: bytes, *parts: bytes | memoryview) -> bytes:
    """Return BLAKE3, 128 bits, of the parts one after the other: seven times as fast here as BLAKE2b."""
    if len(parts[-1]) < _SMALL:
        return blake3(first + b"".join(parts)).digest(DIGEST_BYTES)
    digest = blake3(first)
    for part in parts:
        digest.update(part)
    return digest.digest(DIGEST_BYTES)


def pack_blob(kind: int, ts_ns: int, aux: int, payload: bytes, seq: int) -> bytes:
    """Return a blob record (kind 128 to 255) with its check; `payload` is UTF-8 JSON, `aux` 16 bits."""
    if not record.FIRST_BLOB <= kind <= 255:
        raise ValueError(f"kind {kind} is not a blob's")
    if not 0 <= aux < 1 << 16:
        raise ValueError(f"aux {aux} does not fit 16 bits")
    if len(payload) > MAX_PAYLOAD - 64:
        raise ValueError(f"a blob of {len(payload)} bytes is larger than a group may be")
    low = kind | BLOB_WORDS << 8 | aux << 16
    crc = zlib.crc32(payload)
    check = record.check_words([low, ts_ns, len(payload), crc], seq)
    return _BLOB_HEAD.pack(low | check << 32, ts_ns, len(payload), crc) + payload + bytes(-len(payload) % 8)
