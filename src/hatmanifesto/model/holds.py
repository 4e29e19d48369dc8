"""Why a decision leaves a side out: numbers that go into the journal's views, and what they mean.

1 to 63 are the program's own; 64 to 255 are free for strategies of people's own.
"""

from typing import Final, NamedTuple

HOLD_NO_BOOK: Final = 1
HOLD_STALE_BOOK: Final = 2
HOLD_PARAMETERS_UNKNOWN: Final = 3
HOLD_PARAMETERS_IMPLAUSIBLE: Final = 4
HOLD_FAIR_PRICE_UNKNOWN: Final = 5
HOLD_POSITION_LIMIT: Final = 6
HOLD_LIMIT_IN_FLIGHT: Final = 7
FIRST_OWN_HOLD: Final = 64
MAX_HOLD: Final = 255


class Hold(NamedTuple):
    """One entry: its stable key, what it means, and what to do."""

    key: str
    meaning: str
    remedy: str


HOLDS: Final[dict[int, Hold]] = {
    HOLD_NO_BOOK: Hold(
        "no_book",
        "a side of the book is empty, or the book is locked or crossed",
        "wait for market data; check the feed",
    ),
    HOLD_STALE_BOOK: Hold(
        "stale_book", "the book is older than engine.max_book_age", "wait for market data; check the feed"
    ),
    HOLD_PARAMETERS_UNKNOWN: Hold(
        "parameters_unknown",
        "a, k or sigma was not configured, and too little has been seen to estimate it",
        "wait, or take them from `hat calibrate TAPE --out FILE`",
    ),
    HOLD_PARAMETERS_IMPLAUSIBLE: Hold(
        "parameters_implausible",
        "the half-spread that a, k, sigma and gamma ask for is wider than max_half_spread_bps, or no number",
        "calibrate again, lower gamma, or raise max_half_spread_bps",
    ),
    HOLD_FAIR_PRICE_UNKNOWN: Hold(
        "fair_price_unknown", "no fair price can be told from this book", "wait for market data; check the feed"
    ),
    HOLD_POSITION_LIMIT: Hold(
        "position_limit",
        "the position has reached the strategy's max_position on this side, or less than a valid order is left of it",
        "none: the other side is quoted; raise max_position if it is too small",
    ),
    HOLD_LIMIT_IN_FLIGHT: Hold(
        "limit_in_flight",
        "the strategy's max_position leaves no room for a new order until those under way have ended",
        "none: it is quoted again when the venue has answered; raise max_position if it happens often",
    ),
}
"""By number. A number from FIRST_OWN_HOLD on means what the strategy that says it means by it."""


def hold_key(reason: int) -> str:
    """Return a reason's key; `own_N` for one of a person's own strategy."""
    found = HOLDS.get(reason)
    return f"own_{reason}" if found is None else found.key
