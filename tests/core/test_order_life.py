"""The life of orders, told step by step with a scripted venue."""

import pytest

from hatmanifesto.core.maker_router import REQUOTE_ALWAYS
from hatmanifesto.core.market_view import BEST_CHANGED, TIMER, TRADED_THROUGH
from hatmanifesto.core.risk_manager import RECONCILIATION_SOURCE
from hatmanifesto.model import reasons, record
from hatmanifesto.model.order import POST_ONLY, QUOTE, SEQ_SHIFT, SLOT_BITS, pack_side_flags
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    ATTRIBUTED,
    CANCEL_PENDING,
    CONFIRM_CANCEL,
    EXPIRE,
    FILL_WHOLE,
    FIND_ABSENT,
    FIND_OPEN,
    OPEN,
    PARTIALLY_FILLED,
    REFUSE_CANCEL,
    REJECT,
    REQUEST_CANCEL,
    SUBMITTED,
    UNKNOWN,
)
from support.engines import (
    MS,
    T0,
    EngineSettings,
    Rig,
    S,
    ScriptedStrategy,
    Seat,
    Wanted,
    an_instrument,
    generous_account,
    one_desk,
)
from support.rows import Rows

BID = Wanted(1, 1000, 100)
ASK = Wanted(-1, 1010, 100)


def a_bid(triggers: int | None = None, **options: object):  # type: ignore[no-untyped-def]
    """A rig whose strategy wants one bid that is acknowledged at T0 + 1 ms."""
    rig, strategy = one_desk(triggers, **options)
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new("place")
    rig.answer(T0 + MS, bid.order_id, ACKNOWLEDGE)
    assert rig.asked.new() == []
    return rig, strategy, bid


def test_an_order_rests_fills_in_parts_is_topped_up_and_ends_attributed() -> None:
    rig, strategy, bid = a_bid()
    assert rig.state(bid.order_id) == OPEN
    rig.fill(T0 + 2 * MS, bid, 30)
    assert rig.state(bid.order_id) == PARTIALLY_FILLED
    # the rest keeps its place in the queue; what is missing is sent beside it
    (top_up,) = rig.asked.new()
    assert (top_up.kind, top_up.price, top_up.size) == ("place", 1000, 30)
    rig.answer(T0 + 3 * MS, top_up.order_id, ACKNOWLEDGE)
    strategy.want = []
    rig.fill(T0 + 4 * MS, bid, 70)
    assert rig.state(bid.order_id) == ATTRIBUTED
    (cancel,) = rig.asked.new()
    assert (cancel.kind, cancel.order_id) == ("cancel", top_up.order_id)
    rig.answer(T0 + 5 * MS, top_up.order_id, CONFIRM_CANCEL)
    desk = rig.desks[0]
    assert (desk.position.size, desk.open_buy, desk.orders.count) == (100, 0, 0)
    assert rig.risk.live_orders == 0
    assert rig.engine.orders.faults == 0


def test_a_lost_answer_makes_an_order_unknown_and_it_is_pursued_until_the_venue_says_what_became_of_it() -> None:
    rig, strategy = one_desk()
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    rig.until(T0 + 5 * S - 1)
    assert rig.state(bid.order_id) == SUBMITTED
    rig.book(T0 + 4 * S, 1000, 51, 1010, 50)  # the book stays fresh
    rig.asked.new()
    rig.until(T0 + 5 * S)
    assert rig.state(bid.order_id) == UNKNOWN
    assert [request.kind for request in rig.asked.new()] == ["cancel", "query"]
    assert rig.reasons(record.FAULT) == [reasons.STATE_TIMEOUT]
    # no new risk on its instrument meanwhile
    strategy.want = [BID, Wanted(1, 999, 10)]
    rig.book(T0 + 5 * S + MS, 1000, 52, 1010, 50)
    assert rig.asked.new() == []
    strategy.want = [BID, ASK]
    rig.book(T0 + 5 * S + 2 * MS, 1000, 53, 1010, 50)
    assert rig.reasons(record.DENY) == [reasons.ORDER_UNKNOWN] * 2
    strategy.want = []
    # nothing: asked again, each time later
    rig.until(T0 + 400 * S, 1000)
    assert [(request.now - T0) // S for request in rig.asked.new("cancel")] == [10, 20, 40, 80]
    assert rig.reasons(record.FAULT)[-1] == reasons.RETRIES_EXHAUSTED
    assert rig.state(bid.order_id) == UNKNOWN
    # a definite answer, however late, settles it
    rig.answer(T0 + 500 * S, bid.order_id, CONFIRM_CANCEL)
    assert rig.state(bid.order_id) == ATTRIBUTED
    assert rig.holdings[0].unknown_orders == 0
    assert rig.desks[0].open_buy == 0


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (FIND_ABSENT, ATTRIBUTED),
        (REJECT, ATTRIBUTED),
        (EXPIRE, ATTRIBUTED),
        (FIND_OPEN, CANCEL_PENDING),
        (ACKNOWLEDGE, CANCEL_PENDING),
        (REFUSE_CANCEL, UNKNOWN),
    ],
)
def test_only_a_definite_answer_leaves_unknown(answer: int, end: int) -> None:
    rig, strategy = one_desk()
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    rig.until(T0 + 5 * S)
    strategy.want = []
    rig.asked.new()
    rig.answer(T0 + 6 * S, bid.order_id, answer)
    assert rig.state(bid.order_id) == end
    assert rig.holdings[0].unknown_orders == (1 if end == UNKNOWN else 0)
    if end == CANCEL_PENDING:
        assert [request.kind for request in rig.asked.new()] == ["cancel", "query"]


