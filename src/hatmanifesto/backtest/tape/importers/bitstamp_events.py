"""Bitstamp's order-by-order feed as clean level-3 events: who joined which queue, who left it, who was hit.

Source: `orders.csv` (id, timestamp, exchange_timestamp, price, volume, action, direction; the book at the start as
created orders) and `trades.csv` with the ids of both orders, plain or gzip, times in milliseconds. The feed's ways:

- An order that takes appears as created at its limit price, through the book, then as changed at the prices of its
  trades. It joins the book only with what is left once nothing opposite crosses it. Prices 0 and 999999999 are market
  orders.
- Most orders are deleted in the millisecond of their creation: refused post-only and immediate-or-cancel orders. Unless
  they traded as makers they are taken never to have rested.
- Between the book at the start and the first event some deletions are missing. Such ghosts are taken out when the
  market proves them gone: an order that crosses them rests, or a trade prints behind them.
- A replaced order is deleted with the price of its successor: what counts is where it stood.
- A maker's change or deletion and the trade that caused it are two rows: joined by id and size, the trade first.
- A recorder that ends deletes every order with one stamp of its own clock: those rows are left out.
"""

from collections import deque
from heapq import heappop, heappush
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.importers.csv_blocks import read_header
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, decimals_of
from hatmanifesto.backtest.tape.importers.files import open_recording
from hatmanifesto.backtest.tape.importers.request import malformed
from hatmanifesto.errors import UserError

JOIN: Final = 1
"""The order joins the back of its queue; quantity is its size."""
CUT: Final = 2
"""The order loses quantity and keeps its place."""
LEAVE: Final = 3
"""The order is gone with quantity, the rest of it."""
HIT: Final = 4
"""A print against this resting order; the CUT or LEAVE that it causes follows."""

ORDER_COLUMNS: Final = ["id", "timestamp", "exchange_timestamp", "price", "volume", "action", "direction"]
TRADE_COLUMNS: Final = [
    "trade_id", "timestamp", "exchange_timestamp", "price", "amount", "buy_order_id", "sell_order_id", "side",
]  # fmt: skip
_MS: Final = 1_000_000
_FAR: Final = 10
"""Orders at ten times the market or a tenth of it are left out: they would only widen the price limits."""

Column = NDArray[np.int64]


class EventCounts(msgspec.Struct):
    """What became of the rows."""

    orders_read: int = 0
    trades_read: int = 0
    trades_kept: int = 0
    trades_without_maker_dropped: int = 0
    orders_never_resting: int = 0
    ghosts_dropped: int = 0
    orders_far_from_market_dropped: int = 0
    orders_unknown_dropped: int = 0
    deleted_at_end_dropped: int = 0


class Level3(NamedTuple):
    """Level-3 events in the venue's order, one row each in columns of equal length.

    Prices and quantities are integers of 10^-price_scale and 10^-size_scale; `side` is +1 for bids. The first
    `opening` events are the book at the start.
    """

    exch_ns: Column
    local_ns: Column
    kind: Column
    order_id: Column
    side: Column
    price: Column
    quantity: Column
    opening: int
    price_scale: int
    size_scale: int
    counts: EventCounts


class _Resting:
    """An order as the feed last described it."""

    __slots__ = ("price", "rests", "side", "size")

    def __init__(self, side: int, price: int, size: int) -> None:
        self.side = side
        self.price = price
        self.size = size
        self.rests = False


class _Trade(NamedTuple):
    local_ms: int
    price: int
    size: int


