"""Maker figures by hand and by brute force: markouts, quote uptime, shortfall, lifetimes, the market behind them."""

import math
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.runs import market, run
from hatmanifesto.backtest.figures.exact import exact_sum, ratio_text
from hatmanifesto.backtest.figures.lifetimes import Lifetimes
from hatmanifesto.backtest.figures.markouts import (
    HORIZONS,
    LEAST_BLOCKS,
    QUEUE_NAMES,
    SECOND,
    Curve,
    Fills,
    MarkoutSum,
    queue_class,
)
from hatmanifesto.backtest.figures.quoting import UPTIME_BPS, Quoting, Resting, uptime_json
from hatmanifesto.backtest.figures.shortfall import Shortfall
from hatmanifesto.backtest.figures.touches import TapeMarket, touches
from hatmanifesto.backtest.projection import project
from hatmanifesto.backtest.tape.format import EXCH, META, PRICE, SIZE, as_rows
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import KIND_MASK, MORE, TRADE
from hatmanifesto.model.order_state import CANCELLED, FILLED


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


# -- exact numbers ------------------------------------------------------------------------------------


@given(st.lists(st.integers(-(1 << 62), 1 << 62), max_size=50))
def test_a_sum_of_64_bit_numbers_never_wraps(values):
    assert exact_sum(np.array(values, dtype=np.int64)) == sum(values)


@pytest.mark.parametrize(
    ("part", "whole", "places", "text"),
    [(1, 3, 4, "0.3333"), (2, 3, 4, "0.6667"), (-1, 8, 2, "-0.13"), (5, 0, 2, None), (0, 7, 2, "0")],
)
def test_a_ratio_is_rounded_half_away_from_zero(part, whole, places, text):
    assert ratio_text(part, whole, places) == text


# -- markouts -----------------------------------------------------------------------------------------


def test_a_markout_is_the_move_against_the_fill_price_on_the_side_of_the_fill():
    # bought 2 at 100 with the mid at 101, then at 103, 99, 100, 102; sold 1 at 110 with the mid at 108
    fills = Fills(
        ts=ints(1, 2), side=ints(1, -1), price=ints(100, 110), size=ints(2, 1), factor=ints(1, 1),
        mid=ints(202, 216), later=[ints(206, 0), ints(198, 0), ints(200, 220), ints(204, 222)],
    )  # fmt: skip
    curve = Curve()
    curve.add(fills, np.array([True, True]))
    found = curve.as_json(0)
    assert {name: (one["fills"], one["money"]) for name, one in found.items()} == {
        "at_fill": (2, "4"),  # 2 x 1 + 1 x 2
        "1s": (1, "6"),
        "5s": (1, "-2"),
        "30s": (2, "0"),
        "5min": (2, "3"),  # 2 x 2 - 1 x 1
    }
    assert found["at_fill"]["bps"] == "129.0323"  # 4 of 310
    assert found["1s"]["bps"] == "300"
    assert found["1s"]["low_bps"] is None  # two fills tell nothing of their spread
    # what the market took back after a second: 4/310 was captured, 6/200 was left
    assert curve.adverse_selection_bps()["1s"] == str(round(Decimal(4) / 310 * 10_000 - Decimal(6) / 200 * 10_000, 4))


def test_a_band_treats_fills_of_one_block_of_time_as_one():
    rng = np.random.default_rng(3)
    blocks, each = 40, 25
    gain_of_block = rng.normal(5, 3, blocks)
    gains = np.repeat(gain_of_block, each).round().astype(np.int64)
    ts = np.repeat(np.arange(blocks), each) * 60 * SECOND + np.tile(np.arange(each), blocks)
    weight = np.full(len(gains), 1_000)
    whole, parts = MarkoutSum(SECOND), MarkoutSum(SECOND)
    whole.add(ts, gains, weight)
    for at in range(0, len(ts), 17):
        parts.add(ts[at : at + 17], gains[at : at + 17], weight[at : at + 17])
    means = gains.reshape(blocks, each).mean(axis=1)
    expected = 1.959964 * means.std(ddof=1) / math.sqrt(blocks) / 1_000 * 10_000
    assert whole.half_width_bps() == pytest.approx(expected)
    assert parts.half_width_bps() == pytest.approx(expected)
    assert parts.as_json(2) == whole.as_json(2)


