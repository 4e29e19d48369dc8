"""Measure the live path: market-data bytes on the socket to signed order bytes on the socket, over loopback.

`python -m benchmarks.live_path --json` prints one object a line: name, ours, peer, ratio, unit, notes.

What is measured: an exchange process writes best prices of ten coins to one WebSocket at 5,000 messages a second, the
sizes new in each and, in one of a hundred, both prices; the maker decides on every message. Both moments are the
kernel's own stamps (SO_TIMESTAMPING, SO_TIMESTAMPNS, one clock): when the bytes of a message with new prices went
through the loopback device, and when those of the order at these prices did. In between: the trader waking up (or
polling), reading, decoding, the engine with every check, the journal's write, signing, and sending. When the
exchange's process, which has to wake up too, had read the order stands in the notes. The trader is a live session in a
process of its own, as `hat run` starts it: uvloop, compiled build, the journal written before anything is sent; no
guard, and rate limits that do not bind.

`quote`: no order works, so new prices lead to one signed action with a buy and a sell. `requote`: two orders work, so a
signed cancel of both goes out before it; `first` is that cancel. Each is measured with the settings as they are
shipped, where the trader sleeps until something arrives, and `polling`: with trading.busy_poll, the trader on a core of
its own (trading.core) and the exchange on another, and a rehearsal every 300 µs at most. The peer is
hyperliquid-python-sdk on the same market: its WebSocket, a callback, Exchange.bulk_orders of the same two orders, which
it sends over HTTP. Ours and the peer alternate; figures are medians over runs; warm-up does not count.

`--stages` shows where the time goes inside the trader (with stamps, so a little slower). `--soak 10m` runs one
session for that time and prints its memory, and the exchange process's beside it.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UP_S = 60.0
_TOLD = re.compile(r'\{"(ready|done|url)"')
TRIGGERS = {"quote": '["best_changed"]', "requote": ""}
POLLING = " polling"
"""The ending of a kind whose trader polls."""


class Process:
    """A child that prints JSON lines and ends after a line on its standard input."""

    def __init__(self, module: str, *words: str, key: str = "") -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.live.{module}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, "HAT_AGENT_KEY": key},
        )

    def line(self) -> dict[str, Any]:
        """Return its next line; one that says nothing for too long is ended."""
        assert self.child.stdout is not None
        patience = threading.Timer(2 * UP_S, self.child.kill)
        patience.start()
        try:
            # the SDK's threads print words of their own, before and behind ours in the same line
            while (text := self.child.stdout.readline()) and not (found := _TOLD.search(text)):
                pass
        finally:
            patience.cancel()
        if not text or not found:
            raise SystemExit(f"a process of the benchmark ended early, exit code {self.child.wait()}; see above")
        told: dict[str, Any] = json.JSONDecoder().raw_decode(text, found.start())[0]
        return told

    def stop(self) -> dict[str, Any]:
        """End it and return what it says."""
        assert self.child.stdin is not None
        self.child.stdin.write("stop\n")
        self.child.stdin.flush()
        found: dict[str, Any] = self.line()["done"]
        self.child.wait(UP_S)
        return found

    def cpu_s(self) -> float:
        """Return processor time used so far, s."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return resident memory, MB of 10^6 bytes."""
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class Bench:
    """The exchange and who is measured on it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        words = ["--rate", str(arguments.rate), "--every", str(arguments.every)]
        self.exchange = Process("exchange", *words, *(["--spin"] if arguments.spin else []))
        self.at = self.exchange.line()

    def tell(self, **what: Any) -> dict[str, Any]:
        """Tell the exchange something and return its answer."""
        request = urllib.request.Request(f"{self.at['url']}/bench", json.dumps(what).encode())
        with urllib.request.urlopen(request, timeout=UP_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def trader(self, kind: str, *more: str) -> Process:
        """Start one who trades."""
        words = [self.at["url"], *more]
        kind, polling, _ = kind.partition(POLLING)
        core = min(os.sched_getaffinity(0))
        own = ["trading.busy_poll=true", f"trading.core={core}", 'trading.rehearse_interval="300us"']
        for change in (*(own if polling else ()), *self.arguments.changes):
            words += ["--set", change]
        if kind == "sdk":
            return Process("sdk", self.at["url"], self.at["account"], key=self.at["agent_key"])
        if TRIGGERS[kind]:
            words += ["--triggers", TRIGGERS[kind]]
        return Process("trader", *words, key=self.at["agent_key"])

    def run(self, kind: str, *more: str) -> dict[str, Any]:
        """Measure once; return the exchange's figures, the process's own, and its processor time a message."""
        orders_end = not kind.startswith("requote")
        self.tell(do="reset", orders_end=orders_end)
        process = self.trader(kind, *more)
        try:
            process.line()
            time.sleep(self.arguments.warm_up)
            self.settle()
            self.tell(do="reset", orders_end=orders_end)
            before = process.cpu_s()
            time.sleep(self.arguments.seconds)
            used = process.cpu_s() - before
            found = self.tell(do="report")
            found["cpu_us"] = used / max(found["messages"], 1) * 1e6
            found["memory_mb"] = process.memory_mb()
            found["own"] = process.stop()
        finally:
            process.end()
        if found["signed"] != found["kept"] or not found["order_ns"]:
            raise SystemExit(f"{kind}: {found['signed']} of {found['kept']} actions are signed rightly; a defect")
        return found

    def settle(self) -> None:
        """Wait until the first orders are out, which answer no change of prices: a loaded machine takes its time."""
        deadline = time.monotonic() + UP_S
        before = -1
        while (unmatched := self.tell(do="look")["unmatched"]) != before and time.monotonic() < deadline:
            before = unmatched
            time.sleep(0.3)

    def soak(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Run one requoting session for long and yield its memory once a minute."""
        self.tell(do="reset", orders_end=False)
        process = self.trader("requote")
        try:
            process.line()
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < seconds:
                time.sleep(min(60.0, seconds - passed))
                self.tell(do="reset", orders_end=False)
                yield {
                    "seconds": round(time.monotonic() - begun),
                    "memory_mb": round(process.memory_mb(), 2),
                    "exchange_mb": round(self.exchange.memory_mb(), 2),
                }
            process.stop()
        finally:
            process.end()


