"""Tables, numbers and chart series of a run, all made from its journal in one pass and bounded memory."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.figures.maker import MakerFigures
from hatmanifesto.backtest.figures.touches import TapeMarket, ViewMarket
from hatmanifesto.backtest.journal_scan import Opening, closing_in, read_batches, read_opening, rows_of
from hatmanifesto.backtest.order_history import (
    ENDED_SEQ,
    F_INSTRUMENT,
    F_POSITION,
    F_PRICE,
    F_SIDE,
    F_SIZE,
    F_TAKER,
    F_TS,
    Followed,
    OrderHistory,
)
from hatmanifesto.backtest.series import Buckets, Marks
from hatmanifesto.backtest.statistics import Statistics
from hatmanifesto.backtest.tables import EQUITIES, Rows, Table, metadata_of
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.backtest.venue_figures import VenueFigures
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.record import EQUITY, FAULT, FILL, FUNDING_PAYMENT, VIEW

Ints = NDArray[np.int64]

CHART_POINTS: Final = 26_000
"""Points of all lines together, so that a report stays below 2 MB."""
CHART_MARKS: Final = 9_000


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

    def take_fills(self, fills: Ints) -> None:
        """Take the marks and the positions out of a batch's fills."""
        for index in np.unique(fills[F_INSTRUMENT]).tolist():
            mine = fills[F_INSTRUMENT] == index
            for row in fills[:, mine].T.tolist():
                self.marks[index].add(row[F_TS], row[F_SIDE], row[F_PRICE], row[F_SIZE], row[F_TAKER] == 1)
            self.positions[index].add(fills[F_TS, mine], fills[F_POSITION, mine])


class Projected(NamedTuple):
    """What a run left behind: its opening and closing records, numbers, chart series, and series of maker figures."""

    opening: Opening
    closing: dict[str, Any]
    summary: dict[str, Any]
    charts: Charts
    maker: dict[str, Any]


def project(journal: Path, folder: Path, end_ns: int, tape: TapeLike | None = None) -> Projected:
    """Read a journal and write fills.parquet, orders.parquet and equity.parquet into a folder.

    `end_ns` scales the charts. With the tape, maker figures are measured against it; without one, against
    what the strategies saw. UserError when the journal was not closed.
    """
    opening = read_opening(journal)
    plan = opening.plan
    begin_ns = int(opening.facts["start_ns"])
    count = len(plan.instruments)
    market = ViewMarket(count) if tape is None else TapeMarket(tape.stream("exchange"), count)
    metadata = metadata_of(plan)
    rows = Rows(plan)
    fills = Table(folder / "fills.parquet", rows.fills, metadata)
    orders = Table(folder / "orders.parquet", rows.orders, metadata)
    equities = Table(folder / "equity.parquet", rows.equities, metadata)
    statistics = Statistics(plan)
    history = OrderHistory()
    venue = VenueFigures(plan)
    figures = MakerFigures(plan, market, begin_ns, end_ns)
    charts = Charts(opening, end_ns)
    closing: dict[str, Any] | None = None
    for batch in read_batches(journal):
        done = history.feed(batch)
        statistics.follow(done, _fundings(batch))
        statistics.faults_in(rows_of(batch, FAULT).aux)
        venue.feed(batch)
        market.take(batch)
        figures.follow(done, int(batch.words[batch.starts[-1] + 1]))
        charts.take_fills(done.fills)
        charts.feed(batch)
        fills.take(figures.take_settled())
        orders.take(_in_order(done))
        equity = rows_of(batch, EQUITY)
        equities.take(np.stack([equity.ts_ns, *(equity.field(name) for name in list(EQUITIES)[1:6])]))
        closing = closing_in(batch) or closing
    if closing is None:
        raise UserError(f"{journal} was not closed", "run the backtest again")
    working = history.working()
    figures.finish(working)
    fills.take(figures.take_settled())
    orders.take(working)
    for table in (fills, orders, equities):
        table.finish()
    summary = {**statistics.summary(closing), **venue.summary()}
    summary["maker"] = figures.of_account()
    for index, one in enumerate(summary["instruments"].values()):
        one["maker"] = figures.of_instrument(index)
    for index, one in enumerate(summary["strategies"].values()):
        one["maker"] = figures.of_strategy(index)
    return Projected(opening, closing, summary, charts, figures.series())


def _in_order(done: Followed) -> Ints:
    """Return the orders that ended in a batch and those that were refused, as the journal has them."""
    both = np.concatenate((done.table[:, done.ended], done.denied), axis=1)
    return both[:, np.argsort(both[ENDED_SEQ], kind="stable")]


def _fundings(batch: Batch) -> list[tuple[int, int, int]]:
    """Return a batch's funding payments: how many of its fills come before, instrument, amount."""
    payments = rows_of(batch, FUNDING_PAYMENT)
    if not len(payments):
        return []
    before = np.searchsorted(rows_of(batch, FILL).at, payments.at)
    columns = (before, payments.aux & 0xFF, payments.field("amount"))
    return list(zip(*(column.tolist() for column in columns), strict=True))
