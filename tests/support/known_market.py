"""A market whose a, k and sigma are known: a Brownian fair price, noise on the best prices, Poisson trades."""

import math
import random

import numpy as np

from hatmanifesto.backtest.tape.format import InstrumentSpec
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.model.market_row import BBO, CHANNEL_BBO, CHANNEL_TRADES, MORE, TRADE, make_meta

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
UNITS_A_BPS = 100.0
"""The price stays near 10000.00, so that 1 bps is 100 units of a hundredth."""


def known_market(
    *,
    a: float,
    k: float,
    sigma: float,
    noise: float = 0.0,
    minutes: float = 30.0,
    seed: int = 1,
    names: tuple[str, ...] = ("BTC",),
    trades: bool = True,
    half_spread: float = 0.04,
) -> MemoryTape:
    """Return the tape: trades of each side reach a depth at the rate a exp(-k depth); all depths in bps."""
    rows = [
        row
        for index in range(len(names))
        for row in _rows(random.Random(seed * 100 + index), index, a, k, sigma, noise, minutes, trades, half_spread)
    ]
    specs = [InstrumentSpec(name=name, venue="test", price_scale=2, size_scale=4) for name in names]
    return MemoryTape(np.array(rows, dtype=np.int64), [spec.build(at) for at, spec in enumerate(specs)])


def _rows(
    rng: random.Random,
    index: int,
    a: float,
    k: float,
    sigma: float,
    noise: float,
    minutes: float,
    trades: bool,
    half_spread: float,
) -> list[tuple[int, int, int, int, int]]:
    rows: list[tuple[int, int, int, int, int]] = []
    step_seconds = STEP_NS / 1e9
    fair = 1_000_000.0
    half = max(1.0, half_spread * UNITS_A_BPS)
    for step in range(int(minutes * 60 / step_seconds)):
        now = START_NS + step * STEP_NS
        fair += sigma * math.sqrt(step_seconds) * rng.gauss(0, 1) * UNITS_A_BPS
        seen = fair + noise * rng.gauss(0, 1) * UNITS_A_BPS
        for side, flag in ((1, MORE), (-1, 0)):
            price = math.floor(seen - half) if side > 0 else math.ceil(seen + half)
            size = 10_000 + rng.randrange(20_000)
            rows.append((now, now, make_meta(BBO, side, CHANNEL_BBO, index, flag), price, size))
        for aggressor in (1, -1) if trades else ():
            # the time to the next trade is exponential; at most one a step and side would bend the rate
            left = rng.expovariate(a)
            while left < step_seconds:
                depth = rng.expovariate(k) * UNITS_A_BPS
                when = now + 1 + int(left * 1e9) % (STEP_NS - 2)
                price = round(fair + aggressor * depth)
                rows.append((when, when, make_meta(TRADE, aggressor, CHANNEL_TRADES, index), price, 100))
                left += rng.expovariate(a)
    rows.sort(key=lambda row: row[0])
    return rows
