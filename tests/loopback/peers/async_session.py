"""async-hyperliquid at the loopback exchange: every step prints {"step", "answer"} or {"step", "failed"}."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from async_hyperliquid import AsyncHyperliquid
from async_hyperliquid.types.common import Cloid, Network, TimeInForce
from async_hyperliquid.types.exchange import CancelByCloid, CancelOrder

STAGE = json.loads(os.environ["STAGE"])
URLS = {"info_url": STAGE["url"] + "/info", "exchange_url": STAGE["url"] + "/exchange", "network": Network.TESTNET}
CLOID = Cloid.from_int(77)
ORDER: dict[str, Any] = {
    "coin": "BTC",
    "is_buy": True,
    "sz": 0.01,
    "px": 50_000,
    "is_market": False,
    "order_type": {"limit": {"tif": TimeInForce.GTC}},
}
POST_ONLY = {"limit": {"tif": TimeInForce.ALO}}


async def step(name: str, act: Callable[[], Awaitable[Any]]) -> Any:
    try:
        answer = await act()
    except Exception as error:  # noqa: BLE001 - the test tells what failed
        print(json.dumps({"step": name, "failed": f"{type(error).__name__}: {error}"}))
        return None
    print(json.dumps({"step": name, "answer": answer}, default=str))
    return answer


async def main() -> None:
    user, other = STAGE["address"], STAGE["other"]
    async with (
        AsyncHyperliquid(user, STAGE["agent_key"], **URLS) as agent,
        AsyncHyperliquid(user, STAGE["key"], **URLS) as master,
    ):
        info = agent.info
        for name in ("all_mids", "perp_meta", "perp_meta_and_contexts", "all_perp_metas", "perp_dexes"):
            await step(f"info {name}", getattr(info, name))
        for name in ("spot_meta", "spot_meta_and_contexts", "predicted_fundings", "perps_at_open_interest_cap"):
            await step(f"info {name}", getattr(info, name))
        for name in (
            "open_orders",
            "user_fills",
            "user_rate_limit",
            "extra_agents",
            "historical_orders",
            "twap_slice_fills",
            "sub_accounts",
            "vault_equities",
            "user_role",
            "portfolio",
            "referral",
            "user_fees",
            "delegations",
            "staking_summary",
            "user_dex_abstraction",
            "user_abstraction",
            "perp_account_state",
            "spot_account_state",
            "account_state",
            "positions",
        ):
            await step(f"info {name}", lambda name=name: getattr(info, name)(user))
        await step("info l2_book", lambda: info.l2_book("BTC"))
        await step("info active_asset_data", lambda: info.active_asset_data(user, "BTC"))
        placed = await step("resting", lambda: agent.place_limit_order({**ORDER, "cloid": CLOID}))
        oid = placed["response"]["data"]["statuses"][0]["resting"]["oid"]
        changed = {name: value for name, value in ORDER.items() if name != "is_market"}
        changed = {**changed, "px": 51_000, "oid": oid, "cloid": CLOID, "order_type": POST_ONLY}
        await step("modify", lambda: agent.modify_order(changed))
        await step("cancelByCloid", lambda: agent.cancel_by_cloid(CancelByCloid("BTC", CLOID)))
        await step("cancel of nothing", lambda: agent.cancel_order(CancelOrder("BTC", 5)))
        post_only = {**ORDER, "px": 60_010, "order_type": POST_ONLY}
        await step("post-only", lambda: agent.place_limit_order(post_only))
        await step("filled", lambda: agent.place_market_order({**ORDER, "px": 60_000, "is_market": True}))
        await step("closed", lambda: agent.close_position("BTC"))
        await step("updateLeverage", lambda: agent.update_leverage("ETH", 4, is_cross=False))
        await step("twapOrder", lambda: agent.place_twap("BTC", is_buy=True, size=0.02, minutes=5))
        await step("twapCancel", lambda: agent.cancel_twap("BTC", 1))
        await step("noop", agent.exchange.noop)
        await step("usdSend", lambda: master.exchange.usd_transfer(1, other))
        send = {"source_dex": "", "destination_dex": "spot"}
        await step("sendAsset", lambda: master.send_asset("USDC", 1, user, **send))
        await step("spotSend", lambda: master.spot_transfer("USDC", 1, other))


asyncio.run(main())
