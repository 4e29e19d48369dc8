"""The queue's probabilities: fixed-point logarithms and powers against the formulas in floats, and their limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.simulation.queue_models import PROBABILITIES, ProbabilisticQueue
from hatmanifesto.simulation.queue_probability import ONE, exp2, log2, log_one_plus

sizes = st.integers(0, 1 << 60)
names = st.sampled_from(sorted(PROBABILITIES))
exponents = st.integers(100, 10_000)
TINY = 2.0**-20


def formula(name: str, f: float, b: float, n: float, coin: float) -> float:
    """The probability as the field writes it, in floats."""
    if f == 0:
        return 1.0
    if b == 0:
        return 0.0
    if name == "power":
        return 1 / (1 + (f / b) ** n)
    if name == "power2":
        return (b / (b + f)) ** n
    if name == "power3":
        return 1 - (f / (b + f)) ** n
    behind = math.log1p(b / coin)
    return behind / ((behind + math.log1p(f / coin)) if name == "log" else math.log1p((b + f) / coin))


@given(st.integers(1, (1 << 62) - 1))
def test_log2_is_the_logarithm_of_the_whole_range_of_sizes(value: int) -> None:
    assert log2(value) / ONE == pytest.approx(math.log2(value), abs=1e-7)


@given(st.integers(-40 * ONE, 0))
def test_exp2_is_the_power_of_two(exponent: int) -> None:
    assert exp2(exponent) / ONE == pytest.approx(2.0 ** (exponent / ONE), abs=1e-7)


@given(st.integers(0, 1 << 50), st.sampled_from([1, 10**3, 10**8]))
def test_log_one_plus_holds_for_dust_and_for_fortunes(size: int, coin: int) -> None:
    exact = math.log1p(size / coin) / math.log(2)
    assert log_one_plus(size, coin) / ONE == pytest.approx(exact, rel=1e-4, abs=1e-7)


@given(names, st.integers(0, 1 << 58), st.integers(0, 1 << 58), exponents, st.sampled_from([1, 10**3, 10**8]))
def test_every_probability_is_its_formula(name: str, front: int, back: int, thousandths: int, coin: int) -> None:
    queue = ProbabilisticQueue(PROBABILITIES[name], thousandths, coin)
    behind = queue.behind(front, back)
    assert 0 <= behind <= ONE
    dust = 0 < min(front, back) < coin / 1e4  # a ratio of two logarithms of almost nothing
    loose = 1e-2 if name in ("log", "log2") and dust else 2e-5
    assert behind / ONE == pytest.approx(formula(name, front, back, thousandths / 1000, coin), abs=loose)


@given(names, sizes, exponents)
def test_with_nothing_ahead_all_is_behind_and_with_nothing_behind_all_is_ahead(
    name: str, size: int, thousandths: int
) -> None:
    queue = ProbabilisticQueue(PROBABILITIES[name], thousandths, 1000)
    assert queue.behind(0, size) == ONE
    assert size == 0 or queue.behind(size, 0) == 0


@pytest.mark.parametrize(
    ("name", "thousandths", "front", "back", "expected"),
    [
        ("power", 1000, 30, 70, "0.700000"),  # the share behind
        ("power", 2000, 10, 20, "0.800000"),
        ("power", 3000, 20, 10, "0.111111"),
        ("power", 500, 16, 9, "0.428571"),  # roots: 3 / (3 + 4)
        ("power2", 2000, 10, 10, "0.250000"),
        ("power3", 2000, 10, 10, "0.750000"),
        ("log", 1000, 3000, 1000, "0.333333"),  # 3 coins ahead, 1 behind: ln 2 / (ln 2 + ln 4)
        ("log2", 1000, 6000, 1000, "0.333333"),  # ln 2 / ln 8
    ],
)
def test_probabilities_by_example(name: str, thousandths: int, front: int, back: int, expected: str) -> None:
    queue = ProbabilisticQueue(PROBABILITIES[name], thousandths, 1000)
    assert f"{queue.behind(front, back) / ONE:.6f}" == expected


@given(names, st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.integers(1, 1 << 30))
def test_a_place_further_back_has_less_behind_it(name: str, total: int, at: int, step: int) -> None:
    queue = ProbabilisticQueue(PROBABILITIES[name], 2500, 1000)
    near = min(at, total)
    far = min(near + step, total)
    assert queue.behind(far, total - far) <= queue.behind(near, total - near) + int(TINY * ONE)


def test_a_queue_model_needs_a_kind_an_exponent_and_a_unit() -> None:
    for kind, thousandths, unit in [(99, 1000, 1), (1, 0, 1), (1, 200_000, 1), (1, 1000, 0)]:
        with pytest.raises(ValueError):
            ProbabilisticQueue(kind, thousandths, unit)
