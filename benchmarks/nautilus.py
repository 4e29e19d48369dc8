"""The L2 and L1 maker workloads of NautilusTrader through the full engine, beside two of its releases, alternating.

`python -m benchmarks.nautilus --json` prints one object a line, a workload and release each: name, ours, peer, ratio,
unit, notes with requests and fills of both. The workloads: a million level changes, each an event of its own (L2), or a
million quotes (L1); every 100 ms a maker in plain Python cancels what works and quotes both sides 0.010 BTC, one tick
(L2) or five (L1) behind the best, while its inventory is below 50 such clips. No latency; fees 1 and 4 bps.

Timed is the run alone: from the first event to the last, orders, fills and accounting included. Reading the file,
making the data objects and handing them over is not, on either side; `load_s` says what it took. Ours is the whole
system: an interpreted strategy, risk manager, state machine, API validator, maker router, portfolio, exchange model
`cross` (its own copy of the book), and a journal of every input and output streamed to a file in memory by a writer
thread. The peer runs without logging, without analysis after the run, and keeps no journal; each of its runs has a
process of its own. `ratio` is of the medians of wall time; on a machine that does other things too the
`ratio_of_processor_time` (all threads of either side) says more.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from librt.vecs import vec
from mypy_extensions import i64

from benchmarks import nautilus_data
from benchmarks.peer_environment import ROOT, peer_python, say
from hatmanifesto import build
from hatmanifesto.backtest.exchange import build_market
from hatmanifesto.backtest.tape.format import (
    CHUNK_ROWS,
    EXCH,
    LOCAL,
    META,
    PRICE,
    SIZE,
    WORDS,
    Rows,
    RowStream,
    message_ends,
)
from hatmanifesto.config.assembly import assemble
from hatmanifesto.config.plan import DeskPlan, ExchangePlan, InstrumentPlan, SessionPlan, StrategyPlan
from hatmanifesto.core.strategy import TIMER, Quotes, Strategy, View
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_SHIFT,
    DEPTH,
    FIRST,
    MORE,
    SELL_BIT,
    SNAPSHOT,
    row_words,
)

CACHE = ROOT / ".cache" / "bench"
SHARED = Path(os.environ.get("HAT_SHARED") or ROOT.parent / "shared")
GENERATOR = SHARED / "bench" / "nautilus" / "gen_data.py"
SEED = 7
MS = 1_000_000
ORDER_SIZE = 10
"""0.010 BTC in lots of 0.001."""
MOST_CLIPS = 50
CASH = 10_000_000 * 10**6
FAR = 10**15
"""A limit that no check of the workload reaches, in money units."""


class Workload(NamedTuple):
    """A feed, its file, and how many ticks behind the best the maker quotes."""

    name: str
    file: str
    offset_ticks: int


class Release(NamedTuple):
    """A release of the peer: its environment, its driver, the oldest CPython that it runs on."""

    version: str
    environment: str
    driver: str
    minimum: tuple[int, int]


WORKLOADS = {"l2": Workload("l2", "l2_deltas.npz", 1), "l1": Workload("l1", "l1_quotes.npz", 5)}
RELEASES = {
    "2": Release("2.0.0rc7", "nautilus-2", "nautilus_2.py", (3, 13)),
    "1": Release("1.231.0", "nautilus-1", "nautilus_1.py", (3, 12)),
}


class Maker(Strategy):
    """The rule as a user would write it: plain Python, called by the engine every interval."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def quote(self, view: View, quotes: Quotes) -> None:
        bid, ask, position = view.bid_price, view.ask_price, view.position
        if bid == 0 or ask == 0 or bid >= ask:
            return
        if position < MOST_CLIPS * ORDER_SIZE:
            quotes.bid(bid - self.offset, ORDER_SIZE)
        if position > -MOST_CLIPS * ORDER_SIZE:
            quotes.ask(ask + self.offset, ORDER_SIZE)


class MemoryStream(RowStream):
    """Rows in memory in the chunks of a tape."""

    def __init__(self, rows: Rows) -> None:
        ends = message_ends(rows)
        cuts = [0]
        while cuts[-1] < len(rows):
            at = int(np.searchsorted(ends, cuts[-1] + CHUNK_ROWS, side="right")) - 1
            cuts.append(max(int(ends[at]), cuts[-1] + 1) if at >= 0 else len(rows))
        self._rows = len(rows)
        self._chunks = [rows[a:b].astype("<i8").tobytes() for a, b in itertools.pairwise(cuts)]
        self._words = [row_words(chunk) for chunk in [*self._chunks, b""]]

    @property
    def count(self) -> int:
        return len(self._chunks)

    @property
    def rows(self) -> int:
        return self._rows

    def chunk(self, index: int) -> bytes:
        return self._chunks[index] if index < len(self._chunks) else b""

    def words(self, index: int) -> vec[i64]:
        return self._words[index]


