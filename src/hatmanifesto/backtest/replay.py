"""Replays a journal: the same engine, fed every recorded input, must write the same records again, to the bit.

Both streams of records are compared as they come, a group at a time, so that memory stays bounded. They are compared in
their long forms, since groups may end elsewhere in a replay, and a group's first records are never short.
"""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.config.assembly import Session, assemble
from hatmanifesto.config.checkpoint import checkpoint_from_json
from hatmanifesto.config.commands import carry_out
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.config.strategies import load_strategy, make_strategy
from hatmanifesto.core.strategy import Quotes, Strategy, View
from hatmanifesto.errors import UserError
from hatmanifesto.instants import utc_text
from hatmanifesto.journal.columns import Batch, first_changed, record_starts, split, widen
from hatmanifesto.journal.format import DamagedError, Group, pack_blob
from hatmanifesto.journal.reader import JournalReader, Record, records_of
from hatmanifesto.model import record
from hatmanifesto.model.order import (
    IMMEDIATE_OR_CANCEL,
    NO_URGENCY,
    REDUCE_ONLY_BIT,
    side_of,
    time_in_force_of,
    urgency_of,
)
from hatmanifesto.model.order_state import OrderState
from hatmanifesto.model.ports import OrderGateway, RecordSink

RECORDED: Final = "recorded"

Progress = Callable[[int, int], None]
"""Called with bytes done and in all."""


class Until(NamedTuple):
    """Where a replay stops: after the last record stamped at most `ts_ns`, or after record `seq`."""

    ts_ns: int | None = None
    seq: int | None = None

    def passed(self, entry: Record) -> bool:
        """Tell whether a record lies beyond."""
        if self.seq is not None:
            return entry.seq > self.seq
        return self.ts_ns is not None and entry.ts_ns > self.ts_ns


class Difference(NamedTuple):
    """The first record that is not the same again; None where one side has no more records."""

    seq: int
    journal: Record | None
    replay: Record | None

    def describe(self) -> str:
        """Say what differs, by name."""
        if self.journal is None:
            assert self.replay is not None
            return f"record {self.seq}: the journal has no more, the replay writes {_named(self.replay)}"
        if self.replay is None:
            return f"record {self.seq}: the journal has {_named(self.journal)}, the replay nothing"
        if self.journal == self.replay:
            return (
                f"record {self.seq} ({self.journal.name}): same contents, another check: it was changed "
                "after it was written; `hat journal verify` says more"
            )
        if self.journal.kind != self.replay.kind:
            journal, replay = _named(self.journal), _named(self.replay)
            return f"record {self.seq}: the journal has {journal}, the replay {replay}"
        was, now = _contents(self.journal), _contents(self.replay)
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        changes = ", ".join(f"{name} {was.get(name)} in the journal, {now.get(name)} now" for name in names)
        return f"record {self.seq} ({self.journal.name}): {changes}"


class Outcome(NamedTuple):
    """What a replay found. `strategies` says of each whether it was run again or its answers repeated."""

    session: Session
    opening: dict[str, Any]
    records: int
    last_seq: int
    last_ts_ns: int
    closed: bool
    strategies: dict[str, str]
    difference: Difference | None
    notes: list[str]

    @property
    def equal(self) -> bool:
        """Whether every record came out the same."""
        return self.difference is None


def replay_journal(
    path: Path, strategy: str = "", until: Until | None = None, progress: Progress = lambda done, total: None
) -> Outcome:
    """Replay a journal from its start. `strategy` is empty (run the session's own again where its source is
    unchanged), RECORDED, or a strategy's name or `path.py:Class` for all desks.

    UserError (exit code 2) when the file cannot be read, has no session, or the strategy cannot be loaded.
    """
    try:
        with JournalReader(path) as reader:
            return _Replay(reader, path, strategy, until or Until(), progress).run()
    except DamagedError as error:
        message = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise UserError(message, error.remedy) from error


