"""Cut a journal whose last group was cut off back to its last whole record."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import GROUP_HEADER_BYTES, DamagedError, pack_group_header
from hatmanifesto.journal.reader import read_at
from hatmanifesto.journal.tail import open_journal
from hatmanifesto.journal.verify import Torn, verify
from hatmanifesto.journal.writer import lock, sync_directory

_COPY_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done: bytes cut off and where they are kept ("" when nothing was cut), and what remains."""

    message: str
    bytes_cut: int
    records: int
    last_seq: int
    torn_path: str


def repair(path: str | Path) -> Repair:
    """Cut a torn tail off, after checking the rest; the file is replaced in one step.

    The bytes from the torn group's header on are kept in `<file>.torn`. UserError when a process writes the
    journal or the disk refuses; DamagedError when anything else is wrong, for that is not repaired.
    """
    path = Path(path)
    descriptor = open_journal(path)
    try:
        lock(descriptor, path)
        report = verify(path)
        if report.damaged:
            first = next(finding for finding in report.findings if finding.code != "torn")
            raise DamagedError(f"{path} is damaged and cannot be repaired: {first.message}")
        last = report.next_seq - 1
        if report.torn is None:
            return Repair(f"{path} needs no repair: {report.records} records", 0, report.records, last, "")
        try:
            kept = _cut(descriptor, path, report.torn)
        except OSError as error:
            raise UserError(f"cannot repair {path}: {error.strerror}", "make room, then repeat") from error
    finally:
        os.close(descriptor)
    through = f"through {last}" if report.records else "at all"
    message = (
        f"cut {report.torn.cut} bytes of an unfinished group off {path}; {report.records} records {through} "
        f"remain; the group as it was is in {kept}"
    )
    return Repair(message, report.torn.cut, report.records, last, str(kept))


def _cut(descriptor: int, path: Path, torn: Torn) -> Path:
    kept = _free_name(path)
    whole = read_at(descriptor, torn.offset + GROUP_HEADER_BYTES, torn.length)
    group = pack_group_header(torn.previous, torn.first_seq, torn.records, whole) + whole if torn.records else b""
    _copy(descriptor, torn.offset, os.fstat(descriptor).st_size, kept, b"")
    fresh = path.with_name(path.name + ".repairing")
    _copy(descriptor, 0, torn.offset, fresh, group)
    shutil.copymode(path, fresh)
    os.replace(fresh, path)
    sync_directory(path)
    return kept


def _free_name(path: Path) -> Path:
    """`<file>.torn`, or with a number behind it when an earlier repair's is still there."""
    name = path.with_name(path.name + ".torn")
    number = 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.torn{number}")
    return name


def _copy(descriptor: int, begin: int, end: int, target: Path, more: bytes) -> None:
    with target.open("wb") as out:
        while begin < end:
            data = read_at(descriptor, begin, min(_COPY_BYTES, end - begin))
            out.write(data)
            begin += len(data)
        out.write(more)
        out.flush()
        os.fsync(out.fileno())