class MemoryTape(NamedTuple):
    """What the backtest needs of a tape."""

    instruments: list[Instrument]
    only_stream: MemoryStream

    def stream(self, name: str) -> RowStream:
        """Return the rows; both observers see them in one order."""
        return self.only_stream


def level_rows(data: nautilus_data.Arrays) -> Rows:
    """Return the L2 events as rows, one an event: the first batch, which begins with a clear, is a whole book."""
    rows = _rows(data["ts"])
    side = np.where(data["side"] == nautilus_data.BUY, BUY_BIT, SELL_BIT)
    rows[:, META] = CHANNEL_BOOK << CHANNEL_SHIFT | DEPTH | side | np.where(data["last"] == 1, 0, MORE)
    rows[:, PRICE], rows[:, SIZE] = data["px"], data["sz"]
    clears = np.flatnonzero(data["action"] == nautilus_data.CLEAR)
    if clears.tolist() != [0]:
        raise ValueError(f"the workload empties its book once, with its first event; this one at {clears.tolist()}")
    first_batch = slice(0, int(np.argmax(data["last"] == 1)) + 1)
    rows[first_batch, META] += SNAPSHOT - DEPTH
    rows[0, META] = SNAPSHOT | CHANNEL_BOOK << CHANNEL_SHIFT | FIRST | MORE
    return rows


def quote_rows(data: nautilus_data.Arrays) -> Rows:
    """Return the L1 events as rows, two an event: the bid and the ask of one message."""
    rows = _rows(np.repeat(data["ts"], 2))
    best = BBO | CHANNEL_BBO << CHANNEL_SHIFT
    for place, side, name, flags in ((0, BUY_BIT, "bid", MORE), (1, SELL_BIT, "ask", 0)):
        rows[place::2, META] = best | side | flags
        rows[place::2, PRICE], rows[place::2, SIZE] = data[f"{name}_px"], data[f"{name}_sz"]
    return rows


def _rows(times: np.ndarray[Any, np.dtype[np.int64]]) -> Rows:
    rows = np.empty((len(times), WORDS), np.int64)
    rows[:, EXCH] = rows[:, LOCAL] = times
    return rows


def plan_of(interval_ns: int) -> SessionPlan:
    """Return the session: every check runs, and no limit but the venue's own is near."""
    entry = InstrumentPlan(
        name="BTCUSDT-PERP",
        price_scale=1,
        size_scale=3,
        money_scale=6,
        tick_size=1,
        lot_size=1,
        significant_figures=0,
        min_notional=5 * 10**6,
        max_price=10_000_000,
        max_size=1_000_000,
        maker_fee=100_000,
        taker_fee=400_000,
        max_leverage=20,
        price_band=0,
        leverage=10,
        max_order_size=ORDER_SIZE,
        max_order_notional=FAR,
        max_position=4 * MOST_CLIPS * ORDER_SIZE,
        max_position_notional=FAR,
    )
    desk = DeskPlan(
        strategy=0,
        instrument=0,
        params={},
        triggers=TIMER,
        interval_ns=interval_ns,
        min_interval_ns=0,
        depth=1,
        refresh_tolerance=0,
    )
    return SessionPlan(
        seed=0,
        money_scale=6,
        deposit=CASH,
        max_account_notional=FAR,
        max_leverage_hundredths=1000,
        max_open_orders=1000,
        max_orders_per_second=10_000,
        answer_timeout_ns=5_000 * MS,
        max_cancel_attempts=5,
        max_book_age_ns=10**15,
        equity_interval_ns=1_000 * MS,
        router="requote_always",
        instruments=[entry],
        strategies=[StrategyPlan(name="maker", cls="maker", source_hash="", max_notional=FAR)],
        desks=[desk],
        exchange=ExchangePlan(model="cross", entry_ns=0, response_ns=0),
    )


