"""The index is a projection: it finds what is there, grows with the file, and is made anew when stale."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.journal.index import JournalIndex
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record
from journal.samples import METADATA, Content, fill, read_groups, write


def many(count: int) -> list[list[Content]]:
    """One-record groups, enough for several runs of the index."""
    entries = [fill(n) if n % 7 else Content(record.NOTE, 1_000 + n, 0, payload=b"{}") for n in range(count)]
    return [[entry] for entry in entries]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "a.journal"
    write(path, many(4_000))
    return path


@given(seq=st.integers(-2, 4_002))
@settings(max_examples=50)
def test_seek_finds_the_group_of_a_record(journal: Path, seq: int) -> None:
    with JournalIndex(journal) as index, JournalReader(journal) as reader:
        offset = index.seek(seq)
        if 0 <= seq < 4_000:
            assert offset is not None
            assert next(reader.records(offset=offset)).seq == seq
        else:
            assert offset is None


@pytest.mark.parametrize(("ts_ns", "seq"), [(0, 0), (1_000, 0), (1_001, 1), (4_999, 3_999), (5_000, None)])
def test_seek_ts_finds_the_first_record_from_a_time_on(journal: Path, ts_ns: int, seq: int | None) -> None:
    with JournalIndex(journal) as index:
        assert index.seek_ts(ts_ns) == seq


def test_counts_by_kind(journal: Path) -> None:
    with JournalIndex(journal) as index:
        assert index.counts() == {record.FILL: 4_000 - 572, record.NOTE: 572}
        assert len(index.runs) > 3
        assert sum(run.records for run in index.runs) == 4_000
        assert index.runs_with(record.CHECKPOINT) == []
        assert len(index.runs_with(record.NOTE)) == len(index.runs)


def test_an_index_grows_with_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with JournalWriter(path, METADATA) as writer:
        for number, expected in ((0, True), (1, False), (2, False)):
            for seq in range(number * 10, number * 10 + 10):
                writer.append(seq, 1, fill(seq).pack(seq))
            with JournalIndex(path) as index:
                assert index.rebuilt is expected
                assert index.next_seq == number * 10 + 10
                assert index.seek(number * 10 + 9) == read_groups(path)[-1].offset
    with JournalIndex(path) as index:
        assert not index.rebuilt


@pytest.mark.parametrize("spoil", ["journal replaced", "not a database", "another program's", "cut"])
def test_a_stale_index_is_made_anew(tmp_path: Path, spoil: str) -> None:
    path, beside = tmp_path / "a", tmp_path / "a.idx"
    content = write(path, many(20))
    JournalIndex(path).close()
    if spoil == "journal replaced":
        path.unlink()
        write(path, [[fill(n)] for n in range(30)])
    elif spoil == "not a database":
        beside.write_text("nonsense " * 100)
    elif spoil == "another program's":
        beside.unlink()
        other = sqlite3.connect(beside)
        other.execute("create table state (a integer)")
        other.execute("insert into state values (1)")
        other.commit()
        other.close()
    else:
        path.write_bytes(content[: read_groups(path)[10].offset + 3])
    with JournalIndex(path) as index:
        assert index.rebuilt
        assert index.next_seq == {"journal replaced": 30, "cut": 10}.get(spoil, 20)
    with JournalIndex(path) as index:
        assert not index.rebuilt


def test_an_empty_journal_has_an_index_without_runs(tmp_path: Path) -> None:
    write(tmp_path / "a", [])
    with JournalIndex(tmp_path / "a") as index:
        assert index.seek(0) is None
        assert index.seek_ts(0) is None
        assert index.counts() == {}
