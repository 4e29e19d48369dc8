"""Measure the live path's own parts: an order to signed bytes, and market-data bytes to rows, beside the official SDK.

`python -m benchmarks.signing --json` prints one object a line: name, ours, peer, ratio, unit, notes. Every figure is a
median over many calls, ours and the peer's alternating in the same run; p99 stands in the notes. Nothing here touches a
socket: `benchmarks.live_path` measures the whole way. The peer is hyperliquid-python-sdk's own functions for the same
order, without its HTTP request.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils import keccak as eth_keccak
from hyperliquid.utils import signing as sdk
from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.venues.hyperliquid.connection import MarketConnection
from hatmanifesto.venues.hyperliquid.feed.market import MarketFeed
from hatmanifesto.venues.hyperliquid.limits import Limits
from hatmanifesto.venues.hyperliquid.nonces import NonceSource
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.orders.tracker import NOBODY
from hatmanifesto.venues.hyperliquid.signing.keccak import keccak256
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire.info import Level
from hatmanifesto.venues.hyperliquid.wire.stream import L2Book, parse_message
from hatmanifesto.venues.port import VenueListener

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
START_MS = 1_790_358_617_000
MS = 1_000_000


class Ear(VenueListener):
    """A listener that only counts."""

    def __init__(self) -> None:
        self.rows = 0

    def on_rows(self, now_ns: int, instrument: int, rows: vec[i64]) -> None:
        self.rows += len(rows)

    def on_order_event(self, *told: int) -> None:
        pass

    def on_outcome_unknown(self, *told: int) -> None:
        pass

    def on_fill(self, *told: int) -> None:
        pass

    def on_funding(self, *told: int) -> None:
        pass

    def on_trust(self, *told: object) -> None:
        pass

    def on_notice(self, *told: object) -> None:
        pass


class Ours:
    """The gateway with a stream that keeps the last frame, and the feed of one coin."""

    def __init__(self, folder: Path) -> None:
        self.frame = b""
        self.order_id = 0
        self.now_ns = START_MS * MS
        btc = Instrument("BTC", price_scale=1, size_scale=5, significant_figures=5)
        limits = Limits(lambda notice: None, ip_weight=1 << 40, stream_messages=1 << 40, reserve_actions=0)
        limits.address.correct(0, 1 << 40)
        self.posts = Posts(self.send, lambda: True, 1 << 60)
        nonces = NonceSource(folder, PrivateKey.parse(KEY).address, lambda: START_MS)
        self.gateway = HyperliquidGateway(
            instruments=[btc],
            assets=[0],
            user="0x" + "ab" * 20,
            signer=ActionSigner(L1Signer(PrivateKey.parse(KEY), mainnet=False), nonces),
            posts=self.posts,
            http=HttpChannel("http://127.0.0.1:9"),
            limits=limits,
            spawn=lambda work: work.close(),
            clock_ns=lambda: self.now_ns,
        )
        ear = Ear()
        self.gateway.begin(ear, 7)
        self.feed = MarketFeed([btc], ear, lambda source, why: None)
        self.source = MarketConnection(0, self.feed, ear)
        self.source.on_up(self.now_ns)

    def send(self, payload: bytes) -> bool:
        self.frame = payload
        return True

    def orders(self, count: int) -> None:
        """Place some orders in one turn and sign their action."""
        for _ in range(count):
            self.order_id += 1
            self.gateway.place(self.now_ns, self.order_id, 0, 1, 837_560, 100, 0, False)
        self.gateway.flush(self.now_ns)
        self.gateway.tracker.live.clear()
        self.posts._waiting.clear()


def peer_orders(wallet: Any, count: int) -> str:
    """The same with the official SDK's functions, down to the text of the request."""
    wires = [
        sdk.order_request_to_order_wire(
            {
                "coin": "BTC",
                "is_buy": True,
                "sz": 0.001,
                "limit_px": 83756.0,
                "order_type": {"limit": {"tif": "Alo"}},
                "reduce_only": False,
                "cloid": None,
            },
            0,
        )
        for _ in range(count)
    ]
    action = sdk.order_wires_to_order_action(wires, None)
    signature = sdk.sign_l1_action(wallet, action, None, START_MS, START_MS + 10_000, False)
    return json.dumps({"action": action, "nonce": START_MS, "signature": signature, "vaultAddress": None})


def book_frame(time_ms: int, levels: int) -> bytes:
    """A book message as the venue sends it."""
    sides = [
        [Level(f"{83756.0 - sign * at:.1f}", f"{0.1 + at / 100:.5f}", at) for at in range(levels)] for sign in (1, -1)
    ]
    sides[1] = [Level(f"{83757.0 + at:.1f}", level.sz, at) for at, level in enumerate(sides[1])]
    data = {
        "coin": "BTC",
        "time": time_ms,
        "levels": [[{"px": level.px, "sz": level.sz, "n": 3} for level in side] for side in sides],
    }
    return json.dumps({"channel": "l2Book", "data": data}, separators=(",", ":")).encode()


