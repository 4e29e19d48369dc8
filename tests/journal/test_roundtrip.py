"""What was appended is what is read, however it was grouped and whichever way it was written."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import checks, record_starts
from hatmanifesto.journal.format import DamagedError, Group
from hatmanifesto.journal.reader import JournalReader, Record, decode_columns
from hatmanifesto.journal.tail import last_checkpoint, read_tail
from hatmanifesto.journal.verify import verify
from hatmanifesto.journal.writer import JournalWriter, MemoryJournal
from hatmanifesto.model import record
from journal.samples import (
    METADATA,
    Content,
    pack_groups,
    read_groups,
    sample,
    split_records,
    view,
    words,
    write,
)

firsts = st.sampled_from([0, 1, 57, (1 << 31) - 3, 1 << 31, (1 << 40) + 5])


@given(split_records(), firsts)
def test_records_come_back_in_order_and_verify(groups: list[list[Content]], first_seq: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.journal"
        write(path, groups, first_seq)
        with JournalReader(path) as reader:
            got = list(reader.records())
            assert reader.metadata == METADATA
            assert reader.header.session == 7
        flat = [entry for group in groups for entry in group]
        assert [Content(entry.kind, entry.ts_ns, entry.aux, entry.values, entry.payload) for entry in got] == flat
        assert [entry.seq for entry in got] == list(range(first_seq, first_seq + len(flat)))
        report = verify(path)
        assert report.ok, report.findings
        assert (report.records, report.groups) == (len(flat), len(groups))
        assert report.closed == (flat[-1].kind == record.CLOSE)
        tail = read_tail(path)
        assert tail.digest.hex() == report.final_digest
        assert (tail.next_seq, tail.end, tail.torn_bytes) == (report.next_seq, report.bytes, 0)


@given(split_records())
def test_columns_hold_what_the_records_hold(groups: list[list[Content]]) -> None:
    packed = pack_groups(groups)
    columns = decode_columns(packed)
    flat = [entry for group in groups for entry in group]
    assert set(columns) == {entry.kind for entry in flat}
    for kind, table in columns.items():
        entries = [(seq, entry) for seq, entry in enumerate(flat) if entry.kind == kind]
        assert table["seq"].tolist() == [seq for seq, _ in entries]
        assert table["ts_ns"].tolist() == [entry.ts_ns for _, entry in entries]
        assert table["aux"].tolist() == [entry.aux for _, entry in entries]
        if kind >= record.FIRST_BLOB:
            assert table["payload"].tolist() == [entry.payload for _, entry in entries]
            continue
        named = [Record(0, 0, e.kind, 0, e.values).fields() for _, e in entries]
        assert all(len(fields) == len(e.values) for fields, (_, e) in zip(named, entries, strict=True))
        for name in list(table)[3:]:
            assert table[name].tolist() == [e.get(name, 0) for e in named], name


@given(st.lists(st.lists(words, min_size=1, max_size=253), min_size=1, max_size=5), firsts)
def test_vectorised_check_equals_the_scalar_one(bodies: list[list[int]], first_seq: int) -> None:
    entries = [Content(record.FILL, body[0], 5, tuple(body[1:])) for body in bodies]
    payload = pack_groups([entries])[0].payload
    starts = record_starts(payload)
    array = np.frombuffer(payload, dtype="<i8")
    seqs = np.arange(first_seq, first_seq + len(entries))
    ends = [*starts.tolist()[1:], len(array)]
    scalar = [
        record.check_words(array[begin:end].tolist(), seq)
        for begin, end, seq in zip(starts.tolist(), ends, seqs.tolist(), strict=True)
    ]
    assert checks(array, starts, seqs).tolist() == scalar


@given(split_records(), st.booleans())
@settings(max_examples=30)
def test_threaded_and_inline_writers_write_the_same_bytes(groups: list[list[Content]], closed: bool) -> None:
    written = []
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("inline", "threaded"):
            path = Path(folder) / mode
            with JournalWriter(path, METADATA, session=3, mode=mode, group_bytes=1) as writer:
                for group in pack_groups(groups):
                    writer.append(*group[:3])
                if closed:
                    assert writer.close(5, {"n": 1}) == verify(path).final_digest
            written.append(path.read_bytes())
    assert written[0] == written[1]


def test_memory_journal_keeps_the_groups_a_file_would_hold(tmp_path: Path) -> None:
    memory = MemoryJournal()
    path = tmp_path / "a"
    with JournalWriter(path, {}) as writer:
        for group in pack_groups(sample()):
            memory.append(*group[:3])
            writer.append(*group[:3])
        memory.close(7, {"a": 1})
        writer.close(7, {"a": 1})
    assert [group[:3] for group in memory.groups] == [group[:3] for group in read_groups(path)]


def test_a_view_of_several_levels_has_a_column_a_level() -> None:
    one = view(1, 0, 1, 0, list(range(1, 31)))
    three = view(2, 0, 3, 1, list(range(1, 31)))
    frame = pl.DataFrame(decode_columns(pack_groups([[one, three]]))[record.VIEW])
    assert frame["bid_price_2"].to_list() == [0, 11]
    assert frame["ask_size_3"].to_list() == [0, 18]
    assert "bid_price_4" not in frame.columns
    assert frame["wanted_side_flags_1"].to_list() == [0, 21]


def test_only_the_kinds_asked_for_are_decoded(tmp_path: Path) -> None:
    write(tmp_path / "a", sample())
    assert set(decode_columns(tmp_path / "a", {record.FILL, record.SUBMIT})) == {record.FILL}


def test_a_record_shorter_than_its_kind_is_not_decoded() -> None:
    short = Content(record.FILL, 1, 0, (1, 2))
    with pytest.raises(DamagedError, match=r"record 0 \(fill\) does not have the length of its kind"):
        decode_columns(pack_groups([[short]]))


def test_a_group_that_holds_fewer_records_than_it_says_is_not_decoded() -> None:
    group = pack_groups([[sample()[0][0]]])[0]
    with pytest.raises(DamagedError, match="do not fill their groups"):
        decode_columns([Group(0, 2, group.payload)])


def test_reading_goes_on_where_it_stopped_while_the_journal_grows(tmp_path: Path) -> None:
    groups = pack_groups(sample())
    with JournalWriter(tmp_path / "a", {}) as writer, JournalReader(tmp_path / "a") as reader:
        assert list(reader.groups()) == []
        offset, seen = reader.header.end, []
        for group in groups:
            writer.append(*group[:3])
            for new in reader.groups(offset):
                seen.append(new[:3])
                offset = new.end
        assert seen == [group[:3] for group in groups]


def test_last_checkpoint_is_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with JournalWriter(path, {}) as writer:
        assert last_checkpoint(path) is None
        for number in range(3000):
            if number in {5, 700}:
                writer.append_blob(record.CHECKPOINT, number, b'{"n":%d}' % number)
            # a payload that looks like a group header must not be taken for one
            writer.append_blob(record.NOTE, number, b"HATG" * 40)
        found = last_checkpoint(path)
        assert found is not None
        assert (found.seq, found.ts_ns, found.payload) == (701, 700, b'{"n":700}')
    with path.open("ab") as out:
        out.write(b"HATG torn")
    assert last_checkpoint(path) == found
    with JournalReader(path) as reader:
        assert next(reader.records(offset=found.offset)).seq == 701


def test_large_groups_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with JournalWriter(path, {}) as writer:
        for size in (10, 5_000_000, 3, 9_000_000):
            writer.append_blob(record.NOTE, size, bytes(size))
        writer.append_blob(record.CHECKPOINT, 1, b"{}")
        writer.append_blob(record.NOTE, 1, bytes(6_000_000))
    report = verify(path)
    assert (report.ok, report.records) == (True, 6)
    assert read_tail(path).next_seq == 6
    found = last_checkpoint(path)
    assert found is not None
    assert found.seq == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot (read|append to) .*: No such file"),
        (b"", "is empty"),
        (b"#!/bin/sh\n", "is not a journal"),
        (b"HATJ", "ends inside its file header"),
    ],
)
def test_what_is_no_journal_is_said_so(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a"
    if content is not None:
        path.write_bytes(content)
    for read in (verify, JournalReader, last_checkpoint, read_tail, JournalWriter.open_append):
        with pytest.raises(UserError, match=message):
            read(path)


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a", sample()))
    data[8] = 9
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UserError, match="has format 9, records 2; this version reads format 1, records 2") as caught:
        verify(tmp_path / "a")
    assert caught.value.exit_code == 2
