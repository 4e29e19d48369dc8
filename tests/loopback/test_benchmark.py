"""The loopback exchange's benchmark runs, and memory stays level: for a moment in the suite, for an hour as a soak."""

import itertools

import pytest

from benchmarks.loopback import in_process, memory, throughput


def test_every_figure_is_measured() -> None:
    figures = [*in_process(0.2), *itertools.islice(throughput(0.01), 4), *memory(0.5)]
    assert [figure["unit"] for figure in figures] == ["1/s"] * 6 + ["MB"]
    assert all(figure["ours"] > 0 and figure["notes"] for figure in figures)


@pytest.mark.soak
def test_memory_stays_level_over_an_hour() -> None:
    (figure,) = memory(3600)
    assert figure["ratio"] < 1.25, figure
