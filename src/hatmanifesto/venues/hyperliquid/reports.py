"""The account's state as the port says it: open orders, balances, positions."""

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import MAX_AMOUNT
from hatmanifesto.venues.hyperliquid.cloid import parse_cloid
from hatmanifesto.venues.hyperliquid.rules import MONEY_SCALE
from hatmanifesto.venues.hyperliquid.wire.decimals import exact, rounded
from hatmanifesto.venues.hyperliquid.wire.info import ClearinghouseState, FrontendOrder, LedgerRecord
from hatmanifesto.venues.port import VenueAccount, VenueOrder, VenuePosition

MS: Final = 1_000_000
FOREIGN: Final = -1
"""The instrument of what is not in the session; its price and sizes are 0."""


def open_order(order: FrontendOrder, instrument: Instrument | None) -> VenueOrder:
    """Return an open order; raises ValueError when a number in it cannot be read."""
    ours = parse_cloid(order.cloid)
    price_scale = int(instrument.price_scale) if instrument else 0
    size_scale = int(instrument.size_scale) if instrument else 0
    return VenueOrder(
        instrument=int(instrument.index) if instrument else FOREIGN,
        coin=order.coin,
        venue_order_id=order.oid,
        session=ours.session if ours else 0,
        order_id=ours.order_id if ours else 0,
        purpose=ours.purpose if ours else 0,
        side=1 if order.side == "B" else -1,
        price=rounded(order.limit_px, price_scale) if instrument else 0,
        remaining=rounded(order.sz, size_scale) if instrument else 0,
        size=rounded(order.orig_sz, size_scale) if instrument else 0,
        reduce_only=order.reduce_only,
        placed_ns=order.timestamp * MS,
        client_order_id=order.cloid if isinstance(order.cloid, str) else "",
    )


def _cost(size: str, value: str, profit: int) -> int:
    """Return a position's entry notional, signed like it: its value at the mark less what it gained since."""
    worth = rounded(value, MONEY_SCALE)
    return (-worth if size.startswith("-") else worth) - profit


def account_of(state: ClearinghouseState, instruments: Mapping[str, Instrument]) -> VenueAccount:
    """Return the account; raises ValueError when a number in it cannot be read.

    Positions in coins outside the session have instrument FOREIGN and size 0; their profit and loss counts.
    """
    positions: list[VenuePosition] = []
    unrealized = 0
    for held in state.asset_positions:
        position = held.position
        instrument = instruments.get(position.coin)
        profit = rounded(position.unrealized_pnl, MONEY_SCALE)
        unrealized += profit
        positions.append(
            VenuePosition(
                instrument=int(instrument.index) if instrument else FOREIGN,
                coin=position.coin,
                cost=_cost(position.szi, position.position_value, profit),
                size=exact(position.szi, int(instrument.size_scale)) if instrument else 0,
                entry_price=position.entry_px or "",
                unrealized=profit,
            )
        )
    summary = state.margin_summary
    value = rounded(summary.account_value, MONEY_SCALE)
    if max(abs(value - unrealized), *(abs(held.cost) for held in positions), 0) > MAX_AMOUNT:
        raise ValueError("its sums are beyond 62 bits")
    return VenueAccount(
        account_value=value,
        cash=value - unrealized,
        withdrawable=rounded(state.withdrawable, MONEY_SCALE),
        margin_used=rounded(summary.total_margin_used, MONEY_SCALE),
        positions=tuple(positions),
        exch_ts_ns=0 if state.time is UNSET else state.time * MS,
    )


def transferred(record: LedgerRecord, user: str) -> int:
    """Return what a ledger record added to the perpetuals account (negative = took), micro-USDC.

    Raises ValueError when an amount cannot be read. Moves that are none of the perpetuals account's add nothing.
    """
    delta = record.delta
    kind = delta.get("type")
    if not isinstance(kind, str) or kind not in _MOVES:
        return 0
    amount = rounded(str(delta.get("usdc", delta.get("usdcValue", "0"))), MONEY_SCALE)
    if kind == "accountClassTransfer":
        return amount if delta.get("toPerp") else -amount
    if kind in ("withdraw", "vaultDeposit", "vaultCreate"):
        return -amount - rounded(str(delta.get("fee", "0")), MONEY_SCALE)
    if kind in ("internalTransfer", "subAccountTransfer"):
        if str(delta.get("destination", "")).lower() == user:
            return amount
        return -amount - rounded(str(delta.get("fee", "0")), MONEY_SCALE)
    return amount


_MOVES: Final = frozenset(
    {
        "deposit", "withdraw", "accountClassTransfer", "internalTransfer", "subAccountTransfer", "vaultCreate",
        "vaultDeposit", "vaultDistribution", "vaultWithdraw", "vaultLeaderCommission",
    }
)  # fmt: skip
