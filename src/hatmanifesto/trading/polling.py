"""A loop that never sleeps: it asks its sockets again and again, which takes a whole core and spares the waking up."""

import asyncio
from collections.abc import Callable


class BusyPoll:
    """Keeps one event loop turning while it is on, and calls `idle` in every turn.

    A loop with something to call asks the kernel for what has arrived without waiting for it. Waking a sleeping process
    takes tens of microseconds, more on a virtual machine, and finds caches and branch predictors that others have used.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, idle: Callable[[], None]) -> None:
        self._loop = loop
        self._idle = idle
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        """Poll until `stop`."""
        if self._handle is None:
            self._handle = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """Let the loop sleep again. Safe to call twice."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        self._handle = self._loop.call_soon(self._turn)
        self._idle()
