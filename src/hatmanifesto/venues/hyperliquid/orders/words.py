"""The venue's words as reasons and fates: error texts and order statuses.

Texts are matched by what they contain, since live ones carry suffixes (` asset=4`) that the documentation lacks.
Statuses that are not known are classed by their ending, as the venue names them.
"""

from typing import Final

from hatmanifesto.model import reasons as why
from hatmanifesto.venues.port import OrderFate

_ERRORS: Final = (
    ("post only order would have immediately matched", why.VENUE_POST_ONLY),
    ("only post-only orders allowed", why.VENUE_POST_ONLY_PERIOD),
    ("reduce only order would increase position", why.VENUE_REDUCE_ONLY),
    ("order could not immediately match", why.VENUE_NO_MATCH),
    ("no liquidity available for market order", why.VENUE_NO_MATCH),
    ("order was never placed, already canceled, or filled", why.VENUE_NEVER_PLACED),
    ("cannot modify canceled or filled order", why.VENUE_NEVER_PLACED),
    ("order must have minimum value", why.VENUE_MIN_NOTIONAL),
    ("price must be divisible by tick size", why.VENUE_TICK),
    ("order has invalid price", why.VENUE_TICK),
    ("insufficient margin", why.VENUE_MARGIN),
    ("insufficient spot balance", why.VENUE_MARGIN),
    ("exceed margin tier limit", why.VENUE_POSITION_TIER),
    ("open interest", why.VENUE_OPEN_INTEREST),
    ("too far from oracle", why.VENUE_PRICE),
    ("away from the reference price", why.VENUE_PRICE),
    ("too many cumulative requests", why.VENUE_RATE_LIMIT),
    ("too many open orders", why.VENUE_OPEN_ORDERS),
    ("action already expired", why.VENUE_EXPIRED),
    ("invalid nonce", why.VENUE_NONCE),
    ("does not exist", why.VENUE_SIGNER),
    ("must deposit before performing actions", why.VENUE_SIGNER),
    ("unable to recover signer", why.VENUE_SIGNER),
    ("vault not registered", why.VENUE_SIGNER),
)

_STATUSES: Final = {
    "open": (OrderFate.OPEN, why.NONE),
    "triggered": (OrderFate.OPEN, why.NONE),
    "filled": (OrderFate.FILLED, why.NONE),
    "canceled": (OrderFate.CANCELLED, why.NONE),
    "marginCanceled": (OrderFate.CANCELLED, why.VENUE_MARGIN),
    "selfTradeCanceled": (OrderFate.CANCELLED, why.VENUE_SELF_TRADE),
    "reduceOnlyCanceled": (OrderFate.CANCELLED, why.VENUE_REDUCE_ONLY),
    "liquidatedCanceled": (OrderFate.CANCELLED, why.VENUE_LIQUIDATED),
    "openInterestCapCanceled": (OrderFate.CANCELLED, why.VENUE_OPEN_INTEREST),
    "scheduledCancel": (OrderFate.CANCELLED, why.VENUE_CANCELLED),
    "rejected": (OrderFate.REJECTED, why.VENUE_OTHER),
    "tickRejected": (OrderFate.REJECTED, why.VENUE_TICK),
    "minTradeNtlRejected": (OrderFate.REJECTED, why.VENUE_MIN_NOTIONAL),
    "minTradeSpotNtlRejected": (OrderFate.REJECTED, why.VENUE_MIN_NOTIONAL),
    "perpMarginRejected": (OrderFate.REJECTED, why.VENUE_MARGIN),
    "insufficientSpotBalanceRejected": (OrderFate.REJECTED, why.VENUE_MARGIN),
    "reduceOnlyRejected": (OrderFate.REJECTED, why.VENUE_REDUCE_ONLY),
    "badAloPxRejected": (OrderFate.REJECTED, why.VENUE_POST_ONLY),
    "iocCancelRejected": (OrderFate.REJECTED, why.VENUE_NO_MATCH),
    "marketOrderNoLiquidityRejected": (OrderFate.REJECTED, why.VENUE_NO_MATCH),
    "positionIncreaseAtOpenInterestCapRejected": (OrderFate.REJECTED, why.VENUE_OPEN_INTEREST),
    "positionFlipAtOpenInterestCapRejected": (OrderFate.REJECTED, why.VENUE_OPEN_INTEREST),
    "tooAggressiveAtOpenInterestCapRejected": (OrderFate.REJECTED, why.VENUE_OPEN_INTEREST),
    "openInterestIncreaseRejected": (OrderFate.REJECTED, why.VENUE_OPEN_INTEREST),
    "oracleRejected": (OrderFate.REJECTED, why.VENUE_PRICE),
    "perpMaxPositionRejected": (OrderFate.REJECTED, why.VENUE_POSITION_TIER),
    "tooManyOpenOrdersRejected": (OrderFate.REJECTED, why.VENUE_OPEN_ORDERS),
}


def reason_of(text: str) -> int:
    """Return the reason for an error text of the venue; VENUE_OTHER when it says nothing known."""
    lower = text.lower()
    for part, reason in _ERRORS:
        if part in lower:
            return reason
    return why.VENUE_OTHER


def fate_of(status: str) -> tuple[OrderFate, int] | None:
    """Return what a status means and its reason; None for one that cannot be classed."""
    known = _STATUSES.get(status)
    if known is not None:
        return known
    if status.endswith("Rejected"):
        return OrderFate.REJECTED, why.VENUE_OTHER
    if status.endswith(("Canceled", "Cancel")):
        return OrderFate.CANCELLED, why.VENUE_CANCELLED
    return None
