"""The loopback exchange on a socket: /info, /exchange and /ws on 127.0.0.1, as the venue answers them."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from hatmanifesto.loopback import info
from hatmanifesto.loopback.exchange import Loopback, refused
from hatmanifesto.loopback.faults import Faults
from hatmanifesto.loopback.limits import (
    CONNECTIONS,
    MESSAGES_A_MINUTE,
    POSTS,
    WEIGHT_A_MINUTE,
    Window,
    action_weight,
    answer_weight,
    info_weight,
)
from hatmanifesto.loopback.signer import Malformed, Refused, read_envelope
from hatmanifesto.loopback.streams import Connection

LARGEST: Final = 1 << 20
"""Bytes of a request or frame."""
QUEUED: Final = 20_000
"""Messages that may wait for a slow reader before it is cut off."""
SILENCE_S: Final = 60.0
ANSWER_S: Final = 30.0

Step = Callable[[int], None]
"""Called before each block with its time, ms: whoever makes the market acts."""


class LoopbackServer:
    """Serves one Loopback. `limits` False: no rate limits by IP; `silence_s`: how long a connection may be quiet."""

    def __init__(
        self,
        loopback: Loopback,
        step: Step,
        *,
        block_ms: int = 70,
        limits: bool = True,
        silence_s: float = SILENCE_S,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.loopback = loopback
        self.step = step
        self.block_ms = block_ms
        self.limits = limits
        self.silence_s = silence_s
        self.faults = faults or Faults()
        self.clock = clock
        self.weight = Window(WEIGHT_A_MINUTE if limits else 0)
        self.connections: set[Socket] = set()
        self.counts = {"info": 0, "exchange": 0, "messages": 0, "malformed": 0, "refused": 0, "blocks": 0}
        self._runner: web.AppRunner | None = None
        self._blocks: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()

    # -- life -------------------------------------------------------------------------------------

    async def open(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen and return the port. Raises OSError when it is taken."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/info", self._info)
        app.router.add_post("/exchange", self._exchange)
        app.router.add_get("/ws", self._ws)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self._blocks = asyncio.get_running_loop().create_task(self._run())
        self._blocks.add_done_callback(self._blocks_ended)
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop blocks and connections."""
        if self._blocks is not None:
            self._blocks.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._blocks
        for connection in list(self.connections):
            await connection.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _blocks_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
        self.ended.set()

    async def _run(self) -> None:
        last_ms = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            now_ms = max(last_ms + 1, int(self.clock() * 1_000))
            last_ms = now_ms
            self.block(now_ms)
            due += self.block_ms / 1e3
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - due > 1.0:
                due = loop.time()  # the machine slept: go on from here instead of hurrying after

    def block(self, now_ms: int) -> None:
        """Execute one block and send what it did."""
        self.step(now_ms)
        news = self.loopback.advance(now_ms)
        self.counts["blocks"] += 1
        if self.faults.stale(now_ms):
            return
        for connection in list(self.connections):
            connection.stream.on_block(news)

    # -- HTTP -------------------------------------------------------------------------------------

    async def _info(self, request: web.Request) -> web.StreamResponse:
        self.counts["info"] += 1
        fault = await self.faults.http("info")
        if fault is not None:
            return fault_response(fault)
        body = await _body(request)
        if isinstance(body, web.Response):
            self.counts["malformed"] += 1
            return body
        if not self.weight.take(info_weight(body)):
            return web.Response(status=429, text="null", content_type="application/json")
        try:
            answer = info.answer(self.loopback, body)
        except Malformed as error:
            self.counts["malformed"] += 1
            return web.Response(status=422, text=str(error))
        self.weight.take(answer_weight(body, answer))
        return json_response(answer)

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        self.counts["exchange"] += 1
        fault = await self.faults.http("exchange")
        if fault is not None:
            return fault_response(fault)
        body = await _body(request)
        if isinstance(body, web.Response):
            self.counts["malformed"] += 1
            return body
        status, answer = await self._act(body)
        if status != 200:
            return web.Response(status=status, text=str(answer))
        if self.faults.lost_answer():
            return fault_response("drop")
        return json_response(answer)

    async def _act(self, body: Any) -> tuple[int, Any]:
        """Execute an action; return (HTTP status, answer or text)."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def answered(answer: dict[str, Any]) -> None:
            if not future.done():
                future.set_result(answer)

        try:
            envelope = read_envelope(body)
            if not self.weight.take(action_weight(envelope.action)):
                return 429, "null"
            if self.faults.rejected_signature():
                return 200, refused(f"User or API Wallet 0x{'0' * 40} does not exist.")
            self.loopback.act(envelope, answered)
            answer = await asyncio.wait_for(future, ANSWER_S)
        except Malformed as error:
            self.counts["malformed"] += 1
            return 422, str(error)
        except Refused as error:
            self.counts["refused"] += 1
            return 200, refused(str(error))
        except TimeoutError:
            return 504, "no block executed it"
        return 200, answer

    # -- WebSocket --------------------------------------------------------------------------------

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.limits and len(self.connections) >= CONNECTIONS:
            return web.Response(status=429, text="Too many connections")
        socket = web.WebSocketResponse(max_msg_size=LARGEST, compress=False, autoping=True)
        await socket.prepare(request)
        connection = Socket(self, socket, request.transport)
        self.connections.add(connection)
        try:
            await connection.serve()
        finally:
            self.connections.discard(connection)
        return socket

    async def post(self, request: Any) -> dict[str, Any]:
        """Answer a WebSocket post's request."""
        kind = request.get("type") if isinstance(request, dict) else None
        payload = request.get("payload") if isinstance(request, dict) else None
        if kind == "info":
            if not self.weight.take(info_weight(payload)):
                return {"type": "error", "payload": "429: null"}
            try:
                answer = info.answer(self.loopback, payload)
            except Malformed as error:
                return {"type": "error", "payload": f"422: {error}"}
            name = payload.get("type") if isinstance(payload, dict) else None
            return {"type": "info", "payload": {"type": name, "data": answer}}
        if kind == "action":
            status, answer = await self._act(payload)
            if status != 200:
                return {"type": "error", "payload": f"{status}: {answer}"}
            return {"type": "action", "payload": answer}
        return {"type": "error", "payload": "422: unknown request type"}


