"""Archive files: one l2Book snapshot a line, times exact to the nanosecond."""

import json
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest

from hatmanifesto.backtest.tape.format import as_rows
from hatmanifesto.backtest.tape.importers.detect import find_source
from hatmanifesto.backtest.tape.importers.hyperliquid_archive import import_archive, iso_ns
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import Tape
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import FIRST, MORE


def line(ms: int = 1704110400000, bids: str = "100:1.5 99:2", asks: str = "101:0.5", coin: str = "BTC") -> bytes:
    levels = [[{"px": p, "sz": s, "n": 1} for p, s in (t.split(":") for t in text.split())] for text in (bids, asks)]
    time = f"2024-01-01T12:00:{(ms // 1000) % 60:02d}.123456789"
    raw = {"channel": "l2Book", "data": {"coin": coin, "time": ms, "levels": levels}}
    return json.dumps({"time": time, "ver_num": 1, "raw": raw}).encode() + b"\n"


def do_import(path: Path, target: Path, **options: Any) -> Tape:
    found, files = find_source([path])
    assert found == "hyperliquid-archive"
    with TapeWriter(target) as writer:
        import_archive(ImportRequest(files=files, **options), writer, lambda done, total: None)
    return Tape.open(target)


@pytest.mark.parametrize("packed", [True, False])
def test_lines_become_snapshots_with_exact_times(tmp_path: Path, packed: bool) -> None:
    text = line() + line(1704110401000, bids="100:1")
    path = tmp_path / ("a.lz4" if packed else "a.jsonl")
    path.write_bytes(lz4.frame.compress(text) if packed else text)
    with do_import(path, tmp_path / "a.tape") as tape:
        found = as_rows(tape.stream("exchange").chunk(0))
        assert [(int(m) & FIRST > 0, int(m) & MORE > 0) for m in found[:, 2]] == [
            (True, True), (False, True), (False, False), (True, True), (False, False)
        ]  # fmt: skip
        assert found[0, :2].tolist() == [1704110400000000000, 1704110400123456789]
        assert found[:3, 3:].tolist() == [[1000, 150_000], [990, 200_000], [1010, 50_000]]


def test_several_coins_and_an_unknown_one(tmp_path: Path) -> None:
    (tmp_path / "a.lz4").write_bytes(lz4.frame.compress(line() + line(coin="XYZ", bids="0.5:1.25", asks="0.6:3")))
    with do_import(tmp_path / "a.lz4", tmp_path / "a.tape") as tape:
        assert [(one.name, int(one.size_scale)) for one in tape.instruments] == [("BTC", 5), ("XYZ", 2)]
        assert len(tape.meta.source.notes) == 1
    with do_import(tmp_path / "a.lz4", tmp_path / "b.tape", instruments=["XYZ"]) as tape:
        assert tape.stream("exchange").rows == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (line() + b"{nonsense\n", "line 2: no l2Book line"),
        (line() + b'{"time": "2024-01-01T12:00:00"}\n', "line 2: no l2Book line"),
        (line(bids="100:1.123456"), "line 1: sz '1.123456' is no number of at most 5 decimals"),
        (line().replace(b"2024-01-01T12", b"Monday 12"), "line 1: no l2Book line with an ISO time"),
        (b"\n", "empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "a.lz4").write_bytes(lz4.frame.compress(text))
    with pytest.raises(UserError, match=why):
        do_import(tmp_path / "a.lz4", tmp_path / "a.tape")
    assert not (tmp_path / "a.tape").exists()


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    text = b"".join(line(1704110400000 + i, bids=f"100:{rng.integers(1, 99999)}") for i in range(200))
    data = lz4.frame.compress(text)
    for keep in (1, 6, 20, len(data) // 2, len(data) - 3):
        (tmp_path / "a.lz4").write_bytes(data[:keep])
        with pytest.raises(UserError, match="cut off or damaged"):
            do_import(tmp_path / "a.lz4", tmp_path / "a.tape")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01.000000001", 1_000_000_001),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01 00:01:00", 60_000_000_000),
        ("1970-01-01T00:00", None),
        ("yesterday", None),
    ],
)
def test_iso_times(text: str, ns: int | None) -> None:
    assert iso_ns(text) == ns


def test_the_real_hour(shared_dir: Path, tmp_path: Path) -> None:
    with do_import(shared_dir / "data/hyperliquid/archive_l2", tmp_path / "a.tape", strict=True) as tape:
        assert tape.stream("exchange").rows == 5587 * 40
        assert tape.meta.statistics["instruments"]["BTC"]["snapshots"]["kept"] == 5587
        assert tape.same_order
