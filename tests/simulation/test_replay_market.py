"""Time between tape, venue and engine; and the short way through rows against the long one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.core.maker_router import REQUOTE_ALWAYS
from hatmanifesto.core.market_view import BEST_CHANGED, OWN_EVENT, TIMER, TRADED_THROUGH, MarketView
from hatmanifesto.model import market_row as mr
from hatmanifesto.model import record
from hatmanifesto.model.market_row import ROW_WORDS, WORD_LOCAL_TS, row_words
from hatmanifesto.model.ports import NEVER
from hatmanifesto.simulation.latency import ConstantLatency, RecordedLatency
from hatmanifesto.simulation.replay_market import Cursor
from support.engines import MS, T0, S, ScriptedStrategy, Seat, Venue, Wanted, a_backtest, an_instrument
from support.rows import MemoryRows, Row, Rows

prices = st.integers(95, 106)
sides = st.sampled_from([1, -1])
kinds = st.sampled_from([mr.DEPTH] * 8 + [mr.TRADE, mr.BBO, mr.MARK])


@st.composite
def mixed_rows(draw: st.DrawFn) -> Rows:
    """Rows of two instruments in messages of one to four rows."""
    rows = Rows(delay_ns=3)
    now = T0
    for instrument in (0, 1):
        rows.snapshot(now, {100: 5, 99: 5, 97: 5}, {101: 5, 102: 5, 104: 5}, instrument=instrument)
    for _ in range(draw(st.integers(1, 30))):
        now += draw(st.integers(0, 2))
        instrument = draw(st.integers(0, 1))
        kind = draw(kinds)
        count = draw(st.integers(1, 4)) if kind == mr.DEPTH else 1
        for at in range(count):
            more = mr.MORE if at < count - 1 else 0
            size = draw(st.integers(0, 6)) if kind == mr.DEPTH else draw(st.integers(1, 6))
            rows.add(kind, 1, now, draw(sides), draw(prices), size, more, None, instrument)
    return rows


def levels(view: MarketView) -> tuple[object, ...]:
    return (
        view.book.bids.occupied(), view.book.asks.occupied(), view.book_ts_ns, view.trades, view.buy_volume,
        view.sell_volume, view.order_flow_imbalance(), view.mark_price,
    )  # fmt: skip


@settings(max_examples=40)
@given(
    mixed_rows(),
    st.sampled_from([BEST_CHANGED, TRADED_THROUGH, BEST_CHANGED | TRADED_THROUGH, TIMER]),
    st.data(),
)
def test_the_engines_short_way_through_rows_is_the_long_way(rows: Rows, wanted: int, data: st.DataObject) -> None:
    quick, slow = [MarketView(), MarketView()], [MarketView(), MarketView()]
    for index, view in enumerate(quick):
        view.instrument = index
        view.wanted = wanted
        view.own_bid, view.own_ask = 98, 103
        slow[index].own_bid, slow[index].own_ask = 98, 103
    packed = row_words(rows.packed())
    offset, end = 0, len(packed)
    limit = T0 + 3 + data.draw(st.integers(0, 60))
    while offset < end:
        row = rows.rows[offset // ROW_WORDS]
        if row.local_ts > limit:
            break
        index = row.meta >> mr.INSTRUMENT_SHIFT & mr.INSTRUMENT_MASK
        after = quick[index].take_rows(packed, offset, end, limit, WORD_LOCAL_TS)
        assert after > offset
        moved = 0
        for taken in rows.rows[offset // ROW_WORDS : after // ROW_WORDS]:
            assert moved == 0, "a row was taken after one that had moved the market"
            assert taken.local_ts <= limit
            assert taken.meta >> mr.INSTRUMENT_SHIFT == index
            moved = slow[index].apply(taken.meta, taken.price, taken.size, taken.exch_ts) & wanted
        assert quick[index].moved == moved
        offset = after
        for one, other in zip(quick, slow, strict=True):
            assert levels(one) == levels(other)


@pytest.mark.parametrize("model", ["queue", "cross", "reference"])
@settings(max_examples=12)
@given(rows=mixed_rows(), data=st.data())
def test_the_venues_short_way_through_rows_is_the_long_way(model: str, rows: Rows, data: st.DataObject) -> None:
    instrument = an_instrument(price_scale=3, size_scale=3)
    own = [row for row in rows.rows if row.meta >> mr.INSTRUMENT_SHIFT == 0]
    tape = Rows()
    tape.rows = own
    packed = row_words(tape.packed())
    quick, slow = Venue(model, instrument), Venue(model, instrument)
    at = 0
    number = 0
    while at < len(own):
        more = data.draw(st.integers(1, 12))
        upto = min(len(own), at + more)
        offset = at * ROW_WORDS
        while offset < upto * ROW_WORDS:
            # it stops where an answer is due; as the driver does, the answers are taken and it goes on
            offset = quick.matcher.take_rows(packed, offset, upto * ROW_WORDS, NEVER)
            quick.drain()
        for row in own[at:upto]:
            slow.matcher.apply(row.meta, row.price, row.size, row.exch_ts)
        slow.drain()
        quick.now = slow.now = own[upto - 1].exch_ts
        side, price, size = data.draw(sides), data.draw(prices), data.draw(st.integers(1, 9))
        tif = data.draw(st.sampled_from([0, 0, 0, 2]))
        for venue in (quick, slow):
            venue.place(number, side, price, size, tif)
            venue.drain()
        number += 1
        at = upto
    assert quick.answers == slow.answers
    assert quick.matcher.position == slow.matcher.position
    assert quick.matcher.book.bids.occupied() == slow.matcher.book.bids.occupied()


def still_market(seconds: int) -> Rows:
    rows = Rows(delay_ns=MS)
    for at in range(seconds * 10):
        rows.snapshot(T0 + at * 100 * MS, {1000: 50 + at % 2}, {1010: 50})
    return rows


def test_requoting_faster_than_the_round_trip_ends_with_the_data() -> None:
    strategy = ScriptedStrategy(TIMER | OWN_EVENT | BEST_CHANGED, interval_ns=MS, min_decision_interval_ns=MS)
    strategy.want = [Wanted(1, 1000, 10), Wanted(-1, 1010, 10)]
    run = a_backtest([Seat(strategy)], still_market(2).packed(), policy=REQUOTE_ALWAYS).run()
    assert run.market.finished
    assert run.rig.engine.orders.requests > 1000
    assert strategy.seen[-1]["now_ns"] <= T0 + 2 * S + 20 * MS


def test_the_same_run_twice_writes_the_same_bytes() -> None:
    def once(chunk: int) -> bytes:
        strategy = ScriptedStrategy(min_decision_interval_ns=0)
        strategy.on_quote = lambda view: (
            [Wanted(1, int(view.bid_price) - at, 10 + at) for at in range(5)]
            + [Wanted(-1, int(view.ask_price) + at, 10) for at in range(5)]
        )
        rows = Rows(delay_ns=2 * MS)
        for at in range(300):
            rows.snapshot(T0 + at * 30 * MS, {1000 + at * 7 % 5: 5}, {1006 + at * 3 % 5: 9})
            rows.trade(T0 + at * 30 * MS + 5, 1 if at % 3 else -1, 1005, 30)
        return bytes(a_backtest([Seat(strategy)], rows.packed(), rows_a_chunk=chunk).run().rig.records().payload)

    assert once(1000) == once(1000) == once(7)


def test_two_clocks_a_request_meets_the_venues_book_not_the_receivers() -> None:
    """The receiver learns of the drop 30 ms later than the venue; the bid sent meanwhile crosses."""
    strategy = ScriptedStrategy(BEST_CHANGED, min_decision_interval_ns=0)
    strategy.want = [Wanted(1, 1005, 10)]
    rows = Rows(delay_ns=30 * MS).snapshot(T0, {1000: 5}, {1010: 5}).snapshot(T0 + 35 * MS, {1000: 5}, {1004: 5})
    run = a_backtest([Seat(strategy)], rows.snapshot(T0 + S, {1000: 5}, {1004: 5}).packed()).run()
    events = run.rig.records().of(record.ORDER_EVENT)
    assert [(entry.ts_ns - T0) // MS for entry in events] == [50]
    assert events[0].aux & 0xFF == 11
    assert events[0].fields["exch_ts_ns"] == T0 + 40 * MS


def test_answers_never_overtake_and_recorded_latency_is_the_sample_before() -> None:
    latency = RecordedLatency([(T0, 5, 7), (T0 + 10, 50, 70), (T0 + 20, 1, 2)])
    assert [latency.entry_ns(T0 + at) for at in (-5, 0, 9, 10, 19, 20, 99)] == [5, 5, 5, 50, 50, 1, 1]
    assert [latency.response_ns(T0 + at) for at in (0, 10, 20)] == [7, 70, 2]
    for samples in ([], [(2, 1, 1), (1, 1, 1)], [(1, -1, 1)]):
        with pytest.raises(ValueError, match="latency"):
            RecordedLatency(samples)
    with pytest.raises(ValueError, match="negative"):
        ConstantLatency(-1, 0)


def test_an_empty_tape_ends_at_once_and_a_cursor_crosses_chunks() -> None:
    strategy = ScriptedStrategy()
    run = a_backtest([Seat(strategy)], b"")
    assert run.market.finished
    assert not run.market.run(run.rig.engine, 10)
    cursor = Cursor(MemoryRows(still_market(1).packed(), 3), 0, 0)
    assert cursor.next_ns == T0
    assert Row(1, 2, 3, 4, 5).kind == 3
