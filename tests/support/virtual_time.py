"""An event loop whose time jumps to the next thing to do: hours of a session in seconds, the same every time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers at once, in their order. Only for code that waits for nothing but timers and its own futures."""

    def __init__(self, begin_ns: int) -> None:
        super().__init__(selectors.SelectSelector())
        self._begin_ns = begin_ns
        self._virtual_s = 0.0  # small, so that nanoseconds count
        self._real_select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]
        self.idle = 0

    def time(self) -> float:
        return self._virtual_s

    def now_ns(self) -> int:
        """Virtual wall time, ns."""
        return self._begin_ns + round(self._virtual_s * 1e9)

    def _jump(self, timeout: float | None) -> Any:
        events = self._real_select(0)
        if timeout is None and not events:
            self.idle += 1
            assert self.idle < 1000, "nothing left to wait for: the test would hang"
        elif timeout and not events:
            self._virtual_s += max(timeout, 1e-9)
            self.idle = 0
        return events


def run_virtually(main: Coroutine[Any, Any, Result], loop: VirtualLoop) -> Result:
    """Run a coroutine to its end on virtual time."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()