def test_a_band_needs_blocks_enough():
    few = MarkoutSum(SECOND)
    few.add(np.arange(LEAST_BLOCKS - 1) * 60 * SECOND, np.arange(LEAST_BLOCKS - 1), np.full(LEAST_BLOCKS - 1, 10))
    assert few.half_width_bps() is None
    few.add(ints(LEAST_BLOCKS * 60 * SECOND), ints(4), ints(10))
    assert few.half_width_bps() is not None


def test_the_queue_in_front_is_classed_by_its_notional():
    # price 50 quote, factor 1, money unit 1: sizes in coins
    ahead = ints(-1, 0, 10, 20, 199, 200, 2_000)
    found = queue_class(ahead, np.full(len(ahead), 50), 1, 1)
    assert [QUEUE_NAMES[place] for place in found] == [
        "unknown", "nothing", "below 1k", "1k to 10k", "1k to 10k", "10k to 100k", "100k and more",
    ]  # fmt: skip
    assert QUEUE_NAMES[int(queue_class(ints(3), ints(1), 1, 1_000)[0])] == "below 1k"  # a little is not nothing


# -- quoting ------------------------------------------------------------------------------------------


def brute_force(orders: Resting, market_, begin: int, end: int) -> dict[str, int]:
    """Count moment by moment."""
    count = dict.fromkeys(("known", "bid", "ask", "either", "both", "any", *UPTIME_BPS), 0)
    for now in range(begin, end):
        mid = int(market_.mid_at(ints(now))[0])
        if mid == 0:
            continue
        place = int(np.searchsorted(market_.ts, now, side="right")) - 1
        best = {1: int(market_.bid[place]), -1: int(market_.ask[place])}
        lives = [
            (int(side), int(price))
            for since, until, side, price in zip(*orders, strict=True)
            if since <= now < until
        ]  # fmt: skip
        count["known"] += 1
        for bps in UPTIME_BPS:
            near = {side for side, price in lives if abs(2 * price - mid) * 10_000 <= bps * mid}
            count[bps] += len(near) == 2
        count["any"] += len({side for side, _ in lives}) == 2
        at_best = {side for side, price in lives if (price - best[side]) * side >= 0}
        count["bid"] += 1 in at_best
        count["ask"] += -1 in at_best
        count["either"] += bool(at_best)
        count["both"] += len(at_best) == 2
    return count


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0, 9_990, 10_000, 10_003]), st.integers(1, 12)), max_size=8
    ),
    st.lists(
        st.tuples(st.integers(0, 45), st.integers(0, 30), st.sampled_from([1, -1]), st.integers(9_985, 10_015)),
        max_size=10,
    ),
    st.integers(0, 40),
)
def test_uptime_and_time_at_best_equal_a_count_of_moments(moments, lives, cut):
    moments = sorted(moments)
    seen = touches(
        ints(*(ts for ts, _, _ in moments)),
        ints(*(bid for _, bid, _ in moments)),
        ints(*(bid + wide for _, bid, wide in moments)),
    )
    orders = Resting(
        ints(*(begin for begin, _, _, _ in lives)),
        ints(*(begin + length for begin, length, _, _ in lives)),
        ints(*(side for _, _, side, _ in lives)),
        ints(*(price for _, _, _, price in lives)),
    )
    quoting = Quoting(ints(0, 10, 25, 40))
    quoting.add(orders, seen, 0, cut)
    quoting.add(orders, seen, cut, 40)
    expected = brute_force(orders, seen, 0, 40)
    assert quoting.known_ns == expected["known"] == quoting.known_in.sum()
    assert {name: quoting.best[name] for name in quoting.best} == {name: expected[name] for name in quoting.best}
    assert [quoting.two_sided[f"within_{bps}_bps"] for bps in UPTIME_BPS] == [expected[bps] for bps in UPTIME_BPS]
    assert quoting.two_sided["any_distance"] == expected["any"]
    assert quoting.quoted_in.sum() == expected[10]
    first = brute_force(orders, seen, 0, 10)
    assert (quoting.known_in[0], quoting.quoted_in[0]) == (first["known"], first[10])


