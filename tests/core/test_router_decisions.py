"""What the expected-value router does in each situation, and the traps other systems fell into."""

import pytest

from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT
from hatmanifesto.core.routing.budget import Budget, TokenBucket
from hatmanifesto.core.routing.rules import UrgencyRules
from hatmanifesto.core.strategy import QuoteError, Quotes
from hatmanifesto.model import reasons, record
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import ACKNOWLEDGE, CONFIRM_CANCEL, REJECT
from support.engines import MS, T0, Desks, Request, S, Wanted, an_instrument, one_desk
from support.routing import routed_orders, some_rules, verdicts

BID = Wanted(1, 1000, 100)
WORK = Wanted(1, 1000, 100, "work")


def a_router(**options: object) -> Desks:
    rules = options.pop("rules", None) or some_rules()
    options.setdefault("max_book_age_ns", rules.max_book_age_ns)  # type: ignore[attr-defined]
    return one_desk(BEST_CHANGED | OWN_EVENT, rules=rules, **options)


def posted(desks: Desks, want: list[Wanted], now: int = T0) -> list[Request]:
    """Want these on the book 1000 / 1010 and have every order acknowledged."""
    rig, strategy = desks
    strategy.want = want
    rig.book(now, 1000, 50, 1010, 50)
    placed = rig.asked.new("place")
    for request in placed:
        rig.answer(now + MS, request.order_id, ACKNOWLEDGE)
    rig.asked.new()
    return placed


def budget(cancels: int = -1, actions: int = -1, burst: int = 1) -> Budget:
    return Budget(TokenBucket(cancels, burst), TokenBucket(actions, burst))


# -- plain quotes -------------------------------------------------------------------------------------------


def test_a_plain_quote_is_posted_as_wanted_and_explained() -> None:
    desks = a_router()
    (bid,) = posted(desks, [BID])
    assert (bid.side, bid.price, bid.size, bid.time_in_force) == (1, 1000, 100, POST_ONLY)
    (routed,) = routed_orders(desks.rig.records().entries())
    why = routed.why.fields
    assert why["queue_ahead"] == 50
    assert why["saved_ppb"] == 10 * 10**9 // 1005
    assert why["fee_saved_ppb"] == 300_000
    assert 0 < why["fill_chance_ppm"] < 1_000_000


def test_an_unchanged_price_is_never_given_up() -> None:
    desks = a_router()
    posted(desks, [BID])
    for step in range(1, 9):
        desks.rig.book(T0 + step * S, 1000, 50 + step, 1010 + step, 50)
    assert desks.rig.asked.new() == []
    assert verdicts(desks.rig.records().entries()) == ["post"]


def test_the_refresh_tolerance_keeps_the_order_and_says_so_once() -> None:
    desks = a_router(rules=some_rules(refresh_tolerance=2))
    (bid,) = posted(desks, [BID])
    for step, price in enumerate((1001, 1002, 999, 998), 1):
        desks.strategy.want = [Wanted(1, price, 100)]
        desks.rig.book(T0 + step * S, 1002, 50 + step, 1010, 50)
    assert desks.rig.asked.new() == []
    entries = desks.rig.records().entries()
    assert verdicts(entries) == ["post", "keep_tolerance"]
    desks.strategy.want = [Wanted(1, 1003, 100)]
    desks.rig.book(T0 + 9 * S, 1003, 50, 1010, 50)
    (cancel, place) = desks.rig.asked.new()
    assert (cancel.kind, cancel.order_id, place.price) == ("cancel", bid.order_id, 1003)


