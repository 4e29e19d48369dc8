"""What a hostile venue may say, as functions of bytes: frames of either stream, answers to questions and to actions.

Each function feeds one input to the real parts and raises AssertionError when something passes that must not; anything
else that it raises is a defect too. `hypothesis` calls them in the suite, `atheris` in `make fuzz`.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from hatmanifesto.errors import UserError
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT
from hatmanifesto.venues.hyperliquid.adapter import HyperliquidSettings, HyperliquidVenue
from hatmanifesto.venues.hyperliquid.connection import AccountConnection, MarketConnection
from hatmanifesto.venues.hyperliquid.feed.market import MarketFeed
from hatmanifesto.venues.hyperliquid.transport.outcomes import Answered, Outcome
from hatmanifesto.venues.port import Trust, VenueError, VenueOrder
from venues.hyperliquid.test_gateway import KEY, SECOND, START, USER, Desk
from venues.listening import Diary

FOLDER: Final = tempfile.TemporaryDirectory(prefix="hat-fuzz-")
PATIENCE_S: Final = 5.0
FRAMES: Final = 4
"""Messages that one input may hold, split at zero bytes: later ones meet what earlier ones left."""


class Stream:
    """A first source with the account's streams, one order sent, and everything that is told written down."""

    def __init__(self) -> None:
        self.desk = Desk(Path(FOLDER.name))
        self.dropped: list[int] = []
        feed = MarketFeed(
            [self.desk.btc, self.desk.eth], self.desk.diary, lambda source, why: self.dropped.append(source)
        )
        self.connection = AccountConnection(
            MarketConnection(0, feed, self.desk.diary), USER, self.desk.account, self.desk.gateway, self.desk.posts,
            None, lambda work: work.close(),  # type: ignore[arg-type]
        )  # fmt: skip
        self.connection.on_up(self.desk.now)
        self.desk.place(1)
        self.desk.flush()

    def close(self) -> None:
        for work in self.desk.later:
            work.close()
        self.desk.nonces.close()


def frames(data: bytes) -> None:
    """Frames of the first stream: the market's and the account's messages, answers to posts."""
    stream = Stream()
    try:
        diary = stream.desk.diary
        for frame in data.split(b"\0")[:FRAMES]:
            told, dropped = len(diary.notices), len(stream.dropped)
            stream.desk.now += SECOND // 100
            stream.connection.on_frame(frame, stream.desk.now)
            if len(stream.dropped) > dropped:
                assert len(diary.notices) > told, "what was not believed is told"
        stream.desk.gateway.tick(stream.desk.now)
        _possible(diary)
        assert len(stream.connection.unread) <= 100
        triggers = diary.triggers(1)
        assert len(set(triggers)) == len(triggers), "nothing is told twice"
        if stream.desk.account.broken:
            assert diary.trust[-1] is Trust.BROKEN, "what could not be read is not trusted"
    finally:
        stream.close()


def _possible(diary: Diary) -> None:
    """Nothing impossible reached the listener."""
    for fill in diary.fills:
        assert 0 < fill.price * fill.size <= MAX_AMOUNT
        assert abs(fill.fee) <= MAX_AMOUNT
        assert 0 <= fill.trade_id <= MAX_AMOUNT
        assert fill.side in (1, -1)
    for told in diary.orders:
        assert 0 <= told.venue_order_id <= MAX_AMOUNT
    for _, amount, rate, size in diary.fundings:
        assert max(abs(amount), abs(rate), abs(size)) <= MAX_AMOUNT
    for _, rows in diary.rows:
        for row in rows:
            assert abs(row.price) <= MAX_AMOUNT
            assert 0 <= row.size <= MAX_AMOUNT


class Answering:
    """In place of HTTP: one answer to everything."""

    def __init__(self) -> None:
        self.answer = b"null"

    async def request(self, path: str, body: bytes) -> Outcome:
        return Answered(self.answer)

    async def close(self) -> None:
        pass


class Asked:
    """An adapter that is open, and whose every further question gets the same answer."""

    def __init__(self) -> None:
        self.now = START
        self.loop = asyncio.new_event_loop()
        settings = HyperliquidSettings("http://127.0.0.1:9", ip_weight=1 << 40)
        self.venue = HyperliquidVenue(settings, KEY, Path(FOLDER.name) / "asked", clock_ns=lambda: self.now)
        self.http = Answering()
        self.venue.queries._http = self.http  # type: ignore[assignment]
        self.venue.exchange._http = self.http  # type: ignore[assignment]
        self.venue.user = USER
        self.venue.instruments = [Instrument("BTC", price_scale=1, size_scale=5)]
        self.venue.assets = [0]
        self.venue.limits.address.correct(0, 1 << 40)


_asked: list[Asked] = []


def adapter() -> Asked:
    """Return the one adapter: a key signs in one place only."""
    if not _asked:
        (Path(FOLDER.name) / "asked").mkdir()
        _asked.append(Asked())
    return _asked[0]


def _order(venue: HyperliquidVenue) -> VenueOrder:
    return VenueOrder(0, "BTC", 900, 77, 1, 0, 1, 837_560, 100, 100, False, START, "")


