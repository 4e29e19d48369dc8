"""Market rows for tests: a small writer, and sources and sinks in memory."""

import struct
from typing import NamedTuple

from hatmanifesto.model import market_row as mr
from hatmanifesto.model import record
from hatmanifesto.model.ports import ChunkSource, RecordSink
from hatmanifesto.model.record_forms import SHORT

ROW = struct.Struct("<5q")


class Row(NamedTuple):
    """One row, unpacked."""

    exch_ts: int
    local_ts: int
    meta: int
    price: int
    size: int

    @property
    def kind(self) -> int:
        return self.meta & mr.KIND_MASK

    @property
    def side(self) -> int:
        return mr.meta_side(self.meta)


class Rows:
    """Collects rows; `delay_ns` makes the receipt stamp unless `local` is given."""

    def __init__(self, delay_ns: int = 0, instrument: int = 0) -> None:
        self.rows: list[Row] = []
        self.delay_ns = delay_ns
        self.instrument = instrument

    def add(
        self, kind: int, channel: int, ts: int, side: int, price: int, size: int,
        flags: int = 0, local: int | None = None, instrument: int | None = None,
    ) -> "Rows":  # fmt: skip
        at = self.instrument if instrument is None else instrument
        meta = mr.make_meta(kind, side, channel, at, flags)
        self.rows.append(Row(ts, ts + self.delay_ns if local is None else local, meta, price, size))
        return self

    def depth(self, ts: int, side: int, price: int, size: int, **more: int) -> "Rows":
        return self.add(mr.DEPTH, mr.CHANNEL_BOOK, ts, side, price, size, **more)

    def trade(self, ts: int, side: int, price: int, size: int, **more: int) -> "Rows":
        return self.add(mr.TRADE, mr.CHANNEL_TRADES, ts, side, price, size, **more)

    def bbo(self, ts: int, side: int, price: int, size: int, **more: int) -> "Rows":
        return self.add(mr.BBO, mr.CHANNEL_BBO, ts, side, price, size, **more)

    def mark(self, ts: int, price: int, **more: int) -> "Rows":
        return self.add(mr.MARK, mr.CHANNEL_CONTEXT, ts, 0, price, 0, **more)

    def snapshot(
        self, ts: int, bids: dict[int, int], asks: dict[int, int], local: int | None = None,
        instrument: int | None = None,
    ) -> "Rows":  # fmt: skip
        levels = [(1, p, s) for p, s in bids.items()] + [(-1, p, s) for p, s in asks.items()]
        levels = levels or [(1, 0, 0)]
        for at, (side, price, size) in enumerate(levels):
            flags = (mr.FIRST if at == 0 else 0) | (mr.MORE if at < len(levels) - 1 else 0)
            self.add(mr.SNAPSHOT, mr.CHANNEL_BOOK, ts, side, price, size, flags, local, instrument)
        return self

    def packed(self) -> bytes:
        return b"".join(ROW.pack(*row) for row in self.rows)


class MemoryRows(ChunkSource):
    """Rows in chunks of any length, also one that splits messages."""

    def __init__(self, data: bytes, rows_a_chunk: int = 1000) -> None:
        step = rows_a_chunk * mr.ROW_BYTES
        self.chunks = [data[at : at + step] for at in range(0, len(data), step)]

    def chunk(self, index: int) -> bytes:
        return self.chunks[index] if index < len(self.chunks) else b""


class Entry(NamedTuple):
    """One packed record, with its fields by name: `words` of its long form, `stored` as the sink got it."""

    seq: int
    kind: int
    aux: int
    ts_ns: int
    fields: dict[str, int]
    words: list[int]
    stored: list[int]

    @property
    def name(self) -> str:
        return record.KIND_NAMES[self.kind]

    @property
    def wanted(self) -> list[tuple[int, int, int]]:
        """(price, size, side_flags) of what the strategy wanted after this view."""
        count = self.fields["decision"] >> 24 & 0xFF
        rest = self.words[len(self.words) - 3 * count :]
        return [(rest[at], rest[at + 1], rest[at + 2]) for at in range(0, 3 * count, 3)]


def _long(kind: int, words: list[int], ts: int, event_exch_ts: int) -> list[int]:
    """Return what the words of a short form say, as those of the long one (docs/journal.md)."""
    if kind == record.CANCEL:
        return [words[0], ts, words[1]]
    if kind == record.ORDER_EVENT:
        return [words[0], ts, words[1], event_exch_ts]
    if kind == record.SUBMIT:
        return [words[0], ts, words[1], words[2] % 2**31, words[2] >> 31 & 2**22 - 1, words[2] >> 53]
    halves = [half for word in words[4:8] for half in (word & 2**32 - 1, word >> 32)]
    spread, mark, bid_size, ask_size, buys, sells, age, imbalance = halves
    ts, decision, bid = words[1:4]
    body = [words[0], ts, decision & 2**48 - 1, bid, bid_size, bid + spread - 2**31, ask_size, ts - age]
    body += [bid + mark - 2**30, buys, sells, decision >> 48, imbalance - 2**30]
    for word in words[8:]:
        body += [bid + (word & 2**26 - 1) - 2**25, word >> 26 & 2**26 - 1, word >> 52]
    return body


class Records(RecordSink):
    """Keeps every record; `entries` decodes them with a decoder of its own."""

    def __init__(self) -> None:
        self.next_seq: int | None = None
        self.payload = bytearray()
        self.count = 0

    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        assert self.next_seq is None or self.next_seq == first_seq, "a gap in the sequence"
        self.next_seq = first_seq + count
        self.payload += payload
        self.count += count

    def entries(self) -> list[Entry]:
        words = [word for (word,) in struct.iter_unpack("<q", bytes(self.payload))]
        found: list[Entry] = []
        at = 0
        seq = (self.next_seq or 0) - self.count
        event_exch_ts = 0
        while at < len(words):
            head = words[at]
            kind, length, aux = head & 0xFF, head >> 8 & 0xFF, head >> 16 & 0xFFFF
            stored = words[at : at + length]
            body = stored
            if kind & SHORT and kind < record.FIRST_BLOB:
                kind &= ~SHORT
                body = _long(kind, stored, found[-1].ts_ns if found else 0, event_exch_ts)
            if kind == record.ORDER_EVENT:
                event_exch_ts = body[3]
            names = record.FIELDS[kind]
            found.append(Entry(seq, kind, aux, body[1], dict(zip(names, body[2:], strict=False)), body, stored))
            at += length
            seq += 1
        assert len(found) == self.count
        return found

    def take(self) -> list[Entry]:
        """Decode what came since the last call, and forget it."""
        found = self.entries()
        self.payload.clear()
        self.count = 0
        return found

    def of(self, *kinds: int) -> list[Entry]:
        return [entry for entry in self.entries() if entry.kind in kinds]
