"""Recorder csv files: exact numbers, one tape for several coins, what is left out, what is refused."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.backtest.tape.format import META, Rows, as_rows
from hatmanifesto.backtest.tape.importers.decimals import decimal_units, decimals_of, exact_units
from hatmanifesto.backtest.tape.importers.detect import find_source
from hatmanifesto.backtest.tape.importers.hyperliquid_recorder import import_recorder
from hatmanifesto.backtest.tape.importers.request import ImportRequest, price_limit
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_TRADES,
    FIRST,
    KIND_MASK,
    MORE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from hatmanifesto.model.money import format_decimal, parse_decimal
from tape.samples import BOOKS, PRICES, TRADES, write_recorder


def do_import(folder: Path, target: Path, **options: Any) -> Tape:
    found, files = find_source([folder])
    assert found == "hyperliquid-recorder"
    with TapeWriter(target) as writer:
        import_recorder(ImportRequest(files=files, **options), writer, lambda done, total: None)
    return Tape.open(target)


def read(tape: Tape, name: str = "exchange") -> Rows:
    stream = tape.stream(name)
    return np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)])


@pytest.mark.parametrize("packed", [True, False])
def test_a_small_recording_becomes_exactly_these_rows(tmp_path: Path, packed: bool) -> None:
    folder = write_recorder(tmp_path / "in", books=BOOKS, prices=PRICES, trades=TRADES, packed=packed)
    t0, ms = 1_757_015_216_000_000_000, 1_000_000

    def book(side: int, flags: int) -> int:
        return make_meta(SNAPSHOT, side, CHANNEL_BOOK, 0, flags)

    def snapshot(exch: int, local: int, first_bid_size: int) -> list[list[int]]:
        return [
            [exch, local, book(1, FIRST | MORE), 1000, first_bid_size],
            [exch, local, book(1, MORE), 990, 200_000],
            [exch, local, book(-1, MORE), 1010, 50_000],
            [exch, local, book(-1, 0), 1020, 300_000],
        ]

    bid, ask = make_meta(BBO, 1, CHANNEL_BBO, 0, MORE), make_meta(BBO, -1, CHANNEL_BBO, 0)
    buy = make_meta(TRADE, 1, CHANNEL_TRADES, 0)
    with do_import(folder, tmp_path / "a.tape") as tape:
        expected = [
            [t0 + 100 * ms, t0 + 400 * ms, bid, 1000, 150_000],
            [t0 + 100 * ms, t0 + 400 * ms, ask, 1010, 50_000],
            *snapshot(t0 + 100 * ms, t0 + 500 * ms + 100, 150_000),
            [t0 + 300 * ms, t0 + 600 * ms, buy, 1010, 20_000],
            *snapshot(t0 + 600 * ms, t0 + 1000 * ms, 1),  # 1e-05 coins
        ]
        assert read(tape).tolist() == expected
        assert tape.same_order
        counts = tape.meta.statistics["instruments"]["BTC"]
        assert counts["trades_backlog_dropped"] == counts["trades_duplicate_dropped"] == 1
        btc = tape.instruments[0]
        assert (int(btc.price_scale), int(btc.size_scale), int(btc.max_leverage)) == (1, 5, 40)


def test_several_coins_share_a_tape_and_can_be_chosen(tmp_path: Path) -> None:
    folder = write_recorder(tmp_path / "in", "BTC", books=BOOKS)
    write_recorder(folder, "ETH", prices=PRICES)
    with do_import(folder, tmp_path / "a.tape") as tape:
        assert [one.name for one in tape.instruments] == ["BTC", "ETH"]
        assert sorted(set((read(tape)[:, META] >> 16).tolist())) == [0, 1]
    with do_import(folder, tmp_path / "b.tape", instruments=["ETH", "BTC"]) as tape:
        assert [one.name for one in tape.instruments] == ["ETH", "BTC"]
    with pytest.raises(UserError, match="no instrument DOGE; choose from BTC, ETH"):
        do_import(folder, tmp_path / "c.tape", instruments=["DOGE"])


@pytest.mark.parametrize(
    ("second", "count"),
    [
        ("1757015217.0,1,1757015216600,102.0,1.0,101.0,0.5,99.0,2.0,102.0,3.0", "crossed_dropped"),
        ("1757015217.0,1,1757015216600,,,101.0,0.5,,,102.0,3.0", "one_sided_dropped"),
        (BOOKS[0].replace("1757015216.5000001", "1757015217.0"), "repeated_dropped"),
        ("1757015217.0,1,1757015216600,101.0,1.0,101.0,0.5,99.0,2.0,102.0,3.0", "locked"),
    ],
)
def test_odd_snapshots_are_counted_and_strict_refuses_the_wrong_ones(tmp_path: Path, second: str, count: str) -> None:
    folder = write_recorder(tmp_path / "in", books=[BOOKS[0], second])
    with do_import(folder, tmp_path / "a.tape") as tape:
        counts = tape.meta.statistics["instruments"]["BTC"]["snapshots"]
        assert counts[count] == 1
        assert counts["kept"] == (2 if count == "locked" else 1)
    if count in ("crossed_dropped", "one_sided_dropped"):
        with pytest.raises(UserError, match=r"orderbooks_BTC.csv.gz, line 3: the snapshot"):
            do_import(folder, tmp_path / "b.tape", strict=True)
        assert not (tmp_path / "b.tape").exists()


def test_a_shorter_book_keeps_its_message_whole(tmp_path: Path) -> None:
    short = "1757015217.0,1,1757015216600,100.0,1.0,101.0,0.5,99.0,2.0,,"
    with do_import(write_recorder(tmp_path / "in", books=[short]), tmp_path / "a.tape") as tape:
        metas = read(tape)[:, META]
        assert [(int(m) & FIRST > 0, int(m) & MORE > 0) for m in metas] == [
            (True, True),
            (False, True),
            (False, False),
        ]


@pytest.mark.parametrize(
    ("sides", "messages"),
    [("bid ask", 1), ("ask bid", 1), ("bid ask bid ask", 2), ("bid bid", 2), ("bid ask bid", 2), ("ask", 1)],
)
def test_both_sides_of_a_best_price_message_stay_together_in_either_order(
    tmp_path: Path, sides: str, messages: int
) -> None:
    lines = [f"1757015216.4,{100 if s == 'bid' else 101}.0,1.5,{s},1757015216100" for s in sides.split()]
    with do_import(write_recorder(tmp_path / "in", prices=lines), tmp_path / "a.tape") as tape:
        found = read(tape)
        assert int(((found[:, META] & MORE) == 0).sum()) == messages
        assert set((found[:, META] & KIND_MASK).tolist()) == {BBO}


def test_trades_resent_after_a_reconnect_are_backlog_and_live_ones_are_not(tmp_path: Path) -> None:
    def price(second: int) -> str:
        return f"{second}.3,100.0,1.0,bid,{second}000"

    def trade(exch_second: int, local_second: int, tid: int) -> str:
        return f"{local_second}.3,100.0,1.0,buy,{tid},{exch_second}000"

    folder = write_recorder(
        tmp_path / "in",
        prices=[price(1000), price(1001), price(2000), price(2001)],
        trades=[
            trade(1001, 1001, 1),
            trade(1003, 1003, 2),  # live, after the last book of its connection
            trade(1980, 2000, 3),  # resent on the second connection
            trade(2000, 2000, 4),
        ],
    )
    with do_import(folder, tmp_path / "a.tape") as tape:
        counts = tape.meta.statistics["instruments"]["BTC"]
        assert (counts["trades_read"], counts["trades_kept"], counts["trades_backlog_dropped"]) == (4, 3, 1)


def test_clock_skew_is_kept_and_reported(tmp_path: Path) -> None:
    early = "1757015216.0,1757015216100,1757015216100,100.0,1.5,101.0,0.5,99.0,2.0,102.0,3.0"
    with do_import(write_recorder(tmp_path / "in", books=[early]), tmp_path / "a.tape") as tape:
        assert tape.meta.statistics["received_before_sent"] == 1
        assert tape.stream("exchange").rows == 4


def test_an_unknown_coins_scale_comes_from_its_sizes_and_the_tape_says_so(tmp_path: Path) -> None:
    folder = write_recorder(tmp_path / "in", "NEWCOIN", books=BOOKS, trades=[TRADES[1].replace("0.2", "0.125")])
    with do_import(folder, tmp_path / "a.tape") as tape:
        assert int(tape.instruments[0].size_scale) == 5  # 1e-05
        assert "inferred" in tape.meta.source.notes[0]


BAD_LINES = [
    ("trades", "1757015216.6,101.0,abc,buy,8,1757015216300", "size 'abc' is not a number"),
    ("trades", "1757015216.6,101.0,0.1,hold,8,1757015216300", "side is 'hold', not buy or sell"),
    ("trades", "1757015216.6,101.0,0.1,buy,8", "has 5 fields, not 6"),
    ("trades", "1757015216.6,101.0,0.1,buy,8,1757015216300,9", "has 7 fields, not 6"),
    ("trades", "", "is empty"),
    ("trades", "1757015216.6,101.0,0.0,buy,8,1757015216300", "a trade needs a price and a size"),
    ("trades", "1757015216.6,101.0,-1,buy,8,1757015216300", "size '-1' is negative"),
    ("trades", ",101.0,0.1,buy,8,1757015216300", "timestamp is empty"),
    ("prices", "1757015216.4,100.05,1.5,bid,1757015216100", "more than 1 decimals"),
    ("prices", "1757015216.4,nan,1.5,bid,1757015216100", "price 'nan' is not a number"),
    ("orderbooks", "1757015217.0,1,1757015216600,100.0,1.0,101.0,0.5,99.0", "has 8 fields, not 11"),
]


@pytest.mark.parametrize(("kind", "line", "why"), BAD_LINES)
def test_a_malformed_line_is_named_and_nothing_is_written(tmp_path: Path, kind: str, line: str, why: str) -> None:
    lines: dict[str, list[str]] = {"books": list(BOOKS), "prices": list(PRICES), "trades": list(TRADES)}
    broken = lines["books" if kind == "orderbooks" else kind]
    number = len(broken) + 2  # the header is line 1
    broken += [line, broken[-1]]
    folder = write_recorder(tmp_path / "in", books=lines["books"], prices=lines["prices"], trades=lines["trades"])
    with pytest.raises(UserError, match=rf"{kind}_BTC.csv.gz, line {number}: .*{why}"):
        do_import(folder, tmp_path / "a.tape")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("keep", [5, 30, 60, -9, -1])
def test_a_cut_off_gzip_file_is_refused(tmp_path: Path, keep: int) -> None:
    folder = write_recorder(tmp_path / "in", books=BOOKS * 50)
    path = folder / "orderbooks_BTC.csv.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"orderbooks_BTC.csv.gz is cut off or damaged"):
        do_import(folder, tmp_path / "a.tape")


def test_a_name_without_a_coin_needs_one(tmp_path: Path) -> None:
    folder = write_recorder(tmp_path / "in", trades=TRADES)
    (folder / "trades_BTC.csv.gz").rename(folder / "mine.csv.gz")
    with pytest.raises(UserError, match="does not say its coin"):
        do_import(folder, tmp_path / "a.tape")
    with do_import(folder, tmp_path / "b.tape", instruments=["ETH"]) as tape:
        assert tape.instruments[0].name == "ETH"


@given(st.lists(st.tuples(st.integers(0, 10**12), st.booleans())), st.integers(0, 9))
def test_decimal_columns_equal_the_models_own_parser(values: list[tuple[int, bool]], scale: int) -> None:
    texts = [format_decimal(value, scale) + (".0" if scale == 0 and tail else "") for value, tail in values]
    assert decimal_units(pl.Series(texts, dtype=pl.String), scale).to_list() == [v for v, _ in values]


@given(st.text(alphabet="0123456789.e-+ _xX", max_size=12), st.integers(0, 9))
def test_no_text_is_read_as_another_number_than_it_says(text: str, scale: int) -> None:
    found = decimal_units(pl.Series([text]), scale).to_list()[0]
    try:
        expected: int | None = parse_decimal(text, scale)
    except ValueError:
        expected = exact_units(text, scale)
    assert found == expected or (found == exact_units(text, scale))


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [
        ("1e-05", 5, 1),
        ("1.5E3", 0, 1500),
        ("1e-05", 4, None),
        ("1_0", 0, None),
        ("inf", 3, None),
        ("", 3, None),
    ],
)
def test_exponents_are_exact_and_nonsense_is_nothing(text: str, scale: int, units: int | None) -> None:
    assert decimal_units(pl.Series([text]), scale).to_list() == [units]


def test_decimals_are_counted_without_trailing_zeros() -> None:
    assert [decimals_of(pl.Series([t])) for t in ("1.0", "0.0100", "5", "1e-05", "1.25e-03")] == [
        0,
        2,
        0,
        5,
        5,
    ]


def test_the_price_limit_leaves_room_for_price_and_size() -> None:
    # WLFI-like: 0.18 USDC, sizes of 200,000 coins; a price limit of 10^13 would allow 115,000 only
    limit = price_limit(186_480, 200_000, price_scale=6, factor=1)
    assert limit == 10**9
    assert (1 << 62) // limit // 4 > 200_000 * 100
    assert price_limit(1_100_000, 20 * 10**5, price_scale=1, factor=1) == 10**8


@pytest.mark.parametrize(
    ("folder", "coins", "repeated", "duplicates"),
    [
        ("recorder_20250903", "BTC ETH", 1, {"BTC": 30, "ETH": 1}),
        ("recorder_20250904", "BTC ETH WLFI", 3, {"BTC": 0, "ETH": 17, "WLFI": 8}),
    ],
)
def test_real_recordings(
    shared_dir: Path, tmp_path: Path, folder: str, coins: str, repeated: int, duplicates: dict[str, int]
) -> None:
    source = shared_dir / "data/hyperliquid" / folder
    with do_import(source, tmp_path / "a.tape", strict=True) as tape:
        tape.verify()
        assert [one.name for one in tape.instruments] == coins.split()
        for coin, counts in tape.meta.statistics["instruments"].items():
            assert counts["snapshots"]["repeated_dropped"] == repeated
            assert counts["trades_duplicate_dropped"] == duplicates[coin]
        exchange, receiver = read(tape), read(tape, "receiver")
        assert sorted(map(tuple, exchange.tolist())) == sorted(map(tuple, receiver.tolist()))
        with gzip.open(source / "trades_BTC.csv.gz", "rt") as file:
            last = file.read().splitlines()[-1].split(",")
        prints = exchange[(exchange[:, META] & (KIND_MASK | 0xFFFF0000)) == TRADE]
        btc = tape.instruments[0]
        assert int(prints[-1, 0]) == int(last[5]) * 1_000_000
        assert (int(prints[-1, 3]), int(prints[-1, 4])) == (
            btc.parse_price(last[1]),
            btc.parse_size(format(float(last[2]), ".5f")),
        )


def test_the_broken_recording_keeps_its_gaps(shared_dir: Path, tmp_path: Path) -> None:
    from hatmanifesto.backtest.tape.info import summarize

    with do_import(shared_dir / "data/hyperliquid/recorder_202509_btc_bbo", tmp_path / "a.tape") as tape:
        info = summarize(tape, gap_ns=3600 * 10**9)
        assert info.instruments[0].channels["bbo"].gaps == 6
        assert info.instruments[0].crossed.episodes == 0
