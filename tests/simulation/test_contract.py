"""The reference maker contract on small tapes: the whole engine against a slow oracle, to the last lot."""

import pytest

from hatmanifesto.core.maker_router import REQUOTE_ALWAYS
from hatmanifesto.core.market_view import TIMER
from hatmanifesto.core.strategy import Quotes, Strategy, View
from hatmanifesto.strategy.touch_joiner import TouchJoiner
from support.contract import MOST, MS, SIZE, EndState, oracle, small_tape
from support.engines import Backtest, InstrumentLimits, Seat, a_backtest, an_instrument, generous_account


def the_run(strategy: Strategy, rows: bytes, rows_a_chunk: int) -> Backtest:
    strategy.triggers = TIMER
    strategy.interval_ns = 100 * MS
    strategy.min_decision_interval_ns = 0
    limits = InstrumentLimits(
        max_order_size=SIZE, max_order_notional=10**15, max_position=10 * MOST, max_position_notional=10**17
    )
    return a_backtest(
        [Seat(strategy)],
        rows,
        model="reference",
        rows_a_chunk=rows_a_chunk,
        policy=REQUOTE_ALWAYS,
        instruments=[an_instrument(money_scale=9, maker_fee=-50_000, taker_fee=400_000, max_size=4000)],
        account=generous_account(max_account_notional=10**17),
        limits=[limits],
        strategy_notionals=[10**17],
        deposit=10**15,
        max_book_age_ns=3600 * 10**9,
    ).run()


def end_state(run: Backtest) -> EndState:
    position = run.rig.holdings[0].position
    factor = run.rig.instruments[0].notional_factor
    return EndState(
        int(run.market.steps),
        int(run.rig.engine.orders.requests),
        int(position.fills),
        int(position.size),
        int(position.volume),
        int(position.traded) // factor,
        (int(position.realized) - int(position.cost)) // factor,
    )


class Interpreted(Strategy):
    """The same strategy as a user would write it."""

    def quote(self, view: View, quotes: Quotes) -> None:
        if view.position < MOST:
            quotes.bid(view.bid_price, SIZE)
        if view.position > -MOST:
            quotes.ask(view.ask_price, SIZE)


@pytest.mark.parametrize(
    ("seed", "rows", "chunk"), [(1, 20_000, 1000), (2, 4_000, 7), (3, 4_000, 26_000), (4, 4_000, 1)]
)
def test_the_end_state_is_the_oracles(seed: int, rows: int, chunk: int) -> None:
    tape = small_tape(seed, rows)
    expected = oracle(tape)
    assert expected.fills > rows // 500
    assert abs(expected.position) <= MOST + SIZE
    run = the_run(TouchJoiner(SIZE, MOST), tape.packed(), chunk)
    assert end_state(run) == expected
    position = run.rig.holdings[0].position
    factor = int(run.rig.instruments[0].notional_factor)
    assert position.fees == 0
    # the maker fee is a rebate of 0.5 bps on every fill, truncated at 10^-9
    assert 0 <= expected.value * factor * 50_000 // 10**9 - position.rebates < expected.fills
    assert run.rig.engine.orders.faults == 0


def test_a_users_strategy_and_any_chunking_give_the_same_bytes() -> None:
    data = small_tape(5, 3_000).packed()
    journals = [
        bytes(the_run(strategy, data, chunk).rig.records().payload)
        for strategy, chunk in (
            (TouchJoiner(SIZE, MOST), 1000),
            (Interpreted(), 1000),
            (TouchJoiner(SIZE, MOST), 13),
        )
    ]
    assert journals[0] == journals[1] == journals[2]
    assert len(journals[0]) > 20_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
def test_the_end_state_is_the_oracles_on_many_tapes(seed: int) -> None:
    tape = small_tape(seed, 10_000)
    assert end_state(the_run(TouchJoiner(SIZE, MOST), tape.packed(), 997)) == oracle(tape)
