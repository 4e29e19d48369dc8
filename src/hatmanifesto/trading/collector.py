"""When Python's cyclic garbage collector works in a process that trades: at chosen moments, and on little.

By itself it stops the loop for milliseconds every so often, since it looks through everything that startup left.
"""

import asyncio
import gc
from typing import Final

SWEEP_S: Final = 10.0
"""What reference counting leaves is little (finished tasks, exceptions): about a hundred objects a minute."""


def calm() -> None:
    """Collect once, set aside all that is alive now as not worth looking at, and switch the automatic off."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def sweep_often(interval_s: float = SWEEP_S) -> None:
    """Collect what came after `calm`, again and again; until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        gc.collect()
