"""What a tape holds and what it is good for: span, gaps, latency, the touch, fill models it supports.

Streams chunk by chunk; memory does not grow with the tape.
"""

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, Rows, TapeLike, as_rows
from hatmanifesto.instants import utc_text
from hatmanifesto.model.book import Book
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    CHANNEL_MASK,
    CHANNEL_NAMES,
    CHANNEL_SHIFT,
    DEPTH,
    FIRST,
    FUNDING,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MARK,
    MORE,
    ORACLE,
    SELL_BIT,
    SNAPSHOT,
    TRADE,
)

KIND_NAMES: Final = {
    DEPTH: "depth",
    TRADE: "trade",
    BBO: "bbo",
    SNAPSHOT: "snapshot",
    MARK: "mark",
    ORACLE: "oracle",
    FUNDING: "funding",
}
QUANTILES: Final = (0.01, 0.5, 0.9, 0.99)
GAP_NS: Final = 10_000_000_000
"""The usual threshold: a channel silent for longer has a gap."""
_BOOK_KINDS: Final = frozenset((DEPTH, BBO, SNAPSHOT))


class ChannelInfo(msgspec.Struct):
    """One channel of one instrument. Gaps: pauses of the venue's clock above the threshold."""

    rows: int = 0
    messages: int = 0
    gaps: int = 0
    longest_gap_ns: int = 0
    longest_gap_from_ns: int = 0


class StateInfo(msgspec.Struct):
    """How often and how long the book was in a state (crossed: bid > ask; locked: bid = ask)."""

    episodes: int = 0
    total_ns: int = 0
    first_ns: int = 0


class TradeInfo(msgspec.Struct):
    """Prints against the best opposite price just before: at it, through it, or inside the spread."""

    count: int = 0
    at_touch: int = 0
    through_touch: int = 0
    inside_spread: int = 0
    no_touch_known: int = 0
    side_unknown: int = 0
    share_at_or_through_touch: float = 0.0


class InstrumentInfo(msgspec.Struct):
    """One instrument of the tape."""

    name: str
    price_scale: int
    size_scale: int
    rows: int
    kinds: dict[str, int]
    channels: dict[str, ChannelInfo]
    crossed: StateInfo
    locked: StateInfo
    trades: TradeInfo
    fill_models: list[str]


class LatencyInfo(msgspec.Struct):
    """Receiver's clock minus the venue's, a message each, nanoseconds; quantiles within 1 %."""

    messages: int = 0
    negative: int = 0
    min_ns: int = 0
    max_ns: int = 0
    quantiles_ns: dict[str, int] = {}


class TapeInfo(msgspec.Struct):
    """Everything `hat tape info` says that is computed from the rows."""

    rows: dict[str, int]
    same_order: bool
    first_ns: int
    last_ns: int
    first_utc: str
    last_utc: str
    seconds: float
    gap_threshold_ns: int
    kinds: dict[str, int]
    channels: dict[str, int]
    trade_share: float
    latency: LatencyInfo
    instruments: list[InstrumentInfo]
    fill_models: dict[str, str]


class _TouchView(Protocol):
    def apply(self, meta: int, price: int, size: int, exch_ts: int) -> None: ...
    def best_bid(self) -> int: ...
    def best_ask(self) -> int: ...


