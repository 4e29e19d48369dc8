"""Measure the ledger: postings a second into SQLite and PostgreSQL, and the rebuild of a million fills, streamed.

`python -m benchmarks.ledger --json` prints one object a line: name, ours, peer, ratio, unit, notes. The journal is
made up: an order, its answer and a fill of it, with a view every third order, on two instruments; each build runs in a
process of its own, whose processor time and peak memory are told. PostgreSQL is measured where its server is installed.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import sqlalchemy as sa

from hatmanifesto.journal.columns import checks
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.build import rebuild
from hatmanifesto.ledger.sources import find
from hatmanifesto.ledger.store import Store
from hatmanifesto.model import record
from hatmanifesto.model.order import SEQ_SHIFT
from tests.ledger.histories import PLAN, T0
from tests.support.postgresql import missing, server

BLOCK = 10_000
FEE_PPB = 150_000
CHARGED = msgspec.structs.replace(
    PLAN, instruments=[msgspec.structs.replace(entry, maker_fee=FEE_PPB) for entry in PLAN.instruments]
)
"""The tests' plan with the fee that is charged here, so that the model of fees has nothing to report."""


def write_journal(path: Path, fills: int, seed: int = 1) -> None:
    """Write a backtest's journal with so many fills."""
    chance = np.random.default_rng(seed)
    opening = {"kind": "backtest", "plan": msgspec.to_builtins(CHARGED), "start_ns": T0}
    with JournalWriter(path, {"kind": "benchmark"}, sync_interval_s=0) as writer:
        writer.append_blob(record.SESSION, T0, msgspec.json.encode(opening))
        seq, price = writer.next_seq, 600_000
        for first in range(1, fills + 1, BLOCK):
            words: list[int] = []
            lengths: list[int] = []
            draws = chance.integers(0, 1 << 30, (BLOCK, 4)).tolist()
            for number in range(first, min(first + BLOCK, fills + 1)):
                a, b, c, _ = draws[number - first]
                now = T0 + number * 100_000_000
                side, size = (1 if a & 1 else -1), 1 + b % 1000
                price += c % 3 - 1
                order = number << SEQ_SHIFT
                fee = price * size * FEE_PPB // 1_000_000_000
                events = [
                    [record.SUBMIT | 6 << 8, now, order, price, size, a & 1],
                    [record.ORDER_EVENT | 4 << 8 | 5 << 16, now + 1_000_000, order, now + 500_000],
                    [record.FILL | 9 << 8, now + 2_000_000, order, price, size, fee, now, number, side],
                ]  # fmt: skip
                if number % 3 == 1:
                    seen = [1 << 8, price - 1, 5, price + 2, 5, now, price, 0, 0, 0, 0]
                    events.insert(0, [record.VIEW | 13 << 8, now, *seen])
                for event in events:
                    words += event
                    lengths.append(len(event))
            packed = np.array(words, dtype=np.int64)
            sizes = np.array(lengths, dtype=np.int64)
            starts = np.cumsum(sizes) - sizes
            packed[starts] |= checks(packed, starts, np.arange(seq, seq + len(sizes))) << 32
            writer.append(seq, len(sizes), packed.astype("<i8").tobytes())
            seq += len(sizes)
        writer.close(T0 + fills * 100_000_000 + 2_000_000, {})


def build(place: str, database: str, out: "multiprocessing.Queue[tuple[float, float, int, int]]") -> None:
    """Rebuild a ledger; tell seconds, seconds of this process's processor time, postings and peak memory in bytes."""
    folder = find(Path(place))
    url = database or str(folder.database)
    before, used = time.perf_counter(), time.process_time()
    rebuild(folder, Store(url, "benchmark", rebuilding=True))
    seconds, used = time.perf_counter() - before, time.process_time() - used
    with Store(url, "benchmark").connect() as connection:
        postings = int(connection.scalar(sa.select(sa.func.count()).select_from(schema.postings)) or 0)
    out.put((seconds, used, postings, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def measure(place: Path, database: str) -> tuple[float, float, int, int]:
    """Rebuild in a process of its own."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=build, args=(str(place), database, out))
    process.start()
    found: tuple[float, float, int, int] = out.get()
    process.join()
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Measure the trade ledger.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--fills", type=int, default=1_000_000)
    chosen = parser.parse_args()

    def tell(name: str, ours: float, unit: str, notes: str) -> None:
        row = {"name": name, "ours": round(ours, 1), "peer": None, "ratio": None, "unit": unit, "notes": notes}
        print(json.dumps(row) if chosen.json else f"{name:<36}{ours:>14,.1f} {unit:<12} {notes}", flush=True)

    with tempfile.TemporaryDirectory(prefix="hat-bench-") as place, ExitStack() as stack:
        write_journal(Path(place) / "journal", chosen.fills)
        stores = {"SQLite": ""}
        if why := missing():
            tell("PostgreSQL", 0, "not measured", why)
        else:
            stores["PostgreSQL"] = stack.enter_context(server())
        for name, address in stores.items():
            seconds, used, postings, memory = measure(Path(place), address)
            notes = f"{chosen.fills:,} fills, {postings:,} postings"
            tell(f"{name}: postings", postings / seconds, "postings/s", notes)
            tell(f"{name}: rebuild", seconds, "s", notes)
            tell(f"{name}: rebuild, processor time", used, "s", notes + "; without the database server's")
            tell(f"{name}: rebuild, peak memory", memory / (1 << 20), "MiB", notes)


if __name__ == "__main__":
    main()
