"""A slice of a tape: right books from its first moment on, nothing from outside it, and traded like any tape."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.backtest.backtest import run_backtest
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, SIZE, as_rows, message_ends
from hatmanifesto.backtest.tape.format import Rows as Table
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.backtest.tape.slice import SlicedTape, Span, whole_span
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.cli.moments import moment_ns, sliced
from hatmanifesto.config.settings import load
from hatmanifesto.errors import UserError
from hatmanifesto.model import market_row as mr
from hatmanifesto.model.book import Book
from hatmanifesto.model.instrument import Instrument
from support import toy_market
from support.rows import Rows

S = 1_000_000_000
BTC = Instrument("BTC", index=0, price_scale=1, size_scale=5)


def rows_of(tape: MemoryTape | SlicedTape, name: str) -> Table:
    stream = tape.stream(name)
    assert stream.chunk(stream.count) == b""
    assert stream.rows == sum(stream.rows_in(at) for at in range(stream.count))
    return np.concatenate([as_rows(stream.chunk(at)) for at in range(stream.count)])


def books(rows: Table, instruments: int) -> list[Book]:
    found = [Book() for _ in range(instruments)]
    for exch, _, meta, price, size in rows.tolist():
        found[meta >> mr.INSTRUMENT_SHIFT].apply(meta, price, size, exch)
    return found


def state(book: Book) -> tuple[object, ...]:
    """Everything that decides how a book goes on."""
    return book.bids.occupied(), book.asks.occupied(), book.depth_limited()


@pytest.fixture(scope="module")
def agents() -> MemoryTape:
    """Snapshots, best prices, prints and context of two coins, with latency."""
    return generate(seed=4, minutes=3)


@pytest.fixture(scope="module")
def changes() -> MemoryTape:
    """One snapshot and every change of a level."""
    return generate(seed=4, minutes=2, instruments=("BTC",), changes=True)


@pytest.mark.parametrize("share", [0.1, 0.33, 0.5, 0.9])
@pytest.mark.parametrize("name", ["exchange", "receiver"])
@pytest.mark.parametrize("which", ["agents", "changes"])
def test_books_go_on_in_a_slice_as_in_the_whole(
    request: pytest.FixtureRequest, which: str, name: str, share: float
) -> None:
    tape: MemoryTape = request.getfixturevalue(which)
    whole = whole_span(tape)
    begin = whole.begin_ns + int((whole.end_ns - whole.begin_ns) * share)
    rest = rows_of(SlicedTape(tape, Span(begin, begin + 10 * S)), name)
    column = EXCH if name == "exchange" else LOCAL
    everything = rows_of(tape, name)
    before = everything[everything[:, column] < begin]
    inside = everything[(everything[:, column] >= begin) & (everything[:, column] < begin + 10 * S)]
    head = len(rest) - len(inside)
    assert (rest[head:] == inside).all()
    assert (rest[:head, column] == begin).all()
    assert (np.diff(rest[:, column]) >= 0).all()
    count = len(tape.instruments)
    was, now = books(before, count), books(rest[:head], count)
    assert [state(one) for one in now] == [state(one) for one in was]
    for exch, _, meta, price, size in inside.tolist():
        for those in (was, now):
            those[meta >> mr.INSTRUMENT_SHIFT].apply(meta, price, size, exch)
        if not meta & mr.MORE:
            assert state(now[meta >> mr.INSTRUMENT_SHIFT])[:2] == state(was[meta >> mr.INSTRUMENT_SHIFT])[:2]
    for kind in (mr.MARK, mr.ORACLE, mr.FUNDING):
        last = before[(before[:, META] & mr.KIND_MASK) == kind]
        told = rest[:head][(rest[:head, META] & mr.KIND_MASK) == kind]
        expected = {row[META] >> mr.INSTRUMENT_SHIFT: (row[PRICE], row[SIZE]) for row in last.tolist()}
        assert {row[META] >> mr.INSTRUMENT_SHIFT: (row[PRICE], row[SIZE]) for row in told.tolist()} == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([1, -1])), min_size=3, max_size=60),
    st.integers(1, 7),
    st.data(),
)
def test_any_cut_keeps_what_lies_inside_and_the_book_before(
    steps: list[tuple[int, int, int]], chunk_rows: int, data: st.DataObject
) -> None:
    made = Rows(delay_ns=2)
    now = 100
    for at, (step, size, side) in enumerate(steps):
        now += step
        price = 1_000 - side * (1 + at % 4)
        if at % 5 == 0:
            made.snapshot(now, {999: 5, 998: 3}, {1_001: 5, 1_002: at + 1})
        elif at % 5 == 1:
            made.bbo(now, side, 1_000 - side, size + 1)
        else:
            made.depth(now, side, price, size)
    tape = MemoryTape(np.array(made.rows, dtype="<i8"), [BTC], chunk_rows=chunk_rows)
    whole = whole_span(tape)
    begin = data.draw(st.integers(whole.begin_ns, whole.end_ns - 1))
    end = data.draw(st.integers(begin + 1, whole.end_ns))
    everything = rows_of(tape, "receiver")
    inside = everything[(everything[:, LOCAL] >= begin) & (everything[:, LOCAL] < end)]
    sent = everything[(everything[:, EXCH] >= begin) | (begin == whole.begin_ns)]
    sent = sent[(sent[:, EXCH] < end) | (end == whole.end_ns)]
    if not len(inside) or not len(sent):
        with pytest.raises(UserError, match="nothing was recorded"):
            SlicedTape(tape, Span(begin, end))
        return
    cut = SlicedTape(tape, Span(begin, end))
    rest = rows_of(cut, "receiver")
    assert (rest[len(rest) - len(inside) :] == inside).all()
    assert message_ends(rest)[-1] == len(rest)
    (was,) = books(everything[everything[:, LOCAL] < begin], 1)
    (then,) = books(rest[: len(rest) - len(inside)], 1)
    assert state(then)[:2] == state(was)[:2]
    (was,) = books(everything[everything[:, LOCAL] < end], 1)
    (then,) = books(rest, 1)
    assert state(then)[:2] == state(was)[:2]


def test_a_snapshot_under_way_does_not_undo_newer_best_prices() -> None:
    """Received before the cut: a best price stamped 50. Received after it: a snapshot stamped 40."""
    made = Rows()
    made.snapshot(10, {100: 1}, {110: 1}, local=20)
    made.bbo(50, 1, 105, 7, local=55)
    made.snapshot(40, {100: 1}, {110: 1}, local=60)
    made.trade(61, 1, 110, 1, local=62)
    tape = MemoryTape(np.array(made.rows, dtype="<i8"), [BTC])
    (book,) = books(rows_of(SlicedTape(tape, Span(58, 63)), "receiver"), 1)
    assert (int(book.best_bid()), int(book.bids.best_size())) == (105, 7)


def test_a_slice_of_the_whole_is_the_whole(agents: MemoryTape) -> None:
    cut = SlicedTape(agents, whole_span(agents))
    for name in ("exchange", "receiver"):
        assert (rows_of(cut, name) == rows_of(agents, name)).all()


def test_a_slice_trades_like_a_tape_and_names_itself(tmp_path: Path) -> None:
    tape = toy_market.generate(seed=1, minutes=4)
    cut = sliced(tape, "1m", "150s")
    runs = [run_backtest(cut, load(), tmp_path / name) for name in ("a", "b")]
    first, second = ((run.folder / "manifest.json").read_bytes() for run in runs)
    assert first == second
    summary = runs[0].summary
    begin = whole_span(tape).begin_ns + 60 * S
    assert (summary["slice"]["from_ns"], summary["slice"]["to_ns"]) == (begin, begin + 90 * S)
    assert summary["fills"] > 0
    assert replay_journal(runs[0].folder / "journal").equal
    whole = run_backtest(tape, load(), tmp_path / "whole")
    assert whole.summary["slice"] is None
    hashes = {run.folder.name: (run.folder / "manifest.json").read_text() for run in (runs[0], whole)}
    assert hashes["a"] != hashes["whole"]
    assert '"slice"' in hashes["a"]
    assert '"slice"' not in hashes["whole"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0s", 1_000 * S),
        ("90s", 1_090 * S),
        ("10m", 1_600 * S),
        ("10min", 1_600 * S),
        ("1.5h", 6_400 * S),
        ("250ms", 1_000 * S + S // 4),
        ("1970-01-01T00:20:00Z", 1_200 * S),
        ("1970-01-01T00:20:00.000000001", 1_200 * S + 1),
        ("1970-01-01T01:20:00+01:00", 1_200 * S),
        ("1234567890123", 1_234_567_890_123),
    ],
)
def test_moments_are_iso_times_nanoseconds_or_distances_from_the_first_message(text: str, moment: int) -> None:
    assert moment_ns("--from", text, 1_000 * S) == moment


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [
        ("soon", "", "--from soon is no moment of a tape"),
        ("", "-10m", "--to -10m is no moment"),
        ("10h", "", "lies outside the tape"),
        ("", "2020-01-01T00:00:00Z", "lies outside the tape"),
        ("9" * 30, "", "lies outside the tape"),
        ("60s", "30s", "is no part of the tape"),
        ("60s", "60s", "is no part of the tape"),
    ],
)
def test_moments_that_leave_nothing_are_named(agents: MemoryTape, begin: str, end: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        sliced(agents, begin, end)
    assert caught.value.remedy
