"""ccxt, unmodified, trades at the loopback exchange: its blocking, its asynchronous and its streaming client."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from hatmanifesto.loopback.development import DevelopmentAccount
from loopback.running import PATIENCE_S, Stage, staged, threaded

SYMBOL = "BTC/USDC:USDC"


def options(stage: Stage, account: DevelopmentAccount | None, **more: Any) -> dict[str, Any]:
    api: dict[str, Any] = {"public": stage.url, "private": stage.url}
    if more.pop("stream", False):
        api["ws"] = {"public": stage.stream_url}
    made: dict[str, Any] = {"urls": {"api": api}, "enableRateLimit": False, **more}
    if account is not None:
        made |= {"walletAddress": account.address, "privateKey": account.key}
    return made


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with threaded() as stage:
        yield stage


@pytest.fixture(scope="module")
def client(stage: Stage) -> Any:
    made = ccxt.hyperliquid(options(stage, stage.accounts[0]))
    made.load_markets()
    return made


def test_blocking_client_reads_the_market(client: Any) -> None:
    market = client.market(SYMBOL)
    assert (market["swap"], market["precision"]["amount"]) == (True, 1e-05)
    assert client.fetch_order_book(SYMBOL)["bids"][0][0] == 59_990.0
    assert client.fetch_ticker(SYMBOL)["last"] == 60_000.0
    assert SYMBOL in client.fetch_funding_rates()
    assert client.fetch_time() > 0
    assert client.fetch_trading_fee(SYMBOL)["taker"] == 0.00045


def test_blocking_client_places_edits_and_cancels(client: Any) -> None:
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, 50_000, {"timeInForce": "Alo"})
    (order,) = client.fetch_open_orders(SYMBOL)
    assert (order["id"], order["price"], order["amount"]) == (placed["id"], 50_000.0, 0.01)
    edited = client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, 50_100)
    assert client.fetch_order(edited["id"])["status"] == "open"
    client.cancel_order(edited["id"], SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []
    assert client.fetch_order(edited["id"])["status"] == "canceled"


def test_blocking_client_understands_every_refusal(client: Any) -> None:
    with pytest.raises(ccxt.InvalidOrder, match="Post only order would have immediately matched"):
        client.create_order(SYMBOL, "limit", "buy", 0.01, 60_010, {"timeInForce": "Alo"})
    with pytest.raises(ccxt.InvalidOrder, match="minimum value"):
        client.create_order(SYMBOL, "limit", "buy", 0.0001, 50_000)
    with pytest.raises(ccxt.InsufficientFunds, match="Insufficient margin"):
        client.create_order(SYMBOL, "limit", "buy", 900, 50_000)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("1", SYMBOL)


def test_blocking_client_trades_and_reads_its_account(client: Any) -> None:
    assert client.fetch_balance({"type": "swap"})["USDC"]["total"] == 100_000.0
    client.create_order(SYMBOL, "limit", "buy", 0.01, 60_010, {"timeInForce": "Ioc"})
    (trade,) = client.fetch_my_trades(SYMBOL)
    assert (trade["price"], trade["amount"], trade["takerOrMaker"]) == (60_010.0, 0.01, "taker")
    assert trade["fee"]["cost"] == pytest.approx(0.270045 + float(trade["info"].get("builderFee", 0)))
    (position,) = client.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.01, 60_010.0)
    assert client.set_leverage(5, SYMBOL, {"marginMode": "cross"})["status"] == "ok"
    client.create_order(SYMBOL, "market", "sell", 0.01, 60_000, {"reduceOnly": True})
    assert client.fetch_positions([SYMBOL]) == []
    assert len(client.fetch_my_trades(SYMBOL)) == 2
    assert client.fetch_trades(SYMBOL)[-1]["price"] == 59_990.0
    assert client.fetch_ohlcv(SYMBOL, "1m")[-1][4] == 59_990.0
    assert client.fetch_funding_history(SYMBOL) == []
    assert client.cancel_all_orders_after(10_000)["status"] == "ok"


@asynccontextmanager
async def clients(stage: Stage, kind: Any, **more: Any) -> AsyncIterator[Any]:
    client = kind(options(stage, stage.accounts[1], **more))
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def test_asynchronous_client_trades_in_sandbox_mode() -> None:
    async def story() -> None:
        async with staged() as stage, asyncio.timeout(PATIENCE_S):
            client = ccxt.async_support.hyperliquid(options(stage, stage.accounts[1]))
            try:
                client.urls["test"] = client.urls["api"]
                client.set_sandbox_mode(True)  # signs for the testnet
                await client.load_markets()
                orders = await client.create_orders(
                    [
                        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": price}
                        for price in (50_000, 51_000)
                    ]
                )
                assert len({order["id"] for order in orders}) == 2
                await client.cancel_orders([order["id"] for order in orders], SYMBOL)
                assert await client.fetch_open_orders(SYMBOL) == []
                filled = await client.create_order(SYMBOL, "limit", "sell", 0.02, 59_000, {"timeInForce": "Ioc"})
                assert (filled["filled"], filled["average"]) == (0.02, 59_990.0)
                (position,) = await client.fetch_positions([SYMBOL])
                assert (position["side"], position["contracts"]) == ("short", 0.02)
            finally:
                await client.close()

    asyncio.run(story())


def test_streaming_client_watches_and_trades_over_its_socket() -> None:
    async def story() -> None:
        async with staged() as stage, clients(stage, ccxt.pro.hyperliquid, stream=True) as client:
            async with asyncio.timeout(PATIENCE_S):
                book = await client.watch_order_book(SYMBOL)
                assert book["asks"][0][0] == 60_010.0
                watching = [
                    asyncio.create_task(watch)
                    for watch in (
                        client.watch_trades(SYMBOL),
                        client.watch_my_trades(SYMBOL),
                        client.watch_orders(SYMBOL),
                        client.watch_ohlcv(SYMBOL, "1m"),
                    )
                ]
                wanted = ("trades", "userFills", "orderUpdates", "candle")
                while not {shown for shown in subscribed(stage)} >= set(wanted):
                    await asyncio.sleep(0.005)
                placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 60_010, {"timeInForce": "Ioc"})
                trades, mine, orders, candles = await asyncio.gather(*watching)
                assert trades[-1]["price"] == mine[-1]["price"] == 60_010.0
                assert mine[-1]["order"] == placed["id"]
                assert orders[-1]["id"] == placed["id"]
                assert candles[-1][4] == 60_010.0
                resting = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 50_000, {"timeInForce": "Alo"})
                await client.cancel_order_ws(resting["id"], SYMBOL)
                assert await client.fetch_open_orders(SYMBOL) == []

    asyncio.run(story())


def subscribed(stage: Stage) -> list[str]:
    return [
        subscription.kind for connection in stage.server.connections for subscription in connection.stream.held.values()
    ]
