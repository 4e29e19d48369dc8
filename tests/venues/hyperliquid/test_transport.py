"""One WebSocket kept up, posts and HTTP, against a real server that drops, falls silent, delays and refuses."""

import asyncio
import json
import random
import time
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.outcomes import Answered, Lost, Outcome, Refused
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.transport.stream import Stream, StreamSettings
from hatmanifesto.venues.hyperliquid.wire.stream import ErrorMessage, Post, parse_message
from venues.hyperliquid.server import Http, ScriptedVenue, eventually

QUICK = StreamSettings(
    ping_after=0.05, silent_after=0.1, connect_timeout=2.0, first_delay=0.01, longest_delay=0.04, steady_after=60.0
)


def run(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story)


class Diary:
    """A stream and what it told."""

    def __init__(self, url: str, settings: StreamSettings = QUICK) -> None:
        self.frames: list[bytes] = []
        self.ups = 0
        self.downs: list[str] = []
        self.stream = Stream(
            url,
            self.take,
            self.went_up,
            lambda now_ns, why: self.downs.append(why),
            clock_ns=time.monotonic_ns,
            settings=settings,
            spread=random.Random(1),
        )

    def take(self, payload: bytes, now_ns: int) -> None:
        self.frames.append(payload)

    def went_up(self, now_ns: int) -> None:
        self.ups += 1

    @asynccontextmanager
    async def running(self) -> Any:
        task = asyncio.create_task(self.stream.run())
        try:
            await eventually(lambda: self.ups == 1 or task.done())
            yield self
        finally:
            self.stream.stop()
            await task


class TestStream:
    def test_survives_drops_silence_refused_upgrades_and_a_close(self) -> None:
        async def story() -> None:
            async with ScriptedVenue().serving() as venue, Diary(venue.ws_url).running() as diary:
                await venue.send({"channel": "pong"})
                await eventually(lambda: diary.frames == [b'{"channel": "pong"}'])
                # dropped without a word, and the next two upgrades are refused
                venue.refuse_connections = 2
                venue.cut()
                await eventually(lambda: diary.ups == 2)
                assert len(diary.downs) == 3
                assert venue.refuse_connections == 0
                # half-open: the server neither answers nor closes
                venue.silent = True
                await eventually(lambda: len(diary.downs) == 4)
                assert "silent" in diary.downs[3]
                venue.silent = False
                await eventually(lambda: diary.ups == 3)
                # a quiet but living connection is pinged and kept
                await venue.until(lambda: sum(m.get("method") == "ping" for m in venue.received) >= 3)
                assert diary.ups == 3
                # closed with a close frame
                await venue.connections[-1].close(code=1012)
                await eventually(lambda: diary.ups == 4)
                assert "closed by the venue" in diary.downs[4]

        run(story())

    def test_a_message_of_many_frames_arrives_whole_and_an_endless_one_ends_the_connection(self) -> None:
        async def story() -> None:
            settings = StreamSettings(first_delay=0.01, max_frame_bytes=1000)
            async with ScriptedVenue().serving() as venue, Diary(venue.ws_url, settings).running() as diary:
                writer = venue.connections[-1]._writer
                assert writer is not None

                def frame(opcode: int, payload: bytes, fin: bool) -> bytes:
                    head = bytes([(0x80 if fin else 0) | opcode])
                    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
                    return head + size + payload

                writer.transport.write(frame(1, b'{"a":', False) + frame(0, b"1", False) + frame(0, b"}", True))
                await eventually(lambda: diary.frames == [b'{"a":1}'])
                writer.transport.write(frame(1, b"x" * 900, False) + frame(0, b"x" * 900, False))
                await eventually(lambda: diary.ups == 2)
                assert "too large" in diary.downs[0]

        run(story())

    def test_nothing_waits_for_a_connection(self) -> None:
        async def story() -> None:
            async with ScriptedVenue().serving() as venue, Diary(venue.ws_url).running() as diary:
                assert diary.stream.send(b'{"method":"first"}')
                venue.refuse_connections = 3
                venue.cut()
                await eventually(lambda: bool(diary.downs))
                assert not diary.stream.send(b'{"method":"too late"}')
                await eventually(lambda: diary.ups == 2)
                assert diary.stream.send(b'{"method":"second"}')
                await venue.until(lambda: {"method": "second"} in venue.received)
                assert {"method": "too late"} not in venue.received

        run(story())

    def test_a_callback_that_fails_ends_the_run_with_its_exception(self) -> None:
        async def story() -> None:
            async with ScriptedVenue().serving() as venue:
                diary = Diary(venue.ws_url)

                def fail(payload: bytes, now_ns: int) -> None:
                    raise RuntimeError("the strategy failed")

                diary.stream._on_frame = fail
                task = asyncio.create_task(diary.stream.run())
                await venue.until(lambda: bool(venue.connections))
                await venue.send("{}")
                with pytest.raises(RuntimeError, match="the strategy failed"):
                    await task

        run(story())

    def test_back_off_grows_to_its_bound_and_connections_are_rationed(self) -> None:
        async def story() -> None:
            waits = iter([0, 0, 5_000_000, 0, *[0] * 100])
            asked: list[int] = []

            def wait(now_ns: int) -> int:
                asked.append(now_ns)
                return next(waits)

            downs: list[str] = []
            stream = Stream(
                "ws://127.0.0.1:9/ws",
                lambda payload, now_ns: None,
                lambda now_ns: None,
                lambda now_ns, why: downs.append(why),
                clock_ns=time.monotonic_ns,
                connect_wait_ns=wait,
                settings=QUICK,
            )
            task = asyncio.create_task(stream.run())
            await eventually(lambda: len(downs) >= 5)
            stream.stop()
            await task
            assert len(asked) >= len(downs) + 1, "one connection had to wait, and asked again"
            assert not stream.up

        run(story())


