"""Where the last session ended, read from its journal, and where the next one begins.

The state is folded from the last checkpoint on, so that it costs the same after a day as after a month. What the
journal cannot know (an answer under way when the process was killed) the venue tells: see reconciliation.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.config.checkpoint import Checkpoint, PositionState, checkpoint_from_json
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Columns
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.repair import repair
from hatmanifesto.journal.tail import last_checkpoint, read_tail
from hatmanifesto.model import record
from hatmanifesto.model.order import SEQ_SHIFT, desk_of
from hatmanifesto.model.position import Position
from hatmanifesto.trading.seen import LOOK_BACK_NS, Booked

SUFFIX: Final = ".journal"
_FOLDED: Final = (record.FILL, record.FUNDING_PAYMENT, record.SUBMIT, record.DENY, record.EQUITY, record.OPERATOR)


class LastSession(NamedTuple):
    """The newest journal of a session folder, and the state that it ends in."""

    path: Path
    number: int
    digest: str
    closed: bool
    plan: SessionPlan
    state: Checkpoint
    booked: Booked
    notes: list[str]


def journal_path(folder: Path, number: int) -> Path:
    """Return a session's journal file; the names sort as the sessions followed each other."""
    return folder / f"{number:08d}{SUFFIX}"


def find_last(folder: Path) -> LastSession | None:
    """Read the newest journal of a folder that holds a session; repair a torn tail. None when there is none.

    UserError when it is damaged in its middle, or was written by a version that this one cannot read.
    """
    notes: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        if path.stat().st_size == 0:
            notes.append(f"{path.name} is empty and is passed over")
            continue
        tail = read_tail(path)
        if tail.torn_bytes:
            repair(path)
            notes.append(f"{path.name} ended inside a group: {tail.torn_bytes} bytes were cut off and kept beside it")
            tail = read_tail(path)
        found = _read(path, tail.digest.hex(), tail.closed, notes)
        if found is not None:
            _remember_earlier(folder, found)
            return found
        notes.append(f"{path.name} ends before its session began and is passed over")
    return None


def _read(path: Path, digest: str, closed: bool, notes: list[str]) -> LastSession | None:
    with JournalReader(path) as reader:
        first = next(reader.records(kinds={record.SESSION}), None)
    checkpoint = last_checkpoint(path)
    if first is None or checkpoint is None:
        return None
    try:
        opening = msgspec.json.decode(first.payload, type=dict[str, Any])
        plan = msgspec.convert(opening["plan"], SessionPlan)
        state = checkpoint_from_json(checkpoint.payload)
    except (KeyError, msgspec.ValidationError) as error:
        remedy = "use the version that wrote it, or name another --folder"
        raise UserError(f"{path} was written by another version: {error}", remedy) from error
    booked = Booked(state.booked_from_ns)
    # fills of the whole file are known, so that none is booked twice; the state is folded from the checkpoint on
    with JournalReader(path) as reader:
        fold = _Fold(plan, state, checkpoint.seq)
        for columns in reader.columns(_FOLDED):
            _remember(columns, booked)
            fold.take(columns)
    return LastSession(path, int(opening.get("number", 0)), digest, closed, plan, fold.result(booked), booked, notes)


def _remember_earlier(folder: Path, last: LastSession) -> None:
    """Know the fills of the sessions before, too, as far back as the venue will be asked."""
    known = last.booked
    newest = (known.last_fill_ns, known.last_funding_ns)
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        if path >= last.path or path.stat().st_size == 0:
            continue
        earlier = Booked()
        with JournalReader(path) as reader:
            for columns in reader.columns((record.FILL, record.FUNDING_PAYMENT)):
                _remember(columns, earlier)
                _remember(columns, known)
        asked_from = max(*newest, earlier.last_fill_ns, earlier.last_funding_ns) - LOOK_BACK_NS
        if 0 < max(earlier.last_fill_ns, earlier.last_funding_ns) < asked_from:
            return


def _remember(columns: dict[int, Columns], booked: Booked) -> None:
    fills = columns.get(record.FILL)
    if fills is not None:
        for stamp, aux, trade in zip(fills["exch_ts_ns"], fills["aux"], fills["trade_id"], strict=True):
            booked.is_new_fill(int(stamp), int(aux) >> 8, int(trade))
    payments = columns.get(record.FUNDING_PAYMENT)
    if payments is not None:
        for stamp, instrument in zip(payments["exch_ts_ns"], payments["aux"], strict=True):
            booked.is_new_funding(int(stamp), int(instrument))


