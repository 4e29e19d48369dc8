"""A run's memory does not grow with its length: tables are written part by part."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.runs import FILES, market, run
from benchmarks.streaming_memory import measure, tape_of
from hatmanifesto.backtest import tables
from hatmanifesto.backtest.tables import Table

SCHEMA = {"number": pl.Int64, "name": pl.String}


def rows(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count).reshape(1, -1)


def frame(matrix: np.ndarray) -> pl.DataFrame:
    numbers = matrix[0].tolist()
    return pl.DataFrame({"number": numbers, "name": [f"row {number}" for number in numbers]}, schema=SCHEMA)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95])
def test_a_table_in_parts_holds_the_rows_in_order_and_leaves_no_part_behind(monkeypatch, tmp_path, count):
    monkeypatch.setattr(tables, "GROUP_ROWS", 10)
    path = tmp_path / "table.parquet"
    table = Table(path, frame, {"made": "here"})
    table.take(rows(0, 0))
    for first in range(0, count, 7):
        table.take(rows(first, min(7, count - first)))
    table.finish()
    assert pl.read_parquet(path).equals(frame(rows(0, count)))
    assert pl.read_parquet_schema(path) == SCHEMA
    assert pl.read_parquet_metadata(path)["made"] == "here"
    assert table.count == count
    assert [one.name for one in tmp_path.iterdir()] == ["table.parquet"]


def test_a_run_in_many_parts_says_what_a_run_in_one_part_says(monkeypatch, tmp_path):
    whole = run(tmp_path / "whole", tape=market(20))
    for name in ("first", "second"):
        monkeypatch.setattr(tables, "GROUP_ROWS", 300)
        parts = run(tmp_path / name, tape=market(20))
        assert {path.name for path in parts.folder.iterdir()} == FILES
    for name in ("fills", "orders", "equity"):
        file = f"{name}.parquet"
        first = pl.read_parquet(tmp_path / "first" / file)
        assert first.equals(pl.read_parquet(whole.folder / file))
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert len(pl.read_parquet(whole.folder / "orders.parquet")) > 1_000


@pytest.mark.soak
def test_four_times_the_tape_needs_no_more_memory(tmp_path: Path):
    short, long = (measure(tape_of(count), tmp_path) for count in (1_000_000, 4_000_000))
    assert long.rows == pytest.approx(4 * short.rows, rel=0.01)
    assert long.megabytes < 1.25 * short.megabytes
