"""Who may act: signatures, agents, sub-accounts, nonces, expiry and budgets, in the venue's words."""

import pytest

from hatmanifesto.loopback.budget import FIRST_REQUESTS
from hatmanifesto.loopback.signer import Malformed, read_envelope
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from loopback.desk import BTC, Desk

NOOP = {"type": "noop"}
OK = {"status": "ok", "response": {"type": "default"}}
ORDER = {
    "type": "order",
    "orders": [{"a": BTC, "b": True, "p": "50000", "s": "0.01", "r": False, "t": {"limit": {"tif": "Alo"}}}],
    "grouping": "na",
}
NEW_KEY = "0x" + "5a" * 32
NEW_AGENT = PrivateKey.parse(NEW_KEY).address


def test_signatures_for_either_network_are_good() -> None:
    desk = Desk()
    assert desk.send(NOOP, mainnet=True) == desk.send(NOOP, mainnet=False) == OK


def test_what_was_signed_is_the_canonical_action_not_its_text() -> None:
    desk = Desk()
    body = desk.body(ORDER, desk.accounts[0].agent_key)
    (order,) = body["action"]["orders"]
    body["action"]["orders"] = [dict(reversed({**order, "p": "50000.0", "s": "0.0100"}.items()))]
    assert "resting" in desk.submit(body)["response"]["data"]["statuses"][0]


def test_a_changed_action_is_somebody_elses() -> None:
    desk = Desk()
    body = desk.body(ORDER, desk.accounts[0].agent_key)
    body["action"]["orders"][0]["p"] = "50001"
    answer = desk.submit(body)
    assert answer["status"] == "err"
    assert answer["response"].startswith("User or API Wallet 0x")
    assert desk.accounts[0].address not in answer["response"]
    body["signature"]["r"] = "0x" + "f" * 64
    assert desk.submit(body)["response"] == "Unable to recover signer."


def test_an_agent_that_signs_as_a_user_has_no_account() -> None:
    desk = Desk()
    agent = desk.accounts[0].agent_key
    answer = desk.send_as_user("usdSend", {"destination": desk.accounts[1].address, "amount": "1"}, key=agent)
    address = PrivateKey.parse(agent).address
    assert answer["response"] == f"Must deposit before performing actions. User: {address}"


def test_agents_are_approved_replaced_removed_and_expire() -> None:
    desk = Desk()

    def approve(name: str, address: str = NEW_AGENT) -> object:
        return desk.send_as_user("approveAgent", {"agentAddress": address, "agentName": name})["response"]

    until = desk.now_ms + 60_000
    assert approve(f"bot valid_until {until}") == {"type": "default"}
    assert desk.ask("extraAgents")[-1] == {"name": "bot", "address": NEW_AGENT, "validUntil": until}
    assert desk.ask("userRole")["role"] == "user"
    assert desk.send(NOOP, key=NEW_KEY) == OK
    assert approve("fourth", "0x" + "1" * 40) == (
        "Too many extra agents for cumulative volume traded. Current limit is 3"
    )
    assert approve("bot", NEW_AGENT) == "Extra agent already used."
    assert approve("bot", "0x" + "2" * 40) == {"type": "default"}
    replaced = desk.send(NOOP, key=NEW_KEY)["response"]
    assert replaced == f"Must deposit before performing actions. User: {desk.accounts[0].address}"
    assert approve("bot", "0x" + "0" * 40) == {"type": "default"}
    assert [agent["name"] for agent in desk.ask("extraAgents")] == ["trader", "guard"]
    assert approve("other", "0x" + "3" * 40) == "User has pending agent removal"
    desk.pass_time(5)
    assert approve(f"late valid_until {desk.now_ms - 1}", "0x" + "3" * 40) == "Agent valid_until already expired."
    brief = "0x" + "6b" * 32
    approve(f"brief valid_until {desk.now_ms + 5_000}", PrivateKey.parse(brief).address)
    assert desk.send(NOOP, key=brief) == OK
    desk.pass_time(10)
    assert desk.send(NOOP, key=brief)["response"].endswith("does not exist.")