class _Side:
    """The resting orders of one side by price, oldest first, and its best price."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._levels: dict[int, dict[int, None]] = {}
        self._heap: list[int] = []

    def join(self, order_id: int, price: int) -> None:
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = {}
            heappush(self._heap, -price * self._side)
        level[order_id] = None

    def leave(self, order_id: int, price: int) -> None:
        del self._levels[price][order_id]

    def best(self) -> int | None:
        heap, levels = self._heap, self._levels
        while heap and not levels[-heap[0] * self._side]:
            del levels[-heappop(heap) * self._side]
        return -heap[0] * self._side if heap else None

    def at(self, price: int) -> list[int]:
        return list(self._levels.get(price, ()))


def bitstamp_columns(header: list[str]) -> str:
    """Return `orders` or `trades` for the header of such a file, empty text for another one."""
    return "orders" if header == ORDER_COLUMNS else "trades" if header == TRADE_COLUMNS else ""


def read_level3(files: list[Path]) -> Level3:
    """Read one recording's two files; UserError names what is missing or wrong, with file and line."""
    found: dict[str, Path] = {}
    for path in files:
        kind = bitstamp_columns(read_header(path))
        if not kind:
            raise UserError(
                f"{path.name} is no Bitstamp level-3 file",
                f"its columns must be {','.join(ORDER_COLUMNS)}, or those of trades",
            )
        if kind in found:
            raise UserError(f"there are two files of {kind}: {found[kind].name}, {path.name}", "import one recording")
        found[kind] = path
    for kind in ("orders", "trades"):
        if kind not in found:
            raise UserError(f"the recording has no file of {kind}", "name both: orders.csv.gz and trades.csv")
    orders, trades = _frame(found["orders"]), _frame(found["trades"])
    if not orders.height:
        raise UserError(f"{found['orders'].name} holds no orders", "check that it is the recording you meant")
    price_scale = max(decimals_of(orders["price"]), decimals_of(trades["price"]))
    size_scale = max(decimals_of(orders["volume"]), decimals_of(trades["amount"]))
    by_maker = _trades(found["trades"], trades, price_scale, size_scale)
    cleaner = _Cleaner(by_maker, _market_prices(price_scale))
    cleaner.counts.trades_read = trades.height
    cleaner.run(found["orders"], orders, price_scale, size_scale)
    return cleaner.finish(price_scale, size_scale)


def _market_prices(price_scale: int) -> tuple[int, int]:
    return 0, 999_999_999 * 10**price_scale


def _frame(path: Path) -> pl.DataFrame:
    try:
        with open_recording(path) as recording:
            return pl.read_csv(recording.text.read(), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path.name} is no CSV file: {error}", "repair it; no tape was written") from error


def _integers(path: Path, frame: pl.DataFrame, column: str, scale: int = 0) -> pl.Series:
    """Return a column as whole numbers; negative and unreadable ones are errors."""
    units = decimal_units(frame[column], scale)
    bad = units.is_null() | (units < 0)
    if bad.any():
        at = int(bad.arg_true()[0])
        raise malformed(path, at + 2, f"{column} {frame[column][at]!r} is no number of at most {scale} decimals")
    return units


def _trades(path: Path, frame: pl.DataFrame, price_scale: int, size_scale: int) -> dict[int, deque[_Trade]]:
    """Return the trades by their maker's id, in the venue's order."""
    bad = ~frame["side"].is_in(["buy", "sell"]).fill_null(False)
    if bad.any():
        at = int(bad.arg_true()[0])
        raise malformed(path, at + 2, f"side {frame['side'][at]!r} is neither buy nor sell")
    columns = [
        frame["side"],
        *(_integers(path, frame, name) for name in ("trade_id", "timestamp", "buy_order_id", "sell_order_id")),
        _integers(path, frame, "price", price_scale),
        _integers(path, frame, "amount", size_scale),
    ]
    found: dict[int, deque[_Trade]] = {}
    for side, _, local, buyer, seller, price, size in sorted(zip(*columns, strict=True), key=lambda row: row[1]):
        found.setdefault(seller if side == "buy" else buyer, deque()).append(_Trade(local, price, size))
    return found


