"""A live session: configuration, connection, clock, recovery, reconciliation, quoting, and an orderly end.

Nothing is quoted before the last session's journal and the venue agree, every feed is live, and the guard watches.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import hatmanifesto
from hatmanifesto import build
from hatmanifesto.config.assembly import Session, assemble
from hatmanifesto.config.checkpoint import Checkpoint, PositionState
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.session_records import closing_of, config_hash
from hatmanifesto.config.settings import Draft
from hatmanifesto.config.strategies import checked_strategies
from hatmanifesto.errors import UserError
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.reasons import CANCEL_SHUTDOWN
from hatmanifesto.trading.clock import Clock
from hatmanifesto.trading.dead_man import DeadMansSwitch
from hatmanifesto.trading.outbox import Outbox
from hatmanifesto.trading.polling import BusyPoll, check_core, stay_on
from hatmanifesto.trading.reconciliation import Reconciled, Reconciler
from hatmanifesto.trading.recovery import LastSession, carry_over, find_last, journal_path
from hatmanifesto.trading.seen import LOOK_BACK_NS, Booked
from hatmanifesto.trading.trader import Trader
from hatmanifesto.venues.port import Venue, VenueAccount, VenueError

JOURNALS: Final = "journal"
BEAT_S: Final = 0.05
"""How often the loop proves to the guard that it turns."""
WITHDRAW_S: Final = 3.0
"""How long an orderly stop waits until every order is known to be gone."""
CONNECT_S: Final = 30.0
LATE_ARRIVALS_S: Final = 12.0
"""Orders expire ten seconds after they were sent."""
ADOPT_S: Final = 5.0
"""How long the start waits for market data, so that open orders can be taken over."""
FLATTEN_S: Final = 10.0
FLATTEN_BPS: Final = 100

Say = Callable[[str], None]


class Watch:
    """What a session tells its guard, and hears of it; this one watches nothing and is always there."""

    def beat(self) -> None:
        """Say that the loop turns."""

    def guarded(self) -> bool:
        """Whether a guard watches."""
        return True


class Summary(NamedTuple):
    """How a session ended, in text for people and machines."""

    number: int
    journal: Path
    seconds: float
    stopped: str
    values: dict[str, Any]


class LiveSession:
    """One session; `start`, then `run`, then `stop`, which is safe at any point."""

    def __init__(
        self,
        draft: Draft,
        folder: Path,
        venue: Venue,
        clock: Clock,
        *,
        watch: Watch | None = None,
        say: Say = lambda words: None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.draft = draft
        self.settings = draft.settings.trading
        self.folder = folder
        self.venue = venue
        self.clock = clock
        self.watch = watch or Watch()
        self.say = say
        self.facts = facts or {}
        self.stopping = asyncio.Event()
        self.stop_why = ""
        self.last_reconciled: Reconciled | None = None
        self.started_ns = 0
        self.number = 0
        self.trader: Trader
        self.session: Session
        self.plan: SessionPlan
        """As it stands, with what operators changed; the journal's first record keeps what it began with."""
        self.flatten_at_end = self.settings.flatten_on_stop
        self.reconciler: Reconciler
        self.dead_man: DeadMansSwitch
        self._writer: JournalWriter | None = None
        self._lock: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = NEVER
        self._rehearse_every_ns = self.settings.rehearse_interval
        self._rehearsal_ns = 0 if self._rehearse_every_ns else NEVER
        self._poll: BusyPoll | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the start --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Come up as far as quoting. Raises UserError with what to do; everything is closed again then."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        if self.settings.core is not None:
            check_core(self.settings.core)
        self._take_folder()
        journals = self.folder / JOURNALS
        journals.mkdir(parents=True, exist_ok=True)
        last = find_last(journals)
        for note in last.notes if last else []:
            self.say(note)
        names = instrument_names(self.draft)
        self.say(f"connecting to {self.facts.get('venue', 'the venue')}")
        try:
            instruments = list(await self.venue.open(names))
            offset = await self.venue.clock_offset_ns()
            if abs(offset) > self.settings.max_clock_offset:
                raise UserError(
                    f"this machine's clock is {abs(offset) / 1e6:.0f} ms {'behind' if offset > 0 else 'ahead of'} "
                    "the venue's",
                    "set it (NTP), or raise trading.max_clock_offset",
                )
            resolved = resolve(self.draft, instruments, await self.venue.prices())
            account = await self.venue.account()
        except VenueError as error:
            raise UserError(f"the venue does not answer: {error}", "check the connection and venue.url") from error
        plan = self.plan = resolved.plan
        self.number = max(self.clock() // 1_000_000_000, last.number + 1 if last else 0) & 0xFFFF_FFFF
        state, notes = carry_over(last, plan) if last else first_state(plan, account)
        for note in notes:
            self.say(note)
        self._writer = JournalWriter(
            journal_path(journals, self.number),
            {"kind": "live"},
            session=self.number,
            sync_interval_s=self.settings.journal_sync_interval / 1e9,
        )
        outbox = Outbox()
        strategies = checked_strategies(resolved.strategies)
        self.session = assemble(plan, strategies, outbox, self._writer, 0, instruments)
        state.restore(self.session)
        booked = Booked(state.booked_from_ns, state.booked_known_ns)
        booked.restore(state)
        self.trader = Trader(self.session, outbox, self.clock, self.number, booked)
        self.trader.earlier = {order.order_id: order for order in state.orders}
        self.trader.transfers_ns = state.transfers_ns
        self.trader.after_turn = self._after_turn
        self.trader.on_account_back = self._account_back
        self.reconciler = Reconciler(self.trader, self.venue)
        self.dead_man = DeadMansSwitch(self.trader, self.venue, self.settings.dead_mans_switch, self.say)
        self.started_ns = self.clock()
        self.trader.begin(self._opening(last))
        try:
            # funding that was missed is asked for by the reconciliation
            since = max(booked.fills_from_ns, booked.last_fill_ns - LOOK_BACK_NS)
            await self.venue.start(self.trader, self.number, from_ns=since)
            outbox.venue = self.venue.gateway
        except VenueError as error:
            raise UserError(f"the venue's streams cannot be opened: {error}", "check the connection") from error
        self.say("reconciling with the venue")
        await self._first_reconciliation()
        self._spawn(self.venue.watch())
        self._spawn(self._beat())
        self._spawn(self._reconcile_often())
        self._spawn(self._checkpoint_often())
        if self.settings.core is not None:
            stay_on(self.settings.core)  # the journal's thread is there already, and flushes elsewhere
        if self.settings.busy_poll:
            self._poll = BusyPoll(asyncio.get_running_loop(), self._idle)
            self._poll.start()
        self._spawn(self.dead_man.keep())
        if last is not None and not last.closed:
            self._spawn(self._look_for_late_arrivals())
        self.say(f"session {self.number} is on; journal {self._writer.path}")

    def _take_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another session runs in {self.folder}", "stop it (hat stop), or name another --folder"
            ) from error

    def _opening(self, last: LastSession | None) -> dict[str, Any]:
        plan = self.session.plan
        return {
            "kind": "live",
            "number": self.number,
            "version": hatmanifesto.__version__,
            "engine": build.source_hash(),
            "plan": msgspec.to_builtins(plan),
            "plan_hash": plan.hash(),
            "config": self.draft.settings.as_json(),
            "config_hash": config_hash(self.draft),
            "continues": None if last is None else {"journal": last.path.name, "digest": last.digest},
            **self.facts,
        }

    async def _first_reconciliation(self) -> None:
        deadline = self.clock() + int(CONNECT_S * 1e9)
        trader = self.trader
        self._look_for_guard()
        while not trader.account_trusted and self.clock() < deadline:
            await asyncio.sleep(0.02)
        adopt = self.settings.open_orders == "adopt" and bool(trader.earlier)
        if adopt:  # nothing may rest that cannot be judged: where the market is not known, it is cancelled
            deadline = min(deadline, self.clock() + int(ADOPT_S * 1e9))
            while not (trader.feed_trusted and trader.account_trusted) and self.clock() < deadline:
                await asyncio.sleep(0.02)
        if not self.trader.account_trusted:
            raise UserError(
                f"the venue's account stream is not there: {self.trader.account_trust[1]}", "check the connection"
            )
        try:
            found = await self.reconciler.run("start", adopt=adopt)
        except VenueError as error:
            raise UserError(f"the venue does not answer: {error}", "check the connection") from error
        if found.orders_adopted:
            self.say(f"{found.orders_adopted} open orders of the last session are taken over")
        for difference in found.differences:
            self.say(("blocked: " if difference.blocks else "note: ") + difference.text())

    # -- while it runs ----------------------------------------------------------------------------

    async def run(self, seconds: float | None = None) -> None:
        """Trade until `stopping` is set, the time is over, or the session has failed."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            self.request_stop("its time is over")

    def request_stop(self, why: str) -> None:
        """Ask the session to end."""
        self.stop_why = self.stop_why or why
        self.stopping.set()

    def _after_turn(self) -> None:
        if self.trader.failure is not None:
            self.request_stop(f"failed: {self.trader.failure}")
            return
        self._rehearse_when_due(self.trader.turned_ns)
        due = self.trader.next_timer_ns
        if due < self._timer_ns:  # what is due later than the timer is looked at when it fires
            if self._timer is not None:
                self._timer.cancel()
            self._timer_ns = due
            delay = max(0, due - self.clock()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _idle(self) -> None:
        """A turn of a polling loop: where no turn of the trader's comes, rehearsals come without."""
        now = self.clock()
        if now >= self._rehearsal_ns + self._rehearse_every_ns:
            self._rehearse_when_due(now)

    def _rehearse_when_due(self, now: int) -> None:
        if now >= self._rehearsal_ns:
            self._rehearsal_ns = now + self._rehearse_every_ns
            asyncio.get_running_loop().call_soon(self.venue.rehearse, now)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_ns = NEVER
        self.trader.on_time()
        self._after_turn()

    def _account_back(self) -> None:
        if self.last_reconciled is not None or self.reconciler.last is not None:
            self._spawn(self._reconcile("the account's stream was interrupted"))

    async def _reconcile(self, why: str) -> None:
        try:
            self.last_reconciled = await self.reconciler.run(why)
        except VenueError as error:
            self.trader.hold("reconciliation", "halt", f"the venue does not answer: {error}")
            self.trader.count_fault("reconciliation_failed", str(error))

    async def _reconcile_often(self) -> None:
        while True:
            await asyncio.sleep(self.settings.reconcile_interval / 1e9)
            await self._reconcile("periodic")

    async def _look_for_late_arrivals(self) -> None:
        """What a killed session sent last may reach the venue after the start; then it has expired."""
        await asyncio.sleep(LATE_ARRIVALS_S)
        await self._reconcile("what the last session sent has arrived or expired")

    async def _checkpoint_often(self) -> None:
        while True:
            await asyncio.sleep(self.settings.checkpoint_interval / 1e9)
            self.trader.checkpoint()

    async def _beat(self) -> None:
        while True:
            self._look_for_guard()
            await asyncio.sleep(BEAT_S)

    async def _beat_to_the_end(self) -> None:
        """Prove that the loop turns while the session ends, which may outlast the guard's patience."""
        while True:
            self.watch.beat()
            await asyncio.sleep(BEAT_S)

    def _look_for_guard(self) -> None:
        self.watch.beat()
        guarded = self.watch.guarded()
        self.trader.hold("kill_switch", "none" if guarded else "halt", "" if guarded else "no guard watches")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.request_stop(f"failed: {task.exception()}")

    # -- the end ----------------------------------------------------------------------------------

    async def stop(self) -> Summary:
        """Withdraw everything, compare once more, close the journal. Raises the failure that ended the session."""
        stop_tasks(self._tasks)
        self._spawn(self._beat_to_the_end())
        trader = self.trader
        failure = trader.failure
        left = 0
        if failure is None:
            if self.flatten_at_end:
                await self._flatten()
            left = await self._withdraw()
        if failure is not None or left:
            await self._cancel_by_force()
        if failure is None:
            with contextlib.suppress(VenueError):
                self.last_reconciled = await self.reconciler.run("stop")
            await self.dead_man.clear()
        values = closing_of(self.session)
        values["stopped"] = self.stop_why or "asked to"
        if self._writer is not None and trader.failure is None:
            trader.checkpoint()
            trader.begun = False  # deaf from here on: the journal is closed
            self.session.recorder.flush()
            self._writer.close(self.clock(), values)
        summary = Summary(
            self.number,
            journal_path(self.folder / JOURNALS, self.number),
            (self.clock() - self.started_ns) / 1e9,
            self.stop_why or "asked to",
            values,
        )
        await self._close()
        if failure is not None:
            raise failure
        return summary

    async def _flatten(self) -> None:
        """Close every position, as far as the market lets us within a while."""
        trader = self.trader
        trader.command({"command": "close", "slippage_bps": FLATTEN_BPS, "reason": "the session ends"})
        deadline = self.clock() + int(FLATTEN_S * 1e9)
        while self.clock() < deadline and trader.failure is None:
            if all(holding.position.size == 0 for holding in self.session.portfolio.holdings):
                return
            await asyncio.sleep(0.05)
        self.say("not every position could be closed in time")

    async def _withdraw(self) -> int:
        """Cancel what works and wait until the venue has said so; return how many orders are still live."""
        trader = self.trader
        trader.hold("kill_switch", "halt", "the session ends")
        trader.cancel_all(CANCEL_SHUTDOWN)
        deadline = self.clock() + int(WITHDRAW_S * 1e9)
        while (left := int(self.session.risk.live_orders)) and self.clock() < deadline and trader.failure is None:
            await asyncio.sleep(0.02)
        return left

    async def _cancel_by_force(self) -> None:
        """Cancel every order of ours at the venue, whatever the engine believes."""
        try:
            ours = [order for order in await self.venue.open_orders() if order.order_id]
            if ours:
                self.say(f"cancelling {len(ours)} orders that are still open")
                await self.venue.cancel_orders(ours)
        except VenueError as error:
            self.say(f"open orders could not be cancelled: {error}; the guard or the next start will")

    async def _close(self) -> None:
        await self.venue.stop()
        self.abandon()

    def abandon(self) -> None:
        """Let go of everything at once, as a killed process does: nothing is cancelled and nothing is said."""
        if self._writer is not None and self.started_ns:
            self.trader.begun = False
        stop_tasks(self._tasks)
        if self._poll is not None:
            self._poll.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.abandon()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def stop_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks that are still going."""
    for task in list(tasks):
        task.cancel()


def instrument_names(draft: Draft) -> list[str]:
    """Return the instruments that the strategies name, each once; UserError when one names none."""
    names: list[str] = []
    for name, entry in draft.settings.strategies.items():
        if not entry.instruments:
            raise UserError(
                f"strategies.{name} names no instruments", f'live, name them: strategies.{name}.instruments = ["BTC"]'
            )
        names += [instrument for instrument in entry.instruments if instrument not in names]
    return names


def first_state(plan: SessionPlan, account: VenueAccount) -> tuple[Checkpoint, list[str]]:
    """Return where a first session on an account begins: with what the account holds at the venue.

    A position goes to the strategy that trades its instrument, if it is the only one that does.
    """
    notes: list[str] = []
    holdings = [PositionState() for _ in plan.instruments]
    desks = [PositionState() for _ in plan.desks]
    for position in account.positions:
        at = position.instrument
        if at < 0:
            continue
        holdings[at] = PositionState(size=position.size, cost=position.cost)
        owners = [index for index, desk in enumerate(plan.desks) if desk.instrument == at]
        owner = "no strategy" if len(owners) != 1 else plan.strategies[plan.desks[owners[0]].strategy].name
        if len(owners) == 1:
            desks[owners[0]] = holdings[at]
        notes.append(f"{plan.instruments[at].name}: the account's position is taken over, for {owner}")
    state = Checkpoint(
        deposit=account.cash,
        peak_equity=account.account_value,
        max_drawdown=0,
        order_seq=0,
        holdings=holdings,
        marks=[entry.reference_price for entry in plan.instruments],
        desks=desks,
        last_fill_ns=account.exch_ts_ns,
        last_funding_ns=account.exch_ts_ns,
        booked_from_ns=account.exch_ts_ns,
        booked_known_ns=account.exch_ts_ns,
        transfers_ns=account.exch_ts_ns,
    )
    return state, notes
