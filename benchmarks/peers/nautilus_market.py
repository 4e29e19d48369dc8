"""What the drivers of both NautilusTrader releases share: the data file, the rule's numbers, the answer.

Each driver is run by benchmarks.nautilus, a process a run, in an environment of its own, never by hand. What is timed
is the engine's `run` alone; the data objects are made and handed over before, which is told apart.
"""

import argparse
import json
import time
from typing import Any, NamedTuple

import numpy as np

TICK = 0.1
LOT = 0.001
ORDER_SIZE = 0.010
MOST_CLIPS = 50
CASH = 10_000_000
SYMBOL = "BTCUSDT-PERP"
LAST_OF_BATCH = 128
"""The flag F_LAST of a delta."""


def arguments():
    """Return the command line: workload, data file, tick offset of the quotes and pause between them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=("l1", "l2"))
    parser.add_argument("data")
    parser.add_argument("--offset-ticks", type=int, required=True)
    parser.add_argument("--interval-ns", type=int, required=True)
    return parser.parse_args()


def columns(path, workload):
    """Return the file's columns as lists."""
    names = ("ts", "bid_px", "ask_px", "bid_sz", "ask_sz")
    if workload == "l2":
        names = ("ts", "action", "side", "px", "sz", "last")
    with np.load(path) as stored:
        return [stored[name].tolist() for name in names]


class Model(NamedTuple):
    """The release's own classes of data."""

    price: Any
    quantity: Any
    quote: Any
    level: Any
    delta: Any
    actions: dict[int, Any]
    sides: dict[int, Any]


def market_data(args, instrument, model):
    """Return one object of the release's an event."""
    prices, sizes = {}, {}

    def price(ticks):
        if ticks not in prices:
            prices[ticks] = model.price(ticks * TICK, 1)
        return prices[ticks]

    def size(lots):
        if lots not in sizes:
            sizes[lots] = model.quantity(lots * LOT, 3)
        return sizes[lots]

    rows = zip(*columns(args.data, args.workload), strict=True)
    if args.workload == "l1":
        return [model.quote(instrument, price(b), price(a), size(q), size(r), ts, ts) for ts, b, a, q, r in rows]
    events = []
    for number, (ts, action, side, px, sz, last) in enumerate(rows, 1):
        if action in model.actions:
            level = model.level(model.sides[side], price(px), size(sz), 0)
            flags = LAST_OF_BATCH if last else 0
            events.append(model.delta(instrument, model.actions[action], level, flags, number, ts, ts))
        else:
            events.append(model.delta.clear(instrument, number, ts, ts))
    return events


class Tally:
    """What a maker did: mixed into each driver's strategy."""

    def begin(self):
        self.next_ns = 0
        self.decisions = self.placed = self.cancelled = self.fills = self.refused = self.clips = 0
        self.working = []

    def due(self, ts_ns, interval_ns):
        """Tell whether the rule acts at this event, and wait for the next time if so."""
        if ts_ns < self.next_ns:
            return False
        self.next_ns = ts_ns + interval_ns
        self.decisions += 1
        return True


def finish(version, events, load_s, run_s, cpu_s, maker):
    """Print the one line that the benchmark reads."""
    answer = {
        "version": version,
        "events": events,
        "load_s": load_s,
        "seconds": run_s,
        "cpu_s": cpu_s,
        "decisions": maker.decisions,
        "requests": maker.placed + maker.cancelled,
        "placed": maker.placed,
        "cancelled": maker.cancelled,
        "fills": maker.fills,
        "refused": maker.refused,
    }
    print(json.dumps(answer), flush=True)


def timed(call):
    """Return what a call returns, its seconds, and its processor seconds of all threads."""
    began, began_cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, time.perf_counter() - began, time.process_time() - began_cpu
