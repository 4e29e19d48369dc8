"""Packed records: every check is the published one, sequence numbers have no gaps, groups are whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.core.recorder import Recorder
from hatmanifesto.core.strategy import MAX_DEPTH, MAX_QUOTES
from hatmanifesto.model import record
from hatmanifesto.model.ports import RecordSink
from support.engines import MS, T0, Rig, ScriptedStrategy, Seat, Wanted
from support.rows import Records

words = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-5, 5)
KINDS_BY_FIELDS = {1: record.CANCEL, 3: record.FAULT, 4: record.SUBMIT, 7: record.DENY}


@settings(max_examples=20)
@given(
    st.integers(0, 1 << 40),
    st.lists(
        st.tuples(st.sampled_from([1, 3, 4, 7]), st.integers(0, 0xFFFF), st.lists(words, min_size=8, max_size=8)),
        min_size=1,
        max_size=12,
    ),
)
def test_a_records_check_is_the_published_one(first: int, puts: list[tuple[int, int, list[int]]]) -> None:
    sink = Records()
    recorder = Recorder(sink, first)
    for count, aux, values in puts:
        put = {1: recorder.put1, 3: recorder.put3, 4: recorder.put4, 7: recorder.put7}[count]
        put(KINDS_BY_FIELDS[count], aux, values[0], *values[1 : count + 1])
    recorder.flush()
    entries = sink.entries()
    assert [entry.seq for entry in entries] == list(range(first, first + len(puts)))
    for entry, (count, aux, values) in zip(entries, puts, strict=True):
        assert (entry.kind, entry.aux, entry.ts_ns) == (KINDS_BY_FIELDS[count], aux, values[0])
        assert list(entry.fields.values()) == values[1 : count + 1]
        assert entry.stored[0] >> 32 == record.check_words(entry.stored, entry.seq)
        assert entry.stored[0] >= 0
        assert record.stored_seq(entry.stored) == entry.seq & record.CHECK_MASK


@given(st.lists(words, min_size=3, max_size=90), st.integers(0, 1 << 40), st.data())
def test_a_changed_word_or_another_place_changes_the_check(values: list[int], seq: int, data: st.DataObject) -> None:
    check = record.check_words(values, seq)
    at = data.draw(st.integers(1, len(values) - 1))
    bit = data.draw(st.integers(0, 63))
    changed = list(values)
    flipped = (changed[at] & ((1 << 64) - 1)) ^ (1 << bit)
    changed[at] = flipped - (1 << 64) if flipped >> 63 else flipped
    assert record.check_words(changed, seq) != check
    assert record.check_words(values, seq + 1) != check


def test_views_of_any_depth_and_every_kind_the_engine_writes_check() -> None:
    for depth in (1, 2, 5, 20):
        strategy = ScriptedStrategy(depth=depth, min_decision_interval_ns=0)
        strategy.want = [Wanted(1, 1000, 10), Wanted(-1, 990, 10)]
        rig = Rig([Seat(strategy)]).start()
        rig.book(T0, 1000, 5, 1010, 5)
        rig.until(T0 + 60_000 * MS)
        entries = rig.records().entries()
        assert {entry.name for entry in entries} >= {"view", "submit", "deny", "timeout", "cancel", "query"}
        for entry in entries:
            assert entry.stored[0] >> 32 == record.check_words(entry.stored, entry.seq)
            more = 4 * (depth - 1) + 3 * len(entry.wanted) if entry.kind == record.VIEW else 0
            assert len(entry.words) - 2 == len(record.FIELDS[entry.kind]) + more


def test_the_largest_view_still_fits_its_word_count() -> None:
    strategy = ScriptedStrategy(depth=MAX_DEPTH, min_decision_interval_ns=0)
    strategy.want = [Wanted(1, 900 + at, 10) for at in range(MAX_QUOTES)]
    rig = Rig([Seat(strategy)]).start()
    rig.book(T0, 1000, 5, 1010, 5)
    view = rig.records().of(record.VIEW)[0]
    assert [wanted[0] for wanted in view.wanted] == [900 + at for at in range(MAX_QUOTES)]
    assert view.aux == 0


def test_the_buffer_is_handed_on_in_whole_records_when_it_is_full() -> None:
    sink = Records()
    recorder = Recorder(sink)
    for at in range(50_000):
        recorder.put4(record.SUBMIT, at & 0xFFFF, at, 1, 2, 3, 4)
    assert sink.count > 0
    recorder.flush()
    recorder.flush()
    assert [entry.ts_ns for entry in sink.entries()] == list(range(50_000))


class Full(RecordSink):
    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        raise OSError("no space left on device")


def test_a_sink_that_fails_is_heard() -> None:
    recorder = Recorder(Full())
    recorder.put1(record.CANCEL, 0, 1, 2)
    with pytest.raises(OSError, match="no space"):
        recorder.flush()
