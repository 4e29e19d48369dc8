"""Every recorded answer and message decodes, and encodes again to the same fields."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hatmanifesto.venues.hyperliquid.cloid import GUARD, ClientOrderId, make_cloid, parse_cloid
from hatmanifesto.venues.hyperliquid.wire import stream
from hatmanifesto.venues.hyperliquid.wire.actions import (
    Cancel,
    CancelWire,
    Noop,
    Order,
    element_count,
    order_type_of,
    parse_action,
)
from hatmanifesto.venues.hyperliquid.wire.answers import Accepted, Refusal, Status, parse_answer, statuses_of
from hatmanifesto.venues.hyperliquid.wire.decimals import Units, exact, rounded
from hatmanifesto.venues.hyperliquid.wire.info import ANSWERS, Fill, OrderStatus
from hatmanifesto.venues.hyperliquid.wire.stream import parse_message
from venues.hyperliquid.samples import SHAPES, info_answers, stream_messages


def encoded(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


class TestRecordedAnswers:
    def test_every_info_answer_survives_the_round_trip(self, shared_dir: Path) -> None:
        seen: dict[str, int] = {}
        for where, kind, answer in info_answers(shared_dir):
            if kind not in SHAPES:
                continue
            decoded = ANSWERS.decode(json.dumps(answer).encode(), SHAPES[kind])
            assert encoded(decoded) == answer, where
            seen[kind] = seen.get(kind, 0) + 1
        assert set(seen) == set(SHAPES)
        assert sum(seen.values()) > 70

    def test_every_stream_message_survives_the_round_trip(self, shared_dir: Path) -> None:
        channels: dict[str, int] = {}
        for where, raw in stream_messages(shared_dir):
            message = parse_message(raw)
            if where == "Subscriptions/Concurrent.txt":
                continue  # its author left candle fields out
            assert encoded(message) == json.loads(raw), where
            channels[type(message).__name__] = channels.get(type(message).__name__, 0) + 1
        assert channels["L2Book"] >= 48
        assert set(channels) >= {
            "L2Book", "Bbo", "Trades", "ActiveAssetCtx", "ActiveSpotAssetCtx", "OrderUpdates", "UserEvents",
            "SubscriptionResponse", "CandleMessage", "AllMids", "AllDexsAssetCtxs",
        }  # fmt: skip


class TestMessages:
    # made by hand after the protocol's documentation
    CASES = {
        "bbo, one side empty": b'{"channel":"bbo","data":{"coin":"BTC","time":1,"bbo":[null,{"px":"2.0","sz":"1"}]}}',
        "book in fast mode": b'{"channel":"l2Book","data":{"coin":"BTC","time":1,"levels":[[],[]],"fast":true}}',
        "fills": b'{"channel":"userFills","data":{"user":"0x1","fills":[],"isSnapshot":true}}',
        "fundings": b'{"channel":"userFundings","data":{"user":"0x1","fundings":[{"time":1,"coin":"BTC","usdc":"-0.1",'
        b'"szi":"1.0","fundingRate":"0.0000125","nSamples":null}]}}',
        "update": b'{"channel":"orderUpdates","data":[{"order":{"coin":"BTC","side":"B","limitPx":"83000.0",'
        b'"sz":"0.01","oid":556696349186,"timestamp":1,"origSz":"0.01","reduceOnly":true},'
        b'"status":"selfTradeCanceled","statusTimestamp":2}]}',
        "pong": b'{"channel":"pong"}',
        "error": b'{"channel":"error","data":"Already subscribed: {}"}',
        "post": b'{"channel":"post","data":{"id":7,"response":{"type":"error","payload":"429: too much"}}}',
        "unknown": b'{"channel":"webData3"}',
    }  # fmt: skip

    @pytest.mark.parametrize("name", CASES)
    def test_survives_the_round_trip(self, name: str) -> None:
        raw = self.CASES[name]
        assert encoded(parse_message(raw)) == json.loads(raw)

    @pytest.mark.parametrize(
        "bad",
        [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"channel":1}', b'{"channel":"bbo"}', b'{"data":{}}',
            b'{"channel":"bbo","data":{"coin":"BTC","time":"1","bbo":[null,null]}}',
            b'{"channel":"trades","data":[{"coin":"BTC"}]}', b"Websocket connection established.",
        ],
    )  # fmt: skip
    def test_what_is_no_message_raises_one_kind_of_error(self, bad: bytes) -> None:
        with pytest.raises(msgspec.DecodeError):
            parse_message(bad)

    def test_a_channel_that_nothing_reads_is_told_by_name(self) -> None:
        message = parse_message(b'{"channel":"webData3","data":{"x":[1,2,3]}}')
        assert isinstance(message, stream.Unread)
        assert message.channel == "webData3"


class TestAnswers:
    ORDER_OK = (
        b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":77}},'
        b'{"filled":{"totalSz":"0.02","avgPx":"1891.4","oid":78}},{"error":"Order has zero size."},'
        b'"waitingForTrigger"]}}}'
    )

    def test_statuses_of_orders(self) -> None:
        answer = parse_answer(self.ORDER_OK)
        statuses = statuses_of(answer, 4)
        assert statuses is not None
        assert isinstance(statuses[0], Status)
        assert encoded(statuses)[1] == {"filled": {"totalSz": "0.02", "avgPx": "1891.4", "oid": 78}}
        assert statuses[3] == "waitingForTrigger"
        assert statuses_of(answer, 3) is None

    def test_one_refusal_counts_for_the_whole_batch_in_both_forms(self) -> None:
        whole = parse_answer(b'{"status":"err","response":"Orders are empty."}')
        assert whole == Refusal("Orders are empty.")
        assert statuses_of(whole, 3) == [Status(error="Orders are empty.")] * 3
        single = parse_answer(b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"error":"no"}]}}}')
        assert statuses_of(single, 2) == [Status(error="no")] * 2

    def test_actions_without_elements(self) -> None:
        assert parse_answer(b'{"status":"ok","response":{"type":"default"}}') == Accepted("default")
        made = parse_answer(b'{"status":"ok","response":{"type":"createSubAccount","data":"0xabc"}}')
        assert made == Accepted("createSubAccount", "0xabc")
        assert statuses_of(made, 1) is None

    @pytest.mark.parametrize(
        "bad",
        [
            b"null", b"", b'"429"', b"{}", b'{"status":"ok"}', b'{"status":"maybe","response":{"type":"default"}}',
            b'{"status":"err","response":{}}', b'{"status":"ok","response":{"type":"order","data":{"statuses":[1]}}}',
        ],
    )  # fmt: skip
    def test_an_answer_that_says_nothing_definite_raises(self, bad: bytes) -> None:
        with pytest.raises(msgspec.DecodeError):
            parse_answer(bad)

    @given(st.binary(max_size=200))
    def test_noise_raises_one_kind_of_error(self, noise: bytes) -> None:
        assume(not noise.lstrip().startswith(b"{"))  # that may be a message after all
        for parse in (parse_answer, parse_message, parse_action):
            with pytest.raises(msgspec.DecodeError):
                parse(noise)


class TestActions:
    def test_counts_what_the_rate_limits_count(self) -> None:
        assert element_count(Noop()) == 1
        assert element_count(Order([])) == 1
        assert element_count(Cancel([CancelWire(0, n) for n in range(41)])) == 41

    def test_field_order_of_the_json_does_not_matter_but_unknown_fields_do(self) -> None:
        assert parse_action('{"cancels":[{"o":5,"a":1}],"type":"cancel"}') == Cancel([CancelWire(1, 5)])
        with pytest.raises(msgspec.ValidationError):
            parse_action('{"type":"cancel","cancels":[],"extra":1}')

    def test_time_in_force_of_the_engine(self) -> None:
        assert [order_type_of(tif).limit.tif for tif in range(3)] == ["Alo", "Gtc", "Ioc"]  # type: ignore[union-attr]


class TestDecimals:
    def test_reads_the_venues_text_exactly(self) -> None:
        prices = Units("price", 1, 1, 10**12)
        assert [prices.read(text) for text in ("84010.0", "84010", "0.1", "84010.0")] == [840100, 840100, 1, 840100]

    @pytest.mark.parametrize("bad", ["", ".", "-1", "0", "1e5", "1.25", "NaN", "٣", "1_0", "9" * 50, "999999999999999"])
    def test_refuses_what_is_no_price(self, bad: str) -> None:
        with pytest.raises(ValueError):
            Units("price", 1, 1, 10**12).read(bad)

    def test_remembers_a_bounded_number_of_texts(self) -> None:
        sizes = Units("size", 0)
        for number in range(70_000):
            assert sizes.read(str(number)) == number
        assert len(sizes._known) <= 1 << 15

    def test_cuts_off_what_is_shown_but_not_booked(self) -> None:
        assert rounded("2703997.4500000002", 6) == 2_703_997_450_000
        assert rounded("-0.0000019", 6) == -1
        assert rounded("12", 6) == 12_000_000
        with pytest.raises(ValueError, match="decimals"):
            exact("0.0000001", 6)


class TestClientOrderIds:
    @given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 63) - 1), st.integers(0, 15))
    def test_parse_back(self, session: int, order_id: int, purpose: int) -> None:
        text = make_cloid(session, order_id, purpose)
        assert len(text) == 34
        assert parse_cloid(text) == ClientOrderId(session, order_id, purpose)
        assert parse_cloid(text.upper()) == ClientOrderId(session, order_id, purpose)

    def test_different_orders_have_different_ids(self) -> None:
        made = {make_cloid(s, o, p) for s in range(4) for o in range(50) for p in (0, 1, GUARD)}
        assert len(made) == 4 * 50 * 3

    @pytest.mark.parametrize(
        "foreign", [None, 5, "", "0x", "0x" + "0" * 32, "0xe8d5fd7ebbb4c3cff4d1803472a11463", "0x" + "g" * 32, "1" * 34,
                    "0x6861742" + "0" * 25]
    )  # fmt: skip
    def test_foreign_ids_are_recognised_as_such(self, foreign: object) -> None:
        assert parse_cloid(foreign) is None

    @pytest.mark.parametrize(
        ("session", "order_id", "purpose"), [(1 << 32, 0, 0), (0, 1 << 63, 0), (0, 0, 16), (-1, 0, 0)]
    )
    def test_values_that_do_not_fit_are_refused(self, session: int, order_id: int, purpose: int) -> None:
        with pytest.raises(ValueError, match="fit"):
            make_cloid(session, order_id, purpose)


def test_bundled_samples_decode_without_the_recordings() -> None:
    fill = ANSWERS.decode(
        b'{"coin":"BTC","px":"66653.0","sz":"0.001","side":"A","time":1,"startPosition":"-0.02","dir":"Open Short",'
        b'"closedPnl":"0.0","hash":"0x0","oid":5,"crossed":false,"fee":"-0.009997","tid":6,"feeToken":"USDC","twapId":null}',
        Fill,
    )
    assert fill.fee == "-0.009997"
    assert ANSWERS.decode(b'{"status":"unknownOid"}', OrderStatus).order is msgspec.UNSET
