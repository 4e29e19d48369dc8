"""Import Bitstamp's order-by-order feed as a tape of levels and trades; `bitstamp_events` has the feed's ways.

The book at the start becomes one SNAPSHOT message, every later event of a resting order one DEPTH row with its
level's new total, every trade one TRADE row before the change that it causes.
"""

import json
from pathlib import Path

import msgspec
import numpy as np

from hatmanifesto.backtest.tape.format import (
    EXCH,
    LOCAL,
    PRICE,
    SIZE,
    Footer,
    InstrumentSpec,
    Rows,
    Source,
    sort_rows,
    time_sorted,
)
from hatmanifesto.backtest.tape.importers.bitstamp_events import CUT, HIT, JOIN, LEAVE, Level3, read_level3
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress, choose, describe_files, price_limit
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    CHANNEL_BOOK,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    MORE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from hatmanifesto.model.money import parse_decimal


def import_bitstamp(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from a recording's orders and trades; raises UserError naming file and line."""
    total = sum(path.stat().st_size for path in request.files)
    progress(0, total)
    name = request.name or _pair(request.files)
    choose([name], request.instruments)
    events = read_level3(request.files)
    rows = project_level2(events)
    writer.begin("exchange")
    writer.append(rows)
    if not time_sorted(rows, LOCAL):
        writer.begin("receiver")
        writer.append(sort_rows(rows, LOCAL))
    progress(total, total)
    return writer.finish(
        instruments=[_instrument(name, request, events, rows)],
        source=Source(
            format="bitstamp-l3",
            files=describe_files(request.files),
            options={"name": name, "tick": request.tick, "lot": request.lot},
            notes=[
                f"{name} is spot: short positions, leverage and funding of a backtest exist only there",
                f"{name}: base fees of another venue are assumed; set exchange.maker_fee_bps and taker_fee_bps",
            ],
        ),
        statistics={
            "received_before_sent": int((rows[:, LOCAL] < rows[:, EXCH]).sum()),
            "level3": msgspec.to_builtins(events.counts),
        },
    )


def _pair(files: list[Path]) -> str:
    """Return the pair that the recorder's meta.json names, in capitals."""
    for folder in dict.fromkeys(path.parent for path in files):
        try:
            pair = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["pair"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(pair, str) and pair:
            return pair.upper()
    raise UserError("the recording does not say which pair it is", "name the instrument with --name")


def _instrument(name: str, request: ImportRequest, events: Level3, rows: Rows) -> InstrumentSpec:
    steps = []
    for option, text, scale in (("tick", request.tick, events.price_scale), ("lot", request.lot, events.size_scale)):
        try:
            step = parse_decimal(text, scale) if text else 1
        except ValueError as error:
            raise UserError(f"--{option} {text} does not fit the recording: {error}", "correct it") from error
        if step < 1 or (rows[:, PRICE if option == "tick" else SIZE] % step).any():
            raise UserError(f"not every {option} of the recording is a multiple of {text}", f"leave --{option} out")
        steps.append(step)
    return InstrumentSpec(
        name=name,
        venue="bitstamp",
        price_scale=events.price_scale,
        size_scale=events.size_scale,
        money_scale=max(6, events.price_scale + events.size_scale),
        tick_size=steps[0],
        lot_size=steps[1],
        max_price=price_limit(
            int(rows[:, PRICE].max()),
            int(rows[:, SIZE].max()),
            price_scale=events.price_scale,
            factor=10 ** max(0, 6 - events.price_scale - events.size_scale),
        ),
        max_leverage=1,
    )


def project_level2(events: Level3) -> Rows:
    """Return what a feed of levels and trades would have shown: packed rows in the venue's order."""
    totals: dict[tuple[int, int], int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    columns = (events.exch_ns, events.local_ns, events.kind, events.side, events.price, events.quantity)
    listed = [column.tolist() for column in columns]
    for exch, local, kind, side, price, quantity in list(zip(*listed, strict=True))[: events.opening]:
        assert kind == JOIN
        totals[side, price] = totals.get((side, price), 0) + quantity
        rows = rows or [(exch, local, 0, 0, 0)]
    rows = _snapshot(rows[0][0], rows[0][1], totals) if rows else []
    for exch, local, kind, side, price, quantity in list(zip(*listed, strict=True))[events.opening :]:
        if kind == HIT:
            rows.append((exch, local, make_meta(TRADE, -side, CHANNEL_TRADES, 0), price, quantity))
            continue
        assert kind in (JOIN, CUT, LEAVE)
        total = totals.get((side, price), 0) + (quantity if kind == JOIN else -quantity)
        totals[side, price] = total
        rows.append((exch, local, make_meta(DEPTH, side, CHANNEL_BOOK, 0), price, total))
    return np.array(rows, dtype=np.int64).reshape(-1, 5)


def _snapshot(exch: int, local: int, totals: dict[tuple[int, int], int]) -> list[tuple[int, int, int, int, int]]:
    levels = sorted(((side, price) for side, price in totals), key=lambda level: (-level[0], -level[0] * level[1]))
    rows = []
    for at, (side, price) in enumerate(levels):
        flags = (FIRST if at == 0 else 0) | (MORE if at < len(levels) - 1 else 0)
        rows.append((exch, local, make_meta(SNAPSHOT, side, CHANNEL_BOOK, 0, flags), price, totals[side, price]))
    return rows