def test_one_order_in_back_off_does_not_hide_anothers_time_out() -> None:
    rig, strategy, bid = a_bid(max_book_age_ns=1000 * S)
    strategy.want = []
    rig.book(T0 + S, 1000, 51, 1010, 50)  # cancelled, and the answer is lost
    rig.until(T0 + 30 * S)
    rig.answer(T0 + 30 * S, bid.order_id, FIND_OPEN)  # pursued again, with a wait of 40 s and more
    strategy.want = [Wanted(-1, 1010, 100)]
    rig.book(T0 + 31 * S, 1000, 52, 1010, 50)
    (ask,) = rig.asked.new("place")
    rig.until(T0 + 36 * S - 1)
    assert rig.state(ask.order_id) == SUBMITTED
    rig.until(T0 + 36 * S)
    assert rig.state(ask.order_id) == UNKNOWN


def test_a_deadline_that_was_met_and_renewed_does_not_hide_anothers_time_out() -> None:
    rig, strategy = one_desk(max_book_age_ns=1000 * S)
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    strategy.want = [BID, ASK]
    rig.book(T0 + S, 1000, 51, 1010, 50)
    (ask,) = rig.asked.new()
    rig.answer(T0 + 2 * S, bid.order_id, ACKNOWLEDGE)
    strategy.want = [ASK]
    rig.book(T0 + 4 * S, 1000, 52, 1010, 50)  # the bid's cancel is awaited until 9 s
    rig.until(T0 + 6 * S)
    assert rig.state(ask.order_id) == UNKNOWN
    assert rig.state(bid.order_id) == CANCEL_PENDING


def test_a_cancel_that_crosses_a_fill_is_no_fault() -> None:
    rig, strategy, bid = a_bid()
    strategy.want = []
    rig.book(T0 + 2 * MS, 1001, 50, 1010, 50)
    assert [request.kind for request in rig.asked.new()] == ["cancel"]
    rig.fill(T0 + 3 * MS, bid, 40)
    assert rig.state(bid.order_id) == CANCEL_PENDING
    rig.fill(T0 + 4 * MS, bid, 60)
    assert rig.state(bid.order_id) == ATTRIBUTED
    rig.answer(T0 + 5 * MS, bid.order_id, REFUSE_CANCEL, reasons.VENUE_NEVER_PLACED)
    assert rig.engine.orders.faults == 0
    assert rig.desks[0].position.size == 100


def test_a_refused_cancel_before_the_fill_is_seen_is_unknown_until_it_comes() -> None:
    rig, strategy, bid = a_bid()
    strategy.want = []
    rig.book(T0 + 2 * MS, 1001, 50, 1010, 50)
    rig.asked.new()
    rig.answer(T0 + 3 * MS, bid.order_id, REFUSE_CANCEL, reasons.VENUE_NEVER_PLACED)
    assert rig.state(bid.order_id) == UNKNOWN
    assert [request.kind for request in rig.asked.new()] == ["query"]
    rig.fill(T0 + 4 * MS, bid, 100)
    assert rig.state(bid.order_id) == ATTRIBUTED
    assert rig.holdings[0].unknown_orders == 0
    rig.answer(T0 + 5 * MS, bid.order_id, FILL_WHOLE)
    assert rig.engine.orders.faults == 0


