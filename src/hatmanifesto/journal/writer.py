"""Where groups of records go: a file, written in the caller's thread or behind it; memory; or nowhere."""

import contextlib
import fcntl
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import (
    GROUP_HEADER_BYTES,
    MAX_PAYLOAD,
    Group,
    pack_blob,
    pack_file_header,
    pack_group_header,
)
from hatmanifesto.journal.tail import read_tail
from hatmanifesto.model import record
from hatmanifesto.model.ports import RecordSink

Mode = Literal["inline", "threaded"]
Write = Callable[[int, list[bytes | memoryview]], int]
THREADED_GROUP_BYTES: Final = 1 << 22
"""Records that a threaded writer gathers into a group: fewer, larger ones cost the caller's thread less."""
SWITCH_INTERVAL_S: Final = 0.0005
"""While a threaded writer works: how long it waits for the interpreter before it asks the caller's thread for it."""
GROUP_BUFFERS: Final = 5
"""Groups that a threaded writer holds at most, in hand, waiting and being written: what a slow disk costs in memory.
With all of them in use `append` waits for the writing thread."""
SYNC_INTERVAL_S: Final = 0.2


class JournalWriteError(UserError, OSError):
    """The journal could not be written; nothing more is accepted, so that no gap can arise."""


class _Gathered:
    """Appends that become one group: copied into a buffer that is used again, so that the caller's own memory is
    free at once and stays in the processor's cache."""

    def __init__(self, size: int) -> None:
        self.first_seq = 0
        self.records = 0
        self.used = 0
        self.buffer = memoryview(bytearray(size))  # a view takes another's bytes without a copy between


