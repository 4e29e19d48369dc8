"""What the WebSocket sends: one struct a channel, decoded in one step by the channel's name.

Fields that the venue leaves out are UNSET and those it sends as null are None, so that a message encodes again to
what it was. A channel that is not here is `Unread`.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from hatmanifesto.venues.hyperliquid.wire.info import (
    AssetContext,
    BasicOrder,
    Candle,
    Fill,
    FrontendOrder,
    Id,
    Level,
    Ms,
    SpotContext,
    Trade,
)
from hatmanifesto.venues.hyperliquid.wire.reading import UNREADABLE, Reader, unreadable


class Book(msgspec.Struct, gc=False):
    """A full visible book: bids and asks, best first. `time` in ms."""

    coin: str
    time: Ms
    levels: tuple[list[Level], list[Level]]
    spread: str | UnsetType = UNSET
    fast: bool | UnsetType = UNSET


class L2Book(msgspec.Struct, tag_field="channel", tag="l2Book", gc=False):
    """A book, every few seconds, or five levels twice a second in fast mode."""

    data: Book


class BestPrices(msgspec.Struct, gc=False):
    """Best bid and ask, null when a side is empty."""

    coin: str
    time: Ms
    bbo: list[Level | None]


class Bbo(msgspec.Struct, tag_field="channel", tag="bbo", gc=False):
    """Sent when the best level changed in a block."""

    data: BestPrices


class Trades(msgspec.Struct, tag_field="channel", tag="trades", gc=False):
    """Prints of a block; after subscribing a batch of recent ones."""

    data: list[Trade]


class CoinContext(msgspec.Struct, gc=False):
    """A perpetual's mark, oracle and funding."""

    coin: str
    ctx: AssetContext


class ActiveAssetCtx(msgspec.Struct, tag_field="channel", tag="activeAssetCtx", gc=False):
    """A perpetual's context, on change. It carries no time."""

    data: CoinContext


class CoinSpotContext(msgspec.Struct, gc=False):
    """A spot pair's context."""

    coin: str
    ctx: SpotContext


class ActiveSpotAssetCtx(msgspec.Struct, tag_field="channel", tag="activeSpotAssetCtx", gc=False):
    """A spot pair's context, on change."""

    data: CoinSpotContext


class OrderUpdate(msgspec.Struct, rename="camel"):
    """An own order's new status; `sz` of the order is what remains."""

    order: BasicOrder
    status: str
    status_timestamp: Ms


class OrderUpdates(msgspec.Struct, tag_field="channel", tag="orderUpdates"):
    """Own orders' new statuses; nothing is repeated after subscribing again."""

    data: list[OrderUpdate]


class FillsData(msgspec.Struct, rename="camel"):
    """Own fills; the first message after subscribing repeats recent ones."""

    user: str
    fills: list[Fill]
    is_snapshot: bool | UnsetType = UNSET


class UserFills(msgspec.Struct, tag_field="channel", tag="userFills"):
    """Own fills."""

    data: FillsData


class FundingPayment(msgspec.Struct, rename="camel"):
    """One funding payment: `usdc` is the balance's change."""

    time: Ms
    coin: str
    usdc: str
    szi: str
    funding_rate: str
    n_samples: int | UnsetType | None = UNSET


class FundingsData(msgspec.Struct, rename="camel"):
    """Own funding payments; the first message after subscribing repeats old ones."""

    user: str
    fundings: list[FundingPayment]
    is_snapshot: bool | UnsetType = UNSET


class UserFundings(msgspec.Struct, tag_field="channel", tag="userFundings"):
    """Own funding payments."""

    data: FundingsData


class NonUserCancel(msgspec.Struct):
    """An order that the venue cancelled."""

    coin: str
    oid: Id


class Liquidation(msgspec.Struct):
    """The account was liquidated."""

    lid: int
    liquidator: str
    liquidated_user: str
    liquidated_ntl_pos: str
    liquidated_account_value: str


