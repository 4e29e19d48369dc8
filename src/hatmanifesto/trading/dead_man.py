"""The venue's own dead man's switch: it cancels everything by itself unless we go on telling it not to.

The last line behind the guard, for when machine or network are gone. Not every account may use it, and venues count
how often it fires; a refusal is told once and journaled, and asked again now and then.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from hatmanifesto.trading.trader import Trader
from hatmanifesto.venues.port import Venue, VenueError

REFRESHES: Final = 3
"""How often it is set anew within its time, so that two lost requests do not set it off."""
ASK_AGAIN_S: Final = 600.0
"""After a refusal: what the venue demands of an account may be met later."""
URGENT_S: Final = 5.0


class DeadMansSwitch:
    """Keeps the switch `lead_ns` ahead while the session runs; with 0 it is left alone."""

    def __init__(self, trader: Trader, venue: Venue, lead_ns: int, say: Callable[[str], None]) -> None:
        self.trader = trader
        self.venue = venue
        self.lead_ns = lead_ns
        self.say = say
        self.due_ns = 0
        """When it will go off, 0: it is not set."""
        self.refused = ""

    @property
    def state(self) -> str:
        """Return how it stands, in a word for people."""
        if not self.lead_ns:
            return "off"
        return f"refused: {self.refused}" if self.refused else "set" if self.due_ns else "not set yet"

    async def keep(self) -> None:
        """Set it, and set it anew again and again."""
        while self.lead_ns:
            await asyncio.sleep(await self._set())

    async def _set(self) -> float:
        """Set it once; return after how many seconds it is due again."""
        due_ns = self.trader.clock() + self.lead_ns
        try:
            await self.venue.schedule_cancel(due_ns)
        except VenueError as error:
            if not error.definite:
                self.trader.count_fault("dead_mans_switch", str(error))
                return URGENT_S  # it may be set, or not: say so again before it could go off
            if str(error) != self.refused:
                self.refused = str(error)
                self.say(f"the venue's dead man's switch is not set: {error}; the guard alone watches")
                self.trader.note({"dead_mans_switch": "refused", "why": self.refused[:300]})
            return URGENT_S if self.due_ns > self.trader.clock() else ASK_AGAIN_S
        if not self.due_ns or self.refused:
            self.trader.note({"dead_mans_switch": "set", "seconds": self.lead_ns / 1e9})
        self.due_ns, self.refused = due_ns, ""
        return self.lead_ns / 1e9 / REFRESHES

    async def clear(self) -> None:
        """Switch it off, when it was set: nothing is left that it could cancel."""
        if not self.due_ns:
            return
        try:
            await self.venue.schedule_cancel(None)
        except VenueError as error:
            self.say(f"the venue's dead man's switch could not be cleared: {error}; it goes off by itself")
            return
        self.due_ns = 0
        self.trader.note({"dead_mans_switch": "cleared"})