def test_a_place_in_the_queue_is_kept_while_it_is_worth_more_than_a_new_one() -> None:
    desks = a_router(rules=some_rules(max_keep=5))
    (bid,) = posted(desks, [BID])
    # sold into: 45 of the 50 ahead are gone, behind us the level has filled up again
    desks.rig.feed(_trades(T0 + S, -1, 1000, 45))
    desks.rig.book(T0 + 2 * S, 1000, 60, 1010, 50)
    # the strategy would rather stand one lower, where 500 wait
    desks.strategy.want = [Wanted(1, 999, 100)]
    desks.rig.book(T0 + 3 * S, 1000, 60, 1010, 49)
    assert desks.rig.asked.new() == []
    (kept,) = [entry for entry in desks.rig.records().of(record.ROUTE) if entry.aux & 0xFF == 6]
    assert kept.fields["order_id"] == bid.order_id
    assert kept.fields["queue_ahead"] == 5
    assert kept.fields["value_ppb"] >= kept.fields["other_value_ppb"]
    # ten lower is beyond what may be kept
    desks.strategy.want = [Wanted(1, 990, 100)]
    desks.rig.book(T0 + 4 * S, 1000, 60, 1010, 48)
    assert [request.kind for request in desks.rig.asked.new()] == ["cancel", "place"]


def test_a_place_at_the_end_of_the_queue_is_given_up_for_a_better_one() -> None:
    desks = a_router(rules=some_rules(max_keep=5))
    posted(desks, [BID])
    # the market has risen: before us 1002 and 1001 wait, and then our level
    desks.strategy.want = [Wanted(1, 1004, 100)]
    desks.rig.book(T0 + S, 1003, 500, 1010, 50)
    cancel, place = desks.rig.asked.new()
    assert (cancel.kind, place.price) == ("cancel", 1004)
    assert verdicts(desks.rig.records().entries())[-2:] == ["reprice", "post"]


def _trades(now: int, side: int, price: int, size: int) -> object:
    from support.rows import Rows

    return Rows().trade(now, side, price, size)


def test_a_crossing_quote_is_moved_behind_the_opposite_best_never_sent_as_taker() -> None:
    desks = a_router()
    (bid,) = posted(desks, [Wanted(1, 1200, 100)])
    assert (bid.price, bid.time_in_force) == (1009, POST_ONLY)
    assert desks.rig.reasons(record.DENY) == []


def test_layers_and_skew_shape_what_is_sent_and_are_kept_apart() -> None:
    rules = some_rules(layer_percents=[50, 30, 20], inventory_skew_ticks=3, inventory_skew_size=100)
    desks = a_router(rules=rules)
    desks.rig.desks[0].position.size = 100
    desks.rig.holdings[0].position.size = 100
    placed = posted(desks, [Wanted(1, 1000, 100), Wanted(-1, 1010, 100)])
    assert [(one.side, one.price, one.size) for one in placed] == [
        (1, 997, 50), (1, 996, 30), (1, 995, 20), (-1, 1007, 50), (-1, 1008, 30), (-1, 1009, 20),
    ]  # fmt: skip
    desks.rig.book(T0 + S, 1000, 51, 1010, 50)
    assert desks.rig.asked.new() == []


def test_what_is_not_wanted_any_more_is_withdrawn() -> None:
    desks = a_router()
    posted(desks, [BID])
    desks.strategy.want = []
    desks.rig.book(T0 + S, 1000, 51, 1010, 50)
    assert [request.kind for request in desks.rig.asked.new()] == ["cancel"]
    assert desks.rig.reasons(record.CANCEL) == [reasons.CANCEL_WITHDRAWN]


# -- post or take -------------------------------------------------------------------------------------------


def test_an_urgent_order_posts_while_posting_is_worth_more() -> None:
    desks = a_router()
    (bid,) = posted(desks, [WORK])
    assert (bid.price, bid.time_in_force) == (1000, POST_ONLY)
    (routed,) = routed_orders(desks.rig.records().entries())
    why = routed.why.fields
    assert why["value_ppb"] > why["other_value_ppb"]
    gain = why["saved_ppb"] + why["fee_saved_ppb"] - why["adverse_ppb"]
    assert why["value_ppb"] == gain * why["fill_chance_ppm"] // 1_000_000
    assert why["stage_urgency"] == 2 << 8


