"""A toy market that costs nothing, for tests that need any tape: seeded, integers only.

Prices are a random walk of a two-sided book, prints hit the touch at random, latency is random, and nobody reacts to
anybody. It obeys the rules of a tape (never crossed, every print at the best opposite price and followed by the level
it left, best prices stated after every change). `hat tape synthetic` makes a better one, at a price.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hatmanifesto.backtest.tape.format import (
    EXCH,
    LOCAL,
    InstrumentSpec,
    Rows,
    Source,
    sort_rows,
    time_sorted,
)
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import perp, size_decimals
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    FUNDING,
    MARK,
    MORE,
    ORACLE,
    SNAPSHOT,
    TRADE,
    make_meta,
)

START_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01 00:00 UTC."""
START_PRICES: Final = {"BTC": "65000", "ETH": "3200", "SOL": "150", "HYPE": "30", "WLFI": "0.18"}
"""USDC; a coin can be generated when it is here."""
_DEPTH: Final = 20
_CONTEXT_NS: Final = 3_000_000_000
_FUNDING_RATE: Final = 12_500_000
_LATENCY_LEAST_NS: Final = 20_000_000
_LATENCY_SPREAD_NS: Final = 60_000_000

_Row = tuple[int, int, int, int, int]


def generate(*, seed: int, minutes: int, instruments: Sequence[str] = ("BTC", "ETH")) -> MemoryTape:
    """Return a synthetic tape in memory: about 700 rows a minute and coin; one seed, one tape."""
    specs = _specs(instruments)
    return MemoryTape(_rows(seed, minutes, specs), [spec.build(i) for i, spec in enumerate(specs)])


def generate_file(
    path: Path,
    *,
    seed: int,
    minutes: int,
    instruments: Sequence[str] = ("BTC", "ETH"),
    overwrite: bool = False,
) -> Path:
    """Write a synthetic tape to a file and return its path."""
    specs = _specs(instruments)
    with TapeWriter(path, overwrite=overwrite) as writer:
        rows = sort_rows(_rows(seed, minutes, specs), EXCH)
        writer.begin("exchange")
        writer.append(rows)
        if not time_sorted(rows, LOCAL):
            writer.begin("receiver")
            writer.append(sort_rows(rows, LOCAL))
        writer.finish(
            instruments=specs,
            source=Source(
                format="synthetic",
                options={"seed": seed, "minutes": minutes, "instruments": list(instruments)},
                notes=["synthetic: a toy market, no recording"],
            ),
            statistics={},
        )
    return path


def _specs(names: Sequence[str]) -> list[InstrumentSpec]:
    unknown = [name for name in names if name not in START_PRICES]
    if unknown or not names:
        raise UserError(
            f"no synthetic market for {', '.join(unknown) or 'nothing'}",
            f"choose from {', '.join(START_PRICES)}",
        )
    return [perp(name, size_decimals(name, 0)[0]) for name in names]


def _rows(seed: int, minutes: int, specs: Sequence[InstrumentSpec]) -> Rows:
    if minutes < 1:
        raise UserError(f"a synthetic tape of {minutes} minutes is empty", "ask for at least 1")
    rows: list[_Row] = []
    for index, spec in enumerate(specs):
        market = _ToyMarket(random.Random(seed * 1_000 + index), spec.build(index))
        rows += market.run(START_NS, START_NS + minutes * 60_000_000_000)
    return np.array(rows, dtype=np.int64)


