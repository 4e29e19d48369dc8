"""Which importer a source needs, told from its name and first bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hatmanifesto.backtest.tape.format import Footer
from hatmanifesto.backtest.tape.importers.binance_ws import import_binance
from hatmanifesto.backtest.tape.importers.bitstamp_events import bitstamp_columns
from hatmanifesto.backtest.tape.importers.bitstamp_l3 import import_bitstamp
from hatmanifesto.backtest.tape.importers.columns import import_columns
from hatmanifesto.backtest.tape.importers.files import open_recording
from hatmanifesto.backtest.tape.importers.hftbacktest_npz import import_npz
from hatmanifesto.backtest.tape.importers.hyperliquid_archive import import_archive
from hatmanifesto.backtest.tape.importers.hyperliquid_recorder import (
    import_recorder,
    recorder_columns,
)
from hatmanifesto.backtest.tape.importers.hyperliquid_ws import import_ws
from hatmanifesto.backtest.tape.importers.presets import PRESETS, import_aster, import_deepbook, import_standx
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress
from hatmanifesto.backtest.tape.importers.tables import inspect_table
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError

Importer = Callable[[ImportRequest, TapeWriter, Progress], Footer]

IMPORTERS: Final[dict[str, Importer]] = {
    "hyperliquid-recorder": import_recorder,
    "hyperliquid-archive": import_archive,
    "hyperliquid-ws": import_ws,
    "binance-ws": import_binance,
    "hftbacktest": import_npz,
    "standx": import_standx,
    "aster": import_aster,
    "binance-deepbook": import_deepbook,
    "columns": import_columns,
    "bitstamp-l3": import_bitstamp,
}
_FORMATS: Final = ", ".join(IMPORTERS)
_SUFFIXES: Final = {
    "hyperliquid-recorder": (".csv", ".csv.gz"),
    "hyperliquid-archive": (".lz4", ".jsonl"),
    "hyperliquid-ws": (".gz", ".jsonl", ".lz4", ".txt"),
    "binance-ws": (".gz", ".jsonl", ".lz4", ".txt", ".dat"),
    "hftbacktest": (".npz", ".npy"),
    "standx": (".parquet",),
    "aster": (".csv", ".csv.gz"),
    "binance-deepbook": (".parquet",),
    "columns": (".csv", ".csv.gz", ".parquet"),
    "bitstamp-l3": (".csv", ".csv.gz"),
}

_FIRST_LINE: Final = 1 << 20
_FIRST_WORDS: Final = 200
_MESSAGE_WORDS: Final = {
    b'"raw"': "hyperliquid-archive",
    b'"channel"': "hyperliquid-ws",
    b'"stream"': "binance-ws",
    b'"lastUpdateId"': "binance-ws",
    b'"e":': "binance-ws",
}


def find_source(sources: list[Path], wanted: str = "") -> tuple[str, list[Path]]:
    """Return the format and the files of a source, folders opened; raises UserError when they do not fit.

    `wanted` names the format and skips the guess.
    """
    wanted = wanted.replace("_", "-")
    if wanted and wanted not in IMPORTERS:
        raise UserError(f"there is no format {wanted!r}", f"choose from {_FORMATS}")
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            suffixes = _SUFFIXES[wanted] if wanted else tuple(end for ends in _SUFFIXES.values() for end in ends)
            inside = sorted(path for path in source.iterdir() if path.is_file() and path.name.endswith(suffixes))
            if not inside:
                raise UserError(
                    f"{source} holds no recording that can be imported",
                    f"name a folder or files with {' '.join(suffixes)}",
                )
            files += inside
        elif source.is_file():
            files.append(source)
        else:
            raise UserError(f"{source} does not exist", "name a recording: a file or a folder")
    if wanted:
        return wanted, files
    formats = {path: _guess(path) for path in files}
    unknown = [path for path, name in formats.items() if not name]
    if unknown:
        raise UserError(
            f"{unknown[0]} is of no known format",
            f"describe its columns with --map, or name its format with --format: {_FORMATS}",
        )
    if len(set(formats.values())) > 1:
        raise UserError(
            f"the source mixes formats: {', '.join(sorted(set(formats.values())))}",
            "import one of them: name its files, or choose with --format",
        )
    return formats[files[0]], files


def _guess(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check its name and permissions") from error
    if not head:
        raise UserError(f"{path} is empty", "leave it out, or record it again")
    if head[:6] == b"\x93NUMPY" or path.suffix == ".npz":
        return "hftbacktest"
    packed = head[:2] == b"\x1f\x8b" or head[:4] == b"\x04\x22\x4d\x18"
    if packed or head[:1].isdigit() or head.lstrip()[:1] == b"{":
        found = _guess_messages(path)
        if found:
            return found
    if path.suffix == ".lz4":
        return "hyperliquid-archive"
    if packed or head[:4] == b"PAR1" or path.name.endswith((".csv", ".csv.gz", ".parquet")):
        columns = inspect_table(path).columns
        if recorder_columns(columns):
            return "hyperliquid-recorder"
        if bitstamp_columns(columns):
            return "bitstamp-l3"
        for name, mapping in PRESETS.items():
            if any(table.named(path) and table.fits(columns) for table in mapping.tables):
                return name
    return ""


def _guess_messages(path: Path) -> str:
    """Tell raw captures apart by what their first line's message has; '' when that is no message."""
    with open_recording(path) as recording:
        line = recording.text.readline(_FIRST_LINE).strip()
    stamp, _, message = line.partition(b" ")
    if line[:1] == b"{":
        stamp, message = b"", line
    if (stamp and not stamp.isdigit()) or message.lstrip()[:1] != b"{":
        return ""
    for word, name in _MESSAGE_WORDS.items():
        if word in message[:_FIRST_WORDS]:
            return name
    return ""
