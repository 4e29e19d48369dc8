"""A tiny exchange that speaks enough of Hyperliquid for the adapter's stories: two accounts, one book, no margin.

Signatures are recovered by the official SDK, so it does not share the adapter's mistakes. Faults: answers lost after
execution, requests lost before it, connections cut. The loopback exchange is the real thing; this one is only here so
that the adapter's tests depend on nothing but the adapter.
"""

import contextlib
import json
from typing import Any

from aiohttp import web
from hyperliquid.utils import signing as sdk

from venues.hyperliquid.server import Http, ScriptedVenue

META = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 40},
        {"name": "OLD", "szDecimals": 1, "maxLeverage": 5, "marginTableId": 5, "isDelisted": True},
        {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25},
    ],
    "marginTables": [],
    "collateralToken": 0,
}
COINS = {0: "BTC", 2: "ETH"}


class TinyExchange:
    """`agents` maps agent addresses to their accounts. `clock_ms` stamps everything."""

    def __init__(self, venue: ScriptedVenue, agents: dict[str, str], clock_ms: Any) -> None:
        self.venue = venue
        self.agents = agents
        self.clock_ms = clock_ms
        self.orders: dict[int, dict[str, Any]] = {}
        self.fills: dict[str, list[dict[str, Any]]] = {account: [] for account in agents.values()}
        self.positions: dict[str, dict[str, float]] = {account: {} for account in agents.values()}
        self.cash: dict[str, float] = dict.fromkeys(agents.values(), 100_000.0)
        self.nonces: set[tuple[str, int]] = set()
        self.subscribers: list[tuple[web.WebSocketResponse, dict[str, Any]]] = []
        self.news: list[tuple[str, str, Any]] = []
        self.oid = 1000
        self.tid = 5000
        self.lose_answers = 0
        self.lose_requests = 0
        self.last_time = 0
        venue.on_message = self.on_message
        venue.after_request = self.publish
        venue.http["/info"].append(self.info)
        venue.http["/exchange"].append(self.exchange)

    def time(self) -> int:
        self.last_time = max(self.last_time + 1, self.clock_ms())
        return self.last_time

    # -- the wire ---------------------------------------------------------------------------------

    async def on_message(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["method"] == "subscribe":
            wanted = message["subscription"]
            self.subscribers.append((socket, wanted))
            echo = {"method": "subscribe", "subscription": {"nSigFigs": None, **wanted}}
            await socket.send_json({"channel": "subscriptionResponse", "data": echo})
            if wanted["type"] == "l2Book":
                await socket.send_json(self.book(wanted["coin"]))
            elif wanted["type"] == "userFills":
                data = {"user": wanted["user"], "fills": self.fills[wanted["user"]][::-1], "isSnapshot": True}
                await socket.send_json({"channel": "userFills", "data": data})
        elif message["method"] == "post":
            request = message["request"]
            if request["type"] == "info":
                kind = request["payload"]["type"]
                payload: Any = {"type": kind, "data": self.info(request["payload"])}
            else:
                if self.lose_requests:
                    self.lose_requests -= 1
                    return
                payload = self.exchange(request["payload"])
                if self.lose_answers:
                    self.lose_answers -= 1
                    await self.publish()
                    return
            response = {"type": request["type"], "payload": payload}
            await socket.send_json({"channel": "post", "data": {"id": message["id"], "response": response}})
            await self.publish()

    async def publish(self) -> None:
        """Send what happened since the last time to those who asked for it."""
        news, self.news = self.news, []
        for socket, wanted in list(self.subscribers):
            if socket.closed or self.venue.silent:
                continue
            for kind, key, data in news:
                if wanted["type"] == kind and wanted.get("user", wanted.get("coin")) == key:
                    with contextlib.suppress(ConnectionResetError):  # cut a moment ago
                        await socket.send_json({"channel": kind, "data": data})

    async def tick(self) -> None:
        """Repeat every book, as the venue does twice a second."""
        for coin in COINS.values():
            self.news.append(("l2Book", coin, self.book(coin)["data"]))
        await self.publish()

    def book(self, coin: str) -> dict[str, Any]:
        sides: list[list[dict[str, Any]]] = []
        for side in ("B", "A"):
            levels: dict[float, float] = {}
            for order in self.resting(coin, side):
                levels[float(order["limitPx"])] = levels.get(float(order["limitPx"]), 0.0) + float(order["sz"])
            ranked = sorted(levels.items(), reverse=side == "B")[:5]
            sides.append([{"px": number(price), "sz": number(size), "n": 1} for price, size in ranked])
        return {"channel": "l2Book", "data": {"coin": coin, "time": self.time(), "levels": sides, "fast": True}}

    # -- queries ----------------------------------------------------------------------------------

    def info(self, request: dict[str, Any]) -> Any:
        user = str(request.get("user", "")).lower()
        match request["type"]:
            case "meta":
                return META
            case "allMids":
                return {"BTC": "60000.0", "ETH": "3000.05"}
            case "userRole":
                if user in self.agents:
                    return {"role": "agent", "data": {"user": self.agents[user]}}
                return {"role": "user" if user in self.cash else "missing"}
            case "userFees":
                return {"userCrossRate": "0.00045", "userAddRate": "0.00015", "activeReferralDiscount": "0.0"}
            case "userRateLimit":
                return {"cumVlm": "0.0", "nRequestsUsed": 3, "nRequestsCap": 10_000}
            case "frontendOpenOrders":
                return [order for order in self.orders.values() if order["user"] == user and order["status"] == "open"]
            case "orderStatus":
                for order in reversed(self.orders.values()):
                    if order["user"] == user and request["oid"] in (order["oid"], order["cloid"]):
                        record = {"order": order, "status": order["status"], "statusTimestamp": order["changed"]}
                        return {"status": "order", "order": record}
                return {"status": "unknownOid"}
            case "userFillsByTime":
                return [fill for fill in self.fills[user] if fill["time"] >= request["startTime"]]
            case "userFunding" | "userNonFundingLedgerUpdates":
                return []
            case "clearinghouseState":
                return self.state(user)
        return Http(422, "Failed to deserialize the JSON body into the target type")

    def state(self, user: str) -> dict[str, Any]:
        held = [
            {
                "type": "oneWay",
                "position": {
                    "coin": coin, "szi": number(size), "leverage": {"type": "cross", "value": 20}, "entryPx": "60000.0",
                    "positionValue": number(abs(size) * 60_000), "unrealizedPnl": "0.0", "returnOnEquity": "0.0",
                    "liquidationPx": None, "marginUsed": "0.0", "maxLeverage": 40,
                },
            }
            for coin, size in self.positions[user].items() if size
        ]  # fmt: skip
        value = number(self.cash[user])
        summary = {"accountValue": value, "totalNtlPos": "0.0", "totalRawUsd": value, "totalMarginUsed": "0.0"}
        return {
            "marginSummary": summary, "crossMarginSummary": summary, "withdrawable": value, "assetPositions": held,
            "time": self.time(),
        }  # fmt: skip

    # -- actions ----------------------------------------------------------------------------------

    def exchange(self, request: dict[str, Any]) -> Any:
        action, nonce = request["action"], request["nonce"]
        signer = sdk.recover_agent_or_user_from_l1_action(
            json.loads(json.dumps(action)),
            request["signature"],
            request.get("vaultAddress"),
            nonce,
            request.get("expiresAfter"),
            False,
        ).lower()
        if signer not in self.agents:
            return {"status": "err", "response": f"User or API Wallet {signer} does not exist."}
        if (signer, nonce) in self.nonces:
            return {"status": "err", "response": f"Invalid nonce: duplicate nonce {nonce}"}
        self.nonces.add((signer, nonce))
        if request.get("expiresAfter", 1 << 60) < self.clock_ms():
            return {"status": "err", "response": "Action already expired"}
        user = self.agents[signer]
        match action["type"]:
            case "order":
                statuses = [self.place(user, order) for order in action["orders"]]
                return {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
            case "cancelByCloid":
                ids = [(entry["asset"], entry["cloid"]) for entry in action["cancels"]]
            case "cancel":
                ids = [(entry["a"], entry["o"]) for entry in action["cancels"]]
            case "updateLeverage":
                if not 1 <= action["leverage"] <= 40:
                    return {"status": "err", "response": "Invalid leverage value"}
                return {"status": "ok", "response": {"type": "default"}}
            case "scheduleCancel":
                text = "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0."
                return {"status": "err", "response": text}
            case _:
                return {"status": "ok", "response": {"type": "default"}}
        statuses = [self.cancel(user, asset, key) for asset, key in ids]
        return {"status": "ok", "response": {"type": "cancel", "data": {"statuses": statuses}}}

    def place(self, user: str, wire: dict[str, Any]) -> Any:
        coin, side = COINS[wire["a"]], "B" if wire["b"] else "A"
        price, size, tif = float(wire["p"]), float(wire["s"]), wire["t"]["limit"]["tif"]
        self.oid += 1
        order = {
            "coin": coin, "side": side, "limitPx": number(price), "sz": number(size), "oid": self.oid,
            "timestamp": self.time(), "origSz": number(size), "cloid": wire.get("c"), "reduceOnly": wire["r"],
            "orderType": "Limit", "tif": tif, "isTrigger": False, "triggerPx": "0.0", "triggerCondition": "N/A",
            "isPositionTpsl": False, "children": [], "user": user, "status": "open", "changed": self.time(),
        }  # fmt: skip
        if price * size < 10:
            return self.refuse(order, "minTradeNtlRejected", "Order must have minimum value of $10.")
        held = self.positions[user].get(coin, 0.0)
        if wire["r"] and held * (1 if side == "B" else -1) >= 0:
            return self.refuse(order, "reduceOnlyRejected", "Reduce only order would increase position.")
        sign = 1 if side == "B" else -1
        crossing = [other for other in self.resting(coin, "A" if side == "B" else "B")
                    if (price - float(other["limitPx"])) * sign >= 0]  # fmt: skip
        if tif == "Alo" and crossing:
            text = f"Post only order would have immediately matched, bbo was {crossing[0]['limitPx']}"
            return self.refuse(order, "badAloPxRejected", text)
        if tif == "Ioc" and not crossing:
            text = "Order could not immediately match against any resting orders."
            return self.refuse(order, "iocCancelRejected", text)
        self.orders[self.oid] = order
        filled = 0.0
        for other in crossing:
            part = min(float(order["sz"]), float(other["sz"]))
            if part > 0:
                self.trade(order, other, part)
                filled += part
        if float(order["sz"]) > 0 and tif == "Ioc":
            self.change(order, "canceled")
        elif float(order["sz"]) > 0:
            self.change(order, "open")
        if filled:
            return {"filled": {"totalSz": number(filled), "avgPx": crossing[0]["limitPx"], "oid": order["oid"]}}
        return {"resting": {"oid": order["oid"]}}

    def refuse(self, order: dict[str, Any], status: str, text: str) -> dict[str, str]:
        self.orders[order["oid"]] = order
        self.change(order, status)
        return {"error": f"{text} asset=0"}

    def trade(self, taker: dict[str, Any], maker: dict[str, Any], size: float) -> None:
        self.tid += 1
        price = float(maker["limitPx"])
        moment = self.time()
        for order, crossed, rate in ((maker, False, 0.00015), (taker, True, 0.00045)):
            user, coin = order["user"], order["coin"]
            before = self.positions[user].get(coin, 0.0)
            fee = int(price * size * rate * 1e6) / 1e6
            self.positions[user][coin] = round(before + (size if order["side"] == "B" else -size), 8)
            self.cash[user] -= fee
            fill = {
                "coin": coin, "px": maker["limitPx"], "sz": number(size), "side": order["side"], "time": moment,
                "startPosition": number(before), "dir": "Open Long", "closedPnl": "0.0", "hash": "0x" + "0" * 64,
                "oid": order["oid"], "crossed": crossed, "fee": number(fee), "tid": self.tid, "feeToken": "USDC",
                "cloid": order["cloid"], "twapId": None,
            }  # fmt: skip
            self.fills[user].append(fill)
            self.news.append(("userFills", user, {"user": user, "fills": [fill]}))
            order["sz"] = number(round(float(order["sz"]) - size, 8))
            if float(order["sz"]) == 0:
                self.change(order, "filled")
        print_ = {"coin": coin, "side": taker["side"], "px": maker["limitPx"], "sz": number(size), "time": moment}
        self.news.append(("trades", coin, [{**print_, "hash": "0x0", "tid": self.tid}]))

    def cancel(self, user: str, asset: int, key: int | str) -> Any:
        for order in self.orders.values():
            if order["user"] == user and key in (order["oid"], order["cloid"]) and order["status"] == "open":
                self.change(order, "canceled")
                return "success"
        return {"error": f"Order was never placed, already canceled, or filled. asset={asset}"}

    def change(self, order: dict[str, Any], status: str) -> None:
        order["status"], order["changed"] = status, self.time()
        basic = {key: order[key] for key in ("coin", "side", "limitPx", "sz", "oid", "timestamp", "origSz", "cloid")}
        update = [{"order": basic, "status": status, "statusTimestamp": order["changed"]}]
        self.news.append(("orderUpdates", order["user"], update))
        self.news.append(("l2Book", order["coin"], self.book(order["coin"])["data"]))

    def resting(self, coin: str, side: str) -> list[dict[str, Any]]:
        found = [o for o in self.orders.values() if o["coin"] == coin and o["side"] == side and o["status"] == "open"]
        return sorted(found, key=lambda order: float(order["limitPx"]), reverse=side == "B")


def number(value: float) -> str:
    """Print a number as the venue does."""
    text = f"{value:.8f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
