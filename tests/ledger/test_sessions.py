"""Ledgers of sessions as they happen: liquidation in a backtest, and live sessions that are killed and go on."""

import random
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from backtest.test_clearing_run import BUYER, config, holder, tape
from hatmanifesto.backtest.backtest import run_backtest
from hatmanifesto.config.settings import parse
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.build import catch_up, rebuild
from hatmanifesto.ledger.canonical import canonical
from hatmanifesto.ledger.queries import periods, pnl
from hatmanifesto.ledger.sources import Folder, find
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.verify import verify
from ledger.conftest import OpenStore
from support.local_venue import Faults, LocalExchange
from support.virtual_time import VirtualLoop, run_virtually
from trading.test_crashes import BEGIN_NS, Machine, Trouble, instruments, live_through

S = 1_000_000_000


def test_a_liquidation_has_its_own_account_and_cause(tmp_path: Path) -> None:
    """2 BTC on 20,000 of deposit: funding for hours, then the price falls and the venue sells."""
    (tmp_path / "buyer.py").write_text(BUYER, encoding="utf-8")
    prices = [100_000] * 100 + [95_000, 92_600, 92_300, 92_250, 92_240, 91_000, 80_000, 80_000]
    run = run_backtest(
        tape(prices, 108 * S, 3 * 10**5),
        parse({**config(), "strategies": {"holder": holder(200_000)}}, folder=tmp_path),
        tmp_path / "run",
    )
    folder = find(run.folder)
    store = Store(str(folder.database))
    catch_up(folder, store)
    assert verify(folder, store).findings == []
    parts = {line.key: line.total for line in pnl(store, "cause")}
    assert parts["liquidation"] != 0  # a gain where the backstop takes a position over above the mid
    assert parts["funding"] == 2 * round(float(run.summary["pnl"]["funding"]) * 10**6) < 0
    assert sum(parts.values()) == 2 * round((float(run.summary["equity"]) - 20_000) * 10**6)
    with store.connect() as connection:
        codes = dict(
            connection.execute(
                sa.select(schema.trades.c.reason_code, sa.func.count()).group_by(schema.trades.c.reason_code)
            ).all()  # type: ignore[arg-type]
        )
        kinds = set(connection.scalars(sa.select(schema.accounts.c.kind)))
    assert codes["liquidation"] >= 1
    assert "liquidation" in kinds


@pytest.mark.parametrize("seed", [3, 11])
def test_a_live_account_over_kills_and_restarts(tmp_path: Path, open_store: OpenStore, seed: int) -> None:
    """The ledger follows each session's journal as it grows; at the end its money is the exchange's own."""
    loop = VirtualLoop(BEGIN_NS)
    machine = Machine(loop, Trouble(), random.Random(seed))
    local = LocalExchange(loop, seed, instruments())
    session = run_virtually(live_through(tmp_path, local, machine, Faults(), 2, Counter()), loop)
    folder = find(tmp_path)
    assert len(folder.journals) == 3
    for count in (1, 2, 3):
        part = Folder(folder.path, folder.journals[:count], folder.corrections, folder.database)
        catch_up(part, open_store(folder))
    store = open_store(folder)
    verdict = verify(folder, store)
    assert verdict.findings == []
    assert verdict.trades == len(local.record.fills) > 0
    account = local.exchange.account(local.account)
    with store.connect() as connection:
        cash = connection.scalar(
            sa.select(sa.func.sum(schema.postings.c.amount))
            .join(schema.accounts, schema.accounts.c.id == schema.postings.c.account)
            .where(schema.accounts.c.kind == "cash")
        )
    assert cash == account.cash - sum(holding.position.cost for holding in account.holdings)
    assert sum(period.end_equity for period in periods(store, "month")[-1:]) == session.session.portfolio.value()
    whole = folder._replace(database=tmp_path / "whole.sqlite")
    rebuild(whole, open_store(whole, rebuilding=True))
    assert list(canonical(open_store(whole))) == list(canonical(store))