def test_many_pieces_are_cut_into_windows_without_losing_a_moment(monkeypatch):
    from hatmanifesto.backtest.figures import quoting as room

    seen = touches(np.arange(0, 1_000, 3), np.full(334, 9_999), np.full(334, 10_001))
    orders = Resting(ints(5, 100), ints(800, 950), ints(1, -1), ints(9_999, 10_001))
    whole, cut = Quoting(ints(0, 1_000)), Quoting(ints(0, 1_000))
    whole.add(orders, seen, 0, 1_000)
    monkeypatch.setattr(room, "MOST_PIECES", 7)
    cut.add(orders, seen, 0, 1_000)
    assert uptime_json([cut]) == uptime_json([whole])
    assert uptime_json([whole])["quote_uptime"]["any_distance"] == "0.7"


# -- shortfall ----------------------------------------------------------------------------------------


def test_the_parts_of_a_shortfall_by_hand():
    cost = Shortfall()
    # decided to buy 5 with the mid at 100; it is 101 on arrival; 3 fill at 101 with the mid at 102, fee 2;
    # the rest is cancelled with the mid at 104
    cost.add_fills(ints(1), ints(101), ints(3), ints(2), ints(200), ints(202), ints(204), ints(1))
    cost.add_unfilled(ints(1), ints(2), ints(200), ints(208), ints(1))
    assert cost.as_json(0)["money"] == {
        "delay": "3", "impact": "3", "spread": "-3", "fees": "2", "opportunity": "8", "total": "13",
    }  # fmt: skip
    # a sale in the same market is its mirror but for the fee
    sale = Shortfall()
    sale.add_fills(ints(-1), ints(101), ints(3), ints(2), ints(200), ints(202), ints(204), ints(1))
    assert sale.as_json(0)["money"]["spread"] == "3"
    assert cost.plus(sale).as_json(0)["money"]["delay"] == "0"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, -1]), st.integers(900, 1_100), st.integers(1, 50), st.integers(-5, 5),
            st.integers(1_800, 2_200), st.integers(1_800, 2_200), st.integers(1_800, 2_200),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_the_parts_add_up_to_the_paper_accounts_lead(fills):
    columns = [np.array(column, dtype=np.int64) for column in zip(*fills, strict=True)] or [ints()] * 7
    cost = Shortfall()
    cost.add_fills(*columns, np.full(len(fills), 10))
    exact = sum(side * (2 * price - decided) * size * 10 + 2 * fee for side, price, size, fee, decided, _, _ in fills)
    assert sum(cost.parts.values()) == exact


def test_a_fill_whose_mids_are_unknown_is_counted_and_left_out():
    cost = Shortfall()
    cost.add_fills(ints(1, 1), ints(9, 9), ints(1, 1), ints(0, 0), ints(18, 0), ints(18, 18), ints(18, 18), ints(1, 1))
    assert (cost.fills, cost.left_out) == (1, 1)


# -- lifetimes ----------------------------------------------------------------------------------------


def test_lifetimes_and_shares_by_hand():
    lives = Lifetimes()
    lives.add_orders(
        ints(0, 0, 0, 0), ints(SECOND, SECOND, 3 * SECOND, 5 * SECOND), ints(FILLED, CANCELLED, CANCELLED, FILLED),
        ints(100, 100, 200, 100), ints(100, 0, 50, 100),
    )  # fmt: skip
    lives.cancels, lives.fills = 2, 4
    found = lives.as_json()
    assert found["filled_share_of_size"] == "0.5"
    assert found["filled_share_of_quote_time"] == ratio_text(100 + 150 + 500, 100 + 100 + 600 + 500)
    assert found["cancel_to_fill"] == "0.5"
    assert found["fills_per_quote_hour"] == "1440"
    life = found["order_lifetime"]
    assert (life["orders"], life["filled"], life["cancelled"]) == (4, 2, 2)
    assert life["mean_seconds"] == "2.5"
    assert life["p90_seconds"] == pytest.approx(5, rel=0.26)
    assert 0.79 < life["p10_seconds"] < 1.26


