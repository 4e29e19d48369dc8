"""Where the profit of single fills and orders came from, valued at the ledger's end; see attribution for the parts.

A fill's parts telescope like a strategy's do, so over all fills they add up to what `queries.pnl` tells, but for what
the account began with and funding paid after the last fill: both stand in a line of their own.
"""

from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from hatmanifesto.instants import utc_text
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.attribution import ADVERSE
from hatmanifesto.ledger.exact import product
from hatmanifesto.ledger.queries import EVER, Line, pnl, scales_of
from hatmanifesto.ledger.store import Store
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order import purpose_of
from hatmanifesto.venues.hyperliquid.cloid import make_cloid

Ints = NDArray[np.int64]
REST: Final = "(not of fills)"
_LATER: Final = schema.LATER_MIDS[ADVERSE]
_READ: Final = (
    "ts_ns", "side", "quantity", "price", "fee", "taker", "funding", "fill_mid2", _LATER, "order_id", "session",
    "order_flags", "trade_id",
)  # fmt: skip
_FIRST: Final = {"spread": 0, "slippage": 1, "liquidation": 2}


class FillProfit(NamedTuple):
    """The largest lines (by the size of their total), all of them added up by currency, and how many."""

    lines: list[Line]
    totals: list[Line]
    number: int


def pnl_of_fills(
    store: Store, by: Literal["fill", "order"], begin_ns: int = 0, end_ns: int = EVER, top: int = 20
) -> FillProfit:
    """Return the profit of the fills, or orders, that traded between two times. Half money units."""
    store.check()
    lines: list[Line] = []
    totals: dict[str, dict[str, int]] = {}
    number = 0
    with store.connect() as connection:
        scales = scales_of(connection)
        now = _prices_now(connection)
        for entry in connection.execute(sa.select(schema.instruments).order_by(schema.instruments.c.name)).all():
            trades = _trades(store, connection, entry.name, begin_ns, end_ns)
            if not len(trades["ts_ns"]):
                continue
            parts = _parts(trades, entry.factor, *now[entry.name])
            group = np.arange(len(trades["ts_ns"]))
            if by == "order":
                keys = np.stack((trades["session"], np.where(trades["order_id"] > 0, trades["order_id"], -1 - group)))
                _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
            else:
                first = group
            sums = np.zeros((len(first), len(schema.PARTS)), dtype=np.int64)
            np.add.at(sums, group.ravel(), parts)
            number += len(first)
            scale = scales[entry.currency]
            largest = np.argsort(-np.abs(sums.sum(axis=1)), kind="stable")[: top or None]
            sizes = np.bincount(group.ravel(), weights=None)
            for at in largest.tolist():
                key = _key(by, entry, trades, int(first[at]), int(sizes[at]))
                told = dict(zip(schema.PARTS, sums[at].tolist(), strict=True))
                lines.append(Line(key, entry.currency, scale, told, sum(told.values())))
            whole = totals.setdefault(entry.currency, dict.fromkeys(schema.PARTS, 0))
            for name, amount in zip(schema.PARTS, parts.astype(object).sum(axis=0).tolist(), strict=True):
                whole[name] += amount
    lines.sort(key=lambda line: -abs(line.total))
    lines = lines[: top or None]
    if (begin_ns, end_ns) == (0, EVER):
        lines += _rest(store, totals, scales)
    return FillProfit(
        lines,
        [Line("total", code, scales[code], parts, sum(parts.values())) for code, parts in sorted(totals.items())],
        number,
    )


def _rest(store: Store, totals: dict[str, dict[str, int]], scales: dict[str, int]) -> list[Line]:
    """Return what no fill earned, and add it to the totals, which then are the account's."""
    found: list[Line] = []
    whole: dict[str, dict[str, int]] = {}
    for line in pnl(store, "symbol"):
        sums = whole.setdefault(line.currency, {})
        for name, amount in line.parts.items():
            sums[name] = sums.get(name, 0) + amount
    for code, sums in sorted(whole.items()):
        told = totals.setdefault(code, dict.fromkeys(schema.PARTS, 0))
        rest = {name: amount - told.get(name, 0) for name, amount in sums.items()}
        if any(rest.values()):
            found.append(Line(REST, code, scales[code], rest, sum(rest.values())))
        totals[code] = sums
    return found


def _trades(store: Store, connection: Connection, symbol: str, begin_ns: int, end_ns: int) -> dict[str, Ints]:
    table = schema.trades
    query = (
        sa.select(*(table.c[name] for name in _READ))
        .where(table.c.symbol == symbol, table.c.ts_ns >= begin_ns, table.c.ts_ns < end_ns)
        .order_by(*table.primary_key.columns)
    )
    blocks = [
        np.array([[-1 if value is None else value for value in row] for row in block], dtype=np.int64)
        for block in connection.execution_options(yield_per=10_000).execute(query).partitions()
    ]
    rows = np.concatenate(blocks) if blocks else np.zeros((0, len(_READ)), dtype=np.int64)
    return {name: rows[:, place] for place, name in enumerate(_READ)}


def _parts(trades: dict[str, Ints], factor: int, mid2_now: int, mark_now: int) -> Ints:
    """Return each trade's parts, a column a part in the order of schema.PARTS."""
    count = len(trades["ts_ns"])
    factors = np.full(count, factor)
    side = trades["side"]
    size = side * trades["quantity"]
    price2 = 2 * trades["price"]
    entered = np.where(trades["fill_mid2"] > 0, trades["fill_mid2"], price2)
    later = np.where(trades[_LATER] > 0, trades[_LATER], mid2_now if mid2_now > 0 else entered)
    distance = product(entered - price2, size, factors)
    first = np.where(trades["order_id"] < 0, 2, np.where(trades["taker"] > 0, 1, 0))
    columns = {
        **{name: np.where(first == place, distance, 0) for name, place in _FIRST.items()},
        "adverse_selection": product(later - entered, size, factors),
        "directional": product(2 * mark_now - later, size, factors),
        "fees": -2 * np.maximum(trades["fee"], 0),
        "rebates": -2 * np.minimum(trades["fee"], 0),
        "funding": 2 * trades["funding"],
    }
    return np.stack([columns[name] for name in schema.PARTS], axis=1)


def _prices_now(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return twice the mid, and the mark, of each instrument where the ledger ends."""
    state = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.name == "state"))
    told = msgspec.json.decode(state)["prices"] if state else {}
    return {name: (entry[1], entry[3]) for name, entry in told.items()}


def _key(by: str, entry: Any, trades: dict[str, Ints], at: int, fills: int) -> str:
    """Return what names a fill (its time, symbol, size and trade id) or an order (its symbol and client order id)."""
    told = {name: int(values[at]) for name, values in trades.items()}
    if by == "order":
        if told["order_id"] <= 0:
            return f"{entry.name} trade {told['trade_id']}"
        cloid = make_cloid(told["session"], told["order_id"], int(purpose_of(told["order_flags"])) & 0xF)
        return f"{entry.name} {cloid}" + (f" x{fills}" if fills > 1 else "")
    size = format_decimal(told["side"] * told["quantity"], entry.size_scale)
    return f"{utc_text(told['ts_ns'])[:23]} {entry.name} {size} #{told['trade_id']}"
