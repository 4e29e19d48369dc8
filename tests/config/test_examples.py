"""The examples that people copy are right, and the documented defaults are the defaults."""

import tomllib
from decimal import Decimal

from conftest import REPOSITORY
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.router_settings import DEFAULTS, RouterRules
from hatmanifesto.config.settings import Settings, load, parse
from hatmanifesto.journal.reader import decode_columns
from hatmanifesto.model.record import VIEW
from support.known_market import known_market
from support.toy_market import generate

CONFIG = REPOSITORY / "examples" / "config.toml"


def test_the_example_configuration_resolves():
    resolved = resolve(load(CONFIG), generate(seed=1, minutes=1).instruments, {0: 650_000, 1: 32_000})
    assert [type(strategy).__name__ for strategy in resolved.strategies] == ["MyMaker", "MyMaker"]


def test_the_market_maker_of_building_blocks_quotes_and_replays(tmp_path):
    draft = parse(
        {
            "strategies": {"own": {"class": "own_market_maker.py:OwnMarketMaker"}},
            "exchange": {"maker_fee_bps": "0"},
            "risk": {"instrument": {"default": {"max_order_notional": "10000"}}},
        },
        folder=CONFIG.parent,
    )
    run_tape(known_market(a=0.5, k=0.5, sigma=0.3, minutes=4), draft, tmp_path / "journal")
    views = decode_columns(tmp_path / "journal", {VIEW})[VIEW]
    wanted = (views["decision"] >> 24) & 0xFF
    assert (wanted[: len(wanted) // 8] == 0).all()  # nothing is known yet
    assert (wanted[len(wanted) // 2 :] == 2).mean() > 0.8
    assert replay_journal(tmp_path / "journal", str(CONFIG.parent / "own_market_maker.py")).equal


def test_the_values_it_calls_defaults_are_the_defaults():
    shown = load(CONFIG).settings
    standard = Settings()
    for section in ("seed", "account", "engine", "exchange"):
        assert getattr(shown, section) == getattr(standard, section)
    assert shown.risk.account == standard.risk.account
    assert shown.risk.limits_of("ETH") == standard.risk.limits_of("ETH")


def test_every_setting_appears_in_the_example():
    text = CONFIG.read_text(encoding="utf-8")
    raw = tomllib.loads(text, parse_float=Decimal)
    for section in ("account", "engine", "exchange"):
        for name in Settings().as_json()[section]:
            assert name in raw[section] or f"# {name} =" in text, f"{section}.{name} is not in {CONFIG}"
    for part in ("fees", "funding", "margin"):
        for name in Settings().as_json()["exchange"][part]:
            assert name in raw["exchange"][part] or f"# {name} =" in text, f"exchange.{part}.{name} is not in {CONFIG}"
    for name in RouterRules.model_fields:
        assert name in raw["router"] or f"{name} = " in text, name
    own = {name: value for name, value in raw["router"].items() if name not in ("account", "urgency")}
    assert RouterRules.model_validate(own) == RouterRules.model_validate({name: DEFAULTS[name] for name in own})
    assert raw["router"]["urgency"]["normal"] == DEFAULTS["urgency"]["normal"]
    for name in (
        "class",
        "instruments",
        "params",
        "max_notional",
        "triggers",
        "interval",
        "min_decision_interval",
    ):
        assert name in raw["strategies"]["my_maker"]
