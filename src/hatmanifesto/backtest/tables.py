"""The Parquet tables of a run: their columns, and writing them part by part in bounded memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest import order_history as h
from hatmanifesto.backtest.figures import maker as g
from hatmanifesto.backtest.figures.markouts import HORIZONS
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.model.order import PURPOSE_NAMES, PURPOSE_SHIFT, REDUCE_ONLY_BIT, TIF_SHIFT, TIME_IN_FORCE_NAMES
from hatmanifesto.model.order_state import DENIED, FILLED, STATE_COUNT, OrderState
from hatmanifesto.model.reasons import REASONS

Ints = NDArray[np.int64]

GROUP_ROWS: Final = 32_768
"""Rows of a part, and of a row group of the finished table: what writing holds in memory."""

FILLS: Final[dict[str, Any]] = {
    "ts_ns": pl.Int64, "exch_ts_ns": pl.Int64, "order_id": pl.Int64, "trade_id": pl.Int64,
    "instrument": pl.String, "strategy": pl.String, "side": pl.Int8, "price": pl.Int64, "size": pl.Int64,
    "fee": pl.Int64, "taker": pl.Boolean, "realized": pl.Int64, "position": pl.Int64,
    "twice_mid_price": pl.Int64, "twice_mid_at_arrival": pl.Int64, "twice_mid_at_fill": pl.Int64,
    **{f"twice_mid_after_{name}": pl.Int64 for name in HORIZONS},
    "queue_ahead": pl.Int64, "rested_ns": pl.Int64,
    "spread_bps_approximate": pl.Float64,
    **{f"markout_{name}_bps_approximate": pl.Float64 for name in HORIZONS},
    "price_approximate": pl.Float64, "size_approximate": pl.Float64,
}  # fmt: skip
ORDERS: Final[dict[str, Any]] = {
    "order_id": pl.Int64, "strategy": pl.String, "instrument": pl.String, "side": pl.Int8,
    "price": pl.Int64, "size": pl.Int64, "filled": pl.Int64, "state": pl.String, "time_in_force": pl.String,
    "reduce_only": pl.Boolean, "purpose": pl.String, "reason": pl.String, "rule_of": pl.String,
    "message": pl.String, "remedy": pl.String, "value": pl.Int64, "limit": pl.Int64, "decided_ns": pl.Int64,
    "submitted_ns": pl.Int64, "acked_ns": pl.Int64, "cancel_ns": pl.Int64, "ended_ns": pl.Int64,
    "bid_price": pl.Int64, "ask_price": pl.Int64,
    "arrived_exch_ns": pl.Int64, "resting_exch_ns": pl.Int64, "ended_exch_ns": pl.Int64,
    "twice_mid_at_arrival": pl.Int64, "twice_mid_at_end": pl.Int64, "queue_ahead": pl.Int64,
}  # fmt: skip
EQUITIES: Final[dict[str, Any]] = {
    "ts_ns": pl.Int64, "equity": pl.Int64, "cash": pl.Int64, "unrealized": pl.Int64,
    "gross_exposure": pl.Int64, "drawdown": pl.Int64, "equity_approximate": pl.Float64,
}  # fmt: skip

_ORDER_MOMENTS: Final = {
    "submitted_ns": h.SUBMITTED_NS, "acked_ns": h.ACKED_NS, "cancel_ns": h.CANCEL_NS, "ended_ns": h.ENDED_NS,
    "arrived_exch_ns": h.ARRIVED_EXCH_NS, "resting_exch_ns": h.RESTING_EXCH_NS, "ended_exch_ns": h.ENDED_EXCH_NS,
    "twice_mid_at_arrival": h.ARRIVAL_MID, "twice_mid_at_end": h.END_MID,
}  # fmt: skip
"""Columns in which 0 means nothing: null in the table."""
_LATER: Final = {name: row for row, name in enumerate(HORIZONS, g.G_LATER)}
_FILL_MIDS: Final = {
    "twice_mid_at_arrival": g.G_ARRIVAL_MID,
    "twice_mid_at_fill": g.G_MID,
    **{f"twice_mid_after_{name}": row for name, row in _LATER.items()},
}
_FILL_GAINS: Final = {
    "spread_bps_approximate": g.G_MID,
    **{f"markout_{name}_bps_approximate": row for name, row in _LATER.items()},
}
_STATES: Final = pl.Series([OrderState(number).name for number in range(STATE_COUNT)])
_LAST_REASON: Final = max(REASONS)
_REASONS: Final = [REASONS.get(number) for number in range(_LAST_REASON + 1)]


def _texts(names: dict[int, str]) -> pl.Series:
    return pl.Series([names.get(number, "") for number in range(max(names) + 1)], dtype=pl.String)


_REASON_TEXTS: Final = {
    column: pl.Series([getattr(entry, attribute) if entry else "" for entry in _REASONS], dtype=pl.String)
    for column, attribute in (("reason", "key"), ("rule_of", "component"), ("message", "message"), ("remedy", "remedy"))
}
_TIFS: Final = _texts(TIME_IN_FORCE_NAMES)
_PURPOSES: Final = _texts(PURPOSE_NAMES)


@contextmanager
def _writing() -> Iterator[None]:
    """Polars calls a full disk an error of computing; here it is the operating system's again."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        raise OSError(str(error)) from error


