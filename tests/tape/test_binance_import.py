"""Raw captures of Binance: the book from snapshot and numbered updates, gaps, what each message becomes."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest.tape.format import META
from hatmanifesto.backtest.tape.importers.binance_depth import DepthChain, DepthCounts, DepthUpdate
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    FUNDING,
    KIND_MASK,
    MARK,
    MORE,
    ORACLE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from tape.binance_samples import MS, T0, depth, mark, snapshot, ticker, trade, write
from tape.samples import import_tape, tape_rows

BIDS = [["100.00", "1.000"], ["99.90", "2.000"]]
ASKS = [["100.20", "1.500"]]


def book_of(tape: Tape, stream: str = "exchange") -> Book:
    """The book after all level rows of a stream, best prices left out."""
    book = Book()
    for exch, _, meta, price, size in tape_rows(tape, stream).tolist():
        if meta & KIND_MASK != BBO:
            book.apply(meta, price, size, exch)
    return book


def counts_of(tape: Tape, name: str = "BTCUSDT") -> dict[str, Any]:
    found = tape.meta.statistics["instruments"][name]
    assert isinstance(found, dict)
    return found


def test_every_message_of_a_futures_session_becomes_exactly_these_rows(tmp_path: Path) -> None:
    source = write(
        tmp_path / "btc.gz",
        (T0 + 5, depth(T0 + 1, 8, 10, 7, [["90.00", "1.000"]])),  # the snapshot has it already
        (T0 + 6, depth(T0 + 3, 11, 14, 10, [["100.00", "0.000"]], [["100.20", "2.000"]])),  # it has half of it
        (T0 + 9, snapshot(12, BIDS, ASKS, T0 + 2)),
        (T0 + 11, trade(T0 + 6, 1, "99.90", sell=True, X="MARKET")),
        (T0 + 12, ticker(T0 + 6, 15, "99.90", "100.20")),
        (T0 + 13, mark(T0 + 8, "100.05129999", "100.0500", "-0.00010000")),
        (T0 + 14, depth(T0 + 7, 16, 16, 14, [], [["100.30", "3.000"]])),
    )
    t0 = T0 * MS

    def row(exch: int, local: int, kind: int, side: int, channel: int, price: int, size: int, flags: int = 0):
        return [t0 + exch * MS, t0 + local * MS, make_meta(kind, side, channel, 0, flags), price, size]

    with import_tape(source, tmp_path / "a.tape", "binance-ws") as tape:
        assert tape_rows(tape).tolist() == [
            row(2, 9, SNAPSHOT, 1, CHANNEL_BOOK, 1000, 100, FIRST | MORE),
            row(2, 9, SNAPSHOT, 1, CHANNEL_BOOK, 999, 200, MORE),
            row(2, 9, SNAPSHOT, -1, CHANNEL_BOOK, 1002, 150),
            row(3, 9, DEPTH, 1, CHANNEL_BOOK, 1000, 0, MORE),  # known to the receiver with the snapshot
            row(3, 9, DEPTH, -1, CHANNEL_BOOK, 1002, 200),
            row(6, 11, TRADE, -1, CHANNEL_TRADES, 999, 1),
            row(6, 12, BBO, 1, CHANNEL_BBO, 999, 100, MORE),
            row(6, 12, BBO, -1, CHANNEL_BBO, 1002, 100),
            row(7, 14, DEPTH, -1, CHANNEL_BOOK, 1003, 300),
            row(8, 13, MARK, 0, CHANNEL_CONTEXT, 1001, 0, MORE),
            row(8, 13, ORACLE, 0, CHANNEL_CONTEXT, 1001, 0, MORE),
            row(8, 13, FUNDING, 0, CHANNEL_CONTEXT, -100_000, 28_800),
        ]
        (spec,) = tape.meta.instruments
        assert (spec.name, spec.price_scale, spec.tick_size, spec.size_scale, spec.lot_size) == ("BTCUSDT", 1, 1, 2, 1)


def test_steps_can_be_given_and_must_hold(tmp_path: Path) -> None:
    source = write(tmp_path / "a.gz", (T0, snapshot(1, BIDS, ASKS, T0)), (T0 + 1, depth(T0 + 1, 2, 2, 1, BIDS)))
    with import_tape(source, tmp_path / "a.tape", tick="0.05", lot="0.001") as tape:
        (spec,) = tape.meta.instruments
        assert (spec.price_scale, spec.tick_size, spec.size_scale, spec.lot_size) == (2, 5, 3, 1)
    with pytest.raises(UserError, match=r"prices off the step 0\.2, their common step is 0\.1; .*--tick"):
        import_tape(source, tmp_path / "b.tape", tick="0.2")
    with pytest.raises(UserError, match="--lot 'none' is no positive step"):
        import_tape(source, tmp_path / "b.tape", lot="none")


@pytest.mark.parametrize("spot", [False, True])
def test_a_gap_is_named_empties_the_book_and_ends_with_the_next_snapshot(tmp_path: Path, spot: bool) -> None:
    def update(at: int, first: int, last: int, previous: int, *levels: list[str]) -> tuple[int, dict[str, Any]]:
        return T0 + at + 2, depth(T0 + at, first, last, None if spot else previous, list(levels))

    source = write(
        tmp_path / "btc.gz",
        update(1, 9, 10, 8),
        (T0 + 3, snapshot(10, BIDS, ASKS, 0 if spot else T0)),
        update(4, 11, 12, 10, ["99.80", "1.000"]),
        update(6, 15, 16, 14, ["99.70", "1.000"]),  # 13 and 14 are missing
        update(8, 17, 18, 16, ["99.60", "1.000"]),
        (T0 + 15, snapshot(17, BIDS[1:], ASKS, 0 if spot else T0 + 7)),
        update(20, 19, 19, 18, ["99.50", "1.000"]),
    )
    name = "BTCUSDT-SPOT" if spot else "BTCUSDT"
    with import_tape(source, tmp_path / "a.tape") as tape:
        counts = counts_of(tape, name)
        assert (counts["gaps"], counts["snapshots_used"], counts["updates_kept"]) == (1, 2, 3)
        assert counts["updates_after_gap_dropped"] == 1  # 15 to 16: the second snapshot has it
        assert counts["gap_list"][0]["line"] == 4
        assert (
            f"{name}: depth updates missing before btc.gz, line 4 (after id 12 came {15 if spot else 14}): "
            "the book is empty until the next snapshot" in tape.meta.source.notes
        )
        states = []
        book = Book()
        for exch, _, meta, price, size in tape_rows(tape).tolist():
            book.apply(meta, price, size, exch)
            if not meta & MORE:
                states.append((book.best_bid(), book.best_ask(), book.bids.worst_price()))
        assert states[-5:] == [
            (1000, 1002, 998),
            (0, 0, 0),  # the gap
            (999, 1002, 999),
            (999, 1002, 996),
            (999, 1002, 995),
        ]
    with pytest.raises(UserError, match=r"btc.gz, line 4: .* lacks depth updates"):
        import_tape(source, tmp_path / "b.tape", strict=True)
    assert not (tmp_path / "b.tape").exists()


def test_updates_without_a_snapshot_are_refused_and_can_be_left_out(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.gz",
        (T0 + 2, depth(T0, 1, 2, 0, BIDS)),
        (T0 + 3, trade(T0, 1, "100.00", X="MARKET")),
        (T0 + 4, ticker(T0 + 1, 3, "99.90", "100.20")),
    )
    with pytest.raises(UserError, match=r"BTCUSDT: the recording has depth updates and no depth snapshot; .*--no-book"):
        import_tape(source, tmp_path / "a.tape")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]
    with import_tape(source, tmp_path / "a.tape", book=False) as tape:
        assert (tape_rows(tape)[:, META] & KIND_MASK).tolist() == [TRADE, BBO, BBO]


def test_a_snapshot_older_than_the_first_update_does_not_join(tmp_path: Path) -> None:
    source = write(tmp_path / "a.gz", (T0 + 2, depth(T0, 21, 22, 20, BIDS)), (T0 + 3, snapshot(12, BIDS, ASKS, T0)))
    with pytest.raises(UserError, match="no depth snapshot that the updates continue"):
        import_tape(source, tmp_path / "a.tape")


def test_files_of_a_session_are_joined_and_overlaps_passed_over(tmp_path: Path) -> None:
    first = [
        (T0 + 2, depth(T0 + 1, 9, 10, 8)),
        (T0 + 3, snapshot(10, BIDS, ASKS, T0)),
        (T0 + 4, trade(T0 + 2, 7, "100.00", X="MARKET")),
        (T0 + 5, depth(T0 + 4, 11, 12, 10, [["99.80", "1.000"]])),
    ]
    second = [*first[2:], (T0 + 9, depth(T0 + 8, 13, 13, 12, [["99.70", "1.000"]]))]
    files = [write(tmp_path / "b.gz", *second), write(tmp_path / "a.gz", *first)]
    with import_tape(files, tmp_path / "a.tape") as tape:
        counts = counts_of(tape)
        assert [one.name for one in tape.meta.source.files] == ["a.gz", "b.gz"]
        assert (counts["updates_repeated_dropped"], counts["trades_duplicate_dropped"], counts["gaps"]) == (1, 1, 0)
        assert book_of(tape).bids.worst_price() == 997


def test_trades_outside_the_book_are_left_out_and_missing_ids_counted(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.gz",
        (T0 + 2, ticker(T0, 1, "99.90", "100.20")),
        (T0 + 3, trade(T0, 5, "100.00", X="MARKET")),
        (T0 + 3, trade(T0, 6, "100.00", X="INSURANCE_FUND")),
        (T0 + 3, trade(T0, 7, "0", "0", X="NA")),
        (T0 + 4, trade(T0, 10, "100.00", X="MARKET")),
    )
    with import_tape(source, tmp_path / "a.tape") as tape:
        counts = counts_of(tape)
        assert (counts["trades_read"], counts["trades_kept"]) == (4, 2)
        assert (counts["trades_not_of_the_book_dropped"], counts["trade_ids_missing"]) == (2, 2)


def test_an_update_older_than_the_best_prices_does_not_turn_the_receivers_book_back(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.gz",
        (T0 + 2, depth(T0, 9, 10, 8)),
        (T0 + 3, snapshot(10, BIDS, ASKS, T0)),
        (T0 + 4, ticker(T0 + 3, 20, "99.80", "100.10")),
        (T0 + 5, depth(T0 + 2, 11, 15, 10, [["100.05", "5.000"], ["99.70", "7.000"]], [["100.00", "1.000"]])),
        (T0 + 6, depth(T0 + 3, 16, 20, 15, [["100.05", "0.000"], ["100.00", "0.000"], ["99.90", "0.000"]])),
        (T0 + 7, depth(T0 + 5, 21, 21, 20, [["99.80", "4.000"]])),
    )
    with import_tape(source, tmp_path / "a.tape") as tape:
        assert counts_of(tape)["updates_partly_older_than_best_price"] == 1
        book = Book()
        best = []
        for exch, _, meta, price, size in tape_rows(tape, "receiver").tolist():
            book.apply(meta, price, size, exch)
            if not meta & MORE:
                best.append((book.best_bid(), book.best_ask()))
        assert best == [(10_000, 10_020), (9_980, 10_010), (9_980, 10_010), (9_980, 10_010), (9_980, 10_010)]
        assert book.bids.size_at(9_970) == 70  # what lies behind the best price is taken
        late = [meta for *_, meta, price, _ in tape_rows(tape).tolist() if price == 10_005]
        assert len(late) == 2  # the exchange's stream has all of it


def test_spot_best_prices_get_the_usual_latency_between_the_updates_around_them(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.gz",
        (T0 + 12, depth(T0 + 1, 9, 10, None)),  # E is a millisecond later than time: latency 10 ms
        (T0 + 13, snapshot(10, BIDS, ASKS)),
        (T0 + 40, ticker(0, 11, "99.90", "100.20")),  # at T0 + 30
        (T0 + 105, ticker(0, 14, "99.90", "100.10")),  # T0 + 95, but the update that has it was sent at T0 + 91
        (T0 + 101, depth(T0 + 90, 11, 15, None)),
    )
    with import_tape(source, tmp_path / "a.tape") as tape:
        rows = tape_rows(tape)
        best = rows[(rows[:, META] & KIND_MASK) == BBO]
        assert ((best[::2, 0] // MS) - T0).tolist() == [30, 91]
        assert "best prices carry no venue time" in tape.meta.source.notes[0]


def test_a_snapshot_without_symbol_goes_to_the_instrument_with_its_prices(tmp_path: Path) -> None:
    eth = [["10.00", "1.000"]], [["10.20", "1.000"]]
    source = write(
        tmp_path / "a.gz",
        (T0, snapshot(10, *eth, T0)),  # first of all: waits until something says what it is of
        (T0 + 1, ticker(T0, 10, "10.00", "10.20", "ETHUSDT")),
        (T0 + 1, ticker(T0, 10, "100.00", "100.20")),
        (T0 + 2, snapshot(10, BIDS, ASKS, T0)),
        (T0 + 3, depth(T0 + 1, 11, 12, 10, [["99.80", "1.000"]])),
        (T0 + 3, depth(T0 + 1, 11, 12, 10, [["9.80", "1.000"]], symbol="ETHUSDT")),
    )
    with import_tape(source, tmp_path / "a.tape") as tape:
        assert [one.name for one in tape.instruments] == ["ETHUSDT", "BTCUSDT"]
        assert [counts_of(tape, name)["snapshots_used"] for name in ("ETHUSDT", "BTCUSDT")] == [1, 1]
    for name, best in (("BTCUSDT", 1000), ("ETHUSDT", 100)):
        with import_tape(source, tmp_path / f"{name}.tape", instruments=[name]) as tape:
            assert book_of(tape).best_bid() == best
    with pytest.raises(UserError, match="no instrument SOLUSDT; choose from BTCUSDT, ETHUSDT"):
        import_tape(source, tmp_path / "b.tape", instruments=["SOLUSDT"])


BAD = [
    ("{nonsense", "no message of Binance"),
    ('{"lastUpdateId": 5}', "a depth snapshot has bids and asks"),
    ('{"stream":"x","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2}}', "a depthUpdate needs"),
    ('{"stream":"x","data":{"e":"bookTicker","u":1,"s":"B","b":"x","B":"1","a":"2","A":"1"}}', "could not convert"),
    ('{"stream":"x","data":{"e":"trade","s":"BTCUSDT","t":1,"T":5,"p":"1","q":"1"}}', "a trade needs"),
    ('{"stream":"x","data":{"e":"markPriceUpdate","s":"B","E":5,"p":"abc","i":"1","r":"0"}}', "'abc' is no number"),
    ('{"stream":"x","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":11,"u":11,"pu":10,"b":[["x","1"]],"a":[]}}',
     "price 'x' is not a number"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "why"), BAD)
def test_a_wrong_line_is_named_and_nothing_is_written(tmp_path: Path, line: str, why: str) -> None:
    good = write(tmp_path / "good.gz", (T0 + 2, depth(T0, 9, 10, 8)), (T0 + 3, snapshot(10, BIDS, ASKS, T0)))
    import gzip

    source = tmp_path / "a.gz"
    source.write_bytes(good.read_bytes() + gzip.compress(f"{(T0 + 4) * MS} {line}\n".encode()))
    with pytest.raises(UserError, match=f"a.gz, line 3: .*{why}"):
        import_tape(source, tmp_path / "a.tape")
    assert not (tmp_path / "a.tape").exists()


# -- invariants -----------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 32), spot=st.booleans(), lost=st.booleans())
def test_the_book_rebuilt_from_any_cut_into_messages_is_the_true_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, spot: bool, lost: bool
) -> None:
    """A true book changes level by level; updates, snapshots and perhaps a lost message are cut out of its history."""
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("chain")
    levels: dict[tuple[int, int], int] = {(1, 9_000 - i): 1 + i for i in range(3)}
    levels |= {(-1, 9_001 + i): 1 + i for i in range(3)}
    lines: list[tuple[int, dict[str, Any]]] = []
    last, previous = 100, 100

    def text(side: int) -> list[list[str]]:
        some = sorted((key * side for s, key in levels if s == side), reverse=side > 0)
        return [[f"{abs(price) / 10:.1f}", f"{levels[side, abs(price)] / 10:.1f}"] for price in some]

    for step in range(30):
        time = T0 + step * 10
        changed: dict[tuple[int, int], int] = {}
        first = last + 1
        for _ in range(rng.randrange(1, 4)):
            last += 1
            side = rng.choice((1, -1))
            key = (side, 9_000 - rng.randrange(5) if side > 0 else 9_001 + rng.randrange(5))
            levels[key] = changed[key] = rng.randrange(0, 50)
        changes = {
            side: [[f"{price / 10:.1f}", f"{size / 10:.1f}"] for (s, price), size in changed.items() if s == side]
            for side in (1, -1)
        }
        dropped = lost and step == 12
        if not dropped:
            lines.append((time + 5, depth(time, first, last, None if spot else previous, changes[1], changes[-1])))
        previous = last
        if step in (3, 20):  # between the updates, as in life
            bids, asks = ([one for one in text(side) if one[1] != "0.0"] for side in (1, -1))
            lines.append((time + 6, snapshot(last, bids, asks, 0 if spot else time)))
    with import_tape(write(folder / "a.gz", *lines), folder / "a.tape") as tape:
        (counts,) = tape.meta.statistics["instruments"].values()
        assert counts["gaps"] == (1 if lost else 0)
        price_unit = 10 ** (1 - int(tape.instruments[0].price_scale))
        size_unit = 10 ** (1 - int(tape.instruments[0].size_scale))
        for stream in ("exchange", "receiver"):
            book = book_of(tape, stream)
            found = {(1, key * price_unit): size * size_unit for key, size in book.bids.occupied()}
            found |= {(-1, -key * price_unit): size * size_unit for key, size in book.asks.occupied()}
            assert found == {key: size for key, size in levels.items() if size}


def test_what_waits_without_a_snapshot_is_bounded() -> None:
    chain = DepthChain(DepthCounts())
    for number in range(1, 50_001):
        chain.update(DepthUpdate(number, 0, 0, number, number, -1, [], []), "a")
    assert len(chain._waiting) <= 20_000
    used, _, following = chain.snapshot(49_990)
    assert used
    assert [one.last for one in following] == list(range(49_991, 50_001))


# -- the real recordings --------------------------------------------------------------------------------------

REAL = [
    (["usdm_btcusdt_20230404.dat.gz"], "BTCUSDT", 13_384, 4_322, 2_197),
    (["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"], "BTCUSDT", 11_414 + 60_570, 9_022, 10_701),
    *(
        pytest.param(*case, marks=pytest.mark.soak)
        for case in (
            (["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], "BTCUSDT-SPOT", 99_574, 6_495, 19_904),
            (["spot_ethusdt_20240808.gz", "spot_ethusdt_20240809.gz"], "ETHUSDT-SPOT", 79_744, 6_470, 14_515),
            (["usdm_btcusdt_20240808.gz"], "BTCUSDT", 93_954, 6_551, 21_313),
            (["usdm_ethusdt_20240808.gz"], "ETHUSDT", 74_655, 6_586, 14_076),
            (["cm_btcusd_perp_20240808.gz", "cm_btcusd_perp_20240809.gz"], "BTCUSD_PERP", 98_386, 44_795, 5_235),
        )
    ),
]


@pytest.mark.parametrize(("files", "name", "lines", "updates", "trades"), REAL)
def test_real_sessions_have_every_line_no_gap_and_the_best_prices_that_the_venue_said(
    shared_dir: Path, tmp_path: Path, files: list[str], name: str, lines: int, updates: int, trades: int
) -> None:
    folder = shared_dir / "data/binance/raw_ws"
    with import_tape([folder / file for file in files], tmp_path / "a.tape", "binance-ws", strict=True) as tape:
        statistics, counts = tape.meta.statistics, counts_of(tape, name)
        assert (statistics["lines"], statistics["other_messages"]) == (lines, {})
        assert (counts["updates_read"], counts["trades_kept"], counts["gaps"]) == (updates, trades, 0)
        assert counts["trade_ids_missing"] == counts["trades_duplicate_dropped"] == 0
        assert statistics["received_before_sent"] == 0
        assert statistics["receiver_clock_shift_ns"] > 20 * MS  # every recorder was behind
        # after each update the book of updates alone has the best prices that bookTicker said last
        book, best, compared, equal = Book(), [0, 0], 0, 0
        for exch, _, meta, price, size in tape_rows(tape).tolist():
            kind = meta & KIND_MASK
            if kind == BBO:
                best[0 if meta & BUY_BIT else 1] = price
            elif kind in (DEPTH, SNAPSHOT):
                book.apply(meta, price, size, exch)
                if not meta & MORE and all(best):
                    compared += 1
                    equal += best == [book.best_bid(), book.best_ask()]
        assert compared > 2_500
        assert equal > 0.998 * compared  # 0.9999 by update id; the rest shares a millisecond


def test_the_second_half_of_a_real_session_alone_is_refused(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "data/binance/raw_ws/usdm_btcusdt_20240719.gz"
    with pytest.raises(UserError, match="no depth snapshot; import all files of the session"):
        import_tape(source, tmp_path / "a.tape")
    assert list(tmp_path.iterdir()) == []