# -- the market ---------------------------------------------------------------------------------------


def test_the_tape_market_shows_what_a_book_stepped_by_hand_shows():
    tape = market(3, seed=9)
    stream = tape.stream("exchange")
    rows = np.concatenate([as_rows(stream.chunk(at)) for at in range(stream.count)])
    books = [Book(), Book()]
    expected: list[list[tuple[int, int, int]]] = [[], []]
    for row in rows.tolist():
        index = row[META] >> 16 & 0xFFFF
        book = books[index]
        if row[META] & KIND_MASK != TRADE:
            book.apply(row[META], row[PRICE], row[SIZE], row[EXCH])
        if not row[META] & MORE:
            now = (int(book.best_bid()), int(book.best_ask()))
            if not expected[index] or expected[index][-1][1:] != now:
                expected[index].append((row[EXCH], *now))
    whole, steps = TapeMarket(stream, 2), TapeMarket(stream, 2)
    nothing = ints()
    whole.finish()
    first, last = int(rows[0, EXCH]), int(rows[-1, EXCH])
    for until in range(first, last, 7 * SECOND):
        steps.advance(until, nothing, nothing, nothing, nothing)
        assert steps.known_ns == until
    steps.finish()
    for one in (whole, steps):
        assert one.known_ns == last
        for index, window in enumerate(one.windows):
            assert (
                list(zip(window.ts.tolist(), window.bid.tolist(), window.ask.tolist(), strict=True)) == expected[index]
            )
    window = whole.windows[0]
    at = int(window.ts[5])
    assert whole.windows[0].mid_at(ints(at))[0] == window.bid[5] + window.ask[5]
    assert whole.windows[0].mid_before(ints(at))[0] == window.bid[4] + window.ask[4]
    assert whole.windows[0].mid_at(ints(first - 1))[0] == 0


def test_a_probe_is_answered_with_the_size_shown_when_an_order_arrives():
    tape = market(1, seed=9)
    stream = tape.stream("exchange")
    rows = np.concatenate([as_rows(stream.chunk(at)) for at in range(stream.count)])
    moments = np.unique(rows[:, EXCH])[5::40]
    books = [Book(), Book()]
    at = 0
    probes, expected = [], []
    for moment in moments.tolist():
        while at < len(rows) and rows[at, EXCH] <= moment:
            row = rows[at].tolist()
            if row[META] & KIND_MASK != TRADE:
                books[row[META] >> 16 & 0xFFFF].apply(row[META], row[PRICE], row[SIZE], row[EXCH])
            at += 1
        for side in (1, -1):
            levels = books[1].bids if side > 0 else books[1].asks
            price = int(levels.best_price())
            probes.append((1, side, price, moment))
            expected.append(int(levels.best_size()))
    found = TapeMarket(stream, 2).advance(int(moments[-1]), *np.array(probes, dtype=np.int64).T)
    assert found.tolist() == expected


# -- a whole run --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return run(tmp_path_factory.mktemp("figures") / "one", "exchange.maker_fee_bps=-0.3", tape=market(12))


