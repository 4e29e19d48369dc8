"""Writers keep order, never overwrite, and report a full disk; a killed process loses nothing it wrote."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.repair import repair
from hatmanifesto.journal.verify import verify
from hatmanifesto.journal.writer import (
    GROUP_BUFFERS,
    JournalWriteError,
    JournalWriter,
    MemoryJournal,
    Mode,
    NullJournal,
)
from journal.samples import METADATA, fill, pack_groups, sample

both = pytest.mark.parametrize("mode", ["inline", "threaded"])


class SmallDisk:
    """Writes until `room` bytes are written; a short write comes before the error, as on a real disk."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, descriptor: int, parts: list[bytes]) -> int:
        data = b"".join(parts)[: self.room]
        if not data:
            raise OSError(28, "No space left on device")
        self.room -= len(data)
        return os.write(descriptor, data)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        JournalWriter(tmp_path / "a", METADATA)
    assert (tmp_path / "a").read_text() == "mine"


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot create .*: No such file"):
        JournalWriter(tmp_path / "no" / "a", METADATA)


@pytest.mark.parametrize("make", [lambda p: JournalWriter(p, {}), lambda p: MemoryJournal()])
def test_a_gap_in_the_sequence_is_refused(tmp_path: Path, make: Any) -> None:
    sink = make(tmp_path / "a")
    sink.append(0, 1, fill(0).pack(0))
    for wrong in (0, 2, 57):
        with pytest.raises(ValueError, match=f"from {wrong} on were offered where 1 is next"):
            sink.append(wrong, 1, fill(1).pack(wrong))
    sink.append(1, 1, fill(1).pack(1))
    sink.close(0, {})


@pytest.mark.parametrize(("count", "payload"), [(0, b"12345678"), (1, b""), (1, b"1234"), (-1, b"12345678")])
def test_what_is_not_a_group_is_refused(tmp_path: Path, count: int, payload: bytes) -> None:
    with JournalWriter(tmp_path / "a", {}) as writer, pytest.raises(ValueError, match="are not a group"):
        writer.append(0, count, payload)


def test_a_disk_without_room_for_the_header_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(JournalWriteError, match="No space left"):
        JournalWriter(tmp_path / "a", METADATA, write=SmallDisk(20))
    assert list(tmp_path.iterdir()) == []


def test_an_append_of_nothing_writes_nothing(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "a", {}) as writer:
        writer.append(0, 0, b"")
    assert verify(tmp_path / "a").groups == 0


@both
def test_a_full_disk_surfaces_and_nothing_is_accepted_after_it(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "a"
    groups = pack_groups([[fill(n)] for n in range(40)])
    disk = SmallDisk(1_000)
    writer = JournalWriter(path, METADATA, mode=mode, group_bytes=1, write=disk)
    written = 0
    for group in groups:
        try:
            writer.append(*group[:3])
        except JournalWriteError:
            break
        written += 1
        time.sleep(0.001)  # lets the writing thread come to the end of the disk
    assert written < len(groups)
    assert isinstance(writer.failed, OSError)
    assert "No space left on device" in writer.failed.message
    assert "hat journal repair" in writer.failed.remedy
    disk.room = 1 << 20
    with pytest.raises(JournalWriteError):
        writer.append(*groups[written][:3])
    with pytest.raises(JournalWriteError):
        writer.close(0, {})
    report = verify(path)
    assert not report.damaged
    kept = repair(path).records
    assert 0 < kept <= written + 1
    with JournalWriter.open_append(path) as again:
        again.append(*groups[kept][:3])
    assert verify(path).ok


@both
def test_a_disk_that_fills_up_at_the_end_is_reported_by_close(tmp_path: Path, mode: Mode) -> None:
    writer = JournalWriter(tmp_path / "a", METADATA, mode=mode, write=SmallDisk(300))
    group = pack_groups([[fill(0)]])[0]
    writer.append(*group[:3])
    with pytest.raises(JournalWriteError, match="No space left"):
        writer.close(0, {"summary": "x" * 400})


def test_a_file_size_limit_of_the_system_is_reported(tmp_path: Path) -> None:
    script = f"""
import resource, signal, sys
from hatmanifesto.journal.writer import JournalWriter, JournalWriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = JournalWriter({str(tmp_path / "a")!r}, {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
try:
    for n in range(100): writer.append_blob(131, n, b'{{"n":1}}')
except JournalWriteError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 500
    assert repair(tmp_path / "a").records == verify(tmp_path / "a").records > 3


def test_append_waits_when_the_disk_is_slow_and_order_is_kept(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(descriptor: int, parts: list[bytes]) -> int:
        if len(parts) > 1:
            gate.wait()
        return os.writev(descriptor, parts)

    groups = pack_groups([[fill(n)] for n in range(GROUP_BUFFERS * 4)])
    writer = JournalWriter(tmp_path / "a", METADATA, mode="threaded", group_bytes=1, write=slow)

    def append_all() -> None:
        for group in groups:
            writer.append(*group[:3])

    done = threading.Thread(target=append_all)
    done.start()
    time.sleep(0.05)
    assert done.is_alive()
    assert writer.next_seq <= GROUP_BUFFERS
    gate.set()
    done.join()
    writer.close(0, {})
    assert verify(tmp_path / "a").records == len(groups) + 1


def test_a_failed_flush_surfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "a", METADATA, sync_interval_s=0.001)

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    writer.append(0, 1, fill(0).pack(0))
    time.sleep(0.1)
    with pytest.raises(JournalWriteError, match="Input/output error"):
        writer.append(1, 1, fill(1).pack(1))
    writer.abandon()


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    with (
        JournalWriter(tmp_path / "a", METADATA),
        pytest.raises(UserError, match="being written by another process"),
    ):
        JournalWriter.open_append(tmp_path / "a")


def test_a_closed_journal_is_not_continued(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "a", METADATA)
    writer.close(1, {})
    with pytest.raises(JournalWriteError, match="was closed"):
        writer.append(1, 1, fill(1).pack(1))
    with pytest.raises(UserError, match="was closed; a new session writes a new journal"):
        JournalWriter.open_append(tmp_path / "a")


def test_null_journal_counts() -> None:
    sink = NullJournal()
    for group in pack_groups(sample()):
        sink.append(*group[:3])
    assert (sink.records, sink.group_count, sink.next_seq) == (19, 5, 19)
    assert sink.payload_bytes > 0


KILLED = """
import os, sys
from hatmanifesto.journal.writer import JournalWriter
writer = JournalWriter(sys.argv[1], {}, sync_interval_s=0.005)
for number in range(1_000_000):
    seq = writer.append_blob(131, number, b'{"text": "%d"}' % number * (1 + number % 50))
    os.write(1, b"%d\\n" % seq)  # acknowledged
"""


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    last = [int(line) for line in acknowledged if line.endswith(b"\n")][-1]
    assert not verify(path).damaged
    repair(path)
    with JournalReader(path) as reader:
        seqs = [entry.seq for entry in reader.records()]
    assert seqs[0] == 0
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > last
    with JournalWriter.open_append(path) as writer:
        writer.close(0, {})
    assert verify(path).closed
