"""Each rule of the expected-value router by hand-made numbers."""

import math
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.core.portfolio import Desk, Holding
from hatmanifesto.core.routing.budget import TokenBucket
from hatmanifesto.core.routing.estimates import AdverseSelection, Average, MarketEstimates, Odds
from hatmanifesto.core.routing.exits import ExitGuard
from hatmanifesto.core.routing.fixed_point import PPB, PPM, beyond, bounded, exp_neg, root, share
from hatmanifesto.core.routing.intents import cap_price, improved_price, next_change, stage_at, touch_price
from hatmanifesto.core.routing.queue_tracker import ahead_at, shown_at
from hatmanifesto.core.routing.rules import Rules, UrgencyRules
from hatmanifesto.core.routing.shaping import add_layers, passive_price, skew_of
from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.model.routing import (
    EXIT_DONE,
    IMPROVING,
    PASSIVE,
    STOP_LOSS,
    TAKE_PROFIT,
    TAKER,
    TOUCH,
    VERDICTS,
)
from support.engines import MS, T0, S, an_instrument

MINUTE = 60 * S


def a_view(
    bid: int = 1000, ask: int = 1010, bid_size: int = 50, ask_size: int = 50, now: int = T0, **more: int
) -> View:
    view = View(an_instrument())
    view.now_ns = now
    view.book_ts_ns = now
    view.bid_price, view.ask_price, view.bid_size, view.ask_size = bid, ask, bid_size, ask_size
    view.mark_price = (bid + ask) // 2
    for name, value in more.items():
        setattr(view, name, value)
    return view


# -- fixed point --------------------------------------------------------------------------------------------


@given(st.integers(-PPM, 21 * PPM))
def test_exp_neg_is_within_two_millionths(x: int) -> None:
    getcontext().prec = 40
    exact = float((-Decimal(max(0, x)) / PPM).exp() * PPM)
    assert abs(exp_neg(x) - exact) <= 2.01


@given(st.integers(0, 19 * PPM), st.integers(1, PPM))
def test_exp_neg_never_rises(x: int, step: int) -> None:
    assert exp_neg(x + step) <= exp_neg(x)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1, 3, 333_333), (-1, 3, -333_333), (5, 0, 0), (7, -2, 0), (0, 9, 0), (3, 1, 3 * PPM)],
)
def test_share_truncates_toward_zero(part: int, whole: int, expected: int) -> None:
    assert share(part, whole, PPM) == expected


@given(st.integers(0, 1 << 200))
def test_root_is_exact(value: int) -> None:
    assert root(value) == math.isqrt(value)
    assert root(-value - 1) == 0
    assert abs(bounded(value, 10)) <= 10


# -- budgets ------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_then_one_a_refill() -> None:
    bucket = TokenBucket(60, 3)  # one a second
    bucket.refill(T0)
    for left in (2, 1, 0):
        assert bucket.has_one()
        bucket.take()
        assert bucket.tokens() == left
    bucket.refill(T0 + S - 1)
    assert not bucket.has_one()
    bucket.refill(T0 + S)
    assert bucket.has_one()
    bucket.refill(T0 + 3600 * S)
    assert bucket.tokens() == 3


def test_a_bucket_without_refill_is_used_up_and_one_without_limit_never_is() -> None:
    never, always = TokenBucket(0, 1), TokenBucket(-1, 0)
    for now in (T0, T0 + 3600 * S):
        never.refill(now)
        always.refill(now)
        assert always.has_one()
        never.take()
        always.take()
    assert not never.has_one()
    assert (never.tokens(), always.tokens()) == (0, -1)


@given(st.integers(1, 600), st.integers(1, 20), st.lists(st.integers(0, 5 * S), max_size=60))
def test_a_bucket_never_gives_more_than_burst_and_refill(per_minute: int, burst: int, steps: list[int]) -> None:
    bucket = TokenBucket(per_minute, burst)
    now, taken = T0, 0
    bucket.refill(now)
    for step in steps:
        now += step
        bucket.refill(now)
        if bucket.has_one():
            bucket.take()
            taken += 1
    assert taken <= burst + (now - T0) * per_minute // MINUTE + 1