class NowhereGateway(OrderGateway):
    """Takes requests and sends nothing: what the venue answered is in the journal."""

    def place(
        self,
        now: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        time_in_force: int,
        reduce_only: bool,
    ) -> None:
        pass

    def cancel(self, now: int, order_id: int, instrument: int) -> None:
        pass

    def query(self, now: int, order_id: int, instrument: int) -> None:
        pass


class RecordedStrategy(Strategy):
    """Answers what was recorded: `wanted` as (price, size, side_flags)."""

    def __init__(self) -> None:
        self.wanted: list[tuple[int, int, int]] = []
        self.hold_reason = 0

    def quote(self, view: View, quotes: Quotes) -> None:
        if self.hold_reason:
            quotes.hold(self.hold_reason)
        for price, size, flags in self.wanted:
            side = side_of(flags)
            takes = time_in_force_of(flags) == IMMEDIATE_OR_CANCEL
            if flags & REDUCE_ONLY_BIT:
                quotes.exit(side, price, size, not takes, urgency_of(flags))
            elif urgency_of(flags) != NO_URGENCY:
                quotes.work(side, price, size, urgency_of(flags))
            elif takes:
                quotes.take(side, price, size)
            elif side > 0:
                quotes.bid(price, size)
            else:
                quotes.ask(price, size)


class Comparison(RecordSink):
    """Holds what the journal says against what the engine writes, both in long forms, and drops what is the same."""

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.expected = bytearray()
        self.produced = bytearray()
        self.difference: Difference | None = None
        self.unsound: Record | None = None  # the journal's first record whose check is not that of its words

    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        self.produced += widen([Group(first_seq, count, bytes(payload))]).data

    def compare(self, ended: bool = False, closed: bool = False) -> None:
        """Compare what both sides have; with `ended` nothing more will come.

        A journal that was not closed may lack what its last input led to.
        """
        if self.difference is not None:
            self.expected.clear()
            self.produced.clear()
            return
        both = min(len(self.expected), len(self.produced))
        different = self.expected[:both] != self.produced[:both]
        if different:
            self._find()
        elif both:
            # equal words are equal lengths, so this cuts both sides between two records
            self.first_seq += len(record_starts(bytes(self.expected[:both])))
            del self.expected[:both]
            del self.produced[:both]
        unsound = self.unsound
        if unsound is not None and unsound.seq < self.first_seq:
            self.difference = Difference(unsound.seq, unsound, unsound)
        elif ended and not different and (self.expected or (self.produced and closed)):
            self.difference = Difference(
                self.first_seq, _first(self.expected, self.first_seq), _first(self.produced, self.first_seq)
            )

    def _find(self) -> None:
        was, now = _split(bytes(self.expected)), _split(bytes(self.produced))
        for at, (journal, replay) in enumerate(zip(was, now, strict=False)):
            if journal != replay:
                self.first_seq += at
                self.difference = Difference(
                    self.first_seq, _first(journal, self.first_seq), _first(replay, self.first_seq)
                )
                return
        raise AssertionError("the bytes differ, but no record does")


