"""Measure the journal: append, verify, decode, index and restart, beside SQLite's executemany as the peer.

`python -m benchmarks.journal --json` prints one object a line: name, ours, peer, ratio, unit, notes. The
records are a backtest's mix (three quarters views of one level, the rest submits, order events and fills),
packed beforehand.
"""

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from hatmanifesto.journal.columns import checks, iter_columns
from hatmanifesto.journal.format import Group
from hatmanifesto.journal.index import JournalIndex
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.tail import last_checkpoint
from hatmanifesto.journal.verify import verify
from hatmanifesto.journal.writer import JournalWriter, MemoryJournal, Mode
from hatmanifesto.model import record

CYCLE = [record.VIEW] * 9 + [record.SUBMIT, record.ORDER_EVENT, record.FILL]
GROUP_BYTES = 1 << 20


def pack(first_seq: int, count: int) -> bytes:
    """Return `count` records of the mix, checks included."""
    kinds = np.array(CYCLE * (count // len(CYCLE) + 1), dtype=np.int64)[:count]
    lengths = np.array([2 + len(record.FIELDS[kind]) for kind in kinds.tolist()], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    words = np.random.default_rng(first_seq).integers(0, 1 << 40, int(lengths.sum()), dtype=np.int64)
    seqs = np.arange(first_seq, first_seq + count)
    words[starts] = kinds | lengths << 8
    words[starts + 1] = 1_700_000_000_000_000_000 + seqs * 1_000
    words[starts] |= checks(words, starts, seqs) << 32
    return words.astype("<i8").tobytes()


def packed(records: int, per_group: int) -> list[Group]:
    """Return groups of `per_group` records each."""
    groups = []
    for first in range(0, records, per_group):
        count = min(per_group, records - first)
        groups.append(Group(first, count, pack(first, count)))
    return groups


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the best of some runs, s."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


class Bench:
    """Runs each measurement in a folder of its own."""

    def __init__(self, folder: Path, records: int) -> None:
        self.folder = folder
        self.records = records
        self.large = packed(records, GROUP_BYTES // 100)
        self.megabytes = sum(len(group.payload) for group in self.large) / 1e6

    def write(self, name: str, groups: list[Group], mode: Mode) -> Path:
        path = self.folder / name
        path.unlink(missing_ok=True)
        with JournalWriter(path, {}, mode=mode, sync_interval_s=0) as writer:
            for group in groups:
                writer.append(group.first_seq, group.records, group.payload)
        return path

    def lines(self) -> Iterator[dict[str, object]]:
        millions = self.records / 1e6
        size = f"{self.records} records, {self.megabytes:.0f} MB"
        peer = millions / seconds(self.sqlite, 1)
        modes: tuple[Mode, ...] = ("threaded", "inline")
        for mode in modes:
            took = seconds(partial(self.write, "large", self.large, mode))
            note = f"{size} in 1 MiB groups, file closed and flushed; peer: SQLite executemany of decoded rows"
            yield line(f"append, {mode}", millions / took, peer, "M records/s", note)
        caller = self.caller_seconds()
        yield line("append, threaded, caller's time", millions / caller, peer, "M records/s", "appends only")
        path = self.folder / "large"
        yield line("verify", millions / seconds(lambda: verify(path)), None, "M records/s", size)
        decode = seconds(lambda: [None for _ in JournalReader(path).columns()])
        yield line("decode to columns", millions / decode, None, "M records/s", f"{size}, from the file, streamed")
        memory = MemoryJournal()
        memory.groups = self.large
        fills = seconds(lambda: [None for _ in iter_columns(memory.groups, {record.FILL})])
        yield line("decode fills only", millions / fills, None, "M records/s", "of all records, from memory")
        yield line("index, built", millions / seconds(lambda: self.index(path)), None, "M records/s", size)
        yield from self.live()

    def live(self) -> Iterator[dict[str, object]]:
        """A live session's journal: one record a group."""
        small = packed(self.records, 1)
        path = self.folder / "small"
        path.unlink(missing_ok=True)
        took = []
        with JournalWriter(path, {}) as writer:
            writer_append = writer.append
            for group in small[:-1000]:
                begin = time.perf_counter_ns()
                writer_append(group.first_seq, group.records, group.payload)
                took.append(time.perf_counter_ns() - begin)
            writer.append_blob(record.CHECKPOINT, 1, json.dumps({"positions": [0] * 100}).encode())
            for number in range(999):
                writer.append_blob(record.NOTE, number, b"{}")
        small.clear()  # a million tuples would slow the garbage collector down below
        median, tail = np.percentile(took, [50, 99.9]) / 1000
        note = "one record a group, flushed in groups by its own thread"
        yield line("append, inline, median", median, self.sqlite_single(), "µs", f"{note}; peer: SQLite, WAL, insert")
        yield line("append, inline, p99.9", tail, None, "µs", note)
        millions = self.records / 1e6
        yield line("verify, one record a group", millions / seconds(lambda: verify(path), 1), None, "M records/s", "")
        decode = seconds(lambda: [None for _ in JournalReader(path).columns()], 1)
        yield line("decode, one record a group", millions / decode, None, "M records/s", "")
        yield line(
            "index, one record a group",
            millions / seconds(lambda: self.index(path), 1),
            None,
            "M records/s",
            "",
        )
        yield line("last checkpoint", seconds(lambda: last_checkpoint(path)) * 1000, None, "ms", "1,000 groups back")
        again = seconds(lambda: JournalWriter.open_append(path).abandon())
        yield line("open to append", again * 1000, None, "ms", f"{self.records} groups; flush included")

    def caller_seconds(self) -> float:
        path = self.folder / "caller"
        with JournalWriter(path, {}, mode="threaded") as writer:
            begin = time.perf_counter()
            for group in self.large:
                writer.append(group.first_seq, group.records, group.payload)
            took = time.perf_counter() - begin
        path.unlink()
        return took

    def index(self, path: Path) -> None:
        path.with_name(path.name + ".idx").unlink(missing_ok=True)
        JournalIndex(path).close()

    def sqlite(self) -> None:
        """The peer: the same records as rows (seq, ts_ns, kind, aux, payload) in one transaction."""
        path = self.folder / "peer.sqlite"
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute("create table records (seq integer primary key, ts integer, kind integer, payload blob)")
        rows = (
            (group.first_seq + place, place, record.VIEW, group.payload[place * 96 : place * 96 + 96])
            for group in self.large
            for place in range(group.records)
        )
        with database:
            database.executemany("insert into records values (?, ?, ?, ?)", rows)
        database.close()

    def sqlite_single(self) -> float:
        """The peer of a live append: one insert and commit, WAL, synchronous=NORMAL; median, µs."""
        database = sqlite3.connect(self.folder / "single.sqlite", isolation_level=None)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = normal")
        database.execute("create table records (seq integer primary key, ts integer, kind integer, payload blob)")
        took = []
        for number in range(20_000):
            begin = time.perf_counter_ns()
            database.execute("insert into records values (?, ?, ?, ?)", (number, number, 1, b"x" * 96))
            took.append(time.perf_counter_ns() - begin)
        database.close()
        return float(np.median(took)) / 1000


def line(name: str, ours: float, peer: float | None, unit: str, notes: str) -> dict[str, object]:
    """Return one result; ratio is how many times better ours is."""
    ratio = None
    if peer is not None:
        ratio = round(peer / ours if unit in {"µs", "ms"} else ours / peer, 2)
    return {
        "name": f"journal: {name}",
        "ours": round(float(ours), 3),
        "peer": None if peer is None else round(peer, 3),
        "ratio": ratio,
        "unit": unit,
        "notes": notes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", default=os.environ.get("TMPDIR"), help="where to write (its disk is measured)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for result in Bench(Path(folder), chosen.records).lines():
            if chosen.json:
                print(json.dumps(result, ensure_ascii=False), flush=True)
            else:
                beside = "" if result["ratio"] is None else f"  ({result['ratio']}× peer {result['peer']})"
                print(f"{result['name']:45} {result['ours']:>10} {result['unit']}{beside}", flush=True)


if __name__ == "__main__":
    main()
