"""A loopback exchange in a thread of the test's process, with a followed market: real sockets, bounded in time."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.loopback.development import DevelopmentAccount, open_accounts
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.faults import Faults
from hatmanifesto.loopback.markets import MARKETS, USDC
from hatmanifesto.loopback.replayed import TapeMarket
from hatmanifesto.loopback.server import LoopbackServer

Result = TypeVar("Result")


class LoopbackThread:
    """`url`, `accounts`, and `look` to run a function where the exchange lives. Use as a context manager."""

    def __init__(self, *, seed: int = 1, minutes: int = 30, speed: float = 1.0, faults: Faults | None = None) -> None:
        self.loopback = Loopback([MARKETS["BTC"], MARKETS["ETH"]], funding_ms=5_000)
        tape = generate(seed=seed, minutes=minutes, instruments=["BTC", "ETH"])
        market = TapeMarket(self.loopback, tape.stream("exchange"), [0, 1], speed)
        self.accounts: list[DevelopmentAccount] = open_accounts(self.loopback, 10_000 * USDC)
        self.server = LoopbackServer(self.loopback, market.step, block_ms=20, limits=False, faults=faults)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loopback", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        port = self._loop.run_until_complete(self.server.open(0))
        self.url = f"http://127.0.0.1:{port}"
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self.server.close())
        self._loop.close()

    def look(self, function: Callable[[], Result]) -> Result:
        """Run a function between two blocks and return what it returns."""

        async def called() -> Result:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(10)

    def account(self, number: int = 0) -> Any:
        """Return the exchange's own record of a development account."""
        return self.loopback.participants[self.accounts[number].address].account

    def __enter__(self) -> "LoopbackThread":
        self._thread.start()
        assert self._up.wait(20), "the exchange did not come up"
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.server.failure is None, self.server.failure
