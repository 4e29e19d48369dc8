"""Tables by a mapping: CSV and Parquet of one's own; StandX, Aster and deep books, which are such mappings."""

import datetime
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest.tape.format import META, Rows
from hatmanifesto.backtest.tape.importers.mapping import load_mapping
from hatmanifesto.backtest.tape.importers.presets import PRESETS
from hatmanifesto.backtest.tape.importers.side_inference import infer_sides
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    KIND_MASK,
    MORE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from tape.samples import import_tape, tape_rows

MS = 1_000_000
T0 = 1_757_015_216_000  # ms
REPOSITORY = Path(__file__).resolve().parent.parent.parent

MAPPING = """
venue = "test"
latency = "5ms"

[instruments.BTC]
tick = "0.1"
lot = "0.001"
maker_fee_bps = "-0.5"

[[tables]]
files = "trades*"
kind = "trades"
instrument = "BTC"
exchange_time = "time"
receive_time = "seen"
receive_unit = "us"
price = "px"
size = "qty"
side = "taker"
buy = ["Long"]
sell = ["Short"]
id = "number"

[[tables]]
files = "book*"
kind = "book"
instrument = "BTC"
exchange_time = "time"
bid_price = "b{level}"
bid_size = "B{level}"
ask_price = "a{level}"
ask_size = "A{level}"
first_level = 1
"""
TRADES = ["time,seen,px,qty,taker,number", f"{T0 + 1},{(T0 + 4) * 1000},100.1,0.5,LONG,x1"]
BOOKS = ["time,b1,B1,a1,A1,b2,B2,a2,A2", f"{T0},100.0,1,100.1,2,99.9,1e-3,,"]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    return write(tmp_path / "map.toml", [MAPPING])


def meta(kind: int, side: int, channel: int, flags: int = 0, instrument: int = 0) -> int:
    return make_meta(kind, side, channel, instrument, flags)


def sides(rows: Rows) -> list[int]:
    trades = rows[(rows[:, META] & KIND_MASK) == TRADE, META]
    return [1 if one & BUY_BIT else -1 if one & SELL_BIT else 0 for one in trades.tolist()]


def test_csv_tables_become_exactly_these_rows(tmp_path: Path, mapping: Path) -> None:
    files = [write(tmp_path / "trades.csv", TRADES), write(tmp_path / "book.csv", BOOKS)]
    with import_tape(files, tmp_path / "a.tape", "columns", mapping=mapping) as tape:
        t0 = T0 * MS
        assert tape_rows(tape).tolist() == [
            [t0, t0 + 5 * MS, meta(SNAPSHOT, 1, CHANNEL_BOOK, FIRST | MORE), 1000, 1000],
            [t0, t0 + 5 * MS, meta(SNAPSHOT, 1, CHANNEL_BOOK, MORE), 999, 1],
            [t0, t0 + 5 * MS, meta(SNAPSHOT, -1, CHANNEL_BOOK), 1001, 2000],
            [t0 + MS, t0 + 4 * MS, meta(TRADE, 1, CHANNEL_TRADES), 1001, 500],
        ]
        (spec,) = tape.meta.instruments
        assert (spec.venue, spec.price_scale, spec.size_scale, spec.maker_fee) == ("test", 1, 3, -50_000)
        assert tape.meta.source.notes == [
            "books have no receive time: exchange time plus 5 ms was taken (an assumption of the mapping)"
        ]
        assert tape.meta.source.options["mapping"]["venue"] == "test"


