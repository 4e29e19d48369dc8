"""The synthetic market: seeded agents trade on the live matcher, and what the venue's feed would say is the tape.

Makers, noise takers and informed flow, fitted to recordings of BTC and ETH; docs/synthetic-market.md shows what
agrees and what does not. Nobody in it reacts to the orders of a backtest, as nobody does on a recording; on the live
exchange they do. Integers from one seeded generator: the same seed gives the same bytes.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hatmanifesto.backtest.tape.format import WORDS, InstrumentSpec, Rows, Source
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import perp, size_decimals
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.funding import HOUR_NS
from hatmanifesto.simulation.agents.dice import Dice
from hatmanifesto.simulation.agents.feed import Feed
from hatmanifesto.simulation.agents.market import AgentsMarket, common_factor
from hatmanifesto.simulation.agents.parameters import MARKETS
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.floor import LiveOptions

START_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01 00:00 UTC."""
_WARM_UP_BLOCKS: Final = 300
"""Blocks before the tape begins, in which the agents build their book."""
_MINUTE_NS: Final = 60_000_000_000
_BLOCKS_A_PART: Final = 857

Progress = Callable[[int, int], None]


def generate(
    *, seed: int, minutes: int, instruments: Sequence[str] = ("BTC", "ETH"), changes: bool = False
) -> MemoryTape:
    """Return a synthetic tape in memory: about 5,500 rows a minute and coin; one seed, one tape.

    With `changes` the book is one snapshot and every change of a level, instead of a snapshot each half second.
    """
    specs = _specs(instruments)
    rows = np.concatenate(list(_parts(seed, minutes, specs, changes, _quiet)))
    return MemoryTape(rows, [spec.build(i) for i, spec in enumerate(specs)], venues=[spec.venue for spec in specs])


def generate_file(
    path: Path,
    *,
    seed: int,
    minutes: int,
    instruments: Sequence[str] = ("BTC", "ETH"),
    changes: bool = False,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> Path:
    """Write a synthetic tape to a file and return its path; progress is told in blocks."""
    specs = _specs(instruments)
    with TapeWriter(path, overwrite=overwrite) as writer, Spool(path.parent) as spool:
        for rows in _parts(seed, minutes, specs, changes, on_progress or _quiet):
            spool.add(rows)
        statistics = spool.write(writer)
        writer.finish(
            instruments=specs,
            source=Source(
                format="synthetic",
                options={"seed": seed, "minutes": minutes, "instruments": list(instruments), "changes": changes},
                notes=["synthetic: agents on the live matcher, no recording; see docs/synthetic-market.md"],
            ),
            statistics=statistics,
        )
    return path


def _specs(names: Sequence[str]) -> list[InstrumentSpec]:
    unknown = [name for name in names if name not in MARKETS]
    if unknown or not names:
        raise UserError(
            f"no synthetic market for {', '.join(unknown) or 'nothing'}",
            f"choose from {', '.join(MARKETS)}",
        )
    return [perp(name, size_decimals(name, 0)[0]) for name in names]


def _parts(
    seed: int, minutes: int, specs: Sequence[InstrumentSpec], changes: bool, on_progress: Progress
) -> Iterator[Rows]:
    """Run the market and yield its rows, about a minute at a time; whole messages, in the order of the blocks."""
    if minutes < 1:
        raise UserError(f"a synthetic tape of {minutes} minutes is empty", "ask for at least 1")
    exchange = LiveExchange([spec.build(i) for i, spec in enumerate(specs)], options=LiveOptions(open_orders=5000))
    agents: list[AgentsMarket] = []
    feeds: list[Feed] = []
    common = common_factor(random.Random(seed * 1_000 + 900))
    for index, spec in enumerate(specs):
        market = AgentsMarket(exchange, index, MARKETS[spec.name], random.Random(seed * 1_000 + index), common=common)
        agents.append(market)
        feeds.append(Feed(market, index, Dice(random.Random(seed * 1_000 + 500 + index)), changes=changes))
    now = START_NS - _WARM_UP_BLOCKS * BLOCK_NS
    blocks = minutes * _MINUTE_NS // BLOCK_NS + 1
    hour = START_NS // HOUR_NS
    for block in range(-_WARM_UP_BLOCKS, blocks):
        common.step()
        for market in agents:
            market.act(now)
        if now // HOUR_NS > hour:
            hour = now // HOUR_NS
            for index, market in enumerate(agents):
                exchange.settle_funding(index, market.funding_rate)
        events = exchange.advance(now)
        if block >= 0:
            for feed in feeds:
                feed.take(now, events)
            if block % _BLOCKS_A_PART == _BLOCKS_A_PART - 1 or block == blocks - 1:
                on_progress(block + 1, blocks)
                yield np.concatenate([np.array(feed.drain(), dtype=np.int64).reshape(-1, WORDS) for feed in feeds])
        now += BLOCK_NS


def _quiet(done: int, total: int) -> None:
    """Tell nobody about progress."""
