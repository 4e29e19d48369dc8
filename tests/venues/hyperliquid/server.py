"""A small scripted venue on a free port of 127.0.0.1: real sockets, real frames, faults on demand.

It knows nothing of trading; the loopback exchange does. Tests say what it answers and what it does to a connection.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

Answer = Callable[[dict[str, Any]], Any]


class Http:
    """An answer that is not 200 JSON."""

    def __init__(self, status: int, text: str = "null", delay: float = 0.0) -> None:
        self.status = status
        self.text = text
        self.delay = delay


class ScriptedVenue:
    """`on_message` answers frames; `http` answers requests by path, in turn, the last one again and again."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.connections: list[web.WebSocketResponse] = []
        self.news = asyncio.Condition()
        self.silent = False
        self.refuse_connections = 0
        self.on_message: Callable[[web.WebSocketResponse, dict[str, Any]], Any] | None = None
        self.http: dict[str, deque[Any]] = {"/info": deque(), "/exchange": deque()}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.after_request: Callable[[], Any] | None = None
        self.port = 0

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_connections:
            self.refuse_connections -= 1
            return web.Response(status=503, text="upgrading")
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.connections.append(socket)
        await self._tell()
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT or self.silent:
                continue
            message = json.loads(frame.data)
            self.received.append(message)
            if message.get("method") == "ping":
                await socket.send_str('{"channel":"pong"}')
            elif self.on_message is not None:
                made = self.on_message(socket, message)
                if asyncio.iscoroutine(made):
                    await made
            await self._tell()
        await self._tell()
        return socket

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append((request.path, body))
        await self._tell()
        script = self.http[request.path]
        answer = script.popleft() if len(script) > 1 else script[0]
        if callable(answer):
            answer = answer(body)
        if self.after_request is not None:
            await self.after_request()
        if isinstance(answer, Http):
            if answer.delay:
                await asyncio.sleep(answer.delay)
            if answer.status == 0:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=answer.status or 200, text=answer.text)
        return web.json_response(answer)

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true, at most 10 s."""
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(condition)

    async def send(self, message: Any, connection: int = -1) -> None:
        socket = self.connections[connection]
        await socket.send_str(message if isinstance(message, str) else json.dumps(message))

    def cut(self, connection: int = -1) -> None:
        """Drop a connection as a crash does: no close frame."""
        writer = self.connections[connection]._writer
        assert writer is not None
        assert writer.transport is not None
        writer.transport.abort()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["ScriptedVenue"]:
        app = web.Application()
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/info", self._post)
        app.router.add_post("/exchange", self._post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            for socket in self.connections:
                if not socket.closed and socket._writer is not None and socket._writer.transport is not None:
                    socket._writer.transport.abort()
            await runner.cleanup()


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is true, at most 10 s."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
