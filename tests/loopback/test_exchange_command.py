"""`hat exchange` as a process: one ready line, accounts that trade, an end on SIGTERM, and mistakes explained."""

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import eth_account
import pytest
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from typer.testing import CliRunner

from hatmanifesto.backtest.tape.synthetic import generate_file
from hatmanifesto.cli.main import app
from loopback.running import PATIENCE_S, wait_for

LOCKS = ("dev.txt", "peer-nautilus-1.txt", "peer-async-hyperliquid.txt")
START_PATIENCE_S = 90.0
START = "from hatmanifesto.cli.main import main; main()"


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command and yield the process and its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, "exchange", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], START_PATIENCE_S)
        assert ready, "no ready line"
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_agents_make_a_market_and_development_accounts_trade_in_it() -> None:
    with running("--json", "--no-limits", "--fund", f"0x{'ab' * 20}=123.5") as (process, line):
        ready = json.loads(line)
        assert ready["ready"] is True
        account = ready["accounts"][0]
        assert set(account) == {"address", "key", "agent_key", "guard_key", "usdc"}
        info = Info(ready["url"], skip_ws=True)
        assert info.user_state(f"0x{'ab' * 20}")["withdrawable"] == "123.5"
        wait_for(lambda: info.l2_snapshot("BTC")["levels"][1])
        exchange = Exchange(
            eth_account.Account.from_key(account["agent_key"]), ready["url"], account_address=account["address"]
        )
        (status,) = exchange.market_open("BTC", True, 0.001)["response"]["data"]["statuses"]
        assert status["filled"]["totalSz"] == "0.001"
        wait_for(lambda: info.post("/info", {"type": "recentTrades", "coin": "ETH"}))  # the agents trade too
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (0, "")
        assert json.loads(err.partition("stopped: ")[2])["exchange"] == 1


def test_a_tape_is_the_market(tmp_path: Path) -> None:
    tape = tmp_path / "btc.tape"
    generate_file(tape, seed=1, minutes=2, instruments=["BTC"])
    with running("--json", "--no-limits", "--market", f"replay:{tape}", "--coins", "BTC") as (process, line):
        ready = json.loads(line)
        info = Info(ready["url"], skip_ws=True)
        book = wait_for(lambda: (found := info.l2_snapshot("BTC"))["levels"][0] and found)
        assert float(book["levels"][0][0]["px"]) < float(book["levels"][1][0]["px"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def test_people_get_one_ready_line_and_the_accounts() -> None:
    with running() as (process, line):
        assert line.startswith("ready: http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert out == ""
        assert err.count("trader 0x") == 3


DOCS = Path(__file__).parents[2] / "docs" / "loopback-exchange.md"
EXAMPLES = [line for line in DOCS.read_text().splitlines() if line.startswith("curl ")]


def test_the_docs_examples_work_as_written() -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here to run the examples of docs/loopback-exchange.md with")
    with running("--json") as (_, line):
        port = json.loads(line)["url"].rpartition(":")[2]
        answers = []
        for example in EXAMPLES:
            command = [curl, "--noproxy", "*", *shlex.split(example.replace(":3001", f":{port}"))[1:]]
            finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
            answers.append(json.loads(finished.stdout))
    mids, book, account = answers
    assert set(mids) == {"BTC", "ETH", "PURR/USDC"}
    assert book["coin"] == "BTC"
    assert account["marginSummary"]["accountValue"] == "10000.0"


def test_the_docs_name_the_versions_that_the_tests_run() -> None:
    root = DOCS.parents[1]
    locks = "".join((root / "requirements" / name).read_text() for name in LOCKS)
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", locks, re.MULTILINE))
    packages = json.loads((root / "tests/loopback/peers/package.json").read_text())["dependencies"]
    rows = re.findall(r"^\| ([^\s|:]+)[^|]*\| ([\d.]+) \|", DOCS.read_text(), re.MULTILINE)
    expected = {
        "hyperliquid-python-sdk": pinned["hyperliquid-python-sdk"],
        "ccxt": pinned["ccxt"],
        "nautilus_trader": pinned["nautilus-trader"],
        "async-hyperliquid": pinned["async-hyperliquid"],
        "@nktkas/hyperliquid": packages["@nktkas/hyperliquid"],
        "hyperliquid": packages["hyperliquid"],
    }
    assert dict(rows) == expected


MISTAKES = [
    (("--coins", "DOGE"), "DOGE cannot be listed"),
    (("--market", "sideways"), "there is no market 'sideways'"),
    (("--market", "replay"), "which tape?"),
    (("--market", "mirror:http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer: "),
    (("--fund", "0x1=5"), "--fund 0x1=5 is no funding"),
    (("--fund", f"0x{'ab' * 20}=lots"), f"--fund 0x{'ab' * 20}=lots is no funding"),
    (("--faults", "no such file"), "cannot read no such file"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_a_mistake_is_explained(options: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["exchange", "--port", "0", "--json", *options])
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["exit_code"]) == (2, 2)
    assert error["message"].startswith(message)
    assert error["remedy"]


def test_a_port_that_there_is_not_is_explained() -> None:
    result = CliRunner().invoke(app, ["exchange", "--port", "70000"])
    assert result.exit_code == 2
    assert "--port" in result.output


def test_a_port_that_is_taken_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["exchange", "--port", str(port), "--json"])
    assert json.loads(result.stdout)["error"]["message"].startswith(f"port {port} cannot be used")
    assert result.exit_code == 2
