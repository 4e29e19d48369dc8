"""Heartbeats of trader and guard in one small shared file: eight bytes each to write, nothing to wait for.

Times are the machine's monotonic clock, which all its processes share and nobody sets.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

from hatmanifesto.trading.session import Watch

BEATS: Final = "heartbeat"
ENDED: Final = -1
"""In place of a time: that process has ended in order."""
_SLOT: Final = struct.Struct("<qq")
_TRADER: Final = 0
_GUARD: Final = _SLOT.size
FRESH_S: Final = 1.5
"""A guard that was silent for longer does not watch."""


class Beats:
    """The file of a session folder. Raises OSError when it cannot be made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / BEATS, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, 2 * _SLOT.size)
            self._map = mmap.mmap(descriptor, 2 * _SLOT.size)
        finally:
            os.close(descriptor)

    def trader_beats(self) -> None:
        """Say that the trader's loop turns."""
        _SLOT.pack_into(self._map, _TRADER, time.monotonic_ns(), os.getpid())

    def guard_beats(self) -> None:
        """Say that the guard watches."""
        _SLOT.pack_into(self._map, _GUARD, time.monotonic_ns(), os.getpid())

    def trader_ended(self) -> None:
        """Say that the trader ends in order: the guard has nothing to do."""
        _SLOT.pack_into(self._map, _TRADER, ENDED, os.getpid())

    def guard_ended(self) -> None:
        """Say that nobody watches any more."""
        _SLOT.pack_into(self._map, _GUARD, ENDED, os.getpid())

    def clear(self) -> None:
        """Forget what an earlier session left here."""
        self._map[:] = bytes(len(self._map))

    def trader(self) -> tuple[int, int]:
        """Return (time or 0 or ENDED, process id) of the trader."""
        time_ns, process = _SLOT.unpack_from(self._map, _TRADER)
        return int(time_ns), int(process)

    def guard_age_s(self) -> float:
        """Return for how long the guard has been silent, seconds."""
        time_ns, _ = _SLOT.unpack_from(self._map, _GUARD)
        return float("inf") if time_ns <= 0 else (time.monotonic_ns() - time_ns) / 1e9

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


class GuardWatch(Watch):
    """The trader's side."""

    def __init__(self, beats: Beats) -> None:
        self._beats = beats

    def beat(self) -> None:
        self._beats.trader_beats()

    def guarded(self) -> bool:
        return self._beats.guard_age_s() < FRESH_S
