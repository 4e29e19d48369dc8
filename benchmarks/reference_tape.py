"""The one-level maker contract through the full engine, beside hftbacktest, alternating in one run.

`python -m benchmarks.reference_tape --json` prints one object: name, ours, peer, ratio, unit, notes with the end
state, the journal's mode and where the time goes. Ours is the whole system: strategy, risk manager, state machine, API
validator, maker router (policy requote_always), portfolio, exchange model `reference`, and a journal of every input and
output streamed to a file in memory by a writer thread. Both sides hold the tape in memory first; loading is not timed.

Without --tape the contract's own synthetic tape is used where its generator is at hand, else our agents' market.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from librt.vecs import vec
from mypy_extensions import i64

from benchmarks.peer_environment import ROOT, peer_python
from hatmanifesto import build
from hatmanifesto.backtest.tape.importers.hftbacktest_npz import import_npz
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.config.assembly import Session, assemble
from hatmanifesto.config.plan import DeskPlan, ExchangePlan, InstrumentPlan, SessionPlan, StrategyPlan
from hatmanifesto.core.strategy import TIMER, Quotes, Strategy, View
from hatmanifesto.journal.writer import JournalWriter, NullJournal
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import BUY_BIT, DEPTH, KIND_MASK, TRADE, row_words
from hatmanifesto.model.money import parse_decimal
from hatmanifesto.model.ports import ChunkSource, RecordSink
from hatmanifesto.simulation.latency import ConstantLatency
from hatmanifesto.simulation.reference_matcher import ReferenceMatcher
from hatmanifesto.simulation.replay_market import ReplayMarket
from hatmanifesto.simulation.wire import Line
from hatmanifesto.strategy.touch_joiner import TouchJoiner

CACHE = ROOT / ".cache" / "bench"
GENERATOR = ROOT.parent / "shared" / "bench" / "tape" / "gen_data.py"
MS = 1_000_000


class InterpretedMaker(Strategy):
    """touch_joiner as a user would write it: plain Python, called by the compiled engine."""

    def __init__(self, order_size: int, max_position: int) -> None:
        self.order_size = order_size
        self.max_position = max_position

    def quote(self, view: View, quotes: Quotes) -> None:
        position = view.position
        if position < self.max_position:
            quotes.bid(view.bid_price, self.order_size)
        if position > -self.max_position:
            quotes.ask(view.ask_price, self.order_size)


class Preloaded(ChunkSource):
    """A stream of a tape held in memory, as the engine reads it."""

    def __init__(self, source: ChunkSource) -> None:
        self.chunks: list[bytes] = []
        while chunk := source.chunk(len(self.chunks)):
            self.chunks.append(chunk)
        self.loaded = [row_words(chunk) for chunk in [*self.chunks, b""]]

    def chunk(self, index: int) -> bytes:
        return self.chunks[index] if index < len(self.chunks) else b""

    def words(self, index: int) -> vec[i64]:
        return self.loaded[index]


class Contract:
    """The contract's numbers in integers, and one run of it."""

    def __init__(self, args: argparse.Namespace, tape_file: Path) -> None:
        self.args = args
        with Tape.open(tape_file) as tape:
            self.instrument = tape.instruments[0]
            exchange = tape.stream("exchange")
            self.rows = exchange.rows
            self.exchange = Preloaded(exchange)
            self.receiver = self.exchange if tape.same_order else Preloaded(tape.stream("receiver"))

    def plan(self, interval_ns: int) -> SessionPlan:
        """Return the session: limits far out, so that every check runs and none of them bites."""
        args, instrument = self.args, self.instrument
        order_size = instrument.parse_size(args.order_size)
        max_position = instrument.parse_size(args.max_position)
        max_price = int(instrument.max_price)
        largest = 4 * max_position + 4 * order_size
        money_scale = max(9, int(instrument.money_scale))
        factor = 10 ** (money_scale - int(instrument.price_scale) - int(instrument.size_scale))
        reach = largest * max_price * factor
        entry = InstrumentPlan(
            name=instrument.name,
            price_scale=int(instrument.price_scale),
            size_scale=int(instrument.size_scale),
            money_scale=money_scale,
            tick_size=int(instrument.tick_size),
            lot_size=int(instrument.lot_size),
            significant_figures=0,
            min_notional=0,
            max_price=max_price,
            max_size=largest,
            maker_fee=parse_decimal(args.maker_fee, 9),
            taker_fee=parse_decimal(args.taker_fee, 9),
            max_leverage=20,
            price_band=0,
            leverage=20,
            max_order_size=order_size,
            max_order_notional=reach,
            max_position=largest,
            max_position_notional=reach,
        )
        return SessionPlan(
            seed=0,
            money_scale=money_scale,
            deposit=reach,
            max_account_notional=reach,
            max_leverage_hundredths=2000,
            max_open_orders=1000,
            max_orders_per_second=10_000,
            answer_timeout_ns=max(5_000 * MS, 10 * (args.entry_ms + args.response_ms) * MS),
            max_cancel_attempts=5,
            max_book_age_ns=10**15,
            equity_interval_ns=1_000 * MS,
            router="requote_always",
            instruments=[entry],
            strategies=[
                StrategyPlan(name="maker", cls="touch_joiner", source_hash="", max_notional=reach),
            ],
            desks=[
                DeskPlan(
                    strategy=0,
                    instrument=0,
                    params={"order_size": order_size, "max_position": max_position},
                    triggers=TIMER,
                    interval_ns=interval_ns,
                    min_interval_ns=0,
                    depth=1,
                    refresh_tolerance=0,
                )
            ],
            exchange=ExchangePlan(model="reference", entry_ns=args.entry_ms * MS, response_ns=args.response_ms * MS),
        )

    def run(self, make: Callable[[int, int], Strategy], sink: RecordSink, idle: bool = False) -> dict[str, Any]:
        """Run the tape once; `idle` lets the strategy never decide, which leaves the two books and the stepping."""
        plan = self.plan(10**17 if idle else self.args.step_ms * MS)
        instrument = plan.instruments[0].build(0)
        latency = ConstantLatency(plan.exchange.entry_ns, plan.exchange.response_ns)
        requests, responses = Line(), Line()
        matcher = ReferenceMatcher(instrument, responses, latency)
        market = ReplayMarket(self.exchange, self.receiver, [matcher], requests, responses, latency)
        params = plan.desks[0].params
        session = assemble(plan, [make(params["order_size"], params["max_position"])], market, sink, 0, [instrument])
        began = time.perf_counter()
        session.engine.start(market.start_ns)
        while market.run(session.engine, 20_000):
            pass
        session.recorder.flush()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "rows": self.rows, **end_state(session, instrument, int(market.steps))}


