"""Order types and answers: what each action is answered with, and what streams and questions say of it afterwards."""

from typing import Any

import pytest

from loopback.desk import BTC, ETH, Desk

LIMIT: dict[str, Any] = {"a": BTC, "b": True, "p": "50000", "s": "0.01", "r": False, "t": {"limit": {"tif": "Alo"}}}


def trigger(price: str, kind: str, *, market: bool = True) -> dict[str, Any]:
    return {"trigger": {"isMarket": market, "triggerPx": price, "tpsl": kind}}


REFUSALS = [
    # size, price, time in force, and the words
    ("0.01", "60010", "Alo", "Post only order would have immediately matched, bbo was 59990@60010. asset=0"),
    ("0.01", "50000", "Ioc", "Order could not immediately match against any resting orders. asset=0"),
    ("0.01", "50000.5", "Gtc", "Price must be divisible by tick size. asset=0"),
    ("0.0001", "50000", "Gtc", "Order must have minimum value of $10. asset=0"),
    ("40", "59000", "Gtc", "Insufficient margin to place order. asset=0"),
]
WHOLE_REFUSALS = [
    ("0.01", "2000", "Gtc", "Order price cannot be more than 95% away from the reference price"),
    ("0", "50000", "Gtc", "Order has zero size."),
    ("0.000001", "50000", "Gtc", "Order has invalid size."),
]


@pytest.mark.parametrize(("size", "price", "tif", "words"), REFUSALS)
def test_an_order_is_refused_in_the_venues_words(size: str, price: str, tif: str, words: str) -> None:
    desk = Desk()
    assert desk.order(True, size, price, tif) == {"error": words}
    (entry,) = desk.ask("historicalOrders")
    assert entry["status"].endswith("Rejected")


@pytest.mark.parametrize(("size", "price", "tif", "words"), WHOLE_REFUSALS)
def test_an_action_is_refused_in_the_venues_words(size: str, price: str, tif: str, words: str) -> None:
    desk = Desk()
    assert desk.order(True, size, price, tif) == words
    assert desk.ask("historicalOrders") == []


def test_an_order_that_matches_in_part_rests_with_what_is_left() -> None:
    desk = Desk()
    filled = desk.order(True, "0.6", "60010", "Gtc")["filled"]
    assert filled["totalSz"] == "0.49991"  # all that the house offers at 60010
    (order,) = desk.ask("openOrders")
    assert (order["oid"], order["sz"], order["origSz"]) == (filled["oid"], "0.10009", "0.6")
    # the record of an open order keeps the size that it had when it opened
    assert desk.ask("orderStatus", oid=filled["oid"])["order"]["order"]["sz"] == "0.6"


def test_an_order_that_matches_at_once_was_open_first() -> None:
    desk = Desk()
    desk.order(True, "0.01", "60020", "Ioc")
    assert [(update["status"], update["order"]["sz"]) for update in desk.told("order_updates")] == [
        ("open", "0.01"),
        ("filled", "0.0"),
    ]
    assert [entry["status"] for entry in desk.ask("historicalOrders")] == ["filled", "open"]


def test_a_batch_answers_each_order_in_its_place() -> None:
    desk = Desk()
    orders = [LIMIT, {**LIMIT, "p": "50000.77"}, {**LIMIT, "s": "0.0001"}, {**LIMIT, "p": "51000"}]
    statuses = desk.send({"type": "order", "orders": orders, "grouping": "na"})["response"]["data"]["statuses"]
    assert [next(iter(status)) for status in statuses] == ["resting", "error", "error", "resting"]
    assert statuses[1] == {"error": "Price must be divisible by tick size. asset=0"}
    assert desk.send({"type": "order", "orders": [], "grouping": "na"})["response"] == "Orders are empty."


def test_modify_places_post_only_with_a_new_id_and_only_instead_of_an_open_order() -> None:
    desk = Desk()
    oid = desk.order(True, "0.01", "50000", "Alo")["resting"]["oid"]
    changed = {**LIMIT, "p": "51000", "t": {"limit": {"tif": "Gtc"}}}
    assert desk.send({"type": "modify", "oid": oid, "order": changed}) == {
        "status": "ok",
        "response": {"type": "default"},
    }
    (order,) = desk.ask("frontendOpenOrders")
    assert (order["limitPx"], order["tif"]) == ("51000.0", "Alo")
    assert order["oid"] > oid
    gone = desk.send({"type": "modify", "oid": oid, "order": changed})
    assert gone == {"status": "err", "response": "Cannot modify canceled or filled order"}
    crossing = {"oid": order["oid"], "order": {**changed, "p": "60010"}}
    (status,) = desk.send({"type": "batchModify", "modifies": [crossing]})["response"]["data"]["statuses"]
    assert status["error"].startswith("Error placing new order during modify: Post only order would have")
    assert desk.ask("openOrders") == []  # the old one is gone
    always = {"type": "batchModify", "modifies": [{"oid": oid, "order": {**LIMIT, "p": "52000"}}], "a": True}
    assert "resting" in desk.send(always)["response"]["data"]["statuses"][0]


