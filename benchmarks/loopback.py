"""Measure the loopback exchange: orders a second by HTTP and by WebSocket, blocks a second, memory over a run.

`python -m benchmarks.loopback --json` prints one object a line: name, ours, peer, ratio, unit, notes. There is no peer:
no other exchange that speaks this protocol runs on one machine. The exchange is `hat exchange` in a process of its own
with the agents' market and a block every 10 ms; the client, here, sends actions that were signed before, each a batch
that places post-only orders far from the market or cancels the ones before. Both share this machine's cores. Every
order is checked by signature recovery, nonce, budget, the venue's rules and margin, and its answer is read.

`--soak SECONDS` lets the exchange run so long under a steady load, and tells its memory at the end beside that at
a tenth of the time; 3600 is an hour's soak.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from hatmanifesto.loopback.agents import AgentsDriver
from hatmanifesto.loopback.development import open_accounts
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.markets import MARKETS, USDC
from hatmanifesto.loopback.signer import read_envelope
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer
from hatmanifesto.venues.hyperliquid.wire.actions import (
    POST_ONLY_TYPE,
    Action,
    CancelByCloid,
    CloidWire,
    Order,
    OrderWire,
    ReserveRequestWeight,
    action_json,
    action_msgpack,
)

START = "from hatmanifesto.cli.main import main; main()"
BLOCK_MS = 10
UNDER_WAY = 60
"""Actions sent and not yet answered."""


class Bot:
    """Signs actions of one development account."""

    def __init__(self, account: dict[str, Any]) -> None:
        self._signer = L1Signer(PrivateKey.parse(account["agent_key"]), mainnet=False)
        self._nonce = time.time_ns() // 1_000_000
        self._number = random.Random(1).getrandbits(100)

    def body(self, action: Action) -> bytes:
        """Return a signed /exchange body."""
        self._nonce += 1
        signature = self._signer.sign(action_msgpack(action), self._nonce)
        return b'{"action":%b,"nonce":%d,"signature":%b}' % (action_json(action), self._nonce, signature.json())

    def round(self, actions: int, count: int) -> tuple[list[bytes], list[bytes]]:
        """Return actions that each place some orders far from the market, and the actions that cancel them.

        Nonces rise in the order of sending: the venue takes none that lies below the hundred highest.
        """
        batches = []
        for _ in range(actions):
            batches.append([f"0x{self._number + at:032x}" for at in range(count)])
            self._number += count
        orders = [
            Order([OrderWire(0, True, "70000", "0.001", False, POST_ONLY_TYPE, cloid) for cloid in cloids])
            for cloids in batches
        ]
        cancels = [CancelByCloid([CloidWire(0, cloid) for cloid in cloids]) for cloids in batches]
        return [self.body(order) for order in orders], [self.body(cancel) for cancel in cancels]


class Exchange:
    """`hat exchange` in a process of its own; use as a context manager."""

    def __enter__(self) -> "Exchange":
        words = ["exchange", "--port", "0", "--no-limits", "--block-ms", str(BLOCK_MS), "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)

    @property
    def megabytes(self) -> float:
        """Resident memory now."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def by_http(url: str, bodies: list[bytes]) -> list[Any]:
    """Post every body, `UNDER_WAY` at a time, and return the answers in order."""
    answers: list[Any] = [None] * len(bodies)
    waiting = iter(enumerate(bodies))
    connector = aiohttp.TCPConnector(limit=UNDER_WAY)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def work() -> None:
            for at, body in waiting:
                async with session.post(url + "/exchange", data=body) as response:
                    answers[at] = json.loads(await response.read())

        await asyncio.gather(*(work() for _ in range(UNDER_WAY)))
    return answers


async def by_stream(url: str, bodies: list[bytes]) -> list[Any]:
    """Send every body as a WebSocket post, `UNDER_WAY` at a time, and return the answers in order."""
    answers: list[Any] = [None] * len(bodies)
    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws{url[4:]}/ws") as socket:
        sent = heard = 0
        while heard < len(bodies):
            while sent < len(bodies) and sent - heard < UNDER_WAY:
                request = b'{"method":"post","id":%d,"request":{"type":"action","payload":%b}}' % (sent, bodies[sent])
                await socket.send_str(request.decode())
                sent += 1
            answer = json.loads((await socket.receive()).data)
            answers[answer["data"]["id"]] = answer["data"]["response"]["payload"]
            heard += 1
    return answers


def check(answers: list[Any], count: int) -> None:
    """Fail unless every element of every batch was taken."""
    for answer in answers:
        statuses = answer["response"]["data"]["statuses"] if answer["status"] == "ok" else []
        if len(statuses) != count or any("error" in status for status in statuses):
            raise SystemExit(f"not taken: {answer}")


