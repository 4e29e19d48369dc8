"""The fuzz targets of `make fuzz`, a short while in the suite: honest inputs, what once broke something, noise."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.venue_messages import HONEST_ANSWERS, OPEN, QUESTIONS, adapter, answers, frames, one_input, seeds
from venues.hyperliquid.test_hostile_account import ANYTHING, spoil

FOUND = [
    b'A\x06{"BTC\x89\x89": "83756.5"}',  # no UTF-8: the decoder raised something else than its own errors
    b"A\x05" + b"[" * 3_000,  # nested too deep
    b'A\x05[{"time": 1, "hash": "", "delta": {"type": []}}]',
    b'A\x01[{"coin": "BTC", "side": "B", "limitPx": "83756.0", "sz": "0.001", "oid": 900, "timestamp": 1, '
    b'"origSz": "0.00A", "orderType": "Limit", "reduceOnly": false, "isTrigger": false, "triggerPx": "0.0", '
    b'"triggerCondition": "N/A", "isPositionTpsl": false, "children": [], "tif": "Alo", "cloid": null}]',
    b'A\x07{"userCrossRate": "0.00045", "userAddRate": "0999999999999999999999999999.00015"}',
    b'F{"channel": "post", "data": {"id": 1, "response": {"type": "error", "payload": "' + b"9" * 5_000 + b': no"}}}',
]
"""What fuzzing has found, in its shortest form."""


@pytest.mark.parametrize("data", FOUND, ids=range(len(FOUND)))
def test_what_once_broke_something_breaks_nothing_any_more(data: bytes) -> None:
    one_input(data)


def test_honest_inputs_are_believed() -> None:
    for seed in seeds():
        one_input(seed)
    asked = adapter()
    for place, answer in HONEST_ANSWERS:
        if place != OPEN:  # asks several questions, and one answer is none to all of them
            asked.http.answer = json.dumps(answer).encode()
            asked.loop.run_until_complete(QUESTIONS[place](asked.venue))


@settings(max_examples=60)
@given(noise=st.binary(max_size=400))
def test_noise_breaks_nothing(noise: bytes) -> None:
    frames(noise)
    answers(noise)


@settings(max_examples=120)
@given(data=st.data())
def test_an_answer_with_anything_anywhere_breaks_nothing(data: st.DataObject) -> None:
    place, answer = data.draw(st.sampled_from(HONEST_ANSWERS))
    answers(bytes([place]) + spoil(data, answer))


@settings(max_examples=60)
@given(anything=ANYTHING, place=st.integers(0, len(QUESTIONS) - 1))
def test_an_answer_of_any_shape_breaks_nothing(anything: Any, place: int) -> None:
    answers(bytes([place]) + json.dumps(anything).encode())
