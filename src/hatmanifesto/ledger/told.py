"""What a batch of journal records tells the ledger: the fields it needs, kind by kind, with the prices before them.

The layout of records is the affair of journal.columns; here they are columns of integers and places in the batch.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Batch, decode
from hatmanifesto.ledger.attribution import HOUR_NS
from hatmanifesto.ledger.prices import Prices
from hatmanifesto.ledger.roster import Roster
from hatmanifesto.model import record
from hatmanifesto.model.reasons import CANCEL_TIMEOUT

Ints = NDArray[np.int64]
OF_ORDERS: Final = (
    record.SUBMIT, record.ADOPT, record.ORDER_EVENT, record.VENUE_ID, record.FILL, record.TIMEOUT, record.CANCEL,
)  # fmt: skip
_OF_MONEY: Final = (
    record.FUNDING_PAYMENT, record.EQUITY, record.SESSION, record.CHECKPOINT, record.OPERATOR, record.NOTE,
    record.CLOSE,
)  # fmt: skip
_FIELDS: Final = {
    record.SUBMIT: ("order_id", "size", "side_flags"),
    record.ADOPT: ("order_id", "size", "side_flags", "filled", "session", "venue_order_id"),
    record.ORDER_EVENT: ("order_id",),
    record.VENUE_ID: ("order_id", "venue_order_id"),
    record.FILL: record.FIELDS[record.FILL],
    record.TIMEOUT: ("order_id",),
    record.CANCEL: ("order_id",),
    record.FUNDING_PAYMENT: ("amount", "exch_ts_ns"),
    record.EQUITY: ("cash",),
}
_NONE: Final = np.zeros(0, dtype=np.int64)


def _table(kinds: tuple[int, ...]) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=bool)
    table[list(kinds)] = True
    return table


_EVERYTHING: Final = _table((*OF_ORDERS, *_OF_MONEY))
_ORDERS_ONLY: Final = _table(OF_ORDERS)


class Told:
    """The records of a batch that concern the ledger; with `order_id` only those of one order, before `until`.

    `seqs`, `times` and `kinds` have them in order; `columns` has each kind's seq, ts_ns, aux and fields.
    """

    def __init__(
        self, batch: Batch, prices: Prices, roster: Roster | None, last_signal: int, order_id: int = 0, until: int = 0
    ) -> None:
        self.prices = prices
        self.roster = roster
        self.last_ts_ns = batch.last_ts_ns
        chosen = np.flatnonzero((_ORDERS_ONLY if order_id else _EVERYTHING)[batch.kinds])
        self.columns: dict[int, Any] = {
            kind: decode(batch, kind, _FIELDS.get(kind, ())) for kind in np.unique(batch.kinds[chosen]).tolist()
        }
        if order_id:
            for kind, columns in self.columns.items():
                mine = (columns["order_id"] == order_id) & (columns["seq"] < until)
                self.columns[kind] = {name: values[mine] for name, values in columns.items()}
            seqs = [_NONE, *(columns["seq"] for columns in self.columns.values())]
            chosen = chosen[np.isin(batch.seqs[chosen], np.concatenate(seqs))]
        if roster is None and any(kind < record.FIRST_BLOB for kind in self.columns):
            raise UserError(
                "a journal has records of trading before its session record",
                "see hat journal verify; it is no session's",
            )
        self.seqs: Ints = batch.seqs[chosen]
        self.times: Ints = batch.times(chosen)
        self.kinds: NDArray[np.uint8] = batch.kinds[chosen]
        self._views: Ints = batch.seqs[batch.kinds == record.VIEW]
        self._signal_before = last_signal
        self.last_signal = int(self._views[-1]) if len(self._views) else last_signal

    def rows(self, kind: int) -> int:
        """Return how many records there are of a kind."""
        return len(self.columns[kind]["seq"]) if kind in self.columns else 0

    def hours(self, hour: int) -> list[tuple[int, int]]:
        """Return where records of a later hour than any before begin: (place, time). A clock set back begins none."""
        reached = np.maximum.accumulate(np.concatenate(([hour], self.times // HOUR_NS)))
        return [(at, int(self.times[at])) for at in np.flatnonzero(np.diff(reached)).tolist()]

    def of_orders(self, without: Ints) -> tuple[list[int], dict[int, Iterator[tuple[Any, ...]]]]:
        """Return the kinds of the orders' records in order, and each kind's rows; without some orders'.

        SUBMIT (order_id, ts, size, side_flags, decision before it, twice the mid)
        ORDER_EVENT (order_id, trigger, ts, twice the mid)       FILL (order_id, size, ts, twice the mid)
        VENUE_ID (order_id, venue's id)     CANCEL (order_id, whether again)     TIMEOUT (order_id)
        """
        rows: dict[int, Iterator[tuple[Any, ...]]] = {}
        seqs: list[Ints] = []
        kinds: list[Ints] = []
        for kind in OF_ORDERS:
            columns = self.columns.get(kind)
            if columns is None:
                continue
            if len(without):
                left = ~np.isin(columns["order_id"], without)
                columns = {name: values[left] for name, values in columns.items()}
            seqs.append(columns["seq"])
            kinds.append(np.full(len(columns["seq"]), kind))
            rows[kind] = zip(*(column.tolist() for column in self._order_row(kind, columns)), strict=True)
        if not seqs:
            return [], rows
        order = np.argsort(np.concatenate(seqs))
        return np.concatenate(kinds)[order].tolist(), rows

    def _order_row(self, kind: int, told: Any) -> tuple[Ints, ...]:
        assert self.roster is not None
        seq, ts, aux, order_id, names = told["seq"], told["ts_ns"], told["aux"], told["order_id"], self.roster.names
        if kind == record.SUBMIT:
            mid2 = self.prices.mids_before(names, aux & 0xFF, seq)
            # place -1 is what was before the batch
            before = np.concatenate((self._views, [self._signal_before]))[np.searchsorted(self._views, seq) - 1]
            return order_id, ts, told["size"], told["side_flags"], before, mid2
        if kind == record.ADOPT:
            return (
                order_id,
                told["session"],
                ts,
                told["size"],
                told["side_flags"],
                told["filled"],
                told["venue_order_id"],
            )
        if kind == record.ORDER_EVENT:
            return order_id, aux & 0xFF, ts, self.prices.mids_before(names, self.roster.instruments(order_id), seq)
        if kind == record.FILL:
            return order_id, told["size"], ts, self.prices.mids_before(names, aux >> 8, seq)
        if kind == record.VENUE_ID:
            return order_id, told["venue_order_id"]
        if kind == record.CANCEL:
            return order_id, aux == CANCEL_TIMEOUT
        return (order_id,)
