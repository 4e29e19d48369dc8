"""The simulated venue's clock among the exchange's rows: when marks are due, when funding is settled, at which rate."""

from typing import Final

import numpy as np

from hatmanifesto.backtest.tape.format import EXCH, Rows, RowStream, as_rows
from hatmanifesto.model.market_row import (
    CHANNEL_CONTEXT,
    CLOCK,
    CLOCK_FUNDING,
    CLOCK_MARK,
    FUNDING,
    make_meta,
)

LATE_NS: Final = 60_000_000_000
"""A rate stamped up to a minute after a settlement is that settlement's: venues stamp their history a little late."""


class FundingRates:
    """Funding rates by instrument and time: those of a table, or one for all time.

    `table` has (time_ns, instrument, rate in 10^-12); a settlement takes the last rate stamped at most a minute after
    it. Without a rate of its own an instrument takes `constant`; None leaves it to the tape's own rows.
    """

    def __init__(self, constant: int | None = None, table: list[tuple[int, int, int]] | None = None) -> None:
        self.constant: Final = constant
        self._times: dict[int, list[int]] = {}
        self._rates: dict[int, list[int]] = {}
        for time_ns, instrument, rate in sorted(table or []):
            self._times.setdefault(instrument, []).append(time_ns)
            self._rates.setdefault(instrument, []).append(rate)

    def rate_at(self, instrument: int, settled_ns: int) -> int | None:
        """Return the rate of a settlement, None where the tape says."""
        times = self._times.get(instrument)
        if times is None:
            return self.constant
        at = int(np.searchsorted(np.asarray(times), settled_ns + LATE_NS, side="right")) - 1
        return self._rates[instrument][at] if at >= 0 else self.constant


class ClockedStream(RowStream):
    """A tape's exchange stream with the clock's rows in their places, before the venue's rows of the same time.

    `mark_ns` and `funding_ns` are the intervals, 0 for never; both run on whole multiples since 1970 UTC. The clock
    strikes between the stream's first and last row.
    """

    def __init__(
        self, base: RowStream, instruments: int, mark_ns: int, funding_ns: int, rates: FundingRates | None = None
    ) -> None:
        self._base = base
        self._instruments = instruments
        self._mark_ns = mark_ns
        self._funding_ns = funding_ns
        self._rates = rates or FundingRates()
        self._last: dict[int, int] = {}

    @property
    def count(self) -> int:
        """Number of chunks."""
        return self._base.count

    @property
    def rows(self) -> int:
        """Number of rows without the clock's."""
        return self._base.rows

    def chunk(self, index: int) -> bytes:
        """Return a chunk's rows and what the clock struck since the chunk before it."""
        packed = self._base.chunk(index)
        if not packed:
            return packed
        rows = as_rows(packed)
        after = self._last_of(index - 1) if index > 0 else int(rows[0, EXCH]) - 1
        last = int(rows[-1, EXCH])
        self._last[index] = last
        struck = self._strikes(after, last)
        if not len(struck):
            return packed
        places = np.searchsorted(rows[:, EXCH], struck[:, EXCH], side="left")
        return np.ascontiguousarray(np.insert(rows, places, struck, axis=0), dtype="<i8").tobytes()

    def _last_of(self, index: int) -> int:
        if index not in self._last:
            self._last[index] = int(as_rows(self._base.chunk(index))[-1, EXCH])
        return self._last[index]

    def _strikes(self, after: int, until: int) -> Rows:
        """Return the clock's rows in (after, until], in order of time."""
        due: dict[int, int] = {}
        for interval, what in ((self._mark_ns, CLOCK_MARK), (self._funding_ns, CLOCK_FUNDING)):
            if interval > 0:
                for at in range(after // interval + 1, until // interval + 1):
                    due[at * interval] = due.get(at * interval, 0) | what
        made: list[tuple[int, int, int, int, int]] = []
        for time_ns in sorted(due):
            what = due[time_ns]
            for instrument in range(self._instruments):
                if what & CLOCK_FUNDING:
                    rate = self._rates.rate_at(instrument, time_ns)
                    if rate is not None:
                        meta = make_meta(FUNDING, 0, CHANNEL_CONTEXT, instrument)
                        made.append((time_ns, time_ns, meta, rate, self._funding_ns // 1_000_000_000))
                made.append((time_ns, time_ns, make_meta(CLOCK, 0, CHANNEL_CONTEXT, instrument), what, 0))
        return np.array(made, dtype="<i8").reshape(-1, 5)
