"""The venue's words: order statuses and refusals, verbatim (source: Hyperliquid docs, error responses; live captures).

A refusal of one order carries the asset's number at its end, as live answers do. Texts that no public source
records are ours, and stand under their own heading.
"""

from typing import Final, final

# status of an order, as order updates and the order history name it
OPEN: Final = "open"
FILLED: Final = "filled"
TRIGGERED: Final = "triggered"
CANCELED: Final = "canceled"
MARGIN_CANCELED: Final = "marginCanceled"
SELF_TRADE_CANCELED: Final = "selfTradeCanceled"
REDUCE_ONLY_CANCELED: Final = "reduceOnlyCanceled"
SIBLING_FILLED_CANCELED: Final = "siblingFilledCanceled"
LIQUIDATED_CANCELED: Final = "liquidatedCanceled"
DELISTED_CANCELED: Final = "delistedCanceled"
SCHEDULED_CANCEL: Final = "scheduledCancel"
TICK_REJECTED: Final = "tickRejected"
MIN_NOTIONAL_REJECTED: Final = "minTradeNtlRejected"
MARGIN_REJECTED: Final = "perpMarginRejected"
REDUCE_ONLY_REJECTED: Final = "reduceOnlyRejected"
POST_ONLY_REJECTED: Final = "badAloPxRejected"
NO_MATCH_REJECTED: Final = "iocCancelRejected"
TRIGGER_PRICE_REJECTED: Final = "badTriggerPxRejected"
NO_LIQUIDITY_REJECTED: Final = "marketOrderNoLiquidityRejected"
OPEN_INTEREST_INCREASE_REJECTED: Final = "positionIncreaseAtOpenInterestCapRejected"
OPEN_INTEREST_FLIP_REJECTED: Final = "positionFlipAtOpenInterestCapRejected"
OPEN_INTEREST_PRICE_REJECTED: Final = "tooAggressiveAtOpenInterestCapRejected"
POSITION_TIER_REJECTED: Final = "perpMaxPositionRejected"
ORACLE_REJECTED: Final = "oracleRejected"
TOO_MANY_OPEN_ORDERS_REJECTED: Final = "tooManyOpenOrdersRejected"
REJECTED: Final = "rejected"

# refusals of one order, without the asset's number
TICK: Final = "Price must be divisible by tick size."
MIN_NOTIONAL: Final = "Order must have minimum value of $10."
MARGIN: Final = "Insufficient margin to place order."
REDUCE_ONLY: Final = "Reduce only order would increase position."
POST_ONLY: Final = "Post only order would have immediately matched, bbo was {bid}@{ask}."
NO_MATCH: Final = "Order could not immediately match against any resting orders."
TRIGGER_PRICE: Final = "Invalid TP/SL price."
NO_LIQUIDITY: Final = "No liquidity available for market order."
OPEN_INTEREST_CAP: Final = "Order would increase open interest while open interest is capped"
OPEN_INTEREST_PRICE: Final = "Order rejected due to price more aggressive than oracle while at open interest cap"
POSITION_TIER: Final = "Order would cause position to exceed margin tier limit at current leverage"
ORACLE: Final = "Order price too far from oracle"
NEVER_PLACED: Final = "Order was never placed, already canceled, or filled."
SPOT_BALANCE: Final = "Insufficient spot balance"
TWAP_DURATION: Final = "Invalid TWAP duration: {minutes} min(s)"
TWAP_NEVER_PLACED: Final = "TWAP was never placed, already canceled, or filled."
TWAP_REDUCE_ONLY: Final = "Reduce-only TWAP order would increase position."
AFTER_UPGRADE: Final = "Only post-only orders allowed immediately after network upgrade"

# refusals of a whole action
NO_ORDERS: Final = "Orders are empty."
INVALID_PRICE: Final = "Order has invalid price."
INVALID_SIZE: Final = "Order has invalid size."
ZERO_SIZE: Final = "Order has zero size."
REFERENCE_PRICE: Final = "Order price cannot be more than 95% away from the reference price"
TRIGGER_COUNT: Final = "Unexpected number of trigger orders"
SPOT_REDUCE_ONLY: Final = "Reduce-only is invalid for spot trading."
CANNOT_MODIFY: Final = "Cannot modify canceled or filled order"
MODIFY_FAILED: Final = "Error placing new order during modify: "
EXPIRED: Final = "Action already expired"
SCHEDULE_VOLUME: Final = (
    "Cannot set scheduled cancel time until enough volume traded. Required: ${required}. Traded: ${traded}."
)

# ours: the venue refuses these too, its words are not recorded
TOO_MANY_OPEN_ORDERS: Final = "Too many open orders: {count} of {limit}."
MODIFY_NOT_POST_ONLY: Final = "Modify must place a post-only order that is no trigger, or set always place."
UNKNOWN_ASSET: Final = "Order has invalid asset."
TWAP_TOO_SMALL: Final = "TWAP order value too small. Min is ${least}."
SCHEDULE_TOO_SOON: Final = "Scheduled cancel time must be at least 5 seconds in the future."
SCHEDULE_USED_UP: Final = "Scheduled cancel was already triggered 10 times today."


@final
class Refusal:
    """Why an order was not taken: the status its history shows, and the text that answers it."""

    def __init__(self, status: str, text: str) -> None:
        self.status: Final[str] = status
        self.text: Final[str] = text
