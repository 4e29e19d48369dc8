"""Market messages as rows: merged from two sources, checked for age and nonsense, equal to what tapes hold."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import BBO, FUNDING, MARK, ORACLE, SNAPSHOT, TRADE
from hatmanifesto.venues.hyperliquid.connection import MarketConnection
from hatmanifesto.venues.hyperliquid.feed.market import FeedSettings, MarketFeed
from hatmanifesto.venues.port import Trust
from venues.listening import Diary

SECOND = 1_000_000_000
NOW = 1_790_358_617_000 * 1_000_000
MS = 1_790_358_617_000


def btc() -> Instrument:
    return Instrument("BTC", price_scale=1, size_scale=5)


class Scene:
    """A feed of BTC from two sources, fed with JSON."""

    def __init__(self, **options: Any) -> None:
        self.diary = Diary()
        self.dropped: list[tuple[int, str]] = []
        eth = Instrument("ETH", index=1, price_scale=2, size_scale=4)
        instruments = [btc(), eth] if options.pop("two", False) else [btc()]
        self.feed = MarketFeed(
            instruments,
            self.diary,
            lambda source, why: self.dropped.append((source, why)),
            settings=FeedSettings(**options),
        )
        self.sources = [MarketConnection(source, self.feed, self.diary) for source in (0, 1)]
        self.now = NOW

    def up(self, *sources: int) -> "Scene":
        for source in sources:
            self.sources[source].on_up(self.now)
        return self

    def say(self, message: Any, source: int = 0, after: float = 0.0) -> None:
        self.now += int(after * SECOND)
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.sources[source].on_frame(payload, self.now)

    def kinds(self) -> list[str]:
        return [rows[0].channel for _, rows in self.diary.rows]


def level(price: str, size: str = "1.0") -> dict[str, Any]:
    return {"px": price, "sz": size, "n": 1}


def book(time: int, bids: list[str], asks: list[str], coin: str = "BTC") -> dict[str, Any]:
    levels = [[level(price) for price in bids], [level(price) for price in asks]]
    return {"channel": "l2Book", "data": {"coin": coin, "time": time, "levels": levels, "fast": True}}


def bbo(time: int, bid: str | None, ask: str | None) -> dict[str, Any]:
    sides = [level(price) if price else None for price in (bid, ask)]
    return {"channel": "bbo", "data": {"coin": "BTC", "time": time, "bbo": sides}}


def trades(*prints: tuple[int, int, str]) -> dict[str, Any]:
    data = [
        {"coin": "BTC", "side": "A", "px": price, "sz": "0.5", "time": time, "hash": "0x0", "tid": tid}
        for time, tid, price in prints
    ]
    return {"channel": "trades", "data": data}


def context(mark: str = "83757.0", oracle: str = "83778.1", funding: str = "0.0000125") -> dict[str, Any]:
    return {
        "channel": "activeAssetCtx",
        "data": {
            "coin": "BTC",
            "ctx": {
                "funding": funding, "openInterest": "1.0", "prevDayPx": "1.0", "dayNtlVlm": "1.0", "premium": None,
                "oraclePx": oracle, "markPx": mark, "midPx": None, "impactPxs": None,
            },
        },
    }  # fmt: skip


class TestRows:
    def test_each_message_is_the_rows_of_a_tape(self) -> None:
        scene = Scene().up(0)
        scene.say(book(MS, ["83757.0", "83756.5"], ["83758.0"]))
        scene.say(bbo(MS + 1, "83757.5", None))
        scene.say(trades((MS + 2, 7, "83757.5"), (MS + 2, 8, "83757.0")))
        scene.say(context())
        found = [
            [(row.kind, row.side, row.price, row.size, row.first, row.more) for row in rows]
            for _, rows in scene.diary.rows
        ]
        assert found == [
            [
                (SNAPSHOT, 1, 837570, 100000, True, True),
                (SNAPSHOT, 1, 837565, 100000, False, True),
                (SNAPSHOT, -1, 837580, 100000, False, False),
            ],
            [(BBO, 1, 837575, 100000, False, True), (BBO, -1, 0, 0, False, False)],
            [(TRADE, -1, 837575, 50000, False, False), (TRADE, -1, 837570, 50000, False, False)],
            [
                (MARK, 0, 837570, 0, False, True),
                (ORACLE, 0, 837781, 0, False, True),
                (FUNDING, 0, 12_500_000, 3600, False, False),
            ],
        ]  # fmt: skip
        assert scene.diary.rows[0][1][0].exch_ns == MS * 1_000_000
        assert scene.diary.rows[0][1][0].local_ns == NOW

    def test_an_empty_book_clears_both_sides(self) -> None:
        scene = Scene().up(0)
        scene.say(book(MS, [], []))
        (row,) = scene.diary.rows[0][1]
        assert (row.kind, row.side, row.size, row.first, row.more) == (SNAPSHOT, 0, 0, True, False)

    def test_a_context_tells_what_changed_only(self) -> None:
        scene = Scene().up(0)
        scene.say(context())
        scene.say(context())
        scene.say(context(mark="83757.52"))  # marks may have more decimals than prices
        assert [[row.kind for row in rows] for _, rows in scene.diary.rows] == [[MARK, ORACLE, FUNDING], [MARK]]
        assert scene.diary.rows[1][1][0].price == 837575

    def test_other_coins_are_counted_and_left_out(self) -> None:
        scene = Scene().up(0)
        scene.say(book(MS, ["1.0"], ["2.0"], coin="DOGE"))
        assert scene.feed.counts["foreign"] == 1
        assert not scene.diary.rows

    def test_recorded_messages_are_rows_of_the_recorded_numbers(self, shared_dir: Path) -> None:
        scene = Scene(backlog=1e9).up(0)
        expected: list[tuple[int, str]] = []
        seen: set[int] = set()
        last_book = 0
        with gzip.open(shared_dir / "data/hyperliquid/ws_raw/btcusd_20250126.gz") as lines:
            for line in lines:
                local, raw = line.split(b" ", 1)
                message = json.loads(raw)
                scene.now = int(local)
                scene.say(raw)
                if message["channel"] == "l2Book" and message["data"]["time"] > last_book:
                    last_book = message["data"]["time"]
                    expected += [(side, entry["px"]) for side in (0, 1) for entry in message["data"]["levels"][side]]
                for one in message["data"] if message["channel"] == "trades" else ():
                    if one["tid"] not in seen:
                        seen.add(one["tid"])
                        expected.append((2, one["px"]))
        told = [row for _, rows in scene.diary.rows for row in rows]
        assert [row.price for row in told] == [int(float(price) * 10) for _, price in expected]
        assert len(told) > 1800
        assert scene.feed.counts["impossible"] == 0
        assert scene.diary.trust == {0: Trust.LIVE}


class TestTwoSources:
    def test_everything_is_taken_once_from_whoever_is_first(self) -> None:
        scene = Scene().up(0, 1)
        scene.say(book(MS, ["10.0"], ["11.0"]), 1)
        scene.say(book(MS, ["10.0"], ["11.0"]), 0)
        scene.say(bbo(MS + 70, "10.5", "11.0"), 0)
        scene.say(bbo(MS + 70, "10.5", "11.0"), 1)
        scene.say(bbo(MS + 210, "10.4", "11.0"), 1)
        scene.say(bbo(MS + 140, "10.6", "11.0"), 0)  # late: a newer one is here
        scene.say(trades((MS + 70, 1, "11.0"), (MS + 70, 2, "11.0")), 1)
        scene.say(trades((MS + 70, 2, "11.0"), (MS + 70, 3, "11.0")), 0)
        assert scene.kinds() == ["book", "bbo", "bbo", "trades", "trades"]
        assert scene.feed.counts["duplicates"] == 3
        assert scene.feed.counts["old"] == 1
        assert [len(rows) for _, rows in scene.diary.rows][-2:] == [2, 1]

    def test_contexts_come_from_the_first_source_in_order(self) -> None:
        scene = Scene().up(0, 1)
        scene.say(book(MS, ["10.0"], ["11.0"]), 0)
        scene.say(book(MS, ["10.0"], ["11.0"]), 1)
        scene.say(context("1.0"), 1)
        assert scene.kinds() == ["book"]
        scene.say(context("1.1"), 0)
        assert scene.kinds() == ["book", "context"]
        scene.sources[0].on_down(scene.now, "cut")
        scene.say(context("1.2"), 1)
        assert scene.kinds() == ["book", "context", "context"]

    def test_the_loss_of_one_source_costs_nothing(self) -> None:
        scene = Scene().up(0, 1)
        scene.say(book(MS, ["10.0"], ["11.0"]), 0)
        scene.say(book(MS, ["10.0"], ["11.0"]), 1)
        scene.sources[0].on_down(scene.now, "cut")
        scene.say(book(MS + 500, ["10.0"], ["11.0"]), 1, after=0.5)
        assert scene.diary.trust == {0: Trust.LIVE}
        scene.sources[1].on_down(scene.now, "cut")
        assert scene.diary.trust == {0: Trust.DOWN}
        scene.up(1)
        assert scene.diary.trust == {0: Trust.SYNCING}
        scene.say(book(MS + 900, ["10.0"], ["11.0"]), 1)
        assert [trust for _, trust, _ in scene.diary.trust_changes] == [
            Trust.SYNCING, Trust.LIVE, Trust.DOWN, Trust.SYNCING, Trust.LIVE
        ]  # fmt: skip


class TestAge:
    def test_a_connected_source_whose_books_stop_is_dropped_and_the_market_is_stale(self) -> None:
        scene = Scene(stale_after=3.0).up(0)
        scene.say(book(MS, ["10.0"], ["11.0"]))
        scene.say(bbo(MS + 1, "10.0", "11.0"), after=2.0)
        scene.feed.check(scene.now)
        assert scene.diary.trust == {0: Trust.LIVE}
        scene.say(bbo(MS + 2, "10.1", "11.0"), after=1.5)  # best prices still come: no proof that the book is whole
        scene.feed.check(scene.now)
        assert scene.diary.trust == {0: Trust.STALE}
        assert scene.dropped == [(0, "no book of BTC while connected")]
        scene.feed.check(scene.now + SECOND)
        assert len(scene.dropped) == 1
        scene.sources[0].on_down(scene.now, "dropped")
        scene.up(0)
        scene.say(book(MS + 5000, ["10.0"], ["11.0"]))
        assert scene.diary.trust == {0: Trust.LIVE}

    def test_one_coin_of_two_that_stops_is_found(self) -> None:
        scene = Scene(stale_after=3.0, two=True).up(0)
        scene.say(book(MS, ["10.0"], ["11.0"]))
        scene.say(book(MS, ["10.0"], ["11.0"], coin="ETH"))
        scene.say(book(MS + 4000, ["10.0"], ["11.0"]), after=4.0)
        scene.feed.check(scene.now)
        assert scene.diary.trust == {0: Trust.LIVE, 1: Trust.STALE}
        assert scene.dropped == [(0, "no book of ETH while connected")]

    def test_the_backlog_of_a_subscription_is_left_out_and_what_was_missed_is_told(self) -> None:
        scene = Scene(backlog=5.0).up(0)
        scene.say(trades((MS - 60_000, 1, "10.0"), (MS - 1_000, 2, "10.0")))
        assert [len(rows) for _, rows in scene.diary.rows] == [1]
        assert scene.feed.counts["backlog"] == 1
        scene.say(trades((MS - 9_000, 3, "10.0")))  # late, but not of a backlog
        assert len(scene.diary.rows) == 2
        scene.sources[0].on_down(scene.now, "cut")
        scene.up(0)
        scene.say(trades((MS - 60_000, 1, "10.0"), (MS - 1_000, 2, "10.0"), (MS - 500, 4, "10.0")))
        assert [len(rows) for _, rows in scene.diary.rows] == [1, 1, 1]

    def test_books_older_than_the_last_one_are_left_out_unless_they_are_all_there_is(self) -> None:
        scene = Scene().up(0, 1)
        scene.say(book(MS + 1_000, ["10.0"], ["11.0"]), 0)
        scene.say(book(MS, ["9.0"], ["11.0"]), 1)
        assert len(scene.diary.rows) == 1
        scene.say(book(MS + 500, ["9.0"], ["11.0"]), 1, after=4.0)  # source 0 is silent: its clock was wrong
        assert len(scene.diary.rows) == 2


IMPOSSIBLE = {
    "crossed book": book(MS + 1, ["12.0"], ["11.0"]),
    "locked book": book(MS + 1, ["11.0"], ["11.0"]),
    "bids out of order": book(MS + 1, ["9.0", "10.0"], ["11.0"]),
    "asks out of order": book(MS + 1, ["9.0"], ["11.0", "10.5"]),
    "a price of too many decimals": book(MS + 1, ["9.05"], ["11.0"]),
    "no price": book(MS + 1, ["abc"], ["11.0"]),
    "a negative price": book(MS + 1, ["-1"], ["11.0"]),
    "crossed bbo": bbo(MS + 1, "12.0", "11.0"),
    "bbo of three": {"channel": "bbo", "data": {"coin": "BTC", "time": MS + 1, "bbo": [None, None, None]}},
    "trade of nothing": {
        "channel": "trades",
        "data": [{"coin": "BTC", "side": "A", "px": "10.0", "sz": "0.0", "time": MS, "tid": 9}],
    },
    "mark of zero": context(mark="0.0"),
    "funding without end": context(funding="99999"),
}
UNREADABLE = {
    "noise": b"\x00\xff\x10",
    "half a message": b'{"channel":"bbo","data":{"coin":"BTC"',
    "a number": b"5",
    "a time beyond time": json.dumps(book(1 << 62, ["9.0"], ["11.0"])).encode(),
    "numbers as numbers": b'{"channel":"bbo","data":{"coin":"BTC","time":1,"bbo":[{"px":1.5,"sz":1,"n":1},null]}}',
    "no levels": b'{"channel":"l2Book","data":{"coin":"BTC","time":1,"levels":[[]]}}',
    "deep": b"[" * 5000,
    "a huge integer": b'{"channel":"bbo","data":{"coin":"BTC","time":' + b"9" * 400 + b',"bbo":[null,null]}}',
}


class TestNonsense:
    @pytest.mark.parametrize("name", IMPOSSIBLE)
    def test_an_impossible_message_breaks_the_market_until_the_next_whole_book(self, name: str) -> None:
        scene = Scene().up(0)
        scene.say(book(MS, ["10.0"], ["11.0"]))
        rows = len(scene.diary.rows)
        scene.say(IMPOSSIBLE[name])
        assert len(scene.diary.rows) == rows
        assert scene.diary.trust == {0: Trust.BROKEN}
        assert scene.feed.counts["impossible"] == 1
        assert [kind for kind, _ in scene.diary.notices][-1] == "impossible_message"
        scene.say(book(MS + 500, ["10.0"], ["11.0"]))
        assert scene.diary.trust == {0: Trust.LIVE}

    @pytest.mark.parametrize("name", UNREADABLE)
    def test_an_unreadable_message_drops_its_source_and_is_told(self, name: str) -> None:
        scene = Scene().up(0)
        scene.say(book(MS, ["10.0"], ["11.0"]))
        scene.say(UNREADABLE[name])
        assert scene.diary.trust == {0: Trust.BROKEN}
        assert [source for source, _ in scene.dropped] == [0]
        assert [kind for kind, _ in scene.diary.notices][-1] == "unreadable_message"

    def test_a_good_second_source_keeps_the_market_live(self) -> None:
        scene = Scene().up(0, 1)
        scene.say(book(MS, ["10.0"], ["11.0"]), 0)
        scene.say(book(MS, ["10.0"], ["11.0"]), 1)
        scene.say(b"garbage", 0)
        assert scene.diary.trust == {0: Trust.LIVE}
        assert scene.dropped

    def test_the_greeting_and_unknown_channels_are_no_nonsense(self) -> None:
        scene = Scene().up(0)
        scene.say(b"Websocket connection established.")
        for _ in range(3):
            scene.say({"channel": "somethingNew", "data": {"x": 1}})
        assert [data["channel"] for kind, data in scene.diary.notices if kind == "unread_channel"] == ["somethingNew"]
        assert not scene.dropped

    @settings(max_examples=60)
    @given(data=st.data())
    def test_hostile_messages_never_crash_and_are_counted(self, data: st.DataObject) -> None:
        words = st.one_of(
            st.text(max_size=12), st.integers(), st.none(), st.booleans(), st.floats(), st.sampled_from(["BTC", "1.0"])
        )
        anything = st.recursive(
            words,
            lambda inner: st.one_of(
                st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
            ),
            max_leaves=12,
        )
        scene = Scene().up(0)
        for _ in range(4):
            message = data.draw(
                st.sampled_from(
                    [book(MS, ["10.0"], ["11.0"]), bbo(MS, "1.0", "2.0"), trades((MS, 1, "1.0")), context()]
                )
            )
            spoiled = json.loads(json.dumps(message))
            target = spoiled
            path: list[Any] = []
            while isinstance(target, dict | list) and target and data.draw(st.booleans()):
                key = data.draw(
                    st.sampled_from(sorted(target) if isinstance(target, dict) else list(range(len(target))))
                )
                path.append((target, key))
                target = target[key]
            if path:
                holder, key = path[-1]
                holder[key] = data.draw(anything)
            raw = json.dumps(spoiled).encode()
            before = scene.feed.counts["impossible"], len(scene.diary.rows)
            scene.say(raw)
            told = scene.feed.counts["impossible"] > before[0]
            if told:
                assert scene.diary.trust[0] is not Trust.LIVE
        for _, rows in scene.diary.rows:
            for row in rows:
                assert row.price >= 0
                assert row.size >= 0

    @given(st.binary(max_size=300))
    def test_noise_never_crashes(self, noise: bytes) -> None:
        scene = Scene().up(0)
        scene.say(noise)
        assert scene.dropped or scene.feed.counts["impossible"] == 0
