"""Market data from one or two sources, merged: each thing once, in the venue's order, with how far it can be relied on.

Every source carries the same channels of the same coins. Books and best prices are taken when they are newer than the
last one taken, trades when their id is new, so the faster source wins each time and the loss of one costs nothing.
Contexts carry no time: they come from the first source that is in order.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.venues.hyperliquid.feed.rows import MS, RowMaker
from hatmanifesto.venues.hyperliquid.feed.seen import Seen
from hatmanifesto.venues.hyperliquid.wire.info import Trade
from hatmanifesto.venues.hyperliquid.wire.stream import ActiveAssetCtx, Bbo, L2Book, Trades
from hatmanifesto.venues.port import Trust, VenueListener

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class FeedSettings:
    """Times in seconds. `stale_after`: age of the last whole book beyond which a market is stale.

    Without one it is six repetitions of the book in `fast` mode (five levels twice a second), and 2.4 otherwise
    (twenty levels every five seconds). `backlog`: how old a trade of the batch that comes with a subscription may be.
    """

    stale_after: float | None = None
    backlog: float = 5.0
    fast: bool = True

    @property
    def stale_ns(self) -> int:
        """Return the age beyond which a market is stale, ns."""
        seconds = self.stale_after if self.stale_after is not None else 3.0 if self.fast else 12.0
        return int(seconds * SECOND_NS)


class _Market:
    """One instrument: what was taken last, and what each source last said."""

    def __init__(self, instrument: Instrument, sources: int) -> None:
        self.index: Final = int(instrument.index)
        self.coin: Final = instrument.name
        self.rows: Final = RowMaker(instrument)
        self.book_ms = 0
        self.bbo_ms = 0
        self.trade_ids: Final = Seen(8192)
        self.trust = Trust.DOWN
        self.broken = ""
        self.book_received_ns: Final = [0] * sources
        """When each source last sent a whole book since it was connected; 0 = not yet."""
        self.backlog_due: Final = [True] * sources


class MarketFeed:
    """Takes decoded market messages of the sources and tells the listener rows and trust.

    `drop_source(source, why)` ends a source's connection: it sends what cannot be read, or has fallen silent while the
    connection stays open. The caller runs `check` a few times a second.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        listener: VenueListener,
        drop_source: Callable[[int, str], None],
        *,
        sources: int = 2,
        settings: FeedSettings | None = None,
    ) -> None:
        self._settings = settings or FeedSettings()
        self._stale_ns: Final = self._settings.stale_ns
        self._backlog_ms: Final = int(self._settings.backlog * 1000)
        self._listener = listener
        self._drop_source = drop_source
        self._markets: Final = [_Market(instrument, sources) for instrument in instruments]
        self._by_coin: Final = {market.coin: market for market in self._markets}
        self._up: Final = [0] * sources
        """When each source was connected; 0 = it is not."""
        self._dropped: Final = [False] * sources
        self.counts: Final[dict[str, int]] = dict.fromkeys(
            ("rows", "duplicates", "old", "backlog", "foreign", "impossible"), 0
        )

    def subscriptions(self) -> list[dict[str, str | bool]]:
        """Return what each source subscribes to."""
        wanted: list[dict[str, str | bool]] = []
        for market in self._markets:
            book: dict[str, str | bool] = {"type": "l2Book", "coin": market.coin}
            if self._settings.fast:
                book["fast"] = True
            wanted += (
                book,
                {"type": "bbo", "coin": market.coin},
                {"type": "trades", "coin": market.coin},
                {"type": "activeAssetCtx", "coin": market.coin},
            )
        return wanted

    # -- messages ---------------------------------------------------------------------------------

    def on_bbo(self, source: int, message: Bbo, now_ns: int) -> None:
        """Take best prices."""
        best = message.data
        market = self._by_coin.get(best.coin)
        if market is None:
            self.counts["foreign"] += 1
        elif best.time <= market.bbo_ms:
            self.counts["duplicates" if best.time == market.bbo_ms else "old"] += 1
        else:
            try:
                rows = market.rows.bbo(best, now_ns)
            except ValueError as error:
                self._impossible(source, market, now_ns, str(error))
                return
            market.bbo_ms = best.time
            self.counts["rows"] += 2
            self._listener.on_rows(now_ns, market.index, rows)

    def on_book(self, source: int, message: L2Book, now_ns: int) -> None:
        """Take a whole book; it proves that the source is alive even when the other one brought it first."""
        book = message.data
        market = self._by_coin.get(book.coin)
        if market is None:
            self.counts["foreign"] += 1
            return
        old = book.time <= market.book_ms
        if old:
            self.counts["duplicates" if book.time == market.book_ms else "old"] += 1
            if book.time < market.book_ms and not self._others_fresh(market, source, now_ns):
                old = False  # the venue's clock went back, or what we took was wrong: begin again from here
                market.bbo_ms = 0
        if not old:
            try:
                words = market.rows.book(book, now_ns)
            except ValueError as error:
                self._impossible(source, market, now_ns, str(error))
                return
            market.book_ms = book.time
            self._tell(market, now_ns, words)
        market.book_received_ns[source] = now_ns
        if market.trust is not Trust.LIVE:
            market.broken = ""
            self._set_trust(market, now_ns, Trust.LIVE, "a whole book is here")

    def on_trades(self, source: int, message: Trades, now_ns: int) -> None:
        """Take prints. Of the batch that comes with a subscription, old ones are left out."""
        words: list[int] = []
        market: _Market | None = None
        oldest_ms = 0
        for trade in message.data:
            if market is None or market.coin != trade.coin:
                if market is not None:
                    self._tell(market, now_ns, words)
                    words = []
                market = self._by_coin.get(trade.coin)
                if market is None:
                    self.counts["foreign"] += 1
                    continue
                oldest_ms = 0
                if market.backlog_due[source]:
                    market.backlog_due[source] = False
                    oldest_ms = now_ns // MS - self._backlog_ms
            try:
                words += self._print(market, trade, now_ns, oldest_ms)
            except ValueError as error:
                self._impossible(source, market, now_ns, str(error))
        if market is not None:
            self._tell(market, now_ns, words)

    def _print(self, market: _Market, trade: Trade, now_ns: int, oldest_ms: int) -> list[int]:
        if trade.tid in market.trade_ids:
            self.counts["duplicates"] += 1
            return []
        words = market.rows.trade(trade, now_ns)
        market.trade_ids.add(trade.tid)
        if trade.time < oldest_ms:
            self.counts["backlog"] += 1
            return []
        return words

    def on_context(self, source: int, message: ActiveAssetCtx, now_ns: int) -> None:
        """Take mark, oracle and funding rate from the first source that is in order."""
        market = self._by_coin.get(message.data.coin)
        if market is None:
            self.counts["foreign"] += 1
        elif any(self._up[:source]) and self._others_fresh(market, source, now_ns, before=True):
            self.counts["duplicates"] += 1
        else:
            try:
                words = market.rows.context(message.data.ctx, now_ns)
            except ValueError as error:
                self._impossible(source, market, now_ns, str(error))
                return
            self._tell(market, now_ns, words)

    def _tell(self, market: _Market, now_ns: int, words: list[int]) -> None:
        if words:
            self.counts["rows"] += len(words) // 5
            self._listener.on_rows(now_ns, market.index, array("q", words).tobytes())

    # -- connections, age, nonsense ---------------------------------------------------------------

    def on_up(self, source: int, now_ns: int) -> None:
        """A source was connected: it says nothing of a market until it sent its first whole book."""
        self._up[source] = now_ns
        self._dropped[source] = False
        for market in self._markets:
            market.book_received_ns[source] = 0
            market.backlog_due[source] = True
            market.rows.forget()
            if market.trust is Trust.DOWN:
                self._set_trust(market, now_ns, Trust.SYNCING, "connected; waiting for a whole book")

    def on_down(self, source: int, now_ns: int, why: str) -> None:
        """A source's connection ended."""
        self._up[source] = 0
        for market in self._markets:
            market.book_received_ns[source] = 0
            self._look(market, now_ns, why)

    def on_unreadable(self, source: int, now_ns: int, why: str) -> None:
        """A source sent what is no message: nothing of it is believed until it has been connected again."""
        self.counts["impossible"] += 1
        for market in self._markets:
            market.book_received_ns[source] = 0
            market.broken = why
            self._look(market, now_ns, why)
        self._drop_source(source, f"unreadable message: {why}"[:200])

    def _impossible(self, source: int, market: _Market, now_ns: int, why: str) -> None:
        """A message says what cannot be: the market counts as broken on this source until its next whole book."""
        self.counts["impossible"] += 1
        market.book_received_ns[source] = 0
        market.broken = why
        self._listener.on_notice(
            now_ns, "impossible_message", {"coin": market.coin, "source": source, "why": why[:200]}
        )
        self._look(market, now_ns, why)

    def check(self, now_ns: int) -> None:
        """Look at the age of every market and every source."""
        for source, up_ns in enumerate(self._up):
            if up_ns and not self._dropped[source] and now_ns - up_ns > self._stale_ns:
                silent = [
                    market.coin
                    for market in self._markets
                    if now_ns - max(market.book_received_ns[source], up_ns) > self._stale_ns
                ]
                if silent:
                    self._dropped[source] = True
                    self._drop_source(source, f"no book of {', '.join(silent[:5])} while connected")
        for market in self._markets:
            self._look(market, now_ns, "no whole book in time")

    def _look(self, market: _Market, now_ns: int, why: str) -> None:
        """Set a market's trust from what its sources last said."""
        last = max(market.book_received_ns)
        if last and now_ns - last <= self._stale_ns:
            return
        if market.broken:
            trust, why = Trust.BROKEN, market.broken
        elif not any(self._up):
            trust = Trust.DOWN
        elif last:
            trust = Trust.STALE
        else:
            trust = Trust.SYNCING if market.trust is not Trust.STALE else Trust.STALE
        if trust is not market.trust:
            self._set_trust(market, now_ns, trust, why)

    def _others_fresh(self, market: _Market, source: int, now_ns: int, *, before: bool = False) -> bool:
        """Tell whether another source (with `before`: an earlier one) has brought a whole book lately."""
        return any(
            received and now_ns - received <= self._stale_ns
            for other, received in enumerate(market.book_received_ns)
            if other != source and (not before or other < source)
        )

    def _set_trust(self, market: _Market, now_ns: int, trust: Trust, why: str) -> None:
        market.trust = trust
        self._listener.on_trust(now_ns, market.index, trust, why[:200])

    @property
    def trust(self) -> Mapping[str, Trust]:
        """Return each coin's trust."""
        return {market.coin: market.trust for market in self._markets}
