"""The parts of a live session, each by itself."""

import asyncio
import gc
import itertools
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.config.changes import changes
from hatmanifesto.config.checkpoint import PositionState
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import parse
from hatmanifesto.errors import UserError
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest
from hatmanifesto.trading import collector
from hatmanifesto.trading.clock import WallClock
from hatmanifesto.trading.control import SOCKET, ControlServer, ask
from hatmanifesto.trading.guard import alive
from hatmanifesto.trading.heartbeat import Beats
from hatmanifesto.trading.loop_times import LoopTimes
from hatmanifesto.trading.polling import BusyPoll
from hatmanifesto.trading.reconciliation import Reconciled
from hatmanifesto.trading.recovery import LastSession, carry_over, find_last
from hatmanifesto.trading.seen import KEPT, Booked
from hatmanifesto.trading.session import JOURNALS, LiveSession, Watch
from hatmanifesto.venues.port import Trust
from support.local_venue import Faults, LocalExchange, LocalVenue
from support.virtual_time import VirtualLoop, run_virtually
from trading.test_crashes import BEGIN_NS, draft, instruments


def test_a_clock_that_is_set_back_stands_still_until_it_has_caught_up() -> None:
    told = iter([100, 200, 150, 190, 201])
    clock = WallClock(lambda: next(told))
    assert [clock() for _ in range(5)] == [100, 200, 200, 200, 201]
    assert clock.behind_ns == 0


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_loop_times_name_a_quantile_to_an_eighth(durations: list[int]) -> None:
    times = LoopTimes()
    for duration in durations:
        times.add(duration)
    ranked = sorted(durations)
    for share in (0.01, 0.5, 0.99, 1.0):
        true = ranked[max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1)]
        found = times.quantile_ns(share)
        assert true <= found <= max(true * 9 // 8 + 1, 1)
    assert times.longest_ns == ranked[-1]


def test_what_was_booked_is_known_again_and_the_oldest_is_forgotten_at_last() -> None:
    booked = Booked()
    assert booked.is_new_fill(1_000_000, 0, 7, 1)
    assert not booked.is_new_fill(1_999_999, 0, 7, 1)  # the same millisecond, market, trade and side
    assert booked.is_new_fill(1_000_000, 0, 7, -1)  # the other side of a trade with oneself
    assert booked.is_new_fill(1_000_000, 1, 7, 1)
    assert booked.is_new_fill(2_000_000, 0, 7, 1)
    assert booked.is_new_funding(3_600_000_000_000, 0)
    assert not booked.is_new_funding(3_600_400_000_000, 0)
    assert booked.repeated == 2
    for trade in range(KEPT):
        booked.is_new_fill(5_000_000, 0, trade, 1)
    assert booked.is_new_fill(1_000_000, 0, 7, 1)


def test_heartbeats_are_seen_by_the_other_side(tmp_path: Path) -> None:
    one, other = Beats(tmp_path), Beats(tmp_path)
    one.clear()
    assert other.trader() == (0, 0)
    assert other.guard_age_s() == float("inf")
    one.trader_beats()
    other.guard_beats()
    assert other.trader()[1] == os.getpid()
    assert one.guard_age_s() < 5
    one.trader_ended()
    other.guard_ended()
    assert other.trader()[0] == -1
    assert one.guard_age_s() == float("inf")
    assert alive(os.getpid())
    assert not alive(2**22 + 12_345)


def test_what_is_alive_when_trading_begins_is_never_looked_through_again() -> None:
    try:
        collector.calm()
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 1_000
        gone = weakref.ref(thing := Ring())
        thing.itself = thing
        del thing
        assert gone() is not None
        loop = VirtualLoop(BEGIN_NS)

        async def story() -> None:
            sweeping = loop.create_task(collector.sweep_often())
            await asyncio.sleep(collector.SWEEP_S + 1)
            sweeping.cancel()

        run_virtually(story(), loop)
        assert gone() is None
    finally:
        gc.unfreeze()
        gc.enable()


class Ring:
    """Refers to itself."""

    itself: object = None


class Rehearsing(LocalVenue):
    """Notes when it was asked to rehearse."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.at: list[int] = []

    def rehearse(self, now_ns: int) -> None:
        self.at.append(now_ns)


class PolledLoop(VirtualLoop):
    """Virtual time that passes while it is polled, and a note of how often it would have slept."""

    def __init__(self, begin_ns: int) -> None:
        super().__init__(begin_ns)
        self.sleeps = 0

    def _jump(self, timeout: float | None) -> Any:
        self.sleeps += timeout != 0
        if timeout == 0:
            self._virtual_s += 0.0005
        return super()._jump(timeout)


def test_a_polling_loop_does_not_sleep_until_it_is_told_to() -> None:
    loop = PolledLoop(BEGIN_NS)
    turns = 0

    def idle() -> None:
        nonlocal turns
        turns += 1

    async def story() -> tuple[int, int]:
        polling = BusyPoll(loop, idle)
        polling.start()
        polling.start()
        await asyncio.sleep(1)
        found = turns, loop.sleeps
        polling.stop()
        polling.stop()
        await asyncio.sleep(1)
        return found

    assert run_virtually(story(), loop) == (pytest.approx(2_000, abs=5), 0)
    assert turns == pytest.approx(2_000, abs=5)
    assert loop.sleeps >= 1


def test_a_session_stays_on_the_core_that_it_was_told_and_refuses_one_that_is_not_there(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    found: list[set[int]] = []

    def session(core: int, loop: VirtualLoop) -> LiveSession:
        venue = LocalVenue(LocalExchange(loop, 3, instruments()), Faults(), 1)
        return LiveSession(
            parse(draft().settings.as_json() | {"trading": {"core": core}}), tmp_path, venue, loop.now_ns
        )

    async def story(loop: VirtualLoop) -> None:
        with pytest.raises(UserError, match=r"trading\.core = 4096 is not a core") as caught:
            await session(4096, loop).start()
        assert f"choose one of {min(allowed)}" in caught.value.remedy
        assert list(tmp_path.iterdir()) == []
        live = session(core, loop)
        await live.start()
        threads = [thread.native_id or 0 for thread in threading.enumerate() if thread.name == "journal-sync"]
        found.extend(os.sched_getaffinity(thread) for thread in (0, *threads))
        await live.stop()

    loop = VirtualLoop(BEGIN_NS)
    try:
        run_virtually(story(loop), loop)
    finally:
        os.sched_setaffinity(0, allowed)
    assert found == [{core}, allowed]


class Beating(Watch):
    """Notes when the session said that its loop turns."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.at: list[int] = []

    def beat(self) -> None:
        self.at.append(self.loop.now_ns())


def test_the_guard_hears_the_trader_until_its_session_has_ended(tmp_path: Path) -> None:
    loop = VirtualLoop(BEGIN_NS)
    watch = Beating(loop)
    ends: list[int] = []

    async def story() -> None:
        venue = LocalVenue(LocalExchange(loop, 3, instruments()), Faults(), 1)
        session = LiveSession(draft(), tmp_path, venue, loop.now_ns, watch=watch)
        await session.start()
        await asyncio.sleep(1)
        compare = session.reconciler.run

        async def slowly(why: str) -> Reconciled:
            await asyncio.sleep(20)  # an order that will not go, a venue that does not answer
            return await compare(why)

        session.reconciler.run = slowly  # type: ignore[method-assign]
        await session.stop()
        ends.append(loop.now_ns())
        await asyncio.sleep(5)

    run_virtually(story(), loop)
    moments = [*watch.at, ends[0]]
    assert moments[-1] - moments[0] > 20_000_000_000
    assert max(later - earlier for earlier, later in itertools.pairwise(moments)) < 200_000_000
    assert watch.at[-1] <= ends[0]


@pytest.mark.parametrize("every", ["0s", "200ms"])
@pytest.mark.parametrize("busy", [False, True])
def test_orders_are_rehearsed_no_oftener_than_was_asked(tmp_path: Path, busy: bool, every: str) -> None:
    loop = PolledLoop(BEGIN_NS)
    local = LocalExchange(loop, 3, instruments())
    venue = Rehearsing(local, Faults(), 1)
    wanted = draft()
    wanted = parse(wanted.settings.as_json() | {"trading": {"rehearse_interval": every, "busy_poll": busy}})
    sleeps: list[int] = []

    async def story() -> None:
        market = loop.create_task(local.run())
        await asyncio.sleep(0.5)
        session = LiveSession(wanted, tmp_path, venue, loop.now_ns)
        await session.start()
        sleeps.append(loop.sleeps)
        await session.run(5)
        sleeps.append(loop.sleeps)
        await session.stop()
        market.cancel()

    run_virtually(story(), loop)
    assert (sleeps[0] == sleeps[1]) is busy
    steps = [later - earlier for earlier, later in itertools.pairwise(venue.at)]
    if every == "0s":
        assert venue.at == []
    else:
        assert len(steps) > 10
        assert min(steps) >= 200_000_000


# -- carrying a session over ------------------------------------------------------------------------------


def a_last(tmp_path: Path) -> LastSession:
    """Trade for a while, stop in order, and read the journal."""
    loop = VirtualLoop(BEGIN_NS)
    local = LocalExchange(loop, 3, instruments())

    async def story() -> None:
        market = loop.create_task(local.run())
        await asyncio.sleep(0.5)
        session = LiveSession(draft(), tmp_path, LocalVenue(local, Faults(), 1), loop.now_ns)
        await session.start()
        await session.run(8)
        await session.stop()
        market.cancel()

    run_virtually(story(), loop)
    last = find_last(tmp_path / JOURNALS)
    assert last is not None
    return last


def test_the_next_session_begins_where_the_last_one_ended_by_name_not_by_place(tmp_path: Path) -> None:
    last = a_last(tmp_path)
    assert last.closed
    plan = last.plan
    turned = msgspec.structs.replace(
        plan,
        instruments=plan.instruments[::-1],
        desks=[msgspec.structs.replace(desk, instrument=1 - desk.instrument) for desk in plan.desks],
    )
    state, notes = carry_over(last, turned)
    assert notes == []
    assert state.holdings == last.state.holdings[::-1]
    assert state.desks == last.state.desks
    assert state.order_seq == last.state.order_seq > 0
    # without positions an instrument may go; its money stays
    flat = last._replace(
        state=msgspec.structs.replace(
            last.state,
            holdings=[last.state.holdings[0], PositionState(realized=70, fees=20, rebates=5, funding=-1)],
            desks=[last.state.desks[0], PositionState()],
        )
    )
    fewer = msgspec.structs.replace(plan, instruments=plan.instruments[:1], desks=plan.desks[:1])
    state, _ = carry_over(flat, fewer)
    assert state.deposit == last.state.deposit + 70 - 20 + 5 - 1


def test_a_position_is_never_forgotten_by_a_new_configuration(tmp_path: Path) -> None:
    last = a_last(tmp_path)
    held = msgspec.structs.replace(last.state, holdings=[PositionState(size=5, cost=500)] * 2)
    fewer = msgspec.structs.replace(last.plan, instruments=last.plan.instruments[1:], desks=[])
    with pytest.raises(UserError, match="AAA has an open position but is not traded"):
        carry_over(last._replace(state=held), fewer)
    other = [msgspec.structs.replace(entry, size_scale=2) for entry in last.plan.instruments]
    with pytest.raises(UserError, match="AAA is counted in other units"):
        carry_over(last, msgspec.structs.replace(last.plan, instruments=other))
    renamed = [msgspec.structs.replace(last.plan.strategies[0], name="another")]
    state, notes = carry_over(last._replace(state=msgspec.structs.replace(held, desks=held.holdings)),
                              msgspec.structs.replace(last.plan, strategies=renamed))  # fmt: skip
    assert [position.size for position in state.holdings] == [5, 5]
    assert [position.size for position in state.desks] == [0, 0]
    assert len(notes) == 2


def test_a_damaged_journal_stops_the_start_and_a_torn_one_is_mended(tmp_path: Path) -> None:
    a_last(tmp_path)
    (journal,) = (tmp_path / JOURNALS).glob("*.journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-9])
    last = find_last(tmp_path / JOURNALS)
    assert last is not None
    assert "ended inside a group" in last.notes[0]
    journal.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    with pytest.raises(UserError, match=r"changed|damaged"):
        find_last(tmp_path / JOURNALS)
    assert find_last(tmp_path / "nothing") is None


# -- reconciliation ---------------------------------------------------------------------------------------


def test_what_is_not_ours_is_reported_and_left_alone_and_a_strange_position_stops_new_risk(tmp_path: Path) -> None:
    loop = VirtualLoop(BEGIN_NS)
    local = LocalExchange(loop, 5, instruments())

    async def story() -> LiveSession:
        market = loop.create_task(local.run())
        await asyncio.sleep(0.5)
        foreign = OrderRequest(0, 1, 90_000, 100, 0, cloid="0x" + "77" * 16)
        local.exchange.submit(local.account, Place([foreign]))
        await asyncio.sleep(0.3)
        session = LiveSession(draft(), tmp_path, LocalVenue(local, Faults(), 1), loop.now_ns)
        await session.start()
        found = session.reconciler.last
        assert found is not None
        assert [difference.what for difference in found.differences] == ["open orders that are not ours"]
        assert found.whole
        await session.run(2)
        # somebody trades the account beside us, and we are never told
        holding = local.exchange.account(local.account).holdings[1]
        holding.position.apply_fill(1, local.mid[1], 7, 0, True)
        found = await session.reconciler.run("asked for")
        assert not found.whole
        assert any("BBB position" in difference.text() for difference in found.differences)
        assert session.session.risk.account_overrides[1] == 2  # reduce only
        holding.position.apply_fill(-1, local.mid[1], 7, 0, True)
        assert (await session.reconciler.run("asked for")).whole
        assert session.session.risk.account_overrides[1] == 0
        await session.stop()
        market.cancel()
        return session

    run_virtually(story(), loop)
    assert [order.cloid for order in local.exchange.account(local.account).orders.values()] == ["0x" + "77" * 16]


# -- changes while it runs --------------------------------------------------------------------------------


def plan_with(**sections: dict) -> object:  # type: ignore[type-arg]
    settings = {
        "strategies": {
            "maker": {"class": "touch_joiner", "params": {"order_size": "1 coin", "max_position": "5 coins"}}
        }
    }
    return resolve(parse(settings | sections), instruments(), {0: 100, 1: 100}).plan


def test_limits_and_parameters_can_change_and_everything_else_is_refused() -> None:
    old = plan_with()
    new = plan_with(
        risk={"account": {"max_open_orders": 7}, "instrument": {"BBB": {"max_position_notional": 77}}},
        strategies={
            "maker": {
                "class": "touch_joiner", "max_notional": 900,
                "params": {"order_size": "2 coins", "max_position": "5 coins"},
            }
        },
    )  # fmt: skip
    found = changes(old, new)  # type: ignore[arg-type]
    assert {(change["command"], change["name"]) for change in found} == {
        ("set_limit", "max_open_orders"),
        ("set_limit", "max_position_notional"),
        ("set_limit", "max_notional"),
        ("set_param", "order_size"),
    }
    assert changes(old, old) == []  # type: ignore[arg-type]
    with pytest.raises(UserError, match="answer_timeout_ns cannot change"):
        changes(old, plan_with(engine={"answer_timeout": "9s"}))  # type: ignore[arg-type]


# -- the control socket -----------------------------------------------------------------------------------


def test_the_socket_is_its_owners_and_survives_nonsense(tmp_path: Path) -> None:
    class Nobody:
        folder = tmp_path

    async def story() -> None:
        server = ControlServer(Nobody(), lambda more: draft())  # type: ignore[arg-type]
        (tmp_path / SOCKET).write_text("left behind")
        await server.open()
        assert (tmp_path / SOCKET).stat().st_mode & 0o077 == 0
        for nonsense in (b"nonsense\n", b"[1]\n", b'{"do": 5}\n', b'{"do": "dance"}\n', b"\xff\xfe\n"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
            writer.write(nonsense)
            answer = msgspec.json.decode(await asyncio.wait_for(reader.readline(), 5))
            assert answer["error"]["remedy"]
            writer.close()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
        writer.write(b"x" * 200_000)
        assert await asyncio.wait_for(reader.read(), 5) == b""  # cut off
        writer.close()
        with pytest.raises(UserError, match="no action 'dance'"):
            await asyncio.to_thread(ask, tmp_path, {"do": "dance"})
        await server.close()

    asyncio.run(story())
    with pytest.raises(UserError, match="no session runs"):
        ask(tmp_path, {"do": "status"})


def test_seeds_of_crash_runs_cover_every_fault() -> None:
    from trading.test_crashes import faults_of, trouble_of

    told = [vars(faults_of(seed)) | vars(trouble_of(seed)) for seed in range(1000, 1200)]
    seen = {name for told_of_one in told for name, value in told_of_one.items() if value}
    assert seen == set(told[0])
    assert sum(one["adopt"] for one in told) > 100
    assert sum(not one["adopt"] for one in told) > 20


def test_a_start_is_no_fault_and_a_feed_that_is_lost_is_one(tmp_path: Path) -> None:
    loop = VirtualLoop(BEGIN_NS)
    local = LocalExchange(loop, 1, instruments())
    session = LiveSession(draft(), tmp_path, LocalVenue(local, Faults(), 1), loop.now_ns, watch=Watch())

    async def story() -> None:
        market = loop.create_task(local.run())
        await session.start()
        trader = session.trader
        trader.on_notice(loop.now_ns(), "connected", {"source": 1})
        assert trader.faults == {}
        for why in ("a gap", "a gap still"):
            trader.on_trust(loop.now_ns(), 0, Trust.SYNCING, why)
        assert trader.faults == {"feed_untrusted": 1}
        trader.on_trust(loop.now_ns(), 0, Trust.LIVE, "")
        trader.on_notice(loop.now_ns(), "disconnected", {"source": 1, "why": "reset"})
        assert trader.faults == {"feed_untrusted": 1, "disconnected": 1}
        await session.stop()
        market.cancel()

    run_virtually(story(), loop)
