"""The official hyperliquid-python-sdk, unmodified, trades at the loopback exchange."""

import time
from collections.abc import Iterator
from typing import Any

import eth_account
import pytest
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

from loopback.running import Stage, threaded, wait_for


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with threaded(funding_ms=3_600_000) as stage:
        yield stage


@pytest.fixture(scope="module")
def info(stage: Stage) -> Info:
    return Info(stage.url, skip_ws=True)


def trader(stage: Stage, number: int = 0) -> tuple[Exchange, str]:
    """Return the SDK's exchange, signing with an account's approved agent, and the account's address."""
    account = stage.accounts[number]
    return Exchange(
        eth_account.Account.from_key(account.agent_key), stage.url, account_address=account.address
    ), account.address


def only_status(answer: Any) -> Any:
    assert answer["status"] == "ok", answer
    (status,) = answer["response"]["data"]["statuses"]
    return status


def test_market_data(stage: Stage, info: Info) -> None:
    assert [asset["name"] for asset in info.meta()["universe"]] == ["BTC", "ETH"]
    assert info.all_mids() == {"BTC": "60000.0", "ETH": "3000.0", "PURR/USDC": "0.2"}
    book = info.l2_snapshot("BTC")
    assert [[level["px"] for level in side] for side in book["levels"]] == [
        ["59990.0", "59980.0", "59970.0"],
        ["60010.0", "60020.0", "60030.0"],
    ]
    _, contexts = info.meta_and_asset_ctxs()
    assert [context["markPx"] for context in contexts] == ["60000.0", "3000.0"]
    assert info.spot_meta()["universe"][0]["name"] == "PURR/USDC"


def test_place_modify_and_cancel(stage: Stage, info: Info) -> None:
    exchange, user = trader(stage)
    oid = only_status(exchange.order("BTC", True, 0.01, 50_000, {"limit": {"tif": "Gtc"}}))["resting"]["oid"]
    assert [order["oid"] for order in info.open_orders(user)] == [oid]
    assert info.query_order_by_oid(user, oid)["order"]["status"] == "open"
    moved = only_status(exchange.modify_order(oid, "BTC", True, 0.02, 50_100, {"limit": {"tif": "Alo"}}))
    new = moved["resting"]["oid"]
    assert new != oid
    (order,) = info.frontend_open_orders(user)
    assert (order["oid"], order["limitPx"], order["sz"], order["tif"]) == (new, "50100.0", "0.02", "Alo")
    assert only_status(exchange.cancel("BTC", new)) == "success"
    assert info.open_orders(user) == []
    statuses = [(entry["order"]["oid"], entry["status"]) for entry in info.historical_orders(user)]
    assert statuses == [(new, "canceled"), (new, "open"), (oid, "canceled"), (oid, "open")]
    again = only_status(exchange.cancel("BTC", new))
    assert again == {"error": "Order was never placed, already canceled, or filled. asset=0"}


def test_client_order_ids(stage: Stage, info: Info) -> None:
    exchange, user = trader(stage)
    cloid = Cloid.from_int(0xABCD)
    placed = only_status(exchange.order("ETH", False, 0.5, 4_000, {"limit": {"tif": "Alo"}}, cloid=cloid))
    assert placed["resting"]["cloid"] == cloid.to_raw()
    assert info.query_order_by_cloid(user, cloid)["order"]["order"]["coin"] == "ETH"
    assert only_status(exchange.cancel_by_cloid("ETH", cloid)) == "success"
    assert info.query_order_by_cloid(user, cloid)["order"]["status"] == "canceled"
    assert info.query_order_by_cloid(user, Cloid.from_int(0xFFFF)) == {"status": "unknownOid"}


def test_a_post_only_order_that_would_match_is_refused_with_the_best_prices(stage: Stage) -> None:
    exchange, _ = trader(stage)
    status = only_status(exchange.order("BTC", True, 0.01, 60_010, {"limit": {"tif": "Alo"}}))
    assert status == {
        "error": "Post only order would have immediately matched, bbo was 59990@60010. asset=0",
    }


def test_fills_position_and_money(stage: Stage, info: Info) -> None:
    exchange, user = trader(stage, 1)
    before = time.time_ns() // 1_000_000 - 1_000
    filled = only_status(exchange.order("BTC", True, 0.01, 60_010, {"limit": {"tif": "Ioc"}}))["filled"]
    assert (filled["totalSz"], filled["avgPx"]) == ("0.01", "60010.0")
    (fill,) = info.user_fills(user)
    assert (fill["px"], fill["sz"], fill["dir"], fill["crossed"]) == ("60010.0", "0.01", "Open Long", True)
    assert fill["fee"] == "0.270045"  # 600.1 x 0.045 %, truncated
    assert info.user_fills_by_time(user, before) == [fill]
    state = info.user_state(user)
    (held,) = state["assetPositions"]
    assert (held["position"]["szi"], held["position"]["entryPx"]) == ("0.01", "60010.0")
    # bought 0.01 at 60010, marked at 60000
    assert held["position"]["unrealizedPnl"] == "-0.1"
    assert state["marginSummary"]["accountValue"] == "99999.629955"
    assert exchange.market_close("BTC")["response"]["data"]["statuses"][0]["filled"]["avgPx"] == "59990.0"
    assert info.user_state(user)["assetPositions"] == []
    assert info.user_rate_limit(user)["cumVlm"] == "1200.0"


