"""What has been booked already: a venue tells fills and payments twice, after a reconnect as a rule."""

from typing import Final, TypeVar

_Key = TypeVar("_Key")

LOOK_BACK_NS: Final = 600_000_000_000
"""How far before the last known fill the venue is asked: its streams and its history need not agree on the order."""
KEPT: Final = 200_000
"""Fills remembered; a venue's history that is asked for again reaches back far less."""


class Booked:
    """Fills and funding payments that the engine has been told, by what is unique at the venue and in a journal.

    What the venue stamped at or before `from_ns` is part of the account that the first session began with.
    """

    def __init__(self, from_ns: int = 0) -> None:
        self.from_ns = from_ns
        self._fills: dict[tuple[int, int, int], None] = {}  # oldest first
        self._funding: dict[tuple[int, int], None] = {}
        self.last_fill_ns = 0
        self.last_funding_ns = 0
        self.repeated = 0

    def is_new_fill(self, exch_ts_ns: int, instrument: int, trade_id: int) -> bool:
        """Remember a fill by its millisecond, instrument and trade id; False when it was known, or is in the account
        that the first session began with."""
        if exch_ts_ns <= self.from_ns or not self._remember(
            self._fills, (exch_ts_ns // 1_000_000, instrument, trade_id)
        ):
            return False
        self.last_fill_ns = max(self.last_fill_ns, exch_ts_ns)
        return True

    def is_new_funding(self, exch_ts_ns: int, instrument: int) -> bool:
        """Remember a payment by its second, since a stream and a history may stamp it some milliseconds apart."""
        if exch_ts_ns <= self.from_ns or not self._remember(self._funding, (exch_ts_ns // 1_000_000_000, instrument)):
            return False
        self.last_funding_ns = max(self.last_funding_ns, exch_ts_ns)
        return True

    def _remember(self, known: dict[_Key, None], key: _Key) -> bool:
        if key in known:
            self.repeated += 1
            return False
        known[key] = None
        if len(known) > KEPT:
            del known[next(iter(known))]
        return True
