"""Answers of /info, one struct a shape. Numbers stay the decimal text that the venue sent, times are ms.

Fields that older recordings lack are UNSET there, and those that are null are None, so that an answer encodes again
to what it was.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hatmanifesto.venues.hyperliquid.wire.reading import Reader

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62) - 1)]
"""An order or trade id: what is beyond 62 bits would not pass into the engine."""
Ms = Annotated[int, msgspec.Meta(ge=0, le=1 << 43)]
"""A time in ms since 1970, so that it still fits 64 bits as nanoseconds."""
Few = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
"""A small count: decimals, leverage."""
Side = Literal["B", "A"]
"""B buys (bid), A sells (ask)."""


class Level(msgspec.Struct, gc=False):
    """Price, size and number of orders of a book level."""

    px: str
    sz: str
    n: int | UnsetType = UNSET


class BookSnapshot(msgspec.Struct, gc=False):
    """`l2Book`: bids and asks, best first, at most 20 a side."""

    coin: str
    time: Ms
    levels: tuple[list[Level], list[Level]]
    spread: str | UnsetType = UNSET


class Trade(msgspec.Struct, gc=False):
    """A print; `side` is the aggressor's, `tid` a hash of both order ids."""

    coin: str
    side: Side
    px: str
    sz: str
    time: Ms
    tid: Id
    hash: str | UnsetType = UNSET
    users: list[str] | UnsetType = UNSET


class Candle(msgspec.Struct):
    """Open and close time, coin, interval, prices, base volume, trades."""

    t: Ms
    T: Ms
    s: str
    i: str
    o: str | UnsetType = UNSET
    c: str | UnsetType = UNSET
    h: str | UnsetType = UNSET
    l: str | UnsetType = UNSET  # noqa: E741
    v: str | UnsetType = UNSET
    n: int | UnsetType = UNSET


class AssetContext(msgspec.Struct, rename="camel", gc=False):
    """A perpetual's moving figures; `funding` is the hourly rate predicted for this hour."""

    funding: str
    open_interest: str
    prev_day_px: str
    day_ntl_vlm: str
    oracle_px: str
    mark_px: str
    premium: str | UnsetType | None = UNSET
    mid_px: str | UnsetType | None = UNSET
    impact_pxs: list[str] | UnsetType | None = UNSET
    day_base_vlm: str | UnsetType = UNSET


class SpotContext(msgspec.Struct, rename="camel", gc=False):
    """A spot pair's moving figures."""

    prev_day_px: str
    day_ntl_vlm: str
    mark_px: str
    mid_px: str | UnsetType | None = UNSET
    circulating_supply: str | UnsetType = UNSET
    coin: str | UnsetType = UNSET
    total_supply: str | UnsetType = UNSET
    day_base_vlm: str | UnsetType = UNSET


class PerpAsset(msgspec.Struct, rename="camel"):
    """One market of `meta`; its place in the universe is its asset id, delisted ones counted."""

    name: str
    sz_decimals: Few
    max_leverage: Few
    margin_table_id: int | UnsetType = UNSET
    is_delisted: bool | UnsetType | None = UNSET
    only_isolated: bool | UnsetType | None = UNSET
    margin_mode: str | UnsetType = UNSET
    growth_mode: str | UnsetType = UNSET
    last_growth_mode_change_time: str | UnsetType = UNSET


class MarginTier(msgspec.Struct, rename="camel"):
    """From a notional on (decimal text), the largest leverage."""

    lower_bound: str
    max_leverage: Few


class MarginTable(msgspec.Struct, rename="camel"):
    """Tiers, lowest first."""

    description: str
    margin_tiers: list[MarginTier]


class Meta(msgspec.Struct, rename="camel"):
    """`meta`: the perpetuals of one dex."""

    universe: list[PerpAsset]
    margin_tables: list[tuple[int, MarginTable]] | UnsetType = UNSET
    collateral_token: int | UnsetType = UNSET


class SpotPair(msgspec.Struct, rename="camel"):
    """A spot pair: base and quote token, name, pair index."""

    tokens: tuple[int, int]
    name: str
    index: int
    is_canonical: bool


class EvmContract(msgspec.Struct):
    """A token's contract."""

    address: str
    evm_extra_wei_decimals: int


