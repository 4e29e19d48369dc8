"""Stops and take-profits: when they wait, when they fire, what they take with them; and one long story."""

from typing import Any

import pytest

from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live.actions import Cancel, Place
from hatmanifesto.simulation.live.events import (
    FILLS,
    REFUSED,
    RESTS,
    WAITS_FOR_FILL,
    WAITS_FOR_TRIGGER,
    Fill,
)
from hatmanifesto.simulation.live.orders import PARENT_GROUP, POSITION_GROUP
from support.live import CASH, Floor, order

A, B, C = 0, 1, 2


def market(bid: float = 60_000, ask: float = 60_010, size: int = 1_000_000) -> Floor:
    floor = Floor()
    floor.mark((bid + ask) / 2)
    floor.place(B, 1, bid, size)
    floor.place(B, -1, ask, size)
    return floor


FIRING = [
    # side, take-profit, trigger price, a mark at which it waits, the mark that fires it
    (-1, False, 59_000, 59_001, 59_000),  # stop of a long
    (-1, True, 61_000, 60_999, 61_000),  # take-profit of a long
    (1, False, 61_000, 60_999, 61_000),  # stop of a short
    (1, True, 59_000, 59_001, 59_000),  # take-profit of a short
]


@pytest.mark.parametrize(("side", "take_profit", "trigger", "waits", "fires"), FIRING)
def test_a_trigger_fires_at_its_mark_price_and_keeps_its_order_id(
    side: int, take_profit: bool, trigger: int, waits: int, fires: int
) -> None:
    floor = market()
    answer = floor.place(A, side, trigger, 1000, trigger=trigger, take_profit=take_profit, is_market=True)
    assert (answer.kind, answer.oid) == (RESTS, 3)
    floor.mark(waits)
    assert floor.statuses() == []
    floor.mark(fires)
    assert floor.statuses() == [(3, "triggered"), (3, "filled")]
    assert floor.held(A) == side * 1000
    floor.mark(fires)
    assert floor.statuses() == []


def test_a_market_trigger_trades_up_to_ten_percent_from_the_mark() -> None:
    floor = market(bid=50_000, ask=70_010)
    floor.place(A, -1, 58_000, 1000, trigger=58_000, is_market=True)
    floor.mark(58_000)
    assert floor.statuses() == [(3, "triggered"), (3, "iocCancelRejected")]
    floor.place(A, -1, 55_000, 1000, trigger=55_000, is_market=True)
    floor.mark(55_000)
    assert floor.statuses() == [(4, "triggered"), (4, "filled")]


def test_a_limit_trigger_rests_at_its_own_price() -> None:
    floor = market()
    floor.place(A, -1, 60_500, 1000, trigger=59_000)
    floor.mark(59_000)
    assert floor.statuses() == [(3, "triggered"), (3, "open")]
    assert floor.book()[1][1] == (605_000, 1000, 1)


def test_a_cancel_in_the_same_block_beats_the_trigger() -> None:
    floor = market()
    floor.place(A, -1, 59_000, 1000, trigger=59_000, is_market=True)
    floor.exchange.submit(A, Cancel([(0, 3)]))
    floor.mark(58_000)
    assert floor.statuses() == [(3, "canceled")]


def bracket(entry: Any, stop: int, target: int, size: int = 1000) -> Place:
    exits = {"reduce_only": True, "is_market": True}
    return Place(
        [
            entry,
            order(-1, target, size, trigger=target, take_profit=True, **exits),
            order(-1, stop, size, trigger=stop, **exits),
        ],
        PARENT_GROUP,
    )


def test_children_of_a_filled_parent_are_armed_at_once_and_one_ends_the_other() -> None:
    floor = market()
    answers = floor.act(A, bracket(order(1, 60_010, 1000, IMMEDIATE_OR_CANCEL), 59_000, 61_000))
    assert [a.kind for a in answers] == [FILLS, WAITS_FOR_TRIGGER, WAITS_FOR_TRIGGER]
    floor.mark(61_000)
    assert floor.statuses() == [(4, "triggered"), (5, "siblingFilledCanceled"), (4, "filled")]
    assert floor.held(A) == 0


def test_a_partly_filled_exit_cancels_its_sibling() -> None:
    floor = market(size=600)
    floor.place(C, -1, 60_010, 1000)
    floor.act(A, bracket(order(1, 60_010, 1000, IMMEDIATE_OR_CANCEL), 59_000, 61_000))
    floor.mark(61_000)
    assert floor.statuses() == [(5, "triggered"), (1, "filled"), (6, "siblingFilledCanceled"), (5, "canceled")]
    assert floor.held(A) == 400


def test_children_wait_for_the_parent_and_go_with_it() -> None:
    floor = market()
    answers = floor.act(A, bracket(order(1, 59_900, 1000), 59_000, 59_950))
    assert [a.kind for a in answers] == [RESTS, WAITS_FOR_FILL, WAITS_FOR_FILL]
    floor.mark(58_000)
    assert floor.statuses() == []  # nothing is armed
    floor.mark(60_005)
    floor.cancel(A, int(answers[0].oid))
    assert floor.statuses() == [(3, "canceled"), (4, "canceled"), (5, "canceled")]
    assert not floor.exchange.account(A).orders


def test_a_partly_filled_parent_arms_nothing_until_it_is_whole() -> None:
    floor = market()
    floor.act(A, bracket(order(1, 60_005, 1000, POST_ONLY), 59_000, 61_000))
    floor.place(C, -1, 60_005, 400, IMMEDIATE_OR_CANCEL)
    floor.mark(58_900)
    assert floor.statuses() == []
    floor.place(C, -1, 60_005, 600, IMMEDIATE_OR_CANCEL)
    assert (3, "filled") in floor.statuses()
    floor.block()  # the mark is past the stop already
    assert (5, "triggered") in floor.statuses()
    assert floor.held(A) == 0


