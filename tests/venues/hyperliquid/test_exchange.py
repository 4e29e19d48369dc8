"""Single actions: signed for the right account, answered, refused or not known, never sent twice."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.venues.hyperliquid.exchange import Exchange
from hatmanifesto.venues.hyperliquid.limits import Limits
from hatmanifesto.venues.hyperliquid.nonces import NonceSource
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer, address_bytes, recover_l1
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire.actions import (
    POST_ONLY_TYPE,
    CancelWire,
    ModifyWire,
    OrderWire,
    action_msgpack,
    parse_action,
)
from hatmanifesto.venues.hyperliquid.wire.answers import Status
from hatmanifesto.venues.port import VenueError
from venues.hyperliquid.server import Http, ScriptedVenue

KEY = PrivateKey(bytes(31) + b"\x05")
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
OK = {"status": "ok", "response": {"type": "default"}}
ORDER = OrderWire(0, True, "60000", "0.001", False, POST_ONLY_TYPE)


def tell(
    folder: Path, answer: Any, do: Callable[[Exchange], Coroutine[Any, Any, Any]], vault: str | None = None
) -> tuple[Any, list[dict[str, Any]], Limits]:
    """Do one thing over HTTP and return its result, the requests, and the limits."""

    async def story() -> tuple[Any, list[dict[str, Any]], Limits]:
        async with ScriptedVenue().serving() as venue:
            venue.http["/exchange"].append(answer)
            limits = Limits(lambda notice: None)
            http = HttpChannel(venue.base_url, 0.3)
            with NonceSource(folder, KEY.address, lambda: time.time_ns() // 1_000_000) as nonces:
                signer = L1Signer(KEY, mainnet=False, vault=address_bytes(vault) if vault else None)
                posts = Posts(lambda payload: False, lambda: False, 1)
                exchange = Exchange(ActionSigner(signer, nonces), posts, http, limits, time.time_ns)
                try:
                    result = await do(exchange)
                except VenueError as error:
                    result = error
            await http.close()
            return result, [body for _, body in venue.requests], limits

    return asyncio.run(story())


def signer_of(body: dict[str, Any], vault: str | None = None) -> str:
    signature = Signature(int(body["signature"]["r"], 16), int(body["signature"]["s"], 16), body["signature"]["v"])
    packed = action_msgpack(parse_action(json.dumps(body["action"])))
    vault_bytes = address_bytes(vault) if vault else None
    return recover_l1(packed, body["nonce"], vault_bytes, body.get("expiresAfter"), signature, mainnet=False)


ACTIONS: dict[str, tuple[Callable[[Exchange], Coroutine[Any, Any, Any]], dict[str, Any]]] = {
    "leverage": (
        lambda exchange: exchange.set_leverage(3, 5, cross=False),
        {"type": "updateLeverage", "asset": 3, "isCross": False, "leverage": 5},
    ),
    "isolated margin": (
        lambda exchange: exchange.move_isolated_margin(3, -1_500_000),
        {"type": "updateIsolatedMargin", "asset": 3, "isBuy": True, "ntli": -1_500_000},
    ),
    "dead man's switch": (
        lambda exchange: exchange.schedule_cancel(1_790_000_000_000),
        {"type": "scheduleCancel", "time": 1_790_000_000_000},
    ),
    "no dead man's switch": (lambda exchange: exchange.schedule_cancel(None), {"type": "scheduleCancel"}),
    "to a sub-account": (
        lambda exchange: exchange.transfer_to_sub_account(VAULT.upper().replace("X", "x"), -5),
        {"type": "subAccountTransfer", "subAccountUser": VAULT, "isDeposit": False, "usd": 5},
    ),
    "nothing": (lambda exchange: exchange.noop(), {"type": "noop"}),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_are_signed_and_sent_as_the_venue_wants_them(tmp_path: Path, name: str) -> None:
    do, expected = ACTIONS[name]
    result, (body,), limits = tell(tmp_path, OK, do)
    assert result is None
    assert body["action"] == expected
    assert signer_of(body) == KEY.address
    assert limits.address.used == 1


def test_a_modify_replaces_orders_by_either_id(tmp_path: Path) -> None:
    statuses = {"statuses": [{"resting": {"oid": 7}}, {"error": "Cannot modify canceled or filled order"}]}
    answer = {"status": "ok", "response": {"type": "order", "data": statuses}}
    wires = [ModifyWire(5, ORDER), ModifyWire("0x" + "ab" * 16, ORDER)]
    result, (body,), limits = tell(tmp_path, answer, lambda exchange: exchange.modify(wires))
    assert [isinstance(status, Status) for status in result] == [True, True]
    assert [modify["oid"] for modify in body["action"]["modifies"]] == [5, "0x" + "ab" * 16]
    assert "a" not in body["action"], "false would make another signature"
    assert signer_of(body) == KEY.address
    assert limits.address.used == 2
    _, (body,), _ = tell(tmp_path, answer, lambda exchange: exchange.modify(wires, always=True))
    assert body["action"]["a"] is True


def test_placing_and_cancelling_by_hand(tmp_path: Path) -> None:
    answer = {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 7}}]}}}
    (status,), _, _ = tell(tmp_path, answer, lambda exchange: exchange.place([ORDER]))
    assert status.resting.oid == 7
    answer = {"status": "ok", "response": {"type": "cancel", "data": {"statuses": ["success"]}}}
    result, (body,), _ = tell(tmp_path, answer, lambda exchange: exchange.cancel([CancelWire(0, 7)]))
    assert list(result) == ["success"]
    assert body["action"] == {"type": "cancel", "cancels": [{"a": 0, "o": 7}]}


def test_for_a_vault_the_signature_and_the_envelope_name_it(tmp_path: Path) -> None:
    _, (body,), _ = tell(tmp_path, OK, lambda exchange: exchange.noop(), vault=VAULT)
    assert body["vaultAddress"] == VAULT
    assert signer_of(body, VAULT) == KEY.address
    assert signer_of(body) != KEY.address


REFUSALS: dict[str, tuple[Any, bool]] = {
    "the venue's word": ({"status": "err", "response": "Cannot switch leverage type with open position."}, True),
    "429": (Http(429), True),
    "422": (Http(422, "Failed to deserialize"), True),
    "500": (Http(500), False),
    "cut": (Http(0), False),
    "silence": (Http(200, "{}", delay=5.0), False),
    "no answer at all": ({"hello": 1}, False),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_told_from_an_outcome_that_is_not_known(tmp_path: Path, name: str) -> None:
    answer, definite = REFUSALS[name]
    result, requests, limits = tell(tmp_path, answer, lambda exchange: exchange.set_leverage(0, 5, cross=True))
    assert isinstance(result, VenueError)
    assert result.definite is definite
    assert len(requests) == 1, "nothing is sent twice"
    assert (limits.back_off.until_ns > 0) is (name == "429")


def test_what_a_limit_forbids_is_not_sent(tmp_path: Path) -> None:
    async def do(exchange: Exchange) -> None:
        exchange._limits.address.correct(20_000, 10_000)
        await exchange.set_leverage(0, 5, cross=True)

    result, requests, _ = tell(tmp_path, OK, do)
    assert isinstance(result, VenueError)
    assert result.definite
    assert "address actions 20001 of 9500" in str(result)
    assert not requests
