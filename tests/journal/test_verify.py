"""Whatever is done to a journal afterwards is found, and the records concerned are named."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import GROUP_HEADER_BYTES, Group, pack_group_header
from hatmanifesto.journal.verify import Report, verify
from hatmanifesto.model import record
from journal.samples import (
    Content,
    fill,
    pack_groups,
    read_groups,
    record_bytes,
    sample,
    split_records,
    write,
)

SIZES = (3, 5, 1, 4, 6)  # records 0–2, 3–7, 8, 9–12, 13–18


class Journal:
    """A small journal to tamper with: header bytes and groups, each as header bytes and record bytes."""

    def __init__(self, folder: Path, sizes: tuple[int, ...] = SIZES) -> None:
        self.path = folder / "a.journal"
        data = write(self.path, sample(sizes))
        groups = read_groups(self.path)
        self.start = data[: groups[0].offset]
        self.headers = [data[g.offset : g.offset + GROUP_HEADER_BYTES] for g in groups]
        self.records = [record_bytes(g) for g in groups]
        self.firsts = [g.first_seq for g in groups]

    def reseal(self, number: int) -> None:
        """Make a group's header anew, as somebody would who knows the format but not the chain's end."""
        previous = self.headers[number - 1][-16:] if number else self.start[32:48]
        payload = b"".join(self.records[number])
        self.headers[number] = pack_group_header(previous, self.firsts[number], len(self.records[number]), payload)

    def verify(self) -> Report:
        groups = [header + b"".join(records) for header, records in zip(self.headers, self.records, strict=True)]
        self.path.write_bytes(self.start + b"".join(groups))
        return verify(self.path)


def messages(report: Report) -> list[str]:
    return [finding.message for finding in report.findings]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


sealed = pytest.mark.parametrize("resealed", [False, True], ids=["header untouched", "header made anew"])


def test_an_untouched_journal_has_no_findings_and_is_not_closed(journal: Journal) -> None:
    report = journal.verify()
    assert messages(report) == []
    assert not report.closed
    assert (report.first_ts_ns, report.last_ts_ns, report.next_seq) == (1_000, 1_018, 19)


def test_a_closed_journal_is_said_to_be_closed(tmp_path: Path) -> None:
    write(tmp_path / "a", sample(), close=True)
    assert verify(tmp_path / "a").closed


@sealed
@pytest.mark.parametrize(("group", "place"), [(0, 0), (1, 2), (1, 4), (2, 0), (4, 0), (4, 5)])
def test_a_changed_record_is_named(journal: Journal, group: int, place: int, resealed: bool) -> None:
    seq = journal.firsts[group] + place
    body = bytearray(journal.records[group][place])
    body[-9] ^= 0x40
    kind = record.KIND_NAMES[body[0]]
    journal.records[group][place] = bytes(body)
    if resealed:
        journal.reseal(group)
    found = messages(journal.verify())
    assert found[0] == f"record {seq} ({kind}) was changed"
    assert len(found) == 1 or (resealed and "break the chain" in found[1])


@sealed
@pytest.mark.parametrize(
    ("group", "place", "message"),
    [
        (1, 2, "record 5 is missing: 6 follows 4"),
        (1, 0, "record 3 is missing: 4 follows 2"),
        (1, 4, "record 7 is missing"),
        (0, 0, "record 0 is missing: 1 follows -1"),
        (4, 1, "record 14 is missing: 15 follows 13"),
    ],
)
def test_a_removed_record_is_named(journal: Journal, group: int, place: int, message: str, resealed: bool) -> None:
    del journal.records[group][place]
    if resealed:
        journal.reseal(group)
    assert messages(journal.verify())[0].startswith(message)


@sealed
def test_a_doubled_record_is_named(journal: Journal, resealed: bool) -> None:
    journal.records[1].insert(3, journal.records[1][2])
    if resealed:
        journal.reseal(1)
    assert messages(journal.verify())[0] == "record 5 stands a second time, before 6"


@sealed
def test_two_swapped_records_are_named(journal: Journal, resealed: bool) -> None:
    records = journal.records[4]
    records[2], records[3] = records[3], records[2]
    if resealed:
        journal.reseal(4)
    assert messages(journal.verify())[:2] == [
        "record 16 (fill) stands at the place of 15 (reordered)",
        "record 15 (note) stands at the place of 16 (reordered)",
    ]


def test_records_swapped_across_groups_are_named(journal: Journal) -> None:
    one, other = journal.records[0], journal.records[3]
    first, second = one[1], other[2]
    one[1], other[2] = second, first
    journal.reseal(0)
    found = messages(journal.verify())
    assert "record 11 (note) stands at the place of 1 (reordered)" in found
    assert "record 1 (cancel) stands at the place of 11 (reordered)" in found


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (0, "records 0–2 are missing: 3 follows -1"),
        (1, "records 3–7 are missing: 8 follows 2"),
        (2, "record 8 is missing: 9 follows 7"),
    ],
)
def test_a_removed_group_is_named(journal: Journal, group: int, message: str) -> None:
    del journal.headers[group], journal.records[group]
    assert messages(journal.verify()) == [message]


def test_swapped_groups_are_named(journal: Journal) -> None:
    everything: list[list[Any]] = [journal.headers, journal.records]
    for parts in everything:
        parts[1], parts[2] = parts[2], parts[1]
    assert messages(journal.verify()) == ["records 3–7 (a group) stand behind 8 (reordered)"]


def test_a_doubled_group_is_named(journal: Journal) -> None:
    journal.headers.insert(2, journal.headers[1])
    journal.records.insert(2, journal.records[1])
    assert messages(journal.verify()) == ["records 3–7 (a group) stand again behind 7"]


def test_a_record_with_its_check_made_anew_is_found_by_the_chain(journal: Journal) -> None:
    journal.records[4][3] = fill(1_234).pack(16)
    assert messages(journal.verify()) == [
        "records 13–18 (a group) break the chain, though their own checks are right: "
        "they or the group before were written anew"
    ]
    journal.reseal(4)
    assert journal.verify().ok  # the last group written anew as a whole: only a digest kept elsewhere tells


def test_a_resealed_group_breaks_the_chain_at_the_next(journal: Journal) -> None:
    journal.records[1][2] = fill(1_234).pack(5)
    journal.reseal(1)
    (finding,) = journal.verify().findings
    assert (finding.code, finding.seq) == ("chain", 8)


def test_only_the_final_digest_tells_a_journal_written_anew(tmp_path: Path) -> None:
    write(tmp_path / "a", [[fill(0)], [fill(1)]])
    write(tmp_path / "b", [[fill(5)], [fill(1)]])
    a, b = verify(tmp_path / "a"), verify(tmp_path / "b")
    assert a.ok
    assert b.ok
    assert a.final_digest != b.final_digest


def test_a_changed_group_header_is_named_and_its_records_are_still_read(journal: Journal) -> None:
    header = bytearray(journal.headers[3])
    header[9] ^= 1
    journal.headers[3] = bytes(header)
    assert messages(journal.verify()) == ["the header of the group from record 9 on was changed"]


def test_a_changed_file_header_is_named(journal: Journal) -> None:
    journal.start = journal.start.replace(b"test", b"tent")
    report = journal.verify()
    assert [finding.code for finding in report.findings] == ["header"]
    assert report.records == 19


def test_bytes_that_are_no_group_are_found(journal: Journal) -> None:
    journal.records[4].append(b"never written by us")
    assert messages(journal.verify()) == ["19 bytes behind record 18 are no group"]


@given(split_records(), st.data())
@settings(max_examples=300)
def test_any_flipped_bit_is_found(groups: list[list[Content]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        content = bytearray(write(path, groups))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        try:
            report = verify(path)
        except UserError:
            assert at < 16  # magic, version or length of the file header
            return
        assert report.damaged


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = write(path, sample((2, 3)))
    first_group = read_groups(path)[0].offset
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            assert verify(path).damaged, at
        except UserError:
            assert at < first_group


@given(split_records(), st.data())
@settings(max_examples=200)
def test_any_tampering_with_whole_records_or_groups_is_found(groups: list[list[Content]], data: st.DataObject) -> None:
    """Remove, double or swap records or groups, with headers left alone or made anew but for the chain."""
    packed = pack_groups(groups)
    pieces: list[list[bytes]] = [record_bytes(group) for group in packed]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        content = write(path, groups)
        start = content[: read_groups(path)[0].offset]
        chained = read_groups(path)
        order = list(range(len(chained)))
        what = data.draw(st.sampled_from(["remove", "double", "swap"]))
        of_groups = data.draw(st.booleans()) and len(order) > 1
        part: list[Any] = order if of_groups else pieces[data.draw(st.integers(0, len(pieces) - 1))]
        one = data.draw(st.integers(0, len(part) - 1))
        other = data.draw(st.integers(0, len(part) - 1))
        if what == "remove":
            # the newest records or groups taken off the end are a shorter journal: only a digest tells
            if of_groups and one == len(order) - 1:
                one = 0
            del part[one]
        elif what == "double":
            part.insert(other, part[one])
        elif one != other:
            part[one], part[other] = part[other], part[one]
        again = data.draw(st.booleans())
        out = bytearray(start)
        for number in order:
            payload = b"".join(pieces[number])
            header = content[chained[number].offset : chained[number].offset + GROUP_HEADER_BYTES]
            if again and payload:
                digest = header[-16:]
                made = pack_group_header(b"", chained[number].first_seq, len(pieces[number]), payload)
                header = resum(made[:24] + digest)
            out += header + payload
        path.write_bytes(out)
        report = verify(path)
        if bytes(out) == content:
            assert report.ok
        else:
            assert report.findings, (what, one, other, of_groups)


def resum(header: bytes) -> bytes:
    """A group header with its checksum made right."""
    import zlib

    return header[:4] + zlib.crc32(header[8:]).to_bytes(4, "little") + header[8:]


def test_a_group_with_a_wrong_count_is_found(journal: Journal) -> None:
    payload = b"".join(journal.records[4])
    group = Group(13, 5, payload)
    journal.headers[4] = pack_group_header(journal.headers[3][-16:], group.first_seq, group.records, payload)
    assert messages(journal.verify()) == ["the header of the group from record 13 on was changed"]


def test_thousands_of_findings_are_counted_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = bytearray(write(path, [[fill(n)] for n in range(1_500)]))
    for group in read_groups(path):
        content[group.offset + GROUP_HEADER_BYTES + 20] ^= 1
    path.write_bytes(content)
    report = verify(path)
    assert len(report.findings) + report.more_findings == 1_500
    assert len(report.findings) == 1_000