def throughput(seconds: float) -> Iterator[dict[str, Any]]:
    """Orders and cancels a second, one and twenty an action, over both ways."""
    with Exchange() as exchange:
        bot = Bot(exchange.ready["accounts"][0])
        url = exchange.ready["url"]
        reserve = bot.body(ReserveRequestWeight(10_000_000))
        assert asyncio.run(by_http(url, [reserve]))[0]["status"] == "ok"
        for way, send in (("HTTP", by_http), ("WebSocket posts", by_stream)):
            for count in (1, 20):
                took, done = 0.0, 0
                while took < seconds:
                    # all are placed before the first is cancelled: cancels overtake orders in a block
                    for bodies in bot.round(800 // count, count):
                        began = time.perf_counter()
                        answers = asyncio.run(send(url, bodies))
                        took += time.perf_counter() - began
                        check(answers, count)
                        done += len(bodies)
                notes = f"{UNDER_WAY} under way, {done:,} actions in {took:.1f} s, every answer read"
                yield line(f"orders and cancels: {way}, {count} an action", done * count / took, "1/s", notes)


def in_process(seconds: float) -> Iterator[dict[str, Any]]:
    """The parts without sockets: blocks of the agents' market, and signed orders read and matched."""
    loopback = Loopback([MARKETS["BTC"], MARKETS["ETH"]])
    source = AgentsDriver(loopback, random.Random(1), 70)
    account = open_accounts(loopback, 10_000 * USDC)[0]
    now_ms = time.time_ns() // 1_000_000
    blocks, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        now_ms += 70
        source.step(now_ms)
        loopback.advance(now_ms)
        blocks += 1
    rate = blocks / (time.perf_counter() - began)
    trades = sum(len(state.trades) for state in loopback.states)
    notes = f"70 ms each, BTC and ETH, {trades:,} prints kept; {rate * 0.07:.0f} times as fast as the venue's own"
    yield line("blocks of the agents' market", rate, "1/s", notes)

    bot = Bot(account._asdict())
    loopback.participants[account.address].requests = -(10**9)
    bodies = []
    for _ in range(40):
        orders, cancels = bot.round(50, 1)
        bodies += [json.loads(body) for body in orders + cancels]
    began = time.perf_counter()
    for body in bodies:
        loopback.act(read_envelope(body), lambda found: None)
        now_ms += 1
        loopback.advance(now_ms)
    rate = len(bodies) / (time.perf_counter() - began)
    yield line(
        "orders and cancels without sockets", rate, "1/s", "read, signer recovered, a block each, histories kept"
    )


def memory(seconds: float) -> Iterator[dict[str, Any]]:
    """Resident memory of the exchange under a steady load, late over early."""
    with Exchange() as exchange:
        bot, url = Bot(exchange.ready["accounts"][0]), exchange.ready["url"]
        assert asyncio.run(by_http(url, [bot.body(ReserveRequestWeight(10_000_000))]))[0]["status"] == "ok"
        began, early, actions = time.monotonic(), 0.0, 0
        while (age := time.monotonic() - began) < seconds:
            if not early and age >= seconds / 10:
                early = exchange.megabytes
            for bodies in bot.round(20, 10):
                check(asyncio.run(by_stream(url, bodies)), 10)
            actions += 40
            time.sleep(0.1)
        late = exchange.megabytes
        early = early or late  # so short a run, on so busy a machine, that it took no look before its end
    notes = f"after {seconds:,.0f} s and {actions * 10:,} orders and cancels; ratio: over that at a tenth of the time"
    yield line("memory", late, "MB", notes, round(late / early, 3))


def line(name: str, ours: float, unit: str, notes: str, ratio: float | None = None) -> dict[str, Any]:
    """Return one result."""
    return {"name": name, "ours": round(ours, 1), "peer": None, "ratio": ratio, "unit": unit, "notes": notes}


def measure(seconds: float, soak: float) -> Iterator[dict[str, Any]]:
    """Yield every figure."""
    yield from in_process(seconds)
    yield from throughput(seconds)
    yield from memory(soak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure (default %(default)s)")
    parser.add_argument("--soak", type=float, default=20.0, help="seconds of the run for memory (default %(default)s)")
    arguments = parser.parse_args()
    for figure in measure(arguments.seconds, arguments.soak):
        if arguments.json:
            print(json.dumps(figure), flush=True)
        else:
            print(f"{figure['name']:48} {figure['ours']:>10,} {figure['unit']:4} {figure['notes']}", flush=True)


if __name__ == "__main__":
    main()
