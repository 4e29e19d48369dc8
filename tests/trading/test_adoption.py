"""What a killed session left open is taken over by the next one, or cancelled; and what people told it still holds."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.backtest.order_reasons import read_reasons
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.config.settings import Draft, parse
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.model import record
from hatmanifesto.model.order_state import OPEN, PARTIALLY_FILLED
from hatmanifesto.trading import dead_man
from hatmanifesto.trading.session import JOURNALS, LiveSession, Watch
from support.local_venue import Faults, LocalExchange, LocalVenue
from support.virtual_time import VirtualLoop, run_virtually
from trading.test_crashes import BEGIN_NS, draft, instruments


def changed(**trading: Any) -> Draft:
    settings = draft().settings.as_json()
    return parse(settings | {"trading": settings["trading"] | trading})


class Unwatched(Watch):
    """No guard is there."""

    def guarded(self) -> bool:
        return False


class Story:
    """Sessions one after another on one exchange, on virtual time."""

    def __init__(self, folder: Path, seed: int = 3) -> None:
        self.folder = folder
        self.loop = VirtualLoop(BEGIN_NS)
        self.local = LocalExchange(self.loop, seed, instruments())
        self.said: list[str] = []

    def play(self, story: Callable[["Story"], Any]) -> None:
        async def whole() -> None:
            market = self.loop.create_task(self.local.run())
            await asyncio.sleep(0.5)
            await story(self)
            market.cancel()

        run_virtually(whole(), self.loop)
        for journal in sorted((self.folder / JOURNALS).glob("*.journal")):
            outcome = replay_journal(journal)
            assert outcome.equal, outcome.difference and outcome.difference.describe()

    async def session(self, wanted: Draft | None = None, watch: Watch | None = None, **venue: Any) -> LiveSession:
        """Start one; a second has passed since the one before, so that their numbers differ."""
        await asyncio.sleep(1.1)
        venues = venue.pop("kind", LocalVenue)
        made = LiveSession(
            wanted or draft(), self.folder, venues(self.local, Faults(**venue), 1), self.loop.now_ns,
            watch=watch, say=self.said.append,
        )  # fmt: skip
        await made.start()
        return made

    async def until_orders_rest(self, session: LiveSession, *, partly: bool = False) -> dict[str, int]:
        """Trade until some orders rest (`partly`: one of them partly filled), and kill the session at once; return the
        venue's ids by client order id."""
        for _ in range(4_000):
            await session.run(0.01)
            session.stopping.clear()
            states = [int(order.state) for clock in session.session.clocks for order in clock.desk.orders.snapshot()]
            if (
                len(states) >= 3
                and set(states) <= {OPEN, PARTIALLY_FILLED}
                and (not partly or PARTIALLY_FILLED in states)
            ):
                break
        else:
            raise AssertionError("no such moment")
        self.kill(session)
        return self.resting()

    def kill(self, session: LiveSession) -> None:
        session.venue.kill()  # type: ignore[attr-defined]
        session.abandon()

    def resting(self) -> dict[str, int]:
        orders = self.local.exchange.account(self.local.account).orders.values()
        return {order.cloid: int(order.oid) for order in orders}

    def filled(self) -> int:
        return sum(fill.size for fill in self.local.record.fills)


def totals_are_right(session: LiveSession) -> None:
    """Open totals, counts and the venue's remaining sizes agree."""
    orders = [order for clock in session.session.clocks for order in clock.desk.orders.snapshot()]
    for holding in session.session.portfolio.holdings:
        mine = [order for order in orders if order.instrument == holding.instrument.index]
        assert holding.open_buy == sum(order.remaining() for order in mine if order.side > 0)
        assert holding.open_sell == sum(order.remaining() for order in mine if order.side < 0)
    assert session.session.risk.live_orders == len(orders)


def test_open_orders_of_a_killed_session_keep_their_venue_ids_their_filled_sizes_and_their_places(
    tmp_path: Path,
) -> None:
    async def told(story: Story) -> None:
        first = await story.session()
        before = await story.until_orders_rest(first, partly=True)
        kept = {order.cloid: int(order.remaining) for order in story.local.orders.values() if order.cloid in before}
        second = await story.session()
        found = second.reconciler.last
        assert found is not None
        assert found.whole
        assert found.orders_adopted >= 1
        assert found.orders_adopted + found.orders_cancelled <= len(before)
        totals_are_right(second)
        adopted = second.trader.adopted
        assert set(adopted.values()) <= {first.number}
        for cloid, oid in story.resting().items():
            assert before[cloid] == oid, "the same order, at its old place in the queue"
            assert kept[cloid] >= 1
        # from here on they are like any other: filled, cancelled, told of
        await second.run(20)
        totals_are_right(second)
        assert not second.trader.earlier
        await second.stop()
        assert story.resting() == {}
        account = story.local.exchange.account(story.local.account)
        for ours, theirs in zip(second.session.portfolio.holdings, account.holdings, strict=True):
            assert (ours.position.size, ours.position.fills) == (theirs.position.size, theirs.position.fills)
        journal = story.folder / JOURNALS / f"{second.number:08d}.journal"
        with JournalReader(journal) as reader:
            told = [entry.fields() for entry in reader.records(kinds={record.ADOPT})]
        assert {entry["order_id"] for entry in told} == set(adopted)
        assert {entry["session"] for entry in told} == {first.number}
        stories = {row["order_id"]: row for row in read_reasons(journal, count=10_000).orders}
        assert {stories[order_id]["state"] for order_id in adopted} <= {"filled", "cancelled"}

    Story(tmp_path).play(told)


