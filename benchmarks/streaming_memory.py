"""Measure the peak memory of `hat backtest` at two tape lengths: it must not grow with the tape.

`python -m benchmarks.streaming_memory --json` prints one object a line: name, ours, peer, ratio, unit, notes.
Each run is the real command in a process of its own, journal, tables and report included; the kernel says
what its peak was. The tapes are one generated stretch of the agents' market over and over, made once in .cache/bench.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hatmanifesto.backtest.tape import synthetic
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, InstrumentSpec, Rows, Source, as_rows, message_ends
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import perp, size_decimals
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError

CACHE = Path(__file__).parent.parent / ".cache" / "bench"
COINS = ("BTC", "ETH")
STRETCH_MINUTES = 10
SEED = 11
PAUSE_NS = 1_000_000_000
"""Between two stretches, so that no latency reaches from one into the next."""


class Measured(NamedTuple):
    """One run: rows of its tape, peak resident memory in MB, the run's own summary, bytes of its folder."""

    rows: int
    megabytes: float
    summary: dict[str, Any]
    written: int


def repeated(rows: Rows, at_least: int) -> Iterator[Rows]:
    """Yield a stretch of rows over and over, each later than the one before; the last is cut at a message."""
    step = int(rows[:, LOCAL].max() - rows[:, EXCH].min()) + PAUSE_NS
    later = np.zeros(rows.shape[1], dtype=np.int64)
    later[[EXCH, LOCAL]] = step
    done = 0
    while done < at_least:
        part = rows
        if done + len(rows) > at_least:
            ends = message_ends(rows)
            part = rows[: ends[np.searchsorted(ends, at_least - done)]]
        yield part
        done += len(part)
        rows = rows + later


def write_tape(path: Path, count: int) -> None:
    """Write a tape of `count` rows or a few more, stretch by stretch, both streams."""
    stretch = synthetic.generate(seed=SEED, minutes=STRETCH_MINUTES, instruments=COINS)
    specs: list[InstrumentSpec] = [perp(name, size_decimals(name, 0)[0]) for name in COINS]
    with TapeWriter(path, overwrite=True) as writer:
        for name in ("exchange", "receiver"):
            stream = stretch.stream(name)
            rows = np.concatenate([as_rows(stream.chunk(index)) for index in range(stream.count)])
            writer.begin(name)
            for part in repeated(rows, count):
                writer.append(part)
        notes = ["synthetic: the agents' market, one stretch repeated"]
        source = Source(format="synthetic", options={"seed": SEED, "minutes": STRETCH_MINUTES}, notes=notes)
        writer.finish(instruments=specs, source=source, statistics={})


def tape_of(count: int) -> Path:
    """Return the cached tape of that length; it is made in another process, so that this one stays small."""
    path = CACHE / f"streaming-{count}.tape"
    try:
        with Tape.open(path) as tape:
            if count <= tape.stream("exchange").rows < count + 1_000:
                return path
    except UserError:
        pass  # none yet, or one of an older format
    CACHE.mkdir(parents=True, exist_ok=True)
    print(f"making a tape of {count:,} rows in {CACHE}", file=sys.stderr)
    maker = multiprocessing.get_context("spawn").Process(target=write_tape, args=(path, count))
    maker.start()
    maker.join()
    if maker.exitcode != 0:
        raise SystemExit(f"the tape of {count:,} rows could not be made")
    return path


def measure(tape: Path, folder: Path) -> Measured:
    """Run `hat backtest` on a tape and return what it took."""
    hat = Path(sys.executable).with_name("hat")
    out = folder / tape.stem
    command = [str(hat), "backtest", "--tape", str(tape), "--out", str(out), "--json"]
    with (folder / "stdout").open("w+") as stdout:
        process = subprocess.Popen(command, stdout=stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
        stdout.seek(0)
        summary = json.load(stdout)["summary"]
    # Linux counts in KiB, macOS in bytes
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    return Measured(summary["rows"], megabytes, summary, sum(path.stat().st_size for path in out.iterdir()))


def lines(counts: list[int], folder: Path) -> Iterator[dict[str, object]]:
    """Yield the results; the second length's ratio is its peak over the first one's."""
    first = None
    for count in counts:
        run = measure(tape_of(count), folder)
        clock, summary = run.summary["wall_clock"], run.summary
        notes = (
            f"hat backtest with journal, tables and report ({clock['build']}): {summary['orders']['placed']} orders, "
            f"{summary['fills']} fills, {run.written / 1e6:.0f} MB written"
        )
        if first is None:
            first = run
            yield line(f"peak memory, {run.rows} rows", run.megabytes, "MB", notes)
        else:
            growth = round(run.megabytes / first.megabytes, 3)
            notes += f"; ratio: peak over that of {first.rows} rows, 1 = memory does not grow with the tape"
            yield line(f"peak memory, {run.rows} rows", run.megabytes, "MB", notes, growth)
        took = f"run {clock['run_seconds']} s, tables and report {clock['projection_seconds']} s"
        yield line(f"trading, {run.rows} rows", clock["rows_per_second"], "rows/s", took)


def line(name: str, ours: float, unit: str, notes: str, ratio: float | None = None) -> dict[str, object]:
    """Return one result; there is no peer."""
    return {
        "name": f"streaming: {name}",
        "ours": round(ours, 1),
        "peer": None,
        "ratio": ratio,
        "unit": unit,
        "notes": notes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000], help="lengths of the tapes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for result in lines(chosen.rows, Path(folder)):
            if chosen.json:
                print(json.dumps(result, ensure_ascii=False), flush=True)
            else:
                beside = "" if result["ratio"] is None else f"  ({result['ratio']}× the shorter tape's)"
                print(f"{result['name']:45} {result['ours']:>12,} {result['unit']}{beside}", flush=True)


if __name__ == "__main__":
    main()
