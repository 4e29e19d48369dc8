"""One turn after another: what the venue says goes into the engine, the journal is written, then the answer goes out.

Every turn is: feed the engine, write what it recorded with one write, send what it asked for. When the journal
cannot be written, or a strategy fails, nothing of that turn goes out and `failure` says why: the session then ends and
cancels everything. Knows no event loop; `next_timer_ns` says when `on_time` is due.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from hatmanifesto.config.assembly import Session
from hatmanifesto.config.checkpoint import Checkpoint, WorkingOrder
from hatmanifesto.config.commands import OVERRIDES, SOURCES, carry_out
from hatmanifesto.core.risk_manager import FEED_SOURCE, HALT, KILL_SWITCH_SOURCE, RECONCILIATION_SOURCE
from hatmanifesto.core.row_feeder import RowFeeder
from hatmanifesto.errors import UserError
from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.writer import JournalWriteError
from hatmanifesto.model import record
from hatmanifesto.model.order import pack_side_flags
from hatmanifesto.model.order_state import ACKNOWLEDGE, FIND_ABSENT, FIND_OPEN, OPEN, REFUSE_CANCEL, UNKNOWN
from hatmanifesto.trading.clock import Clock
from hatmanifesto.trading.loop_times import LoopTimes
from hatmanifesto.trading.outbox import Outbox
from hatmanifesto.trading.seen import Booked
from hatmanifesto.venues.port import ALL_INSTRUMENTS, Trust, VenueListener

_REPEATED: Final = frozenset({(OPEN, ACKNOWLEDGE)})
_ONLY_WHEN_UNKNOWN: Final = frozenset({FIND_OPEN, FIND_ABSENT})

IN_ORDER: Final = frozenset({"connected"})
"""Notices of what goes as it should."""


class Trader(VenueListener):
    """A venue's listener around one engine. Deaf until `begin`; not safe for threads."""

    def __init__(self, session: Session, outbox: Outbox, clock: Clock, number: int, booked: Booked) -> None:
        self.session = session
        self.engine = session.engine
        self._feeder = RowFeeder(session.engine)
        self.outbox = outbox
        self.clock = clock
        self.number = number
        self.booked = booked
        self.earlier: dict[int, WorkingOrder] = {}
        """Orders of earlier sessions that may be at the venue, until the first reconciliation has dealt with them."""
        self.adopted: dict[int, int] = {}
        """Orders taken over, and the sessions that their client order ids carry."""
        self.transfers_ns = 0
        """Up to which venue time transfers are booked."""
        self.begun = False
        self.failure: BaseException | None = None
        self.turns = 0
        self.turned_ns = 0
        """When the last turn ended."""
        self.times = LoopTimes()
        self.faults: dict[str, int] = {}
        self.trust: dict[int, tuple[Trust, str]] = {
            index: (Trust.DOWN, "not connected yet") for index in range(len(session.instruments))
        }
        self.account_trust = (Trust.DOWN, "not connected yet")
        self.on_account_back: Callable[[], None] = lambda: None
        self.after_turn: Callable[[], None] = lambda: None

    @property
    def next_timer_ns(self) -> int:
        """When the engine wants to be woken, ns; NEVER when nothing is due."""
        return int(self.engine.next_timer_ns)

    def begin(self, opening: Mapping[str, Any]) -> None:
        """Write the session's first records and start the engine, which takes no risk until it is released."""
        now = self.clock()
        self.begun = True
        risk = self.session.risk
        risk.set_account_override(RECONCILIATION_SOURCE, HALT)
        risk.set_account_override(FEED_SOURCE, HALT)
        risk.set_account_override(KILL_SWITCH_SOURCE, HALT)
        try:
            self._blob(record.SESSION, now, msgspec.json.encode({**opening, "start_ns": now}, order="deterministic"))
            self._checkpoint(now)
            self.engine.start(now)
        except JournalWriteError as error:
            self._fail(error)
        self._end_turn(now)

    # -- what the venue says ----------------------------------------------------------------------

    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        """Take market rows, and fire the timers that lie between them."""
        if self.begun and self.failure is None:
            began = self.clock()
            try:
                self._feeder.take(rows)
            except BaseException as error:  # noqa: BLE001 - a strategy's own; the session ends with it
                self._fail(error)
            self._end_turn(began)

    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None:
        """Take the venue's word on an order, unless it only repeats what is known."""
        if self._running():
            began = self.clock()
            try:
                if not self._says_nothing_new(order_id, trigger):
                    self.engine.on_order_event(began, order_id, trigger, reason, exch_ts_ns, venue_order_id)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
            self._end_turn(began)

    def _says_nothing_new(self, order_id: int, trigger: int) -> bool:
        """An answer and the order stream say the same; a question may be answered after its answer became known."""
        order = self.engine.orders.machine.find(order_id)
        if order is None or not order.live():
            return False
        state = int(order.state)
        if trigger == REFUSE_CANCEL and order.cancels_sent == 0:
            return True  # reconciliation asked, not the engine
        return (state, trigger) in _REPEATED or (state != UNKNOWN and trigger in _ONLY_WHEN_UNKNOWN)

    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None:
        """No answer will come: as if its time had run out."""
        if self._running():
            began = self.clock()
            try:
                self.engine.on_timeout(began, order_id)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
            self._end_turn(began)

    def on_fill(
        self,
        now_ns: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        fee: int,
        taker: bool,
        exch_ts_ns: int,
        trade_id: int,
    ) -> None:
        """Take a fill, unless it was booked before."""
        if self._running() and self.booked.is_new_fill(exch_ts_ns, instrument, trade_id, side):
            began = self.clock()
            if self.earlier:
                self._fill_earlier(order_id, size)
            try:
                self.engine.on_fill(began, order_id, instrument, side, price, size, fee, taker, exch_ts_ns, trade_id)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
            self._end_turn(began)

    def _fill_earlier(self, order_id: int, size: int) -> None:
        order = self.earlier.get(order_id)
        if order is not None:
            self.earlier[order_id] = msgspec.structs.replace(order, filled=order.filled + size)

    def session_of(self, order_id: int) -> int:
        """Return the session that an order of the engine's carries in its client order id."""
        return self.adopted.get(order_id, self.number)

    def adopt(self, order_id: int, venue_order_id: int) -> bool:
        """Take an order of an earlier session over as it stands; False when the engine cannot keep it."""
        known = self.earlier.get(order_id)
        if not self._running() or known is None:
            return False
        now = self.clock()
        taken = self.engine.adopt_order(
            now, order_id, known.price, known.size, known.side_flags, known.filled, known.session, venue_order_id
        )
        if taken:
            self.adopted[order_id] = known.session
            del self.earlier[order_id]
        self._end_turn(now)
        return bool(taken)

    def on_funding(
        self,
        now_ns: int,
        instrument: int,
        amount: int,
        rate: int,
        position_size: int,
        oracle_price: int,
        exch_ts_ns: int,
    ) -> None:
        """Take a funding payment, unless it was booked before."""
        if self._running() and self.booked.is_new_funding(exch_ts_ns, instrument):
            began = self.clock()
            self.engine.on_funding(began, instrument, amount, rate, position_size, oracle_price, exch_ts_ns)
            self._end_turn(began)

    def on_trust(self, now_ns: int, instrument: int, trust: Trust, why: str) -> None:
        """Halt while any instrument's data, or the account's own events, cannot be relied on.

        When the account's events are back, something may have been missed: the session reconciles before it goes on.
        """
        if instrument == ALL_INSTRUMENTS:
            was, self.account_trust = self.account_trust, (trust, why)
            if trust == Trust.LIVE:
                self.on_account_back()
            elif was[0] == Trust.LIVE:
                self.hold("reconciliation", "halt", why)
            return
        before = self.feed_trusted
        was, self.trust[instrument] = self.trust[instrument], (trust, why)
        if was[0] == Trust.LIVE and trust != Trust.LIVE:
            self.count_fault("feed_untrusted", why)
        if self.feed_trusted != before or not before:
            self.hold("feed", "none" if self.feed_trusted else "halt", why)

    @property
    def feed_trusted(self) -> bool:
        """Whether every instrument's market data is live."""
        return all(trust == Trust.LIVE for trust, _ in self.trust.values())

    @property
    def account_trusted(self) -> bool:
        """Whether the account's own events arrive."""
        return self.account_trust[0] == Trust.LIVE

    def hold(self, source: str, override: str, why: str) -> None:
        """Set what a source demands of the account, when it is not that already."""
        number = SOURCES[source]
        if self._running() and self.session.risk.account_overrides[number] != OVERRIDES[override]:
            self.command({"command": "override", "override": override, "source": source, "reason": why[:500]})

    def on_notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        """Journal something worth knowing, and count it as a fault unless it is in order."""
        if kind in IN_ORDER:
            self.note({"notice": kind, **data})
        else:
            self.count_fault(kind, msgspec.json.encode(data, order="deterministic").decode())

    # -- time and people --------------------------------------------------------------------------

    def on_time(self) -> None:
        """Fire what is due."""
        now = self.clock()
        if self._running() and self.engine.next_timer_ns <= now:
            try:
                self._feeder.fire(now)
            except BaseException as error:  # noqa: BLE001 - see on_rows
                self._fail(error)
            self._end_turn(now)

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

    def cancel_all(self, reason: int) -> None:
        """Cancel every working order, for a reason of model.reasons."""
        if self._running():
            began = self.clock()
            self._blob(record.OPERATOR, began, msgspec.json.encode({"command": "cancel_all", "reason": reason}))
            self.engine.cancel_all(began, reason)
            self._end_turn(began)

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
        return self.begun and self.failure is None

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
            self._blob(record.CHECKPOINT, now, self.state().as_json())

    def state(self) -> Checkpoint:
        """Return where the session stands."""
        booked = self.booked
        known_ns, fills = booked.newest_fills()
        working = [
            WorkingOrder(
                int(order.order_id),
                self.session_of(int(order.order_id)),
                int(order.price),
                int(order.size),
                int(pack_side_flags(order.side, order.time_in_force, order.reduce_only, order.purpose)),
                int(order.filled),
            )
            for clock in self.session.clocks
            for order in clock.desk.orders.snapshot()
        ]
        return msgspec.structs.replace(
            Checkpoint.of(self.session),
            last_fill_ns=booked.last_fill_ns,
            last_funding_ns=booked.last_funding_ns,
            booked_from_ns=booked.from_ns,
            booked_known_ns=known_ns,
            booked=fills,
            booked_funding=booked.newest_funding(),
            transfers_ns=self.transfers_ns,
            orders=[*self.earlier.values(), *working],
        )

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.outbox.drop()

    def _end_turn(self, began: int) -> None:
        if self.failure is None:
            try:
                self.session.recorder.flush()
            except JournalWriteError as error:
                self._fail(error)
                return
            self.outbox.send(began)
        self.turns += 1
        now = self.turned_ns = self.clock()
        self.times.add(now - began)
        self.after_turn()
