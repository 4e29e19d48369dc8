"""The latency model of the configuration is the one that runs: seeded, repeatable, and said in the report."""

import numpy as np
import pytest

from backtest.runs import market, run
from hatmanifesto.backtest.exchange import feed_delays
from hatmanifesto.backtest.fills_models import PESSIMISTIC, read_as
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, as_rows
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import load

LOGNORMAL = (
    "exchange.latency_model=lognormal",
    "exchange.order_entry_latency_p99=200ms",
    "exchange.response_latency_p99=200ms",
    "exchange.latency_floor=1ms",
)


def test_drawn_latency_repeats_with_its_seed_and_differs_with_another(tmp_path):
    tape = market(3)
    first = run(tmp_path / "1", *LOGNORMAL, "seed=1", tape=tape).summary
    again = run(tmp_path / "2", *LOGNORMAL, "seed=1", tape=tape).summary
    other = run(tmp_path / "3", *LOGNORMAL, "seed=2", tape=tape).summary
    assert first["journal"]["digest"] == again["journal"]["digest"] != other["journal"]["digest"]
    assert any("10ms back at the median, 200ms and 200ms" in text for text in first["assumptions"])


@pytest.mark.parametrize("name", ["samples.csv", "samples.parquet"])
def test_sampled_latency_is_drawn_from_a_file_of_either_kind(tmp_path, name):
    import polars as pl

    frame = pl.DataFrame({"entry_ns": [5_000_000, 90_000_000], "response_ns": [4_000_000, 70_000_000]})
    path = tmp_path / name
    frame.write_csv(path) if name.endswith("csv") else frame.write_parquet(path)
    done = run(tmp_path / "run", "exchange.latency_model=sampled", f"exchange.latency_file='{path}'", tape=market(1))
    assert any("drawn from 2 measured samples" in text for text in done.summary["assumptions"])
    assert done.summary["fills"] > 0


def test_feed_latency_is_the_median_delay_of_each_second_of_the_tape(tmp_path):
    tape = market(2)
    stream = tape.stream("exchange")
    rows = as_rows(b"".join(stream.chunk(index) for index in range(stream.count)))
    pairs = np.frombuffer(feed_delays(tape), "<i8").reshape(-1, 2)
    second = rows[:, EXCH] // 1_000_000_000 == pairs[5, 0] // 1_000_000_000
    assert pairs[5, 1] == int(np.median((rows[:, LOCAL] - rows[:, EXCH])[second]))
    assert (pairs[:, 1] >= 20_000_000).all()
    assert (np.diff(pairs[:, 0]) > 0).all()
    done = run(tmp_path / "run", "exchange.latency_model=feed", tape=tape)
    constant = run(tmp_path / "constant", tape=tape)
    assert done.summary["journal"]["digest"] != constant.summary["journal"]["digest"]
    assert any("as long as the market data took" in text for text in done.summary["assumptions"])


def test_pessimistic_fills_are_slower_under_every_latency_model():
    tape = market(1)
    prices = {0: 10**6, 1: 10**6}
    drawn = read_as(PESSIMISTIC, resolve(load(None, list(LOGNORMAL)), tape.instruments, prices).plan).exchange
    assert (drawn.entry_ns, drawn.entry_p99_ns, drawn.latency_floor_ns) == (20_000_000, 400_000_000, 2_000_000)
    feed = read_as(PESSIMISTIC, resolve(load(None, ["exchange.latency_model=feed"]), tape.instruments, prices).plan)
    assert feed.exchange.feed_latency_thousandths == 2000
    once, twice = (np.frombuffer(feed_delays(tape, factor), "<i8").reshape(-1, 2) for factor in (1000, 2000))
    assert (twice[:, 1] == 2 * once[:, 1]).all()
    assert (twice[:, 0] == once[:, 0]).all()
