"""What a batch of the journal adds to the ledger: rows of small tables, columns of large ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, Sequence[Any] | NDArray[np.int64]]
"""A table's columns by name, in the table's order: lists or integer arrays of the same length."""


class Rows:
    """Everything that one database transaction writes."""

    def __init__(self) -> None:
        self.transactions: list[tuple[Any, ...]] = []
        self.postings: list[tuple[Any, ...]] = []
        self.of_fills: dict[str, Columns] = {}
        """transactions, postings and trades of fills, by the table's name."""
        self.matured: list[tuple[Any, ...]] = []
        """Later mids of trades that an earlier batch wrote, then the trade's key."""
        self.accounts: list[tuple[Any, ...]] = []
        self.attribution: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.equity: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.issues: list[tuple[Any, ...]] = []
        self.currencies: list[tuple[str, int]] = []
        self.instruments: list[tuple[Any, ...]] = []

    @property
    def transactions_added(self) -> int:
        """How many transactions."""
        fills = self.of_fills.get("transactions")
        return len(self.transactions) + (len(fills["seq"]) if fills else 0)
