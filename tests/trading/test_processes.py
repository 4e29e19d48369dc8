"""Trader and guard as real processes on real sockets: killed at any moment, and started again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.errors import UserError
from hatmanifesto.trading.control import ask
from hatmanifesto.trading.recovery import find_last
from support.loopback_thread import LoopbackThread

CONFIG = """
[strategies.maker]
class = "touch_joiner"
instruments = ["BTC", "ETH"]
min_decision_interval = "20ms"
[strategies.maker.params]
order_size = "300 USD"
max_position = "2000 USD"
[engine]
answer_timeout = "1s"
[venue]
url = "{url}"
[trading]
guard_timeout = "3s"
reconcile_interval = "2s"
checkpoint_interval = "1s"
"""
UP_S = 90.0


class Desk:
    """A session folder and the processes in it."""

    def __init__(self, folder: Path, exchange: LoopbackThread) -> None:
        self.folder, self.exchange = folder, exchange
        self.config = folder.parent / "maker.toml"
        self.config.write_text(CONFIG.format(url=exchange.url))
        self.children: list[subprocess.Popen[str]] = []

    def start(self, role: str, *words: str) -> subprocess.Popen[str]:
        account = self.exchange.accounts[0]
        key = {"trader": ("HAT_AGENT_KEY", account.agent_key), "guard": ("HAT_GUARD_KEY", account.guard_key)}[role]
        child = subprocess.Popen(
            [sys.executable, "-m", "hatmanifesto.trading.process", role, str(self.folder), "--config",
             str(self.config), *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, key[0]: key[1]},
        )  # fmt: skip
        self.children.append(child)
        return child

    def up(self) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
        """Start guard and trader and wait until the session quotes."""
        from hatmanifesto.trading.heartbeat import Beats

        beats = Beats(self.folder)
        beats.clear()
        beats.close()
        guard, trader = self.start("guard"), self.start("trader")
        until(lambda: self.status()["state"] == "quoting", lambda: f"no session: {self.words(trader)}", UP_S)
        return guard, trader

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = ask(self.folder, {"do": "status"}, 5.0)["status"]
            return found
        except UserError:
            return {"state": "down", "fills": 0}

    def words(self, child: subprocess.Popen[str]) -> str:
        if child.poll() is None:
            return f"it still starts, and says {self.status()}"
        return (child.stdout.read() if child.stdout else "")[-2000:]

    def end(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait(10)
            if child.stdout:
                child.stdout.close()


def until(condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(what if isinstance(what, str) else what())
        time.sleep(0.02)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with LoopbackThread(speed=5.0) as exchange:
        made = Desk(tmp_path / "s", exchange)
        try:
            yield made
        finally:
            made.end()


def books_equal(desk: Desk) -> None:
    """What the journals say equals the exchange's own record: positions, fills and money, exactly."""
    last = find_last(desk.folder / "journal")
    assert last is not None
    account = desk.exchange.account()
    ours = {entry.name: state for entry, state in zip(last.plan.instruments, last.state.holdings, strict=True)}
    theirs = {holding.instrument.name: holding.position for holding in account.holdings}
    for name, state in ours.items():
        assert (state.size, state.fills) == (int(theirs[name].size), int(theirs[name].fills)), name
    cash = last.state.deposit + sum(
        state.realized - state.fees + state.rebates + state.funding - state.cost for state in ours.values()
    )
    assert cash == int(account.cash) - sum(int(position.cost) for position in theirs.values())


def test_a_killed_trader_is_fenced_its_orders_are_cancelled_and_the_next_one_continues(desk: Desk) -> None:
    guard, trader = desk.up()
    until(lambda: desk.status()["fills"] > 0, "no fill")
    os.kill(trader.pid, signal.SIGKILL)
    out, _ = guard.communicate(timeout=30)
    assert guard.returncode == 3, out
    report = json.loads((desk.folder / "guard-report.json").read_text())
    assert report["fenced"] is True
    assert report["left"] == 0
    assert desk.exchange.look(lambda: len(desk.exchange.account().orders)) == 0
    # again, from where the journal ends
    guard, trader = desk.up()
    before = desk.status()["fills"]
    until(lambda: desk.status()["fills"] > before, "no fill after the restart")
    found = ask(desk.folder, {"do": "reconcile"})["reconciliation"]
    assert found["reconciled"], found
    ask(desk.folder, {"do": "stop", "flatten": True})
    out, _ = trader.communicate(timeout=40)
    assert trader.returncode == 0, out
    assert json.loads(out.splitlines()[-1])["summary"]["orders_open"] == 0
    assert guard.wait(30) == 0
    assert desk.exchange.look(lambda: len(desk.exchange.account().orders)) == 0
    desk.exchange.look(lambda: books_equal(desk))
    for journal in sorted((desk.folder / "journal").glob("*.journal")):
        assert replay_journal(journal).equal


