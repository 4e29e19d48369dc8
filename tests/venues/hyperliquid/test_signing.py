"""Signatures equal the official SDK's: its published vectors, the reference's, and random actions."""

import json
import pickle
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from eth_account import Account
from hyperliquid.utils import signing as sdk
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model.money import format_decimal
from hatmanifesto.venues.hyperliquid.signing import keccak, user_signed
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature, recover
from hatmanifesto.venues.hyperliquid.signing.l1 import (
    L1Signer,
    action_hash,
    address_bytes,
    l1_digest,
    recover_l1,
)
from hatmanifesto.venues.hyperliquid.wire import actions
from hatmanifesto.venues.hyperliquid.wire.actions import action_json, action_msgpack, parse_action
from hatmanifesto.venues.hyperliquid.wire.decimals import canonical

THROW_AWAY_KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


def key() -> PrivateKey:
    return PrivateKey.parse(THROW_AWAY_KEY)


def signature_of(fields: dict[str, Any]) -> Signature:
    return Signature(int(fields["r"], 16), int(fields["s"], 16), int(fields["v"]))


class TestPublishedVectors:
    # action, nonce, vault, expires_after, connection id, (mainnet r, s, v), (testnet r, s, v); from the SDK's own
    # tests/signing_test.py (MIT) and from its version 0.24.0
    ORDER = (
        '{"type":"order","orders":[{"a":0,"b":true,"p":"60000.5","s":"0.001","r":false,"t":{"limit":{"tif":"Alo"}},'
        '"c":"0x0000000000000000000000000000abcd"}],"grouping":"na"}'
    )
    CASES = {
        "order": (
            ORDER, 1700000000000, None, None,
            "0x0043d6a28c30fb7c832bfdd0e6af7bf9e4357d5aea0a88dde72a658a044c3f5a",
            "0xec771261befb0dde3df79b7c0385b167aa95e099b83a5f1e489cad05fd1a4451",
            "0x4b6739d0cd0e44a8fbeaa886ea3e8959672859175e6c18ec5d3fd71e786d2eae", 27,
        ),
        "order that expires": (
            ORDER, 1700000000000, None, 1700000005000,
            "0xb5b4bbc8ef158baa22974f2c3544a9017028dd07d8c4dc0e1f179bc25c465fb0",
            "0xa400e2a1ea9045d423d4c288cc07849128866e0abc01e45c0470e1cbebf48e8d",
            "0x9ed7c6443315ed50cc7da9796affb3b54d51dd41c4c9bca1660932cfac282e1", 27,
        ),
        "cancel, id beyond 32 bits": (
            '{"type":"cancel","cancels":[{"a":0,"o":123456789012}]}', 1700000000000, None, None,
            "0xeeced984dc7243406dbaa4600a1ed25a67104519eae08e285f0bf2ba80d69d16",
            "0xd113b1e89fa2501a61098af1f6915c514972a10f4a2c0ac6233189c611c63aa9",
            "0x34c1c0b8cedaba3c2f974acddc7b414a38d4a9692cfd5d0f6ce033d1b81affee", 27,
        ),
        "for a vault": (
            '{"type":"updateLeverage","asset":0,"isCross":true,"leverage":5}', 1700000000000, VAULT, None,
            "0x9aea3d58401997d8920b03ed8693291480b0d66687fa87c5b47805fea83e13c8",
            "0x7b9bc98b2da348717081ac0c25a50f1ef012327638aaa60008620827c1021818",
            "0x1c117d70d9cfbeafb8d4d26825b2da900ff3a8af2899e87738e1d5ae67bbb219", 28,
        ),
        "clear the dead man's switch": (
            '{"type":"scheduleCancel"}', 0, None, None,
            "0xa2887a3147b6542306b61d311a056fd1753913d63cc904f30cba61712a98f4ae",
            "0x6cdfb286702f5917e76cd9b3b8bf678fcc49aec194c02a73e6d4f16891195df9",
            "0x6557ac307fa05d25b8d61f21fb8a938e703b3d9bf575f6717ba21ec61261b2a0", 27,
        ),
    }  # fmt: skip

    @pytest.mark.parametrize("name", CASES)
    def test_action_has_the_published_hash_and_signature(self, name: str) -> None:
        text, nonce, vault, expires, connection_id, r, s, v = self.CASES[name]
        action = parse_action(text)
        packed = action_msgpack(action)
        vault_bytes = address_bytes(vault) if vault else None
        assert "0x" + action_hash(packed, nonce, vault_bytes, expires).hex() == connection_id
        signer = L1Signer(key(), mainnet=True, vault=vault_bytes)
        expected = Signature(int(r, 16), int(s, 16), v)
        assert signer.sign(packed, nonce, expires) == expected
        assert signature_of(json.loads(signer.sign_json(packed, nonce, expires))) == expected
        assert recover_l1(packed, nonce, vault_bytes, expires, expected, mainnet=True) == ADDRESS

    def test_every_vector_of_the_sdk(self, shared_dir: Path) -> None:
        source = json.loads((shared_dir / "data/hyperliquid/api_fixtures/signing_vectors.json").read_text())
        done = 0
        for vector in source["vectors"]:
            wallet = PrivateKey.parse(vector["private_key"])
            mainnet = vector["is_mainnet"]
            action = vector.get("action")
            if vector["function"] == "sign_l1_action":
                vault = vector["vault_address"]
                made = L1Signer(wallet, mainnet=mainnet, vault=address_bytes(vault) if vault else None).sign(
                    msgspec.msgpack.encode(action), vector["nonce"], vector["expires_after"]
                )
            else:
                kind = {"sign_usd_transfer_action": "usdSend", "sign_withdraw_from_bridge_action": "withdraw3"}[
                    vector["function"]
                ]
                made = user_signed.sign_user_action(wallet, kind, vector["message"], mainnet=mainnet)
            assert made == signature_of(vector["signature"]), vector["test"]
            done += 1
        assert done == 20

    def test_every_vector_of_the_reference(self, shared_dir: Path) -> None:
        text = (shared_dir / "reference/hyperliquid.md").read_text()
        l1 = re.findall(
            r"\*\*(L1-\d\d)[^\n]*\n- action: `(.*)`\n- nonce (\d+), vaultAddress (\S+), expiresAfter (\S+)\n"
            r"- msgpack: `(\w+)`\n- action hash: `(\w+)`\n"
            r"- mainnet \(source a\): r `(\w+)` s `(\w+)` v (\d+)\n- testnet \(source b\): r `(\w+)` s `(\w+)` v (\d+)",
            text,
        )
        assert len(l1) == 22
        for name, action, nonce, vault, expires, packed_hex, hashed, *parts in l1:
            packed = msgspec.msgpack.encode(json.loads(action))
            assert packed.hex() == packed_hex, name
            if '"dummy"' not in action:
                assert action_msgpack(parse_action(action)) == packed, name
            vault_bytes = None if vault == "none" else address_bytes(vault)
            expiry = None if expires == "none" else int(expires)
            assert "0x" + action_hash(packed, int(nonce), vault_bytes, expiry).hex() == hashed, name
            for mainnet, (r, s, v) in ((True, parts[:3]), (False, parts[3:])):
                made = L1Signer(key(), mainnet=mainnet, vault=vault_bytes).sign(packed, int(nonce), expiry)
                assert made == Signature(int(r, 16), int(s, 16), int(v)), name
        types = {primary: kind for kind, (primary, _) in user_signed.SIGNED_FIELDS.items()}
        found = re.findall(
            r"\*\*(US-\d\d)[^\n]*\n- primary type `HyperliquidTransaction:(\w+)`, message `(.*)` \+ .*\n"
            r"- Mainnet: r `(\w+)` s `(\w+)` v (\d+)\n- Testnet: r `(\w+)` s `(\w+)` v (\d+)",
            text,
        )
        assert len(found) == 7
        for name, primary, message, *parts in found:
            for mainnet, (r, s, v) in ((True, parts[:3]), (False, parts[3:])):
                made = user_signed.sign_user_action(key(), types[primary], json.loads(message), mainnet=mainnet)
                assert made == Signature(int(r, 16), int(s, 16), int(v)), name


