"""A market that follows one recorded or observed elsewhere: a tape's, or the real venue's.

One account quotes what the followed book shows, another takes what it printed; whoever trades here trades with them,
in the matcher's own queues. What was taken here comes back with the followed book's next change.
"""

from typing import Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import BUY_BIT, FUNDING, KIND_MASK, MARK, ORACLE, TRADE
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL
from hatmanifesto.simulation.live.actions import Cancel, Place
from hatmanifesto.simulation.live.orders import OrderRequest

DEPTH: Final = 20
CASH: Final = 10**15


class Follower:
    """One market's crowd: `take` rows as they come, `act` before each block."""

    def __init__(self, loopback: Loopback, index: int) -> None:
        self.loopback = loopback
        self.index = index
        self.instrument = loopback.instruments[index]
        self.book = Book()
        exchange = loopback.exchange
        self.quoter = exchange.open_account(f"book of {self.instrument.name}", CASH)
        self.taker = exchange.open_account(f"prints of {self.instrument.name}", CASH)
        self.mark = self.oracle = 0
        self.quoting = True
        """Whether the followed book can be relied on; while not, nothing of it is shown."""
        self._prints: list[tuple[int, int, int]] = []
        self._took = False

    def take(self, meta: int, price: int, size: int, exch_ts: int) -> None:
        """Take one market row of this instrument."""
        kind = meta & KIND_MASK
        if kind == TRADE:
            side = 1 if meta & BUY_BIT else -1
            self._prints.append((side, price, size))
        elif kind == MARK:
            self.mark = price
        elif kind == ORACLE:
            self.oracle = price
        elif kind == FUNDING:
            self.loopback.states[self.index].told_rate = price
        else:
            self.book.apply(meta, price, size, exch_ts)

    def act(self) -> None:
        """Publish mark and oracle; then take what was printed, or quote what the book shows.

        Prints go before the book that they left behind, each in a block of its own: a block cancels before it takes, so
        that in one block they would find the level gone.
        """
        mid = int(self.book.mid())
        mark = self.mark or mid
        if mark:
            self.loopback.set_prices(self.instrument.name, mark, self.oracle or mark)
        if self._prints and not self._took:
            self._took = True
            self._take_prints()
        else:
            self._took = False
            self._quote()

    def _take_prints(self) -> None:
        takes = [
            OrderRequest(self.index, side, price, min(size, int(self.instrument.max_size)), IMMEDIATE_OR_CANCEL)
            for side, price, size in self._prints
            if int(self.instrument.notional(price, size)) >= int(self.instrument.min_notional)
        ]
        self._prints.clear()
        if takes:
            self.loopback.exchange.submit(self.taker, Place(takes))

    def _quote(self) -> None:
        exchange = self.loopback.exchange
        wanted = self._wanted()
        held: set[tuple[int, int]] = set()
        stale: list[tuple[int, int]] = []
        for order in exchange.account(self.quoter).orders.values():
            key = (int(order.side), int(order.price))
            if key in held or wanted.get(key) != int(order.remaining):
                stale.append((self.index, int(order.oid)))
            else:
                held.add(key)
        if stale:
            exchange.submit(self.quoter, Cancel(stale))
        fresh = [
            OrderRequest(self.index, side, price, size, GOOD_TILL_CANCEL)
            for (side, price), size in wanted.items()
            if (side, price) not in held
        ]
        if fresh:
            exchange.submit(self.quoter, Place(fresh))

    def _wanted(self) -> dict[tuple[int, int], int]:
        wanted: dict[tuple[int, int], int] = {}
        if not self.quoting:
            return wanted
        for side, levels in ((1, self.book.bids), (-1, self.book.asks)):
            price = int(levels.best_price())
            for _ in range(DEPTH):
                if price == 0:
                    break
                size = min(int(levels.size_at(price)), int(self.instrument.max_size))
                if int(self.instrument.notional(price, size)) >= int(self.instrument.min_notional):
                    wanted[(side, price)] = size
                price = int(levels.next_price(price))
        return wanted
