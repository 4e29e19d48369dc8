"""The ledger's tables. There are no migrations: another schema number means `hat ledger rebuild`.

In SQLite the large ones are kept in the order of their key, without a second index (WITHOUT ROWID).
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

SCHEMA_NUMBER: Final = 2

metadata = MetaData()

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
"""schema number, and where the projection stands (`state`)."""

journals = Table(
    "journals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("venue", Text, nullable=False),
    Column("next_seq", BigInteger, nullable=False),
    Column("group_offset", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("last_ts_ns", BigInteger, nullable=False),
)
"""The journals that were read, and how far: `digest` is the chain's digest of the last group that was read."""

currencies = Table(
    "currencies", metadata, Column("code", Text, primary_key=True), Column("scale", Integer, nullable=False)
)
instruments = Table(
    "instruments",
    metadata,
    Column("name", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("price_scale", Integer, nullable=False),
    Column("size_scale", Integer, nullable=False),
    Column("factor", BigInteger, nullable=False),
)
accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("strategy", Text, nullable=False),
)
transactions = Table(
    "transactions",
    metadata,
    Column("journal", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("ts_ns", BigInteger, nullable=False),
    Column("exch_ts_ns", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("memo", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""`exch_ts_ns` is the venue's own time: of a fill or a funding payment, or up to which a transfer was seen; else 0."""

postings = Table(
    "postings",
    metadata,
    Column("journal", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("account", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

MIDS: Final = ("decision_mid2", "arrival_mid2", "fill_mid2")
LATER_MIDS: Final = {"1s": "mid2_1s", "5s": "mid2_5s", "30s": "mid2_30s", "5min": "mid2_5min"}

trades = Table(
    "trades",
    metadata,
    Column("journal", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("ts_ns", BigInteger, nullable=False),
    Column("exch_ts_ns", BigInteger, nullable=False),
    Column("venue", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("side", Integer, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("notional", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("model_fee", BigInteger, nullable=False),
    Column("taker", Integer, nullable=False),
    Column("funding", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in MIDS),
    *(Column(name, BigInteger) for name in LATER_MIDS.values()),
    Column("realized", BigInteger, nullable=False),
    Column("unrealized", BigInteger, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("signal_seq", BigInteger, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("order_flags", Integer, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("venue_order_id", BigInteger, nullable=False),
    Column("order_state", Text, nullable=False),
    Column("latency_ns", BigInteger),
    Column("retry_count", Integer, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("leverage", Integer, nullable=False),
    Column("margin_used", BigInteger, nullable=False),
    Column("position_after", BigInteger, nullable=False),
    Column("equity_after", BigInteger, nullable=False),
    Column("regime", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""One row a fill and strategy (`part` counts the strategies that share a forced fill). `…mid2` are twice a mid price,
0 = unknown; those after a horizon are null until the journal has gone that far. Client order id and trace id are made
from `session`, `order_id` and `order_flags` when a row is read."""

PARTS: Final = ("directional", "spread", "adverse_selection", "fees", "rebates", "funding", "slippage", "liquidation")

attribution = Table(
    "attribution",
    metadata,
    Column("hour_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("currency", Text, primary_key=True),
    Column("strategy", Text, primary_key=True),
    Column("instrument", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in PARTS),
    sqlite_with_rowid=False,
)
"""What each hour earned, by cause, in HALF money units: a mid may lie between two prices."""

equity = Table(
    "equity",
    metadata,
    Column("hour_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("currency", Text, primary_key=True),
    Column("equity", BigInteger, nullable=False),
    Column("transfers", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Equity at the end of each hour (the last record's marks) and what was paid in within it; corrections apart."""

issues = Table(
    "issues",
    metadata,
    Column("journal", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("detail", Text, primary_key=True),
)
closed_days = Table(
    "closed_days",
    metadata,
    Column("day", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
