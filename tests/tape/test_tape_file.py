"""The tape file: what goes in comes out, in both orders; what is broken is named."""

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.backtest.tape.format import (
    EXCH,
    HEADER_BYTES,
    LOCAL,
    MAGIC,
    META,
    Rows,
    RowStream,
    Source,
    as_rows,
    time_sorted,
)
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import MORE
from tape.samples import BTC, BUY, DEPTH_BID, DEPTH_BID_MORE, rows

SOURCE = Source(format="test")


def write(path: Path, exchange: Rows, receiver: Rows | None = None, *, chunk_rows: int = 7) -> Path:
    with TapeWriter(path, overwrite=True, chunk_rows=chunk_rows) as writer:
        writer.begin("exchange")
        writer.append(exchange)
        if receiver is not None:
            writer.begin("receiver")
            writer.append(receiver)
        writer.finish(instruments=[BTC], source=SOURCE, statistics={})
    return path


def messages_of(all_rows: Rows) -> list[Rows]:
    ends = [i + 1 for i, meta in enumerate(all_rows[:, META].tolist()) if not meta & MORE]
    return [all_rows[a:b] for a, b in itertools.pairwise([0, *ends])]


def read(stream: RowStream) -> Rows:
    return np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)])


@st.composite
def messages(draw: st.DrawFn) -> Rows:
    """Whole messages in arbitrary time order: one to five rows that share both stamps."""
    parts: list[tuple[int, int, int, int, int]] = []
    for _ in range(draw(st.integers(1, 40))):
        exch = draw(st.integers(1, 50))
        local = exch + draw(st.integers(-3, 30))
        count = draw(st.integers(1, 5))
        for i in range(count):
            meta = DEPTH_BID_MORE if i < count - 1 else DEPTH_BID
            parts.append((exch, local, meta, draw(st.integers(0, 1 << 60)), len(parts)))
    return rows(*parts)


def spooled(path: Path, all_rows: Rows, chunk_rows: int) -> Path:
    with TapeWriter(path, overwrite=True, chunk_rows=chunk_rows) as writer, Spool(path.parent) as spool:
        spool.add(all_rows)
        spool.write(writer)
        writer.finish(instruments=[BTC], source=SOURCE, statistics={})
    return path


@given(messages(), st.integers(1, 30))
def test_both_streams_hold_every_row_in_their_own_order_and_whole_messages(
    tmp_path_factory: pytest.TempPathFactory, all_rows: Rows, chunk_rows: int
) -> None:
    path = spooled(tmp_path_factory.mktemp("tape") / "a.tape", all_rows, chunk_rows)
    written = Counter(map(tuple, all_rows.tolist()))
    memory = MemoryTape(all_rows, [BTC.build(0)], chunk_rows=chunk_rows)
    with Tape.open(path) as tape:
        tape.verify()
        for name, column in (("exchange", EXCH), ("receiver", LOCAL)):
            found = read(tape.stream(name))
            assert Counter(map(tuple, found.tolist())) == written
            assert time_sorted(found, column)
            assert found.tolist() == read(memory.stream(name)).tolist()
            for message in messages_of(found):  # the last word counts rows in the order of writing
                assert (np.diff(message[:, 4]) == 1).all()
                assert len(set(message[:, EXCH].tolist())) == 1
            for i in range(tape.stream(name).count):
                assert not as_rows(tape.stream(name).chunk(i))[-1, META] & MORE
        same = read(tape.stream("exchange")).tolist() == read(tape.stream("receiver")).tolist()
        assert tape.same_order == same


def test_a_message_longer_than_a_chunk_is_one_chunk(tmp_path: Path) -> None:
    long = rows(*[(5, 6, DEPTH_BID_MORE if i < 19 else DEPTH_BID, 1, i) for i in range(20)])
    path = write(tmp_path / "a.tape", np.concatenate([rows((1, 2, BUY, 1, 1)), long, rows((7, 8, BUY, 1, 1))]))
    with Tape.open(path) as tape:
        assert [entry.rows for entry in tape.stream("exchange").chunks] == [1, 20, 1]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    some = rows(*[(i, i + 5, BUY, 100 + i, 1) for i in range(100)])
    assert write(tmp_path / "a.tape", some).read_bytes() == write(tmp_path / "b.tape", some).read_bytes()