SHAPES = [
    (PARENT_GROUP, [order(-1, 59_000, 1000, trigger=59_000, reduce_only=True)]),
    (PARENT_GROUP, [order(1, 60_000, 1000), order(-1, 61_000, 1000)]),
    (PARENT_GROUP, [order(1, 60_000, 1000), order(-1, 59_000, 1000, trigger=59_000)]),
    (POSITION_GROUP, [order(-1, 59_000, 0, reduce_only=True)]),
    (POSITION_GROUP, [order(-1, 59_000, 0, reduce_only=True, trigger=59_000)] * 3),
]


@pytest.mark.parametrize(("grouping", "orders"), SHAPES)
def test_a_group_of_the_wrong_shape_is_refused_as_a_whole(grouping: int, orders: Any) -> None:
    floor = market()
    with pytest.raises(ValueError, match="Unexpected number of trigger orders"):
        floor.act(A, Place(orders, grouping))


def test_a_refused_parent_refuses_its_children() -> None:
    floor = market()
    answers = floor.act(A, bracket(order(1, 60_010, 1000, POST_ONLY), 59_000, 61_000))
    assert [a.kind for a in answers] == [REFUSED] * 3
    assert not floor.exchange.account(A).orders


def test_triggers_of_the_position_grow_with_it_and_end_with_it() -> None:
    floor = market()
    floor.place(A, 1, 60_010, 1000, IMMEDIATE_OR_CANCEL)
    whole = {"reduce_only": True, "is_market": True}
    pair = [
        order(-1, 59_000, 0, trigger=59_000, **whole),
        order(-1, 62_000, 0, trigger=62_000, take_profit=True, **whole),
    ]
    answers = floor.act(A, Place(pair, POSITION_GROUP))
    assert [a.kind for a in answers] == [WAITS_FOR_TRIGGER, WAITS_FOR_TRIGGER]
    floor.place(A, 1, 60_010, 500, IMMEDIATE_OR_CANCEL)
    floor.mark(58_999)
    assert floor.held(A) == 0
    assert floor.fills() == [(1, 600_000, 1500)]
    assert not floor.exchange.account(A).orders
    answers = floor.act(A, Place(pair, POSITION_GROUP))
    assert [a.text for a in answers] == [
        "Invalid TP/SL price. asset=0",
        "Reduce only order would increase position. asset=0",
    ]


def test_a_day_in_the_market() -> None:
    """A maker, a trend follower and a hedger trade; at the end every coin and every USDC is accounted for."""
    floor = Floor(4)
    maker, follower, hedger, bystander = floor.accounts
    history: list[tuple[int, str]] = []
    fills: list[Fill] = []

    def remember() -> None:
        history.extend(floor.statuses())
        fills.extend(e for e in floor.events if isinstance(e, Fill))

    floor.mark(60_000)
    # the maker quotes three layers a side, post-only, in one action
    quotes = [order(side, 60_000 - side * (5 + 10 * n), 20_000, POST_ONLY) for n in range(3) for side in (1, -1)]
    assert [a.kind for a in floor.act(maker, Place(quotes))] == [RESTS] * 6
    remember()
    # the bystander joins the best bid behind the maker
    joined = floor.place(bystander, 1, 59_995, 5_000, POST_ONLY, cloid="0xabc")
    remember()
    # the follower buys through two layers and protects the position with a stop
    assert floor.place(follower, 1, 60_015, 30_000, IMMEDIATE_OR_CANCEL).filled_size == 30_000
    remember()
    stop = floor.place(follower, -1, 59_990, 30_000, reduce_only=True, is_market=True, trigger=59_980)
    remember()
    assert floor.held(follower) == 30_000
    # the hedger sells into the bids: the maker was there first, so the bystander gets nothing yet
    floor.place(hedger, -1, 59_995, 20_000, IMMEDIATE_OR_CANCEL)
    remember()
    assert floor.held(bystander) == 0
    assert floor.book()[0][0] == (599_950, 5_000, 1)
    # the maker turns round: its own offer would meet its own bid, which is cancelled instead
    floor.place(maker, -1, 59_985, 5_000)
    remember()
    assert floor.held(bystander) == 5_000
    assert history[-2:] == [(int(joined.oid), "filled"), (int(joined.oid) + 4, "filled")]
    # the mark falls, the stop fires into what is left of the bids
    floor.mark(59_980)
    remember()
    assert (int(stop.oid), "triggered") in floor.statuses()
    assert (int(stop.oid), "filled") in floor.statuses()
    assert floor.held(follower) == 0
    # everybody goes home: what is open is cancelled, what is held is closed against the maker's last bid
    floor.mark(59_970)
    maker_account = floor.exchange.account(maker)
    floor.act(maker, Cancel([(0, oid) for oid in list(maker_account.orders)]))
    remember()
    assert floor.book() == ([], [])
    ended = {oid for oid, status in history if status not in ("open", "triggered")}
    opened = {oid for oid, status in history if status == "open"}
    assert opened <= ended
    accounts = floor.exchange.floor.accounts
    assert sum(int(a.holdings[0].position.size) for a in accounts) == 0
    assert sum(int(f.size * f.order.side) for f in fills) == 0
    paid = sum(int(f.fee) for f in fills)
    assert sum(int(a.equity([599_700])) for a in accounts) == 4 * CASH - paid
    assert sum(int(f.closed) for f in fills if f.order.account == follower) == sum(
        int(f.price * f.size * -f.order.side) for f in fills if f.order.account == follower
    )
    tids = [int(f.tid) for f in fills]
    assert sorted(set(tids)) == list(range(1, len(tids) // 2 + 1))
