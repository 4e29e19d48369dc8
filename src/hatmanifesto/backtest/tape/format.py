"""The tape file: what lies where, and the description at its end.

    offset 0    16 bytes   magic "HATTAPE\\n", format version (u32 LE), reserved (u32, 0)
    then        chunks     zstd frames (level 3, with checksum) of packed 40-byte rows, whole messages only
    then        footer     JSON: instruments, chunk index of both streams, source, statistics, hash
    last 24     trailer    footer offset (u64 LE), its length (u32), its CRC-32 (u32), magic "\\nEPATTAH"

Two streams hold the rows: `exchange` in non-decreasing order of the venue's clock, `receiver` of the
receiver's clock. Where both orders are the same the receiver stream is an alias and stored once.
"""

from abc import abstractmethod
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import FIRST, MORE, ROW_BYTES
from hatmanifesto.model.ports import ChunkSource

MAGIC: Final = b"HATTAPE\n"
END_MAGIC: Final = b"\nEPATTAH"
FORMAT_VERSION: Final = 1
HEADER_BYTES: Final = 16
TRAILER_BYTES: Final = 24
CHUNK_ROWS: Final = 26_000
"""Rows a chunk holds at most (about 1 MiB unpacked), unless a single message is longer."""
STREAMS: Final = ("exchange", "receiver")

EXCH, LOCAL, META, PRICE, SIZE = range(5)
"""Columns of a row array, words 0 to 4 of model/market_row.py."""
WORDS: Final = ROW_BYTES // 8

Rows = NDArray[np.int64]
"""Packed rows: shape (n, 5), little-endian signed 64-bit."""


class InstrumentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """An instrument as a tape carries it; units as in model.Instrument."""

    name: str
    venue: str
    price_scale: int
    size_scale: int
    money_scale: int = 6
    tick_size: int = 1
    lot_size: int = 1
    significant_figures: int = 0
    min_notional: int = 0
    max_price: int = 0
    max_size: int = 0
    maker_fee: int = 150_000
    taker_fee: int = 450_000
    max_leverage: int = 20

    def build(self, index: int) -> Instrument:
        """Return the model's instrument at a place in the tape's list; raises ValueError when it is none."""
        values = {key: value for key, value in msgspec.structs.asdict(self).items() if key not in ("name", "venue")}
        return Instrument(self.name, index=index, **values)


class ChunkEntry(msgspec.Struct, frozen=True, array_like=True):
    """Where a chunk lies: file offset and length in bytes, rows, first and last ns of its stream's clock."""

    offset: int
    length: int
    rows: int
    first_ts: int
    last_ts: int


class StreamEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One stream: rows, BLAKE2b of its unpacked bytes, chunks."""

    rows: int
    blake2b: str
    chunks: list[ChunkEntry]


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that went into a tape: its name without folder, size in bytes, SHA-256."""

    name: str
    bytes: int
    sha256: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tape comes from: importer, files and what the importer had to assume."""

    format: str
    files: list[SourceFile] = []
    options: dict[str, Any] = {}
    notes: list[str] = []


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a tape but its rows. `receiver` is None when it equals `exchange`."""

    format_version: int
    instruments: list[InstrumentSpec]
    exchange: StreamEntry
    receiver: StreamEntry | None
    source: Source
    statistics: dict[str, Any]
    content_hash: str


class RowStream(ChunkSource):
    """One time-ordered stream of a tape, read chunk by chunk."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of chunks."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of rows."""

    @abstractmethod
    def chunk(self, index: int) -> bytes:
        """Return the packed rows of a chunk, 40 bytes each; empty bytes after the last one."""

    def rows_in(self, index: int) -> int:
        """Return the number of rows of a chunk, 0 after the last one."""
        return len(self.chunk(index)) // ROW_BYTES


class TapeLike(Protocol):
    """What the backtest needs of a tape, on disk or in memory."""

    @property
    def instruments(self) -> list[Instrument]:
        """The instruments, at the index that the rows carry."""

    @property
    def venues(self) -> list[str]:
        """Each instrument's venue; empty text for one that is not known."""

    def stream(self, name: str) -> RowStream:
        """Return the `exchange` or the `receiver` stream."""


def as_rows(chunk: bytes) -> Rows:
    """View packed bytes as a row array of shape (n, 5), without copying."""
    return np.frombuffer(chunk, dtype="<i8").reshape(-1, WORDS)


def message_ends(rows: Rows) -> NDArray[np.intp]:
    """Return the exclusive end of every message: the place after each row without MORE."""
    return np.flatnonzero((rows[:, META] & MORE) == 0) + 1


def check_messages(rows: Rows) -> None:
    """Raise ValueError unless the rows are whole messages whose rows share both timestamps."""
    if len(rows) == 0:
        return
    more = (rows[:, META] & MORE) != 0
    if more[-1]:
        raise ValueError("the last row carries MORE: its message is not complete")
    torn = more[:-1] & (np.diff(rows[:, EXCH]) != 0) | more[:-1] & (np.diff(rows[:, LOCAL]) != 0)
    if torn.any():
        raise ValueError(f"rows {int(np.argmax(torn))} and the next are one message but differ in time")
    later_first = more[:-1] & ((rows[1:, META] & FIRST) != 0)
    if later_first.any():
        raise ValueError(f"row {int(np.argmax(later_first)) + 1} carries FIRST inside a message")


def time_sorted(rows: Rows, column: int) -> bool:
    """Tell whether a clock never runs backwards."""
    return bool((np.diff(rows[:, column]) >= 0).all())


def sort_rows(rows: Rows, column: int) -> Rows:
    """Return the rows in order of a clock, ties as they were; whole messages stay together.

    A stable sort of rows is one of messages, because the rows of a message share both timestamps.
    """
    if time_sorted(rows, column):
        return rows
    return rows[np.argsort(rows[:, column], kind="stable")]
