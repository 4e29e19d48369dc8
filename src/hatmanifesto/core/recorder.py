"""Packs the engine's inputs and outputs into journal records (layout: model.record)."""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.ports import RecordSink
from hatmanifesto.model.record import CHECK_MASK, SEQ_FACTOR, VIEW, WORD_FACTORS, fold

CAPACITY_WORDS: Final = 1 << 13
"""Words buffered before a group is handed on: 64 KiB, which the allocator reuses without asking the system."""
_LARGEST: Final = 512

_F0: Final = 31_415_927
_F1: Final = 27_182_819
_F2: Final = 16_180_339
_F3: Final = 14_142_135
_F4: Final = 17_320_509
_F5: Final = 22_360_679
_F6: Final = 26_457_513
_F7: Final = 33_166_247
_F8: Final = 30_277_563


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
        factors = vec[i64]()
        for factor in WORD_FACTORS:
            factors = append(factors, i64(factor))
        self._factors: vec[i64] = factors

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
        check = fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1 + fold(a) * _F2
        words = self._words
        words[at] = head | (check & CHECK_MASK) << 32
        words[at + 1] = ts
        words[at + 2] = a
        self._at = at + 3
        self.seq += 1

    def put2(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64) -> None:
        """Write a record of two fields."""
        at = self._room()
        head = kind | 4 << 8 | aux << 16
        check = fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1 + fold(a) * _F2 + fold(b) * _F3
        words = self._words
        words[at] = head | (check & CHECK_MASK) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        self._at = at + 4
        self.seq += 1

    def put3(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64) -> None:
        """Write a record of three fields."""
        at = self._room()
        head = kind | 5 << 8 | aux << 16
        check = (
            fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1
            + fold(a) * _F2 + fold(b) * _F3 + fold(c) * _F4
        )  # fmt: skip
        words = self._words
        words[at] = head | (check & CHECK_MASK) << 32
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
        check = (
            fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1
            + fold(a) * _F2 + fold(b) * _F3 + fold(c) * _F4 + fold(d) * _F5
        )  # fmt: skip
        words = self._words
        words[at] = head | (check & CHECK_MASK) << 32
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        self._at = at + 6
        self.seq += 1

    def put7(
        self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64
    ) -> None:
        """Write a record of seven fields."""
        at = self._room()
        head = kind | 9 << 8 | aux << 16
        check = (
            fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1
            + fold(a) * _F2 + fold(b) * _F3 + fold(c) * _F4 + fold(d) * _F5
            + fold(e) * _F6 + fold(f) * _F7 + fold(g) * _F8
        )  # fmt: skip
        words = self._words
        words[at] = head | (check & CHECK_MASK) << 32
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
        words[at + 1] = view.now_ns
        words[at + 2] = desk | view.levels << 8 | view.trigger << 16 | quotes.count << 24
        words[at + 3] = view.bid_price
        words[at + 4] = view.bid_size
        words[at + 5] = view.ask_price
        words[at + 6] = view.ask_size
        words[at + 7] = view.book_ts_ns
        words[at + 8] = view.mark_price
        words[at + 9] = view.buy_volume
        words[at + 10] = view.sell_volume
        words[at + 11] = view.trades
        words[at + 12] = view.order_flow_imbalance
        count: i64 = 13
        for word in range(more):
            words[at + count] = deeper[word]
            count += 1
        for index in range(quotes.count):
            quote = quotes.items[index]
            words[at + count] = quote.price
            words[at + count + 1] = quote.size
            words[at + count + 2] = quote.side_flags
            count += 3
        self._close(at, VIEW, view.instrument.index, count)

    def put5(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64, e: i64) -> None:
        """Write a record of five fields."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        words[at + 6] = e
        self._close(at, kind, aux, 7)

    def _close(self, at: i64, kind: i64, aux: i64, count: i64) -> None:
        """Finish a record whose words 1 to count-1 have been written."""
        words = self._words
        factors = self._factors
        head = kind | count << 8 | aux << 16
        total = fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR
        position: i64 = 1
        while position < count:
            total += fold(words[at + position]) * factors[position & 31]
            if position & 31 == 31:
                total &= CHECK_MASK
            position += 1
        words[at] = head | (total & CHECK_MASK) << 32
        self._at = at + count
        self.seq += 1
