"""What a participant may submit, and the class of each action in a block."""

from typing import Final

from hatmanifesto.simulation.live.orders import UNGROUPED, OrderRequest
from hatmanifesto.simulation.live.twap_order import TwapRequest

NOT_TAKING: Final = 0
CANCELLING: Final = 1
TAKING: Final = 2


class Action:
    """One action of one account. `expires_ns` 0 never expires."""

    expires_ns: int = 0

    def block_class(self) -> int:
        """Return NOT_TAKING, CANCELLING or TAKING: the order in which a block executes actions."""
        return NOT_TAKING


class Place(Action):
    """New orders; see the groups in orders.py."""

    def __init__(self, orders: list[OrderRequest], grouping: int = UNGROUPED) -> None:
        self.orders: Final = orders
        self.grouping: Final = grouping

    def block_class(self) -> int:
        for order in self.orders:
            if order.takes():
                return TAKING
        return NOT_TAKING


class Cancel(Action):
    """Cancels by the venue's order id: (instrument, oid). `fast` cancels refuse trigger orders."""

    def __init__(self, orders: list[tuple[int, int]], *, fast: bool = False) -> None:
        self.orders: Final = orders
        self.fast: Final = fast

    def block_class(self) -> int:
        return CANCELLING


class CancelByCloid(Action):
    """Cancels by the client's order id: (instrument, cloid)."""

    def __init__(self, orders: list[tuple[int, str]], *, fast: bool = False) -> None:
        self.orders: Final = orders
        self.fast: Final = fast

    def block_class(self) -> int:
        return CANCELLING


class Change:
    """One element of a modify: the order to replace, by oid or, when that is 0, by cloid, and the new one."""

    def __init__(self, oid: int, cloid: str, order: OrderRequest) -> None:
        self.oid: Final = oid
        self.cloid: Final = cloid
        self.order: Final = order


class Modify(Action):
    """Cancel and place again, with a new oid and at the back of the queue.

    Unless `always`, a new order must be post-only, or good-till-cancel, which is then made post-only, and it is placed
    only when there was an order to cancel.
    """

    def __init__(self, changes: list[Change], *, always: bool = False) -> None:
        self.changes: Final = changes
        self.always: Final = always

    def block_class(self) -> int:
        if self.always:
            for change in self.changes:
                if change.order.takes():
                    return TAKING
        return NOT_TAKING


class ScheduleCancel(Action):
    """Cancel everything of the account at a time, unless the time is set anew before; 0 clears it."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns: Final = at_ns


class SetLeverage(Action):
    """The account's leverage on an instrument; the account rules decide."""

    def __init__(self, instrument: int, leverage: int, *, cross: bool = True) -> None:
        self.instrument: Final = instrument
        self.leverage: Final = leverage
        self.cross: Final = cross


class ChangeMargin(Action):
    """Money moved into (positive) or out of an isolated position; the account rules decide."""

    def __init__(self, instrument: int, amount: int) -> None:
        self.instrument: Final = instrument
        self.amount: Final = amount


class PlaceTwap(Action):
    """A size to be worked over time."""

    def __init__(self, request: TwapRequest) -> None:
        self.request: Final = request


class CancelTwap(Action):
    """The end of a TWAP, by its number."""

    def __init__(self, instrument: int, number: int) -> None:
        self.instrument: Final = instrument
        self.number: Final = number
