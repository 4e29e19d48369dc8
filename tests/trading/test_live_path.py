"""The benchmark of the live path: the orders that it counts are rightly signed, and a session's memory stays."""

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.live.exchange import ENDS_BEFORE
from benchmarks.live_path import Bench, quantiles


def arguments(**changes: Any) -> argparse.Namespace:
    usual = {"rate": 1_000, "every": 50, "spin": False, "seconds": 1.5, "warm_up": 0.3, "changes": []}
    return argparse.Namespace(**usual | changes)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(arguments())
    yield made
    made.tell(do="stop")
    made.exchange.end()


def calm_run(bench: Bench, kind: str) -> tuple[dict[str, Any], bool]:
    """Measure until no order took longer than the exchange leaves between ending orders and changing prices.

    On a machine that stands still for longer, prices and orders overtake each other, and not every change has an order.
    """
    for _ in range(5):
        run = bench.run(kind)
        if max(run["order_ns"]) < ENDS_BEFORE * 1_000_000_000 // bench.arguments.rate:
            return run, True
    return run, False


def test_every_change_of_prices_is_answered_by_signed_orders_at_these_prices(bench: Bench) -> None:
    for kind, requests in (("quote", 1), ("requote", 2), ("requote polling", 2), ("sdk", 1)):
        run, calm = calm_run(bench, kind)
        answered = len(run["order_ns"])
        assert run["signed"] == run["kept"] > 0, kind
        assert min(run["first_ns"]) > 0, kind
        assert len(run["read_ns"]) == answered, kind
        assert all(read >= came for came, read in zip(run["order_ns"], run["read_ns"], strict=True)), kind
        if calm:
            assert run["kept"] >= answered * requests - 2, kind
            assert answered >= 10, kind
            assert 0 <= run["changes"] - answered <= 2, kind
            assert run["unmatched"] <= 1, kind
            assert len(run["first_ns"]) == pytest.approx(answered, abs=1), kind
        if kind.startswith("requote"):
            assert run["own"]["journal_bytes"] > 10_000
            assert set(run["own"]["faults"]) <= {"disconnected", "feed_untrusted"}
            if calm:
                assert run["own"]["cancels_sent"] >= 2 * answered - 4
                assert sum(run["first_ns"]) < sum(run["order_ns"])  # the cancel goes before the orders
    staged = bench.run("quote", "--stages")["own"]["stages"]
    moments = [moment for name, moment in staged.items() if " turns" not in name and "turns " not in name]
    assert moments == sorted(moments)
    assert len(moments) >= 9


def test_quantiles_are_microseconds_of_the_sorted_moments() -> None:
    assert quantiles([at * 1_000 for at in range(1_000, 0, -1)]) == [501.0, 991.0, 1_000.0]


@pytest.mark.soak
def test_a_session_at_full_speed_needs_no_more_memory_minute_by_minute() -> None:
    bench = Bench(arguments(rate=5_000, every=100))
    try:
        found = [moment["memory_mb"] for moment in bench.soak(300.0)]
    finally:
        bench.exchange.end()
    assert len(found) == 5
    # the first minutes fill what is bounded; from then on, 300,000 messages and 6,000 orders a minute, one byte each
    assert all(later - earlier < 0.3 for earlier, later in itertools.pairwise(found[1:])), found