def amounts(places: int = 8) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, 10**14), st.integers(0, places))


cloids = st.integers(0, (1 << 128) - 1).map(lambda value: f"0x{value:032x}")
assets = st.integers(0, 200_000)
oids = st.integers(0, (1 << 53) - 1)
texts = amounts().map(lambda pair: canonical(*pair))
order_types = st.one_of(
    st.sampled_from(["Alo", "Ioc", "Gtc", "FrontendMarket"]).map(
        lambda tif: actions.OrderType(limit=actions.LimitType(tif))
    ),
    st.builds(
        actions.OrderType,
        trigger=st.builds(
            actions.TriggerType, is_market=st.booleans(), trigger_px=texts, tpsl=st.sampled_from(["tp", "sl"])
        ),
    ),
)
order_wires = st.builds(
    actions.OrderWire,
    a=assets,
    b=st.booleans(),
    p=texts,
    s=texts,
    r=st.booleans(),
    t=order_types,
    c=st.one_of(st.just(msgspec.UNSET), cloids),
)
fast = st.sampled_from([msgspec.UNSET, True])
random_actions = st.one_of(
    st.builds(
        actions.Order,
        orders=st.lists(order_wires, max_size=18),
        grouping=st.one_of(
            st.sampled_from(["na", "normalTpsl", "positionTpsl"]), st.builds(actions.Priority, p=st.integers(0, 10**6))
        ),
        builder=st.one_of(st.just(msgspec.UNSET), st.builds(actions.Builder, b=st.just(VAULT), f=st.integers(0, 1000))),
    ),
    st.builds(actions.Cancel, cancels=st.lists(st.builds(actions.CancelWire, a=assets, o=oids), max_size=18), f=fast),
    st.builds(
        actions.CancelByCloid,
        cancels=st.lists(st.builds(actions.CloidWire, asset=assets, cloid=cloids), max_size=18),
        f=fast,
    ),
    st.builds(actions.Modify, oid=st.one_of(oids, cloids), order=order_wires, a=fast),
    st.builds(
        actions.BatchModify,
        modifies=st.lists(st.builds(actions.ModifyWire, oid=st.one_of(oids, cloids), order=order_wires), max_size=4),
        a=fast,
    ),
    st.builds(actions.ScheduleCancel, time=st.one_of(st.just(msgspec.UNSET), st.integers(0, 1 << 42))),
    st.builds(actions.UpdateLeverage, asset=assets, is_cross=st.booleans(), leverage=st.integers(1, 50)),
    st.builds(actions.UpdateIsolatedMargin, asset=assets, is_buy=st.booleans(), ntli=st.integers(-(10**12), 10**12)),
    st.builds(actions.Noop),
)