def bbo_frame(time_ms: int) -> bytes:
    """A best-price message as the venue sends it."""
    best = [{"px": "83757.0", "sz": "22.61305", "n": 81}, {"px": "83758.0", "sz": "0.00016", "n": 1}]
    data = {"coin": "BTC", "time": time_ms, "bbo": best}
    return json.dumps({"channel": "bbo", "data": data}, separators=(",", ":")).encode()


def trades_frame(time_ms: int) -> bytes:
    """A print as the venue sends it."""
    trade = {"coin": "BTC", "side": "B", "px": "83758.0", "sz": "0.00219", "time": time_ms, "hash": "0x" + "de" * 32}
    data = [{**trade, "tid": time_ms, "users": ["0x" + "e9" * 20, "0x" + "68" * 20]}]
    return json.dumps({"channel": "trades", "data": data}, separators=(",", ":")).encode()


def timings(work: Callable[[int], object], rounds: int) -> list[int]:
    """Return nanoseconds of single calls."""
    found = []
    clock = time.perf_counter_ns
    for at in range(rounds):
        begin = clock()
        work(at)
        found.append(clock() - begin)
    return found


def compare(
    name: str, ours: Callable[[int], object], peer: Callable[[int], object] | None, rounds: int, notes: str
) -> dict[str, Any]:
    """Alternate both in ten slices and return their medians, µs."""
    mine: list[int] = []
    theirs: list[int] = []
    timings(ours, rounds // 10)
    for _ in range(10):
        mine += timings(ours, rounds // 10)
        if peer is not None:
            theirs += timings(peer, max(rounds // 200, 5))
    us, them = (statistics.median(found) / 1000 if found else None for found in (mine, theirs))
    p99 = statistics.quantiles(mine, n=100)[98] / 1000
    return {
        "name": f"signing: {name}",
        "ours": round(us or 0, 2),
        "peer": None if them is None else round(them, 2),
        "ratio": None if not them or not us else round(them / us, 1),
        "unit": "µs",
        "notes": f"p99 {p99:.1f} us; {notes}",
    }


def measure(rounds: int) -> list[dict[str, Any]]:
    """Return all figures."""
    found: list[dict[str, Any]] = []
    wallet = Account.from_key(KEY)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder))
        sdk_name = "peer: hyperliquid-python-sdk 0.24"
        for count in (1, 4):
            found.append(
                compare(
                    f"place to signed frame, {count} order{'s' if count > 1 else ''}",
                    lambda at, count=count: ours.orders(count),  # type: ignore[misc]
                    lambda at, count=count: peer_orders(wallet, count),  # type: ignore[misc]
                    rounds,
                    f"gateway, limits, nonce, both encodings, signature; {sdk_name}",
                )
            )
        digest = bytes(range(32))
        key = PrivateKey.parse(KEY)
        found.append(
            compare(
                "signature",
                lambda at: key.sign_json(digest),
                lambda at: wallet.unsafe_sign_hash(digest),
                rounds,
                "secp256k1 and its text; peer: eth-account",
            )
        )
        message = bytes(200)
        found.append(
            compare(
                "keccak of 200 bytes",
                lambda at: keccak256(message),
                lambda at: eth_keccak(message),
                rounds,
                "pysha3; peer: eth-utils as the SDK calls it",
            )
        )
        feeds: list[tuple[str, Callable[[int], bytes]]] = [
            ("bbo to rows", bbo_frame),
            ("trade to rows", trades_frame),
            ("book of 2 x 5 to rows", lambda time_ms: book_frame(time_ms, 5)),
            ("book of 2 x 20 to rows", lambda time_ms: book_frame(time_ms, 20)),
        ]
        stamp = START_MS
        for name, make in feeds:
            frames = []
            for _ in range(rounds + rounds // 10):
                stamp += 1
                frames.append(make(stamp))
            turn = iter(frames)
            found.append(
                compare(
                    name,
                    lambda at, turn=turn: ours.source.on_frame(next(turn), ours.now_ns),  # type: ignore[misc]
                    lambda at, frames=frames: json.loads(frames[at]),  # type: ignore[misc]
                    rounds,
                    f"{len(frames[0])} bytes, decoded, merged, told; peer: json.loads alone, as the SDK begins",
                )
            )
        assert isinstance(parse_message(book_frame(1, 5)), L2Book)
        assert ours.gateway.tracker.listener is not NOBODY
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--rounds", type=int, default=5_000, help="calls of each (default %(default)s)")
    arguments = parser.parse_args()
    for figure in measure(arguments.rounds):
        if arguments.json:
            print(json.dumps(figure))
        else:
            peer = "" if figure["peer"] is None else f"  peer {figure['peer']:8.1f} us  {figure['ratio']:5.1f}x"
            print(f"{figure['name']:36} {figure['ours']:8.2f} us{peer}  {figure['notes']}")


if __name__ == "__main__":
    main()
