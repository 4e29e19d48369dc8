"""A real PostgreSQL server for tests: its own data folder, a free port, an unprivileged user, gone at the end."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "hat"


def programs() -> Path | None:
    """Where the server's programs are: Debian keeps them off the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def unprivileged() -> list[str] | None:
    """How to run as somebody else when this is root, whom the server refuses; None when that is impossible."""
    if os.getuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        if shutil.which("runuser"):
            return ["runuser", "-u", name, "--"]
    return None


def missing() -> str:
    """Why there is no server here, in words; "" when there can be one."""
    if programs() is None:
        return "needs PostgreSQL's server (Debian: apt-get install postgresql)"
    if unprivileged() is None:
        return "PostgreSQL refuses to run as root, and there is no runuser or no user postgres"
    return ""


@contextmanager
def server() -> Iterator[str]:
    """Start a server and yield the address of an empty database."""
    folder = programs()
    as_user = unprivileged()
    assert folder is not None
    assert as_user is not None
    place = Path(tempfile.mkdtemp(prefix="hat-pg-", dir="/tmp"))
    place.chmod(0o755)
    data = place / "data"
    data.mkdir()
    if as_user:
        shutil.chown(data, as_user[2])
        shutil.chown(place, as_user[2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*as_user, *arguments], cwd=place, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")

    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {place} -c fsync=off -c shared_buffers=32MB"
    try:
        run(str(folder / "initdb"), "-D", str(data), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8")
        run(str(folder / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(place / "log"), "-w", "start")
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            run(str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)
