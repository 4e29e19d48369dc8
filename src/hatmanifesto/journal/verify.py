"""Check a whole journal: file header, chain, sequence, every record's check; name what is not right."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatmanifesto.journal.columns import BATCH_BYTES, split, times, unchanged
from hatmanifesto.journal.diagnose import Damage, Finding, record_end, span, whole_records
from hatmanifesto.journal.format import (
    FILE_HEADER_BYTES,
    GROUP_HEADER_BYTES,
    GROUP_MAGIC,
    MAX_PAYLOAD,
    DamagedError,
    FileHeader,
    Group,
    GroupHeader,
    chain_digest,
    unpack_group_header,
)
from hatmanifesto.journal.reader import read_at, walk
from hatmanifesto.journal.tail import find_header, open_journal, read_file_header
from hatmanifesto.model import record

MAX_FINDINGS: Final = 1000
_SECTOR: Final = 512


class Torn(NamedTuple):
    """A group cut off: its first `records` records, `length` bytes, are whole, the last `cut` bytes not."""

    offset: int
    first_seq: int
    records: int
    length: int
    cut: int
    previous: bytes


@dataclass(slots=True)
class Report:
    """What `verify` found.

    `final_digest` (hex) stands for everything: kept elsewhere, it detects a file that was written anew as a
    whole. `torn` can be repaired; any other finding cannot.
    """

    path: str
    bytes: int = 0
    session: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    groups: int = 0
    records: int = 0
    first_seq: int = 0
    next_seq: int = 0
    first_ts_ns: int | None = None
    last_ts_ns: int | None = None
    closed: bool = False
    final_digest: str = ""
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    torn: Torn | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written (it may still not be closed)."""
        return not self.findings

    @property
    def damaged(self) -> bool:
        """Whether there is anything that a repair cannot mend."""
        return any(finding.code != "torn" for finding in self.findings)


def verify(path: str | Path) -> Report:
    """Read the whole file and report; UserError when it cannot be read or is no journal of this version.

    A tail of zeros, as a power cut leaves it, counts as cut off.
    """
    descriptor = open_journal(path)
    try:
        size = os.fstat(descriptor).st_size
        report = _Verifier(descriptor, path, size, size).report
        return (_without_zeros(descriptor, path, size) or report) if report.damaged else report
    finally:
        os.close(descriptor)


def _without_zeros(descriptor: int, path: str | Path, size: int) -> Report | None:
    """Report on the file without the zeros at its end; None when they do not explain the damage.

    Fewer zeros than a sector may have been written so. The last record written may end in zeros of its own.
    """
    end = _written_end(descriptor, size)
    if not FILE_HEADER_BYTES < end <= size - _SECTOR:
        return None
    report = _Verifier(descriptor, path, end, size).report
    if report.damaged or report.torn is None:
        return None
    begin = report.torn.offset + GROUP_HEADER_BYTES + report.torn.length
    begin += record_end(read_at(descriptor, begin, min(size - begin, MAX_PAYLOAD)), 0)
    longer = _Verifier(descriptor, path, begin, size).report
    return report if longer.damaged or longer.records < report.records else longer


def _written_end(descriptor: int, size: int) -> int:
    """Where the zeros at the end of the file begin."""
    end = size
    while end:
        begin = max(0, end - (1 << 20))
        data = os.pread(descriptor, end - begin, begin).rstrip(b"\0")
        if data:
            return begin + len(data)
        end = begin
    return 0


