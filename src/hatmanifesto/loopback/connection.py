"""One WebSocket connection: requests in, a queue of messages out, and what faults do to them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.faults import Fate, Faults
from hatmanifesto.loopback.limits import MESSAGES_A_MINUTE, POSTS, IpLimits
from hatmanifesto.loopback.streams import Admit, Subscriptions

QUEUED: Final = 20_000
"""Messages that may wait for a slow reader before it is cut off."""
RELEASE_S: Final = 1.0
"""A message that is held back to be overtaken goes out after this time at the latest."""
PONG: Final = b'{"channel":"pong"}'

Post = Callable[[Any], Awaitable[dict[str, Any]]]
Count = Callable[[str], None]


class Connection:
    """`post` answers a post's request. `count` notes one of the server's counters by name."""

    def __init__(
        self,
        loopback: Loopback,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        limits: IpLimits,
        faults: Faults,
        admit: Admit,
        post: Post,
        count: Count,
        silence_s: float,
    ) -> None:
        self.stream: Final = Subscriptions(loopback, self.send, admit)
        self._socket = socket
        self._transport = transport
        self._limits = limits
        self._faults = faults
        self._post = post
        self._count = count
        self._silence_s = silence_s
        self._out: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._held: list[bytes] = []
        self._posts: set[asyncio.Task[None]] = set()

    # -- out --------------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Queue a message, or what a fault makes of it; a reader that is too slow is cut off."""
        fate = Fate.SENT if message == PONG else self._faults.message()
        if fate is Fate.SENT:
            self._queue(message)
        elif fate is Fate.DUPLICATED:
            self._queue(message)
            self._queue(message)
        elif fate is Fate.DELAYED:
            loop = asyncio.get_running_loop()
            loop.call_later(self._faults.settings.delay_ms / 1e3, self._queue, message)
        elif fate is Fate.REORDERED:
            self._held.append(message)
            asyncio.get_running_loop().call_later(RELEASE_S, self._release)
            return
        self._release()
        if self._faults.disconnects():
            self.abort()

    def _release(self) -> None:
        held, self._held = self._held, []
        for message in held:
            self._queue(message)

    def _queue(self, message: bytes) -> None:
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:
            self._count("cut_off")
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the exchange stops")

    async def _write(self) -> None:
        """Send what is queued; close a connection to which nothing was sent for too long, as the venue does."""
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    message = await self._out.get()
            except TimeoutError:
                await self._socket.close(code=WSCloseCode.OK, message=b"Inactive")
                return
            if self._faults.half_open:
                continue
            try:
                await self._socket.send_str(message.decode())
            except ConnectionError:
                return

    # -- in ---------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Read until the connection ends."""
        writer = asyncio.get_running_loop().create_task(self._write())
        try:
            async for message in self._socket:
                if self._faults.half_open:
                    continue
                self._count("messages")
                if message.type == WSMsgType.TEXT:
                    self._take(message.data)
                else:
                    self._unreadable(message.data.decode(errors="replace") if message.data else "")
        finally:
            writer.cancel()
            for task in self._posts:
                task.cancel()
            await asyncio.gather(writer, *self._posts, return_exceptions=True)

    def _take(self, text: str) -> None:
        if not self._limits.messages.take(1):
            self.stream.tell("error", f"Cannot send more than {MESSAGES_A_MINUTE} messages per minute.")
            return
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            self._unreadable(text)
            return
        method = request.get("method") if isinstance(request, dict) else None
        understood = True
        if method == "ping":
            self.send(PONG)
        elif method in ("subscribe", "unsubscribe"):
            understood = self.stream.take(method, request.get("subscription"))
        elif method == "post" and isinstance(request.get("id"), int):
            self._take_post(request["id"], request.get("request"))
        else:
            understood = False
        if not understood:
            self._unreadable(text)

    def _unreadable(self, text: str) -> None:
        self._count("malformed")
        self.stream.tell("error", f"Error parsing JSON into valid websocket request: {text[:500]}")

    def _take_post(self, number: int, request: Any) -> None:
        if len(self._posts) >= POSTS:
            self.stream.tell("error", f"too many pending post requests id={number}")
            return
        task = asyncio.get_running_loop().create_task(self._answer_post(number, request))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _answer_post(self, number: int, request: Any) -> None:
        response = await self._post(request)
        if response["type"] == "action":
            await asyncio.sleep(self._faults.answer_delay_s())
            if self._faults.lost_answer():
                return
        self.stream.tell("post", {"id": number, "response": response})
