"""Reconciliation: what the books say beside what the venue says, at the start, after every gap, and now and then.

First what was missed is booked (fills, funding), then open orders, positions and cash are compared. Orders of a killed
session are taken over at the start (see adoption); others of ours that the engine does not have are cancelled; foreign
ones are left alone and reported. Whatever still differs stops new risk until it is explained.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from hatmanifesto.config.assembly import Session
from hatmanifesto.model.order import EXIT, QUOTE, Order
from hatmanifesto.model.order_state import (
    CONFIRM_CANCEL,
    FILL_WHOLE,
    FIND_ABSENT,
    FIND_OPEN,
    OPEN,
    PARTIALLY_FILLED,
    REJECT,
    UNKNOWN,
)
from hatmanifesto.trading.adoption import adopt_orders
from hatmanifesto.trading.seen import LOOK_BACK_NS
from hatmanifesto.trading.trader import Trader
from hatmanifesto.venues.port import OrderFate, Venue, VenueAccount, VenueOrder

ATTEMPTS: Final = 5
"""How often the comparison is repeated while something differs: messages may be under way on either side."""
PAUSE_S: Final = 0.3
_ENDED_GRACE_NS: Final = 5_000_000_000
_PATIENCE_NS: Final = 5_000_000_000
"""How long the adapter's own questions about an unknown order are left to themselves."""
_EXPIRED_NS: Final = 20_000_000_000
"""An order that was sent longer ago is at the venue now, or never will be: see the adapter's expiry."""
_TOLD: Final = {
    OrderFate.FILLED: FILL_WHOLE,
    OrderFate.CANCELLED: CONFIRM_CANCEL,
    OrderFate.REJECTED: REJECT,
}


_TOLD_OF_UNKNOWN: Final = {**_TOLD, OrderFate.OPEN: FIND_OPEN, OrderFate.ABSENT: FIND_ABSENT}


class Difference(NamedTuple):
    """One thing that is not the same; `blocks` says whether no new risk may be taken because of it."""

    what: str
    ours: str
    venue: str
    blocks: bool

    def text(self) -> str:
        """Return it in words."""
        return f"{self.what}: {self.ours} in the books, {self.venue} at the venue"


class Reconciled(NamedTuple):
    """What a reconciliation found and did."""

    ts_ns: int
    fills_booked: int
    funding_booked: int
    orders_adopted: int
    orders_cancelled: int
    transfer: int
    differences: list[Difference]

    @property
    def whole(self) -> bool:
        """Whether nothing that blocks differs."""
        return not any(difference.blocks for difference in self.differences)

    def as_json(self) -> dict[str, object]:
        """Return it for the journal and for people."""
        return {
            "reconciled": self.whole,
            "fills_booked": self.fills_booked,
            "funding_booked": self.funding_booked,
            "orders_adopted": self.orders_adopted,
            "orders_cancelled": self.orders_cancelled,
            "transfer": self.transfer,
            "differences": [difference.text() for difference in self.differences],
        }


