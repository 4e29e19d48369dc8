"""What is under way between engine and venue: two lines that deliver in the order of sending, after a latency."""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.ports import NEVER

WORDS: Final = 8
"""Words a message has, the first being its arrival time."""

PLACE: Final = 1
CANCEL: Final = 2
QUERY: Final = 3
EVENT: Final = 4
FILLED: Final = 5


@final
class Line:
    """A first-in-first-out line of messages; `next_ns` is the head's arrival, NEVER when it is empty."""

    def __init__(self) -> None:
        self._capacity: i64 = 256
        self._words: vec[i64] = _words(256 * WORDS)
        self._head: i64 = 0
        self._count: i64 = 0
        self._last_ns: i64 = 0
        self.next_ns: i64 = NEVER
        # the message last taken
        self.a: i64 = 0
        self.b: i64 = 0
        self.c: i64 = 0
        self.d: i64 = 0
        self.e: i64 = 0
        self.f: i64 = 0
        self.g: i64 = 0

    def send(self, arrival_ns: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64) -> None:
        """Put a message on the line; it never overtakes the one before it."""
        if self._count == self._capacity:
            self._grow()
        if arrival_ns < self._last_ns:
            arrival_ns = self._last_ns
        self._last_ns = arrival_ns
        at = ((self._head + self._count) & (self._capacity - 1)) * WORDS
        words = self._words
        words[at] = arrival_ns
        words[at + 1] = a
        words[at + 2] = b
        words[at + 3] = c
        words[at + 4] = d
        words[at + 5] = e
        words[at + 6] = f
        words[at + 7] = g
        if self._count == 0:
            self.next_ns = arrival_ns
        self._count += 1

    def take(self) -> None:
        """Take the head off the line; its words are then in `a` to `g`."""
        words = self._words
        at = self._head * WORDS
        self.a = words[at + 1]
        self.b = words[at + 2]
        self.c = words[at + 3]
        self.d = words[at + 4]
        self.e = words[at + 5]
        self.f = words[at + 6]
        self.g = words[at + 7]
        self._head = (self._head + 1) & (self._capacity - 1)
        self._count -= 1
        if self._count > 0:
            self.next_ns = words[self._head * WORDS]
        else:
            self.next_ns = NEVER

    def _grow(self) -> None:
        larger = _words(int(self._capacity) * 2 * WORDS)
        for message in range(self._count):
            source = ((self._head + message) & (self._capacity - 1)) * WORDS
            for word in range(i64(0), i64(WORDS)):
                larger[message * WORDS + word] = self._words[source + word]
        self._words = larger
        self._head = 0
        self._capacity *= 2


def _words(count: int) -> vec[i64]:
    words = vec[i64](capacity=i64(count))
    for _ in range(count):
        words = append(words, i64(0))
    return words
