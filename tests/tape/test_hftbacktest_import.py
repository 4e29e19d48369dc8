"""hftbacktest arrays: snapshots and clears, who saw what, steps that do not fit, damaged files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hatmanifesto.backtest.tape.format import Rows, as_rows
from hatmanifesto.backtest.tape.importers import hftbacktest_npz
from hatmanifesto.backtest.tape.importers.hftbacktest_npz import import_npz
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BUY_BIT,
    CHANNEL_BOOK,
    CHANNEL_SHIFT,
    DEPTH,
    FIRST,
    MORE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
)
from tape.samples import ASK, BID, BOTH, EXCH_BIT, LOCAL_BIT, events

D, T, CLEAR, S = 1, 2, 3, 4
BOOK = CHANNEL_BOOK << CHANNEL_SHIFT


def do_import(folder: Path, data: npt.NDArray[Any], *, tick: str = "0.1", lot: str = "0.001", **more: Any) -> Tape:
    np.savez(folder / "perp.npz", data=data)
    return import_file(folder / "perp.npz", folder / "a.tape", tick=tick, lot=lot, **more)


def import_file(path: Path, target: Path, *, tick: str = "0.1", lot: str = "0.001", **more: Any) -> Tape:
    with TapeWriter(target, overwrite=True) as writer:
        request = ImportRequest(files=[path], tick=tick, lot=lot, **more)
        import_npz(request, writer, lambda done, total: None)
    return Tape.open(target)


def read(tape: Tape, name: str = "exchange") -> Rows:
    stream = tape.stream(name)
    return np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)])


def test_the_opening_snapshot_is_one_message_and_the_rest_single_rows(tmp_path: Path) -> None:
    data = events(
        (S | BOTH | BID, 10, 15, 60000.0, 1.5),
        (S | BOTH | BID, 10, 15, 59999.9, 0.001),
        (S | BOTH | ASK, 10, 15, 60000.1, 2.0),
        (D | BOTH | ASK, 20, 25, 60000.2, 0.0),
        (T | BOTH | BID, 30, 35, 60000.1, 0.3),
    )
    with do_import(tmp_path, data) as tape:
        assert read(tape).tolist() == [
            [10, 15, SNAPSHOT | BUY_BIT | BOOK | FIRST | MORE, 600_000, 1500],
            [10, 15, SNAPSHOT | BUY_BIT | BOOK | MORE, 599_999, 1],
            [10, 15, SNAPSHOT | SELL_BIT | BOOK, 600_001, 2000],
            [20, 25, DEPTH | SELL_BIT | BOOK, 600_002, 0],
            [30, 35, TRADE | BUY_BIT | 3 << CHANNEL_SHIFT, 600_001, 300],
        ]
        one = tape.instruments[0]
        assert (one.name, int(one.price_scale), int(one.size_scale), int(one.money_scale)) == (
            "perp",
            1,
            3,
            9,
        )
        assert tape.same_order


@pytest.mark.parametrize(
    ("tick", "scale", "units"),
    [("0.5", 1, 5), ("0.1", 1, 1), ("10", 0, 10), ("1e-2", 2, 1), ("0.250", 2, 25)],
)
def test_ticks_give_scale_and_step(tmp_path: Path, tick: str, scale: int, units: int) -> None:
    with do_import(tmp_path, events((D | BOTH | BID, 1, 2, 100.0, 1.0)), tick=tick) as tape:
        assert (int(tape.instruments[0].price_scale), int(tape.instruments[0].tick_size)) == (scale, units)


def test_clears_around_a_snapshot_belong_to_it_and_lone_ones_empty_the_book(tmp_path: Path) -> None:
    data = events(
        (CLEAR | BOTH | BID, 10, 15, 99.0, 0.0),
        (S | BOTH | BID, 10, 15, 100.0, 1.0),
        (CLEAR | BOTH | ASK, 10, 15, 101.0, 0.0),
        (S | BOTH | ASK, 10, 15, 101.0, 1.0),
        (CLEAR | BOTH, 20, 25, np.nan, 0.0),
        (CLEAR | BOTH | BID, 30, 35, 0.0, 0.0),
    )
    with do_import(tmp_path, data) as tape:
        assert read(tape)[:, 2:].tolist() == [
            [SNAPSHOT | BUY_BIT | BOOK | FIRST | MORE, 1000, 1000],
            [SNAPSHOT | SELL_BIT | BOOK, 1010, 1000],
            [SNAPSHOT | BOOK | FIRST, 0, 0],
            [SNAPSHOT | BOOK | FIRST, 0, 0],
        ]
        assert tape.meta.statistics["clears_widened_to_both_sides"] == 1
    with pytest.raises(UserError, match="of one side"):
        do_import(tmp_path, data, strict=True)


def test_rows_that_one_side_saw_go_to_its_stream_only(tmp_path: Path) -> None:
    data = events(
        (D | BOTH | BID, 10, 20, 1.0, 1.0),
        (D | EXCH_BIT | BID, 11, 40, 2.0, 1.0),
        (D | BOTH | BID, 12, 30, 3.0, 1.0),
        (D | LOCAL_BIT | BID, 11, 40, 2.0, 1.0),
        (D | BID, 13, 41, 4.0, 1.0),
    )
    with do_import(tmp_path, data) as tape:
        assert read(tape)[:, 3].tolist() == [10, 20, 30]
        assert read(tape, "receiver")[:, 3].tolist() == [10, 30, 20]


def test_clocks_that_disagree_are_sorted_into_two_streams(tmp_path: Path) -> None:
    data = events(
        (D | BOTH | BID, 30, 31, 3.0, 1.0),
        (D | BOTH | BID, 10, 50, 1.0, 1.0),
        (D | BOTH | BID, 20, 40, 2.0, 1.0),
    )
    with do_import(tmp_path, data) as tape:
        assert read(tape)[:, 0].tolist() == [10, 20, 30]
        assert read(tape, "receiver")[:, 1].tolist() == [31, 40, 50]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batches_never_cut_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    snapshot = [(S | BOTH | BID, 10, 15, 100.0 - i, 1.0) for i in range(5)]
    later = [(S | BOTH | BID, 30, 35, 100.0 - i, 1.0) for i in range(4)]
    data = events(*snapshot, (D | BOTH | BID, 20, 25, 99.0, 0.0), *later)
    with do_import(tmp_path, data) as tape:
        expected = read(tape).tolist()
    monkeypatch.setattr(hftbacktest_npz, "_BATCH", batch)
    with do_import(tmp_path, data) as tape:
        assert read(tape).tolist() == expected


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ((D | BOTH | BID, 1, 2, 100.05, 1.0), "row 1: price 100.05 is off the tick 0.1"),
        ((D | BOTH | BID, 1, 2, 100.0, 0.0005), "row 1: size 0.0005 is off the lot 0.001"),
        ((D | BOTH | BID, 1, 2, np.nan, 1.0), "row 1: price nan"),
        ((D | BOTH | BID, 1, 2, -1.0, 1.0), "row 1: price -1.0"),
        ((10 | BOTH | BID, 1, 2, 1.0, 1.0), "row 1: event kind 10 is not level 2"),
        ((D | BOTH, 1, 2, 1.0, 1.0), "row 1: a book row needs one side"),
    ],
)
def test_a_row_that_cannot_be_said_exactly_is_named(
    tmp_path: Path, event: tuple[int, int, int, float, float], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        do_import(tmp_path, events((D | BOTH | BID, 1, 2, 1.0, 1.0), event))
    assert not (tmp_path / "a.tape").exists()


def test_floats_that_are_almost_the_decimal_are_taken_for_it(tmp_path: Path) -> None:
    with do_import(tmp_path, events((D | BOTH | BID, 1, 2, 60000.1, 0.1 + 0.2))) as tape:
        assert read(tape)[0, 3:].tolist() == [600_001, 300]


@pytest.mark.parametrize(("tick", "lot"), [("", "1"), ("abc", "1"), ("0", "1"), ("0.1", "-1"), ("0.1", "nan")])
def test_steps_are_needed_and_must_be_positive(tmp_path: Path, tick: str, lot: str) -> None:
    with pytest.raises(UserError, match=r"--tick|--lot"):
        do_import(tmp_path, events((D | BOTH | BID, 1, 2, 1.0, 1.0)), tick=tick, lot=lot)


def test_a_truncated_or_foreign_file_is_refused(tmp_path: Path) -> None:
    data = events(*[(D | BOTH | BID, i, i, 1.0, 1.0) for i in range(1000)])
    np.savez_compressed(tmp_path / "good.npz", data=data)
    packed = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "bad.npz").write_bytes(packed[: len(packed) // 2])
    np.savez(tmp_path / "other.npz", data=np.zeros(5))
    np.savez(tmp_path / "named.npz", other=data)
    np.save(tmp_path / "good.npy", data)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-8])
    for name, why in (
        ("bad.npz", "damaged"),
        ("other.npz", "no hftbacktest"),
        ("named.npz", "`data`"),
        ("cut.npy", "ends"),
    ):
        with pytest.raises(UserError, match=why):
            import_file(tmp_path / name, tmp_path / "a.tape")
    for name in ("good.npz", "good.npy"):
        with import_file(tmp_path / name, tmp_path / "a.tape") as tape:
            assert tape.stream("exchange").rows == 1000