def post_answer(post_id: int, kind: str, payload: Any) -> Any:
    return {"channel": "post", "data": {"id": post_id, "response": {"type": kind, "payload": payload}}}


class TestPosts:
    def take(self, posts: Posts, message: Any) -> None:
        parsed = parse_message(json.dumps(message).encode())
        if isinstance(parsed, Post):
            posts.on_answer(5, parsed.data)
        elif isinstance(parsed, ErrorMessage):
            posts.on_error(5, parsed.data)

    def posts(self) -> tuple[Posts, list[bytes], list[Outcome]]:
        sent: list[bytes] = []
        outcomes: list[Outcome] = []

        def send(payload: bytes) -> bool:
            sent.append(payload)
            return True

        posts = Posts(send, lambda: True, answer_timeout_ns=100)
        for _ in range(3):
            assert posts.action(0, b'{"action":{}}', lambda now_ns, outcome: outcomes.append(outcome))
        return posts, sent, outcomes

    def test_answers_find_their_request_in_any_order_and_duplicates_are_counted(self) -> None:
        posts, sent, outcomes = self.posts()
        assert json.loads(sent[0]) == {
            "method": "post",
            "id": 1,
            "request": {"type": "action", "payload": {"action": {}}},
        }
        self.take(posts, post_answer(3, "action", {"status": "ok"}))
        self.take(posts, post_answer(1, "action", {"status": "err"}))
        self.take(posts, post_answer(3, "action", {"status": "ok"}))
        assert outcomes == [Answered(b'{"status": "ok"}'), Answered(b'{"status": "err"}')]
        assert posts.unexpected == 1
        assert len(posts) == 1

    @pytest.mark.parametrize(
        ("payload", "outcome"),
        [
            ("429: too many requests", Refused(429, "too many requests")),
            ("422: Failed to deserialize", Refused(422, "Failed to deserialize")),
            ("502: bad gateway", Lost("HTTP 502: bad gateway")),
            ("408: timeout", Lost("HTTP 408: timeout")),
            ("something else", Lost("something else")),
            (5, Lost("")),
        ],
    )
    def test_only_a_definite_refusal_counts_as_one(self, payload: Any, outcome: Outcome) -> None:
        posts, _, outcomes = self.posts()
        self.take(posts, post_answer(1, "error", payload))
        assert outcomes == [outcome]

    def test_errors_without_an_answer_name_the_request(self) -> None:
        posts, _, outcomes = self.posts()
        self.take(posts, {"channel": "error", "data": "too many pending post requests id=2"})
        self.take(posts, {"channel": "error", "data": "too many pending post requests id=x"})
        assert outcomes == [Refused(429, "too many pending post requests id=2")]
        assert not posts.on_error(5, "Already subscribed: {}")

    def test_what_is_overdue_or_cut_off_is_lost_not_failed(self) -> None:
        posts, _, outcomes = self.posts()
        posts.expire(99)
        assert not outcomes
        posts.expire(100)
        assert outcomes == [Lost("no answer in time")] * 3
        posts, _, outcomes = self.posts()
        posts.on_down(7, "connection lost")
        assert outcomes == [Lost("connection lost")] * 3
        assert len(posts) == 0


class TestHttp:
    CASES = {
        "answer": ({"status": "ok"}, Answered(b'{"status": "ok"}')),
        "429 with its null body": (Http(429), Refused(429, "null")),
        "unknown request": (Http(422, "Failed to read"), Refused(422, "Failed to read")),
        "500": (Http(500), Lost("HTTP 500: null")),
        "502 with a page": (Http(502, "<html>"), Lost("HTTP 502: <html>")),
        "delayed beyond patience": (Http(200, "{}", delay=5.0), Lost("no answer in time")),
    }  # fmt: skip

    @pytest.mark.parametrize("name", CASES)
    def test_outcomes(self, name: str) -> None:
        script, expected = self.CASES[name]

        async def story() -> None:
            async with ScriptedVenue().serving() as venue:
                venue.http["/exchange"].append(script)
                channel = HttpChannel(venue.base_url, timeout_s=0.2)
                assert await channel.request("/exchange", b'{"action":{}}') == expected
                await channel.close()
                assert venue.requests == [("/exchange", {"action": {}})]

        run(story())

    def test_cut_while_answering_is_lost_and_no_server_is_a_refusal(self) -> None:
        async def story() -> None:
            async with ScriptedVenue().serving() as venue:
                venue.http["/exchange"].append(Http(0))
                channel = HttpChannel(venue.base_url, timeout_s=2.0)
                assert isinstance(await channel.request("/exchange", b"{}"), Lost)
            refused = await channel.request("/exchange", b"{}")
            assert isinstance(refused, Refused)
            assert refused.status == 0
            await channel.close()

        run(story())
