"""From a backtest's journal to the profit table: the ledger's money is the engine's, rebuilt or built step by step."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from backtest.runs import hat, market, run
from hatmanifesto.cli.main import app
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.build import Builder, catch_up, rebuild
from hatmanifesto.ledger.canonical import canonical
from hatmanifesto.ledger.queries import balances, periods, pnl
from hatmanifesto.ledger.sources import Folder, find
from hatmanifesto.ledger.verify import verify
from hatmanifesto.model import record
from ledger.conftest import OpenStore


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Seventy minutes of a maker in a toy market: two instruments, an hour's end, partial fills, flips."""
    folder = tmp_path_factory.mktemp("ledger") / "run"
    run(folder, tape=market(70))
    return find(folder)


def closing(folder: Folder) -> dict[str, int]:
    with JournalReader(folder.journals[0].path) as reader:
        told: dict[str, int] = json.loads(next(reader.records(kinds={record.CLOSE})).payload)
    return told


def test_equity_cash_and_positions_are_the_engine_s_to_the_last_unit(traded: Folder, open_store: OpenStore) -> None:
    rebuild(traded, open_store(traded, rebuilding=True))
    store = open_store(traded)
    told = closing(traded)
    with store.connect() as connection:
        worth = connection.scalar(sa.select(schema.equity.c.equity).order_by(schema.equity.c.hour_ns.desc()))
        issues = connection.execute(sa.select(schema.issues)).all()
    assert worth == told["equity"]
    assert issues == []
    assert len(periods(store)) == 1
    total = sum(line.total for line in pnl(store, "strategy"))
    assert total == 2 * (told["equity"] - 10_000_000_000)
    for by in ("symbol", "hour", "day", "week", "month", "cause"):
        assert sum(line.total for line in pnl(store, by)) == total  # type: ignore[arg-type]
    zero = sum(round(float(row["balance"]) * 10**6) for row in balances(store))
    assert zero == 0
    verdict = verify(traded, store)
    assert verdict.findings == []
    assert verdict.trades > 300


def test_built_in_small_steps_it_is_the_same_byte_for_byte(
    traded: Folder, open_store: OpenStore, tmp_path: Path
) -> None:
    """A store is closed and opened between every few batches, as a process that restarts does."""
    rebuild(traded, open_store(traded, rebuilding=True))
    whole = list(canonical(open_store(traded)))
    other = traded._replace(database=tmp_path / "other.sqlite")

    class Stop(Exception):  # noqa: N818 - it is none
        pass

    def after(some: int) -> object:
        left = [some]

        def progress(done: int, total: int) -> None:
            left[0] -= 1
            if not left[0]:
                raise Stop

        return progress

    steps = 0
    while True:
        store = open_store(other)
        store.create()
        try:
            Builder(other, store, batch_bytes=1 << 20).run(after(1))  # type: ignore[arg-type]
            break
        except Stop:
            steps += 1
    assert steps >= 2
    assert list(canonical(open_store(other))) == whole
    again = catch_up(other, open_store(other))
    assert (again.records, again.transactions) == (0, 0)


