"""The reference pages are the code's: no command, option or setting is missing, and no page has drifted."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from hatmanifesto.config.settings import parse

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    path = ROOT / "scripts" / "generate_reference.py"
    spec = importlib.util.spec_from_file_location("generate_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate_reference"] = module
    spec.loader.exec_module(module)
    return module


def test_every_setting_is_explained_and_nothing_else_is(generator: ModuleType) -> None:
    assert [path for path, _, _ in generator.settings_keys()] == list(generator.MEANINGS)


def test_every_command_has_its_exit_codes_and_nothing_else_has(generator: ModuleType) -> None:
    names = {name for name, _ in generator.commands()}
    assert names == set(generator.COMMAND_EXITS)
    for codes in generator.COMMAND_EXITS.values():
        assert set(codes) <= set(generator.EXITS)


@pytest.mark.parametrize("page", ["cli.md", "configuration.md"])
def test_the_page_has_not_drifted_from_the_code(generator: ModuleType, page: str) -> None:
    made = generator.PAGES[page]()
    written = (DOCS / page).read_text(encoding="utf-8")
    assert written == made, "run `python scripts/generate_reference.py` and commit the page"


def test_the_defaults_on_the_page_are_settings_that_the_parser_takes(generator: ModuleType) -> None:
    for path, _, default in generator.settings_keys():
        if default is None:
            continue
        raw: dict[str, object] = {}
        section = raw
        *sections, key = path.split(".")
        for name in sections:
            section = section.setdefault(name, {})  # type: ignore[assignment]
        section[key] = default
        draft = parse(raw)
        assert draft.problems == [], path


PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(there), f"{page.name} links to {target}"


def test_configuration_shown_in_the_pages_is_configuration(generator: ModuleType) -> None:
    shown = 0
    for page in PAGES:
        for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            draft = parse(tomllib.loads(block), page.name)
            assert draft.problems == [], page.name
            shown += 1
    assert shown > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_strategies_shown_in_the_pages_can_be_loaded(page: Path, tmp_path: Path) -> None:
    from hatmanifesto.config.strategies import load_strategy

    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        if "(Strategy)" in block:
            file = tmp_path / "shown.py"
            file.write_text(block, encoding="utf-8")
            assert load_strategy(str(file)).cls is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_shown_in_the_pages_exist(generator: ModuleType, page: Path) -> None:
    options = {
        name: {option for item in command.params for option in item.opts} for name, command in generator.commands()
    }
    for line in re.findall(r"^ {0,4}(hat [a-z][^\n]*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.partition("#")[0].split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in options), None)
        assert name is not None, f"{page.name}: {line}"
        for word in words:
            if word.startswith("-"):
                assert word in options[name] | {"--help"}, f"{page.name}: {line}"
