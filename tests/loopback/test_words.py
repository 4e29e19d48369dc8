"""Each refusal of the venue that an account can meet here, with the shortest way to it, verbatim.

Not to be met: what builder-deployed, outcome and spot markets, vaults, staking and unified accounts alone say, and the
limits of unpublished width (distance from the oracle, growth of open interest).
"""

from collections.abc import Callable
from typing import Any

import pytest

from hatmanifesto.loopback.budget import FIRST_REQUESTS
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from loopback.desk import BTC, ETH, Desk

NEW_KEY = "0x" + "5b" * 32
NEW = PrivateKey.parse(NEW_KEY).address
NOBODY = "0x" + "0" * 40
Story = Callable[[Desk], Any]


def order(buy: bool, size: str, price: str, tif: str = "Gtc", **more: Any) -> Story:
    return lambda desk: desk.order(buy, size, price, tif, **more)


def long_first(story: Story) -> Story:
    """Buy 0.01 BTC before the story."""

    def told(desk: Desk) -> Any:
        desk.order(True, "0.01", "60010", "Ioc")
        return story(desk)

    return told


def isolated(story: Story, leverage: int = 10) -> Story:
    """Make BTC isolated and buy 0.01 before the story."""

    def told(desk: Desk) -> Any:
        desk.send({"type": "updateLeverage", "asset": BTC, "isCross": False, "leverage": leverage})
        return long_first(story)(desk)

    return told


def send(action: dict[str, Any], **more: Any) -> Story:
    return lambda desk: desk.send(action, **more)


def as_user(kind: str, **fields: Any) -> Story:
    return lambda desk: desk.send_as_user(kind, fields)


def trigger(price: str, kind: str, *, market: bool = True) -> dict[str, Any]:
    return {"trigger": {"isMarket": market, "triggerPx": price, "tpsl": kind}}


def wire(price: str = "50000", **changes: Any) -> dict[str, Any]:
    return {"a": BTC, "b": True, "p": price, "s": "0.01", "r": False, "t": {"limit": {"tif": "Alo"}}, **changes}


def orders(*wires: dict[str, Any], grouping: Any = "na", **more: Any) -> Story:
    return send({"type": "order", "orders": list(wires), "grouping": grouping, **more})


def leverage(value: int, *, cross: bool = True, asset: int = BTC) -> Story:
    return send({"type": "updateLeverage", "asset": asset, "isCross": cross, "leverage": value})


def margin(amount: int) -> Story:
    return send({"type": "updateIsolatedMargin", "asset": BTC, "isBuy": True, "ntli": amount})


def capped(story: Story) -> Story:
    """Let open interest be at its cap before the story."""

    def told(desk: Desk) -> Any:
        desk.order(True, "0.01", "60010", "Ioc", who=1)
        desk.loopback.exchange.markets[BTC].prices.open_interest_cap = 1
        return story(desk)

    return told


def moved(desk: Desk) -> None:
    """Let mark and oracle rise above the best offer."""
    desk.move("BTC", 60_020, quoting=False)


def nobody_quotes(desk: Desk) -> Any:
    desk.market.quoting = False
    market = desk.loopback.exchange
    market.cancel_all(market.account(desk.market.house), "canceled")
    return desk.order(True, "0.01", "60010", "FrontendMarket")


def modify(desk: Desk, tif: str, price: str) -> Any:
    oid = desk.order(True, "0.01", "50000", "Alo")["resting"]["oid"]
    return desk.send({"type": "modify", "oid": oid, "order": wire(price, t={"limit": {"tif": tif}})})


def a_thousand_orders(desk: Desk) -> Any:
    for _ in range(50):
        desk.send({"type": "order", "orders": [wire("20000", s="0.001")] * 20, "grouping": "na"})
    return desk.order(True, "0.001", "20000", "Alo")


def agent(name: str, address: str = NEW) -> Story:
    return as_user("approveAgent", agentAddress=address, agentName=name)


def after(*stories: Story) -> Story:
    """Tell stories one after the other; the last one's answer counts."""
    return lambda desk: [story(desk) for story in stories][-1]


def changed_signature(desk: Desk) -> Any:
    body = desk.body({"type": "noop"}, desk.accounts[0].agent_key)
    body["signature"]["r"] = "0x" + "f" * 64
    return desk.submit(body)


def twice(desk: Desk) -> Any:
    desk.send({"type": "noop"}, nonce=desk.now_ms)
    return desk.send({"type": "noop"}, nonce=desk.now_ms)


def beyond_the_budget(desk: Desk) -> Any:
    desk.participant().requests = FIRST_REQUESTS
    desk.send({"type": "noop"})
    return desk.send({"type": "noop"})