class Table:
    """A Parquet file written part by part. `build` makes a frame of a matrix, whose columns are the table's rows."""

    def __init__(self, path: Path, build: Callable[[Ints], pl.DataFrame], metadata: dict[str, str]) -> None:
        self._path = path
        self._build = build
        self._metadata = metadata
        self._parts: list[Path] = []
        self._held: list[Ints] = []
        self._waiting = 0
        self.count = 0

    def take(self, rows: Ints) -> None:
        """Put rows behind those the table has."""
        self._held.append(rows.copy())  # not the larger matrix that they may be a view of
        self._waiting += rows.shape[1]
        if self._waiting >= GROUP_ROWS:
            held = np.concatenate(self._held, axis=1)
            whole = held.shape[1] - held.shape[1] % GROUP_ROWS
            for begin in range(0, whole, GROUP_ROWS):
                self._part(held[:, begin : begin + GROUP_ROWS])
            self._held, self._waiting = [held[:, whole:].copy()], held.shape[1] - whole

    def _part(self, rows: Ints) -> None:
        part = self._path.with_name(f".{self._path.name}.{len(self._parts)}")
        with _writing():
            self._build(rows).write_parquet(part, statistics=False, compression="lz4")
        self._parts.append(part)
        self.count += rows.shape[1]

    def finish(self) -> None:
        """Write the file; parts are joined in a stream. ValueError when `take` was never called."""
        rest = np.concatenate(self._held, axis=1)
        self._held = []
        if not self._parts:
            self.count = rest.shape[1]
            with _writing():
                self._build(rest).write_parquet(self._path, metadata=self._metadata, row_group_size=GROUP_ROWS)
            return
        self._part(rest)
        with _writing():
            pl.scan_parquet(self._parts, glob=False).sink_parquet(
                self._path, metadata=self._metadata, row_group_size=GROUP_ROWS, maintain_order=True
            )
        for part in self._parts:
            part.unlink()