class FeedTouch:
    """Best prices as snapshots and BBO rows state them, unmerged, so that a crossed feed shows as crossed.

    The newer of the two by the venue's clock holds. For feeds without DEPTH rows.
    """

    def __init__(self) -> None:
        self._best = [0, 0]
        self._stamp = [0, 0]
        self._building = [0, 0]

    def apply(self, meta: int, price: int, size: int, exch_ts: int) -> None:
        """Take one row; prices change when a message is whole."""
        kind = meta & KIND_MASK
        side = 0 if meta & BUY_BIT else 1
        if kind == BBO:
            if exch_ts >= self._stamp[side]:
                self._best[side] = price if size else 0
                self._stamp[side] = exch_ts
        elif kind == SNAPSHOT:
            building = self._building
            if meta & FIRST:
                building[0] = building[1] = 0
            if size:
                old = building[side]
                if old == 0 or (price > old if side == 0 else price < old):
                    building[side] = price
            if not meta & MORE:
                for i in (0, 1):
                    if exch_ts >= self._stamp[i]:
                        self._best[i] = building[i]
                        self._stamp[i] = exch_ts

    def best_bid(self) -> int:
        """Return the best bid, 0 when there is none."""
        return self._best[0]

    def best_ask(self) -> int:
        """Return the best ask, 0 when there is none."""
        return self._best[1]


