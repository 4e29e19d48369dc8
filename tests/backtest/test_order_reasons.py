"""`hat orders`: every order of a run, and why the router sent, kept and cancelled it."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.cli.orders import orders
from hatmanifesto.config.settings import parse
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.model import record

ROUTED = {
    "engine": {"router": "expected_value"},
    "router": {"max_keep_ticks": 3, "layers": [60, 40], "cancels_per_minute": 60, "stop_loss_bps": "0.5"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orders")
    run_tape(generate(seed=3, minutes=1), parse(ROUTED), folder / "journal")
    return folder


def call(*words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command("orders")(orders)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["orders", *words])
    return result.exit_code, result.stdout, result.stderr


def asked(*words: str) -> dict[str, Any]:
    code, out, err = call(*words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_every_order_has_a_reason_whose_terms_are_its_own(run: Path) -> None:
    found = asked(str(run), "--why", "--count", "100000")
    with JournalReader(run / "journal") as reader:
        sent = {entry.values[0]: entry.values for entry in reader.records(kinds={record.SUBMIT})}
    by_id = {row["order_id"]: row for row in found["orders"]}
    assert set(sent) <= set(by_id)
    assert found["orders_in_all"] == len(found["orders"])
    for order_id, (_, price, size, flags) in sent.items():
        first = by_id[order_id]["why"][0]
        assert (first["terms"]["price"], first["terms"]["size"], first["terms"]["side_flags"]) == (price, size, flags)
        assert first["verdict"].startswith(("post", "take"))
        for later in by_id[order_id]["why"][1:]:
            assert later["terms"]["order_id"] == order_id
    cancelled = [row for row in found["orders"] if row["state"] == "cancelled" and row["reason"] == "reprice"]
    assert cancelled
    assert all(row["why"][-1]["verdict"] == "reprice" for row in cancelled)


def test_states_and_fills_are_those_of_the_run(run: Path) -> None:
    found = asked(str(run / "journal"), "--count", "100000")["orders"]
    with JournalReader(run / "journal") as reader:
        filled = {entry.values[0] for entry in reader.records(kinds={record.FILL})}
    assert {row["order_id"] for row in found if row["filled"] != "0"} == filled
    assert all("why" not in row for row in found)
    whole = [row for row in found if row["state"] == "filled"]
    assert whole
    assert all(row["filled"] == row["size"] and row["reason"] == "" for row in whole)


def test_one_order_is_told_in_words(run: Path) -> None:
    rows = asked(str(run), "--why", "--count", "100000")["orders"]
    weighed = next(row for row in rows if row["why"][0]["verdict"] == "post_value")
    code, out, _ = call(str(run), "--why", "--order", str(weighed["order_id"]))
    assert code == 0
    assert "posting is worth more than taking" in out
    assert "stage touch, urgency high" in out
    assert f"{weighed['order_id']}: {weighed['side']}" in out
    only = asked(str(run), "--order", str(weighed["order_id"]))["orders"]
    assert [row["order_id"] for row in only] == [weighed["order_id"]]


def test_what_concerns_the_desk_is_told_too(run: Path) -> None:
    found = asked(str(run), "--why")
    assert {"stop_loss", "exit_done"} <= {row["verdict"] for row in found["desks"]}
    assert all(row["strategy"] == "touch_joiner" for row in found["desks"])
    _, out, _ = call(str(run), "--why")
    assert "the loss limit was reached" in out


def test_the_last_orders_are_shown_and_the_rest_is_counted(run: Path) -> None:
    code, out, _ = call(str(run), "--count", "3")
    assert code == 0
    assert "the last 3 of" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100
    everything = asked(str(run), "--count", "100000")["orders"]
    assert asked(str(run), "--count", "3")["orders"] == everything[-3:]


def test_a_policy_that_does_not_weigh_says_so(tmp_path: Path) -> None:
    run_tape(generate(seed=3, minutes=1), parse({}), tmp_path / "journal")
    code, _, err = call(str(tmp_path), "--why", "--count", "2")
    assert code == 0
    assert "no decision is explained" in err
    assert asked(str(tmp_path), "--why", "--count", "2")["orders"][0]["why"] == []


def test_of_a_session_s_folder_the_newest_journal_is_told(run: Path, tmp_path: Path) -> None:
    journals = tmp_path / "journal"
    journals.mkdir()
    (journals / "00000002.journal").write_bytes((run / "journal").read_bytes())
    (journals / "00000001.journal").write_text("an older one")
    (journals / "00000003.journal").touch()  # a session that has written nothing yet
    assert asked(str(tmp_path), "--why", "--count", "3")["orders"] == asked(str(run), "--why", "--count", "3")["orders"]
    assert asked("--why", "--count", "3", "--folder", str(tmp_path))["path"].endswith("00000002.journal")


def test_what_cannot_be_shown_is_an_error_with_a_remedy(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no journal, but long enough for the header of one, so that it is read at all")
    for words in ([str(tmp_path)], [str(tmp_path / "none")], [str(tmp_path / "text")], [str(run), "--order", "7"]):
        code, out, err = call(*words, "--json")
        assert code == 2, words
        assert json.loads(out)["error"]["remedy"]
        assert "Traceback" not in err
