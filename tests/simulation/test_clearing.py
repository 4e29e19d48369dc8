"""The venue's clearing in the replay market: margin on arrival and at the match, funding, liquidation, backstop,
deleveraging, fee tiers; small cases by hand, and a property over random markets."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model import market_row as mr
from hatmanifesto.model.fees import HYPERLIQUID_PERPS, PLAIN_MARKET, AccountFees
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import MarginTable
from hatmanifesto.model.margin_account import MarginAccount, MarginLeg
from hatmanifesto.model.order import (
    BACKSTOP_FILL,
    DELEVERAGE_FILL,
    GOOD_TILL_CANCEL,
    IMMEDIATE_OR_CANCEL,
    LIQUIDATION_FILL,
    POST_ONLY,
)
from hatmanifesto.model.order_state import ACKNOWLEDGE, CONFIRM_CANCEL, REJECT
from hatmanifesto.model.ports import NEVER
from hatmanifesto.model.reasons import REASONS, VENUE_LIQUIDATED, VENUE_MARGIN, VENUE_POSITION_TIER
from hatmanifesto.simulation.clearing import Clearing, ClearingRules
from hatmanifesto.simulation.latency import ConstantLatency
from hatmanifesto.simulation.queue_matcher import QueueMatcher
from hatmanifesto.simulation.wire import EVENT, FILLED, FUNDED, Line
from support.rows import Rows

USD = 1_000_000
S = 1_000_000_000
T0 = 1_700_000_000 * S - 1_700_000_000 * S % (3600 * S)  # on the hour
COIN = 1_000


class Said(NamedTuple):
    """What the venue said, copied from its message."""

    kind: int
    order_id: int
    trigger: int
    reason: int
    instrument: int
    side: int
    price: int
    size: int
    fee: int
    rate: int


class Bench:
    """Coins at 1,000.0 USD a piece (price in tenths, size in thousandths), 10 levels of 100 coins a side."""

    def __init__(
        self,
        deposit: int,
        *,
        leverage: int = 10,
        isolated: bool = False,
        coins: int = 1,
        fees: AccountFees | None = None,
        table: MarginTable | None = None,
        taker_fee: int = 0,
        **rules: int,
    ) -> None:
        self.responses = Line()
        latency = ConstantLatency(0, 0)
        instruments = [
            Instrument(
                f"C{at}", index=at, price_scale=1, size_scale=3, max_price=10**7, max_size=10**6,
                maker_fee=0, taker_fee=taker_fee, max_leverage=40,
            )
            for at in range(coins)
        ]  # fmt: skip
        table = table or MarginTable([(0, 40)])
        legs = [MarginLeg(instrument, table, leverage, isolated) for instrument in instruments]
        self.account = MarginAccount(deposit * USD, legs)
        values = {"margin": True, "partial_notional": 100_000 * USD, **rules}
        self.clearing = Clearing(self.account, ClearingRules(**values), fees, self.responses, latency)  # type: ignore[arg-type]
        self.matchers = [QueueMatcher(instrument, self.responses, latency, True) for instrument in instruments]
        self.clearing.serve(list(self.matchers))
        self.now = T0
        self.ids = 0
        for at in range(coins):
            self.book(at, 10_000)

    def book(self, at: int, price: int, size: int = 100 * COIN, levels: int = 10) -> "Bench":
        bids = {price - 1 - step: size for step in range(levels)}
        asks = {price + 1 + step: size for step in range(levels)}
        for row in Rows(instrument=at).snapshot(self.now, bids, asks).rows:
            self.matchers[at].apply(row.meta, row.price, row.size, self.now)
        return self

    def row(self, kind: int, price: int, size: int = 0, at: int = 0) -> "Bench":
        self.matchers[at].apply(mr.make_meta(kind, 0, mr.CHANNEL_CONTEXT, at), price, size, self.now)
        return self

    def mark(self, price: int, at: int = 0) -> "Bench":
        return self.row(mr.MARK, price, at=at)

    def place(
        self, side: int, price: int, size: int, tif: int = GOOD_TILL_CANCEL, at: int = 0, reduce: bool = False
    ) -> int:
        self.ids += 1
        self.matchers[at].arrive(self.now, self.ids, side, price, size, tif, reduce)
        return self.ids

    def said(self) -> list[Said]:
        found = []
        while self.responses.next_ns != NEVER:
            m = self.responses.take()
            event = m.kind == EVENT
            found.append(
                Said(
                    m.kind, m.order_id, m.trigger if event else 0, m.reason if event else 0,
                    0 if event else m.instrument, 0 if event or m.kind == FUNDED else m.side,
                    0 if event else m.price, 0 if event else m.size, 0 if event else m.fee,
                    m.rate if m.kind == FUNDED else 0,
                )
            )  # fmt: skip
        return found

    def forced(self) -> list[tuple[int, int, int, int]]:
        """(order id, side, price, size) of the fills that no order of ours made."""
        return [(s.order_id, s.side, s.price, s.size) for s in self.said() if s.kind == FILLED and s.order_id < 0]


# -- orders -----------------------------------------------------------------------------------------


def test_an_order_without_margin_is_refused_in_the_venue_s_words() -> None:
    bench = Bench(1_000).mark(10_000)
    kept = bench.place(1, 9_990, 10 * COIN, POST_ONLY)
    refused = bench.place(1, 9_990, 1, POST_ONLY)
    said = bench.said()
    assert [(s.order_id, s.trigger, s.reason) for s in said] == [
        (kept, ACKNOWLEDGE, 0),
        (refused, REJECT, VENUE_MARGIN),
    ]
    assert REASONS[VENUE_MARGIN].message == "Insufficient margin to place order."


def test_before_any_mark_the_book_s_middle_counts() -> None:
    bench = Bench(1_000)
    bench.place(-1, 20_000, 10 * COIN, POST_ONLY)
    bench.place(1, 9_000, 10 * COIN + 1, POST_ONLY)
    assert [s.reason for s in bench.said()] == [VENUE_MARGIN, VENUE_MARGIN]


def test_orders_that_reduce_need_no_margin() -> None:
    bench = Bench(1_000).mark(10_000)
    bench.place(1, 10_001, 10 * COIN - 20)
    bench.mark(9_900)
    bench.said()
    bench.place(-1, 9_999, 5 * COIN)
    bench.place(-1, 9_980, COIN, reduce=True)
    assert REJECT not in [s.trigger for s in bench.said()]


def test_a_position_beyond_its_leverage_s_tier_is_refused() -> None:
    bench = Bench(10**6, leverage=40, table=MarginTable([(0, 40), (50_000 * USD, 20)])).mark(10_000)
    bench.place(1, 10_000, 50 * COIN, POST_ONLY)
    assert [s.reason for s in bench.said()] == [VENUE_POSITION_TIER]


def test_a_resting_order_whose_margin_is_gone_is_cancelled_when_it_would_fill() -> None:
    bench = Bench(1_000, coins=2).mark(10_000).mark(10_000, 1)
    bench.place(1, 10_001, 4 * COIN)
    first = bench.place(1, 9_990, 3 * COIN, POST_ONLY, at=1)
    second = bench.place(1, 9_989, COIN, POST_ONLY, at=1)
    bench.said()
    bench.mark(9_350)  # value 739.6: 374 for the position and 400 for the orders are too much
    assert bench.said() == []
    bench.book(1, 9_985)  # the asks come down through both
    said = bench.said()
    assert [(s.order_id, s.trigger, s.reason) for s in said if s.kind == EVENT][:1] == [
        (first, CONFIRM_CANCEL, VENUE_MARGIN)
    ]
    # the older order's cancel has freed enough for the younger one
    assert [(s.order_id, s.size) for s in said if s.kind == FILLED] == [(second, COIN)]


# -- funding ----------------------------------------------------------------------------------------


def test_funding_is_paid_on_what_is_held_at_the_oracle_price() -> None:
    bench = Bench(10_000, funding_ns=3600 * S)
    bench.place(1, 10_001, 2 * COIN)
    bench.row(mr.ORACLE, 10_010).row(mr.FUNDING, 12_500_000, 3_600)
    bench.said()
    before = bench.account.cross_value()
    bench.row(mr.CLOCK, mr.CLOCK_FUNDING)
    assert bench.said() == [Said(FUNDED, 0, 0, 0, 0, 0, 10_010, 2 * COIN, -25_025, 12_500_000)]
    assert bench.account.cross_value() - before == -25_025
    bench.row(mr.FUNDING, -12_500_000, 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
    assert [s.fee for s in bench.said()] == [25_025]


def test_nothing_held_or_no_rate_pays_nothing() -> None:
    bench = Bench(10_000, funding_ns=3600 * S).mark(10_000)
    bench.row(mr.FUNDING, 12_500_000, 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
    bench.place(1, 10_001, COIN)
    bench.row(mr.FUNDING, 0, 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
    assert [s for s in bench.said() if s.kind == FUNDED] == []


def test_without_an_oracle_the_mark_stands_in_and_without_a_mark_the_middle() -> None:
    for marked, price in ((True, 10_020), (False, 10_000)):
        bench = Bench(10_000, funding_ns=3600 * S)
        bench.place(1, 10_001, COIN)
        if marked:
            bench.mark(10_020)
        bench.row(mr.FUNDING, 10**9, 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
        assert [s.price for s in bench.said() if s.kind == FUNDED] == [price]
        assert bench.account.legs[0].oracle_price == 0


def test_a_rate_of_another_interval_is_paid_in_its_part() -> None:
    bench = Bench(10_000, funding_ns=3600 * S)
    bench.place(-1, 9_999, COIN)
    bench.row(mr.ORACLE, 10_000).row(mr.FUNDING, 100_000_000, 8 * 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
    assert [(s.fee, s.rate) for s in bench.said() if s.kind == FUNDED] == [(12_500, 12_500_000)]


def test_isolated_funding_comes_out_of_the_position() -> None:
    bench = Bench(10_000, isolated=True, funding_ns=3600 * S)
    bench.place(1, 10_001, COIN)
    bench.mark(10_000).row(mr.ORACLE, 10_000).row(mr.FUNDING, 10**9, 3_600).row(mr.CLOCK, mr.CLOCK_FUNDING)
    assert bench.account.leg_equity(0) == 100_010_000 - 100_000 - 1_000_000  # margin, a tick lost, funding
    assert bench.account.raw == 10_000 * USD - 100_010_000


# -- liquidation ------------------------------------------------------------------------------------


def test_below_maintenance_orders_are_cancelled_and_the_position_is_sold_into_the_book() -> None:
    bench = Bench(1_000, leverage=40, taker_fee=450_000).mark(10_000)
    bench.place(1, 10_001, 20 * COIN)
    resting = bench.place(-1, 10_010, COIN, POST_ONLY)
    bench.said()
    bench.book(0, 9_610, size=10 * COIN).mark(9_640)  # value about 260, maintenance 241
    assert bench.said() == []
    bench.mark(9_625)  # about 229 against 240.6
    said = bench.said()
    assert said[0][:4] == (EVENT, resting, CONFIRM_CANCEL, VENUE_LIQUIDATED)
    fills = [s for s in said if s.kind == FILLED]
    assert [(s.order_id, s.side, s.price, s.size) for s in fills] == [
        (LIQUIDATION_FILL, -1, 9_609, 10 * COIN),
        (LIQUIDATION_FILL, -1, 9_608, 10 * COIN),
    ]
    assert [s.fee for s in fills] == [4_324_050, 4_323_600]  # the ordinary taker fee, nothing on top
    assert bench.account.legs[0].position.size == bench.matchers[0].position == 0
    assert bench.clearing.liquidations == 1
    bench.mark(5_000)
    assert bench.said() == []


def test_large_positions_go_a_fifth_first_then_whole() -> None:
    bench = Bench(10_000, leverage=40).mark(10_000)
    bench.place(1, 10_001, 110 * COIN)
    bench.said()
    bench.book(0, 9_200, size=100 * COIN).mark(9_200)  # value about 1,188, maintenance 1,265
    assert bench.forced() == [(LIQUIDATION_FILL, -1, 9_199, 22 * COIN)]
    bench.mark(9_200)  # value 1,186 against 1,012: sound again, and nothing more is sold
    assert bench.forced() == []
    bench.now += 20 * S
    bench.mark(9_174)  # within thirty seconds the next order is for all of it
    assert bench.forced() == [(LIQUIDATION_FILL, -1, 9_199, 78 * COIN), (LIQUIDATION_FILL, -1, 9_198, 10 * COIN)]


def test_after_half_a_minute_a_large_position_is_again_sold_in_part() -> None:
    bench = Bench(20_000, leverage=40).mark(10_000)
    bench.place(1, 10_001, 220 * COIN)
    bench.book(0, 9_200, size=100 * COIN).mark(9_200)
    assert bench.forced() == [(LIQUIDATION_FILL, -1, 9_199, 44 * COIN)]
    bench.now += 31 * S
    bench.mark(9_174)
    assert bench.forced() == [(LIQUIDATION_FILL, -1, 9_199, 35_200)]


def test_below_two_thirds_of_maintenance_the_backstop_takes_position_and_margin() -> None:
    bench = Bench(1_000, leverage=40).mark(10_000)
    bench.place(1, 10_001, 20 * COIN)
    bench.said()
    bench.mark(9_570)  # value about 138 against 239.3 of maintenance
    forced = bench.forced()
    assert [(order_id, side, size) for order_id, side, _, size in forced] == [(BACKSTOP_FILL, -1, 20 * COIN)]
    assert forced[0][2] == 9_501  # the bankruptcy price: 1,000 = 20 x (1,000.1 - 950.1)
    assert bench.account.raw == 0
    assert bench.clearing.backstops == 1


def test_a_book_too_thin_leaves_the_rest_to_the_backstop_and_never_takes_more_than_there_is() -> None:
    bench = Bench(1_000, leverage=40, taker_fee=450_000).mark(10_000)
    bench.place(1, 10_001, 20 * COIN)
    bench.said()
    bench.book(0, 9_515, size=COIN)
    bench.mark(9_620)
    # bids from 9,514 down to the price at which a sale, fee paid, leaves nothing
    forced = bench.forced()
    assert [price for order_id, _, price, _ in forced if order_id == LIQUIDATION_FILL] == [9_514, 9_513, 9_512, 9_511]
    assert bench.account.legs[0].position.size == 16 * COIN
    bench.mark(9_560)
    assert [order_id for order_id, *_ in bench.forced()] == [BACKSTOP_FILL]
    assert bench.account.raw == 0


def test_cross_positions_share_their_margin_and_fall_together() -> None:
    bench = Bench(1_000, leverage=40, coins=2).mark(10_000).mark(10_000, 1)
    bench.place(1, 10_001, 15 * COIN)
    bench.place(-1, 9_999, 15 * COIN, at=1)
    bench.said()
    bench.mark(9_000)  # -1,500 alone would be the end: the other leg is at its mark
    assert {order_id for order_id, *_ in bench.forced()} == {BACKSTOP_FILL}
    assert bench.account.raw == 0
    assert [leg.position.size for leg in bench.account.legs] == [0, 0]


def test_hedged_cross_positions_survive_what_kills_isolated_ones() -> None:
    for isolated in (False, True):
        bench = Bench(1_000, leverage=40, coins=2, isolated=isolated).mark(10_000).mark(10_000, 1)
        bench.place(1, 10_001, 10 * COIN)
        bench.place(-1, 9_999, 10 * COIN, at=1)
        bench.said()
        if isolated:
            bench.mark(9_700)
            assert [order_id for order_id, *_ in bench.forced()] == [BACKSTOP_FILL]
            assert bench.account.legs[1].position.size == -10 * COIN
            assert bench.account.cross_value() == 500 * USD  # less a margin of 250 each
        else:
            bench.mark(9_700).mark(9_700, 1)
            assert bench.forced() == []


def test_the_clock_makes_marks_from_the_book_where_the_tape_has_none() -> None:
    bench = Bench(1_000, leverage=40)
    bench.place(1, 10_001, 20 * COIN)
    bench.said()
    bench.book(0, 9_570)
    assert bench.said() == []
    bench.row(mr.CLOCK, mr.CLOCK_MARK)
    assert [order_id for order_id, *_ in bench.forced()] == [BACKSTOP_FILL]


# -- deleveraging, fees -----------------------------------------------------------------------------


def test_a_violent_move_our_way_closes_a_share_of_the_position_at_the_mark_before() -> None:
    bench = Bench(10_000, deleverage_move=50_000_000, deleverage_percent=25).mark(10_000)
    bench.place(-1, 9_999, 10 * COIN)
    exit_order = bench.place(1, 9_000, 10 * COIN, POST_ONLY, reduce=True)
    bench.said()
    bench.mark(9_600)
    assert bench.forced() == []
    bench.mark(9_490)  # 5.1 % within the minute
    said = bench.said()
    assert [(s.order_id, s.side, s.price, s.size, s.fee) for s in said] == [(DELEVERAGE_FILL, 1, 9_600, 2_500, 0)]
    assert bench.matchers[0].position == -7_500
    bench.now += 61 * S
    bench.mark(9_400)  # a new minute begins
    assert bench.forced() == []
    bench.mark(8_800)
    assert bench.forced() == [(DELEVERAGE_FILL, 1, 9_400, 1_875)]
    bench.mark(10_000)  # against us: nobody else is bankrupt
    assert bench.forced() == []
    assert bench.matchers[0].find(exit_order).resting  # type: ignore[union-attr]


def test_reduce_only_orders_end_with_a_position_that_was_deleveraged_whole() -> None:
    bench = Bench(10_000, deleverage_move=50_000_000).mark(10_000)
    bench.place(1, 10_001, COIN)
    bench.place(-1, 12_000, COIN, POST_ONLY, reduce=True)
    bench.said()
    bench.mark(10_600)
    assert [(s.kind, s.trigger) for s in bench.said()] == [(FILLED, 0), (EVENT, CONFIRM_CANCEL)]


def test_fees_follow_the_account_s_tier() -> None:
    fees = AccountFees(HYPERLIQUID_PERPS, [PLAIN_MARKET], money_unit=USD, volume=6_000_000, maker_share=6_000_000)
    bench = Bench(100_000, fees=fees)
    bench.place(1, 10_001, COIN)
    bench.place(-1, 10_010, COIN, POST_ONLY)
    bench.book(0, 10_012)
    assert [s.fee for s in bench.said() if s.kind == FILLED] == [400_040, -10_010]


@pytest.mark.parametrize("wrong", [{"funding_ns": -1}, {"deleverage_percent": 0}, {"deleverage_move": -1}])
def test_rules_that_make_no_sense_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        ClearingRules(margin=True, **wrong)  # type: ignore[arg-type]


# -- whatever happens -------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("place"), st.integers(0, 1), st.sampled_from([1, -1]), st.integers(-40, 40), st.integers(1, 30),
              st.sampled_from([POST_ONLY, GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL]), st.booleans()),
    st.tuples(st.just("move"), st.integers(0, 1), st.integers(-900, 900), st.integers(1, 12)),
    st.tuples(st.just("fund"), st.integers(0, 1), st.integers(-(4 * 10**10), 4 * 10**10)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)  # fmt: skip


@settings(max_examples=30)
@given(
    st.booleans(), st.sampled_from([5, 20, 40]), st.sampled_from([200, 2_000, 50_000]),
    st.sampled_from([0, 50_000_000]),
    st.lists(STEP, min_size=5, max_size=40),
)  # fmt: skip
def test_cash_is_what_was_said_and_nobody_owes_the_venue(
    isolated: bool, leverage: int, deposit: int, deleverage: int, steps: list[tuple[int, ...]]
) -> None:
    """Cash = deposit + what every message says; positions = fills; after a mark nothing is worth less than nothing."""
    bench = Bench(
        deposit, leverage=leverage, isolated=isolated, coins=2, taker_fee=450_000, funding_ns=3600 * S,
        deleverage_move=deleverage,
    )  # fmt: skip
    middle = [10_000, 10_000]
    for at in (0, 1):
        bench.mark(10_000, at)
    cash, sizes = deposit * USD, [0, 0]
    for step in steps:
        what, at = step[0], step[1]
        if what == "place":
            _, _, side, offset, size, tif, reduce = step
            bench.place(side, middle[at] + offset, size * COIN, tif, at, bool(reduce))
        elif what == "move":
            middle[at] = max(200, middle[at] + step[2])
            bench.book(at, middle[at], step[3] * COIN, levels=4)
            bench.mark(middle[at], at)
            worth = [bench.account.leg_equity(leg) for leg in (0, 1) if isolated]
            assert all(value >= 0 for value in [bench.account.cross_value(), *worth])
            for leg in (0, 1) if isolated else (-1,):
                assert bench.account.standing(leg) != 2 or bench.account.legs[leg].position.size == 0
        elif what == "fund":
            bench.row(mr.ORACLE, middle[at], at=at).row(mr.FUNDING, step[2], 3_600, at)
            bench.row(mr.CLOCK, mr.CLOCK_FUNDING, at=at)
        else:
            bench.now += step[1] * S
        for said in bench.said():
            if said.kind == FILLED:
                cash -= said.side * said.price * said.size * 100 + said.fee
                sizes[said.instrument] += said.side * said.size
            elif said.kind == FUNDED:
                cash += said.fee
        assert bench.account.total_raw() == cash
        assert [leg.position.size for leg in bench.account.legs] == sizes
        assert [matcher.position for matcher in bench.matchers] == sizes