class Ours:
    """A workload in memory, run as often as wanted."""

    def __init__(self, workload: Workload, data: Path, args: argparse.Namespace) -> None:
        began = time.perf_counter()
        arrays = nautilus_data.load(data, args.events)
        self.events = len(arrays["ts"])
        self._plan = plan_of(args.interval_ms * MS)
        instrument = self._plan.instruments[0].build(0)
        stream = MemoryStream(level_rows(arrays) if workload.name == "l2" else quote_rows(arrays))
        self._tape = MemoryTape([instrument], stream)
        self._offset = workload.offset_ticks
        self.load_s = time.perf_counter() - began

    def run(self) -> dict[str, Any]:
        """Run it once, the journal streamed to a file in memory where there is such a place."""
        memory = Path("/dev/shm")
        place = memory if memory.is_dir() and os.access(memory, os.W_OK) else CACHE
        with tempfile.TemporaryDirectory(dir=place, prefix="nautilus-") as folder:
            path = Path(folder) / "journal"
            with JournalWriter(path, {}, mode="threaded") as journal:
                market = build_market(self._plan, ["cross"], self._tape.instruments, self._tape)
                session = assemble(self._plan, [Maker(self._offset)], market, journal, 0, self._tape.instruments)
                began, began_cpu = time.perf_counter(), time.process_time()
                session.engine.start(market.start_ns)
                while market.run(session.engine, 20_000):
                    pass
                session.recorder.flush()
                seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
            size = path.stat().st_size
        engine, position = session.engine, session.portfolio.holdings[0].position
        if engine.orders.faults:
            raise RuntimeError(f"the engine reports {int(engine.orders.faults)} faults")
        return {
            "seconds": seconds,
            "cpu_s": cpu_s,
            "decisions": int(session.clocks[0].decisions),
            "requests": int(engine.orders.requests),
            "cancelled": int(engine.orders.cancels_sent),
            "placed": int(engine.orders.requests - engine.orders.cancels_sent),
            "fills": int(position.fills),
            "denied": int(engine.orders.denied),
            "position": self._tape.instruments[0].size_text(position.size),
            "journal_records": int(session.recorder.seq),
            "journal_mb": round(size / 1e6, 1),
        }


