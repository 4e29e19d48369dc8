"""The official SDK's side of the live-path benchmark: its WebSocket, a callback, and its order call.

On a change of a coin's best bid it calls `Exchange.bulk_orders` with a post-only buy and sell at the best prices: what
our maker sends, as one action. Says `ready`, and ends after a line on standard input.
"""

import json
import os
import resource
import sys
from typing import Any

from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info

from benchmarks.live.exchange import LISTED, PRICES


def main() -> None:
    url, address = sys.argv[1:3]
    info = Info(url)
    exchange = Exchange(Account.from_key(os.environ["HAT_AGENT_KEY"]), url, account_address=address)
    last: dict[str, str] = {}
    sent = 0

    def on_bbo(message: Any) -> None:
        nonlocal sent
        data = message["data"]
        coin = data["coin"]
        bid, ask = data["bbo"]
        if last.get(coin, bid["px"]) != bid["px"]:
            size = round(200 / PRICES.get(coin, 100), 2) or 0.01
            exchange.bulk_orders(
                [
                    {"coin": coin, "is_buy": True, "sz": size, "limit_px": float(bid["px"]),
                     "order_type": {"limit": {"tif": "Alo"}}, "reduce_only": False},
                    {"coin": coin, "is_buy": False, "sz": size, "limit_px": float(ask["px"]),
                     "order_type": {"limit": {"tif": "Alo"}}, "reduce_only": False},
                ]
            )  # fmt: skip
            sent += 1
        last[coin] = bid["px"]

    for market in LISTED:
        info.subscribe({"type": "bbo", "coin": market.name}, on_bbo)
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"done": {"cpu_s": used.ru_utime + used.ru_stime, "orders_placed": sent}}), flush=True)
    info.disconnect_websocket()


if __name__ == "__main__":
    main()
