"""The loopback exchange on a socket: /info, /exchange and /ws on 127.0.0.1, as the venue answers them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from hatmanifesto.loopback.connection import Connection
from hatmanifesto.loopback.exchange import Loopback, refused
from hatmanifesto.loopback.faults import Faults
from hatmanifesto.loopback.info.answers import answer
from hatmanifesto.loopback.limits import (
    CONNECTIONS,
    SUBSCRIPTIONS,
    USERS,
    IpLimits,
    action_weight,
    answer_weight,
    info_weight,
)
from hatmanifesto.loopback.signer import MALFORMED, Malformed, Refused, read_envelope
from hatmanifesto.loopback.subscriptions import Subscription

LARGEST: Final = 1 << 20
"""Bytes of a request or frame."""
SILENCE_S: Final = 60.0
ANSWER_S: Final = 30.0
CATCH_UP_S: Final = 1.0
"""Blocks that are later than this are left out: the machine slept."""

Step = Callable[[int], None]
"""Called before each block with its time, ms: whoever makes the market acts."""


class LoopbackServer:
    """Serves one Loopback. `limits` False: no limits by IP address; `silence_s`: how long a connection may be quiet.

    `counts` are what was asked, sent, refused; `failure` is what ended the blocks, and then `ended` is set.
    """

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
        self.loopback: Final = loopback
        self.step: Final = step
        self.block_ms: Final = block_ms
        self.limits: Final = IpLimits(on=limits)
        self.silence_s: Final = silence_s
        self.faults: Final = faults or Faults()
        self.clock: Final = clock
        self.connections: Final[set[Connection]] = set()
        self.counts: Final[Counter[str]] = Counter()
        self.failure: BaseException | None = None
        self.ended: Final = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._blocks: asyncio.Task[None] | None = None

    # -- life -------------------------------------------------------------------------------------

    async def open(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen and return the port. Raises OSError when it is taken."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/info", self._info)
        app.router.add_post("/exchange", self._exchange)
        app.router.add_get("/ws", self._ws)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.faults.begin()
        self._blocks = asyncio.get_running_loop().create_task(self._run())
        self._blocks.add_done_callback(self._blocks_ended)
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop blocks and connections."""
        if self._blocks is not None:
            self._blocks.cancel()
            await asyncio.wait({self._blocks})
        for connection in list(self.connections):
            await connection.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _blocks_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.failure = task.exception()
        self.ended.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            now_ms = int((self.clock() + self.faults.clock_error_s) * 1_000)
            self.block(max(self.loopback.now_ms + 1, now_ms))
            due += self.block_ms / 1e3
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - due > CATCH_UP_S:
                due = loop.time()

    def block(self, now_ms: int) -> None:
        """Execute one block and send what it did."""
        self.step(now_ms)
        if self.faults.post_only:
            self.loopback.allow_only_post_only()
        news = self.loopback.advance(now_ms)
        self.counts["blocks"] += 1
        stale = self.faults.stale
        for connection in list(self.connections):
            connection.stream.on_block(news, stale=stale)

    # -- HTTP -------------------------------------------------------------------------------------

    async def _info(self, request: web.Request) -> web.StreamResponse:
        self.counts["info"] += 1
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        status, found = self._ask(body)
        return json_response(found) if status == 200 else error_response(status, found)

    def _ask(self, question: Any) -> tuple[int, Any]:
        """Return (HTTP status, answer or text)."""
        if not self.limits.weight.take(info_weight(question)):
            self.counts["limited"] += 1
            return 429, "null"
        try:
            found = answer(self.loopback, question)
        except Malformed as error:
            self.counts["malformed"] += 1
            return 422, str(error)
        self.limits.weight.take(answer_weight(question, found))
        return 200, found

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        self.counts["exchange"] += 1
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        status, found = await self._act(body)
        if status != 200:
            return error_response(status, found)
        await asyncio.sleep(self.faults.answer_delay_s())
        if self.faults.lost_answer() and request.transport is not None:
            request.transport.abort()
        return json_response(found)

    async def _act(self, body: Any) -> tuple[int, Any]:
        """Execute an action; return (HTTP status, answer or text)."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def answered(found: dict[str, Any]) -> None:
            if not future.done():
                future.set_result(found)

        try:
            envelope = read_envelope(body)
            if not self.limits.weight.take(action_weight(envelope.action)):
                self.counts["limited"] += 1
                return 429, "null"
            if self.faults.rejected_signature():
                raise Refused(f"User or API Wallet 0x{'0' * 40} does not exist.")
            self.loopback.act(envelope, answered)
            async with asyncio.timeout(ANSWER_S):
                return 200, await future
        except Malformed as error:
            self.counts["malformed"] += 1
            return 422, str(error)
        except Refused as error:
            self.counts["refused"] += 1
            return 200, refused(str(error))
        except TimeoutError:
            return 504, "no block executed it"

    async def _body(self, request: web.Request) -> Any:
        """Return the decoded body, or the answer to one that cannot be, or that a fault stands in for."""
        fault = self.faults.http()
        if fault:
            return error_response(fault, "null")
        self.counts["malformed"] += 1
        if "json" not in request.content_type:
            return error_response(415, "Expected request with `Content-Type: application/json`")
        try:
            body = msgspec.json.decode(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return error_response(413, "length limit exceeded")
        except (msgspec.DecodeError, RecursionError):
            return error_response(400, "Failed to parse the request body as JSON")
        self.counts["malformed"] -= 1
        return body

    # -- WebSocket --------------------------------------------------------------------------------

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.limits.on and (len(self.connections) >= CONNECTIONS or not self.limits.connections.take(1)):
            self.counts["limited"] += 1
            return error_response(429, "null")
        socket = web.WebSocketResponse(max_msg_size=LARGEST, compress=False)
        await socket.prepare(request)
        connection = Connection(
            self.loopback,
            socket,
            request.transport,
            limits=self.limits,
            faults=self.faults,
            admit=self._admit,
            post=lambda post: self.post(post),
            count=self._count,
            silence_s=self.silence_s,
        )
        self.connections.add(connection)
        try:
            await connection.serve()
        finally:
            self.connections.discard(connection)
        return socket

    def _count(self, name: str) -> None:
        self.counts[name] += 1

    def _admit(self, subscription: Subscription) -> str:
        """Hold a new subscription against what one address may have."""
        held = [each for connection in self.connections for each in connection.stream.held.values()]
        if len(held) >= SUBSCRIPTIONS:
            return f"Cannot subscribe to more than {SUBSCRIPTIONS} channels."
        users = {each.user for each in held if each.user}
        if self.limits.on and subscription.user and subscription.user not in users and len(users) >= USERS:
            return f"Cannot track more than {USERS} total users."
        return ""

    async def post(self, request: Any) -> dict[str, Any]:
        """Answer a WebSocket post's request."""
        kind = request.get("type") if isinstance(request, dict) else None
        payload = request.get("payload") if isinstance(request, dict) else None
        if kind == "info":
            status, found = self._ask(payload)
            if status == 200 and isinstance(payload, dict):
                return {"type": "info", "payload": {"type": payload.get("type"), "data": found}}
        elif kind == "action":
            status, found = await self._act(payload)
            if status == 200:
                return {"type": "action", "payload": found}
        else:
            self.counts["malformed"] += 1
            status, found = 422, MALFORMED
        return {"type": "error", "payload": f"{status}: {found}"}


def json_response(found: Any) -> web.Response:
    """Return an answer as the venue sends it."""
    return web.Response(
        body=msgspec.json.encode(found),
        content_type="application/json",
        headers={"access-control-allow-origin": "*", "vary": "origin"},
    )


def error_response(status: int, text: str) -> web.Response:
    """Return text or the JSON null, never an object: the official SDK could not read one."""
    kind = "application/json" if text == "null" else "text/plain"
    return web.Response(status=status, text=text, content_type=kind)
