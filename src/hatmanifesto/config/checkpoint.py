"""Where a session stands, in the plan's integers: written at its start and now and then, and where the next begins."""

from typing import Self

import msgspec

from hatmanifesto.config.assembly import Session
from hatmanifesto.model.position import Position

CHECKPOINT_VERSION = 1


class PositionState(msgspec.Struct, frozen=True, kw_only=True):
    """A position's exact state, see model.Position; money in money units, sizes in size units."""

    size: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0
    rebates: int = 0
    funding: int = 0
    fills: int = 0
    volume: int = 0
    traded: int = 0
    maker_traded: int = 0

    @classmethod
    def of(cls, position: Position) -> Self:
        """Read a position."""
        return cls(**{name: int(getattr(position, name)) for name in cls.__struct_fields__})

    def put_into(self, position: Position) -> None:
        """Set a position."""
        for name in self.__struct_fields__:
            setattr(position, name, getattr(self, name))


class WorkingOrder(msgspec.Struct, frozen=True, array_like=True):
    """An order that the venue has or may have: `session` gave it its id, `filled` is what has been booked of it."""

    order_id: int
    session: int
    price: int
    size: int
    side_flags: int
    filled: int = 0


class DeskState(msgspec.Struct, frozen=True, array_like=True):
    """What people have told one desk: override, scale in percent, slippage for closing (-1: it need not close)."""

    override: int = 0
    scale_percent: int = 100
    closing_bps: int = -1


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A session between two events, as far as it outlives the process.

    `holdings` and `marks` follow the plan's instruments, `desks` and `desk_states` its desks. `last_fill_ns` is the
    venue's stamp of the newest booked fill, `booked_from_ns` that of the account as the first session found it.
    `booked` are the newest fills as trading.seen knows them again, all of those stamped after `booked_known_ns`, and
    `booked_funding` the newest payments.
    `deposit` includes transfers up to the venue's time `transfers_ns`. `orders` may be at the venue.
    """

    version: int = CHECKPOINT_VERSION
    deposit: int
    peak_equity: int
    max_drawdown: int
    order_seq: int
    holdings: list[PositionState]
    marks: list[int]
    desks: list[PositionState]
    overrides: list[int] = []
    last_fill_ns: int = 0
    last_funding_ns: int = 0
    booked_from_ns: int = 0
    booked_known_ns: int = 0
    booked: list[tuple[int, int, int, int]] = []
    booked_funding: list[tuple[int, int]] = []
    transfers_ns: int = 0
    orders: list[WorkingOrder] = []
    desk_states: list[DeskState] = []
    account_scale: int = 100

    @classmethod
    def of(cls, session: Session) -> Self:
        """Read a session: what its driver knows beside it (what is booked, which orders) is left at its default."""
        portfolio = session.portfolio
        return cls(
            deposit=int(portfolio.deposit),
            peak_equity=int(portfolio.peak_equity),
            max_drawdown=int(portfolio.max_drawdown),
            order_seq=int(session.engine.orders.machine.order_seq),
            holdings=[PositionState.of(holding.position) for holding in portfolio.holdings],
            marks=[int(holding.mark_price) for holding in portfolio.holdings],
            desks=[PositionState.of(clock.desk.position) for clock in session.clocks],
            overrides=list(session.risk.account_overrides),
            desk_states=[
                DeskState(int(desk.override), int(desk.scale_percent), int(desk.closing_bps))
                for desk in portfolio.desks
            ],
            account_scale=int(session.risk.account_scale),
        )

    def restore(self, session: Session) -> None:
        """Put a newly assembled session where this one stood. Raises ValueError when the plans do not match."""
        portfolio = session.portfolio
        if len(self.holdings) != len(portfolio.holdings) or len(self.desks) != len(session.clocks):
            raise ValueError(
                f"a checkpoint of {len(self.holdings)} instruments and {len(self.desks)} desks does not fit a plan of "
                f"{len(portfolio.holdings)} and {len(session.clocks)}"
            )
        portfolio.deposit = self.deposit
        portfolio.peak_equity = self.peak_equity
        portfolio.max_drawdown = self.max_drawdown
        session.engine.orders.machine.order_seq = self.order_seq
        for holding, state, mark in zip(portfolio.holdings, self.holdings, self.marks, strict=True):
            state.put_into(holding.position)
            holding.mark_price = mark
        for clock, state in zip(session.clocks, self.desks, strict=True):
            state.put_into(clock.desk.position)
        for source, override in enumerate(self.overrides):
            session.risk.set_account_override(source, override)
        session.risk.account_scale = self.account_scale
        for desk, told in zip(portfolio.desks, self.desk_states, strict=False):
            session.risk.set_override(desk, told.override, told.scale_percent)
            desk.closing_bps = told.closing_bps
        portfolio.equity = portfolio.value()

    def as_json(self) -> bytes:
        """Return it as the payload of a CHECKPOINT record."""
        return msgspec.json.encode(self, order="deterministic")


def checkpoint_from_json(data: bytes) -> Checkpoint:
    """Read a CHECKPOINT record's payload; raises msgspec.ValidationError when it is none."""
    return msgspec.json.decode(data, type=Checkpoint)
