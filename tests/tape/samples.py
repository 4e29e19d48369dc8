"""Small recordings written by the tests themselves, and row builders."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hatmanifesto.backtest.tape.format import InstrumentSpec, Rows, as_rows
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.model.market_row import CHANNEL_BOOK, CHANNEL_TRADES, DEPTH, MORE, TRADE, make_meta

BTC = InstrumentSpec(name="BTC", venue="hyperliquid", price_scale=1, size_scale=5, significant_figures=5)
DEPTH_BID = make_meta(DEPTH, 1, CHANNEL_BOOK, 0)
DEPTH_BID_MORE = make_meta(DEPTH, 1, CHANNEL_BOOK, 0, MORE)
BUY = make_meta(TRADE, 1, CHANNEL_TRADES, 0)

EVENT = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
EXCH_BIT, LOCAL_BIT, BID, ASK = 1 << 31, 1 << 30, 1 << 29, 1 << 28
BOTH = EXCH_BIT | LOCAL_BIT

BOOK_HEADER = "timestamp,sequence,exchange_timestamp," + ",".join(
    f"{side}_{what}_{i}" for i in range(2) for side in ("bid", "ask") for what in ("price", "size")
)
PRICES_HEADER = "timestamp,price,size,side,exchange_timestamp"
TRADES_HEADER = "timestamp,price,size,side,trade_id,exchange_timestamp"

BOOKS = [
    "1757015216.5000001,1757015216100,1757015216100,100.0,1.5,101.0,0.5,99.0,2.0,102.0,3.0",
    "1757015217.0,1757015216600,1757015216600,100.0,1e-05,101.0,0.5,99.0,2.0,102.0,3.0",
]
PRICES = [
    "1757015216.4,100.0,1.5,bid,1757015216100",
    "1757015216.4,101.0,0.5,ask,1757015216100",
]
TRADES = [
    "1757015216.4,100.0,0.1,sell,7,1757015216000",  # backlog: before the first book
    "1757015216.6,101.0,0.2,buy,8,1757015216300",
    "1757015216.7,101.0,0.2,buy,8,1757015216300",  # repeated
]


def rows(*values: tuple[int, int, int, int, int]) -> Rows:
    """Make a row array from (exch, local, meta, price, size)."""
    return np.array(values, dtype=np.int64).reshape(-1, 5)


def events(*values: tuple[int, int, int, float, float]) -> npt.NDArray[np.void]:
    """Make an hftbacktest array from (ev, exch, local, px, qty)."""
    return np.array([(*value, 0, 0, 0.0) for value in values], dtype=EVENT)


def write_recorder(
    folder: Path,
    coin: str = "BTC",
    *,
    books: list[str] | None = None,
    prices: list[str] | None = None,
    trades: list[str] | None = None,
    packed: bool = True,
) -> Path:
    """Write a recorder's folder; None leaves a file out."""
    folder.mkdir(exist_ok=True)
    for kind, header, lines in (
        ("orderbooks", BOOK_HEADER, books),
        ("prices", PRICES_HEADER, prices),
        ("trades", TRADES_HEADER, trades),
    ):
        if lines is not None:
            text = ("\n".join([header, *lines]) + "\n").encode()
            path = folder / f"{kind}_{coin}.csv{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(text) if packed else text)
    return folder


def import_tape(sources: Path | list[Path], target: Path, wanted: str = "", **options: Any) -> Tape:
    """Import as the command does and open the tape; `wanted` is the format expected."""
    mapped = "columns" if "mapping" in options or wanted == "columns" else ""
    found, files = find_source([sources] if isinstance(sources, Path) else sources, mapped)
    assert wanted in ("", found)
    with TapeWriter(target) as writer:
        IMPORTERS[found](ImportRequest(files=files, **options), writer, lambda done, total: None)
    return Tape.open(target)


def tape_rows(tape: Tape, name: str = "exchange") -> Rows:
    """All rows of a stream."""
    stream = tape.stream(name)
    return np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)])
