"""Messages of raw captures on their way into a spool: numbers stay text until thousands are converted at once."""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, WORDS
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, filled, is_number
from hatmanifesto.backtest.tape.importers.grid import RAW_PRICE_DECIMALS, RAW_SIZE_DECIMALS, Grid
from hatmanifesto.backtest.tape.importers.request import malformed
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import FUNDING, INSTRUMENT_SHIFT, KIND_MASK, MARK, MORE, ORACLE

EVERYONE: Final = 3
AT_EXCHANGE: Final = 1
AT_RECEIVER: Final = 2
_ROWS: Final = 50_000


class Roster:
    """The instruments of an import in their order: those asked for, or all in order of appearance."""

    def __init__(self, wanted: list[str]) -> None:
        self._closed = bool(wanted)
        self.names: list[str] = list(dict.fromkeys(wanted))
        self.grids: list[Grid] = [Grid() for _ in self.names]
        self._index = {name: index for index, name in enumerate(self.names)}
        self.seen: set[str] = set()

    def index(self, name: str) -> int:
        """Return the instrument's index, -1 when it was not asked for."""
        self.seen.add(name)
        found = self._index.get(name)
        if found is not None:
            return found
        if self._closed:
            return -1
        self._index[name] = len(self.names)
        self.names.append(name)
        self.grids.append(Grid())
        return self._index[name]

    def check(self) -> None:
        """Raise UserError when an instrument that was asked for is not in the recording."""
        missing = [name for name in self.names if name not in self.seen]
        if missing:
            raise UserError(
                f"the recording has no instrument {', '.join(missing)}",
                f"choose from {', '.join(sorted(self.seen)) or 'another recording'} with --instrument",
            )


class RowBatch:
    """Rows of whole messages, added one by one, in raw units (grid.py) once they are in the spool."""

    def __init__(self, spool: Spool, roster: Roster) -> None:
        self._spool = spool
        self._roster = roster
        self._path = Path()
        self._times: list[int] = []  # exchange, receiver, exchange, receiver, …
        self._meta: list[int] = []
        self._price: list[str | None] = []
        self._size: list[str | None] = []
        self._exact: dict[int, tuple[int, int]] = {}
        self._lines: list[int] = []
        self._priority: list[int] = []
        self._at: list[int] = []
        self.messages: list[tuple[int, int]] = []
        """[first, exclusive last] message numbers of the spool, one pair a flush."""

    def reading(self, path: Path) -> None:
        """Name the file that the next rows come from."""
        self.flush()
        self._path = path

    def add(
        self,
        line: int,
        exch_ns: int,
        local_ns: int,
        meta: int,
        price: str,
        size: str,
        *,
        priority: int = 0,
        at: int = EVERYONE,
    ) -> None:
        """Add a row whose price and size are decimal text. All rows of a message share priority and `at`."""
        self._times += (exch_ns, local_ns)
        self._meta.append(meta)
        self._price.append(price)
        self._size.append(size)
        self._lines.append(line)
        if not meta & MORE:
            self._priority.append(priority)
            self._at.append(at)
            if len(self._meta) >= _ROWS:
                self.flush()

    def add_exact(self, line: int, exch_ns: int, local_ns: int, meta: int, price: int, size: int) -> None:
        """Add a row whose numbers are integers already: raw units, or a rate."""
        self._exact[len(self._meta)] = (price, size)
        self._times += (exch_ns, local_ns)
        self._meta.append(meta)
        self._price.append(None)
        self._size.append(None)
        self._lines.append(line)
        if not meta & MORE:
            self._priority.append(0)
            self._at.append(EVERYONE)
            if len(self._meta) >= _ROWS:
                self.flush()

    def flush(self) -> None:
        """Bring what waits into the spool; raises UserError naming file and line of a bad number."""
        if not self._meta:
            return
        rows = np.empty((len(self._meta), WORDS), np.int64)
        times = np.array(self._times, np.int64).reshape(-1, 2)
        rows[:, EXCH] = times[:, 0]
        rows[:, LOCAL] = times[:, 1]
        rows[:, META] = self._meta
        for column, texts, scale in ((PRICE, self._price, RAW_PRICE_DECIMALS), (SIZE, self._size, RAW_SIZE_DECIMALS)):
            rows[:, column] = self._units(texts, scale, "price" if column == PRICE else "size")
        for place, (price, size) in self._exact.items():
            rows[place, PRICE], rows[place, SIZE] = price, size
        kind = rows[:, META] & KIND_MASK
        on_grid = (kind != MARK) & (kind != ORACLE) & (kind != FUNDING)
        instruments = rows[:, META] >> INSTRUMENT_SHIFT
        for index in np.unique(instruments).tolist():
            mine = on_grid & (instruments == index)
            self._roster.grids[index].note(rows[mine, PRICE], rows[mine, SIZE])
        self.messages.append(
            self._spool.add(rows, priority=np.array(self._priority, np.int64), at=np.array(self._at, np.int64))
        )
        self._times, self._meta, self._price, self._size = [], [], [], []
        self._exact, self._lines, self._priority, self._at = {}, [], [], []

    def numbers(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the spool's numbers of all messages flushed, in order."""
        return np.concatenate([np.arange(*pair, dtype=np.int64) for pair in self.messages] or [np.empty(0, np.int64)])

    def _units(self, texts: list[str | None], scale: int, what: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        column = pl.Series(texts, dtype=pl.String)
        units = decimal_units(column, scale)
        bad = (units.is_null() & column.is_not_null()) | (units < 0).fill_null(False)
        if bad.any():
            at = bad.arg_true()[0]
            text = column[at]
            why = "is not a number" if not is_number(text) else f"is negative, or has more than {scale} decimals"
            raise malformed(self._path, self._lines[at], f"{what} {text!r} {why}")
        return filled(units)