class _Verifier:
    """One pass over the first `end` bytes; what lies behind them, up to `size`, counts as cut off."""

    def __init__(self, descriptor: int, path: str | Path, end: int, size: int) -> None:
        self.report = Report(str(path), size)
        self._descriptor = descriptor
        self._end = end
        self._size = size
        self._gaps: list[tuple[int, int, int]] = []  # first and last record not met, offset
        self._held: list[Group] = []
        self._held_bytes = 0
        self._moved = False  # the group before stands in another's place
        at = self._begin(path)
        while at < end:
            at = self._run(at)
        self._check_held()
        if end < size and self.report.torn is None:
            self._tear(Torn(end, self._expected, 0, 0, size - end, self._previous or b""))
        for first, last, offset in self._gaps:
            self._add("missing", first, f"{span(first, last)} missing: {last + 1} follows {first - 1}", offset)
        self.report.next_seq = self._expected
        self.report.final_digest = (self._previous or b"").hex()
        self.report.findings.sort(key=lambda finding: (finding.offset, finding.seq))

    def _begin(self, path: str | Path) -> int:
        """Read the file header; return where groups begin."""
        self._previous: bytes | None = None
        try:
            header: FileHeader = read_file_header(self._descriptor, path)
        except DamagedError as error:
            found = find_header(self._descriptor, 0, self._end)
            self._expected = self.report.first_seq = found[1].first_seq if found else 0
            self._add("header", -1, error.message, 0)
            return found[0] if found else self._end
        self._previous = header.digest
        self._expected = header.first_seq
        self.report.session, self.report.metadata = header.session, header.metadata
        self.report.first_seq = header.first_seq
        return header.end

    def _run(self, at: int) -> int:
        """Check groups as long as each continues the one before; return where to go on."""
        for group in walk(self._descriptor, at, self._end):
            chained = self._previous is None or chain_digest(self._previous, group) == group.digest
            if group.first_seq != self._expected or not chained:
                return self._odd_group(group, chained)
            self._expected += group.records
            self._accept(group)
            self._moved = False
            at = group.end
        return at if at >= self._end else self._no_group(at)

    def _accept(self, group: Group) -> None:
        self._previous = group.digest
        self._held.append(group)
        self._held_bytes += len(group.payload)
        if self._held_bytes >= BATCH_BYTES:
            self._check_held()

    def _check_held(self) -> None:
        """Check the records of the groups held: all at once, and one by one when something is wrong."""
        groups, self._held, self._held_bytes = self._held, [], 0
        if not groups or self._sound(groups):
            return
        for group in groups:
            self._expected = group.first_seq + group.records
            if not self._sound([group]):
                self._expected = self._diagnose(group.payload, group, group.end)

    def _sound(self, groups: list[Group]) -> bool:
        """Whether all their records are as they should be; if so, count them."""
        try:
            batch = split(groups)
        except DamagedError:
            return False
        if not unchanged(batch):
            return False
        report = self.report
        report.groups += len(groups)
        report.records += len(batch.starts)
        if report.first_ts_ns is None:
            report.first_ts_ns = int(batch.words[1])
        report.last_ts_ns = int(times(batch)[-1])
        report.closed = int(batch.kinds[-1]) == record.CLOSE
        return True

    def _odd_group(self, group: Group, chained: bool) -> int:
        """A group out of sequence, or that is not what the chain says; return where the next one begins."""
        self._check_held()
        last = group.first_seq + group.records - 1
        explained = self._moved or chained
        self._moved = group.first_seq != self._expected
        if self._moved:
            self._out_of_sequence(group, last)
            explained = True
        following, end = self._expected, group.end
        if self._sound([group]):
            if not explained:
                self._unchained(group, last)
            following = last + 1
        else:
            end = self._region_end(group)
            data = read_at(self._descriptor, group.offset + GROUP_HEADER_BYTES, end - group.offset)
            following = self._diagnose(data[: end - group.offset - GROUP_HEADER_BYTES], group, end)
        self._expected = max(self._expected, following)
        self._previous = group.digest
        return end

    def _out_of_sequence(self, group: Group, last: int) -> None:
        first = group.first_seq
        if first > self._expected:
            self._gaps.append((self._expected, first - 1, group.offset))
            return
        behind = self._expected - 1
        for gap in self._gaps:
            if gap[0] <= first and last <= gap[1]:
                self._gaps.remove(gap)
                rest = (gap[0], first - 1, gap[2]), (last + 1, gap[1], gap[2])
                self._gaps += [part for part in rest if part[0] <= part[1]]
                text = f"{_many(first, last)} (a group) stand behind {behind} (reordered)"
                self._add("reordered", first, text, group.offset)
                return
        self._add("twice", first, f"{_many(first, last)} (a group) stand again behind {behind}", group.offset)

    def _unchained(self, group: Group, last: int) -> None:
        text = (
            f"{_many(group.first_seq, last)} (a group) break the chain, though their own checks are right: "
            "they or the group before were written anew"
        )
        self._add("chain", group.first_seq, text, group.offset)

    def _region_end(self, group: Group) -> int:
        """Where a changed group ends: its length is only believed when another group begins there."""
        if group.end == self._end or self._header_at(group.end) is not None:
            return group.end
        found = find_header(self._descriptor, group.offset + GROUP_HEADER_BYTES, self._end)
        return found[0] if found else self._end

    def _no_group(self, at: int) -> int:
        """Bytes that are no whole group: a cut off tail, or damage; return where the next group begins."""
        self._check_held()
        header = self._header_at(at)
        found = find_header(self._descriptor, at + 1, self._end)
        end = found[0] if found else self._end
        data = read_at(self._descriptor, at, end - at)
        body = data[GROUP_HEADER_BYTES:]
        if header is None:
            if found is None and len(data) < GROUP_HEADER_BYTES and data[:4] == GROUP_MAGIC[: len(data)]:
                self._tear(Torn(at, self._expected, 0, 0, self._size - at, self._previous or b""))
                return end
            return self._damaged_header(at, body, found[1].first_seq - 1 if found else None, end)
        if found is None and header.first_seq == self._expected and self._torn_group(at, header, body):
            return end
        self._moved = header.first_seq != self._expected
        group = Group(header.first_seq, header.records, body, header.digest, at)
        last = header.first_seq + header.records - 1
        if self._moved:
            self._out_of_sequence(group, last)
        self._expected = max(self._expected, self._diagnose(body, group, end))
        self._previous = header.digest
        return end

    def _torn_group(self, at: int, header: GroupHeader, body: bytes) -> bool:
        records, length, cut = whole_records(body, header.first_seq)
        if not cut or records > header.records or header.length <= len(body):
            return False
        self._tear(Torn(at, header.first_seq, records, length, self._size - at - GROUP_HEADER_BYTES - length,
                        self._previous or b""))  # fmt: skip
        self._expected += records
        self.report.records += records
        self.report.closed = False
        return True

    def _tear(self, torn: Torn) -> None:
        self.report.torn = torn
        self.report.closed = False
        following = torn.first_seq + torn.records
        text = f"the file is cut off: {torn.cut} bytes behind record {following - 1} are no whole record"
        self._add("torn", following, text, torn.offset)

    def _damaged_header(self, at: int, body: bytes, last: int | None, end: int) -> int:
        first = self._expected
        sure = last is not None and last >= first
        until = last if last is not None and sure else first + len(body) // 16
        damage = Damage(body, at + GROUP_HEADER_BYTES, first, until, self._known(), sure)
        if damage.readable:
            self._add("header", first, f"the header of the group from record {first} on was changed", at)
            for finding in damage.findings:
                self._add(*finding)
            self._expected = damage.next_seq
        else:
            self._add("foreign", -1, f"{end - at} bytes behind record {first - 1} are no group", at)
        self._previous = None
        return end

    def _diagnose(self, data: bytes, group: Group, end: int) -> int:
        """Name what happened in a group whose bytes reach to `end`; return the number its next record has."""
        begin = group.offset + GROUP_HEADER_BYTES
        last = group.first_seq + group.records - 1
        after = self._header_at(end)
        if after is not None and after.first_seq > group.first_seq:
            last = after.first_seq - 1  # this group's own count may have been made to fit
        damage = Damage(data, begin, group.first_seq, last, self._known())
        for finding in damage.findings:
            self._add(*finding)
        if not damage.findings:
            text = f"the header of the group from record {group.first_seq} on was changed"
            self._add("header", group.first_seq, text, group.offset)
        self.report.groups += 1
        self.report.records += damage.readable
        self.report.closed = False
        return damage.next_seq

    def _known(self) -> range:
        return range(self.report.first_seq, self.report.first_seq + self._size // 16 + 1)

    def _header_at(self, at: int) -> GroupHeader | None:
        return unpack_group_header(os.pread(self._descriptor, GROUP_HEADER_BYTES, at))

    def _add(self, code: str, seq: int, message: str, offset: int) -> None:
        if len(self.report.findings) < MAX_FINDINGS:
            self.report.findings.append(Finding(code, seq, message, offset))
        else:
            self.report.more_findings += 1


def _many(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first}–{last}"
