"""One backtest from a tape and a configuration to a finished run folder."""

import importlib.metadata
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import hatmanifesto
from hatmanifesto import build
from hatmanifesto.backtest.clearing import clearing_in_short
from hatmanifesto.backtest.exchange import assumptions
from hatmanifesto.backtest.fills_models import FillsChoice, description, fills_of, side_by_side
from hatmanifesto.backtest.harness import Finished, Prepared, Progress, run_tape
from hatmanifesto.backtest.projection import Projected, project
from hatmanifesto.backtest.report import write_report
from hatmanifesto.backtest.run_folder import MARK, run_folder
from hatmanifesto.backtest.survey import survey
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.config.settings import Draft
from hatmanifesto.instants import utc_text

JOURNAL: Final = "journal"
LIBRARIES: Final = ("librt", "lz4", "msgspec", "numpy", "polars", "pydantic", "zstandard")


class Run(NamedTuple):
    """A finished run: its folder, the content of summary.json, and notes for the person."""

    folder: Path
    summary: dict[str, Any]
    notes: list[str]


class Reading(NamedTuple):
    """The tape traded once, under base or pessimistic fills: `place` is its folder inside the run's."""

    fills: str
    place: str
    prepared: Prepared
    finished: Finished
    projected: Projected

    def numbers(self, folder: Path) -> dict[str, Any]:
        """Return what summary.json says of this reading alone."""
        plan = self.prepared.session.plan
        return {
            **self.projected.summary,
            "assumptions": assumptions(plan, self.prepared.models),
            "journal": {
                "digest": self.finished.digest,
                "bytes": (folder / self.place / JOURNAL).stat().st_size,
            },
        }


def run_backtest(
    tape: TapeLike,
    draft: Draft,
    folder: Path,
    *,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    fills: FillsChoice | None = "base",
) -> Run:
    """Trade a tape and write the run folder; nothing is left behind when it fails.

    `fills` None means base and pessimistic where the tape supports it. Everything but the section `wall_clock` of
    summary.json is the same for the same input. Raises UserError.
    """
    began = time.time()
    with run_folder(folder, force=force) as partial:
        looked = survey(tape)
        chosen = fills_of(fills, draft.settings.exchange.model, looked)
        timer = time.perf_counter()
        readings = []
        for number, one in enumerate(chosen):
            place = "" if number == 0 else one
            (partial / place).mkdir(exist_ok=True)
            prepared, finished = run_tape(
                tape, draft, partial / place / JOURNAL, _part_of(progress, number, len(chosen)), one, looked
            )
            end_ns = int(finished.closing["end_ns"])
            projected = project(partial / place / JOURNAL, partial / place, end_ns, tape)
            readings.append(Reading(one, place, prepared, finished, projected))
        first = readings[0]
        numbers = {one.fills: one.numbers(partial) for one in readings}
        summary = {
            **_facts(first.prepared),
            "fills_models": {
                one.fills: description(one.prepared.session.plan, str(Path(one.place) / JOURNAL), one.finished.digest)
                for one in readings
            },
            "side_by_side": side_by_side(numbers),
            **numbers[first.fills],
            **{one.fills: numbers[one.fills] for one in readings[1:]},
        }
        write_report(partial / "report.html", [one.projected for one in readings], summary)
        trading = sum(one.finished.seconds for one in readings)
        rows = first.prepared.survey.rows * len(readings)
        whole = {
            **summary,
            "wall_clock": {
                "started_utc": utc_text(int(began * 1e9)),
                "run_seconds": round(trading, 3),
                "rows_per_second": round(rows / trading) if trading > 0 else None,
                "projection_seconds": round(time.perf_counter() - timer - trading, 3),
                "build": build.mode(),
                "python": build.python(),
            },
        }
        _write_json(partial / "summary.json", whole)
        _write_json(partial / MARK, _manifest(readings))
    return Run(folder, whole, first.prepared.notes)


def _part_of(progress: Progress, number: int, of: int) -> Progress:
    """Return the progress of one of several passes over the tape."""
    return lambda done, total: progress(number * total + done, of * total)


def _facts(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.session.plan
    looked = prepared.survey
    return {
        "tape": looked.name,
        "rows": looked.rows,
        "slice": looked.part(),
        "first_utc": utc_text(looked.first_ns),
        "last_utc": utc_text(looked.last_ns),
        "span_seconds": round((looked.last_ns - looked.first_ns) / 1e9, 3),
        "exchange_models": {entry.name: model for entry, model in zip(plan.instruments, prepared.models, strict=True)},
        "venue_rules": clearing_in_short(plan),
    }


def _manifest(readings: list[Reading]) -> dict[str, Any]:
    prepared = readings[0].prepared
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
        "journal_digest": readings[0].finished.digest,
        "fills": {
            one.fills: {
                "plan_hash": one.prepared.opening["plan_hash"],
                "journal": str(Path(one.place) / JOURNAL),
                "journal_digest": one.finished.digest,
            }
            for one in readings
        },
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
