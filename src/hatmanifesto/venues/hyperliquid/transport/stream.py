"""One WebSocket that is kept up: ping, half-open detection, reconnect with a bounded back-off.

Nothing that is sent waits for a connection: what cannot be sent now is refused, because an order that left minutes
later would be an order nobody expects. Frames are handed on with their receipt stamp.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

SECOND_NS: Final = 1_000_000_000
PING: Final = b'{"method":"ping"}'


@dataclass(frozen=True)
class StreamSettings:
    """Times in seconds. `ping_after`: silence after which a ping goes out; `silent_after`: more of it ends all.

    The venue closes a connection that it sent nothing on for 60 s, and a half-open one never says so.
    """

    ping_after: float = 15.0
    silent_after: float = 10.0
    connect_timeout: float = 5.0
    first_delay: float = 0.25
    longest_delay: float = 15.0
    steady_after: float = 10.0
    max_frame_bytes: int = 16 << 20


class _Listener(WSListener):
    """picows' callbacks for one connection."""

    def __init__(self, owner: "Stream") -> None:
        self._owner = owner
        self._parts: list[bytes] = []
        self._size = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._owner._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        owner = self._owner
        now_ns = owner._clock_ns()
        owner.received_ns = now_ns
        if kind is WSMsgType.TEXT and frame.fin:
            owner._hand_on(frame.get_payload_as_bytes(), now_ns)
        elif kind is WSMsgType.TEXT or kind is WSMsgType.CONTINUATION:
            self._collect(frame, now_ns)
        elif kind is WSMsgType.CLOSE:
            owner._why = f"closed by the venue: {frame.get_close_code()}"
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def _collect(self, frame: WSFrame, now_ns: int) -> None:
        part = frame.get_payload_as_bytes()
        self._size += len(part)
        if self._size > self._owner.settings.max_frame_bytes:
            self._owner.drop("a message of many frames is too large")
            return
        self._parts.append(part)
        if frame.fin:
            whole = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._owner._hand_on(whole, now_ns)


class Stream:
    """Keeps one WebSocket connected while `run` runs.

    `on_frame(payload, now_ns)` takes every text message, `on_up(now_ns)` comes after connecting, `on_down(now_ns, why)`
    after a connection ended or could not be made. `connect_wait_ns(now_ns)` says how long to wait before another
    connection is allowed, and counts it when that is 0. Exceptions of these callbacks end `run` with that exception.
    """

    def __init__(
        self,
        url: str,
        on_frame: Callable[[bytes, int], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int, str], None],
        *,
        clock_ns: Callable[[], int],
        connect_wait_ns: Callable[[int], int] = lambda now_ns: 0,
        settings: StreamSettings | None = None,
        spread: random.Random | None = None,
    ) -> None:
        self.url: Final[str] = url
        self.settings: Final[StreamSettings] = settings or StreamSettings()
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._clock_ns = clock_ns
        self._connect_wait_ns = connect_wait_ns
        self._spread = spread or random.Random()
        self._transport: WSTransport | None = None
        self._failure: BaseException | None = None
        self._why = ""
        self._stopped = asyncio.Event()
        self.up = False
        self.connections = 0
        self.received_ns = 0

    def send(self, payload: bytes) -> bool:
        """Send a text message; False, and nothing sent, when there is no connection."""
        transport = self._transport
        if not self.up or transport is None or transport.is_disconnected:
            return False
        transport.send(WSMsgType.TEXT, payload)
        return True

    def drop(self, why: str) -> None:
        """End the present connection; a new one is made."""
        self._why = why
        if self._transport is not None:
            self._transport.disconnect(False)

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    async def run(self) -> None:
        """Keep the connection up until `stop`; raises what a callback raised."""
        delay = 0.0
        while not self._stopped.is_set():
            if delay and await self._stopping(delay * (0.5 + self._spread.random() / 2)):
                break
            wait_ns = self._connect_wait_ns(self._clock_ns())
            if wait_ns:
                await self._stopping(wait_ns / SECOND_NS)
                continue
            begun_ns = self._clock_ns()
            await self._once()
            if self._failure is not None:
                raise self._failure
            lasted = (self._clock_ns() - begun_ns) / SECOND_NS
            if lasted >= self.settings.steady_after:
                delay = self.settings.first_delay
            else:
                delay = min(max(delay * 2, self.settings.first_delay), self.settings.longest_delay)

    async def _once(self) -> None:
        """One connection, from connecting to its end."""
        self._why = ""
        settings = self.settings
        transport: WSTransport | None = None
        try:
            async with asyncio.timeout(settings.connect_timeout):
                transport, _ = await ws_connect(
                    lambda: _Listener(self),
                    self.url,
                    websocket_handshake_timeout=settings.connect_timeout,
                    max_frame_size=settings.max_frame_bytes,
                    disconnect_on_exception=True,
                )
            self.connections += 1
            self.received_ns = self._clock_ns()
            self.up = True
            self._call(lambda: self._on_up(self.received_ns))
            await self._watch(transport)
        except TimeoutError:
            self._why = "no answer while connecting"
        except Exception as error:  # noqa: BLE001 - whatever a network does ends one connection and no more
            self._why = self._why or f"{type(error).__name__}: {error}"[:200]
        finally:
            self.up = False
            self._transport = None
            if transport is not None:
                transport.disconnect(False)
        self._call(lambda: self._on_down(self._clock_ns(), self._why or "connection lost"))

    async def _watch(self, transport: WSTransport) -> None:
        """Wait for the end of a connection; ping when it is silent, end it when it stays so."""
        settings = self.settings
        gone = asyncio.ensure_future(transport.wait_disconnected())
        stop = asyncio.ensure_future(self._stopped.wait())
        pinged_ns = 0
        try:
            while True:
                quiet = (self._clock_ns() - max(self.received_ns, pinged_ns)) / SECOND_NS
                patience = settings.silent_after if pinged_ns else settings.ping_after
                done, _ = await asyncio.wait(
                    {gone, stop}, timeout=max(patience - quiet, 0.001), return_when=asyncio.FIRST_COMPLETED
                )
                if stop in done:
                    self._why = "stopped"
                    transport.send_close(WSCloseCode.OK)
                    return
                if gone in done:
                    return
                now_ns = self._clock_ns()
                if pinged_ns and self.received_ns >= pinged_ns:
                    pinged_ns = 0
                    continue
                if pinged_ns:
                    if now_ns - pinged_ns >= settings.silent_after * SECOND_NS:
                        self._why = f"silent for {settings.silent_after:g} s after a ping"
                        return
                elif now_ns - self.received_ns >= settings.ping_after * SECOND_NS:
                    pinged_ns = now_ns
                    self.send(PING)
        finally:
            for task in (gone, stop):
                task.cancel()

    async def _stopping(self, seconds: float) -> bool:
        """Wait a time; True when `stop` came meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return False
        return True

    def _hand_on(self, payload: bytes, now_ns: int) -> None:
        try:
            self._on_frame(payload, now_ns)
        except Exception as error:  # noqa: BLE001 - picows would log and swallow it; run() raises it
            self._failure = error
            self.drop("a callback failed")

    def _call(self, callback: Callable[[], None]) -> None:
        if self._failure is not None:
            return
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - as above
            self._failure = error