class TestEqualsTheOfficialSdk:
    @settings(max_examples=60)
    @given(
        action=random_actions,
        nonce=st.integers(0, 1 << 43),
        vault=st.sampled_from([None, VAULT]),
        expires=st.one_of(st.none(), st.integers(0, 1 << 43)),
        mainnet=st.booleans(),
        secret=st.integers(1, 1 << 250),
    )
    def test_signs_any_action_as_the_sdk_does(
        self, action: Any, nonce: int, vault: str | None, expires: int | None, mainnet: bool, secret: int
    ) -> None:
        wallet = Account.from_key(secret.to_bytes(32, "big"))
        ours = L1Signer(
            PrivateKey(secret.to_bytes(32, "big")), mainnet=mainnet, vault=address_bytes(vault) if vault else None
        )
        as_sdk_sees_it = json.loads(action_json(action))
        packed = action_msgpack(action)
        assert packed == msgpack.packb(as_sdk_sees_it)
        expected = signature_of(sdk.sign_l1_action(wallet, as_sdk_sees_it, vault, nonce, expires, mainnet))
        assert ours.sign(packed, nonce, expires) == expected
        assert signature_of(json.loads(ours.sign_json(packed, nonce, expires))) == expected
        assert ours.key.address == wallet.address.lower()
        assert parse_action(action_json(action)) == action

    @settings(max_examples=40)
    @given(
        kind=st.sampled_from(["usdSend", "spotSend", "withdraw3", "usdClassTransfer", "approveAgent", "sendAsset"]),
        texts=st.lists(st.text(max_size=40), min_size=6, max_size=6),
        number=st.integers(0, (1 << 64) - 1),
        flag=st.booleans(),
        mainnet=st.booleans(),
    )
    def test_signs_user_actions_as_the_sdk_does(
        self, kind: str, texts: list[str], number: int, flag: bool, mainnet: bool
    ) -> None:
        primary, kinds = user_signed.SIGNED_FIELDS[kind]
        values: dict[str, Any] = {"uint64": number, "bool": flag, "address": VAULT}
        fields = {name: values.get(declared, texts[at % 6]) for at, (declared, name) in enumerate(kinds)}
        expected = sdk.sign_user_signed_action(
            Account.from_key(THROW_AWAY_KEY),
            dict(fields),
            [{"name": "hyperliquidChain", "type": "string"}]
            + [{"name": name, "type": declared} for declared, name in kinds],
            f"HyperliquidTransaction:{primary}",
            mainnet,
        )
        ours = user_signed.sign_user_action(key(), kind, fields, mainnet=mainnet)
        assert ours == signature_of(expected)
        assert user_signed.recover_user_action(kind, fields, ours, mainnet=mainnet, chain_id="0x66eee") == ADDRESS

    @given(units=st.integers(0, 10**13), scale=st.integers(0, 8))
    def test_prints_numbers_as_the_sdk_does_wherever_a_float_can_hold_them(self, units: int, scale: int) -> None:
        text = canonical(units, scale)
        assert Decimal(text) == Decimal(units).scaleb(-scale)
        assert not re.search(r"[eE+]|\.\d*0$|\.$", text)
        if units * 10 ** (8 - scale) < 10**15:  # beyond that the SDK prints a float's noise
            value = float(Decimal(units).scaleb(-scale))
            if Decimal(str(value)) == Decimal(units).scaleb(-scale):
                assert sdk.float_to_wire(value) == text

    def test_more_than_eight_decimals_are_refused(self) -> None:
        with pytest.raises(ValueError, match="8 decimals"):
            canonical(1, 9)
        assert canonical(10, 9) == "0.00000001"


