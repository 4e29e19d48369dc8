"""Makers: they hold on to a reference price until the fair value has left it by more than their patience.

That patience is what makes the price stand still for seconds and then move several ticks at once: while the
fair value is beyond the touch, nobody new joins the losing side, the winning side grows, and when the last
of those who had not noticed have gone or were hit, everybody quotes around the new value.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.agents.desk import Desk
from hatmanifesto.simulation.agents.dice import MILLION
from hatmanifesto.simulation.live.orders import LiveOrder, OrderRequest

_MS: Final = 1_000_000


def _floor_ticks(value: i64) -> i64:
    return value // MILLION


def _limit(reference: i64, edge: i64, side: i64) -> i64:
    """Return the best price (ticks) at which a maker would quote a side: outside reference ± edge."""
    if side > 0:
        return _floor_ticks(reference - edge)
    return -_floor_ticks(-(reference + edge))


@final
class Reference:
    """A maker's idea of the price: the fair value as it was `lag` blocks ago, followed only beyond its patience."""

    def __init__(self, desk: Desk, patience: i64, lag: i64) -> None:
        self._patience: Final[i64] = patience
        self._lag: Final[i64] = lag
        self.value: i64 = desk.fair.value
        self._limit: i64 = 0
        self.settle(desk, desk.fair.value)

    def settle(self, desk: Desk, value: i64) -> None:
        """Take a new reference and draw anew how long to hold on to it."""
        self.value = value
        self._limit = self._patience // 2 + desk.dice.waiting(self._patience // 2)

    def moved(self, desk: Desk, shift: i64) -> bool:
        """Follow the fair value, shifted by inventory, when it has gone too far; tell whether it has."""
        value = desk.fair.seen(self._lag) + shift
        gap = value - self.value
        if -self._limit <= gap <= self._limit:
            return False
        self.settle(desk, value)
        return True


