"""Messages on their way into a tape, when they do not arrive in the tape's order.

Rows wait in an unnamed temporary file and only an index of messages (about 40 bytes each) stays in
memory; the two streams are gathered from the file in order.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, WORDS, Rows, check_messages, message_ends
from hatmanifesto.backtest.tape.writer import TapeWriter

_GATHER_ROWS = 100_000
_KEYS = ("exch", "local", "start", "length", "priority", "sides")
_AT_EXCHANGE, _AT_RECEIVER = 1, 2


class Spool:
    """Collects messages, forgets some, and writes them to a tape in both orders.

    Ties of the venue's clock are broken by `priority` (lower first), then by arrival. Ties of the
    receiver's clock are broken by the venue's order, or with `keep_file_order` by arrival.
    """

    def __init__(self, folder: Path, *, keep_file_order: bool = False) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed in __exit__
        self._keep_file_order = keep_file_order
        self._rows = 0
        self._parts: dict[str, list[NDArray[np.int64]]] = {key: [] for key in _KEYS}
        self._messages = 0
        self._dropped: list[NDArray[np.int64]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(
        self, rows: Rows, *, priority: int | NDArray[np.int64] = 0, at: NDArray[np.int64] | None = None
    ) -> tuple[int, int]:
        """Add whole messages; returns the first and the exclusive last message number.

        `priority` is one for all or one a message. `at` tells for every message who saw it: 1 the exchange,
        2 the receiver, 3 both (the default).
        """
        first = self._messages
        if len(rows) == 0:
            return first, first
        check_messages(rows)
        ends = message_ends(rows).astype(np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        both = np.full(len(ends), _AT_EXCHANGE | _AT_RECEIVER, np.int64)
        columns = (
            rows[starts, EXCH],
            rows[starts, LOCAL],
            starts + self._rows,
            ends - starts,
            np.full(len(ends), priority, np.int64) if isinstance(priority, int) else priority,
            both if at is None else at,
        )
        for key, column in zip(_KEYS, columns, strict=True):
            self._parts[key].append(column)
        self._file.write(np.ascontiguousarray(rows, dtype="<i8").tobytes())
        self._rows += len(rows)
        self._messages += len(ends)
        return first, self._messages

    def drop(self, messages: NDArray[np.int64]) -> None:
        """Leave messages out of the tape, by number."""
        self._dropped.append(messages)

    def write(
        self,
        writer: TapeWriter,
        *,
        adjust: Callable[[Rows], None] | None = None,
        clock: Callable[[int], int] | None = None,
    ) -> dict[str, int]:
        """Write both streams, or one when their order is the same; returns message counts.

        `adjust` changes rows in place on their way out: prices and sizes, not times or flags. `clock` is asked
        what to add to all receipt times, given the least latency (nanoseconds) of the messages that both sides saw.
        """
        column = {key: np.concatenate([*parts, np.empty(0, np.int64)]) for key, parts in self._parts.items()}
        self._parts = {key: [] for key in _KEYS}
        for dropped in self._dropped:
            column["sides"][dropped] = 0
        exch, local, sides = column["exch"], column["local"], column["sides"]
        shift = 0
        if clock is not None and (sides != 0).any():
            shift = clock(int((local - exch)[sides != 0].min()))
            local += shift
        by_exchange = np.lexsort((column["priority"], exch))
        if self._keep_file_order:
            by_receiver = np.argsort(local, kind="stable")
        else:
            by_receiver = by_exchange[np.argsort(local[by_exchange], kind="stable")]
        by_exchange = by_exchange[sides[by_exchange] & _AT_EXCHANGE != 0]
        by_receiver = by_receiver[sides[by_receiver] & _AT_RECEIVER != 0]
        writer.begin("exchange")
        for rows in self._gather(column, by_exchange, shift, adjust):
            writer.append(rows)
        if not np.array_equal(by_exchange, by_receiver):
            writer.begin("receiver")
            for rows in self._gather(column, by_receiver, shift, adjust):
                writer.append(rows)
        kept = sides != 0
        return {
            "messages": int(kept.sum()),
            "received_before_sent": int((kept & (local < exch)).sum()),
        }

    def _gather(
        self,
        column: dict[str, NDArray[np.int64]],
        order: NDArray[np.intp],
        shift: int,
        adjust: Callable[[Rows], None] | None,
    ) -> Iterator[Rows]:
        if len(order) == 0:
            return
        self._file.flush()
        total = np.cumsum(column["length"][order])
        begin = 0
        while begin < len(order):
            done = int(total[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, done + _GATHER_ROWS, side="right")))
            chosen = order[begin:end]
            lengths = column["length"][chosen]
            before = np.cumsum(lengths) - lengths
            places = np.repeat(column["start"][chosen] - before, lengths) + np.arange(int(lengths.sum()))
            # mapped anew each time, so that the pages read do not stay in memory
            stored = np.memmap(self._file, dtype="<i8", mode="r", shape=(self._rows, WORDS))
            rows = np.array(stored[places])
            del stored
            rows[:, LOCAL] += shift
            if adjust is not None:
                adjust(rows)
            yield rows
            begin = end
