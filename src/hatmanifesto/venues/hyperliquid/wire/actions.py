"""Actions that are signed and posted to /exchange. Field order is the venue's: it enters the signed hash.

Optional fields are UNSET when unused and then absent from JSON and MessagePack alike; null or false in their place
would make another hash, and so another signer. Prices and sizes are canonical decimal text (see `decimals`).
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from hatmanifesto.venues.hyperliquid.wire.account_actions import AccountAction

Tif = Literal["Alo", "Ioc", "Gtc", "FrontendMarket"]


class LimitType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit order's time in force; Alo is post-only."""

    tif: Tif


class TriggerType(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A stop-loss or take-profit order, evaluated on the mark price."""

    is_market: bool
    trigger_px: str
    tpsl: Literal["tp", "sl"]


class OrderType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of both is set."""

    limit: LimitType | UnsetType = UNSET
    trigger: TriggerType | UnsetType = UNSET


POST_ONLY_TYPE: Final = OrderType(limit=LimitType("Alo"))
IOC_TYPE: Final = OrderType(limit=LimitType("Ioc"))
GTC_TYPE: Final = OrderType(limit=LimitType("Gtc"))


class OrderWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One order: asset id, is-buy, price, size, reduce-only, type, client order id."""

    a: int
    b: bool
    p: str
    s: str
    r: bool
    t: OrderType
    c: str | UnsetType = UNSET


class Builder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who earns a builder fee: address (lower case) and tenths of a basis point."""

    b: str
    f: int


class Priority(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Order priority fee, p / 10^8 of the notional."""

    p: int


Grouping = Literal["na", "normalTpsl", "positionTpsl"]


class Order(msgspec.Struct, frozen=True, tag_field="type", tag="order", forbid_unknown_fields=True):
    """Place a batch of orders."""

    orders: list[OrderWire]
    grouping: Grouping | Priority = "na"
    builder: Builder | UnsetType = UNSET


class CancelWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cancel: asset id and venue order id."""

    a: int
    o: int


class Cancel(msgspec.Struct, frozen=True, tag_field="type", tag="cancel", forbid_unknown_fields=True):
    """Cancel by the venue's order ids; `f` asks for mempool priority and is refused for trigger orders."""

    cancels: list[CancelWire]
    f: bool | UnsetType = UNSET


class CloidWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cancel: asset id and client order id."""

    asset: int
    cloid: str


class CancelByCloid(msgspec.Struct, frozen=True, tag_field="type", tag="cancelByCloid", forbid_unknown_fields=True):
    """Cancel by client order ids."""

    cancels: list[CloidWire]
    f: bool | UnsetType = UNSET


class ModifyWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One replacement: the old order's venue id or client order id, and the new order."""

    oid: int | str
    order: OrderWire


class Modify(msgspec.Struct, frozen=True, tag_field="type", tag="modify", forbid_unknown_fields=True):
    """Cancel and place as one; `a` places whatever became of the cancel."""

    oid: int | str
    order: OrderWire
    a: bool | UnsetType = UNSET


class BatchModify(msgspec.Struct, frozen=True, tag_field="type", tag="batchModify", forbid_unknown_fields=True):
    """Several replacements."""

    modifies: list[ModifyWire]
    a: bool | UnsetType = UNSET


class ScheduleCancel(msgspec.Struct, frozen=True, tag_field="type", tag="scheduleCancel", forbid_unknown_fields=True):
    """The dead man's switch: cancel everything at `time` (ms), at least 5 s ahead; without a time it is cleared."""

    time: int | UnsetType = UNSET


class UpdateLeverage(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="updateLeverage", forbid_unknown_fields=True
):
    """Set an asset's leverage and margin mode."""

    asset: int
    is_cross: bool
    leverage: int


class UpdateIsolatedMargin(
    msgspec.Struct,
    frozen=True,
    rename="camel",
    tag_field="type",
    tag="updateIsolatedMargin",
    forbid_unknown_fields=True,
):
    """Move margin to or from an isolated position; `ntli` in micro-USDC."""

    asset: int
    is_buy: bool
    ntli: int


class TopUpIsolatedOnlyMargin(
    msgspec.Struct, frozen=True, tag_field="type", tag="topUpIsolatedOnlyMargin", forbid_unknown_fields=True
):
    """Bring an isolated position to a leverage, decimal text."""

    asset: int
    leverage: str


class Noop(msgspec.Struct, frozen=True, tag_field="type", tag="noop", forbid_unknown_fields=True):
    """Do nothing but use up the nonce: with a lost request's nonce it makes sure that one never arrives."""


class SetReferrer(msgspec.Struct, frozen=True, tag_field="type", tag="setReferrer", forbid_unknown_fields=True):
    """Set the account's referrer code."""

    code: str


class CreateSubAccount(
    msgspec.Struct, frozen=True, tag_field="type", tag="createSubAccount", forbid_unknown_fields=True
):
    """Open a sub-account."""

    name: str


class SubAccountTransfer(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="subAccountTransfer", forbid_unknown_fields=True
):
    """Move `usd` micro-USDC to or from a sub-account."""

    sub_account_user: str
    is_deposit: bool
    usd: int


class SubAccountSpotTransfer(
    msgspec.Struct,
    frozen=True,
    rename="camel",
    tag_field="type",
    tag="subAccountSpotTransfer",
    forbid_unknown_fields=True,
):
    """Move spot tokens to or from a sub-account."""

    sub_account_user: str
    is_deposit: bool
    token: str
    amount: str


class VaultTransfer(
    msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="vaultTransfer", forbid_unknown_fields=True
):
    """Move `usd` micro-USDC to or from a vault."""

    vault_address: str
    is_deposit: bool
    usd: int


class ReserveRequestWeight(
    msgspec.Struct, frozen=True, tag_field="type", tag="reserveRequestWeight", forbid_unknown_fields=True
):
    """Buy address budget."""

    weight: int
    destination: str | UnsetType = UNSET


class TwapWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TWAP order: asset, is-buy, size, reduce-only, minutes, randomize."""

    a: int
    b: bool
    s: str
    r: bool
    m: int
    t: bool


class TwapTrigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mark price at which a TWAP begins: price, is-above."""

    p: str
    a: bool


class TwapDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a TWAP begins and when it stops early: a trigger and a stop price, or null."""

    t: TwapTrigger | None
    s: str | None


class TwapOrder(msgspec.Struct, frozen=True, tag_field="type", tag="twapOrder", forbid_unknown_fields=True):
    """Start a TWAP."""

    twap: TwapWire
    details: TwapDetails | UnsetType = UNSET


class TwapCancel(msgspec.Struct, frozen=True, tag_field="type", tag="twapCancel", forbid_unknown_fields=True):
    """Stop a TWAP: asset and twap id."""

    a: int
    t: int


Action = (
    Order
    | Cancel
    | CancelByCloid
    | Modify
    | BatchModify
    | ScheduleCancel
    | UpdateLeverage
    | UpdateIsolatedMargin
    | TopUpIsolatedOnlyMargin
    | Noop
    | SetReferrer
    | CreateSubAccount
    | SubAccountTransfer
    | SubAccountSpotTransfer
    | VaultTransfer
    | ReserveRequestWeight
    | TwapOrder
    | TwapCancel
    | AccountAction
)
"""Every action that is signed as a whole (an L1 action)."""

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_from_json: Final = msgspec.json.Decoder(Action)


def action_json(action: Action) -> bytes:
    """Return an action as it travels."""
    return _to_json(action)


def action_msgpack(action: Action) -> bytes:
    """Return an action as it is hashed."""
    return _to_msgpack(action)


def parse_action(data: bytes | str) -> Action:
    """Read an action whatever its JSON's field order; raises msgspec.ValidationError when it is not one of ours."""
    action: Action = _from_json.decode(data)
    return action


def element_count(action: Action) -> int:
    """Return how many orders, cancels or modifies an action carries: what both rate limits count, at least 1."""
    match action:
        case Order(orders=elements):
            return max(1, len(elements))
        case Cancel(cancels=elements) | CancelByCloid(cancels=elements):
            return max(1, len(elements))
        case BatchModify(modifies=elements):
            return max(1, len(elements))
    return 1


def order_type_of(tif: int) -> OrderType:
    """Return the wire's type of model.order's time in force; raises IndexError for another number."""
    return (POST_ONLY_TYPE, GTC_TYPE, IOC_TYPE)[tif]
