"""Environments of peers to measure against: made once from hashed locks, in .cache/peers, apart from our own."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".cache" / "peers"
NEWEST_MINOR = 14


def peer_python(name: str, minimum: tuple[int, int] = (3, 11)) -> Path | None:
    """Return the interpreter of the peer `name`, installing it first; None when that is not possible here.

    `minimum` is the oldest CPython that the peer runs on; an installed one is looked for.
    """
    folder = PEERS / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return python
    interpreter = find_python(minimum)
    if interpreter is None:
        say(f"the peer {name} needs CPython {minimum[0]}.{minimum[1]} or newer, and none was found here")
        return None
    say(f"installing the peer {name} into {folder.relative_to(ROOT)} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    lock = ROOT / "requirements" / f"peer-{name}.txt"
    for command in (
        [str(interpreter), "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)],
    ):
        finished = subprocess.run(command, check=False, capture_output=True, text=True)
        if finished.returncode != 0:
            say(f"the peer {name} could not be installed:\n{finished.stderr}")
            return None
    done.touch()
    return python


def find_python(minimum: tuple[int, int]) -> Path | None:
    """Return the oldest CPython here that is new enough: our own, one on the path, or one that pyenv keeps."""
    if sys.version_info[:2] >= minimum:
        return Path(sys.executable)
    for minor in range(minimum[1], NEWEST_MINOR + 1):
        version = f"{minimum[0]}.{minor}"
        candidates = [Path(found)] if (found := shutil.which(f"python{version}")) else []
        candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python{version}"))
        for candidate in candidates:
            check = [str(candidate), "-c", "import sys, venv; print(sys.version_info[:2])"]
            finished = subprocess.run(check, check=False, capture_output=True, text=True)
            if finished.returncode == 0 and finished.stdout.strip() == str((minimum[0], minor)):
                return candidate
    return None


def say(words: str) -> None:
    """Tell a person something, on standard error."""
    print(words, file=sys.stderr, flush=True)
