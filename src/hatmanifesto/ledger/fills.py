"""A batch's fills as columns of the ledger's tables: transactions, postings, trades."""

from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import CASH, FEES, LIQUIDATION, POSITION_COST, REALIZED, REBATES, Account
from hatmanifesto.ledger.booking import Changes, Fills
from hatmanifesto.ledger.exact import product
from hatmanifesto.ledger.general import General
from hatmanifesto.ledger.markouts import Markouts, matured_rows, nullable
from hatmanifesto.ledger.orders import OrderOfFill
from hatmanifesto.ledger.postings import UnbalancedError
from hatmanifesto.ledger.prices import Prices
from hatmanifesto.ledger.rows import Columns

Ints = NDArray[np.int64]
_FEE_ACCOUNTS: Final = (REBATES, FEES)
_GAIN_ACCOUNTS: Final = (REALIZED, LIQUIDATION)
_AMOUNTS: Final = (
    "row", "part", "size", "cost", "realized", "fee", "position", "position_cost", "funding", "equity",
)  # fmt: skip


class FillColumns:
    """The trades of a batch, in the order of its fills."""

    def __init__(self, fills: Fills, done: list[Changes]) -> None:
        self.fills = fills
        self.names = fills.roster.names
        self.row, self.part, self.size, self.cost, self.realized, self.fee, self.position, self.position_cost, \
            self.funding, self.equity = (
                np.concatenate([getattr(changes, name) for changes in done]) for name in _AMOUNTS
            )  # fmt: skip
        self.strategy, self.code, self.regime = (
            list(chain.from_iterable(getattr(changes, name) for changes in done))
            for name in ("strategy", "code", "regime")
        )
        self.seq, self.ts, self.order_id = (column[self.row] for column in (fills.seq, fills.ts, fills.order_id))
        self.instrument, self.factor = fills.instrument[self.row], fills.factor[self.row]
        self.quantity = np.abs(self.size)
        self.notional = product(fills.price[self.row], self.quantity, self.factor)

    # -- double entry -----------------------------------------------------------------------------

    def transactions(self, journal: int) -> Columns:
        """Return the transactions: one a fill."""
        first = self.part == 0
        count = int(first.sum())
        return {
            "journal": [journal] * count, "seq": self.seq[first], "ts_ns": self.ts[first],
            "exch_ts_ns": self.fills.exch_ts[self.row][first],
            "kind": ["fill"] * count, "memo": [""] * count,
        }  # fmt: skip

    def postings(self, general: General) -> Columns:
        """Return each trade's postings: notional and fee against cash, the position's cost, what was realized, the fee.

        UnbalancedError when those of a fill do not add up to zero.
        """
        count = len(self.seq)
        signed = np.where(self.size > 0, self.notional, -self.notional)
        amounts = np.stack((-signed - self.fee, self.cost, -self.realized, self.fee), axis=1)
        odd = np.flatnonzero(amounts.sum(axis=1))
        if len(odd):
            raise UnbalancedError(
                f"journal {general.journal}, record {self.seq[odd[0]]} (fill): postings add up to "
                f"{amounts[odd[0]].sum()}, not to zero"
            )
        quantities = np.zeros((count, 4), dtype=np.int64)
        quantities[:, 1] = self.size
        used = np.ones((count, 4), dtype=bool)
        used[:, 2:] = amounts[:, 2:] != 0
        lines = np.cumsum(used.ravel()).reshape(count, 4) - 1
        first = np.flatnonzero(self.part == 0)
        lines -= np.repeat(lines[first, 0], np.diff(first, append=count))[:, None]
        return {
            "journal": [general.journal] * int(used.sum()),
            "seq": np.repeat(self.seq, 4).reshape(count, 4)[used],
            "line": lines[used],
            "account": self._accounts(general, used)[used],
            "amount": amounts[used],
            "quantity": quantities[used],
        }

    def _accounts(self, general: General, used: NDArray[np.bool_]) -> Ints:
        """Return the numbers of the four accounts of each trade; accounts that nobody uses are not made."""
        numbers = np.zeros(used.shape, dtype=np.int64)
        owners = {strategy: place for place, strategy in enumerate(dict.fromkeys(self.strategy))}
        holder = self.instrument * len(owners) + np.array([owners[strategy] for strategy in self.strategy])
        forced, charged = self.order_id < 0, self.fee > 0
        names = list(owners)
        for key in np.unique(holder).tolist():
            name, owner = self.names[key // len(owners)], names[key % len(owners)]
            currency = general.currency_of[name]
            mine = holder == key
            numbers[mine, 0] = general.number(Account(CASH, currency))
            numbers[mine, 1] = general.number(Account(POSITION_COST, currency, name, owner))
            for place, kinds, which in ((2, _GAIN_ACCOUNTS, forced), (3, _FEE_ACCOUNTS, charged)):
                for kind, chosen in zip(kinds, (~which, which), strict=True):
                    booked = mine & chosen & used[:, place]
                    if booked.any():
                        numbers[booked, place] = general.number(Account(kind, currency, name, owner))
        return numbers

    # -- trades -----------------------------------------------------------------------------------

    def later_mids(
        self, journal: int, prices: Prices, markouts: Markouts, known_ts_ns: int
    ) -> tuple[Ints, list[tuple[Any, ...]]]:
        """Return the mids after each horizon, trade by trade, and what older trades have learnt."""
        found = np.zeros((len(self.seq), len(schema.LATER_MIDS)), dtype=np.int64)
        learnt: list[tuple[Any, ...]] = []
        for index, name in enumerate(self.names):
            mine = self.instrument == index
            journals = np.full(int(mine.sum()), journal)
            fresh = np.stack((self.ts[mine], journals, self.seq[mine], self.part[mine]), axis=1)
            found[mine], older = markouts.mature(name, prices.mids[name], known_ts_ns, fresh)
            learnt += matured_rows(older)
        return found, learnt

    def trades(self, journal: int, later: Ints) -> Columns:
        """Return the trades' rows, given the mids after each horizon."""
        fills, row, count = self.fills, self.row, len(self.seq)
        held = product(fills.mark[row], self.position, self.factor)
        leverage = np.array(fills.roster.leverages)[self.instrument]
        orders = fills.orders if len(self.row) == len(fills.orders) else [fills.orders[at] for at in row.tolist()]
        order: dict[str, Any] = dict(zip(OrderOfFill._fields, zip(*orders, strict=True), strict=True))
        return {
            "journal": [journal] * count,
            "seq": self.seq,
            "part": self.part,
            "ts_ns": self.ts,
            "exch_ts_ns": fills.exch_ts[row],
            "venue": [fills.roster.opening.venue] * count,
            "symbol": [self.names[index] for index in self.instrument.tolist()],
            "strategy": self.strategy,
            "side": np.sign(self.size),
            "quantity": self.quantity,
            "price": fills.price[row],
            "notional": self.notional,
            "fee": self.fee,
            "model_fee": fills.expected[row],
            "taker": fills.taker[row],
            "funding": self.funding,
            "decision_mid2": order["decision_mid2"],
            "arrival_mid2": order["arrival_mid2"],
            "fill_mid2": fills.mid2[row],
            **{name: nullable(later[:, place]) for place, name in enumerate(schema.LATER_MIDS.values())},
            "realized": self.realized,
            "unrealized": np.where(self.position != 0, held - self.position_cost, 0),
            "reason_code": self.code,
            "signal_seq": order["signal_seq"],
            "session": order["session"],
            "order_id": self.order_id,
            "order_flags": order["flags"],
            "trade_id": fills.trade_id[row],
            "venue_order_id": order["venue_id"],
            "order_state": order["order_state"],
            "latency_ns": order["latency_ns"],
            "retry_count": order["retries"],
            "error_code": order["error"],
            "leverage": leverage,
            "margin_used": np.abs(held) // leverage,
            "position_after": self.position,
            "equity_after": self.equity,
            "regime": self.regime,
        }
