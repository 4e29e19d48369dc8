"""One instrument's messages as packed market rows, the same words that tapes hold."""

import struct
from typing import Final

from hatmanifesto.model.funding import FUNDING_SCALE
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_SHIFT,
    CHANNEL_TRADES,
    FIRST,
    FUNDING,
    INSTRUMENT_SHIFT,
    MARK,
    MORE,
    ORACLE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
    WORD_META,
)
from hatmanifesto.venues.hyperliquid.wire.decimals import Units, exact
from hatmanifesto.venues.hyperliquid.wire.info import AssetContext, Level, Trade
from hatmanifesto.venues.hyperliquid.wire.stream import BestPrices, Book

MS: Final = 1_000_000
HOUR_S: Final = 3600
_FUNDING_DECIMALS: Final = len(str(FUNDING_SCALE)) - 1
_LAST_MS: Final = 1 << 43
_LARGEST_SIZE: Final = 1 << 50
_BBO: Final = struct.Struct("<10q")
"""Two packed rows."""


class RowMaker:
    """Turns decoded messages into rows. Every method raises ValueError for what cannot be true, naming it.

    A level beyond the instrument's price range is left out (nothing here can trade there). `at` of a context,
    which carries no time of its own, is its receipt.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._read_price = Units("price", instrument.price_scale, 1).read
        self._read_size = Units("size", instrument.size_scale, 0, _LARGEST_SIZE).read
        self._price_scale = int(instrument.price_scale)
        self._max_price = int(instrument.max_price)
        place = int(instrument.index) << INSTRUMENT_SHIFT
        book = SNAPSHOT | CHANNEL_BOOK << CHANNEL_SHIFT | place
        self._book: Final = (book | BUY_BIT | MORE, book | SELL_BIT | MORE)
        self._empty_book: Final = book | FIRST
        bbo = BBO | CHANNEL_BBO << CHANNEL_SHIFT | place
        self._bbo_bid: Final = bbo | BUY_BIT | MORE
        self._bbo_ask: Final = bbo | SELL_BIT
        trade = TRADE | CHANNEL_TRADES << CHANNEL_SHIFT | place
        self._trade: Final = {"B": trade | BUY_BIT, "A": trade | SELL_BIT}
        self._context: Final = CHANNEL_CONTEXT << CHANNEL_SHIFT | place
        self._last_context = (0, 0, 0)

    def bbo(self, best: BestPrices, now_ns: int) -> bytes:
        """Return a message of two rows, packed: best bid and best ask, size 0 where a side is empty."""
        sides = best.bbo
        if not 1 <= len(sides) <= 2:
            raise ValueError(f"bbo with {len(sides)} sides")
        exch_ns = _time_ns(best.time)
        bid, bid_size = self._best(sides[0])
        ask, ask_size = self._best(sides[1]) if len(sides) == 2 else (0, 0)
        if bid_size and ask_size and bid >= ask:
            raise ValueError(f"bbo crossed: {bid} >= {ask}")
        return _BBO.pack(exch_ns, now_ns, self._bbo_bid, bid, bid_size, exch_ns, now_ns, self._bbo_ask, ask, ask_size)

    def _best(self, level: Level | None) -> tuple[int, int]:
        if level is None:
            return 0, 0
        price = self._read_price(level.px)
        return (price, self._read_size(level.sz)) if price <= self._max_price else (0, 0)

    def book(self, book: Book, now_ns: int) -> list[int]:
        """Return a snapshot message, bids then asks; an empty book is one row without a side."""
        exch_ns = _time_ns(book.time)
        words: list[int] = []
        read_price, read_size = self._read_price, self._read_size
        highest = self._max_price
        best = [0, 0]
        for side in (0, 1):
            meta = self._book[side]
            before = 0
            for level in book.levels[side]:
                price = read_price(level.px)
                if before and (price >= before if side == 0 else price <= before):
                    raise ValueError(f"book levels out of order at {level.px}")
                if not before:
                    best[side] = price
                before = price
                size = read_size(level.sz)
                if price <= highest and size:
                    words += (exch_ns, now_ns, meta, price, size)
        if best[0] and best[1] and best[0] >= best[1]:
            raise ValueError(f"book crossed: {best[0]} >= {best[1]}")
        if not words:
            return [exch_ns, now_ns, self._empty_book, 0, 0]
        words[WORD_META] |= FIRST
        words[WORD_META - 5] &= ~MORE
        return words

    def trade(self, trade: Trade, now_ns: int) -> list[int]:
        """Return one print."""
        size = self._read_size(trade.sz)
        if not size:
            raise ValueError("a trade of size 0")
        return [_time_ns(trade.time), now_ns, self._trade[trade.side], self._read_price(trade.px), size]

    def context(self, context: AssetContext, now_ns: int) -> list[int]:
        """Return mark, oracle and the predicted hourly funding rate, those that changed; empty when none did."""
        values = (
            self._read_context(context.mark_px),
            self._read_context(context.oracle_px),
            exact(context.funding, _FUNDING_DECIMALS),
        )
        if values[0] <= 0 or values[1] <= 0:
            raise ValueError(f"mark {context.mark_px} or oracle {context.oracle_px} is not positive")
        if abs(values[2]) > FUNDING_SCALE:
            raise ValueError(f"funding rate {context.funding}")
        last, self._last_context = self._last_context, values
        words: list[int] = []
        for kind, value, before, extra in zip((MARK, ORACLE, FUNDING), values, last, (0, 0, HOUR_S), strict=True):
            if value != before:
                words += (now_ns, now_ns, kind | self._context | MORE, value, extra)
        if words:
            words[WORD_META - 5] &= ~MORE
        return words

    def _read_context(self, text: str) -> int:
        """Return a mark or oracle price; these may have one decimal more than an order's price, which is cut off."""
        whole, point, fraction = text.partition(".")
        if not point or not fraction.isdecimal():
            return self._read_price(text)
        cut = fraction[: self._price_scale]
        return self._read_price(f"{whole}.{cut}" if cut else whole)

    def forget(self) -> None:
        """The next context is whole again."""
        self._last_context = (0, 0, 0)


def _time_ns(time_ms: int) -> int:
    if not 0 < time_ms < _LAST_MS:
        raise ValueError(f"time {time_ms} ms")
    return time_ms * MS
