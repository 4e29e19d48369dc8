"""Drawn latencies: their distribution is the one asked for, a seed repeats it, and messages never overtake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.ports import NEVER
from hatmanifesto.simulation.chance import Chance
from hatmanifesto.simulation.latency import LognormalLatency, LognormalWay, SampledLatency
from hatmanifesto.simulation.queue_probability import ONE
from hatmanifesto.simulation.wire import EVENT, Line

MS = 1_000_000
WORDS = [3863208306, 2996473996, 63527367, 2535343105]
NORMALS = [-427040375, 1314531809, -657266134]
OTHERS = [2653207607, 2113129593]


def test_the_generator_is_the_same_on_every_build_and_machine() -> None:
    chance = Chance(7)
    assert [chance.word() for _ in range(4)] == WORDS
    assert [chance.normal() for _ in range(3)] == NORMALS
    assert [Chance(7, 1).word(), Chance(8).word()] == OTHERS


def test_normal_numbers_have_the_normal_quantiles() -> None:
    chance = Chance(1)
    drawn = sorted(chance.normal() / ONE for _ in range(20_000))
    for quantile, expected in [(0.01, -2.326), (0.25, -0.674), (0.5, 0.0), (0.75, 0.674), (0.99, 2.326)]:
        assert drawn[int(quantile * len(drawn))] == pytest.approx(expected, abs=0.06)


def test_numbers_below_a_limit_are_all_reached_evenly() -> None:
    chance = Chance(3)
    counts = [0] * 10
    for _ in range(10_000):
        counts[chance.below(10)] += 1
    assert max(counts) < 1_150
    assert min(counts) > 850


def test_a_drawn_latency_has_the_median_and_the_tail_asked_for_and_never_beats_the_floor() -> None:
    way = LognormalWay(2 * MS, 10 * MS, 50 * MS, Chance(5))
    drawn = sorted(way.draw() for _ in range(20_000))
    assert drawn[0] > 2 * MS
    assert drawn[10_000] == pytest.approx(10 * MS, rel=0.03)
    assert drawn[19_800] == pytest.approx(50 * MS, rel=0.06)


@given(st.integers(0, 1 << 30), st.integers(1, 1 << 34), st.integers(0, 1 << 34), st.integers(0, 1 << 60))
def test_any_floor_median_and_tail_give_latencies_between_the_floor_and_hours(
    floor: int, above: int, tail: int, seed: int
) -> None:
    way = LognormalWay(floor, floor + above, floor + above + tail, Chance(seed))
    assert all(floor <= way.draw() < 1 << 62 for _ in range(5))


def test_without_a_spread_every_latency_is_the_median() -> None:
    way = LognormalWay(0, 10 * MS, 10 * MS, Chance(5))
    assert all(abs(way.draw() - 10 * MS) <= 10 for _ in range(100))


@pytest.mark.parametrize(("floor", "median", "p99"), [(-1, 5, 6), (5, 5, 6), (0, 6, 5), (0, 5, 1 << 40)])
def test_impossible_distributions_are_refused(floor: int, median: int, p99: int) -> None:
    with pytest.raises(ValueError, match="floor < median <= p99"):
        LognormalWay(floor, median, p99, Chance(0))


def test_samples_are_drawn_again_and_again_and_the_two_ways_by_themselves() -> None:
    latency = SampledLatency([(1, 10), (2, 20), (3, 30)], Chance(9))
    assert {latency.entry_ns(0) for _ in range(100)} == {1, 2, 3}
    assert {latency.response_ns(0) for _ in range(100)} == {10, 20, 30}
    for samples in ([], [(1, -1)]):
        with pytest.raises(ValueError, match="sample"):
            SampledLatency(samples, Chance(0))


def test_messages_with_drawn_latencies_never_overtake_each_other() -> None:
    latency = LognormalLatency(*(LognormalWay(0, 10 * MS, 200 * MS, Chance(1, way)) for way in (0, 1)))
    line = Line()
    for at in range(200):
        line.send(at * MS + latency.entry_ns(at * MS), EVENT, at)
    seen = []
    while line.next_ns != NEVER:
        message = line.take()
        seen.append((message.order_id, message.arrival_ns))
    assert [number for number, _ in seen] == list(range(200))
    assert [stamp for _, stamp in seen] == sorted(stamp for _, stamp in seen)


def test_a_generator_wants_a_seed_that_is_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Chance(-1)