def test_a_crash_in_the_middle_of_a_batch_leaves_nothing_half_posted(
    traded: Folder, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = traded._replace(database=tmp_path / "crashed.sqlite")
    store = open_store(folder)
    insert = type(store).insert_columns
    calls = [0]

    def fails(self: object, connection: object, table: sa.Table, columns: object) -> None:
        insert(self, connection, table, columns)  # type: ignore[arg-type]
        calls[0] += table is schema.postings
        if calls[0] == 2:  # the second batch: its postings are in, its trades are not
            raise KeyboardInterrupt

    monkeypatch.setattr(type(store), "insert_columns", fails)
    store.create()
    with pytest.raises(KeyboardInterrupt):
        Builder(folder, store, batch_bytes=1 << 18).run()
    monkeypatch.undo()
    with store.connect() as connection:
        posted = connection.execute(sa.select(schema.postings.c.journal, schema.postings.c.seq).distinct()).all()
        known = connection.execute(sa.select(schema.transactions.c.journal, schema.transactions.c.seq)).all()
        read = connection.scalar(sa.select(schema.journals.c.next_seq))
    assert sorted(map(tuple, posted)) == sorted(map(tuple, known))
    assert 0 < max(seq for _, seq in known) < read
    catch_up(folder, open_store(folder))
    rebuild(traded, open_store(traded, rebuilding=True))
    assert b"".join(canonical(open_store(folder))) == b"".join(canonical(open_store(traded)))


def test_the_commands_tell_the_same_story(traded: Folder, tmp_path: Path) -> None:
    built = hat("ledger", "rebuild", traded.path, "--json", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    shown = hat("pnl", traded.path, "--by", "cause", "--plot", cwd=tmp_path)
    assert shown.returncode == 0
    assert "adverse_selection" in shown.stdout
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())
    told = json.loads(hat("pnl", traded.path, "--by", "symbol", "--json", cwd=tmp_path).stdout)
    assert {line["key"] for line in told["lines"]} == {"BTC", "ETH"}
    audited = hat("ledger", "verify", traded.path, cwd=tmp_path)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    exported = hat("ledger", "export", traded.path, "--csv", "t.csv", "--parquet", "days", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "t.csv").read_text().startswith("time,venue,symbol,side,quantity,price,notional,fee,fee_bps")
    assert [path.name for path in (tmp_path / "days").iterdir()] == ["2026-01-01.parquet"]


CORRECTION = ("RUN", "--by", "jo", "--reason", "why", "--debit", "cash", "--credit", "rounding")
MISTAKES = [
    (("ledger", "verify", "."), "holds no journal"),
    (("pnl", "RUN", "--by", "moon"), "cannot be grouped by moon"),
    (("ledger", "export", "RUN"), "nothing to export"),
    (("ledger", "close-day", "RUN", "yesterday", "--by", "jo"), "is no day"),
    (("ledger", "close-day", "RUN", "2025-12-31", "--by", "jo"), "tell nothing of 2025-12-31"),
    (("ledger", "close-day", "RUN", "2026-01-01", "--by", " "), "needs an author"),
    (("ledger", "correct", *CORRECTION, "--amount", "1.2.3"), "is not a decimal number"),
    (("ledger", "correct", *CORRECTION, "--amount", "-1"), "corrects nothing"),
    (("ledger", "correct", *CORRECTION, "--amount", "9" * 20), "is too large"),
    (("ledger", "correct", *CORRECTION, "--amount", "1", "--currency", "DOGE"), "no currency DOGE"),
    (("ledger", "correct", *CORRECTION, "--amount", "1", "--symbol", "DOGE"), "no instrument DOGE"),
    (("ledger", "correct", *CORRECTION[:-1], "cash", "--amount", "1"), "changes nothing"),
    (("ledger", "correct", *CORRECTION[:-1], "magic", "--amount", "1"), "no account magic"),
    (("ledger", "correct", "RUN", *CORRECTION[3:], "--amount", "1"), "Missing option"),
    (("pnl", "RUN", "--from", "2026-02-30"), "is no time"),
    (("pnl", "RUN", "--from", "2026-01-02", "--to", "2026-01-01"), "is not before"),
    (("pnl", "RUN", "--from", "2026-01-01T00:30"), "whole hours"),
    (("ledger", "verify", "RUN", "--config", "bad.toml"), "must not hold a password"),
    (("ledger", "query", "RUN", "--what", "feelings"), "no query feelings"),
    (("ledger", "rebuild", "RUN", "--database", "postgresql://jo:secret@127.0.0.1/x"), "holds a password"),
    (("ledger", "rebuild", "RUN", "--database", "postgresql://127.0.0.1:1/x"), "cannot be used"),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=[says for _, says in MISTAKES])
def test_mistakes_are_named_with_exit_code_2(
    traded: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "bad.toml").write_text('[ledger]\ndatabase = "postgresql://jo:secret@127.0.0.1/x"\n')
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [str(traded.path) if one == "RUN" else one for one in arguments])
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert "secret" not in done.output
    assert not traded.corrections.exists()
