"""A journal replays to the bit; whatever was changed in it, or in the strategy, is found and named."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hatmanifesto import build
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import RECORDED, Until, replay_journal, state_of
from hatmanifesto.cli.replay import parse_until, replay
from hatmanifesto.config.settings import parse
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader, records_of
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record
from support.toy_market import generate

MAKER = '''
"""Quotes behind the best, takes now and then, leaves reduce-only when it holds much."""
from hatmanifesto.core.strategy import BEST_CHANGED, OWN_EVENT, TIMER, Strategy


class Mixed(Strategy):
    triggers = BEST_CHANGED | OWN_EVENT | TIMER
    interval_ns = 700_000_000
    depth = 3

    def __init__(self, order_size: int) -> None:
        self.order_size = order_size
        self.turn = 0

    def quote(self, view, quotes):
        self.turn += 1
        quotes.bid(view.bid_price_at(1) or view.bid_price, self.order_size)
        quotes.ask(view.ask_price, self.order_size)
        if self.turn % 37 == 0:
            quotes.take(1, view.ask_price, self.order_size)
        if view.position > 0:
            quotes.exit(-1, view.ask_price + 7, view.position, self.turn % 11 != 0)
'''


RAISES = """
from hatmanifesto.core.strategy import Strategy


class Bad(Strategy):
    def __init__(self) -> None:
        self.turn = 0

    def quote(self, view, quotes):
        self.turn += 1
        quotes.bid(view.bid_price, 1000)
        if self.turn > 9:
            raise ArithmeticError("no")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay")


def a_run(path: Path, config: dict[str, Any], seed: int = 3) -> Path:
    run_tape(generate(seed=seed, minutes=1), parse(config, folder=path.parent), path)
    return path


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Path:
    """A run of a user's strategy beside a shipped one, on two instruments."""
    (folder / "mixed.py").write_text(MAKER)
    config = {
        "strategies": {
            "mixed": {"class": "mixed.py:Mixed", "params": {"order_size": "200 USD"}},
            "joiner": {"class": "touch_joiner"},
        },
    }
    return a_run(folder / "mixed.journal", config)


def rewritten(source: Path, target: Path, change: dict[int, dict[int, int]], drop: int = -1) -> Path:
    """Write a journal anew with words of some records changed and their checks made right again."""
    with JournalReader(source) as reader, JournalWriter(target, reader.metadata) as writer:
        seq = 0
        for group in reader.groups():
            for entry in records_of(group):
                if entry.kind >= record.FIRST_BLOB:
                    writer.append_blob(entry.kind, entry.ts_ns, entry.payload)
                    seq += 1
                    continue
                if entry.seq == drop:
                    continue
                words = [
                    entry.kind | (len(entry.values) + 2) << 8 | entry.aux << 16,
                    entry.ts_ns,
                    *entry.values,
                ]
                for at, value in change.get(entry.seq, {}).items():
                    words[at] = value
                words[0] |= record.check_words(words, seq) << 32
                writer.append(seq, 1, struct.pack(f"<{len(words)}q", *words))
                seq += 1
        writer.abandon()
    return target


def first_of(path: Path, kind: int, skip: int = 0) -> Any:
    with JournalReader(path) as reader:
        for entry in reader.records(kinds={kind}):
            if skip == 0:
                return entry
            skip -= 1
    raise AssertionError(f"no record of kind {kind}")


@pytest.mark.parametrize("strategy", ["", RECORDED])
def test_a_run_of_several_strategies_replays_to_the_bit(mixed: Path, strategy: str) -> None:
    outcome = replay_journal(mixed, strategy)
    assert outcome.difference is None, outcome.difference.describe()
    assert outcome.equal
    assert outcome.closed
    assert set(outcome.strategies) == {"mixed", "joiner"}
    with JournalReader(mixed) as reader:
        kinds = {entry.kind for entry in reader.records()}
        assert outcome.records == sum(group.records for group in reader.groups())
    assert kinds >= {
        record.VIEW,
        record.ORDER_EVENT,
        record.FILL,
        record.SUBMIT,
        record.CANCEL,
        record.EQUITY,
    }


@pytest.mark.parametrize("seed", [5, 6])
def test_the_shipped_strategy_replays_to_the_bit(folder: Path, seed: int) -> None:
    outcome = replay_journal(a_run(folder / f"joiner{seed}.journal", {}, seed))
    assert outcome.equal
    assert list(outcome.strategies.values()) == ["touch_joiner, run again"]


def test_the_same_run_twice_writes_the_same_bytes(folder: Path) -> None:
    first = a_run(folder / "once.journal", {}).read_bytes()
    assert first == a_run(folder / "twice.journal", {}).read_bytes()


def test_the_replayed_state_is_the_state_the_run_ended_in(mixed: Path) -> None:
    outcome = replay_journal(mixed)
    closing = json.loads(first_of(mixed, record.CLOSE).payload)
    portfolio = outcome.session.portfolio
    assert int(portfolio.cash()) == closing["cash"]
    assert int(portfolio.value()) == closing["equity"]
    assert {
        one.name: int(holding.position.size)
        for one, holding in zip(outcome.session.instruments, portfolio.holdings, strict=True)
    } == {name: entry["size"] for name, entry in closing["positions"].items()}
    assert sum(int(clock.decisions) for clock in outcome.session.clocks) == closing["decisions"]


