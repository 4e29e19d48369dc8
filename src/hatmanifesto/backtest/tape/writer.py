"""Writing a tape: whole messages in, one finished file out, or nothing at all.

Rows go to a hidden file in the target's folder, which is synced and renamed at the end; any failure
and Ctrl-C removes it. The same rows give the same bytes.
"""

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

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
    ChunkEntry,
    Footer,
    InstrumentSpec,
    Rows,
    Source,
    StreamEntry,
    check_messages,
    message_ends,
    time_sorted,
)
from hatmanifesto.errors import UserError

_LEVEL = 3
_IN_FLIGHT = 4


class TapeWriter:
    """Write one tape file. Use as a context manager: leaving it without `finish` removes everything.

    with TapeWriter(path) as writer:
        writer.begin("exchange"); writer.append(rows); …
        writer.begin("receiver"); writer.append(rows); …   # left out when the order is the same
        writer.finish(instruments=…, source=…, statistics=…)
    """

    def __init__(self, path: Path, *, overwrite: bool = False, chunk_rows: int = CHUNK_ROWS) -> None:
        if chunk_rows < 1:
            raise ValueError(f"chunk_rows must be positive, got {chunk_rows}")
        check_target(path, overwrite=overwrite)
        self.path = path
        self._chunk_rows = chunk_rows
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._file: BinaryIO | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._streams: dict[str, StreamEntry] = {}
        self._stream = ""
        self._offset = 0
        self._reset_stream()

    def _reset_stream(self) -> None:
        self._pending: list[Rows] = []
        self._pending_rows = 0
        self._rows = 0
        self._last_ts: int | None = None
        self._hash = blake2b(digest_size=32)
        self._chunks: list[ChunkEntry] = []
        self._packing: deque[tuple[Future[bytes], int, int, int]] = deque()

    def __enter__(self) -> Self:
        try:
            self._file = self._partial.open("wb")
        except OSError as error:
            raise UserError(
                f"cannot write in {self.path.parent}: {error.strerror}", "choose another folder with -o"
            ) from error
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="tape-pack")
        self._write(MAGIC + struct.pack("<II", FORMAT_VERSION, 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._file is not None:
            self._file.close()
            self._file = None
            self._partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(
                f"cannot write {self.path}: {error.strerror or error}", "make room or choose another folder"
            ) from error

    def restart(self) -> None:
        """Forget everything that was written, to begin again."""
        while self._packing:
            self._packing.popleft()[0].result()
        assert self._file is not None
        self._file.seek(HEADER_BYTES)
        self._file.truncate()
        self._offset = HEADER_BYTES
        self._streams = {}
        self._stream = ""
        self._reset_stream()

    def begin(self, stream: str) -> None:
        """Start the `exchange` stream, later perhaps the `receiver` stream."""
        if stream not in STREAMS or stream in self._streams or (stream == "receiver" and self._stream != "exchange"):
            raise ValueError(f"streams are written once each, exchange first; got {stream!r}")
        self._end_stream()
        self._stream = stream

    def append(self, rows: Rows) -> None:
        """Add whole messages, shape (n, 5); raises ValueError when the stream's clock runs backwards."""
        if len(rows) == 0:
            return
        if not self._stream:
            raise ValueError("begin a stream first")
        column = EXCH if self._stream == "exchange" else LOCAL
        check_messages(rows)
        first = int(rows[0, column])
        if not time_sorted(rows, column) or (self._last_ts is not None and first < self._last_ts):
            raise ValueError(f"rows of the {self._stream} stream are not in order of its clock")
        self._last_ts = int(rows[-1, column])
        self._pending.append(rows)
        self._pending_rows += len(rows)
        if self._pending_rows >= self._chunk_rows:
            self._cut(final=False)

    def _cut(self, *, final: bool) -> None:
        rows = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        ends = message_ends(rows)
        start = 0
        while len(rows) - start >= self._chunk_rows or (final and start < len(rows)):
            at = int(np.searchsorted(ends, start + self._chunk_rows, side="right")) - 1
            end = int(ends[at]) if at >= 0 else 0
            if end <= start:  # one message longer than a chunk
                end = int(ends[at + 1])
            self._emit(rows[start:end])
            start = end
        self._pending = [rows[start:]] if start < len(rows) else []
        self._pending_rows = len(rows) - start

    def _emit(self, rows: Rows) -> None:
        assert self._pool is not None
        packed = np.ascontiguousarray(rows, dtype="<i8").tobytes()
        self._hash.update(packed)
        column = EXCH if self._stream == "exchange" else LOCAL
        entry = (self._pool.submit(_pack, packed), len(rows), int(rows[0, column]), int(rows[-1, column]))
        self._packing.append(entry)
        self._rows += len(rows)
        if len(self._packing) >= _IN_FLIGHT:
            self._store()

    def _store(self) -> None:
        future, rows, first, last = self._packing.popleft()
        frame = future.result()
        self._chunks.append(ChunkEntry(self._offset, len(frame), rows, first, last))
        self._write(frame)

    def _end_stream(self) -> None:
        if self._stream:
            if self._pending_rows:
                self._cut(final=True)
            while self._packing:
                self._store()
            self._streams[self._stream] = StreamEntry(
                rows=self._rows, blake2b=self._hash.hexdigest(), chunks=self._chunks
            )
        self._reset_stream()

    def finish(self, *, instruments: list[InstrumentSpec], source: Source, statistics: dict[str, Any]) -> Footer:
        """Write the footer, sync and give the file its name; returns the footer."""
        self._end_stream()
        if "exchange" not in self._streams:
            raise ValueError("no exchange stream was written")
        if self._streams["exchange"].rows == 0:
            raise UserError("the source holds no market data", "check that it is the recording you meant")
        for index, spec in enumerate(instruments):
            spec.build(index)  # proves scales and limits before the tape exists
        footer = Footer(
            format_version=FORMAT_VERSION,
            instruments=instruments,
            exchange=self._streams["exchange"],
            receiver=self._streams.get("receiver"),
            source=source,
            statistics=statistics,
            content_hash=content_hash(instruments, self._streams["exchange"], self._streams.get("receiver")),
        )
        encoded = msgspec.json.encode(footer)
        offset = self._offset
        self._write(encoded)
        self._write(struct.pack("<QII", offset, len(encoded), zlib.crc32(encoded)) + END_MAGIC)
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._partial, self.path)
        self._file.close()
        self._file = None
        _sync_folder(self.path.parent)
        return footer

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._offset += len(data)


def content_hash(instruments: list[InstrumentSpec], exchange: StreamEntry, receiver: StreamEntry | None) -> str:
    """Return the BLAKE2b of what a tape says: instruments and unpacked rows, however they were packed."""
    digest = blake2b(msgspec.json.encode(instruments), digest_size=32)
    digest.update(bytes.fromhex(exchange.blake2b))
    digest.update(bytes.fromhex((receiver or exchange).blake2b))
    return digest.hexdigest()


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise UserError unless a tape may be written at this path."""
    if path.is_dir():
        raise UserError(f"{path} is a folder", "name the file to write, such as -o btc.tape")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already", "choose another name with -o or overwrite it with --force")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist", f"make it first: mkdir -p {path.parent}")


def _pack(packed: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress(packed)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
