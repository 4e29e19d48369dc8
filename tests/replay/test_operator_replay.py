"""What an operator does to a session, and where it began, replays to the bit."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hatmanifesto.backtest.exchange import build_market, choose_models
from hatmanifesto.backtest.replay import NowhereGateway, replay_journal, state_of
from hatmanifesto.backtest.survey import survey
from hatmanifesto.config.assembly import Session, assemble, build_instruments
from hatmanifesto.config.checkpoint import Checkpoint, checkpoint_from_json
from hatmanifesto.config.commands import carry_out
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.session_records import closing_of
from hatmanifesto.config.settings import load
from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.reader import JournalReader, records_of
from hatmanifesto.journal.writer import JournalWriter, MemoryJournal
from hatmanifesto.model import record
from support.toy_market import generate

COMMANDS: list[dict[str, Any]] = [
    {"command": "set_limit", "scope": "account", "name": "max_open_orders", "value": 3},
    {"command": "override", "desk": 0, "override": "scale", "scale_percent": 40},
    {"command": "set_param", "desk": 0, "name": "order_size", "value": 150},
    {"command": "override", "override": "halt", "source": "feed"},
    {"command": "override", "override": "none", "source": "feed"},
    {"command": "close", "slippage_bps": 30},
    {"command": "note", "text": "only told"},
    {"command": "open", "desk": 0},
    {"command": "set_limit", "scope": "instrument", "index": 0, "name": "max_order_size", "value": 120},
    {"command": "cancel_all"},
    {"command": "set_limit", "scope": "strategy", "index": 0, "name": "max_notional", "value": 10**9},
]


def a_session(path: Path, start: Checkpoint | None = None) -> tuple[Session, Checkpoint]:
    """Trade a generated market with commands between its slices; return the session and its last checkpoint."""
    tape = generate(seed=5, minutes=12)
    looked = survey(tape)
    resolved = resolve(load(None, []), tape.instruments, looked.first_prices)
    instruments = build_instruments(resolved.plan)
    market = build_market(resolved.plan, choose_models(resolved.plan, looked).names, instruments, tape)
    begin = int(market.start_ns)
    with JournalWriter(path, {}) as writer:
        opening = {"plan": msgspec.to_builtins(resolved.plan), "start_ns": begin}
        writer.append_blob(record.SESSION, begin, msgspec.json.encode(opening))
        session = assemble(resolved.plan, resolved.strategies, market, writer, writer.next_seq, instruments)
        if start is not None:
            start.restore(session)
        tell(session, record.CHECKPOINT, begin, Checkpoint.of(session).as_json())
        session.engine.start(begin)
        waiting = list(COMMANDS)
        while market.run(session.engine, 700):
            if waiting:
                command = waiting.pop(0)
                now = int(session.engine.now)
                tell(session, record.OPERATOR, now, msgspec.json.encode(command))
                carry_out(session, now, command)
        assert not waiting
        session.recorder.flush()
        writer.close(int(session.engine.now), closing_of(session, int(market.now)))
    return session, Checkpoint.of(session)


def tell(session: Session, kind: int, now: int, payload: bytes) -> None:
    recorder = session.recorder
    recorder.flush()
    recorder.blob(pack_blob(kind, now, 0, payload, int(recorder.seq)))


def test_a_session_with_commands_that_began_where_another_ended_replays_to_the_bit(tmp_path: Path) -> None:
    first, ended = a_session(tmp_path / "first")
    assert first.portfolio.holdings[0].position.fills > 0
    second, _ = a_session(tmp_path / "second", ended)
    for path, session in ((tmp_path / "first", first), (tmp_path / "second", second)):
        outcome = replay_journal(path)
        assert outcome.equal, outcome.difference and outcome.difference.describe()
        assert Checkpoint.of(outcome.session) == Checkpoint.of(session)
        assert state_of(outcome)["equity"] == first.instruments[0].money_text(session.portfolio.value())
    # order ids go on where the first session ended, so no two orders ever share one
    submits = [entry.values[0] for path in (tmp_path / "first", tmp_path / "second") for entry in entries(path)]
    assert len(submits) == len(set(submits)) > 20


def entries(path: Path) -> list[Any]:
    with JournalReader(path) as reader:
        return [entry for group in reader.groups() for entry in records_of(group) if entry.kind == record.SUBMIT]


def test_a_checkpoint_travels_as_json_and_fits_only_its_plan(tmp_path: Path) -> None:
    session, checkpoint = a_session(tmp_path / "one")
    assert checkpoint_from_json(checkpoint.as_json()) == checkpoint
    with pytest.raises(ValueError, match="does not fit a plan"):
        msgspec.structs.replace(checkpoint, desks=[]).restore(session)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"command": "override", "override": "stop"}, "no override 'stop'"),
        ({"command": "override", "override": "halt", "source": "moon"}, "no source of overrides 'moon'"),
        ({"command": "override", "override": "halt", "desk": 9}, "no desk 9"),
        ({"command": "cancel", "order_id": 12345}, "order 12345 is not working"),
        ({"command": "close", "slippage_bps": 5000}, "5000 bps"),
        ({"command": "open", "desk": "all"}, "no desk all"),
        ({"command": "set_limit", "scope": "account", "name": "max_orders_per_second", "value": 1}, "cannot|no limit"),
        ({"command": "set_limit", "scope": "account", "name": "max_open_orders", "value": -1}, "negative"),
        ({"command": "set_param", "desk": 0, "name": "_secret", "value": 1}, "no parameter _secret"),
        ({"command": "set_param", "desk": 0, "name": "colour", "value": 1}, "no parameter colour"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused_and_changes_nothing(command: dict[str, Any], words: str) -> None:
    tape = generate(seed=5, minutes=1)
    looked = survey(tape)
    resolved = resolve(load(None, []), tape.instruments, looked.first_prices)
    session = assemble(resolved.plan, resolved.strategies, NowhereGateway(), MemoryJournal())
    before = Checkpoint.of(session)
    with pytest.raises(UserError, match=words):
        carry_out(session, 1, command)
    assert Checkpoint.of(session) == before