def test_it_takes_at_once_when_waiting_costs_more_and_never_beyond_the_cap() -> None:
    # bids outweigh asks, which is said to carry the mid by 500 bps: waiting costs more than spread and fees
    desks = a_router(rules=some_rules(imbalance_drift_ppb=500_000_000))
    rig, strategy = desks
    strategy.want = [WORK]
    rig.book(T0, 1000, 5_000, 1010, 1)
    (take,) = rig.asked.new("place")
    assert take.time_in_force == IMMEDIATE_OR_CANCEL
    assert take.price == 1025  # 2 % above the mid of 1005
    (routed,) = routed_orders(rig.records().entries())
    why = routed.why.fields
    assert verdicts(rig.records().entries()) == ["take_value"]
    assert why["value_ppb"] <= why["other_value_ppb"]
    assert why["opportunity_ppb"] > 0
    assert why["limit_price"] == 1025


def test_a_taker_waits_for_the_cancel_of_its_maker_order_so_that_nothing_is_sent_twice() -> None:
    desks = a_router()
    posted(desks, [WORK])
    rig = desks.rig
    prices: list[int] = []
    now = T0
    for _ in range(40):  # by age: improving, touch, taker
        due = min(rig.engine.next_timer_ns, T0 + 60 * S)
        now = max(now, due)
        rig.book(now, 1000, 50, 1010, 50 + len(prices) % 2)
        rig.until(now)
        for request in rig.asked.new():
            if request.kind == "cancel":
                rig.answer(now, request.order_id, CONFIRM_CANCEL)
            elif request.time_in_force == POST_ONLY:
                prices.append(request.price)
                rig.answer(now, request.order_id, ACKNOWLEDGE)
            else:
                break
        else:
            if now >= T0 + 60 * S:
                break
            continue
        break
    assert prices[-1] == 1001
    assert prices == sorted(prices)
    last = [request for request in rig.asked.requests if request.kind == "place"][-1]
    assert (last.time_in_force, last.size) == (IMMEDIATE_OR_CANCEL, 100)
    orders = routed_orders(rig.records().entries())
    assert verdicts(rig.records().entries())[-1] == "take_age"
    assert orders[-1].why.fields["age_ns"] == 60 * S
    # never more than 100 could fill at any moment
    assert rig.desks[0].open_buy == 100


def test_it_does_not_take_when_the_market_is_beyond_the_cap() -> None:
    desks = a_router()
    posted(desks, [WORK])
    rig = desks.rig
    # age is up, but the ask has run to 1100: the cap is 2 % above the arrival mid of 1005
    rig.book(T0 + 61 * S, 1090, 50, 1100, 50)
    assert "beyond_cap" in verdicts(rig.records().entries())
    for request in rig.asked.new():
        assert request.kind == "cancel" or (request.time_in_force == POST_ONLY and request.price <= 1025)
    held = [entry for entry in rig.records().of(record.ROUTE) if entry.aux & 0xFF == 12]
    assert held[0].fields["price"] == 1100
    assert held[0].fields["limit_price"] == 1025


def test_what_is_left_out_ends_the_intent_and_starts_anew() -> None:
    desks = a_router()
    (bid,) = posted(desks, [WORK])
    rig, strategy = desks
    strategy.want = []
    rig.book(T0 + 50 * S, 1000, 51, 1010, 50)
    rig.answer(T0 + 50 * S, bid.order_id, CONFIRM_CANCEL)
    strategy.want = [WORK]
    rig.asked.new()
    rig.book(T0 + 61 * S, 1000, 52, 1010, 50)  # 61 s after the first, but new
    (again,) = rig.asked.new("place")
    assert again.time_in_force == POST_ONLY


def test_a_partial_fill_does_not_stop_the_escalation() -> None:
    desks = a_router(rules=some_rules())
    rig, strategy = desks
    strategy.on_quote = lambda view: [Wanted(1, 1000, 100 - int(view.position), "work")] if view.position < 100 else []
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new("place")
    rig.answer(T0 + MS, bid.order_id, ACKNOWLEDGE)
    rig.fill(T0 + S, bid, 40)
    assert rig.asked.new() == []  # what is left of it serves
    rig.book(T0 + 15 * S, 1000, 50, 1010, 49)
    assert rig.asked.new() == []  # being filled, it is first in its queue
    rig.book(T0 + 16 * S, 1003, 50, 1010, 49)
    assert [request.kind for request in rig.asked.new()] == ["cancel"]
    rig.answer(T0 + 16 * S, bid.order_id, CONFIRM_CANCEL)
    (again,) = rig.asked.new("place")
    assert (again.price, again.size) == (1004, 60)


