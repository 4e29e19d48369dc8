"""Import raw WebSocket messages of Hyperliquid, one a line, with or without the recorder's time before each.

Channels: l2Book → SNAPSHOT, bbo → BBO, trades → TRADE, activeAssetCtx → MARK, ORACLE, FUNDING. A context
carries no venue time: it gets the latest one that any message of the file had before it. Other channels
are counted and left out. Source of the shapes: Hyperliquid docs, "WebSocket subscriptions".
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from hatmanifesto.backtest.tape.format import Footer, InstrumentSpec, Source
from hatmanifesto.backtest.tape.importers.backlog import backlog, first_of_each
from hatmanifesto.backtest.tape.importers.clock import ReceiverClock
from hatmanifesto.backtest.tape.importers.files import FileProgress, in_session_order, stamped_lines
from hatmanifesto.backtest.tape.importers.grid import (
    RAW_PRICE_DECIMALS,
    RAW_SIZE_DECIMALS,
    Grid,
    Rescale,
    Steps,
    rounded_units,
)
from hatmanifesto.backtest.tape.importers.hyperliquid_perps import (
    decimals_sum,
    perp,
    size_decimals,
)
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress, describe_files, malformed
from hatmanifesto.backtest.tape.importers.row_batch import Roster, RowBatch
from hatmanifesto.backtest.tape.importers.snapshots import Levels, SnapshotTexts, TextLevel, TextSnapshot
from hatmanifesto.backtest.tape.spool import Spool
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    FUNDING,
    MARK,
    MORE,
    ORACLE,
    TRADE,
    make_meta,
)

_MS: Final = 1_000_000
_BBO_NEXT: Final = 1
_FUNDING_SECONDS: Final = 3_600
_RATE_DECIMALS: Final = 12


class _BookData(msgspec.Struct, frozen=True):
    coin: str
    time: int
    levels: Levels


class _BboData(msgspec.Struct, frozen=True):
    coin: str
    time: int
    bbo: list[TextLevel | None]


class _Trade(msgspec.Struct, frozen=True):
    coin: str
    side: str
    px: str
    sz: str
    time: int
    tid: int


class _Context(msgspec.Struct, frozen=True):
    funding: str
    oraclePx: str  # noqa: N815 the venue's name
    markPx: str  # noqa: N815


class _ContextData(msgspec.Struct, frozen=True):
    coin: str
    ctx: _Context


class _Book(msgspec.Struct, frozen=True, tag="l2Book", tag_field="channel"):
    data: _BookData


class _Best(msgspec.Struct, frozen=True, tag="bbo", tag_field="channel"):
    data: _BboData


class _Trades(msgspec.Struct, frozen=True, tag="trades", tag_field="channel"):
    data: list[_Trade]


class _AssetContext(msgspec.Struct, frozen=True, tag="activeAssetCtx", tag_field="channel"):
    data: _ContextData


class _Channel(msgspec.Struct, frozen=True):
    channel: str


_Message = _Book | _Best | _Trades | _AssetContext
_CHANNELS: Final = frozenset(("l2Book", "bbo", "trades", "activeAssetCtx"))


def import_ws(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from raw captures of one or more coins; raises UserError naming file and line."""
    files = in_session_order(request.files)
    clock = ReceiverClock(request.clock)
    with Spool(writer.path.parent) as spool:
        capture = _Capture(spool, request)
        reading = FileProgress(progress, files)
        for path in files:
            capture.read(path, reading)
        capture.roster.check()
        instruments = capture.finish()
        statistics = {
            **spool.write(writer, adjust=Rescale([steps for _, steps in instruments]), clock=clock.shift),
            "receiver_clock_shift_ns": clock.shift_ns,
            "lines": capture.lines,
            "lines_without_receive_time": capture.unstamped,
            "other_messages": capture.others,
            "instruments": capture.statistics(),
        }
    notes = [*capture.notes, clock.note()]
    if capture.unstamped:
        notes.append(f"{capture.unstamped:,} lines carry no receive time: the venue's time was taken for it")
    return writer.finish(
        instruments=[spec for spec, _ in instruments],
        source=Source(
            format="hyperliquid-ws",
            files=describe_files(files),
            options={"clock": request.clock} if request.clock else {},
            notes=[note for note in notes if note],
        ),
        statistics=statistics,
    )


