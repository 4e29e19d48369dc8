"""What each subscription is sent: first, and by each block.

Cadences are the venue's of summer 2026: a whole book every five seconds, in `fast` mode five levels twice a second;
best prices whenever a block changed them; an account's states every five seconds.
"""

import base64
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.fills import aggregated
from hatmanifesto.loopback.info import accounts, markets
from hatmanifesto.loopback.info.orders import open_orders, twap_states
from hatmanifesto.loopback.info.snapshots import web_data_2, web_data_3
from hatmanifesto.loopback.news import BlockNews
from hatmanifesto.loopback.orders import order_status
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.spot import PAIR, SPOT_CONTEXT, SPOT_CONTEXTS
from hatmanifesto.loopback.subscriptions import Subscription

BOOK_MS: Final = 5_000
FAST_BOOK_MS: Final = 500
FAST_DEPTH: Final = 5
MIDS_MS: Final = 2_000
CONTEXT_MS: Final = 1_000
FAST_CONTEXT_MS: Final = 500
STATE_MS: Final = 5_000
WEB_MS: Final = 15_000
RECENT_TRADES: Final = 10
SNAPSHOT: Final = 100
"""How many entries the first message of a history holds."""

Message = tuple[str, Any]
"""A channel and its data."""
First = Callable[[Loopback, Subscription], Iterator[Message]]
OnBlock = Callable[[Loopback, Subscription, BlockNews], Iterator[Message]]
MARKET_DATA: Final = frozenset({"l2Book", "bbo", "trades", "candle", "activeAssetCtx", "allMids", "fastAssetCtxs"})
"""What falls silent while books are stale."""


def first_messages(loopback: Loopback, subscription: Subscription) -> Iterator[Message]:
    """Return what a new subscription begins with."""
    return _FEEDS[subscription.kind][0](loopback, subscription)