def test_the_word_that_an_order_is_filled_waits_for_its_fills() -> None:
    rig, _, bid = a_bid()
    rig.answer(T0 + 2 * MS, bid.order_id, FILL_WHOLE)
    assert rig.state(bid.order_id) == OPEN
    assert rig.desks[0].position.size == 0
    rig.until(T0 + 60_000 * MS)
    assert rig.state(bid.order_id) == UNKNOWN  # no fill came: asked about, and no new risk meanwhile
    rig.fill(T0 + 60_001 * MS, bid, 100)
    assert rig.state(bid.order_id) == ATTRIBUTED
    assert rig.desks[0].position.size == 100


def test_a_fill_after_a_confirmed_cancel_is_booked_reported_and_decided_upon() -> None:
    rig, strategy, bid = a_bid()
    strategy.want = []
    rig.book(T0 + 2 * MS, 1001, 50, 1010, 50)
    rig.answer(T0 + 3 * MS, bid.order_id, CONFIRM_CANCEL)
    decisions = rig.clocks[0].decisions
    rig.fill(T0 + 4 * MS, bid, 25)
    assert rig.desks[0].position.size == rig.holdings[0].position.size == 25
    assert rig.state(bid.order_id) == ATTRIBUTED
    assert rig.reasons(record.FAULT) == [reasons.LATE_FILL]
    assert rig.clocks[0].decisions == decisions + 1
    assert strategy.seen[-1]["position"] == 25
    assert rig.desks[0].open_buy == 0


def test_a_fill_of_a_forgotten_order_reaches_its_desk_and_one_that_is_not_ours_only_the_account() -> None:
    instruments = [an_instrument("AAA", 0), an_instrument("BBB", 1)]
    rig = Rig([Seat(ScriptedStrategy(), at, 0) for at in (0, 1)], instruments=instruments).start()
    forgotten = 77 << SEQ_SHIFT | 1 << SLOT_BITS | 5  # of an earlier session: desk 1
    rig.engine.on_fill(T0, forgotten, 1, -1, 1000, 40, 7, True, T0, 9)
    assert [desk.position.size for desk in rig.desks] == [0, -40]
    rig.engine.on_fill(T0, 0, 1, -1, 1000, 2, 7, True, T0, 10)
    rig.engine.on_fill(T0, forgotten, 0, -1, 1000, 3, 7, True, T0, 11)  # its desk trades another instrument
    assert [desk.position.size for desk in rig.desks] == [0, -40]
    assert [holding.position.size for holding in rig.holdings] == [-3, -42]
    assert rig.reasons(record.FAULT) == [reasons.LATE_FILL, reasons.FOREIGN_FILL, reasons.LATE_FILL]


def test_more_filled_than_ordered_is_booked_as_reported_and_named() -> None:
    rig, strategy, bid = a_bid()
    strategy.want = []
    rig.fill(T0 + 2 * MS, bid, 130)
    assert rig.state(bid.order_id) == ATTRIBUTED
    assert rig.desks[0].position.size == 130
    assert rig.reasons(record.FAULT) == [reasons.OVERFILL]
    assert (rig.desks[0].open_buy, rig.holdings[0].open_buy) == (0, 0)


def test_a_fill_before_the_acknowledgement_is_taken() -> None:
    rig, strategy = one_desk()
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    strategy.want = [Wanted(1, 1000, 90)]
    rig.fill(T0 + MS, bid, 10)
    assert rig.state(bid.order_id) == PARTIALLY_FILLED
    rig.answer(T0 + 2 * MS, bid.order_id, ACKNOWLEDGE)
    assert rig.state(bid.order_id) == PARTIALLY_FILLED
    rig.until(T0 + 9 * S)
    assert rig.engine.orders.faults == 0


def test_a_post_only_rejection_is_quoted_again_from_the_next_book_not_from_the_refuted_one() -> None:
    rig, strategy = one_desk()
    strategy.on_quote = lambda view: [Wanted(1, int(view.bid_price), 100)]
    rig.book(T0, 1000, 50, 1010, 50)
    (first,) = rig.asked.new()
    rig.book(T0 + MS, 990, 50, 995, 50)
    assert rig.asked.new() == []  # its answer comes first
    rig.answer(T0 + 2 * MS, first.order_id, REJECT, reasons.VENUE_POST_ONLY)
    assert rig.asked.new() == []  # the book is older than the refusal: the same order would be refused again
    rig.book(T0 + 20 * MS, 985, 50, 995, 50)
    (second,) = rig.asked.new()
    assert (second.kind, second.price) == ("place", 985)
    assert rig.engine.orders.faults == 0


