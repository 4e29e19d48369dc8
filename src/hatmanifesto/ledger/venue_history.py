"""An account's history as the venue tells it (fills, funding), written as a journal: a ledger of any account.

Every fill is of an order that no session here sent. Prices with more decimals than money units can carry (averages that
the venue gives as one fill's price) are rounded to the nearest that can.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from hatmanifesto.config.checkpoint import Checkpoint, PositionState
from hatmanifesto.config.plan import ExchangePlan, InstrumentPlan, SessionPlan
from hatmanifesto.journal.columns import checks
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record

MONEY_SCALE: Final = 9
BASE_MAKER, BASE_TAKER = 150_000, 450_000


class HistoryFill(NamedTuple):
    """One row of the venue's `userFills`, decimals as text; `side` +1 bought, times in ms."""

    coin: str
    price: str
    size: str
    side: int
    time_ms: int
    start_position: str
    closed_pnl: str
    taker: bool
    fee: str
    trade_id: int
    direction: str = ""


class HistoryFunding(NamedTuple):
    """One row of the venue's `userFunding`, decimals as text."""

    coin: str
    time_ms: int
    usdc: str
    size: str
    rate: str


def fills_of_answer(answer: Sequence[dict[str, Any]]) -> list[HistoryFill]:
    """Read a `userFills` answer, which has the newest first; fills of one millisecond keep the venue's order."""
    rows = [
        HistoryFill(
            row["coin"], row["px"], row["sz"], 1 if row["side"] == "B" else -1, row["time"], row["startPosition"],
            row["closedPnl"], bool(row["crossed"]), row.get("fee", "0"), row.get("tid", number), row.get("dir", ""),
        )
        for number, row in enumerate(reversed(answer), 1)  # answers of 2023 have no trade ids
    ]  # fmt: skip
    return in_sequence(sorted(rows, key=lambda row: row.time_ms))


def in_sequence(rows: list[HistoryFill]) -> list[HistoryFill]:
    """Return fills so that those of one millisecond and coin follow from each other's positions, where they can."""
    found: list[HistoryFill] = []
    ends: dict[str, Decimal] = {}
    for _, moment in groupby(rows, key=lambda row: row.time_ms):
        left = list(moment)
        while left:
            at = next((at for at, row in enumerate(left) if ends.get(row.coin) == Decimal(row.start_position)), None)
            if at is None:  # a chain begins: with what no other one of this moment leads to
                after = {(row.coin, Decimal(row.start_position) + row.side * Decimal(row.size)) for row in left}
                at = next(
                    (at for at, row in enumerate(left) if (row.coin, Decimal(row.start_position)) not in after), 0
                )
            row = left.pop(at)
            ends[row.coin] = Decimal(row.start_position) + row.side * Decimal(row.size)
            found.append(row)
    return found


def funding_of_answer(answer: Sequence[dict[str, Any]]) -> list[HistoryFunding]:
    """Read a `userFunding` answer."""
    return [
        HistoryFunding(
            row["delta"]["coin"], row["time"], row["delta"]["usdc"], row["delta"]["szi"], row["delta"]["fundingRate"]
        )
        for row in answer
    ]


def scaled(text: str, scale: int) -> int:
    """Return decimal text as an integer of 10^-scale, the nearest where it has more decimals."""
    return int(Decimal(text).scaleb(scale).to_integral_value(ROUND_HALF_EVEN))


def decimals(texts: Sequence[str]) -> int:
    """Return the most decimals that any of the texts has."""
    return max((len(text.partition(".")[2].rstrip("0")) for text in texts), default=0)