class _ToyMarket:
    """One instrument's book and its random events. Prices are counted in ticks of one grid."""

    def __init__(self, rng: random.Random, instrument: Instrument) -> None:
        self._rng = rng
        self._index = int(instrument.index)
        start = instrument.parse_price(START_PRICES[instrument.name])
        # twice the start is a safe grid even where the walk gains a figure
        self._tick = int(instrument.tick_at(start * 2))
        self._lot: int = max(1, 10 ** int(instrument.money_scale) * 20 // start)  # about 20 USDC
        middle = start // self._tick
        self._levels: list[dict[int, int]] = [
            {middle - i: self._size() for i in range(_DEPTH)},
            {middle + 1 + i: self._size() for i in range(_DEPTH)},
        ]
        self._rows: list[_Row] = []
        self._exch = 0
        self._local = 0

    def _below(self, n: int) -> int:
        return self._rng.getrandbits(32) % n

    def _size(self) -> int:
        size: int = self._lot * (1 + self._below(50) * (1 + self._below(4)))
        return size

    def _best(self, side: int) -> int:
        best: int = max(self._levels[0]) if side > 0 else min(self._levels[1])
        return best

    def run(self, begin_ns: int, end_ns: int) -> list[_Row]:
        """Return the rows from begin to end."""
        self._stamp(begin_ns)
        self._snapshot()
        self._touch_rows()
        context_ns = begin_ns
        now = begin_ns
        while True:
            # bursts of some milliseconds between pauses, milliseconds as the venue stamps them
            now += 1_000_000 * (1 + self._below(5) if self._below(3) == 0 else 20 + self._below(500))
            if now >= end_ns:
                return self._rows
            self._stamp(now)
            if now >= context_ns:
                self._context()
                context_ns += _CONTEXT_NS
            before = (self._best(1), self._best(-1))
            if self._below(5) == 0:
                self._print(1 if self._below(2) else -1)
            else:
                self._requote(1 if self._below(2) else -1)
            if (self._best(1), self._best(-1)) != before:
                self._touch_rows()

    def _stamp(self, exch_ns: int) -> None:
        self._exch = exch_ns
        # one connection: what was sent later never arrives earlier
        self._local = max(self._local, exch_ns + _LATENCY_LEAST_NS + self._below(_LATENCY_SPREAD_NS))

    def _row(self, kind: int, side: int, channel: int, ticks: int, size: int, flags: int = 0) -> None:
        meta = make_meta(kind, side, channel, self._index, flags)
        self._rows.append((self._exch, self._local, meta, ticks * self._tick, size))

    def _snapshot(self) -> None:
        levels = [(1, t) for t in sorted(self._levels[0], reverse=True)] + [(-1, t) for t in sorted(self._levels[1])]
        for i, (side, ticks) in enumerate(levels):
            flags = (FIRST if i == 0 else 0) | (MORE if i < len(levels) - 1 else 0)
            self._row(SNAPSHOT, side, CHANNEL_BOOK, ticks, self._levels[side < 0][ticks], flags)

    def _touch_rows(self) -> None:
        for side in (1, -1):
            best = self._best(side)
            self._row(BBO, side, CHANNEL_BBO, best, self._levels[side < 0][best], MORE if side > 0 else 0)

    def _set(self, side: int, ticks: int, size: int) -> None:
        levels = self._levels[side < 0]
        if size:
            levels[ticks] = size
        else:
            del levels[ticks]
        self._row(DEPTH, side, CHANNEL_BOOK, ticks, size)

    def _print(self, aggressor: int) -> None:
        """A taker takes some or all of the best opposite level; a new level follows far behind."""
        passive = -aggressor
        best = self._best(passive)
        there = self._levels[passive < 0][best]
        taken = there if self._below(3) == 0 else min(there, self._lot * (1 + self._below(10)))
        self._row(TRADE, aggressor, CHANNEL_TRADES, best, taken)
        self._set(passive, best, there - taken)
        if taken == there:
            self._extend(passive)

    def _requote(self, side: int) -> None:
        """A maker changes a level's size, takes it away, or steps into the spread."""
        best, other = self._best(side), self._best(-side)
        choice = self._below(4)
        if choice == 0 and (other - best) * side > 1:
            self._set(side, best + side, self._size())
            self._trim(side)
        else:
            ticks = sorted(self._levels[side < 0], reverse=side > 0)[self._below(_DEPTH)]
            if choice == 1:
                self._set(side, ticks, 0)
                self._extend(side)
            else:
                self._set(side, ticks, self._size())

    def _extend(self, side: int) -> None:
        worst = min(self._levels[0]) if side > 0 else max(self._levels[1])
        self._set(side, worst - side, self._size())

    def _trim(self, side: int) -> None:
        self._set(side, min(self._levels[0]) if side > 0 else max(self._levels[1]), 0)

    def _context(self) -> None:
        middle = (self._best(1) + self._best(-1)) // 2
        self._row(MARK, 0, CHANNEL_CONTEXT, middle, 0, MORE)
        self._row(ORACLE, 0, CHANNEL_CONTEXT, middle + self._below(3) - 1, 0, MORE)
        meta = make_meta(FUNDING, 0, CHANNEL_CONTEXT, self._index)
        self._rows.append((self._exch, self._local, meta, _FUNDING_RATE, 3600))
