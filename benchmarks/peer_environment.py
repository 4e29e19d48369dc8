"""Environments of peers to measure against: made once from hashed locks, in .cache/peers, apart from our own."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".cache" / "peers"


def peer_python(name: str) -> Path | None:
    """Return the interpreter of the peer `name`, installing it first; None when that is not possible here."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return python
    print(f"installing the peer {name} into {folder.relative_to(ROOT)} (once)", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    lock = ROOT / "requirements" / f"peer-{name}.txt"
    command = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        print(f"the peer {name} could not be installed:\n{finished.stderr}", file=sys.stderr)
        return None
    done.touch()
    return python
