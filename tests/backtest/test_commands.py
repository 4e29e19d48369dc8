"""`hat backtest` and `hat demo` as processes: exit codes, which stream says what, nothing half written."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from backtest.runs import FILES, OF_BOTH, hat, strategy_file
from hatmanifesto import build
from support.toy_market import generate_file


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    return generate_file(tmp_path_factory.mktemp("tapes") / "toy.tape", seed=3, minutes=3)


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix not in (".py", ".toml", ".tape"))


def test_a_person_gets_a_table_of_80_columns_and_the_reports_place(tape, tmp_path):
    done = hat("backtest", "--tape", tape, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "report: run/report.html" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert max(len(line) for line in done.stdout.splitlines() if line[:1] in "┏┃┡│├└") == 80
    assert done.stderr == ""
    assert {path.name for path in (tmp_path / "run").iterdir()} == OF_BOTH
    assert "base fills" in done.stdout
    assert "pessimistic fills: queue risk_averse, orders take 20ms, answers 20ms" in done.stdout


def test_one_reading_of_the_tape_can_be_asked_for(tape, tmp_path):
    done = hat("backtest", "--tape", tape, "--out", "run", "--fills", "pessimistic", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert list(json.loads(done.stdout)["summary"]["fills_models"]) == ["pessimistic"]


def test_the_reference_contract_has_no_pessimistic_reading(tape, tmp_path):
    arguments = ["backtest", "--tape", tape, "--set", "exchange.model=reference", "--json", "--out", "run"]
    done = hat(*arguments, cwd=tmp_path)
    assert list(json.loads(done.stdout)["summary"]["fills_models"]) == ["base"]
    refused = hat(*arguments, "--force", "--fills", "both", cwd=tmp_path)
    assert refused.returncode == 2
    assert "leave --fills out" in json.loads(refused.stdout)["error"]["remedy"]


def test_a_machine_gets_one_object_on_stdout(tape, tmp_path):
    done = hat("backtest", "--tape", tape, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["folder"] == "runs/toy-touch_joiner-1"
    assert answer["summary"]["rows"] > 1000


def test_what_a_strategy_prints_does_not_disturb_the_machine(tape, tmp_path):
    strategy_file(tmp_path, "print('hello')")
    done = hat("backtest", "--tape", tape, "--strategy", "mine.py", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summary"]["rows"] > 1000
    assert set(done.stderr.splitlines()) == {"hello"}


def test_a_strategy_file_that_exits_is_an_error(tape, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit(0)")
    done = hat("backtest", "--tape", tape, "--strategy", "mine.py", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "fails when it is imported" in json.loads(done.stdout)["error"]["message"]


def test_an_existing_folder_needs_force(tape, tmp_path):
    assert hat("backtest", "--tape", tape, "--fills", "base", "--out", "run", cwd=tmp_path).returncode == 0
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    refused = hat("backtest", "--tape", tape, "--fills", "base", "--out", "run", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--force" in refused.stderr
    assert hat("backtest", "--tape", tape, "--fills", "base", "--out", "run", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    assert left_behind(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('the sky fell')", "RuntimeError: the sky fell"),
        ("return 5", "return"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("quotes.bid(1.5, 10)", "TypeError"),
        ("quotes.bid(view.bid_price, float('nan'))", "TypeError"),
        ("[quotes.bid(view.bid_price - i, 1) for i in range(1000)]", "quotes; ask for fewer"),
        ("quotes.bid(-5, 1)", "must be positive"),
        ("quotes.bid(10**30, 1)", "Error"),
        ("quotes.offer(1, 1)", "AttributeError"),
    ],
    ids=["raises", "returns", "exits", "float", "nan", "thousand", "negative", "huge", "unknown method"],
)
def test_a_strategy_that_misbehaves_ends_the_run_with_its_name_and_nothing_is_left(tape, tmp_path, body, words):
    strategy_file(tmp_path, body)
    done = hat("backtest", "--tape", tape, "--strategy", "mine.py:Mine", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "strategy Mine on " in done.stderr
    assert "failed at 2026-01-01T" in done.stderr
    assert words in done.stderr
    assert "to do: " in done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in left_behind(tmp_path) if name != "__pycache__"] == []


def bad_config(tmp_path):
    (tmp_path / "bad.toml").write_text("[acount]\nx = 1\n[engine]\nrouter = 'x'\n[risk.instrument.XRP]\nleverage = 2\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tape", "nowhere.tape"], ["nowhere.tape does not exist", "hat tape import"]),
        (["--tape", "bad.toml"], ["bad.toml is not a tape"]),
        (["--tape", "TAPE", "--config", "none.toml"], ["none.toml"]),
        (["--tape", "TAPE", "--config", "bad.toml"], ["3 mistakes", "acount", "engine.router", "XRP"]),
        (["--tape", "TAPE", "--strategy", "touch_joinr"], ["did you mean touch_joiner?"]),
        (["--tape", "TAPE", "--strategy", "none.py:X"], ["none.py does not exist"]),
        (["--tape", "TAPE", "--set", "account.deposit=-4"], ["account.deposit = -4: must not be negative"]),
        (["--tape", "TAPE", "--out", "bad.toml"], ["bad.toml exists already"]),
    ],
)
def test_bad_input_is_named_with_exit_code_2(tape, tmp_path, arguments, words):
    bad_config(tmp_path)
    arguments = [str(tape) if item == "TAPE" else item for item in arguments]
    done = hat("backtest", *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    for word in words:
        assert word in done.stderr
        assert word in error["message"] + error["remedy"]
    assert left_behind(tmp_path) == []


def test_a_damaged_tape_is_refused(tape, tmp_path):
    whole = tape.read_bytes()
    (tmp_path / "cut.tape").write_bytes(whole[: len(whole) // 2])
    done = hat("backtest", "--tape", "cut.tape", cwd=tmp_path)
    assert done.returncode == 2
    assert "cut off" in done.stderr
    assert left_behind(tmp_path) == []


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path):
    strategy_file(tmp_path, "import time; time.sleep(0.02)")
    generate_file(tmp_path / "long.tape", seed=3, minutes=20)
    environment = dict(os.environ)
    if build.mode() == "interpreted":
        environment["PYTHONPATH"] = str(build.PACKAGE.parent)
    arguments = ["backtest", "--tape", "long.tape", "--strategy", "mine.py:Mine", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from hatmanifesto.cli.main import main; main()", *arguments],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob(".run.*.partial")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert [name for name in left_behind(tmp_path) if name != "__pycache__"] == []


def test_the_demo_makes_a_market_where_there_is_no_recording_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HAT_SHARED", str(tmp_path / "nothing"))
    done = hat("demo", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "agents trade" in " ".join(done.stderr.split())
    answer = json.loads(done.stdout)
    assert (tmp_path / answer["report"]).stat().st_size > 50_000
    assert answer["summary"]["fills"] > 0


def test_help_names_the_commands(tmp_path):
    done = hat("--help", cwd=tmp_path)
    assert done.returncode == 0
    for name in ("backtest", "demo", "tape", "journal"):
        assert name in done.stdout


@pytest.mark.parametrize("words", [["backtest"], ["backtest", "--nope"], ["frob"]])
def test_a_mistake_on_the_command_line_is_one_json_object_too(tmp_path, words):
    done = hat(*words, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert set(json.loads(done.stdout)["error"]) == {"message", "remedy", "exit_code"}
    assert done.stderr.startswith("error: ")


def test_the_demo_refuses_a_folder_that_exists_before_it_does_anything(tmp_path):
    (tmp_path / "there").mkdir()
    done = hat("demo", "--out", "there", cwd=tmp_path)
    assert done.returncode == 2
    assert "name another folder with --out" in " ".join(done.stderr.split())
    assert not (tmp_path / "runs").exists()
