"""`hat demo`: the whole way once, from a recording to a report; what `make run` does."""

import os
from pathlib import Path
from typing import Annotated

import typer

from hatmanifesto.cli.backtest import RUNS, free_folder, payload_of, print_run, run_tape_file
from hatmanifesto.cli.output import JsonOption, Output, command
from hatmanifesto.errors import UserError

RECORDING = Path("data/hyperliquid/recorder_20250904")
COINS = ("BTC", "ETH")
MINUTES = 15
"""Length of the market made where there is no recording."""
SETTINGS = ['strategies.touch_joiner.triggers=["best_changed", "traded_through"]']
"""After a refusal touch_joiner waits for the next change of the market instead of asking again at once."""


def demo(
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder; left out: runs/demo-N.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import the recording beside the repository (or make a market), trade it, say where the report lies."""
    with command(as_json) as voice:
        from hatmanifesto.config.settings import load

        if out is not None and out.exists():
            raise UserError(f"{out} exists already", "name another folder with --out, or remove it")
        tape = _tape(voice)
        voice.note("demo: touch_joiner quotes about 100 USD at the best prices, up to 1,000 USD an instrument")
        draft = load(None, SETTINGS, "touch_joiner")
        run = run_tape_file(voice, tape, draft, out or free_folder("demo"), force=False)
        voice.result(payload_of(run), lambda console: print_run(console, run))


def _tape(voice: Output) -> Path:
    """Return the tape to trade, made anew when the recording or the importer may have changed."""
    shared = Path(os.environ.get("HAT_SHARED") or "../shared")
    recording = shared / RECORDING
    RUNS.mkdir(exist_ok=True)
    if not recording.is_dir():
        from hatmanifesto.backtest.tape.synthetic import generate_file

        tape = RUNS / "demo-synthetic.tape"
        voice.note(f"demo: there is no recording at {recording}; agents trade {MINUTES} minutes of a market instead")
        voice.note("demo: they are fitted to recordings, see docs/synthetic-market.md, but do not react to the maker")
        with voice.progress() as bar:
            task = bar.add_task("agents trading", total=None)
            return generate_file(
                tape,
                seed=1,
                minutes=MINUTES,
                instruments=list(COINS),
                overwrite=True,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    tape = RUNS / "demo-20250904.tape"
    voice.note(f"demo: importing {', '.join(COINS)} from {recording} into {tape}")
    from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
    from hatmanifesto.backtest.tape.importers.request import ImportRequest
    from hatmanifesto.backtest.tape.writer import TapeWriter

    found, files = find_source([recording])
    with TapeWriter(tape, overwrite=True) as writer, voice.progress() as bar:
        task = bar.add_task("importing", total=None)
        IMPORTERS[found](
            ImportRequest(files=files, instruments=list(COINS)),
            writer,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    return tape
