"""The workloads of benchmarks.nautilus: their data, the rows made of it, and a run of ours without any peer."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nautilus, nautilus_data, peer_environment
from benchmarks.nautilus import WORKLOADS, MemoryStream, Ours, level_rows, quote_rows
from hatmanifesto.backtest.tape.format import EXCH, META, check_messages
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import MORE


@pytest.fixture(scope="module")
def deltas() -> nautilus_data.Arrays:
    return nautilus_data.deltas(5_000, seed=3)


def test_level_changes_are_consistent_and_never_leave_a_crossed_book(deltas: nautilus_data.Arrays) -> None:
    levels: dict[tuple[int, int], int] = {}
    batches = []
    rows = zip(*(deltas[name].tolist() for name in ("action", "side", "px", "sz", "last")), strict=True)
    for number, (action, side, price, size, last) in enumerate(rows):
        key = (side, price)
        if action == nautilus_data.CLEAR:
            assert number == 0
        elif action == nautilus_data.DELETE:
            assert levels.pop(key) > 0
            assert size == 0
        else:
            assert (key in levels) == (action == nautilus_data.UPDATE)
            assert size > 0
            levels[key] = size
        if last and number + 1 < len(deltas["ts"]):
            bids = [price for side, price in levels if side == nautilus_data.BUY]
            asks = [price for side, price in levels if side == nautilus_data.SELL]
            batches.append(max(bids) < min(asks))
    assert len(batches) > 300
    assert all(batches)
    assert (np.diff(deltas["ts"]) >= 0).all()
    assert (np.diff(deltas["ts"])[deltas["last"][:-1] == 0] == 0).all()


def test_quotes_have_a_spread_and_times_rise() -> None:
    quotes = nautilus_data.quotes(5_000, seed=3)
    spread = quotes["ask_px"] - quotes["bid_px"]
    assert set(spread.tolist()) == {1, 2, 3}
    assert (np.diff(quotes["ts"]) > 0).all()
    assert np.diff(quotes["ts"]).mean() == pytest.approx(10e6, rel=0.1)
    again = nautilus_data.quotes(5_000, seed=3)
    assert all((quotes[name] == again[name]).all() for name in quotes)


def test_the_rows_rebuild_the_book_of_the_events(deltas: nautilus_data.Arrays) -> None:
    rows = level_rows(deltas)
    check_messages(rows)
    assert len(rows) == len(deltas["ts"])
    levels: dict[tuple[int, int], int] = {}
    book = Book()
    columns = zip(rows.tolist(), deltas["side"].tolist(), deltas["px"].tolist(), deltas["sz"].tolist(), strict=True)
    for (exch, _, meta, row_price, row_size), side, price, size in columns:
        levels[side, price] = size
        book.apply(meta, row_price, row_size, exch)
    bids = {price: size for (side, price), size in levels.items() if side == nautilus_data.BUY and size}
    asks = {price: size for (side, price), size in levels.items() if side == nautilus_data.SELL and size}
    assert dict(book.bids.occupied()) == bids
    assert {-key: size for key, size in book.asks.occupied()} == asks
    assert not book.depth_limited()


def test_a_stream_in_memory_holds_all_rows_in_whole_messages() -> None:
    rows = quote_rows(nautilus_data.quotes(30_000, seed=1))
    stream = MemoryStream(rows)
    assert stream.count == 3
    chunks = [np.frombuffer(stream.chunk(i), "<i8").reshape(-1, 5) for i in range(stream.count)]
    assert (np.concatenate(chunks) == rows).all()
    assert all(chunk[-1, META] & MORE == 0 for chunk in chunks)
    assert stream.chunk(3) == b""


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_ours_quotes_every_interval_without_refusals_and_twice_the_same(tmp_path: Path, name: str) -> None:
    arrays = nautilus_data.quotes(3_000, 5) if name == "l1" else nautilus_data.deltas(10_000, 5)
    np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
    args = argparse.Namespace(events=len(arrays["ts"]), interval_ms=100)
    ours = Ours(WORKLOADS[name], tmp_path / "data.npz", args)
    first, second = ours.run(), ours.run()
    for one in (first, second):
        assert one.pop("seconds") > 0
        one.pop("cpu_s")
    assert first == second
    span_ns = int(arrays["ts"][-1] - arrays["ts"][0])
    assert first["decisions"] == pytest.approx(span_ns / 100e6, abs=2)
    assert first["placed"] == pytest.approx(2 * first["decisions"], rel=0.02)
    assert 0.8 * first["placed"] < first["cancelled"] + first["fills"] <= first["placed"]
    assert first["denied"] == 0
    assert first["fills"] > 0
    assert level_or_quote_span(name, arrays) == span_ns


def level_or_quote_span(name: str, arrays: nautilus_data.Arrays) -> int:
    rows = quote_rows(arrays) if name == "l1" else level_rows(arrays)
    return int(rows[-1, EXCH] - rows[0, EXCH])


def test_without_a_fitting_python_the_benchmark_says_so_and_runs_ours_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(peer_environment, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(peer_environment, "find_python", lambda minimum: None)
    monkeypatch.setattr(nautilus, "CACHE", tmp_path)
    monkeypatch.setattr(nautilus, "GENERATOR", tmp_path / "none")
    monkeypatch.setattr(sys, "argv", ["nautilus", "--events", "2000", "--repeat", "1", "--workload", "l1", "--json"])
    nautilus.main()
    said = capsys.readouterr()
    assert "needs CPython 3.13 or newer, and none was found here" in said.err
    assert "ours runs without NautilusTrader 2.0.0rc7" in said.err
    (line,) = said.out.splitlines()
    result = json.loads(line)
    assert (result["peer"], result["ratio"], result["name"]) == (None, None, "nautilus_l1_maker_none")
    assert result["ours"] > 0
    assert not list(tmp_path.glob("nautilus-now-*"))


def test_a_python_that_is_new_enough_is_found() -> None:
    assert peer_environment.find_python((3, 11)) == Path(sys.executable)
    assert peer_environment.find_python((4, 0)) is None
