"""A bounded memory of what was seen."""

from collections import deque
from collections.abc import Hashable


class Seen:
    """Remembers the last `limit` things."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[Hashable] = set()
        self._order: deque[Hashable] = deque()

    def __contains__(self, thing: Hashable) -> bool:
        return thing in self._known

    def add(self, thing: Hashable) -> bool:
        """Remember a thing; False when it was known."""
        if thing in self._known:
            return False
        if len(self._order) >= self._limit:
            self._known.discard(self._order.popleft())
        self._known.add(thing)
        self._order.append(thing)
        return True
