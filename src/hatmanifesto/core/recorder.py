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
_F9: Final = 12_533_141
_F10: Final = 24_494_897
_F11: Final = 28_284_271
_F12: Final = 31_622_777


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
        count = 13 + more + 3 * quotes.count
        head = VIEW | count << 8 | view.instrument.index << 16
        ts = view.now_ns
        decision = desk | view.levels << 8 | view.trigger << 16 | quotes.count << 24
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
        check = (
            fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + fold(ts) * _F1
            + fold(decision) * _F2 + fold(bid_price) * _F3 + fold(bid_size) * _F4 + fold(ask_price) * _F5
            + fold(ask_size) * _F6 + fold(book_ts_ns) * _F7 + fold(mark_price) * _F8 + fold(buy_volume) * _F9
            + fold(sell_volume) * _F10 + fold(trades) * _F11 + fold(imbalance) * _F12
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
        check += self._check_rest(at, 13, count)
        words[at] = head | (check & CHECK_MASK) << 32
        self._at = at + count
        self.seq += 1

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
        head = kind | 7 << 8 | aux << 16
        check = fold(head) * _F0 + fold(self.seq) * SEQ_FACTOR + self._check_rest(at, 1, 7)
        words[at] = head | (check & CHECK_MASK) << 32
        self._at = at + 7
        self.seq += 1

    def _check_rest(self, at: i64, position: i64, count: i64) -> i64:
        """Return the check's share of the words from `position` on, below 2^31."""
        words = self._words
        factors = self._factors
        total: i64 = 0
        while position < count:
            total += fold(words[at + position]) * factors[position & 31]
            if position & 31 == 31:
                total &= CHECK_MASK
            position += 1
        return total & CHECK_MASK
