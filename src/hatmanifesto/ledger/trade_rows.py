"""A trade as traders read it: every field as exact decimal text, in one fixed order."""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from hatmanifesto.instants import utc_text
from hatmanifesto.journal.trace_id import trace_id
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.queries import scales_of
from hatmanifesto.ledger.store import Store
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order import purpose_of
from hatmanifesto.venues.hyperliquid.cloid import make_cloid

FIELDS: Final = (
    "time", "venue", "symbol", "side", "quantity", "price", "notional", "fee", "fee_bps", "liquidity", "rebate",
    "funding", "slippage_decision_bps", "slippage_arrival_bps",
    *(f"markout_{name}_bps" for name in schema.LATER_MIDS),
    "realized_pnl", "unrealized_pnl", "reason_code", "strategy", "signal_id", "client_order_id", "venue_order_id",
    "order_state", "latency_ms", "retry_count", "error_code", "leverage", "margin_used", "position_after",
    "equity_after", "regime", "trace_id",
)  # fmt: skip
"""The fields of a trade, in the order of CSV and Parquet files."""
_BPS_PLACES: Final = 4


def bps(part: int, whole: int) -> str:
    """Return part / whole in basis points, four decimals, rounded half away from zero; "" without a whole."""
    if whole == 0:
        return ""
    places = 10_000 * 10**_BPS_PLACES
    size = (2 * abs(part) * places + abs(whole)) // (2 * abs(whole))
    return format_decimal(size if (part >= 0) == (whole > 0) else -size, _BPS_PLACES)


class TradeText:
    """Writes rows of the table `trades` as text."""

    def __init__(self, instruments: dict[str, Any], scales: dict[str, int]) -> None:
        self._instruments = instruments
        self._scales = scales

    def fields(self, row: Any) -> dict[str, str]:
        """Return a row's fields; "" where something is not known."""
        entry = self._instruments[row.symbol]
        scale = self._scales[entry.currency]
        side, price2 = row.side, 2 * row.price
        order = (row.session, row.order_id)

        def money(amount: int) -> str:
            return format_decimal(amount, scale)

        def cost(mid2: int | None) -> str:
            return bps(side * (price2 - mid2), mid2) if mid2 else ""

        def gain(mid2: int | None) -> str:
            return bps(side * (mid2 - price2), price2) if mid2 else ""

        return {
            "time": utc_text(row.ts_ns),
            "venue": row.venue,
            "symbol": row.symbol,
            "side": "buy" if side > 0 else "sell",
            "quantity": format_decimal(row.quantity, entry.size_scale),
            "price": format_decimal(row.price, entry.price_scale),
            "notional": money(row.notional),
            "fee": money(max(0, row.fee)),
            "fee_bps": bps(row.fee, row.notional),
            "liquidity": "taker" if row.taker else "maker",
            "rebate": money(max(0, -row.fee)),
            "funding": money(row.funding),
            "slippage_decision_bps": cost(row.decision_mid2),
            "slippage_arrival_bps": cost(row.arrival_mid2),
            **{f"markout_{name}_bps": gain(row._mapping[column]) for name, column in schema.LATER_MIDS.items()},
            "realized_pnl": money(row.realized),
            "unrealized_pnl": money(row.unrealized),
            "reason_code": row.reason_code,
            "strategy": row.strategy,
            "signal_id": f"{row.session}:{row.signal_seq}" if row.signal_seq >= 0 else "",
            "client_order_id": make_cloid(*order, int(purpose_of(row.order_flags)) & 0xF) if row.order_id > 0 else "",
            "venue_order_id": str(row.venue_order_id) if row.venue_order_id else "",
            "order_state": row.order_state,
            "latency_ms": "" if row.latency_ns is None else format_decimal(row.latency_ns, 6),
            "retry_count": str(row.retry_count),
            "error_code": row.error_code,
            "leverage": str(row.leverage),
            "margin_used": money(row.margin_used),
            "position_after": format_decimal(row.position_after, entry.size_scale),
            "equity_after": money(row.equity_after),
            "regime": row.regime,
            "trace_id": trace_id(*order) if row.order_id > 0 else "",
        }


def trades(
    store: Store, *, symbol: str = "", strategy: str = "", begin_ns: int = 0, end_ns: int = 1 << 62, last: int = 0
) -> Iterator[dict[str, str]]:
    """Yield trades in order of time, streamed; `last` > 0 keeps only so many of the newest."""
    store.check()
    table = schema.trades
    wanted = [table.c.ts_ns >= begin_ns, table.c.ts_ns < end_ns]
    if symbol:
        wanted.append(table.c.symbol == symbol)
    if strategy:
        wanted.append(table.c.strategy == strategy)
    with store.connect() as connection:
        text = TradeText(
            {row.name: row for row in connection.execute(sa.select(schema.instruments))}, scales_of(connection)
        )
        keys = table.primary_key.columns
        if last:
            newest = sa.select(table).where(*wanted).order_by(*(key.desc() for key in keys)).limit(last)
            for row in reversed(connection.execute(newest).all()):
                yield text.fields(row)
            return
        for row in store.rows(connection, table, *wanted):
            yield text.fields(row)
