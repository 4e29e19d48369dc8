"""A book as two dictionaries: slow, short, and the reference for the fast one."""

from hatmanifesto.model import market_row as mr
from support.rows import Row


class NaiveBook:
    """The merge rule in words: see model.book.Book."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.bbo: dict[int, tuple[int, int, int]] = {1: (0, 0, 0), -1: (0, 0, 0)}
        self.snapshot_ts = 0

    def best(self, side: int) -> int:
        return max(self.sides[side], key=lambda price: price * side, default=0)

    def set(self, side: int, price: int, size: int) -> None:
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)

    def merge(self, side: int) -> None:
        _, price, size = self.bbo[side]
        if size == 0:
            self.sides[side] = {}
            return
        self.sides[side] = {p: s for p, s in self.sides[side].items() if (p - price) * side <= 0}
        self.sides[side][price] = size
        self.sides[-side] = {p: s for p, s in self.sides[-side].items() if (p - price) * side > 0}

    def apply(self, row: Row) -> None:
        if row.kind == mr.DEPTH:
            self.set(row.side, row.price, row.size)
        elif row.kind == mr.BBO:
            if row.exch_ts >= self.bbo[row.side][0] and row.exch_ts >= self.snapshot_ts:
                self.bbo[row.side] = (row.exch_ts, row.price, row.size)
                self.merge(row.side)
        elif row.kind == mr.SNAPSHOT:
            if row.meta & mr.FIRST:
                self.sides = {1: {}, -1: {}}
            if row.size > 0:
                self.set(row.side, row.price, row.size)
            if not row.meta & mr.MORE:
                self.snapshot_ts = row.exch_ts
                newer = sorted((self.bbo[side][0], -side, side) for side in (1, -1))
                for stamp, _, side in newer:
                    if stamp > row.exch_ts:
                        self.merge(side)
