"""Which build of the package is loaded, compiled or interpreted, and whether it was made from these sources.

An extension module silently beats the .py file beside it, so an old binary would run old rules. The build
writes the hash of what it compiled into `_build_info.json`; `check` compares it with the sources there.
setup.py loads this file by path: it may import nothing but the standard library.
"""

import hashlib
import json
import platform
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final, Literal

ROOMS: Final = ("model", "core", "strategy", "simulation")
"""The folders of the package that are compiled; their `__init__.py` files stay interpreted."""
PACKAGE: Final = Path(__file__).resolve().parent
INFO_FILE: Final = "_build_info.json"
REMEDY: Final = (
    "Run `make setup` to build it again. Binaries that lie under src/ go away with `HAT_PURE=1 make setup`;"
    " after that PYTHONPATH=src runs the sources as they are."
)

Mode = Literal["compiled", "interpreted"]


class StaleBuildError(RuntimeError):
    """The extension modules that would be loaded were not built from the sources beside them."""


def compiled_sources(package: Path = PACKAGE) -> list[Path]:
    """The files that mypyc compiles, sorted by their path inside the package."""
    found = (path for room in ROOMS for path in (package / room).rglob("*.py") if path.name != "__init__.py")
    return sorted(found, key=lambda path: path.relative_to(package).as_posix())


def _hash(package: Path, paths: list[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, path in sorted((path.relative_to(package).as_posix(), path) for path in paths):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def source_hash(package: Path = PACKAGE) -> str:
    """The hash of every .py file of the compiled rooms, line ends normalised; independent of the machine."""
    return _hash(package, [path for room in ROOMS for path in (package / room).rglob("*.py")])


def package_hash(package: Path = PACKAGE) -> str:
    """The hash of every .py file of the package: tells whether an installed copy is that of a checkout."""
    return _hash(package, list(package.rglob("*.py")))


def _extension_of(source: Path) -> Path | None:
    """The extension module that the import system prefers to `source`, if there is one."""
    candidates = (source.with_name(source.stem + suffix) for suffix in EXTENSION_SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


def mode(package: Path = PACKAGE) -> Mode:
    """How the rooms' modules load; half a build counts as compiled, and fails `check`."""
    return "compiled" if any(_extension_of(path) for path in compiled_sources(package)) else "interpreted"


def info(package: Path = PACKAGE) -> dict[str, Any]:
    """What the build wrote down about itself; empty for a checkout that was never built in place."""
    path = package / INFO_FILE
    if not path.exists():
        return {}
    loaded = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict):
        raise StaleBuildError(f"{path} is damaged. {REMEDY}")
    return loaded


def check(package: Path = PACKAGE) -> None:
    """Raise StaleBuildError if extension modules were built from other sources or for another librt."""
    if mode(package) == "interpreted":
        return
    built = info(package)
    if built.get("mode") != "compiled":
        raise StaleBuildError(f"There are extension modules in {package}, but no record of their build. {REMEDY}")
    missing = [path for path in compiled_sources(package) if _extension_of(path) is None]
    if missing:
        names = ", ".join(path.relative_to(package).as_posix() for path in missing)
        raise StaleBuildError(f"Half of {package} is compiled; interpreted: {names}. {REMEDY}")
    now = source_hash(package)
    if built.get("source_hash") != now:
        raise StaleBuildError(
            f"The extension modules in {package} were built from other sources: "
            f"built from {built.get('source_hash')}, the sources are {now}. {REMEDY}"
        )
    librt = metadata.version("librt")
    if built.get("librt") != librt:
        raise StaleBuildError(
            f"The extension modules were built for librt {built.get('librt')}, and librt {librt} is here."
            " Install the locked one: pip install --require-hashes -r requirements/run.txt"
        )


def python() -> str:
    """The interpreter that runs, such as `CPython 3.11.7`."""
    return f"{platform.python_implementation()} {platform.python_version()}"