class Reconciler:
    """Compares one trader with its venue, one comparison at a time."""

    def __init__(self, trader: Trader, venue: Venue, pause_s: float = PAUSE_S, attempts: int = ATTEMPTS) -> None:
        self.trader = trader
        self.venue = venue
        self.pause_s = pause_s
        self.attempts = attempts
        self.last: Reconciled | None = None
        self._busy = asyncio.Lock()

    async def run(self, why: str, *, adopt: bool = False) -> Reconciled:
        """Book what was missed, compare, and set or release the stop on new risk.

        `adopt`: take over what an earlier session left open; else it is cancelled. Raises VenueError when the venue
        does not answer; the stop then stays as it was.
        """
        async with self._busy:
            done = await self._run(why, adopt)
        self.last = done
        return done

    async def _run(self, why: str, adopt: bool) -> Reconciled:
        trader = self.trader
        fills = funding = adopted = cancelled = transfer = 0
        differences: list[Difference] = []
        for attempt in range(self.attempts):
            if attempt:
                await asyncio.sleep(self.pause_s * attempt)
            booked = await self._book_missed()
            fills, funding = fills + booked[0], funding + booked[1]
            before = _working(trader.session)
            orders = await self.venue.open_orders()
            taken = adopt_orders(trader, self.venue, orders) if adopt else 0
            adopted += taken
            strays = await self._cancel_strays(orders)
            cancelled = max(cancelled, strays)
            await self._ask_about_missing(orders, before)
            await self._ask_about_unknown()
            account = await self.venue.account()
            transfer += await self._transferred(account)
            differences = compare(trader.session, account, orders)
            # what was taken over is looked at again: it may have ended while it was unknown here
            if not strays and not taken and not any(difference.blocks for difference in differences):
                break
        trader.earlier.clear()  # what was not there has ended, what was not taken over is cancelled
        done = Reconciled(trader.clock(), fills, funding, adopted, cancelled, transfer, differences)
        trader.note({"reconciliation": why, **done.as_json()})
        if not done.whole:
            trader.count_fault("position_differs", "; ".join(found.text() for found in differences if found.blocks))
        if trader.account_trusted:
            trader.hold("reconciliation", "none" if done.whole else "reduce_only", why)
        return done

    async def _book_missed(self) -> tuple[int, int]:
        trader, booked, venue = self.trader, self.trader.booked, self.venue
        repeated = booked.repeated
        told = await venue.fills_since(max(booked.fills_from_ns, booked.last_fill_ns - LOOK_BACK_NS))
        for fill in told:
            trader.on_fill(
                trader.clock(),
                fill.order_id,
                fill.instrument,
                fill.side,
                fill.price,
                fill.size,
                fill.fee,
                fill.taker,
                fill.exch_ts_ns,
                fill.trade_id,
            )
        fills = len(told) - (booked.repeated - repeated)
        repeated = booked.repeated
        paid = await venue.funding_since(max(booked.from_ns, booked.last_funding_ns - LOOK_BACK_NS))
        for payment in paid:
            trader.on_funding(trader.clock(), *payment)
        return fills, len(paid) - (booked.repeated - repeated)

    async def _cancel_strays(self, orders: Sequence[VenueOrder]) -> int:
        """Cancel orders of ours that the engine does not keep: of an earlier session, or ended here."""
        strays = [order for order in orders if is_stray(order, self.trader)]
        if strays:
            self.trader.note({"strays_cancelled": [f"{order.session}:{order.order_id}" for order in strays]})
            await self.venue.cancel_orders(strays)
        return len(strays)

    async def _ask_about_missing(self, orders: Sequence[VenueOrder], before: list[int]) -> None:
        """Ask what became of orders that the engine believes open, before and after the venue was asked for them."""
        trader = self.trader
        at_venue = {order.order_id for order in orders}
        still = set(_working(trader.session))
        for order_id in before:
            order = trader.engine.orders.machine.find(order_id)
            if order is None or order_id not in still or order_id in at_venue:
                continue
            report = await self.venue.order_report(trader.session_of(order_id), order_id, _purpose(order))
            trader.note({"asked_about": str(order_id), "answer": report.status})
            trigger = _TOLD.get(report.fate)
            if trigger is not None:
                trader.on_order_event(
                    trader.clock(), order_id, trigger, report.reason, report.exch_ts_ns, report.venue_order_id
                )

    async def _ask_about_unknown(self) -> None:
        """Settle what the adapter's own questions did not; absence counts once an order cannot arrive any more."""
        trader = self.trader
        for order_id in _in_states(trader.session, (UNKNOWN,)):
            order = trader.engine.orders.machine.find(order_id)
            if order is None or (age_ns := trader.clock() - order.submitted_ns) < _PATIENCE_NS:
                continue
            report = await self.venue.order_report(trader.session_of(order_id), order_id, _purpose(order))
            trader.note({"asked_about": str(order_id), "answer": report.status})
            if report.fate is OrderFate.ABSENT and age_ns < _EXPIRED_NS:
                continue  # it may still arrive
            trigger = _TOLD_OF_UNKNOWN[report.fate]
            trader.on_order_event(
                trader.clock(), order_id, trigger, report.reason, report.exch_ts_ns, report.venue_order_id
            )

    async def _transferred(self, account: VenueAccount) -> int:
        """Book deposits and withdrawals since the last look; they change what the account was paid, not its profit."""
        trader = self.trader
        begin = trader.transfers_ns
        amount = 0 if begin == 0 else await self.venue.transfers_since(begin + 1)
        trader.transfers_ns = account.exch_ts_ns
        if amount:
            trader.command({"command": "transfer", "amount": amount, "until_ns": account.exch_ts_ns})
        return amount


def is_stray(order: VenueOrder, trader: Trader) -> bool:
    """Tell whether an open order carries our prefix but is none that the engine keeps."""
    if order.order_id == 0:
        return False
    if order.session != trader.session_of(order.order_id):
        return True
    kept = trader.engine.orders.machine.find(order.order_id)
    return (kept is None or not kept.live()) and trader.clock() - order.placed_ns > _ENDED_GRACE_NS


def compare(session: Session, account: VenueAccount, orders: Sequence[VenueOrder]) -> list[Difference]:
    """Compare positions, foreign orders and cash; nothing is changed."""
    found: list[Difference] = []
    at_venue = {position.instrument: position.size for position in account.positions}
    for index, holding in enumerate(session.portfolio.holdings):
        name, text = session.instruments[index].name, session.instruments[index].size_text
        held, theirs = int(holding.position.size), at_venue.get(index, 0)
        if held != theirs:
            found.append(Difference(f"{name} position", text(held), text(theirs), True))
    for position in account.positions:
        if position.instrument < 0:
            found.append(Difference(f"{position.coin} position, not traded here", "none", "some", False))
    foreign = sum(1 for order in orders if order.order_id == 0)
    if foreign:
        found.append(Difference("open orders that are not ours", "none", str(foreign), False))
    # cash less entry cost: what is realized and what is still in the position depends on the order of the fills by
    # a rounding, their sum does not
    ours = int(session.portfolio.cash()) - sum(int(holding.position.cost) for holding in session.portfolio.holdings)
    theirs = account.cash - sum(position.cost for position in account.positions if position.instrument >= 0)
    if ours != theirs and session.instruments:
        money = session.instruments[0].money_text
        found.append(Difference("money", money(ours), money(theirs), False))
    return found


def _purpose(order: Order) -> int:
    """Return what an order's client order id says of its purpose: that it is reduce-only, or not."""
    return EXIT if order.reduce_only else QUOTE


def _working(session: Session) -> list[int]:
    return _in_states(session, (OPEN, PARTIALLY_FILLED))


def _in_states(session: Session, states: tuple[int, ...]) -> list[int]:
    return [
        int(order.order_id)
        for clock in session.clocks
        for order in clock.desk.orders.snapshot()
        if order.state in states
    ]
