"""Which importer a source needs, told from its name and first bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hatmanifesto.backtest.tape.format import Footer
from hatmanifesto.backtest.tape.importers.hftbacktest_npz import import_npz
from hatmanifesto.backtest.tape.importers.hyperliquid_archive import import_archive
from hatmanifesto.backtest.tape.importers.hyperliquid_recorder import (
    import_recorder,
    read_header,
    recorder_columns,
)
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError

Importer = Callable[[ImportRequest, TapeWriter, Progress], Footer]

IMPORTERS: Final[dict[str, Importer]] = {
    "hyperliquid-recorder": import_recorder,
    "hyperliquid-archive": import_archive,
    "hftbacktest": import_npz,
}
_FORMATS: Final = ", ".join(IMPORTERS)
_SUFFIXES: Final = {
    "hyperliquid-recorder": (".csv", ".csv.gz"),
    "hyperliquid-archive": (".lz4", ".jsonl"),
    "hftbacktest": (".npz", ".npy"),
}


def find_source(sources: list[Path], wanted: str = "") -> tuple[str, list[Path]]:
    """Return the format and the files of a source, folders opened; raises UserError when they do not fit.

    `wanted` names the format and skips the guess.
    """
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
        raise UserError(f"{unknown[0]} is of no known format", f"name the format with --format: {_FORMATS}")
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
    if head[:4] == b"\x04\x22\x4d\x18" or path.suffix == ".lz4" or head.lstrip()[:1] == b"{":
        return "hyperliquid-archive"
    if head[:6] == b"\x93NUMPY" or path.suffix == ".npz":
        return "hftbacktest"
    if head[:2] == b"\x1f\x8b" or path.name.endswith((".csv", ".csv.gz")):
        return "hyperliquid-recorder" if recorder_columns(read_header(path)) else ""
    return ""
