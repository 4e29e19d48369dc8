"""Settings become integers for a tape's instruments, checked against 64 bits and the instruments' limits."""

import pytest

from hatmanifesto.config.assembly import assemble
from hatmanifesto.config.plan import plan_from_json
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import load
from hatmanifesto.core.strategy import TIMER
from hatmanifesto.errors import UserError
from hatmanifesto.journal.writer import MemoryJournal
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.ports import OrderGateway

BTC = Instrument("BTC", index=0, price_scale=1, size_scale=5, significant_figures=5, min_notional=10_000_000)
ETH = Instrument("ETH", index=1, price_scale=2, size_scale=4, significant_figures=5, min_notional=10_000_000)
PRICES = {0: 1_100_000, 1: 430_000}


class NoVenue(OrderGateway):
    def place(self, now, order_id, instrument, side, price, size, time_in_force, reduce_only):
        raise AssertionError("nothing is sent here")

    def cancel(self, now, order_id, instrument):
        raise AssertionError("nothing is sent here")

    def query(self, now, order_id, instrument):
        raise AssertionError("nothing is sent here")


def plan_of(*overrides, prices=PRICES):
    return resolve(load(None, list(overrides)), [BTC, ETH], prices).plan


def mistakes(*overrides, prices=PRICES):
    with pytest.raises(UserError) as caught:
        plan_of(*overrides, prices=prices)
    return caught.value.message


def test_the_defaults_trade_about_100_usd_up_to_1000_inside_the_limits():
    plan = plan_of()
    for desk, entry in zip(plan.desks, plan.instruments, strict=True):
        factor = 10 ** (plan.money_scale - entry.price_scale - entry.size_scale)
        value = desk.params["order_size"] * entry.reference_price * factor
        held = desk.params["max_position"] * entry.reference_price * factor
        assert 98_000_000 < value <= 100_000_000
        assert 990_000_000 < held <= 1_000_000_000
        assert value * 5 < entry.max_order_notional
        assert held * 2 < entry.max_position_notional


@pytest.mark.parametrize(
    ("written", "size"),
    [("'0.001 BTC'", 100), ("'0.001 coins'", 100), ("'110 USD'", 100), ("'110.0 USDC'", 100), ("77", 77)],
)
def test_sizes_in_coins_money_or_units(written, size):
    plan = plan_of(f"strategies.a={{instruments=['BTC'], params={{order_size={written}}}}}")
    assert plan.desks[0].params["order_size"] == size


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("risk.instrument.BTCC.leverage=1", "the tape has no such instrument"),
        ("risk.instrument.BTC.max_order_size=99999999", "what BTC allows"),
        ("risk.instrument.BTC.max_position=0.000001", "at most 5 decimals"),
        ("risk.instrument.BTC.leverage=50", "at most 20"),
        ("risk.account.max_leverage=1.234", "at most 2 decimals"),
        ("risk.account.max_account_notional=1e30", "must be at most"),
        ("account.deposit=0.0000001", "at most 6 decimals"),
        ("strategies.a={instruments=['SOL']}", 'strategies.a.instruments = "SOL"'),
        ("strategies.a={class='touchjoiner'}", "did you mean touch_joiner?"),
        ("strategies.a={params={order_size='1 USD'}}", "less than one lot of BTC, which costs 1.1"),
        ("strategies.a={params={order_size='5 apples'}}", "has the unit apples"),
        ("strategies.a={params={size=5}}", "unexpected keyword argument 'size'"),
        ("strategies.a={params={order_size=0}}", "needs a positive order_size"),
        ("exchange.latency_file='nowhere.csv'", "cannot be read"),
    ],
)
def test_what_does_not_fit_the_instruments_is_named(override, words):
    assert words in mistakes(override)


def test_deposit_times_leverage_stays_below_64_bits():
    message = mistakes("account.deposit=40000000000", "risk.account.max_leverage=1000")
    assert "account.deposit = 40000000000: must be at most 4611686018" in message


def test_mistakes_of_the_file_and_of_the_instruments_are_named_together():
    message = mistakes("acount.deposit=1", "risk.instrument.XRP.leverage=1", "engine.max_book_age=3")
    assert message.startswith("the configuration has 3 mistakes")
    for path in ("acount", "risk.instrument.XRP", "engine.max_book_age"):
        assert f"\n  {path}" in message


def test_a_size_in_money_needs_a_price():
    assert "needs a price of BTC" in mistakes(prices={1: 430_000})


def test_an_own_section_overrides_single_keys_of_the_default():
    plan = plan_of("risk.instrument.default.max_position_notional=7000", "risk.instrument.BTC.max_order_notional=300")
    btc, eth = plan.instruments
    assert (btc.max_order_notional, btc.max_position_notional) == (300_000_000, 7_000_000_000)
    assert (eth.max_order_notional, eth.max_position_notional) == (1_000_000_000, 7_000_000_000)


def test_fees_can_be_overridden_and_rebates_are_negative():
    plan = plan_of("exchange.maker_fee_bps=-0.5")
    assert [entry.maker_fee for entry in plan.instruments] == [-50_000, -50_000]
    assert plan.instruments[0].taker_fee == int(BTC.taker_fee)


def test_two_strategies_on_two_instruments_make_four_desks():
    plan = plan_of("strategies.a={class='touch_joiner'}", "strategies.b={class='touch_joiner', max_notional=10}")
    assert [(desk.strategy, desk.instrument) for desk in plan.desks] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert plan.strategies[1].max_notional == 10_000_000


