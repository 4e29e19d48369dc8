"""The processes of a live session: `python -m hatmanifesto.trading.process trader|guard FOLDER [--config FILE] …`.

`hat run` starts both. They speak JSON lines on standard output: {"say": …} while they work, and at the end the
trader's {"summary": …} or {"error": …}, the guard's {"guard": …}. Exit codes: 0 in order, 1 the session failed, 2 it
could not start, 3 the guard had to act.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from hatmanifesto.config.settings import Draft, load
from hatmanifesto.errors import UserError
from hatmanifesto.trading import collector
from hatmanifesto.trading.clock import WallClock
from hatmanifesto.trading.control import ControlServer
from hatmanifesto.trading.guard import Guard
from hatmanifesto.trading.heartbeat import Beats, GuardWatch
from hatmanifesto.trading.recovery import SUFFIX
from hatmanifesto.trading.session import JOURNALS, LiveSession, instrument_names
from hatmanifesto.trading.status import summary_of
from hatmanifesto.trading.venues import address_of, key_of, make_venue

EXIT_FAILED: Final = 1
EXIT_GUARD: Final = 3


def tell(message: dict[str, Any]) -> None:
    """Print one JSON line; a reader that went away is no reason to stop trading."""
    try:
        sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open to the end


def say(words: str) -> None:
    """Tell a person something."""
    tell({"say": words})


async def trade(folder: Path, config: Path | None, changes: list[str], seconds: float | None) -> dict[str, Any]:
    """Run one session to its end and return its summary."""
    draft = load(config, changes)
    settings = draft.settings.venue
    clock = WallClock()
    key = key_of(settings.key, os.environ)
    beats = Beats(folder)
    facts = {"venue": address_of(settings), "agent": key.address}
    prepared = draft.settings.trading.prepared_signatures
    venue = make_venue(settings, key, folder, clock, prepared_signatures=prepared)
    live = LiveSession(draft, folder, venue, clock, watch=GuardWatch(beats), say=say, facts=facts)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, live.request_stop, "asked to by a signal")

    def redraft(more: list[str]) -> Draft:
        return load(config, changes + more)

    server = ControlServer(live, redraft)
    beats.trader_beats()
    try:
        await live.start()
        await server.open()
        collector.calm()
        sweeping = loop.create_task(collector.sweep_often())
        tell({"ready": {"session": live.number, "journal": str(folder / JOURNALS / f"{live.number:08d}{SUFFIX}")}})
        await live.run(seconds)
        sweeping.cancel()
        say(f"stopping: {live.stop_why}")
        ended = await live.stop()
        return {**summary_of(live), "journal": str(ended.journal), "stopped": ended.stopped}
    finally:
        await server.close()
        # after a failure the guard still looks whether anything is left at the venue
        if live.started_ns == 0 or live.trader.failure is None:
            beats.trader_ended()


async def guard(folder: Path, config: Path | None, changes: list[str]) -> dict[str, Any]:
    """Watch a session until it ends, or must be ended; return the report then, else nothing."""
    draft = load(config, changes)
    settings = draft.settings.venue
    clock = WallClock()
    key = key_of(settings.guard_key, os.environ)
    beats = Beats(folder)
    watcher = Guard(
        folder,
        beats,
        lambda: make_venue(settings, key, folder / "guard", clock),
        instrument_names(draft),
        clock,
        timeout_s=draft.settings.trading.guard_timeout / 1e9,
        flatten=draft.settings.trading.flatten_on_guard,
        say=say,
    )
    loop = asyncio.get_running_loop()
    # Ctrl-C goes to every process of a terminal: the guard stays until the trader has ended
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(watcher, "stopping", True))
    tell({"ready": {"guard": key.address}})
    why = await watcher.watch()
    try:
        return await watcher.act(why) if why else {}
    finally:
        beats.guard_ended()


def main(arguments: list[str] | None = None) -> int:
    """Run one process; see the module's text."""
    parser = argparse.ArgumentParser(prog="hatmanifesto.trading.process", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("role", choices=["trader", "guard"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float)
    args = parser.parse_args(arguments)
    try:
        if args.role == "guard":
            report = uvloop.run(guard(args.folder, args.config, args.changes))
            tell({"guard": report or None})
            return EXIT_GUARD if report else 0
        summary = uvloop.run(trade(args.folder, args.config, args.changes, args.seconds))
    except UserError as error:
        tell({"error": {"message": error.message, "remedy": error.remedy}})
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the process's last words
        tell({"error": {"message": f"{type(error).__name__}: {error}", "remedy": "see the journal's last records"}})
        return EXIT_FAILED
    tell({"summary": summary})
    return 0


if __name__ == "__main__":
    sys.exit(main())
