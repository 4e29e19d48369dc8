"""`hat journal`: words for people, one JSON object for machines, exit codes 0, 1 and 2."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hatmanifesto.cli.journal import app
from hatmanifesto.journal.describe import record_table, renewed
from hatmanifesto.model import record
from journal.samples import Content, read_groups, sample, write

DOCS = Path(__file__).parents[2] / "docs" / "journal.md"


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "a", sample(), close=True)
    return tmp_path / "a"


def test_verify_in_order(path: Path) -> None:
    code, out, _ = run("verify", path)
    assert code == 0
    assert f"{path}: in order, closed: 20 records in 6 groups" in out
    code, out, _ = run("verify", path, "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["closed"], told["session"], told["next_seq"]) == (0, True, True, 7, 20)


def test_verify_damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    group = read_groups(path)[1]
    content[group.end - 3] ^= 1
    path.write_bytes(content)
    code, out, _ = run("verify", path)
    assert code == 1
    assert "DAMAGED" in out
    assert "record 7 (note) was changed" in out
    code, out, _ = run("verify", path, "--json")
    assert code == 1
    assert json.loads(out)["findings"][0]["code"] == "changed"


def test_verify_torn_then_repair_then_verify(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])
    code, out, _ = run("verify", path)
    assert code == 1
    assert f"to do: hat journal repair {path}" in out
    code, out, _ = run("repair", path, "--json")
    assert (code, json.loads(out)["records"]) == (0, 19)
    assert run("verify", path)[0] == 0


@pytest.mark.parametrize("command", ["verify", "repair", "show", "index"])
def test_what_cannot_be_read_is_exit_code_2(tmp_path: Path, command: str) -> None:
    code, out, err = run(command, tmp_path / "no", "--json")
    assert code == 2
    assert "No such file" in err
    assert "No such file" in json.loads(out)["error"]["message"]


def test_repair_refuses_other_damage_with_exit_code_1(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[read_groups(path)[1].end - 3] ^= 1
    path.write_bytes(content)
    code, _, err = run("repair", path)
    assert code == 1
    assert "cannot be repaired" in err


def test_show(path: Path) -> None:
    code, out, _ = run("show", path, "--from", 3, "--count", 2, "--kind", "fill", "--json")
    records = json.loads(out)["records"]
    assert code == 0
    assert [(r["seq"], r["kind"], r["content"]["order_id"]) for r in records] == [
        (4, "fill", 4),
        (8, "fill", 8),
    ]
    code, out, _ = run("show", path, "--from", 18)
    assert "close" in out
    assert '{"fills":3}' in out
    code, out, _ = run("show", path, "--from", 19, "--json")
    assert json.loads(out)["records"][0]["content"] == {"fills": 3}


def test_show_a_blob_that_is_not_json(tmp_path: Path) -> None:
    write(tmp_path / "a", [[Content(record.NOTE, 1, 0, payload=b"\xffplain")]])
    assert json.loads(run("show", tmp_path / "a", "--json")[1])["records"][0]["content"] == "�plain"


def test_show_names_the_kinds_there_are(path: Path) -> None:
    code, _, err = run("show", path, "--kind", "trade")
    assert code == 2
    assert "no record kind is called trade" in err
    assert "fill" in err


def test_index(path: Path) -> None:
    code, out, _ = run("index", path, "--json")
    told = json.loads(out)
    assert (code, told["rebuilt"], told["next_seq"], told["records"]["close"]) == (0, True, 20, 1)
    assert "up to date" in run("index", path)[1]


def test_the_page_has_the_table_of_the_code() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert renewed(page) == page, "run: python -m hatmanifesto.journal.describe docs/journal.md"
    assert record_table().count("\n") > 15
