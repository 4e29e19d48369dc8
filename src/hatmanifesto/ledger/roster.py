"""Who trades what in a session: instruments, desks and strategies by their index, as its SESSION record has them."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger.books import UNASSIGNED
from hatmanifesto.ledger.fee_model import FeeModel, FeeTolerance
from hatmanifesto.ledger.reason_codes import code_of_class
from hatmanifesto.ledger.sources import Opening
from hatmanifesto.model.order import DESK_MASK, SLOT_BITS

Ints = NDArray[np.int64]
NOBODY: Final = -1
"""The owner of what no strategy of the session owns."""


class Desk(NamedTuple):
    """One strategy (its place in the plan) on one instrument."""

    strategy: int
    instrument: int


class Roster:
    """One session's instruments, desks and fees."""

    def __init__(self, opening: Opening, tolerance: FeeTolerance) -> None:
        plan = opening.plan
        self.opening = opening
        self.fees = FeeModel(plan, tolerance)
        self.names = [entry.name for entry in plan.instruments]
        self.factors = [10 ** (plan.money_scale - entry.price_scale - entry.size_scale) for entry in plan.instruments]
        self.leverages = [entry.leverage for entry in plan.instruments]
        self.strategies = [strategy.name for strategy in plan.strategies]
        self._codes = [code_of_class(strategy.cls) for strategy in plan.strategies]
        self.desks = [Desk(desk.strategy, desk.instrument) for desk in plan.desks]
        self.held_by = [
            [self.strategies[desk.strategy] for desk in self.desks if desk.instrument == index]
            for index in range(len(self.names))
        ]
        self._desk_strategy, self._desk_instrument = np.full((2, DESK_MASK + 1), NOBODY, dtype=np.int64)
        self._desk_strategy[: len(self.desks)] = [desk.strategy for desk in self.desks]
        self._desk_instrument[: len(self.desks)] = [desk.instrument for desk in self.desks]

    def instruments(self, order_ids: Ints) -> Ints:
        """Return the instrument of each order, -1 where no desk is its sender."""
        found: Ints = self._desk_instrument[(order_ids >> SLOT_BITS) & DESK_MASK]
        return found

    def owners(self, order_ids: Ints, instruments: Ints) -> Ints:
        """Return whose each fill is: the strategy's place, NOBODY for foreign and forced ones."""
        desks = (order_ids >> SLOT_BITS) & DESK_MASK
        owned = (order_ids > 0) & (self._desk_instrument[desks] == instruments)
        return np.where(owned, self._desk_strategy[desks], NOBODY)

    def owner_name(self, owner: int) -> str:
        """Return an owner's name, "" for nobody's."""
        return UNASSIGNED if owner == NOBODY else self.strategies[owner]

    def owner_code(self, owner: int) -> str:
        """Return the reason code of everything that an owner does, "" where it depends."""
        return "" if owner == NOBODY else self._codes[owner]
