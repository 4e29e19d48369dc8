"""The Hyperliquid adapter passes the conformance suite against a tiny exchange on real sockets, and its own stories."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.errors import UserError
from hatmanifesto.venues.hyperliquid import connection as streams
from hatmanifesto.venues.hyperliquid.adapter import MAINNET_URL, HyperliquidSettings, HyperliquidVenue, stream_url
from hatmanifesto.venues.hyperliquid.feed.market import FeedSettings
from hatmanifesto.venues.hyperliquid.orders import questions
from hatmanifesto.venues.hyperliquid.orders.gateway import OrderSettings
from hatmanifesto.venues.hyperliquid.queries import QuerySettings
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.transport.stream import StreamSettings
from hatmanifesto.venues.port import ALL_INSTRUMENTS, Trust, VenueError
from venues.conformance import Stage, VenueConformance, until
from venues.hyperliquid.server import Http, ScriptedVenue
from venues.hyperliquid.tiny_exchange import TinyExchange
from venues.listening import Diary

KEYS = {"maker": PrivateKey(bytes(31) + b"\x01"), "taker": PrivateKey(bytes(31) + b"\x02")}
ACCOUNTS = {"maker": "0x" + "a1" * 20, "taker": "0x" + "b2" * 20}


def settings(base_url: str, **changes: Any) -> HyperliquidSettings:
    """Quick ones: a test waits for no more than some tenths of a second."""
    values: dict[str, Any] = {
        "base_url": base_url,
        "answer_timeout": 0.3,
        "tick": 0.01,
        "ip_weight": 100_000,
        "feed": FeedSettings(stale_after=5.0),
        "orders": OrderSettings(good_for=0.5),
        "stream": StreamSettings(first_delay=0.01, longest_delay=0.05, steady_after=0.0),
        "queries": QuerySettings(pause=0.01),
    }
    return HyperliquidSettings(**{**values, **changes})


class TinyStage(Stage):
    """The tiny exchange, fresh for every test."""

    coins = ("BTC", "ETH")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venue = ScriptedVenue()
        self.exchange: TinyExchange | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.venue = ScriptedVenue()
        agents = {KEYS[who].address: ACCOUNTS[who] for who in KEYS}
        self.exchange = TinyExchange(self.venue, agents, lambda: time.time_ns() // 1_000_000)
        async with self.venue.serving():
            ticking = asyncio.create_task(self._tick())
            try:
                yield
            finally:
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking

    async def _tick(self) -> None:
        assert self.exchange is not None
        while True:
            await asyncio.sleep(0.1)
            await self.exchange.tick()

    def adapter(self, who: str) -> HyperliquidVenue:
        return HyperliquidVenue(settings(self.venue.base_url), KEYS[who], self.folder)

    async def cut(self) -> None:
        for at in range(len(self.venue.connections)):
            if not self.venue.connections[at].closed:
                self.venue.cut(at)

    async def lose_next_answer(self) -> None:
        assert self.exchange is not None
        self.exchange.lose_answers = 1

    async def lose_next_request(self) -> None:
        assert self.exchange is not None
        self.exchange.lose_requests = 1

    async def send_garbage(self) -> None:
        for connection in self.venue.connections:
            if not connection.closed:
                await connection.send_str('{"channel":"l2Book","data":"?"}')


class TestConformance(VenueConformance):
    @pytest.fixture
    def stage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
        monkeypatch.setattr(questions, "LAG_NS", 100_000_000)
        return TinyStage(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyStage:
    return TinyStage(tmp_path)


class TestOpening:
    def open(self, tiny: TinyStage, **changes: Any) -> None:
        async def story() -> None:
            async with tiny.running():
                key = changes.pop("key", KEYS["maker"])
                venue = HyperliquidVenue(settings(tiny.venue.base_url, **changes), key, tiny.folder)
                try:
                    await venue.open(["ETH"])
                    assert venue.user == ACCOUNTS["maker"]
                    assert list(venue.assets) == [2], "delisted markets keep their place"
                finally:
                    await venue.stop()

        asyncio.run(story())

    def test_the_account_is_the_one_that_the_agent_acts_for(self, tiny: TinyStage) -> None:
        self.open(tiny)
        self.open(tiny, account=ACCOUNTS["maker"].upper().replace("0X", "0x"))

    def test_another_account_or_an_unknown_key_is_refused_with_a_remedy(self, tiny: TinyStage) -> None:
        with pytest.raises(UserError, match="acts for"):
            self.open(tiny, account=ACCOUNTS["taker"])
        with pytest.raises(UserError, match="approve it as an agent"):
            self.open(tiny, key=PrivateKey(bytes(31) + b"\x09"))

    def test_a_delisted_coin_is_refused(self, tiny: TinyStage) -> None:
        async def story() -> None:
            async with tiny.running():
                venue = tiny.adapter("maker")
                with pytest.raises(UserError, match="delisted"):
                    await venue.open(["OLD"])
                with pytest.raises(UserError, match="did you mean BTC"):
                    await venue.open(["btc"])
                await venue.stop()

        asyncio.run(story())

    def test_one_process_a_key(self, tiny: TinyStage) -> None:
        async def story() -> None:
            async with tiny.running():
                first = tiny.adapter("maker")
                with pytest.raises(UserError, match="another process signs"):
                    tiny.adapter("maker")
                await first.stop()
                await tiny.adapter("maker").stop()

        asyncio.run(story())

    def test_only_the_mainnets_own_url_signs_for_it_unless_told(self) -> None:
        assert HyperliquidSettings(MAINNET_URL + "/").for_mainnet
        assert not HyperliquidSettings("http://127.0.0.1:1").for_mainnet
        assert HyperliquidSettings("http://127.0.0.1:1", mainnet=True).for_mainnet
        assert stream_url("https://api.hyperliquid.xyz/") == "wss://api.hyperliquid.xyz/ws"
        with pytest.raises(UserError, match="base URL"):
            stream_url("api.hyperliquid.xyz")


class TestQueries:
    def ask(self, *script: Any) -> Any:
        async def story() -> Any:
            async with ScriptedVenue().serving() as venue:
                venue.http["/info"].extend(script)
                from hatmanifesto.venues.hyperliquid.limits import Limits
                from hatmanifesto.venues.hyperliquid.queries import Queries
                from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel

                http = HttpChannel(venue.base_url, 0.5)
                limits = Limits(lambda notice: None)
                limits.back_off._first_ns = 1_000_000
                queries = Queries(http, limits, time.time_ns, QuerySettings(tries=3, pause=0.01))
                try:
                    return await queries.mids(), venue.requests
                finally:
                    await http.close()

        return asyncio.run(story())

    def test_lost_and_limited_answers_are_asked_for_again(self) -> None:
        mids, requests = self.ask(Http(500), Http(429), {"BTC": "1.0"})
        assert mids == {"BTC": "1.0"}
        assert len(requests) == 3

    def test_in_the_end_it_gives_up_and_says_so(self) -> None:
        with pytest.raises(VenueError, match="no answer after 3 tries") as caught:
            self.ask(Http(502, "bad gateway"))
        assert not caught.value.definite

    def test_a_definite_refusal_is_not_repeated(self) -> None:
        with pytest.raises(VenueError, match="422") as caught:
            self.ask(Http(422, "Failed to deserialize"), {"BTC": "1.0"})
        assert caught.value.definite

    def test_an_answer_of_another_shape_is_an_error(self) -> None:
        with pytest.raises(VenueError, match="cannot be read"):
            self.ask(["not", "mids"])


class TestStories:
    def test_without_streams_cancels_go_by_http_and_orders_do_not(self, tiny: TinyStage) -> None:
        async def story() -> None:
            async with tiny.running():
                assert tiny.exchange is not None
                venue = tiny.adapter("maker")
                await venue.open(["BTC"])
                diary = Diary()
                await venue.start(diary, 1)
                await until(lambda: diary.trust.get(ALL_INSTRUMENTS) is Trust.LIVE)
                venue.gateway.place(0, 1, 0, 1, 590_000, 100, 0, False)
                venue.gateway.flush(time.time_ns())
                await until(lambda: diary.triggers(1) == ["acknowledge"])
                tiny.venue.refuse_connections = 1_000_000
                await tiny.cut()
                await until(lambda: diary.trust[ALL_INSTRUMENTS] is Trust.DOWN)
                venue.gateway.cancel(0, 1, 0)
                venue.gateway.place(0, 2, 0, 1, 590_000, 100, 0, False)
                venue.gateway.flush(time.time_ns())
                await until(lambda: "confirm_cancel" in diary.triggers(1) and bool(diary.triggers(2)))
                assert diary.triggers(2) == ["reject"]
                assert [path for path, _ in tiny.venue.requests if path == "/exchange"] == ["/exchange"]
                await venue.stop()

        asyncio.run(story())

    def test_a_fill_that_the_stream_swallows_is_found_by_asking(self, tiny: TinyStage) -> None:
        async def story() -> None:
            async with tiny.running():
                exchange = tiny.exchange
                assert exchange is not None
                venue = tiny.adapter("maker")
                await venue.open(["BTC"])
                diary = Diary()
                await venue.start(diary, 1)
                await until(lambda: diary.trust.get(ALL_INSTRUMENTS) is Trust.LIVE)
                venue.gateway.place(0, 1, 0, 1, 590_000, 100, 0, False)
                venue.gateway.flush(time.time_ns())
                await until(lambda: diary.triggers(1) == ["acknowledge"])
                sell = {"a": 0, "b": False, "p": "59000", "s": "0.001", "r": False, "t": {"limit": {"tif": "Ioc"}}}
                exchange.place(ACCOUNTS["taker"], sell)
                exchange.news = [news for news in exchange.news if news[0] != "userFills"]
                await exchange.publish()
                await until(lambda: bool(diary.fills))
                assert diary.fills[0].order_id == 1
                assert diary.triggers(1) == ["acknowledge", "fill_whole"]
                await venue.stop()

        asyncio.run(story())

    def test_a_fill_that_cannot_be_read_is_asked_for_again_until_it_can(
        self, tiny: TinyStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streams, "_RETRY_S", 0.02)

        async def story() -> None:
            async with tiny.running():
                exchange = tiny.exchange
                assert exchange is not None
                venue = tiny.adapter("maker")
                await venue.open(["BTC"])
                diary = Diary()
                await venue.start(diary, 1)
                await until(lambda: diary.trust.get(ALL_INSTRUMENTS) is Trust.LIVE)
                venue.gateway.place(0, 1, 0, 1, 590_000, 100, 0, False)
                venue.gateway.flush(time.time_ns())
                await until(lambda: diary.triggers(1) == ["acknowledge"])
                sell = {"a": 0, "b": False, "p": "59000", "s": "0.001", "r": False, "t": {"limit": {"tif": "Ioc"}}}
                exchange.place(ACCOUNTS["taker"], sell)
                (true,) = exchange.fills[ACCOUNTS["maker"]]
                spoiled = dict(true, px="59000.00000001")
                exchange.news = [
                    (
                        name,
                        user,
                        {**data, "fills": [spoiled]} if name == "userFills" and user == ACCOUNTS["maker"] else data,
                    )
                    for name, user, data in exchange.news
                ]
                exchange.fills[ACCOUNTS["maker"]] = [spoiled]
                await exchange.publish()
                await until(lambda: diary.trust[ALL_INSTRUMENTS] is Trust.BROKEN)
                # the history says the same: it stays untrusted, and is asked again
                await until(lambda: [kind for kind, _ in diary.notices].count("unreadable_fill") >= 2)
                assert diary.trust[ALL_INSTRUMENTS] is Trust.BROKEN
                exchange.fills[ACCOUNTS["maker"]] = [true]
                await until(lambda: diary.trust[ALL_INSTRUMENTS] is Trust.LIVE)
                assert [(fill.order_id, fill.price, fill.size) for fill in diary.fills] == [(1, 590_000, 100)]
                assert "fills_read_again" in [kind for kind, _ in diary.notices]
                # one that stays so is given up after some time, and trust is not given
                exchange.fills[ACCOUNTS["maker"]] = [dict(spoiled, tid=77)]
                await tiny.venue.send(
                    {"channel": "userFills", "data": {"user": ACCOUNTS["maker"], "fills": [dict(spoiled, tid=77)]}}, 0
                )
                await until(lambda: "fill_stays_unreadable" in [kind for kind, _ in diary.notices])
                assert diary.trust[ALL_INSTRUMENTS] is Trust.BROKEN
                exchange.fills[ACCOUNTS["maker"]] = [true]
                await tiny.cut()
                await until(lambda: diary.trust[ALL_INSTRUMENTS] is Trust.LIVE)
                assert len(diary.fills) == 1
                await venue.stop()

        asyncio.run(story())

    def test_a_listener_that_fails_ends_watch_with_its_exception(self, tiny: TinyStage) -> None:
        async def story() -> None:
            async with tiny.running():
                venue = tiny.adapter("maker")
                await venue.open(["BTC"])
                diary = Diary()

                def fail(*told: object) -> None:
                    raise RuntimeError("the strategy failed")

                diary.on_rows = fail  # type: ignore[method-assign,assignment]
                await venue.start(diary, 1)
                with pytest.raises(RuntimeError, match="the strategy failed"):
                    async with asyncio.timeout(10):
                        await venue.watch()
                await venue.stop()

        asyncio.run(story())

    def test_nothing_that_leaves_or_is_told_contains_the_key(
        self, tiny: TinyStage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        secret = "7be1f9a2c30d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7"
        key = PrivateKey.parse(secret)
        numbers: list[int] = []
        """What is prepared of signatures: each gives the key away to whoever sees the signature too."""

        async def story() -> str:
            async with tiny.running():
                assert tiny.exchange is not None
                tiny.exchange.agents[key.address] = ACCOUNTS["maker"]
                venue = HyperliquidVenue(settings(tiny.venue.base_url, prepared_signatures=4), key, tiny.folder)
                await venue.open(["BTC"])
                diary = Diary()
                await venue.start(diary, 1)
                await until(lambda: diary.trust.get(ALL_INSTRUMENTS) is Trust.LIVE)
                prepared = key.prepared
                assert prepared is not None
                await until(lambda: len(prepared) == 4)
                numbers.extend(number for made in prepared._ready for number in made[1:3])
                venue.gateway.place(0, 1, 0, 1, 590_000, 100, 0, False)
                venue.gateway.place(0, 2, 0, 1, 590_000, 1, 0, False)
                venue.gateway.flush(time.time_ns())
                assert len(prepared) == 3  # one action, one signature
                await until(lambda: bool(diary.triggers(1)) and bool(diary.triggers(2)))
                assert diary.triggers(1) == ["acknowledge"]
                await until(lambda: len(prepared) == 4)
                with pytest.raises(VenueError) as caught:
                    await venue.schedule_cancel(time.time_ns() + 10**11)
                await tiny.send_garbage()
                await until(lambda: any(kind == "unreadable_message" for kind, _ in diary.notices))
                await venue.stop()
                sent = json.dumps([tiny.venue.received, tiny.venue.requests])
                files = "".join(path.read_text() for path in tiny.folder.iterdir())
                shown = [repr(part) for part in (venue, venue.settings, venue.gateway, venue.exchange, vars(venue))]
                return "".join([sent, files, str(caught.value), str(diary.notices), *shown])

        caplog.set_level(0)
        everything = asyncio.run(story()) + caplog.text + "".join(capfd.readouterr())
        assert len(everything) > 1000
        assert len(numbers) == 8
        hidden = [f"{number:x}" for number in numbers] + [str(number) for number in numbers]
        for form in (secret, str(int(secret, 16)), secret[:16], secret[-16:], *hidden):
            assert form not in everything.lower()
