"""Settings are read exactly, and every mistake in them is named at once."""

from decimal import Decimal
from pathlib import Path

import pytest

from hatmanifesto.config.settings import Settings, load, parse
from hatmanifesto.errors import UserError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_has_a_default():
    draft = load()
    assert draft.problems == []
    assert list(draft.settings.strategies) == ["touch_joiner"]


def test_toml_numbers_and_text_are_the_same_exact_decimal(tmp_path):
    path = written(tmp_path, "[account]\ndeposit = 0.1\n[risk.account]\nmax_leverage = '2.5'\n")
    settings = load(path).settings
    assert settings.account.deposit == Decimal("0.1")
    assert settings.risk.account.max_leverage == Decimal("2.5")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10ms", 10_000_000),
        ("1.5s", 1_500_000_000),
        ("250us", 250_000),
        ("2min", 120_000_000_000),
        ("0ns", 0),
    ],
)
def test_times_carry_their_unit(text, ns):
    draft = load(None, [f"exchange.response_latency={text}"])
    assert (draft.problems, draft.settings.exchange.response_latency) == ([], ns)


@pytest.mark.parametrize(
    ("override", "path", "words"),
    [
        ("acount.deposit=5", "acount", "did you mean account?"),
        ("account.deposits=5", "account.deposits", "did you mean deposit?"),
        (
            "risk.instrument.BTC.max_positions=5",
            "risk.instrument.BTC.max_positions",
            "did you mean max_position?",
        ),
        ("strategies.a.klass='x'", "strategies.a.klass", "did you mean class?"),
        ("account.deposit=-1", "account.deposit", "must not be negative"),
        ("account.deposit=0", "account.deposit", "must be greater than 0"),
        ("account.deposit=nan", "account.deposit", "finite"),
        ("account.deposit='ten'", "account.deposit", "decimal number"),
        ("account.deposit=true", "account.deposit", "decimal number"),
        ("engine.answer_timeout=5", "engine.answer_timeout", '"10ms"'),
        ("engine.answer_timeout='5 parsecs'", "engine.answer_timeout", '"10ms"'),
        ("engine.router='keeep'", "engine.router", "'keep', 'requote_always' or 'expected_value'"),
        ("exchange.feed='live'", "exchange.feed", '"recorded" or a duration'),
        ("exchange.maker_fee_bps=5000", "exchange.maker_fee_bps", "between -1000 and 1000"),
        ("risk.account.max_open_orders=1.5", "risk.account.max_open_orders", "integer"),
        ("strategies.a.triggers=['sometimes']", "strategies.a.triggers.0", "best_changed"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(override, path, words):
    (problem,) = load(None, [override]).problems
    assert problem.path == path
    assert words in problem.allowed


def test_three_mistakes_are_all_three_named_and_the_rest_is_kept(tmp_path):
    path = written(
        tmp_path,
        "[account]\ndeposit = '500'\n[risk.account]\nmax_leverage = -1\n"
        "[engine]\nruter = 'keep'\n[exchange]\norder_entry_latency = 10\n",
    )
    draft = load(path)
    assert {problem.path for problem in draft.problems} == {
        "risk.account.max_leverage",
        "engine.ruter",
        "exchange.order_entry_latency",
    }
    assert draft.settings.account.deposit == 500


@pytest.mark.parametrize(
    ("text", "words"), [("[account\n", "not TOML"), ("a = 1\na = 2\n", "not TOML"), (None, "cannot read")]
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, text, words):
    path = tmp_path / "missing.toml" if text is None else written(tmp_path, text)
    with pytest.raises(UserError, match=words):
        load(path)


@pytest.mark.parametrize("override", ["nothing", "=5", "seed.x=1"])
def test_an_override_without_key_or_value_is_refused(override, tmp_path):
    with pytest.raises(UserError, match="--set"):
        load(written(tmp_path, "seed = 3\n"), [override])


def test_choosing_a_strategy_keeps_its_section_and_drops_the_others(tmp_path):
    path = written(
        tmp_path,
        "[strategies.one]\nclass='touch_joiner'\nparams={order_size=5}\n[strategies.two]\nclass='x.py:X'\n",
    )
    assert load(path, strategy="touch_joiner").settings.strategies.keys() == {"one"}
    assert load(path, strategy="y.py:Other").settings.strategies["Other"].cls == "y.py:Other"


def test_settings_written_as_json_are_read_back_the_same():
    settings = load(None, ["account.deposit=12.340", "exchange.maker_fee_bps=-0.5", "exchange.feed=5ms"]).settings
    again = parse(settings.as_json())
    assert again.problems == []
    assert again.settings == settings
    assert again.settings.as_json() == settings.as_json()
    assert isinstance(again.settings, Settings)


def test_a_class_named_on_the_command_line_finds_its_section_whatever_its_path(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.py").write_text("", encoding="utf-8")
    config = tmp_path / "sub" / "run.toml"
    config.write_text(
        '[strategies.a]\nclass = "mine.py:Mine"\n[strategies.b]\nclass = "mine.py:Other"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    for asked in ("sub/mine.py:Mine", str(tmp_path / "sub" / "mine.py") + ":Mine", "mine.py:Mine"):
        assert load(config, strategy=asked).settings.strategies.keys() == {"a"}, asked
    assert load(config, strategy="elsewhere.py:Mine").settings.strategies.keys() == {"Mine"}