def test_parquet_of_any_number_type_says_the_same_as_csv(tmp_path: Path, mapping: Path) -> None:
    trades = write(tmp_path / "trades.csv", TRADES)
    with import_tape([trades], tmp_path / "a.tape", "columns", mapping=mapping) as tape:
        expected = tape_rows(tape).tolist()
    at = [datetime.datetime.fromtimestamp((T0 + 1) / 1000, datetime.UTC)]
    frames = [
        {"time": at, "seen": [(T0 + 4) * 1000], "px": [100.1], "qty": [0.5]},
        {"time": [T0 + 1], "seen": [(T0 + 4) * 1000], "px": ["100.1"], "qty": pl.Series([0.5], dtype=pl.Float32)},
        {"time": [float(T0 + 1)], "seen": [(T0 + 4) * 1e3], "px": [100.1], "qty": ["5e-1"]},
    ]
    for number, columns in enumerate(frames):
        path = tmp_path / f"trades{number}.parquet"
        pl.DataFrame({**columns, "taker": ["long"], "number": [7], "more": [None]}).write_parquet(path)
        with import_tape([path], tmp_path / f"{number}.tape", mapping=mapping) as tape:
            assert tape_rows(tape).tolist() == expected


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1, max_size=30))
def test_floats_of_parquet_come_back_as_the_decimals_they_were_written_from(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("floats")
    frame = pl.DataFrame(
        {
            "time": [T0 + i for i in range(len(values))],
            "seen": [(T0 + i) * 1000 for i in range(len(values))],
            "px": [price / 100 for price, _ in values],
            "qty": [size / 10_000 for _, size in values],
            "taker": ["Long"] * len(values),
            "number": list(range(len(values))),
        }
    )
    frame.write_parquet(folder / "trades.parquet")
    path = write(folder / "map.toml", [MAPPING.replace('tick = "0.1"', "").replace('lot = "0.001"', "")])
    with import_tape([folder / "trades.parquet"], folder / "a.tape", mapping=path) as tape:
        (spec,) = tape.meta.instruments
        rows = tape_rows(tape)
        prices = rows[:, 3] * 10 ** (4 - spec.price_scale) if spec.price_scale <= 4 else rows[:, 3]
        assert prices.tolist() == [price * 100 for price, _ in values]
        assert (rows[:, 4] * 10 ** (4 - spec.size_scale)).tolist() == [size for _, size in values]


def test_level_changes_with_the_same_times_are_one_message(tmp_path: Path) -> None:
    table = """
[[tables]]
files = "*"
kind = "levels"
instrument_column = "symbol"
instrument_suffix = "-PERP"
exchange_time = "timestamp"
exchange_unit = "us"
receive_time = "local_timestamp"
receive_unit = "us"
price = "price"
size = "amount"
side = "side"
snapshot = "is_snapshot"
"""
    lines = ["symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"]
    lines += [f"BTC,1000000,1000500,true,{side},{price},1" for side, price in (("bid", 100), ("ask", 101))]
    lines += ["ETH,1000000,1000500,true,bid,10,1"]
    lines += [f"BTC,2000000,2000500,false,{side},{price},2" for side, price in (("bid", 99), ("ask", 102))]
    lines += ["BTC,2000000,2000600,false,ask,101,0"]
    source = write(tmp_path / "incremental.csv", lines)
    path = write(tmp_path / "map.toml", [table])
    with import_tape([source], tmp_path / "a.tape", mapping=path, tick="1", lot="1") as tape:
        assert [one.name for one in tape.instruments] == ["BTC-PERP", "ETH-PERP"]
        assert tape_rows(tape)[:, 2:].tolist() == [
            [meta(SNAPSHOT, 1, CHANNEL_BOOK, FIRST | MORE), 100, 1],
            [meta(SNAPSHOT, -1, CHANNEL_BOOK), 101, 1],
            [meta(SNAPSHOT, 1, CHANNEL_BOOK, FIRST, 1), 10, 1],
            [meta(DEPTH, 1, CHANNEL_BOOK, MORE), 99, 2],
            [meta(DEPTH, -1, CHANNEL_BOOK), 102, 2],
            [meta(DEPTH, -1, CHANNEL_BOOK), 101, 0],
        ]
    with import_tape([source], tmp_path / "b.tape", mapping=path, instruments=["ETH-PERP"]) as tape:
        assert tape.stream("exchange").rows == 1
    with pytest.raises(UserError, match="no instrument SOL; choose from BTC-PERP, ETH-PERP"):
        import_tape([source], tmp_path / "c.tape", mapping=path, instruments=["SOL"])


def test_the_example_of_the_docs_works(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/tapes.md").read_text()
    (example,) = re.findall(r"```toml mapping\n(.*?)```", page, re.DOTALL)
    path = write(tmp_path / "columns.toml", [example])
    (tmp_path / "in").mkdir()
    write(
        tmp_path / "in/trades_2026-01-05.csv",
        ["when,price,amount,maker_is_buyer", "2026-01-05T10:00:00.250Z,94000.5,0.01,true"],
    )
    pl.DataFrame(
        {
            "ts": [1_767_607_200_000],
            "recv_us": [1_767_607_200_120_000],
            **{f"{side}_{what}_0": [value] for side, price in (("bid", 94_000.5), ("ask", 94_001.0))
               for what, value in (("px", price), ("sz", 0.5))},
        }
    ).write_parquet(tmp_path / "in/book.parquet")  # fmt: skip
    with import_tape(tmp_path / "in", tmp_path / "a.tape", "columns", mapping=path) as tape:
        assert tape.instruments[0].name == "BTC-USD"
        rows = tape_rows(tape)
        assert rows[:, 3].tolist() == [940_005, 940_010, 940_005]
        assert sides(rows) == [-1]


# -- what is refused ------------------------------------------------------------------------------------------


def test_a_mapping_says_everything_that_is_wrong_with_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "map.toml",
        [
            'latency = "soon"\n[defaults]\nmaker_fee_bps = "much"',
            '[[tables]]\nfiles = "a"\nkind = "trades"\ninstrument_pattern = "(" ',
            '[[tables]]\nfiles = "b"\nkind = "book"\ninstrument = "X"\nreceive_time = "t"',
            'bid_price = "b{level}"\nbid_size = "B"\nask_price = "a{level}"\nask_size = "A"',
            '[[tables]]\nfiles = "c"\nkind = "best"\ninstrument = "X"\nreceive_time = "t"',
            'bid_price = "b"\nask_price = "a"\nbid_size = "B"\nprice_decimals = 11',
        ],
    )
    with pytest.raises(UserError) as found:
        load_mapping(path)
    for problem in (
        "tables[0] (trades, a) needs exchange_time or receive_time",
        "instrument_pattern is no regular expression",
        "tables[0] (trades, a) needs price",
        "tables[1] (book, b) uses {level} in some of bid_price",
        "tables[2] (best, c) needs both bid_size and ask_size, or none",
        "price_decimals must lie between 0 and 10",
        "latency must be text with a unit",
        "defaults: maker_fee_bps must be a decimal number",
    ):
        assert problem in str(found.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[tables", "is no TOML"),
        ("tables = []", r"it has no \[\[tables\]\]"),
        ('[[tables]]\nfiles = "x"\nkind = "candles"', "Invalid enum value 'candles'"),
        ('[[tables]]\nfiles = "x"\nkind = "trades"\nprize = "p"', "unknown field `prize`"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        load_mapping(write(tmp_path / "map.toml", [text]))


BAD_ROWS = [
    ("trades", f"{T0},{T0},100.1,0.5,Up,1", "line 3: taker is 'up', not one of Long or Short"),
    ("trades", f"{T0},{T0},abc,0.5,Long,1", "line 3: px 'abc' is not a number"),
    ("trades", f"{T0},{T0},-1,0.5,Long,1", "line 3: px '-1' is negative"),
    ("trades", f"{T0},{T0},,0.5,Long,1", "line 3: px is empty"),
    ("trades", f"{T0},{T0},1,0,Long,1", "line 3: a trade needs a price and a size"),
    ("trades", f",{T0},1,1,Long,1", "line 3: time is empty"),
    ("trades", f"{T0},{T0},1,1,Long", "line 3: has 5 fields, not 6"),
    ("book", f"{T0},nan,1,100.1,2,,,,", "line 3: b1 'nan' is not a number"),
]


@pytest.mark.parametrize(("kind", "line", "why"), BAD_ROWS)
def test_a_wrong_row_is_named_and_nothing_is_written(
    tmp_path: Path, mapping: Path, kind: str, line: str, why: str
) -> None:
    source = write(tmp_path / f"{kind}.csv", [*(TRADES if kind == "trades" else BOOKS), line])
    with pytest.raises(UserError, match=f"{kind}.csv, {why}"):
        import_tape([source], tmp_path / "a.tape", mapping=mapping)
    assert not list(tmp_path.glob("*a.tape*"))


def test_wrong_columns_types_and_files_are_refused(tmp_path: Path, mapping: Path) -> None:
    def refused(path: Path, why: str) -> None:
        with pytest.raises(UserError, match=why):
            import_tape([path], tmp_path / "a.tape", mapping=mapping)

    refused(write(tmp_path / "trades_1.csv", ["time,px", "1,2"]), "trades_1.csv has no column seen, qty, taker, number")
    refused(write(tmp_path / "quotes.csv", TRADES), "the mapping says nothing of quotes.csv")
    frame = pl.DataFrame({"time": [True], "seen": [1], "px": [1.0], "qty": [1.0], "taker": ["Long"], "number": [1]})
    frame.write_parquet(tmp_path / "trades_2.parquet")
    refused(tmp_path / "trades_2.parquet", "column time holds Boolean, no numbers")
    frame.with_columns(time=pl.Series([T0]), px=pl.Series([-1.0])).write_parquet(tmp_path / "trades_3.parquet")
    refused(tmp_path / "trades_3.parquet", r"trades_3.parquet, row 0: px '-1.0' is negative")
    whole = (tmp_path / "trades_3.parquet").read_bytes()
    (tmp_path / "trades_4.parquet").write_bytes(whole[:-20])
    refused(tmp_path / "trades_4.parquet", "trades_4.parquet is cut off or damaged")
    (tmp_path / "trades_5.parquet").write_bytes(b"hello")
    refused(tmp_path / "trades_5.parquet", "it is no Parquet file")
    with pytest.raises(UserError, match="needs a mapping"):
        import_tape([write(tmp_path / "trades_6.csv", TRADES)], tmp_path / "a.tape", "columns")
    assert not list(tmp_path.glob("*a.tape*"))


# -- sides ----------------------------------------------------------------------------------------------------

SIDE_CASES = [
    # price, bid, ask, slack, price before, side
    (101, 100, 101, 0, 0, 1),
    (102, 100, 101, 0, 0, 1),  # through the ask
    (100, 100, 101, 0, 0, -1),
    (103, 100, 110, 0, 0, -1),  # inside, nearer to the bid
    (106, 100, 110, 0, 0, 1),
    (105, 100, 110, 0, 104, 1),  # the exact mid: it rose
    (105, 100, 110, 0, 106, -1),
    (100, 100, 100, 0, 99, 1),  # locked: it rose
    (108, 100, 110, 9, 0, -1),  # a bid cut down from up to 109
    (115, 100, 110, 9, 0, 1),  # an ask cut down: at or above it, and no bid can be that high
    (104, 100, 100, 9, 103, 1),  # both sides are possible: the last price decides
]


@pytest.mark.parametrize(("price", "bid", "ask", "slack", "last", "side"), SIDE_CASES)
def test_sides_by_touch_mid_and_last_price(price: int, bid: int, ask: int, slack: int, last: int, side: int) -> None:
    prices = [last, price] if last else [price]
    times = np.arange(10, 10 + len(prices))
    book = [np.array([value]) for value in (5, bid, ask)]
    found, _ = infer_sides(times, np.array(prices), *book, slack)
    assert found[-1] == side


def test_sides_use_the_book_before_the_trade_and_are_unknown_without_any() -> None:
    times, prices = np.array([5, 10, 11]), np.array([100, 101, 101])
    book = [np.array([10, 11]), np.array([99, 101]), np.array([101, 103])]
    found, counts = infer_sides(times, prices, *book)
    # no book; none before 10 either, but the price rose; the book of 10, not what is left at 11
    assert found.tolist() == [0, 1, 1]
    assert (counts.by_touch, counts.by_last_price, counts.unknown) == (1, 1, 1)
    empty = np.empty(0, np.int64)
    assert infer_sides(times[:1], prices[:1], empty, empty, empty)[0].tolist() == [0]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 4), st.booleans()), min_size=1, max_size=40))
