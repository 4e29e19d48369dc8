"""Downsampling for charts in one pass: the first, least, greatest and last value of each time bucket."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_NOTHING: Final = np.iinfo(np.int64).max


class Buckets:
    """A series of integers between two times, in equal buckets. The same input gives the same points."""

    def __init__(self, begin_ns: int, end_ns: int, count: int) -> None:
        self.begin_ns: Final = begin_ns
        self.width_ns: Final = max(1, (end_ns - begin_ns) // count + 1)
        self._times = np.zeros((4, count), dtype=np.int64)
        self._values = np.zeros((4, count), dtype=np.int64)
        self._filled = np.zeros(count, dtype=bool)
        self._last = count - 1

    def add(self, times: Ints, values: Ints) -> None:
        """Take further points, in time order."""
        if not len(times):
            return
        slot = np.clip((times - self.begin_ns) // self.width_ns, 0, self._last)
        edges = np.flatnonzero(np.diff(slot)) + 1
        starts = np.concatenate(([0], edges))
        ends = np.concatenate((edges, [len(slot)]))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            self._take(int(slot[start]), times[start:end], values[start:end])

    def _take(self, slot: int, times: Ints, values: Ints) -> None:
        least, most = int(np.argmin(values)), int(np.argmax(values))
        if not self._filled[slot]:
            self._filled[slot] = True
            picked = (0, least, most, len(values) - 1)
            self._times[:, slot] = times[list(picked)]
            self._values[:, slot] = values[list(picked)]
            return
        if values[least] < self._values[1, slot]:
            self._times[1, slot], self._values[1, slot] = times[least], values[least]
        if values[most] > self._values[2, slot]:
            self._times[2, slot], self._values[2, slot] = times[most], values[most]
        self._times[3, slot], self._values[3, slot] = times[-1], values[-1]

    def points(self) -> tuple[list[int], list[int]]:
        """Return times (ns) and values, at most four a bucket, each time once and rising."""
        times = self._times[:, self._filled].T.reshape(-1)
        values = self._values[:, self._filled].T.reshape(-1)
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        last_of_time = np.append(np.diff(times) != 0, True) if len(times) else np.zeros(0, dtype=bool)
        return times[last_of_time].tolist(), values[last_of_time].tolist()


class Marks:
    """Fills as chart marks: each one while they are few, later joined by bucket, side and role."""

    def __init__(self, begin_ns: int, end_ns: int, most: int) -> None:
        self._most = most
        self._begin_ns = begin_ns
        self._width_ns = max(1, (end_ns - begin_ns) // max(1, most // 4) + 1)
        self._single: list[tuple[int, int, int, int, bool]] | None = []
        self._joined: dict[tuple[int, int, bool], list[int]] = {}
        self.count = 0

    def add(self, ts_ns: int, side: int, price: int, size: int, taker: bool) -> None:
        """Take a fill."""
        self.count += 1
        if self._single is not None:
            self._single.append((ts_ns, side, price, size, taker))
            if len(self._single) > self._most:
                self._single = None
        key = ((ts_ns - self._begin_ns) // self._width_ns, side, taker)
        sums = self._joined.setdefault(key, [0, 0, 0, 0])
        sums[0] += size
        sums[1] += price * size
        sums[2] += 1
        sums[3] = ts_ns

    @property
    def joined(self) -> bool:
        """Tell whether marks stand for several fills."""
        return self._single is None

    def marks(self) -> list[dict[str, Any]]:
        """Return marks in time order: time (ns), side, price, size, taker, fills joined in it."""
        if self._single is not None:
            return [
                {"t": t, "side": side, "price": price, "size": size, "taker": taker, "n": 1}
                for t, side, price, size, taker in self._single
            ]
        found = [
            {"t": last, "side": side, "price": value // size, "size": size, "taker": taker, "n": n}
            for (_, side, taker), (size, value, n, last) in self._joined.items()
        ]
        return sorted(found, key=lambda mark: (mark["t"], mark["side"], mark["taker"]))
