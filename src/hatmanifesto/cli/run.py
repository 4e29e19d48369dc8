"""`hat run`: a live session; without a configuration, on the loopback exchange that it starts itself."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from hatmanifesto.cli.output import JsonOption, Output, command
from hatmanifesto.errors import UserError

FOLDERS = Path("sessions")
PAPER = """\
# A paper session: the maker trades on the loopback exchange of this machine.
[account]
deposit = 10000

[strategies.maker]
class = "touch_joiner"
instruments = ["BTC", "ETH"]

[strategies.maker.params]
order_size = "200 USD"
max_position = "1000 USD"

[engine]
answer_timeout = "2s"
min_decision_interval = "400ms" # the venue's rate limits allow about ten requests a second
"""
READY_S = 30.0
UNATTENDED_S = 60.0
STOP_S = 30.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")


def run(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The configuration; left out: paper, on the loopback exchange."),
    ] = None,
    duration: Annotated[str | None, typer.Option("--for", help="End after this time, such as 90s, 10m or 2h.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the session keeps its journal; left out: sessions/NAME.")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the configuration.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Trade real money, after a typed confirmation.")] = False,
    show: Annotated[bool, typer.Option("--view/--no-view", help="Show the session in the terminal.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Trade until --for is over or Ctrl-C: withdraw, compare with the venue, and print the session's summary."""
    with command(as_json) as voice:
        seconds = None if duration is None else _seconds(duration)
        if seconds is None and config is None and not voice.out.is_terminal:
            voice.note(f"no terminal: the session ends after {UNATTENDED_S:.0f} s; --for says otherwise")
            seconds = UNATTENDED_S
        with contextlib.ExitStack() as stack:
            session = Supervisor(voice, folder or _free_folder(config), changes or [], seconds, show and not as_json)
            if config is None:
                config = stack.enter_context(paper_exchange(voice, session))
            _confirm(config, changes or [], live)
            summary = session.trade(config)
        voice.result(summary, lambda console: print_summary(console, summary))


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not found:
        raise UserError(f"--for {text} is no time", "write it as 90s, 10m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _free_folder(config: Path | None) -> Path:
    if config is not None:
        return FOLDERS / config.stem
    return FOLDERS / time.strftime("paper-%Y%m%d-%H%M%S", time.gmtime())


def _confirm(config: Path, changes: list[str], live: bool) -> None:
    """Real money needs --live and a typed confirmation."""
    from hatmanifesto.config.settings import load
    from hatmanifesto.trading.venues import address_of, is_real_money

    settings = load(config, changes).settings.venue
    if not is_real_money(settings):
        return
    where = address_of(settings)
    if not live:
        raise UserError(f"{where} is real money", "add --live when that is meant; use testnet when it is not")
    if not sys.stdin.isatty():
        raise UserError("real money needs a typed confirmation", "run it in a terminal")
    expected = f"trade {settings.account or 'my account'}"
    typer.echo(f"This trades real money at {where}. To go on, type: {expected}", err=True)
    if input("> ").strip() != expected:
        raise UserError("not confirmed", "nothing was sent")


@contextlib.contextmanager
def paper_exchange(voice: Output, session: "Supervisor") -> Iterator[Path]:
    """Start a loopback exchange with the agents' market; yield a configuration for it."""
    voice.note("starting the loopback exchange with its own market (nothing leaves this machine)")
    start = "from hatmanifesto.cli.main import main; main()"
    child = Child([sys.executable, "-c", start, "exchange", "--port", "0", "--no-limits", "--json"], {})
    try:
        ready = child.wait_for("ready", READY_S)
        account = ready["accounts"][0]
        session.environment = {"HAT_AGENT_KEY": account["agent_key"], "HAT_GUARD_KEY": account["guard_key"]}
        with tempfile.TemporaryDirectory(prefix="hat-paper-") as folder:
            config = Path(folder) / "paper.toml"
            config.write_text(PAPER + f'\n[venue]\nurl = "{ready["url"]}"\naccount = "{account["address"]}"\n')
            yield config
    finally:
        child.stop()


class Child:
    """A process that speaks JSON lines. In a group of its own, so that Ctrl-C reaches only us."""

    def __init__(self, command_line: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command_line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            text=True,
            start_new_session=True,
        )
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self.lines.put(json.loads(line))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.rstrip())
            del self.errors[:-50]

    def wait_for(self, name: str, seconds: float) -> dict[str, Any]:
        """Return the first line with this key; UserError when the process ends or is silent before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                line = self.lines.get(timeout=0.1)
                if name in line:
                    return line
                if "error" in line:
                    raise UserError(line["error"]["message"], line["error"].get("remedy", ""))
                continue
            if self.process.poll() is not None and self.lines.empty():
                break
        raise UserError(
            f"a process of the session did not come up: {' | '.join(self.errors[-3:])}", "see the words above"
        )

    def stop(self, seconds: float = 5.0) -> int:
        """Ask it to end, then end it; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join(1.0)
        return self.process.returncode