def run_peer(
    python: Path, release: Release, workload: Workload, data: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Run the peer once in a process of its own; raises RuntimeError with its words when it fails."""
    driver = ROOT / "benchmarks" / "peers" / release.driver
    command = [str(python), "-W", "ignore", str(driver), workload.name, str(data)]
    command += [f"--offset-ticks={workload.offset_ticks}", f"--interval-ns={args.interval_ms * MS}"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
    if finished.returncode != 0 or not lines:
        raise RuntimeError(f"{release.driver} failed:\n{finished.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def find_data(workload: Workload, args: argparse.Namespace) -> tuple[Path, str]:
    """Return the workload's file with the events asked for, and where it comes from."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if args.data is not None:
        source = args.data / workload.file
        if not source.is_file():
            raise SystemExit(f"error: {source} does not exist; name a folder with {workload.file} in it")
        origin = str(source.name)
    elif GENERATOR.exists():
        source = CACHE / "nautilus" / workload.file
        origin = f"the workload's own generator, seed {SEED}"
        if not source.exists():
            say("generating the workloads' own data (once)")
            command = [sys.executable, str(GENERATOR), "--out", str(source.parent), "--seed", str(SEED)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        source = CACHE / f"nautilus-{SEED}-{args.events}-{workload.file}"
        origin = f"benchmarks/nautilus_data.py, seed {SEED}"
        if not source.exists():
            say(f"generating {workload.file} (once)")
            make = nautilus_data.quotes if workload.name == "l1" else nautilus_data.deltas
            np.savez(source, **make(args.events, SEED))  # type: ignore[arg-type]
    arrays = nautilus_data.load(source, args.events)
    if len(arrays["ts"]) < args.events:
        say(f"{source.name} has only {len(arrays['ts']):,} events")
    cut = CACHE / f"nautilus-now-{os.getpid()}-{workload.file}"
    np.savez(cut, **arrays)  # type: ignore[arg-type]
    return cut, origin


def measure(workload: Workload, args: argparse.Namespace, peers: dict[str, Path]) -> list[dict[str, Any]]:
    """Alternate ours and every release; return a result each, or ours alone."""
    data, origin = find_data(workload, args)
    try:
        ours = Ours(workload, data, args)
        mine: list[dict[str, Any]] = []
        theirs: dict[str, list[dict[str, Any]]] = {key: [] for key in peers}
        for turn in range(args.repeat):
            say(f"{workload.name}, run {turn + 1} of {args.repeat}")
            mine.append(ours.run())
            for key, python in peers.items():
                theirs[key].append(run_peer(python, RELEASES[key], workload, data, args))
    finally:
        data.unlink(missing_ok=True)
    for name in ("requests", "fills", "journal_records"):
        if len({one[name] for one in mine}) > 1:
            raise RuntimeError(f"two runs of ours differ in {name}")
    return [_result(workload, args, ours, mine, origin, key, theirs[key]) for key in peers] or [
        _result(workload, args, ours, mine, origin, "", [])
    ]


def _result(
    workload: Workload,
    args: argparse.Namespace,
    ours: Ours,
    mine: list[dict[str, Any]],
    origin: str,
    key: str,
    theirs: list[dict[str, Any]],
) -> dict[str, Any]:
    seconds = statistics.median(one["seconds"] for one in mine)
    cpu_s = statistics.median(one["cpu_s"] for one in mine)
    notes: dict[str, Any] = {
        "workload": f"{workload.name}, {ours.events:,} events, quotes {workload.offset_ticks} ticks behind the best,"
        f" every {args.interval_ms} ms",
        "data": origin,
        "build": build.mode(),
        "python": build.python(),
        "runs": args.repeat,
        "timed": "the run alone; load_s is reading the file and making the data objects",
        "ours": {**mine[-1], "seconds": round(seconds, 4), "cpu_s": round(cpu_s, 4), "load_s": round(ours.load_s, 3)},
        "ours_seconds": [round(one["seconds"], 4) for one in mine],
    }
    peer_rate = ratio = None
    if theirs:
        peer_seconds = statistics.median(one["seconds"] for one in theirs)
        peer_rate = round(theirs[-1]["events"] / peer_seconds)
        ratio = round(peer_seconds / seconds, 2)
        load = statistics.median(one["load_s"] for one in theirs)
        peer_cpu = statistics.median(one["cpu_s"] for one in theirs)
        notes["peer"] = {
            **theirs[-1],
            "seconds": round(peer_seconds, 4),
            "cpu_s": round(peer_cpu, 4),
            "load_s": round(load, 3),
        }
        notes["ratio_of_processor_time"] = round(peer_cpu / cpu_s, 2)
        notes["peer_seconds"] = [round(one["seconds"], 4) for one in theirs]
        notes["differs"] = (
            "ours decides every 100 ms exactly, the peer at its first event at or after 100 ms, so ours decides more"
            " often; ours fills against sizes shown, once each, when a batch is complete, the peer's engine matches as"
            " each event arrives, so fills differ"
        )
    version = RELEASES[key].version if key else "none"
    return {
        "name": f"nautilus_{workload.name}_maker_{version}",
        "ours": round(ours.events / seconds),
        "peer": peer_rate,
        "ratio": ratio,
        "unit": "events/s",
        "notes": notes,
    }


def show(result: dict[str, Any]) -> None:
    """Print a result for a person."""
    notes = result["notes"]
    print(f"{notes['workload']}; {notes['build']} build, median of {notes['runs']} runs")
    sides = [("ours", result["ours"], notes["ours"])]
    if "peer" in notes:
        sides.append((f"NautilusTrader {notes['peer']['version']}", result["peer"], notes["peer"]))
    for name, rate, one in sides:
        print(
            f"  {name:<24} {rate:>11,} events/s  {one['decisions']:,} decisions, {one['requests']:,} requests, "
            f"{one['fills']:,} fills; load {one['load_s']} s"
        )
    if result["ratio"] is not None:
        print(f"  ratio {result['ratio']}, of processor time {notes['ratio_of_processor_time']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workload", choices=tuple(WORKLOADS), action="append", help="repeat for several; all")
    parser.add_argument("--release", choices=tuple(RELEASES), action="append", help="of the peer; both")
    parser.add_argument("--data", type=Path, help="a folder with l2_deltas.npz and l1_quotes.npz")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--interval-ms", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", action="store_true", help="one object a line on standard output")
    args = parser.parse_args()
    if args.events < 1_000 or args.repeat < 1:
        parser.error("at least 1000 events and one run")
    peers: dict[str, Path] = {}
    if not args.no_peer:
        for key in args.release or RELEASES:
            python = peer_python(RELEASES[key].environment, RELEASES[key].minimum)
            if python is None:
                say(f"ours runs without NautilusTrader {RELEASES[key].version}")
            else:
                peers[key] = python
    for name in args.workload or WORKLOADS:
        for result in measure(WORKLOADS[name], args, peers):
            if args.json:
                print(json.dumps(result), flush=True)
            else:
                show(result)


if __name__ == "__main__":
    main()