def test_repricing_goes_on_after_a_partial_fill() -> None:
    desks = a_router()
    (bid,) = posted(desks, [BID])
    desks.rig.fill(T0 + S, bid, 30)
    (top_up,) = desks.rig.asked.new()
    assert (top_up.price, top_up.size) == (1000, 30)
    desks.rig.answer(T0 + S, top_up.order_id, ACKNOWLEDGE)
    desks.strategy.want = [Wanted(1, 1003, 100)]
    desks.rig.book(T0 + 2 * S, 1003, 50, 1010, 50)
    *cancels, place = desks.rig.asked.new()
    assert [cancel.order_id for cancel in cancels] == [bid.order_id, top_up.order_id]
    assert (place.price, place.size) == (1003, 100)


def test_a_post_only_rejection_is_quoted_again_from_the_next_book() -> None:
    desks = a_router()
    rig, strategy = desks
    strategy.on_quote = lambda view: [Wanted(1, int(view.bid_price), 100, "work")]
    rig.book(T0, 1000, 50, 1010, 50)
    (first,) = rig.asked.new()
    rig.book(T0 + MS, 990, 50, 995, 50)
    rig.answer(T0 + 2 * MS, first.order_id, REJECT, reasons.VENUE_POST_ONLY)
    assert rig.asked.new() == []
    rig.book(T0 + 20 * MS, 985, 50, 995, 50)
    (second,) = rig.asked.new()
    assert (second.kind, second.price, second.time_in_force) == ("place", 985, POST_ONLY)
    assert rig.engine.orders.faults == 0


@pytest.mark.parametrize(("bid", "ask"), [(0, 1010), (1000, 0), (1010, 1010), (1020, 1010), (0, 0)])
def test_nothing_is_sent_on_a_book_that_is_not_whole(bid: int, ask: int) -> None:
    desks = a_router(rules=some_rules(stop_loss=1))
    desks.strategy.want = [BID, WORK]
    rig = desks.rig
    rig.desks[0].position.size = rig.holdings[0].position.size = 10
    rig.desks[0].position.cost = 10 * 2000 * 100
    from support.rows import Rows

    rows = Rows().depth(T0, 1, bid, 50) if bid else Rows()
    if ask:
        rows.depth(T0 + 1, -1, ask, 50)
    rig.feed(rows.mark(T0 + 2, 1000).trade(T0 + 3, 1, 1000, 1))
    rig.until(T0 + S)
    assert rig.asked.new() == []


def test_nothing_is_sent_on_a_stale_book_and_what_works_is_withdrawn() -> None:
    desks = a_router(rules=some_rules(stop_loss=1, max_book_age_ns=10 * S))
    posted(desks, [BID])
    rig = desks.rig
    rig.desks[0].position.size = rig.holdings[0].position.size = 10
    rig.desks[0].position.cost = 10 * 2000 * 100
    rig.until(T0 + 11 * S)
    assert {request.kind for request in rig.asked.new()} == {"cancel"}


# -- budgets ------------------------------------------------------------------------------------------------


def test_without_cancels_left_a_quote_stays_where_it_is_until_there_is_one() -> None:
    desks = a_router(own_budget=budget(cancels=60))
    posted(desks, [BID])
    rig, strategy = desks
    strategy.want = [Wanted(1, 1001, 100)]
    rig.book(T0 + 2 * MS, 1001, 50, 1010, 50)
    cancel, place = rig.asked.new()
    rig.answer(T0 + 3 * MS, cancel.order_id, CONFIRM_CANCEL)
    rig.answer(T0 + 3 * MS, place.order_id, ACKNOWLEDGE)
    strategy.want = [Wanted(1, 1002, 100)]
    for step in range(4, 8):
        rig.book(T0 + step * MS, 1002, 50 + step, 1010, 50)
    assert rig.asked.new() == []
    assert verdicts(rig.records().entries()).count("hold_cancels") == 1
    rig.book(T0 + 2 * S, 1002, 60, 1010, 50)
    assert [request.kind for request in rig.asked.new()] == ["cancel", "place"]


