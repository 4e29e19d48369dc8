"""Turns what a strategy raised into words: which one, on what, when in the tape, and what to do."""

import traceback

from hatmanifesto.config.assembly import Session
from hatmanifesto.core.strategy import QuoteError
from hatmanifesto.errors import UserError
from hatmanifesto.instants import utc_text


def describe_failure(session: Session, error: BaseException) -> UserError | None:
    """Return the person's error for an exception out of a strategy; None when none was deciding."""
    found = _deciding(session, error)
    if found is None:
        return None
    index, line = found
    now = utc_text(int(session.engine.now))
    text = str(error)
    if isinstance(error, TypeError) and text == "i64 object expected; got int":
        text = "a number beyond 64 bits"  # mypyc's words are of no use to anybody
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return UserError(f"strategy {session.desk_name(index)} failed at {now}{line}: {what}", _remedy(error))


def _deciding(session: Session, error: BaseException) -> tuple[int, str] | None:
    """Find the desk whose strategy is in the traceback, else (compiled) the last that looked at `now`."""
    place = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        for index, strategy in enumerate(session.strategies):
            if owner is strategy:
                place = f" ({frame.f_code.co_filename}, line {number})"
                return index, place
    now = session.engine.now
    seen = [index for index, clock in enumerate(session.clocks) if clock.view.now_ns == now]
    return (seen[-1], place) if seen else None


def _remedy(error: BaseException) -> str:
    if isinstance(error, QuoteError):
        return "correct the strategy's quote method; nothing was written"
    if isinstance(error, TypeError | ValueError | OverflowError):
        return (
            "quote() must call quotes.bid, ask, take or exit with whole numbers in the instrument's units"
            " (round floats, leave NaN out) and return nothing; nothing was written"
        )
    return "correct the strategy's quote method; nothing was written"
