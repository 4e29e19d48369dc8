"""Import raw captures of Binance: one JSON message a line with the recorder's time before it, spot or futures.

REST depth snapshot → SNAPSHOT, depthUpdate → DEPTH, bookTicker → BBO, trade → TRADE, markPriceUpdate →
MARK, ORACLE, FUNDING. Sequence numbers are checked (binance_depth.py); a break empties the book until the
next snapshot joins. Time of the venue: the transaction time `T` on futures, the event time on spot. A spot
bookTicker has none: see `_SpotTimes`. Source of the shapes: Binance docs, market streams of USD-M, COIN-M, spot.
"""

from bisect import bisect_left, insort
from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.backtest.tape.format import Footer, InstrumentSpec, Source
from hatmanifesto.backtest.tape.importers.binance_depth import DepthChain, DepthCounts, DepthUpdate, Gap, Level
from hatmanifesto.backtest.tape.importers.clock import ReceiverClock
from hatmanifesto.backtest.tape.importers.decimals import is_number
from hatmanifesto.backtest.tape.importers.files import FileProgress, in_session_order, stamped_lines
from hatmanifesto.backtest.tape.importers.grid import RAW_PRICE_DECIMALS, Rescale, Steps, rounded_units
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress, describe_files, malformed
from hatmanifesto.backtest.tape.importers.row_batch import AT_EXCHANGE, AT_RECEIVER, EVERYONE, Roster, RowBatch
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    DEPTH,
    FIRST,
    FUNDING,
    MARK,
    MORE,
    ORACLE,
    SNAPSHOT,
    TRADE,
    make_meta,
)

_MS: Final = 1_000_000
_FUNDING_SECONDS: Final = 8 * 3_600
_RATE_DECIMALS: Final = 9
_LATENCIES: Final = 101
_MOST_PRICE_RATIO: Final = 1.5
"""A snapshot's best price and the last price seen of its instrument differ less."""
SPOT_SUFFIX: Final = "-SPOT"
"""Spot and futures share symbols; a tape may hold both."""


class _Data(msgspec.Struct, frozen=True):
    """Any message of a market stream; what a field means depends on the event."""

    s: str = ""
    e: str = ""
    E: int = 0
    T: int = 0
    t: int = 0
    U: int = 0
    u: int = 0
    pu: int = -1
    b: list[Level] | str | int | None = None
    a: list[Level] | str | int | None = None
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    i: str = ""
    r: str = ""
    X: str = ""
    m: bool | None = None
    M: bool | None = None


class _Line(msgspec.Struct, frozen=True):
    data: _Data | None = None
    lastUpdateId: int = 0  # noqa: N815 the venue's name
    bids: list[Level] | None = None
    asks: list[Level] | None = None
    symbol: str = ""
    T: int = 0


class _BestPrices(NamedTuple):
    line: int
    local_ns: int
    update: int
    bid: Level
    ask: Level


class _Counts(msgspec.Struct):
    bbo_messages: int = 0
    bbo_older_than_book_dropped: int = 0
    updates_partly_older_than_best_price: int = 0
    trades_read: int = 0
    trades_kept: int = 0
    trades_duplicate_dropped: int = 0
    trades_not_of_the_book_dropped: int = 0
    trade_ids_missing: int = 0
    marks: int = 0
    depth: DepthCounts = msgspec.field(default_factory=DepthCounts)


