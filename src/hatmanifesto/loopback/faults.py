"""Scripted, seeded faults of the loopback exchange, for tests of clients and for drills.

A file of them is TOML; every rule is a share of what it concerns, or a span of time from the start:

    seed = 7
    drop_message = 0.01          # stream messages lost
    delay_message = 0.05         # … sent late by delay_ms
    delay_ms = 800
    duplicate_message = 0.02
    reorder_message = 0.02       # … held back until after the next ones
    disconnect = 0.0005          # a connection is cut after a message
    lost_answer = 0.01           # the action was executed; its answer is lost
    reject_signature = 0.001
    http_429 = 0.01
    http_500 = 0.01
    stale_books = [[10.0, 15.0]] # seconds from the start in which streams say nothing
    half_open = [[30.0, 45.0]]   # connections stay up and carry nothing
    clock_jump_s = 0.0           # how far the exchange's clock is off
"""

import asyncio
import random
import time
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hatmanifesto.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Span = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]]
REORDER_S: Final = 0.15


class FaultSettings(BaseModel):
    """See the module's text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    drop_message: Share = 0
    delay_message: Share = 0
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] = 500
    duplicate_message: Share = 0
    reorder_message: Share = 0
    disconnect: Share = 0
    lost_answer: Share = 0
    reject_signature: Share = 0
    http_429: Share = 0
    http_500: Share = 0
    stale_books: list[Span] = []
    half_open: list[Span] = []
    clock_jump_s: float = 0


class Faults:
    """Throws the dice. Counts what it did in `done`."""

    def __init__(self, settings: FaultSettings | None = None) -> None:
        self.settings = settings or FaultSettings()
        self.on = settings is not None
        self.done: dict[str, int] = {}
        self._chance = random.Random(self.settings.seed)
        self._began = time.monotonic()

    def _happens(self, name: str, share: float) -> bool:
        if not self.on or share <= 0 or self._chance.random() >= share:
            return False
        self.done[name] = self.done.get(name, 0) + 1
        return True

    def _within(self, spans: list[Span]) -> bool:
        age = time.monotonic() - self._began
        return any(begin <= age < end for begin, end in spans)

    def message(self, message: bytes) -> list[tuple[float, bytes]]:
        """Return what becomes of a stream message: (seconds of delay, message), none when it is lost."""
        if not self.on or message == b'{"channel":"pong"}':
            return [(0.0, message)]
        rules = self.settings
        if self._happens("drop_message", rules.drop_message):
            return []
        delay = 0.0
        if self._happens("delay_message", rules.delay_message):
            delay = rules.delay_ms / 1e3
        elif self._happens("reorder_message", rules.reorder_message):
            delay = REORDER_S
        if self._happens("duplicate_message", rules.duplicate_message):
            return [(delay, message), (delay + 0.01, message)]
        return [(delay, message)]

    def disconnects(self) -> bool:
        """Whether the connection is cut now."""
        return self._happens("disconnect", self.settings.disconnect)

    def lost_answer(self) -> bool:
        """Whether the answer to an executed action is lost."""
        return self._happens("lost_answer", self.settings.lost_answer)

    def rejected_signature(self) -> bool:
        """Whether a good signature is refused."""
        return self._happens("reject_signature", self.settings.reject_signature)

    async def http(self, what: str) -> int | None:
        """Return a status that answers a request in place of the exchange, or None."""
        if self._happens("http_429", self.settings.http_429):
            return 429
        if self._happens("http_500", self.settings.http_500):
            return 500
        if self._happens("delay_http", self.settings.delay_message):
            await asyncio.sleep(self.settings.delay_ms / 1e3)
        return None

    def stale(self, now_ms: int) -> bool:
        """Whether streams say nothing now."""
        return self.on and self._within(self.settings.stale_books)

    @property
    def half_open(self) -> bool:
        """Whether connections carry nothing now."""
        return self.on and self._within(self.settings.half_open)


def load_faults(path: Path) -> Faults:
    """Read a file of faults. UserError names every mistake."""
    try:
        settings = FaultSettings.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "name a TOML file of faults") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no TOML: {error}", "correct the file") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise UserError(f"{path}: {found}", "see docs/loopback-exchange.md for the faults there are") from error
    return Faults(settings)