def test_trades_at_the_touch_of_a_true_book_get_their_true_side(trades: list[tuple[int, int, bool]]) -> None:
    times = np.arange(len(trades)) * 2 + 1
    bid = np.array([price for price, _, _ in trades])
    ask = bid + np.array([spread for _, spread, _ in trades])
    true = np.array([1 if buys else -1 for _, _, buys in trades])
    found, counts = infer_sides(times, np.where(true > 0, ask, bid), times - 1, bid, ask)
    assert found.tolist() == true.tolist()
    assert counts.by_touch == len(trades)


# -- the presets ----------------------------------------------------------------------------------------------


def standx_book(bid: int, ask: int, at: int) -> dict[str, int]:
    levels = {"bid_px_0": bid, "ask_px_0": ask, "bid_px_1": bid - 1, "ask_px_1": ask + 1}
    sizes = {name.replace("px", "sz"): 10_000 for name in levels}
    return {"ts_ms": T0 + at, "recv_us": (T0 + at) * 1000 + 500, **levels, **sizes}


def test_standx_widens_locked_books_and_infers_sides(tmp_path: Path) -> None:
    books = [standx_book(1000, 1000, 0), standx_book(1000, 1001, 100)]
    pl.DataFrame(books).cast(pl.Int32, strict=False).with_columns(
        ts_ms=pl.Series([one["ts_ms"] for one in books]), recv_us=pl.Series([one["recv_us"] for one in books])
    ).write_parquet(tmp_path / "l2_BTC-USD_1.parquet")
    trades = [(10, 10_002), (20, 10_004), (110, 10_009), (120, 10_010)]
    pl.DataFrame(
        {
            "ts_ms": [T0 + at for at, _ in trades],
            "recv_us": [(T0 + at) * 1000 for at, _ in trades],
            "px_x100": [price for _, price in trades],
            "sz_x10000": [10] * 4,
        }
    ).write_parquet(tmp_path / "trades_BTC-USD_1.parquet")
    with import_tape(tmp_path, tmp_path / "a.tape", "standx") as tape:
        rows = tape_rows(tape)
        first = rows[:4]
        assert first[:, 3].tolist() == [10_000, 9_990, 10_009, 10_010]  # 100.0 to 100.09, then the next level
        assert sides(rows) == [0, 1, -1, 1]  # unknown at first; it rose; below the ask; at the ask
        assert [one.name for one in tape.instruments] == ["BTC-USD"]
        notes = " ".join(tape.meta.source.notes)
        assert "1 locked books were cut-down prices" in notes
        assert "aggressor sides were not recorded and are inferred: 2 by the touch" in notes


