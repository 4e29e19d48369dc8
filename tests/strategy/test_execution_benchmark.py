"""The evaluation of execution: shortfall arithmetic, the cautious choice on the first half, intervals."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.execution import (
    Parent,
    Setup,
    choose,
    compare,
    execute,
    facts_of,
    halves,
    in_blocks,
    interval,
)
from hatmanifesto.backtest.tape.synthetic import generate
from support.engines import S

SETUP = Setup(20 * S, "500", {"urgency": {"normal": {"take_after": "20s"}}})


@pytest.fixture(scope="module")
def parts() -> tuple[object, object]:
    return halves(generate(seed=5, minutes=2), 1)


@pytest.mark.parametrize("style", ["routed", "passive", "cross"])
def test_shortfall_is_price_fees_and_what_is_left(parts: tuple, style: str, tmp_path: Path) -> None:
    found = execute(parts[1], SETUP, style, 0, 1, tmp_path)
    assert len(found) == 2
    for parent in found:
        assert parent.shortfall == pytest.approx(parent.price + parent.fees + parent.unfilled)
        assert 0 <= parent.maker <= 1.001
        # 1.5 bps as a maker, 4.5 as a taker, on what was filled
        taken = 1 - parent.maker
        if parent.unfilled == 0:
            assert parent.fees == pytest.approx(1.5 * parent.maker + 4.5 * taken, abs=0.05)
    if style == "cross":
        assert all(parent.maker == 0 and parent.price > 0 for parent in found)


def test_halves_share_no_row_and_the_first_says_what_is_calibrated(parts: tuple) -> None:
    first, second = parts
    assert first.end_ns == second.begin_ns
    facts = facts_of(first, 5 * S)
    assert facts.turnover_ns > 0
    assert facts.spread_bps > 0
    assert facts.trades > 10


def pairs(values: list[float]) -> dict[tuple[int, int], tuple[Parent, Parent]]:
    return {
        (0, at): (Parent(at * 60 * S, one, one, 0.0, 0.0, 1.0), Parent(at * 60 * S, one, one, 0.0, 0.0, 1.0))
        for at, one in enumerate(values)
    }


def test_a_choice_is_made_only_where_its_gain_is_beyond_chance() -> None:
    rng = np.random.default_rng(1)
    usual = rng.normal(3, 1, 40).tolist()
    noise = [one + change for one, change in zip(usual, rng.normal(-0.05, 1, 40), strict=True)]
    better = [one + change for one, change in zip(usual, rng.normal(-1, 0.5, 40), strict=True)]
    trials = {"usual": pairs(usual), "noise": pairs(noise)}
    assert choose(trials, 120 * S)[0] == "usual"
    chosen, report = choose({**trials, "better": pairs(better)}, 120 * S)
    assert chosen == "better"
    assert report["better"]["against_usual"]["high_bps"] < 0


def test_intervals_hold_the_mean_and_shrink_with_blocks() -> None:
    rng = np.random.default_rng(2)
    starts = np.arange(200, dtype=np.int64) * 10 * S
    values = rng.normal(1, 1, 200)
    low, high = interval(in_blocks(starts, values, 100 * S))
    assert low < values.mean() < high
    few = interval(in_blocks(starts[:40], values[:40], 100 * S))
    assert few[1] - few[0] > high - low
    assert interval([np.ones(3), np.ones(5)]) == (1.0, 1.0)


def test_styles_are_compared_at_the_same_start_times() -> None:
    results = {"X": {"routed": pairs([1, 2, 3]), "passive": pairs([2, 3, 4, 99]), "cross": pairs([5, 5, 5])}}
    report = compare(results, 60 * S)
    assert report["X"]["start_times"] == 3
    assert report["X"]["routed-passive"] == {"mean_bps": -1.0, "low_bps": -1.0, "high_bps": -1.0}
    assert report["all"]["routed-cross"]["mean_bps"] == -3.0
