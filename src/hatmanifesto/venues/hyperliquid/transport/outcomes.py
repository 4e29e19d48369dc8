"""What became of a request: an answer, a definite refusal, or nothing that is known."""

from typing import NamedTuple

TOO_MANY_REQUESTS = 429


class Answered(NamedTuple):
    """The venue answered; `payload` is its JSON."""

    payload: bytes


class Refused(NamedTuple):
    """The request was certainly not carried out. `status` is HTTP's, 0 when it never left."""

    status: int
    text: str


class Lost(NamedTuple):
    """It may or may not have been carried out."""

    why: str


Outcome = Answered | Refused | Lost


def refusal_or_loss(status: int, text: str) -> Refused | Lost:
    """Tell a definite refusal (4xx) from everything that leaves the outcome open."""
    if 400 <= status < 500 and status != 408:
        return Refused(status, text[:500])
    return Lost(f"HTTP {status}: {text[:200]}")
