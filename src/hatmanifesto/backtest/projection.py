"""Tables, numbers and chart series of a run, all made from its journal in one pass and bounded memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from hatmanifesto.backtest.journal_scan import Opening, closing_in, read_batches, read_opening, rows_of
from hatmanifesto.backtest.order_history import OrderHistory
from hatmanifesto.backtest.series import Buckets, Marks
from hatmanifesto.backtest.statistics import Statistics
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.record import EQUITY, VIEW

PART_ROWS: Final = 8_192
"""Rows held as Python values before a part of a table is written away; some 10 MB of orders."""
GROUP_ROWS: Final = 32_768
"""Rows of a row group of a finished table: what joining the parts holds in memory, and a reader at least reads."""
CHART_POINTS: Final = 26_000
"""Points of all lines together, so that a report stays below 2 MB."""
CHART_MARKS: Final = 9_000

FILLS: Final[dict[str, Any]] = {
    "ts_ns": pl.Int64, "exch_ts_ns": pl.Int64, "order_id": pl.Int64, "trade_id": pl.Int64,
    "instrument": pl.String, "strategy": pl.String, "side": pl.Int8, "price": pl.Int64, "size": pl.Int64,
    "fee": pl.Int64, "taker": pl.Boolean, "realized": pl.Int64, "position": pl.Int64,
    "twice_mid_price": pl.Int64, "price_approximate": pl.Float64, "size_approximate": pl.Float64,
}  # fmt: skip
ORDERS: Final[dict[str, Any]] = {
    "order_id": pl.Int64, "strategy": pl.String, "instrument": pl.String, "side": pl.Int8,
    "price": pl.Int64, "size": pl.Int64, "filled": pl.Int64, "state": pl.String, "time_in_force": pl.String,
    "reduce_only": pl.Boolean, "purpose": pl.String, "reason": pl.String, "rule_of": pl.String,
    "message": pl.String, "remedy": pl.String, "value": pl.Int64, "limit": pl.Int64, "decided_ns": pl.Int64,
    "submitted_ns": pl.Int64, "acked_ns": pl.Int64, "cancel_ns": pl.Int64, "ended_ns": pl.Int64,
    "bid_price": pl.Int64, "ask_price": pl.Int64,
}  # fmt: skip
EQUITIES: Final[dict[str, Any]] = {
    "ts_ns": pl.Int64, "equity": pl.Int64, "cash": pl.Int64, "unrealized": pl.Int64,
    "gross_exposure": pl.Int64, "drawdown": pl.Int64, "equity_approximate": pl.Float64,
}  # fmt: skip


@contextmanager
def _writing() -> Iterator[None]:
    """Polars calls a full disk an error of computing; here it is the operating system's again."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        raise OSError(str(error)) from error


class Table:
    """A Parquet file written part by part."""

    def __init__(self, path: Path, schema: dict[str, Any], metadata: dict[str, str]) -> None:
        self._path = path
        self._schema = schema
        self._metadata = metadata
        self._parts: list[Path] = []
        self._rows: list[tuple[Any, ...]] = []
        self.count = 0

    def take(self, rows: list[tuple[Any, ...]]) -> None:
        """Move rows out of a list into the table."""
        self._rows += rows
        rows.clear()
        if len(self._rows) >= PART_ROWS:
            part = self._path.with_name(f".{self._path.name}.{len(self._parts)}")
            with _writing():
                self._frame().write_parquet(part, statistics=False)
            self._parts.append(part)

    def _frame(self) -> pl.DataFrame:
        frame = pl.DataFrame(self._rows, schema=self._schema, orient="row")
        self.count += len(self._rows)
        self._rows = []
        return frame

    def finish(self) -> None:
        """Write the file; parts are joined in a stream."""
        rest = self._frame()
        if not self._parts:
            with _writing():
                rest.write_parquet(self._path, metadata=self._metadata)
            return
        part = self._path.with_name(f".{self._path.name}.{len(self._parts)}")
        self._parts.append(part)
        with _writing():
            rest.write_parquet(part, statistics=False)
            pl.scan_parquet(self._parts, glob=False).sink_parquet(
                self._path, metadata=self._metadata, row_group_size=GROUP_ROWS, maintain_order=True
            )
        for part in self._parts:
            part.unlink()


