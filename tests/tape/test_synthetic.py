"""The agents' market as a tape: rules, determinism, and statistics within bands around what was recorded."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.market_statistics import MarketStatistics, measure
from hatmanifesto.backtest.tape.format import as_rows
from hatmanifesto.backtest.tape.info import summarize
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.synthetic import generate, generate_file
from hatmanifesto.errors import UserError
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import BBO, BUY_BIT, DEPTH, KIND_MASK, MORE, SNAPSHOT, TRADE

EVERY = ("BTC", "ETH", "SOL", "HYPE", "WLFI")


def rows_of(tape: MemoryTape) -> list[list[int]]:
    stream = tape.stream("exchange")
    every: list[list[int]] = np.concatenate([as_rows(stream.chunk(i)) for i in range(stream.count)]).tolist()
    return every


@pytest.mark.parametrize("changes", [False, True])
def test_it_keeps_the_rules_of_a_tape(changes: bool) -> None:
    tape = generate(seed=2, minutes=1, instruments=EVERY, changes=changes)
    info = summarize(tape)
    for one in info.instruments:
        assert one.crossed.episodes == one.locked.episodes == 0
        assert one.trades.count > 5
        assert one.trades.share_at_or_through_touch > 0.9
        assert (one.kinds["snapshot"] < 500) == changes
        assert (one.kinds.get("depth", 0) > 500) == changes
        assert one.kinds["bbo"] > 100
        assert one.channels["context"].rows == 60
    assert info.latency.negative == 0
    assert info.latency.min_ns > 100_000_000
    books = [Book() for _ in EVERY]
    for exch, _, meta, price, size in rows_of(tape):
        index = meta >> 16
        if meta & KIND_MASK in (DEPTH, SNAPSHOT, BBO) and size:
            assert tape.instruments[index].on_grid(price)
        if meta & KIND_MASK in (DEPTH, SNAPSHOT, BBO):
            books[index].apply(meta, price, size, exch)
            if meta & KIND_MASK == BBO and not meta & MORE:
                assert (books[index].best_ask(), books[index].asks.best_size()) == (price, size)
                assert not books[index].crossed()


def test_every_change_leads_to_the_book_that_the_snapshots_show() -> None:
    """Two feeds of one market: after each snapshot of the one, the changes of the other have made the same levels."""
    snapshots = rows_of(generate(seed=6, minutes=1, instruments=["BTC"]))
    changes = rows_of(generate(seed=6, minutes=1, instruments=["BTC"], changes=True))
    book, at, compared = Book(), 0, 0
    shown: list[tuple[bool, int, int]] = []
    for exch, _, meta, price, size in snapshots:
        if meta & KIND_MASK != SNAPSHOT:
            continue
        shown.append((bool(meta & BUY_BIT), price, size))
        if meta & MORE:
            continue
        while at < len(changes) and changes[at][0] <= exch:
            if changes[at][2] & KIND_MASK in (DEPTH, SNAPSHOT):
                book.apply(changes[at][2], changes[at][3], changes[at][4], changes[at][0])
            at += 1
        for buy, level, there in shown:
            assert (book.bids if buy else book.asks).size_at(level) == there
        compared += 1
        shown = []
    assert compared > 100


def test_a_print_took_what_stood_at_its_price() -> None:
    """Prints of a block come before its levels: together they are never more than the side of the book held."""
    rows = rows_of(generate(seed=3, minutes=2, instruments=["ETH"], changes=True))
    book, prints, near = Book(), 0, 0
    for exch, _, meta, price, size in rows:
        kind = meta & KIND_MASK
        if kind == TRADE:
            prints += 1
            passive = book.asks if meta & BUY_BIT else book.bids
            assert size > 0
            # behind the book by at most what the block's makers stepped inside before the taker came
            near += abs(price - passive.best_price()) <= 30
        elif kind in (DEPTH, SNAPSHOT):
            book.apply(meta, price, size, exch)
    assert prints > 50
    assert near > 0.9 * prints


def test_one_seed_is_one_tape_and_another_seed_another(tmp_path: Path) -> None:
    paths = [generate_file(tmp_path / f"{i}.tape", seed=seed, minutes=1) for i, seed in enumerate((4, 4, 5))]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    with Tape.open(paths[0]) as tape:
        memory = generate(seed=4, minutes=1)
        for name in ("exchange", "receiver"):
            assert tape.stream(name).chunk(0) == memory.stream(name).chunk(0)
    with pytest.raises(UserError, match="no synthetic market for NOPE"):
        generate(seed=1, minutes=1, instruments=["NOPE"])
    with pytest.raises(UserError, match="is empty"):
        generate(seed=1, minutes=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tape", "1.tape", "2.tape"]


def test_the_bytes_are_the_same_on_every_machine_and_build() -> None:
    """Both builds run this; a change of agents or parameters changes the digest on purpose."""
    digest = hashlib.blake2b(digest_size=8)
    for index in (0, 1):
        chunk = generate(seed=1, minutes=1).stream(("exchange", "receiver")[index]).chunk(0)
        digest.update(chunk)
    assert digest.hexdigest() == "96830399a8f7ad52"


@pytest.fixture(scope="module")
def market() -> dict[str, MarketStatistics]:
    tape = generate(seed=11, minutes=8)
    return {"BTC": measure(tape, 0), "ETH": measure(tape, 1)}


BANDS = [
    # what, BTC from and to, ETH from and to: around the recording of 2025-09-04, as wide as ten minutes need
    ("spread_mean_bps", (0.09, 0.16), (0.23, 0.34)),
    ("spread_one_tick_share", (0.88, 0.99), (0.88, 0.99)),
    ("depth_level_1_median_coin", (2.5, 11), (40, 170)),
    ("depth_level_20_mean_coin", (1.6, 4.5), (110, 280)),
    ("touch_imbalance_std", (0.65, 0.92), (0.65, 0.92)),
    ("aggressors_per_minute", (48, 95), (58, 120)),
    ("aggressor_p50_usd", (250, 1_000), (200, 900)),
    ("prints_per_aggressor", (1.4, 4.0), (1.3, 3.5)),
    ("sign_autocorrelation_lag_1", (-0.1, 0.25), (-0.1, 0.25)),
    ("touch_changes_per_minute", (280, 650), (300, 720)),
    ("price_changes_per_minute", (20, 80), (28, 110)),
    ("volatility_1_s_bps", (0.2, 0.9), (0.4, 1.6)),
    ("volatility_10_s_bps", (0.9, 4.0), (1.6, 7.0)),
    ("volatility_60_s_bps", (1.8, 11), (3.0, 18)),
]


@pytest.mark.parametrize(("name", "btc", "eth"), BANDS)
def test_its_statistics_stay_in_bands_around_the_recordings(
    market: dict[str, MarketStatistics], name: str, btc: tuple[float, float], eth: tuple[float, float]
) -> None:
    for coin, (low, high) in (("BTC", btc), ("ETH", eth)):
        assert low < market[coin].figures[name] < high, coin


def test_the_recordings_lie_in_the_same_bands(shared_dir: Path) -> None:
    """The bands are not drawn around our own output: what was recorded passes them too."""
    from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
    from hatmanifesto.backtest.tape.importers.request import ImportRequest
    from hatmanifesto.backtest.tape.writer import TapeWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recorded.tape"
        found, files = find_source([shared_dir / "data/hyperliquid/recorder_20250904"])
        with TapeWriter(path) as writer:
            IMPORTERS[found](ImportRequest(files=files, instruments=["BTC", "ETH"]), writer, lambda done, total: None)
        with Tape.open(path) as tape:
            recorded = {"BTC": measure(tape, 0), "ETH": measure(tape, 1)}
    for name, btc, eth in BANDS:
        for coin, (low, high) in (("BTC", btc), ("ETH", eth)):
            assert low < recorded[coin].figures[name] < high, (coin, name)
