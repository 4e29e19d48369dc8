"""Prepared signatures: right for the venue and for the SDK, each made of a k that serves once."""

import copy
import os
import pickle
from collections import Counter
from typing import Any

import msgspec
import pytest
from eth_account import Account
from hyperliquid.utils import signing as sdk
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature, recover
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer
from hatmanifesto.venues.hyperliquid.signing.prepared import MAX_AGE_NS, ORDER, PreparedSignatures
from hatmanifesto.venues.hyperliquid.wire.actions import action_json, action_msgpack, parse_action

SECRET = bytes.fromhex("0123456789012345678901234567890123456789012345678901234567890123")
SECOND = 1_000_000_000
ACTION = (
    '{"type":"order","orders":[{"a":4,"b":true,"p":"1100","s":"0.2","r":false,"t":{"limit":{"tif":"Gtc"}}}],'
    '"grouping":"na"}'
)


def signature_of(text: bytes | None) -> Signature:
    assert text is not None
    fields = msgspec.json.decode(text)
    assert list(fields) == ["r", "s", "v"]
    assert len(fields["r"]) == len(fields["s"]) == 66
    return Signature(int(fields["r"], 16), int(fields["s"], 16), fields["v"])


def filled(size: int, secret: bytes = SECRET, **source: Any) -> PreparedSignatures:
    made = PreparedSignatures(secret, size, **source)
    while made.prepare():
        pass
    assert len(made) == size
    return made


class TestTheyAreRight:
    @settings(max_examples=60, deadline=None)
    @given(
        secret=st.integers(1, ORDER - 1),
        digests=st.lists(
            st.one_of(st.binary(min_size=32, max_size=32), st.sampled_from([bytes(32), b"\xff" * 32])), min_size=1
        ),
    )
    def test_every_digest_recovers_to_the_key(self, secret: int, digests: list[bytes]) -> None:
        key = PrivateKey(secret.to_bytes(32, "big"))
        ready = filled(len(digests), secret.to_bytes(32, "big"))
        for digest in digests:
            made = signature_of(ready.take(digest))
            assert made.s <= ORDER // 2
            assert recover(digest, made) == key.address
        assert ready.take(digests[0]) is None

    @settings(max_examples=25, deadline=None)
    @given(nonce=st.integers(0, 1 << 43), expires=st.one_of(st.none(), st.integers(0, 1 << 43)), mainnet=st.booleans())
    def test_the_official_sdk_recovers_the_key_from_an_action(
        self, nonce: int, expires: int | None, mainnet: bool
    ) -> None:
        signer = L1Signer(PrivateKey(SECRET), mainnet=mainnet)
        signer.key.keep_prepared(1)
        prepared = signer.key.prepared
        assert prepared is not None
        assert prepared.prepare()
        action = parse_action(ACTION)
        text = signer.sign_json(action_msgpack(action), nonce, expires)
        assert len(prepared) == 0
        seen = msgspec.json.decode(action_json(action))
        found = sdk.recover_agent_or_user_from_l1_action(seen, msgspec.json.decode(text), None, nonce, expires, mainnet)
        assert found == Account.from_key(SECRET).address

    def test_when_none_is_left_the_deterministic_signature_serves(self) -> None:
        digest = os.urandom(32)
        key = PrivateKey(SECRET)
        expected = key.sign_json(digest)
        key.keep_prepared(2)
        assert key.prepared is not None
        while key.prepared.prepare():
            pass
        made = [key.sign_json(digest) for _ in range(4)]
        assert made[2:] == [expected, expected]
        assert len(set(made)) == 3
        key.keep_prepared(0)
        assert key.prepared is None


class TestEveryKServesOnce:
    def test_no_two_have_the_same_r_and_one_is_gone_when_it_was_taken(self) -> None:
        ready = filled(200)
        found = Counter(signature_of(ready.take(bytes(32))).r for _ in range(200))
        assert found.most_common(1)[0][1] == 1
        assert len(found) == 200
        assert ready.take(bytes(32)) is None

    @pytest.mark.parametrize("stuck", [b"\0", b"\xa5"])
    def test_random_numbers_that_repeat_make_no_k_that_repeats(self, stuck: bytes) -> None:
        source = {"random_bytes": lambda count: stuck * count, "clock_ns": lambda: SECOND}
        found = {signature_of(ready.take(bytes(32))).r for ready in [filled(50, **source)] for _ in range(50)}
        assert len(found) == 50
        # the same numbers, count and time with another key, and with another time, as after a restart
        found |= {signature_of(filled(1, b"\1" * 32, **source).take(bytes(32))).r}
        source["clock_ns"] = lambda: 2 * SECOND
        found |= {signature_of(filled(1, **source).take(bytes(32))).r}
        assert len(found) == 52

    def test_what_is_old_is_thrown_away(self) -> None:
        now = [10 * SECOND]
        ready = filled(2, clock_ns=lambda: now[0])
        now[0] += MAX_AGE_NS // 2
        assert not ready.prepare()
        now[0] += MAX_AGE_NS // 2
        assert ready.prepare()  # instead of the older one
        assert len(ready) == 2
        now[0] += MAX_AGE_NS // 2
        assert ready.take(bytes(32)) is not None
        assert ready.take(bytes(32)) is None
        assert len(ready) == 0
        ready.prepare()
        now[0] -= 2 * MAX_AGE_NS  # a clock that was set back proves nothing either
        assert ready.take(bytes(32)) is None

    def test_a_forked_child_has_none(self) -> None:
        ready = filled(3)
        child = os.fork()
        if child == 0:
            used = ready.take(bytes(32)) is not None or ready.prepare() or len(ready) > 0
            os._exit(1 if used else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(ready) == 3

    def test_they_are_neither_pickled_nor_copied_nor_shown(self) -> None:
        ready = filled(1)
        shown = repr(ready)
        assert shown == "PreparedSignatures(1 of 1)"
        for act in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="neither pickled nor copied"):
                act(ready)

    def test_a_key_that_prepares_proves_it_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        key = PrivateKey(SECRET)
        monkeypatch.setattr("hatmanifesto.venues.hyperliquid.signing.key.PreparedSignatures", Wrong)
        with pytest.raises(RuntimeError, match="a prepared signature is wrong"):
            key.keep_prepared(4)
        assert key.prepared is None


class Wrong(PreparedSignatures):
    """Prepares with another key."""

    def __init__(self, secret: bytes, size: int) -> None:
        super().__init__(secret[::-1], size)
