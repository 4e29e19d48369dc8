"""Builds the package; the rooms named in src/hatmanifesto/build.py are compiled by mypyc.

    HAT_PURE=1      build no extension module and delete those of an earlier build under src/
    HAT_SANITIZE=1  compile so that a signed overflow or a wild shift is reported (`make sanitize`)

Without a C compiler or Python's headers the package is built interpreted and says so. An error in the code
itself fails the build. Compiled rooms are kept in build/kept by the hash of all that went into them, so that
a change elsewhere in the package does not compile them again.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

from setuptools import Distribution, Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError, ExecError, PlatformError

ROOT = Path(__file__).resolve().parent
SRC = Path("src")
KEPT = Path("build/kept")
KEPT_BUILDS = 4
SANITIZE = os.environ.get("HAT_SANITIZE") == "1"
# not shift-base: mypyc boxes every negative number by a shift to the left, which -fwrapv defines
SANITIZER = "-fsanitize=signed-integer-overflow,shift-exponent"
# Semantic interposition and default visibility forbid the compiler to inline across functions; contraction
# to fused multiply-adds would make floats differ between machines. -march=native would too, and buys nothing.
FLAGS = ["-O2", "-fno-semantic-interposition", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno"]
# Many small methods on the order path: let the compiler inline more of them than it would (gcc; clang ignores it).
FLAGS += ["-finline-functions", *(f"--param={limit}" for limit in (
    "max-inline-insns-auto=300", "inline-unit-growth=200", "early-inlining-insns=60",
    "large-function-growth=1000", "large-function-insns=6000",
))]  # fmt: skip
# Every checked index is a value of its own: made into loop variables they would fill the registers of the row loops.
# Two words stored one by one and then loaded as one vector stall the processor.
FLAGS += ["-fno-ivopts", "-fno-tree-vectorize"]
# What the generated C leaves unsaid: an index is in range; what raises or frees is seldom called, and so are module
# bodies and the entries for interpreted callers, which else take most of the room there is for inlining.
IN_RANGE = re.compile(r"(= \(uint64_t\)\w+ < \(uint64_t\)\w+;\n\s*if \()(cpy_r_r\d+)\)")
ENTRY = re.compile(r"^( *)(?=PyObject \*CPyPy_\w+\(|char CPyDef_\w+_____top_level__\()", re.MULTILINE)
SELDOM_CALLED = """#include <Python.h>
#if defined(__GNUC__) && !defined(_WIN32)
#define SELDOM __attribute__((cold))
SELDOM void PyErr_SetNone(PyObject *);
SELDOM void PyErr_SetString(PyObject *, const char *);
SELDOM PyObject *PyErr_Occurred(void);
SELDOM void _Py_Dealloc(PyObject *);
#else
#define SELDOM
#endif
"""
if SANITIZE:
    FLAGS += ["-fno-wrapv", SANITIZER]
else:
    FLAGS += ["-g0"]  # what Python was built with asks for debug information: half of the compiler's time and memory
GROUP = "hatmanifesto.rooms"


def load_build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hat_build", ROOT / "src/hatmanifesto/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hat = load_build_module()


def say(message: str) -> None:
    print(f"\n{'*' * 100}\n{message}\n{'*' * 100}\n", file=sys.stderr, flush=True)


def why_no_compiler() -> str:
    """Empty if a C file that includes Python.h compiles and links here; otherwise the reason it does not."""
    probe = build_ext(Distribution())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "hat_probe.c")
        source.write_text(
            "#include <Python.h>\nPyMODINIT_FUNC PyInit_hat_probe(void) { return NULL; }\n", encoding="utf-8"
        )
        probe.distribution.ext_modules = [Extension("hat_probe", [str(source)])]
        probe.build_lib = probe.build_temp = folder
        probe.ensure_finalized()
        try:
            probe.run()
        except (CCompilerError, ExecError, PlatformError, OSError) as error:
            return str(error) or type(error).__name__
    return ""


def decide_mode() -> tuple[str, str]:
    """The mode to build in, and the reason for it."""
    if os.environ.get("HAT_PURE") == "1":
        for pattern in ("*.so", "*.pyd"):
            for path in (ROOT / SRC).rglob(pattern):
                path.unlink()
        (ROOT / SRC / "hatmanifesto" / hat.INFO_FILE).unlink(missing_ok=True)
        return "interpreted", "HAT_PURE=1 was set"
    if sys.implementation.name != "cpython":
        say(f"{sys.implementation.name} loads no mypyc extension modules: installing INTERPRETED, slower.")
        return "interpreted", f"{sys.implementation.name} loads no mypyc extension modules"
    reason = why_no_compiler()
    if reason:
        say(
            "No working C compiler, or no Python headers: hatmanifesto is being installed INTERPRETED.\n"
            "Everything works, about ten times slower. On Debian: apt-get install gcc libc6-dev python3-dev,"
            f" then install again.\nThe reason: {reason}"
        )
        return "interpreted", f"no working C compiler or no Python headers: {reason}"
    return "compiled", "a C compiler and Python headers were found"


def build_info(mode: str, reason: str) -> dict[str, object]:
    return {
        "mode": mode,
        "reason": reason,
        "source_hash": hat.source_hash(ROOT / SRC / "hatmanifesto"),
        "python": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag,
        "librt": metadata.version("librt") if mode == "compiled" else None,
        "mypy": metadata.version("mypy") if mode == "compiled" else None,
        "flags": FLAGS if mode == "compiled" else [],
        "sanitized": SANITIZE and mode == "compiled",
    }


def kept_folder() -> Path:
    """Where the binaries of exactly these sources, options, tools and this interpreter are kept."""
    parts = [json.dumps(INFO, sort_keys=True), os.environ.get("CC", ""), sys.version]
    parts += [Path(ROOT, name).read_text(encoding="utf-8") for name in ("setup.py", "pyproject.toml")]
    return KEPT / hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def compiled_extensions() -> list[Extension]:
    kept = kept_folder() / "names.json"
    if kept.exists():
        return [Extension(name, []) for name in json.loads(kept.read_text(encoding="utf-8"))]
    from mypyc.build import mypycify

    sources = [path.relative_to(ROOT).as_posix() for path in hat.compiled_sources(ROOT / SRC / "hatmanifesto")]
    print(f"mypyc compiles {len(sources)} modules", file=sys.stderr, flush=True)
    extensions = mypycify(["--config-file", "pyproject.toml", "--strict", *sources], opt_level="2", group_name=GROUP)
    hint({Path(source) for extension in extensions for source in extension.sources})
    for extension in extensions:
        # assigned, not extended in place: mypycify shares one list among the extensions
        extension.extra_compile_args = [*extension.extra_compile_args, *FLAGS]
        extension.extra_link_args = [*extension.extra_link_args, *([SANITIZER] if SANITIZE else [])]
    return list(extensions)


def hint(sources: set[Path]) -> None:
    """Write into generated C what is likely and what is seldom; nothing it does changes."""
    for source in sources:
        text, found = IN_RANGE.subn(r"\1likely(\2))", source.read_text(encoding="utf-8"))
        if found:
            source.write_text(SELDOM_CALLED + ENTRY.sub(r"\1SELDOM ", text), encoding="utf-8")


class Build(build):
    """Starts from an empty folder, so that no module deleted since the last build is shipped."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