def test_leverage_and_dead_mans_switch(stage: Stage, info: Info) -> None:
    exchange, user = trader(stage, 2)
    assert exchange.update_leverage(7, "ETH") == {"status": "ok", "response": {"type": "default"}}
    assert info.post("/info", {"type": "activeAssetData", "user": user, "coin": "ETH"})["leverage"]["value"] == 7
    assert exchange.update_leverage(99, "ETH") == {"status": "err", "response": "Invalid leverage value"}
    only_status(exchange.order("ETH", True, 1.0, 2_000, {"limit": {"tif": "Alo"}}))
    assert exchange.schedule_cancel(int(time.time() * 1000) + 5_500)["status"] == "ok"
    assert exchange.schedule_cancel(None)["status"] == "ok"
    assert len(info.open_orders(user)) == 1
    assert stage.inside(lambda: stage.loopback.participants[user].account.cancel_at_ns) == 0


def test_an_unknown_signer_is_answered_as_the_venue_answers_it(stage: Stage) -> None:
    stranger = eth_account.Account.from_key("0x" + "77" * 32)
    answer = Exchange(stranger, stage.url).order("BTC", True, 0.01, 50_000, {"limit": {"tif": "Gtc"}})
    assert answer == {
        "status": "err",
        "response": f"User or API Wallet {stranger.address.lower()} does not exist.",
    }


def test_agents_transfers_and_sub_accounts(stage: Stage, info: Info) -> None:
    account = stage.accounts[2]
    master = Exchange(eth_account.Account.from_key(account.key), stage.url)
    answer, secret = master.approve_agent("bot")
    assert answer["status"] == "ok"
    names = [agent["name"] for agent in info.extra_agents(account.address)]
    assert "bot" in names
    bot = Exchange(eth_account.Account.from_key(secret), stage.url, account_address=account.address)
    assert "resting" in only_status(bot.order("BTC", True, 0.01, 40_000, {"limit": {"tif": "Alo"}}))
    assert master.create_sub_account("desk")["response"]["type"] == "createSubAccount"
    (desk,) = info.query_sub_accounts(account.address)
    assert desk["name"] == "desk"
    assert master.sub_account_transfer(desk["subAccountUser"], True, 500_000_000)["status"] == "ok"
    assert info.user_state(desk["subAccountUser"])["withdrawable"] == "500.0"
    acting = Exchange(eth_account.Account.from_key(secret), stage.url, vault_address=desk["subAccountUser"])
    assert "resting" in only_status(acting.order("BTC", True, 0.01, 40_000, {"limit": {"tif": "Alo"}}))
    assert len(info.open_orders(desk["subAccountUser"])) == 1
    assert master.usd_transfer(25.0, stage.accounts[0].address)["status"] == "ok"


def test_streams(stage: Stage) -> None:
    account = stage.accounts[1]
    streaming = Info(stage.url)
    heard: dict[str, list[Any]] = {}

    def note(message: Any) -> None:
        heard.setdefault(message["channel"], []).append(message["data"])

    try:
        for subscription in (
            {"type": "allMids"},
            {"type": "l2Book", "coin": "BTC"},
            {"type": "bbo", "coin": "BTC"},
            {"type": "trades", "coin": "BTC"},
            {"type": "candle", "coin": "BTC", "interval": "1m"},
            {"type": "activeAssetCtx", "coin": "BTC"},
            {"type": "orderUpdates", "user": account.address},
            {"type": "userEvents", "user": account.address},
            {"type": "userFills", "user": account.address},
            {"type": "userFundings", "user": account.address},
        ):
            streaming.subscribe(subscription, note)  # type: ignore[arg-type]
        wait_for(lambda: {"l2Book", "bbo", "allMids", "activeAssetCtx", "userFills"} <= set(heard))
        exchange, _ = trader(stage, 1)
        only_status(exchange.order("BTC", True, 0.02, 60_010, {"limit": {"tif": "Ioc"}}))
        wait_for(lambda: {"trades", "candle", "orderUpdates", "user"} <= set(heard) and len(heard["userFills"]) > 1)
        assert heard["userFills"][0]["isSnapshot"] is True
        (fill,) = heard["userFills"][-1]["fills"]
        assert (fill["sz"], fill["side"]) == ("0.02", "B")
        assert heard["user"][-1] == {"fills": [fill]}
        assert heard["trades"][-1][-1]["tid"] == fill["tid"]
        assert heard["orderUpdates"][-1][-1]["status"] == "filled"
        assert heard["candle"][-1]["s"] == "BTC"
        stage.inside(lambda: setattr(stage.loopback, "next_funding_ms", 1))
        wait_for(lambda: any(message.get("fundings") for message in heard["userFundings"][1:]))
        (paid,) = heard["userFundings"][-1]["fundings"]
        assert (paid["coin"], paid["usdc"], paid["fundingRate"]) == ("BTC", "-0.015", "0.0000125")
        (booked,) = streaming.user_funding_history(account.address, 0)
        assert booked["delta"]["usdc"] == "-0.015"
        (settled,) = streaming.funding_history("BTC", 0)
        assert settled["fundingRate"] == "0.0000125"
    finally:
        streaming.disconnect_websocket()