def test_every_fill_has_the_mids_that_the_tape_had(done):
    fills = pl.read_parquet(done.folder / "fills.parquet")
    seen = TapeMarket(market(12).stream("exchange"), 2)
    seen.finish()
    assert fills.height > 50
    for index, name in enumerate(("BTC", "ETH")):
        mine = fills.filter(pl.col("instrument") == name)
        window, exch = seen.windows[index], mine["exch_ts_ns"].to_numpy()
        assert mine["twice_mid_at_fill"].to_list() == window.mid_before(exch).tolist()
        for horizon, time in HORIZONS.items():
            then = exch + time
            expected = [
                mid if at <= seen.known_ns else None
                for at, mid in zip(then.tolist(), window.mid_at(then).tolist(), strict=True)
            ]
            assert mine[f"twice_mid_after_{horizon}"].to_list() == expected
    orders = pl.read_parquet(done.folder / "orders.parquet").select("order_id", "queue_ahead", "twice_mid_at_arrival")
    both = fills.join(orders, on="order_id", suffix="_of_order")
    assert both["queue_ahead"].to_list() == both["queue_ahead_of_order"].to_list()
    assert both["twice_mid_at_arrival"].to_list() == both["twice_mid_at_arrival_of_order"].to_list()
    assert both["queue_ahead"].null_count() < both.height


def test_the_summary_equals_the_tables(done):
    fills = pl.read_parquet(done.folder / "fills.parquet").with_columns(
        gain=pl.col("side").cast(pl.Int64) * (pl.col("twice_mid_after_5s") - 2 * pl.col("price")) * pl.col("size")
    )
    point = done.summary["maker"]["markouts"]["5s"]
    assert point["fills"] == fills["gain"].drop_nulls().len()
    # price and size decimals add up to the currency's six
    assert Decimal(point["money"]) == Decimal(fills["gain"].sum()) / 2 / 10**6
    sides = done.summary["maker"]["markouts_by_side"]
    assert sum(sides[side]["5s"]["fills"] for side in sides) == point["fills"]
    classes = done.summary["maker"]["markouts_by_queue_ahead"]
    assert sum(Decimal(one["5s"]["money"]) for one in classes.values()) == Decimal(point["money"])
    parts = done.summary["maker"]["shortfall"]["money"]
    assert Decimal(parts["total"]) == sum(Decimal(value) for name, value in parts.items() if name != "total")
    fees = Decimal(done.summary["pnl"]["fees"]) + Decimal(done.summary["pnl"]["rebates"])
    assert Decimal(parts["fees"]) == -fees
    assert Decimal(done.summary["maker"]["rebate"]["money"]) == Decimal(done.summary["pnl"]["rebates"]) > 0


def test_instruments_add_up_to_the_account(done):
    one = done.summary["maker"]
    each = [entry["maker"] for entry in done.summary["instruments"].values()]
    assert sum(entry["markouts"]["1s"]["fills"] for entry in each) == one["markouts"]["1s"]["fills"]
    assert sum(Decimal(entry["spread_captured"]["money"]) for entry in each) == Decimal(one["spread_captured"]["money"])
    assert sum(entry["order_lifetime"]["orders"] for entry in each) == one["order_lifetime"]["orders"]
    assert done.summary["strategies"]["touch_joiner"]["maker"]["markouts"] == one["markouts"]
    for shares in (one["quote_uptime"], one["time_at_best"]):
        assert all(0 < Decimal(share) <= 1 for share in shares.values())
    rising = [Decimal(share) for share in one["quote_uptime"].values()]
    assert rising == sorted(rising)


def test_without_a_tape_the_journal_alone_gives_the_figures_from_what_the_strategies_saw(done, tmp_path):
    found = project(done.folder / "journal", tmp_path, int(2e18)).summary
    assert found["maker"]["market"] == "journal"
    assert done.summary["maker"]["market"] == "tape"
    assert found["pnl"] == done.summary["pnl"]
    alone, with_tape = (one["maker"]["markouts"]["5s"] for one in (found, done.summary))
    assert alone["fills"] > 0.9 * with_tape["fills"]
    assert float(alone["bps"]) == pytest.approx(float(with_tape["bps"]), abs=2)
    assert float(found["maker"]["quote_uptime"]["any_distance"]) == pytest.approx(
        float(done.summary["maker"]["quote_uptime"]["any_distance"]), abs=0.1
    )
