"""A loopback exchange for tests: a quiet market of known prices, on this loop or on a thread of its own."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvloop

from hatmanifesto.loopback.development import DevelopmentAccount, open_accounts
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.faults import Faults
from hatmanifesto.loopback.markets import MARKETS, USDC
from hatmanifesto.loopback.server import LoopbackServer
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest

PATIENCE_S = 20.0
PRICES = {"BTC": 60_000, "ETH": 3_000}
STEPS = {"BTC": 10, "ETH": 1}
"""Between two levels of the house's quotes, USDC."""
LEVELS = 3
LEVEL_USDC = 30_000

T = TypeVar("T")


class QuietMarket:
    """One account, the house, quotes three levels a side around a price that tests may move; nobody else trades."""

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        self.prices = dict(PRICES)
        self.quoting = True
        self.house = loopback.exchange.open_account("the house", 10**15)

    def step(self, now_ms: int) -> None:
        """Set mark and oracle and put back what was taken."""
        for index, market in enumerate(self.loopback.markets):
            instrument = self.loopback.instruments[index]
            unit = 10 ** int(instrument.price_scale)
            price, step = self.prices[market.name] * unit, STEPS[market.name] * unit
            self.loopback.set_prices(market.name, price, price)
            if not self.quoting:
                continue
            held = {
                (int(order.side), int(order.price)): int(order.remaining)
                for order in self.loopback.exchange.account(self.house).orders.values()
                if int(order.instrument) == index
            }
            wanted = []
            for side in (1, -1):
                for level in range(1, LEVELS + 1):
                    at = price - side * level * step
                    size = int(instrument.snap_size(LEVEL_USDC * USDC // int(instrument.notional(at, 1))))
                    if held.get((side, at), 0) < size // 2:
                        wanted.append(OrderRequest(index, side, at, size))
            if wanted:
                self.loopback.exchange.submit(self.house, Place(wanted))

    async def close(self) -> None: ...


class Stage:
    """A running exchange: its parts, its address, and its accounts."""

    def __init__(self, **options: Any) -> None:
        faults: Faults | None = options.pop("faults", None)
        coins: tuple[str, ...] = options.pop("coins", ("BTC", "ETH"))
        usdc: int = options.pop("usdc", 100_000)
        server: dict[str, Any] = {name: options.pop(name) for name in ("silence_s", "clock") if name in options}
        self.limits: bool = options.pop("limits", False)
        self.block_ms: int = options.pop("block_ms", 5)
        self.loopback = Loopback([MARKETS[coin] for coin in coins], **options)
        self.market = QuietMarket(self.loopback)
        self.accounts: list[DevelopmentAccount] = open_accounts(self.loopback, usdc * USDC)
        self.server = LoopbackServer(
            self.loopback, self.market.step, block_ms=self.block_ms, limits=self.limits, faults=faults, **server
        )
        self.port = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def open(self) -> None:
        """Listen, and let the house quote."""
        self.loop = asyncio.get_running_loop()
        self.port = await self.server.open(0)
        await until(lambda: self.server.counts["blocks"] > 2)

    async def close(self) -> None:
        """Stop; raises what ended the blocks early."""
        await self.server.close()
        if self.server.failure is not None:
            raise self.server.failure

    def inside(self, function: Callable[[], T]) -> T:
        """Run something on the exchange's own loop, from another thread, and return what it returns."""

        async def call() -> T:
            return function()

        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(PATIENCE_S)


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Let the loop run until something is true; fails the test when it stays false."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.002)


def wait_for(look: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Look again and again until something is found, from a thread that may block; fails when nothing is."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"nothing was found within {patience_s:g} s")


@asynccontextmanager
async def staged(**options: Any) -> AsyncIterator[Stage]:
    """Have an exchange up on this loop."""
    stage = Stage(**options)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


@contextmanager
def threaded(**options: Any) -> Iterator[Stage]:
    """Have an exchange up on a thread of its own, for clients that block theirs."""
    stage = Stage(**options)
    ready = threading.Event()
    ended: asyncio.Event | None = None
    failure: list[BaseException] = []

    async def serve() -> None:
        nonlocal ended
        ended = asyncio.Event()
        await stage.open()
        ready.set()
        await ended.wait()
        await stage.close()

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again where the test is
            failure.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="loopback exchange", daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        if failure:
            raise failure[0]
        yield stage
    finally:
        if ended is not None and stage.loop is not None and not stage.loop.is_closed():
            stage.loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    if failure:
        raise failure[0]


def play(story: Callable[[Stage], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a story on a loop with an exchange up."""

    async def whole() -> None:
        async with staged(**options) as stage:
            await story(stage)

    uvloop.run(whole())