def end_state(session: Session, instrument: Instrument, steps: int) -> dict[str, Any]:
    """Return the end state as exact decimal text; balance is cash traded, without fees, as the contract has it."""
    position = session.portfolio.holdings[0].position
    balance = int(position.realized) - int(position.cost)
    return {
        "steps": steps,
        "requests": int(session.engine.orders.requests),
        "fills": int(position.fills),
        "position": instrument.size_text(position.size),
        "volume": instrument.size_text(position.volume),
        "value": instrument.money_text(position.traded),
        "balance": instrument.money_text(balance),
        "fee": instrument.money_text(int(position.fees) - int(position.rebates)),
        "denied": int(session.engine.orders.denied),
        "faults": int(session.engine.orders.faults),
        "journal_records": int(session.recorder.seq),
    }


class Peer:
    """The peer's process, the tape loaded."""

    def __init__(self, python: Path, tape: Path, args: argparse.Namespace) -> None:
        command = [str(python), str(ROOT / "benchmarks" / "peers" / "hftbacktest_maker.py"), str(tape)]
        for name in ("tick", "lot", "order_size", "max_position", "maker_fee", "taker_fee"):
            command.append(f"--{name.replace('_', '-')}={getattr(args, name)}")
        for name in ("step", "entry", "response"):
            command.append(f"--{name}-ns={getattr(args, f'{name}_ms') * MS}")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the peer stopped; its words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self) -> dict[str, Any]:
        """Run the tape once."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def differences(ours: dict[str, Any], peer: dict[str, Any]) -> list[str]:
    """Return where the end states differ; the peer's floats are compared at nine significant decimals."""
    found = [name for name in ("steps", "requests", "fills") if ours[name] != peer[name]]
    for name in ("position", "volume", "value", "balance", "fee"):
        exact = float(ours[name])
        if abs(exact - peer[name]) > 1e-9 * max(1.0, abs(exact)):
            found.append(name)
    return found


