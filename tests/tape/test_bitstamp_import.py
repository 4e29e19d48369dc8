"""Bitstamp's order-by-order feed: what rests, who was hit, and what the levels show; true queues from it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.generated_level3 import write_recording
from hatmanifesto.backtest.queue_truth import GONE, Truth, snapshots
from hatmanifesto.backtest.tape.format import META, PRICE, SIZE, Rows, as_rows
from hatmanifesto.backtest.tape.importers.bitstamp_events import CUT, HIT, JOIN, LEAVE, Level3, read_level3
from hatmanifesto.backtest.tape.importers.bitstamp_l3 import project_level2
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import KIND_MASK, MORE, TRADE

ORDERS = "id,timestamp,exchange_timestamp,price,volume,action,direction"
TRADES = "trade_id,timestamp,exchange_timestamp,price,amount,buy_order_id,sell_order_id,side"
OPENING = [
    "1,1100,1000,99.0,1.5,created,bid",
    "2,1100,1000,99.0,0.5,created,bid",
    "3,1100,1000,101.0,1,created,ask",
    "4,1100,1000,5.0,7,created,bid",
]


def recording(folder: Path, orders: list[str], trades: list[str] | None = None) -> list[Path]:
    (folder / "orders.csv").write_text("\n".join([ORDERS, *OPENING, *orders, ""]))
    (folder / "trades.csv").write_text("\n".join([TRADES, *(trades or []), ""]))
    return [folder / "orders.csv", folder / "trades.csv"]


def listed(events: Level3) -> list[tuple[int, int, int, int]]:
    """(kind, order, price, quantity) of every event after the opening."""
    columns = (events.kind, events.order_id, events.price, events.quantity)
    return list(zip(*(column[events.opening :].tolist() for column in columns), strict=True))


def level_rows(rows: Rows) -> list[tuple[int, int, int]]:
    return [(int(row[META]) & KIND_MASK, int(row[PRICE]), int(row[SIZE])) for row in rows]


def imported(files: list[Path], target: Path, **options: str) -> Tape:
    with TapeWriter(target, overwrite=True) as writer:
        IMPORTERS["bitstamp-l3"](ImportRequest(files=files, **options), writer, lambda done, total: None)
    return Tape.open(target)


def test_a_print_comes_before_the_level_it_leaves_and_the_taker_rests_with_what_is_left(tmp_path: Path) -> None:
    files = recording(
        tmp_path,
        [
            "9,1210,1200,101.0,1.8,created,bid",
            "9,1210,1200,101.0,0.8,changed,bid",
            "3,1210,1200,101.0,0,deleted,ask",
            "9,1310,1300,101.0,0.8,deleted,bid",
        ],
        ["77,1220,1200,101.0,1,9,3,buy"],
    )
    events = read_level3(files)
    assert (events.opening, events.size_scale, events.counts.trades_kept) == (3, 1, 1)
    assert listed(events) == [(HIT, 3, 101, 10), (LEAVE, 3, 101, 10), (JOIN, 9, 101, 8), (LEAVE, 9, 101, 8)]
    rows = level_rows(project_level2(events))
    assert rows == [(4, 99, 20), (4, 101, 10), (2, 101, 10), (1, 101, 0), (1, 101, 8), (1, 101, 0)]


def test_a_partly_filled_maker_keeps_its_place_and_a_grown_order_goes_to_the_back(tmp_path: Path) -> None:
    files = recording(
        tmp_path,
        ["1,1210,1200,99.0,1.0,changed,bid", "2,1310,1300,99.0,0.7,changed,bid"],
        ["77,1220,1200,99.0,0.5,1,8,sell"],
    )
    assert listed(read_level3(files)) == [
        (HIT, 1, 99, 5), (CUT, 1, 99, 5), (LEAVE, 2, 99, 5), (JOIN, 2, 99, 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "orders",
    [
        ["9,1210,1200,101.0,1,created,bid", "9,1210,1200,101.0,1,deleted,bid"],  # post-only, refused
        ["9,1210,1200,0.0,1,created,ask", "9,1215,1205,0.0,1,deleted,ask"],  # a market order
        ["8,1210,1200,99.0,1,deleted,bid"],  # never seen before
        ["9,1210,1200,100000.0,1,created,ask"],  # a price far from the market
        ["1,1300,1300,99.0,1.5,deleted,bid", "2,1300,1300,99.0,0.5,deleted,bid"],  # the recorder ends
    ],
)
def test_what_never_rested_or_only_the_recorder_ended_is_no_event(tmp_path: Path, orders: list[str]) -> None:
    assert listed(read_level3(recording(tmp_path, orders))) == []


def test_an_order_that_rests_through_others_proves_them_gone(tmp_path: Path) -> None:
    events = read_level3(recording(tmp_path, ["9,1210,1200,102.0,1,created,bid", "5,1310,1300,98.0,1,created,bid"]))
    assert listed(events) == [(LEAVE, 3, 101, 10), (JOIN, 9, 102, 10), (JOIN, 5, 98, 10)]
    assert events.counts.ghosts_dropped == 1


def test_a_trade_behind_better_orders_proves_them_gone(tmp_path: Path) -> None:
    files = recording(
        tmp_path,
        ["5,1210,1200,98.0,1,created,bid", "5,1310,1300,98.0,0,deleted,bid"],
        ["77,1320,1300,98.0,1,5,8,sell"],
    )
    found = listed(read_level3(files))
    assert found[1:] == [(LEAVE, 1, 99, 15), (LEAVE, 2, 99, 5), (HIT, 5, 98, 10), (LEAVE, 5, 98, 10)]


def test_a_replaced_order_leaves_where_it_stood(tmp_path: Path) -> None:
    files = recording(tmp_path, ["2,1210,1200,98.0,0.5,deleted,bid", "7,1210,1200,98.0,0.5,created,bid"])
    assert listed(read_level3(files)) == [(LEAVE, 2, 99, 5), (JOIN, 7, 98, 5)]


@pytest.mark.parametrize(
    ("orders", "trades", "words"),
    [
        (["9,1210,900,98.0,1,created,bid"], [], "orders.csv, line 6: exchange_timestamp runs backwards"),
        (["9,1210,1200,98.0,1,moved,bid"], [], "line 6: action 'moved'"),
        (["9,1210,1200,98.0,-1,created,bid"], [], "line 6: volume '-1'"),
        (["9,1210,1200,abc,1,created,bid"], [], "line 6: price 'abc'"),
        ([], ["77,1320,1300,98.0,1,5,8,taken"], "trades.csv, line 2: side 'taken'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, orders: list[str], trades: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_level3(recording(tmp_path, orders, trades))
    assert words in caught.value.message


def test_both_files_are_needed_and_once(tmp_path: Path) -> None:
    files = recording(tmp_path, [])
    with pytest.raises(UserError, match="no file of trades"):
        read_level3(files[:1])
    with pytest.raises(UserError, match="two files of orders"):
        read_level3([files[0], *files])


def test_a_folder_is_recognised_and_gives_a_sound_tape_that_needs_its_name_from_somewhere(tmp_path: Path) -> None:
    write_recording(tmp_path, events=800)
    found, files = find_source([tmp_path])
    assert found == "bitstamp-l3"
    assert find_source([tmp_path], "bitstamp_l3")[0] == "bitstamp-l3"
    tape = imported(files, tmp_path / "toy.tape")
    assert [item.name for item in tape.instruments] == ["TOYUSD"]
    stream = tape.stream("exchange")
    rows = as_rows(b"".join(stream.chunk(index) for index in range(stream.count)))
    book = Book()
    trades = 0
    for row in rows.tolist():
        if row[META] & KIND_MASK == TRADE:
            trades += 1
            assert row[PRICE] in (book.best_bid(), book.best_ask())
        book.apply(row[META], row[PRICE], row[SIZE], row[0])
        if not row[META] & MORE:
            assert book.best_bid() < book.best_ask()
    assert trades > 20
    (tmp_path / "meta.json").unlink()
    with pytest.raises(UserError, match="which pair"):
        imported(files, tmp_path / "toy.tape")
    assert imported(files, tmp_path / "toy.tape", name="X").instruments[0].name == "X"
    with pytest.raises(UserError, match="multiple of 3"):
        imported(files, tmp_path / "toy.tape", name="X", tick="3")


def naive_fate(events: Level3, at: int, stop: int) -> list[tuple[int, int]]:
    """When the order that joins at `at` was hit, from the events alone."""
    return [
        (int(events.exch_ns[index]), int(events.quantity[index]))
        for index in range(at, stop)
        if events.kind[index] == HIT and events.order_id[index] == events.order_id[at]
    ]


def test_the_true_fate_of_real_and_hypothetical_orders_follows_from_the_queue(tmp_path: Path) -> None:
    write_recording(tmp_path, events=1500)
    events = read_level3([tmp_path / "orders.csv", tmp_path / "trades.csv"])
    truth = Truth(events)
    joins = [int(at) for at in np.flatnonzero(events.kind == JOIN) if at >= events.opening]
    filled = 0
    for at in joins:
        case = truth.real(at, 10**10)
        if case is None:
            continue
        assert case.fills == naive_fate(events, at, len(events.kind))
        filled += case.filled() == case.size
        assert all(ahead >= 0 or ahead == GONE for ahead in case.ahead)
        waiting = [ahead for ahead in case.ahead if ahead != GONE]
        assert waiting == sorted(waiting, reverse=True), "the size ahead only shrinks"
        if case.fills and case.filled() == case.size:
            assert waiting[-1] == 0
    assert filled > 20
    for at in joins[::7]:
        behind = truth.hypothetical(at, 100, 10**10)
        before = truth.real(at, 10**10)
        if before is None or not behind.fills:
            continue
        first_own = naive_fate(events, at, len(events.kind))
        if first_own:
            assert behind.fills[0][0] >= first_own[0][0], "an order is not filled before the one that it stands behind"


def test_a_feed_of_snapshots_keeps_the_prints_and_the_last_level_of_each_interval(tmp_path: Path) -> None:
    write_recording(tmp_path, events=1500)
    events = read_level3([tmp_path / "orders.csv", tmp_path / "trades.csv"])
    truth = Truth(events)
    at = next(int(at) for at in np.flatnonzero(events.kind == JOIN) if at > events.opening + 100)
    case = truth.hypothetical(at, 100, 60 * 10**9)
    coarse = snapshots(case, 500_000_000)
    prints = [row for row in case.rows if row[1] & KIND_MASK == TRADE]
    assert [row for row in coarse.rows if row[1] & KIND_MASK == TRADE] == prints
    assert len(coarse.rows) <= len(case.rows)
    assert [row[0] for row in coarse.rows] == sorted(row[0] for row in coarse.rows)
    assert all(row[0] % 500_000_000 == 0 for row in coarse.rows if row[1] & KIND_MASK != TRADE)
    assert len(coarse.ahead) == len(coarse.rows)


def test_the_recording_of_bitstamp_gives_every_trade_at_the_touch_and_first_in_its_queue(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "bitstamp_l3"
    events = read_level3([folder / "orders.csv.gz", folder / "trades.csv"])
    assert (events.counts.trades_kept, events.counts.ghosts_dropped) == (284, 2)
    queues: dict[tuple[int, int], list[int]] = {}
    first = 0
    columns = (events.kind, events.side, events.price, events.order_id)
    for kind, side, price, order_id in zip(*(column.tolist() for column in columns), strict=True):
        queue = queues.setdefault((side, price), [])
        if kind == JOIN:
            queue.append(order_id)
        elif kind == LEAVE:
            queue.remove(order_id)
        elif kind == HIT:
            first += queue[0] == order_id
    assert first == 283  # one maker of 284 was hit before an older order of its level