def test_after_a_rate_limit_no_new_quote_is_sent_for_a_second_while_cancels_go() -> None:
    rig, strategy = one_desk()
    strategy.want = [BID, Wanted(-1, 1010, 100)]
    rig.book(T0, 1000, 50, 1010, 50)
    bid, ask = rig.asked.new()
    rig.answer(T0 + MS, ask.order_id, ACKNOWLEDGE)
    rig.answer(T0 + 2 * MS, bid.order_id, REJECT, reasons.VENUE_RATE_LIMIT)
    rig.book(T0 + 3 * MS, 999, 50, 1010, 50)
    assert rig.asked.new() == []
    strategy.want = [BID]
    rig.book(T0 + 4 * MS, 1000, 50, 1010, 50)
    assert [(request.kind, request.order_id) for request in rig.asked.new()] == [("cancel", ask.order_id)]
    rig.answer(T0 + 5 * MS, ask.order_id, CONFIRM_CANCEL)
    rig.until(T0 + 1001 * MS)
    assert rig.asked.new() == []
    rig.until(T0 + 1003 * MS)  # nothing happens at the market: the desk decides by itself
    (again,) = rig.asked.new()
    assert (again.kind, again.price) == ("place", 1000)
    assert rig.engine.orders.faults == 0


def test_an_unchanged_quote_keeps_its_order_and_one_inside_the_tolerance_too() -> None:
    rig, strategy, bid = a_bid(refresh_tolerance=2)
    for at, price in enumerate((1000, 1001, 999, 1002, 998)):
        strategy.want = [Wanted(1, price, 100)]
        rig.book(T0 + (2 + at) * MS, 1002 + at % 2, 50, 1010, 50)
    assert rig.asked.new() == []
    strategy.want = [Wanted(1, 1003, 100)]
    rig.book(T0 + 9 * MS, 1003, 50, 1010, 50)
    cancel, place = rig.asked.new()
    assert (cancel.kind, cancel.order_id) == ("cancel", bid.order_id)
    assert (place.kind, place.price) == ("place", 1003)
    assert rig.reasons(record.CANCEL) == [reasons.CANCEL_REPRICE]


def test_requote_always_cancels_what_is_acknowledged_and_sends_every_quote_anew() -> None:
    rig, strategy = one_desk(policy=REQUOTE_ALWAYS, triggers=BEST_CHANGED)
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    rig.book(T0 + MS, 1000, 51, 1010, 50)
    (second,) = rig.asked.new()  # the first is not acknowledged: nothing to cancel
    rig.answer(T0 + 2 * MS, bid.order_id, ACKNOWLEDGE)
    rig.book(T0 + 3 * MS, 1000, 52, 1010, 50)
    assert [(r.kind, r.order_id == bid.order_id) for r in rig.asked.new()] == [
        ("cancel", True),
        ("place", False),
    ]
    assert second.kind == "place"


def test_a_stale_book_withdraws_every_quote_and_nothing_is_quoted_until_it_is_fresh() -> None:
    rig, strategy, bid = a_bid(max_book_age_ns=S)
    assert rig.until(T0 + S) == 0
    rig.until(T0 + S + 1)
    (cancel,) = rig.asked.new()
    assert (cancel.kind, cancel.order_id, cancel.now) == ("cancel", bid.order_id, T0 + S + 1)
    assert rig.until(T0 + 4 * S) < 10  # and the session goes on
    rig.answer(T0 + 4 * S, bid.order_id, CONFIRM_CANCEL)
    assert rig.asked.new() == []
    rig.book(T0 + 5 * S, 1000, 50, 1010, 51)
    assert [request.kind for request in rig.asked.new()] == ["place"]
    assert len(strategy.seen) == 3  # it was never asked on the stale book


def test_an_order_acknowledged_on_a_stale_book_is_withdrawn_even_without_own_events() -> None:
    rig, strategy = one_desk(BEST_CHANGED, max_book_age_ns=S)
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    rig.until(T0 + S + 1)
    rig.answer(T0 + S + 2, bid.order_id, ACKNOWLEDGE)
    rig.until(T0 + 3 * S)
    assert [request.kind for request in rig.asked.new()] == ["cancel"]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [({1000: 1}, {1000: 1}), ({1001: 1}, {1000: 1}), ({}, {1000: 1}), ({1000: 1}, {}), ({}, {})],
)
def test_a_locked_crossed_or_empty_book_is_not_quoted(bids: dict[int, int], asks: dict[int, int]) -> None:
    rig, strategy, _ = a_bid()
    rig.feed(Rows().snapshot(T0 + 2 * MS, bids, asks))
    assert [request.kind for request in rig.asked.new()] == ["cancel"]
    assert len(strategy.seen) == 2


