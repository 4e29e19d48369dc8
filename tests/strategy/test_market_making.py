"""market_making: what it quotes, when it does not and why, and that its position limit holds whatever happens."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.config.settings import parse
from hatmanifesto.core.strategy import Quotes, View
from hatmanifesto.journal.reader import JournalReader, decode_columns
from hatmanifesto.model import record
from hatmanifesto.model.holds import (
    HOLD_LIMIT_IN_FLIGHT,
    HOLD_PARAMETERS_IMPLAUSIBLE,
    HOLD_PARAMETERS_UNKNOWN,
    HOLD_POSITION_LIMIT,
)
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.strategy.glft import Glft
from hatmanifesto.strategy.inventory import InventoryLimit
from hatmanifesto.strategy.market_making import MarketMaking
from support.engines import T0, S
from support.known_market import known_market
from support.other_build import replay_in_other_build
from support.toy_market import generate

KNOWN = {"gamma": 0.01, "a": 0.5, "k": 0.2, "sigma": 1.0, "reestimate": False}
ORDER = 100


def btc(maker_fee: int = 150_000, min_notional: int = 0) -> Instrument:
    return Instrument(
        "BTC", price_scale=1, size_scale=5, significant_figures=5, maker_fee=maker_fee, min_notional=min_notional
    )


def a_view(position: int = 0, bid: int = 999_990, ask: int = 1_000_010, instrument: Instrument | None = None) -> View:
    view = View(instrument or btc())
    view.deepen(1, True)
    view.now_ns, view.book_ts_ns, view.position = T0, T0, position
    view.bid_price, view.ask_price, view.bid_size, view.ask_size = bid, ask, 500, 500
    return view


def quoted(strategy: MarketMaking, view: View) -> tuple[dict[int, tuple[int, int]], int]:
    """Return {side: (price, size)} and the reason for what is missing."""
    quotes = Quotes()
    strategy.quote(view, quotes)
    wanted = [quotes.items[at] for at in range(quotes.count)]
    return {int(one.side): (int(one.price), int(one.size)) for one in wanted}, int(quotes.hold_reason)


def test_it_quotes_the_formula_around_the_fair_price_on_the_grid() -> None:
    found, reason = quoted(MarketMaking(ORDER, 1000, **KNOWN), a_view())
    depths = Glft(0.5, 0.2, 1.0, 0.01, -1.0, 1.0, 1.5)
    exact = 1_000_000 * (1 - depths.half_spread / 10_000)
    assert reason == 0
    assert found[1] == (math.floor(exact / 10) * 10, ORDER)
    assert found[-1][0] + found[1][0] == 2_000_000


def test_a_long_position_lowers_both_quotes_in_step_with_its_size() -> None:
    prices = [quoted(MarketMaking(ORDER, 1000, **KNOWN), a_view(position))[0] for position in (-300, 0, 300)]
    for side in (1, -1):
        assert prices[0][side][0] > prices[1][side][0] > prices[2][side][0]
    skew = Glft(0.5, 0.2, 1.0, 0.01, -1.0, 1.0, 1.5).skew
    assert prices[1][1][0] - prices[2][1][0] == pytest.approx(3 * skew / 10_000 * 1_000_000, abs=10)


def test_quotes_never_cross_however_far_inventory_pushes_them() -> None:
    found, _ = quoted(MarketMaking(ORDER, 10**6, **{**KNOWN, "gamma": 1.0}), a_view(10_000))
    assert found[-1][0] == 1_000_000
    assert found[1][0] < 999_000
    # so far that a bid would have no price left
    assert list(quoted(MarketMaking(ORDER, 10**6, **{**KNOWN, "gamma": 1.0}), a_view(500_000))[0]) == [-1]


@pytest.mark.parametrize(
    ("more", "fee", "least_bps"),
    [
        ({"min_spread_ticks": 400}, 150_000, 20.0),
        ({"min_edge_bps": 12.0}, 150_000, 13.5),
        ({"min_edge_bps": 12.0}, -30_000, 11.7),
    ],
)
def test_the_spread_has_a_floor_in_ticks_and_after_the_fee(more: dict[str, float], fee: int, least_bps: float) -> None:
    strategy = MarketMaking(ORDER, 1000, **{**KNOWN, "k": 5.0, "a": 50.0}, **more)
    found, _ = quoted(strategy, a_view(instrument=btc(fee)))
    assert (1_000_000 - found[1][0]) / 100 == pytest.approx(least_bps, abs=0.1)


def test_a_price_that_moved_little_keeps_its_place() -> None:
    strategy = MarketMaking(ORDER, 1000, **KNOWN)
    first, _ = quoted(strategy, a_view())
    half = (1_000_000 - first[1][0]) / 1_000_000
    near = round(0.05 * half * 1_000_000 / 10) * 10
    assert quoted(strategy, a_view(bid=999_990 + near, ask=1_000_010 + near))[0] == first
    far = round(0.5 * half * 1_000_000 / 10) * 10
    assert quoted(strategy, a_view(bid=999_990 + far, ask=1_000_010 + far))[0][1][0] > first[1][0]


# -- when it does not quote -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"a": 0.5, "k": 0.2}, {"sigma": 1.0}])
def test_without_parameters_it_waits_and_says_so(given: dict[str, float]) -> None:
    assert quoted(MarketMaking(ORDER, 1000, 0.01, **given), a_view()) == ({}, HOLD_PARAMETERS_UNKNOWN)


@pytest.mark.parametrize("more", [{"max_half_spread_bps": 3.0}, {"k": 1e-9}, {"k": 2000.0}])
def test_implausible_depths_are_not_quoted(more: dict[str, float]) -> None:
    assert quoted(MarketMaking(ORDER, 1000, **{**KNOWN, **more}), a_view()) == ({}, HOLD_PARAMETERS_IMPLAUSIBLE)


def test_a_full_position_leaves_its_side_out() -> None:
    strategy = MarketMaking(ORDER, 1000, **KNOWN)
    for position, side in ((1000, -1), (1200, -1), (-1000, 1)):
        found, reason = quoted(strategy, a_view(position))
        assert list(found) == [side]
        assert reason == HOLD_POSITION_LIMIT


def test_the_last_quote_before_the_limit_is_what_fits_unless_no_venue_would_take_it() -> None:
    assert quoted(MarketMaking(ORDER, 1000, **KNOWN), a_view(960))[0][1][1] == 40
    dear = btc(min_notional=100_000_000)
    found, reason = quoted(MarketMaking(ORDER, 1000, **KNOWN), a_view(960, instrument=dear))
    assert 1 not in found
    assert reason == HOLD_POSITION_LIMIT


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"order_size": 0}, "order_size"),
        ({"max_position": 50}, "max_position"),
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": math.nan}, "gamma"),
        ({"a": -1.0}, "a must"),
        ({"k": math.inf}, "k must"),
        ({"sigma": -0.1}, "sigma must"),
        ({"xi": -0.5}, "xi"),
        ({"sigma": 0.0}, "without reestimate"),
        ({"horizon": 0}, "horizon_ns"),
        ({"flow_half_life": 0}, "half_life_ns"),
        ({"min_spread_ticks": 0}, "min_spread_ticks"),
        ({"min_edge_bps": math.nan}, "min_edge_bps"),
        ({"max_half_spread_bps": -1.0}, "max_half_spread_bps"),
        ({"keep_share": -0.1}, "keep_share"),
        ({"microprice_weight": math.nan}, "microprice_weight"),
    ],
)
def test_bad_parameters_are_named(changed: dict[str, float], named: str) -> None:
    values = {"order_size": ORDER, "max_position": 1000, **KNOWN, **changed}
    with pytest.raises(ValueError, match=named):
        MarketMaking(**values)  # type: ignore[arg-type]


# -- the limit --------------------------------------------------------------------------------------------------


class Router:
    """A venue and a router at their worst: old orders live on beside new ones, and any of them may fill or go."""

    def __init__(self, limit: InventoryLimit, most: int) -> None:
        self.limit, self.most = limit, most
        self.view = View(btc())
        self.position = 0
        self.orders: list[list[int]] = []  # side, price, size, being cancelled

    def open(self, side: int) -> int:
        return sum(order[2] for order in self.orders if order[0] == side)

    def decide(self, side: int, price: int, wanted: int) -> None:
        view = self.view
        view.position, view.open_buy_size, view.open_sell_size = self.position, self.open(1), self.open(-1)
        size = int(self.limit.size(view, side, price, wanted))
        matched = 0
        for order in self.orders:
            if order[0] == side and not order[3]:
                if order[1] == price and matched + order[2] <= size:
                    matched += order[2]
                else:
                    order[3] = True
        if size > matched:
            self.orders.append([side, price, size - matched, False])

    def worst(self) -> int:
        return max(self.position + self.open(1), -self.position + self.open(-1))


@settings(max_examples=100)
@given(st.data())
def test_no_order_of_fills_cancels_and_rejections_breaks_the_limit(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 40))
    venue = Router(InventoryLimit(most), most)
    wanted = data.draw(st.integers(1, 40))
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.integers(0, 4))
        if step < 2 or not venue.orders:
            venue.decide(data.draw(st.sampled_from((1, -1))), data.draw(st.integers(100, 103)), wanted)
        else:
            order = venue.orders[data.draw(st.integers(0, len(venue.orders) - 1))]
            if step == 2:  # rejected, or its cancel confirmed
                venue.orders.remove(order)
            else:
                filled = order[2] if step == 3 else data.draw(st.integers(1, order[2]))
                venue.position += order[0] * filled
                order[2] -= filled
                if order[2] == 0:
                    venue.orders.remove(order)
        assert venue.worst() <= most


def test_near_the_limit_a_quote_waits_until_the_old_one_is_gone() -> None:
    limit, view = InventoryLimit(150), View(btc())
    assert limit.size(view, 1, 1000, 100) == 100
    view.open_buy_size = 100
    assert limit.size(view, 1, 1000, 100) == 100  # unchanged: kept
    assert limit.size(view, 1, 1010, 100) == 0
    assert limit.reason == HOLD_LIMIT_IN_FLIGHT
    view.open_buy_size = 0
    assert limit.size(view, 1, 1010, 100) == 100
    view.position = 100
    assert limit.size(view, 1, 1010, 100) == 50
    with pytest.raises(ValueError, match="max_position"):
        InventoryLimit(0)


# -- whole runs -------------------------------------------------------------------------------------------------


def a_run(path: Path, params: dict[str, object], minutes: int = 2, seed: int = 8) -> Path:
    strategies = {"maker": {"class": "market_making", "params": params}}
    tape = generate(seed=seed, minutes=minutes, instruments=("BTC",))
    run_tape(tape, parse({"strategies": strategies, "exchange": {"maker_fee_bps": "0"}}), path)
    return path


def test_a_whole_run_keeps_the_limit_and_replays_to_the_bit(tmp_path: Path) -> None:
    params = {
        "order_size": "0.01 BTC", "max_position": "0.014 BTC", "gamma": 1e-6, "a": 5.0, "k": 40.0, "sigma": 1.0,
        "reestimate": False, "keep_share": 0.0,
    }  # fmt: skip
    journal = a_run(tmp_path / "journal", params)
    position, fills = 0, 0
    with JournalReader(journal) as reader:
        for entry in reader.records(kinds={record.FILL}):
            position += entry.values[6] * entry.values[2]
            fills += 1
            assert abs(position) <= 1400
    assert fills > 20
    outcome = replay_journal(journal)
    assert outcome.equal
    assert outcome.strategies == {"maker": "market_making, run again"}


def test_estimates_replay_to_the_bit_and_begin_after_enough_was_seen(tmp_path: Path) -> None:
    tape = known_market(a=0.5, k=0.5, sigma=0.2, minutes=5)
    params = {"order_size": "0.001 BTC", "max_position": "0.01 BTC", "gamma": 0.001, "min_edge_bps": -5.0}
    draft = parse({"strategies": {"maker": {"class": "market_making", "params": params}}})
    prepared, _ = run_tape(tape, draft, tmp_path / "journal")
    strategy = prepared.session.strategies[0]
    assert isinstance(strategy, MarketMaking)
    views = decode_columns(tmp_path / "journal", {record.VIEW})[record.VIEW]
    reasons = (views["decision"] >> 32) & 0xFF
    began = int((reasons != HOLD_PARAMETERS_UNKNOWN).argmax())
    assert (reasons[:began] == HOLD_PARAMETERS_UNKNOWN).all()
    assert 30 * S < views["ts_ns"][began] - views["ts_ns"][0] < 120 * S
    assert (reasons[began:] == 0).mean() > 0.95
    assert replay_journal(tmp_path / "journal").equal


def test_decisions_are_the_same_to_the_bit_compiled_and_interpreted(tmp_path: Path) -> None:
    """Logarithms, roots and sums of both builds, from estimates to quotes, in one journal."""
    tape = known_market(a=0.5, k=0.5, sigma=0.2, noise=0.1, minutes=3)
    params = {"order_size": "0.001 BTC", "max_position": "0.01 BTC", "gamma": 0.001, "flow_bps": 0.05}
    run_tape(tape, parse({"strategies": {"maker": {"class": "market_making", "params": params}}}), tmp_path / "journal")
    assert replay_in_other_build(tmp_path / "journal") == "market_making, run again"


def test_the_online_estimates_are_the_batch_ones_when_nothing_is_forgotten(tmp_path: Path) -> None:
    from hatmanifesto.backtest.calibration.calibrate import calibrate_tape

    tape = known_market(a=0.5, k=0.5, sigma=0.3, noise=0.05, minutes=10, seed=2)
    params = {"order_size": "0.001 BTC", "max_position": "0.01 BTC", "gamma": 0.001, "half_life": 0}
    draft = parse({"strategies": {"maker": {"class": "market_making", "params": params}}})
    prepared, _ = run_tape(tape, draft, tmp_path / "journal")
    online = prepared.session.strategies[0]
    assert isinstance(online, MarketMaking)
    (batch,) = calibrate_tape(tape, [], horizon_ns=S).found
    # windows begin 100 ms apart from each other, so the same trades fall into others: within the stated error
    assert online.k == pytest.approx(batch.k.value, rel=0.06)
    assert online.a == pytest.approx(batch.a.value, rel=0.06)
    assert online.sigma == pytest.approx(batch.volatility.sigma.value, rel=0.03)


def test_a_plan_with_these_parameters_is_plain_json(tmp_path: Path) -> None:
    journal = a_run(tmp_path / "journal", {"order_size": "0.001 BTC", "max_position": "0.01 BTC", "gamma": 1}, 1)
    with JournalReader(journal) as reader:
        opening = json.loads(next(reader.records(kinds={record.SESSION})).payload)
    assert opening["plan"]["desks"][0]["traded_range"] is True
    assert opening["plan"]["desks"][0]["params"]["gamma"] == 1
