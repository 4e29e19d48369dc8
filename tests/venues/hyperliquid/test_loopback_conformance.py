"""The Hyperliquid adapter passes the conformance suite against the loopback exchange, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.loopback.development import DevelopmentAccount, open_accounts
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.faults import Faults
from hatmanifesto.loopback.markets import MARKETS, USDC
from hatmanifesto.loopback.server import LoopbackServer
from hatmanifesto.venues.hyperliquid.adapter import HyperliquidVenue
from hatmanifesto.venues.hyperliquid.orders import questions
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from venues.conformance import Stage, VenueConformance
from venues.hyperliquid.test_adapter import settings

PRICES = {"BTC": 60_000, "ETH": 3_000}


class Once(Faults):
    """Loses the next answer, when told to."""

    lose = False

    def lost_answer(self) -> bool:
        lost, self.lose = self.lose, False
        return lost


class LoopbackStage(Stage):
    """A quiet loopback exchange in this process: nobody trades but the suite's two accounts."""

    coins = ("BTC", "ETH")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accounts: dict[str, DevelopmentAccount] = {}
        self.faults = Once()
        self.port = 0
        self.lose_request = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loopback = Loopback([MARKETS[coin] for coin in self.coins])
        maker, taker = open_accounts(loopback, 100_000 * USDC, 2)
        self.accounts = {"maker": maker, "taker": taker}

        def quote(now_ms: int) -> None:
            for index, coin in enumerate(self.coins):
                price = PRICES[coin] * 10 ** int(loopback.instruments[index].price_scale)
                loopback.exchange.set_prices(index, price, price)

        self.server = LoopbackServer(loopback, quote, block_ms=5, limits=False, faults=self.faults)
        answer = self.server.post

        async def post(request: Any) -> dict[str, Any]:
            if self.lose_request and request["type"] == "action":
                self.lose_request = False
                await asyncio.Event().wait()
            return await answer(request)

        self.server.post = post  # type: ignore[method-assign]
        self.port = await self.server.open(0)
        try:
            yield
        finally:
            await self.server.close()
        if self.server.failure is not None:
            raise self.server.failure

    def adapter(self, who: str) -> HyperliquidVenue:
        key = PrivateKey.parse(self.accounts[who].agent_key)
        return HyperliquidVenue(settings(f"http://127.0.0.1:{self.port}"), key, self.folder)

    async def cut(self) -> None:
        for connection in list(self.server.connections):
            connection.abort()

    async def lose_next_answer(self) -> None:
        self.faults.lose = True

    async def lose_next_request(self) -> None:
        self.lose_request = True

    async def send_garbage(self) -> None:
        for connection in list(self.server.connections):
            connection.send(b'{"channel":"l2Book","data":"?"}')


class TestConformance(VenueConformance):
    @pytest.fixture
    def stage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
        monkeypatch.setattr(questions, "LAG_NS", 100_000_000)
        return LoopbackStage(tmp_path)