def test_words_that_are_no_venues_change_nothing() -> None:
    rig, _, bid = a_bid()
    for trigger in (REQUEST_CANCEL, 0, 3, 13, 16, 17, 18, 31, 32, 64, 200):
        rig.answer(T0 + 2 * MS, bid.order_id, trigger)
        assert rig.state(bid.order_id) == OPEN
    assert rig.reasons(record.FAULT) == [reasons.UNEXPECTED_EVENT] * 11


def test_an_ended_order_that_the_venue_calls_open_is_a_fault_and_repeated_ends_are_none() -> None:
    rig, strategy, bid = a_bid()
    strategy.want = []
    rig.book(T0 + 2 * MS, 1001, 50, 1010, 50)
    rig.answer(T0 + 3 * MS, bid.order_id, CONFIRM_CANCEL)
    for trigger in (CONFIRM_CANCEL, REFUSE_CANCEL, FIND_ABSENT, EXPIRE, FILL_WHOLE):
        rig.answer(T0 + 4 * MS, bid.order_id, trigger)
    assert rig.engine.orders.faults == 0
    rig.answer(T0 + 5 * MS, bid.order_id, FIND_OPEN)
    assert rig.reasons(record.FAULT) == [reasons.UNEXPECTED_EVENT]


def test_every_slot_in_use_denies_instead_of_failing() -> None:
    rig, strategy = one_desk(
        policy=REQUOTE_ALWAYS, triggers=BEST_CHANGED, settings=EngineSettings(answer_timeout_ns=10**15)
    )
    strategy.want = [Wanted(1, 1000, 1)] * 48
    sent = 0
    for at in range(30):
        rig.book(T0 + at * S, 1000, 50 + at, 1010, 50)
        sent += len(rig.asked.new("place"))
    assert sent == 1000  # the account's limit on open orders
    assert set(rig.reasons(record.DENY)) == {reasons.ORDER_COUNT}
    assert rig.engine.orders.denied == 30 * 48 - 1000


# -- decisions ------------------------------------------------------------------------------------------


def test_decisions_come_no_more_often_than_the_minimum_interval_and_none_is_lost() -> None:
    strategy = ScriptedStrategy(BEST_CHANGED | TRADED_THROUGH, min_decision_interval_ns=10 * MS)
    rig = Rig([Seat(strategy)]).start()
    for at in range(100):
        rig.book(T0 + at * MS, 1000, 50 + at, 1010, 50)
    rig.until(T0 + S)
    stamps = [seen["now_ns"] - T0 for seen in strategy.seen]
    assert stamps == [at * 10 * MS for at in range(11)]
    assert strategy.seen[-1]["bid_size"] == 149


def test_a_message_of_several_levels_is_decided_upon_once_and_whole() -> None:
    rig, strategy = one_desk()
    rig.book(T0, 1000, 50, 1010, 50)
    more = 1 << 10
    rows = Rows().depth(T0 + MS, 1, 1001, 5, flags=more).depth(T0 + MS, 1, 1002, 5, flags=more)
    rig.feed(rows.depth(T0 + MS, 1, 990, 5))  # the last row lies behind the best
    assert len(strategy.seen) == 2
    assert strategy.seen[-1]["bid_price"] == 1002
    rows = Rows().depth(T0 + 2 * MS, 1, 1002, 0, flags=more).depth(T0 + 2 * MS, -1, 1020, 5)
    rig.feed(rows)
    assert (len(strategy.seen), strategy.seen[-1]["bid_price"]) == (3, 1001)


def test_a_trade_through_an_own_price_decides_and_one_at_it_does_not() -> None:
    rig, strategy, _ = a_bid(BEST_CHANGED | TRADED_THROUGH)
    decisions = len(strategy.seen)
    rig.feed(Rows().trade(T0 + 2 * MS, -1, 1000, 5))
    assert len(strategy.seen) == decisions
    rig.feed(Rows().trade(T0 + 3 * MS, -1, 999, 5))
    assert len(strategy.seen) == decisions + 1
    assert strategy.seen[-1]["trigger"] == TRADED_THROUGH
    assert (strategy.seen[-1]["sell_volume"], strategy.seen[-1]["trades"]) == (10, 2)