def block_messages(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    """Return what a block sends to a subscription."""
    return _FEEDS[subscription.kind][1](loopback, subscription, news)


def _nothing(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    return iter(())


# -- markets ------------------------------------------------------------------------------------------


def _recent_trades(loopback: Loopback, subscription: Subscription) -> Iterator[Message]:
    index = loopback.by_coin.get(subscription.coin)
    trades = None if index is None else loopback.states[index].trades
    if trades:
        yield "trades", list(islice(trades, max(0, len(trades) - RECENT_TRADES), None))


def _trades(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    if subscription.coin in news.trades:
        yield "trades", news.trades[subscription.coin]


def _candle(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    if subscription.coin in news.trades:
        candles = loopback.states[loopback.by_coin[subscription.coin]].candles
        for candle in candles.span(subscription.shown["interval"], news.time_ms, news.time_ms):
            yield "candle", candle


def _bbo(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if news is not None and subscription.coin not in news.books:
        return
    shown = markets.book(loopback, subscription.coin, 1)
    assert shown is not None
    best = [side[0] if side else None for side in shown["levels"]]
    if subscription.is_new(best):
        yield "bbo", {"coin": subscription.coin, "time": shown["time"], "bbo": best}


def _book(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    asked = subscription.shown
    fast = asked.get("fast") is True
    if subscription.due(loopback.now_ms, FAST_BOOK_MS if fast else BOOK_MS):
        depth = FAST_DEPTH if fast else markets.DEPTH
        shown = markets.book(loopback, subscription.coin, depth, asked["nSigFigs"], asked["mantissa"])
        assert shown is not None
        if fast:
            shown["fast"] = True
        yield "l2Book", shown


def _mids(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if subscription.due(loopback.now_ms, MIDS_MS):
        yield "allMids", {"mids": markets.mids(loopback)}


def _context(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if subscription.coin == PAIR:
        if subscription.is_new(SPOT_CONTEXT):
            yield "activeSpotAssetCtx", {"coin": PAIR, "ctx": SPOT_CONTEXT}
    elif subscription.due(loopback.now_ms, CONTEXT_MS):
        shown = loopback.states[loopback.by_coin[subscription.coin]].context(loopback.now_ms)
        if subscription.is_new(shown):
            yield "activeAssetCtx", {"coin": subscription.coin, "ctx": shown}


def _contexts(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if subscription.due(loopback.now_ms, CONTEXT_MS):
        shown = markets.contexts(loopback)
        if subscription.kind == "assetCtxs":
            yield "assetCtxs", {"dex": "", "ctxs": shown}
        else:
            yield "allDexsAssetCtxs", {"ctxs": [["", shown]]}


def _fast_contexts(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    """Mark and mid of every market, then what changed: raw DEFLATE in base64."""
    if not subscription.due(loopback.now_ms, FAST_CONTEXT_MS):
        return
    before: dict[str, dict[str, str]] = subscription.last or {}
    shown = {
        coin: {"markPx": context["markPx"], "midPx": context["midPx"]}
        for coin, context in zip(loopback.by_coin, markets.contexts(loopback), strict=True)
    }
    changes = {
        coin: changed
        for coin, prices in shown.items()
        if (changed := {name: text for name, text in prices.items() if text and before.get(coin, {}).get(name) != text})
    }
    subscription.last = shown
    if changes:
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(msgspec.json.encode(changes)) + packer.flush()
        yield "fastAssetCtxs", base64.b64encode(packed).decode()


def _spot_contexts(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if subscription.due(loopback.now_ms, STATE_MS):
        yield "spotAssetCtxs", SPOT_CONTEXTS


# -- accounts -----------------------------------------------------------------------------------------


def _newest(entries: Any) -> list[Any]:
    return list(islice(reversed(entries), SNAPSHOT))[::-1]


def _history_feed(key: str, entries: Callable[[Loopback, Participant], list[Any]]) -> First:
    """Make a first message of the newest entries of a history."""

    def first(loopback: Loopback, subscription: Subscription) -> Iterator[Message]:
        participant = loopback.participants.get(subscription.user)
        found = [] if participant is None else entries(loopback, participant)
        yield subscription.kind, {"isSnapshot": True, "user": subscription.user, key: found}

    return first


def _first_fills(loopback: Loopback, subscription: Subscription) -> Iterator[Message]:
    participant = loopback.participants.get(subscription.user)
    found = [] if participant is None else _newest(participant.fills)
    if subscription.shown["aggregateByTime"]:
        found = aggregated(found)
    yield "userFills", {"isSnapshot": True, "user": subscription.user, "fills": found}


def _fills(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    if user in news.fills:
        fills = news.fills[user]
        yield (
            "userFills",
            {"user": user, "fills": aggregated(fills) if subscription.shown["aggregateByTime"] else fills},
        )


def _fundings(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    if subscription.user in news.funding:
        yield "userFundings", {"user": subscription.user, "fundings": news.funding[subscription.user]}


def _ledger(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    if user in news.ledger:
        yield subscription.kind, {"user": user, "nonFundingLedgerUpdates": news.ledger[user]}


def _order_updates(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    if subscription.user in news.order_updates:
        yield "orderUpdates", news.order_updates[subscription.user]


def _order_history(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    if user in news.order_updates:
        count = len(news.order_updates[user])
        shown = [
            order_status(loopback.instruments[entry.order.instrument], entry)
            for entry in islice(reversed(loopback.participants[user].statuses), count)
        ]
        yield subscription.kind, {"user": user, "orderHistory": shown[::-1]}


def _user_events(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    for event in news.liquidations.get(user, ()):
        yield "user", {"liquidation": event}
    if user in news.fills:
        yield "user", {"fills": news.fills[user]}
    for payment in news.funding.get(user, ()):
        yield "user", {"funding": payment}
    if user in news.twap_history:
        yield "user", {"twapHistory": news.twap_history[user]}
    if user in news.twap_fills:
        yield "user", {"twapSliceFills": news.twap_fills[user]}
    cancelled = [
        {"coin": update["order"]["coin"], "oid": update["order"]["oid"]}
        for update in news.order_updates.get(user, ())
        if update["status"] == "scheduledCancel" or update["status"].endswith("Canceled")
    ]
    if cancelled:
        yield "user", {"nonUserCancel": cancelled}


def _twap_fills(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    if user in news.twap_fills:
        yield subscription.kind, {"user": user, "twapSliceFills": news.twap_fills[user]}


def _twap_history(loopback: Loopback, subscription: Subscription, news: BlockNews) -> Iterator[Message]:
    user = subscription.user
    if user in news.twap_history:
        yield subscription.kind, {"user": user, "history": news.twap_history[user]}


def _state_feed(make: Callable[[Loopback, str], dict[str, Any]], every_ms: int = STATE_MS) -> OnBlock:
    """Make a feed that sends an account's whole state again and again."""

    def send(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
        if subscription.due(loopback.now_ms, every_ms):
            yield subscription.kind, make(loopback, subscription.user)

    return send


def _clearinghouse(loopback: Loopback, user: str) -> dict[str, Any]:
    state = accounts.clearinghouse(loopback, loopback.participants.get(user))
    return {"dex": "", "user": user, "clearinghouseState": state}


def _spot(loopback: Loopback, user: str) -> dict[str, Any]:
    return {"user": user, "spotState": accounts.wallet(loopback.participants.get(user))}


def _all_clearinghouses(loopback: Loopback, user: str) -> dict[str, Any]:
    return {
        "user": user,
        "clearinghouseStates": [["", accounts.clearinghouse(loopback, loopback.participants.get(user))]],
    }


def _orders(loopback: Loopback, user: str) -> dict[str, Any]:
    return {"dex": "", "user": user, "orders": open_orders(loopback, loopback.participants.get(user), long=True)}


def _twap_states(loopback: Loopback, user: str) -> dict[str, Any]:
    return {"dex": "", "user": user, "states": twap_states(loopback, loopback.participants.get(user))}


def _asset_data(loopback: Loopback, subscription: Subscription, news: BlockNews | None = None) -> Iterator[Message]:
    if subscription.due(loopback.now_ms, CONTEXT_MS):
        shown = accounts.active_asset(loopback, subscription.user, subscription.coin)
        if subscription.is_new(shown):
            yield "activeAssetData", shown


def _first_fundings(loopback: Loopback, participant: Participant) -> list[Any]:
    return [
        {"time": paid["time"], **{name: value for name, value in paid["delta"].items() if name != "type"}}
        for paid in _newest(participant.funding)
    ]


def _first_orders(loopback: Loopback, participant: Participant) -> list[Any]:
    return [
        order_status(loopback.instruments[entry.order.instrument], entry) for entry in _newest(participant.statuses)
    ]


def _both(feed: Any) -> tuple[First, OnBlock]:
    return feed, feed


_FEEDS: Final[dict[str, tuple[First, OnBlock]]] = {
    "trades": (_recent_trades, _trades),
    "candle": (_nothing, _candle),
    "bbo": _both(_bbo),
    "l2Book": _both(_book),
    "allMids": _both(_mids),
    "activeAssetCtx": _both(_context),
    "assetCtxs": _both(_contexts),
    "allDexsAssetCtxs": _both(_contexts),
    "fastAssetCtxs": _both(_fast_contexts),
    "spotAssetCtxs": _both(_spot_contexts),
    "outcomeMetaUpdates": _both(_nothing),
    "orderUpdates": (_nothing, _order_updates),
    "userEvents": (_nothing, _user_events),
    "userFills": (_first_fills, _fills),
    "userFundings": (_history_feed("fundings", _first_fundings), _fundings),
    "userNonFundingLedgerUpdates": (
        _history_feed("nonFundingLedgerUpdates", lambda loopback, participant: _newest(participant.ledger)),
        _ledger,
    ),
    "userHistoricalOrders": (_history_feed("orderHistory", _first_orders), _order_history),
    "userTwapSliceFills": (
        _history_feed("twapSliceFills", lambda loopback, participant: _newest(participant.twap_fills)),
        _twap_fills,
    ),
    "userTwapHistory": (
        _history_feed("history", lambda loopback, participant: _newest(participant.twap_history)),
        _twap_history,
    ),
    "notification": _both(_nothing),
    "activeAssetData": _both(_asset_data),
    "clearinghouseState": _both(_state_feed(_clearinghouse)),
    "allDexsClearinghouseState": _both(_state_feed(_all_clearinghouses)),
    "openOrders": _both(_state_feed(_orders)),
    "spotState": _both(_state_feed(_spot)),
    "twapStates": _both(_state_feed(_twap_states)),
    "webData2": _both(_state_feed(web_data_2, WEB_MS)),
    "webData3": _both(_state_feed(web_data_3)),
}