def test_cancels_and_fast_cancels() -> None:
    desk = Desk()
    desk.order(True, "0.01", "60010", "Ioc")
    stop = desk.order(False, "0.01", "55000", t=trigger("59000", "sl"), r=True)["resting"]["oid"]
    resting = desk.order(True, "0.01", "50000", "Alo", c="0x" + "0" * 31 + "7")["resting"]["oid"]
    never = {"error": "Order was never placed, already canceled, or filled. asset=0"}
    cancel = {"type": "cancel", "cancels": [{"a": BTC, "o": stop}, {"a": BTC, "o": resting}], "f": True}
    assert desk.send(cancel)["response"]["data"]["statuses"] == [never, "success"]
    assert desk.send({**cancel, "f": True})["response"]["data"]["statuses"] == [never, never]
    named = {"type": "cancelByCloid", "cancels": [{"asset": BTC, "cloid": "0x" + "0" * 31 + "7"}]}
    assert desk.send(named)["response"]["data"]["statuses"] == [never]
    plain = {"type": "cancel", "cancels": [{"a": ETH, "o": stop}, {"a": BTC, "o": stop}]}
    assert desk.send(plain)["response"]["data"]["statuses"] == [
        {"error": "Order was never placed, already canceled, or filled. asset=1"},
        "success",
    ]


def test_a_stop_waits_for_the_mark_fires_and_is_shown_as_triggered() -> None:
    desk = Desk()
    desk.order(True, "0.01", "60010", "Ioc")
    assert desk.order(False, "0.01", "55000", t=trigger("61000", "sl"), r=True) == {
        "error": "Invalid TP/SL price. asset=0"
    }
    oid = desk.order(False, "0.01", "55000", t=trigger("59000", "sl"), r=True)["resting"]["oid"]
    (order,) = desk.ask("frontendOpenOrders")
    assert (order["orderType"], order["triggerCondition"], order["isTrigger"], order["tif"]) == (
        "Stop Market",
        "Price below 59000",
        True,
        None,
    )
    desk.move("BTC", 58_900)
    assert desk.position() is None
    entry = desk.ask("orderStatus", oid=oid)["order"]
    shown = entry["order"]
    assert (entry["status"], shown["triggerCondition"], shown["isTrigger"], shown["tif"], shown["triggerPx"]) == (
        "filled",
        "Triggered",
        False,
        "Gtc",
        "0.0",
    )
    statuses = [update["status"] for update in desk.told("order_updates") if update["order"]["oid"] == oid]
    assert statuses == ["open", "triggered", "filled"]


def test_a_parent_arms_its_children_and_one_ends_the_other() -> None:
    desk = Desk()
    children = [
        {**LIMIT, "b": False, "r": True, "p": price, "t": trigger(price, kind)}
        for price, kind in (("59000", "sl"), ("61000", "tp"))
    ]
    parent = {**LIMIT, "p": "59900"}
    answer = desk.send({"type": "order", "orders": [parent, *children], "grouping": "normalTpsl"})
    statuses = answer["response"]["data"]["statuses"]
    assert [next(iter(statuses[0])), *statuses[1:]] == ["resting", "waitingForFill", "waitingForFill"]
    shown = {order["oid"]: order for order in desk.ask("frontendOpenOrders")}
    assert [child["oid"] in shown for child in shown[statuses[0]["resting"]["oid"]]["children"]] == [True, True]
    desk.move("BTC", 59_890)  # the house's asks come down onto the parent
    desk.move("BTC", 59_800)
    assert desk.position()["szi"] == "0.01"
    desk.move("BTC", 61_100)
    assert desk.position() is None
    final = {update["order"]["oid"]: update["status"] for update in desk.told("order_updates")}
    assert sorted(final.values()) == ["filled", "filled", "siblingFilledCanceled"]