def test_two_desks_on_one_instrument_count_trades_each_from_their_own_last_decision() -> None:
    slow = ScriptedStrategy(TIMER, interval_ns=S, min_decision_interval_ns=0)
    fast = ScriptedStrategy(BEST_CHANGED, min_decision_interval_ns=0)
    rig = Rig([Seat(slow, 0, 0), Seat(fast, 0, 1)]).start()
    for at in range(10):
        rig.feed(Rows().trade(T0 + (at * 90 + 1) * MS, 1, 1010, 3))
        rig.book(T0 + (at * 90 + 2) * MS, 1000, 50 + at, 1010, 50)
    rig.until(T0 + S)
    assert [seen["buy_volume"] for seen in fast.seen] == [3] * 10
    assert [seen["buy_volume"] for seen in slow.seen] == [30]
    assert [seen["trades"] for seen in slow.seen] == [10]


def test_a_timer_needs_an_interval() -> None:
    strategy = ScriptedStrategy(TIMER, interval_ns=0)
    with pytest.raises(ValueError, match="interval_ns > 0"):
        Rig([Seat(strategy)])


def test_the_timer_fires_at_its_deadline_before_any_later_row() -> None:
    strategy = ScriptedStrategy(TIMER, interval_ns=100 * MS, min_decision_interval_ns=0)
    rig = Rig([Seat(strategy)]).start()
    rows = Rows().snapshot(T0 + 50 * MS, {1000: 1}, {1010: 1}).snapshot(T0 + 100 * MS, {1001: 1}, {1010: 1})
    rig.feed(rows.snapshot(T0 + 101 * MS, {1002: 1}, {1010: 1}))
    # a row stamped like the timer comes first, a later one does not
    assert [(seen["now_ns"] - T0, seen["bid_price"]) for seen in strategy.seen] == [(100 * MS, 1001)]


# -- several desks, overrides ----------------------------------------------------------------------------


def test_several_instruments_and_strategies_keep_their_own_books_orders_and_positions() -> None:
    instruments = [an_instrument("AAA", 0), an_instrument("BBB", 1)]
    first, second, third = (ScriptedStrategy(min_decision_interval_ns=0) for _ in range(3))
    rig = Rig([Seat(first, 0, 0), Seat(second, 1, 0), Seat(third, 0, 1)], instruments=instruments).start()
    first.want, second.want, third.want = [BID], [Wanted(1, 2000, 10)], [Wanted(1, 999, 7)]
    rig.book(T0, 1000, 50, 1010, 50, 0)
    rig.book(T0, 2000, 50, 2010, 50, 1)
    one, three, two = rig.asked.new()
    assert (one.instrument, two.instrument, three.instrument) == (0, 1, 0)
    rig.fill(T0 + MS, one, 100)
    rig.fill(T0 + MS, two, 4)
    rig.fill(T0 + MS, three, 7)
    assert [desk.position.size for desk in rig.desks] == [100, 4, 7]
    assert [holding.position.size for holding in rig.holdings] == [107, 4]
    assert first.seen[-1]["position"] == 100
    assert third.seen[-1]["position"] == 7


def test_two_desks_may_not_cross_each_other() -> None:
    first, second = (ScriptedStrategy(min_decision_interval_ns=0) for _ in range(2))
    rig = Rig([Seat(first, 0, 0), Seat(second, 0, 1)]).start()
    first.want = [Wanted(1, 1005, 10)]
    rig.book(T0, 1000, 50, 1010, 50)
    (bid,) = rig.asked.new()
    for price, denied in ((1004, True), (1005, True), (1006, False)):
        second.want = [Wanted(-1, price, 10)]
        before = rig.engine.orders.denied
        rig.book(T0 + price * MS, 1000, 50 + price, 1010, 50)
        assert (rig.engine.orders.denied > before) == denied
    assert set(rig.reasons(record.DENY)) == {reasons.OWN_ORDERS_CROSS}
    # one whose cancel is on the way goes first and does not count
    rig.answer(T0 + 2 * S, bid.order_id, ACKNOWLEDGE)
    first.want = []
    second.want = [Wanted(-1, 1003, 10)]
    rig.book(T0 + 3 * S, 1000, 49, 1010, 50)
    assert [request.kind for request in rig.asked.new("place")[-1:]] == ["place"]


@pytest.mark.parametrize(("override", "working"), [(0, True), (1, True), (2, False), (3, False), (4, False)])
def test_an_override_that_forbids_what_works_cancels_it(override: int, working: bool) -> None:
    rig, strategy, _ = a_bid()
    strategy.want = [] if working else [BID]
    rig.engine.set_override(T0 + 2 * MS, -1, override, 100)
    assert (rig.asked.new("cancel") == []) == working


