"""CSV files, plain or packed, as blocks of text columns; a line with the wrong number of fields is named."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from hatmanifesto.backtest.tape.importers.files import FileProgress, open_recording
from hatmanifesto.backtest.tape.importers.request import malformed
from hatmanifesto.errors import UserError

_BLOCK: Final = 8 << 20
_HEADER_BYTES: Final = 1 << 18


class Block(msgspec.Struct, frozen=True):
    """Some lines of a file as text columns; `first_line` is the number of the first, from 1."""

    frame: pl.DataFrame
    first_line: int


def read_header(path: Path) -> list[str]:
    """Return a csv file's column names; raises UserError when it cannot be unpacked."""
    with open_recording(path) as recording:
        line = recording.text.readline(_HEADER_BYTES)
    return line.decode("utf-8", "replace").lstrip("\ufeff").strip().split(",")


def csv_blocks(path: Path, columns: list[str], progress: FileProgress | None = None) -> Iterator[Block]:
    """Yield a file's lines after the header, some megabytes at a time."""
    line = 2
    rest = b""
    with open_recording(path) as recording:
        recording.text.readline()
        while True:
            data = recording.text.read(_BLOCK)
            whole = rest + data
            cut = whole.rfind(b"\n") + 1 if data else len(whole)
            lines, rest = whole[:cut], whole[cut:]
            if lines.strip():
                block = _parse(lines.replace(b"\r\n", b"\n"), path, columns, line)
                yield block
                line += len(block.frame)
                if progress is not None:
                    progress.at(recording)
            if not data:
                break
    if progress is not None:
        progress.end(path)


def _parse(lines: bytes, path: Path, columns: list[str], first_line: int) -> Block:
    lines = lines.rstrip(b"\n") + b"\n"
    try:
        frame = pl.read_csv(
            io.BytesIO(lines),
            has_header=False,
            schema={name: pl.String for name in columns},
            quote_char=None,
        )
    except pl.exceptions.PolarsError as error:
        raise _ragged(lines, path, columns, first_line) or malformed(path, first_line, str(error)) from error
    if len(frame) != lines.count(b"\n") or any(frame.null_count().row(0)):
        ragged = _ragged(lines, path, columns, first_line)
        if ragged:
            raise ragged
    return Block(frame, first_line)


def _ragged(lines: bytes, path: Path, columns: list[str], first_line: int) -> UserError | None:
    """Find the first line with the wrong number of fields."""
    for number, text in enumerate(lines.split(b"\n")[:-1], first_line):
        fields = text.count(b",") + 1
        if fields != len(columns):
            what = "is empty" if not text.strip() else f"has {fields} fields, not {len(columns)}"
            return malformed(path, number, what)
        if not text.isascii():
            return malformed(path, number, "has characters that are no number")
    return None
