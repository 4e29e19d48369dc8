"""What the router decides and why, by number, and the words for people: the catalogue of `route` records."""

from typing import Final, NamedTuple

PASSIVE: Final = 0
IMPROVING: Final = 1
TOUCH: Final = 2
TAKER: Final = 3
STAGE_NAMES: Final = {0: "passive", 1: "improving", 2: "touch", 3: "taker"}
"""How far an urgent order has escalated: at its wanted price, on the way to the best maker price, there, taking."""

POST: Final = 1
POST_VALUE: Final = 2
TAKE_VALUE: Final = 3
TAKE_AGE: Final = 4
TAKE_ASKED: Final = 5
KEEP_QUEUE: Final = 6
REPRICE: Final = 7
WITHDRAW: Final = 8
ESCALATE: Final = 9
HOLD_CANCELS: Final = 10
HOLD_ACTIONS: Final = 11
BEYOND_CAP: Final = 12
STOP_LOSS: Final = 13
TAKE_PROFIT: Final = 14
EXIT_DONE: Final = 15
KEEP_TOLERANCE: Final = 16
POST_CAPPED: Final = 17


class Verdict(NamedTuple):
    """One entry: its stable key and what it means."""

    key: str
    meaning: str


VERDICTS: Final[dict[int, Verdict]] = {
    POST: Verdict("post", "posted as the strategy wanted it, after skew and layers"),
    POST_VALUE: Verdict("post_value", "posting is worth more than taking: P(saved + fees - A) > (1 - P) D"),
    TAKE_VALUE: Verdict("take_value", "taking is worth more than posting: P(saved + fees - A) <= (1 - P) D"),
    TAKE_AGE: Verdict("take_age", "takes because its time is up"),
    TAKE_ASKED: Verdict("take_asked", "takes because the strategy asked for it"),
    KEEP_QUEUE: Verdict("keep_queue", "kept: its place in the queue is worth more than a new one at the wanted price"),
    REPRICE: Verdict(
        "reprice", "cancelled: queueing again at the wanted price is worth more, or it is too far from it"
    ),
    WITHDRAW: Verdict("withdraw", "cancelled: nothing wanted is served by it any more"),
    ESCALATE: Verdict("escalate", "cancelled to move to a better price or to take"),
    HOLD_CANCELS: Verdict("hold_cancels", "left where it is: the budget for cancels is used up"),
    HOLD_ACTIONS: Verdict("hold_actions", "not sent: the budget for actions is used up, and it reduces no risk"),
    BEYOND_CAP: Verdict("beyond_cap", "does not take: the opposite best lies beyond the slippage cap"),
    STOP_LOSS: Verdict("stop_loss", "the loss limit was reached: the desk leaves its position"),
    TAKE_PROFIT: Verdict("take_profit", "the profit target was reached: the desk leaves its position"),
    EXIT_DONE: Verdict("exit_done", "the position is closed: quoting goes on after the pause"),
    POST_CAPPED: Verdict("post_capped", "posted: it would take, but the opposite best lies beyond the slippage cap"),
    KEEP_TOLERANCE: Verdict("keep_tolerance", "kept: within the refresh tolerance of the wanted price"),
}
"""Numbers go into the journal and are never reused."""