class SpotToken(msgspec.Struct, rename="camel"):
    """A spot token."""

    name: str
    sz_decimals: int
    wei_decimals: int
    index: int
    token_id: str
    is_canonical: bool
    evm_contract: EvmContract | UnsetType | None = UNSET
    full_name: str | UnsetType | None = UNSET
    deployer_trading_fee_share: str | UnsetType = UNSET


class SpotMeta(msgspec.Struct, rename="camel"):
    """`spotMeta`: pairs and tokens."""

    universe: list[SpotPair]
    tokens: list[SpotToken]


class BasicOrder(msgspec.Struct, rename="camel"):
    """An order of `openOrders` and of `orderUpdates`; `sz` is what remains."""

    coin: str
    side: Side
    limit_px: str
    sz: str
    oid: Id
    timestamp: Ms
    orig_sz: str | UnsetType = UNSET
    cloid: str | UnsetType | None = UNSET
    reduce_only: bool | UnsetType = UNSET


class FrontendOrder(msgspec.Struct, rename="camel"):
    """An order of `frontendOpenOrders`, `historicalOrders` and `orderStatus`."""

    coin: str
    side: Side
    limit_px: str
    sz: str
    oid: Id
    timestamp: Ms
    orig_sz: str
    order_type: str
    reduce_only: bool
    is_trigger: bool
    trigger_px: str
    trigger_condition: str
    is_position_tpsl: bool
    children: list["FrontendOrder"]
    tif: str | None
    cloid: str | UnsetType | None = UNSET


class OrderRecord(msgspec.Struct, rename="camel"):
    """An order with its status at `status_timestamp`."""

    order: FrontendOrder
    status: str
    status_timestamp: Ms


class OrderStatus(msgspec.Struct):
    """`orderStatus`: `status` is `order`, or `unknownOid` and then there is no order."""

    status: str
    order: OrderRecord | UnsetType = UNSET


class FillLiquidation(msgspec.Struct, rename="camel"):
    """Set on both sides of a fill that liquidated somebody."""

    mark_px: str
    method: str
    liquidated_user: str | UnsetType = UNSET


class Fill(msgspec.Struct, rename="camel"):
    """An own fill; `crossed` = taker; `fee` includes the builder's and is negative when it was rebated."""

    coin: str
    px: str
    sz: str
    side: Side
    time: Ms
    oid: Id
    crossed: bool
    closed_pnl: str
    start_position: str
    dir: str
    hash: str
    fee: str
    tid: Id | UnsetType = UNSET
    cloid: str | UnsetType | None = UNSET
    fee_token: str | UnsetType = UNSET
    twap_id: int | UnsetType | None = UNSET
    builder_fee: str | UnsetType = UNSET
    fee_trial_escrow: str | UnsetType = UNSET
    liquidation: FillLiquidation | UnsetType = UNSET


class FundingDelta(msgspec.Struct, rename="camel"):
    """A funding payment: `usdc` is the balance's change, `szi` the signed position."""

    type: str
    coin: str
    usdc: str
    szi: str
    funding_rate: str
    n_samples: int | UnsetType | None = UNSET


class FundingRecord(msgspec.Struct):
    """`userFunding`: one payment."""

    time: Ms
    hash: str
    delta: FundingDelta


class LedgerRecord(msgspec.Struct):
    """`userNonFundingLedgerUpdates`: deposits, withdrawals, transfers, by `delta["type"]`."""

    time: Ms
    hash: str
    delta: dict[str, Any]


class FundingRate(msgspec.Struct, rename="camel"):
    """`fundingHistory`: the rate that was paid for one hour."""

    coin: str
    funding_rate: str
    premium: str
    time: Ms


class MarginSummary(msgspec.Struct, rename="camel"):
    """Account value, gross notional, cash, margin used."""

    account_value: str
    total_ntl_pos: str
    total_raw_usd: str
    total_margin_used: str


class Leverage(msgspec.Struct, rename="camel"):
    """Mode and value; `raw_usd` is an isolated position's cash."""

    type: Literal["cross", "isolated"]
    value: int
    raw_usd: str | UnsetType = UNSET


class CumulativeFunding(msgspec.Struct, rename="camel"):
    """Positive = paid by the account."""

    all_time: str
    since_open: str
    since_change: str


