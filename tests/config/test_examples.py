"""The examples that people copy are right, and the documented defaults are the defaults."""

import tomllib
from decimal import Decimal

from conftest import REPOSITORY
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import Settings, load

CONFIG = REPOSITORY / "examples" / "config.toml"


def test_the_example_configuration_resolves():
    resolved = resolve(load(CONFIG), generate(seed=1, minutes=1).instruments, {0: 650_000, 1: 32_000})
    assert [type(strategy).__name__ for strategy in resolved.strategies] == ["MyMaker", "MyMaker"]


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