def quantiles(found: list[int]) -> list[float]:
    """Return p50, p99 and p99.9, µs."""
    ordered = sorted(found)
    return [ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e3 for share in (0.5, 0.99, 0.999)]


def medians(runs: list[list[float]]) -> list[float]:
    """Return the median of each quantile over runs."""
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return all figures."""
    arguments = bench.arguments
    kinds = ["quote", "requote", f"quote{POLLING}", f"requote{POLLING}", *([] if arguments.alone else ["sdk"])]
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    loads = []
    for number in range(arguments.runs):
        for kind in kinds:
            loads.append(os.getloadavg()[0])
            runs[kind].append(bench.run(kind))
            p50, p99, _ = quantiles(runs[kind][-1]["order_ns"])
            print(f"run {number + 1} {kind}: p50 {p50:.0f} us, p99 {p99:.0f}, load {loads[-1]:.1f}", file=sys.stderr)
    found = []
    peer = medians([quantiles(run["order_ns"]) for run in runs["sdk"]]) if "sdk" in runs else None
    for kind, key, name in (
        ("quote", "order_ns", "quote"),
        ("requote", "first_ns", "requote, first"),
        ("requote", "order_ns", "requote, order"),
        (f"quote{POLLING}", "order_ns", "quote, polling"),
        (f"requote{POLLING}", "first_ns", "requote, polling, first"),
        (f"requote{POLLING}", "order_ns", "requote, polling, order"),
    ):
        ours = medians([quantiles(run[key]) for run in runs[kind]])
        read = medians([quantiles(run["read_ns"]) for run in runs[kind]])
        count = sum(len(run[key]) for run in runs[kind])
        missed = sum(run["changes"] for run in runs[kind]) - count
        for at, quantile in enumerate(("p50", "p99", "p99.9")):
            found.append(
                {
                    "name": f"live path: {name}, {quantile}",
                    "ours": round(ours[at], 1),
                    "peer": None if peer is None else round(peer[at], 1),
                    "ratio": None if peer is None else round(peer[at] / ours[at], 1),
                    "unit": "µs",
                    "notes": f"{arguments.runs} runs of {arguments.seconds:g} s at {arguments.rate}/s, {count} orders, "
                    f"{missed} changes without one; load {min(loads):.1f} to {max(loads):.1f}"
                    + (f"; read by the exchange {read[at]:.1f} µs" if key == "order_ns" else ""),
                }
            )
    for name, key, unit in (("processor time a message", "cpu_us", "µs"), ("memory", "memory_mb", "MB")):
        mine = statistics.median(run[key] for run in runs["quote"])  # a trader that polls takes a whole core
        theirs = statistics.median(run[key] for run in runs["sdk"]) if "sdk" in runs else None
        found.append(
            {
                "name": f"live path: {name}",
                "ours": round(mine, 1),
                "peer": None if theirs is None else round(theirs, 1),
                "ratio": None if theirs is None else round(theirs / mine, 1),
                "unit": unit,
                "notes": "of the trading process, orders included",
            }
        )
    return found


def show(figure: dict[str, Any], as_json: bool) -> None:
    """Print one figure."""
    if as_json:
        print(json.dumps(figure), flush=True)
    else:
        peer = "" if figure["peer"] is None else f"  sdk {figure['peer']:9.1f}  {figure['ratio']:5.1f}x"
        print(f"{figure['name']:36} {figure['ours']:8.1f} {figure['unit']}{peer}  {figure['notes']}", flush=True)


def seconds_of(text: str) -> float:
    """Read a duration such as 90s or 10m."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text)
    if not found:
        raise argparse.ArgumentTypeError("write it as 90s, 10m or 1h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a run that count (default %(default)s)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before them (default %(default)s)")
    parser.add_argument("--rate", type=int, default=5_000, help="messages a second (default %(default)s)")
    parser.add_argument("--every", type=int, default=100, help="one message in so many changes prices")
    parser.add_argument("--spin", action="store_true", help="the exchange polls: exact, but takes a whole core")
    parser.add_argument("--alone", action="store_true", help="without the official SDK")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="a setting")
    parser.add_argument("--stages", action="store_true", help="where the time goes inside the trader")
    parser.add_argument("--soak", type=seconds_of, metavar="TIME", help="memory of one session over this time")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    try:
        if arguments.soak:
            for moment in bench.soak(arguments.soak):
                print(json.dumps(moment), flush=True)
        elif arguments.stages:
            for kind in ("quote", "requote", f"quote{POLLING}", f"requote{POLLING}"):
                run = bench.run(kind, "--stages")
                own = {key: run["own"][key] for key in ("stages", "turns", "turn_p50_us", "faults")}
                order = [round(value, 1) for value in quantiles(run["order_ns"])]
                print(json.dumps({"name": f"live path: stages of {kind}", "order_us": order, **own}), flush=True)
        else:
            for figure in measure(bench):
                show(figure, arguments.json)
        with contextlib.suppress(OSError):
            bench.tell(do="stop")
    finally:
        bench.exchange.end()


if __name__ == "__main__":
    main()
