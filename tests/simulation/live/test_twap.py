"""TWAPs: suborders every thirty seconds, what they catch up with, what ends them, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.actions import CancelTwap, PlaceTwap
from hatmanifesto.simulation.live.events import REFUSED, RUNS, SUCCESS, Answer, Fill, OrderChanged, TwapChanged
from hatmanifesto.simulation.live.floor import LiveOptions
from hatmanifesto.simulation.live.twap_order import (
    ACTIVATED,
    FAILED,
    FINISHED,
    SLICE_NS,
    STOPPED,
    TERMINATED,
    WAITING_FOR_TRIGGER,
    TwapRequest,
)
from support.live import Floor

A, B = 0, 1
FIVE_MINUTES = 5
SLICES = 2 * FIVE_MINUTES + 1  # at the begin, then every thirty seconds, the last at the end


def quoted(depth: int = 1_000_000) -> Floor:
    """B bids 60,000 and offers 60,010; the mark is 60,005."""
    floor = Floor(2)
    floor.mark(60_005)
    floor.place(B, 1, 60_000, depth)
    floor.place(B, -1, 60_010, depth)
    return floor


def begin(floor: Floor, size: int, minutes: int = FIVE_MINUTES, side: int = 1, **more: Any) -> Answer:
    return floor.act(A, PlaceTwap(TwapRequest(0, side, size, minutes, **more)))[0]


def slices(floor: Floor) -> list[int]:
    """Return what each of A's suborders of the last block filled."""
    return [int(event.size) for event in floor.events if isinstance(event, Fill) and event.order.twap and event.crossed]


def turns(floor: Floor) -> list[int]:
    """Return the new statuses of TWAPs in the last block."""
    return [int(event.status) for event in floor.events if isinstance(event, TwapChanged)]


def half_minute(floor: Floor) -> list[int]:
    """Let the next suborder go out and return what it filled."""
    floor.now += SLICE_NS
    floor.block()
    return slices(floor)


def test_the_whole_size_is_worked_in_equal_parts_from_the_first_block_to_the_end() -> None:
    floor = quoted()
    answer = begin(floor, 11_000)
    assert (answer.kind, answer.oid) == (RUNS, 1)
    assert turns(floor) == [ACTIVATED]
    assert slices(floor) == [1_000]
    floor.block()
    assert slices(floor) == []  # not before thirty seconds have passed
    for _ in range(SLICES - 1):
        assert half_minute(floor) == [1_000]
    assert turns(floor) == [FINISHED]
    assert floor.held(A) == 11_000
    assert half_minute(floor) == []


def test_what_nobody_sold_is_caught_up_with_by_at_most_three_normal_suborders() -> None:
    floor = quoted(depth=1_500)
    begin(floor, 11_000)
    assert half_minute(floor) == [500]  # the offer is gone
    assert [half_minute(floor) for _ in range(3)] == [[], [], []]
    floor.place(B, -1, 60_010, 20_000)
    assert [half_minute(floor) for _ in range(3)] == [[3_000], [2_500], [1_000]]
    assert floor.held(A) == 8_000


def test_a_suborder_reaches_three_percent_from_the_middle_and_no_farther() -> None:
    floor = Floor(2)
    floor.mark(60_000)
    floor.place(B, 1, 59_000, 10_000)
    floor.place(B, -1, 61_000, 1_000)
    floor.place(B, -1, 61_800, 1_000)
    floor.place(B, -1, 61_801, 9_000)
    begin(floor, 55_000)  # 5,000 each
    assert slices(floor) == [1_000, 1_000]
    (ended,) = [event.order for event in floor.events if isinstance(event, OrderChanged) and event.order.twap]
    assert (ended.price, ended.remaining) == (618_000, 3_000)


def test_small_parts_are_put_off_until_they_make_a_lot() -> None:
    floor = Floor(2, options=LiveOptions(twap_minimum=0))
    floor.mark(60_005)
    floor.place(B, -1, 60_010, 1_000)
    begin(floor, 4)
    sizes = [slices(floor)] + [half_minute(floor) for _ in range(SLICES - 1)]
    assert [size for each in sizes for size in each] == [1, 1, 1, 1]
    assert floor.held(A) == 4