def import_binance(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from the files of a session; raises UserError naming file and line."""
    files = in_session_order(request.files)
    clock = ReceiverClock(request.clock)
    with Spool(writer.path.parent) as spool:
        capture = _Capture(spool, request)
        reading = FileProgress(progress, files)
        for path in files:
            capture.read(path, reading)
        capture.finish()
        steps = [
            grid.inferred(name, request.tick, request.lot)
            for name, grid in zip(capture.roster.names, capture.roster.grids, strict=True)
        ]
        statistics = {
            **spool.write(writer, adjust=Rescale(steps), clock=clock.shift),
            "receiver_clock_shift_ns": clock.shift_ns,
            "lines": capture.lines,
            "other_messages": capture.others,
            "instruments": capture.statistics(),
        }
    names = capture.roster.names
    notes = [*capture.notes(), clock.note()]
    if not (request.tick and request.lot):
        notes.append(f"{', '.join(names)}: price and size steps inferred from what was seen")
    return writer.finish(
        instruments=[_instrument(name, one) for name, one in zip(names, steps, strict=True)],
        source=Source(
            format="binance-ws",
            files=describe_files(files),
            options={
                key: value
                for key, value in (("clock", request.clock), ("tick", request.tick), ("lot", request.lot))
                if value
            },
            notes=[note for note in notes if note],
        ),
        statistics=statistics,
    )


def _instrument(name: str, steps: Steps) -> InstrumentSpec:
    """Return an instrument with the base fee tier: futures 2 and 5 bps, spot 10 and 10."""
    spot = name.endswith(SPOT_SUFFIX)
    return InstrumentSpec(
        name=name,
        venue="binance",
        price_scale=steps.price_scale,
        size_scale=steps.size_scale,
        money_scale=steps.money_scale,
        tick_size=steps.tick_size,
        lot_size=steps.lot_size,
        max_price=steps.max_price,
        maker_fee=1_000_000 if spot else 200_000,
        taker_fee=1_000_000 if spot else 500_000,
        max_leverage=1 if spot else 20,
    )


class _Capture:
    """Reads messages into the spool and remembers what it saw."""

    def __init__(self, spool: Spool, request: ImportRequest) -> None:
        self._request = request
        self.roster = Roster(request.instruments)
        self._rows = RowBatch(spool, self.roster)
        self._markets: dict[str, _Market] = {}
        self._decode = msgspec.json.Decoder(_Line).decode
        self._path = Path()
        self._of_file: dict[str, float] = {}  # name -> the last price seen of it, 0 for none
        self._held: list[tuple[int, int, _Line]] = []
        self.lines = 0
        self.others: dict[str, int] = {}

    def read(self, path: Path, progress: FileProgress) -> None:
        """Read one file."""
        self._path = path
        self._of_file = {}
        self._rows.reading(path)
        for number, stamp, text in stamped_lines(path, progress):
            self.lines += 1
            try:
                line = self._decode(text)
                if line.data is None and not line.lastUpdateId:
                    line = _Line(data=msgspec.json.decode(text, type=_Data))
            except msgspec.DecodeError as error:
                raise malformed(path, number, f"no message of Binance: {error}") from error
            if line.data is not None:
                market = self._market(line.data)
                if market is not None:
                    market.take(path, number, stamp, line.data)
                held, self._held = self._held, []
                for snapshot in held:
                    self._snapshot(*snapshot)
            elif line.bids is None or line.asks is None:
                raise malformed(path, number, "no message of Binance: a depth snapshot has bids and asks")
            elif stamp is None and not line.T:
                raise malformed(path, number, "a depth snapshot needs the recorder's time before it")
            else:
                self._snapshot(number, line.T * _MS if stamp is None else stamp, line)
        if self._held:
            raise malformed(path, self._held[0][0], "nothing says which symbol the depth snapshot is of")

    def _market(self, data: _Data) -> "_Market | None":
        """Return the instrument of a message, None when it was not asked for or is no market message."""
        book_ticker = data.B != "" and data.A != ""
        if not data.s or (data.e not in ("depthUpdate", "trade", "markPriceUpdate", "bookTicker") and not book_ticker):
            name = data.e or "unknown"
            self.others[name] = self.others.get(name, 0) + 1
            return None
        if data.e == "depthUpdate":
            spot = data.pu < 0
        elif data.e == "trade":
            spot = data.M is not None
        else:
            spot = book_ticker and not data.T
        name = data.s + SPOT_SUFFIX if spot else data.s
        price = data.b if book_ticker else data.p
        if isinstance(price, str) and is_number(price):
            self._of_file[name] = float(price)
        else:
            self._of_file.setdefault(name, 0.0)
        market = self._markets.get(name)
        if market is None:
            index = self.roster.index(name)
            if index < 0:
                return None
            market = self._markets[name] = _Market(name, index, self._rows, self._request, spot=spot)
        return market

    def _snapshot(self, number: int, local_ns: int, line: _Line) -> None:
        """Give a snapshot to its instrument: USD-M and spot do not name it, but its prices tell."""
        assert line.bids is not None
        assert line.asks is not None
        name = line.symbol if line.symbol in self._of_file else ""
        levels = [*line.bids[:1], *line.asks[:1]]
        if not line.symbol and levels:
            if not is_number(levels[0][0]):
                raise malformed(self._path, number, f"price {levels[0][0]!r} is not a number")
            name = self._like(float(levels[0][0]))
        if not name:
            self._held.append((number, local_ns, line))  # until the file has said what it is of
            return
        market = self._markets.get(name)
        if market is not None:
            market.snapshot(number, local_ns, line.T * _MS, line.lastUpdateId, line.bids, line.asks)

    def _like(self, price: float) -> str:
        """Return the file's instrument with such a price; the only one when it has shown no price yet; '' for none."""
        near = {name: max(price, seen) / max(min(price, seen), 1e-12) for name, seen in self._of_file.items()}
        if len(near) == 1 and not any(self._of_file.values()):
            return next(iter(near))
        name = min(near, key=near.__getitem__, default="")
        return name if name and near[name] < _MOST_PRICE_RATIO else ""

    def finish(self) -> None:
        """End every instrument; raises UserError when updates never found a snapshot."""
        self.roster.check()
        for market in self._markets.values():
            market.finish()
        self._rows.flush()

    def notes(self) -> list[str]:
        """Say in sentences what a person has to know about the instruments."""
        return [note for market in self._markets.values() for note in market.notes()]

    def statistics(self) -> dict[str, Any]:
        """Return what every instrument's messages became."""
        found: dict[str, Any] = {}
        for name, market in self._markets.items():
            counts = msgspec.to_builtins(market.counts)
            depth = counts.pop("depth")
            found[name] = {**counts, **depth}
        return found


class _SpotTimes:
    """When the venue sent what carries no time, a spot bookTicker: its receipt less the usual latency.

    The usual latency is the median of the last hundred messages with a time. The result is kept between the times
    of the depth updates before and after it, which the update ids tell.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=_LATENCIES)
        self._sorted: list[int] = []

    def note(self, latency_ns: int) -> None:
        """Take the latency of a message with a time."""
        if len(self._recent) == _LATENCIES:
            del self._sorted[bisect_left(self._sorted, self._recent[0])]
        self._recent.append(latency_ns)
        insort(self._sorted, latency_ns)

    def known(self) -> bool:
        """Tell whether there is any latency to go by."""
        return bool(self._sorted)

    def sent_ns(self, local_ns: int) -> int:
        """Return when a message received at `local_ns` was probably sent."""
        return local_ns - self._sorted[len(self._sorted) // 2]


class _Market:
    """One instrument's messages into rows."""

    def __init__(self, name: str, index: int, rows: RowBatch, request: ImportRequest, *, spot: bool) -> None:
        self.name = name
        self.counts = _Counts()
        self._index = index
        self._rows = rows
        self._strict = request.strict
        self._with_book = request.book
        self._spot = spot
        self._chain = DepthChain(self.counts.depth)
        self._times = _SpotTimes()
        self._best: _BestPrices | None = None
        self._untimed: deque[_BestPrices] = deque()
        self._depth_ns = 0
        self._trade_ids: set[int] = set()
        self._last_trade = -1
        self._path = Path()

    def take(self, path: Path, number: int, stamp: int | None, data: _Data) -> None:
        """Take one message of a stream."""
        self._path = path
        try:
            if data.e == "depthUpdate":
                self._depth(number, stamp, data)
            elif data.e == "trade":
                self._trade(number, stamp, data)
            elif data.e == "markPriceUpdate":
                self._mark(number, stamp, data)
            else:
                self._book_ticker(number, stamp, data)
        except ValueError as error:
            raise malformed(path, number, str(error)) from error

    # -- book -------------------------------------------------------------------------------------

    def _depth(self, number: int, stamp: int | None, data: _Data) -> None:
        if not isinstance(data.b, list) or not isinstance(data.a, list) or not data.u:
            raise ValueError("a depthUpdate needs U, u, b and a")
        exch_ns = (data.T or data.E) * _MS
        local_ns = exch_ns if stamp is None else stamp
        update = DepthUpdate(number, exch_ns, local_ns, data.U, data.u, data.pu, data.b, data.a)
        if self._spot:
            self._times.note(local_ns - exch_ns)
            self._send_untimed(data.u, exch_ns)
            self._depth_ns = exch_ns
        if not self._with_book:
            return
        apply, gap = self._chain.update(update, self._path.name)
        if gap is not None:
            self._gap(gap, update)
        if apply:
            self._levels(update)

    def snapshot(
        self, number: int, local_ns: int, exch_ns: int, last_id: int, bids: list[Level], asks: list[Level]
    ) -> None:
        """Take a depth snapshot; what waited for it follows at once."""
        if not self._with_book:
            return
        used, contained_ns, following = self._chain.snapshot(last_id)
        if not used:
            return
        exch_ns = exch_ns or contained_ns or (following[0].exch_ns if following else self._depth_ns or local_ns)
        if following:
            exch_ns = min(exch_ns, following[0].exch_ns)
        levels = [(1, level) for level in bids] + [(-1, level) for level in asks]
        if not levels:
            levels = [(0, ("0", "0"))]
        for place, (side, (price, size)) in enumerate(levels):
            flags = (FIRST if place == 0 else 0) | (MORE if place < len(levels) - 1 else 0)
            meta = make_meta(SNAPSHOT, side, CHANNEL_BOOK, self._index, flags)
            self._rows.add(number, exch_ns, local_ns, meta, price, size, priority=last_id)
        for update in following:
            self._levels(update._replace(local_ns=max(local_ns, update.local_ns)))

    def _levels(self, update: DepthUpdate) -> None:
        changes = [(1, level) for level in update.bids] + [(-1, level) for level in update.asks]
        best = self._best
        if best is None or best.update <= update.last:
            self._send_levels(update, changes, EVERYONE)
            return
        # the receiver knew better when this came: what touches the newer best prices is left out for it
        bid, ask = float(best.bid[0]), float(best.ask[0])
        still = [
            (side, level) for side, level in changes if (float(level[0]) < bid if side > 0 else float(level[0]) > ask)
        ]
        if len(still) == len(changes):
            self._send_levels(update, changes, EVERYONE)
            return
        self.counts.updates_partly_older_than_best_price += 1
        self._send_levels(update, changes, AT_EXCHANGE)
        self._send_levels(update, still, AT_RECEIVER)

    def _send_levels(self, update: DepthUpdate, changes: list[tuple[int, Level]], at: int) -> None:
        last = len(changes) - 1
        for place, (side, (price, size)) in enumerate(changes):
            meta = make_meta(DEPTH, side, CHANNEL_BOOK, self._index, MORE if place < last else 0)
            self._rows.add(update.line, update.exch_ns, update.local_ns, meta, price, size, priority=update.last, at=at)

    def _gap(self, gap: Gap, update: DepthUpdate) -> None:
        if self._strict:
            raise UserError(
                f"{gap.file}, line {gap.line}: {self.name} lacks depth updates: {gap.found_id} follows {gap.after_id}",
                "record it again, or import without --strict: the book is then empty until the next snapshot",
            )
        meta = make_meta(SNAPSHOT, 0, CHANNEL_BOOK, self._index, FIRST)
        self._rows.add(update.line, update.exch_ns, update.local_ns, meta, "0", "0", priority=update.last)

    # -- best prices ------------------------------------------------------------------------------

    def _book_ticker(self, number: int, stamp: int | None, data: _Data) -> None:
        if not isinstance(data.b, str) or not isinstance(data.a, str):
            raise ValueError("a bookTicker needs b, B, a and A")
        float(data.b), float(data.a)  # compared as numbers later
        self.counts.bbo_messages += 1
        exch_ns = data.T * _MS
        if stamp is None and self._spot:
            raise ValueError("a spot bookTicker carries no time: it needs the recorder's before it")
        local_ns = exch_ns if stamp is None else stamp
        best = _BestPrices(number, local_ns, data.u, (data.b, data.B), (data.a, data.A))
        older = self._with_book and self._chain.live and data.u < self._chain.last
        if not older and (self._best is None or data.u >= self._best.update):
            self._best = best
        if not self._spot:
            self.counts.bbo_older_than_book_dropped += older
            self._send_best(best, exch_ns, AT_EXCHANGE if older else EVERYONE)
        elif older:
            self.counts.bbo_older_than_book_dropped += 1
        else:
            self._untimed.append(best)
            if not self._with_book and self._times.known():
                self._send_untimed(data.u, local_ns)

    def _send_best(self, best: _BestPrices, exch_ns: int, at: int) -> None:
        for side, (price, size), flags in ((1, best.bid, MORE), (-1, best.ask, 0)):
            meta = make_meta(BBO, side, CHANNEL_BBO, self._index, flags)
            self._rows.add(best.line, exch_ns, best.local_ns, meta, price, size, priority=best.update, at=at)

    def _send_untimed(self, update: int, until_ns: int) -> None:
        """Send the best prices that the depth update with this last id, sent at `until_ns`, contains."""
        while self._untimed and self._untimed[0].update <= update:
            best = self._untimed.popleft()
            sent = max(self._times.sent_ns(best.local_ns), self._depth_ns)
            self._send_best(best, min(sent, until_ns), EVERYONE)

    # -- trades and marks -------------------------------------------------------------------------

    def _trade(self, number: int, stamp: int | None, data: _Data) -> None:
        if data.m is None or not data.T:
            raise ValueError("a trade needs T, p, q and m")
        counts = self.counts
        exch_ns = data.T * _MS
        local_ns = exch_ns if stamp is None else stamp
        if self._spot:
            self._times.note(local_ns - (data.E or data.T) * _MS)
        counts.trades_read += 1
        if data.t in self._trade_ids:
            counts.trades_duplicate_dropped += 1
            return
        self._trade_ids.add(data.t)
        if len(self._trade_ids) > 200_000:
            self._trade_ids = {one for one in self._trade_ids if one > self._last_trade - 50_000}
        if 0 <= self._last_trade < data.t - 1:
            counts.trade_ids_missing += data.t - self._last_trade - 1
        self._last_trade = max(self._last_trade, data.t)
        if data.X not in ("", "MARKET") or float(data.p) <= 0 or float(data.q) <= 0:
            counts.trades_not_of_the_book_dropped += 1
            return
        counts.trades_kept += 1
        meta = make_meta(TRADE, -1 if data.m else 1, CHANNEL_TRADES, self._index)
        self._rows.add(number, exch_ns, local_ns, meta, data.p, data.q)

    def _mark(self, number: int, stamp: int | None, data: _Data) -> None:
        exch_ns = data.E * _MS
        local_ns = exch_ns if stamp is None else stamp
        self.counts.marks += 1
        values = [(MARK, data.p, RAW_PRICE_DECIMALS, 0)]
        if data.i:
            values.append((ORACLE, data.i, RAW_PRICE_DECIMALS, 0))
        if data.r:  # delivery contracts have no funding
            values.append((FUNDING, data.r, _RATE_DECIMALS, _FUNDING_SECONDS))
        for place, (kind, text, scale, size) in enumerate(values):
            value = rounded_units(text, scale)
            if value is None:
                raise ValueError(f"{text!r} is no number")
            flags = MORE if place < len(values) - 1 else 0
            meta = make_meta(kind, 0, CHANNEL_CONTEXT, self._index, flags)
            self._rows.add_exact(number, exch_ns, local_ns, meta, value, size)

    # -- the end ----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Send what waits; raises UserError when the book never became known."""
        self._chain.end()
        if self._times.known():
            while self._untimed:
                best = self._untimed.popleft()
                self._send_best(best, max(self._times.sent_ns(best.local_ns), self._depth_ns), EVERYONE)
        depth = self.counts.depth
        if depth.updates_read and not depth.snapshots_used:
            why = "no depth snapshot" if not depth.snapshots_read else "no depth snapshot that the updates continue"
            raise UserError(
                f"{self.name}: the recording has depth updates and {why}",
                "import all files of the session together, or leave the book out with --no-book",
            )

    def notes(self) -> list[str]:
        """Say in sentences what a person has to know."""
        notes = []
        depth = self.counts.depth
        for gap in depth.gap_list:
            notes.append(
                f"{self.name}: depth updates missing before {gap.file}, line {gap.line} "
                f"(after id {gap.after_id} came {gap.found_id}): the book is empty until the next snapshot"
            )
        if depth.gaps > len(depth.gap_list):
            notes.append(f"{self.name}: {depth.gaps - len(depth.gap_list)} more gaps")
        if self._spot and self.counts.bbo_messages:
            notes.append(f"{self.name}: best prices carry no venue time: receive time less the usual latency was taken")
        if self.name.endswith("_PERP") or "_" in self.name:
            notes.append(
                f"{self.name}: a coin-margined contract: sizes are contracts of a fixed USD value, and money computed "
                "as price x size does not hold for it"
            )
        return notes
