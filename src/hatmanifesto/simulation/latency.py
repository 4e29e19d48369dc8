"""How long a request takes to the venue and an answer back: constant, as recorded, drawn, or as the feed's own way.

Whatever is drawn, messages on one way never overtake each other: `wire.Line` sees to it.
"""

from abc import abstractmethod
from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.simulation.chance import Chance
from hatmanifesto.simulation.queue_probability import ONE, log2, scaled_exp2

VARIES: Final = -1
"""A latency that is not always the same."""
_LONGEST_LOG2: Final = 45 * ONE
"""No latency is drawn beyond ten hours."""
_Z_99: Final = 2_497_893_533
"""The standard normal's 99 % quantile, 2.32634787, in 2^-30."""


class OrderLatency:
    """Order entry and response latency in nanoseconds at a moment of the tape.

    One that never changes is also kept in `steady_entry_ns` and `steady_response_ns`, which saves a call a message.
    """

    steady_entry_ns: i64 = VARIES
    steady_response_ns: i64 = VARIES

    @final
    def at_venue_ns(self, now: i64) -> i64:
        """Return when a request sent now reaches the matching engine."""
        if self.steady_entry_ns != VARIES:
            return now + self.steady_entry_ns
        return now + self.entry_ns(now)

    @final
    def at_engine_ns(self, now: i64) -> i64:
        """Return when an answer given by the matching engine now is received."""
        if self.steady_response_ns != VARIES:
            return now + self.steady_response_ns
        return now + self.response_ns(now)

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
        self.steady_entry_ns = entry_ns
        self.steady_response_ns = response_ns

    def entry_ns(self, now: i64) -> i64:
        return self.steady_entry_ns

    def response_ns(self, now: i64) -> i64:
        return self.steady_response_ns


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


@final
class FeedLatency(OrderLatency):
    """Both ways take what the market data took when the venue sent it last, from (time_ns, delay_ns) words in order."""

    def __init__(self, words: vec[i64]) -> None:
        if len(words) < 2:
            raise ValueError("a feed latency needs at least one pair of (time_ns, delay_ns)")
        self._words: vec[i64] = words
        self._entry_at: i64 = 0
        self._response_at: i64 = 0

    def entry_ns(self, now: i64) -> i64:
        self._entry_at = self._place(self._entry_at, now)
        return self._words[self._entry_at + 1]

    def response_ns(self, now: i64) -> i64:
        self._response_at = self._place(self._response_at, now)
        return self._words[self._response_at + 1]

    def _place(self, at: i64, now: i64) -> i64:
        words = self._words
        last = len(words) - 2
        while at < last and words[at + 2] <= now:
            at += 2
        return at


@final
class LognormalWay:
    """One way's latency: a floor, and above it a lognormal with this median and 99th percentile (of the whole)."""

    def __init__(self, floor_ns: int, median_ns: int, p99_ns: int, chance: Chance) -> None:
        if not 0 <= floor_ns < median_ns <= p99_ns < 1 << 40:
            raise ValueError(
                "a drawn latency needs 0 <= floor < median <= p99 below 18 minutes,"
                f" got {floor_ns}, {median_ns} and {p99_ns} ns"
            )
        self._floor: Final[i64] = floor_ns
        self._median_log2: Final[i64] = log2(i64(median_ns) - i64(floor_ns))
        spread = log2(i64(p99_ns) - i64(floor_ns)) - self._median_log2
        self._sigma_log2: Final[i64] = (spread << 20) // (_Z_99 >> 10)
        self._chance: Final[Chance] = chance

    def draw(self) -> i64:
        """Return the next latency in nanoseconds."""
        exponent = self._median_log2 + ((self._chance.normal() >> 5) * (self._sigma_log2 >> 5) >> 20)
        if exponent < 0:
            return self._floor
        return self._floor + scaled_exp2(exponent if exponent < _LONGEST_LOG2 else _LONGEST_LOG2)


@final
class LognormalLatency(OrderLatency):
    """Drawn from a shifted lognormal for each way, every message by itself."""

    def __init__(self, entry: LognormalWay, response: LognormalWay) -> None:
        self._entry: Final[LognormalWay] = entry
        self._response: Final[LognormalWay] = response

    def entry_ns(self, now: i64) -> i64:
        return self._entry.draw()

    def response_ns(self, now: i64) -> i64:
        return self._response.draw()


@final
class SampledLatency(OrderLatency):
    """Drawn with replacement from measured (entry_ns, response_ns); ValueError without any or with a negative one."""

    def __init__(self, samples: list[tuple[int, int]], chance: Chance) -> None:
        if not samples:
            raise ValueError("sampled latency needs at least one sample of (entry_ns, response_ns)")
        entries = vec[i64]()
        responses = vec[i64]()
        for entry, response in samples:
            if entry < 0 or response < 0:
                raise ValueError(f"latency sample {(entry, response)} is negative")
            entries = append(entries, i64(entry))
            responses = append(responses, i64(response))
        self._entries: vec[i64] = entries
        self._responses: vec[i64] = responses
        self._chance: Final[Chance] = chance

    def entry_ns(self, now: i64) -> i64:
        return self._entries[self._chance.below(len(self._entries))]

    def response_ns(self, now: i64) -> i64:
        return self._responses[self._chance.below(len(self._responses))]
