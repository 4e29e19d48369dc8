"""Trades as files for other tools: CSV in one field order, Parquet a day, and the ledger as canonical lines."""

import csv
import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import polars as pl

from hatmanifesto.errors import UserError
from hatmanifesto.ledger.canonical import canonical
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.trade_rows import FIELDS, trades


def write_csv(store: Store, path: Path, begin_ns: int = 0, end_ns: int = 1 << 62) -> int:
    """Write trades as CSV; return how many."""
    count = 0
    with _whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(FIELDS)
        for row in trades(store, begin_ns=begin_ns, end_ns=end_ns):
            out.writerow(row[name] for name in FIELDS)
            count += 1
    return count


def write_parquet(store: Store, folder: Path, begin_ns: int = 0, end_ns: int = 1 << 62) -> dict[str, int]:
    """Write a file DAY.parquet a day into a folder, every field as exact text; return trades by day."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, int] = {}
    rows = trades(store, begin_ns=begin_ns, end_ns=end_ns)
    for day, of_day in groupby(rows, lambda row: row["time"][:10]):
        columns = _columns(of_day)
        frame = pl.DataFrame(columns, schema=dict.fromkeys(FIELDS, pl.String))
        path = folder / f"{day}.parquet"
        with _whole(path) as partial:
            frame.write_parquet(partial, compression="zstd")
        found[day] = frame.height
    return found


def write_canonical(store: Store, path: Path) -> int:
    """Write the ledger's canonical lines; return how many."""
    count = 0
    store.check()
    with _whole(path) as partial, partial.open("wb") as file:
        for line in canonical(store):
            file.write(line)
            count += 1
    return count


def _columns(rows: Iterable[dict[str, str]]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {name: [] for name in FIELDS}
    for row in rows:
        for name in FIELDS:
            columns[name].append(row[name])
    return columns


class _whole:  # noqa: N801 - read as a word
    """A file that is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> Path:
        if not self.path.parent.is_dir():
            raise UserError(f"there is no folder {self.path.parent}", "make it, or name another file")
        return self.partial

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            os.replace(self.partial, self.path)
        else:
            self.partial.unlink(missing_ok=True)
