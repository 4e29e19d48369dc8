"""The venue's mark price, and the impact prices that funding is measured by.

Source: Hyperliquid docs, robust price indices and funding.
"""

from math import exp
from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.simulation.live.order_book import LiveSide

_SCALE: Final = 1_000_000_000
_MEMORY_MS: Final = 150_000


@final
class MarkPrice:
    """Median of: oracle plus a 150 s average of (mid − oracle); median of best bid, best ask and last trade; and a
    price from other venues. Sampled at equal steps; prices in price units, 0 where there is none.
    """

    def __init__(self, step_ms: int) -> None:
        self._keep: Final[int] = round(exp(-step_ms / _MEMORY_MS) * _SCALE)
        self._step_ms: Final[int] = step_ms
        self._sum: int = 0  # of basis x time, kept exact to a thousandth of a price unit
        self._weight: int = 0

    def update(self, oracle: int, bid: int, ask: int, last: int, elsewhere: int) -> int:
        """Take a sample and return the mark price; oracle must be positive."""
        found: list[int] = []
        if bid > 0 and ask > 0:
            self._sum = self._sum * self._keep // _SCALE + ((bid + ask) * 500 - oracle * 1000) * self._step_ms
            self._weight = self._weight * self._keep // _SCALE + self._step_ms
            found.append(sorted([bid, ask, last])[1] if last > 0 else (bid + ask) // 2)
        if self._weight > 0:
            found.append(oracle + self._sum // (self._weight * 1000))
        if elsewhere > 0:
            found.append(elsewhere)
        if not found:
            return oracle
        found.sort()
        return found[len(found) // 2] if len(found) != 2 else (found[0] + found[1]) // 2


def impact_price(side: LiveSide, instrument: Instrument, notional: int) -> int:
    """Return the average price of taking so much money from a side, rounded down; 0 when it does not hold that much."""
    left = notional
    value = 0
    size = 0
    at = len(side.keys) - 1
    while at >= 0:
        level = side.levels[side.keys[at]]
        there = int(instrument.notional(level.price, level.size))
        if there >= left:
            taken = left // int(instrument.notional(level.price, i64(1))) + 1
            return (value + int(level.price) * taken) // (size + taken)
        value += int(level.price * level.size)
        size += int(level.size)
        left -= there
        at -= 1
    return 0
