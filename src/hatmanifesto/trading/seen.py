"""What has been booked already: a venue tells fills and payments twice, after a reconnect as a rule."""

from collections import deque
from typing import Final, TypeVar

from hatmanifesto.config.checkpoint import Checkpoint

_Key = TypeVar("_Key")

LOOK_BACK_NS: Final = 600_000_000_000
"""How far before the last known fill the venue is asked: its streams and its history need not agree on the order."""
KEPT: Final = 200_000
"""Fills remembered; a venue's history that is asked for again reaches back far less."""
HANDED_ON: Final = 4_096
"""Fills that a checkpoint tells the next session of, at most; it asks the venue for nothing older."""
MS: Final = 1_000_000

FillKey = tuple[int, int, int, int]
"""Millisecond, instrument, trade id, side: both sides of a trade with oneself are two fills."""


class Booked:
    """Fills and funding payments that the engine has been told, by what is unique at the venue and in a journal.

    What the venue stamped at or before `from_ns` is part of the account that the first session began with. Every fill
    stamped at or before `fills_from_ns` is booked.
    """

    def __init__(self, from_ns: int = 0, fills_from_ns: int = 0) -> None:
        self.from_ns = from_ns
        self.fills_from_ns = max(from_ns, fills_from_ns)
        self._fills: dict[FillKey, None] = {}  # oldest first
        self._funding: dict[tuple[int, int], None] = {}
        self._newest: deque[FillKey] = deque()
        self._newest_after_ns = self.fills_from_ns
        self.last_fill_ns = 0
        self.last_funding_ns = 0
        self.repeated = 0

    def is_new_fill(self, exch_ts_ns: int, instrument: int, trade_id: int, side: int) -> bool:
        """Remember a fill by its millisecond, instrument, trade id and side (+1 or -1); False when it was known, or is
        in the account that the first session began with."""
        key = (exch_ts_ns // MS, instrument, trade_id, side)
        if exch_ts_ns <= self.fills_from_ns or not self._remember(self._fills, key):
            return False
        self.last_fill_ns = max(self.last_fill_ns, exch_ts_ns)
        self._newest.append(key)
        if len(self._newest) > HANDED_ON:
            self._forget_oldest()
        return True

    def is_new_funding(self, exch_ts_ns: int, instrument: int) -> bool:
        """Remember a payment by its second, since a stream and a history may stamp it some milliseconds apart."""
        if exch_ts_ns <= self.from_ns or not self._remember(self._funding, (exch_ts_ns // 1_000_000_000, instrument)):
            return False
        self.last_funding_ns = max(self.last_funding_ns, exch_ts_ns)
        return True

    def newest_fills(self) -> tuple[int, list[FillKey]]:
        """Return what the next session must know: a time up to which every fill is booked, and the fills after it."""
        keep_from = (self.last_fill_ns - LOOK_BACK_NS) // MS
        while self._newest and self._newest[0][0] < keep_from:
            self._forget_oldest()
        return self._newest_after_ns, list(self._newest)

    def newest_funding(self) -> list[tuple[int, int]]:
        """Return the payments within the look-back of the last one: (second, instrument)."""
        keep_from = (self.last_funding_ns - LOOK_BACK_NS) // 1_000_000_000
        return [key for key in list(self._funding)[-256:] if key[0] >= keep_from]

    def restore(self, state: Checkpoint) -> None:
        """Take over what an earlier session handed on."""
        self.last_fill_ns, self.last_funding_ns = state.last_fill_ns, state.last_funding_ns
        for fill in state.booked:
            self._fills[fill] = None
            self._newest.append(fill)
        for payment in state.booked_funding:
            self._funding[payment] = None

    def _forget_oldest(self) -> None:
        self._newest_after_ns = max(self._newest_after_ns, (self._newest.popleft()[0] + 1) * MS - 1)

    def _remember(self, known: dict[_Key, None], key: _Key) -> bool:
        if key in known:
            self.repeated += 1
            return False
        known[key] = None
        if len(known) > KEPT:
            del known[next(iter(known))]
        return True