class TestKeccak:
    @given(st.binary(max_size=500))
    def test_both_libraries_hash_alike(self, data: bytes) -> None:
        assert keccak.keccak256(data) == keccak._pycryptodome(data).digest()

    def test_without_pysha3_pycryptodome_serves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sha3", None)
        assert keccak._chosen() is keccak._pycryptodome


class TestRecovery:
    def test_another_nonce_or_network_recovers_another_address(self) -> None:
        packed = action_msgpack(actions.Noop())
        made = L1Signer(key(), mainnet=True).sign(packed, 1)
        assert recover_l1(packed, 1, None, None, made, mainnet=True) == ADDRESS
        assert recover_l1(packed, 2, None, None, made, mainnet=True) != ADDRESS
        assert recover_l1(packed, 1, None, None, made, mainnet=False) != ADDRESS

    @pytest.mark.parametrize(
        "signature", [Signature(0, 1, 27), Signature(1, 0, 27), Signature(1, 1, 29), Signature(1 << 256, 1, 27)]
    )
    def test_impossible_signatures_are_refused(self, signature: Signature) -> None:
        with pytest.raises(ValueError, match="range"):
            recover(l1_digest(bytes(32), mainnet=True), signature)

    @given(st.integers(1, (1 << 256) - 1), st.integers(1, (1 << 256) - 1), st.sampled_from([27, 28]))
    @settings(max_examples=40)
    def test_random_signatures_recover_somebody_or_raise_value_error(self, r: int, s: int, v: int) -> None:
        try:
            address = recover(bytes(31) + b"\x01", Signature(r, s, v))
        except ValueError:
            return
        assert re.fullmatch(r"0x[0-9a-f]{40}", address)


class TestPrivateKey:
    def test_shows_its_address_and_never_itself(self) -> None:
        secret = THROW_AWAY_KEY[2:]
        held = key()
        for shown in (repr(held), str(held), f"{held}", f"{held!r:>80}"):
            assert ADDRESS in shown
            assert secret not in shown
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            pickle.dumps(held)

    @pytest.mark.parametrize("bad", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, THROW_AWAY_KEY + "00"])
    def test_a_wrong_key_is_refused_without_quoting_it(self, bad: str) -> None:
        with pytest.raises(ValueError) as caught:
            PrivateKey.parse(bad)
        assert len(bad) < 8 or bad not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_user_actions_refuse_wrong_fields(self) -> None:
        with pytest.raises(ValueError, match="no user-signed action"):
            user_signed.sign_user_action(key(), "order", {}, mainnet=True)
        with pytest.raises(ValueError, match=r"usdSend.amount must be a string"):
            user_signed.sign_user_action(key(), "usdSend", {"destination": VAULT, "amount": 1, "time": 1}, mainnet=True)
        with pytest.raises(ValueError, match=r"usdSend.time must be a uint64"):
            user_signed.sign_user_action(key(), "usdSend", {"destination": VAULT, "amount": "1"}, mainnet=True)


def test_format_decimal_is_what_canonical_prints() -> None:
    assert canonical(120000_0, 1) == "120000" == format_decimal(120000_0, 1)
