"""One turn after another: what the venue says goes into the engine, the journal is written, then the answer goes out.

Every turn is: feed the engine, write what it recorded with one write, send what it asked for. When the journal
cannot be written, or a strategy fails, new orders are dropped, cancels still go out, and `failure` says why: the
session ends then. Knows no event loop; `next_timer_ns` says when `on_time` is due.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.config.assembly import Session
from hatmanifesto.config.checkpoint import Checkpoint
from hatmanifesto.config.commands import carry_out
from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.writer import JournalWriteError
from hatmanifesto.model import reasons, record
from hatmanifesto.model.market_row import WORD_LOCAL_TS
from hatmanifesto.model.order_state import ACKNOWLEDGE, FIND_ABSENT, FIND_OPEN, OPEN, REFUSE_CANCEL, UNKNOWN
from hatmanifesto.model.ports import NEVER
from hatmanifesto.trading.clock import Clock
from hatmanifesto.trading.loop_times import LoopTimes
from hatmanifesto.trading.outbox import Outbox
from hatmanifesto.trading.seen import Booked
from hatmanifesto.venues.port import Venue as VenuePort
from hatmanifesto.venues.port import VenueFill, VenueFunding

_REPEATED: Final = frozenset({(OPEN, ACKNOWLEDGE)})
_ONLY_WHEN_UNKNOWN: Final = frozenset({FIND_OPEN, FIND_ABSENT})
MAX_OVERDUE: Final = 1_000
"""Timers fired in one turn at most, so that an engine that never comes to rest is noticed."""


class Trader:
    """A venue's listener around one engine. Start with `begin`; not safe for threads."""

    def __init__(self, session: Session, outbox: Outbox, venue: VenuePort, clock: Clock, booked: Booked) -> None:
        self.session = session
        self.engine = session.engine
        self.outbox = outbox
        self.venue = venue
        self.clock = clock
        self.booked = booked
        self.failure: BaseException | None = None
        self.turns = 0
        self.times = LoopTimes()
        self.faults: dict[str, int] = {}
        self.untrusted: dict[int, str] = {}
        self.account_stream_why = "not connected yet"
        self.account_stream_whole = False
        self.on_account_stream_back: Callable[[], None] = lambda: None
        self.after_turn: Callable[[], None] = lambda: None
        outbox.machine = session.engine.machine

    @property
    def next_timer_ns(self) -> int:
        """When the engine wants to be woken, ns; NEVER when nothing is due."""
        return int(self.engine.next_timer_ns)

    def begin(self, opening: Mapping[str, Any]) -> None:
        """Write the session's first records and start the engine."""
        now = self.clock()
        self._blob(record.SESSION, now, msgspec.json.encode({**opening, "start_ns": now}, order="deterministic"))
        self._checkpoint(now)
        self.engine.start(now)
        self._end_turn(now)

    # -- what the venue says ----------------------------------------------------------------------

    def on_rows(self, words: vec[i64]) -> None:
        """Take market rows, and fire the timers that lie between them."""
        began = self.clock()
        if self._running():
            try:
                self._take_rows(words)
            except BaseException as error:  # noqa: BLE001 - a strategy's own; the session ends with it
                self._fail(error)
        self._end_turn(began)

    def _take_rows(self, words: vec[i64]) -> None:
        engine = self.engine
        at, end = 0, len(words)
        while at < end:
            stamp = int(words[at + WORD_LOCAL_TS])
            if engine.next_timer_ns < stamp:
                self._fire_timers(stamp)
            taken = engine.on_rows(words, at, end, NEVER, WORD_LOCAL_TS, 0)
            if taken == at:
                raise RuntimeError(f"the engine takes no row at {stamp} ns; this is a defect, please report it")
            at = int(taken)

    def on_order_event(
        self, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int, text: str
    ) -> None:
        """Take the venue's word on an order, unless it only repeats what is known."""
        now = self.clock()
        if self._running():
            try:
                if text and reason == reasons.VENUE_OTHER:
                    self._note(now, {"order_id": order_id, "venue_says": text[:500]})
                if not self._says_nothing_new(order_id, trigger):
                    self.engine.on_order_event(now, order_id, trigger, reason, exch_ts_ns, venue_order_id)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
        self._end_turn(now)

    def _says_nothing_new(self, order_id: int, trigger: int) -> bool:
        """An answer and the order stream say the same; a question may be answered after its answer became known."""
        order = self.engine.machine.find(order_id)
        if order is None or not order.live():
            return False
        state = int(order.state)
        if trigger == REFUSE_CANCEL and order.cancels_sent == 0:
            return True  # reconciliation asked, not the engine
        return (state, trigger) in _REPEATED or (state != UNKNOWN and trigger in _ONLY_WHEN_UNKNOWN)

    def on_fill(self, fill: VenueFill) -> None:
        """Take a fill, unless it was booked before."""
        now = self.clock()
        if self._running() and self.booked.is_new_fill(fill):
            try:
                self.engine.on_fill(
                    now,
                    fill.order_id,
                    fill.instrument,
                    fill.side,
                    fill.price,
                    fill.size,
                    fill.fee,
                    fill.taker,
                    fill.ts_ns,
                    fill.trade_id,
                )
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
        self._end_turn(now)

    def on_funding(self, payment: VenueFunding) -> None:
        """Take a funding payment, unless it was booked before."""
        now = self.clock()
        if self._running() and self.booked.is_new_funding(payment):
            self.engine.on_funding(
                now,
                payment.instrument,
                payment.amount,
                payment.rate,
                payment.position_size,
                payment.oracle_price,
                payment.ts_ns,
            )
        self._end_turn(now)

    def on_feed(self, instrument: int, trusted: bool, why: str) -> None:
        """Halt while any instrument's market data cannot be trusted, and go on when all can."""
        before = bool(self.untrusted)
        if trusted:
            if instrument < 0:
                self.untrusted.clear()
            self.untrusted.pop(instrument, None)
        else:
            self.untrusted[instrument] = why
            self.count_fault("feed_untrusted", why)
        if bool(self.untrusted) != before:
            override = "halt" if self.untrusted else "none"
            self.command({"command": "override", "override": override, "source": "feed", "reason": why})

    def on_account_stream(self, whole: bool, why: str) -> None:
        """Halt while order and fill messages may be missing; the session reconciles before it goes on."""
        was, self.account_stream_whole, self.account_stream_why = self.account_stream_whole, whole, why
        if whole:
            self.on_account_stream_back()
        elif was:
            self.command({"command": "override", "override": "halt", "source": "reconciliation", "reason": why})

    def on_fault(self, what: str, detail: str) -> None:
        """Count and journal something that must not be."""
        self.count_fault(what, detail)

    # -- time and people --------------------------------------------------------------------------

    def on_time(self) -> None:
        """Fire what is due."""
        now = self.clock()
        if self._running() and self.engine.next_timer_ns <= now:
            try:
                self._fire_timers(now)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
            self._end_turn(now)

    def _fire_timers(self, until: int) -> None:
        engine = self.engine
        for _ in range(MAX_OVERDUE):
            due = int(engine.next_timer_ns)
            if due > until:
                return
            engine.on_timer(max(due, int(engine.now)))
        raise RuntimeError(f"the engine's timers do not come to rest at {until} ns; this is a defect, please report it")

    def command(self, command: Mapping[str, Any]) -> None:
        """Journal a command and carry it out. UserError when it cannot be done; it is in the journal all the same."""
        now = self.clock()
        if self.failure is not None:
            raise UserError("the session is ending", "see its last words, and start it again")
        refused: UserError | None = None
        try:
            self._blob(record.OPERATOR, now, msgspec.json.encode(command, order="deterministic"))
            carry_out(self.session, now, command)
        except UserError as error:
            refused = error
        except BaseException as error:  # noqa: BLE001 - see on_rows
            self._fail(error)
        self._end_turn(now)
        if refused is not None and self.failure is None:
            raise refused

    def note(self, content: Mapping[str, Any]) -> None:
        """Journal something worth knowing that changes nothing."""
        now = self.clock()
        self._note(now, content)
        self._end_turn(now)

    def checkpoint(self) -> None:
        """Journal where the session stands, so that the next one need not read further back."""
        now = self.clock()
        self._checkpoint(now)
        self._end_turn(now)

    def count_fault(self, what: str, detail: str) -> None:
        """Count a fault and journal it; the first of a kind and then ever rarer, so that a flood fills no disk."""
        count = self.faults[what] = self.faults.get(what, 0) + 1
        if count & (count - 1) == 0:
            self.note({"fault": what, "detail": detail[:500], "count": count})

    # -- a turn's parts ---------------------------------------------------------------------------

    def _running(self) -> bool:
        return self.failure is None

    def _blob(self, kind: int, now: int, payload: bytes) -> None:
        recorder = self.session.recorder
        recorder.flush()
        recorder.blob(pack_blob(kind, now, 0, payload, int(recorder.seq)))

    def _note(self, now: int, content: Mapping[str, Any]) -> None:
        if self._running():
            try:
                self._blob(record.NOTE, now, msgspec.json.encode(content, order="deterministic"))
            except JournalWriteError as error:
                self._fail(error)

    def _checkpoint(self, now: int) -> None:
        if self._running():
            state = Checkpoint.of(self.session, self.booked.last_fill_ns, self.booked.last_funding_ns)
            self._blob(record.CHECKPOINT, now, state.as_json())

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.outbox.drop_places()

    def _end_turn(self, began: int) -> None:
        if self.failure is None:
            try:
                self.session.recorder.flush()
            except JournalWriteError as error:
                self._fail(error)
        self.outbox.send(self.venue)
        self.turns += 1
        self.times.add(self.clock() - began)
        self.after_turn()
