"""One backtest from a tape and a configuration to a finished run folder."""

import importlib.metadata
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import hatmanifesto
from hatmanifesto import build
from hatmanifesto.backtest.exchange import assumptions
from hatmanifesto.backtest.harness import Prepared, Progress, run_tape
from hatmanifesto.backtest.projection import project
from hatmanifesto.backtest.report import write_report
from hatmanifesto.backtest.run_folder import MARK, run_folder
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.backtest.tape.info import utc_text
from hatmanifesto.config.settings import Draft

JOURNAL: Final = "journal"
LIBRARIES: Final = ("librt", "lz4", "msgspec", "numpy", "polars", "pydantic", "zstandard")


class Run(NamedTuple):
    """A finished run: its folder, the content of summary.json, and notes for the person."""

    folder: Path
    summary: dict[str, Any]
    notes: list[str]


def run_backtest(
    tape: TapeLike,
    draft: Draft,
    folder: Path,
    *,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    stage: Progress | None = None,
) -> Run:
    """Trade a tape and write the run folder; nothing is left behind when it fails.

    Everything but the section `wall_clock` of summary.json is the same for the same input. Raises UserError.
    """
    began = time.time()
    with run_folder(folder, force=force) as partial:
        prepared, finished = run_tape(tape, draft, partial / JOURNAL, progress)
        projected_at = time.perf_counter()
        projected = project(partial / JOURNAL, partial, int(finished.closing["end_ns"]), tape)
        summary = {
            **_facts(prepared),
            **projected.summary,
            "journal": {"digest": finished.digest, "bytes": (partial / JOURNAL).stat().st_size},
        }
        write_report(partial / "report.html", projected, summary)
        rows = prepared.survey.rows
        whole = {
            **summary,
            "wall_clock": {
                "started_utc": utc_text(int(began * 1e9)),
                "run_seconds": round(finished.seconds, 3),
                "rows_per_second": round(rows / finished.seconds) if finished.seconds > 0 else None,
                "projection_seconds": round(time.perf_counter() - projected_at, 3),
                "build": build.mode(),
                "python": build.python(),
            },
        }
        _write_json(partial / "summary.json", whole)
        _write_json(partial / MARK, _manifest(prepared, finished.digest))
    return Run(folder, whole, prepared.notes)


def _facts(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.session.plan
    looked = prepared.survey
    return {
        "tape": looked.name,
        "rows": looked.rows,
        "first_utc": utc_text(looked.first_ns),
        "last_utc": utc_text(looked.last_ns),
        "span_seconds": round((looked.last_ns - looked.first_ns) / 1e9, 3),
        "exchange_models": {entry.name: model for entry, model in zip(plan.instruments, prepared.models, strict=True)},
        "assumptions": assumptions(plan, prepared.models),
    }


def _manifest(prepared: Prepared, digest: str) -> dict[str, Any]:
    plan = prepared.session.plan
    opening = prepared.opening
    return {
        "version": hatmanifesto.__version__,
        "code": {"engine": build.source_hash(), "package": build.package_hash()},
        "config": {
            "hash": opening["config_hash"],
            "plan_hash": opening["plan_hash"],
            "values": opening["config"],
        },
        "data": {"tape": prepared.survey.name, **opening["tape"]},
        "strategies": {entry.name: {"class": entry.cls, "source_hash": entry.source_hash} for entry in plan.strategies},
        "seed": plan.seed,
        "journal_digest": digest,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