class PerpPosition(msgspec.Struct, rename="camel"):
    """A position: signed size and its figures at the mark."""

    coin: str
    szi: str
    leverage: Leverage
    entry_px: str | None
    position_value: str
    unrealized_pnl: str
    return_on_equity: str
    liquidation_px: str | None
    margin_used: str
    max_leverage: int | UnsetType = UNSET
    max_trade_szs: list[str] | UnsetType = UNSET
    cum_funding: CumulativeFunding | UnsetType = UNSET


class AssetPosition(msgspec.Struct):
    """A position and its mode, always `oneWay`."""

    type: str
    position: PerpPosition


class ClearinghouseState(msgspec.Struct, rename="camel"):
    """`clearinghouseState`: margin and positions of one perpetual dex."""

    margin_summary: MarginSummary
    cross_margin_summary: MarginSummary
    asset_positions: list[AssetPosition]
    withdrawable: str
    cross_maintenance_margin_used: str | UnsetType = UNSET
    time: Ms | UnsetType = UNSET


class SpotBalance(msgspec.Struct, rename="camel"):
    """A spot token's balance; `hold` is reserved by orders."""

    coin: str
    total: str
    hold: str
    entry_ntl: str
    token: int | UnsetType = UNSET
    spot_hold: str | UnsetType = UNSET
    ltv: str | UnsetType = UNSET
    borrowed: str | UnsetType = UNSET
    supplied: str | UnsetType = UNSET


class SpotState(msgspec.Struct, rename="camel"):
    """`spotClearinghouseState`: spot balances."""

    balances: list[SpotBalance]
    portfolio_margin_enabled: bool | UnsetType = UNSET
    portfolio_margin_ratio: str | UnsetType = UNSET
    token_to_portfolio_borrow_ratio: list[tuple[int, str]] | UnsetType = UNSET
    token_to_portfolio_supply_ratio: list[tuple[int, str]] | UnsetType = UNSET
    token_to_available_after_maintenance: list[tuple[int, str]] | UnsetType = UNSET


class RateLimit(msgspec.Struct, rename="camel"):
    """`userRateLimit`: the address budget."""

    cum_vlm: str
    n_requests_used: Id
    n_requests_cap: Id
    n_requests_surplus: Id | UnsetType = UNSET


class UserFees(msgspec.Struct, rename="camel"):
    """`userFees`: this account's rates, fractions of notional; discounts but the referral's are in them."""

    user_cross_rate: str
    user_add_rate: str
    user_spot_cross_rate: str | UnsetType = UNSET
    user_spot_add_rate: str | UnsetType = UNSET
    active_referral_discount: str | UnsetType = UNSET
    active_staking_discount: Any | UnsetType = UNSET
    daily_user_vlm: Any | UnsetType = UNSET
    fee_schedule: Any | UnsetType = UNSET
    trial: Any | UnsetType = UNSET
    fee_trial_escrow: Any | UnsetType = UNSET
    fee_trial_reward: Any | UnsetType = UNSET
    next_trial_available_timestamp: Any | UnsetType = UNSET
    staking_link: Any | UnsetType = UNSET


class RoleData(msgspec.Struct):
    """Whose agent, or whose sub-account."""

    user: str | UnsetType = UNSET
    master: str | UnsetType = UNSET


class UserRole(msgspec.Struct):
    """`userRole`: missing, user, vault, agent or subAccount."""

    role: str
    data: RoleData | UnsetType = UNSET


class ExtraAgent(msgspec.Struct, rename="camel"):
    """`extraAgents`: a named agent; the unnamed one is not listed."""

    name: str
    address: str
    valid_until: int | None


class ActiveAssetData(msgspec.Struct, rename="camel"):
    """`activeAssetData`: leverage and room to trade in one coin."""

    user: str
    coin: str
    leverage: Leverage
    max_trade_szs: list[str]
    available_to_trade: list[str]
    mark_px: str


Shape = TypeVar("Shape")


class Shaped:
    """Decoders by shape, made once each."""

    def __init__(self) -> None:
        self._decoders: dict[Any, Any] = {}

    def decode(self, data: bytes | memoryview | msgspec.Raw, shape: type[Shape]) -> Shape:
        """Decode an answer; raises msgspec.DecodeError (or ValidationError) when it has another shape."""
        decoder = self._decoders.get(shape)
        if decoder is None:
            decoder = self._decoders[shape] = Reader[Shape](shape)
        answer: Shape = decoder.decode(data)
        return answer


ANSWERS: Final = Shaped()