def test_a_withdrawal_is_always_allowed() -> None:
    desks = a_router(own_budget=budget(cancels=0, actions=0, burst=1))
    posted(desks, [BID])
    desks.strategy.want = []
    desks.rig.book(T0 + S, 1000, 51, 1010, 50)
    assert [request.kind for request in desks.rig.asked.new()] == ["cancel"]


def test_without_actions_left_only_what_reduces_is_sent() -> None:
    desks = a_router(own_budget=budget(actions=0, burst=1))
    posted(desks, [BID])
    rig, strategy = desks
    rig.desks[0].position.size = rig.holdings[0].position.size = 50
    strategy.want = [BID, Wanted(1, 999, 100), Wanted(-1, 1010, 50, "exit")]
    for step in (1, 2):
        rig.book(T0 + step * S, 1000, 50 + step, 1010, 50)
    (sent,) = rig.asked.new()
    assert (sent.side, sent.size, sent.reduce_only) == (-1, 50, True)
    assert verdicts(rig.records().entries()).count("hold_actions") == 1


def test_the_accounts_budget_binds_like_the_desks() -> None:
    desks = a_router(account_budget=budget(actions=0, burst=1))
    posted(desks, [BID])
    desks.strategy.want = [BID, Wanted(-1, 1010, 100)]
    desks.rig.book(T0 + S, 1000, 51, 1010, 50)
    assert desks.rig.asked.new() == []
    (held,) = [entry for entry in desks.rig.records().of(record.ROUTE) if entry.aux & 0xFF == 11]
    assert held.fields["account_actions_left"] == 0
    assert held.fields["desk_actions_left"] == -1


# -- exits --------------------------------------------------------------------------------------------------


def holding_long(desks: Desks, size: int = 50, price: int = 1005) -> None:
    for position in (desks.rig.desks[0].position, desks.rig.holdings[0].position):
        position.size = size
        position.cost = size * price * 100


def test_a_stop_loss_withdraws_quotes_and_leaves_reduce_only_until_flat_then_pauses() -> None:
    rules = some_rules(stop_loss_ppb=10_000_000, reenter_after_ns=30 * S)
    rules.urgencies[2] = UrgencyRules(
        improve_after_ns=0, touch_after_ns=0, take_after_ns=2 * S, cap_ppb=50_000_000, weight_percent=200
    )
    desks = a_router(rules=rules)
    posted(desks, [BID, Wanted(-1, 1010, 100)])
    rig = desks.rig
    holding_long(desks)
    rig.book(T0 + S, 990, 50, 994, 50)  # 13 below the cost: beyond 1 %
    requests = rig.asked.new()
    assert [request.kind for request in requests] == ["cancel", "cancel", "place"]
    exit_order = requests[2]
    assert (exit_order.side, exit_order.size, exit_order.reduce_only) == (-1, 50, True)
    assert exit_order.price == 993  # the touch, a tick inside
    assert rig.reasons(record.CANCEL) == [reasons.CANCEL_STOP_LOSS] * 2
    (submit,) = [entry for entry in rig.records().of(record.SUBMIT) if entry.fields["order_id"] == exit_order.order_id]
    assert submit.fields["side_flags"] >> 8 == 2
    for request in requests[:2]:
        rig.answer(T0 + S + MS, request.order_id, CONFIRM_CANCEL)
    rig.answer(T0 + S + MS, exit_order.order_id, ACKNOWLEDGE)
    # it fires once, and takes when its time is up
    rig.book(T0 + 4 * S, 989, 50, 994, 50)
    (cancel,) = rig.asked.new()
    rig.answer(T0 + 4 * S + MS, cancel.order_id, CONFIRM_CANCEL)
    (take,) = rig.asked.new("place")
    assert (take.time_in_force, take.reduce_only, take.size) == (IMMEDIATE_OR_CANCEL, True, 50)
    rig.fill(T0 + 4 * S + 2 * MS, take, 50, 989, taker=True)
    assert rig.desks[0].position.size == 0
    assert rig.asked.new() == []
    assert verdicts(rig.records().entries()).count("stop_loss") == 1
    assert verdicts(rig.records().entries())[-1] == "exit_done"
    rig.book(T0 + 30 * S, 990, 50, 994, 51)
    assert rig.asked.new() == []  # the pause
    rig.until(T0 + 34 * S + 10 * MS)
    rig.book(T0 + 35 * S, 1000, 50, 1010, 51)
    assert {request.side for request in rig.asked.new("place")} == {1, -1}


