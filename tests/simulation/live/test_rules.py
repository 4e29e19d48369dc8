"""The venue's rules one by one, each with its verbatim answer."""

from typing import Any

import pytest

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.account import AccountRules, LiveAccount
from hatmanifesto.simulation.live.actions import (
    Action,
    Cancel,
    CancelByCloid,
    Change,
    Modify,
    Place,
    ScheduleCancel,
    SetLeverage,
)
from hatmanifesto.simulation.live.events import FILLS, REFUSED, RESTS, SUCCESS, ActionAnswered, FundingPaid
from hatmanifesto.simulation.live.exchange import BLOCK_NS, LiveExchange
from hatmanifesto.simulation.live.floor import LiveOptions
from hatmanifesto.simulation.live.orders import MARKET, OrderRequest
from support.live import CASH, T0, Floor, btc, order

A, B, C = 0, 1, 2
SECOND = 1_000_000_000


def quoted(**more: Any) -> Floor:
    """B bids 60,000 and offers 60,010, one coin each; the mark is 60,005."""
    floor = Floor(**more)
    floor.mark(60_005)
    floor.place(B, 1, 60_000, 100_000)
    floor.place(B, -1, 60_010, 100_000)
    return floor


REFUSALS = [
    # what is sent, the status its history shows, the text that answers it
    (order(1, 60_000.5, 1000), wording.TICK_REJECTED, "Price must be divisible by tick size. asset=0"),
    (order(1, 60_000, 16), wording.MIN_NOTIONAL_REJECTED, "Order must have minimum value of $10. asset=0"),
    (
        order(1, 60_010, 1000, POST_ONLY),
        wording.POST_ONLY_REJECTED,
        "Post only order would have immediately matched, bbo was 60000@60010. asset=0",
    ),
    (
        order(-1, 59_990, 1000, POST_ONLY),
        wording.POST_ONLY_REJECTED,
        "Post only order would have immediately matched, bbo was 60000@60010. asset=0",
    ),
    (
        order(1, 60_009, 1000, IMMEDIATE_OR_CANCEL),
        wording.NO_MATCH_REJECTED,
        "Order could not immediately match against any resting orders. asset=0",
    ),
    (
        order(1, 60_009, 1000, reduce_only=True),
        wording.REDUCE_ONLY_REJECTED,
        "Reduce only order would increase position. asset=0",
    ),
    (
        order(-1, 60_000, 1000, trigger=60_005, is_market=True),
        wording.TRIGGER_PRICE_REJECTED,
        "Invalid TP/SL price. asset=0",
    ),
    (
        order(-1, 60_000, 1000, trigger=60_005, take_profit=True),
        wording.TRIGGER_PRICE_REJECTED,
        "Invalid TP/SL price. asset=0",
    ),
    (
        order(-1, 60_000, 1000, trigger=59_000.5),
        wording.TICK_REJECTED,
        "Price must be divisible by tick size. asset=0",
    ),
]


@pytest.mark.parametrize(("request_", "status", "text"), REFUSALS)
def test_an_order_that_breaks_a_rule_is_answered_with_the_venues_words(request_: Any, status: str, text: str) -> None:
    floor = quoted()
    answer = floor.act(A, Place([request_]))[0]
    assert (answer.kind, answer.text) == (REFUSED, text)
    assert floor.statuses() == [(int(answer.oid), status)]
    assert floor.held(A) == 0
    assert not floor.exchange.account(A).orders


WHOLE = [
    ([], "Orders are empty."),
    ([order(1, 0, 1000)], "Order has invalid price."),
    ([order(1, -5, 1000)], "Order has invalid price."),
    ([order(1, 2_000_000, 1000)], "Order price cannot be more than 95% away from the reference price"),
    ([order(-1, 3_000, 1000)], "Order price cannot be more than 95% away from the reference price"),
    ([order(1, 60_000, 0)], "Order has zero size."),
    ([order(1, 60_000, -1)], "Order has invalid size."),
    ([order(1, 60_000, 1 << 60)], "Order has invalid size."),
]


