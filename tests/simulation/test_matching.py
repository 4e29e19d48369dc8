"""Matching by example: what other simulators got wrong, and what the docstrings promise."""

import pytest

from hatmanifesto.model.money import parse_decimal
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    CONFIRM_CANCEL,
    EXPIRE,
    FILL_WHOLE,
    FIND_ABSENT,
    FIND_OPEN,
    REFUSE_CANCEL,
    REJECT,
)
from hatmanifesto.model.reasons import (
    VENUE_MIN_NOTIONAL,
    VENUE_NEVER_PLACED,
    VENUE_NO_MATCH,
    VENUE_POST_ONLY,
    VENUE_REDUCE_ONLY,
    VENUE_TICK,
)
from support.engines import T0, Answer, Venue, an_instrument
from support.rows import Rows

BOOK = Rows().snapshot(T0, {1000: 5000, 999: 5000}, {1002: 5000, 1003: 5000})


def a_venue(model: str = "queue", **changes: int) -> Venue:
    venue = Venue(model, an_instrument(**changes))
    venue.feed(BOOK)
    return venue


def fills(answers: list[Answer]) -> list[tuple[int, int, int]]:
    """(order, price, size) of every fill."""
    return [(a.order_id, a.price, a.size) for a in answers if a.filled]


def events(answers: list[Answer]) -> list[tuple[int, int, int]]:
    """(order, trigger, reason) of every event."""
    return [(a.order_id, a.trigger, a.reason) for a in answers if not a.filled]


