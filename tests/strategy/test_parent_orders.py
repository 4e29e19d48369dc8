"""parent_orders: a schedule of buys and sells, each worked in its style until its time is up."""

import pytest

from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY, urgency_of
from hatmanifesto.strategy.parent_orders import ParentOrders
from support.engines import T0, S, an_instrument


def wanted(
    strategy: ParentOrders, at: int, position: int = 0, **instrument: int
) -> list[tuple[int, int, int, int, int]]:
    view = View(an_instrument(**instrument))
    view.now_ns, view.position = T0 + at * S, position
    view.bid_price, view.ask_price, view.bid_size, view.ask_size = 1000, 1010, 50, 50
    quotes = Quotes()
    strategy.quote(view, quotes)
    return [
        (int(q.side), int(q.price), int(q.size), int(q.time_in_force), int(urgency_of(q.side_flags)))
        for q in (quotes.items[index] for index in range(int(quotes.count)))
    ]


def test_sides_take_turns_and_each_parent_is_finished_before_the_next() -> None:
    strategy = ParentOrders(100, 60 * S, 50 * S, "passive", delay=5 * S)
    assert wanted(strategy, 0) == []
    assert wanted(strategy, 5) == [(1, 1000, 100, POST_ONLY, 0)]
    assert wanted(strategy, 30, 40) == [(1, 1000, 60, POST_ONLY, 0)]
    assert wanted(strategy, 55, 40) == [(1, 1012, 60, IMMEDIATE_OR_CANCEL, 0)]
    assert wanted(strategy, 60, 100) == []
    assert wanted(strategy, 65, 100) == [(-1, 1010, 100, POST_ONLY, 0)]


def test_the_router_gets_it_with_urgency_to_the_end_and_cross_takes_at_once() -> None:
    routed = ParentOrders(100, 60 * S, 50 * S, "routed", first_side=-1)
    assert wanted(routed, 0) == [(-1, 1010, 100, POST_ONLY, 2)]
    assert wanted(routed, 59) == [(-1, 1010, 100, POST_ONLY, 2)]
    assert wanted(ParentOrders(100, 60 * S, 50 * S, "cross"), 0) == [(1, 1012, 100, IMMEDIATE_OR_CANCEL, 0)]


def test_what_the_venue_would_refuse_is_left() -> None:
    strategy = ParentOrders(100, 60 * S, 50 * S, "cross")
    assert wanted(strategy, 0, 0, min_notional=1_000_000) != []
    assert wanted(strategy, 1, 95, min_notional=1_000_000) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_size": 0}, {"within": 0}, {"within": 60 * S}, {"delay": -1}, {"style": "best"}, {"first_side": 0},
        {"reach_bps": -1},
    ],
)  # fmt: skip
def test_what_makes_no_schedule_is_refused(arguments: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match=r"parent_orders needs|must"):
        ParentOrders(**{"order_size": 1, "every": 60 * S, "within": 50 * S, **arguments})  # type: ignore[arg-type]
