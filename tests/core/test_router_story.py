"""One desk's day with the expected-value router, from the first quote to the last exit, told by its journal."""

from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT
from hatmanifesto.core.routing.budget import Budget, TokenBucket
from hatmanifesto.core.routing.rules import UrgencyRules
from hatmanifesto.core.strategy import View
from hatmanifesto.model import reasons, record
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import ACKNOWLEDGE, CONFIRM_CANCEL, REJECT
from support.engines import MS, T0, S, Wanted, one_desk
from support.routing import routed_orders, some_rules, verdicts
from support.rows import Rows


def test_a_day_of_one_desk() -> None:
    rules = some_rules(
        layer_percents=[60, 40], inventory_skew_ticks=2, inventory_skew_size=60, max_keep=1,
        stop_loss_ppb=20_000_000, reenter_after_ns=10 * S,
    )  # fmt: skip
    rules.urgencies[2] = UrgencyRules(
        improve_after_ns=0, touch_after_ns=0, take_after_ns=3 * S, cap_ppb=50_000_000, weight_percent=100
    )
    own = Budget(TokenBucket(6, 4), TokenBucket(-1, 0))
    desks = one_desk(BEST_CHANGED | OWN_EVENT, rules=rules, own_budget=own, max_book_age_ns=1000 * S)
    rig, strategy = desks
    strategy.on_quote = lambda view: [Wanted(1, int(view.bid_price), 100), Wanted(-1, int(view.ask_price), 100)]
    seen = 0

    def told() -> list[str]:
        nonlocal seen
        every = verdicts(rig.records().entries())
        new, seen = every[seen:], len(every)
        return new

    # morning: two layers a side
    rig.book(T0, 1000, 50, 1010, 50)
    first = rig.asked.new()
    assert [(one.side, one.price, one.size) for one in first] == [
        (1, 1000, 60), (1, 999, 40), (-1, 1010, 60), (-1, 1011, 40),
    ]  # fmt: skip
    assert told() == ["post"] * 4
    # the best bid was refused as post-only: not sent again before a newer book has come
    rig.answer(T0 + MS, first[0].order_id, REJECT, reasons.VENUE_POST_ONLY)
    for one in first[1:]:
        rig.answer(T0 + MS, one.order_id, ACKNOWLEDGE)
    assert rig.asked.new() == []
    rig.book(T0 + S, 1000, 51, 1010, 50)
    (bid,) = rig.asked.new()
    assert (bid.price, bid.size, bid.time_in_force) == (1000, 60, POST_ONLY)
    rig.answer(T0 + S + MS, bid.order_id, ACKNOWLEDGE)
    assert told() == ["post"]

    # it is filled: long 60, quotes lean two ticks down, the bids as far as the cancels' budget of four goes
    rig.fill(T0 + 2 * S, bid, 60)
    moved = rig.asked.new()
    assert rig.desks[0].position.size == 60
    # the bid at 999, first in its queue by now, stays for the one wanted at 998
    assert [(one.side, one.price, one.size) for one in moved if one.kind == "place"] == [
        (1, 998, 20), (1, 997, 40), (-1, 1008, 60), (-1, 1009, 40),
    ]  # fmt: skip
    assert sum(one.kind == "cancel" for one in moved) == 2
    for one in moved:
        rig.answer(T0 + 2 * S + MS, one.order_id, CONFIRM_CANCEL if one.kind == "cancel" else ACKNOWLEDGE)
    told()

    # noon: the market runs; without cancels left the quotes stay, and that is said
    for step in range(1, 6):
        rig.book(T0 + 3 * S + step * 10 * MS, 1000 + 5 * step, 50, 1010 + 5 * step, 50)
        for one in rig.asked.new():
            answer = CONFIRM_CANCEL if one.kind == "cancel" else ACKNOWLEDGE
            rig.answer(T0 + 3 * S + step * 10 * MS + MS, one.order_id, answer)
    assert "hold_cancels" in told()
    assert own.cancels.tokens() == 0

    # afternoon: it falls through the stop, 2 % below the entry at 1000
    rig.feed(Rows().trade(T0 + 4 * S, -1, 1000, 500))
    rig.book(T0 + 5 * S, 975, 50, 979, 50)
    requests = rig.asked.new()
    cancels = [one for one in requests if one.kind == "cancel"]
    (leaving,) = [one for one in requests if one.kind == "place"]
    assert cancels, "quotes are withdrawn although the budget is used up"
    assert (leaving.side, leaving.size, leaving.price, leaving.reduce_only) == (-1, 60, 978, True)
    words = told()
    assert words[0] == "stop_loss"
    assert words[-1] == "post_value"
    for one in cancels:
        rig.answer(T0 + 5 * S + MS, one.order_id, CONFIRM_CANCEL)
    rig.answer(T0 + 5 * S + MS, leaving.order_id, ACKNOWLEDGE)
    rig.fill(T0 + 6 * S, leaving, 20)
    assert rig.asked.new() == []

    # nobody comes for the rest: after 3 s it takes, once the cancel is confirmed
    rig.until(T0 + 8 * S)
    (cancel,) = rig.asked.new()
    assert cancel.order_id == leaving.order_id
    rig.answer(T0 + 8 * S + MS, leaving.order_id, CONFIRM_CANCEL)
    (take,) = rig.asked.new()
    assert (take.time_in_force, take.size, take.reduce_only) == (IMMEDIATE_OR_CANCEL, 40, True)
    assert take.price >= 977 * 95 // 100
    rig.fill(T0 + 8 * S + 2 * MS, take, 40, 975, taker=True)
    assert rig.desks[0].position.size == 0
    assert told() == ["escalate", "take_age", "exit_done"]

    # evening: a pause of 10 s, then it quotes again where the market is
    rig.book(T0 + 10 * S, 976, 50, 979, 50)
    assert rig.asked.new() == []
    rig.until(T0 + 18 * S + 2 * MS)
    again = rig.asked.new("place")
    assert [(one.side, one.price) for one in again] == [(1, 976), (1, 975), (-1, 979), (-1, 980)]
    for one in again:
        rig.answer(T0 + 18 * S + 3 * MS, one.order_id, ACKNOWLEDGE)

    # night: an inventory trade with urgency beside the quotes
    def urgent(view: View) -> list[Wanted]:
        return [Wanted(1, int(view.bid_price) - 3, 30 - int(view.position), "work", 2)] if view.position < 30 else []

    strategy.on_quote = urgent
    rig.book(T0 + 20 * S, 976, 60, 979, 50)
    requests = rig.asked.new()
    assert sum(one.kind == "cancel" for one in requests) >= 3
    for one in requests:
        rig.answer(T0 + 20 * S + MS, one.order_id, CONFIRM_CANCEL if one.kind == "cancel" else ACKNOWLEDGE)
    for second in range(21, 70):  # each step needs a cancel, and there are six a minute
        rig.book(T0 + second * S, 976, 60 + second % 2, 979, 50)
        for one in rig.asked.new():
            rig.answer(T0 + second * S, one.order_id, CONFIRM_CANCEL if one.kind == "cancel" else ACKNOWLEDGE)
    working = [order for order in rig.desks[0].orders.snapshot() if order.side > 0]
    assert [(int(order.price), int(order.size)) for order in working] == [(977, 30)]  # inside the spread by now

    # and every order of the day has its reason
    entries = rig.records().entries()
    placed = [entry for entry in entries if entry.kind in (record.SUBMIT, record.DENY)]
    assert len(routed_orders(entries)) == len(placed)
    assert rig.engine.orders.faults == 0
