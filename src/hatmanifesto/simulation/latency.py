"""How long a request takes to the venue and an answer back: constant, or as recorded."""

from abc import abstractmethod
from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64


class OrderLatency:
    """Order entry and response latency in nanoseconds at a moment of the tape."""

    @abstractmethod
    def entry_ns(self, now: i64) -> i64:
        """Return how long a request sent now takes to the matching engine."""

    @abstractmethod
    def response_ns(self, now: i64) -> i64:
        """Return how long an answer given by the matching engine now takes back."""


@final
class ConstantLatency(OrderLatency):
    """The same latencies always."""

    def __init__(self, entry_ns: int, response_ns: int) -> None:
        if entry_ns < 0 or response_ns < 0:
            raise ValueError(f"latencies must not be negative, got {entry_ns} and {response_ns} ns")
        self._entry: Final[i64] = entry_ns
        self._response: Final[i64] = response_ns

    def entry_ns(self, now: i64) -> i64:
        return self._entry

    def response_ns(self, now: i64) -> i64:
        return self._response


@final
class RecordedLatency(OrderLatency):
    """Measured round trips: the sample last seen at or before the moment, the first one before that.

    `samples` are (time_ns, entry_ns, response_ns) with rising times. Raises ValueError when they are empty,
    out of order, or negative.
    """

    def __init__(self, samples: list[tuple[int, int, int]]) -> None:
        if not samples:
            raise ValueError("recorded latency needs at least one sample of (time_ns, entry_ns, response_ns)")
        times = vec[i64]()
        entries = vec[i64]()
        responses = vec[i64]()
        last = samples[0][0]
        for time_ns, entry, response in samples:
            if time_ns < last or entry < 0 or response < 0:
                raise ValueError(f"latency sample {(time_ns, entry, response)} is out of order or negative")
            last = time_ns
            times = append(times, i64(time_ns))
            entries = append(entries, i64(entry))
            responses = append(responses, i64(response))
        self._times: vec[i64] = times
        self._entries: vec[i64] = entries
        self._responses: vec[i64] = responses
        self._entry_at: i64 = 0
        self._response_at: i64 = 0

    def entry_ns(self, now: i64) -> i64:
        self._entry_at = self._sample(self._entry_at, now)
        return self._entries[self._entry_at]

    def response_ns(self, now: i64) -> i64:
        self._response_at = self._sample(self._response_at, now)
        return self._responses[self._response_at]

    def _sample(self, at: i64, now: i64) -> i64:
        times = self._times
        last = len(times) - 1
        while at < last and times[at + 1] <= now:
            at += 1
        return at
