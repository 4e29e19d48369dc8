"""Where the last session ended, read from its journal, and where the next one begins.

The state is folded from the last checkpoint on, so that it costs the same after a day as after a month. What the
journal cannot know (an answer under way when the process was killed) the venue tells: see reconciliation.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.config.checkpoint import Checkpoint, DeskState, PositionState, WorkingOrder, checkpoint_from_json
from hatmanifesto.config.commands import OVERRIDES
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.core.risk_manager import CLOSE, NO_OVERRIDE, OPERATOR_SOURCE
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Columns
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.repair import repair
from hatmanifesto.journal.tail import last_checkpoint, read_tail
from hatmanifesto.model import record
from hatmanifesto.model.order import SEQ_SHIFT, desk_of
from hatmanifesto.model.order_state import CONFIRM_CANCEL, EXPIRE, FIND_ABSENT, REJECT
from hatmanifesto.model.position import Position
from hatmanifesto.trading.seen import Booked

SUFFIX: Final = ".journal"
_FOLDED: Final = (
    record.FILL, record.FUNDING_PAYMENT, record.SUBMIT, record.ADOPT, record.DENY, record.ORDER_EVENT, record.EQUITY,
    record.OPERATOR,
)  # fmt: skip
_ENDS: Final = frozenset({REJECT, CONFIRM_CANCEL, EXPIRE, FIND_ABSENT})


class LastSession(NamedTuple):
    """The newest journal of a session folder, and the state that it ends in."""

    path: Path
    number: int
    digest: str
    closed: bool
    plan: SessionPlan
    state: Checkpoint
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
    known_ns = state.booked_known_ns if state.booked_known_ns or state.booked else state.last_fill_ns
    booked = Booked(state.booked_from_ns, known_ns)
    booked.restore(state)
    number = int(opening.get("number", 0))
    fold = _Fold(plan, state, checkpoint.seq, number, booked)
    with JournalReader(path) as reader:
        for columns in reader.columns(_FOLDED, checkpoint.offset):
            fold.take(columns)
    return LastSession(path, number, digest, closed, plan, fold.result(), notes)


class _Fold:
    """Applies what came after a checkpoint to it."""

    def __init__(self, plan: SessionPlan, state: Checkpoint, seq: int, number: int, booked: Booked) -> None:
        self.plan, self.state, self.seq, self.number, self.booked = plan, state, seq, number, booked
        factors = [entry.build(index).notional_factor for index, entry in enumerate(plan.instruments)]
        self.holdings = [Position(factor) for factor in factors]
        self.desks = [Position(factors[desk.instrument]) for desk in plan.desks]
        for position, start in zip(self.holdings + self.desks, state.holdings + state.desks, strict=True):
            start.put_into(position)
        self.order_seq = state.order_seq
        self.peak, self.drawdown = state.peak_equity, state.max_drawdown
        self.orders = {order.order_id: order for order in state.orders}
        self.deposit, self.transfers_ns = state.deposit, state.transfers_ns
        self.overrides, self.account_scale = list(state.overrides), state.account_scale
        self.desk_states = state.desk_states or [DeskState() for _ in plan.desks]

    def take(self, columns: dict[int, Columns]) -> None:
        """Apply a batch of records: of an order, its submission comes before its fills, and these before its end."""
        for kind in (record.SUBMIT, record.DENY):
            if kind in columns:
                self.order_seq = max(self.order_seq, int(columns[kind]["order_id"].max()) >> SEQ_SHIFT)
        for seq, order_id, price, size, flags in _rows(
            columns, record.SUBMIT, "order_id", "price", "size", "side_flags"
        ):
            if seq > self.seq:
                self.orders[order_id] = WorkingOrder(order_id, self.number, price, size, flags)
        for seq, order_id, price, size, flags, filled, session in _rows(
            columns, record.ADOPT, "order_id", "price", "size", "side_flags", "filled", "session"
        ):
            if seq > self.seq:
                self.orders[order_id] = WorkingOrder(order_id, session, price, size, flags, filled)
        for seq, aux, exch_ns, trade, *fill in _rows(
            columns, record.FILL, "aux", "exch_ts_ns", "trade_id", "order_id", "side", "price", "size", "fee"
        ):
            if seq > self.seq:
                self.booked.is_new_fill(exch_ns, aux >> 8, trade, fill[1])
                self._fill(aux >> 8, bool(aux & 1), *fill)
        for seq, instrument, amount, exch_ns in _rows(columns, record.FUNDING_PAYMENT, "aux", "amount", "exch_ts_ns"):
            if seq > self.seq:
                self.booked.is_new_funding(exch_ns, instrument)
                self.holdings[instrument].apply_funding(amount)
        for seq, aux, order_id in _rows(columns, record.ORDER_EVENT, "aux", "order_id"):
            if seq > self.seq and aux & 0xFF in _ENDS:
                self.orders.pop(order_id, None)
        for seq, worth, drawdown in _rows(columns, record.EQUITY, "equity", "drawdown"):
            if seq > self.seq:
                self.peak = max(self.peak, worth + drawdown)
                self.drawdown = max(self.drawdown, drawdown)
        for seq, payload in _rows(columns, record.OPERATOR, "payload"):
            if seq > self.seq:
                self._command(msgspec.json.decode(payload, type=dict[str, Any]))

    def _fill(self, instrument: int, taker: bool, order_id: int, side: int, price: int, size: int, fee: int) -> None:
        self.holdings[instrument].apply_fill(side, price, size, fee, taker)
        owner = int(desk_of(order_id))
        if order_id and owner < len(self.desks) and self.plan.desks[owner].instrument == instrument:
            self.desks[owner].apply_fill(side, price, size, fee, taker)
        order = self.orders.get(order_id)
        if order is not None:
            left = msgspec.structs.replace(order, filled=order.filled + size)
            if left.filled < left.size:
                self.orders[order_id] = left
            else:
                del self.orders[order_id]

    def _command(self, command: dict[str, Any]) -> None:
        """What people said outlives the process too: pauses, closings, and money paid in or taken out."""
        name, desk = command.get("command"), command.get("desk", -1)
        owners = [desk] if isinstance(desk, int) and 0 <= desk < len(self.desk_states) else range(len(self.desk_states))
        if name == "transfer":
            self.deposit += int(command.get("amount", 0))
            self.peak += int(command.get("amount", 0))
            self.transfers_ns = max(self.transfers_ns, int(command.get("until_ns", 0)))
        elif name == "override" and command.get("source", "operator") == "operator":
            override = OVERRIDES.get(str(command.get("override")), NO_OVERRIDE)
            scale = int(command.get("scale_percent", 100))
            if desk == -1 and self.overrides:
                self.overrides[OPERATOR_SOURCE], self.account_scale = override, scale
            elif desk != -1:
                for owner in owners:
                    self.desk_states[owner] = DeskState(override, scale, self.desk_states[owner].closing_bps)
        elif name in ("close", "open"):
            for owner in owners:
                self.desk_states[owner] = (
                    DeskState(CLOSE, 100, int(command.get("slippage_bps", 50))) if name == "close" else DeskState()
                )

    def result(self) -> Checkpoint:
        """Return the state at the journal's end."""
        known_ns, fills = self.booked.newest_fills()
        return msgspec.structs.replace(
            self.state,
            deposit=self.deposit,
            transfers_ns=self.transfers_ns,
            overrides=self.overrides,
            account_scale=self.account_scale,
            desk_states=self.desk_states,
            orders=list(self.orders.values()),
            order_seq=self.order_seq,
            peak_equity=self.peak,
            max_drawdown=self.drawdown,
            holdings=[PositionState.of(position) for position in self.holdings],
            desks=[PositionState.of(position) for position in self.desks],
            last_fill_ns=self.booked.last_fill_ns,
            last_funding_ns=self.booked.last_funding_ns,
            booked_known_ns=known_ns,
            booked=fills,
            booked_funding=self.booked.newest_funding(),
        )


