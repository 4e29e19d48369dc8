"""Reading a tape, chunk by chunk: memory stays the same however long the tape is."""

import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import numpy as np
import zstandard

from hatmanifesto.backtest.tape.format import (
    CHUNK_ROWS,
    END_MAGIC,
    EXCH,
    FORMAT_VERSION,
    HEADER_BYTES,
    LOCAL,
    MAGIC,
    STREAMS,
    TRAILER_BYTES,
    ChunkEntry,
    Footer,
    Rows,
    RowStream,
    StreamEntry,
    check_messages,
    message_ends,
    sort_rows,
    time_sorted,
)
from hatmanifesto.backtest.tape.writer import content_hash
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import ROW_BYTES

_KEPT_CHUNKS = 8
_AGAIN = "import the recording again with `hat tape import`"


class TapeStream(RowStream):
    """One stream of an open tape. Chunks are unpacked on demand and shared with the other stream."""

    def __init__(self, tape: "Tape", name: str, entry: StreamEntry) -> None:
        self._tape = tape
        self.name: Final = name
        self.chunks: Final[list[ChunkEntry]] = entry.chunks
        self.blake2b: Final = entry.blake2b
        self._rows = entry.rows

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.chunks)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    def chunk(self, index: int) -> bytes:
        """Return a chunk's packed rows, empty bytes after the last; raises UserError where it is damaged."""
        if index >= len(self.chunks):
            return b""
        return self._tape.unpack(self.chunks[index], f"chunk {index} of the {self.name} stream")

    def rows_in(self, index: int) -> int:
        """Return the number of rows of a chunk, without unpacking it."""
        return self.chunks[index].rows if index < len(self.chunks) else 0

    def find(self, ts_ns: int) -> int:
        """Return the first chunk that may hold rows stamped at or after a time; `count` when none does."""
        low, high = 0, len(self.chunks)
        while low < high:
            middle = (low + high) // 2
            if self.chunks[middle].last_ts < ts_ns:
                low = middle + 1
            else:
                high = middle
        return low


class Tape:
    """An open tape file. `meta` is its footer; close it or use it as a context manager."""

    def __init__(self, path: Path, handle: int, footer: Footer) -> None:
        self.path: Final = path
        self.meta: Final = footer
        self.instruments: Final = [spec.build(i) for i, spec in enumerate(footer.instruments)]
        self.venues: Final = [spec.venue for spec in footer.instruments]
        self._handle = handle
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._unpacker = zstandard.ZstdDecompressor()
        exchange = TapeStream(self, "exchange", footer.exchange)
        receiver = TapeStream(self, "receiver", footer.receiver or footer.exchange)
        self._streams: Final = {"exchange": exchange, "receiver": receiver}

    @classmethod
    def open(cls, path: Path | str) -> "Tape":
        """Open a tape; raises UserError when it is missing, no tape, too new, cut off or damaged."""
        path = Path(path)
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UserError(
                f"cannot open {path}: {error.strerror}", "name a tape; `hat tape import` makes one"
            ) from error
        try:
            if path.is_dir():
                raise UserError(f"{path} is a folder", "name a tape file; `hat tape import` makes one from a folder")
            return cls(path, handle, _read_footer(path, handle))
        except BaseException:
            os.close(handle)
            raise

    @property
    def same_order(self) -> bool:
        """Tell whether venue and receiver saw the same order, so that one stream is stored."""
        return self.meta.receiver is None

    def stream(self, name: str) -> TapeStream:
        """Return the `exchange` or the `receiver` stream; raises KeyError for other names."""
        return self._streams[name]

    def unpack(self, entry: ChunkEntry, where: str) -> bytes:
        """Return a chunk's rows, from the few kept ones when another cursor just read it."""
        kept = self._kept.get(entry.offset)
        if kept is not None:
            self._kept.move_to_end(entry.offset)
            return kept
        frame = os.pread(self._handle, entry.length, entry.offset)
        try:
            packed = self._unpacker.decompress(frame, max_output_size=entry.rows * ROW_BYTES)
        except zstandard.ZstdError as error:
            raise UserError(f"{self.path} is damaged in {where} (byte {entry.offset}): {error}", _AGAIN) from error
        if len(packed) != entry.rows * ROW_BYTES:
            raise UserError(f"{self.path} is damaged in {where}: {len(packed)} bytes, not {entry.rows} rows", _AGAIN)
        self._kept[entry.offset] = packed
        if len(self._kept) > _KEPT_CHUNKS:
            self._kept.popitem(last=False)
        return packed

    def verify(self) -> None:
        """Read everything and compare it with the footer's hashes; raises UserError naming what differs."""
        for name in STREAMS[: 1 if self.same_order else 2]:
            stream = self._streams[name]
            digest = blake2b(digest_size=32)
            for i in range(stream.count):
                digest.update(stream.chunk(i))
            if digest.hexdigest() != stream.blake2b:
                raise UserError(f"{self.path}: the {name} stream is not the one that was written", _AGAIN)
        if content_hash(self.meta.instruments, self.meta.exchange, self.meta.receiver) != self.meta.content_hash:
            raise UserError(f"{self.path}: the footer's hash does not fit its streams", _AGAIN)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._kept.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryStream(RowStream):
    """A stream cut from an array in memory, for tests and benchmarks."""

    def __init__(self, rows: Rows, chunk_rows: int) -> None:
        self._rows = len(rows)
        self._chunks: list[bytes] = []
        ends = message_ends(rows)
        start = 0
        while start < len(rows):
            at = int(np.searchsorted(ends, start + chunk_rows, side="right")) - 1
            end = int(ends[at]) if at >= 0 and int(ends[at]) > start else int(ends[at + 1])
            self._chunks.append(np.ascontiguousarray(rows[start:end], dtype="<i8").tobytes())
            start = end

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self._chunks)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    def chunk(self, index: int) -> bytes:
        """Return a chunk's packed rows, empty bytes after the last."""
        return self._chunks[index] if index < len(self._chunks) else b""


