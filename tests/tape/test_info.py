"""`summarize` on markets small enough to count by hand; the toy market keeps its promises."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from hatmanifesto.backtest.tape.format import as_rows
from hatmanifesto.backtest.tape.info import TapeInfo, summarize, utc_text
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    KIND_MASK,
    MORE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from support.toy_market import generate, generate_file
from tape.samples import BTC, rows

S = 1_000_000_000
BID, ASK = make_meta(BBO, 1, CHANNEL_BBO, 0, MORE), make_meta(BBO, -1, CHANNEL_BBO, 0)


def summary(*parts: tuple[int, int, int, int, int], chunk_rows: int = 3) -> TapeInfo:
    return summarize(MemoryTape(rows(*parts), [BTC.build(0)], chunk_rows=chunk_rows))


def touch(second: int, bid: int, ask: int) -> list[tuple[int, int, int, int, int]]:
    return [(second * S, second * S + 5, BID, bid, 1), (second * S, second * S + 5, ASK, ask, 1)]


def trade(second: int, side: int, price: int, size: int = 1) -> tuple[int, int, int, int, int]:
    return (second * S, second * S - 5, make_meta(TRADE, side, CHANNEL_TRADES, 0), price, size)


def test_crossed_and_locked_states_are_counted_and_timed() -> None:
    info = summary(
        *touch(1, 100, 101),
        *touch(2, 102, 101),
        *touch(3, 102, 101),
        *touch(5, 101, 101),
        *touch(9, 100, 101),
    )
    one = info.instruments[0]
    assert (one.crossed.episodes, one.crossed.total_ns, one.crossed.first_ns) == (1, 3 * S, 2 * S)
    assert (one.locked.episodes, one.locked.total_ns) == (1, 4 * S)


def test_prints_are_compared_with_the_touch_before_them() -> None:
    info = summary(
        trade(1, 1, 101), *touch(2, 100, 102), trade(3, 1, 102), trade(3, 1, 103),
        trade(3, -1, 101), trade(3, -1, 100), trade(3, 0, 100),
    )  # fmt: skip
    trades = info.instruments[0].trades
    assert (trades.count, trades.at_touch, trades.through_touch, trades.inside_spread) == (6, 2, 1, 1)
    assert (trades.no_touch_known, trades.side_unknown, trades.share_at_or_through_touch) == (1, 1, 0.75)


def test_gaps_span_chunks_and_latency_may_be_negative() -> None:
    info = summary(*touch(1, 100, 101), *touch(2, 100, 101), *touch(30, 100, 101), trade(31, 1, 101), chunk_rows=2)
    bbo = info.instruments[0].channels["bbo"]
    assert (bbo.rows, bbo.messages, bbo.gaps, bbo.longest_gap_ns, bbo.longest_gap_from_ns) == (
        6,
        3,
        1,
        28 * S,
        2 * S,
    )
    assert (info.latency.messages, info.latency.negative, info.latency.min_ns, info.latency.max_ns) == (
        4,
        1,
        -5,
        5,
    )
    assert info.latency.quantiles_ns["p50"] == 5
    assert (info.seconds, info.first_utc) == (30.0, "1970-01-01T00:00:01.000000000Z")


def test_latency_quantiles_are_within_a_percent() -> None:
    rng = np.random.default_rng(7)
    latency = rng.integers(1_000, 10**9, 5000)
    data = np.zeros((5000, 5), np.int64)
    data[:, 0] = np.arange(5000) * S
    data[:, 1] = data[:, 0] + latency
    data[:, 2] = make_meta(TRADE, 1, CHANNEL_TRADES, 0)
    found = summarize(MemoryTape(data, [BTC.build(0)])).latency.quantiles_ns
    for name, q in (("p1", 1), ("p50", 50), ("p90", 90), ("p99", 99)):
        assert found[name] == pytest.approx(np.percentile(latency, q, method="inverted_cdf"), rel=0.01)


def test_fill_models_need_trades_and_a_book() -> None:
    assert summary(*touch(1, 100, 101), trade(2, 1, 101)).fill_models["queue"] == "yes"
    without = summary(*touch(1, 100, 101))
    assert without.fill_models["reference"] == "no, BTC: no trades"
    assert without.fill_models["cross"].startswith("yes")
    assert summary(trade(2, 1, 101)).fill_models["cross"] == "no, BTC: no book"


def test_depth_rows_go_through_the_models_book() -> None:
    def book(
        second: int, side: int, price: int, size: int, kind: int = DEPTH, flags: int = 0
    ) -> tuple[int, int, int, int, int]:
        return (second * S, second * S, make_meta(kind, side, CHANNEL_BOOK, 0, flags), price, size)

    info = summary(
        book(1, 1, 100, 1, SNAPSHOT, FIRST | MORE), book(1, -1, 101, 1, SNAPSHOT),
        book(2, 1, 101, 1), book(3, -1, 101, 0), book(3, -1, 102, 1), trade(4, 1, 102),
    )  # fmt: skip
    one = info.instruments[0]
    assert (one.locked.episodes, one.locked.total_ns, one.trades.at_touch) == (1, S, 1)


def test_utc_text_has_all_nanoseconds() -> None:
    assert utc_text(1_704_110_400_123_456_789) == "2024-01-01T12:00:00.123456789Z"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_toy_market_keeps_the_rules_of_a_tape(seed: int) -> None:
    coins = ("BTC", "ETH", "SOL", "HYPE", "WLFI")
    tape = generate(seed=seed, minutes=5, instruments=coins)
    info = summarize(tape)
    stream = tape.stream("exchange")
    for one in info.instruments:
        assert one.crossed.episodes == one.locked.episodes == 0
        assert one.trades.count == one.trades.at_touch > 20
        assert one.kinds["depth"] > 500
        assert one.channels["context"].rows > 200
    assert info.latency.min_ns >= 20_000_000
    books = [Book() for _ in coins]
    every = np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)]).tolist()
    for (_, _, meta, price, size), after in itertools.pairwise(every):
        if meta & KIND_MASK == TRADE:  # the level it left is the very next row
            assert after[2] & KIND_MASK == DEPTH
            assert after[3] == price
            assert size > 0
    for exch, _, meta, price, size in every:
        index = meta >> 16
        if meta & KIND_MASK == BBO and not meta & MORE:
            assert tape.instruments[index].on_grid(price)
            assert (books[index].best_ask(), books[index].asks.best_size()) == (price, size)
        books[index].apply(meta, price, size, exch)


def test_one_seed_is_one_tape_and_another_seed_another(tmp_path: Path) -> None:
    paths = [generate_file(tmp_path / f"{i}.tape", seed=seed, minutes=2) for i, seed in enumerate((4, 4, 5))]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    with Tape.open(paths[0]) as tape:
        memory = generate(seed=4, minutes=2)
        assert tape.stream("receiver").chunk(0) == memory.stream("receiver").chunk(0)
    with pytest.raises(UserError, match="no synthetic market for NOPE"):
        generate(seed=1, minutes=1, instruments=["NOPE"])
