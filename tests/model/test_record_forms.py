"""Short forms say what the long ones say, are taken where they can be, and stand alone in no group."""

import struct
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.journal.columns import split, times, unchanged, widen
from hatmanifesto.journal.diagnose import Damage
from hatmanifesto.journal.format import DamagedError, Group
from hatmanifesto.journal.reader import records_of
from hatmanifesto.journal.writer import MemoryJournal
from hatmanifesto.model import record
from hatmanifesto.model.order import POST_ONLY, QUOTE
from hatmanifesto.model.record_forms import NO_WORD, SHORT, long_kind, pack_order, pack_wanted
from support.engines import an_instrument

T0 = 1_700_000_000_000_000_000


class Put(NamedTuple):
    """What a recorder is told, and the long record that stands for it."""

    kind: int
    aux: int
    ts_ns: int
    values: tuple[int, ...]

    def write(self, recorder: Recorder) -> None:
        match self.kind:
            case record.CANCEL:
                recorder.put_cancel(self.aux, self.ts_ns, *self.values)
            case record.ORDER_EVENT:
                recorder.put_order_event(self.aux & 0xFF, self.aux >> 8, self.ts_ns, *self.values)
            case record.SUBMIT:
                recorder.put_submit(self.aux, self.ts_ns, *self.values)
            case record.TIMEOUT:
                recorder.put1(record.TIMEOUT, self.aux, self.ts_ns, *self.values)
            case record.VIEW:
                recorder.put_view(self.values[0] & 0xFF, *self._view())

    def _view(self) -> tuple[View, Quotes]:
        view, quotes = View(an_instrument()), Quotes()
        decision = self.values[0]
        view.now_ns, view.trigger = self.ts_ns, decision >> 16 & 0xFF
        (view.bid_price, view.bid_size, view.ask_price, view.ask_size, view.book_ts_ns, view.mark_price,
         view.buy_volume, view.sell_volume, view.trades, view.order_flow_imbalance) = self.values[1:11]  # fmt: skip
        for price, size, flags in zip(*(self.values[11 + word :: 3] for word in range(3)), strict=True):
            quotes.add(1 if flags else -1, price, size, POST_ONLY, False, QUOTE)
        return view, quotes


stamps = st.sampled_from([T0, T0, T0 + 1, T0 + 10**9])
ids = st.integers(1, (1 << 60) - 1)
small = st.integers(1, 5000)
large = st.integers(1, 1 << 45)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from([record.CANCEL, record.ORDER_EVENT, record.SUBMIT, record.TIMEOUT, record.VIEW]))
    aux, ts = draw(st.integers(0, 0xFFFF)), draw(stamps)
    numbers = draw(st.sampled_from([small, small, large]))
    if kind == record.SUBMIT:
        return Put(kind, aux, ts, (draw(ids), draw(numbers), draw(numbers), draw(st.integers(0, 1 << 11))))
    if kind == record.ORDER_EVENT:
        return Put(kind, aux, ts, (draw(ids), draw(stamps)))
    if kind != record.VIEW:
        return Put(kind, aux, ts, (draw(ids),))
    wanted = draw(st.lists(st.tuples(numbers, numbers, st.integers(0, 1)), max_size=4))
    decision = draw(st.integers(0, 0xFF)) | 1 << 8 | draw(st.integers(0, 0xFF)) << 16 | len(wanted) << 24
    market = [draw(numbers) for _ in range(9)]
    market.insert(4, ts - draw(numbers))
    market[9] = draw(numbers) - draw(numbers)
    return Put(kind, 0, ts, (decision, *market, *(word for quote in wanted for word in quote)))


def recorded(told: list[Put], first_seq: int = 0, flush_every: int = 0) -> MemoryJournal:
    journal = MemoryJournal(first_seq)
    recorder = Recorder(journal, first_seq)
    for at, put in enumerate(told, 1):
        put.write(recorder)
        if flush_every and at % flush_every == 0:
            recorder.flush()
    recorder.flush()
    return journal


@given(st.lists(puts(), min_size=1, max_size=30), st.integers(0, 1 << 40), st.integers(0, 5))
def test_what_is_read_is_what_was_told_whatever_the_forms_and_groups(told: list[Put], first: int, every: int) -> None:
    groups = recorded(told, first, every).groups
    entries = [entry for group in groups for entry in records_of(group)]
    assert [(one.kind, one.aux, one.ts_ns, one.values) for one in entries] == told
    assert [one.seq for one in entries] == list(range(first, first + len(told)))
    stored = split(groups)
    assert unchanged(stored)
    assert times(stored).tolist() == [put.ts_ns for put in told]
    assert stored.kinds.tolist() == [put.kind for put in told]


