"""Malformed, hostile and excessive input: answered as the venue answers it, counted, and nothing is left of it."""

import asyncio
import gc
import tracemalloc
from typing import Any

import aiohttp
import pytest

from hatmanifesto.loopback.connection import POSTS, Connection
from hatmanifesto.loopback.limits import MESSAGES_A_MINUTE, SUBSCRIPTIONS, Window
from hatmanifesto.loopback.subscriptions import Subscription
from loopback.clients import connected, post
from loopback.running import Stage, play, until

UNREADABLE = "Failed to deserialize the JSON body into the target type"
HTTP = [
    # path, body, content type, status, text
    ("/info", b"{", "application/json", 400, "Failed to parse the request body as JSON"),
    ("/info", b"[" * 100_000, "application/json", 400, "Failed to parse the request body as JSON"),
    ("/info", b"\xff\xfe", "application/json", 400, "Failed to parse the request body as JSON"),
    ("/info", b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
    ("/info", b" " * (2 << 20), "application/json", 413, "length limit exceeded"),
    ("/info", b'{"type":"unheard of"}', "application/json", 422, UNREADABLE),
    ("/info", b'{"type":["meta"]}', "application/json", 422, UNREADABLE),
    ("/info", b'{"type":"meta","dex":"xyz"}', "application/json", 422, UNREADABLE),
    ("/info", b'{"type":"l2Book"}', "application/json", 422, UNREADABLE),
    ("/info", b'{"type":"clearinghouseState","user":"0x1"}', "application/json", 422, UNREADABLE),
    ("/info", b"null", "application/json", 422, UNREADABLE),
    ("/exchange", b"{", "application/json", 400, "Failed to parse the request body as JSON"),
    ("/exchange", b"null", "application/json", 422, UNREADABLE),
    ("/exchange", b'{"action":{"type":"order"}}', "application/json", 422, UNREADABLE),
]
FRAMES = [
    ("{", "Error parsing JSON into valid websocket request: {"),
    ("[]", "Error parsing JSON into valid websocket request: []"),
    ('{"method":"dance"}', 'Error parsing JSON into valid websocket request: {"method":"dance"}'),
    ('{"method":"post","id":"1"}', 'Error parsing JSON into valid websocket request: {"method":"post","id":"1"}'),
    (
        '{"method":"subscribe","subscription":{"type":"candles","coin":"BTC"}}',
        'Error parsing JSON into valid websocket request: {"method":"subscribe","subscription":{"type":"candles",'
        '"coin":"BTC"}}',
    ),
    (
        '{"method":"subscribe","subscription":{"type":"l2Book","coin":"NONE"}}',
        'Invalid subscription {"type":"l2Book","coin":"NONE"}',
    ),
    (
        '{"method":"subscribe","subscription":{"type":"userFills","user":"0x1"}}',
        'Invalid subscription {"type":"userFills","user":"0x1"}',
    ),
    (
        '{"method":"unsubscribe","subscription":{"type":"bbo","coin":"BTC"}}',
        'Already unsubscribed: {"type":"bbo","coin":"BTC"}',
    ),
]


def test_http_requests_that_cannot_be_read() -> None:
    async def story(stage: Stage) -> None:
        for path, body, kind, status, text in HTTP:
            assert await post(stage, path, body, kind) == (status, text), (path, body[:40])
        assert stage.server.counts["malformed"] == len(HTTP)
        assert (await post(stage, "/info", {"type": "allMids"}))[0] == 200
        assert await post(stage, "/info", {"type": "l2Book", "coin": "NONE"}) == (200, "null")

    play(story)


def test_frames_that_cannot_be_read_leave_the_connection_open() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            for frame, text in FRAMES:
                client.heard.clear()
                await client.send(frame)
                await client.until(lambda: client.on("error"))
                assert client.on("error") == [text]
            await client.socket.send_bytes(b"\x00\x01")
            await client.send({"method": "ping"})
            await client.until(lambda: {"channel": "pong"} in client.heard)
            assert len(client.on("error")) == 2

    play(story)


def test_a_frame_that_is_too_large_ends_the_connection() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            await client.send("x" * (2 << 20))
            await client.until(lambda: client.closed_with is not None)
            assert client.closed_with == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await until(lambda: not stage.server.connections)

    play(story)


def test_ten_thousand_subscriptions_end_at_a_thousand() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            for number in range(10_000):
                await client.subscribe("userEvents", user=f"0x{number:040x}")
            await client.send({"method": "ping"})
            await client.until(lambda: {"channel": "pong"} in client.heard)
            assert len(client.on("subscriptionResponse")) == SUBSCRIPTIONS
            assert client.on("error") == [f"Cannot subscribe to more than {SUBSCRIPTIONS} channels."] * 9_000
        await until(lambda: not stage.server.connections)

    play(story)


def test_the_venues_limits_by_ip_address_hold() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            for number in range(11):
                await client.subscribe("userEvents", user=f"0x{number:040x}")
            await client.until(lambda: client.on("error"))
            assert client.on("error") == ["Cannot track more than 10 total users."]
            for _ in range(MESSAGES_A_MINUTE - 11 + 1):
                await client.send({"method": "ping"})
            await client.until(lambda: len(client.on("error")) > 1)
            assert client.on("error")[1] == f"Cannot send more than {MESSAGES_A_MINUTE} messages per minute."
            assert len(client.on("pong")) == MESSAGES_A_MINUTE - 11
        for _ in range(60):
            assert (await post(stage, "/info", {"type": "meta"}))[0] == 200
        assert await post(stage, "/info", {"type": "meta"}) == (429, "null")
        assert stage.server.counts["limited"] == 1

    play(story, limits=True)


def test_more_posts_than_may_be_under_way_are_refused() -> None:
    async def story(stage: Stage) -> None:
        never = asyncio.Event()

        async def stuck(request: Any) -> dict[str, Any]:
            await never.wait()
            return {"type": "info", "payload": None}

        stage.server.post = stuck  # type: ignore[method-assign]
        async with connected(stage) as client:
            for number in range(POSTS + 1):
                await client.send({"method": "post", "id": number, "request": {"type": "info", "payload": {}}})
            await client.until(lambda: client.on("error"))
            assert client.on("error") == [f"too many pending post requests id={POSTS}"]

    play(story)


def test_a_reader_that_is_too_slow_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatmanifesto.loopback.connection.QUEUED", 50)

    async def story(stage: Stage) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(stage.stream_url):
            await until(lambda: stage.server.connections)
            (connection,) = stage.server.connections
            for _ in range(60):
                connection.send(b'{"channel":"error","data":"much"}')
            await until(lambda: not stage.server.connections)
        assert stage.server.counts["cut_off"] > 0

    play(story)


def test_nothing_is_left_of_clients_that_misbehaved() -> None:
    async def misbehave(stage: Stage) -> None:
        async with connected(stage) as client:
            for frame, _ in FRAMES:
                await client.send(frame)
            for kind in ("l2Book", "bbo", "trades"):
                await client.subscribe(kind, coin="BTC")
            for number in range(40):
                await client.subscribe("userFills", user=f"0x{number:040x}")
                question = {"type": "info", "payload": {"type": "meta"}}
                await client.send({"method": "post", "id": number, "request": question})
            await client.until(lambda: len(client.on("post")) == 40)
        for path, body, kind, _, _ in HTTP:
            await post(stage, path, body, kind)

    async def story(stage: Stage) -> None:
        for _ in range(2):
            await misbehave(stage)
        await until(lambda: not stage.server.connections)
        tasks = len(asyncio.all_tasks())
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(6):
            await misbehave(stage)
        await until(lambda: not stage.server.connections and len(asyncio.all_tasks()) <= tasks)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        held = [item for item in gc.get_objects() if isinstance(item, Connection | Subscription)]
        assert held == []
        assert stage.loopback.waiting == 0
        assert len(stage.loopback.participants) == 3
        assert grown < 100_000  # six clients; one of them kept would be more

    play(story)


def test_a_window_forgets_what_is_older_than_it() -> None:
    now = 0.0
    window = Window(10, 60, lambda: now)
    assert [window.take(6), window.take(6), window.take(4)] == [True, False, True]
    now = 59.0
    assert not window.take(1)
    now = 60.0
    assert window.take(10)
