"""What a connection may subscribe to, and a subscription as the venue echoes it."""

from typing import Any, Final

import msgspec

from hatmanifesto.loopback.candles import INTERVALS
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.markets import FIGURES, MANTISSAS
from hatmanifesto.loopback.spot import PAIR

_OF_COIN: Final = frozenset({"l2Book", "bbo", "trades", "candle", "activeAssetCtx", "activeAssetData"})
_OF_USER: Final = frozenset(
    {
        "activeAssetData",
        "allDexsClearinghouseState",
        "clearinghouseState",
        "notification",
        "openOrders",
        "orderUpdates",
        "spotState",
        "twapStates",
        "userEvents",
        "userFills",
        "userFundings",
        "userHistoricalOrders",
        "userNonFundingLedgerUpdates",
        "userTwapHistory",
        "userTwapSliceFills",
        "webData2",
        "webData3",
    }
)
_OF_DEX: Final = frozenset({"allMids", "assetCtxs", "clearinghouseState", "openOrders", "twapStates"})
_OTHERS: Final = frozenset(
    {"allMids", "assetCtxs", "allDexsAssetCtxs", "spotAssetCtxs", "fastAssetCtxs", "outcomeMetaUpdates"}
)
_OF_SPOT_STATE: Final = ("ignorePortfolioMargin", "isPortfolioMargin")
KINDS: Final = _OF_COIN | _OF_USER | _OTHERS


class UnknownSubscription(ValueError):  # noqa: N818 - what it is
    """There is no such type: the venue cannot read the request at all."""


class InvalidSubscription(ValueError):  # noqa: N818 - what it is
    """The type is known, what it is about is not."""


class Subscription:
    """One subscription: its normalised form, which is echoed, and when and what it was last served.

    Whether a client names the one dex there is makes no difference but to the echo, where some look for it.
    """

    __slots__ = ("coin", "due_ms", "kind", "last", "shown", "user")

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.kind: str = shown["type"]
        self.coin: str = shown.get("coin", "")
        self.user: str = shown.get("user", "")
        self.due_ms = 0
        self.last: Any = None

    def key(self) -> str:
        """Return what tells it from others."""
        return compact({name: value for name, value in self.shown.items() if name != "dex"})

    def due(self, now_ms: int, every_ms: int) -> bool:
        """Tell whether it is to be served again, and note that it is."""
        if now_ms < self.due_ms <= now_ms + every_ms:
            return False
        self.due_ms = now_ms + every_ms
        return True

    def is_new(self, shown: Any) -> bool:
        """Tell whether this differs from what was served last, and note it."""
        if shown == self.last:
            return False
        self.last = shown
        return True


def read_subscription(loopback: Loopback, asked: Any) -> Subscription:
    """Read a subscription. Raises UnknownSubscription or InvalidSubscription."""
    kind = asked.get("type") if isinstance(asked, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnknownSubscription
    shown: dict[str, Any] = {"type": kind}
    if kind in _OF_USER:
        user = asked.get("user")
        if not isinstance(user, str) or len(user) != 42 or not _hexadecimal(user[2:]):
            raise InvalidSubscription
        shown["user"] = user.lower()
    if kind in _OF_COIN:
        coin = asked.get("coin")
        if not isinstance(coin, str) or (coin not in loopback.by_coin and (coin != PAIR or kind == "activeAssetData")):
            raise InvalidSubscription
        shown["coin"] = coin
    if kind in _OF_DEX and "dex" in asked:
        if asked["dex"]:
            raise InvalidSubscription
        shown["dex"] = asked["dex"]
    if kind == "l2Book":
        figures, mantissa = asked.get("nSigFigs"), asked.get("mantissa")
        if not _is_one_of(figures, FIGURES) or not _is_one_of(mantissa, MANTISSAS):
            raise InvalidSubscription
        shown["nSigFigs"], shown["mantissa"] = figures, mantissa
        if asked.get("fast") is True:
            shown["fast"] = True
    elif kind == "candle":
        if not isinstance(asked.get("interval"), str) or asked["interval"] not in INTERVALS:
            raise InvalidSubscription
        shown["interval"] = asked["interval"]
    elif kind == "spotState":
        shown.update({name: asked[name] for name in _OF_SPOT_STATE if isinstance(asked.get(name), bool)})
    elif kind == "userFills":
        shown["aggregateByTime"] = asked.get("aggregateByTime") is True
    return Subscription(shown)


def _is_one_of(value: Any, allowed: tuple[int | None, ...]) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value in allowed)


def _hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def compact(value: Any) -> str:
    """Return a value as short JSON, at most 500 characters."""
    try:
        return msgspec.json.encode(value).decode()[:500]
    except (TypeError, ValueError, RecursionError):
        return "?"