class Socket:
    """One WebSocket connection: a queue of messages out, and what comes in."""

    def __init__(
        self, server: LoopbackServer, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        self.server = server
        self.socket = socket
        self._transport = transport
        self.stream = Connection(server.loopback, self.send)
        self._out: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._messages = Window(MESSAGES_A_MINUTE if server.limits else 0)
        self._posts: set[asyncio.Task[None]] = set()
        self._sent_s = time.monotonic()

    def send(self, message: bytes) -> None:
        """Queue a message, or what a fault makes of it; a reader that is too slow is cut off."""
        for delay_s, each in self.server.faults.message(message):
            if delay_s > 0:
                asyncio.get_running_loop().call_later(delay_s, self._queue, each)
            else:
                self._queue(each)
        if self.server.faults.disconnects():
            self.abort()

    def _queue(self, message: bytes) -> None:
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def serve(self) -> None:
        """Read until the connection ends."""
        writer = asyncio.get_running_loop().create_task(self._write())
        try:
            async for message in self.socket:
                if message.type == WSMsgType.TEXT:
                    self.server.counts["messages"] += 1
                    self._take(message.data)
                elif message.type == WSMsgType.BINARY:
                    self._error(message.data.decode(errors="replace"))
        finally:
            writer.cancel()
            for task in self._posts:
                task.cancel()

    async def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the exchange stops")

    async def _write(self) -> None:
        """Send what is queued; close a connection to which nothing was sent for too long, as the venue does."""
        while True:
            try:
                message = await asyncio.wait_for(self._out.get(), self.server.silence_s)
            except TimeoutError:
                await self.socket.close(code=WSCloseCode.OK, message=b"Inactive")
                return
            if self.server.faults.half_open:
                continue
            try:
                await self.socket.send_str(message.decode())
            except ConnectionError:
                return

    def _take(self, text: str) -> None:
        if not self._messages.take(1):
            self.stream.tell("error", f"Cannot send more than {MESSAGES_A_MINUTE} messages per minute.")
            return
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            self._error(text)
            return
        method = request.get("method") if isinstance(request, dict) else None
        if method == "ping":
            self.send(b'{"channel":"pong"}')
        elif method == "subscribe":
            self.stream.subscribe(request.get("subscription"))
        elif method == "unsubscribe":
            self.stream.unsubscribe(request.get("subscription"))
        elif method == "post" and isinstance(request.get("id"), int):
            if len(self._posts) >= POSTS:
                self.stream.tell("error", f"too many pending post requests id={request['id']}")
                return
            task = asyncio.get_running_loop().create_task(self._post(request["id"], request.get("request")))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)
        else:
            self._error(text)

    def _error(self, text: str) -> None:
        self.server.counts["malformed"] += 1
        self.stream.tell("error", f"Error parsing JSON into valid websocket request: {text[:500]}")

    async def _post(self, number: int, request: Any) -> None:
        response = await self.server.post(request)
        if response["type"] == "action" and self.server.faults.lost_answer():
            return
        self.stream.tell("post", {"id": number, "response": response})


async def _body(request: web.Request) -> Any:
    """Return the decoded body, or the answer to one that cannot be."""
    if "json" not in request.content_type:
        return web.Response(status=415, text="Expected request with `Content-Type: application/json`")
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return web.Response(status=413, text="length limit exceeded")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return web.Response(status=400, text="Failed to parse the request body as JSON")


def json_response(answer: Any) -> web.Response:
    """Return an answer as the venue sends it."""
    return web.Response(
        body=msgspec.json.encode(answer),
        content_type="application/json",
        headers={"access-control-allow-origin": "*", "vary": "origin"},
    )


def fault_response(fault: int | str) -> web.Response:
    """Return what a scripted fault answers: a status, or a connection that ends without a word."""
    if fault == "drop":
        raise web.HTTPBadGateway(text="upstream connect error")
    status = int(fault)
    return web.Response(status=status, text="null" if status in (429, 500) else "upstream error")
