"""Seeded faults and a kill at a random moment, again and again: at the end the books equal the exchange's own."""

import asyncio
import random
from pathlib import Path

import pytest

from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.config.settings import Draft, parse
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.trading.recovery import find_last
from hatmanifesto.trading.session import JOURNALS, LiveSession
from support.local_venue import Faults, LocalExchange, LocalVenue
from support.virtual_time import VirtualLoop, run_virtually

BEGIN_NS = 1_700_000_000 * 10**9


def instruments() -> list[Instrument]:
    return [
        Instrument(name, index=at, price_scale=1, size_scale=3, money_scale=6, max_price=10**7, max_size=10**6)
        for at, name in enumerate(("AAA", "BBB"))
    ]


def draft() -> Draft:
    return parse(
        {
            "strategies": {
                "maker": {
                    "class": "touch_joiner",
                    "instruments": ["AAA", "BBB"],
                    "params": {"order_size": "0.1 coins", "max_position": "0.5 coins"},
                    "min_decision_interval": "50ms",
                }
            },
            "risk": {
                "account": {"max_account_notional": 1_000_000, "max_leverage": 50},
                "instrument": {"default": {"max_order_notional": 100_000, "max_position_notional": 500_000}},
            },
            "engine": {"answer_timeout": "1s"},
            "trading": {"reconcile_interval": "5s", "checkpoint_interval": "3s"},
        }
    )


async def live_through(
    folder: Path, local: LocalExchange, loop: VirtualLoop, faults: Faults, chance: random.Random, kills: int
) -> LiveSession:
    """Start, trade, be killed, and start again; the last session stops in order. Returns it."""
    market = loop.create_task(local.run())
    try:
        for life in range(kills + 1):
            await asyncio.sleep(1.1)  # a session number is a second's
            venue = LocalVenue(local, faults, chance.randrange(1 << 30))
            session = LiveSession(draft(), folder, venue, loop.now_ns)
            while True:
                try:
                    await session.start()
                    break
                except UserError as error:
                    assert "does not answer" in error.message  # noqa: PT017 - tried again below
                    await asyncio.sleep(1.1)
                    venue = LocalVenue(local, faults, chance.randrange(1 << 30))
                    session = LiveSession(draft(), folder, venue, loop.now_ns)
            if life < kills:
                await session.run(chance.uniform(0.01, 20))
                assert session.trader.failure is None, session.trader.failure
                if chance.random() < 0.5:
                    local.pay_funding(0, chance.randint(-50_000, 50_000))
                venue.kill()
                session.abandon()
            else:
                await session.run(20)
                local.pay_funding(1, 12_500)
                await asyncio.sleep(0.5)
                venue.faults = Faults()  # the last words are heard
                await asyncio.sleep(8)
                await session.stop()
                return session
    finally:
        market.cancel()
    raise AssertionError


def check(seed: int, folder: Path, faults: Faults, kills: int) -> None:
    chance = random.Random(seed)
    loop = VirtualLoop(BEGIN_NS)
    local = LocalExchange(loop, seed, instruments())
    session = run_virtually(live_through(folder, local, loop, faults, chance, kills), loop)
    account = local.exchange.account(local.account)
    assert not account.orders, "orphaned orders"
    for ours, theirs in zip(session.session.portfolio.holdings, account.holdings, strict=True):
        assert ours.position.size == theirs.position.size
        assert ours.position.fills == theirs.position.fills
    # booked money equals the account's value, exactly, at any price
    portfolio = session.session.portfolio
    booked = portfolio.cash() - sum(holding.position.cost for holding in portfolio.holdings)
    assert booked == account.cash - sum(holding.position.cost for holding in account.holdings)
    assert sum(len(desk.orders.snapshot()) for desk in session.session.portfolio.desks) == 0
    total = {"fills": len(local.record.fills), "funding": len(local.record.funding)}
    assert total["fills"] > 0
    # every fill is in exactly one journal, and every journal of it replays to the bit
    for journal in sorted((folder / JOURNALS).glob("*.journal")):
        outcome = replay_journal(journal)
        assert outcome.equal, f"{journal.name}: {outcome.difference and outcome.difference.describe()}"
    last = find_last(folder / JOURNALS)
    assert last is not None
    assert last.closed
    assert [state.size for state in last.state.holdings] == [holding.position.size for holding in account.holdings]


def test_a_quiet_session_ends_with_books_that_equal_the_exchange(tmp_path: Path) -> None:
    check(1, tmp_path, Faults(), 0)


def faults_of(seed: int) -> Faults:
    chance = random.Random(seed * 7919)
    return Faults(
        lost_request=chance.choice((0, 5, 30)),
        lost_answer=chance.choice((0, 5, 30)),
        repeated=chance.choice((0, 50)),
        delayed=chance.choice((0, 10, 40)),
        unanswered_question=chance.choice((0, 30)),
        disconnect=chance.choice((0, 0, 4)),
    )


@pytest.mark.parametrize("seed", range(4))
def test_after_faults_and_kills_nothing_is_lost_doubled_or_orphaned(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path, faults_of(seed), kills=3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_after_more_faults_and_kills_nothing_is_lost_doubled_or_orphaned(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path, faults_of(seed), kills=4)
