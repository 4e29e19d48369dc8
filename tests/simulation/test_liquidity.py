"""No liquidity is filled twice: random markets and orders against bounds that are reckoned independently."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model import market_row as mr
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import ACKNOWLEDGE, CONFIRM_CANCEL, FIND_OPEN, REJECT
from support.engines import T0, Venue, an_instrument
from support.naive_book import NaiveBook
from support.rows import Row, Rows

PRICES = st.integers(96, 105)
SIDES = st.sampled_from([1, -1])
SIZES = st.integers(1, 9)

levels = st.dictionaries(PRICES, SIZES, max_size=4)
depth_row = st.tuples(st.just("depth"), SIDES, PRICES, st.integers(0, 9))
trade_row = st.tuples(st.just("trade"), st.sampled_from([1, -1, 0]), PRICES, SIZES)
bbo_row = st.tuples(st.just("bbo"), SIDES, PRICES, SIZES)
snapshot = st.tuples(st.just("snapshot"), levels, levels)
place = st.tuples(
    st.just("place"),
    SIDES,
    PRICES,
    SIZES,
    st.sampled_from([POST_ONLY, POST_ONLY, GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL]),
    st.booleans(),
)
cancel = st.tuples(st.just("cancel"), st.integers(0, 20))
incremental = st.lists(st.one_of(depth_row, depth_row, trade_row, place, place, cancel), min_size=5, max_size=60)
repeated = st.lists(st.one_of(snapshot, bbo_row, trade_row, place, place, cancel), min_size=5, max_size=50)


class Own:
    """An own order as the test reckons it from what was placed and answered."""

    def __init__(self, order_id: int, side: int, price: int, size: int, tif: int, reduce_only: bool) -> None:
        self.order_id, self.side, self.price, self.tif, self.reduce_only = (
            order_id,
            side,
            price,
            tif,
            reduce_only,
        )
        self.left = size
        self.rests = False


class Auditor:
    """Drives a venue and checks every fill against what the market ever offered."""

    def __init__(self, model: str) -> None:
        self.venue = Venue(model, an_instrument(price_scale=3, size_scale=3))
        self.model = model
        self.naive = NaiveBook()
        self.shown: dict[tuple[int, int], int] = {}  # all size that was ever added to a level
        self.used: dict[tuple[int, int], int] = {}  # own fills that must have come from levels up to that price
        self.orders: dict[int, Own] = {}
        self.position = 0
        self.clock = T0

    def market(self, rows: Rows) -> None:
        before = {side: dict(levels) for side, levels in self.naive.sides.items()}
        for row in rows.rows:
            self.naive.apply(row)
        for side, book in self.naive.sides.items():
            for price, size in book.items():
                added = size - before[side].get(price, 0)
                if added > 0:
                    self.shown[side, price] = self.shown.get((side, price), 0) + added
        self.venue.feed(rows)
        self.settle(rows.rows[0])

    def settle(self, row: Row | None) -> None:
        """Read the answers and check them; `row` is what happened, None for an own request."""
        printed = 0
        for answer in self.venue.drain():
            own = self.orders[answer.order_id]
            if not answer.filled:
                if answer.trigger in (CONFIRM_CANCEL, REJECT):
                    own.rests = False
                elif answer.trigger == ACKNOWLEDGE:
                    own.rests = True
                continue
            price, size, taker = answer.price, answer.size, answer.taker
            assert answer.side == own.side
            assert 0 < size <= own.left
            if own.reduce_only:
                assert self.position * own.side < 0, "a reduce-only order filled with nothing to reduce"
                assert size <= abs(self.position), "a reduce-only order flipped the position"
            self.check_priority(own)
            own.left -= size
            own.rests = own.rests and own.left > 0
            self.position += own.side * size
            if taker:
                assert row is None
                assert (own.price - price) * own.side >= 0
                assert own.tif != POST_ONLY
                self.use(-own.side, price, size)
            else:
                assert price == own.price, "a maker fills at its own price"
                assert row is not None
                if row.kind == mr.TRADE:
                    printed += size
                    assert (own.price - row.price) * own.side >= 0
                    assert row.side != own.side
                else:
                    self.use(-own.side, own.price, size)
        if row is not None and row.kind == mr.TRADE:
            assert printed <= row.size, "more own fills than the print had"
            assert self.model == "queue" or printed == 0
        assert self.venue.matcher.position == self.position

    def check_priority(self, own: Own) -> None:
        for other in self.orders.values():
            if other.rests and other.side == own.side and not other.reduce_only and own.rests and other is not own:
                assert (own.price - other.price) * own.side >= 0, "a worse price filled first"

    def use(self, side: int, price: int, size: int) -> None:
        """Own fills from levels at `price` or better: never more than was ever shown there."""
        self.used[side, price] = self.used.get((side, price), 0) + size
        for _, bound in [key for key in self.used if key[0] == side]:
            taken = sum(n for (s, p), n in self.used.items() if s == side and (p - bound) * side >= 0)
            offered = sum(n for (s, p), n in self.shown.items() if s == side and (p - bound) * side >= 0)
            assert taken <= offered, f"{taken} filled of {offered} ever shown at {bound} or better"

    def run(self, steps: list[tuple[object, ...]]) -> None:
        for step in steps:
            self.clock += 1
            rows = Rows()
            if step[0] == "place":
                _, side, price, size, tif, reduce_only = step
                own = Own(len(self.orders), side, price, size, tif, reduce_only)  # type: ignore[arg-type]
                self.orders[own.order_id] = own
                self.venue.place(own.order_id, own.side, own.price, own.left, own.tif, own.reduce_only)
                self.settle(None)
            elif step[0] == "cancel":
                self.venue.matcher.cancel(self.venue.now, int(step[1]))  # type: ignore[call-overload]
                for answer in self.venue.drain():
                    assert not answer.filled
                    if answer.trigger == CONFIRM_CANCEL:
                        assert self.orders[answer.order_id].rests
                        self.orders[answer.order_id].rests = False
            else:
                getattr(rows, str(step[0]))(self.clock, *step[1:])
                self.market(rows)
        for own in self.orders.values():
            self.venue.matcher.query(self.venue.now, own.order_id)
            (answer,) = self.venue.drain()
            assert (answer.trigger == FIND_OPEN) == own.rests


@pytest.mark.parametrize("model", ["queue", "cross"])
@settings(max_examples=150)
@given(steps=incremental)
def test_no_liquidity_is_filled_twice_in_an_incremental_book(model: str, steps: list[tuple[object, ...]]) -> None:
    Auditor(model).run([("snapshot", {99: 5, 98: 5}, {101: 5, 102: 5}), *steps])


@pytest.mark.parametrize("model", ["queue", "cross"])
@settings(max_examples=60)
@given(steps=repeated)
def test_no_liquidity_is_filled_twice_when_snapshots_repeat(model: str, steps: list[tuple[object, ...]]) -> None:
    Auditor(model).run([("snapshot", {99: 5, 98: 5}, {101: 5, 102: 5}), *steps])


@pytest.mark.soak
@pytest.mark.parametrize("model", ["queue", "cross"])
@settings(max_examples=10_000)
@given(steps=st.one_of(incremental, repeated))
def test_no_liquidity_is_filled_twice_at_length(model: str, steps: list[tuple[object, ...]]) -> None:
    Auditor(model).run([("snapshot", {99: 5, 98: 5}, {101: 5, 102: 5}), *steps])
