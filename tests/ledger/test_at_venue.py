"""A live session's ledger beside the venue itself: asked over real sockets, equal, different, and away."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backtest.runs import hat, market, run
from hatmanifesto.cli.main import app
from hatmanifesto.ledger.at_venue import asked_of, reconcile_at_venue
from hatmanifesto.ledger.queries import periods
from hatmanifesto.ledger.sources import Folder, find
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.venue_answers import Asked, ask
from hatmanifesto.ledger.verify import verify
from hatmanifesto.loopback.markets import USDC
from hatmanifesto.trading.control import ask as order
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from support.loopback_thread import LoopbackThread
from trading.test_processes import Desk, until


def told(*words: object, code: int, cwd: Path) -> dict[str, Any]:
    done = hat(*words, "--json", cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def agent(exchange: LoopbackThread) -> str:
    return PrivateKey(bytes.fromhex(exchange.accounts[0].agent_key.removeprefix("0x"))).address


def pay_in(exchange: LoopbackThread, amount: int) -> None:
    participant = exchange.loopback.participants[exchange.accounts[0].address]
    exchange.look(lambda: exchange.loopback.transfers.pay_in(participant, amount))


def test_a_session_is_compared_with_its_venue_while_it_trades_and_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading.test_processes.UP_S", 180.0)  # nothing here is about how fast a session comes up
    folder = tmp_path / "s"
    with LoopbackThread(minutes=15, speed=2.0) as exchange:
        desk = Desk(folder, exchange)
        try:
            compare_by_and_by(desk, exchange, folder, tmp_path)
        finally:
            desk.end()
    # a venue that is away: an error where it was named, a word where it was not
    for command in ("reconcile", "verify"):
        gone = ("--venue", exchange.url, "--account", exchange.accounts[0].address)
        error = told("ledger", command, folder, *gone, code=2, cwd=tmp_path)["error"]
        assert f"{exchange.url} does not answer" in error["message"]
        assert "after 4 tries" in error["message"]
        assert "--fills" in error["remedy"]
    quiet = told("ledger", "verify", folder, code=0, cwd=tmp_path)["venue_now"]
    assert quiet["compared"] is False
    assert "does not answer" in quiet["words"]


def compare_by_and_by(desk: Desk, exchange: LoopbackThread, folder: Path, tmp_path: Path) -> None:
    account, other = (exchange.accounts[number].address for number in (0, 1))
    _, trader = desk.up()
    until(lambda: desk.status()["fills"] > 3, "no fills")
    pay_in(exchange, 250 * USDC)
    order(folder, {"do": "reconcile"})
    # while it runs, with what the session was configured with
    running = told("ledger", "reconcile", folder, code=0, cwd=tmp_path)
    assert (running["venue"], running["account"]) == (exchange.url, agent(exchange))
    assert running["counts"]["fills"] > 3
    assert running["counts"]["transfers"] == 1
    order(folder, {"do": "stop", "flatten": True})
    trader.communicate(timeout=150)
    # money that comes between two sessions is a difference until the next session has booked it
    pay_in(exchange, 100 * USDC)
    lacks = told("ledger", "reconcile", folder, code=1, cwd=tmp_path)
    assert lacks["differences"][0] == "transfers: 250, the venue has 350"
    _, trader = desk.up()
    order(folder, {"do": "stop", "flatten": True})
    trader.communicate(timeout=150)
    place = find(folder)
    store = Store(str(place.database))
    found, answers = reconcile_at_venue(place, store, Asked.of(exchange.url, account, booked_since(place)))
    assert found.differences == []
    assert found.counts["balances"] == 1
    verdict = verify(place, store, found)
    assert verdict.findings == []
    period = periods(store, "month")[-1]
    assert period.transfers == 10_350 * USDC
    assert period.line.total == 2 * (period.end_equity - period.transfers)
    assert period.end_equity == round(float(answers.account_value) * USDC)  # flat: no mark can differ
    # somebody else's account: every fill is named, and whose fault it is
    wrong, _ = reconcile_at_venue(place, store, Asked.of(exchange.url, other, 0))
    assert wrong.different >= found.counts["fills"]
    assert any("the ledger has it, the venue has not" in text for text in wrong.differences)
    assert set(verify(place, store, wrong).counts) == {"venue_differs"}
    both = [ask(Asked.of(exchange.url, address, 0)) for address in (account, agent(exchange))]
    assert both[0].transfers == both[1].transfers
    assert [one.amount for one in both[0].transfers] == [10_000 * USDC, 250 * USDC, 100 * USDC]


def booked_since(place: Folder) -> int:
    asked = asked_of(place)
    assert asked is not None
    return asked.from_ms


MISTAKES = [
    (("--venue", "moon", "--account", "0x" + "1" * 40), "'moon' is no venue"),
    (("--venue", "testnet", "--account", "0x12"), "'0x12' is no account"),
    (("--venue", "testnet"), "whose account is it"),
    (("--venue", "testnet", "--account", "0x" + "1" * 40), "is a backtest: it was at no venue"),
    (("--venue", "testnet", "--fills", "f.json"), "saved answers, or the venue?"),
    ((), "there is nobody to ask"),
    (("--fills", "none.json"), "cannot read none.json"),
    (("--state", "bad.json"), "is not an answer of the venue"),
]


def test_mistakes_in_asking_are_named_with_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "run", tape=market(1))
    (tmp_path / "bad.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    for arguments, says in MISTAKES:
        done = CliRunner().invoke(app, ["ledger", "reconcile", "run", *arguments])
        assert done.exit_code == 2, (arguments, done.output)
        assert says in done.stderr, arguments
