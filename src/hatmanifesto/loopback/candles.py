"""Candles of one market, made from its prints minute by minute."""

from typing import Any, Final

from hatmanifesto.loopback.text import price_text, size_text
from hatmanifesto.model.instrument import Instrument

MINUTE_MS: Final = 60_000
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
"""Minutes of each interval (a month counts 30 days)."""
KEPT: Final = 20_000
MOST: Final = 5_000


class Candles:
    """One-minute candles: [start_ms, open, close, high, low, volume, count], price and size units."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument: Final = instrument
        self.minutes: list[list[int]] = []

    def add(self, time_ms: int, price: int, size: int) -> None:
        """Take a print."""
        start = time_ms - time_ms % MINUTE_MS
        if not self.minutes or self.minutes[-1][0] != start:
            self.minutes.append([start, price, price, price, price, 0, 0])
            if len(self.minutes) > KEPT:
                del self.minutes[: KEPT // 4]
        last = self.minutes[-1]
        last[2] = price
        last[3] = max(last[3], price)
        last[4] = min(last[4], price)
        last[5] += size
        last[6] += 1

    def span(self, interval: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return the candles of an interval, the newest 5,000; KeyError for an interval that is none."""
        width = INTERVALS[interval] * MINUTE_MS
        made: dict[int, list[int]] = {}
        for start, opened, closed, high, low, volume, count in self.minutes:
            at = start - start % width
            if at + width <= start_ms or at > end_ms:
                continue
            candle = made.get(at)
            if candle is None:
                made[at] = [opened, closed, high, low, volume, count]
                continue
            candle[1] = closed
            candle[2] = max(candle[2], high)
            candle[3] = min(candle[3], low)
            candle[4] += volume
            candle[5] += count
        return [self._shown(at, width, interval, candle) for at, candle in list(made.items())[-MOST:]]

    def _shown(self, at: int, width: int, interval: str, candle: list[int]) -> dict[str, Any]:
        opened, closed, high, low, volume, count = candle
        instrument = self.instrument
        return {
            "t": at,
            "T": at + width - 1,
            "s": instrument.name,
            "i": interval,
            "o": price_text(instrument, opened),
            "c": price_text(instrument, closed),
            "h": price_text(instrument, high),
            "l": price_text(instrument, low),
            "v": size_text(instrument, volume),
            "n": count,
        }
