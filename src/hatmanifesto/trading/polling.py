"""A loop that never sleeps, and stays on one core: it asks its sockets again and again, which spares the waking up."""

import asyncio
import os
from collections.abc import Callable

from hatmanifesto.errors import UserError


class BusyPoll:
    """Keeps one event loop turning while it is on, and calls `idle` in every turn. It takes a whole core.

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


def check_core(core: int) -> None:
    """Raise UserError when this process may not run on a core."""
    if not hasattr(os, "sched_getaffinity"):
        raise UserError("trading.core: this system does not let a program choose its core", "leave it out")
    allowed = os.sched_getaffinity(0)
    if core not in allowed:
        raise UserError(
            f"trading.core = {core} is not a core that this process may use",
            f"choose one of {', '.join(map(str, sorted(allowed)))}",
        )


def stay_on(core: int) -> None:
    """Keep the calling thread on one core. Threads that there are already stay free, later ones follow it."""
    os.sched_setaffinity(0, {core})
