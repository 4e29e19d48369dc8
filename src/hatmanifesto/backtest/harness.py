"""Runs a tape through the engine and the simulated venue, streaming the journal."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import hatmanifesto
from hatmanifesto import build
from hatmanifesto.backtest.exchange import build_market, choose_models
from hatmanifesto.backtest.fills_models import BASE, read_as
from hatmanifesto.backtest.strategy_failure import describe_failure
from hatmanifesto.backtest.survey import Survey, survey
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.config.assembly import Session, assemble, build_instruments
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.session_records import closing_of, config_hash
from hatmanifesto.config.settings import Draft
from hatmanifesto.config.strategies import checked_strategies
from hatmanifesto.errors import UserError
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model.record import SESSION
from hatmanifesto.simulation.replay_market import ReplayMarket

TURNS: Final = 4_000
"""Engine moments between two looks at the progress bar and at Ctrl-C: a few milliseconds compiled."""

STILL_SLICES: Final = 50
"""Slices at one and the same moment after which the run is given up instead of filling the disk."""

Progress = Callable[[int, int], None]
"""Called with tape rows done and in all."""


class Prepared(NamedTuple):
    """A run before it starts: who trades what on which venue, and the journal's first record."""

    session: Session
    market: ReplayMarket
    models: list[str]
    survey: Survey
    opening: dict[str, Any]
    notes: list[str]


class Finished(NamedTuple):
    """What is known once the tape has ended. Times of this machine's clock in seconds."""

    closing: dict[str, Any]
    digest: str
    seconds: float


def run_tape(
    tape: TapeLike,
    draft: Draft,
    journal: Path,
    progress: Progress = lambda done, total: None,
    fills: str = BASE,
    looked: Survey | None = None,
) -> tuple[Prepared, Finished]:
    """Run a whole tape under base or pessimistic fills and write the journal; `looked` is its survey, if there is one.

    UserError for a configuration, tape or strategy that cannot be run; the journal is then not whole, and
    the caller removes it.
    """
    looked = looked or survey(tape)
    resolved = resolve(draft, tape.instruments, looked.first_prices, looked.venue)
    plan = read_as(fills, resolved.plan)
    models = choose_models(plan, looked)
    instruments = build_instruments(plan)
    market = build_market(plan, models.names, instruments, tape)
    opening = {
        "kind": "backtest",
        "version": hatmanifesto.__version__,
        "engine": build.source_hash(),
        "plan": msgspec.to_builtins(plan),
        "plan_hash": plan.hash(),
        "config": draft.settings.as_json(),
        "config_hash": config_hash(draft),
        "tape": looked.data(),
        "exchange_models": models.names,
        "fills": fills,
        "start_ns": int(market.start_ns),
    }
    with JournalWriter(journal, {"kind": "backtest"}, mode="threaded") as writer:
        writer.append_blob(SESSION, int(market.start_ns), msgspec.json.encode(opening, order="deterministic"))
        strategies = checked_strategies(resolved.strategies)
        session = assemble(plan, strategies, market, writer, writer.next_seq, instruments)
        prepared = Prepared(session, market, models.names, looked, opening, [models.note] if models.note else [])
        seconds = _drive(prepared, progress)
        session.recorder.flush()
        closing = closing_of(session, int(market.now))
        digest = writer.close(int(session.engine.now), closing)
    return prepared, Finished(closing, digest, seconds)


def _drive(prepared: Prepared, progress: Progress) -> float:
    session, market, rows = prepared.session, prepared.market, prepared.survey.rows
    began = time.perf_counter()
    now = -1
    try:
        session.engine.start(market.start_ns)
        still = 0
        while market.run(session.engine, TURNS):
            before = now
            now = int(market.now)
            still = still + 1 if now == before else 0
            if still == STILL_SLICES:
                raise RuntimeError(f"the engine makes no headway at {now} ns; this is a defect, please report it")
            progress(min(rows, market.exchange.rows_done()), rows)
    except UserError:
        raise  # the journal or the tape, not the strategy
    except (Exception, SystemExit) as error:  # a strategy that exits has failed: the run is not finished
        described = describe_failure(session, error)
        if described is None:
            raise
        raise described from error
    progress(rows, rows)
    return time.perf_counter() - began
