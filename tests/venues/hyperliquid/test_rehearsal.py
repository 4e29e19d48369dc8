"""A rehearsal writes what a real order writes, is worth nothing, and leaves nothing behind."""

import json
import os

import pytest

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.markets import MARKETS
from hatmanifesto.loopback.signer import Refused, read_envelope
from hatmanifesto.venues.hyperliquid.orders.rehearsal import Rehearsal
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel

START = 1_790_000_000_000_000_000


class Watched(Rehearsal):
    """Keeps what it would have sent."""

    def __init__(self, loopback: Loopback, *, prepared: bool = False) -> None:
        self.texts: list[bytes] = []
        super().__init__(loopback.instruments, lambda: START, HttpChannel("http://127.0.0.1:9"), prepared=prepared)
        self.begin(7)

    def _take(self, payload: bytes) -> bool:
        self.texts.append(payload)
        return super()._take(payload)


@pytest.mark.parametrize("prepared", [False, True])
def test_it_writes_orders_and_cancels_that_the_venue_would_refuse_twice_over(prepared: bool) -> None:
    loopback = Loopback(list(MARKETS.values()))
    loopback.advance(START // 1_000_000)
    rehearsal = Watched(loopback, prepared=prepared)
    for turn in range(8):
        rehearsal.run(START + turn)
    posts = [json.loads(text)["request"]["payload"] for text in rehearsal.texts]
    assert [post["action"]["type"] for post in posts] == ["order", "cancelByCloid"] * 4
    assert {order["a"] for post in posts[::2] for order in post["action"]["orders"]} == {0, 1, 2, 3}
    assert all(order["t"] == {"limit": {"tif": "Alo"}} for post in posts[::2] for order in post["action"]["orders"])
    assert [len(post["action"].get("orders") or post["action"]["cancels"]) for post in posts] == [2] * 8
    assert {post["nonce"] for post in posts} == {0}
    assert len({post["signature"]["r"] for post in posts}) == (1 if prepared else 8)
    for post in posts:
        signed = read_envelope(post)
        assert rehearsal.address in signed.signers
        with pytest.raises(Refused, match="does not exist"):
            loopback.act(signed, lambda answer: None)
    # not even if somebody approved its key
    loopback.approve(loopback.fund("0x" + "11" * 20, 10**9).address, rehearsal.address)
    for post in posts:
        with pytest.raises(Refused, match="Invalid nonce"):
            loopback.act(read_envelope(post), lambda answer: None)


def test_every_rehearsal_has_a_key_of_its_own() -> None:
    loopback = Loopback([MARKETS["BTC"]])
    assert Watched(loopback).address != Watched(loopback).address


def test_it_keeps_nothing_however_often_it_is_done() -> None:
    rehearsal = Rehearsal(Loopback([MARKETS["BTC"]]).instruments, lambda: START, HttpChannel("http://127.0.0.1:9"))
    files = len(os.listdir("/proc/self/fd"))
    for turn in range(2_000):
        rehearsal.run(START + turn * 50_000_000)
    assert rehearsal.signed == 2_000
    assert rehearsal.kept() <= 2 + 2 * 60_000_000_000 // 50_000_000  # a minute of both of its windows
    assert len(os.listdir("/proc/self/fd")) == files