def record(folder: Path) -> None:
    path = folder / "hatmanifesto" / hat.INFO_FILE
    path.write_text(json.dumps(INFO, indent=1) + "\n", encoding="utf-8")


class BuildPy(build_py):
    """Ships a record of what was built beside the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            record(Path(self.build_lib))


class BuildExt(build_ext):
    """Compiles the rooms, or takes them from build/kept, and makes sure that each binary is there."""

    def run(self) -> None:
        super().run()
        if hat.source_hash(ROOT / SRC / "hatmanifesto") != INFO["source_hash"]:
            raise CCompilerError("the sources were changed while they were being compiled: build again")
        kept = kept_folder()
        wanted = [extension.name for extension in self.extensions]
        absent = [name for name in wanted if not Path(self.get_ext_fullpath(name)).exists()]
        if absent:
            raise CCompilerError(f"the build made no binary for {', '.join(absent)}")
        if self.inplace:
            record(SRC)
        if not (kept / "names.json").exists():
            for name in wanted:
                target = self._kept_path(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.get_ext_fullpath(name), target)
            (kept / "names.json").write_text(json.dumps(wanted), encoding="utf-8")
            old = sorted(KEPT.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_BUILDS:]
            for path in old:
                shutil.rmtree(path, ignore_errors=True)

    def build_extension(self, ext: Extension) -> None:
        kept = self._kept_path(ext.name)
        if ext.sources or not kept.exists():
            super().build_extension(ext)
            return
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(kept, target)

    def _kept_path(self, name: str) -> Path:
        return kept_folder() / self.get_ext_filename(name)


class HatDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return MODE == "compiled"


os.chdir(ROOT)
BUILDING = {"build", "build_ext", "bdist_wheel", "editable_wheel", "install", "develop"} & set(sys.argv)
MODE, REASON = decide_mode() if BUILDING else ("interpreted", "only metadata was asked for")
INFO = build_info(MODE, REASON)  # before anything is read for the build, see BuildExt.run
setup(
    distclass=HatDistribution,
    ext_modules=compiled_extensions() if MODE == "compiled" else [],
    cmdclass={"build": Build, "build_py": BuildPy, "build_ext": BuildExt},
)