class _Coin(msgspec.Struct):
    """What one coin's messages became."""

    books: SnapshotTexts
    bbo_messages: int = 0
    bbo_one_sided: int = 0
    contexts: int = 0
    context_before_first_time_dropped: int = 0
    trades_read: int = 0
    trades_backlog_dropped: int = 0
    trades_duplicate_dropped: int = 0


class _Capture:
    """Reads messages into the spool and remembers what it saw."""

    def __init__(self, spool: Spool, request: ImportRequest) -> None:
        self._spool = spool
        self._strict = request.strict
        self.roster = Roster(request.instruments)
        self._coins: dict[int, _Coin] = {}
        self._decoder = msgspec.json.Decoder(_Message)
        self._rows = RowBatch(spool, self.roster)
        self._trades = RowBatch(spool, self.roster)
        self._trade_keys: list[tuple[int, int, int, int]] = []  # coin, id, exchange, receiver
        self._book_times: dict[int, list[tuple[int, int]]] = {}
        self._latest_ns = 0
        self._path = Path()
        self.lines = 0
        self.unstamped = 0
        self.others: dict[str, int] = {}
        self.notes: list[str] = []

    def read(self, path: Path, progress: FileProgress) -> None:
        """Read one file."""
        self._path = path
        self._latest_ns = 0
        self._rows.reading(path)
        self._trades.reading(path)
        for number, local_ns, text in stamped_lines(path, progress):
            self.lines += 1
            self.unstamped += local_ns is None
            try:
                message = self._decoder.decode(text)
            except msgspec.DecodeError as error:
                self._other(number, text, error)
                continue
            if isinstance(message, _Book):
                self._book(number, local_ns, message.data)
            elif isinstance(message, _Best):
                self._best(number, local_ns, message.data)
            elif isinstance(message, _Trades):
                for trade in message.data:
                    self._trade(number, local_ns, trade)
            else:
                self._context(number, local_ns, message.data)

    def _other(self, number: int, text: bytes, error: msgspec.DecodeError) -> None:
        try:
            channel = msgspec.json.decode(text, type=_Channel).channel
        except msgspec.DecodeError:
            raise malformed(self._path, number, f"no message of Hyperliquid: {error}") from error
        if channel in _CHANNELS:
            raise malformed(self._path, number, f"no {channel} message: {error}") from error
        self.others[channel] = self.others.get(channel, 0) + 1

    def _coin(self, name: str) -> tuple[int, _Coin | None]:
        index = self.roster.index(name)
        if index < 0:
            return index, None
        coin = self._coins.get(index)
        if coin is None:
            books = SnapshotTexts(
                self._spool,
                index,
                price_scale=RAW_PRICE_DECIMALS,
                size_scale=RAW_SIZE_DECIMALS,
                strict=self._strict,
                grid=self.roster.grids[index],
            )
            coin = self._coins[index] = _Coin(books)
            self._book_times[index] = []
        return index, coin

    def _times(self, time_ms: int, local_ns: int | None) -> tuple[int, int]:
        exch_ns = time_ms * _MS
        self._latest_ns = max(self._latest_ns, exch_ns)
        return exch_ns, exch_ns if local_ns is None else local_ns

    def _book(self, number: int, local_ns: int | None, data: _BookData) -> None:
        exch_ns, local = self._times(data.time, local_ns)
        _, coin = self._coin(data.coin)
        if coin is not None:
            coin.books.add(TextSnapshot(self._path, number, exch_ns, local, data.levels))

    def _best(self, number: int, local_ns: int | None, data: _BboData) -> None:
        exch_ns, local = self._times(data.time, local_ns)
        index, coin = self._coin(data.coin)
        if coin is None:
            return
        bid, ask = [*data.bbo, None, None][:2]
        coin.bbo_messages += 1
        coin.bbo_one_sided += bid is None or ask is None
        for side, level, flags in ((1, bid, MORE), (-1, ask, 0)):
            meta = make_meta(BBO, side, CHANNEL_BBO, index, flags)
            price, size = (level.px, level.sz) if level is not None else ("0", "0")
            self._rows.add(number, exch_ns, local, meta, price, size, priority=_BBO_NEXT)
        self._book_times[index].append((exch_ns, local))

    def _trade(self, number: int, local_ns: int | None, trade: _Trade) -> None:
        exch_ns, local = self._times(trade.time, local_ns)
        index, coin = self._coin(trade.coin)
        if coin is None:
            return
        side = {"B": 1, "A": -1}.get(trade.side)
        if side is None:
            raise malformed(self._path, number, f"side is {trade.side!r}, not A or B")
        coin.trades_read += 1
        self._trades.add(number, exch_ns, local, make_meta(TRADE, side, CHANNEL_TRADES, index), trade.px, trade.sz)
        self._trade_keys.append((index, trade.tid, exch_ns, local))

    def _context(self, number: int, local_ns: int | None, data: _ContextData) -> None:
        index, coin = self._coin(data.coin)
        if coin is None:
            return
        exch_ns = self._latest_ns
        if exch_ns == 0:
            coin.context_before_first_time_dropped += 1
            return
        local = exch_ns if local_ns is None else local_ns
        coin.contexts += 1
        for kind, text, scale, size, flags in (
            (MARK, data.ctx.markPx, RAW_PRICE_DECIMALS, 0, MORE),
            (ORACLE, data.ctx.oraclePx, RAW_PRICE_DECIMALS, 0, MORE),
            (FUNDING, data.ctx.funding, _RATE_DECIMALS, _FUNDING_SECONDS, 0),
        ):
            value = rounded_units(text, scale)
            if value is None:
                raise malformed(self._path, number, f"{text!r} is no number")
            self._rows.add_exact(number, exch_ns, local, make_meta(kind, 0, CHANNEL_CONTEXT, index, flags), value, size)

    def finish(self) -> list[tuple[InstrumentSpec, Steps]]:
        """Bring the rest into the spool, leave out trades sent twice; returns the instruments."""
        for coin in self._coins.values():
            coin.books.flush()
        self._rows.flush()
        self._trades.flush()
        self._drop_trades()
        return [self._instrument(name, grid) for name, grid in zip(self.roster.names, self.roster.grids, strict=True)]

    def _drop_trades(self) -> None:
        if not self._trade_keys:
            return
        keys = np.array(self._trade_keys, np.int64)
        numbers = self._trades.numbers()
        for index, coin in self._coins.items():
            mine = keys[:, 0] == index
            times = keys[mine][:, 2:]
            if len(times) == 0:
                continue
            best = np.array(self._book_times[index], np.int64).reshape(-1, 2)
            books = [*coin.books.times, *([best] if len(best) else [])]
            late = backlog(times, books)
            again = ~first_of_each(keys[mine, 1]) & ~late
            coin.trades_backlog_dropped = int(late.sum())
            coin.trades_duplicate_dropped = int(again.sum())
            self._spool.drop(numbers[mine][late | again])

    def _instrument(self, name: str, grid: Grid) -> tuple[InstrumentSpec, Steps]:
        seen = grid.inferred(name, "", "").size_scale if grid.size_step else 0
        decimals, note = size_decimals(name, seen)
        self.notes += [note] if note else []
        steps = grid.fixed(name, decimals_sum(name) - decimals, decimals)
        spec = perp(
            name,
            decimals,
            largest_price=grid.largest_price // 10 ** (RAW_PRICE_DECIMALS - steps.price_scale),
            largest_size=grid.largest_size // 10 ** (RAW_SIZE_DECIMALS - steps.size_scale),
        )
        return spec, steps

    def statistics(self) -> dict[str, Any]:
        """Return what every coin's messages became."""
        found: dict[str, Any] = {}
        for index, coin in sorted(self._coins.items()):
            counts = {key: value for key, value in msgspec.structs.asdict(coin).items() if key != "books"}
            dropped = coin.trades_backlog_dropped + coin.trades_duplicate_dropped
            found[self.roster.names[index]] = {
                "snapshots": msgspec.to_builtins(coin.books.counts),
                **counts,
                "trades_kept": coin.trades_read - dropped,
            }
        return found