@pytest.mark.parametrize(("orders", "text"), WHOLE)
def test_what_is_wrong_by_itself_refuses_the_whole_action_and_uses_no_order_id(orders: Any, text: str) -> None:
    floor = quoted()
    with pytest.raises(ValueError, match=text):
        floor.act(A, Place([order(1, 59_000, 1000), *orders] if orders else []))
    assert floor.statuses() == []
    assert floor.place(A, 1, 59_000, 1000).oid == 3


def test_an_unknown_asset_is_refused() -> None:
    floor = quoted()
    with pytest.raises(ValueError, match="invalid asset"):
        floor.act(A, Place([OrderRequest(7, 1, 600_000, 1000)]))
    assert floor.act(A, Cancel([(7, 1)]))[0].text == "Order was never placed, already canceled, or filled."


def test_a_size_off_the_lot_is_invalid() -> None:
    floor = Floor(instruments=[btc(lot_size=10)])
    with pytest.raises(ValueError, match="invalid size"):
        floor.place(A, 1, 60_000, 1005)


def test_the_assets_number_is_the_venues() -> None:
    floor = quoted(options=LiveOptions(asset_ids=[3]))
    assert floor.place(A, 1, 60_000.5, 1000).text.endswith(" asset=3")


CANCELS: list[tuple[str, Action]] = [
    ("never placed", Cancel([(0, 99)])),
    ("another's", Cancel([(0, 1)])),
    ("of another asset", Cancel([(1, 3)])),
    ("unknown cloid", CancelByCloid([(0, "0xdead")])),
    ("fast, of a trigger", Cancel([(0, 4)], fast=True)),
]


@pytest.mark.parametrize(("case", "action"), CANCELS)
def test_a_cancel_that_finds_nothing_is_refused(case: str, action: Action) -> None:
    floor = quoted(instruments=[btc(), btc()])
    floor.place(A, 1, 59_000, 1000)
    floor.place(A, -1, 59_000, 1000, trigger=59_000)
    answer = floor.act(A, action)[0]
    assert answer.kind == REFUSED
    assert answer.text.startswith("Order was never placed, already canceled, or filled. asset=")
    assert len(floor.exchange.account(A).orders) == 2


def test_an_order_is_cancelled_by_its_cloid_and_a_cloid_may_be_used_again() -> None:
    floor = quoted()
    for _ in range(2):
        placed = floor.place(A, 1, 59_000, 1000, cloid="0x01")
        assert placed.cloid == "0x01"
        answer = floor.act(A, CancelByCloid([(0, "0x01")]))[0]
        assert (answer.kind, answer.oid) == (SUCCESS, placed.oid)
        assert floor.statuses() == [(int(placed.oid), "canceled")]


def test_a_block_runs_post_only_then_cancels_then_takers() -> None:
    floor = quoted()
    # the taker was sent first, but the maker's cancel and a new post-only order are executed before it
    floor.exchange.submit(A, Place([order(1, 60_020, 50_000, IMMEDIATE_OR_CANCEL)]))
    floor.exchange.submit(B, Cancel([(0, 2)]))
    floor.exchange.submit(C, Place([order(-1, 60_015, 50_000, POST_ONLY)]))
    floor.block()
    assert floor.fills() == [(3, 600_150, 50_000)]
    assert [e.ticket for e in floor.events if isinstance(e, ActionAnswered)] == [5, 4, 3]


def test_one_taking_order_moves_its_whole_action_behind_the_cancels() -> None:
    floor = quoted()
    floor.exchange.submit(A, Place([order(1, 59_000, 1000, POST_ONLY), order(1, 58_000, 1000)]))
    floor.exchange.submit(B, Cancel([(0, 1)]))
    floor.block()
    assert [e.account for e in floor.events if isinstance(e, ActionAnswered)] == [B, A]


