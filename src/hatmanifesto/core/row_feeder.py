"""Feeds packed rows that arrive live: every timer that is due before a row fires before it.

Takes bytes: a vec that interpreted code hands to compiled code is never freed.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.market_row import WORD_LOCAL_TS, row_words
from hatmanifesto.model.ports import NEVER, EngineInput

MAX_OVERDUE: Final = 1_000
"""Timers fired at one moment at most, so that an engine that never comes to rest is noticed."""


@final
class RowFeeder:
    """One engine's live inputs that have to do with time. Raises RuntimeError where the engine makes no headway."""

    def __init__(self, engine: EngineInput) -> None:
        self._engine: Final[EngineInput] = engine
        self.last_ns: i64 = 0

    def take(self, packed: bytes) -> None:
        """Take whole messages of packed rows (model.market_row), stamped with their receipt."""
        engine = self._engine
        rows = row_words(packed)
        at: i64 = 0
        end: i64 = len(rows)
        while at < end:
            stamp = rows[at + WORD_LOCAL_TS]
            if engine.next_timer_ns < stamp:
                self.fire(stamp)
            taken = engine.on_rows(rows, at, end, NEVER, WORD_LOCAL_TS, 0)
            if taken == at:
                raise RuntimeError(f"the engine takes no row at {stamp} ns; this is a defect, please report it")
            at = taken
            if stamp > self.last_ns:
                self.last_ns = stamp

    def fire(self, until: i64) -> None:
        """Fire every timer that is due at or before a moment."""
        engine = self._engine
        for _ in range(MAX_OVERDUE):
            due = engine.next_timer_ns
            if due > until:
                return
            if due < self.last_ns:
                due = self.last_ns
            self.last_ns = due
            engine.on_timer(due)
        raise RuntimeError(f"the engine's timers do not come to rest at {until} ns; this is a defect, please report it")