def _rows(columns: dict[int, Columns], kind: int, *names: str) -> Any:
    """Return a kind's records as tuples of its sequence number and these fields."""
    found = columns.get(kind)
    return () if found is None else zip(found["seq"].tolist(), *(found[name].tolist() for name in names), strict=True)


def carry_over(last: LastSession, plan: SessionPlan) -> tuple[Checkpoint, list[str]]:
    """Return the last session's state in the order of a new plan, and notes on what does not fit it.

    Orders whose desk is not at its old place are left out: their ids say another one.

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
    moved: dict[int, int] = {}
    for index, entry in enumerate(plan.instruments):
        at = places.pop(entry.name, None)
        if at is not None:
            moved[at] = index
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
    told: list[DeskState] = []
    kept: set[int] = set()
    known = {_desk_name(old, at): at for at in range(len(old.desks))}
    for index in range(len(plan.desks)):
        found = known.pop(_desk_name(plan, index), None)
        desks.append(PositionState() if found is None else last.state.desks[found])
        told.append(DeskState() if found is None else last.state.desk_states[found])
        if found == index:
            kept.add(index)
    for name, at in known.items():
        if last.state.desks[at].size != 0:
            notes.append(f"{name} is gone; its position stays with the account and no strategy quotes for it")
    state = msgspec.structs.replace(
        last.state,
        deposit=last.state.deposit + cash,
        holdings=holdings,
        marks=marks,
        desks=desks,
        desk_states=told,
        orders=[order for order in last.state.orders if desk_of(order.order_id) in kept],
        booked=[(ms, moved[at], trade, side) for ms, at, trade, side in last.state.booked if at in moved],
        booked_funding=[(second, moved[at]) for second, at in last.state.booked_funding if at in moved],
    )
    return state, notes


def _desk_name(plan: SessionPlan, index: int) -> str:
    desk = plan.desks[index]
    return f"{plan.strategies[desk.strategy].name} on {plan.instruments[desk.instrument].name}"