def test_takers_can_be_held_back_some_blocks() -> None:
    floor = Floor(options=LiveOptions(taking_delay_blocks=2))
    floor.place(B, -1, 60_010, 100_000, POST_ONLY)
    ticket = floor.exchange.submit(A, Place([order(1, 60_010, 1000, IMMEDIATE_OR_CANCEL)]))
    blocks = [[e.ticket for e in floor.block() if isinstance(e, ActionAnswered)] for _ in range(3)]
    assert blocks == [[], [], [ticket]]


def test_an_immediate_order_fills_what_it_can_and_the_rest_is_gone() -> None:
    floor = quoted()
    answer = floor.place(A, 1, 60_010, 150_000, IMMEDIATE_OR_CANCEL)
    assert (answer.kind, answer.filled_size, answer.filled_value) == (FILLS, 100_000, 600_100 * 100_000)
    assert floor.statuses() == [(2, "filled"), (3, "canceled")]
    assert floor.book()[1] == []


def test_the_rest_of_a_good_till_cancel_order_rests_under_its_id() -> None:
    floor = quoted()
    answer = floor.place(A, 1, 60_010, 150_000)
    assert (answer.kind, answer.oid, answer.filled_size) == (FILLS, 3, 100_000)
    assert floor.statuses() == [(2, "filled"), (3, "open")]
    assert floor.book() == ([(600_100, 50_000, 1), (600_000, 100_000, 1)], [])


def test_a_market_order_on_an_empty_side_finds_no_liquidity() -> None:
    floor = Floor()
    assert floor.place(A, 1, 60_000, 1000, MARKET).text == "No liquidity available for market order. asset=0"
    assert floor.statuses() == [(1, "marketOrderNoLiquidityRejected")]


def test_own_resting_orders_are_cancelled_by_an_own_taker_and_it_goes_on() -> None:
    floor = quoted()
    floor.place(A, -1, 60_005, 1000)
    floor.place(C, -1, 60_005, 2000)
    answer = floor.place(A, 1, 60_010, 3000)
    assert floor.statuses() == [(3, "selfTradeCanceled"), (4, "filled"), (5, "filled")]
    assert floor.fills() == [(4, 600_050, 2000), (2, 600_100, 1000)]
    assert answer.filled_size == 3000
    assert all(trade.buyer == A and trade.seller != A for trade in floor.trades())


# -- reduce-only ------------------------------------------------------------------------------------


def long_one(size: int = 10_000) -> Floor:
    """A is long, bought at 60,010."""
    floor = quoted()
    floor.place(A, 1, 60_010, size, IMMEDIATE_OR_CANCEL)
    return floor


def test_a_reduce_only_order_is_cut_to_the_position_without_an_error() -> None:
    floor = long_one()
    answer = floor.place(A, -1, 60_000, 30_000, IMMEDIATE_OR_CANCEL, reduce_only=True)
    assert (answer.kind, answer.filled_size) == (FILLS, 10_000)
    assert floor.held(A) == 0


def test_a_reduce_only_order_of_the_whole_position_may_be_small_and_size_0_means_all_of_it() -> None:
    floor = long_one(17)
    floor.place(C, 1, 59_000, 1000)
    assert floor.place(A, -1, 60_000, 1, IMMEDIATE_OR_CANCEL, reduce_only=True).text.startswith("Order must have")
    floor.place(A, -1, 60_000, 0, IMMEDIATE_OR_CANCEL, reduce_only=True)
    assert floor.held(A) == 0


def test_when_resting_reduce_only_orders_exceed_the_position_the_older_goes() -> None:
    floor = long_one()
    first = floor.place(A, -1, 61_000, 6_000, reduce_only=True)
    second = floor.place(A, -1, 62_000, 6_000, reduce_only=True)
    assert floor.statuses() == [(int(second.oid), "open"), (int(first.oid), "reduceOnlyCanceled")]
    third = floor.place(A, -1, 63_000, 4_000, reduce_only=True)
    assert set(floor.exchange.account(A).orders) == {second.oid, third.oid}
    floor.place(A, -1, 60_000, 5_000, IMMEDIATE_OR_CANCEL)
    assert set(floor.exchange.account(A).orders) == {third.oid}


