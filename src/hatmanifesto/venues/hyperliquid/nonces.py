"""Nonces of one agent key: strictly increasing, across kills and clock steps, and used by one process only.

The venue keeps the 100 highest nonces of every signer and wants a new one larger than the smallest of these, not
used before, and between two days before and one day after its block time, in ms. So a nonce is max(clock, last + 1).

What is persisted is a ceiling that every nonce given out so far lies below, some seconds ahead of the clock: the hot
path writes once in that time, not once a nonce, and after a kill we go on from the ceiling.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hatmanifesto.errors import UserError

AHEAD_MS: Final = 10_000
"""How far the persisted ceiling lies ahead: after a kill, nonces may run ahead of the clock by this much."""
MAX_LEAD_MS: Final = 23 * 3_600_000
"""A nonce is never further ahead of the clock; the venue's own limit is 24 hours."""
_MAGIC: Final = "hat-nonces-1"
_WIDTH: Final = 96


class NonceWindowError(RuntimeError):
    """The clock lies so far behind the last nonce that the venue would refuse the next one: nothing can be signed."""


class NonceSource:
    """Gives out one agent key's nonces and holds the lock that says that no other process does.

    `folder` keeps one file a key, named by address. Raises UserError when another process holds the key or the file
    is damaged. `now_ms` is the clock.
    """

    def __init__(self, folder: Path, address: str, now_ms: Callable[[], int]) -> None:
        self.path: Final[Path] = folder / f"{address.lower()}.nonce"
        self._address = address.lower()
        self._now_ms = now_ms
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(
                f"cannot keep nonces in {self.path}: {error.strerror}", "choose a state folder that can be written"
            ) from error
        try:
            self._lock()
            self._ceiling = self._read()
        except BaseException:
            os.close(self._file)
            raise
        self.last: int = self._ceiling - 1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"another process signs with agent key {self._address}",
                "stop it, or give this process an agent key of its own: two processes on one key make each other's "
                "orders fail",
            ) from None

    def _read(self) -> int:
        text = os.pread(self._file, _WIDTH, 0).decode("ascii", "replace")
        if not text:
            return 0
        parts = text.split()
        if len(parts) != 3 or parts[0] != _MAGIC or parts[1] != self._address or not parts[2].isdigit():
            raise UserError(
                f"{self.path} holds no nonces of {self._address}",
                "remove it if the machine's clock is right: nonces then go on from the clock",
            )
        return int(parts[2])

    def next(self, now_ms: int = 0) -> int:
        """Return the next nonce, ms. `now_ms`: the time, of a caller who has just read the clock himself.

        Raises NonceWindowError when the clock went back further than the venue would accept, and OSError when the
        ceiling cannot be written; nothing was given out then.
        """
        now = now_ms or self._now_ms()
        last = self.last
        nonce = now if now > last else last + 1
        if nonce - now > MAX_LEAD_MS:
            raise NonceWindowError(
                f"the clock lies {(nonce - now) // 1000} s behind the last nonce of {self._address}; "
                "set the clock right, or use a new agent key"
            )
        if nonce >= self._ceiling:
            self._raise_ceiling(nonce + AHEAD_MS)
        self.last = nonce
        return nonce

    def prepare(self) -> None:
        """Raise the ceiling ahead of time; called where a write does not delay an order."""
        now = self._now_ms()
        if self._ceiling - max(now, self.last) < AHEAD_MS // 2:
            self._raise_ceiling(max(now, self.last) + AHEAD_MS)

    def _raise_ceiling(self, ceiling: int) -> None:
        line = f"{_MAGIC} {self._address} {ceiling:020d}".ljust(_WIDTH - 1) + "\n"
        os.pwrite(self._file, line.encode(), 0)
        self._ceiling = ceiling

    def close(self) -> None:
        """Let go of the key."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "NonceSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
