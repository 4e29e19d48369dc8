"""A small generated level-3 recording in Bitstamp's shape: real queues with known positions, made up from a seed.

One price-time book of random makers, cancels that prefer the newest order of a level, and market orders. It exercises
the judgement of queue models where no recording is at hand, and says nothing about real markets.
"""

import random
from pathlib import Path
from typing import Final

START_MS: Final = 1_767_225_600_000
MIDDLE: Final = 50_000


class _Market:
    """A book of orders by id, and the two files' lines."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.orders: list[str] = []
        self.trades: list[str] = []
        self.queues: dict[tuple[int, int], dict[int, int]] = {}
        self.now = START_MS
        self.next_id = 1

    def below(self, n: int) -> int:
        return self.rng.getrandbits(30) % n

    def best(self, side: int) -> int:
        return (
            max((price * side for (one, price), queue in self.queues.items() if one == side and queue), default=0)
            * side
        )

    def line(self, order_id: int, price: int, size: int, action: str, side: int) -> None:
        local = self.now + 40 + self.below(20)
        where = "bid" if side > 0 else "ask"
        self.orders.append(f"{order_id},{local},{self.now},{price}.0,{size / 1000},{action},{where}")

    def join(self, side: int, price: int, size: int) -> None:
        order_id, self.next_id = self.next_id, self.next_id + 1
        self.queues.setdefault((side, price), {})[order_id] = size
        self.line(order_id, price, size, "created", side)

    def cancel(self, side: int) -> None:
        levels = [level for level, queue in self.queues.items() if level[0] == side and len(queue) > 1]
        if not levels:
            return
        level = levels[self.below(len(levels))]
        queue = self.queues[level]
        ids = list(queue)
        order_id = ids[-1] if self.below(10) < 7 else ids[self.below(len(ids))]
        self.line(order_id, level[1], queue.pop(order_id), "deleted", side)

    def take(self, side: int, size: int) -> None:
        """A market order of this side takes the oldest orders of the best opposite levels."""
        taker, self.next_id = self.next_id, self.next_id + 1
        worst = 999_999_999 if side > 0 else 0
        self.line(taker, worst, size, "created", side)
        while size > 0:
            price = self.best(-side)
            queue = self.queues[-side, price]
            if sum(len(one) for (where, _), one in self.queues.items() if where == -side) < 5:
                break
            maker = next(iter(queue))
            traded = min(size, queue[maker])
            size -= traded
            buyer, seller = (taker, maker) if side > 0 else (maker, taker)
            local = self.now + 30 + self.below(20)
            self.trades.append(
                f"{len(self.trades) + 1},{local},{self.now},{price}.0,{traded / 1000},{buyer},{seller},"
                f"{'buy' if side > 0 else 'sell'}"
            )
            if traded == queue[maker]:
                del queue[maker]
                self.line(maker, price, 0, "deleted", -side)
            else:
                queue[maker] -= traded
                self.line(maker, price, queue[maker], "changed", -side)
        self.line(taker, worst, size, "deleted", side)

    def step(self) -> None:
        self.now += 1 + self.below(400)
        side = 1 if self.below(2) else -1
        choice = self.below(100)
        if choice < 50:
            room = (self.best(-side) - self.best(side)) * side
            price = self.best(side) - side * self.below(4)
            if room > 1 and self.below(3) == 0:
                price = self.best(side) + side
            self.join(side, price, 100 * (1 + self.below(9)) + self.below(50))
        elif choice < 90:
            self.cancel(side)
        else:
            self.take(side, 50 * (1 + self.below(30)))


def write_recording(folder: Path, *, seed: int = 1, events: int = 2000) -> Path:
    """Write orders.csv, trades.csv and meta.json into a folder and return it; one seed, one recording."""
    market = _Market(seed)
    for at in range(1, 9):
        for side in (1, -1):
            for _ in range(3):
                market.join(side, MIDDLE - side * at, 500)
    for _ in range(events):
        market.step()
    market.now += 1
    ends = [(order_id, level, size) for level, queue in market.queues.items() for order_id, size in queue.items()]
    for order_id, (side, price), size in ends:
        where = "bid" if side > 0 else "ask"
        market.orders.append(f"{order_id},{market.now},{market.now},{price}.0,{size / 1000},deleted,{where}")
    header = "id,timestamp,exchange_timestamp,price,volume,action,direction"
    (folder / "orders.csv").write_text("\n".join([header, *market.orders, ""]), encoding="utf-8")
    header = "trade_id,timestamp,exchange_timestamp,price,amount,buy_order_id,sell_order_id,side"
    (folder / "trades.csv").write_text("\n".join([header, *market.trades, ""]), encoding="utf-8")
    (folder / "meta.json").write_text('{"pair": "toyusd"}\n', encoding="utf-8")
    return folder