def _shift(desk: Desk, account: int) -> i64:
    """Return how far inventory moves a maker's reference: down when it is long."""
    held = desk.holding(account).position.size
    if held == 0:
        return 0
    usd = desk.usd_of(held) if held > 0 else -desk.usd_of(-held)
    most = i64(desk.parameters.inventory)
    if usd > most:
        usd = most
    if usd < -most:
        usd = -most
    return -(desk.distance(desk.parameters.skew) * usd // most)


@final
class TouchMaker:
    """Keeps a few orders a side at the touch or where its reference allows, and turns them over."""

    def __init__(self, desk: Desk, number: int) -> None:
        parameters = desk.parameters
        self.account: Final[int] = desk.open_account(f"touch maker {number} of {desk.instrument.name}")
        lag = desk.blocks(desk.dice.waiting(i64(parameters.lag_ms)))
        self._reference: Final[Reference] = Reference(desk, desk.distance(parameters.patience), lag if lag < 60 else 60)
        self._edge: Final[i64] = desk.dice.waiting(desk.distance(parameters.edge))
        self._wake_ns: i64 = 0

    def act(self, desk: Desk) -> None:
        """Do what is due before a block."""
        parameters = desk.parameters
        requests: list[OrderRequest] = []
        cancels: list[tuple[int, int]] = []
        if self._reference.moved(desk, _shift(desk, self.account)):
            self._leave(desk, cancels)
            self._wake_ns = desk.now_ns + desk.block_ns
        elif self._wake_ns <= desk.now_ns:
            self._wake_ns = desk.now_ns + desk.dice.waiting(i64(parameters.touch_wait_ms) * _MS)
            self._turn_over(desk, desk.dice.side(), requests, cancels)
        elif desk.ask - desk.bid > 1 and desk.dice.chance(i64(parameters.tighten_chance)):
            self._tighten(desk, desk.dice.side(), requests)
        if requests or cancels:
            desk.send(self.account, requests, cancels)

    def _price(self, desk: Desk, side: i64) -> i64:
        """Where it would quote: as near as its reference allows, and never where that would take."""
        limit = _limit(self._reference.value, self._edge, side)
        behind = desk.touch(-side) - side
        return limit if (behind - limit) * side > 0 else behind

    def _leave(self, desk: Desk, cancels: list[tuple[int, int]]) -> None:
        """Cancel what its new reference would not quote."""
        for order in desk.holding(self.account).resting.values():
            side = order.side
            if (order.price // desk.tick - _limit(self._reference.value, self._edge, side)) * side > 0:
                cancels.append((desk.index, int(order.oid)))

    def _turn_over(self, desk: Desk, side: i64, requests: list[OrderRequest], cancels: list[tuple[int, int]]) -> None:
        """Place an order, or take one away when there are enough or one has been left far behind."""
        price = self._price(desk, side)
        reach = i64(desk.parameters.touch_reach_ticks)
        far: LiveOrder | None = None
        own: list[LiveOrder] = []
        for order in desk.holding(self.account).resting.values():
            if order.side == side:
                own.append(order)
                if (price - order.price // desk.tick) * side > reach:
                    far = order
        if far is not None:
            cancels.append((desk.index, int(far.oid)))
        elif len(own) >= desk.parameters.touch_orders or (own and desk.dice.chance(300_000)):
            cancels.append((desk.index, int(own[desk.dice.below(i64(len(own)))].oid)))
            return
        self._place(desk, side, price, requests)

    def _tighten(self, desk: Desk, side: i64, requests: list[OrderRequest]) -> None:
        """Step into a wide spread if the reference allows it."""
        price = self._price(desk, side)
        if (price - desk.touch(side)) * side > 0:
            self._place(desk, side, price, requests)

    def _place(self, desk: Desk, side: i64, price: i64, requests: list[OrderRequest]) -> None:
        usd = desk.dice.lognormal(i64(desk.parameters.touch_size), i64(desk.parameters.touch_size_sigma))
        desk.quote(self.account, side, price, desk.size_of(usd), requests)


@final
class GridMaker:
    """Keeps an order at each tick behind the touch, larger the farther away, and refreshes them now and then."""

    def __init__(self, desk: Desk, number: int) -> None:
        parameters = desk.parameters
        self.account: Final[int] = desk.open_account(f"grid maker {number} of {desk.instrument.name}")
        self._reference: Final[Reference] = Reference(desk, desk.distance(parameters.grid_patience), i64(number))
        self._wake_ns: i64 = 0

    def act(self, desk: Desk) -> None:
        """Do what is due before a block."""
        requests: list[OrderRequest] = []
        cancels: list[tuple[int, int]] = []
        if self._reference.moved(desk, _shift(desk, self.account)):
            self._wake_ns = desk.now_ns + desk.block_ns
            edge = desk.distance(desk.parameters.grid_edge)
            for order in desk.holding(self.account).resting.values():
                side = order.side
                if (order.price // desk.tick - _limit(self._reference.value, edge, side)) * side > 0:
                    cancels.append((desk.index, int(order.oid)))
            self._fill_side(desk, 1, requests, cancels)  # at once, or a jump would leave a side empty
            self._fill_side(desk, -1, requests, cancels)
        elif self._wake_ns <= desk.now_ns:
            self._wake_ns = desk.now_ns + desk.dice.waiting(i64(desk.parameters.grid_wait_ms) * _MS)
            self._fill_side(desk, 1, requests, cancels)
            self._fill_side(desk, -1, requests, cancels)
        if requests or cancels:
            desk.send(self.account, requests, cancels)

    def _fill_side(self, desk: Desk, side: i64, requests: list[OrderRequest], cancels: list[tuple[int, int]]) -> None:
        limit = _limit(self._reference.value, desk.distance(desk.parameters.grid_edge), side)
        behind = desk.touch(-side) - side
        first = limit if (behind - limit) * side > 0 else behind
        reach = i64(desk.parameters.grid_reach_ticks)
        there: dict[int, bool] = {}
        for order in desk.holding(self.account).resting.values():
            if order.side == side:
                depth = (first - order.price // desk.tick) * side
                if depth < 0:
                    continue
                if depth > reach + 4 or desk.dice.chance(20_000):
                    cancels.append((desk.index, int(order.oid)))
                else:
                    there[int(depth)] = True
        depth = 0
        while depth <= reach:
            if int(depth) not in there:
                usd = desk.dice.lognormal(
                    self._usual(desk, (desk.touch(side) - first) * side + depth),
                    i64(desk.parameters.grid_size_sigma),
                )
                desk.quote(self.account, side, first - depth * side, desk.size_of(usd), requests)
            depth += 1

    def _usual(self, desk: Desk, depth: i64) -> i64:
        """Return the median size in USDC so many ticks behind the touch, from the sizes at 1, 5, 10 and 20 ticks."""
        sizes = desk.parameters.grid_size
        if depth <= 1:
            return i64(sizes[0])
        if depth <= 5:
            return i64(sizes[0]) + (i64(sizes[1]) - i64(sizes[0])) * (depth - 1) // 4
        if depth <= 10:
            return i64(sizes[1]) + (i64(sizes[2]) - i64(sizes[1])) * (depth - 5) // 5
        if depth <= 20:
            return i64(sizes[2]) + (i64(sizes[3]) - i64(sizes[2])) * (depth - 10) // 10
        return i64(sizes[3])


@final
class Crowd:
    """Many small orders of people who are slow: placed near the touch, left where they are until hit or forgotten.

    They stand first in the queue of most levels, which is why one aggressive order makes several prints.
    """

    def __init__(self, desk: Desk) -> None:
        self.account: Final[int] = desk.open_account(f"crowd of {desk.instrument.name}")
        self._wake_ns: i64 = 0

    def act(self, desk: Desk) -> None:
        """Place an order now and then, take away the oldest when there are enough, and those that will lose."""
        self._withdraw(desk, 1)
        self._withdraw(desk, -1)
        if self._wake_ns > desk.now_ns:
            return
        parameters = desk.parameters
        dice = desk.dice
        self._wake_ns = desk.now_ns + dice.waiting(i64(parameters.crowd_wait_ms) * _MS)
        requests: list[OrderRequest] = []
        cancels: list[tuple[int, int]] = []
        side = dice.side()
        depth = dice.waiting(i64(parameters.crowd_reach_ticks) * 1000) // 1000
        usd = dice.lognormal(i64(parameters.crowd_size), i64(parameters.crowd_size_sigma))
        desk.quote(self.account, side, desk.touch(side) - side * depth, desk.size_of(usd), requests)
        resting = desk.holding(self.account).resting
        if len(resting) >= parameters.crowd_orders:
            for oid in resting:
                cancels.append((desk.index, oid))
                break
        desk.send(self.account, requests, cancels)

    def _withdraw(self, desk: Desk, side: i64) -> None:
        """While the fair value is beyond the touch by more than patience, some notice in each block."""
        limit = _limit(desk.fair.value, -desk.distance(desk.parameters.crowd_patience), side)
        if (desk.touch(side) - limit) * side <= 0:
            return
        cancels: list[tuple[int, int]] = []
        for order in desk.holding(self.account).resting.values():
            if order.side == side and (order.price // desk.tick - limit) * side > 0 and desk.dice.chance(150_000):
                cancels.append((desk.index, int(order.oid)))
        desk.send(self.account, [], cancels)
