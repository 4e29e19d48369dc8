"""A strategy is a shipped name or one class in a person's file; what is wrong with the file is said."""

import pytest

from hatmanifesto.config.strategies import load_strategy, make_strategy
from hatmanifesto.errors import UserError
from hatmanifesto.strategy.touch_joiner import TouchJoiner

GOOD = """
from hatmanifesto.core.strategy import Strategy

class Mine(Strategy):
    def __init__(self, order_size=1):
        self.order_size = order_size

    def quote(self, view, quotes):
        pass
"""


def saved(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_shipped_strategy_has_its_source_hash():
    loaded = load_strategy("touch_joiner")
    assert loaded.cls is TouchJoiner
    assert len(loaded.source_hash) == 32
    assert isinstance(make_strategy(loaded, {"order_size": 1, "max_position": 2}), TouchJoiner)


def test_the_only_class_of_a_file_needs_no_name(tmp_path):
    path = saved(tmp_path, GOOD)
    assert load_strategy(str(path)).cls.__name__ == "Mine"
    assert load_strategy("mine.py:Mine", tmp_path).cls.__name__ == "Mine"


def test_the_hash_follows_the_text_not_its_line_ends(tmp_path):
    first = load_strategy(str(saved(tmp_path, GOOD))).source_hash
    (tmp_path / "mine.py").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load_strategy(str(tmp_path / "mine.py")).source_hash == first
    assert load_strategy(str(saved(tmp_path, GOOD + "\n# more\n"))).source_hash != first


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (None, "mine.py:Mine", "does not exist"),
        (GOOD, "mine.py:Mein", "has no class Mein; did you mean Mine?"),
        (GOOD, "mine.py:Strategie", "has no class"),
        ("class Mine: pass", "mine.py:Mine", "is not a strategy"),
        ("x = 5", "mine.py", "no strategy class"),
        (GOOD + GOOD.replace("Mine", "Other"), "mine.py", "the strategies Mine, Other"),
        ("def broken(:", "mine.py:Mine", "line 1"),
        ("1 / 0", "mine.py:Mine", "ZeroDivisionError"),
        ("import no_such_module_here", "mine.py:Mine", "No module named"),
    ],
)
def test_a_file_that_is_no_strategy_is_refused(tmp_path, text, name, words):
    if text is not None:
        saved(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_strategy(name, tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"size": 1}, "unexpected keyword argument 'size'"),
        ({"order_size": None}, "fails: ValueError: no size"),
    ],
)
def test_a_constructor_that_fails_is_refused(tmp_path, params, words):
    text = GOOD.replace("self.order_size = order_size", "if order_size is None: raise ValueError('no size')")
    loaded = load_strategy(str(saved(tmp_path, text)))
    with pytest.raises(UserError) as caught:
        make_strategy(loaded, params)
    assert words in str(caught.value)


def test_a_shipped_strategy_with_floats_takes_its_parameters_by_name() -> None:
    """Compiled, its text signature calls them positional-only."""
    made = make_strategy(load_strategy("market_making"), {"order_size": 5, "max_position": 50, "gamma": 1})
    assert type(made).__name__ == "MarketMaking"
    with pytest.raises(UserError, match="its parameters are order_size, max_position, gamma, a, k, sigma"):
        make_strategy(load_strategy("market_making"), {"order_size": 5, "gama": 1})
