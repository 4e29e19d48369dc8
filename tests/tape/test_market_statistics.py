"""The statistics that recordings and the agents' market are compared by, on rows counted by hand, and their charts."""

from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.market_statistics import measure, together
from benchmarks.small_charts import Chart, Panel, Series, svg
from hatmanifesto.backtest.tape.reader import MemoryTape
from support.live import btc
from support.rows import Rows

S = 1_000_000_000
T0 = 1_700_000_000 * S
BTC = 100_000


def a_market() -> MemoryTape:
    """Ten seconds: a tick of spread, then three; the mid rises by ten ticks once; three aggressive orders."""
    rows = Rows()
    rows.snapshot(T0, {500_000: 2 * BTC, 499_990: BTC}, {500_010: 4 * BTC, 500_020: BTC})
    for at, bid, ask in ((0, 500_000, 500_010), (4, 500_000, 500_030), (8, 500_100, 500_130), (10, 500_100, 500_130)):
        rows.bbo(T0 + at * S, 1, bid, 2 * BTC, flags=1 << 10)
        rows.bbo(T0 + at * S, -1, ask, 4 * BTC)
    rows.trade(T0 + S, 1, 500_010, BTC // 100)
    rows.trade(T0 + S, 1, 500_020, BTC // 100)  # the same order, one level on
    rows.trade(T0 + 3 * S, 1, 500_010, BTC // 50)
    rows.trade(T0 + 3 * S, -1, 500_000, BTC // 50)
    ordered = sorted(rows.rows, key=lambda row: row.exch_ts)
    return MemoryTape(np.array(ordered, dtype=np.int64), [btc()])


def test_statistics_of_a_market_counted_by_hand() -> None:
    found = measure(a_market(), 0)
    figures = found.figures
    assert figures["spread_mean_ticks"] == pytest.approx((4 * 1 + 6 * 3) / 10)
    assert figures["spread_one_tick_share"] == pytest.approx(0.4)
    assert figures["spread_at_most_3_ticks_share"] == 1
    assert figures["depth_level_1_mean_coin"] == 3
    assert figures["depth_level_2_mean_coin"] == 1
    assert dict(found.curves["distance_by_level_ticks"])[2.0] == 1
    assert figures["touch_imbalance_std"] == 0
    assert figures["prints_per_minute"] == pytest.approx(4 * 6)
    assert figures["aggressors_per_minute"] == pytest.approx(3 * 6)
    assert figures["prints_per_aggressor"] == pytest.approx(4 / 3)
    assert figures["aggressor_p50_usd"] == pytest.approx(1000.02, abs=0.03)
    assert figures["price_changes_per_minute"] == pytest.approx(2 * 6)


@pytest.mark.parametrize("side", [1, -1])
def test_two_instruments_that_move_alike_or_against_each_other(side: int) -> None:
    rows = Rows()
    steps = [3, -1, 4, -1, 5, -9, 2, 6, -5, 3, 5, -8, 9, -7, 9, 3, -2, 3, -8, 4] * 2
    price = [500_000, 500_000]
    for second, step in enumerate(steps):
        for instrument, sign in ((0, 1), (1, side)):
            price[instrument] += sign * step * 10
            for at, touch in ((1, price[instrument]), (-1, price[instrument] + 10)):
                rows.bbo(T0 + second * S, at, touch, BTC, instrument=instrument)
    tape = MemoryTape(np.array(rows.rows, dtype=np.int64), [btc(), btc()])
    figures = together(tape, 0, 1).figures
    assert figures["returns_correlation_1_s"] == pytest.approx(side, abs=1e-3)
    assert figures["absolute_returns_correlation_1_s"] == pytest.approx(1, abs=1e-3)


def test_a_chart_is_wellformed_and_holds_every_line() -> None:
    lines = [Series("a", [(1, 10), (10, 100)]), Series("b", [(1, 0), (10, 5)])]
    for log in (False, True):
        drawn = svg(Chart("title", "x", "y", [Panel("left", lines), Panel("right", lines)], log, log))
        root = ElementTree.fromstring(drawn)
        paths = [one for one in root.iter("{http://www.w3.org/2000/svg}path") if one.get("stroke-width")]
        assert len(paths) == 2 * 2 * 2  # a line and its key, twice a panel
        assert "nan" not in drawn