def test_reduce_only_orders_end_with_the_position() -> None:
    floor = long_one()
    resting = floor.place(A, -1, 61_000, 10_000, reduce_only=True)
    stop = floor.place(A, -1, 50_000, 10_000, reduce_only=True, trigger=55_000, is_market=True)
    floor.place(A, -1, 60_000, 15_000, IMMEDIATE_OR_CANCEL)
    assert floor.held(A) == -5_000
    assert {(int(resting.oid), "reduceOnlyCanceled"), (int(stop.oid), "reduceOnlyCanceled")} <= set(floor.statuses())


def test_a_resting_reduce_only_order_is_filled_only_as_far_as_it_reduces() -> None:
    floor = long_one()
    floor.place(A, -1, 60_005, 30_000, reduce_only=True)
    assert floor.book()[1][0] == (600_050, 30_000, 1)
    floor.place(C, 1, 60_005, 20_000)
    assert floor.fills() == [(4, 600_050, 10_000)]
    assert floor.held(A) == 0
    assert floor.book()[0][0] == (600_050, 10_000, 1)


# -- modify -----------------------------------------------------------------------------------------


def test_a_modify_is_a_cancel_and_a_new_order_at_the_back_of_the_queue() -> None:
    floor = quoted()
    floor.place(A, 1, 59_000, 1000, cloid="0x01")
    floor.place(C, 1, 59_000, 1000)
    answer = floor.act(A, Modify([Change(0, "0x01", order(1, 59_000, 900, cloid="0x01"))]))[0]
    assert floor.statuses() == [(3, "canceled"), (5, "open")]
    assert (answer.kind, answer.oid) == (RESTS, 5)
    level = floor.exchange.markets[0].book.bids.top(2)[1]
    assert [int(o.oid) for o in level.orders()] == [4, 5]
    assert floor.exchange.account(A).orders[5].time_in_force == POST_ONLY


MODIFIES = [
    # always, oid, new order, answer, what is open afterwards
    (False, 9, order(1, 59_000, 1000), "Cannot modify canceled or filled order", {3}),
    (
        False,
        3,
        order(1, 60_010, 1000),
        "Error placing new order during modify: "
        "Post only order would have immediately matched, bbo was 60000@60010. asset=0",
        set(),
    ),
    (False, 3, order(1, 59_000, 1), "Error placing new order during modify: Order must have minimum value of $10.", ()),
    (False, 3, order(1, 60_010, 1000, IMMEDIATE_OR_CANCEL), "Modify must place a post-only order", {3}),
    (True, 9, order(1, 59_000, 1000), "", {3, 4}),
    (True, 3, order(1, 60_010, 1000, IMMEDIATE_OR_CANCEL), "", set()),
    (True, 3, order(1, 58_000, 1000), "", {4}),
]


@pytest.mark.parametrize(("always", "oid", "new", "text", "open_orders"), MODIFIES)
def test_what_a_modify_does(always: bool, oid: int, new: Any, text: str, open_orders: set[int]) -> None:
    floor = quoted()
    floor.place(A, 1, 59_000, 1000)
    answer = floor.act(A, Modify([Change(oid, "", new)], always=always))[0]
    assert answer.text.startswith(text)
    assert (answer.kind == REFUSED) == bool(text)
    assert set(floor.exchange.account(A).orders) == set(open_orders)


def test_a_failed_modify_uses_no_order_id() -> None:
    floor = quoted()
    floor.place(A, 1, 59_000, 1000)
    floor.act(A, Modify([Change(3, "", order(1, 60_010, 1000))]))
    assert floor.place(A, 1, 59_000, 1000).oid == 4


# -- limits, money, time -----------------------------------------------------------------------------