def test_a_trader_whose_loop_hangs_is_ended_by_the_guard(desk: Desk) -> None:
    guard, trader = desk.up()
    os.kill(trader.pid, signal.SIGSTOP)
    out, _ = guard.communicate(timeout=30)
    assert guard.returncode == 3, out
    assert trader.wait(10) == -signal.SIGKILL
    assert desk.exchange.look(lambda: len(desk.exchange.account().orders)) == 0
    assert "has not turned" in json.loads((desk.folder / "guard-report.json").read_text())["why"]


def test_without_a_guard_nothing_is_quoted(desk: Desk) -> None:
    guard, trader = desk.up()
    guard.kill()
    guard.wait(10)
    until(lambda: desk.status()["held_by"] == {"kill_switch": "halt"}, "it quotes without a guard")
    until(lambda: desk.exchange.look(lambda: len(desk.exchange.account().orders)) == 0, "orders are left")
    trader.send_signal(signal.SIGTERM)
    assert trader.wait(40) == 0


def test_an_operator_pauses_changes_and_flattens(desk: Desk) -> None:
    desk.up()
    until(lambda: desk.status()["fills"] > 0, "no fill")
    assert ask(desk.folder, {"do": "pause", "by": "ann", "reason": "lunch"})["state"] == "held"
    until(lambda: not ask(desk.folder, {"do": "orders"})["orders"], "orders are left")
    assert ask(desk.folder, {"do": "set", "changes": ["risk.account.max_open_orders=3"]})["changed"] == [
        {"command": "set_limit", "scope": "account", "index": 0, "name": "max_open_orders", "value": 3}
    ]
    with pytest.raises(UserError, match=r"answer_timeout_ns cannot change"):
        ask(desk.folder, {"do": "set", "changes": ["engine.answer_timeout=9s"]})
    with pytest.raises(UserError, match="max_open_orders"):
        ask(desk.folder, {"do": "set", "changes": ["risk.account.max_open_orders=-1"]})
    with pytest.raises(UserError, match="no action 'dance'"):
        ask(desk.folder, {"do": "dance"})
    assert ask(desk.folder, {"do": "resume"})["held_by"] == {}
    until(lambda: bool(ask(desk.folder, {"do": "orders"})["orders"]), "it does not quote again")
    ask(desk.folder, {"do": "flatten", "slippage_bps": 100})
    until(
        lambda: all(entry["size"] == "0" for entry in ask(desk.folder, {"do": "positions"})["positions"]),
        "positions are left",
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_kills_of_either_process_at_any_moment_lose_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    with LoopbackThread(seed=seed + 1, speed=5.0) as exchange:
        desk = Desk(tmp_path / "s", exchange)
        try:
            for _ in range(3):
                guard, trader = desk.up()
                time.sleep(chance.uniform(0.0, 4.0))
                os.kill((guard if chance.random() < 0.2 else trader).pid, signal.SIGKILL)
                if chance.random() < 0.5:
                    time.sleep(chance.uniform(0.0, 1.0))
                for child in (trader, guard):
                    child.kill()
                    child.wait(10)
            guard, trader = desk.up()
            until(lambda: ask(desk.folder, {"do": "reconcile"})["reconciliation"]["reconciled"], "not reconciled")
            # flat, since what is held goes on paying funding after the session has ended
            ask(desk.folder, {"do": "stop", "flatten": True})
            out, _ = trader.communicate(timeout=60)
            assert trader.returncode == 0, out
            assert guard.wait(30) == 0
            assert exchange.look(lambda: len(exchange.account().orders)) == 0
            exchange.look(lambda: books_equal(desk))
        finally:
            desk.end()