QUESTIONS: Final[list[Callable[[HyperliquidVenue], Coroutine[Any, Any, Any]]]] = [
    lambda venue: venue.account(),
    lambda venue: venue.open_orders(),
    lambda venue: venue.order_report(77, 1, 0),
    lambda venue: venue.fills_since(START),
    lambda venue: venue.funding_since(START),
    lambda venue: venue.transfers_since(START),
    lambda venue: venue.prices(),
    lambda venue: venue.fees(),
    lambda venue: venue.clock_offset_ns(),
    lambda venue: venue.refresh_budget(),
    lambda venue: venue._account_address(),
    lambda venue: venue.open(["BTC", "ETH"]),
    lambda venue: venue.cancel_orders([_order(venue)]),
    lambda venue: venue.set_leverage(0, 3, cross=True),
    lambda venue: venue.schedule_cancel(START + 60 * SECOND),
]
"""What is asked of a venue; an answer is believed, or it is a VenueError or a UserError."""
OPEN: Final = 11


def answers(data: bytes) -> None:
    """An answer to a question or an action; the first byte says to which."""
    if not data:
        return
    asked = adapter()
    asked.http.answer = data[1:]
    asked.now += SECOND  # nonces and budgets go on
    question = QUESTIONS[data[0] % len(QUESTIONS)](asked.venue)
    kept = asked.venue.instruments, asked.venue.assets, asked.venue.user
    try:
        _believable(asked.loop.run_until_complete(asyncio.wait_for(question, PATIENCE_S)))
    except (VenueError, UserError):
        pass
    finally:
        asked.venue.instruments, asked.venue.assets, asked.venue.user = kept
        asked.venue.limits.address.correct(0, 1 << 40)


def _believable(answer: Any) -> None:
    """Integers of an answer fit where they go."""
    if isinstance(answer, bool | str | None):
        return
    if isinstance(answer, int):
        assert abs(answer) < 1 << 63, "an integer that the engine cannot hold"
    elif isinstance(answer, Instrument):
        _believable([answer.max_leverage, answer.maker_fee, answer.taker_fee, answer.price_scale, answer.size_scale])
    elif isinstance(answer, dict):
        for key, value in answer.items():
            _believable(key)
            _believable(value)
    elif isinstance(answer, list | tuple):
        for value in answer:
            _believable(value)


def seeds() -> list[bytes]:
    """Return honest inputs to begin with, for the first byte too."""
    from venues.hyperliquid.test_hostile_account import messages
    from venues.hyperliquid.test_market_feed import MS, bbo, book, context, trades

    honest = [*messages(), book(MS, ["10.0"], ["11.0"]), bbo(MS, "1.0", "2.0"), trades((MS, 1, "1.0")), context()]
    found = [b"F" + json.dumps(message).encode() for message in honest]
    found += [b"F" + b"\0".join(json.dumps(message).encode() for message in honest[:FRAMES])]
    for place, answer in HONEST_ANSWERS:
        found.append(b"A" + bytes([place]) + json.dumps(answer).encode())
    return found


_SUMMARY: Final = {"accountValue": "10.0", "totalNtlPos": "5.0", "totalRawUsd": "10.0", "totalMarginUsed": "1.0"}
_POSITION: Final = {
    "coin": "BTC", "szi": "0.001", "leverage": {"type": "cross", "value": 5}, "entryPx": "83000.0",
    "positionValue": "83.7", "unrealizedPnl": "0.7", "returnOnEquity": "0.1", "liquidationPx": None,
    "marginUsed": "16.0",
}  # fmt: skip
_ORDER: Final = {
    "coin": "BTC", "side": "B", "limitPx": "83756.0", "sz": "0.001", "oid": 900, "timestamp": 1, "origSz": "0.001",
    "orderType": "Limit", "reduceOnly": False, "isTrigger": False, "triggerPx": "0.0", "triggerCondition": "N/A",
    "isPositionTpsl": False, "children": [], "tif": "Alo", "cloid": None,
}  # fmt: skip
_FILL: Final = {
    "coin": "BTC", "px": "83756.0", "sz": "0.0004", "side": "B", "time": START // 1_000_000, "startPosition": "0.0",
    "dir": "Open Long", "closedPnl": "0.0", "hash": "0x0", "oid": 900, "crossed": False, "fee": "0.01", "tid": 5,
    "feeToken": "USDC",
}  # fmt: skip
_PAID: Final = {
    "type": "funding", "coin": "BTC", "usdc": "-0.1", "szi": "1.0", "fundingRate": "0.0000125", "nSamples": None,
}  # fmt: skip
HONEST_ANSWERS: Final[list[tuple[int, Any]]] = [
    (0, {"marginSummary": _SUMMARY, "crossMarginSummary": _SUMMARY, "withdrawable": "9.0", "time": 5,
         "assetPositions": [{"type": "oneWay", "position": _POSITION}]}),
    (1, [_ORDER]),
    (2, {"status": "order", "order": {"order": _ORDER, "status": "open", "statusTimestamp": 5}}),
    (3, [_FILL]),
    (4, [{"time": START // 1_000_000, "hash": "0x0", "delta": _PAID}]),
    (5, [{"time": START // 1_000_000, "hash": "0x0", "delta": {"type": "deposit", "usdc": "5.0"}}]),
    (6, {"BTC": "83756.5", "ETH": "1.0"}),
    (7, {"userCrossRate": "0.00045", "userAddRate": "0.00015"}),
    (9, {"cumVlm": "0.0", "nRequestsUsed": 1, "nRequestsCap": 10_000}),
    (10, {"role": "agent", "data": {"user": USER}}),
    (11, {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}], "marginTables": []}),
    (12, {"status": "ok", "response": {"type": "cancel", "data": {"statuses": ["success"]}}}),
    (13, {"status": "ok", "response": {"type": "default"}}),
]  # fmt: skip


def one_input(data: bytes) -> None:
    """Any input: `F` and frames, or `A`, a question and its answer."""
    if data[:1] == b"F":
        frames(data[1:])
    elif data[:1] == b"A":
        answers(data[1:])
