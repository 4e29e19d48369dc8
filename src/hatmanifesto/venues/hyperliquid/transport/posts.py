"""Requests over the WebSocket and their answers, found by id. A connection that ends loses what was under way."""

from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from hatmanifesto.venues.hyperliquid.transport.outcomes import Answered, Lost, Outcome, Refused, refusal_or_loss
from hatmanifesto.venues.hyperliquid.wire.reading import Reader
from hatmanifesto.venues.hyperliquid.wire.stream import PostData

Handler = Callable[[int, Outcome], None]
"""Takes the receipt stamp and what became of the request."""

_TOO_MANY: Final = "too many pending post requests id="
_text: Final = Reader[str](str)


class Posts:
    """The requests under way on one stream. `send` and `up` are the stream's; ids never repeat in one process."""

    def __init__(self, send: Callable[[bytes], bool], up: Callable[[], bool], answer_timeout_ns: int) -> None:
        self._send = send
        self._up = up
        self._answer_timeout_ns = answer_timeout_ns
        self._ids = count(1)
        self._waiting: dict[int, tuple[int, Handler]] = {}
        self.unexpected = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def connected(self) -> bool:
        """Tell whether a request could be sent now."""
        return self._up()

    def action(self, now_ns: int, body: bytes, handler: Handler) -> bool:
        """Send a signed action (the body of /exchange); False, and nothing sent, when there is no connection."""
        return self._post(now_ns, b'{"method":"post","id":%d,"request":{"type":"action","payload":%b}}', body, handler)

    def info(self, now_ns: int, body: bytes, handler: Handler) -> bool:
        """Send a query (the body of /info); False, and nothing sent, when there is no connection."""
        return self._post(now_ns, b'{"method":"post","id":%d,"request":{"type":"info","payload":%b}}', body, handler)

    def _post(self, now_ns: int, form: bytes, body: bytes, handler: Handler) -> bool:
        post_id = next(self._ids)
        if not self._send(form % (post_id, body)):
            return False
        self._waiting[post_id] = (now_ns + self._answer_timeout_ns, handler)
        return True

    def on_answer(self, now_ns: int, data: PostData) -> None:
        """Take a post's answer; one that nobody waits for any more is counted."""
        found = self._waiting.pop(data.id, None)
        if found is None:
            self.unexpected += 1
            return
        payload = bytes(data.response.payload)
        outcome: Outcome = Answered(payload)
        if data.response.type == "error":
            try:
                text = _text.decode(payload)
            except msgspec.DecodeError:
                text = ""
            status, _, rest = text.partition(":")
            outcome = (
                refusal_or_loss(int(status), rest.strip())
                if status.isdecimal() and len(status) == 3
                else Lost(text[:200])
            )
        found[1](now_ns, outcome)

    def on_error(self, now_ns: int, text: str) -> bool:
        """Take a text of the error channel; True when it was the refusal of a post."""
        if not text.startswith(_TOO_MANY):
            return False
        number = text.removeprefix(_TOO_MANY).strip()
        found = self._waiting.pop(int(number), None) if number.isdecimal() and len(number) < 20 else None
        if found is not None:
            found[1](now_ns, Refused(429, text))
        return True

    def expire(self, now_ns: int) -> None:
        """Give up waiting for what is overdue."""
        overdue = [post_id for post_id, (deadline_ns, _) in self._waiting.items() if deadline_ns <= now_ns]
        self._lose(now_ns, overdue, "no answer in time")

    def on_down(self, now_ns: int, why: str) -> None:
        """The connection ended: what was under way may or may not have arrived."""
        self._lose(now_ns, list(self._waiting), why)

    def forget(self) -> None:
        """Wait for no answer any more, and tell nobody."""
        self._waiting.clear()

    def _lose(self, now_ns: int, ids: list[int], why: str) -> None:
        for post_id in ids:
            found = self._waiting.pop(post_id, None)
            if found is not None:
                found[1](now_ns, Lost(why))
