"""A live exchange for tests: one BTC-like instrument, short ways to act, and a naive matcher to compare with."""

from dataclasses import dataclass, field

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live.account import AccountRules
from hatmanifesto.simulation.live.actions import Action, Cancel, Place
from hatmanifesto.simulation.live.events import ActionAnswered, Answer, Event, Fill, OrderChanged, Trade
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.floor import LiveOptions
from hatmanifesto.simulation.live.orders import OrderRequest

T0 = 1_767_225_600_000_000_000
CASH = 1_000_000_000_000


def btc(**changes: int) -> Instrument:
    """BTC as the venue defines it: 1 decimal, 5 figures, 0.00001 lots, at least 10 USDC an order."""
    values = {
        "price_scale": 1,
        "size_scale": 5,
        "significant_figures": 5,
        "min_notional": 10_000_000,
        "max_leverage": 40,
    }
    return Instrument("BTC", **{**values, **changes})


class Floor:
    """An exchange with some accounts; prices in whole USDC, sizes in 0.00001 coins."""

    def __init__(
        self,
        accounts: int = 3,
        *,
        rules: AccountRules | None = None,
        options: LiveOptions | None = None,
        instruments: list[Instrument] | None = None,
    ) -> None:
        self.exchange = LiveExchange(instruments or [btc()], rules=rules, options=options)
        self.accounts = [self.exchange.open_account(f"0x{n:040x}", CASH) for n in range(accounts)]
        self.now = T0
        self.events: list[Event] = []

    def block(self) -> list[Event]:
        """Run one block and return its events."""
        self.now += BLOCK_NS
        self.events = self.exchange.advance(self.now)
        return self.events

    def act(self, account: int, action: Action) -> list[Answer]:
        """Submit one action, run a block, and return its answers; a refusal of the whole is raised as ValueError."""
        ticket = self.exchange.submit(account, action)
        for event in self.block():
            if isinstance(event, ActionAnswered) and event.ticket == ticket:
                if event.error:
                    raise ValueError(event.error)
                return event.answers
        raise AssertionError("the action was not answered")

    def place(self, account: int, side: int, price: float, size: int, tif: int = GOOD_TILL_CANCEL, **more) -> Answer:  # type: ignore[no-untyped-def]
        """Place one order alone in a block."""
        return self.act(account, Place([order(side, price, size, tif, **more)]))[0]

    def cancel(self, account: int, oid: int) -> Answer:
        return self.act(account, Cancel([(0, oid)]))[0]

    def mark(self, price: float) -> list[Event]:
        """Set mark and oracle to a price and run a block."""
        self.exchange.set_prices(0, round(price * 10), round(price * 10))
        return self.block()

    def held(self, account: int) -> int:
        return int(self.exchange.account(account).holdings[0].position.size)

    def book(self) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Bids and asks, best first: (price in USDC x 10, size, orders)."""
        book = self.exchange.markets[0].book
        sides = [[(int(x.price), int(x.size), int(x.count)) for x in s.top(10_000)] for s in (book.bids, book.asks)]
        return sides[0], sides[1]

    def statuses(self) -> list[tuple[int, str]]:
        """(oid, status) of the last block."""
        return [(int(e.order.oid), e.status) for e in self.events if isinstance(e, OrderChanged)]

    def fills(self) -> list[tuple[int, int, int]]:
        """(maker's oid, price, size) of the last block's trades."""
        return [
            (int(e.order.oid), int(e.price), int(e.size)) for e in self.events if isinstance(e, Fill) and not e.crossed
        ]

    def trades(self) -> list[Trade]:
        return [e for e in self.events if isinstance(e, Trade)]


def order(side: int, price: float, size: int, tif: int = GOOD_TILL_CANCEL, **more) -> OrderRequest:  # type: ignore[no-untyped-def]
    """An order at a price in USDC; `trigger` in USDC makes it a trigger order."""
    trigger = more.pop("trigger", 0)
    return OrderRequest(0, side, round(price * 10), size, tif, trigger_price=round(trigger * 10), **more)


@dataclass
class NaiveOrder:
    oid: int
    account: int
    side: int
    price: int
    left: int
    seq: int


@dataclass
class NaiveMatcher:
    """Price-time priority by sorting everything each time; expire-maker self-trade prevention; no account rules."""

    resting: list[NaiveOrder] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    seq: int = 0

    def best(self, side: int) -> list[NaiveOrder]:
        return sorted((o for o in self.resting if o.side == side), key=lambda o: (-o.side * o.price, o.seq))

    def place(self, oid: int, account: int, side: int, price: int, size: int, tif: int) -> None:
        crossing = [o for o in self.best(-side) if (price - o.price) * side >= 0]
        if tif == POST_ONLY and crossing:
            return
        for maker in crossing:
            if size == 0:
                break
            if maker.account == account:
                self.cancelled.append(maker.oid)
                self.resting.remove(maker)
                continue
            traded = min(size, maker.left)
            self.trades.append((oid, maker.oid, maker.price, traded))
            maker.left -= traded
            size -= traded
            if maker.left == 0:
                self.resting.remove(maker)
        if size and tif != IMMEDIATE_OR_CANCEL:
            self.seq += 1
            self.resting.append(NaiveOrder(oid, account, side, price, size, self.seq))

    def cancel(self, oid: int) -> None:
        self.resting = [o for o in self.resting if o.oid != oid]

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        found: dict[int, tuple[int, int]] = {}
        for o in self.best(side):
            size, count = found.get(o.price, (0, 0))
            found[o.price] = (size + o.left, count + 1)
        return [(price, size, count) for price, (size, count) in found.items()]
