"""Replays a journal under the build that is not under test, where both are at hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SOURCES
from hatmanifesto import build

_REPLAY = """
import sys
from pathlib import Path
from hatmanifesto import build
from hatmanifesto.backtest.replay import replay_journal
build.check()
assert build.mode() == sys.argv[2], (build.mode(), sys.argv[2])
outcome = replay_journal(Path(sys.argv[1]))
assert outcome.equal, outcome.difference.describe()
print(*outcome.strategies.values())
"""


def replay_in_other_build(journal: Path) -> str:
    """Return what the other build says of the journal's strategies; skips where there is no such build."""
    other = "interpreted" if build.mode() == "compiled" else "compiled"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if other == "interpreted":
        environment["PYTHONPATH"] = str(SOURCES.parent)

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, check=False, cwd="/"
        )

    found = python("-c", "from hatmanifesto import build; print(build.mode(), build.source_hash())")
    if found.stdout.split() != [other, build.source_hash()]:
        pytest.skip(f"only the {build.mode()} build of these sources is here; the other needs `make setup`")
    ran = python("-c", _REPLAY, str(journal), other)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()
