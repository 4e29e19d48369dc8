"""The exchange's side of the live-path benchmark: a market of fixed speed, and stamps of what comes back.

One thread, plain sockets: best prices of ten coins go out at a fixed rate (messages a second over one WebSocket), one
in `every` changes both prices. The moments are the kernel's: when the bytes of a message with new prices went through
the loopback device (SO_TIMESTAMPING), and when a request's bytes did (SO_TIMESTAMPNS); besides, when this process,
woken up, had read these. /info is answered by the loopback exchange; orders are acknowledged and never filled.
`python -m benchmarks.live.exchange` prints its URL.
"""

import argparse
import base64
import gc
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from hatmanifesto.loopback.development import open_accounts
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.answers import answer as answer_of
from hatmanifesto.loopback.markets import MARKETS, USDC, Market
from hatmanifesto.loopback.signer import read_envelope
from hatmanifesto.loopback.subscriptions import read_subscription
from hatmanifesto.loopback.text import price_text

MS = 1_000_000
BOOK_NS = 500 * MS
SO_TIMESTAMPNS = 35
SO_TIMESTAMPING = 37
TX_SOFTWARE, SOFTWARE, ONLY_THE_STAMP = 1 << 1, 1 << 4, 1 << 11
_STAMP_IT = [(socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack("I", TX_SOFTWARE))]
_TIMESPEC = struct.Struct("@ll")
ENDS_BEFORE = 5
"""Messages before a change at which the coin's orders end, where the venue ends them."""
KEPT_ACTIONS = 200
LISTED = [*MARKETS.values(), *(Market(f"C{at}", 2, 54, ((0, 20),)) for at in range(6))]
PRICES = {"BTC": 84_000, "ETH": 2_800, "SOL": 140, "HYPE": 40}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Quoted:
    """One coin's market: prices move a step at a time through `SPAN` places, so that a price names its moment."""

    SPAN = 60

    def __init__(self, loopback: Loopback, index: int) -> None:
        self.index = index
        self.instrument = loopback.instruments[index]
        self.name = self.instrument.name
        middle = int(self.instrument.parse_price(str(PRICES.get(self.name, 100))))
        loopback.set_prices(self.name, middle, middle)
        self.step = int(self.instrument.tick_at(middle))
        self.base = middle
        self.place = 0
        self.size = 0
        self.time_ms = 0
        self.changed_ns = 0
        self.waiting: dict[str, int] = {}
        """Bid prices, as orders write them, of changes that no order has answered yet, with their moment."""
        self.first_due = False

    def message(self, now_ms: int, change: bool) -> bytes:
        """Return best prices as the venue writes them."""
        if change:
            self.place = (self.place + 1) % self.SPAN
        self.size = (self.size + 1) % 50
        self.time_ms = max(self.time_ms + 1, now_ms)
        bid = price_text(self.instrument, self.base + self.place * self.step)
        ask = price_text(self.instrument, self.base + (self.place + 2) * self.step)
        return (
            b'{"channel":"bbo","data":{"coin":"%b","time":%d,"bbo":[{"px":"%b","sz":"%d.5","n":3},'
            b'{"px":"%b","sz":"%d.25","n":2}]}}'
            % (self.name.encode(), self.time_ms, bid.encode(), 20 + self.size, ask.encode(), 70 - self.size)
        )

    def book(self, now_ms: int) -> bytes:
        """Return five levels a side."""
        levels = []
        for side, first in ((-1, self.place), (1, self.place + 2)):
            levels.append(
                [
                    {
                        "px": price_text(self.instrument, self.base + (first + side * deep) * self.step),
                        "sz": f"{30 + deep}.5",
                        "n": 4,
                    }
                    for deep in range(5)
                ]
            )
        data = {"coin": self.name, "time": now_ms, "levels": levels, "fast": True}
        return msgspec.json.encode({"channel": "l2Book", "data": data})


class Peer:
    """One connection: HTTP until it asks for a WebSocket."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.taken = b""
        self.web_socket = False
        self.began_ns = 0
        """When the bytes of the request at hand came to the socket, ns since 1970."""
        self.read_ns = 0
        """When they were read."""
        self.kinds: set[str] = set()
        self.users: set[str] = set()

    def send(self, data: bytes) -> None:
        """Write all of it. A reader that does not keep up is waited for a little, one that is gone is given up."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.link.send(view) :]
            except BlockingIOError:
                select.select([], [self.link], [], 5.0)
            except OSError:
                return  # its end is read next

    def send_stamped(self, data: bytes) -> int:
        """Write a message, and return when its bytes went out, ns since 1970."""
        began_ns = time.time_ns()
        try:
            written = self.link.sendmsg([data], _STAMP_IT)
        except OSError:  # a full buffer: this one counts from when it should have gone
            written = 0
        self.send(data[written:])
        return self.sent_ns() or began_ns

    def sent_ns(self) -> int:
        """Return the kernel's stamp of what was sent, 0 when there is none (yet)."""
        try:
            return _stamp(self.link.recvmsg(64, 512, socket.MSG_ERRQUEUE)[1])
        except OSError:
            return 0

    def tell(self, payload: bytes) -> None:
        """Send one text message."""
        self.send(frame(payload))