@given(st.lists(puts(), min_size=1, max_size=12), st.data())
def test_a_changed_bit_is_found_and_named_in_a_short_form_too(told: list[Put], data: st.DataObject) -> None:
    group = recorded(told, 5).groups[0]
    starts = [*split([group]).starts.tolist(), len(group.payload) // 8]
    place = data.draw(st.integers(0, len(told) - 1))
    byte = data.draw(st.integers(starts[place] * 8, starts[place + 1] * 8 - 1))
    changed = bytearray(group.payload)
    changed[byte] ^= 1 << data.draw(st.integers(0, 7))
    damage = Damage(bytes(changed), 0, 5, 4 + len(told), range(5, 5 + len(told)))
    assert damage.findings
    assert all(finding.code in ("changed", "missing", "foreign") for finding in damage.findings)
    assert damage.findings[0].seq == 5 + place


def test_a_decision_and_its_answers_take_half_of_their_words() -> None:
    mine = [7 << 22, 8 << 22 | 1]
    told = [
        Put(record.VIEW, 0, T0, (1 << 8 | 8 << 16 | 2 << 24, 600_000, 12, 600_001, 9, T0 - 10**6, 600_000, 3, 4, 2, -5,
                                 600_000, 10, 1, 600_001, 10, 0)),
        Put(record.CANCEL, 100, T0, (mine[0],)),
        Put(record.SUBMIT, 0, T0, (mine[1], 600_000, 10, 1)),
        Put(record.ORDER_EVENT, 9, T0 + 20, (mine[0], T0 + 10)),
        Put(record.ORDER_EVENT, 5, T0 + 20, (mine[1], T0 + 10)),
    ]  # fmt: skip
    group = recorded(told).groups[0]
    batch = split([group])
    words = [int(head) >> 8 & 0xFF for head in batch.words[batch.starts]]
    assert words == [10, 2, 3, 4, 2]
    assert [int(head) & SHORT for head in batch.words[batch.starts]] == [SHORT, SHORT, SHORT, 0, SHORT]
    long = widen([group])
    assert [int(head) >> 8 & 0xFF for head in long.words[long.starts]] == [19, 3, 6, 4, 4]


BIG = {"price": 31, "size": 22, "side_flags": 10}


@pytest.mark.parametrize("part", BIG)
def test_an_order_that_is_too_large_for_one_word_is_told(part: str) -> None:
    fits = {"price": 1, "size": 1, "side_flags": 1} | {part: (1 << BIG[part]) - 1}
    assert pack_order(*fits.values()) >= 0
    assert pack_order(*(fits | {part: 1 << BIG[part]}).values()) == NO_WORD


@pytest.mark.parametrize(
    ("offset", "size", "flags", "fits"),
    [
        (-(1 << 25), 1, 0, True),
        (-(1 << 25) - 1, 1, 0, False),
        ((1 << 25) - 1, (1 << 26) - 1, (1 << 11) - 1, True),
        (1 << 25, 1, 0, False),
        (0, 1 << 26, 0, False),
        (0, 1, 1 << 11, False),
    ],
)
def test_a_wanted_quote_fits_a_word_or_not(offset: int, size: int, flags: int, fits: bool) -> None:
    assert (pack_wanted(offset, size, flags) != NO_WORD) == fits


def test_kinds_have_a_long_kind_whatever_their_form() -> None:
    assert [long_kind(kind) for kind in (record.VIEW, record.VIEW | SHORT, record.CANCEL | SHORT)] == [1, 1, 34]
    assert long_kind(record.FILL | SHORT) == record.FILL | SHORT  # which nobody writes
    assert long_kind(record.CLOSE) == record.CLOSE


def words_of(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}q", *words)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (words_of(record.CANCEL | SHORT | 2 << 8, 5), "begins with a record without a time"),
        (words_of(record.CANCEL | 3 << 8, 1, 5, record.ORDER_EVENT | SHORT | 2 << 8, 5), "form that nobody assigned"),
        (words_of(record.FILL | SHORT | 2 << 8, 5), "begins with a record without a time"),
        (words_of(record.CANCEL | 3 << 8, 1, 5, record.FILL | SHORT | 2 << 8, 5), "form that nobody assigned"),
        (words_of(record.CANCEL | 3 << 8, 1), "impossible length"),
        (words_of(record.CANCEL, 1), "impossible length"),
        (words_of(record.NOTE | 4 << 8, 1, 1 << 40, 0), "impossible length"),
        (words_of(record.VIEW | SHORT | 8 << 8, 1, 1 << 8, -(1 << 63), 0, 0, 0, 0), "impossible price"),
    ],
)
def test_what_is_no_record_is_told(payload: bytes, why: str) -> None:
    with pytest.raises(DamagedError, match=why):
        widen([Group(0, 1, payload)])
