"""An order as a participant asks for it, and as the live market keeps it."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY

MARKET: Final = 3
"""Time in force of the venue's `FrontendMarket`: immediate or cancel, reported as a market order."""
TRIGGER: Final = 4
"""Time in force of an order that waits for the mark price."""
TAKING_BITS: Final = 1 << GOOD_TILL_CANCEL | 1 << IMMEDIATE_OR_CANCEL | 1 << MARKET
IMMEDIATE_BITS: Final = 1 << IMMEDIATE_OR_CANCEL | 1 << MARKET

# where an order is
WAITING: Final = 0
"""A child whose parent is not filled yet."""
ARMED: Final = 1
"""A trigger order that watches the mark price."""
WORKING: Final = 2
"""Being matched; it rests nowhere yet."""
RESTING: Final = 3
"""In the book."""
ENDED: Final = 4

# who closes a position with an order
BY_OWNER: Final = 0
LIQUIDATED: Final = 1
"""The venue, in the book, since margin ran out."""
TAKEN_OVER: Final = 2
"""The venue's backstop took the position over."""
DELEVERAGED: Final = 3
"""The position's other side was bankrupt."""

# how the orders of one action belong together
UNGROUPED: Final = 0
PARENT_GROUP: Final = 1
"""`normalTpsl`: the first order is the parent, the others are armed when it is filled."""
POSITION_GROUP: Final = 2
"""`positionTpsl`: triggers of the position, sized with it when their size is 0."""


@final
class OrderRequest:
    """What a participant asks for. Prices and sizes in the instrument's units, side +1 buys and -1 sells.

    `size` 0 means the whole position, for a trigger of a position only. `trigger_price` > 0 makes it a trigger order:
    then `is_market` says what fires, and `take_profit` which way it waits. `cloid` is empty or the client's own id.
    `builder` is the account of whoever built the client (-1: nobody), who gets `builder_tenths` of a basis point on top
    of the venue's fee.
    """

    def __init__(
        self,
        instrument: int,
        side: int,
        price: int,
        size: int,
        time_in_force: int = GOOD_TILL_CANCEL,
        *,
        reduce_only: bool = False,
        cloid: str = "",
        trigger_price: int = 0,
        is_market: bool = False,
        take_profit: bool = False,
        builder: int = -1,
        builder_tenths: int = 0,
    ) -> None:
        self.instrument: Final[i64] = instrument
        self.side: Final[i64] = side
        self.price: Final[i64] = price
        self.size: Final[i64] = size
        self.time_in_force: Final[i64] = TRIGGER if trigger_price else time_in_force
        self.reduce_only: Final[bool] = reduce_only
        self.cloid: Final[str] = cloid
        self.trigger_price: Final[i64] = trigger_price
        self.is_market: Final[bool] = is_market
        self.take_profit: Final[bool] = take_profit
        self.builder: Final[i64] = builder
        self.builder_tenths: Final[i64] = builder_tenths

    def takes(self) -> bool:
        """Tell whether it may take liquidity at once, which puts its action behind the block's cancels."""
        return (TAKING_BITS >> self.time_in_force) & 1 == 1

    def post_only(self) -> "OrderRequest":
        """Return the same order as post-only."""
        return OrderRequest(
            int(self.instrument),
            int(self.side),
            int(self.price),
            int(self.size),
            POST_ONLY,
            reduce_only=self.reduce_only,
            cloid=self.cloid,
            builder=int(self.builder),
            builder_tenths=int(self.builder_tenths),
        )


@final
class LiveOrder:
    """An order that was taken. `remaining` is the unfilled size; `filled_value` is the sum of price x size filled."""

    def __init__(self, oid: i64, account: i64, request: OrderRequest, time_ns: i64) -> None:
        self.oid: Final[i64] = oid
        self.account: Final[i64] = account
        self.cloid: Final[str] = request.cloid
        self.instrument: Final[i64] = request.instrument
        self.side: Final[i64] = request.side
        self.price: i64 = request.price
        self.size: i64 = request.size
        self.remaining: i64 = request.size
        self.filled_value: i64 = 0
        self.time_in_force: i64 = request.time_in_force
        self.reduce_only: Final[bool] = request.reduce_only
        self.trigger_price: Final[i64] = request.trigger_price
        self.is_market: Final[bool] = request.is_market
        self.take_profit: Final[bool] = request.take_profit
        self.builder: Final[i64] = request.builder
        self.builder_tenths: Final[i64] = request.builder_tenths
        self.of_position: bool = False
        self.twap: i64 = 0  # the number of the TWAP that sent it
        self.closing: i64 = BY_OWNER
        self.time_ns: i64 = time_ns
        self.place: i64 = WORKING
        self.siblings: list[LiveOrder] | None = None  # cancelled when this one fills; shared, this one included
        self.children: list[LiveOrder] | None = None  # armed when this one is filled
        self.before: LiveOrder | None = None  # neighbours in the level's queue
        self.behind: LiveOrder | None = None

    def filled_size(self) -> i64:
        """Return how much of it was filled."""
        return self.size - self.remaining

    def has_fired(self) -> bool:
        """Tell whether it was a trigger order and is one no longer."""
        return self.trigger_price > 0 and self.time_in_force != TRIGGER

    def fires_above(self) -> bool:
        """Tell whether the trigger waits for the mark to rise to it (else to fall)."""
        return self.take_profit == (self.side < 0)

    def fires_at(self, mark: i64) -> bool:
        """Tell whether a mark price fires it."""
        if self.fires_above():
            return mark >= self.trigger_price
        return mark <= self.trigger_price