@given(size=st.integers(300, 50_000), minutes=st.integers(5, 40))
def test_random_sizes_differ_by_a_fifth_and_make_the_same_whole(size: int, minutes: int) -> None:
    floor = quoted()
    begin(floor, size, minutes, randomize=True)
    count = 2 * minutes + 1
    sizes = [sum(slices(floor))] + [sum(half_minute(floor)) for _ in range(count - 1)]
    assert sum(sizes) == size == floor.held(A)
    normal = size / count
    # a suborder makes up for what the one before it was smaller or larger than a normal one
    assert all(0.55 * normal - 2 <= each <= 1.45 * normal + 2 for each in sizes)
    assert turns(floor) == [FINISHED]


def test_two_runs_draw_the_same_sizes() -> None:
    runs = []
    for _ in range(2):
        floor = quoted()
        begin(floor, 110_000, randomize=True)
        runs.append([sum(half_minute(floor)) for _ in range(SLICES - 1)])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 3


def test_a_cancelled_twap_keeps_what_it_has() -> None:
    floor = quoted()
    begin(floor, 11_000)
    half_minute(floor)
    assert floor.act(B, CancelTwap(0, 1))[0].text == "TWAP was never placed, already canceled, or filled."
    assert floor.act(A, CancelTwap(0, 1))[0].kind == SUCCESS
    assert turns(floor) == [TERMINATED]
    assert half_minute(floor) == []
    assert floor.held(A) == 2_000
    assert floor.act(A, CancelTwap(0, 1))[0].text == "TWAP was never placed, already canceled, or filled."


def test_it_waits_for_its_trigger_and_stops_at_its_stop() -> None:
    floor = quoted()
    begin(floor, 11_000, trigger_price=601_000, above=True, stop_price=605_000)
    assert turns(floor) == [WAITING_FOR_TRIGGER]
    assert half_minute(floor) == []
    floor.mark(60_100)
    assert (turns(floor), slices(floor)) == ([ACTIVATED], [1_000])
    floor.mark(60_500)
    assert turns(floor) == [STOPPED]
    assert half_minute(floor) == []


def test_a_reduce_only_twap_ends_with_the_position() -> None:
    floor = quoted()
    floor.place(A, 1, 60_010, 1_500)
    begin(floor, 11_000, side=-1, reduce_only=True)
    assert slices(floor) == [1_000]
    assert half_minute(floor) == [500]
    half_minute(floor)
    assert turns(floor) == [FAILED]
    (event,) = [event for event in floor.events if isinstance(event, TwapChanged)]
    assert event.why == "Reduce-only TWAP order would increase position."


def test_nothing_is_sent_while_only_post_only_orders_are_allowed() -> None:
    floor = quoted()
    floor.exchange.floor.post_only_until_ns = floor.now + SLICE_NS + SLICE_NS // 2
    begin(floor, 11_000)
    assert slices(floor) == []
    assert [half_minute(floor) for _ in range(3)] == [[], [3_000], [1_000]]


REFUSALS = [
    (TwapRequest(0, 1, 11_000, 4), "Invalid TWAP duration: 4 min(s)"),
    (TwapRequest(0, 1, 11_000, 1_441), "Invalid TWAP duration: 1441 min(s)"),
    (TwapRequest(0, 1, 166, 5), "TWAP order value too small. Min is $100."),
    (TwapRequest(0, -1, 11_000, 5, reduce_only=True), "Reduce-only TWAP order would increase position."),
    (TwapRequest(0, 1, 0, 5), wording.ZERO_SIZE),
    (TwapRequest(0, 1, -1, 5), wording.INVALID_SIZE),
    (TwapRequest(7, 1, 11_000, 5), wording.UNKNOWN_ASSET),
]


@pytest.mark.parametrize(("request_", "words"), REFUSALS)
def test_it_is_refused_in_the_venues_words(request_: TwapRequest, words: str) -> None:
    floor = quoted()
    answer = floor.act(A, PlaceTwap(request_))[0]
    assert (answer.kind, answer.text) == (REFUSED, words)
    assert turns(floor) == []
