"""What a block tells its participants, in the order in which it happened. Prices and sizes in instrument units."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.live.orders import LiveOrder
from hatmanifesto.simulation.live.twap_order import Twap

# what answers one element of an action
SUCCESS: Final = 0
RESTS: Final = 1
FILLS: Final = 2
REFUSED: Final = 3
WAITS_FOR_TRIGGER: Final = 4
WAITS_FOR_FILL: Final = 5
RUNS: Final = 6


@final
class Answer:
    """The answer to one order or cancel.

    FILLS: `filled_size` and `filled_value` (sum of price x size) say what matched at once; the rest of a
    good-till-cancel order rests under the same oid, that of an immediate one is gone. REFUSED: `text` says why.
    RUNS: a TWAP, whose number is in `oid`.
    """

    def __init__(
        self,
        kind: i64,
        oid: i64 = 0,
        cloid: str = "",
        text: str = "",
        filled_size: i64 = 0,
        filled_value: i64 = 0,
    ) -> None:
        self.kind: Final[i64] = kind
        self.oid: Final[i64] = oid
        self.cloid: Final[str] = cloid
        self.text: Final[str] = text
        self.filled_size: Final[i64] = filled_size
        self.filled_value: Final[i64] = filled_value


class Event:
    """Something that a block did."""


@final
class ActionAnswered(Event):
    """An action was executed: its ticket, and one answer an element, or one `error` for the whole of it."""

    def __init__(self, ticket: i64, account: i64, answers: list[Answer], error: str) -> None:
        self.ticket: Final[i64] = ticket
        self.account: Final[i64] = account
        self.answers: Final[list[Answer]] = answers
        self.error: Final[str] = error


@final
class OrderChanged(Event):
    """An order got a new status. `remaining` is as it was then; everything else is in `order`."""

    def __init__(self, order: LiveOrder, status: str) -> None:
        self.order: Final[LiveOrder] = order
        self.status: Final[str] = status
        self.remaining: Final[i64] = order.remaining


@final
class Fill(Event):
    """One side of a trade. `crossed` marks the taker; `fee` is positive when paid; `closed` is the profit realized.

    `start` is the signed position before it.
    """

    def __init__(
        self, order: LiveOrder, tid: i64, price: i64, size: i64, crossed: bool, fee: i64, start: i64, closed: i64
    ) -> None:
        self.order: Final[LiveOrder] = order
        self.tid: Final[i64] = tid
        self.price: Final[i64] = price
        self.size: Final[i64] = size
        self.crossed: Final[bool] = crossed
        self.fee: Final[i64] = fee
        self.start: Final[i64] = start
        self.closed: Final[i64] = closed


@final
class Trade(Event):
    """A print: `side` is the aggressor's. `by_venue`: the venue sent its order, in a TWAP or a liquidation."""

    def __init__(
        self, instrument: i64, tid: i64, price: i64, size: i64, side: i64, buyer: i64, seller: i64, by_venue: bool
    ) -> None:
        self.instrument: Final[i64] = instrument
        self.tid: Final[i64] = tid
        self.price: Final[i64] = price
        self.size: Final[i64] = size
        self.side: Final[i64] = side
        self.buyer: Final[i64] = buyer
        self.seller: Final[i64] = seller
        self.by_venue: Final[bool] = by_venue


@final
class LevelChanged(Event):
    """A level of the book after the block: total size and number of orders, 0 when it is gone. Last in a block."""

    def __init__(self, instrument: i64, side: i64, price: i64, size: i64, count: i64) -> None:
        self.instrument: Final[i64] = instrument
        self.side: Final[i64] = side
        self.price: Final[i64] = price
        self.size: Final[i64] = size
        self.count: Final[i64] = count


@final
class FundingPaid(Event):
    """A funding payment: `amount` is the account's balance change, `size` its signed position."""

    def __init__(self, account: i64, instrument: i64, amount: i64, rate: i64, size: i64, oracle: i64) -> None:
        self.account: Final[i64] = account
        self.instrument: Final[i64] = instrument
        self.amount: Final[i64] = amount
        self.rate: Final[i64] = rate
        self.size: Final[i64] = size
        self.oracle: Final[i64] = oracle


@final
class TwapChanged(Event):
    """A TWAP got a new status (twap_order.py), `why` when it failed. What it had executed by then is kept here."""

    def __init__(self, twap: Twap, status: i64, why: str) -> None:
        self.twap: Final[Twap] = twap
        self.status: Final[i64] = status
        self.why: Final[str] = why
        self.executed_size: Final[i64] = twap.executed_size
        self.executed_value: Final[i64] = twap.executed_value
