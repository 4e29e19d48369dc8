"""Real money needs `--live` and words typed in a terminal; nothing is started or sent without them."""

import io
from pathlib import Path

import pytest

from hatmanifesto.cli import run
from hatmanifesto.errors import UserError

CONFIG = """\
[strategies.maker]
class = "touch_joiner"
instruments = ["BTC"]

[venue]
url = "{url}"
account = "0x5e9ee1089755c3435139848e47e6635505d5a13a"
"""
WORDS = "trade 0x5e9ee1089755c3435139848e47e6635505d5a13a"


class Terminal(io.StringIO):
    """Standard input as a person types it."""

    def isatty(self) -> bool:
        return True


def config(folder: Path, url: str) -> Path:
    path = folder / "maker.toml"
    path.write_text(CONFIG.format(url=url), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("live", "typed", "refused"),
    [
        (False, Terminal(WORDS + "\n"), "is real money"),
        (True, io.StringIO(WORDS + "\n"), "needs a typed confirmation"),  # a pipe is no person
        (True, Terminal("yes\n"), "not confirmed"),
        (True, Terminal("\n"), "not confirmed"),
        (True, Terminal(WORDS + "\n"), None),
    ],
)
def test_mainnet_trades_only_after_the_account_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool, typed: io.StringIO, refused: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", typed)
    path = config(tmp_path, "mainnet")
    if refused is None:
        run._confirm(path, [], live)
        assert typed.read() == ""
        return
    with pytest.raises(UserError, match=refused):
        run._confirm(path, [], live)


@pytest.mark.parametrize("url", ["testnet", "http://127.0.0.1:3001"])
def test_what_is_not_real_money_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    typed = Terminal("left alone")
    monkeypatch.setattr("sys.stdin", typed)
    run._confirm(config(tmp_path, url), [], live=False)
    assert typed.read() == "left alone"
