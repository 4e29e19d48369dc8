"""A binary that does not belong to its sources is noticed; an interpreted build leaves no binary behind."""

import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from hatmanifesto import build

REPOSITORY = Path(__file__).resolve().parent.parent
SUFFIX = EXTENSION_SUFFIXES[0]


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def hat_version(package: Path, *options: str) -> subprocess.CompletedProcess[str]:
    call = "import sys; from hatmanifesto.cli.main import main; sys.argv[0] = 'hat'; main()"
    return run("-c", call, "--version", *options, cwd=package.parent, PYTHONPATH=str(package.parent))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the sources, without binaries."""
    copy = tmp_path / "src" / "hatmanifesto"
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", build.INFO_FILE)
    shutil.copytree(REPOSITORY / "src" / "hatmanifesto", copy, ignore=ignore)
    return copy


@pytest.fixture
def compiled(package: Path) -> Path:
    """The copy as a compiled build leaves it; the binaries are empty files, as nothing here loads them."""
    for source in build.compiled_sources(package):
        source.with_name(source.stem + SUFFIX).touch()
    record = {
        "mode": "compiled",
        "source_hash": build.source_hash(package),
        "librt": build.metadata.version("librt"),
    }
    (package / build.INFO_FILE).write_text(json.dumps(record), encoding="utf-8")
    return package


def a_source(package: Path) -> Path:
    return build.compiled_sources(package)[0]


def test_hat_version_of_plain_sources_is_interpreted(package: Path) -> None:
    result = hat_version(package, "--json")
    facts = json.loads(result.stdout)
    assert result.returncode == 0, result.stderr
    assert set(facts) == {
        "version",
        "mode",
        "python",
        "source_hash",
        "built_from",
        "reason",
        "sanitized",
        "problem",
    }
    assert facts["mode"] == "interpreted"
    assert facts["source_hash"] == build.source_hash(package)
    assert facts["problem"] is None


def test_hat_version_of_a_sound_compiled_build(compiled: Path) -> None:
    result = hat_version(compiled, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["mode"], facts["built_from"]) == ("compiled", facts["source_hash"])


def test_hat_version_fails_loudly_when_a_source_was_edited_after_the_build(compiled: Path) -> None:
    with a_source(compiled).open("a", encoding="utf-8") as source:
        source.write("# edited\n")
    result = hat_version(compiled, "--json")
    assert result.returncode == 3
    assert "built from other sources" in json.loads(result.stdout)["problem"]
    assert "make setup" in result.stderr


def delete_a_binary(package: Path) -> None:
    source = a_source(package)
    source.with_name(source.stem + SUFFIX).unlink()


def delete_the_record(package: Path) -> None:
    (package / build.INFO_FILE).unlink()


def add_a_source(package: Path) -> None:
    (package / "model" / "added_after_the_build.py").write_text("", encoding="utf-8")


def delete_a_source(package: Path) -> None:
    a_source(package).unlink()


def build_for_another_librt(package: Path) -> None:
    path = package / build.INFO_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"librt": "0.0.1"}), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (delete_a_binary, "Half of"),
        (delete_the_record, "no record of their build"),
        (add_a_source, "Half of"),
        (delete_a_source, "built from other sources"),
        (build_for_another_librt, r"librt 0\.0\.1"),
    ],
)
def test_check_refuses_a_build_that_does_not_fit(compiled: Path, change: object, complaint: str) -> None:
    build.check(compiled)
    assert callable(change)
    change(compiled)
    with pytest.raises(build.StaleBuildError, match=complaint):
        build.check(compiled)


def test_line_ends_do_not_change_the_hash_and_names_do(package: Path) -> None:
    before = build.source_hash(package)
    source = a_source(package)
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    assert build.source_hash(package) == before
    source.rename(source.with_name("renamed.py"))
    assert build.source_hash(package) != before


def test_a_pure_build_deletes_binaries_and_makes_none(compiled: Path, tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    result = run("setup.py", "--quiet", "build", cwd=tmp_path, HAT_PURE="1", PYTHONPATH="")
    assert result.returncode == 0, result.stderr
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".so", ".pyd"}]
    built = tmp_path / "build" / "lib" / "hatmanifesto"
    assert json.loads((built / build.INFO_FILE).read_text())["mode"] == "interpreted"
    assert build.source_hash(built) == build.source_hash(compiled)
    assert build.mode(built) == "interpreted"


def test_without_a_compiler_the_build_is_interpreted_and_says_so(package: Path, tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    result = run("setup.py", "--quiet", "build", cwd=tmp_path, CC="/nonexistent/cc", HAT_PURE="", PYTHONPATH="")
    assert result.returncode == 0, result.stderr
    assert "INTERPRETED" in result.stderr
    built = tmp_path / "build" / "lib" / "hatmanifesto"
    assert "no working C compiler" in json.loads((built / build.INFO_FILE).read_text())["reason"]
    assert build.mode(built) == "interpreted"