def test_an_exit_is_no_larger_than_what_the_account_holds_and_one_order_may_be() -> None:
    desks = a_router(rules=some_rules(take_profit=1))
    holding_long(desks, 50, 900)
    rig = desks.rig
    rig.holdings[0].position.size = 30  # another desk is short 20
    desks.strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (sent,) = rig.asked.new()
    assert (sent.side, sent.size, sent.reduce_only) == (-1, 30, True)
    assert verdicts(rig.records().entries())[0] == "take_profit"
    assert rig.reasons(record.DENY) == []


def test_an_operators_close_goes_before_a_stop_and_is_not_slowed_by_budgets() -> None:
    desks = a_router(rules=some_rules(stop_loss=1), own_budget=budget(cancels=0, actions=0, burst=1))
    rig = desks.rig
    desks.strategy.want = [BID]
    holding_long(desks, 50, 1100)
    rig.book(T0, 1000, 50, 1010, 50)
    (leaving,) = rig.asked.new()
    assert leaving.time_in_force == POST_ONLY
    rig.answer(T0 + MS, leaving.order_id, ACKNOWLEDGE)
    rig.engine.close_desk(T0 + S, 0, 50)
    for _ in range(3):
        rig.until(rig.engine.next_timer_ns)
        for request in rig.asked.new():
            if request.kind == "cancel":
                rig.answer(T0 + 2 * S, request.order_id, CONFIRM_CANCEL)
    (take,) = [one for one in rig.asked.requests if one.kind == "place" and one.time_in_force == IMMEDIATE_OR_CANCEL]
    assert (take.side, take.size, take.reduce_only, take.price) == (-1, 50, True, 995)
    assert verdicts(rig.records().entries())[-1] == "take_asked"


# -- the strategy's words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("urgency", [0, 4, -1])
def test_work_without_a_known_urgency_is_an_error_and_leaves_nothing(urgency: int) -> None:
    quotes = Quotes()
    with pytest.raises(QuoteError, match="urgency must be"):
        quotes.work(1, 1000, 10, urgency)
    assert quotes.count == 0
    with pytest.raises(QuoteError, match="of a post-only order"):
        quotes.exit(1, 1000, 10, False, 2)


def test_the_plain_policies_leave_urgent_orders_at_their_price() -> None:
    desks = one_desk(max_book_age_ns=1000 * S)
    (bid,) = posted(desks, [WORK])
    assert (bid.price, bid.time_in_force) == (1000, POST_ONLY)
    desks.rig.book(T0 + 300 * S, 1000, 51, 1010, 50)
    assert desks.rig.asked.new() == []
    assert desks.rig.records().of(record.ROUTE) == []


def test_dust_that_the_venue_would_refuse_is_not_sent_again_and_again() -> None:
    desks = a_router(instruments=[an_instrument(min_notional=10_000_000)])
    posted(desks, [Wanted(1, 1000, 5, "work")])
    desks.rig.book(T0 + S, 1000, 51, 1010, 50)
    assert desks.rig.records().of(record.SUBMIT, record.DENY) == []