def frame(payload: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def unframe(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return opcode, payload and rest of a client's first frame; None when it is not whole."""
    if len(data) < 6:
        return None
    size, at = data[1] & 127, 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(data[2:10], "big"), 10
    if len(data) < at + 4 + size:
        return None
    mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return data[0] & 15, (int.from_bytes(body, "big") ^ key).to_bytes(size, "big"), data[at + 4 + size :]


def _stamp(notes: list[tuple[int, int, bytes]]) -> int:
    """Return the kernel's stamp of what was sent or received, ns since 1970; of the last, if several came together."""
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind in (SO_TIMESTAMPNS, SO_TIMESTAMPING):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


class Exchange:
    """The loop. `orders_end`: the venue ends orders by itself, so that the next change finds none to cancel."""

    def __init__(self, rate: int, every: int, *, spin: bool) -> None:
        self.rate, self.every, self.spin = rate, every, spin
        self.loopback = Loopback(LISTED)
        self.account = open_accounts(self.loopback, 1_000_000 * USDC)[0]
        self.loopback.participants[self.account.address].volume = 1 << 60
        self.coins = [Quoted(self.loopback, index) for index in range(len(LISTED))]
        self.loopback.advance(time.time_ns() // MS)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.peers: dict[socket.socket, Peer] = {}
        self.orders_end = False
        self.streaming = False
        self.sent = 0
        self.next_oid = 1_000
        self.by_cloid: dict[str, dict[str, Any]] = {}
        self.later: list[tuple[int, Callable[[], None]]] = []
        self.due_ns = 0
        self.book_due_ns = 0
        self.book_at = 0
        self.stopped = False
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self.order_ns: list[int] = []
        self.read_ns: list[int] = []
        self.first_ns: list[int] = []
        self.late_ns: list[int] = []
        self.changes = self.posts = self.unmatched = 0
        self.messages = 0
        self.kept: list[dict[str, Any]] = []
        for coin in self.coins:
            coin.waiting.clear()
            coin.first_due = False

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop."""
        while not self.stopped:
            now = time.monotonic_ns()
            timeout = 0.5
            if self.streaming:
                timeout = 0.0 if self.spin else max(0.0, (self.due_ns - now) / 1e9)
            if self.later:
                timeout = min(timeout, max(0.0, (self.later[0][0] - now) / 1e9))
            ready, _, _ = select.select([self.listener, *self.peers], [], [], timeout)
            if ready:
                for link in ready:
                    self._read(link)
            now = time.monotonic_ns()
            while self.later and self.later[0][0] <= now:
                self.later.pop(0)[1]()
            if self.streaming and now >= self.due_ns:
                self._market(now)

    def _market(self, now: int) -> None:
        """Send the next message; when the machine slept for long, go on from here instead of hurrying after."""
        late = now - self.due_ns
        self.due_ns = now if late > 100 * MS else self.due_ns + 1_000_000_000 // self.rate
        readers = [peer for peer in self.peers.values() if "bbo" in peer.kinds]
        coin = self.coins[self.sent % len(self.coins)]
        change = self._changes(self.sent)
        if self.orders_end and self._changes(self.sent + ENDS_BEFORE):
            self._end(self.coins[(self.sent + ENDS_BEFORE) % len(self.coins)])
        self.sent += 1
        data = frame(coin.message(time.time_ns() // MS, change))
        self.messages += 1
        if change:
            self.changes += 1
            self.late_ns.append(late)
            coin.first_due = True
            bid = coin.instrument.price_text(coin.base + coin.place * coin.step)
            for peer in readers:
                coin.changed_ns = coin.waiting[bid] = peer.send_stamped(data)
        else:
            for peer in readers:
                peer.send(data)
        if now >= self.book_due_ns:
            self.book_due_ns = now + BOOK_NS // len(self.coins)
            self.book_at = (self.book_at + 1) % len(self.coins)
            book = frame(self.coins[self.book_at].book(time.time_ns() // MS))
            for peer in readers:
                if "l2Book" in peer.kinds:
                    peer.send(book)

    def _changes(self, number: int) -> bool:
        """Whether this message changes prices: one in `every`, of one coin after the other."""
        return number % self.every == number // self.every % min(self.every, len(self.coins))

    def _read(self, link: socket.socket) -> None:
        if link is self.listener:
            made, _ = self.listener.accept()
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE | ONLY_THE_STAMP)
            self.peers[made] = Peer(made)
            return
        peer = self.peers[link]
        try:
            data, notes, _, _ = link.recvmsg(1 << 18, 256)
        except BlockingIOError:
            peer.sent_ns()  # a stamp that came late woke us up
            return
        except OSError:
            data, notes = b"", []
        if not data:
            self._gone(peer)
            return
        moments = _stamp(notes), time.time_ns()
        if not peer.taken:
            peer.began_ns, peer.read_ns = moments
        peer.taken += data
        while self._message(peer):
            peer.began_ns, peer.read_ns = moments

    def _gone(self, peer: Peer) -> None:
        self.peers.pop(peer.link, None)
        peer.link.close()
        if peer.web_socket:
            self.streaming = any("bbo" in other.kinds for other in self.peers.values())

    def _message(self, peer: Peer) -> bool:
        """Take one whole message off what a connection sent."""
        if not peer.web_socket:
            return self._http(peer)
        found = unframe(peer.taken)
        if found is None:
            return False
        opcode, payload, peer.taken = found
        if opcode == 1:
            self._text(peer, payload)
        elif opcode == 8:
            self._gone(peer)
            return False
        elif opcode == 9:
            peer.send(b"\x8a" + bytes((len(payload),)) + payload)
        return bool(peer.taken)

    # -- HTTP -------------------------------------------------------------------------------------

    def _http(self, peer: Peer) -> bool:
        head, blank, rest = peer.taken.partition(b"\r\n\r\n")
        if not blank:
            return False
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            peer.web_socket, peer.taken = True, rest
            return bool(rest)
        size = int(headers.get(b"content-length", b"0"))
        if len(rest) < size:
            return False
        peer.taken = rest[size:]
        body = json.loads(rest[:size] or b"{}")
        path = first.split(b" ")[1]
        if path == b"/exchange":
            answer: Any = self._act(body, peer)
        elif path == b"/info":
            self.loopback.advance(max(time.time_ns() // MS, self.loopback.now_ms + 1))
            answer = answer_of(self.loopback, body)
        else:
            answer = self._told(body)
        text = msgspec.json.encode(answer)
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
        )
        return bool(peer.taken)

    def _told(self, body: dict[str, Any]) -> Any:
        """Carry out what the benchmark's own process says."""
        if body["do"] == "reset":
            self.orders_end = body["orders_end"]
            self.reset()
        elif body["do"] == "stop":
            self.stopped = True
        return {
            "order_ns": self.order_ns,
            "read_ns": self.read_ns,
            "first_ns": self.first_ns,
            "late_ns": self.late_ns,
            "changes": self.changes,
            "messages": self.messages,
            "unmatched": self.unmatched,
            "signed": self._signed() if body["do"] == "report" else 0,
            "kept": len(self.kept),
        }

    def _signed(self) -> int:
        """Return how many of the actions kept carry a signature of the account's agent."""
        return sum(
            any(
                self.loopback.directory.master_of(signer, self.loopback.now_ms) == self.account.address
                for signer in read_envelope(body).signers
            )
            for body in self.kept
        )

    # -- the WebSocket ----------------------------------------------------------------------------

    def _text(self, peer: Peer, payload: bytes) -> None:
        request = msgspec.json.decode(payload)
        method = request["method"]
        if method == "ping":
            peer.tell(b'{"channel":"pong"}')
        elif method == "post" and request["request"]["type"] == "action":
            answer = self._act(request["request"]["payload"], peer)
            response = {"type": "action", "payload": answer}
            peer.tell(msgspec.json.encode({"channel": "post", "data": {"id": request["id"], "response": response}}))
        elif method == "post":
            asked = request["request"]["payload"]
            data = {"type": asked["type"], "data": answer_of(self.loopback, asked)}
            response = {"type": "info", "payload": data}
            peer.tell(msgspec.json.encode({"channel": "post", "data": {"id": request["id"], "response": response}}))
        elif method == "subscribe":
            self._subscribe(peer, request["subscription"])

    def _subscribe(self, peer: Peer, asked: dict[str, Any]) -> None:
        shown = read_subscription(self.loopback, asked).shown
        kind = shown["type"]
        self._tell(peer, "subscriptionResponse", {"method": "subscribe", "subscription": shown})
        peer.kinds.add(kind)
        if kind == "l2Book":
            peer.tell(self.coins[self.loopback.by_coin[shown["coin"]]].book(time.time_ns() // MS))
        elif kind == "activeAssetCtx":
            context = self.loopback.states[self.loopback.by_coin[shown["coin"]]].context(self.loopback.now_ms)
            self._tell(peer, kind, {"coin": shown["coin"], "ctx": context})
        elif kind == "userFills":
            self._tell(peer, kind, {"isSnapshot": True, "user": shown["user"], "fills": []})
        elif kind == "userFundings":
            self._tell(peer, kind, {"isSnapshot": True, "user": shown["user"], "fundings": []})
        if kind == "bbo" and not self.streaming:
            self.streaming = True
            self.due_ns = time.monotonic_ns()

    def _tell(self, peer: Peer, channel: str, data: Any) -> None:
        peer.tell(msgspec.json.encode({"channel": channel, "data": data}))

    def _updates(self, orders: list[dict[str, Any]], status: str) -> None:
        now_ms = time.time_ns() // MS
        updates = [{"order": order, "status": status, "statusTimestamp": now_ms} for order in orders]
        for peer in self.peers.values():
            if "orderUpdates" in peer.kinds:
                self._tell(peer, "orderUpdates", updates)

    # -- actions ----------------------------------------------------------------------------------

    def _act(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Stamp and answer a signed action. What is measured ends with its first byte, so nothing here counts."""
        action = body["action"]
        if action["type"] == "scheduleCancel":  # the dead man's switch, which is no part of the path
            return {"status": "ok", "response": {"type": "default"}}
        self.posts += 1
        if len(self.kept) < KEPT_ACTIONS:
            self.kept.append(body)
        if action["type"] == "order":
            return self._place(action["orders"], peer)
        found = []
        statuses: list[Any] = []
        for cancel in action["cancels"]:
            order = self.by_cloid.pop(cancel["cloid"], None)
            self._first(self.coins[cancel["asset"]], peer)
            if order is None:
                error = "Order was never placed, already canceled, or filled."
                statuses.append({"error": f"{error} asset={cancel['asset']}"})
            else:
                found.append(order)
                statuses.append("success")
        if found:
            self._at(0, lambda: self._updates(found, "canceled"))
        return {"status": "ok", "response": {"type": "cancel", "data": {"statuses": statuses}}}

    def _first(self, coin: Quoted, peer: Peer) -> None:
        if coin.first_due:
            coin.first_due = False
            self.first_ns.append(peer.began_ns - coin.changed_ns)

    def _place(self, orders: list[dict[str, Any]], peer: Peer) -> dict[str, Any]:
        made = []
        for order in orders:
            coin = self.coins[order["a"]]
            if order["b"]:
                self._first(coin, peer)
                written_ns = coin.waiting.pop(order["p"], None)
                if written_ns is None:
                    self.unmatched += 1
                else:
                    self.order_ns.append(peer.began_ns - written_ns)
                    self.read_ns.append(peer.read_ns - written_ns)
            self.next_oid += 1
            shown = {
                "coin": coin.name,
                "side": "B" if order["b"] else "A",
                "limitPx": order["p"],
                "sz": order["s"],
                "oid": self.next_oid,
                "timestamp": time.time_ns() // MS,
                "origSz": order["s"],
                "cloid": order.get("c"),
            }
            made.append(shown)
            if order.get("c"):
                self.by_cloid[order["c"]] = shown  # the SDK's orders have no id of their own here and are forgotten
        self._at(0, lambda: self._updates(made, "open"))
        statuses = [{"resting": {"oid": order["oid"]}} for order in made]
        return {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}

    def _end(self, coin: Quoted) -> None:
        """End what works in a coin, as the dead man's switch does."""
        ended = [order for order in self.by_cloid.values() if order["coin"] == coin.name]
        for order in ended:
            del self.by_cloid[order["cloid"]]
        if ended:
            self._updates(ended, "scheduledCancel")

    def _at(self, delay_ns: int, act: Callable[[], None]) -> None:
        self.later.append((time.monotonic_ns() + delay_ns, act))
        self.later.sort(key=lambda entry: entry[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--spin", action="store_true")
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, {max(cores)})  # the first is for a trader that polls
    exchange = Exchange(arguments.rate, arguments.every, spin=arguments.spin)
    account = exchange.account
    ready = {"url": exchange.url, "account": account.address, "agent_key": account.agent_key}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    gc.collect()
    gc.freeze()
    gc.disable()  # its pauses would count as ours
    exchange.run()


if __name__ == "__main__":
    main()
