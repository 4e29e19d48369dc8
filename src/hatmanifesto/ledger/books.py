"""Positions of the account, and of each strategy on each instrument, booked as the engine books them."""

from typing import Any, Final, NamedTuple

from hatmanifesto.model.position import Position, share_close, share_funding

UNASSIGNED: Final = ""
"""The strategy of what no strategy owns: foreign fills, what a forced fill closed beyond the strategies' positions."""
_KEPT: Final = ("size", "cost", "realized", "fees", "rebates", "funding")


class Change(NamedTuple):
    """What a record changed for one strategy on one instrument; money units, sizes in size units."""

    strategy: str
    size: int
    cost: int
    realized: int
    fee: int
    funding: int


class InstrumentBook:
    """The account's position in one instrument, and the parts of it that strategies hold, in the plan's order."""

    def __init__(self, factor: int) -> None:
        self.factor = factor
        self.account = Position(factor)
        self.desks: dict[str, Position] = {}

    def desk(self, strategy: str) -> Position:
        """Return a strategy's position."""
        found = self.desks.get(strategy)
        if found is None:
            found = self.desks[strategy] = Position(self.factor)
        return found

    def is_all_of(self, strategy: str) -> bool:
        """Whether the account's position is what this strategy holds, to the last unit."""
        desk = self.desk(strategy)
        return bool(desk.size == self.account.size and desk.cost == self.account.cost)

    def forced_fill(
        self, strategies: list[str], side: int, price: int, size: int, fee: int, taker: bool
    ) -> list[Change]:
        """Book a fill that the venue made by itself on the strategies whose position it closes, in their order."""
        self.account.apply_fill(side, price, size, fee, taker)
        held = [(name, self.desk(name)) for name in strategies]
        before = [_values(position) for _, position in held]
        share_close([position for _, position in held], side, price, size, fee, taker)
        changes = [_change(name, then, _values(position)) for (name, position), then in zip(held, before, strict=True)]
        changes = [change for change in changes if change.size]
        left = size - sum(abs(change.size) for change in changes)
        if left:
            rest = self.desk(UNASSIGNED)
            then = _values(rest)
            rest.apply_fill(side, price, left, fee - sum(change.fee for change in changes), taker)
            changes.append(_change(UNASSIGNED, then, _values(rest)))
        return changes

    def pay(self, strategies: list[str], amount: int) -> list[Change]:
        """Book a funding payment on the strategies that make up the position; the rest stays unassigned."""
        self.account.apply_funding(amount)
        held = [(name, self.desk(name)) for name in strategies]
        before = [int(position.funding) for _, position in held]
        share_funding([position for _, position in held], amount, self.account.size)
        changes = [
            Change(name, 0, 0, 0, 0, int(position.funding) - then)
            for (name, position), then in zip(held, before, strict=True)
            if int(position.funding) != then
        ]
        left = amount - sum(change.funding for change in changes)
        if left or not changes:
            self.desk(UNASSIGNED).apply_funding(left)
            changes.append(Change(UNASSIGNED, 0, 0, 0, 0, left))
        return changes

    def state(self) -> dict[str, Any]:
        """Return what survives the process."""
        return {
            "factor": self.factor,
            "account": _values(self.account),
            "desks": {name: _values(position) for name, position in self.desks.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "InstrumentBook":
        """Go on where `state` was taken."""
        book = cls(state["factor"])
        _put(book.account, state["account"])
        for name, values in state["desks"].items():
            _put(book.desk(name), values)
        return book


def _values(position: Position) -> list[int]:
    return [int(getattr(position, name)) for name in _KEPT]


def _put(position: Position, values: list[int]) -> None:
    for name, value in zip(_KEPT, values, strict=True):
        setattr(position, name, value)


def _change(strategy: str, then: list[int], now: list[int]) -> Change:
    size, cost, realized, fees, rebates, funding = (b - a for a, b in zip(then, now, strict=True))
    return Change(strategy, size, cost, realized, fees - rebates, funding)