class _Cleaner:
    """Follows every order of the feed and notes the events of those that rest."""

    def __init__(self, trades: dict[int, deque[_Trade]], market_prices: tuple[int, int]) -> None:
        self.counts = EventCounts()
        self._trades = trades
        self._market_prices = market_prices
        self._orders: dict[int, _Resting] = {}
        self._taking: dict[int, _Resting] = {}
        self._sides = {1: _Side(1), -1: _Side(-1)}
        self._rows: list[tuple[int, int, int, int, int, int, int]] = []
        self._opening = 0
        self._lowest = 0
        self._highest = 1 << 62

    def run(self, path: Path, frame: pl.DataFrame, price_scale: int, size_scale: int) -> None:
        for column, allowed in (("action", ["created", "changed", "deleted"]), ("direction", ["bid", "ask"])):
            bad = ~frame[column].is_in(allowed).fill_null(False)
            if bad.any():
                at = int(bad.arg_true()[0])
                raise malformed(path, at + 2, f"{column} {frame[column][at]!r} is none of {', '.join(allowed)}")
        exch = _integers(path, frame, "exchange_timestamp")
        backwards = (exch.diff() < 0).fill_null(False)
        if backwards.any():
            raise malformed(path, int(backwards.arg_true()[0]) + 2, "exchange_timestamp runs backwards")
        local = _integers(path, frame, "timestamp")
        price = _integers(path, frame, "price", price_scale)
        size = _integers(path, frame, "volume", size_scale)
        stop = self._end(frame, exch, local)
        self.counts.orders_read = frame.height
        self.counts.deleted_at_end_dropped = frame.height - stop
        first = exch[0]
        opening = int(((exch == first) & (frame["action"] == "created")).cum_prod().sum())
        self._bounds(price.head(opening), frame["direction"].head(opening))
        ids = _integers(path, frame, "id")
        fleeting = self._fleeting(ids, exch, frame["action"], opening)
        columns = (ids, local, exch, price, size, frame["action"], frame["direction"])
        last = first
        for at, (order_id, local_ms, exch_ms, units, volume, action, direction) in enumerate(
            zip(*columns, strict=True)
        ):
            if at == stop:
                break
            if at == opening:
                self._open()
            if exch_ms > last:
                self._settle(last, local_ms)
                last = exch_ms
            if order_id in fleeting:
                self.counts.orders_never_resting += action == "deleted"
            elif action == "created":
                self._created(exch_ms, local_ms, order_id, 1 if direction == "bid" else -1, units, volume)
            else:
                self._changed(exch_ms, local_ms, order_id, volume, action == "deleted")
        if stop <= opening:
            self._open()

    def _fleeting(self, ids: pl.Series, exch: pl.Series, action: pl.Series, opening: int) -> set[int]:
        """Return the orders deleted in the millisecond of their creation that no trade names as the maker."""
        rows = pl.DataFrame({"id": ids, "exch": exch, "action": action}).slice(opening)
        created = rows.filter(pl.col("action") == "created")
        deleted = rows.filter(pl.col("action") == "deleted")
        both = created.join(deleted, on=["id", "exch"])["id"].to_list()
        return {order_id for order_id in both if order_id not in self._trades}

    def _open(self) -> None:
        """The book at the start is complete: its orders queue in the order of their ids, which rise with time."""
        self._rows.sort(key=lambda row: row[3])
        self._opening = len(self._rows)
        for side in self._sides.values():
            for price in {row[5] for row in self._rows}:
                for order_id in sorted(side.at(price)):
                    side.leave(order_id, price)
                    side.join(order_id, price)

    @staticmethod
    def _end(frame: pl.DataFrame, exch: pl.Series, local: pl.Series) -> int:
        """Return where the recorder's own deletions at the end begin."""
        ours = (exch == exch[-1]) & (local == exch) & (frame["action"] == "deleted")
        tail = int(ours.reverse().cum_prod().sum())
        return frame.height - tail if tail > 1 else frame.height

    def _bounds(self, price: pl.Series, direction: pl.Series) -> None:
        lowest, highest = self._market_prices
        there = (price > lowest) & (price < highest)
        bid = price.filter(there & (direction == "bid")).max()
        ask = price.filter(there & (direction == "ask")).min()
        if isinstance(bid, int) and isinstance(ask, int):
            self._lowest, self._highest = bid // _FAR, ask * _FAR

    def _note(self, exch_ms: int, local_ms: int, kind: int, order_id: int, order: _Resting, quantity: int) -> None:
        self._rows.append((exch_ms, local_ms, kind, order_id, order.side, order.price, quantity))

    def _created(self, exch_ms: int, local_ms: int, order_id: int, side: int, price: int, size: int) -> None:
        if order_id in self._orders:
            self.counts.orders_unknown_dropped += 1
            return
        order = _Resting(side, price, size)
        market = price in self._market_prices
        if not market and not self._lowest <= price <= self._highest:
            self.counts.orders_far_from_market_dropped += 1
            return
        self._orders[order_id] = order
        if market or self._crosses(order):
            self._taking[order_id] = order
        else:
            self._join(exch_ms, local_ms, order_id, order)

    def _crosses(self, order: _Resting) -> bool:
        if order.price in self._market_prices:
            return True
        opposite = self._sides[-order.side].best()
        return opposite is not None and (order.price - opposite) * order.side >= 0

    def _join(self, exch_ms: int, local_ms: int, order_id: int, order: _Resting) -> None:
        order.rests = True
        self._sides[order.side].join(order_id, order.price)
        self._note(exch_ms, local_ms, JOIN, order_id, order, order.size)

    def _leave(self, exch_ms: int, local_ms: int, order_id: int, order: _Resting) -> None:
        order.rests = False
        self._sides[order.side].leave(order_id, order.price)
        self._note(exch_ms, local_ms, LEAVE, order_id, order, order.size)

    def _changed(self, exch_ms: int, local_ms: int, order_id: int, size: int, gone: bool) -> None:
        order = self._orders.get(order_id)
        if order is None:
            self.counts.orders_unknown_dropped += gone
            return
        if not order.rests:
            order.size = size
            if gone:
                del self._orders[order_id]
                self._taking.pop(order_id, None)
                self.counts.orders_never_resting += 1
            return
        if size > order.size:  # grown: it leaves its place and queues again
            self._leave(exch_ms, local_ms, order_id, order)
            order.size = size
            self._join(exch_ms, local_ms, order_id, order)
            return
        lost = order.size - size
        self._hit(exch_ms, local_ms, order_id, order, lost)
        if gone:
            self._leave(exch_ms, local_ms, order_id, order)
            del self._orders[order_id]
        elif lost:
            self._note(exch_ms, local_ms, CUT, order_id, order, lost)
            order.size = size
        for waiting_id, waiting in list(self._taking.items()):
            if not self._crosses(waiting):
                self._rest(exch_ms, local_ms, waiting_id, waiting)

    def _rest(self, exch_ms: int, local_ms: int, order_id: int, order: _Resting) -> None:
        """An order that took, or seemed to, rests with what is left."""
        del self._taking[order_id]
        if order.size > 0:
            self._join(exch_ms, local_ms, order_id, order)

    def _settle(self, exch_ms: int, local_ms: int) -> None:
        """A millisecond is over: who still crosses the book and is there proves the other side wrong."""
        for order_id, order in list(self._taking.items()):
            if order.price in self._market_prices:
                continue
            opposite = self._sides[-order.side]
            while self._crosses(order):
                best = opposite.best()
                assert best is not None
                self._forget(exch_ms, local_ms, -order.side, best)
            self._rest(exch_ms, local_ms, order_id, order)

    def _forget(self, exch_ms: int, local_ms: int, side: int, price: int) -> None:
        """Take out a level's orders, which the market has proved gone."""
        for ghost_id in self._sides[side].at(price):
            self._leave(exch_ms, local_ms, ghost_id, self._orders.pop(ghost_id))
            self.counts.ghosts_dropped += 1

    def _hit(self, exch_ms: int, local_ms: int, order_id: int, order: _Resting, lost: int) -> None:
        """Note the trade that took what an order lost, if one did; nothing better can still have stood then."""
        trades = self._trades.get(order_id)
        if not trades or trades[0].size != lost:
            return
        trade = trades.popleft()
        self.counts.trades_kept += 1
        side = self._sides[order.side]
        best = side.best()
        while best is not None and (best - order.price) * order.side > 0:
            self._forget(exch_ms, local_ms, order.side, best)
            best = side.best()
        self._note(exch_ms, trade.local_ms, HIT, order_id, order, trade.size)

    def finish(self, price_scale: int, size_scale: int) -> Level3:
        """Return what was noted."""
        counts = self.counts
        counts.trades_without_maker_dropped = counts.trades_read - counts.trades_kept
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 7)
        exch, local, kind, order_id, side, price, quantity = (np.ascontiguousarray(table[:, at]) for at in range(7))
        return Level3(
            exch * _MS,
            local * _MS,
            kind,
            order_id,
            side,
            price,
            quantity,
            self._opening,
            price_scale,
            size_scale,
            counts,
        )