def find_tape(args: argparse.Namespace, python: Path | None) -> Path:
    """Return the tape to run: the one named, the contract's own, or the agents' market (which sets tick and lot)."""
    if args.tape:
        if not args.tape.is_file():
            raise SystemExit(f"error: {args.tape} does not exist; name an hftbacktest .npz")
        return Path(args.tape)
    CACHE.mkdir(parents=True, exist_ok=True)
    tape = CACHE / "synth_perp_5000000.npz"
    if tape.exists():
        return tape
    if GENERATOR.exists() and python is not None:
        say("generating the contract's tape (once)")
        subprocess.run([str(python), str(GENERATOR), "--out", str(CACHE)], check=True, stdout=subprocess.DEVNULL)
        return tape
    say("the contract's generator is not at hand: the agents' market instead, no reference end state")
    made = CACHE / "agents.npz"
    args.tick, args.lot, args.max_position = "1", "0.00001", "0.1"
    if not made.exists():
        write_agents(made)
    return made


def write_agents(path: Path) -> None:
    """Write two hours of the agents' market as an hftbacktest tape: depth and trade rows of BTC."""
    source = generate(seed=1, minutes=120, instruments=["BTC"], changes=True)
    rows = np.frombuffer(b"".join(Preloaded(source.stream("exchange")).chunks), dtype="<i8").reshape(-1, 5)
    kind = rows[:, 2] & KIND_MASK
    rows = rows[(kind == DEPTH) | (kind == TRADE)]
    instrument = source.instruments[0]
    dtype = [("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"),
             ("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8")]  # fmt: skip
    events = np.zeros(len(rows), dtype)
    side = np.where(rows[:, 2] & BUY_BIT, 1 << 29, 1 << 28)
    events["ev"] = (1 << 31) | (1 << 30) | side | np.where((rows[:, 2] & KIND_MASK) == TRADE, 2, 1)
    events["exch_ts"] = rows[:, 0]
    events["local_ts"] = np.maximum.accumulate(rows[:, 1])
    events["px"] = rows[:, 3] / 10 ** int(instrument.price_scale)
    events["qty"] = rows[:, 4] / 10 ** int(instrument.size_scale)
    np.savez(path, data=events)