class Supervisor:
    """Starts guard and trader, shows the session, and stops both in order."""

    def __init__(self, voice: Output, folder: Path, changes: list[str], seconds: float | None, show: bool) -> None:
        self.voice = voice
        self.folder = folder
        self.changes = changes
        self.seconds = seconds
        self.show = show and voice.out.is_terminal
        self.environment: dict[str, str] = {}
        self.notes: list[str] = []
        self.error: dict[str, str] | None = None
        self.summary: dict[str, Any] | None = None

    def trade(self, config: Path) -> dict[str, Any]:
        """Run the session and return its summary. Raises UserError when it could not start, or failed."""
        from hatmanifesto.trading.heartbeat import Beats

        beats = Beats(self.folder)
        beats.clear()
        beats.close()
        guard = Child(self._command("guard", config), self._keys("HAT_GUARD_KEY"))
        trader: Child | None = None
        try:
            guard.wait_for("ready", READY_S)
            extra = [] if self.seconds is None else ["--seconds", str(self.seconds)]
            trader = Child(self._command("trader", config) + extra, self._keys("HAT_AGENT_KEY"))
            self._watch(trader)
        finally:
            if trader is not None:
                trader.stop(STOP_S)
                self._take(trader)
            self._end_guard(guard, trader)
        if self.error is not None:
            raise UserError(
                self.error["message"], self.error.get("remedy", ""), exit_code=trader.process.returncode or 2
            )
        if self.summary is None:
            words = " | ".join(trader.errors[-3:])
            raise UserError(
                f"the trader ended without a word {words}", "see the guard's report and the journal", exit_code=1
            )
        return {**self.summary, "folder": str(self.folder)}

    def _command(self, role: str, config: Path) -> list[str]:
        words = [sys.executable, "-m", "hatmanifesto.trading.process", role, str(self.folder), "--config", str(config)]
        for change in self.changes:
            words += ["--set", change]
        return words

    def _keys(self, name: str) -> dict[str, str]:
        """Give each process its own key only."""
        others = {"HAT_AGENT_KEY", "HAT_GUARD_KEY"} - {name}
        keys = {other: "" for other in others}
        if name in self.environment:
            keys[name] = self.environment[name]
        return keys

    def _take(self, child: Child) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._hear(child.lines.get_nowait())

    def _hear(self, line: dict[str, Any]) -> None:
        if "say" in line:
            self.notes.append(line["say"])
            if not self.show:
                self.voice.note(line["say"])
        elif "summary" in line:
            self.summary = line["summary"]
        elif "error" in line:
            self.error = line["error"]
        elif line.get("guard"):
            self.voice.note(f"the guard had to act: {line['guard']['why']}; see {self.folder / 'guard-report.json'}")

    def _watch(self, trader: Child) -> None:
        """Show the session until it ends; the first Ctrl-C stops it in order."""
        from hatmanifesto.cli.live_view import view
        from hatmanifesto.trading.control import ask

        asked = False
        with Live(console=self.voice.out, refresh_per_second=4, transient=True) if self.show else _nothing() as picture:
            while trader.process.poll() is None:
                try:
                    self._take(trader)
                    if picture is not None:
                        with contextlib.suppress(UserError):
                            picture.update(view(ask(self.folder, {"do": "status"}, 2.0), self.notes))
                    time.sleep(0.3)
                except KeyboardInterrupt:
                    if asked:
                        raise
                    asked = True
                    self.voice.note("stopping: withdrawing quotes, comparing with the venue (Ctrl-C again: at once)")
                    trader.process.send_signal(signal.SIGTERM)
        self._take(trader)

    def _end_guard(self, guard: Child, trader: Child | None) -> None:
        """The guard sees by itself how the trader ended; where no trader came up it has nothing to watch."""
        if trader is None or trader.process.returncode == 2:
            guard.stop()
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                guard.process.wait(STOP_S)
            guard.stop()
        self._take(guard)


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield None


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print a session's summary as a table."""
    console.print(f"session {summary['session']} ended: {summary['stopped']}", markup=False, highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", min_width=16)
    table.add_column(justify="right")
    for name in ("seconds", "equity", "profit", "fees", "funding", "max_drawdown", "traded", "maker_ratio", "fills",
                 "decisions", "orders_placed", "orders_denied", "cancels_sent", "faults"):  # fmt: skip
        table.add_row(name.replace("_", " "), "-" if summary[name] is None else str(summary[name]))
    for entry in summary["positions"]:
        table.add_row(f"{entry['instrument']} position", entry["size"])
    for difference in summary["differences"]:
        table.add_row("differs", difference, style="red")
    console.print(table)
    console.print(f"journal  {summary['journal']}", markup=False, highlight=False, soft_wrap=True)
