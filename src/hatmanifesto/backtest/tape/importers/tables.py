"""Tables, CSV or Parquet, in blocks, and their columns as exact integers whatever type they were stored as.

A float of a Parquet file becomes the shortest decimal text that means that float, and then an integer: what its
writer would have printed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.importers.csv_blocks import csv_blocks, read_header
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, filled, is_number
from hatmanifesto.backtest.tape.importers.files import FileProgress
from hatmanifesto.backtest.tape.importers.mapping import TimeUnit
from hatmanifesto.backtest.tape.importers.request import damaged, malformed
from hatmanifesto.errors import UserError

_NS_DECIMALS: Final = {"s": 9, "ms": 6, "us": 3, "ns": 0}
_PARQUET_MAGIC: Final = b"PAR1"
_VALUES_A_BLOCK: Final = 1_000_000


class TableFile(msgspec.Struct, frozen=True):
    """A file that is a table."""

    path: Path
    columns: list[str]
    parquet: bool


class TableBlock(msgspec.Struct, frozen=True):
    """Some rows; `first_row` is the line of the first (CSV, from 1) or its row (Parquet, from 0)."""

    file: TableFile
    frame: pl.DataFrame
    first_row: int

    def error(self, row: int, why: str) -> UserError:
        """Return the error for a row of this block."""
        if self.file.parquet:
            return UserError(
                f"{self.file.path.name}, row {self.first_row + row}: {why}", "repair the file; no tape was written"
            )
        return malformed(self.file.path, self.first_row + row, why)


def inspect_table(path: Path) -> TableFile:
    """Return a file's columns; raises UserError when it is no table."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == _PARQUET_MAGIC
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check its name and permissions") from error
    if parquet:
        try:
            return TableFile(path, list(pl.read_parquet_schema(path)), True)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise damaged(path, error) from error
    if path.suffix == ".parquet":
        raise damaged(path, "it is no Parquet file")
    columns = read_header(path)
    if columns == [""]:
        raise UserError(f"{path.name} is empty", "leave it out of the import")
    return TableFile(path, columns, False)


def table_blocks(
    file: TableFile, columns: list[str], progress: FileProgress | None = None, *, values_a_row: int = 0
) -> Iterator[TableBlock]:
    """Yield a table's rows block by block; of a Parquet file only the named columns."""
    if not file.parquet:
        for block in csv_blocks(file.path, file.columns, progress):
            yield TableBlock(file, block.frame, block.first_line)
        return
    size = max(1, _VALUES_A_BLOCK // max(1, values_a_row, len(columns)))
    try:
        scan = pl.scan_parquet(file.path).select(columns)
        total = int(scan.select(pl.len()).collect().item())
        first = 0
        for frame in scan.collect_batches(chunk_size=size, maintain_order=True):
            for place in range(0, len(frame), size):
                part = frame.slice(place, size)
                yield TableBlock(file, part, first)
                first += len(part)
            if progress is not None:
                progress.share(file.path, first / max(1, total))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(file.path, error) from error
    if progress is not None:
        progress.end(file.path)


def exact(
    block: TableBlock, series: pl.Series, scale: int, *, counts: int = 0, name: str = "", needed: bool = False
) -> NDArray[np.int64]:
    """Return a column in units of 10^-scale; empty fields are 0 unless the value is needed.

    `counts` says that the column holds integers that count 10^-counts.
    """
    name = name or series.name
    if series.dtype.is_integer():
        factor = 10 ** (scale - counts)
        if needed and series.null_count():
            raise block.error(series.is_null().arg_true()[0], f"{name} is empty")
        whole = filled(series.cast(pl.Int64))
        if len(whole) and max(-int(whole.min()), int(whole.max())) * factor >= 1 << 63:
            raise block.error(int(np.argmax(np.abs(whole))), f"{name} is too large")
        units: NDArray[np.int64] = whole * factor
        negative = units < 0
        if negative.any():
            raise block.error(int(np.argmax(negative)), f"{name} {int(whole[np.argmax(negative)])} is negative")
        return units
    if series.dtype not in (pl.String, pl.Float64, pl.Float32):
        raise UserError(
            f"{block.file.path.name}: column {name} holds {series.dtype}, no numbers", "name another column"
        )
    if series.dtype == pl.Float64 and not needed:
        floats = _float_units(series, scale - counts)
        if floats is not None:
            return floats
    texts = series.cast(pl.String)
    units_text = decimal_units(texts, scale - counts)
    bad = units_text.is_null() if needed else units_text.is_null() & texts.is_not_null() & (texts != "")
    bad = bad | (units_text < 0).fill_null(False)
    if bad.any():
        row = bad.arg_true()[0]
        raise block.error(row, _explain(texts[row], name, scale - counts))
    return filled(units_text)


def _float_units(series: pl.Series, decimals: int) -> NDArray[np.int64] | None:
    """Return floats in units of 10^-decimals, nulls as 0; None unless each is the float of a decimal with 8 places.

    That is so when the integer nearest to 10^8 times the float, divided by 10^8 again, is the very same float: the
    division is correctly rounded, so the decimal is one that means this float.
    """
    places = min(8, decimals)
    values = series.fill_null(0.0).to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * 10.0**places)
        good = (whole / 10.0**places == values) & (whole >= 0) & (whole < 1 << 53)
    factor = 10 ** (decimals - places)
    if not good.all() or (len(whole) and int(whole.max()) * factor >= 1 << 62):
        return None
    units: NDArray[np.int64] = whole.astype(np.int64) * factor
    return units


def nanoseconds(block: TableBlock, column: str, unit: TimeUnit) -> NDArray[np.int64]:
    """Return a time column as nanoseconds since 1970; raises UserError for a row without one."""
    series = block.frame[column]
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.cast_time_unit("ns").cast(pl.Int64)
        return exact(block, series, 0, name=column, needed=True)
    if unit != "iso":
        return exact(block, series, _NS_DECIMALS[unit], name=column, needed=True)
    times = series.cast(pl.String).str.strip_suffix("Z").str.to_datetime(time_unit="ns", strict=False)
    if times.null_count():
        row = times.is_null().arg_true()[0]
        raise block.error(row, f"{column} {series[row]!r} is no ISO time of UTC")
    return filled(times.cast(pl.Int64))


def words(series: pl.Series) -> pl.Series:
    """Return a column as lower-case words."""
    return series.cast(pl.String).str.to_lowercase()


def _explain(text: str | None, name: str, scale: int) -> str:
    if not text:
        return f"{name} is empty"
    if not is_number(text):
        return f"{name} {text!r} is not a number"
    if text.strip().startswith("-"):
        return f"{name} {text!r} is negative"
    return f"{name} {text!r} has more than {scale} decimals, or is too large"
