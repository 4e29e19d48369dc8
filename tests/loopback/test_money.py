"""Money: margin cross and isolated, liquidation, backstop, deleveraging, funding, fees, transfers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.loopback.markets import USDC
from hatmanifesto.model.fees import HYPERLIQUID_PERPS
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest
from loopback.desk import BTC, ETH, START_MS, Desk


def value(desk: Desk, who: int = 0) -> str:
    shown: str = desk.ask("clearinghouseState", who)["marginSummary"]["accountValue"]
    return shown


def test_the_identities_of_recorded_account_states_hold() -> None:
    desk = Desk()
    desk.order(True, "0.1", "60010", "Ioc")
    desk.order(False, "2", "2999", "Ioc", coin=ETH)
    state = desk.ask("clearinghouseState")
    summary = {name: float(text) for name, text in state["marginSummary"].items()}
    held = [entry["position"] for entry in state["assetPositions"]]
    notional = sum(float(position["positionValue"]) for position in held)
    signed = 0.1 * 60_000 - 2 * 3_000
    assert summary["accountValue"] == pytest.approx(summary["totalRawUsd"] + signed)
    assert summary["totalNtlPos"] == pytest.approx(notional) == pytest.approx(12_000)
    assert summary["totalMarginUsed"] == pytest.approx(notional / 20)
    assert float(state["withdrawable"]) == pytest.approx(summary["accountValue"] - max(notional / 20, notional / 10))
    assert float(state["crossMaintenanceMarginUsed"]) == pytest.approx(6_000 / 80 + 6_000 / 50)
    btc = held[0]
    assert float(btc["returnOnEquity"]) == pytest.approx(float(btc["unrealizedPnl"]) * 20 / 6_001)


def test_an_isolated_position_has_margin_of_its_own() -> None:
    desk = Desk()
    assert desk.send({"type": "updateLeverage", "asset": BTC, "isCross": False, "leverage": 10})["status"] == "ok"
    desk.order(True, "0.01", "60010", "Ioc")
    position = desk.position()
    # margin of a tenth went in, the fee came out: 60.01 - 600.1 - 0.270045
    assert position["leverage"] == {"type": "isolated", "value": 10, "rawUsd": "-540.360045"}
    assert position["marginUsed"] == "59.639955"
    assert float(position["liquidationPx"]) == pytest.approx(540.360045 / (0.01 * (1 - 1 / 80)))
    state = desk.ask("clearinghouseState")
    assert state["crossMarginSummary"]["totalNtlPos"] == "0.0"
    assert state["crossMarginSummary"]["accountValue"] == "99939.99"
    move = {"type": "updateIsolatedMargin", "asset": BTC, "isBuy": True, "ntli": 10 * USDC}
    assert desk.send(move)["status"] == "ok"
    assert desk.position()["leverage"]["rawUsd"] == "-530.360045"
    refused = desk.send({**move, "ntli": -20 * USDC})
    assert refused["response"] == "Position does not have sufficient margin for reduction."
    assert desk.send({"type": "topUpIsolatedOnlyMargin", "asset": BTC, "leverage": "5"})["status"] == "ok"
    assert float(desk.position()["marginUsed"]) == pytest.approx(120)
    switch = desk.send({"type": "updateLeverage", "asset": BTC, "isCross": True, "leverage": 10})
    assert switch["response"] == "Cannot switch leverage type with open position."
    desk.order(False, "0.01", "59990", "Ioc", r=True)
    assert desk.ask("clearinghouseState")["marginSummary"] == desk.ask("clearinghouseState")["crossMarginSummary"]
    assert desk.send(move)["response"] == "Cannot update margin for empty position."


def test_a_position_beyond_its_tiers_leverage_is_refused() -> None:
    desk = Desk(usdc=50_000_000)
    desk.send({"type": "updateLeverage", "asset": BTC, "isCross": True, "leverage": 40})
    status = desk.order(True, "2600", "59000", "Alo")  # 153 M: from 150 M on, 20x is the most
    assert status == {"error": "Order would cause position to exceed margin tier limit at current leverage asset=0"}


def test_below_maintenance_the_venue_sells_in_the_book() -> None:
    desk = Desk(usdc=1_000)
    desk.order(True, "0.3", "60010", "Ioc")
    oid = desk.order(True, "0.001", "40000", "Alo")["resting"]["oid"]
    desk.move("BTC", 57_400)  # worth 208, maintenance 215
    desk.block()
    assert desk.position() is None
    fill = desk.told("fills")[-1]
    assert fill["liquidation"] == {
        "liquidatedUser": desk.accounts[0].address,
        "markPx": "57400.0",
        "method": "market",
    }
    assert (fill["dir"], fill["px"], fill["crossed"]) == ("Close Long", "57390.0", True)
    assert desk.ask("orderStatus", oid=oid)["order"]["status"] == "liquidatedCanceled"
    (event,) = desk.told("liquidations")
    assert event["liquidated_user"] == desk.accounts[0].address
    update = desk.told("ledger")[-1]["delta"]
    assert (update["type"], update["leverageType"]) == ("liquidation", "Cross")
    assert update["liquidatedPositions"] == [{"coin": "BTC", "szi": "0.3"}]
    assert 0 < float(value(desk)) < 208  # what is left is the user's


def test_a_large_position_is_sold_a_fifth_first() -> None:
    desk = Desk(usdc=3_200)
    whale = desk.loopback.exchange.open_account("whale", 10**12)
    desk.loopback.exchange.submit(whale, Place([OrderRequest(BTC, -1, 600_050, 200_000)]))
    desk.send({"type": "updateLeverage", "asset": BTC, "isCross": True, "leverage": 40})
    assert desk.order(True, "2", "60005", "Ioc")["filled"]["totalSz"] == "2.0"
    desk.move("BTC", 59_150)
    desk.block()
    assert desk.told("fills")[-1]["sz"] == "0.4"
    assert desk.position()["szi"] == "1.6"


def test_below_two_thirds_of_maintenance_the_backstop_takes_over() -> None:
    desk = Desk(usdc=1_000)
    desk.order(True, "0.3", "60010", "Ioc")
    desk.move("BTC", 57_000)  # worth 88, maintenance 213
    desk.block()
    assert desk.position() is None
    assert desk.told("fills")[-1]["liquidation"]["method"] == "backstop"
    assert value(desk) == "0.0"
    vault = desk.loopback.exchange.account(desk.loopback.liquidator.vault)
    assert int(vault.holdings[BTC].position.size) == 30_000


def test_a_bankrupt_account_is_closed_against_the_other_side() -> None:
    desk = Desk(usdc=1_000)
    desk.order(True, "0.3", "60010", "Ioc")
    desk.order(False, "0.1", "59990", "Ioc", who=1)
    desk.move("BTC", 56_000)  # worth -211
    desk.block()
    assert desk.position() is None
    assert desk.position(1) is None
    assert desk.told("fills", 1)[-1]["dir"] == "Auto-Deleveraging"
    assert 0 <= float(value(desk)) < 0.1
    assert float(value(desk, 1)) > 1_000


def test_who_gained_most_on_most_leverage_is_deleveraged_first_and_the_next_only_for_the_rest() -> None:
    """The worked example of docs/fees-and-margin.md: 60,000 to 54,000, shorts of 0.1 and 0.2 BTC on 1,000 each."""
    desk = Desk(usdc=1_000)
    desk.order(True, "0.25", "60010", "Ioc")
    for who, size in ((1, "0.1"), (2, "0.2")):
        desk.order(False, size, "59990", "Ioc", who=who)
    desk.move("BTC", 54_000)  # the long's account is worth about -500
    # ranks: 1.111 x 5,400 / 1,600 = 3.8 and 1.111 x 10,800 / 2,200 = 5.5
    desk.block()
    assert desk.position(2) is None
    assert desk.position(1)["szi"] == "-0.05"
    assert desk.told("fills", 1)[-1]["dir"] == "Auto-Deleveraging"


def test_an_isolated_position_is_liquidated_alone() -> None:
    desk = Desk(usdc=10_000)
    desk.send({"type": "updateLeverage", "asset": BTC, "isCross": False, "leverage": 40})
    desk.order(True, "0.1", "60010", "Ioc")
    desk.order(True, "1", "3001", "Ioc", coin=ETH)
    desk.move("BTC", 59_200)
    desk.block()
    position = desk.position()
    assert position["coin"] == "ETH"
    assert desk.told("ledger")[-1]["delta"]["leverageType"] == "Isolated"
    assert float(value(desk)) > 9_800


def test_funding_is_paid_on_the_hour_from_the_premium_of_the_book() -> None:
    desk = Desk()
    desk.order(True, "0.1", "60010", "Ioc")
    desk.loopback.liquidator.vault  # noqa: B018 - exists from the start
    for _ in range(3_600 // 5 + 1):
        desk.pass_time(4.9)
    (paid,) = desk.ask("userFunding")
    (settled,) = desk.ask("fundingHistory", coin="BTC")
    assert settled["fundingRate"] == paid["delta"]["fundingRate"] == "0.0000125"  # the book is even: no premium
    assert paid["delta"]["usdc"] == "-0.075"
    assert settled["time"] % 3_600_000 < 10_000
    position = desk.position()
    assert position["cumFunding"] == {"allTime": "0.075", "sinceOpen": "0.075", "sinceChange": "0.075"}
    assert desk.ask("predictedFundings")[0][1][0][1]["nextFundingTime"] % 3_600_000 == 0


def test_accelerated_funding_is_paid_often() -> None:
    desk = Desk(funding_ms=1_000)
    desk.order(True, "0.1", "60010", "Ioc")
    desk.block(30)
    assert len(desk.ask("userFunding")) == 3
    assert len(desk.told("funding")) == 3


def test_day_figures_cover_the_last_24_hours() -> None:
    desk = Desk()
    desk.order(True, "0.1", "60010", "Ioc")
    desk.pass_time(23 * 3_600)
    desk.order(False, "0.1", "59990", "Ioc")
    context = desk.ask("metaAndAssetCtxs")[1][BTC]
    assert (context["dayBaseVlm"], context["dayNtlVlm"], context["prevDayPx"]) == ("0.2", "12000.0", "60010.0")
    desk.pass_time(2 * 3_600)
    context = desk.ask("metaAndAssetCtxs")[1][BTC]
    assert (context["dayBaseVlm"], context["prevDayPx"]) == ("0.1", "60010.0")
    (candle,) = desk.ask("candleSnapshot", req={"coin": "BTC", "interval": "4h", "startTime": START_MS})[:1]
    assert (candle["o"], candle["v"], candle["n"]) == ("60010.0", "0.1", 1)


def test_fees_follow_the_accounts_own_volume() -> None:
    desk = Desk(usdc=10_000_000)
    fees = desk.loopback.rules.fees[int(desk.participant().account.index)]
    fees.charge(desk.loopback.rules.now_ns, BTC, 6_000_000 * 14 * USDC, False)
    desk.pass_time(86_400)
    desk.order(True, "0.01", "60010", "Ioc")
    tier = HYPERLIQUID_PERPS.tiers[2]
    assert desk.ask("userFees")["userCrossRate"] == "0.00035"
    assert desk.told("fills")[-1]["fee"] == f"{600_100_000 * int(tier.taker) // 10**9 / 1e6:.6f}"


def test_transfers_and_withdrawals_leave_the_margin_that_is_needed() -> None:
    desk = Desk(usdc=1_000)
    desk.order(True, "0.1", "60010", "Ioc")  # 6,000: a tenth has to stay
    assert desk.send_as_user("withdraw3", {"destination": desk.accounts[0].address, "amount": "500"})["response"] == (
        "Insufficient balance for withdrawal"
    )
    assert desk.send_as_user("withdraw3", {"destination": desk.accounts[0].address, "amount": "300"})["status"] == "ok"
    assert desk.ask("userNonFundingLedgerUpdates")[-1]["delta"]["usdc"] == "299.0"
    stranger = "0x" + "ab" * 20
    assert desk.send_as_user("usdSend", {"destination": stranger, "amount": "50"})["status"] == "ok"
    assert desk.loopback.participants[stranger].account.cash == 50 * USDC
    assert desk.send_as_user("usdSend", {"destination": "nobody", "amount": "5"})["response"] == "Invalid send"
    assert desk.send_as_user("usdSend", {"destination": stranger, "amount": "0.0000001"})["response"] == "Invalid send"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.booleans(),
            st.sampled_from(["0.01", "0.3", "0.8"]),
            st.sampled_from(["59900", "59990", "60010", "60100"]),
            st.sampled_from(["Gtc", "Ioc", "Alo"]),
            st.sampled_from([0, 1]),
        ),
        st.tuples(st.just("move"), st.integers(55_000, 65_000)),
        st.tuples(st.just("leverage"), st.booleans(), st.integers(1, 40), st.sampled_from([0, 1])),
        st.tuples(st.just("margin"), st.integers(-500, 500), st.sampled_from([0, 1])),
        st.tuples(st.just("funding")),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(STEPS)
def test_the_margin_account_agrees_with_what_the_matcher_booked(steps: list[tuple[object, ...]]) -> None:
    desk = Desk(usdc=2_000)
    for step in steps:
        if step[0] == "order":
            _, buy, size, price, tif, who = step
            desk.order(bool(buy), str(size), str(price), str(tif), who=int(str(who)))
        elif step[0] == "move":
            desk.move("BTC", int(str(step[1])))
        elif step[0] == "leverage":
            action = {"type": "updateLeverage", "asset": BTC, "isCross": step[1], "leverage": step[2]}
            desk.send(action, int(str(step[3])))
        elif step[0] == "margin":
            action = {"type": "updateIsolatedMargin", "asset": BTC, "isBuy": True, "ntli": int(str(step[1])) * USDC}
            desk.send(action, int(str(step[2])))
        else:
            desk.loopback.next_funding_ms = 1
            desk.block()
        marks = [state.live.prices.reference() for state in desk.loopback.states]
        for participant in desk.loopback.participants.values():
            margin = desk.loopback.rules.of(participant.account)
            assert int(margin.account_value()) == int(participant.account.equity(marks))
            for leg, holding in zip(margin.legs, participant.account.holdings, strict=True):
                assert int(leg.position.size) == int(holding.position.size)
    everybody = desk.loopback.exchange.floor.accounts
    for index in (BTC, ETH):
        assert sum(int(account.holdings[index].position.size) for account in everybody) == 0
