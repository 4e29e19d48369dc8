"""Small tapes, strategies and finished runs for the tests of backtests."""

import os
import subprocess
import sys
from pathlib import Path

from hatmanifesto import build
from hatmanifesto.backtest.backtest import Run, run_backtest
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.config.settings import load
from support.toy_market import generate

FILES = {
    "journal",
    "fills.parquet",
    "orders.parquet",
    "equity.parquet",
    "summary.json",
    "manifest.json",
    "report.html",
}

OF_BOTH = FILES | {"pessimistic"}

STRATEGY = """
from hatmanifesto.core.strategy import Quotes, Strategy, View

class Mine(Strategy):
    def __init__(self):
        self.calls = 0

    def quote(self, view: View, quotes: Quotes) -> None:
        self.calls += 1
        if self.calls > 5:
            {body}
        quotes.bid(view.bid_price, 20)
"""


def market(minutes: int = 5, seed: int = 1) -> MemoryTape:
    """Return a toy market of BTC and ETH."""
    return generate(seed=seed, minutes=minutes)


def run(
    folder: Path, *overrides: str, tape: MemoryTape | None = None, strategy: str = "", fills: str | None = "base"
) -> Run:
    """Run a backtest in this process."""
    return run_backtest(tape or market(), load(None, list(overrides), strategy), folder, fills=fills)


def strategy_file(folder: Path, body: str) -> Path:
    """Write a strategy whose sixth decision does something."""
    path = folder / "mine.py"
    path.write_text(STRATEGY.format(body=body), encoding="utf-8")
    return path


def hat(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the `hat` command as a process of its own."""
    environment = dict(os.environ, NO_COLOR="1", COLUMNS="200")
    if build.mode() == "interpreted":
        environment["PYTHONPATH"] = str(build.PACKAGE.parent)
    return subprocess.run(
        [sys.executable, "-c", "from hatmanifesto.cli.main import main; main()", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
