"""What an importer is asked for, and what all importers share: progress, file hashes, price limits."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from hatmanifesto.backtest.tape.format import SourceFile
from hatmanifesto.errors import UserError
from hatmanifesto.model.money import MAX_AMOUNT

Progress = Callable[[int, int], None]
"""Called with bytes read so far and bytes in all."""


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One import: files of one format, and the options that some formats need.

    `instruments` chooses coins (empty: all). `tick` and `lot` are decimal text, for sources that do not
    say. `strict` turns what would be dropped and counted for being wrong into an error. `clock` says what to do
    about a recorder's clock (clock.py). Without `book` level updates are left out. `mapping` describes the
    columns of tables (mapping.py).
    """

    files: list[Path]
    instruments: list[str] = []
    tick: str = ""
    lot: str = ""
    name: str = ""
    strict: bool = False
    clock: str = ""
    book: bool = True
    mapping: Path | None = None


def describe_files(files: list[Path]) -> list[SourceFile]:
    """Return name, size and SHA-256 of every source file; raises UserError when one cannot be read."""
    found = []
    for path in files:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", "check its name and permissions") from error
        found.append(SourceFile(name=path.name, bytes=path.stat().st_size, sha256=digest))
    return found


def malformed(path: Path, line: int, why: str) -> UserError:
    """Return the error for a line that cannot be understood; lines count from 1."""
    return UserError(f"{path.name}, line {line}: {why}", "repair or remove that line; no tape was written")


def damaged(path: Path, why: object) -> UserError:
    """Return the error for a compressed file that ends early or does not unpack."""
    return UserError(f"{path.name} is cut off or damaged: {why}", "copy or download it again; no tape was written")


def choose(available: list[str], wanted: list[str]) -> list[str]:
    """Return the chosen instruments in the order asked for; all, sorted, when none was asked for."""
    missing = [name for name in wanted if name not in available]
    if missing:
        raise UserError(
            f"the recording has no instrument {', '.join(missing)}",
            f"choose from {', '.join(sorted(available))} with --instrument",
        )
    return list(dict.fromkeys(wanted)) or sorted(available)


def price_limit(largest_price: int, largest_size: int, *, price_scale: int, factor: int) -> int:
    """Return a max_price that leaves room both for the price to rise and for large sizes, in price units.

    The limit is a power of ten, up to a thousand times the largest price seen and at least ten times.
    The instrument proves price x size x factor < 2^62, so a lower price limit allows larger sizes: it
    is lowered until a hundred times the largest size seen is allowed.
    """
    least = _power_above(largest_price * 10)
    usual: int = 10 ** (price_scale + 7)
    limit = max(least, min(usual, _power_above(largest_price * 1000)))
    while limit > least and MAX_AMOUNT // (limit * factor) // 4 < largest_size * 100:
        limit //= 10
    return limit


def _power_above(value: int) -> int:
    power = 1
    while power < value:
        power *= 10
    return power