def test_triggers_of_a_position_are_sized_with_it() -> None:
    desk = Desk()
    desk.order(True, "0.02", "60010", "Ioc")
    stop = {**LIMIT, "b": False, "r": True, "s": "0", "p": "55000", "t": trigger("59000", "sl")}
    answer = desk.send({"type": "order", "orders": [stop], "grouping": "positionTpsl"})
    assert answer["response"]["data"]["statuses"] == ["waitingForTrigger"]
    desk.order(True, "0.01", "60010", "Ioc")
    desk.move("BTC", 58_000)
    assert desk.position() is None
    assert desk.told("fills")[-1]["sz"] == "0.03"


def test_reduce_only_orders_are_cut_to_the_position() -> None:
    desk = Desk()
    assert desk.order(False, "0.01", "59990", "Ioc", r=True) == {
        "error": "Reduce only order would increase position. asset=0"
    }
    desk.order(True, "0.01", "60010", "Ioc")
    assert desk.order(False, "0.05", "59990", "Ioc", r=True)["filled"]["totalSz"] == "0.01"


def test_own_resting_orders_are_cancelled_instead_of_traded_with() -> None:
    desk = Desk()
    oid = desk.order(False, "0.01", "60005", "Alo")["resting"]["oid"]
    assert desk.order(True, "0.02", "60010", "Ioc")["filled"]["avgPx"] == "60010.0"
    assert desk.ask("orderStatus", oid=oid)["order"]["status"] == "selfTradeCanceled"


def test_the_dead_mans_switch_cancels_what_is_open() -> None:
    desk = Desk()
    oid = desk.order(True, "0.01", "50000", "Alo")["resting"]["oid"]
    soon = desk.send({"type": "scheduleCancel", "time": desk.now_ms + 1_000})
    assert soon["status"] == "err"
    assert desk.send({"type": "scheduleCancel", "time": desk.now_ms + 6_000})["status"] == "ok"
    desk.pass_time(5)
    assert len(desk.ask("openOrders")) == 1
    desk.pass_time(2)
    assert desk.ask("orderStatus", oid=oid)["order"]["status"] == "scheduledCancel"
    strict = Desk(strict=True).send({"type": "scheduleCancel"})
    assert strict["response"] == (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0."
    )


def test_a_block_puts_post_only_first_then_cancels_then_takers() -> None:
    desk = Desk()
    resting = desk.order(False, "0.01", "60005", "Alo", who=1)["resting"]["oid"]
    answers: dict[str, list[Any]] = {"take": [], "cancel": []}
    from hatmanifesto.loopback.signer import read_envelope

    take = {"type": "order", "orders": [{**LIMIT, "p": "60005", "t": {"limit": {"tif": "Ioc"}}}], "grouping": "na"}
    cancel = {"type": "cancel", "cancels": [{"a": BTC, "o": resting}]}
    loopback = desk.loopback
    loopback.act(read_envelope(desk.body(take, desk.accounts[0].agent_key)), answers["take"].append)
    loopback.act(read_envelope(desk.body(cancel, desk.accounts[1].agent_key)), answers["cancel"].append)
    assert loopback.waiting == 2
    desk.block()
    assert answers["cancel"][0]["response"]["data"]["statuses"] == ["success"]
    assert "error" in answers["take"][0]["response"]["data"]["statuses"][0]
    assert loopback.waiting == 0


def test_builder_fees_need_approval_and_are_paid_on_top() -> None:
    desk = Desk()
    builder = desk.accounts[2].address
    order = {"type": "order", "orders": [{**LIMIT, "p": "60010", "t": {"limit": {"tif": "Ioc"}}}], "grouping": "na"}
    with_fee = {**order, "builder": {"b": builder, "f": 10}}
    assert desk.send(with_fee)["response"] == "Builder fee has not been approved"
    stranger = "0x" + "9" * 40
    refused = desk.send_as_user("approveBuilderFee", {"maxFeeRate": "0.01%", "builder": stranger})
    assert refused["response"] == "Builder has insufficient balance to be approved."
    assert desk.send_as_user("approveBuilderFee", {"maxFeeRate": "0.01%", "builder": builder})["status"] == "ok"
    assert desk.ask("maxBuilderFee", builder=builder) == 10
    before = desk.ask("clearinghouseState", 2)["withdrawable"]
    assert desk.send(with_fee)["status"] == "ok"
    (fill,) = desk.told("fills")
    assert (fill["fee"], fill["builderFee"]) == ("0.330055", "0.06001")  # 600.1 x (4.5 + 1) bp, each truncated
    assert float(desk.ask("clearinghouseState", 2)["withdrawable"]) - float(before) == pytest.approx(0.06001)
