"""Reading recordings as they lie, plain, gzip or lz4; and lines that carry the recorder's clock before a message."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import lz4.frame

from hatmanifesto.backtest.tape.importers.request import Progress, damaged, malformed
from hatmanifesto.errors import UserError

_GZIP: Final = b"\x1f\x8b"
_LZ4: Final = b"\x04\x22\x4d\x18"
_STAMP_UNITS: Final = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds of a stamp's unit by its digits: seconds, milli-, micro- and nanoseconds of this century."""


class Recording(NamedTuple):
    """An open file: its unpacked bytes, and the file beneath, whose position is the progress."""

    text: IO[bytes]
    raw: IO[bytes]


class StampedLine(NamedTuple):
    """A line's number from 1, the recorder's nanoseconds (None when the line has no stamp), and the message."""

    number: int
    local_ns: int | None
    message: bytes


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """Open a file for reading its text; whatever is wrong with its packing becomes a UserError."""
    packed = b""
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic == _LZ4:
                packed = _LZ4
                with lz4.frame.open(raw, "rb") as text:
                    yield Recording(text, raw)
            elif magic[:2] == _GZIP:
                packed = _GZIP
                with gzip.open(raw) as text:
                    yield Recording(cast(IO[bytes], text), raw)
            elif magic and path.suffix in (".gz", ".lz4"):
                raise damaged(path, f"it is no {path.suffix[1:]} file")
            else:
                yield Recording(raw, raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, error) from error
    except RuntimeError as error:
        if packed == _LZ4:  # what lz4 raises for a damaged frame
            raise damaged(path, error) from error
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}", "check its name and permissions") from error


class FileProgress:
    """Progress over several files, in bytes of the files as they lie."""

    def __init__(self, progress: Progress, files: list[Path]) -> None:
        self._progress = progress
        self._total = sum(path.stat().st_size for path in files)
        self._done = 0

    def at(self, recording: Recording) -> None:
        """Say how far the present file has been read."""
        self._progress(min(self._done + recording.raw.tell(), self._total), self._total)

    def share(self, path: Path, done: float) -> None:
        """Say what share of a file, 0 to 1, has been read."""
        self._progress(min(self._done + int(path.stat().st_size * done), self._total), self._total)

    def end(self, path: Path) -> None:
        """Say that a file is done."""
        self._done += path.stat().st_size
        self._progress(min(self._done, self._total), self._total)


def stamped_lines(path: Path, progress: FileProgress | None = None) -> Iterator[StampedLine]:
    """Yield the lines of a raw capture: `STAMP {message}`, or the bare message; empty lines are passed over.

    A stamp is whole seconds, milli-, micro- or nanoseconds since 1970; its digits tell which.
    """
    number = 0
    with open_recording(path) as recording:
        for number, line in enumerate(recording.text, 1):
            text = line.strip()
            if not text:
                continue
            if text[:1] == b"{":
                yield StampedLine(number, None, text)
            else:
                stamp, _, message = text.partition(b" ")
                unit = _STAMP_UNITS.get(len(stamp)) if stamp.isdigit() else None
                if unit is None or not message.lstrip().startswith(b"{"):
                    raise malformed(path, number, "is neither `{message}` nor `time {message}`")
                yield StampedLine(number, int(stamp) * unit, message.lstrip())
            if progress is not None and number % 1024 == 0:
                progress.at(recording)
    if progress is not None:
        progress.end(path)


def in_session_order(files: list[Path]) -> list[Path]:
    """Return the files of raw captures in order of their first stamp; files without one stay at their place."""
    stamps: list[tuple[int, int]] = []
    for place, path in enumerate(files):
        first = next(stamped_lines(path), None)
        if first is None:
            raise UserError(f"{path.name} is empty", "leave it out, or record it again")
        stamps.append((first.local_ns or 0, place))
    return [files[place] for _, place in sorted(stamps)]