def test_a_changed_output_is_named_with_both_values(mixed: Path, tmp_path: Path) -> None:
    submit = first_of(mixed, record.SUBMIT, 20)
    was = submit.values[1]
    changed = rewritten(mixed, tmp_path / "changed", {submit.seq: {3: was + 1}})
    difference = replay_journal(changed).difference
    assert difference is not None
    assert difference.seq == submit.seq
    assert f"price {was + 1} in the journal, {was} now" in difference.describe()


def test_a_changed_fill_shows_in_what_follows_from_it(mixed: Path, tmp_path: Path) -> None:
    fill = first_of(mixed, record.FILL)
    changed = rewritten(mixed, tmp_path / "changed", {fill.seq: {4: fill.values[2] + 1}})
    difference = replay_journal(changed).difference
    assert difference is not None
    assert difference.seq > fill.seq


def test_a_missing_output_is_named(mixed: Path, tmp_path: Path) -> None:
    cancel = first_of(mixed, record.CANCEL, 5)
    difference = replay_journal(rewritten(mixed, tmp_path / "less", {}, drop=cancel.seq)).difference
    assert difference is not None
    assert difference.seq == cancel.seq
    assert difference.replay is not None
    assert difference.replay.kind == record.CANCEL


def test_a_record_changed_in_place_is_found_though_its_contents_replay(mixed: Path, tmp_path: Path) -> None:
    """The check of an input is not what its words say: the engine writes the words with another check."""
    event = first_of(mixed, record.ORDER_EVENT)
    target = tmp_path / "touched"
    with JournalReader(mixed) as reader, JournalWriter(target, reader.metadata) as writer:
        for group in reader.groups():
            payload = bytearray(group.payload)
            if group.first_seq <= event.seq < group.first_seq + group.records:
                at = payload.index(struct.pack("<qqq", event.ts_ns, *event.values))
                payload[at - 4] ^= 1
            writer.append(group.first_seq, group.records, bytes(payload))
        writer.abandon()
    difference = replay_journal(target).difference
    assert difference is not None
    assert difference.seq == event.seq
    assert "changed after it was written" in difference.describe()


def test_a_strategy_that_changed_is_replayed_from_its_records_and_that_is_said(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text(MAKER)
    config = {"strategies": {"mine": {"class": "mine.py:Mixed", "params": {"order_size": "200 USD"}}}}
    journal = a_run(tmp_path / "mine.journal", config)
    assert replay_journal(journal).strategies == {"mine": "mine.py:Mixed, run again"}
    source.write_text(MAKER + "\n# another\n")
    outcome = replay_journal(journal)
    assert outcome.equal
    assert outcome.strategies == {"mine": "its recorded answers"}
    assert "has changed since the session" in outcome.notes[0]
    source.write_text(MAKER.replace("% 37 == 0", "% 31 == 0"))
    outcome = replay_journal(journal, "mine.py:Mixed")
    assert not outcome.equal
    assert outcome.difference is not None
    assert outcome.difference.seq > 31


def test_until_stops_and_tells_the_state(mixed: Path) -> None:
    fill = first_of(mixed, record.FILL, 3)
    outcome = replay_journal(mixed, until=Until(seq=fill.seq))
    assert outcome.equal
    assert outcome.last_seq == fill.seq
    state = state_of(outcome)
    assert {order["state"] for order in state["orders"]} <= {
        "submitted", "open", "partially_filled", "cancel_pending", "unknown",
    }  # fmt: skip
    assert state["positions"][0]["instrument"] == "BTC"
    later = replay_journal(mixed, until=Until(ts_ns=fill.ts_ns))
    assert later.last_seq >= fill.seq
    assert later.last_ts_ns == fill.ts_ns
    assert float(state["cash"]) > 0


def test_until_outside_the_journal_says_so(mixed: Path) -> None:
    assert replay_journal(mixed, until=Until(ts_ns=first_of(mixed, record.FILL, 3).ts_ns)).notes == []
    early = replay_journal(mixed, until=Until(ts_ns=1))
    assert [note.split(",")[0] for note in early.notes] == ["the journal begins after that"]
    assert early.last_seq == 0
    whole = replay_journal(mixed)
    late = replay_journal(mixed, until=Until(seq=whole.last_seq + 1))
    assert [note.split(",")[0] for note in late.notes] == ["the journal ends before that"]
    assert late.last_seq == whole.last_seq
    assert whole.notes == []


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("seq:12", Until(seq=12)),
        ("1700000000123456789", Until(ts_ns=1700000000123456789)),
        ("2023-11-14T22:13:20Z", Until(ts_ns=1700000000000000000)),
        ("2023-11-14T22:13:20.123456789Z", Until(ts_ns=1700000000123456789)),
        ("2023-11-14T23:13:20.5+01:00", Until(ts_ns=1700000000500000000)),
        ("2023-11-14", Until(ts_ns=1699920000000000000)),
    ],
)
def test_until_is_read_exactly(text: str, until: Until) -> None:
    assert parse_until(text) == until