def summarize(
    tape: TapeLike,
    *,
    gap_ns: int = GAP_NS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> TapeInfo:
    """Read a tape's exchange stream twice (counts, then books) and return what it holds.

    `on_progress` is called with chunks done and chunks in all.
    """
    stream = tape.stream("exchange")
    counter = _Counter([instrument.name for instrument in tape.instruments], gap_ns)
    steps = stream.count * 2
    for i in range(stream.count):
        counter.add(as_rows(stream.chunk(i)))
        on_progress(i + 1, steps)
    watchers = [
        _Watcher(Book() if counter.kinds_of(index).get("depth") else FeedTouch())
        for index in range(len(tape.instruments))
    ]
    for i in range(stream.count):
        _watch(watchers, as_rows(stream.chunk(i)))
        on_progress(stream.count + i + 1, steps)
    receiver = tape.stream("receiver")
    instruments = []
    for index, (instrument, watcher) in enumerate(zip(tape.instruments, watchers, strict=True)):
        watcher.end(counter.last_ns)
        kinds = counter.kinds_of(index)
        instruments.append(
            InstrumentInfo(
                name=instrument.name,
                price_scale=int(instrument.price_scale),
                size_scale=int(instrument.size_scale),
                rows=sum(kinds.values()),
                kinds=kinds,
                channels=counter.channels_of(index),
                crossed=watcher.crossed,
                locked=watcher.locked,
                trades=watcher.trades,
                fill_models=_fill_models(kinds),
            )
        )
    kinds_total = counter.kinds_of(None)
    return TapeInfo(
        rows={"exchange": stream.rows, "receiver": receiver.rows},
        same_order=receiver is stream or getattr(tape, "same_order", False),
        first_ns=counter.first_ns,
        last_ns=counter.last_ns,
        first_utc=utc_text(counter.first_ns),
        last_utc=utc_text(counter.last_ns),
        seconds=(counter.last_ns - counter.first_ns) / 1e9,
        gap_threshold_ns=gap_ns,
        kinds=kinds_total,
        channels=counter.channel_rows(),
        trade_share=kinds_total.get("trade", 0) / max(1, stream.rows),
        latency=counter.latency.result(),
        instruments=instruments,
        fill_models=_explain_fill_models(instruments),
    )


def _fill_models(kinds: dict[str, int]) -> list[str]:
    book = any(kinds.get(name) for name in ("depth", "bbo", "snapshot"))
    if not book:
        return []
    return ["queue", "reference", "cross"] if kinds.get("trade") else ["cross"]


def _explain_fill_models(instruments: list[InstrumentInfo]) -> dict[str, str]:
    without = [one.name for one in instruments if "queue" not in one.fill_models and "cross" in one.fill_models]
    bookless = [one.name for one in instruments if not one.fill_models]
    trades = f"no, {', '.join(without + bookless)}: no trades" if without else "yes"
    cross = "yes: an order fills when the book crosses its price"
    if bookless:
        trades = cross = f"no, {', '.join(bookless)}: no book"
    return {"queue": trades, "reference": trades, "cross": cross}


class _Counter:
    """Counts, gaps and latency, chunk by chunk."""

    def __init__(self, names: list[str], gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._kinds = np.zeros((len(names), KIND_MASK + 1), np.int64)
        self._channels: list[dict[int, ChannelInfo]] = [{} for _ in names]
        self._last_seen: dict[tuple[int, int], int] = {}
        self.latency = _Latency()
        self.first_ns = 0
        self.last_ns = 0

    def add(self, rows: Rows) -> None:
        """Take the next chunk of the exchange stream."""
        meta = rows[:, META]
        ends = (meta & MORE) == 0
        self.latency.add(rows[ends, LOCAL] - rows[ends, EXCH])
        if self.first_ns == 0:
            self.first_ns = int(rows[0, EXCH])
        self.last_ns = int(rows[-1, EXCH])
        instrument = (meta >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        channel = (meta >> CHANNEL_SHIFT) & CHANNEL_MASK
        flat = np.bincount(instrument * (KIND_MASK + 1) + (meta & KIND_MASK), minlength=self._kinds.size)
        self._kinds += flat[: self._kinds.size].reshape(self._kinds.shape)
        key = instrument * (CHANNEL_MASK + 1) + channel
        for value in np.unique(key).tolist():
            mine = key == value
            index, number = divmod(value, CHANNEL_MASK + 1)
            info = self._channels[index].setdefault(number, ChannelInfo())
            info.rows += int(mine.sum())
            info.messages += int((mine & ends).sum())
            self._gaps(info, (index, number), rows[mine & ends, EXCH])

    def _gaps(self, info: ChannelInfo, key: tuple[int, int], stamps: NDArray[np.int64]) -> None:
        if len(stamps) == 0:
            return
        stamps = np.concatenate([[self._last_seen.get(key, int(stamps[0]))], stamps])
        self._last_seen[key] = int(stamps[-1])
        pauses = np.diff(stamps)
        info.gaps += int((pauses > self._gap_ns).sum())
        longest = int(np.argmax(pauses))
        if int(pauses[longest]) > info.longest_gap_ns:
            info.longest_gap_ns = int(pauses[longest])
            info.longest_gap_from_ns = int(stamps[longest])

    def kinds_of(self, index: int | None) -> dict[str, int]:
        """Return rows by kind of one instrument, or of all."""
        counts = self._kinds.sum(axis=0) if index is None else self._kinds[index]
        return {KIND_NAMES.get(k, f"kind {k}"): int(counts[k]) for k in np.flatnonzero(counts).tolist()}

    def channels_of(self, index: int) -> dict[str, ChannelInfo]:
        """Return one instrument's channels by name."""
        return {_channel(k): self._channels[index][k] for k in sorted(self._channels[index])}

    def channel_rows(self) -> dict[str, int]:
        """Return rows by channel of all instruments."""
        total: dict[str, int] = {}
        for channels in self._channels:
            for number in sorted(channels):
                total[_channel(number)] = total.get(_channel(number), 0) + channels[number].rows
        return total


def _channel(number: int) -> str:
    return CHANNEL_NAMES.get(number, f"channel {number}")


class _Latency:
    """A histogram with buckets 1/128 octave wide at most, so that memory stays fixed."""

    _STEPS = 128

    def __init__(self) -> None:
        self._up = np.zeros(64 * self._STEPS, np.int64)
        self._down = np.zeros(64 * self._STEPS, np.int64)
        self._min: int | None = None
        self._max = 0

    def add(self, latency_ns: NDArray[np.int64]) -> None:
        """Count latencies."""
        if len(latency_ns) == 0:
            return
        low, high = int(latency_ns.min()), int(latency_ns.max())
        self._max = high if self._min is None else max(self._max, high)
        self._min = low if self._min is None else min(self._min, low)
        for counts, values in (
            (self._up, latency_ns[latency_ns >= 0]),
            (self._down, -latency_ns[latency_ns < 0]),
        ):
            mantissa, exponent = np.frexp(values.astype(np.float64))
            step = np.where(values > 0, ((mantissa - 0.5) * 2 * self._STEPS).astype(np.int64), 0)
            bucket = np.maximum(exponent.astype(np.int64), 0) * self._STEPS + step
            counts += np.bincount(bucket, minlength=len(counts))[: len(counts)]

    def result(self) -> LatencyInfo:
        """Return counts and quantiles."""
        negative = int(self._down.sum())
        total = negative + int(self._up.sum())
        if total == 0 or self._min is None:
            return LatencyInfo()
        middles = self._middles()
        values = np.concatenate([-middles[::-1], middles])
        counts = np.cumsum(np.concatenate([self._down[::-1], self._up]))
        quantiles = {}
        for q in QUANTILES:
            at = int(np.searchsorted(counts, math.ceil(q * total)))
            quantiles[f"p{q * 100:g}"] = min(self._max, max(self._min, int(values[at])))
        return LatencyInfo(
            messages=total, negative=negative, min_ns=self._min, max_ns=self._max, quantiles_ns=quantiles
        )

    def _middles(self) -> NDArray[np.float64]:
        bucket = np.arange(64 * self._STEPS)
        mantissa = 0.5 + (bucket % self._STEPS + 0.5) / (2 * self._STEPS)
        middles: NDArray[np.float64] = np.ldexp(mantissa, (bucket // self._STEPS).astype(np.int32))
        middles[0] = 0
        return middles


class _Watcher:
    """One instrument's book states and where its prints fell."""

    def __init__(self, touch: _TouchView) -> None:
        self.touch = touch
        self.trades = TradeInfo()
        self.crossed = StateInfo()
        self.locked = StateInfo()
        self.bid = 0
        self.ask = 0
        self._state: StateInfo | None = None
        self._since = 0

    def book_changed(self, exch_ts: int) -> None:
        """Look at the best prices after a whole message."""
        self.bid, self.ask = self.touch.best_bid(), self.touch.best_ask()
        state: StateInfo | None = None
        if 0 < self.ask <= self.bid:
            state = self.locked if self.ask == self.bid else self.crossed
        if state is not self._state:
            self.end(exch_ts)
            self._state, self._since = state, exch_ts
            if state is not None:
                state.episodes += 1
                state.first_ns = state.first_ns or exch_ts

    def end(self, exch_ts: int) -> None:
        """Close the running state, if any, at a time."""
        if self._state is not None:
            self._state.total_ns += exch_ts - self._since
            self._state = None
        trades = self.trades
        touched = trades.at_touch + trades.through_touch
        known = touched + trades.inside_spread
        trades.share_at_or_through_touch = round(touched / known, 6) if known else 0.0

    def trade(self, meta: int, price: int) -> None:
        """Compare a print with the best opposite price before it."""
        trades = self.trades
        trades.count += 1
        side = 1 if meta & BUY_BIT else -1 if meta & SELL_BIT else 0
        best = self.ask if side > 0 else self.bid
        if side == 0:
            trades.side_unknown += 1
        elif best == 0:
            trades.no_touch_known += 1
        elif price == best:
            trades.at_touch += 1
        elif (price - best) * side > 0:
            trades.through_touch += 1
        else:
            trades.inside_spread += 1


def _watch(watchers: list[_Watcher], rows: Rows) -> None:
    columns: list[list[Any]] = rows.T.tolist()
    for exch_ts, meta, price, size in zip(columns[0], columns[2], columns[3], columns[4], strict=True):
        kind = meta & KIND_MASK
        watcher = watchers[meta >> INSTRUMENT_SHIFT & INSTRUMENT_MASK]
        if kind in _BOOK_KINDS:
            watcher.touch.apply(meta, price, size, exch_ts)
            if not meta & MORE:
                watcher.book_changed(exch_ts)
        elif kind == TRADE:
            watcher.trade(meta, price)