def test_a_taker_walks_the_levels_and_pays_each_ones_price() -> None:
    venue = Venue("queue", an_instrument(taker_fee=450_000))
    venue.feed(Rows().snapshot(T0, {1000: 1}, {1002: 5000, 1003: 5000}))
    venue.place(1, 1, 1003, 8000, IMMEDIATE_OR_CANCEL)
    answers = venue.drain()
    assert fills(answers) == [(1, 1002, 5000), (1, 1003, 3000)]
    paid = sum(price * size for _, price, size in fills(answers))
    assert paid == parse_decimal("801.9", 4)
    assert sum(a.fee for a in answers if a.filled) == sum(p * s * 100 * 45 // 100_000 for _, p, s in fills(answers))
    # what was taken stays taken until the level shrinks below it, and a second taker gets only the rest
    venue.place(2, 1, 1003, 8000, IMMEDIATE_OR_CANCEL)
    answers = venue.drain()
    assert fills(answers) == [(2, 1003, 2000)]
    assert events(answers) == [(2, EXPIRE, VENUE_NO_MATCH)]
    venue.feed(Rows().depth(T0 + 1, -1, 1002, 6000))
    venue.place(3, 1, 1003, 8000, IMMEDIATE_OR_CANCEL)
    assert fills(venue.drain()) == [(3, 1002, 1000)]
    venue.feed(Rows().depth(T0 + 2, -1, 1003, 0).depth(T0 + 3, -1, 1003, 700))
    venue.place(4, 1, 1003, 8000, IMMEDIATE_OR_CANCEL)
    assert fills(venue.drain()) == [(4, 1003, 700)]


def test_a_print_exactly_equal_to_what_is_left_fills_exactly_that() -> None:
    venue = a_venue()
    venue.place(1, 1, 1000, 1000)
    venue.feed(Rows().trade(T0 + 1, -1, 1000, 5000))
    assert fills(venue.drain()) == []
    venue.feed(Rows().trade(T0 + 2, -1, 1000, 1000))
    assert fills(venue.drain()) == [(1, 1000, 1000)]
    venue.feed(Rows().trade(T0 + 3, -1, 1000, 1000))
    assert fills(venue.drain()) == []


def test_two_own_bids_share_one_print() -> None:
    venue = a_venue()
    venue.place(1, 1, 1001, 1000)
    venue.place(2, 1, 1001, 1000)
    venue.feed(Rows().trade(T0 + 1, -1, 1001, 1000))
    assert fills(venue.drain()) == [(1, 1001, 1000)]
    venue.feed(Rows().trade(T0 + 2, -1, 1001, 400).trade(T0 + 3, -1, 1001, 700))
    assert fills(venue.drain()) == [(2, 1001, 400), (2, 1001, 600)]


def test_own_orders_at_two_prices_share_one_print_best_first() -> None:
    venue = a_venue()
    venue.place(1, 1, 1000, 1000)
    venue.place(2, 1, 1001, 1000)
    venue.feed(Rows().trade(T0 + 1, -1, 1000, 3000))
    # 1000 go to the better price; the market's 5000 come before the order behind them
    assert fills(venue.drain()) == [(2, 1001, 1000)]


def test_the_queue_ahead_shrinks_with_prints_and_with_the_level_and_never_grows() -> None:
    venue = a_venue()
    venue.place(1, 1, 1000, 1000)
    venue.feed(Rows().depth(T0 + 1, 1, 1000, 9000).trade(T0 + 2, -1, 1000, 2000).depth(T0 + 3, 1, 1000, 1500))
    assert fills(venue.drain()) == []
    venue.feed(Rows().trade(T0 + 4, -1, 1000, 2000))
    assert fills(venue.drain()) == [(1, 1000, 500)]


def test_a_level_that_is_gone_does_not_fill_by_itself() -> None:
    venue = a_venue()
    venue.place(1, 1, 1000, 1000)
    venue.feed(Rows().depth(T0 + 1, 1, 1000, 0))
    assert fills(venue.drain()) == []
    venue.feed(Rows().trade(T0 + 2, -1, 1000, 300))
    assert fills(venue.drain()) == [(1, 1000, 300)]


def test_an_order_beyond_the_visible_book_waits_until_its_level_is_seen() -> None:
    venue = a_venue()
    venue.feed(Rows().snapshot(T0 + 1, {1000: 5000, 999: 5000}, {1002: 5000}))
    venue.place(1, 1, 990, 1000)
    venue.feed(Rows().trade(T0 + 2, -1, 990, 10_000_000))
    assert fills(venue.drain()) == []
    venue.feed(Rows().snapshot(T0 + 3, {991: 10, 990: 40, 989: 5}, {1002: 5000}))
    venue.feed(Rows().trade(T0 + 4, -1, 990, 100))
    assert fills(venue.drain()) == [(1, 990, 60)]


def test_a_print_through_the_price_fills_at_the_orders_own_price() -> None:
    venue = a_venue()
    venue.place(1, 1, 1000, 1000)
    venue.feed(Rows().trade(T0 + 1, -1, 999, 400))
    assert fills(venue.drain()) == [(1, 1000, 400)]


@pytest.mark.parametrize("model", ["queue", "cross"])
def test_shown_sizes_at_or_through_an_own_price_meet_it_once(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1001, 1000)
    venue.feed(Rows().depth(T0 + 1, -1, 1001, 300))
    assert fills(venue.drain()) == [(1, 1001, 300)]
    venue.feed(Rows().depth(T0 + 2, -1, 1001, 300))
    assert fills(venue.drain()) == []
    venue.feed(Rows().depth(T0 + 3, -1, 1001, 500))
    assert fills(venue.drain()) == [(1, 1001, 200)]


def test_the_model_cross_ignores_prints() -> None:
    venue = a_venue("cross")
    venue.place(1, 1, 1001, 1000)
    venue.feed(Rows().trade(T0 + 1, -1, 900, 10**6))
    assert fills(venue.drain()) == []


def test_a_message_of_many_levels_is_met_only_when_it_is_whole() -> None:
    venue = a_venue()
    venue.place(1, 1, 1001, 1000)
    more = 1 << 10
    venue.feed(Rows().depth(T0 + 1, -1, 1001, 300, flags=more))
    assert fills(venue.drain()) == []
    venue.feed(Rows().depth(T0 + 1, -1, 1004, 300))
    assert fills(venue.drain()) == [(1, 1001, 300)]


@pytest.mark.parametrize(
    ("side", "price", "size", "tif", "reduce_only", "trigger", "reason"),
    [
        (1, 1002, 1000, POST_ONLY, False, REJECT, VENUE_POST_ONLY),  # equal to the opposite best is crossing
        (-1, 1000, 1000, POST_ONLY, False, REJECT, VENUE_POST_ONLY),
        (1, 1001, 1000, POST_ONLY, False, ACKNOWLEDGE, 0),
        (1, 1001, 1000, IMMEDIATE_OR_CANCEL, False, REJECT, VENUE_NO_MATCH),
        (1, 1001, 1000, GOOD_TILL_CANCEL, False, ACKNOWLEDGE, 0),
        (-1, 1005, 1000, POST_ONLY, True, REJECT, VENUE_REDUCE_ONLY),
        (1, 1001, 99, POST_ONLY, False, REJECT, VENUE_MIN_NOTIONAL),
    ],
)
def test_arrivals_by_example(
    side: int, price: int, size: int, tif: int, reduce_only: bool, trigger: int, reason: int
) -> None:
    venue = a_venue(min_notional=10_000_000)
    venue.place(1, side, price, size, tif, reduce_only)
    assert events(venue.drain()) == [(1, trigger, reason)]


def test_a_price_off_the_grid_and_a_size_off_the_lot_are_refused() -> None:
    venue = a_venue(tick_size=5, lot_size=10)
    venue.place(1, 1, 998, 1000)
    venue.place(2, 1, 995, 1001)
    assert [event[1:] for event in events(venue.drain())] == [(REJECT, VENUE_TICK)] * 2


def test_a_reduce_only_order_takes_no_more_than_the_position_and_the_rest_is_cancelled() -> None:
    venue = a_venue()
    venue.place(1, 1, 1002, 2000, IMMEDIATE_OR_CANCEL)
    venue.place(2, -1, 1000, 5000, IMMEDIATE_OR_CANCEL, True)
    answers = venue.drain()
    assert fills(answers) == [(1, 1002, 2000), (2, 1000, 2000)]
    assert venue.matcher.position == 0
    venue.place(3, 1, 1003, 2000, IMMEDIATE_OR_CANCEL)
    venue.place(4, -1, 1004, 5000, POST_ONLY, True)
    venue.drain()
    venue.feed(Rows().trade(T0 + 1, 1, 1010, 9000))
    answers = venue.drain()
    assert fills(answers) == [(4, 1004, 2000)]
    assert events(answers) == [(4, CONFIRM_CANCEL, VENUE_REDUCE_ONLY)]


def test_a_taker_never_trades_with_an_own_order() -> None:
    venue = a_venue()
    venue.place(1, -1, 1001, 1000)
    venue.place(2, 1, 1002, 500, IMMEDIATE_OR_CANCEL)
    answers = venue.drain()
    assert (1, CONFIRM_CANCEL) in [event[:2] for event in events(answers)]
    assert fills(answers) == [(2, 1002, 500)]


def test_cancels_and_queries_say_what_became_of_an_order() -> None:
    venue = a_venue()
    matcher, now = venue.matcher, T0 + 1
    venue.place(1, 1, 1001, 1000)
    venue.place(2, 1, 1001, 1000)
    venue.place(3, 1, 1002, 1000)  # refused
    venue.drain()
    matcher.query(now, 1)
    matcher.query(now, 9)
    matcher.query(now, 3)
    assert events(venue.drain()) == [(1, FIND_OPEN, 0), (9, FIND_ABSENT, VENUE_NEVER_PLACED), (3, REJECT, 0)]
    matcher.cancel(now, 1)
    matcher.cancel(now, 1)
    venue.feed(Rows().trade(T0 + 2, -1, 1001, 1000))
    matcher.query(now, 1)
    matcher.query(now, 2)
    matcher.cancel(now, 2)
    assert events(venue.drain()) == [
        (1, CONFIRM_CANCEL, 0),
        (1, REFUSE_CANCEL, VENUE_NEVER_PLACED),
        (1, CONFIRM_CANCEL, 0),
        (2, FILL_WHOLE, 0),
        (2, REFUSE_CANCEL, VENUE_NEVER_PLACED),
    ]


@pytest.mark.parametrize(("fee", "expected"), [(150_000, 150), (-50_000, -50), (0, 0), (149_999, 149), (-49_999, -49)])
def test_fees_are_truncated_toward_zero_and_rebates_are_negative(fee: int, expected: int) -> None:
    venue = a_venue(maker_fee=fee, money_scale=6)
    venue.place(1, 1, 1000, 10)
    venue.feed(Rows().trade(T0 + 1, -1, 900, 10))
    (fill,) = venue.drain()[1:]
    assert fill.fee == expected
