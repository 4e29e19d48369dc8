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


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A session between two events, as far as it outlives the process: what rests at the venue is asked for anew.

    `holdings` and `marks` follow the plan's instruments, `desks` its desks. `last_fill_ns` is the venue's stamp of the
    newest booked fill, `booked_from_ns` that of the account as the first session found it. `deposit` includes
    transfers.
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

    @classmethod
    def of(cls, session: Session, last_fill_ns: int = 0, last_funding_ns: int = 0, booked_from_ns: int = 0) -> Self:
        """Read a session."""
        portfolio = session.portfolio
        return cls(
            deposit=int(portfolio.deposit),
            peak_equity=int(portfolio.peak_equity),
            max_drawdown=int(portfolio.max_drawdown),
            order_seq=int(session.engine.machine.order_seq),
            holdings=[PositionState.of(holding.position) for holding in portfolio.holdings],
            marks=[int(holding.mark_price) for holding in portfolio.holdings],
            desks=[PositionState.of(clock.desk.position) for clock in session.clocks],
            overrides=list(session.risk.account_overrides),
            last_fill_ns=last_fill_ns,
            last_funding_ns=last_funding_ns,
            booked_from_ns=booked_from_ns,
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
        session.engine.machine.order_seq = self.order_seq
        for holding, state, mark in zip(portfolio.holdings, self.holdings, self.marks, strict=True):
            state.put_into(holding.position)
            holding.mark_price = mark
        for clock, state in zip(session.clocks, self.desks, strict=True):
            state.put_into(clock.desk.position)
        for source, override in enumerate(self.overrides):
            session.risk.set_account_override(source, override)
        portfolio.equity = portfolio.value()

    def as_json(self) -> bytes:
        """Return it as the payload of a CHECKPOINT record."""
        return msgspec.json.encode(self, order="deterministic")


def checkpoint_from_json(data: bytes) -> Checkpoint:
    """Read a CHECKPOINT record's payload; raises msgspec.ValidationError when it is none."""
    return msgspec.json.decode(data, type=Checkpoint)