def test_what_is_not_to_be_kept_is_cancelled(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        story.local.takers_rest = True
        await story.until_orders_rest(await story.session())
        second = await story.session(changed(open_orders="cancel"))
        assert second.reconciler.last.orders_adopted == 0  # type: ignore[union-attr]
        assert second.reconciler.last.orders_cancelled >= 1  # type: ignore[union-attr]
        await story.until_orders_rest(second)
        # without a guard nothing may rest
        third = await story.session(watch=Unwatched())
        assert third.reconciler.last.orders_adopted == 0  # type: ignore[union-attr]
        assert story.resting() == {}
        await third.stop()

    Story(tmp_path).play(told)


class Blind(LocalVenue):
    """Its market data never comes."""

    def _reconnect(self) -> None:
        from hatmanifesto.venues.port import ALL_INSTRUMENTS, Trust

        assert self.listener is not None
        self.connected = True
        self.listener.on_trust(self._now(), ALL_INSTRUMENTS, Trust.LIVE, "")


def test_without_market_data_nothing_is_taken_over(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        await story.until_orders_rest(await story.session())
        second = await story.session(kind=Blind)
        assert story.resting() == {}
        await second.stop()

    Story(tmp_path).play(told)


def test_a_pause_and_a_closing_outlive_the_process(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        first = await story.session()
        await first.run(3)
        first.stopping.clear()
        first.trader.command({"command": "override", "override": "halt", "desk": 0})
        first.trader.command({"command": "close", "desk": 1, "slippage_bps": 70})
        story.kill(first)
        second = await story.session()
        desks = second.session.portfolio.desks
        assert [(int(desk.override), int(desk.closing_bps)) for desk in desks] == [(4, -1), (3, 70)]
        await second.run(5)
        second.stopping.clear()
        assert desks[1].position.size == 0
        second.trader.command({"command": "open", "desk": 0})
        second.trader.command({"command": "override", "override": "halt"})
        story.kill(second)
        third = await story.session()
        assert [int(desk.override) for desk in third.session.portfolio.desks] == [0, 3]
        assert third.session.risk.account_overrides[0] == 4
        assert story.resting() == {}
        await third.stop()

    Story(tmp_path).play(told)


def test_money_moved_while_no_session_ran_is_no_profit(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        first = await story.session()
        await first.run(4)
        first.stopping.clear()
        story.local.pay_in(5_000_000)
        await asyncio.sleep(0.1)
        await first.reconciler.run("asked for")
        story.local.pay_in(300_000)
        await asyncio.sleep(0.1)
        await first.reconciler.run("asked for")  # in the journal, but in no checkpoint yet
        before = int(first.session.portfolio.deposit)
        story.kill(first)
        story.local.pay_in(-1_000_000)
        second = await story.session()
        assert second.session.portfolio.deposit == before - 1_000_000
        assert second.reconciler.last.differences == []  # type: ignore[union-attr]
        await second.stop()

    Story(tmp_path).play(told)


# -- the venue's own dead man's switch ------------------------------------------------------------------


def test_the_dead_mans_switch_is_kept_ahead_and_cleared_in_the_end(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        session = await story.session(changed(dead_mans_switch="15s"))
        ahead = []
        for _ in range(40):
            await session.run(1)
            session.stopping.clear()
            ahead.append((story.local.switch_ns - story.loop.now_ns()) / 1e9)
        assert min(ahead) > 9
        assert max(ahead) <= 15
        assert session.dead_man.state == "set"
        await session.stop()
        assert story.local.switch_ns == 0
        assert story.local.switch_asked <= 10

    Story(tmp_path).play(told)


def test_after_a_kill_it_goes_off_by_itself(tmp_path: Path) -> None:
    async def told(story: Story) -> None:
        session = await story.session(changed(dead_mans_switch="15s"))
        await story.until_orders_rest(session)
        await asyncio.sleep(16)
        assert story.resting() == {}
        second = await story.session()
        assert second.reconciler.last.whole  # type: ignore[union-attr]
        await second.stop()

    Story(tmp_path).play(told)


def test_a_refusal_is_told_once_and_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_man, "ASK_AGAIN_S", 20.0)

    async def told(story: Story) -> None:
        story.local.switch_refusal = "Cannot set scheduled cancel time until enough volume traded."
        session = await story.session()
        await session.run(30)
        assert sum("dead man's switch is not set" in words for words in story.said) == 1
        assert session.dead_man.state.startswith("refused: Cannot set")
        assert story.local.switch_asked == 2
        await session.stop()
        journal = story.folder / JOURNALS / f"{session.number:08d}.journal"
        with JournalReader(journal) as reader:
            notes = [entry.payload for entry in reader.records(kinds={record.NOTE})]
        assert sum(b'"dead_mans_switch":"refused"' in note for note in notes) == 1

    Story(tmp_path).play(told)


@pytest.mark.parametrize("lead", ["3s", "-1s", "soon"])
def test_a_switch_that_the_venue_would_not_take_is_refused_in_the_configuration(lead: str) -> None:
    assert [problem.path for problem in changed(dead_mans_switch=lead).problems] == ["trading.dead_mans_switch"]
