"""Nonces rise through kills, clock steps and many orders in one millisecond; one process a key."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.errors import UserError
from hatmanifesto.venues.hyperliquid.nonces import AHEAD_MS, MAX_LEAD_MS, NonceSource, NonceWindowError

ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
START = 1_790_000_000_000


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_follows_the_clock_and_rises_within_one_millisecond(tmp_path: Path) -> None:
    clock = Clock()
    with NonceSource(tmp_path, ADDRESS, clock) as nonces:
        assert [nonces.next() for _ in range(3)] == [START, START + 1, START + 2]
        clock.now += 100
        assert nonces.next() == START + 100


@settings(max_examples=30)
@given(
    steps=st.lists(st.one_of(st.integers(-5_000, 20_000), st.just("kill"), st.just("prepare")), min_size=1, max_size=60)
)
def test_never_repeats_whatever_the_clock_and_kills_do(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]
) -> None:
    folder = tmp_path_factory.mktemp("nonces")
    clock = Clock()
    nonces = NonceSource(folder, ADDRESS, clock)
    given_out: list[int] = []
    for step in steps:
        if step == "kill":
            nonces.close()  # nothing is written at the end: what a kill leaves is what is in the file
            nonces = NonceSource(folder, ADDRESS, clock)
        elif step == "prepare":
            nonces.prepare()
        else:
            assert isinstance(step, int)
            clock.now += step
            given_out.append(nonces.next())
    nonces.close()
    assert given_out == sorted(set(given_out))


def test_goes_on_above_what_a_killed_process_used(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from hatmanifesto.venues.hyperliquid.nonces import NonceSource\n"
        f"nonces = NonceSource(Path({str(tmp_path)!r}), {ADDRESS!r}, lambda: {START})\n"
        "while True:\n"
        "    print(nonces.next(), flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(50)]
    with pytest.raises(UserError, match="another process signs"):
        NonceSource(tmp_path, ADDRESS, Clock())
    process.send_signal(signal.SIGKILL)
    seen += [int(line) for line in process.stdout.read().splitlines() if line]
    process.wait()
    process.stdout.close()
    with NonceSource(tmp_path, ADDRESS, Clock()) as nonces:
        assert nonces.next() > max(seen)


def test_writes_once_in_some_seconds_not_once_a_nonce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.pwrite

    def counting(file: int, data: bytes, offset: int) -> int:
        written.append(data)
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", counting)
    clock = Clock()
    with NonceSource(tmp_path, ADDRESS, clock) as nonces:
        for _ in range(1_000):
            clock.now += 5
            nonces.next()
        assert len(written) == 1
        clock.now += AHEAD_MS * 6 // 10
        nonces.prepare()
        assert len(written) == 2
        nonces.next()
        assert len(written) == 2


def test_a_clock_far_behind_signs_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with NonceSource(tmp_path, ADDRESS, clock) as nonces:
        last = nonces.next()
        clock.now -= MAX_LEAD_MS + 1
        with pytest.raises(NonceWindowError, match="set the clock right"):
            nonces.next()
        assert nonces.last == last
        clock.now += 10
        assert nonces.next() == last + 1


@pytest.mark.parametrize("content", ["garbage", "hat-nonces-1 0xother 5", f"hat-nonces-1 {ADDRESS} x"])
def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{ADDRESS}.nonce").write_text(content)
    with pytest.raises(UserError, match="remove it if"):
        NonceSource(tmp_path, ADDRESS, Clock())
    (tmp_path / f"{ADDRESS}.nonce").unlink()
    NonceSource(tmp_path, ADDRESS, Clock()).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="state folder"):
        NonceSource(blocked / "sub", ADDRESS, Clock())