def test_one_order_is_stored_once_and_shared(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tape", rows(*[(i, i + 5, BUY, 1, 1) for i in range(20)]))
    with Tape.open(path) as tape:
        assert tape.same_order
        assert tape.stream("exchange").chunk(1) is tape.stream("receiver").chunk(1)
        assert [i.name for i in tape.instruments] == ["BTC"]
        assert tape.stream("exchange").chunk(tape.stream("exchange").count) == b""


def test_find_names_the_chunk_where_a_time_begins(tmp_path: Path) -> None:
    with Tape.open(write(tmp_path / "a.tape", rows(*[(i, i, BUY, 1, 1) for i in range(20)]))) as tape:
        stream = tape.stream("exchange")
        assert [stream.find(ts) for ts in (-1, 6, 7, 19, 20)] == [0, 0, 1, 2, 3]


def test_memory_stays_the_same_however_many_chunks_are_read(tmp_path: Path) -> None:
    with Tape.open(write(tmp_path / "a.tape", rows(*[(i, i, BUY, 1, 1) for i in range(700)]))) as tape:
        for i in range(tape.stream("exchange").count):
            tape.stream("exchange").chunk(i)
        assert tape.stream("exchange").count == 100
        assert len(tape._kept) == 8


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (rows((2, 2, BUY, 1, 1), (1, 1, BUY, 1, 1)), "not in order"),
        (rows((1, 1, DEPTH_BID_MORE, 1, 1)), "not complete"),
        (rows((1, 1, DEPTH_BID_MORE, 1, 1), (2, 2, DEPTH_BID, 1, 1)), "differ in time"),
    ],
)
def test_rows_that_are_no_stream_are_refused_and_leave_nothing(tmp_path: Path, bad: Rows, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        write(tmp_path / "a.tape", bad)
    assert list(tmp_path.iterdir()) == []


def write_until(path: Path, interruption: type[BaseException]) -> None:
    with TapeWriter(path, overwrite=True, chunk_rows=2) as writer:
        writer.begin("exchange")
        writer.append(rows(*[(i, i, BUY, 1, 1) for i in range(50)]))
        raise interruption


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_leaves_the_old_tape_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = write(tmp_path / "a.tape", rows((1, 1, BUY, 1, 1)))
    before = path.read_bytes()
    with pytest.raises(interruption):
        write_until(path, interruption)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_tape_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tape", rows((1, 1, BUY, 1, 1)))
    with pytest.raises(UserError, match=r"exists already.*--force"):
        TapeWriter(path)


def changed(data: bytes, how: str) -> bytes:
    middle = bytearray(data)
    match how:
        case "no tape":
            return b"PK\x03\x04" + data[4:]
        case "empty":
            return b""
        case "newer":
            return MAGIC + (99).to_bytes(4, "little") + data[12:]
        case "footer":
            middle[-60] ^= 1
        case "chunk":
            middle[HEADER_BYTES + 30] ^= 1
    return bytes(middle)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no tape", "is not a tape"),
        ("empty", "is not a tape"),
        ("newer", "format 99; this program reads up to 1; update"),
        ("footer", "footer does not match its checksum"),
        ("chunk", "damaged in chunk 0 of the exchange stream"),
    ],
)
def test_a_changed_file_is_refused_and_the_place_is_named(tmp_path: Path, how: str, message: str) -> None:
    path = write(tmp_path / "a.tape", rows(*[(i, i, BUY, 1, 1) for i in range(20)]))
    path.write_bytes(changed(path.read_bytes(), how))
    with pytest.raises(UserError, match=message), Tape.open(path) as tape:
        tape.verify()


def test_a_tape_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "a.tape", rows(*[(i, i, BUY, 1, 1) for i in range(20)])).read_bytes()
    cut = tmp_path / "cut.tape"
    for length in range(0, len(data), 13):
        cut.write_bytes(data[:length])
        with pytest.raises(UserError, match=r"cut off|not a tape"):
            Tape.open(cut)


def test_a_chunk_swapped_for_another_valid_one_is_found(tmp_path: Path) -> None:
    """Each chunk has its own checksum; only the stream's hash can tell that the right chunks came back."""
    one = write(tmp_path / "a.tape", rows(*[(i, i, BUY, 1, 1) for i in range(7)]))
    with Tape.open(one) as tape:
        length = tape.meta.exchange.chunks[0].length
    end = HEADER_BYTES + length
    other = tmp_path / "b.tape"
    for price in range(2, 1000):  # one whose chunk happens to be as long
        write(other, rows(*[(i, i, BUY, price, 1) for i in range(7)]))
        with Tape.open(other) as swapped:
            if swapped.meta.exchange.chunks[0].length == length:
                break
    else:
        pytest.fail("no chunk of the same length")
    one.write_bytes(other.read_bytes()[:end] + one.read_bytes()[end:])
    with pytest.raises(UserError, match="not the one that was written"), Tape.open(one) as tape:
        tape.verify()


def test_opening_what_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hat tape import"):
        Tape.open(tmp_path / "none.tape")
    with pytest.raises(UserError, match="folder"):
        Tape.open(tmp_path)


def test_no_file_handle_is_left_open_by_a_refused_tape(tmp_path: Path) -> None:
    (tmp_path / "bad.tape").write_bytes(b"x" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(UserError):
            Tape.open(tmp_path / "bad.tape")
    assert len(os.listdir("/proc/self/fd")) == before


def test_priority_then_arrival_break_ties_of_the_venues_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    with TapeWriter(path) as writer, Spool(tmp_path) as spool:
        spool.add(rows((5, 9, DEPTH_BID, 1, 1), (5, 8, DEPTH_BID, 1, 2)), priority=2)
        spool.add(rows((5, 9, BUY, 1, 3)), priority=0)
        first, _ = spool.add(rows((5, 9, BUY, 1, 4)), priority=0)
        spool.drop(np.array([first]))
        spool.write(writer)
        writer.finish(instruments=[BTC], source=SOURCE, statistics={})
    with Tape.open(path) as tape:
        order: dict[str, Any] = {name: read(tape.stream(name))[:, 4].tolist() for name in ("exchange", "receiver")}
    assert order == {"exchange": [3, 1, 2], "receiver": [2, 3, 1]}
