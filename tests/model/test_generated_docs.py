"""The pages made from the code are the code's, and the catalogue of reasons is whole."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hatmanifesto.model import reasons
from hatmanifesto.model.reasons import REASONS, explain

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate_docs"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["order-lifecycle.md", "refusals.md"])
def test_the_page_has_not_drifted_from_the_code(page: str) -> None:
    made = generator().PAGES[page]()
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == made, "run `python scripts/generate_docs.py` and commit the page"


def test_every_reason_has_a_number_that_fits_the_journal_and_says_what_to_do() -> None:
    numbers = [
        value
        for name, value in vars(reasons).items()
        if name.isupper() and type(value) is int and value != reasons.NONE
    ]
    assert sorted(numbers) == sorted(REASONS)
    assert len({reason.key for reason in REASONS.values()}) == len(REASONS)
    for number, reason in REASONS.items():
        assert 0 < number < 256
        assert all(reason)
        assert "|" not in "".join(reason)
        assert explain(number) is reason
    with pytest.raises(KeyError):
        explain(255)
