"""Scripted, seeded faults of the loopback exchange, for tests of clients and for drills.

A file of them is TOML; examples/faults.toml names them all. Shares say how many of the things concerned are hit, spans
are seconds from the start, the end not included.

Every kind of fault has a generator of its own, so that the n-th message (action, request) meets the same fate whatever
happens beside it.
"""

import random
import time
import tomllib
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hatmanifesto.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if span[1] <= span[0]:
        raise ValueError(f"a span must end after it begins, not at {span[1]:g} after {span[0]:g}")
    return span


Span = Annotated[tuple[Annotated[float, Field(ge=0)], float], AfterValidator(_rising)]
Jump = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=-86_400, le=86_400)]]


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
    delay_answer: Share = 0
    reject_signature: Share = 0
    http_429: Share = 0
    http_500: Share = 0
    stale_books: tuple[Span, ...] = ()
    half_open: tuple[Span, ...] = ()
    post_only: tuple[Span, ...] = ()
    clock_jumps: tuple[Jump, ...] = ()


class Fate(Enum):
    """What becomes of a stream message."""

    SENT = "sent"
    DROPPED = "dropped"
    DELAYED = "delayed"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"


class Faults:
    """Throws the dice and counts what it did in `done`. Without settings nothing ever happens."""

    def __init__(self, settings: FaultSettings | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings: Final = settings or FaultSettings()
        self.done: Final[dict[str, int]] = {}
        self._clock = clock
        self._began = clock()
        self._dice: dict[str, random.Random] = {}

    def _happens(self, name: str, share: float) -> bool:
        if share <= 0:
            return False
        dice = self._dice.get(name)
        if dice is None:
            dice = self._dice[name] = random.Random(f"{self.settings.seed}/{name}")
        if dice.random() >= share:
            return False
        self.done[name] = self.done.get(name, 0) + 1
        return True

    def begin(self) -> None:
        """Spans and jumps count from now."""
        self._began = self._clock()

    @property
    def age_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def message(self) -> Fate:
        """Return the fate of the next stream message."""
        rules = self.settings
        if self._happens("drop_message", rules.drop_message):
            return Fate.DROPPED
        if self._happens("delay_message", rules.delay_message):
            return Fate.DELAYED
        if self._happens("reorder_message", rules.reorder_message):
            return Fate.REORDERED
        if self._happens("duplicate_message", rules.duplicate_message):
            return Fate.DUPLICATED
        return Fate.SENT

    def disconnects(self) -> bool:
        """Tell whether the connection is cut now."""
        return self._happens("disconnect", self.settings.disconnect)

    def lost_answer(self) -> bool:
        """Tell whether the answer to an executed action is lost."""
        return self._happens("lost_answer", self.settings.lost_answer)

    def answer_delay_s(self) -> float:
        """Return how late an action's answer is."""
        late = self._happens("delay_answer", self.settings.delay_answer)
        return self.settings.delay_ms / 1e3 if late else 0.0

    def rejected_signature(self) -> bool:
        """Tell whether a good signature is refused."""
        return self._happens("reject_signature", self.settings.reject_signature)

    def http(self) -> int:
        """Return a status that answers a request in place of the exchange, or 0."""
        if self._happens("http_429", self.settings.http_429):
            return 429
        return 500 if self._happens("http_500", self.settings.http_500) else 0

    @property
    def stale(self) -> bool:
        """Tell whether market data is silent now."""
        return self._within(self.settings.stale_books)

    @property
    def half_open(self) -> bool:
        """Tell whether connections carry nothing now."""
        return self._within(self.settings.half_open)

    @property
    def post_only(self) -> bool:
        """Tell whether only post-only orders are taken now."""
        return self._within(self.settings.post_only)

    def _within(self, spans: tuple[Span, ...]) -> bool:
        if not spans:
            return False
        age = self.age_s
        return any(begin <= age < end for begin, end in spans)

    @property
    def clock_error_s(self) -> float:
        """Return how far the exchange's clock is off now."""
        jumps = self.settings.clock_jumps
        return sum(by for at, by in jumps if at <= self.age_s) if jumps else 0.0


def load_faults(path: Path) -> Faults:
    """Read a file of faults. UserError names every mistake."""
    try:
        settings = FaultSettings.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", "name a TOML file of faults") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no TOML: {error}", "correct the file") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise UserError(f"{path}: {found}", "see docs/loopback-exchange.md for the faults there are") from error
    return Faults(settings)
