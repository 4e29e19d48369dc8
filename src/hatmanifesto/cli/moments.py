"""Moments as people write them on the command line: ISO times, nanoseconds, distances from a tape's beginning."""

import re
from typing import TYPE_CHECKING, Final

from hatmanifesto.errors import UserError
from hatmanifesto.instants import parse_instant, utc_text

if TYPE_CHECKING:
    from hatmanifesto.backtest.tape.format import TapeLike
    from hatmanifesto.backtest.tape.slice import SlicedTape

_MINUTES: Final = re.compile(r"([0-9.]+)m")


def moment_ns(option: str, text: str, begin_ns: int) -> int:
    """Return a moment of a tape that begins at `begin_ns`: an ISO time, nanoseconds, or a distance such as 10m.

    UserError, naming the option, when the text is none of them.
    """
    from hatmanifesto.config.quantities import duration_ns

    minutes = _MINUTES.fullmatch(text)
    try:
        return begin_ns + duration_ns(f"{minutes[1]}min" if minutes else text)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError:
        raise UserError(
            f"{option} {text} is no moment of a tape",
            "write 2025-09-04T20:00:00Z, a distance from the tape's first message such as 90s, 10m or 1.5h, or"
            " nanoseconds since 1970",
        ) from None


def sliced(tape: "TapeLike", begin: str, end: str) -> "TapeLike | SlicedTape":
    """Return the part of a tape that `--from` and `--to` ask for; the tape itself where both are left out.

    UserError for what is no moment, lies outside the tape, or leaves nothing.
    """
    from hatmanifesto.backtest.tape.slice import SlicedTape, Span, whole_span

    if not begin and not end:
        return tape
    if tape.stream("receiver").rows == 0:
        raise UserError("the tape has no rows", "import a recording that has some")
    whole = whole_span(tape)
    span = Span(
        moment_ns("--from", begin, whole.begin_ns) if begin else whole.begin_ns,
        moment_ns("--to", end, whole.begin_ns) if end else whole.end_ns,
    )
    covers = (
        f"the tape covers {utc_text(whole.begin_ns)} to {utc_text(whole.end_ns)},"
        f" {(whole.end_ns - whole.begin_ns) / 1e9:.3f} s"
    )
    for option, text, moment in (("--from", begin, span.begin_ns), ("--to", end, span.end_ns)):
        if text and not whole.begin_ns <= moment <= whole.end_ns:
            raise UserError(f"{option} {text} ({_shown(moment)}) lies outside the tape", covers)
    if span.begin_ns >= span.end_ns:
        raise UserError(
            f"--from {begin or 'the beginning'} to --to {end or 'the end'} is no part of the tape: it ends at"
            f" {utc_text(span.end_ns)} and begins at {utc_text(span.begin_ns)}",
            f"choose a --to that is later than --from; {covers}",
        )
    return SlicedTape(tape, span)


def _shown(moment_ns: int) -> str:

    try:
        return utc_text(moment_ns)
    except (ValueError, OverflowError, OSError):
        return f"{moment_ns} ns"
