"""Packs the engine's inputs and outputs into journal records (layout: model.record)."""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.ports import RecordSink
from hatmanifesto.model.record import (
    CHECK_MASK,
    FACTOR_STEP,
    FIRST_FACTOR,
    HIGH_FACTOR,
    SEQ_FACTOR,
    VIEW,
    fold,
    high_bits,
)

CAPACITY_WORDS: Final = 1 << 13
"""Words buffered before a group is handed on: 64 KiB, which the allocator reuses without asking the system."""
_LARGEST: Final = 512

# factors of the first words, see model.record
_F0: Final = 10_007
_F1: Final = 90_025
_F2: Final = 170_043
_F3: Final = 250_061
_F4: Final = 330_079
_F5: Final = 410_097
_F6: Final = 490_115
_F7: Final = 570_133
_F8: Final = 650_151
_F9: Final = 730_169
_F10: Final = 810_187
_F11: Final = 890_205
_F12: Final = 970_223


@final
class Recorder:
    """A buffer of whole records. `put1`…`put7` write a record with that many fields after its time."""

    def __init__(self, sink: RecordSink, first_seq: i64 = 0) -> None:
        self.sink: Final[RecordSink] = sink
        self.seq: i64 = first_seq
        self._group_seq: i64 = first_seq
        self._at: i64 = 0
        words = vec[i64](capacity=CAPACITY_WORDS)
        for _ in range(CAPACITY_WORDS):
            words = append(words, i64(0))
        self._words: vec[i64] = words

    def flush(self) -> None:
        """Hand the buffered records to the sink as one group; raises what the sink raises."""
        if self._at == 0:
            return
        payload = bytes(memoryview(self._words)[: int(self._at)])
        count = int(self.seq - self._group_seq)
        first = int(self._group_seq)
        self._at = 0
        self._group_seq = self.seq
        self.sink.append(first, count, payload)

    def blob(self, payload: bytes) -> None:
        """Hand on a record that was packed elsewhere under the number `seq`, in a group of its own."""
        self.flush()
        first = int(self.seq)
        self.seq += 1
        self._group_seq = self.seq
        self.sink.append(first, 1, payload)

    def _room(self) -> i64:
        if self._at > CAPACITY_WORDS - _LARGEST:
            self.flush()
        return self._at

    def put1(self, kind: i64, aux: i64, ts: i64, a: i64) -> None:
        """Write a record of one field."""
        at = self._room()
        head = kind | 3 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        self._at = at + 3
        self.seq += 1

    def put2(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64) -> None:
        """Write a record of two fields."""
        at = self._room()
        head = kind | 4 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
            + (b & CHECK_MASK) * _F3
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a ^ b, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        self._at = at + 4
        self.seq += 1

    def put3(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64) -> None:
        """Write a record of three fields."""
        at = self._room()
        head = kind | 5 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
            + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a ^ b ^ c, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        self._at = at + 5
        self.seq += 1

    def put4(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64) -> None:
        """Write a record of four fields."""
        at = self._room()
        head = kind | 6 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
            + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4 + (d & CHECK_MASK) * _F5
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a ^ b ^ c ^ d, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        self._at = at + 6
        self.seq += 1

    def put7(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64) -> None:
        """Write a record of seven fields."""
        at = self._room()
        head = kind | 9 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
            + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4 + (d & CHECK_MASK) * _F5
            + (e & CHECK_MASK) * _F6 + (f & CHECK_MASK) * _F7 + (g & CHECK_MASK) * _F8
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a ^ b ^ c ^ d ^ e ^ f ^ g, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        words[at + 6] = e
        words[at + 7] = f
        words[at + 8] = g
        self._at = at + 9
        self.seq += 1

    def put_view(self, desk: i64, view: View, quotes: Quotes) -> None:
        """Write a view, and what the strategy wants after it."""
        at = self._room()
        words = self._words
        deeper = view.deeper_words
        more = len(deeper)
        count = 13 + more + 3 * quotes.count
        head = VIEW | count << 8 | view.instrument.index << 16
        ts = view.now_ns
        decision = desk | view.layout | view.trigger << 16 | quotes.count << 24 | quotes.hold_reason << 32
        bid_price = view.bid_price
        bid_size = view.bid_size
        ask_price = view.ask_price
        ask_size = view.ask_size
        book_ts_ns = view.book_ts_ns
        mark_price = view.mark_price
        buy_volume = view.buy_volume
        sell_volume = view.sell_volume
        trades = view.trades
        imbalance = view.order_flow_imbalance
        words[at + 1] = ts
        words[at + 2] = decision
        words[at + 3] = bid_price
        words[at + 4] = bid_size
        words[at + 5] = ask_price
        words[at + 6] = ask_size
        words[at + 7] = book_ts_ns
        words[at + 8] = mark_price
        words[at + 9] = buy_volume
        words[at + 10] = sell_volume
        words[at + 11] = trades
        words[at + 12] = imbalance
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (decision & CHECK_MASK) * _F2
            + (bid_price & CHECK_MASK) * _F3 + (bid_size & CHECK_MASK) * _F4
            + (ask_price & CHECK_MASK) * _F5 + (ask_size & CHECK_MASK) * _F6
            + (book_ts_ns & CHECK_MASK) * _F7 + (mark_price & CHECK_MASK) * _F8
            + (buy_volume & CHECK_MASK) * _F9 + (sell_volume & CHECK_MASK) * _F10
            + (trades & CHECK_MASK) * _F11 + (imbalance & CHECK_MASK) * _F12
        )  # fmt: skip
        high = (
            head ^ ts ^ decision ^ bid_price ^ bid_size ^ ask_price ^ ask_size ^ book_ts_ns ^ mark_price
            ^ buy_volume ^ sell_volume ^ trades ^ imbalance
        )  # fmt: skip
        position: i64 = 13
        for word in range(more):
            words[at + position] = deeper[word]
            position += 1
        for index in range(quotes.count):
            quote = quotes.items[index]
            words[at + position] = quote.price
            words[at + position + 1] = quote.size
            words[at + position + 2] = quote.side_flags
            position += 3
        position = 13
        while position < count:
            word_there = words[at + position]
            high ^= word_there
            total += (word_there & CHECK_MASK) * (FIRST_FACTOR + position * FACTOR_STEP)
            total &= CHECK_MASK
            position += 1
        words[at] = head | _check(total, high, self.seq) << 32
        self._at = at + count
        self.seq += 1

    def put5(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64, e: i64) -> None:
        """Write a record of five fields."""
        at = self._room()
        head = kind | 7 << 8 | aux << 16
        words = self._words
        total = (
            (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
            + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4 + (d & CHECK_MASK) * _F5
            + (e & CHECK_MASK) * _F6
        )  # fmt: skip
        words[at] = head | _check(total, head ^ ts ^ a ^ b ^ c ^ d ^ e, self.seq) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        words[at + 6] = e
        self._at = at + 7
        self.seq += 1

    def put_words(self, kind: i64, aux: i64, ts: i64, fields: vec[i64]) -> None:
        """Write a record of any number of fields (at most 253); for kinds that are written seldom."""
        at = self._room()
        words = self._words
        count = 2 + len(fields)
        head = kind | count << 8 | aux << 16
        total = (head & CHECK_MASK) * _F0 + (ts & CHECK_MASK) * _F1
        high = head ^ ts
        words[at + 1] = ts
        position: i64 = 2
        while position < count:
            word = fields[position - 2]
            words[at + position] = word
            high ^= word
            total += (word & CHECK_MASK) * (FIRST_FACTOR + position * FACTOR_STEP)
            total &= CHECK_MASK
            position += 1
        words[at] = head | _check(total, high, self.seq) << 32
        self._at = at + count
        self.seq += 1


def _check(total: i64, high: i64, seq: i64) -> i64:
    return (total + high_bits(high) * HIGH_FACTOR + fold(seq) * SEQ_FACTOR) & CHECK_MASK
