"""Seeded faults and a kill at a random moment, again and again: at the end the books equal the exchange's own."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.config.settings import Draft, parse
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.trading.clock import WallClock
from hatmanifesto.trading.recovery import find_last
from hatmanifesto.trading.session import JOURNALS, LiveSession, Watch
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


@dataclass
class Trouble:
    """What happens to the session's own side; of a thousand, or yes and no."""

    killed_at_start: int = 0  # starts that are killed before they are through
    guard_killed: bool = False  # the guard dies now and then, and another one comes
    clock_jumps: bool = False
    adopt: bool = True


class Machine:
    """A clock that is set forward and back, and a guard that dies: seen from the session's process."""

    def __init__(self, loop: VirtualLoop, trouble: Trouble, chance: random.Random) -> None:
        self.loop, self.trouble, self.chance = loop, trouble, chance
        self.offset_ns = 0
        self.guard_back_s = 0.0

    def now_ns(self) -> int:
        if self.trouble.clock_jumps and self.chance.random() < 0.0005:
            self.offset_ns = self.chance.choice((0, self.chance.randint(-3_000, 3_000) * 1_000_000))
        return self.loop.now_ns() + self.offset_ns

    def watch(self) -> Watch:
        machine = self

        class Guard(Watch):
            def guarded(self) -> bool:
                if machine.trouble.guard_killed and machine.chance.random() < 0.003:
                    machine.guard_back_s = machine.loop.time() + machine.chance.uniform(0.1, 3)
                return machine.loop.time() >= machine.guard_back_s

        return Guard()


def session_of(folder: Path, local: LocalExchange, machine: Machine, faults: Faults) -> LiveSession:
    """Make a session as a new process would."""
    wanted = draft()
    if not machine.trouble.adopt:
        settings = wanted.settings.as_json()
        wanted = parse(settings | {"trading": settings["trading"] | {"open_orders": "cancel"}})
    venue = LocalVenue(local, faults, machine.chance.randrange(1 << 30))
    return LiveSession(wanted, folder, venue, WallClock(machine.now_ns), watch=machine.watch())


def kill(session: LiveSession) -> None:
    """End a session as SIGKILL does."""
    session.venue.kill()  # type: ignore[attr-defined]
    session.abandon()


async def started(folder: Path, local: LocalExchange, machine: Machine, faults: Faults) -> LiveSession:
    """Start sessions until one is up: some are killed on the way, some do not hear the venue and give up."""
    chance = machine.chance
    while True:
        await asyncio.sleep(1.1)  # a session number is a second's
        session = session_of(folder, local, machine, faults)
        starting = asyncio.ensure_future(session.start())
        killed = chance.randrange(1_000) < machine.trouble.killed_at_start
        try:
            await asyncio.wait_for(asyncio.shield(starting), chance.uniform(0, 0.4) if killed else None)
            return session
        except TimeoutError:
            # nothing of a killed process tidies up
            session.venue.kill()  # type: ignore[attr-defined]
            session.abandon()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        except UserError as error:
            assert "does not answer" in error.message or "is not there" in error.message  # noqa: PT017 - tried again


async def live_through(
    folder: Path, local: LocalExchange, machine: Machine, faults: Faults, kills: int, seen: Counter[str]
) -> LiveSession:
    """Start, trade, be killed, and start again; the last session stops in order. Returns it."""
    loop, chance = machine.loop, machine.chance
    market = loop.create_task(local.run())
    try:
        for _ in range(kills):
            session = await started(folder, local, machine, faults)
            seen["adopted"] += len(session.trader.adopted)
            await session.run(chance.uniform(0.01, 20))
            assert session.trader.failure is None, session.trader.failure
            if chance.random() < 0.5:
                local.pay_funding(0, chance.randint(-50_000, 50_000))
            kill(session)
        session = await started(folder, local, machine, faults)
        seen["adopted"] += len(session.trader.adopted)
        await session.run(20)
        local.pay_funding(1, 12_500)
        await asyncio.sleep(0.5)
        session.venue.faults = Faults()  # type: ignore[attr-defined] # the last words are heard
        machine.trouble = Trouble()
        await asyncio.sleep(8)
        await session.stop()
        return session
    finally:
        market.cancel()


def check(seed: int, folder: Path, faults: Faults, kills: int, trouble: Trouble | None = None) -> Counter[str]:
    loop = VirtualLoop(BEGIN_NS)
    machine = Machine(loop, trouble or Trouble(), random.Random(seed))
    local = LocalExchange(loop, seed, instruments())
    seen: Counter[str] = Counter()
    session = run_virtually(live_through(folder, local, machine, faults, kills, seen), loop)
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
    assert last.state.orders == []
    return seen


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
        half_open=chance.choice((0, 0, 3)),
        storm=chance.choice((0, 0, 3)),
    )


def trouble_of(seed: int) -> Trouble:
    chance = random.Random(seed * 104_729)
    return Trouble(
        killed_at_start=chance.choice((0, 300, 700)),
        guard_killed=chance.random() < 0.3,
        clock_jumps=chance.random() < 0.3,
        adopt=chance.random() < 0.75,
    )


@pytest.mark.parametrize("seed", range(4))
def test_after_faults_and_kills_nothing_is_lost_doubled_or_orphaned(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path, faults_of(seed), kills=3, trouble=trouble_of(seed))


def test_a_session_that_is_only_killed_takes_its_orders_over_again_and_again(tmp_path: Path) -> None:
    assert check(5, tmp_path, Faults(), kills=5, trouble=Trouble(killed_at_start=500))["adopted"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_after_more_faults_and_kills_nothing_is_lost_doubled_or_orphaned(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path, faults_of(seed), kills=4, trouble=trouble_of(seed))
