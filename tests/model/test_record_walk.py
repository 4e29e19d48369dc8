"""The walk from record to record visits what a plain loop visits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.record_walk import record_walk


def places(steps: bytes, begin: int = 0) -> list[int]:
    return np.frombuffer(record_walk(steps, begin), dtype=np.int64).tolist()


@pytest.mark.parametrize(
    ("steps", "begin", "visited"),
    [
        (b"", 0, []),
        (b"\x01\x01\x01", 0, [0, 1, 2]),
        (b"\x02\x09\x03\x09\x09", 0, [0, 2]),
        (b"\x02\x09\x00\x01", 0, [0, 2]),  # a 0 is told, and ends the walk
        (b"\x02\x09\x00\x01", 3, [3]),
        (b"\xff", 0, [0]),
    ],
)
def test_a_walk_by_hand(steps, begin, visited):
    assert places(steps, begin) == visited


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_walk_is_that_of_a_plain_loop(steps, begin):
    expected, at = [], begin
    while at < len(steps):
        expected.append(at)
        if steps[at] == 0:
            break
        at += steps[at]
    assert places(steps, begin) == expected
