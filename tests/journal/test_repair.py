"""A file that was cut off is cut back to its last whole record; what is damaged otherwise is refused."""

from pathlib import Path

import pytest

from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import GROUP_HEADER_BYTES, DamagedError
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.repair import repair
from hatmanifesto.journal.verify import verify
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record
from journal.samples import METADATA, pack_groups, read_groups, record_bytes, sample, write

SIZES = (3, 1, 4)


def whole_before(path: Path, cut: int) -> int:
    """How many records of an undamaged journal lie wholly before byte `cut`."""
    count = 0
    for group in read_groups(path):
        at = group.offset + GROUP_HEADER_BYTES
        for body in record_bytes(group):
            at += len(body)
            count += at <= cut
    return count


@pytest.mark.parametrize("zeros", [0, 4096], ids=["cut", "cut and filled with zeros"])
def test_a_cut_at_any_byte_leaves_exactly_the_whole_records_before_it(tmp_path: Path, zeros: int) -> None:
    original = tmp_path / "original"
    content = write(original, sample(SIZES))
    start = read_groups(original)[0].offset
    everything = list(JournalReader(original).records())
    path = tmp_path / "a"
    for cut in range(start, len(content) + 1):
        path.write_bytes(content[:cut] + bytes(zeros))
        keep = whole_before(original, cut)
        before = verify(path)
        assert not before.damaged, (cut, before.findings)
        done = repair(path)
        report = verify(path)
        assert report.ok, (cut, report.findings)
        with JournalReader(path) as reader:
            records = list(reader.records())
        # zeros may complete a record that ends in zeros
        assert records == everything[: len(records)]
        assert len(records) == done.records
        assert len(records) == keep if not zeros else len(records) >= keep, cut
        if done.torn_path:
            torn = Path(done.torn_path)
            offset = len(content[:cut] + bytes(zeros)) - torn.stat().st_size
            assert path.read_bytes()[:offset] + torn.read_bytes() == content[:cut] + bytes(zeros)
            torn.unlink()
        else:
            assert path.read_bytes() == content[:cut]
        with JournalWriter.open_append(path, sync_interval_s=0) as writer:
            assert writer.next_seq == len(records)
            writer.append_blob(record.NOTE, 1, b"{}")
            writer.close(2, {})
        assert verify(path).closed


def test_the_message_says_what_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = write(path, sample())
    path.write_bytes(content[:-5])
    done = repair(path)
    assert done.message == (
        f"cut {done.bytes_cut} bytes of an unfinished group off {path}; 18 records through 17 remain; "
        f"the group as it was is in {path}.torn"
    )
    assert (done.records, done.last_seq) == (18, 17)
    assert repair(path).message == f"{path} needs no repair: 18 records"


def test_an_earlier_torn_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for expected in ("a.torn", "a.torn2", "a.torn3"):
        path.unlink(missing_ok=True)
        content = write(path, sample())
        path.write_bytes(content[:-5])
        assert Path(repair(path).torn_path).name == expected


@pytest.mark.parametrize("tail", [b"", b"HATG torn"])
def test_damage_in_the_middle_is_refused_and_nothing_is_touched(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a"
    content = bytearray(write(path, sample()))
    content[read_groups(path)[1].offset + GROUP_HEADER_BYTES + 20] ^= 1
    path.write_bytes(content + tail)
    with pytest.raises(DamagedError, match=r"cannot be repaired: record 3 \(note\) was changed"):
        repair(path)
    assert path.read_bytes() == content + tail
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_a_changed_last_record_is_damage_not_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = write(path, sample())
    path.write_bytes(content[:-3] + b"\x07" + content[-2:])
    with pytest.raises(DamagedError):
        repair(path)


def test_a_journal_that_is_being_written_is_not_repaired(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "a", METADATA), pytest.raises(UserError, match="being written"):
        repair(tmp_path / "a")


def test_a_torn_journal_is_not_continued_before_its_repair(tmp_path: Path) -> None:
    content = write(tmp_path / "a", sample())
    (tmp_path / "a").write_bytes(content[:-1])
    with pytest.raises(UserError, match="ends inside a group; run `hat journal repair"):
        JournalWriter.open_append(tmp_path / "a")


def test_a_continued_journal_is_as_if_written_at_once(tmp_path: Path) -> None:
    groups = pack_groups(sample())
    write(tmp_path / "once", sample())
    with JournalWriter(tmp_path / "a", METADATA, session=7) as writer:
        for group in groups[:2]:
            writer.append(*group[:3])
    with JournalWriter.open_append(tmp_path / "a", mode="threaded", group_bytes=1) as writer:
        for group in groups[2:]:
            writer.append(*group[:3])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "once").read_bytes()
