"""`--market mirror`: one loopback exchange follows another one as it would follow the real venue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from hatmanifesto.errors import UserError
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.markets import book
from hatmanifesto.loopback.markets import MARKETS, Market
from hatmanifesto.loopback.mirror import Mirror
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest
from hatmanifesto.venues.hyperliquid.feed.market import FeedSettings
from hatmanifesto.venues.hyperliquid.transport.stream import StreamSettings
from loopback.running import Stage, staged, until

COINS = ("BTC", "ETH")


@asynccontextmanager
async def following(venue: Stage) -> AsyncIterator[tuple[Loopback, Mirror]]:
    """Follow a venue block by block, on this loop."""
    loopback = Loopback([MARKETS[coin] for coin in COINS])
    mirror = await Mirror.open(
        loopback,
        venue.url,
        feed=FeedSettings(stale_after=2.0),
        stream=StreamSettings(first_delay=0.01, longest_delay=0.05, steady_after=0.0),
    )

    async def blocks() -> None:
        while True:
            now_ms = max(loopback.now_ms + 1, venue.loopback.now_ms)
            mirror.step(now_ms)
            loopback.advance(now_ms)
            await asyncio.sleep(0.005)

    running = asyncio.create_task(blocks())
    try:
        yield loopback, mirror
    finally:
        running.cancel()
        await asyncio.wait({running})
        await mirror.close()


def prices(loopback: Loopback, coin: str = "BTC") -> list[list[tuple[str, str]]]:
    """Return price and size of every level."""
    shown = book(loopback, coin)
    assert shown is not None
    return [[(level["px"], level["sz"]) for level in side] for side in shown["levels"]]


def marks(loopback: Loopback) -> list[int]:
    return [int(state.live.prices.mark) for state in loopback.states]


def test_book_prints_and_prices_of_the_venue_are_shown_here() -> None:
    async def story() -> None:
        async with staged() as venue, following(venue) as (loopback, _):
            await until(lambda: prices(loopback) == prices(venue.loopback))
            await until(lambda: prices(loopback, "ETH") == prices(venue.loopback, "ETH"))
            await until(lambda: marks(loopback) == marks(venue.loopback))
            taker = venue.loopback.exchange.open_account("taker", 10**12)
            ask = int(venue.loopback.exchange.markets[0].book.asks.best_price())
            venue.loopback.exchange.submit(taker, Place([OrderRequest(0, 1, ask, 1_000)]))
            await until(lambda: loopback.states[0].trades)
            print_here, print_there = loopback.states[0].trades[0], venue.loopback.states[0].trades[-1]
            assert {key: print_here[key] for key in ("coin", "side", "px", "sz")} == {
                key: print_there[key] for key in ("coin", "side", "px", "sz")
            }
            venue.market.prices["BTC"] = 61_000
            await until(lambda: marks(loopback) == [610_000, 300_000])

    uvloop.run(story())


def test_nothing_is_quoted_while_the_venue_is_away_and_the_book_is_back_after_it() -> None:
    async def story() -> None:
        async with staged() as venue, following(venue) as (loopback, mirror):
            await until(lambda: prices(loopback) == prices(venue.loopback))
            for connection in list(venue.server.connections):
                connection.abort()
            await until(lambda: mirror.stream.connections == 2)
            await until(lambda: prices(loopback) == prices(venue.loopback))
            await venue.server.close()
            await until(lambda: prices(loopback) == [[], []])

    uvloop.run(story())


def test_a_venue_that_lists_a_coin_otherwise_is_not_followed() -> None:
    async def story() -> None:
        async with staged() as venue:
            loopback = Loopback([Market("BTC", 3, 56, ((0, 40),))])
            with pytest.raises(UserError, match="BTC has 5 size decimals there and 3 here"):
                await Mirror.open(loopback, venue.url)

    uvloop.run(story())


def test_a_venue_that_does_not_answer_is_a_mistake_of_the_user() -> None:
    with pytest.raises(UserError, match="does not answer"):
        uvloop.run(Mirror.open(Loopback([MARKETS["BTC"]]), "http://127.0.0.1:9"))