def post_only_period(desk: Desk) -> Any:
    desk.loopback.allow_only_post_only()
    return desk.order(True, "0.01", "50000")


def in_profit(story: Story) -> Story:
    """Move everything that is free out of the account before the story, with a position open."""

    def told(desk: Desk) -> Any:
        desk.order(True, "0.1", "60010", "Ioc")
        free = float(desk.ask("clearinghouseState")["withdrawable"])
        desk.send_as_user("usdClassTransfer", {"amount": f"{free - 1:.2f}", "toPerp": False})
        return story(desk)

    return told


STOP = {"b": False, "r": True, "t": trigger("58000", "sl")}
WORDS: list[tuple[str, Story]] = [
    # of one order
    ("Price must be divisible by tick size. asset=0", order(True, "0.01", "50000.5")),
    ("Price must be divisible by tick size. asset=1", order(True, "1", "2000.05", coin=ETH)),
    ("Order must have minimum value of $10. asset=0", order(True, "0.0001", "60000")),
    ("Insufficient margin to place order. asset=0", order(True, "40", "59000")),
    ("Reduce only order would increase position. asset=0", order(True, "0.01", "59000", r=True)),
    ("Reduce only order would increase position. asset=0", long_first(order(True, "0.01", "59000", r=True))),
    (
        "Post only order would have immediately matched, bbo was 59990@60010. asset=0",
        order(True, "0.01", "60010", "Alo"),
    ),
    ("Order could not immediately match against any resting orders. asset=0", order(True, "0.01", "60000", "Ioc")),
    ("Invalid TP/SL price. asset=0", long_first(orders(wire("55000", **{**STOP, "t": trigger("61000", "sl")})))),
    ("No liquidity available for market order. asset=0", nobody_quotes),
    (
        "Order would increase open interest while open interest is capped asset=0",
        capped(after(moved, order(True, "0.01", "60010", "Ioc", who=2))),
    ),
    (
        "Order rejected due to price more aggressive than oracle while at open interest cap asset=0",
        capped(order(True, "0.01", "60005", "Alo", who=2)),
    ),
    ("Insufficient spot balance asset=10000", order(True, "100", "0.2", coin=10_000)),
    (
        "Order would cause position to exceed margin tier limit at current leverage asset=0",
        after(
            leverage(40),
            lambda desk: desk.loopback.fund(desk.accounts[0].address, 10**14),
            order(True, "2600", "59000"),
        ),
    ),
    ("Only post-only orders allowed immediately after network upgrade asset=0", post_only_period),
    (
        "Order was never placed, already canceled, or filled. asset=0",
        send({"type": "cancel", "cancels": [{"a": 0, "o": 1}]}),
    ),
    (
        "Order was never placed, already canceled, or filled. asset=1",
        send({"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": "0x" + "1" * 32}]}),
    ),
    ("Too many open orders: 1000 of 1000. asset=0", a_thousand_orders),
    # of a whole batch
    ("Order price cannot be more than 95% away from the reference price", order(True, "0.01", "2000")),
    ("Order has invalid price.", order(True, "0.01", "0")),
    ("Order has invalid size.", order(True, "0.0000001", "50000")),
    ("Order has zero size.", order(True, "0", "50000")),
    ("Orders are empty.", orders()),
    ("Unexpected number of trigger orders", orders(wire("55000", **STOP), wire(), grouping="normalTpsl")),
    ("Unexpected number of trigger orders", orders(wire(), grouping="positionTpsl")),
    ("Reduce-only is invalid for spot trading.", order(True, "100", "0.2", coin=10_000, r=True)),
    ("Builder fee has not been approved", orders(wire(), builder={"b": NEW, "f": 10})),
    # of a modify
    ("Cannot modify canceled or filled order", send({"type": "modify", "oid": 7, "order": wire()})),
    (
        "Error placing new order during modify: Post only order would have immediately matched, "
        "bbo was 59990@60010. asset=0",
        lambda desk: modify(desk, "Alo", "60010"),
    ),
    # of a TWAP
    (
        "Invalid TWAP duration: 1 min(s)",
        send({"type": "twapOrder", "twap": {"a": 0, "b": True, "s": "1", "r": False, "m": 1, "t": False}}),
    ),
    (
        "Reduce-only TWAP order would increase position.",
        send({"type": "twapOrder", "twap": {"a": 0, "b": True, "s": "1", "r": True, "m": 5, "t": False}}),
    ),
    (
        "TWAP order value too small. Min is $100.",
        send({"type": "twapOrder", "twap": {"a": 0, "b": True, "s": "0.001", "r": False, "m": 5, "t": False}}),
    ),
    ("TWAP was never placed, already canceled, or filled.", send({"type": "twapCancel", "a": 0, "t": 1})),
    # of a signer
    (f"User or API Wallet {NEW} does not exist.", send({"type": "noop"}, key=NEW_KEY)),
    ("Unable to recover signer.", changed_signature),
    ("Invalid nonce: duplicate nonce 1780272000200", twice),
    ("Action already expired", lambda desk: desk.send({"type": "noop"}, expires=desk.now_ms - 1)),
    (
        "Too many cumulative requests sent (10002 > 10000) for cumulative volume traded $0. "
        "Place taker orders to free up 1 request per USDC traded.",
        beyond_the_budget,
    ),
    (f"Vault not registered: {NEW}", send({"type": "noop"}, vault=NEW)),
    # of leverage and margin
    ("Invalid leverage value", leverage(0)),
    ("Invalid leverage value", leverage(41)),
    ("Cannot switch leverage type with open position.", long_first(leverage(10, cross=False))),
    (
        "Cross position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, deposit more collateral.",
        in_profit(leverage(2)),
    ),
    (
        "Isolated position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, add margin to the position.",
        isolated(leverage(2, cross=False)),
    ),
    ("Position does not use isolated margin.", long_first(margin(1_000_000))),
    ("Update to isolated margin cannot be zero.", isolated(margin(0))),
    ("Cannot update margin for empty position.", margin(1_000_000)),
    ("Account does not have sufficient margin available for increase.", isolated(margin(10**12))),
    ("Position does not have sufficient margin for reduction.", isolated(margin(-50_000_000))),
    # of money
    ("Insufficient balance for withdrawal", as_user("withdraw3", destination=NEW, amount="1000000")),
    ("Insufficient balance for token transfer", as_user("usdClassTransfer", amount="1", toPerp=True)),
    ("Invalid send", as_user("usdSend", destination=NEW, amount="0.0000001")),
    (
        f"Invalid sub-account transfer from {Desk().accounts[0].address} to {NEW}",
        send({"type": "subAccountTransfer", "subAccountUser": NEW, "isDeposit": True, "usd": 1}),
    ),
    (f"Vault not registered: {NEW}", send({"type": "vaultTransfer", "vaultAddress": NEW, "isDeposit": True, "usd": 1})),
    # of agents
    ("Agent valid_until already expired.", agent("late valid_until 1")),
    ("Agent valid_until already expired.", lambda desk: agent(f"x valid_until {desk.now_ms + 181 * 86_400_000}")(desk)),
    (
        "Too many extra agents for cumulative volume traded. Current limit is 3",
        after(agent("third", "0x" + "1" * 40), agent("fourth", "0x" + "2" * 40)),
    ),
    ("Extra agent already used.", after(agent("third"), agent("third"))),
    ("User has pending agent removal", after(agent("third"), agent("third", NOBODY), agent("third", "0x" + "1" * 40))),
    (
        f"Must deposit before performing actions. User: {Desk().accounts[0].address}",
        after(agent("third"), agent("third", "0x" + "1" * 40), send({"type": "noop"}, key=NEW_KEY)),
    ),
    (
        f"User or API Wallet {NEW} does not exist.",
        after(agent("third"), agent("third", NOBODY), send({"type": "noop"}, key=NEW_KEY)),
    ),
]
STRICT: list[tuple[str, Story]] = [
    (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0.",
        send({"type": "scheduleCancel"}),
    ),
    (
        "Cannot create sub-accounts until enough volume traded. Required: $100000. Traded: $0.",
        send({"type": "createSubAccount", "name": "desk"}),
    ),
    ("Insufficient delegatable balance for priority order", orders(wire(), grouping={"p": 100})),
]


def words_of(answer: Any) -> Any:
    """Return what an answer says is wrong, wherever the protocol puts it."""
    if isinstance(answer, dict) and answer.get("status") == "ok":
        data = answer["response"]["data"]
        answer = data["statuses"][0] if "statuses" in data else data["status"]
    if isinstance(answer, dict):
        return answer["error"] if "error" in answer else answer["response"]
    return answer


@pytest.mark.parametrize(("words", "story"), WORDS, ids=[words[:50] for words, _ in WORDS])
def test_a_refusal_has_the_venues_words(words: str, story: Story) -> None:
    assert words_of(story(Desk())) == words


@pytest.mark.parametrize(("words", "story"), STRICT, ids=[words[:50] for words, _ in STRICT])
def test_a_small_account_is_refused_what_only_large_ones_may(words: str, story: Story) -> None:
    assert words_of(story(Desk(strict=True))) == words
    assert story(Desk())["status"] == "ok"
