"""A run's folder: filled beside its place under a hidden name, renamed when whole, removed when not."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hatmanifesto.errors import UserError
from hatmanifesto.journal.writer import JournalWriteError

MARK = "manifest.json"
_MAKE_ROOM = "make room, or choose another place with --out; nothing was kept of this run"


def check_target(target: Path, *, force: bool) -> None:
    """Refuse, before any work, a folder that exists; with `force` only one that is no run or is in use."""
    if not target.exists():
        return
    if not force:
        raise UserError(f"{target} exists already", "name another folder with --out, or add --force to replace it")
    if not target.is_dir() or (any(target.iterdir()) and not (target / MARK).is_file()):
        raise UserError(f"{target} is not the folder of a run, so it is not replaced", "name another folder with --out")


@contextmanager
def run_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a new folder; at the end it takes the target's place, after any error nothing is left of it."""
    check_target(target, force=force)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    made = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        raise UserError(f"cannot make {partial}: {error.strerror}", "check --out and its permissions") from error
    try:
        yield partial
        _put_in_place(partial, target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # someone else has put something there meanwhile
                parent.rmdir()
        if isinstance(error, JournalWriteError):  # its own remedy, to repair the journal, has nothing to act on
            raise UserError(error.message.replace(str(partial), str(target)), _MAKE_ROOM) from error
        if isinstance(error, OSError):
            raise UserError(f"cannot write {target}: {error.strerror or error}", _MAKE_ROOM) from error
        raise


def _put_in_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
