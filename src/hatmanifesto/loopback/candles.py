"""Candles of one market, made from its prints minute by minute, and what the last day traded."""

from bisect import bisect_left
from typing import Any, Final, NamedTuple

from hatmanifesto.loopback.text import price_text, size_text
from hatmanifesto.model.instrument import Instrument

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 1_440
INTERVALS: Final = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "8h": 480,
    "12h": 720,
    "1d": 1_440,
    "3d": 4_320,
    "1w": 10_080,
    "1M": 43_200,
}
"""Minutes of each interval (a month counts 30 days here)."""
KEPT: Final = 20_000
MOST: Final = 5_000


class DayFigures(NamedTuple):
    """What the last 24 hours traded, size and money units, and the price before them (0 without prints)."""

    base: int
    notional: int
    first_price: int


class _Minute:
    """One minute's prints."""

    __slots__ = ("close", "count", "high", "low", "notional", "open", "volume")

    def __init__(self, price: int) -> None:
        self.open = self.close = self.high = self.low = price
        self.volume = self.notional = self.count = 0

    def add(self, price: int, size: int, notional: int) -> None:
        self.close = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += size
        self.notional += notional
        self.count += 1


class Candles:
    """The last 20,000 minutes that had prints; price, size and money units."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument: Final = instrument
        self._starts: list[int] = []
        self._minutes: list[_Minute] = []

    def add(self, time_ms: int, price: int, size: int) -> None:
        """Take a print."""
        start = time_ms - time_ms % MINUTE_MS
        if not self._starts or self._starts[-1] != start:
            self._starts.append(start)
            self._minutes.append(_Minute(price))
            if len(self._starts) > KEPT:
                del self._starts[: KEPT // 4]
                del self._minutes[: KEPT // 4]
        self._minutes[-1].add(price, size, int(self.instrument.notional(price, size)))

    def day(self, now_ms: int) -> DayFigures:
        """Return the figures of the 24 hours before a time."""
        begin = bisect_left(self._starts, now_ms - DAY_MINUTES * MINUTE_MS)
        minutes = self._minutes[begin:]
        before = self._minutes[begin - 1].close if begin else minutes[0].open if minutes else 0
        return DayFigures(sum(minute.volume for minute in minutes), sum(minute.notional for minute in minutes), before)

    def span(self, interval: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return the candles of an interval that begin in a time or contain its begin, the newest 5,000.

        Raises KeyError for an interval that is none.
        """
        width = INTERVALS[interval] * MINUTE_MS
        made: dict[int, _Minute] = {}
        for at in range(bisect_left(self._starts, start_ms - start_ms % width), len(self._starts)):
            begin = self._starts[at] - self._starts[at] % width
            if begin > end_ms:
                break
            minute = self._minutes[at]
            candle = made.get(begin)
            if candle is None:
                candle = made[begin] = _Minute(minute.open)
            candle.close = minute.close
            candle.high = max(candle.high, minute.high)
            candle.low = min(candle.low, minute.low)
            candle.volume += minute.volume
            candle.count += minute.count
        return [self._shown(begin, width, interval, candle) for begin, candle in list(made.items())[-MOST:]]

    def _shown(self, begin: int, width: int, interval: str, candle: _Minute) -> dict[str, Any]:
        instrument = self.instrument
        return {
            "t": begin,
            "T": begin + width - 1,
            "s": instrument.name,
            "i": interval,
            "o": price_text(instrument, candle.open),
            "c": price_text(instrument, candle.close),
            "h": price_text(instrument, candle.high),
            "l": price_text(instrument, candle.low),
            "v": size_text(instrument, candle.volume),
            "n": candle.count,
        }
