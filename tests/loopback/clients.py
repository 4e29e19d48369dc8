"""A raw client: whatever bytes a test wants to send, and what came back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from loopback.running import PATIENCE_S, Stage


class RawClient:
    """A WebSocket that keeps every message; use `connected`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.closed_with: int | None = None

    async def read(self) -> None:
        async for message in self.socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                self.heard.append(json.loads(message.data))
                self.changed.set()
        self.closed_with = self.socket.close_code
        self.changed.set()

    async def send(self, message: Any) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def subscribe(self, kind: str, **more: Any) -> None:
        await self.send({"method": "subscribe", "subscription": {"type": kind, **more}})

    def on(self, channel: str) -> list[Any]:
        """Return the data of every message on a channel."""
        return [message.get("data") for message in self.heard if message["channel"] == channel]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true of what was heard."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def connected(stage: Stage) -> AsyncIterator[RawClient]:
    """Connect, listen, and disconnect at the end."""
    async with aiohttp.ClientSession() as session, session.ws_connect(stage.stream_url, max_msg_size=0) as socket:
        client = RawClient(socket)
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def post(stage: Stage, path: str, body: Any, kind: str = "application/json") -> tuple[int, str]:
    """Post a body (bytes as they are, everything else as JSON) and return status and text."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(stage.url + path, data=data, headers={"Content-Type": kind}) as response,
    ):
        return response.status, await response.text()