class Rows:
    """Turns the projections' matrices into rows of the tables, with names for numbers."""

    def __init__(self, plan: SessionPlan) -> None:
        self._instruments = pl.Series([entry.name for entry in plan.instruments])
        self._strategies = pl.Series([*(entry.name for entry in plan.strategies), ""])
        self._price_units = np.array([10.0**-entry.price_scale for entry in plan.instruments])
        self._size_units = np.array([10.0**-entry.size_scale for entry in plan.instruments])
        self._money_unit = 10.0**-plan.money_scale

    def orders(self, orders: Ints) -> pl.DataFrame:
        """Return rows of orders.parquet from a matrix of order_history."""
        state, flags = orders[h.STATE], orders[h.FLAGS]
        reason = orders[h.REASON]
        reason = np.where((reason == 0) & (state != FILLED), orders[h.CANCEL_REASON], reason)
        reason = np.where(reason <= _LAST_REASON, reason, 0)
        denied = state == DENIED
        purpose = np.minimum(flags >> PURPOSE_SHIFT, len(_PURPOSES) - 1)
        columns: dict[str, Any] = {
            "order_id": orders[h.ORDER_ID],
            "strategy": _named(self._strategies, orders[h.STRATEGY]),
            "instrument": _named(self._instruments, orders[h.INSTRUMENT]),
            "side": orders[h.SIDE].astype(np.int8),
            "price": orders[h.PRICE],
            "size": orders[h.SIZE],
            "filled": orders[h.FILLED],
            "state": _named(_STATES, state),
            "time_in_force": _named(_TIFS, (flags >> TIF_SHIFT) & 3),
            "reduce_only": flags & REDUCE_ONLY_BIT != 0,
            "purpose": _named(_PURPOSES, purpose),
            **{column: _named(texts, reason) for column, texts in _REASON_TEXTS.items()},
            "value": orders[h.VALUE],
            "limit": orders[h.LIMIT],
            "decided_ns": np.where(denied, orders[h.ENDED_NS], orders[h.SUBMITTED_NS]),
            "bid_price": orders[h.BID],
            "ask_price": orders[h.ASK],
            "queue_ahead": orders[h.AHEAD],
            **{column: orders[row] for column, row in _ORDER_MOMENTS.items()},
            "denied": denied,
        }
        return (
            pl.DataFrame(columns)
            .select(
                *(name for name in ORDERS if name not in (*_ORDER_MOMENTS, "value", "limit", "queue_ahead")),
                *(pl.when("denied").then(name).alias(name) for name in ("value", "limit")),
                *(pl.when(pl.col(name) > 0).then(name).alias(name) for name in _ORDER_MOMENTS),
                pl.when(pl.col("queue_ahead") >= 0).then("queue_ahead").alias("queue_ahead"),
            )
            .select(list(ORDERS))
        )

    def fills(self, block: Ints) -> pl.DataFrame:
        """Return rows of fills.parquet from a settled block of fills."""
        instrument, price, size, side = (block[row] for row in (h.F_INSTRUMENT, h.F_PRICE, h.F_SIZE, h.F_SIDE))
        columns: dict[str, Any] = {
            "ts_ns": block[h.F_TS],
            "exch_ts_ns": block[h.F_EXCH],
            "order_id": block[h.F_ORDER],
            "trade_id": block[h.F_TRADE],
            "instrument": _named(self._instruments, instrument),
            "strategy": _named(self._strategies, block[h.F_STRATEGY]),
            "side": side.astype(np.int8),
            "price": price,
            "size": size,
            "fee": block[h.F_FEE],
            "taker": block[h.F_TAKER] == 1,
            "realized": block[h.F_REALIZED],
            "position": block[h.F_POSITION],
            "twice_mid_price": block[h.F_DECISION_MID],
            "queue_ahead": block[g.G_AHEAD],
            "rested_ns": block[g.G_RESTED_NS],
            "price_approximate": price * self._price_units[instrument],
            "size_approximate": size * self._size_units[instrument],
            **{column: block[row] for column, row in _FILL_MIDS.items()},
            **{column: side * (block[row] - 2 * price) / (2.0 * price) * 10_000 for column, row in _FILL_GAINS.items()},
        }
        mid_of = {gain: mid for gain, row in _FILL_GAINS.items() for mid, other in _FILL_MIDS.items() if row == other}
        gone = (*_FILL_MIDS, *_FILL_GAINS, "queue_ahead")
        return (
            pl.DataFrame(columns)
            .select(
                *(name for name in FILLS if name not in gone),
                *(pl.when(pl.col(name) > 0).then(name).alias(name) for name in _FILL_MIDS),
                *(pl.when(pl.col(mid) > 0).then(gain).alias(gain) for gain, mid in mid_of.items()),
                pl.when(pl.col("queue_ahead") >= 0).then("queue_ahead").alias("queue_ahead"),
            )
            .select(list(FILLS))
        )

    def equities(self, rows: Ints) -> pl.DataFrame:
        """Return rows of equity.parquet from its integer columns, as rows of a matrix."""
        columns: dict[str, Any] = dict(zip(list(EQUITIES)[:6], rows, strict=True))
        columns["equity_approximate"] = rows[1] * self._money_unit
        return pl.DataFrame(columns)


def metadata_of(plan: SessionPlan) -> dict[str, str]:
    """Say in the file what its integers mean."""
    scales = {
        entry.name: {"price_scale": entry.price_scale, "size_scale": entry.size_scale} for entry in plan.instruments
    }
    return {
        "hatmanifesto.money_scale": str(plan.money_scale),
        "hatmanifesto.instruments": json.dumps(scales),
        "hatmanifesto.units": "price x 10^-price_scale quote; size x 10^-size_scale coins;"
        " money x 10^-money_scale quote; times in ns since 1970 UTC; twice_mid: two mid prices;"
        " approximate: floats, for plotting only",
    }


def _named(names: pl.Series, numbers: Ints) -> pl.Series:
    # a strategy of -1 is the last name, the empty one
    return names.gather(np.where(numbers < 0, len(names) - 1, numbers).astype(np.uint32))