def import_tape(args: argparse.Namespace, source: Path) -> Path:
    """Import the .npz into a tape of ours in the cache, new each time: it is quick, and options may differ."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / f"{source.stem}.tape"
    target.unlink(missing_ok=True)
    request = ImportRequest(files=[source], tick=args.tick, lot=args.lot, name=source.stem)
    with TapeWriter(target) as writer:
        import_npz(request, writer, lambda done, total: None)
    return target


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def measure(contract: Contract, peer: Peer | None, repeat: int) -> dict[str, Any]:
    """Alternate ours and the peer; return all runs, and ours taken apart."""
    memory = Path("/dev/shm")
    fast = memory if memory.is_dir() and os.access(memory, os.W_OK) else CACHE
    times: dict[str, list[float]] = {
        name: [] for name in ("ours", "interpreted", "on_disk", "idle", "no_journal", "peer")
    }
    state: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for turn in range(repeat):
        say(f"run {turn + 1} of {repeat}")
        for name, make, place in (
            ("ours", TouchJoiner, fast),
            ("interpreted", InterpretedMaker, fast),
            ("on_disk", TouchJoiner, CACHE),
        ):
            with tempfile.TemporaryDirectory(dir=place, prefix="reference-tape-") as folder:
                with JournalWriter(Path(folder) / "journal", {}, mode="threaded") as journal:
                    result = contract.run(make, journal)
                times[name].append(result.pop("seconds"))
            if state and result != state:
                raise RuntimeError(f"two runs differ: {state} and {result}")
            state = result
        if peer is not None:
            theirs = peer.run()
            times["peer"].append(theirs["seconds"])
        times["no_journal"].append(contract.run(TouchJoiner, NullJournal())["seconds"])
        times["idle"].append(contract.run(TouchJoiner, NullJournal(), idle=True)["seconds"])
    return {"times": times, "state": state, "theirs": theirs}


def report(measured: dict[str, Any], args: argparse.Namespace, tape: Path) -> dict[str, Any]:
    """Put the figures into the shape that all benchmarks print."""
    state, theirs = measured["state"], measured["theirs"]
    median = {name: statistics.median(runs) for name, runs in measured["times"].items() if runs}
    rows = state["rows"]
    decisions = max(1, state["steps"])
    notes: dict[str, Any] = {
        "tape": tape.name,
        "build": build.mode(),
        "end_state": state,
        "journal": "every record packed and streamed to a file in memory; a thread beside chains and writes groups of"
        " about 4 MiB. `on_disk` in median_s is the same to this machine's disk, `no_journal` packs and drops",
        "runs": args.repeat,
        "median_s": {name: round(value, 4) for name, value in median.items()},
        "where_the_time_goes": {
            "two_books_and_stepping_ns_a_row": round(median["idle"] / rows * 1e9, 1),
            "decisions_requests_and_answers_ns_a_decision": round(
                (median["no_journal"] - median["idle"]) / decisions * 1e9
            ),
            "journal_beside_ns_a_decision": round((median["ours"] - median["no_journal"]) / decisions * 1e9),
            "interpreted_strategy_ns_a_decision": round((median["interpreted"] - median["ours"]) / decisions * 1e9),
        },
        "interpreted_strategy_events_per_s": round(rows / median["interpreted"]),
    }
    peer_rate = None
    if theirs:
        peer_rate = round(theirs["rows"] / median["peer"])
        different = differences(state, theirs)
        notes["peer_end_state"] = {name: value for name, value in theirs.items() if name != "seconds"}
        notes["equal_to_peer"] = not different
        notes["differs_in"] = different
        notes["interpreted_strategy_ratio"] = round(median["peer"] / median["interpreted"], 2)
    ours = round(rows / median["ours"])
    return {
        "name": "reference_tape",
        "ours": ours,
        "peer": peer_rate,
        "ratio": None if peer_rate is None else round(ours / peer_rate, 2),
        "unit": "events/s",
        "notes": notes,
    }


def show(result: dict[str, Any]) -> None:
    """Print the result for a person."""
    notes = result["notes"]
    print(f"{notes['tape']}, {notes['build']} build, median of {notes['runs']} runs")
    print(f"  ours                        {result['ours']:>12,} events/s")
    print(f"  ours, interpreted strategy  {notes['interpreted_strategy_events_per_s']:>12,} events/s")
    if result["peer"] is not None:
        print(f"  hftbacktest, hash map       {result['peer']:>12,} events/s")
        print(f"  ratio {result['ratio']}, with the interpreted strategy {notes['interpreted_strategy_ratio']}")
        equal = "equal" if notes["equal_to_peer"] else f"DIFFERENT in {', '.join(notes['differs_in'])}"
        print(f"  end state: {equal}")
    for name, value in notes["end_state"].items():
        print(f"    {name:<16} {value}")
    print("  where the time goes")
    for name, value in notes["where_the_time_goes"].items():
        print(f"    {name.replace('_', ' '):<52} {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tape", type=Path, help="an hftbacktest .npz; default: the contract's own tape")
    parser.add_argument("--tick", default="0.1", help="price step, decimal text")
    parser.add_argument("--lot", default="0.001", help="size step, decimal text")
    parser.add_argument("--step-ms", type=int, default=100)
    parser.add_argument("--entry-ms", type=int, default=10)
    parser.add_argument("--response-ms", type=int, default=10)
    parser.add_argument("--order-size", default="0.01")
    parser.add_argument("--max-position", default="0.1")
    parser.add_argument("--maker-fee", default="-0.00005", help="share of traded value, negative = rebate")
    parser.add_argument("--taker-fee", default="0.0004")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has hftbacktest; default: installed")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    args = parser.parse_args()
    python = None if args.no_peer else args.peer_python or peer_python("hftbacktest")
    source = find_tape(args, python)
    contract = Contract(args, import_tape(args, source))
    peer = None if python is None else Peer(python, source, args)
    try:
        measured = measure(contract, peer, args.repeat)
    finally:
        if peer is not None:
            peer.close()
    result = report(measured, args, source)
    if args.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