# -- estimates ----------------------------------------------------------------------------------------------


def chance(market: MarketEstimates, side: int, ahead: int, horizon: int, scale: int = PPM, price: int = 0) -> int:
    price = price or (1000 if side > 0 else 1010)
    return market.fill_chance(side, price, 1, ahead, 10, horizon, scale)


def either(traded: float, through: float) -> float:
    return PPM * (1 - (1 - traded) * (1 - through))


def test_the_fill_chance_follows_flow_queue_horizon_and_volatility() -> None:
    market = MarketEstimates(30 * S, 10 * S)
    market.take(a_view())
    # nothing known yet: 50 shown trade once in 10 s, so 50 of volume in 10 s: exp(-(ahead + size) / 50); and the mid
    # moves by the spread of 10 in 10 s, which an order 5 behind it and a tick more is reached by with 2 Phi(-0.6)
    through = math.erfc(0.6 / math.sqrt(2))
    longer = math.erfc(0.6 / 2)
    for ahead, horizon, scale, expected in (
        (40, 10, PPM, either(math.exp(-1), through)),
        (0, 10, PPM, either(math.exp(-0.2), through)),
        (40, 20, PPM, either(math.exp(-0.5), longer)),
        (40, 10, 2 * PPM, either(math.exp(-0.5), through)),
    ):
        for side in (1, -1):
            assert chance(market, side, ahead, horizon * S, scale) == pytest.approx(expected, abs=0.016 * PPM)
    # deeper is reached less, before the mid at once
    assert chance(market, 1, 40, 10 * S, price=980) < chance(market, 1, 40, 10 * S, price=990)
    assert chance(market, 1, 40, 10 * S, price=1007) == PPM
    # 300 sold in 7.5 s beside the prior's 37.5 in 7.5 s: bids are hit more, asks still by the prior alone
    before = chance(market, 1, 40, 10 * S)
    market.take(a_view(now=T0 + 7_500 * MS, sell_volume=300))
    assert chance(market, 1, 40, 10 * S) > before > chance(market, -1, 40, 10 * S)


