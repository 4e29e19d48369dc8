"""The loopback exchange's answers have the fields and types of the venue's recorded ones, field by field."""

import gzip
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import eth_account
import pytest
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

from loopback.clients import connected
from loopback.desk import Desk
from loopback.running import Stage, play, threaded, wait_for
from loopback.shapes import differences, shape

CLOID = Cloid.from_int(0xC101D)
RECORDINGS = ("info_api_20260601T2105.json.gz", "info_api_20260602T1831.json.gz")
OPTIONAL = frozenset(
    {
        "cloid",  # of fills: only of orders that have one
        "isDelisted",
        "marginMode",
        "onlyIsolated",
        "growthMode",
        "lastGrowthModeChangeTime",
        "tokenToAvailableAfterMaintenance",  # of spot wallets: only of unified accounts
    }
)
SINCE = {
    # fields that the venue has had since the older recordings were made
    "meta": ("marginTableId", "marginTables", "collateralToken"),
    "frontendOpenOrders": ("cloid",),
    "openOrders": ("origSz", "reduceOnly"),
    "userFills": ("feeToken", "tid", "twapId"),
    "userFillsByTime": ("feeToken", "tid", "twapId"),
    "clearinghouseState": ("cumFunding", "maxLeverage", "crossMaintenanceMarginUsed", "time", "rawUsd", "maxTradeSzs"),
    "userRateLimit": ("nRequestsSurplus",),
}
ELSEWHERE = {"delegatorHistory", "userVaultEquities"}
"""Recorded, but not of trading perpetuals: not answered, or with an empty list."""
BUNDLED = {
    # shapes of the official SDK's recorded answers (MIT, tests/cassettes), for when the recordings are not here
    "candleSnapshot": [{**dict.fromkeys("tTn", 0), **dict.fromkeys("si", ""), **dict.fromkeys("ochlv", "0.0")}],
    "fundingHistory": [{"coin": "", "fundingRate": "0.0", "premium": "0.0", "time": 0}],
    "l2Book": {"coin": "", "time": 0, "levels": [[{"px": "0.0", "sz": "0.0", "n": 0}]]},
    "extraAgents": [{"name": "", "address": "0x" + "0" * 40, "validUntil": 0}],
    "userFunding": [
        {
            "time": 0,
            "hash": "0x" + "0" * 64,
            "delta": {"type": "", "coin": "", "usdc": "0.0", "szi": "0.0", "fundingRate": "0.0", "nSamples": 0},
        }
    ],
    "historicalOrders": [
        {
            "order": {
                "coin": "",
                "side": "",
                "limitPx": "0.0",
                "sz": "0.0",
                "oid": 0,
                "timestamp": 0,
                "triggerCondition": "",
                "isTrigger": False,
                "triggerPx": "0.0",
                "children": [],
                "isPositionTpsl": False,
                "reduceOnly": False,
                "orderType": "",
                "origSz": "0.0",
                "tif": "",
                "cloid": None,
            },
            "status": "",
            "statusTimestamp": 0,
        }
    ],
    "portfolio": [["day", {"accountValueHistory": [[0, "0.0"]], "pnlHistory": [[0, "0.0"]], "vlm": "0.0"}]],
    "userRateLimit": {"cumVlm": "0.0", "nRequestsUsed": 0, "nRequestsCap": 0, "nRequestsSurplus": 0},
    "userRole": {"role": ""},
    "userTwapSliceFills": [],
}


