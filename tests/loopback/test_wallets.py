"""USDC between perpetuals and spot, accounts and sub-accounts: what moves, what the ledger says, what is refused."""

from typing import Any

import pytest

from hatmanifesto.loopback.spot import USDC_TOKEN
from loopback.desk import Desk

OK = {"status": "ok", "response": {"type": "default"}}


def holds(desk: Desk, who: int = 0, user: str | None = None) -> tuple[str, str]:
    """Return what lies with the perpetuals and in the spot wallet."""
    more = {"user": user} if user else {}
    (usdc,) = desk.ask("spotClearinghouseState", who, **more)["balances"]
    return desk.ask("clearinghouseState", who, **more)["withdrawable"], usdc["total"]


def asset(desk: Desk, source: str, destination: str, amount: str, to: int = 0, **more: str) -> dict[str, Any]:
    return {
        "destination": desk.accounts[to].address,
        "sourceDex": source,
        "destinationDex": destination,
        "token": USDC_TOKEN,
        "amount": amount,
        "fromSubAccount": "",
        **more,
    }


def test_usdc_moves_between_perpetuals_and_spot() -> None:
    desk = Desk()
    assert desk.send_as_user("usdClassTransfer", {"amount": "250.5", "toPerp": False}) == OK
    assert holds(desk) == ("99749.5", "250.5")
    assert desk.send_as_user("usdClassTransfer", {"amount": "0.5", "toPerp": True}) == OK
    assert holds(desk) == ("99750.0", "250.0")
    newest = desk.ask("userNonFundingLedgerUpdates", startTime=0)[-1]
    assert newest["delta"] == {"type": "accountClassTransfer", "usdc": "0.5", "toPerp": True}
    # what was moved is neither gain nor loss
    desk.block(700)
    assert dict(desk.ask("portfolio"))["day"]["pnlHistory"][-1][1] == "0.0"


def test_spot_usdc_is_sent_to_others_and_to_sub_accounts() -> None:
    desk = Desk()
    desk.send_as_user("usdClassTransfer", {"amount": "100", "toPerp": False})
    send = {"destination": desk.accounts[1].address, "token": USDC_TOKEN, "amount": "0.00000001"}
    assert desk.send_as_user("spotSend", send) == OK
    assert holds(desk, 1) == ("100000.0", "0.00000001")
    told = desk.ask("userNonFundingLedgerUpdates", 1, startTime=0)[-1]["delta"]
    assert (told["type"], told["amount"], told["user"]) == ("spotTransfer", "0.00000001", desk.accounts[0].address)
    made = desk.send({"type": "createSubAccount", "name": "desk"})["response"]["data"]
    transfer = {"type": "subAccountSpotTransfer", "subAccountUser": made, "token": USDC_TOKEN, "amount": "40"}
    assert desk.send({**transfer, "isDeposit": True}) == OK
    assert holds(desk, user=made) == ("0.0", "40.0")
    assert desk.send({**transfer, "isDeposit": False, "amount": "10"}) == OK
    assert desk.send_as_user("usdClassTransfer", {"amount": f"30 subaccount:{made}", "toPerp": True}) == OK
    assert holds(desk, user=made) == ("30.0", "0.0")
    assert desk.send({"type": "subAccountModify", "subAccountUser": made, "name": "night desk"}) == OK
    (shown,) = desk.ask("subAccounts")
    assert (shown["name"], shown["spotState"]["balances"][0]["total"]) == ("night desk", "0.0")


def test_an_asset_is_sent_from_any_pocket_to_any_other() -> None:
    desk = Desk()
    assert desk.send_as_user("sendAsset", asset(desk, "", "spot", "5")) == OK
    assert desk.send_as_user("sendAsset", asset(desk, "spot", "", "2", to=1)) == OK
    assert (holds(desk), holds(desk, 1)) == (("99995.0", "3.0"), ("100002.0", "0.0"))
    told = desk.ask("userNonFundingLedgerUpdates", 1, startTime=0)[-1]["delta"]
    assert (told["type"], told["sourceDex"], told["destinationDex"]) == ("send", "spot", "")
    # an agent moves money within its master's family only
    within = {"type": "agentSendAsset", **asset(desk, "", "spot", "1"), "nonce": desk.now_ms}
    assert desk.send(within) == OK
    refused = desk.send({**within, "destination": desk.accounts[1].address})
    assert refused["response"] == "Agent can only send asset to same user or their sub-accounts."
    assert holds(desk) == ("99994.0", "4.0")


REFUSED = [
    ("usdClassTransfer", {"amount": "100001", "toPerp": False}, "Insufficient balance for withdrawal"),
    ("usdClassTransfer", {"amount": "11", "toPerp": True}, "Insufficient balance for token transfer"),
    ("usdClassTransfer", {"amount": "0.0000001", "toPerp": True}, "Invalid send"),
    ("usdClassTransfer", {"amount": "-1", "toPerp": True}, "Invalid send"),
    ("usdClassTransfer", {"amount": "one", "toPerp": True}, "Invalid send"),
    ("spotSend", {"token": USDC_TOKEN, "amount": "11"}, "Insufficient balance for token transfer"),
    ("spotSend", {"token": "PURR:0xc1fb593aeffbeb02f85e0308e9956a90", "amount": "1"}, "Insufficient balance for token"),
    ("spotSend", {"token": USDC_TOKEN, "amount": "1", "destination": "0x12"}, "Invalid send"),
    ("sendAsset", {"sourceDex": "xyz"}, "Invalid send"),
    ("sendAsset", {"sourceDex": "", "destinationDex": "", "destination": "self"}, "Invalid send"),
    ("sendAsset", {"fromSubAccount": "0x" + "1" * 40}, "Invalid sub-account transfer from"),
    ("withdraw3", {"amount": "100001"}, "Insufficient balance for withdrawal"),
    ("usdSend", {"amount": "100001"}, "Insufficient balance for withdrawal"),
    ("usdSend", {"amount": "1.0000001"}, "Invalid send"),
    ("userSetAbstraction", {"user": "self", "abstraction": "unifiedAccount"}, "Only the standard account mode"),
]


@pytest.mark.parametrize(("kind", "fields", "words"), REFUSED)
def test_what_cannot_be_moved_stays(kind: str, fields: dict[str, Any], words: str) -> None:
    desk = Desk()
    desk.send_as_user("usdClassTransfer", {"amount": "10", "toPerp": False})
    own, other = desk.accounts[0].address, desk.accounts[1].address
    whole = {**asset(desk, "", "spot", "1"), **fields} if kind == "sendAsset" else dict(fields)
    if kind in ("spotSend", "withdraw3", "usdSend"):
        whole.setdefault("destination", other)
    whole = {name: own if value == "self" else value for name, value in whole.items()}
    answer = desk.send_as_user(kind, whole)
    assert answer["status"] == "err"
    assert answer["response"].startswith(words)
    assert (holds(desk), holds(desk, 1)) == (("99990.0", "10.0"), ("100000.0", "0.0"))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"r": False}, {"error": "Insufficient spot balance asset=10000"}),
        ({"r": True}, "Reduce-only is invalid for spot trading."),
    ],
)
def test_spot_is_listed_and_not_traded(order: dict[str, Any], words: Any) -> None:
    desk = Desk()
    assert desk.order(True, "100", "0.2", coin=10_000, **order) == words
    assert desk.ask("l2Book", coin="PURR/USDC")["levels"] == [[], []]
    assert desk.ask("allMids")["PURR/USDC"] == "0.2"