@pytest.mark.parametrize("text", ["yesterday", "seq:x", "2023-13-01", "-5", "12:00 o'clock"])
def test_until_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no instant"):
        parse_until(text)


# -- operator, faults, strategies that raise ----------------------------------------------------------------


def test_a_strategy_that_raises_leaves_a_journal_that_replays_up_to_it(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(RAISES)
    journal = tmp_path / "bad.journal"
    with pytest.raises(UserError):
        run_tape(
            generate(seed=3, minutes=1),
            parse({"strategies": {"bad": {"class": "bad.py"}}}, folder=tmp_path),
            journal,
        )
    outcome = replay_journal(journal)
    assert outcome.difference is None, outcome.difference.describe()
    assert any("closing record" in note for note in outcome.notes)


# -- the command ------------------------------------------------------------------------------------------


def run_command(*words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command("replay")(replay)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["replay", *words])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_says_equal_with_exit_code_0(mixed: Path) -> None:
    code, out, _ = run_command(str(mixed))
    assert code == 0
    assert "equal" in out
    code, out, _ = run_command(str(mixed), "--json", "--until", "seq:300")
    assert code == 0
    answer = json.loads(out)
    assert answer["equal"] is True
    assert answer["state"]["seq"] == 300
    code, out, _ = run_command(str(mixed), "--until", "seq:300")
    assert "equity" in out


def test_the_command_shows_the_first_difference_with_exit_code_1(mixed: Path, tmp_path: Path) -> None:
    submit = first_of(mixed, record.SUBMIT)
    changed = rewritten(mixed, tmp_path / "changed", {submit.seq: {3: 7}})
    code, out, _ = run_command(str(changed), "--json")
    assert code == 1
    found = json.loads(out)["difference"]
    assert found["seq"] == submit.seq
    assert found["journal"]["price"] == 7
    assert found["replay"]["price"] == submit.values[1]
    code, out, _ = run_command(str(changed))
    assert code == 1
    assert "price 7 in the journal" in out


def test_the_command_refuses_what_it_cannot_read_with_exit_code_2(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no journal at all, only some text that is long enough for a header")
    whole = mixed.read_bytes()
    broken = bytearray(whole)
    broken[whole.rindex(b"HATG") + 9] ^= 255
    (tmp_path / "broken").write_bytes(broken)
    with JournalWriter(tmp_path / "headless", {}) as writer:
        writer.append_blob(record.NOTE, 1, b"{}")
    with JournalWriter(tmp_path / "planless", {}) as writer:
        writer.append_blob(record.SESSION, 1, b'{"plan":{}}')
    with JournalWriter(tmp_path / "empty", {}) as writer:
        writer.abandon()
    for name in ("missing", "text", "broken", "headless", "planless", "empty"):
        code, out, err = run_command(str(tmp_path / name), "--json")
        assert code == 2, (name, out, err)
        assert "error" in json.loads(out)
        assert "Traceback" not in err


def test_a_torn_tail_replays_up_to_the_tear(mixed: Path, tmp_path: Path) -> None:
    whole = rewritten(mixed, tmp_path / "single", {}).read_bytes()
    torn = tmp_path / "torn"
    torn.write_bytes(whole[: len(whole) * 2 // 3])
    outcome = replay_journal(torn)
    assert outcome.equal
    assert not outcome.closed


# -- compiled against interpreted --------------------------------------------------------------------------

OTHER = """
import sys
from pathlib import Path
from hatmanifesto import build
from hatmanifesto.backtest.replay import replay_journal
assert build.mode() == sys.argv[2], (build.mode(), sys.argv[2])
outcome = replay_journal(Path(sys.argv[1]))
assert outcome.equal, outcome.difference.describe()
print(outcome.records, *outcome.strategies.values())
"""


def test_a_journal_of_one_build_replays_under_the_other(mixed: Path) -> None:
    """Run with the other build's package first on the path."""
    sources = Path(__file__).resolve().parents[2] / "src"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if build.mode() == "compiled":
        other = "interpreted"
        environment["PYTHONPATH"] = str(sources)
    else:
        other = "compiled"
    found = subprocess.run(
        [sys.executable, "-c", "from hatmanifesto import build; print(build.mode(), build.source_hash())"],
        env=environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    if found.stdout.split() != [other, build.source_hash()]:
        pytest.skip(f"only the {build.mode()} build of these sources is here; the other needs `make setup`")
    ran = subprocess.run(
        [sys.executable, "-c", OTHER, str(mixed), other],
        env=environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "run again" in ran.stdout


def test_groups_may_be_cut_anywhere_between_records(mixed: Path, tmp_path: Path) -> None:
    """The same records in groups of one: an order event and the venue's id may fall into two groups."""
    again = rewritten(mixed, tmp_path / "single", {})
    assert replay_journal(again).equal
