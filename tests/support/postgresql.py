"""A real PostgreSQL server for tests: its own data folder, a free port, an unprivileged user, gone at the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
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


def account() -> pwd.struct_passwd | None:
    """Who is to run the server: not root, whom it refuses; None where there is nobody else."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    everybody = {entry.pw_name: entry for entry in pwd.getpwall()}
    return everybody.get("postgres") or everybody.get("nobody")


def missing() -> str:
    """Why there is no server here, in words; "" when there can be one."""
    if programs() is None:
        return "needs PostgreSQL's server (Debian: apt-get install postgresql)"
    if account() is None or (os.getuid() == 0 and not shutil.which("setpriv")):
        return "PostgreSQL refuses to run as root, and there is no setpriv or no user postgres"
    return ""


@contextmanager
def server() -> Iterator[str]:
    """Start a server and yield the address of an empty database. Where there is
    setpriv it ends with this process, even a killed one."""
    folder = programs()
    user = account()
    assert folder is not None
    assert user is not None
    place = Path(tempfile.mkdtemp(prefix="hat-pg-", dir="/tmp"))
    place.chmod(0o755)
    data = place / "data"
    data.mkdir()
    for path in (data, place):
        os.chown(path, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
    if os.getuid() == 0:
        as_user += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    init = ["initdb", "-D", str(data), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8"]
    run = ["postgres", "-D", str(data), "-p", str(port), "-k", str(place)]
    for setting in ("listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=32MB"):
        run += ["-c", setting]
    log = place / "log"
    try:
        with log.open("wb") as words:

            def start(command: list[str]) -> subprocess.Popen[bytes]:
                command = [*as_user, str(folder / command[0]), *command[1:]]
                return subprocess.Popen(command, cwd=place, stdout=words, stderr=words)

            if start(init).wait(timeout=60):
                raise RuntimeError(log.read_text())
            postgres = start(run)
        try:
            wait_until_ready(folder, port, postgres, log)
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            postgres.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            postgres.wait(timeout=60)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def wait_until_ready(folder: Path, port: int, postgres: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server accepts connections; RuntimeError with its log when it ends or a minute has passed."""
    deadline = time.monotonic() + 60.0
    asks = [str(folder / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(asks, check=False).returncode:
        if postgres.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text())
        time.sleep(0.05)
