"""Calibrating a tape: which instruments, which part of it, and everything that was found."""

from typing import Final, NamedTuple

from hatmanifesto.backtest.calibration.estimate import EARNED_AFTER_S, Calibration, TooLittleError, calibrate
from hatmanifesto.backtest.calibration.samples import MOST_STEPS, STEP_NS, Progress, sample, span_of, step_for
from hatmanifesto.backtest.tape.format import TapeLike
from hatmanifesto.errors import UserError
from hatmanifesto.instants import utc_text

METHOD: Final = (
    "a, k: maximum likelihood of the farthest trade a side in windows of the horizon, grouped by depth; "
    "sigma: two-scales on the mid at equal steps; fair price: least squares of the next window's mid change; "
    "intervals: 95 %, block bootstrap"
)
FLOW_HALF_LIFE_NS: Final = 1_000_000_000


class Report(NamedTuple):
    """What was found, instrument by instrument; times in ns, stamps of the receiver's clock."""

    method: str
    horizon_ns: int
    step_ns: int
    flow_half_life_ns: int
    share: float
    end_ns: int
    first_utc: str
    last_utc: str
    found: list[Calibration]
    notes: list[str]


def calibrate_tape(
    tape: TapeLike,
    instruments: list[str],
    *,
    horizon_ns: int,
    share: float = 1.0,
    full_position: float = 10.0,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Calibrate the named instruments (none named: all that can be) on the first share of a tape's time.

    UserError for a horizon or a share out of range, an unknown instrument, a tape without trades, and a named
    instrument (or every one) of which too little was seen.
    """
    names = [one.name for one in tape.instruments]
    for name in instruments:
        if name not in names:
            raise UserError(f"the tape has no instrument {name}", f"choose from {', '.join(names)}")
    if not 0.0 < share <= 1.0:
        raise UserError(f"a share of {share:g} is no part of the tape", "write a number above 0, up to 1")
    if tape.stream("receiver").rows == 0:
        raise UserError("the tape has no rows", "import a recording that has some")
    span = span_of(tape, share)
    notes: list[str] = []
    step_ns = step_for(span, min(STEP_NS, horizon_ns))
    if step_ns > min(STEP_NS, horizon_ns):
        notes.append(f"the tape is long: sampled every {step_ns / 1e9:g} s, so that {MOST_STEPS:,} steps suffice")
    if horizon_ns < 10_000_000 or horizon_ns % step_ns:
        raise UserError(
            f"a horizon of {horizon_ns / 1e9:g} s cannot be used",
            f"choose a multiple of {step_ns / 1e9:g} s" if horizon_ns >= 10_000_000 else "choose at least 10ms",
        )
    indices = [names.index(name) for name in instruments] if instruments else list(range(len(names)))
    samples = sample(tape, indices, span, step_ns, progress)
    if all(one.trades == 0 for one in samples):
        raise UserError(
            "the tape has no trades" + (f" of {', '.join(instruments)}" if instruments else "")
            + ", and intensities are rates of trades",
            "import a recording with trades; `hat tape info` says what a tape holds",
        )  # fmt: skip
    found: list[Calibration] = []
    for one in samples:
        try:
            found.append(calibrate(one, horizon_ns, FLOW_HALF_LIFE_NS, full_position))
        except TooLittleError as error:
            if instruments:
                raise UserError(
                    f"{one.instrument.name}: {error}", "use a longer recording or a longer horizon"
                ) from None
            notes.append(f"{one.instrument.name} is left out: {error}")
    if not found:
        raise UserError("; ".join(notes), "use a longer recording or a longer horizon")
    for fitted in found:
        if fitted.earned and not fitted.pays:
            notes.append(
                f"{fitted.instrument}: at no depth with enough of them did fills earn the maker fee of"
                f" {fitted.maker_fee:g} bps within {EARNED_AFTER_S:g} s; who knows no more than the mid loses here"
            )
    return Report(
        METHOD, horizon_ns, step_ns, FLOW_HALF_LIFE_NS, share, span.end_ns,
        utc_text(span.begin_ns), utc_text(span.end_ns), found, notes,
    )  # fmt: skip