def test_open_orders_are_limited_and_reduce_only_and_triggers_stop_earlier() -> None:
    floor = quoted(options=LiveOptions(open_orders=3, volume_per_order=6_001_000_000, most_open_orders=5))
    floor.place(A, 1, 60_010, 10_000, IMMEDIATE_OR_CANCEL)  # earns one more
    for _ in range(3):
        floor.place(A, 1, 59_000, 1000)
    for more in ({"reduce_only": True}, {"trigger": 61_000, "take_profit": True}):
        answer = floor.place(A, -1, 61_000, 1000, **more)
        assert answer.text == "Too many open orders: 3 of 3. asset=0"
        assert floor.statuses() == [(int(answer.oid), "tooManyOpenOrdersRejected")]
    assert floor.place(A, 1, 59_000, 1000).kind == RESTS
    assert floor.place(A, 1, 59_000, 1000).kind == REFUSED


def test_prices_far_from_the_oracle_can_be_refused() -> None:
    floor = quoted(options=LiveOptions(oracle_band=10_000_000))
    assert floor.place(A, 1, 59_404, 1000).text == "Order price too far from oracle asset=0"
    assert floor.place(A, 1, 59_405, 1000).kind == RESTS


def test_at_the_open_interest_cap_only_reducing_or_passive_orders_are_taken() -> None:
    floor = long_one()
    seller = floor.exchange.open_account("0xd", CASH)
    floor.place(seller, -1, 60_002, 50_000, POST_ONLY)
    floor.exchange.markets[0].prices.open_interest_cap = 10_000
    for side, price in ((1, 60_006), (-1, 60_004)):
        assert floor.place(C, side, price, 1000).text == f"{wording.OPEN_INTEREST_PRICE} asset=0"
    cases = [
        (C, 1, 1000, "positionIncreaseAtOpenInterestCapRejected"),
        (B, 1, 20_000, "positionFlipAtOpenInterestCapRejected"),
    ]
    for account, side, size, status in cases:
        answer = floor.place(account, side, 60_003, size)
        assert answer.text == f"{wording.OPEN_INTEREST_CAP} asset=0"
        assert floor.statuses() == [(int(answer.oid), status)]
    assert floor.place(C, 1, 59_000, 1000).kind == RESTS
    assert floor.place(A, -1, 60_000, 5_000, IMMEDIATE_OR_CANCEL).kind == FILLS


def test_after_an_upgrade_only_post_only_orders_are_taken() -> None:
    floor = quoted()
    floor.exchange.floor.post_only_until_ns = floor.now + 2 * BLOCK_NS
    assert floor.place(A, 1, 59_000, 1000).text == f"{wording.AFTER_UPGRADE} asset=0"
    assert floor.place(A, 1, 59_000, 1000).kind == RESTS


class Poor(AccountRules):
    """Allows account A one coin of exposure, and account B none once it is marked broke."""

    broke = False

    def may_open(
        self, account: LiveAccount, instrument: Instrument, side: int, price: int, size: int, mark: int
    ) -> bool:
        return account.index != A or size <= 100_000

    def may_fill(
        self, account: LiveAccount, instrument: Instrument, side: int, price: int, size: int, mark: int
    ) -> bool:
        return not (self.broke and account.index == B)

    def set_leverage(self, account: LiveAccount, instrument: Instrument, leverage: int, cross: bool) -> str:
        return "" if 1 <= leverage <= 40 else "Invalid leverage value"


def test_margin_is_asked_about_when_an_order_is_placed_and_again_when_a_resting_one_is_filled() -> None:
    rules = Poor()
    floor = quoted(rules=rules)
    answer = floor.place(A, 1, 59_000, 100_001)
    assert answer.text == "Insufficient margin to place order. asset=0"
    assert floor.statuses() == [(int(answer.oid), "perpMarginRejected")]
    rules.broke = True
    floor.place(C, -1, 60_020, 1000)
    answer = floor.place(A, 1, 60_020, 1000, IMMEDIATE_OR_CANCEL)
    assert floor.statuses()[0] == (2, "marginCanceled")
    assert floor.fills() == [(4, 600_200, 1000)]


