"""What each instrument was worth when: mids and marks as the strategies saw them, from the journal's views."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.journal.columns import Batch, decode
from hatmanifesto.model.record import FILL, VIEW

Ints = NDArray[np.int64]
_PRICES: Final = ("bid_price", "ask_price", "mark_price")


class Series:
    """One quantity of one instrument over a batch; its first element is what was known before, 0 = nothing."""

    def __init__(self, ts_ns: int = 0, value: int = 0) -> None:
        self.seq: Ints = np.array([-1], dtype=np.int64)
        self.ts: Ints = np.array([ts_ns], dtype=np.int64)
        self.value: Ints = np.array([value], dtype=np.int64)

    def extend(self, seq: Ints, ts: Ints, value: Ints) -> None:
        """Go on to the next batch: forget all but the last value, add the batch's."""
        first = np.array([-1], dtype=np.int64)
        self.seq = np.concatenate((first, seq))
        self.ts = np.concatenate((self.ts[-1:], ts))
        self.value = np.concatenate((self.value[-1:], value))

    @property
    def last(self) -> int:
        """The newest value."""
        return int(self.value[-1])

    def before(self, seqs: Ints) -> Ints:
        """Return the last value before each record of the batch."""
        return self.value[np.searchsorted(self.seq, seqs) - 1]

    def at(self, ts_ns: Ints) -> Ints:
        """Return the last value at or before each time; what is older than the batch counts as its first element."""
        return self.value[np.maximum(np.searchsorted(self.ts, ts_ns, side="right") - 1, 0)]

    def until(self, ts_ns: int) -> int:
        """Return the last value before a time."""
        return int(self.value[max(0, int(np.searchsorted(self.ts, ts_ns)) - 1)])


class Prices:
    """Twice the mids, and the marks, of every instrument (by name)."""

    def __init__(self) -> None:
        self.mids: dict[str, Series] = {}
        self.marks: dict[str, Series] = {}
        self.marked: set[str] = set()

    def know(self, name: str) -> None:
        """Add an instrument."""
        if name not in self.mids:
            self.mids[name], self.marks[name] = Series(), Series()

    def set_mark(self, name: str, mark: int) -> None:
        """A session begins with this mark; it counts until a view has another."""
        self.marks[name].value[0] = mark
        self.marked.add(name)

    def take(self, batch: Batch, names: list[str]) -> None:
        """Go on to a batch of a journal whose instruments have these names."""
        views: Any = decode(batch, VIEW, _PRICES)
        index, seq, ts = views["aux"], views["seq"], views["ts_ns"]
        bid, ask, mark = (views[name] for name in _PRICES)
        whole = (bid > 0) & (ask > 0)
        for place, name in enumerate(names):
            mine = index == place
            good = mine & whole
            self.mids[name].extend(seq[good], ts[good], bid[good] + ask[good])
            good = mine & (mark > 0)
            marks = seq[good], ts[good], mark[good]
            if name not in self.marked:
                marks = _with_fills(batch, place, *marks)
            if good.any():
                self.marked.add(name)
            self.marks[name].extend(*marks)

    def mids_before(self, names: list[str], instruments: Ints, seqs: Ints) -> Ints:
        """Return twice the mid of each record's own instrument before it; 0 where it has none."""
        found = np.zeros(len(seqs), dtype=np.int64)
        for place, name in enumerate(names):
            mine = instruments == place
            if mine.any():
                found[mine] = self.mids[name].before(seqs[mine])
        return found

    def valued(self, name: str, ts_ns: int | None = None) -> tuple[int, int]:
        """Return twice the mid, and the mark, before a time (None: at the end); 0 where unknown."""
        mid, mark = self.mids[name], self.marks[name]
        if ts_ns is None:
            return mid.last, mark.last
        return mid.until(ts_ns), mark.until(ts_ns)

    def state(self) -> dict[str, Any]:
        """Return what the next batch must know."""
        return {
            name: [
                int(mid.ts[-1]), mid.last, int(self.marks[name].ts[-1]), self.marks[name].last, name in self.marked
            ]
            for name, mid in self.mids.items()
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Prices":
        """Go on where `state` was taken."""
        prices = cls()
        for name, (mid_ts, mid, mark_ts, mark, marked) in state.items():
            prices.mids[name], prices.marks[name] = Series(mid_ts, mid), Series(mark_ts, mark)
            if marked:
                prices.marked.add(name)
        return prices


def _with_fills(batch: Batch, index: int, seq: Ints, ts: Ints, mark: Ints) -> tuple[Ints, Ints, Ints]:
    """Where nobody has told a mark yet, the price of the last fill is one."""
    fills: Any = decode(batch, FILL, ("price",))
    mine = fills["aux"] >> 8 == index
    if len(seq):
        mine &= fills["seq"] < seq[0]
    return (
        np.concatenate((fills["seq"][mine], seq)),
        np.concatenate((fills["ts_ns"][mine], ts)),
        np.concatenate((fills["price"][mine], mark)),
    )