def test_of_two_overrides_the_strictest_wins() -> None:
    for account, desk, reason in (
        (0, 4, reasons.OVERRIDE_HALT),
        (4, 0, reasons.OVERRIDE_HALT),
        (2, 4, reasons.OVERRIDE_HALT),
        (3, 2, reasons.OVERRIDE_CLOSE),
        (2, 3, reasons.OVERRIDE_CLOSE),
        (2, 1, reasons.OVERRIDE_REDUCE_ONLY),
    ):
        rig, strategy = one_desk()
        rig.engine.set_override(T0, -1, account, 100)
        rig.engine.set_override(T0, 0, desk, 100)
        strategy.want = [BID]
        rig.book(T0, 1000, 50, 1010, 50)
        assert rig.reasons(record.DENY) == [reason]
        assert rig.asked.new() == []


def test_each_source_of_an_override_releases_only_its_own() -> None:
    rig, strategy = one_desk()
    rig.engine.set_override(T0, -1, 2, 100, RECONCILIATION_SOURCE)
    rig.engine.set_override(T0, -1, 4, 100)
    strategy.want = [BID]
    rig.book(T0, 1000, 50, 1010, 50)
    rig.engine.set_override(T0, -1, 0, 100)
    rig.book(T0 + S, 1000, 51, 1010, 50)
    assert rig.reasons(record.DENY) == [reasons.OVERRIDE_HALT, reasons.OVERRIDE_REDUCE_ONLY]
    rig.engine.set_override(T0, -1, 0, 100, RECONCILIATION_SOURCE)
    rig.book(T0 + 2 * S, 1000, 52, 1010, 50)
    assert [request.kind for request in rig.asked.new()] == ["place"]


def test_closing_a_desk_withdraws_its_quotes_and_takes_until_it_is_flat() -> None:
    rig, _strategy, bid = a_bid()
    rig.fill(T0 + 2 * MS, bid, 60)
    top_up = rig.asked.new("place")[-1]
    rig.engine.close_desk(T0 + 3 * MS, 0, 200)
    assert {request.order_id for request in rig.asked.new("cancel")} == {bid.order_id, top_up.order_id}
    rig.until(T0 + S)
    # no more than the position, as far as the cancels are known; 2 % below the bid, on the grid
    exit_order = rig.asked.new("place")[0]
    assert (exit_order.side, exit_order.price, exit_order.size, exit_order.reduce_only) == (-1, 980, 60, True)
    rig.fill(T0 + S, exit_order, 25)
    rig.answer(T0 + S, exit_order.order_id, EXPIRE)
    rig.answer(T0 + S, bid.order_id, CONFIRM_CANCEL)
    rig.answer(T0 + S, top_up.order_id, CONFIRM_CANCEL)
    rig.until(T0 + 2 * S)
    (rest,) = rig.asked.new("place")
    assert rest.size == 35
    rig.fill(T0 + 2 * S, rest, 35)
    assert rig.desks[0].position.size == 0
    # closed until it is opened, whatever the strategy wants
    rig.book(T0 + 3 * S, 1001, 50, 1010, 50)
    assert rig.asked.new() == []
    rig.engine.open_desk(T0 + 4 * S, 0)
    rig.book(T0 + 5 * S, 1002, 50, 1010, 50)
    assert [request.kind for request in rig.asked.new()] == ["place"]


def test_one_order_can_be_cancelled_once() -> None:
    rig, _, bid = a_bid()
    assert rig.engine.cancel_order(T0 + 2 * MS, bid.order_id)
    assert not rig.engine.cancel_order(T0 + 2 * MS, bid.order_id)
    assert not rig.engine.cancel_order(T0 + 2 * MS, bid.order_id + 1)
    assert rig.reasons(record.CANCEL) == [reasons.CANCEL_OPERATOR]


def test_the_order_rate_is_kept_in_every_window_of_a_second() -> None:
    rig, strategy = one_desk(
        policy=REQUOTE_ALWAYS,
        triggers=BEST_CHANGED,
        account=generous_account(max_orders_per_second=5),
        settings=EngineSettings(answer_timeout_ns=100 * S),
    )
    strategy.want = [Wanted(1, 1000, 1)]
    for at in range(400):
        rig.book(T0 + at * 17 * MS, 1000, 50 + at, 1010, 50)
    stamps = [request.now for request in rig.asked.new("place")]
    assert len(stamps) > 30
    for at, stamp in enumerate(stamps):
        assert sum(1 for other in stamps[at:] if other < stamp + S) <= 5
    assert set(rig.reasons(record.DENY)) == {reasons.ORDER_RATE}


