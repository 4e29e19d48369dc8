"""The mids some time after each fill, filled in as the journal goes on."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger import schema
from hatmanifesto.ledger.prices import Series

Ints = NDArray[np.int64]
HORIZONS_NS: Final = {"1s": 1_000_000_000, "5s": 5_000_000_000, "30s": 30_000_000_000, "5min": 300_000_000_000}
_DUE_AFTER: Final = [HORIZONS_NS[name] for name in schema.LATER_MIDS]
LAST_HORIZON_NS: Final = max(_DUE_AFTER)
UNKNOWN: Final = -1
"""A mid that the journal has not come to yet."""
_KEY: Final = slice(1, 4)
_MIDS: Final = slice(4, 4 + len(_DUE_AFTER))


class Markouts:
    """Fills that wait for a horizon, by instrument: rows of [time (ns), journal, record, part, twice each mid]."""

    def __init__(self) -> None:
        self.waiting: dict[str, Ints] = {}

    def mature(self, name: str, series: Series, known_ts_ns: int, fresh: Ints | None = None) -> tuple[Ints, Ints]:
        """Take new fills of an instrument ([time, journal, record, part] rows) and go on to a time.

        Returns the mids known of the new ones, row by row, and the older rows that learnt one now.
        """
        old = self.waiting.get(name, np.zeros((0, 4 + len(_DUE_AFTER)), dtype=np.int64))
        rows = old.copy()
        if fresh is not None:
            unknown = np.full((len(fresh), len(_DUE_AFTER)), UNKNOWN, dtype=np.int64)
            rows = np.concatenate((rows, np.concatenate((fresh, unknown), axis=1)))
        for place, horizon in enumerate(_DUE_AFTER, _MIDS.start):
            due = rows[:, 0] + horizon
            passed = (due < known_ts_ns) & (rows[:, place] == UNKNOWN)
            rows[passed, place] = series.at(due[passed])
        count = len(old)
        learnt = np.any(rows[:count, _MIDS] != old[:, _MIDS], axis=1)
        self.waiting[name] = rows[rows[:, 0] + LAST_HORIZON_NS >= known_ts_ns]
        return rows[count:, _MIDS], rows[:count][learnt]

    def forget(self) -> None:
        """A journal has ended: what it did not come to stays unknown."""
        self.waiting.clear()

    def state(self) -> dict[str, Any]:
        """Return what the next batch must know."""
        return {name: rows.tolist() for name, rows in self.waiting.items() if len(rows)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Markouts":
        """Go on where `state` was taken."""
        markouts = cls()
        markouts.waiting = {name: np.array(rows, dtype=np.int64) for name, rows in state.items()}
        return markouts


def matured_rows(rows: Ints) -> list[tuple[Any, ...]]:
    """Return each row's mids (None = not yet), then its key: what Store.set_columns takes."""
    return [(*nullable(row[_MIDS]), *row[_KEY].tolist()) for row in rows]


def nullable(values: Ints) -> list[int | None]:
    """Return mids, None for those that are not known yet."""
    found: list[int | None] = values.tolist()
    for at in np.flatnonzero(values == UNKNOWN).tolist():
        found[at] = None
    return found
