"""`hat tape` as a person and a machine meet it: exit codes, one JSON object, nothing half written."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from hatmanifesto.cli import journal
from hatmanifesto.cli.tape import app
from tape.samples import BID, BOOKS, BOTH, EVENT, PRICES, TRADES, events, write_recorder


def hat_tape(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(result: Result) -> dict[str, Any]:
    """The one JSON object on stdout."""
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recorder(tmp_path / "rec", books=BOOKS, prices=PRICES, trades=TRADES)


def test_import_then_info_for_people_and_machines(tmp_path: Path, recording: Path) -> None:
    tape = tmp_path / "btc.tape"
    made = hat_tape("import", recording, "-o", tape, "--json")
    assert made.exit_code == 0, made.stderr
    payload = answer(made)
    assert payload["format"] == "hyperliquid-recorder"
    assert payload["rows"] == {"exchange": 11, "receiver": 11}
    again = answer(hat_tape("info", tape, "--json", "--verify"))
    assert again["content_hash"] == payload["content_hash"]
    assert again["kinds"] == {"trade": 1, "bbo": 2, "snapshot": 8}
    assert again["instruments"][0]["fill_models"] == ["queue", "reference", "cross"]
    assert again["verified"] is True
    said = hat_tape("info", tape)
    assert said.exit_code == 0
    assert "fill model queue: yes" in said.stdout
    assert "\x1b[" not in said.stdout


def test_each_format_is_recognised(tmp_path: Path) -> None:
    np.savez(tmp_path / "perp.npz", data=events((1 | BOTH | BID, 1, 2, 1.0, 1.0)))
    result = hat_tape(
        "import", tmp_path / "perp.npz", "-o", tmp_path / "a.tape", "--tick", "0.1", "--lot", "1", "--json"
    )
    assert answer(result)["format"] == "hftbacktest"


def test_an_existing_tape_is_kept_unless_forced(tmp_path: Path, recording: Path) -> None:
    tape = tmp_path / "a.tape"
    tape.write_bytes(b"precious")
    refused = hat_tape("import", recording, "-o", tape)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert tape.read_bytes() == b"precious"
    assert hat_tape("import", recording, "-o", tape, "--force").exit_code == 0
    assert tape.read_bytes() != b"precious"


def prepare(tmp_path: Path, case: str) -> list[str | Path]:
    good = write_recorder(tmp_path / "in", trades=TRADES, prices=PRICES)
    match case:
        case "missing":
            return [tmp_path / "none"]
        case "empty file":
            (tmp_path / "e.csv").write_bytes(b"")
            return [tmp_path / "e.csv"]
        case "empty folder":
            (tmp_path / "empty").mkdir()
            return [tmp_path / "empty"]
        case "unknown content":
            (tmp_path / "x.bin").write_bytes(b"hello world")
            return [tmp_path / "x.bin"]
        case "unknown format":
            return [good, "--format", "tardis"]
        case "header only":
            write_recorder(good, trades=[], prices=[])
            return [good]
        case "truncated gz":
            path = good / "trades_BTC.csv.gz"
            path.write_bytes(path.read_bytes()[:-12])
            return [good]
        case "truncated lz4":
            (tmp_path / "a.lz4").write_bytes(lz4.frame.compress(b'{"time": 1}\n' * 1000)[:-20])
            return [tmp_path / "a.lz4"]
        case "malformed row":
            write_recorder(good, trades=[*TRADES, "1,2,3"])
            return [good]
        case "unknown coin":
            return [good, "--instrument", "DOGE"]
        case "no tick":
            np.savez(tmp_path / "p.npz", data=events((1 | BOTH | BID, 1, 2, 1.0, 1.0)))
            return [tmp_path / "p.npz"]
        case "mixed":
            np.savez(tmp_path / "p.npz", data=events((1 | BOTH | BID, 1, 2, 1.0, 1.0)))
            return [tmp_path / "p.npz", good]
    raise AssertionError(case)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("missing", "does not exist"),
        ("empty file", "is empty"),
        ("empty folder", "holds no recording"),
        ("unknown content", "--format"),
        ("unknown format", "choose from hyperliquid-recorder, "),
        ("header only", "holds no market data"),
        ("truncated gz", "trades_BTC.csv.gz is cut off or damaged"),
        ("truncated lz4", "a.lz4"),
        ("malformed row", "trades_BTC.csv.gz, line 5: has 3 fields, not 6"),
        ("unknown coin", "no instrument DOGE"),
        ("no tick", "--tick"),
        ("mixed", "mixes formats"),
    ],
)
def test_bad_input_ends_with_words_exit_2_and_no_file(tmp_path: Path, case: str, says: str) -> None:
    target = tmp_path / "out" / "a.tape"
    target.parent.mkdir()
    arguments = prepare(tmp_path, case)
    result = hat_tape("import", *arguments, "-o", target)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert result.stdout == ""
    assert list(target.parent.iterdir()) == []
    machine = hat_tape("import", *arguments, "-o", target, "--json")
    assert machine.exit_code == 2
    error = answer(machine)["error"]
    assert error["exit_code"] == 2
    assert says in error["message"] + error["remedy"]


def test_info_of_what_is_no_tape(tmp_path: Path) -> None:
    (tmp_path / "x.tape").write_bytes(b"x" * 200)
    for name in ("x.tape", "none.tape"):
        result = hat_tape("info", tmp_path / name, "--json")
        assert result.exit_code == 2
        assert "error" in answer(result)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_import_leaves_nothing(tmp_path: Path, stop: signal.Signals) -> None:
    count = 400_000
    data = np.zeros(count, EVENT)
    data["ev"], data["px"], data["qty"] = 1 | BOTH | BID, 1.0, np.arange(count)
    data["exch_ts"] = data["local_ts"] = np.arange(count) * 1_000
    np.savez_compressed(tmp_path / "perp.npz", data=data)
    out = tmp_path / "out"
    out.mkdir()
    # reading is slowed down, so that there is time to stop it
    slow = (
        "import time; from hatmanifesto.backtest.tape.importers import hftbacktest_npz as h\n"
        "h._BATCH = 2000; real = h._read_exactly\n"
        "h._read_exactly = lambda *a: (time.sleep(0.02), real(*a))[1]\n"
        "from hatmanifesto.cli.tape import app; app()"
    )
    command = [sys.executable, "-c", slow, "import", str(tmp_path / "perp.npz"), "-o", str(out / "a.tape")]
    process = subprocess.Popen(
        [*command, "--tick", "1", "--lot", "1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(out.iterdir()):  # its partial file
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(stop)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["error"]["message"] == "interrupted"
    assert list(out.iterdir()) == []


def test_a_synthetic_tape_from_the_command_line(tmp_path: Path) -> None:
    made = answer(hat_tape("synthetic", "-o", tmp_path / "s.tape", "--minutes", "1", "--instrument", "SOL", "--json"))
    assert made["instruments"] == ["SOL"]
    assert hat_tape("info", tmp_path / "s.tape").exit_code == 0
    assert hat_tape("synthetic", "-o", tmp_path / "t.tape", "--instrument", "NOPE").exit_code == 2


def test_tables_of_info_fit_into_80_columns(tmp_path: Path) -> None:
    tape = tmp_path / "toy.tape"
    assert hat_tape("synthetic", "-o", tape, "--minutes", "3").exit_code == 0
    shown = hat_tape("info", tape).stdout
    widths = [len(line) for line in shown.splitlines() if line[:1] in "┏┃┡│├└"]
    assert len(widths) > 10
    assert max(widths) <= 80
    assert "…" not in shown


def test_help_of_tapes_and_journals_ends_with_an_example() -> None:
    for group in (app, journal.app):
        commands: Any = get_command(group)
        for name, one in commands.commands.items():
            assert one.epilog.startswith("Example: hat "), name
            assert f" {name} " in one.epilog
