"""A tape as the market: what was recorded is shown again, at the pace it had."""

from typing import Final, Protocol

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.follower import Follower
from hatmanifesto.model.market_row import ROW_WORDS, WORD_EXCH_TS, WORD_META, WORD_PRICE, WORD_SIZE


class Rows(Protocol):
    """A stream of packed rows in chunks."""

    def words(self, index: int) -> vec[i64]:
        """Return a chunk, empty after the last."""


class TapeMarket:
    """Plays a tape's exchange stream from its first row on, in real time or `speed` times as fast; then it stands."""

    def __init__(self, loopback: Loopback, rows: Rows, coins: list[int], speed: float = 1.0) -> None:
        self.followers: Final = {index: Follower(loopback, index) for index in set(coins) if index >= 0}
        self._rows = rows
        self._coins = coins
        self._chunk = 0
        self._words = rows.words(0)
        self._at = 0
        self._begin_ns = int(self._words[WORD_EXCH_TS]) if len(self._words) else 0
        self._from_ms = 0
        self._speed = speed
        self.ended = len(self._words) == 0

    def step(self, now_ms: int) -> None:
        """Take the rows up to now and let everybody act."""
        self._from_ms = self._from_ms or now_ms
        until = self._begin_ns + int((now_ms - self._from_ms) * 1_000_000 * self._speed)
        while not self.ended:
            if self._at >= len(self._words):
                self._chunk += 1
                self._words, self._at = self._rows.words(self._chunk), 0
                self.ended = len(self._words) == 0
                continue
            words, at = self._words, self._at
            if int(words[at + WORD_EXCH_TS]) > until:
                break
            meta = int(words[at + WORD_META])
            place = (meta >> 16) & 0xFFFF
            if place < len(self._coins) and self._coins[place] in self.followers:
                self.followers[self._coins[place]].take(
                    meta, int(words[at + WORD_PRICE]), int(words[at + WORD_SIZE]), int(words[at + WORD_EXCH_TS])
                )
            self._at += ROW_WORDS
        for follower in self.followers.values():
            follower.act()

    async def close(self) -> None:
        """Nothing is held open."""
