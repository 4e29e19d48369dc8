"""What to do about a recorder whose clock runs behind the venue's, so that data seems to arrive before it was sent."""

from typing import Final

from hatmanifesto.config.quantities import duration_ns
from hatmanifesto.errors import UserError

LEAST_LATENCY_NS: Final = 1_000_000
"""After a correction the fastest message takes this long. How long it truly took cannot be known."""


class ReceiverClock:
    """The choice of `--clock`: `correct` (only when latencies are negative), `keep`, or a duration to add."""

    def __init__(self, choice: str) -> None:
        self._choice = choice or "correct"
        self._given = 0
        if self._choice not in ("correct", "keep"):
            try:
                self._given = duration_ns(self._choice.removeprefix("-"))
            except ValueError as error:
                raise UserError(
                    f"--clock {choice!r}: {error}", "use correct, keep, or a time to add such as 1.27s or -5ms"
                ) from error
            if self._choice.startswith("-"):
                self._given = -self._given
        self.least_ns = 0
        self.shift_ns = 0

    def shift(self, least_ns: int) -> int:
        """Return what to add to the receiver's stamps, given the least latency seen, both nanoseconds."""
        self.least_ns = least_ns
        if self._choice == "correct":
            self.shift_ns = LEAST_LATENCY_NS - least_ns if least_ns < 0 else 0
        else:
            self.shift_ns = self._given
        return self.shift_ns

    def note(self) -> str:
        """Return what was found and done, in a sentence; empty when there is nothing to say."""
        if self._choice == "correct" and self.shift_ns:
            return (
                f"the recorder's clock was behind the venue's (fastest message: {_ms(self.least_ns)}): "
                f"{_ms(self.shift_ns)} added to all receive times, so that the fastest takes "
                f"{_ms(LEAST_LATENCY_NS)}; the true latency is not known"
            )
        if self.shift_ns:
            return f"{_ms(self.shift_ns)} added to all receive times, as asked with --clock"
        if self.least_ns < 0:
            return f"receive times kept although the fastest message took {_ms(self.least_ns)}: do not trust latency"
        return ""


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3f} ms"