def test_sub_accounts_trade_apart() -> None:
    desk = Desk()
    made = desk.send({"type": "createSubAccount", "name": "desk"})["response"]["data"]
    transfer = {"type": "subAccountTransfer", "subAccountUser": made, "isDeposit": True, "usd": 1_000_000_000}
    assert desk.send(transfer) == OK
    assert "resting" in desk.order(True, "0.01", "50000", "Alo", vault=made)
    assert desk.ask("openOrders") == []
    assert desk.loopback.participants[made].account.orders
    assert desk.send({**transfer, "isDeposit": False, "usd": 2_000_000_000})["status"] == "err"
    assert desk.send(ORDER, who=1, vault=made)["response"] == f"Vault not registered: {made}"
    (shown,) = desk.ask("subAccounts")
    assert (shown["name"], shown["clearinghouseState"]["marginSummary"]["accountValue"]) == ("desk", "1000.0")
    assert Desk(strict=True).send({"type": "createSubAccount", "name": "x"})["response"] == (
        "Cannot create sub-accounts until enough volume traded. Required: $100000. Traded: $0."
    )


def test_nonces_are_new_near_now_and_above_the_hundred_highest() -> None:
    desk = Desk()
    first = desk.now_ms
    for nonce in range(first, first + 200, 2):
        assert desk.send(NOOP, nonce=nonce) == OK
    assert desk.send(NOOP, nonce=first + 50)["response"] == f"Invalid nonce: duplicate nonce {first + 50}"
    assert desk.send(NOOP, nonce=first + 51) == OK  # out of order, within the window
    low = desk.send(NOOP, nonce=first - 1)["response"]
    assert low == f"Invalid nonce: nonce too low {first - 1} < {first + 2}"
    assert desk.send(NOOP, nonce=first + 90_000_000)["status"] == "err"
    assert desk.send(NOOP, who=1, nonce=first) == OK  # everybody has nonces of their own


def test_an_expired_action_is_refused_and_costs_five_requests() -> None:
    desk = Desk()
    used = desk.participant().requests
    assert desk.send(NOOP, expires=desk.now_ms - 1)["response"] == "Action already expired"
    assert desk.participant().requests == used + 5
    assert desk.send(NOOP, expires=desk.now_ms + 1_000) == OK


def test_beyond_the_budget_one_action_passes_every_ten_seconds_and_cancels_go_on() -> None:
    desk = Desk()
    desk.participant().requests = FIRST_REQUESTS
    assert desk.send(NOOP) == OK  # the first one in ten seconds
    assert desk.send(NOOP)["response"] == (
        f"Too many cumulative requests sent ({FIRST_REQUESTS + 2} > {FIRST_REQUESTS}) for cumulative volume traded $0. "
        "Place taker orders to free up 1 request per USDC traded."
    )
    cancel = {"type": "cancel", "cancels": [{"a": BTC, "o": 1}]}
    assert desk.send(cancel)["status"] == "ok"
    desk.pass_time(11)
    assert desk.send(NOOP) == OK
    assert desk.ask("userRateLimit")["nRequestsUsed"] == FIRST_REQUESTS + 3
    assert desk.send({"type": "reserveRequestWeight", "weight": 20_000}, key=desk.accounts[0].agent_key)["status"] == (
        "err"
    )
    desk.pass_time(11)
    assert desk.send({"type": "reserveRequestWeight", "weight": 20_000}) == OK
    assert desk.ask("userRateLimit")["nRequestsSurplus"] > 0


MALFORMED = [
    None,
    [],
    {},
    {"action": {"type": "noop"}, "nonce": 1},
    {"action": {"type": "order"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}},
    {"action": {"type": "unheard of"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}},
    {"action": {"type": "noop"}, "nonce": "1", "signature": {"r": "0x1", "s": "0x1", "v": 27}},
    {"action": {"type": "noop"}, "nonce": -1, "signature": {"r": "0x1", "s": "0x1", "v": 27}},
    {"action": {"type": "noop"}, "nonce": 1, "signature": {"r": 1, "s": "0x1", "v": 27}},
    {"action": {"type": "noop"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}, "vaultAddress": "0x1"},
    {"action": {"type": "noop"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}, "expiresAfter": 1.5},
    {"action": {"type": "usdSend"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}},
]


@pytest.mark.parametrize("body", MALFORMED)
def test_what_cannot_be_read_is_malformed(body: object) -> None:
    with pytest.raises(Malformed, match="Failed to deserialize the JSON body into the target type"):
        read_envelope(body)