@pytest.mark.parametrize("gate", [0, 100_000, 500_000, 900_000, 990_000, 999_000])
def test_the_fill_chance_can_reach_every_gate_below_certainty(gate: int) -> None:
    market = MarketEstimates(30 * S, 10 * S)
    market.take(a_view())
    reached = [chance(market, 1, 40, horizon * S // 100) for horizon in (1, 100, 10_000, 1_000_000, 100_000_000)]
    assert reached == sorted(reached)
    assert reached[-1] > gate
    assert reached[0] < 10_000
    odds = Odds(20)
    for _ in range(400):
        odds.observe(950_000, True)
    assert odds.corrected(950_000) > 990_000


def test_a_class_of_chances_that_always_missed_is_tried_again_in_time() -> None:
    odds = Odds(20)
    for _ in range(300):
        odds.observe(950_000, False)
    assert odds.corrected(950_000) < 100_000
    for _ in range(200):
        odds.forget(950_000)  # not put to the test, since taking looked better
    assert odds.corrected(950_000) > 800_000


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_chance_of_being_reached_is_that_of_the_reflection_principle(distance: int, deviation: int) -> None:
    exact = PPM * math.erfc(distance / deviation / math.sqrt(2))
    assert abs(beyond(distance, deviation) - exact) <= 0.016 * PPM
    assert beyond(-distance, deviation) == PPM
    assert beyond(distance + 1, 0) == 0


def test_without_flow_or_horizon_nothing_fills() -> None:
    market = MarketEstimates(30 * S, 10 * S)
    assert chance(market, 1, 0, 10 * S) == 0
    market.take(a_view())
    assert chance(market, 1, 0, 0) == 0


@pytest.mark.parametrize(("bids", "asks", "lean"), [(50, 50, 0), (100, 0, 10), (0, 100, -10), (75, 25, 5)])
def test_prices_lean_with_the_imbalance(bids: int, asks: int, lean: int) -> None:
    market = MarketEstimates(30 * S, 10 * S)
    market.take(a_view(bid_size=bids, ask_size=asks))
    assert market.lean(10_000_000) == lean  # 1 % of 1005 at an imbalance of one


def test_volatility_grows_with_the_root_of_time() -> None:
    market = MarketEstimates(30 * S, 10 * S)
    for step in range(200):
        market.take(a_view(bid=1000 + 10 * (step % 2), ask=1010 + 10 * (step % 2), now=T0 + step * S))
    # the mid moves by 10 each second: deviation of 10 s is 10 x sqrt(10) = 31.6 on a mid of 1005 or 1015
    assert market.deviation(10 * S) == pytest.approx(31.6 / 1010 * PPB, rel=0.12)
    assert market.deviation(40 * S) == pytest.approx(2 * market.deviation(10 * S), rel=0.001)


@pytest.mark.parametrize(
    ("side", "price", "saved", "edge"),
    [(1, 1000, 10, 5), (1, 1005, 5, 0), (-1, 1010, 10, 5), (-1, 1005, 5, 0), (1, 990, 20, 15)],
)
def test_saved_is_the_distance_to_the_opposite_best(side: int, price: int, saved: int, edge: int) -> None:
    market = MarketEstimates(30 * S, 10 * S)
    market.take(a_view())
    assert market.distance(side, price) == saved * PPB // 1005
    assert market.edge_to_mid(side, price) == edge * PPB // 1005
    assert market.spread() == 10 * PPB // 1005


def test_an_average_moves_from_its_prior_to_what_is_seen() -> None:
    mean = Average(1000, 4)
    assert mean.value() == 1000
    for _ in range(4):
        mean.observe(-1000)
    assert mean.value() == 0
    for _ in range(2_000):
        mean.observe(-1000)
    assert -1000 <= mean.value() < -950


def test_adverse_selection_is_the_mids_move_against_the_fill_after_the_markout() -> None:
    adverse = AdverseSelection(0, 0, 5 * S)
    adverse.note_fill(T0, 1, 2000)
    adverse.note_fill(T0, -1, 2000)
    adverse.take(T0 + 5 * S - 1, 1000)
    assert adverse.mean.count == 0
    adverse.take(T0 + 5 * S, 1998)  # down by 0.1 %: bad for the buy, good for the sell
    assert (adverse.mean.count, adverse.mean.total) == (2, 0)
    adverse.note_fill(T0, 1, 2000)
    adverse.take(T0 + 5 * S, 1998)
    assert adverse.mean.total == PPB // 1000


# -- stages and prices --------------------------------------------------------------------------------------

NORMAL = UrgencyRules(
    improve_after_ns=10 * S, touch_after_ns=20 * S, take_after_ns=60 * S, cap_ppb=1_000_000, weight_percent=100
)


@pytest.mark.parametrize(
    ("age", "stage"),
    [(0, PASSIVE), (10 * S - 1, PASSIVE), (10 * S, IMPROVING), (20 * S, TOUCH), (60 * S, TAKER), (999 * S, TAKER)],
)
def test_age_escalates(age: int, stage: int) -> None:
    assert stage_at(age, NORMAL) == stage


@pytest.mark.parametrize(
    ("age", "due"),
    [(0, 10 * S), (10 * S, 11 * S), (15 * S + 1, 16 * S), (19_999 * MS, 20 * S), (20 * S, 60 * S), (60 * S, -T0)],
)
def test_the_next_change_by_age_is_known(age: int, due: int) -> None:
    assert next_change(T0, T0 + age, NORMAL) == T0 + due


@pytest.mark.parametrize(
    ("wanted", "touch", "age", "side", "price"),
    [
        (990, 1000, 10 * S, 1, 991),
        (990, 1000, 15 * S, 1, 996),
        (990, 1000, 19 * S, 1, 1000),
        (1020, 1010, 15 * S, -1, 1014),
        (1000, 1000, 15 * S, 1, 1000),
        (1005, 1000, 15 * S, 1, 1005),
    ],
)
def test_improving_goes_in_ten_steps_to_the_touch(wanted: int, touch: int, age: int, side: int, price: int) -> None:
    assert improved_price(wanted, touch, age, NORMAL, 1, side) == price


@pytest.mark.parametrize(
    ("bid", "ask", "side", "own", "inside", "price"),
    [
        (1000, 1010, 1, 0, True, 1001),
        (1000, 1010, 1, 0, False, 1000),
        (1000, 1010, -1, 0, True, 1009),
        (1000, 1001, 1, 0, True, 1000),  # no room
        (1000, 1010, 1, 1001, True, 1001),  # our own order is there already
        (1001, 1010, 1, 1001, True, 1001),  # and is the best: it is not outbid by ourselves
        (1003, 1010, 1, 1001, True, 1004),  # others are before it
        (1000, 1010, -1, 1009, True, 1009),
    ],
)
def test_the_touch_is_inside_a_wide_spread_and_never_outbids_itself(
    bid: int, ask: int, side: int, own: int, inside: bool, price: int
) -> None:
    assert touch_price(an_instrument(), a_view(bid, ask), side, own, inside) == price


@pytest.mark.parametrize(
    ("side", "twice_mid", "cap_ppb", "price"),
    [(1, 2010, 1_000_000, 1006), (-1, 2010, 1_000_000, 1004), (1, 2010, 10_000_000, 1015), (-1, 2010, 10_000_000, 995)],
)
def test_the_cap_is_rounded_toward_the_mid(side: int, twice_mid: int, cap_ppb: int, price: int) -> None:
    assert cap_price(an_instrument(), side, twice_mid, cap_ppb) == price


def test_ages_out_of_sequence_are_refused() -> None:
    with pytest.raises(ValueError, match="improve first"):
        UrgencyRules(improve_after_ns=2, touch_after_ns=1, take_after_ns=3, cap_ppb=1, weight_percent=1)


# -- shape --------------------------------------------------------------------------------------------------


def a_desk(size: int = 0, cost: int | None = None, **instrument: int) -> Desk:
    holding = Holding(an_instrument(**instrument), 10)
    desk = Desk(0, 0, holding)
    desk.position.size = size
    desk.position.cost = size * 1000 * int(holding.factor) if cost is None else cost
    return desk


@pytest.mark.parametrize(
    ("position", "rate", "intervals", "shift"),
    [
        (0, 0, 0, 0),
        (100, 0, 0, -4),
        (-50, 0, 0, 2),
        (100_000, 0, 0, -10),  # bounded
        (0, 1_000_000, 2, -2),  # longs pay 0.1 % twice on 1005: two units down
        (0, -1_000_000, 2, 2),
        (-50, 1_000_000, 2, 0),
    ],
)
def test_quotes_lean_against_inventory_and_funding(position: int, rate: int, intervals: int, shift: int) -> None:
    rules = Rules()
    rules.inventory_skew_ticks = 4
    rules.inventory_skew_size = 100
    rules.funding_skew_intervals = intervals
    desk = a_desk(position)
    desk.holding.funding_rate = rate
    assert skew_of(rules, desk, a_view(), 0) == shift


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [(1, 1000, 1000), (1, 1009, 1009), (1, 1010, 1009), (1, 2000, 1009), (-1, 1000, 1001), (-1, 1011, 1011), (1, 0, 0)],
)
def test_a_passive_price_never_reaches_the_opposite_best(side: int, price: int, expected: int) -> None:
    assert passive_price(an_instrument(), a_view(), side, price) == expected


def layers_of(percents: list[int], size: int, shift: int = 0, **instrument: int) -> list[tuple[int, int]]:
    rules = Rules()
    rules.layer_percents = percents
    rules.layer_spacing_ticks = 2
    wanted, routed = Quotes(), Quotes()
    wanted.bid(1000, size)
    add_layers(rules, a_desk(**instrument), a_view(), wanted.items[0], shift, routed)
    return [(int(routed.items[at].price), int(routed.items[at].size)) for at in range(int(routed.count))]


def test_one_quote_becomes_layers_of_the_whole_size() -> None:
    assert layers_of([100], 100) == [(1000, 100)]
    assert layers_of([50, 30, 20], 100) == [(1000, 50), (998, 30), (996, 20)]
    assert layers_of([50, 30, 20], 7) == [(1000, 4), (998, 2), (996, 1)]
    assert layers_of([50, 50], 100, shift=-5) == [(995, 50), (993, 50)]
    assert layers_of([50, 50], 100, shift=500) == [(1009, 50), (1007, 50)]


def test_a_layer_below_the_venues_minimum_goes_to_the_first() -> None:
    # 20 x 998 x 100 is below the minimum notional
    assert layers_of([50, 30, 20], 100, min_notional=2_500_000) == [(1000, 70), (998, 30)]
    assert layers_of([50, 50], 10, lot_size=10) == [(1000, 10)]


# -- queue --------------------------------------------------------------------------------------------------


def test_what_is_ahead_counts_better_levels_and_the_level_itself() -> None:
    view = a_view()
    view.deepen(3)
    for word, value in enumerate((999, 30, 1011, 5, 997, 20, 1015, 7)):
        view.set_deeper(word, value)
    assert [ahead_at(view, 1, price) for price in (1001, 1000, 999, 998, 997)] == [0, 50, 80, 80, 100]
    assert ahead_at(view, 1, 995) == 100 + 2 * 50  # two ticks beyond the view, as if each held the best's size
    assert [ahead_at(view, -1, price) for price in (1009, 1010, 1011, 1015)] == [0, 50, 55, 62]
    assert [shown_at(view, 1, price) for price in (1001, 1000, 999, 998, 990)] == [0, 50, 30, 0, -1]


# -- exits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "mark", "limits", "state"),
    [
        (10, 990, {"stop_loss_ppb": 10_000_000}, STOP_LOSS),  # 1 % down
        (10, 991, {"stop_loss_ppb": 10_000_000}, 0),
        (-10, 1010, {"stop_loss_ppb": 10_000_000}, STOP_LOSS),
        (-10, 990, {"stop_loss_ppb": 10_000_000}, 0),
        (10, 990, {"stop_loss": 10_000}, STOP_LOSS),  # 10 x 10 x 100 money units
        (10, 990, {"stop_loss": 10_001}, 0),
        (10, 1010, {"take_profit": 10_000}, TAKE_PROFIT),
        (-10, 990, {"take_profit_ppb": 10_000_000}, TAKE_PROFIT),
        (10, 990, {}, 0),
        (0, 990, {"stop_loss": 1}, 0),
        (10, 0, {"stop_loss": 1}, 0),  # no mark, no verdict
    ],
)
def test_a_desk_leaves_at_its_limits(size: int, mark: int, limits: dict[str, int], state: int) -> None:
    rules = Rules()
    for name, value in limits.items():
        setattr(rules, name, value)
    guard = ExitGuard(rules)
    assert guard.check(a_desk(size), a_view(mark_price=mark)) == state
    assert guard.state == state


def test_an_exit_fires_once_lasts_until_flat_and_pauses() -> None:
    rules = Rules()
    rules.stop_loss = 1
    rules.reenter_after_ns = 60 * S
    guard = ExitGuard(rules)
    desk = a_desk(10)
    assert guard.check(desk, a_view(mark_price=990)) == STOP_LOSS
    assert guard.check(desk, a_view(mark_price=980)) == 0
    assert guard.check(desk, a_view(mark_price=1100)) == 0  # it does not change its mind
    assert guard.reducing_only(T0)
    desk.position.size = 0
    assert guard.check(desk, a_view(mark_price=1000)) == EXIT_DONE
    assert guard.check(desk, a_view(mark_price=1000)) == 0
    assert guard.reducing_only(T0 + 60 * S - 1)
    assert not guard.reducing_only(T0 + 60 * S)


def test_verdicts_have_distinct_keys() -> None:
    assert len({verdict.key for verdict in VERDICTS.values()}) == len(VERDICTS)
