"""Clients of others, unmodified, at the loopback exchange: nautilus_trader, async-hyperliquid, and two from npm.

Each lives in an environment of its own under .cache/peers, which the long tests install (`pytest -m soak
tests/loopback/test_other_clients.py`). Where one is installed the suite runs it too; where not, it says so.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.peer_environment import PEERS, peer_python
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest
from loopback.running import Stage, threaded

SCRIPTS = Path(__file__).parent / "peers"
PATIENCE_S = 120.0
POST_ONLY = "Post only order would have immediately matched, bbo was 59990@60010. asset=0"
NEVER_PLACED = "Order was never placed, already canceled, or filled. asset=0"
Told = dict[str, Any]


class Client(NamedTuple):
    """`install` returns the command that runs its script, nothing where it cannot be had here."""

    name: str
    install: Callable[[], list[str]]
    check: Callable[[Told, Stage], None]
    installed: Callable[[], bool]


def python(lock: str, script: str) -> Callable[[], list[str]]:
    def install() -> list[str]:
        found = peer_python(lock, minimum=(3, 12))
        return [] if found is None else [str(found), str(SCRIPTS / script)]

    return install


def node_is_installed() -> bool:
    """Tell whether what the lock file names is there."""
    done = PEERS / "node" / "installed"
    return done.exists() and done.read_text() == (SCRIPTS / "package-lock.json").read_text()


def node(script: str) -> Callable[[], list[str]]:
    """Return how a script of JavaScript is run, in a folder with what the lock file names."""

    def install() -> list[str]:
        folder = PEERS / "node"
        program, npm = shutil.which("node"), shutil.which("npm")
        if program is None or npm is None:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*SCRIPTS.glob("package*.json"), SCRIPTS / script):
            shutil.copy(file, folder)
        if not node_is_installed():
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            finished = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=600)
            if finished.returncode != 0:
                return []
            shutil.copy(SCRIPTS / "package-lock.json", folder / "installed")
        return [program, str(folder / script)]

    return install


def play(client: Client) -> None:
    """Let a client trade and judge what it was told."""
    command = client.install()
    if not command:
        pytest.skip(f"{client.name} cannot be installed here: it needs its interpreter and a package registry")
    with threaded(coins=("BTC", "ETH"), usdc=10_000, block_ms=20) as stage:
        trade_a_little(stage)
        account, other = stage.accounts[1:3]
        told = {
            "url": stage.url,
            "stream_url": stage.stream_url,
            "address": account.address,
            "key": account.key,
            "agent_key": account.agent_key,
            "other": other.address,
        }
        environment = {**os.environ, "STAGE": json.dumps(told), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        environment.pop("PYTHONPATH", None)
        finished = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE_S, env=environment
        )
        lines = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith('{"step"')]
        failed = {line["step"]: line["failed"] for line in lines if "failed" in line}
        assert failed == {}, finished.stderr[-2_000:]
        assert lines, finished.stdout[-2_000:] + finished.stderr[-2_000:]
        heard: Told = {}
        for line in lines:
            heard.setdefault(line["step"], []).append(line["answer"])
        client.check(heard, stage)
        assert stage.server.counts["malformed"] == 0


def trade_a_little(stage: Stage) -> None:
    """Let the first account trade again and again, so that there are prints to be told of."""
    account = int(stage.loopback.participants[stage.accounts[0].address].account.index)
    sides = [1, -1]

    step = stage.server.step
    blocks = iter(range(1 << 30))

    def and_trade(now_ms: int) -> None:
        step(now_ms)
        for index, unit in ((0, 10), (1, 100)):
            if next(blocks) % 20 < 2:
                side = sides[0]
                price = stage.market.prices[stage.loopback.markets[index].name] * unit
                order = OrderRequest(index, side, price * (100 + side) // 100, 1_000, IMMEDIATE_OR_CANCEL)
                stage.loopback.exchange.submit(account, Place([order]))
        sides.reverse()

    stage.inside(lambda: setattr(stage.server, "step", and_trade))


def statuses(told: Told, step: str) -> list[Any]:
    found: list[Any] = told[step][0]["response"]["data"]["statuses"]
    return found


def check_nautilus(told: Told, stage: Stage) -> None:
    assert told["quote"][0] == ["59990.0", "60010.0"]
    assert told["mark"] == ["60000.0"]
    assert told["updated"] == ["51000.0"]
    assert told["rejected"] == [[POST_ONLY, True]]
    assert [fill[:3] for fill in told["filled"]] == [["BUY", "0.01000", "60010.0"], ["SELL", "0.01000", "59990.0"]]
    assert told["filled"][0][3] == "0.27004500 USDC"
    assert told["position opened"] == ["0.01000"]
    assert len(told["canceled"]) == len(told["position closed"]) == 1


def check_async(told: Told, stage: Stage) -> None:
    assert told["info all_mids"][0]["BTC"] == "60000.0"
    assert statuses(told, "post-only") == [{"error": POST_ONLY}]
    assert statuses(told, "cancel of nothing") == [{"error": NEVER_PLACED}]
    assert statuses(told, "filled")[0]["filled"]["avgPx"] == "60010.0"
    assert statuses(told, "closed")[0]["filled"]["avgPx"] == "59990.0"
    assert told["twapCancel"][0]["response"]["data"]["status"] == "success"
    assert told["spotSend"] == [{"status": "ok", "response": {"type": "default"}}]


def check_nktkas(told: Told, stage: Stage) -> None:
    assert len([step for step in told if step.startswith("info ")]) == 59
    assert told["post-only"] == [f"order 0: {POST_ONLY}"]
    assert told["cancel of nothing"] == [f"cancel 0: {NEVER_PLACED}"]
    assert told["expired"] == ["Action already expired"]
    assert statuses(told, "filled")[0]["filled"]["avgPx"] == "60010.0"
    assert statuses(told, "positionTpsl") == ["waitingForTrigger"]
    assert statuses(told, "normalTpsl")[1] == "waitingForFill"
    assert told["twapCancel"][0]["response"]["data"]["status"] == "success"
    assert len(told["heard"][0]) == 26


def check_hyperliquid(told: Told, stage: Stage) -> None:
    assert told["info getAllMids"][0]["BTC-PERP"] == 60_000
    assert statuses(told, "post-only") == [{"error": POST_ONLY}]
    assert statuses(told, "cancel of nothing") == [{"error": NEVER_PLACED}]
    assert statuses(told, "tick") == [{"error": "Price must be divisible by tick size. asset=0"}]
    assert statuses(told, "marketOpen")[0]["filled"]["avgPx"] == "60010.0"
    assert statuses(told, "marketClose")[0]["filled"]["avgPx"] == "59990.0"
    assert told["twapCancel"][0]["response"]["data"]["status"] == "success"
    assert len(told["heard"][0]) == 13


CLIENTS = [
    Client(
        "nautilus_trader",
        python("nautilus-1", "nautilus_session.py"),
        check_nautilus,
        (PEERS / "nautilus-1" / "installed").exists,
    ),
    Client(
        "async-hyperliquid",
        python("async-hyperliquid", "async_session.py"),
        check_async,
        (PEERS / "async-hyperliquid" / "installed").exists,
    ),
    Client("@nktkas/hyperliquid", node("nktkas.mjs"), check_nktkas, node_is_installed),
    Client("hyperliquid (npm)", node("hyperliquid.cjs"), check_hyperliquid, node_is_installed),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_of_others_trades_here(client: Client) -> None:
    if not client.installed():
        pytest.skip(f"{client.name} is not installed: `pytest -m soak {Path(__file__).name}` does it")
    play(client)


@pytest.mark.soak
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_of_others_is_installed_and_trades_here(client: Client) -> None:
    play(client)