class Charts:
    """The series of a report: mid price, fills and position of each instrument, equity, drawdown."""

    def __init__(self, opening: Opening, end_ns: int) -> None:
        begin = int(opening.facts["start_ns"])
        end = max(begin + 1, end_ns)
        instruments = len(opening.plan.instruments)
        count = max(200, CHART_POINTS // 4 // (2 * instruments + 2))
        self.prices = [Buckets(begin, end, count) for _ in range(instruments)]
        self.positions = [Buckets(begin, end, count) for _ in range(instruments)]
        self.marks = [Marks(begin, end, max(400, CHART_MARKS // instruments)) for _ in range(instruments)]
        self.equity = Buckets(begin, end, count)
        self.drawdown = Buckets(begin, end, count)

    def feed(self, batch: Batch) -> None:
        """Take prices, equity and drawdown out of a batch."""
        views = rows_of(batch, VIEW)
        if len(views):
            bid, ask = views.field("bid_price"), views.field("ask_price")
            whole = (bid > 0) & (ask > 0)
            for index, buckets in enumerate(self.prices):
                chosen = whole & (views.aux == index)
                buckets.add(views.ts_ns[chosen], bid[chosen] + ask[chosen])
        equity = rows_of(batch, EQUITY)
        if len(equity):
            self.equity.add(equity.ts_ns, equity.field("equity"))
            self.drawdown.add(equity.ts_ns, equity.field("drawdown"))

    def take_fills(self, fills: list[tuple[Any, ...]], names: list[str]) -> None:
        """Take the marks and the positions out of rows of fills."""
        index_of = {name: index for index, name in enumerate(names)}
        points: dict[int, list[tuple[int, int]]] = {}
        for row in fills:
            index = index_of[row[4]]
            self.marks[index].add(row[0], row[6], row[7], row[8], row[10])
            points.setdefault(index, []).append((row[0], row[12]))
        for index, found in points.items():
            both = np.array(found, dtype=np.int64)
            self.positions[index].add(both[:, 0], both[:, 1])


class Projected:
    """What a run left behind: its opening and closing records, numbers and chart series."""

    def __init__(self, opening: Opening, closing: dict[str, Any], summary: dict[str, Any], charts: Charts) -> None:
        self.opening = opening
        self.closing = closing
        self.summary = summary
        self.charts = charts


def project(journal: Path, folder: Path, end_ns: int) -> Projected:
    """Read a journal and write fills.parquet, orders.parquet and equity.parquet into a folder.

    `end_ns` scales the charts. UserError when the journal was not closed.
    """
    opening = read_opening(journal)
    plan = opening.plan
    names = [entry.name for entry in plan.instruments]
    metadata = _metadata(opening)
    fills = Table(folder / "fills.parquet", FILLS, metadata)
    orders = Table(folder / "orders.parquet", ORDERS, metadata)
    equities = Table(folder / "equity.parquet", EQUITIES, metadata)
    statistics = Statistics(plan)
    history = OrderHistory(plan, statistics)
    charts = Charts(opening, end_ns)
    closing: dict[str, Any] | None = None
    for batch in read_batches(journal):
        history.feed(batch)
        charts.feed(batch)
        charts.take_fills(history.fills, names)
        fills.take(history.fills)
        orders.take(history.orders)
        equities.take(_equity_rows(batch, plan.money_scale))
        closing = closing_in(batch) or closing
    if closing is None:
        raise UserError(f"{journal} was not closed", "run the backtest again")
    history.finish()
    orders.take(history.orders)
    for table in (fills, orders, equities):
        table.finish()
    return Projected(opening, closing, statistics.summary(closing), charts)


def _equity_rows(batch: Batch, money_scale: int) -> list[tuple[Any, ...]]:
    rows = rows_of(batch, EQUITY)
    if not len(rows):
        return []
    columns = [rows.ts_ns, *(rows.field(name) for name in list(EQUITIES)[1:6])]
    values = [column.tolist() for column in columns]
    unit = 10.0**-money_scale
    values.append([value * unit for value in values[1]])
    return list(zip(*values, strict=True))


def _metadata(opening: Opening) -> dict[str, str]:
    """Say in the file what its integers mean."""
    plan = opening.plan
    scales = {
        entry.name: {"price_scale": entry.price_scale, "size_scale": entry.size_scale} for entry in plan.instruments
    }
    return {
        "hatmanifesto.money_scale": str(plan.money_scale),
        "hatmanifesto.instruments": json.dumps(scales),
        "hatmanifesto.units": "price x 10^-price_scale quote; size x 10^-size_scale coins;"
        " money x 10^-money_scale quote; times in ns since 1970 UTC; approximate: floats, for plotting only",
    }
