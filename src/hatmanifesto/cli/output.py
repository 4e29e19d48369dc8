"""How every command speaks: people get tables and words, machines get exactly one JSON object.

With `--json` stdout carries one JSON object and nothing else; words and progress go to stderr either
way. Colours follow the terminal and NO_COLOR.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Annotated, Any, NoReturn, TextIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hatmanifesto.errors import UserError

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout, for machines.")]
"""The `--json` option that every command takes."""

_PIPED_WIDTH = 120


class Output:
    """One command's voice. Use it through `command`, which also turns errors into exit codes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)
        self._stdout = sys.stdout

    def result(self, payload: object, render: Callable[[Console], None] | None = None) -> None:
        """Print the command's result once: `payload` as one JSON line, or for people by `render`.

        `payload` is anything msgspec can encode to a JSON object.
        """
        if self.as_json:
            _print_json(payload, self._stdout)
        elif render is not None:
            render(self.out)

    def note(self, text: str) -> None:
        """Say something to a person, on stderr; never part of the result."""
        self.err.print(text, markup=False, highlight=False)

    def progress(self) -> Progress:
        """Return a progress bar on stderr; it draws nothing where stderr is no terminal."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
            disable=not self.err.is_terminal,
        )

    def fail(self, message: str, code: int = 2, *, remedy: str = "") -> NoReturn:
        """Print what is wrong and what to do, and leave with an exit code."""
        fail(message, code, remedy=remedy, as_json=self.as_json, stdout=self._stdout)


def fail(
    message: str, code: int = 2, *, remedy: str = "", as_json: bool = False, stdout: TextIO | None = None
) -> NoReturn:
    """Print `error: message` and the remedy on stderr, with `as_json` an error object too, and exit."""
    text = f"error: {message}"
    if remedy:
        text += f"\n  to do: {remedy}"
    sys.stdout.flush()
    print(text, file=sys.stderr)
    if as_json:
        _print_json({"error": {"message": message, "remedy": remedy, "exit_code": code}}, stdout or sys.stdout)
    raise typer.Exit(code)


@contextmanager
def command(as_json: bool) -> Iterator[Output]:
    """Give a command its voice; a UserError becomes `fail`, Ctrl-C exit code 130.

    With `--json` whatever else prints, such as a person's strategy, prints on stderr.
    """
    output = Output(as_json)
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            yield output
    except UserError as error:
        fail(error.message, error.exit_code, remedy=error.remedy, as_json=as_json)
    except KeyboardInterrupt:
        fail("interrupted", 130, as_json=as_json)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    if not console.is_terminal:
        return Console(stderr=stderr, width=_PIPED_WIDTH)
    return console


def _print_json(payload: Any, stdout: TextIO) -> None:
    stdout.write(msgspec.json.encode(payload).decode() + "\n")
    stdout.flush()
