"""Packs the engine's inputs and outputs into journal records (layout: model.record)."""

from typing import Final, final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.ports import RecordSink
from hatmanifesto.model.record import (
    CANCEL,
    CHECK_MASK,
    FACTOR_STEP,
    FIRST_FACTOR,
    HIGH_FACTOR,
    ORDER_EVENT,
    SEQ_FACTOR,
    SUBMIT,
    VIEW,
    high_bits,
)
from hatmanifesto.model.record_forms import (
    HIGH_BIAS,
    HIGH_BITS,
    LOW_BIAS,
    LOW_BITS,
    ONE_LEVEL,
    SHORT,
    SHORT_VIEW_WORDS,
    TRADES_BITS,
    TRADES_SHIFT,
    pack_order,
)

CAPACITY_WORDS: Final = 1 << 13
"""Words buffered before a group is handed on: 64 KiB, which the allocator reuses without asking the system."""
_FULL: Final = CAPACITY_WORDS - 512
_NO_TIME: Final = -(1 << 62)

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


@final
class Recorder:
    """A buffer of whole records. `put1`…`put7` write a record with that many fields after its time.

    What is written most has methods of its own, which take the short form (model.record_forms) where it does.
    """

    def __init__(self, sink: RecordSink, first_seq: i64 = 0) -> None:
        self.sink: Final[RecordSink] = sink
        self.seq: i64 = first_seq
        self._group_seq: i64 = first_seq
        self._at: i64 = 0
        # of the last record and of the last order event in the buffer: what short forms leave out
        self._ts: i64 = _NO_TIME
        self._event_exch_ts: i64 = _NO_TIME
        words = vec[i64](capacity=CAPACITY_WORDS)
        for _ in range(CAPACITY_WORDS):
            words = append(words, i64(0))
        self._words: Final[vec[i64]] = words

    def flush(self) -> None:
        """Hand the buffered records to the sink as one group; raises what the sink raises."""
        if self._at == 0:
            return
        payload = memoryview(self._words)[: int(self._at)].cast("B")
        count = int(self.seq - self._group_seq)
        first = int(self._group_seq)
        self._at = 0
        self._ts = _NO_TIME
        self._event_exch_ts = _NO_TIME
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
        if self._at > _FULL:
            self.flush()
        return self._at

    def _head(self, at: i64, count: i64, head: i64, total: i64, high: i64) -> i64:
        """Return the first word of a record whose other words stand at `at` + 1 and on, and count it as written.

        `total` is the sum of their low bits times their factors, `high` their exclusive or.
        """
        head |= count << 8
        total += (head & CHECK_MASK) * _F0 + high_bits(head ^ high) * HIGH_FACTOR + (self.seq & CHECK_MASK) * SEQ_FACTOR
        self._at = at + count
        self.seq += 1
        return head | (total & CHECK_MASK) << 32

    # -- what is written most -----------------------------------------------------------------------

    def put_order_event(self, trigger: i64, reason: i64, ts: i64, order_id: i64, exch_ts: i64) -> None:
        """Write the venue's word on an order."""
        if self._at > _FULL:
            self.flush()
        head = ORDER_EVENT | (trigger | reason << 8) << 16
        if ts == self._ts and exch_ts == self._event_exch_ts:
            self._put_id(self._words, head + SHORT, order_id)
            return
        self.put2(ORDER_EVENT, trigger | reason << 8, ts, order_id, exch_ts)
        self._event_exch_ts = exch_ts

    def put_cancel(self, reason: i64, ts: i64, order_id: i64) -> None:
        """Write that a cancel is sent."""
        if self._at > _FULL:
            self.flush()
        if ts == self._ts:
            self._put_id(self._words, CANCEL + SHORT | reason << 16, order_id)
        else:
            self.put1(CANCEL, reason, ts, order_id)

    def _put_id(self, words: vec[i64], head: i64, order_id: i64) -> None:
        """Write the short form of a record that names an order."""
        at = self._at
        words[at + 1] = order_id
        words[at] = self._head(at, 2, head, (order_id & CHECK_MASK) * _F1, order_id)

    def put_submit(self, aux: i64, ts: i64, order_id: i64, price: i64, size: i64, side_flags: i64) -> None:
        """Write that an order is sent."""
        at = self._room()
        order = pack_order(price, size, side_flags)
        if ts == self._ts and order >= 0:
            self._put_order(self._words, at, SUBMIT + SHORT | aux << 16, order_id, order)
        else:
            self.put4(SUBMIT, aux, ts, order_id, price, size, side_flags)

    def _put_order(self, words: vec[i64], at: i64, head: i64, order_id: i64, order: i64) -> None:
        words[at + 1] = order_id
        words[at + 2] = order
        total = (order_id & CHECK_MASK) * _F1 + (order & CHECK_MASK) * _F2
        words[at] = self._head(at, 3, head, total, order_id ^ order)

    def put_view(self, desk: i64, view: View, quotes: Quotes) -> None:
        """Write a view, and what the strategy wants after it."""
        at = self._room()
        decision = desk | view.layout | view.trigger << 16 | quotes.count << 24 | quotes.hold_reason << 32
        if view.layout != ONE_LEVEL or not self._put_short_view(self._words, at, decision, view, quotes):
            self._put_long_view(at, decision, view, quotes)
        self._ts = view.now_ns

    def _put_short_view(self, words: vec[i64], at: i64, decision: i64, view: View, quotes: Quotes) -> bool:
        """Write the short form; False where a number is too large for it, and nothing is written."""
        ts = view.now_ns
        bid = view.bid_price
        spread = view.ask_price - bid + LOW_BIAS
        mark = view.mark_price - bid + HIGH_BIAS
        age = ts - view.book_ts_ns
        imbalance = view.order_flow_imbalance + HIGH_BIAS
        bid_size = view.bid_size
        ask_size = view.ask_size
        buys = view.buy_volume
        sells = view.sell_volume
        trades = view.trades
        low = spread | bid_size | buys | age
        high = mark | ask_size | sells | imbalance
        if low >> LOW_BITS != 0 or high >> HIGH_BITS != 0 or trades >> TRADES_BITS != 0:
            return False
        decision |= trades << TRADES_SHIFT
        prices = spread | mark << LOW_BITS
        sizes = bid_size | ask_size << LOW_BITS
        volumes = buys | sells << LOW_BITS
        rest = age | imbalance << LOW_BITS
        words[at + 1] = ts
        words[at + 2] = decision
        words[at + 3] = bid
        words[at + 4] = prices
        words[at + 5] = sizes
        words[at + 6] = volumes
        words[at + 7] = rest
        total = (
            (ts & CHECK_MASK) * _F1 + (decision & CHECK_MASK) * _F2 + (bid & CHECK_MASK) * _F3
            + (prices & CHECK_MASK) * _F4 + (sizes & CHECK_MASK) * _F5 + (volumes & CHECK_MASK) * _F6
            + (rest & CHECK_MASK) * _F7
        )  # fmt: skip
        high = ts ^ decision ^ bid ^ prices ^ sizes ^ volumes ^ rest
        count: i64 = SHORT_VIEW_WORDS
        for index in range(quotes.count):
            wanted = quotes.items[index].packed(bid)
            if wanted < 0:
                return False
            words[at + count] = wanted
            total += (wanted & CHECK_MASK) * (FIRST_FACTOR + count * FACTOR_STEP)
            high ^= wanted
            count += 1
        words[at] = self._head(at, count, VIEW + SHORT | view.instrument.index << 16, total & CHECK_MASK, high)
        return True

    def _put_long_view(self, at: i64, decision: i64, view: View, quotes: Quotes) -> None:
        words = self._words
        words[at + 1] = view.now_ns
        words[at + 2] = decision
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
        deeper = view.deeper_words
        for word in range(i64(len(deeper))):
            words[at + count] = deeper[word]
            count += 1
        for index in range(quotes.count):
            quote = quotes.items[index]
            words[at + count] = quote.price
            words[at + count + 1] = quote.size
            words[at + count + 2] = quote.side_flags
            count += 3
        self._seal_any(at, count, VIEW | view.instrument.index << 16)

    def _seal_any(self, at: i64, count: i64, head: i64) -> None:
        """Write the head of a record of any length whose other words are written."""
        words = self._words
        total: i64 = 0
        high: i64 = 0
        for place in range(i64(1), count):
            word = words[at + place]
            high ^= word
            total = (total + (word & CHECK_MASK) * (FIRST_FACTOR + place * FACTOR_STEP)) & CHECK_MASK
        words[at] = self._head(at, count, head, total, high)

    # -- a record of any kind -----------------------------------------------------------------------

    def put1(self, kind: i64, aux: i64, ts: i64, a: i64) -> None:
        """Write a record of one field."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        total = (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2
        words[at] = self._head(at, 3, kind | aux << 16, total, ts ^ a)
        self._ts = ts

    def put2(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64) -> None:
        """Write a record of two fields."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        total = (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2 + (b & CHECK_MASK) * _F3
        words[at] = self._head(at, 4, kind | aux << 16, total, ts ^ a ^ b)
        self._ts = ts

    def put3(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64) -> None:
        """Write a record of three fields."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        total = (
            (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2 + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4
        )  # fmt: skip
        words[at] = self._head(at, 5, kind | aux << 16, total, ts ^ a ^ b ^ c)
        self._ts = ts

    def put4(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64) -> None:
        """Write a record of four fields."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        total = (
            (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2 + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4
            + (d & CHECK_MASK) * _F5
        )  # fmt: skip
        words[at] = self._head(at, 6, kind | aux << 16, total, ts ^ a ^ b ^ c ^ d)
        self._ts = ts

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
        total = (
            (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2 + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4
            + (d & CHECK_MASK) * _F5 + (e & CHECK_MASK) * _F6
        )  # fmt: skip
        words[at] = self._head(at, 7, kind | aux << 16, total, ts ^ a ^ b ^ c ^ d ^ e)
        self._ts = ts

    def put7(self, kind: i64, aux: i64, ts: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64) -> None:
        """Write a record of seven fields."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        words[at + 2] = a
        words[at + 3] = b
        words[at + 4] = c
        words[at + 5] = d
        words[at + 6] = e
        words[at + 7] = f
        words[at + 8] = g
        total = (
            (ts & CHECK_MASK) * _F1 + (a & CHECK_MASK) * _F2 + (b & CHECK_MASK) * _F3 + (c & CHECK_MASK) * _F4
            + (d & CHECK_MASK) * _F5 + (e & CHECK_MASK) * _F6 + (f & CHECK_MASK) * _F7 + (g & CHECK_MASK) * _F8
        )  # fmt: skip
        words[at] = self._head(at, 9, kind | aux << 16, total, ts ^ a ^ b ^ c ^ d ^ e ^ f ^ g)
        self._ts = ts

    def put_words(self, kind: i64, aux: i64, ts: i64, fields: vec[i64]) -> None:
        """Write a record of any number of fields (at most 253); for kinds that are written seldom."""
        at = self._room()
        words = self._words
        words[at + 1] = ts
        count: i64 = 2
        for place in range(i64(len(fields))):
            words[at + count] = fields[place]
            count += 1
        self._seal_any(at, count, kind | aux << 16)
        self._ts = ts