class MemoryTape:
    """A tape in memory, from whole messages in any order; `receiver` replaces the derived receiver stream.

    Left out, `venues` are not known. Raises ValueError when rows are no whole messages.
    """

    def __init__(
        self,
        rows: Rows,
        instruments: Sequence[Instrument],
        *,
        receiver: Rows | None = None,
        chunk_rows: int = CHUNK_ROWS,
        venues: Sequence[str] = (),
    ) -> None:
        check_messages(rows)
        ordered = sort_rows(rows, EXCH)
        self.instruments: Final = list(instruments)
        self.venues: Final = list(venues) or [""] * len(self.instruments)
        exchange = MemoryStream(ordered, chunk_rows)
        if receiver is not None:
            check_messages(receiver)
            self._receiver = MemoryStream(sort_rows(receiver, LOCAL), chunk_rows)
        elif time_sorted(ordered, LOCAL):
            self._receiver = exchange
        else:
            self._receiver = MemoryStream(sort_rows(ordered, LOCAL), chunk_rows)
        self._exchange = exchange

    def stream(self, name: str) -> MemoryStream:
        """Return the `exchange` or the `receiver` stream; raises KeyError for other names."""
        return {"exchange": self._exchange, "receiver": self._receiver}[name]


def _read_footer(path: Path, handle: int) -> Footer:
    size = os.fstat(handle).st_size
    head = os.pread(handle, HEADER_BYTES, 0)
    if head[: len(MAGIC)] != MAGIC:
        raise UserError(f"{path} is not a tape", "make one from a recording: hat tape import RECORDING -o FILE.tape")
    if len(head) == HEADER_BYTES:
        version = struct.unpack_from("<I", head, len(MAGIC))[0]
        if version > FORMAT_VERSION:
            raise UserError(
                f"{path} has tape format {version}; this program reads up to {FORMAT_VERSION}",
                "update Hat Manifesto, or import the recording again with this version",
            )
    tail = os.pread(handle, TRAILER_BYTES, size - TRAILER_BYTES) if size >= HEADER_BYTES + TRAILER_BYTES else b""
    if len(tail) != TRAILER_BYTES or tail[16:] != END_MAGIC:
        raise UserError(f"{path} is cut off: its end is missing", f"copy it again, or {_AGAIN}")
    offset, length, checksum = struct.unpack_from("<QII", tail)
    encoded = os.pread(handle, length, offset) if offset + length + TRAILER_BYTES == size else b""
    if len(encoded) != length or zlib.crc32(encoded) != checksum:
        raise UserError(f"{path} is damaged: its footer does not match its checksum", f"copy it again, or {_AGAIN}")
    try:
        footer = msgspec.json.decode(encoded, type=Footer)
    except msgspec.DecodeError as error:
        raise UserError(f"{path} has a footer this program cannot read: {error}", _AGAIN) from error
    return footer