def test_orders_are_cancelled_in_the_order_in_which_they_were_sent() -> None:
    rig, strategy = one_desk()
    strategy.want = [Wanted(1, 990 + at, 1) for at in (3, 1, 4, 0, 5)]
    rig.book(T0, 1000, 50, 1010, 50)
    sent = [request.order_id for request in rig.asked.new()]
    for order_id in sent:
        rig.answer(T0 + MS, order_id, ACKNOWLEDGE)
    rig.engine.cancel_all(T0 + 2 * MS)
    assert [request.order_id for request in rig.asked.new()] == sent


# -- orders of an earlier session -------------------------------------------------------------------------------


def test_an_order_of_an_earlier_session_is_taken_over_as_it_stands_and_keeps_its_place() -> None:
    rig, strategy = one_desk()
    strategy.want = [BID]
    order_id = 9 << SEQ_SHIFT | 3
    flags = int(pack_side_flags(1, POST_ONLY, False, QUOTE))
    assert rig.engine.adopt_order(T0, order_id, 1000, 140, flags, 40, 17, 555)
    desk = rig.desks[0]
    assert (rig.state(order_id), desk.open_buy, rig.holdings[0].open_buy) == (PARTIALLY_FILLED, 100, 100)
    assert (rig.risk.live_orders, desk.orders.count) == (1, 1)
    # the strategy wants what is there: nothing is sent, and its place in the queue is kept
    rig.book(T0 + MS, 1000, 50, 1010, 50)
    assert rig.asked.new() == []
    # new ids go on above it, and its slot is not given away
    strategy.want = [BID, ASK]
    rig.book(T0 + 2 * MS, 1000, 60, 1010, 50)
    (ask,) = rig.asked.new()
    assert ask.order_id >> SEQ_SHIFT == 10
    assert ask.order_id & ((1 << SLOT_BITS) - 1) != 3
    strategy.want = [ASK]
    rig.engine.on_fill(T0 + 3 * MS, order_id, 0, 1, 1000, 30, 0, False, T0, 1)
    (cancel,) = rig.asked.new()
    assert (cancel.kind, cancel.order_id) == ("cancel", order_id)
    rig.answer(T0 + 4 * MS, order_id, CONFIRM_CANCEL)
    assert rig.state(order_id) == ATTRIBUTED
    assert (desk.position.size, desk.open_buy, rig.risk.live_orders) == (30, 0, 1)
    assert rig.engine.orders.faults == 0
    assert len(rig.records().of(record.ADOPT)) == 1


@pytest.mark.parametrize(
    ("order_id", "size", "filled"),
    [(9 << SEQ_SHIFT | 1 << SLOT_BITS, 100, 0), (9 << SEQ_SHIFT, 100, 100), (9 << SEQ_SHIFT, 100, -1)],
    ids=["no such desk", "nothing left", "less than nothing filled"],
)
def test_what_cannot_be_kept_is_not_taken_over_and_changes_nothing(order_id: int, size: int, filled: int) -> None:
    rig, _ = one_desk()
    assert not rig.engine.adopt_order(T0, order_id, 1000, size, 1, filled, 17, 555)
    assert (rig.risk.live_orders, rig.desks[0].open_buy) == (0, 0)
    assert not rig.records().of(record.ADOPT)


def test_no_two_orders_share_a_slot() -> None:
    rig, _, bid = a_bid()
    taken = bid.order_id & ((1 << SLOT_BITS) - 1)
    assert not rig.engine.adopt_order(T0 + 2 * MS, 9 << SEQ_SHIFT | taken, 1000, 10, 1, 0, 17, 5)
    free = 300  # beyond the slots that there are now
    assert rig.engine.adopt_order(T0 + 2 * MS, 9 << SEQ_SHIFT | free, 1000, 10, 1, 0, 17, 5)
    assert not rig.engine.adopt_order(T0 + 2 * MS, 8 << SEQ_SHIFT | free, 1000, 10, 1, 0, 17, 6)
    machine = rig.engine.orders.machine
    given = [machine.take_order(0) for _ in range(600)]
    slots = [int(order.slot) for order in given if order is not None]
    assert len(set(slots)) == len(slots) == 600
    assert not {taken, free} & set(slots)