def test_aster_books_and_trades_share_one_clock_by_an_assumed_latency(tmp_path: Path) -> None:
    write(tmp_path / "prices_BTCUSDT_1.csv", ["unix_timestamp,bid,ask,mid", f"{T0 / 1000 + 1:.7f},100.0,100.1,100.05",
                                              f"{T0 / 1000 + 0.5:.7f},99.9,100.1,100.0"])  # fmt: skip
    write(
        tmp_path / "trades_BTCUSDT_1.csv",
        ["id,unix_timestamp_ms,side,price,quantity", *[f"7,{T0 + 700},buy,100.100000,0.002000"] * 2],
    )
    with import_tape(tmp_path, tmp_path / "a.tape", "aster") as tape:
        rows = tape_rows(tape)
        assert ((rows[:, :2] - T0 * MS) // MS).tolist() == [[100, 500]] * 2 + [[600, 1000]] * 2 + [[700, 1100]]
        assert rows[:, 2].tolist() == [
            *[meta(BBO, 1, CHANNEL_BBO, MORE), meta(BBO, -1, CHANNEL_BBO)] * 2,
            meta(TRADE, 1, CHANNEL_TRADES),
        ]
        assert rows[:4, 4].tolist() == [25_000] * 4
        assert tape.meta.statistics["instruments"]["BTCUSDT"]["trades_duplicate_dropped"] == 1
        assert "BTCUSDT: best prices were recorded without sizes, 25 was assumed for each" in tape.meta.source.notes
    (tmp_path / "prices_SOLUSDT_1.csv").write_text((tmp_path / "prices_BTCUSDT_1.csv").read_text())
    with pytest.raises(UserError, match="none is assumed for SOLUSDT"):
        import_tape(tmp_path / "prices_SOLUSDT_1.csv", tmp_path / "b.tape", "aster")


def test_deep_books_come_from_lists_of_any_length(tmp_path: Path) -> None:
    def book(bids: list[float], asks: list[float], at: int) -> dict[str, object]:
        sizes = {"bids_qty": [1.5] * len(bids), "asks_qty": [0.00001] * len(asks)}
        stamps = {"exch_ts_ms": T0 + at, "ts_ms": T0 + at + 200}
        return {"symbol": "BTCUSDT", "bids_px": bids, "asks_px": asks, **sizes, **stamps}

    books = [book([100.01, 100.0], [100.02], 0), book([100.01], [100.03, 100.04, 100.05], 100)]
    pl.DataFrame(books).write_parquet(tmp_path / "lobdeep_btc_spot_1.parquet")
    with import_tape(tmp_path, tmp_path / "a.tape", "binance-deepbook") as tape:
        assert tape.instruments[0].name == "BTCUSDT-SPOT"
        assert tape_rows(tape)[:, 3].tolist() == [10_001, 10_000, 10_002, 10_001, 10_003, 10_004, 10_005]
    uneven = {**books[0], "bids_qty": [1.0]}
    pl.DataFrame([books[1], uneven]).write_parquet(tmp_path / "lobdeep_btc_spot_1.parquet")
    with pytest.raises(UserError, match="row 1: bids_px and bids_qty differ in length"):
        import_tape(tmp_path, tmp_path / "b.tape")


def test_presets_are_valid_mappings() -> None:
    for name, mapping in PRESETS.items():
        assert [problem for table in mapping.tables for problem in table.problems()] == [], name


# -- the real recordings --------------------------------------------------------------------------------------


def test_the_real_aster_sets(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data/aster"
    for part, counts in (
        ("20250924", {"BTCUSDT": (44_050, 0, 62_032), "ETHUSDT": (29_947, 0, 45_868)}),
        ("20250924T1837", {"BTCUSDT": (1_147, 1_147, 2_446), "ETHUSDT": (980, 980, 1_362)}),
    ):
        files = sorted(folder.glob(f"*_{part}.csv.gz"))
        with import_tape(files, tmp_path / f"{part}.tape", "aster", strict=True) as tape:
            found = tape.meta.statistics["instruments"]
            assert counts == {
                name: (one["best_rows"], one["snapshots"]["kept"], one["trades_kept"]) for name, one in found.items()
            }


@pytest.mark.soak
def test_the_real_deep_books(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data/binance/deepbook_20260216"
    files = sorted(folder.glob("*_fut_*"))
    with import_tape(files, tmp_path / "a.tape", "binance-deepbook", strict=True) as tape:
        found = tape.meta.statistics["instruments"]["BTCUSDT"]
        assert (found["snapshots"]["read"], found["snapshots"]["repeated_dropped"]) == (2_559, 2)
        assert found["trades_kept"] == 11_947
        assert tape.stream("exchange").rows == 2_557 * 2_000 + 11_947


@pytest.mark.soak
def test_the_real_standx_days(shared_dir: Path, tmp_path: Path) -> None:
    with import_tape(shared_dir / "data/standx", tmp_path / "a.tape", "standx", strict=True) as tape:
        found = tape.meta.statistics["instruments"]["BTC-USD"]
        assert found["snapshots"]["kept"] == 273_553 + 255_351
        assert found["trades_kept"] == 306_657
        assert found["sides_inferred"]["unknown"] == 0