class UserEventData(msgspec.Struct, rename="camel"):
    """One of these is set."""

    fills: list[Fill] | UnsetType = UNSET
    funding: FundingPayment | UnsetType = UNSET
    liquidation: Liquidation | UnsetType = UNSET
    non_user_cancel: list[NonUserCancel] | UnsetType = UNSET


class UserEvents(msgspec.Struct, tag_field="channel", tag="user"):
    """Own events of every kind."""

    data: UserEventData


class OpenOrdersData(msgspec.Struct):
    """Every open order of the account."""

    dex: str
    user: str
    orders: list[FrontendOrder]


class OpenOrders(msgspec.Struct, tag_field="channel", tag="openOrders"):
    """Every open order of the account."""

    data: OpenOrdersData


class CandleMessage(msgspec.Struct, tag_field="channel", tag="candle"):
    """The forming candle."""

    data: Candle


class MidsData(msgspec.Struct):
    """Mid prices by coin."""

    mids: dict[str, str]
    dex: str | UnsetType = UNSET


class AllMids(msgspec.Struct, tag_field="channel", tag="allMids"):
    """Mid prices by coin."""

    data: MidsData


class DexContexts(msgspec.Struct):
    """Contexts of every perpetual of every dex."""

    ctxs: list[tuple[str, list[AssetContext]]]


class AllDexsAssetCtxs(msgspec.Struct, tag_field="channel", tag="allDexsAssetCtxs"):
    """Contexts of every perpetual of every dex."""

    data: DexContexts


class SubscriptionEcho(msgspec.Struct):
    """The subscription as the venue understood it: addresses in lower case, keys added."""

    method: str
    subscription: dict[str, str | int | bool | None]


class SubscriptionResponse(msgspec.Struct, tag_field="channel", tag="subscriptionResponse"):
    """A subscription was accepted or ended."""

    data: SubscriptionEcho


class Pong(msgspec.Struct, tag_field="channel", tag="pong"):
    """The answer to a ping."""


class ErrorMessage(msgspec.Struct, tag_field="channel", tag="error"):
    """A complaint about something that we sent; the connection stays open."""

    data: str


class PostAnswer(msgspec.Struct):
    """`action`: the answer of /exchange; `info`: type and data; `error`: text that begins with an HTTP status."""

    type: Literal["action", "info", "error"]
    payload: Raw


class PostData(msgspec.Struct):
    """The answer to the post with this id."""

    id: Id
    response: PostAnswer


class Post(msgspec.Struct, tag_field="channel", tag="post"):
    """The answer to a post."""

    data: PostData


class Unread(msgspec.Struct):
    """A channel that nothing here reads."""

    channel: str


Message = (
    L2Book
    | Bbo
    | Trades
    | ActiveAssetCtx
    | ActiveSpotAssetCtx
    | OrderUpdates
    | UserFills
    | UserFundings
    | UserEvents
    | OpenOrders
    | CandleMessage
    | AllMids
    | AllDexsAssetCtxs
    | SubscriptionResponse
    | Pong
    | ErrorMessage
    | Post
)

GREETING: Final = b"Websocket connection established."
CHANNELS: Final = frozenset(
    {
        "l2Book", "bbo", "trades", "activeAssetCtx", "activeSpotAssetCtx", "orderUpdates", "userFills", "userFundings",
        "user", "openOrders", "candle", "allMids", "allDexsAssetCtxs", "subscriptionResponse", "pong", "error", "post",
    }
)  # fmt: skip

_decoder: Final = msgspec.json.Decoder(Message)
_unread: Final = Reader[Unread](Unread)


def parse_message(data: bytes | memoryview) -> Message | Unread:
    """Decode a frame; raises msgspec.DecodeError (or ValidationError) when it is not a message of the venue."""
    try:
        message: Message = _decoder.decode(data)
    except msgspec.ValidationError:
        unread = _unread.decode(data)
        if unread.channel in CHANNELS:
            raise
        return unread
    except UNREADABLE as error:
        raise unreadable(error) from error
    return message
