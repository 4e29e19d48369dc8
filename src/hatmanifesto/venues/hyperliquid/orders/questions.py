"""Orders that are asked about until the venue has given a definite answer.

That the venue does not know an order proves nothing at once: its answers lag its own execution, and a request may
still be under way. So an order counts as absent only when the question was sent after the order could no longer be
accepted (its `expiresAfter`) and some more time.
"""

from typing import Final

SECOND_NS: Final = 1_000_000_000
LAG_NS: Final = 5 * SECOND_NS
"""How far /info may lag behind execution."""
_FIRST_NS: Final = SECOND_NS // 2
_LONGEST_NS: Final = 8 * SECOND_NS


class Question:
    """One order that is asked about; `asked_ns` 0 = no question is under way."""

    __slots__ = ("asked_ns", "due_ns", "order_id", "tries", "version")

    def __init__(self, order_id: int, due_ns: int) -> None:
        self.order_id: Final = order_id
        self.due_ns = due_ns
        self.asked_ns = 0
        self.tries = 0
        self.version = 0


class Questions:
    """Which order to ask about when."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}

    def __len__(self) -> int:
        return len(self._open)

    def want(self, order_id: int, now_ns: int) -> None:
        """Ask about an order now; one that is being asked about is not asked twice."""
        question = self._open.get(order_id)
        if question is None:
            self._open[order_id] = Question(order_id, now_ns)
        elif not question.asked_ns:
            question.due_ns = min(question.due_ns, now_ns)

    def due(self, now_ns: int) -> list[Question]:
        """Return the questions to send now."""
        return [question for question in self._open.values() if not question.asked_ns and question.due_ns <= now_ns]

    def asked(self, question: Question, now_ns: int, version: int) -> None:
        """A question is sent; `version` is what the engine knew of the order then."""
        question.asked_ns = now_ns
        question.version = version

    def again(self, question: Question, now_ns: int) -> None:
        """No definite answer: ask again, later each time."""
        question.asked_ns = 0
        question.due_ns = now_ns + min(_FIRST_NS << min(question.tries, 8), _LONGEST_NS)
        question.tries += 1

    def close(self, question: Question) -> None:
        """The answer is here, or nobody needs it any more."""
        self._open.pop(question.order_id, None)


def absence_is_definite(asked_ns: int, expires_ms: int) -> bool:
    """Tell whether `unknownOid`, answered to a question sent at asked_ns, proves that the order never arrived."""
    return asked_ns >= expires_ms * 1_000_000 + LAG_NS
