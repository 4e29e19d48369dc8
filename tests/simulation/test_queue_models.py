"""Every queue model keeps the promises that other simulators broke, and the traced one reads cancels as they are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.core.maker_router import REQUOTE_ALWAYS
from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT, TIMER
from hatmanifesto.model import record
from hatmanifesto.simulation.matcher import RestingOrder
from hatmanifesto.simulation.queue_models import MEMORY
from simulation.test_liquidity import Auditor, incremental, repeated
from support.engines import MS, T0, S, ScriptedStrategy, Seat, Venue, Wanted, a_backtest
from support.rows import Rows

MODELS = ["queue", "traced", "power", "power2", "power3", "log", "log2"]
BOOK = Rows().snapshot(T0, {1000: 5000, 999: 5000}, {1002: 5000, 1003: 5000})
every_model = pytest.mark.parametrize("model", MODELS)


def a_venue(model: str) -> Venue:
    return Venue(model).feed(BOOK)


def fills(venue: Venue) -> list[tuple[int, int, int]]:
    return [(a.order_id, a.price, a.size) for a in venue.drain() if a.filled]


def order_of(venue: Venue, order_id: int) -> RestingOrder:
    order = venue.matcher.find(order_id)
    assert order is not None
    return order


def ahead(venue: Venue, order_id: int = 1) -> int:
    return int(order_of(venue, order_id).ahead)


# -- defects known elsewhere ------------------------------------------------------------------------


@every_model
def test_two_own_orders_in_one_queue_share_each_print(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    venue.place(2, 1, 1000, 700)
    venue.feed(Rows().trade(T0 + 1, -1, 1000, 5900))
    assert fills(venue) == [(1, 1000, 700), (2, 1000, 200)]


@every_model
def test_a_print_equal_to_the_remaining_size_fills_exactly_and_only_once(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    venue.feed(Rows().trade(T0 + 1, -1, 1000, 5300).depth(T0 + 1, 1, 1000, 0))
    assert fills(venue) == [(1, 1000, 300)]
    venue.feed(Rows().trade(T0 + 2, -1, 1000, 400).trade(T0 + 3, -1, 1000, 400))
    assert fills(venue) == [(1, 1000, 400)]


@every_model
def test_a_partial_fill_reaches_the_strategy(model: str) -> None:
    strategy = ScriptedStrategy(BEST_CHANGED | OWN_EVENT, min_decision_interval_ns=0)
    strategy.on_quote = lambda view: [Wanted(1, 1001, 100 - int(view.position))]
    rows = Rows(delay_ns=MS).snapshot(T0, {1000: 5000}, {1010: 5000}).trade(T0 + S, -1, 1001, 40)
    run = a_backtest([Seat(strategy)], rows.snapshot(T0 + 2 * S, {1000: 5000}, {1011: 5}).packed(), model=model).run()
    (fill,) = run.rig.records().of(record.FILL)
    assert fill.fields["size"] == 40
    assert [seen["position"] for seen in strategy.seen][-1] == 40
    assert strategy.seen[-1]["open_buy_size"] == 60


@every_model
def test_requoting_faster_than_the_round_trip_ends_with_the_data(model: str) -> None:
    strategy = ScriptedStrategy(TIMER | OWN_EVENT | BEST_CHANGED, interval_ns=MS, min_decision_interval_ns=MS)
    strategy.want = [Wanted(1, 1000, 10), Wanted(-1, 1010, 10)]
    rows = Rows(delay_ns=MS)
    for at in range(10):
        rows.snapshot(T0 + at * 100 * MS, {1000: 50 + at % 2}, {1010: 50})
    run = a_backtest([Seat(strategy)], rows.packed(), model=model, policy=REQUOTE_ALWAYS).run()
    assert run.market.finished
    assert run.rig.engine.orders.requests > 400


@every_model
def test_many_own_orders_are_handled_in_one_order_on_every_run(model: str) -> None:
    def once() -> bytes:
        strategy = ScriptedStrategy(min_decision_interval_ns=0)
        strategy.on_quote = lambda view: [Wanted(1, int(view.bid_price) - at % 3, 10 + at) for at in range(6)]
        rows = Rows(delay_ns=2 * MS)
        for at in range(120):
            rows.snapshot(T0 + at * 30 * MS, {1000 + at * 7 % 5: 5 + at % 4, 998: 20}, {1006 + at * 3 % 5: 9})
            rows.trade(T0 + at * 30 * MS + 5, -1, 999, 8)
        return bytes(a_backtest([Seat(strategy)], rows.packed(), model=model).run().rig.records().payload)

    assert once() == once()


@every_model
def test_a_delete_at_another_price_leaves_the_queue_alone(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    venue.feed(Rows().depth(T0 + 1, 1, 999, 0).depth(T0 + 2, -1, 1003, 0))
    assert ahead(venue) == 5000


@every_model
def test_cancels_alone_never_fill_an_order(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    rows = Rows()
    for at in range(1, 51):
        rows.depth(T0 + at, 1, 1000, 5000 - at * 100)
    venue.feed(rows)
    assert fills(venue) == []
    assert ahead(venue) == 0


@every_model
def test_what_a_print_took_is_not_counted_again_when_the_level_shows_it(model: str) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    venue.feed(Rows().depth(T0 + 1, 1, 1000, 9000))
    venue.feed(Rows().trade(T0 + 2, -1, 1000, 800).trade(T0 + 2, -1, 1000, 200))
    venue.feed(Rows().depth(T0 + 2, 1, 1000, 8200).depth(T0 + 2, 1, 1000, 8000))
    assert ahead(venue) == 4000
    # also when the next report comes later and shows other things as well
    venue.feed(Rows().trade(T0 + 3, -1, 1000, 500).depth(T0 + 9, 1, 1000, 7900))
    assert ahead(venue) == 3500


@every_model
@settings(max_examples=6)
@given(steps=st.one_of(incremental, repeated))
def test_no_model_fills_liquidity_twice(model: str, steps: list[tuple[object, ...]]) -> None:
    auditor = Auditor("queue")
    auditor.venue = Venue(model, auditor.venue.instrument)
    auditor.run([("snapshot", {99: 5, 98: 5}, {101: 5, 102: 5}), *steps])


changes = st.lists(
    st.one_of(
        st.tuples(st.just("level"), st.integers(0, 60)),
        st.tuples(st.just("print"), st.integers(1, 20)),
        st.tuples(st.just("join"), st.integers(1, 9)),
    ),
    max_size=40,
)


@every_model
@settings(max_examples=10)
@given(steps=changes)
def test_the_size_ahead_never_grows_nor_exceeds_the_level_and_age_keeps_its_place(
    model: str, steps: list[tuple[str, int]]
) -> None:
    venue = Venue(model).feed(Rows().snapshot(T0, {1000: 30}, {1002: 50}))
    known: dict[int, int] = {}
    level, now = 30, T0
    for kind, size in steps:
        now += 1
        if kind == "level":
            venue.feed(Rows().depth(now, 1, 1000, size))
            level = size
        elif kind == "print":
            venue.feed(Rows().trade(now, -1, 1000, size))
        else:
            venue.place(len(known) + 1, 1, 1000, size)
            known[len(known) + 1] = level
        last = 0
        for order_id in known:
            order = order_of(venue, order_id)
            if order.resting:
                assert 0 <= order.ahead <= known[order_id]
                assert kind != "level" or order.ahead <= level
                assert order.ahead >= last, "a younger order stands before an older one"
                known[order_id] = last = int(order.ahead)


# -- how each reads a cancel ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [("queue", 5000), ("power", 4500), ("power2", 4250), ("power3", 4750), ("log", 4500), ("traced", 4750)],
)
def test_a_cancel_of_1000_with_5000_before_and_5000_behind(model: str, expected: int) -> None:
    venue = a_venue(model)
    venue.place(1, 1, 1000, 700)
    venue.feed(Rows().depth(T0 + 1, 1, 1000, 10_000).depth(T0 + 2, 1, 1000, 9000))
    assert ahead(venue) == pytest.approx(expected, abs=1)


def test_fractions_of_a_size_unit_add_up_over_many_small_cancels() -> None:
    venue = Venue("power").feed(Rows().snapshot(T0, {1000: 100}, {1002: 50}))
    venue.place(1, 1, 1000, 10)
    rows = Rows().depth(T0 + 1, 1, 1000, 200)
    for at in range(1, 101):
        rows.depth(T0 + 1 + at, 1, 1000, 200 - at)
    venue.feed(rows)
    assert ahead(venue) == pytest.approx(50, abs=1)  # as many before as behind, all the way down


def test_the_traced_model_knows_newcomers_by_their_size_and_takes_the_newest() -> None:
    venue = a_venue("traced")
    venue.place(1, 1, 1000, 700)
    # three join behind, then leave in another order: nothing before this order moved
    rows = Rows().depth(T0 + 1, 1, 1000, 5300).depth(T0 + 2, 1, 1000, 5400).depth(T0 + 3, 1, 1000, 5700)
    venue.feed(rows.depth(T0 + 4, 1, 1000, 5600).depth(T0 + 5, 1, 1000, 5300).depth(T0 + 6, 1, 1000, 5000))
    assert ahead(venue) == 5000
    # nobody is known to stand behind: a cancel is one before
    venue.feed(Rows().depth(T0 + 7, 1, 1000, 4400))
    assert ahead(venue) == 4400


def test_the_traced_model_forgets_the_oldest_newcomers_only() -> None:
    venue = a_venue("traced")
    venue.place(1, 1, 1000, 700)
    rows, level = Rows(), 5000
    for at in range(MEMORY + 5):
        level += 10 + at
        rows.depth(T0 + 1 + at, 1, 1000, level)
    venue.feed(rows)
    venue.feed(Rows().depth(T0 + 500, 1, 1000, level - 10 - (MEMORY + 4)))
    assert ahead(venue) == 5000
    level -= 10 + MEMORY + 4
    venue.feed(Rows().depth(T0 + 501, 1, 1000, level - 10))  # the first newcomer's size is no longer known
    assert ahead(venue) < 5000


def test_a_reused_slot_starts_with_nobody_behind_it() -> None:
    venue = a_venue("traced")
    venue.place(1, 1, 1000, 700)
    venue.feed(Rows().depth(T0 + 1, 1, 1000, 5300))
    venue.matcher.cancel(T0 + 2, 1)
    slot = 1 << 40 | 1
    venue.place(slot, 1, 1000, 700)
    venue.feed(Rows().depth(T0 + 3, 1, 1000, 5000))
    assert ahead(venue, slot) == 5000