class _Fold:
    """Applies what came after a checkpoint to it."""

    def __init__(self, plan: SessionPlan, state: Checkpoint, seq: int) -> None:
        self.plan, self.state, self.seq = plan, state, seq
        factors = [entry.build(index).notional_factor for index, entry in enumerate(plan.instruments)]
        self.holdings = [Position(factor) for factor in factors]
        self.desks = [Position(factors[desk.instrument]) for desk in plan.desks]
        for position, start in zip(self.holdings + self.desks, state.holdings + state.desks, strict=True):
            start.put_into(position)
        self.order_seq = state.order_seq
        self.peak, self.drawdown = state.peak_equity, state.max_drawdown

    def take(self, columns: dict[int, Columns]) -> None:
        """Apply a batch of records."""
        fills = columns.get(record.FILL)
        if fills is not None:
            names = ("seq", "aux", "order_id", "side", "price", "size", "fee")
            for seq, aux, *fill in zip(*(fills[name].tolist() for name in names), strict=True):
                if seq > self.seq:
                    self._fill(aux >> 8, bool(aux & 1), *fill)
        payments = columns.get(record.FUNDING_PAYMENT)
        if payments is not None:
            for seq, instrument, amount in zip(
                payments["seq"].tolist(), payments["aux"].tolist(), payments["amount"].tolist(), strict=True
            ):
                if seq > self.seq:
                    self.holdings[instrument].apply_funding(amount)
        for kind in (record.SUBMIT, record.DENY):
            if kind in columns:
                self.order_seq = max(self.order_seq, int(columns[kind]["order_id"].max()) >> SEQ_SHIFT)
        equity = columns.get(record.EQUITY)
        if equity is not None:
            told = (equity[name].tolist() for name in ("seq", "equity", "drawdown"))
            for seq, worth, drawdown in zip(*told, strict=True):
                if seq > self.seq:
                    self.peak = max(self.peak, worth + drawdown)
                    self.drawdown = max(self.drawdown, drawdown)

    def _fill(self, instrument: int, taker: bool, order_id: int, side: int, price: int, size: int, fee: int) -> None:
        self.holdings[instrument].apply_fill(side, price, size, fee, taker)
        owner = int(desk_of(order_id))
        if order_id and owner < len(self.desks) and self.plan.desks[owner].instrument == instrument:
            self.desks[owner].apply_fill(side, price, size, fee, taker)

    def result(self, booked: Booked) -> Checkpoint:
        """Return the state at the journal's end."""
        return msgspec.structs.replace(
            self.state,
            order_seq=self.order_seq,
            peak_equity=self.peak,
            max_drawdown=self.drawdown,
            holdings=[PositionState.of(position) for position in self.holdings],
            desks=[PositionState.of(position) for position in self.desks],
            last_fill_ns=max(self.state.last_fill_ns, booked.last_fill_ns),
            last_funding_ns=max(self.state.last_funding_ns, booked.last_funding_ns),
        )


def carry_over(last: LastSession, plan: SessionPlan) -> tuple[Checkpoint, list[str]]:
    """Return the last session's state in the order of a new plan, and notes on what does not fit it.

    UserError when an instrument with a position is no longer in the plan, or its units changed.
    """
    old = last.plan
    notes: list[str] = []
    places = {entry.name: at for at, entry in enumerate(old.instruments)}
    if old.money_scale != plan.money_scale:
        raise UserError(
            f"money had {old.money_scale} decimals in {last.path.name} and has {plan.money_scale} now",
            "close the position with the old configuration first, or begin in another --folder",
        )
    holdings: list[PositionState] = []
    marks: list[int] = []
    for entry in plan.instruments:
        at = places.pop(entry.name, None)
        before = None if at is None else old.instruments[at]
        if before is None or at is None:
            holdings.append(PositionState())
            marks.append(0)
            continue
        if (before.price_scale, before.size_scale) != (entry.price_scale, entry.size_scale):
            raise UserError(
                f"{entry.name} is counted in other units now than in {last.path.name}",
                "close its position with the old configuration first, or begin in another --folder",
            )
        holdings.append(last.state.holdings[at])
        marks.append(last.state.marks[at])
    cash = 0
    for name, at in places.items():
        held = last.state.holdings[at]
        if held.size != 0:
            raise UserError(
                f"{name} has an open position but is not traded by this configuration",
                f"add {name} to a strategy's instruments, or close the position first",
            )
        cash += held.realized - held.fees + held.rebates + held.funding
    desks: list[PositionState] = []
    known = {_desk_name(old, at): at for at in range(len(old.desks))}
    for index in range(len(plan.desks)):
        found = known.pop(_desk_name(plan, index), None)
        desks.append(PositionState() if found is None else last.state.desks[found])
    for name, at in known.items():
        if last.state.desks[at].size != 0:
            notes.append(f"{name} is gone; its position stays with the account and no strategy quotes for it")
    state = msgspec.structs.replace(
        last.state, deposit=last.state.deposit + cash, holdings=holdings, marks=marks, desks=desks
    )
    return state, notes


def _desk_name(plan: SessionPlan, index: int) -> str:
    desk = plan.desks[index]
    return f"{plan.strategies[desk.strategy].name} on {plan.instruments[desk.instrument].name}"