class Lived:
    """An exchange at which an account has done a bit of everything, and questions about it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.account = stage.accounts[0]
        self.info = Info(stage.url, skip_ws=True)

    def live(self) -> None:
        account, stage = self.account, self.stage
        trader = Exchange(eth_account.Account.from_key(account.agent_key), stage.url, account_address=account.address)
        master = Exchange(eth_account.Account.from_key(account.key), stage.url)
        trader.order("BTC", True, 0.02, 60_010, {"limit": {"tif": "Ioc"}}, cloid=CLOID)
        trader.order("ETH", False, 1.0, 2_999, {"limit": {"tif": "Gtc"}})
        trader.order("BTC", True, 0.01, 50_000, {"limit": {"tif": "Alo"}})
        trader.order("BTC", True, 0.01, 60_010, {"limit": {"tif": "Alo"}})  # refused
        trader.order("BTC", True, 0.01, 49_000, {"limit": {"tif": "Ioc"}})  # matches nothing
        stop: Any = {"trigger": {"triggerPx": 59_000, "isMarket": True, "tpsl": "sl"}}
        trader.order("BTC", False, 0.02, 55_000, stop, reduce_only=True)
        family: list[Any] = [
            {"coin": "ETH", "is_buy": True, "sz": 1.0, "limit_px": 2_000, "order_type": {"limit": {"tif": "Gtc"}}},
            *(
                {
                    "coin": "ETH",
                    "is_buy": False,
                    "sz": 1.0,
                    "limit_px": price,
                    "order_type": {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": kind}},
                    "reduce_only": True,
                }
                for price, kind in ((1_900, "sl"), (2_100, "tp"))
            ),
        ]
        for order in family:
            order.setdefault("reduce_only", False)
        trader.bulk_orders(family, grouping="normalTpsl")
        master.create_sub_account("desk")
        master.usd_transfer(10.0, stage.accounts[1].address)
        stage.inside(lambda: setattr(stage.loopback, "next_funding_ms", 1))
        wait_for(lambda: self.ask("userFunding"))

    def ask(self, kind: str, **more: Any) -> Any:
        coin = {"l2Book", "fundingHistory", "recentTrades", "activeAssetData"}
        extra: dict[str, Any] = {"coin": "BTC"} if kind in coin else {}
        if kind == "candleSnapshot":
            extra = {"req": {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": int(time.time() * 1000)}}
        return self.info.post("/info", {"type": kind, "user": self.account.address, "startTime": 0, **extra, **more})


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    with threaded() as stage:
        lived = Lived(stage)
        lived.live()
        yield lived


def questions() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return which of our questions each call of the June 2026 recordings asks."""
    return {
        "info.meta": ("meta", {}),
        "info.meta_and_asset_ctxs": ("metaAndAssetCtxs", {}),
        "info.l2_snapshot[BTC]": ("l2Book", {}),
        "info.candles_snapshot[BTC]": ("candleSnapshot", {}),
        "info.user_role[account]": ("userRole", {}),
        "info.user_role[signer]": ("userRole", {"user": "agent"}),
        "info.extra_agents[account]": ("extraAgents", {}),
        "info.user_state[account]": ("clearinghouseState", {}),
        "info.open_orders[account]": ("openOrders", {}),
        "info.frontend_open_orders[account]": ("frontendOpenOrders", {}),
        "info.user_fills[account]": ("userFills", {}),
        "info.user_fills_by_time[account]": ("userFillsByTime", {}),
        "info.historical_orders[account]": ("historicalOrders", {}),
        "info.user_fees[account]": ("userFees", {}),
        "info.user_rate_limit[account]": ("userRateLimit", {}),
        "info.portfolio[account]": ("portfolio", {}),
        "info.user_funding_history[account]": ("userFunding", {}),
        "info.query_order_by_cloid": ("orderStatus", {"oid": CLOID.to_raw()}),
        "info.spot_user_state[account]": ("spotClearinghouseState", {}),
        "info.query_order_by_oid": ("orderStatus", {"oid": CLOID.to_raw()}),
        "info.all_mids": ("allMids", {}),
        "info.perp_dexs": ("perpDexs", {}),
        "info.spot_meta": ("spotMeta", {}),
        "info.spot_meta_and_asset_ctxs": ("spotMetaAndAssetCtxs", {}),
    }


@pytest.mark.parametrize("recording", RECORDINGS)
def test_answers_have_the_fields_of_answers_recorded_in_june_2026(
    lived: Lived, shared_dir: Path, recording: str
) -> None:
    file = shared_dir / "data" / "hyperliquid" / "api_fixtures" / recording
    calls = json.loads(gzip.decompress(file.read_bytes()))["calls"]
    compared, found = 0, []
    for name, call in calls.items():
        asked = questions().get(name) or questions().get(name.partition("[")[0])
        if asked is None or call["response"] == {"status": "unknownOid"}:
            continue
        kind, more = asked
        if more.get("user") == "agent":
            more = {"user": eth_account.Account.from_key(lived.account.agent_key).address}
        compared += 1
        ours, theirs = lived.ask(kind, **more), call["response"]
        if kind == "allMids":
            ours, theirs = mids(ours), mids(theirs)
        elif kind == "perpDexs":  # ours is the first one alone, which the venue shows as null
            assert ours[0] is theirs[0] is None
            continue
        found += differences(shape(ours), shape(theirs), name, OPTIONAL)
    assert found == []
    assert compared >= 22


def test_answers_have_the_fields_of_the_official_sdks_recorded_answers(lived: Lived, shared_dir: Path) -> None:
    file = shared_dir / "data" / "hyperliquid" / "api_fixtures" / "python_sdk_cassettes.jsonl.gz"
    compared, found = set(), []
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        recorded = json.loads(line)
        kind = recorded["request"]["type"]
        if kind in ELSEWHERE:
            continue
        ours, theirs = shape(lived.ask(kind)), shape(recorded["response"])
        if kind == "allMids":
            ours, theirs = shape(mids(lived.ask(kind), spot=False)), shape(mids(recorded["response"], spot=False))
        if kind == "userNonFundingLedgerUpdates":
            ours, theirs = deposits(lived.ask(kind)), deposits(recorded["response"])
        compared.add(kind)
        found += differences(ours, theirs, kind, OPTIONAL | frozenset(SINCE.get(kind, ())))
    assert found == []
    assert len(compared) >= 18


def mids(found: dict[str, Any], *, spot: bool = True) -> dict[str, Any]:
    """Return the prices of what both have: other names come and go with what is listed."""
    return {name: found[name] for name in ("BTC", "ETH", "PURR/USDC") if spot or "/" not in name}