class _Replay:
    def __init__(self, reader: JournalReader, path: Path, strategy: str, until: Until, progress: Progress) -> None:
        self.reader, self.path, self.until, self.progress = reader, path, until, progress
        self.groups = reader.groups()
        self.notes: list[str] = []
        self.opening, first = self._read_opening()
        self.first_seq = first.seq
        self.plan = self._read_plan()
        self.strategies: dict[str, str] = {}
        self.comparison = Comparison(first.seq + 1)
        self.session = assemble(self.plan, self._load(strategy), NowhereGateway(), self.comparison, first.seq + 1)
        self.engine = self.session.engine
        self.engine.replaying = True
        self.engine.start(int(self.opening.get("start_ns", first.ts_ns)))
        self.last = first
        self.began_ns = first.ts_ns
        self.records = 1
        self.closed = False

    # -- what the session was -------------------------------------------------------------------------

    def _read_opening(self) -> tuple[dict[str, Any], Record]:
        group = next(self.groups, None)
        self.first_group = group
        entries = [] if group is None else list(records_of(group))
        if not entries:
            raise UserError(f"{self.path} holds no records", "replay a journal that a run has written")
        if entries[0].kind != record.SESSION:
            raise UserError(
                f"{self.path} does not begin with a session record", "replay the session's first journal file"
            )
        try:
            opening = msgspec.json.decode(entries[0].payload, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise UserError(f"{self.path}: the session record cannot be read: {error}") from error
        return opening, entries[0]

    def _read_plan(self) -> SessionPlan:
        try:
            return msgspec.convert(self.opening.get("plan"), SessionPlan)
        except msgspec.ValidationError as error:
            raise UserError(
                f"{self.path}: the session's plan cannot be read: {error}",
                "replay it with the version that wrote it: " + str(self.opening.get("version", "unknown")),
            ) from error

    def _load(self, chosen: str) -> list[Strategy]:
        """Return one strategy object a desk, and say in `strategies` what it is."""
        built: list[Strategy] = []
        for desk in self.plan.desks:
            entry = self.plan.strategies[desk.strategy]
            name = chosen or entry.cls
            if name == RECORDED:
                self.strategies[entry.name] = "its recorded answers"
                built.append(RecordedStrategy())
                continue
            try:
                loaded = load_strategy(name, self.path.parent)
                if not chosen and loaded.source_hash != entry.source_hash:
                    raise UserError(f"the source of {name} has changed since the session")
                built.append(make_strategy(loaded, desk.params))
                self.strategies[entry.name] = f"{name}, run again"
            except UserError as error:
                if chosen:
                    raise
                if entry.name not in self.strategies:
                    self.notes.append(f"{error.message}: the recorded answers of {entry.name} are replayed")
                self.strategies[entry.name] = "its recorded answers"
                built.append(RecordedStrategy())
        return built

    # -- the way through ------------------------------------------------------------------------------

    def run(self) -> Outcome:
        total = max(1, self.path.stat().st_size)
        done = False
        held: Record | None = None
        opening_group = [] if self.first_group is None else [self.first_group]
        for group in chain(opening_group, self.groups):
            wide = widen([group])
            changed = first_changed(split([group]))
            begin = taken = 0
            for entry, length in _entries(group, wide):
                if entry.kind == record.SESSION and entry.seq == self.first_seq:
                    begin = taken = length
                    continue
                if self.until.passed(entry):
                    done = True
                    break
                taken += length
                self.records += 1
                self.last = entry
                if held is not None:
                    self._settle(held, entry)
                    held = None
                if entry.kind == record.ORDER_EVENT:
                    held = entry  # the venue's id may follow
                elif entry.kind != record.VENUE_ID:
                    self._feed(entry)
                if entry.seq == changed and self.comparison.unsound is None:
                    self.comparison.unsound = entry
            self.comparison.expected += wide.data[begin:taken]
            if not done:
                self._compare()
            self.progress(group.end, total)
            if done or self.comparison.difference is not None:
                break
        if held is not None:
            self._settle(held, None)
        self._compare(ended=not done)
        if self.comparison.difference is None and not self.closed and not done:
            self.notes.append("the journal has no closing record: its session did not end in order")
        if not done and self.until != Until():
            end = utc_text(self.last.ts_ns)
            self.notes.append(f"the journal ends before that, at {end} with record {self.last.seq}")
        elif self.until.ts_ns is not None and self.until.ts_ns < self.began_ns:
            self.notes.append(f"the journal begins after that, at {utc_text(self.began_ns)}; this is how it began")
        return Outcome(
            self.session,
            self.opening,
            self.records,
            self.last.seq,
            self.last.ts_ns,
            self.closed,
            self.strategies,
            self.comparison.difference,
            self.notes,
        )

    def _compare(self, ended: bool = False) -> None:
        self.session.recorder.flush()
        self.comparison.compare(ended, self.closed)

    def _settle(self, held: Record, following: Record | None) -> None:
        """Give the engine an order event, with the venue's id from the record that follows it."""
        order_id, exch_ts = held.values
        venue_id = 0
        if following is not None and following.kind == record.VENUE_ID and following.values[0] == order_id:
            venue_id = following.values[1]
        self.engine.on_order_event(held.ts_ns, order_id, held.aux & 0xFF, held.aux >> 8, exch_ts, venue_id)

    def _feed(self, entry: Record) -> None:
        """Give the engine one input; what it wrote itself is only compared."""
        engine, now, aux, values = self.engine, entry.ts_ns, entry.aux, entry.values
        if entry.kind == record.VIEW:
            self._decide(entry)
        elif entry.kind == record.FILL:
            order_id, price, size, fee, exch_ts, trade_id, side = values
            engine.on_fill(now, order_id, aux >> 8, side, price, size, fee, aux & 1 == 1, exch_ts, trade_id)
        elif entry.kind == record.TIMEOUT:
            engine.on_timeout(now, values[0])
        elif entry.kind == record.ADOPT:
            engine.adopt_order(now, *values)
        elif entry.kind == record.FUNDING_PAYMENT:
            engine.on_funding(now, aux, *values)
        elif entry.kind == record.CONTEXT:
            self.session.portfolio.holdings[aux].funding_rate = values[2]
            self.session.recorder.put3(record.CONTEXT, aux, now, *values)
        elif entry.kind >= record.FIRST_BLOB:
            self.session.recorder.blob(pack_blob(entry.kind, now, aux, entry.payload, entry.seq))
            if entry.kind == record.OPERATOR:
                self._operate(entry)
            elif entry.kind == record.CHECKPOINT and entry.seq == self.first_seq + 1:
                self._restore(entry)
            self.closed = entry.kind == record.CLOSE

    def _decide(self, entry: Record) -> None:
        decision = entry.values[0]
        clocks = self.session.clocks
        if decision & 0xFF >= len(clocks):
            raise UserError(f"record {entry.seq}: there is no desk {decision & 0xFF} in the session's plan")
        clock = clocks[decision & 0xFF]
        view = clock.view
        (
            view.bid_price,
            view.bid_size,
            view.ask_price,
            view.ask_size,
            view.book_ts_ns,
            view.mark_price,
            view.buy_volume,
            view.sell_volume,
            view.trades,
            view.order_flow_imbalance,
        ) = entry.values[1:11]
        deeper = 4 * (((decision >> 8) & 0xFF) - 1) + ((decision >> 40) & 0xFF)
        if deeper != len(view.deeper_words):
            raise UserError(f"record {entry.seq}: a view of another depth than the session's plan says")
        for word in range(deeper):
            view.set_deeper(word, entry.values[11 + word])
        strategy = clock.strategy
        if isinstance(strategy, RecordedStrategy):
            wanted = entry.values[11 + deeper :]
            strategy.hold_reason = (decision >> 32) & 0xFF
            strategy.wanted = [(wanted[at], wanted[at + 1], wanted[at + 2]) for at in range(0, len(wanted) - 2, 3)]
        try:
            self.engine.decide_on_view(clock, entry.ts_ns, (decision >> 16) & 0xFF)
        except Exception as error:  # noqa: BLE001 - a strategy's own; its view was recorded first
            name = self.session.desk_name(decision & 0xFF)
            self.notes.append(f"record {entry.seq}: {name} raised {type(error).__name__}: {error}")

    def _operate(self, entry: Record) -> None:
        """Carry out a command; one that was refused then is refused now."""
        try:
            carry_out(self.session, entry.ts_ns, msgspec.json.decode(entry.payload, type=dict[str, Any]))
        except UserError as error:
            self.notes.append(f"record {entry.seq}: the command was refused: {error.message}")

    def _restore(self, entry: Record) -> None:
        """Begin where the session's first checkpoint says; later ones only tell."""
        try:
            checkpoint_from_json(entry.payload).restore(self.session)
        except (msgspec.ValidationError, ValueError) as error:
            raise UserError(f"record {entry.seq}: the checkpoint cannot be used: {error}") from error


def _entries(group: Group, wide: Batch) -> Iterator[tuple[Record, int]]:
    """Yield a group's records with their lengths in bytes in `wide`, its long forms."""
    starts = [*(wide.starts * 8).tolist(), len(wide.data)]
    for at, entry in enumerate(records_of(group)):
        yield entry, starts[at + 1] - starts[at]


def _split(data: bytes) -> list[bytes]:
    """Return the bytes of every record."""
    starts = [int(word) * 8 for word in record_starts(data)] + [len(data)]
    return [data[start:end] for start, end in pairwise(starts)]


def _first(data: bytes | bytearray, seq: int) -> Record | None:
    """Decode the first record."""
    raw = _split(bytes(data))
    return next(records_of(Group(seq, 1, raw[0]))) if raw else None


def _contents(entry: Record) -> dict[str, Any]:
    values: dict[str, Any] = {"ts_ns": entry.ts_ns, "aux": entry.aux}
    if entry.payload:
        values["payload"] = entry.payload.decode(errors="replace")
        return values
    values |= entry.fields()
    named = len(values) - 2
    values |= {f"word {at + 2}": value for at, value in enumerate(entry.values) if at >= named}
    return values


def _named(entry: Record) -> str:
    return f"{entry.name}({', '.join(f'{name}={value}' for name, value in _contents(entry).items())})"


# -- the state at an instant ------------------------------------------------------------------------------


def state_of(outcome: Outcome) -> dict[str, Any]:
    """Return where the session stood after the last replayed record: orders, positions, equity, views."""
    session = outcome.session
    money = session.instruments[0].money_text if session.instruments else str
    portfolio = session.portfolio
    orders = []
    for index, clock in enumerate(session.clocks):
        for order in clock.desk.orders.snapshot():
            instrument = session.instruments[order.instrument]
            orders.append(
                {
                    "order_id": int(order.order_id),
                    "desk": session.desk_name(index),
                    "side": "buy" if order.side > 0 else "sell",
                    "price": instrument.price_text(order.price),
                    "size": instrument.size_text(order.size),
                    "filled": instrument.size_text(order.filled),
                    "state": OrderState(int(order.state)).name,
                    "reduce_only": bool(order.reduce_only),
                }
            )
    positions = []
    for instrument, holding in zip(session.instruments, portfolio.holdings, strict=True):
        position = holding.position
        positions.append(
            {
                "instrument": instrument.name,
                "size": instrument.size_text(position.size),
                "average_price": instrument.price_text(position.average_price),
                "mark_price": instrument.price_text(holding.mark_price),
                "realized": money(position.realized),
                "unrealized": money(position.unrealized(holding.mark_price)),
                "fees": money(position.fees - position.rebates),
                "funding": money(position.funding),
            }
        )
    views = []
    for index, clock in enumerate(session.clocks):
        view, instrument = clock.view, session.instruments[clock.desk.holding.instrument.index]
        if clock.decisions == 0:
            continue
        views.append(
            {
                "desk": session.desk_name(index),
                "ts_ns": int(view.now_ns),
                "bid": instrument.price_text(view.bid_price),
                "bid_size": instrument.size_text(view.bid_size),
                "ask": instrument.price_text(view.ask_price),
                "ask_size": instrument.size_text(view.ask_size),
                "position": instrument.size_text(clock.desk.position.size),
                "decisions": int(clock.decisions),
            }
        )
    equity = int(portfolio.value())
    peak = max(equity, int(portfolio.peak_equity))
    return {
        "seq": outcome.last_seq,
        "ts_ns": outcome.last_ts_ns,
        "equity": money(equity),
        "cash": money(portfolio.cash()),
        "drawdown": money(peak - equity),
        "max_drawdown": money(max(int(portfolio.max_drawdown), peak - equity)),
        "orders": orders,
        "positions": positions,
        "views": views,
        "faults": int(session.engine.orders.faults),
    }