class History:
    """The instruments of a history, with scales that carry its numbers."""

    def __init__(self, fills: Sequence[HistoryFill], funding: Sequence[HistoryFunding] = ()) -> None:
        self.fills, self.funding = fills, funding
        self.coins = list(dict.fromkeys([*(fill.coin for fill in fills), *(row.coin for row in funding)]))
        self.size_scale: dict[str, int] = {}
        self.price_scale: dict[str, int] = {}
        for coin in self.coins:
            mine = [fill for fill in fills if fill.coin == coin]
            sizes = [*(one for fill in mine for one in (fill.size, fill.start_position)),
                     *(row.size for row in funding if row.coin == coin)]  # fmt: skip
            self.size_scale[coin] = decimals(sizes)
            self.price_scale[coin] = min(MONEY_SCALE - self.size_scale[coin], decimals([fill.price for fill in mine]))

    def begins_with(self, fills: Sequence[HistoryFill]) -> PositionState:
        """Return the position that a coin's first fill found, at the cost that its first closed profit implies.

        Where it is never closed, what it cost is not known: it is taken at the first fill's price.
        """
        coin = fills[0].coin
        size = scaled(fills[0].start_position, self.size_scale[coin])
        if size == 0:
            return PositionState()
        held, added = Decimal(fills[0].start_position), Decimal(0)
        cost = held * Decimal(fills[0].price)
        for fill in fills:
            change = fill.side * Decimal(fill.size)
            if held * change < 0:
                closed = min(abs(change), abs(held))
                entry = Decimal(fill.price) + fill.side * Decimal(fill.closed_pnl) / closed
                cost = entry * held - added
                break
            held += change
            added += change * Decimal(fill.price)
        return PositionState(size=size, cost=scaled(str(cost), MONEY_SCALE))

    def plan(self) -> SessionPlan:
        """Return a plan of a session that only listens."""
        return SessionPlan(
            seed=0, money_scale=MONEY_SCALE, deposit=0, max_account_notional=0, max_leverage_hundredths=0,
            max_open_orders=0, max_orders_per_second=0, answer_timeout_ns=0, max_cancel_attempts=0, max_book_age_ns=0,
            equity_interval_ns=0, router="", strategies=[], desks=[],
            exchange=ExchangePlan(model="", entry_ns=0, response_ns=0),
            instruments=[
                InstrumentPlan(
                    name=coin, price_scale=self.price_scale[coin], size_scale=self.size_scale[coin],
                    money_scale=MONEY_SCALE, tick_size=1, lot_size=1, significant_figures=0, min_notional=0,
                    max_price=1, max_size=1, maker_fee=BASE_MAKER, taker_fee=BASE_TAKER, max_leverage=1, price_band=0,
                    leverage=1, max_order_size=0, max_order_notional=0, max_position=0, max_position_notional=0,
                )
                for coin in self.coins
            ],
        )  # fmt: skip


def write_history(
    path: Path, fills: Sequence[HistoryFill], funding: Sequence[HistoryFunding] = (), venue: str = "hyperliquid"
) -> History:
    """Write a journal of an account's fills and funding, in order of time."""
    history = History(fills, funding)
    plan = history.plan()
    index = {coin: at for at, coin in enumerate(history.coins)}
    held: dict[str, PositionState] = {}
    for fill in fills:
        if fill.coin not in held:
            held[fill.coin] = history.begins_with([one for one in fills if one.coin == fill.coin])
    events: list[tuple[int, int, int, list[int]]] = []
    for fill in fills:
        ts = fill.time_ms * 1_000_000
        events.append((ts, record.FILL, int(fill.taker) | index[fill.coin] << 8, [
            0, scaled(fill.price, history.price_scale[fill.coin]), scaled(fill.size, history.size_scale[fill.coin]),
            scaled(fill.fee, MONEY_SCALE), ts, fill.trade_id, fill.side,
        ]))  # fmt: skip
    for row in funding:
        ts = row.time_ms * 1_000_000
        events.append((ts, record.FUNDING_PAYMENT, index[row.coin], [
            scaled(row.usdc, MONEY_SCALE), scaled(row.rate, 12), scaled(row.size, history.size_scale[row.coin]), 0, ts,
        ]))  # fmt: skip
    events.sort(key=lambda event: event[0])
    begin = events[0][0] if events else 0
    opening = {"kind": "history", "venue": venue, "plan": msgspec.to_builtins(plan), "start_ns": begin}
    state = Checkpoint(
        deposit=0, peak_equity=0, max_drawdown=0, order_seq=0, marks=[0 for _ in history.coins], desks=[],
        holdings=[held.get(coin, PositionState()) for coin in history.coins],
    )  # fmt: skip
    with JournalWriter(path, {"kind": "history"}, sync_interval_s=0) as writer:
        writer.append_blob(record.SESSION, begin, msgspec.json.encode(opening))
        writer.append_blob(record.CHECKPOINT, begin, state.as_json())
        seq = writer.next_seq
        for at in range(0, len(events), 10_000):
            taken = events[at : at + 10_000]
            writer.append(seq, len(taken), pack_records(taken, seq))
            seq += len(taken)
        writer.close(events[-1][0] if events else begin, {})
    return history


def pack_records(events: Sequence[tuple[int, int, int, list[int]]], first_seq: int) -> bytes:
    """Pack (time, kind, aux, fields) into journal records with their checks."""
    lengths = np.array([2 + len(fields) for _, _, _, fields in events], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    words = np.array(
        [word for ts, kind, aux, fields in events for word in (kind | 2 + len(fields) << 8 | aux << 16, ts, *fields)],
        dtype=np.int64,
    )
    words[starts] |= checks(words, starts, np.arange(first_seq, first_seq + len(events))) << 32
    return words.astype("<i8").tobytes()
