"""The guard: a process of its own that ends a trader whose loop has stopped, then cancels everything, with its own key.

It fences first: nothing of the trader may run any more before the first cancel is sent. Then it cancels every order of
ours, closes positions if the configuration says so, verifies both at the venue, and leaves a report. It never restarts
anything: that is a person's decision.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL
from hatmanifesto.trading.clock import Clock
from hatmanifesto.trading.heartbeat import ENDED, Beats
from hatmanifesto.venues.port import Trust, Venue, VenueError, VenueListener

LOOK_S: Final = 0.05
FENCE_S: Final = 5.0
ATTEMPTS: Final = 20
REPORT: Final = "guard-report.json"
JOURNALS: Final = "guard-journal"
FLATTEN_PPM: Final = 50_000
"""How far beyond the present price a guard's closing order may trade: 5 %."""

Say = Callable[[str], None]


class Deaf(VenueListener):
    """Hears nothing: the guard asks."""

    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        pass

    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None:
        pass

    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None:
        pass

    def on_fill(
        self,
        now_ns: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        fee: int,
        taker: bool,
        exch_ts_ns: int,
        trade_id: int,
    ) -> None:
        pass

    def on_funding(
        self,
        now_ns: int,
        instrument: int,
        amount: int,
        rate: int,
        position_size: int,
        oracle_price: int,
        exch_ts_ns: int,
    ) -> None:
        pass

    def on_trust(self, now_ns: int, instrument: int, trust: Trust, why: str) -> None:
        pass

    def on_notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        pass


class Guard:
    """Watches one session folder. `venue` is a connection of the guard's own, opened only when it must act."""

    def __init__(
        self,
        folder: Path,
        beats: Beats,
        venue: Callable[[], Venue],
        coins: list[str],
        clock: Clock,
        *,
        timeout_s: float,
        flatten: bool,
        say: Say,
    ) -> None:
        self.folder = folder
        self.beats = beats
        self.make_venue = venue
        self.coins = coins
        self.clock = clock
        self.timeout_s = timeout_s
        self.flatten = flatten
        self.say = say
        self.stopping = False

    async def watch(self) -> str:
        """Watch until the trader ends in order (returns ""), or must be ended (returns why)."""
        begun = time.monotonic()
        while not self.stopping:
            self.beats.guard_beats()
            beat_ns, process = self.beats.trader()
            if beat_ns == ENDED:
                return ""
            if beat_ns > 0:
                age_s = (time.monotonic_ns() - beat_ns) / 1e9
                if age_s > self.timeout_s:
                    return f"the trader's loop has not turned for {age_s:.1f} s"
                if not alive(process):
                    return "the trader's process is gone"
            elif time.monotonic() - begun > 300:
                return ""  # it never came up: it has sent nothing
            await asyncio.sleep(LOOK_S)
        return ""

    async def act(self, why: str) -> dict[str, Any]:
        """Fence, cancel, perhaps flatten, verify; journal and report it. Returns the report."""
        began = time.monotonic()
        _, process = self.beats.trader()
        self.say(f"GUARD: {why}; ending process {process}")
        report: dict[str, Any] = {"why": why, "process": process, "at_ns": self.clock()}
        report["fenced"] = await fence(process)
        report["fenced_seconds"] = round(time.monotonic() - began, 3)
        if not report["fenced"]:
            self.say(f"GUARD: process {process} does not die; cancelling all the same")
        venue = self.make_venue()
        try:
            await self._open(venue)
            report |= await self._cancel_all(venue)
            report["cancelled_seconds"] = round(time.monotonic() - began, 3)
            if self.flatten:
                report |= await self._flatten(venue)
            account = await venue.account()
            report["positions"] = {position.coin: position.size for position in account.positions}
        except VenueError as error:
            report["failed"] = str(error)
            self.say(f"GUARD: the venue does not answer: {error}. CANCEL BY HAND NOW.")
        finally:
            await venue.stop()
        report["seconds"] = round(time.monotonic() - began, 3)
        self._leave(report)
        return report

    async def _open(self, venue: Venue) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await venue.open(self.coins)
                return
            except VenueError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                self.say(f"GUARD: no answer from the venue ({error}), trying again")
                await asyncio.sleep(0.5)

    async def _cancel_all(self, venue: Venue) -> dict[str, Any]:
        cancelled = 0
        for _ in range(ATTEMPTS):
            with contextlib.suppress(VenueError):
                ours = [order for order in await venue.open_orders() if order.order_id or order.session]
                if not ours:
                    self.say(f"GUARD: {cancelled} orders cancelled, none is left")
                    return {"cancelled": cancelled, "left": 0}
                cancelled += await venue.cancel_orders(ours)
            await asyncio.sleep(0.2)
        left = len([order for order in await venue.open_orders() if order.order_id or order.session])
        return {"cancelled": cancelled, "left": left}

    async def _flatten(self, venue: Venue) -> dict[str, Any]:
        """Close what is held with reduce-only immediate orders, as often as needed."""
        await venue.start(Deaf(), self.clock() // 1_000_000_000 & 0xFFFF_FFFF, from_ns=self.clock())
        sent = 0
        for attempt in range(ATTEMPTS):
            held = [position for position in (await venue.account()).positions if position.instrument >= 0]
            if not held:
                self.say("GUARD: flat")
                return {"flat": True, "closing_orders": sent}
            prices = await venue.prices()
            for position in held:
                instrument = venue.instruments[position.instrument]
                side = -1 if position.size > 0 else 1
                price = prices[position.instrument]
                price = int(instrument.snap(price + side * (price * FLATTEN_PPM // 1_000_000), side))
                sent += 1
                venue.gateway.place(
                    self.clock(),
                    sent,
                    position.instrument,
                    side,
                    price,
                    abs(position.size),
                    IMMEDIATE_OR_CANCEL,
                    True,
                )
            venue.gateway.flush(self.clock())
            await asyncio.sleep(0.5 + 0.1 * attempt)
        return {"flat": False, "closing_orders": sent}

    def _leave(self, report: dict[str, Any]) -> None:
        """Write the report, and a journal of the guard's own."""
        (self.folder / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        journals = self.folder / JOURNALS
        journals.mkdir(exist_ok=True)
        now = self.clock()
        with JournalWriter(journals / f"{now}.journal", {"kind": "guard"}) as writer:
            payload = msgspec.json.encode(report, order="deterministic")
            writer.append(0, 1, pack_blob(record.NOTE, now, 0, payload, 0))
            writer.close(now, {"guard": "acted"})


def alive(process: int) -> bool:
    """Tell whether a process runs; one that is dead but not yet collected by its parent does not."""
    try:
        with open(f"/proc/{process}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    except OSError:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def fence(process: int) -> bool:
    """Kill a process and wait until it is gone; False when it still runs after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + FENCE_S
    while alive(process) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return not alive(process)