def test_leverage_is_a_matter_of_the_rules() -> None:
    floor = quoted(rules=Poor())
    assert floor.act(A, SetLeverage(0, 5)) == []
    with pytest.raises(ValueError, match="Invalid leverage value"):
        floor.act(A, SetLeverage(0, 41))


def test_fees_are_truncated_and_what_is_paid_leaves_the_account() -> None:
    floor = quoted()
    floor.place(A, 1, 60_010, 17, IMMEDIATE_OR_CANCEL)
    # 10.2017 USDC: 0.045 % is 0.004590765, 0.015 % is 0.001530255
    assert floor.exchange.account(A).cash == CASH - 4590
    assert floor.exchange.account(B).cash == CASH - 1530
    assert floor.exchange.account(A).volume == 10_201_700


def test_funding_moves_from_longs_to_shorts_on_oracle_notional() -> None:
    floor = long_one(100_000)
    floor.exchange.settle_funding(0, 12_500_000)
    paid = [(e.account, e.amount) for e in floor.block() if isinstance(e, FundingPaid)]
    assert paid == [(A, -750_062), (B, 750_062)]  # 60,005 x 0.0000125 = 0.7500625
    assert floor.exchange.account(A).holdings[0].position.funding == -750_062


def test_a_scheduled_cancel_needs_volume_and_fires_in_the_first_block_at_its_time() -> None:
    floor = quoted(options=LiveOptions(schedule_volume=1_000_000_000))
    with pytest.raises(ValueError) as refused:
        floor.act(A, ScheduleCancel(floor.now + 10 * SECOND))
    assert str(refused.value) == (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000. Traded: $0."
    )
    floor.place(A, 1, 60_010, 10_000, IMMEDIATE_OR_CANCEL)
    with pytest.raises(ValueError, match="at least 5 seconds"):
        floor.act(A, ScheduleCancel(floor.now + 4 * SECOND))
    floor.place(A, 1, 59_000, 1000)
    floor.place(A, -1, 50_000, 1000, trigger=50_000)
    at = floor.now + 6 * SECOND
    floor.act(A, ScheduleCancel(at))
    while floor.now + BLOCK_NS < at:
        assert floor.block() == []
    floor.block()
    assert [status for _, status in floor.statuses()] == ["scheduledCancel", "scheduledCancel"]
    floor.act(A, ScheduleCancel(floor.now + 6 * SECOND))
    floor.act(A, ScheduleCancel(0))
    assert floor.exchange.account(A).cancel_at_ns == 0


def test_a_scheduled_cancel_fires_at_most_ten_times_a_day() -> None:
    floor = quoted(options=LiveOptions(schedule_volume=0))
    for _ in range(10):
        floor.act(A, ScheduleCancel(floor.now + 6 * SECOND))
        floor.now += 6 * SECOND
        floor.block()
    with pytest.raises(ValueError, match="10 times today"):
        floor.act(A, ScheduleCancel(floor.now + 6 * SECOND))
    floor.now += 86_400 * SECOND
    floor.act(A, ScheduleCancel(floor.now + 6 * SECOND))


def test_an_action_that_expired_on_its_way_does_nothing() -> None:
    floor = quoted()
    action = Place([order(1, 59_000, 1000)])
    action.expires_ns = floor.now + BLOCK_NS - 1
    with pytest.raises(ValueError, match="Action already expired"):
        floor.act(A, action)
    assert not floor.exchange.account(A).orders


def test_misuse_by_the_driver_is_an_error() -> None:
    exchange = LiveExchange([btc()])
    with pytest.raises(IndexError, match="no account 0"):
        exchange.submit(0, Cancel([]))
    with pytest.raises(ValueError, match="must be positive"):
        exchange.set_prices(0, 0, 1)
    exchange.advance(T0)
    with pytest.raises(ValueError, match="not after the last"):
        exchange.advance(T0)


def test_nothing_happens_in_an_empty_block() -> None:
    floor = quoted()
    assert floor.block() == []
    assert floor.place(A, 1, 59_000, 1000, GOOD_TILL_CANCEL).oid == 3