class JournalWriter(RecordSink):
    """Appends records in sequence to one file.

    `inline` (live): one write per append in the caller's thread, fsync every `sync_interval_s` seconds in
    a thread of its own (0: only in `sync` and `close`). `threaded` (backtest): hashing and writing happen in
    one background thread behind a bounded queue, appends are gathered into groups of `group_bytes`, and errors
    surface at a later append or at close. In both modes the same appends give the same bytes.
    Raises UserError when the file exists or cannot be created.
    """

    def __init__(
        self,
        path: str | Path,
        metadata: Mapping[str, Any],
        *,
        session: int = 0,
        first_seq: int = 0,
        mode: Mode = "inline",
        sync_interval_s: float = SYNC_INTERVAL_S,
        group_bytes: int = THREADED_GROUP_BYTES,
        write: Write = os.writev,
    ) -> None:
        self.path = Path(path)
        self._group_bytes = group_bytes
        header = pack_file_header(session, first_seq, metadata)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            remedy = "name another file: a journal is never overwritten"
            raise UserError(f"{path} exists already", remedy) from None
        except OSError as error:
            raise UserError(f"cannot create {path}: {error.strerror}") from error
        self._begin(descriptor, header[32:48], first_seq, mode, sync_interval_s, write)
        try:
            self._write_all([header], len(header))
            if mode == "inline":
                os.fsync(descriptor)
                sync_directory(self.path)
        except (JournalWriteError, OSError):
            self.abandon()
            self.path.unlink()  # it holds nothing
            raise

    @classmethod
    def open_append(
        cls,
        path: str | Path,
        *,
        mode: Mode = "inline",
        sync_interval_s: float = SYNC_INTERVAL_S,
        group_bytes: int = THREADED_GROUP_BYTES,
        write: Write = os.writev,
    ) -> Self:
        """Continue a journal; UserError when it was closed, is torn, or another process writes it."""
        writer = cls.__new__(cls)
        writer.path = Path(path)
        writer._group_bytes = group_bytes
        try:
            descriptor = os.open(writer.path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise UserError(f"cannot append to {path}: {error.strerror}") from error
        try:
            lock(descriptor, writer.path)
            end = read_tail(writer.path)
            if end.torn_bytes:
                raise UserError(f"{path} ends inside a group", f"run `hat journal repair {path}` first")
            if end.closed:
                raise UserError(f"{path} was closed", "a new session writes a new journal")
        except UserError:
            os.close(descriptor)
            raise
        writer._begin(descriptor, end.digest, end.next_seq, mode, sync_interval_s, write)
        return writer

    def _begin(
        self, descriptor: int, digest: bytes, next_seq: int, mode: Mode, sync_interval_s: float, write: Write
    ) -> None:
        self._descriptor = descriptor
        self._digest = digest
        self._write = write
        self._error: JournalWriteError | None = None
        self._open = True
        self.next_seq = next_seq
        self.mode: Mode = mode
        # a get or put of these asks for the interpreter once, of a queue.Queue several times
        self._full: queue.SimpleQueue[_Gathered | None] = queue.SimpleQueue()
        self._spare: queue.SimpleQueue[_Gathered] = queue.SimpleQueue()
        self._buffers = 1
        self._gathered = _Gathered(self._group_bytes if mode == "threaded" else 0)
        self._gathered.first_seq = next_seq
        self._stop = threading.Event()
        self._dirty = False
        self._thread: threading.Thread | None = None
        lock(descriptor, self.path)
        if mode == "threaded":
            self._thread = threading.Thread(target=self._drain, name="journal-writer", daemon=True)
        elif sync_interval_s > 0:
            self._thread = threading.Thread(
                target=self._sync_often, args=(sync_interval_s,), name="journal-sync", daemon=True
            )
        if mode == "threaded":
            self._switch_interval_s = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_INTERVAL_S)
        if self._thread is not None:
            self._thread.start()

    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        """Append `count` records; ValueError when they do not continue the sequence, JournalWriteError when
        this or an earlier write failed. An append of no records does nothing."""
        if self._error is not None or not self._open:
            self._check_usable()
        if first_seq != self.next_seq:
            raise ValueError(f"records from {first_seq} on were offered where {self.next_seq} is next")
        if not count and not payload:
            return
        if count < 1 or not payload or len(payload) % 8 or len(payload) > MAX_PAYLOAD:
            raise ValueError(f"{count} records in {len(payload)} bytes are not a group")
        if self.mode == "inline":
            self.next_seq += count
            self._append_group(first_seq, count, payload)
            return
        size = len(payload)
        gathered = self._gathered
        if gathered.used + size > len(gathered.buffer):
            gathered = self._hand_over()
            if size > len(gathered.buffer):
                gathered.buffer = memoryview(bytearray(size))
        gathered.buffer[gathered.used : gathered.used + size] = payload
        gathered.used += size
        gathered.records += count
        self.next_seq += count
        if gathered.used >= self._group_bytes:
            self._hand_over()

    def _hand_over(self) -> _Gathered:
        """Give what is gathered to the writing thread and start anew with a buffer that it has finished with."""
        if self._gathered.records:
            self._full.put(self._gathered)
            if self._spare.empty() and self._buffers < GROUP_BUFFERS:
                self._buffers += 1
                self._gathered = _Gathered(self._group_bytes)
            else:
                self._gathered = self._spare.get()
            self._gathered.first_seq = self.next_seq
        return self._gathered

    def append_blob(self, kind: int, ts_ns: int, payload: bytes, aux: int = 0) -> int:
        """Append one blob record (UTF-8 JSON) as a group of its own; return its sequence number."""
        seq = self.next_seq
        self.append(seq, 1, pack_blob(kind, ts_ns, aux, payload, seq))
        return seq

    def sync(self) -> None:
        """Return once what was appended is on the disk (in threaded mode: what was written so far)."""
        self._check_usable()
        self._sync()
        self._check_usable()

    def close(self, ts_ns: int, summary: Mapping[str, Any]) -> str:
        """Append a CLOSE record with the summary, flush to the disk; return the final digest in hex."""
        try:
            self.append_blob(record.CLOSE, ts_ns, msgspec.json.encode(summary, order="deterministic"))
        finally:
            self.abandon()
        if self._error is not None:
            raise self._error
        return self._digest.hex()

    def abandon(self) -> None:
        """Write what was appended and close the file without a CLOSE record; never raises."""
        if not self._open:
            return
        self._open = False
        self._stop.set()
        if self._thread is not None:
            if self.mode == "threaded":
                self._hand_over()
                self._full.put(None)
            self._thread.join()
        if self.mode == "threaded":
            sys.setswitchinterval(self._switch_interval_s)
        if self._error is None:
            self._sync()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    @property
    def failed(self) -> JournalWriteError | None:
        """The error that ended this journal, if one did."""
        return self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def _check_usable(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._open:
            raise JournalWriteError(f"{self.path} was closed")

    def _append_group(self, first_seq: int, records: int, payload: bytes | memoryview) -> None:
        header = pack_group_header(self._digest, first_seq, records, payload)
        self._write_all([header, payload], GROUP_HEADER_BYTES + len(payload))
        self._digest = header[GROUP_HEADER_BYTES - len(self._digest) :]

    def _write_all(self, parts: list[bytes | memoryview], size: int) -> None:
        try:
            left = size - self._write(self._descriptor, parts)
            while left:  # a short write: the disk is full, or a signal came
                rest = b"".join(parts)[-left:]
                left -= self._write(self._descriptor, [rest])
            self._dirty = True
        except OSError as error:
            raise self._fail("write", error) from error

    def _fail(self, what: str, error: OSError) -> JournalWriteError:
        self._error = self._error or JournalWriteError(
            f"cannot {what} {self.path}: {error.strerror or error}",
            f"make room or mend the disk, then `hat journal repair {self.path}`",
        )
        return self._error

    def _drain(self) -> None:
        while (gathered := self._full.get()) is not None:
            if self._error is None:  # after an error groups are only taken, or append would wait for ever
                with contextlib.suppress(JournalWriteError):
                    self._append_group(gathered.first_seq, gathered.records, gathered.buffer[: gathered.used])
            gathered.records = gathered.used = 0
            self._spare.put(gathered)

    def _sync_often(self, interval_s: float) -> None:
        while not self._stop.wait(interval_s):
            if self._dirty and self._error is None:
                self._sync()

    def _sync(self) -> None:
        self._dirty = False
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._fail("flush", error)


class MemoryJournal(RecordSink):
    """Keeps the groups it is given; for tests and for backtests that are read at once."""

    def __init__(self, first_seq: int = 0) -> None:
        self.groups: list[Group] = []
        self.next_seq = first_seq

    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        """Keep `count` records; ValueError when they do not continue the sequence."""
        if first_seq != self.next_seq:
            raise ValueError(f"records from {first_seq} on were offered where {self.next_seq} is next")
        if count:
            self.groups.append(Group(first_seq, count, bytes(payload)))
        self.next_seq += count

    def close(self, ts_ns: int, summary: Mapping[str, Any]) -> str:
        """Keep a CLOSE record; there is no chain, so no digest."""
        payload = msgspec.json.encode(summary, order="deterministic")
        self.append(self.next_seq, 1, pack_blob(record.CLOSE, ts_ns, 0, payload, self.next_seq))
        return ""


class NullJournal(RecordSink):
    """Counts records, groups and bytes, and keeps nothing."""

    def __init__(self, first_seq: int = 0) -> None:
        self.next_seq = first_seq
        self.records = 0
        self.group_count = 0
        self.payload_bytes = 0

    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        """Count `count` records."""
        self.next_seq = first_seq + count
        self.records += count
        self.group_count += 1
        self.payload_bytes += len(payload)

    def close(self, ts_ns: int, summary: Mapping[str, Any]) -> str:
        """Nothing to close."""
        return ""


def lock(descriptor: int, path: Path) -> None:
    """Take the journal for writing; UserError when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UserError(f"{path} is being written by another process", "stop it first") from error


def sync_directory(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