def deposits(updates: list[Any]) -> Any:
    """Return the shape of a ledger's deposits, the one kind of update that both have."""
    return shape([update for update in updates if update["delta"]["type"] == "deposit"])


def test_answers_have_the_fields_of_the_bundled_shapes(lived: Lived) -> None:
    for kind, recorded in BUNDLED.items():
        theirs = shape(recorded)
        assert differences(shape(lived.ask(kind)), theirs, kind, OPTIONAL) == []


def test_streams_have_the_fields_of_recorded_messages(lived: Lived, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "hyperliquid" / "api_fixtures"
    contexts = json.loads(gzip.decompress((folder / "nautilus_ws_all_dexs_asset_ctxs.json.gz").read_bytes()))
    ours = lived.ask("metaAndAssetCtxs")[1]
    assert differences(shape(ours), shape(contexts["data"]["ctxs"][0][1]), "allDexsAssetCtxs") == []
    fills = json.loads((folder / "nautilus_http_user_fills_with_cloid.json").read_text())
    own = [fill for fill in lived.ask("userFills") if "cloid" in fill]
    assert differences(shape(own), shape(fills), "userFills") == []
    told = json.loads((folder / "nautilus_ws_user_fill_liquidation.json").read_text())["data"]["fills"]
    assert differences(shape(own), shape(told), "user", frozenset({"liquidation"})) == []


STREAMS = ("BookTicker", "Klines", "Order", "OrderBook", "Prices", "Trades", "UserEventTrade")


def recorded_streams(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Return subscriptions that another client's tests recorded: the request, its echo, and a message."""
    with zipfile.ZipFile(folder / "jkorf_hyperliquid_net_unittest_pairs.zip") as archive:
        for name in STREAMS:
            text = archive.read(f"Subscriptions/{name}.txt").decode()
            asked, _, rest = text.removeprefix("\ufeff").removeprefix(">").partition("\n<")
            echoed, _, told = rest.partition("\n=")
            scrubbed = told.replace('"0x01"', f'"0x{0:064x}"')
            yield json.loads(asked), json.loads(echoed), json.loads(scrubbed)


def test_streams_and_echoes_have_the_fields_that_another_client_recorded(shared_dir: Path) -> None:
    async def story(stage: Stage) -> None:
        account = stage.accounts[0]
        body = Desk().body(taking_order(), account.agent_key, nonce=stage.loopback.now_ms)
        async with connected(stage) as client:
            wanted = []
            for asked, echoed, told in recorded_streams(shared_dir / "data" / "hyperliquid" / "api_fixtures"):
                for subscription in (asked["subscription"], echoed["data"]["subscription"]):
                    for name, own in (("coin", "BTC"), ("user", account.address)):
                        if name in subscription:
                            subscription[name] = own
                await client.send(asked)
                wanted.append((echoed, told))
            await client.until(lambda: len(client.on("subscriptionResponse")) == len(STREAMS))
            assert client.on("subscriptionResponse") == [echoed["data"] for echoed, _ in wanted]
            await client.send({"method": "post", "id": 1, "request": {"type": "action", "payload": body}})
            await client.until(
                lambda: {told["channel"] for _, told in wanted} <= {each["channel"] for each in client.heard}
            )
            for _, told in wanted:
                ours = client.on(told["channel"])[-1]
                theirs = told["data"]
                if "mids" in theirs:
                    ours, theirs = ({"mids": sorted(found["mids"].values())} for found in (ours, theirs))
                assert differences(shape(ours), shape(theirs), told["channel"], OPTIONAL) == []

    play(story)


def taking_order() -> dict[str, Any]:
    order = {"a": 0, "b": True, "p": "60010", "s": "0.01", "r": False, "t": {"limit": {"tif": "Ioc"}}}
    return {"type": "order", "orders": [order], "grouping": "na"}


def test_a_difference_is_found() -> None:
    recorded = shape([{"px": "1.0", "n": 1, "at": [1, "2.0"], "kind": ["BTC", {"x": True}]}])
    assert differences(recorded, recorded, "") == []
    changed = [
        ({"px": 1.0, "n": 1, "at": [1, "2.0"], "kind": ["BTC", {"x": True}]}, "[].px"),
        ({"px": "1", "n": 1, "at": [1, "2.0"], "kind": ["BTC", {"x": True}]}, "[].px"),
        ({"n": 1, "at": [1, "2.0"], "kind": ["BTC", {"x": True}]}, "[].px"),
        ({"px": "1.0", "n": 1, "at": ["2.0", 1], "kind": ["BTC", {"x": True}]}, "[].at[0]"),
        ({"px": "1.0", "n": 1, "at": [1, "2.0"], "kind": ["BTC", {"x": 1}]}, "[].kind[1].x"),
    ]
    for value, place in changed:
        assert any(text.startswith(place) for text in differences(shape([value]), recorded, ""))