def test_instruments_of_different_money_scales_share_the_finest():
    spot = Instrument("SPOT", index=1, price_scale=4, size_scale=4, money_scale=8, min_notional=100)
    plan = resolve(load(), [BTC, spot], {0: 1_100_000, 1: 10_000}).plan
    assert plan.money_scale == 8
    assert plan.deposit == 10_000 * 10**8
    assert plan.instruments[0].min_notional == 10 * 10**8


def test_a_plan_survives_json_and_assembles():
    resolved = resolve(load(), [BTC, ETH], PRICES)
    plan = plan_from_json(resolved.plan.as_json())
    assert plan == resolved.plan
    assert plan.hash() == resolved.plan.hash()
    session = assemble(plan, resolved.strategies, NoVenue(), MemoryJournal(7), 7)
    assert session.desk_name(1) == "touch_joiner on ETH"
    assert session.portfolio.deposit == 10_000_000_000
    with pytest.raises(ValueError, match="2 desks"):
        assemble(plan, resolved.strategies[:1], NoVenue(), MemoryJournal())


def test_what_a_user_s_class_says_about_its_decisions_reaches_the_clock_in_either_build(tmp_path):
    """Compiled code reads a subclass's attributes beside its base's; the plan's values are what counts."""
    (tmp_path / "slow.py").write_text(
        "from hatmanifesto.core.strategy import TIMER, Strategy\n\n\nclass Slow(Strategy):\n"
        "    triggers = TIMER\n    interval_ns = 7_000_000_000\n    min_decision_interval_ns = 3\n"
    )
    resolved = resolve(load(None, [f"strategies.a={{class='{tmp_path / 'slow.py'}:Slow'}}"]), [BTC], PRICES)
    session = assemble(resolved.plan, resolved.strategies, NoVenue(), MemoryJournal())
    clock = session.clocks[0]
    assert (clock.triggers, clock.interval_ns, clock.min_interval_ns) == (TIMER, 7_000_000_000, 3)


def test_recorded_latency_is_read_and_checked(tmp_path):
    good = tmp_path / "good.csv"
    good.write_text("time_ns,entry_ns,response_ns\n1,2,3\n5,6,7\n")
    plan = plan_of(f"exchange.latency_file='{good}'")
    assert plan.exchange.latency_samples == [(1, 2, 3), (5, 6, 7)]
    for text in ("1,2\n", "5,1,1\n4,1,1\n", "1,-2,3\n", "", "1,2,x\n"):
        bad = tmp_path / "bad.csv"
        bad.write_text(text)
        assert "bad.csv" in mistakes(f"exchange.latency_file='{bad}'")


def test_a_queue_model_and_its_exponent_reach_the_plan_and_only_powers_have_one():
    plan = plan_of("exchange.queue_model='power2'", "exchange.queue_power=1.5")
    assert (plan.exchange.queue_model, plan.exchange.queue_power_thousandths) == ("power2", 1500)
    plan = plan_of("exchange.queue_model='log'", "exchange.queue_power=1.5")
    assert (plan.exchange.queue_model, plan.exchange.queue_power_thousandths) == ("log", 0)
    assert (plan_of().exchange.queue_model, plan_of().exchange.queue_power_thousandths) == ("traced", 3000)
    assert "at most 3 decimals" in mistakes("exchange.queue_model='power'", "exchange.queue_power=1.0001")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["latency_model=lognormal"], "order_entry_latency_p99"),
        (["latency_model=lognormal", "response_latency_p99=5ms", "order_entry_latency_p99=20ms"], "must hold"),
        (["latency_model=lognormal", "latency_floor=10ms", "order_entry_latency_p99=20ms"], "must hold"),
        (["latency_model=sampled"], "is needed by the latency model sampled"),
        (["latency_model=recorded"], "is needed by the latency model recorded"),
        (["latency_model=feed", "latency_file='x.csv'"], "belongs to the latency models recorded and sampled"),
        (["latency_model=sampled", "latency_file='nowhere.csv'"], "cannot be read"),
    ],
)
def test_a_latency_model_says_what_it_needs(overrides, words):
    assert words in mistakes(*(f"exchange.{override}" for override in overrides))


def test_bad_latency_samples_are_refused_with_their_row(tmp_path):
    for text, words in [
        ("entry_ns,response_ns\n1,2\n3,-4\n", "row 2"),
        ("entry_ns,response_ns\n", "no samples"),
        ("entry_ns\n1\n", "cannot be read"),
        ("entry_ns,response_ns\n1,abc\n", "cannot be read"),
        ("entry_ns,response_ns\n1,\n", "row 1"),
    ]:
        bad = tmp_path / "bad.csv"
        bad.write_text(text)
        assert words in mistakes("exchange.latency_model=sampled", f"exchange.latency_file='{bad}'")


def test_a_drawn_latency_reaches_the_plan_in_nanoseconds():
    plan = plan_of(
        "exchange.latency_model=lognormal",
        "exchange.order_entry_latency_p99=50ms",
        "exchange.response_latency_p99=60ms",
        "exchange.latency_floor=2ms",
    ).exchange
    found = (plan.latency_model, plan.entry_ns, plan.entry_p99_ns, plan.response_p99_ns, plan.latency_floor_ns)
    assert found == ("lognormal", 10_000_000, 50_000_000, 60_000_000, 2_000_000)
    assert plan_of().exchange.latency_model == "constant"
