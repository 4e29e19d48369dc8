"""Hostile messages about the account: nothing crashes, nothing impossible passes into the engine, all is counted."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model.money import MAX_AMOUNT
from hatmanifesto.venues.hyperliquid.cloid import make_cloid
from hatmanifesto.venues.hyperliquid.connection import AccountConnection, MarketConnection
from hatmanifesto.venues.hyperliquid.feed.market import MarketFeed
from venues.hyperliquid.test_gateway import USER, Desk

MS = 1_790_000_000_001


def messages() -> list[dict[str, Any]]:
    cloid = make_cloid(77, 1, 0)
    order = {
        "coin": "BTC",
        "side": "B",
        "limitPx": "83756.0",
        "sz": "0.001",
        "oid": 900,
        "timestamp": 1,
        "cloid": cloid,
    }
    fill = {
        "coin": "BTC", "px": "83756.0", "sz": "0.0004", "side": "B", "time": MS, "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0", "hash": "0x0", "oid": 900, "crossed": False, "fee": "0.01", "tid": 5, "feeToken": "USDC",
        "cloid": cloid,
    }  # fmt: skip
    funding = {"time": MS, "coin": "BTC", "usdc": "-0.1", "szi": "1.0", "fundingRate": "0.0000125", "nSamples": None}
    statuses = [{"resting": {"oid": 900}}]
    placed = {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
    return [
        {"channel": "orderUpdates", "data": [{"order": order, "status": "open", "statusTimestamp": MS}]},
        {"channel": "userFills", "data": {"user": USER, "fills": [fill], "isSnapshot": True}},
        {"channel": "userFundings", "data": {"user": USER, "fundings": [funding]}},
        {"channel": "post", "data": {"id": 1, "response": {"type": "action", "payload": placed}}},
        {"channel": "post", "data": {"id": 1, "response": {"type": "error", "payload": "429: no"}}},
        {"channel": "error", "data": "too many pending post requests id=1"},
        {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": {"type": "userFills"}}},
    ]


WORDS = st.one_of(
    st.text(max_size=12),
    st.integers(),
    st.none(),
    st.booleans(),
    st.floats(),
    st.sampled_from(["BTC", "1.0", "-1", "0.0", "9" * 30, "9" * 70, "1e9", "filled", "canceled"]),
    st.sampled_from([1 << 62, 1 << 63, 1 << 64, -1]),
)
ANYTHING = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)


def spoil(data: st.DataObject, message: Any) -> bytes:
    """Replace something somewhere in a message."""
    spoiled = json.loads(json.dumps(message))
    target, place = spoiled, None
    while isinstance(target, dict | list) and target:
        keys = sorted(target) if isinstance(target, dict) else list(range(len(target)))
        key = data.draw(st.sampled_from(keys))
        place = (target, key)
        target = target[key]
        if data.draw(st.integers(0, 3)) == 0:
            break
    if place is not None:
        place[0][place[1]] = data.draw(ANYTHING)
    return json.dumps(spoiled).encode()


@settings(max_examples=80)
@given(data=st.data())
def test_hostile_account_messages_never_crash_and_never_pass_on_what_cannot_be(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        dropped: list[int] = []
        feed = MarketFeed([desk.btc, desk.eth], desk.diary, lambda source, why: dropped.append(source))
        connection = AccountConnection(
            MarketConnection(0, feed, desk.diary),
            USER,
            desk.account,
            desk.gateway,
            desk.posts,
            None,  # type: ignore[arg-type]
            lambda work: work.close(),
        )
        connection.on_up(desk.now)
        desk.place(1)
        desk.flush()
        for _ in range(4):
            raw = spoil(data, data.draw(st.sampled_from(messages())))
            before = len(desk.diary.notices), len(dropped)
            connection.on_frame(raw, desk.now)
            if len(dropped) > before[1]:
                assert len(desk.diary.notices) > before[0], "what was not believed was told"
        desk.gateway.tick(desk.now)
        desk.nonces.close()
        for fill in desk.diary.fills:
            assert 0 < fill.price * fill.size <= MAX_AMOUNT
            assert abs(fill.fee) <= MAX_AMOUNT
            assert 0 <= fill.trade_id <= MAX_AMOUNT
        for told in desk.diary.orders:
            assert 0 <= told.venue_order_id <= MAX_AMOUNT
        for _, amount, rate, size in desk.diary.fundings:
            assert max(abs(amount), abs(rate), abs(size)) <= MAX_AMOUNT
        triggers = desk.diary.triggers(1)
        assert len(set(triggers)) == len(triggers), "nothing is told twice"
