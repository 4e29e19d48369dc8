"""Why something was refused, cancelled or reported: one numbered catalogue.

Every refusal carries a rule, the value that broke it, the limit, and a remedy. Numbers go into the
journal and are never reused; texts, documentation and messages are made from REASONS.
"""

from typing import Final, NamedTuple

NONE: Final = 0
# risk manager
ORDER_SIZE: Final = 1
ORDER_NOTIONAL: Final = 2
POSITION_SIZE: Final = 3
POSITION_NOTIONAL: Final = 4
STRATEGY_NOTIONAL: Final = 5
ACCOUNT_NOTIONAL: Final = 6
ORDER_COUNT: Final = 7
ORDER_RATE: Final = 8
LEVERAGE: Final = 9
OVERRIDE_HALT: Final = 10
OVERRIDE_REDUCE_ONLY: Final = 11
OVERRIDE_CLOSE: Final = 12
OWN_ORDERS_CROSS: Final = 13
ORDER_UNKNOWN: Final = 14
NO_MARK: Final = 15
SLOTS_EXHAUSTED: Final = 16
# API validator
TICK_SIZE: Final = 32
LOT_SIZE: Final = 33
MIN_NOTIONAL: Final = 34
POST_ONLY_CROSSES: Final = 35
REDUCE_ONLY: Final = 36
MARGIN: Final = 37
PRICE_BAND: Final = 38
STALE_BOOK: Final = 39
NO_BOOK: Final = 40
MAX_SIZE: Final = 41
MAX_PRICE: Final = 42
# the venue
VENUE_POST_ONLY: Final = 64
VENUE_REDUCE_ONLY: Final = 65
VENUE_NO_MATCH: Final = 66
VENUE_NEVER_PLACED: Final = 67
VENUE_MIN_NOTIONAL: Final = 68
VENUE_TICK: Final = 69
VENUE_MARGIN: Final = 70
VENUE_OTHER: Final = 71
VENUE_POSITION_TIER: Final = 72
VENUE_LIQUIDATED: Final = 73
# the venue, met over a wire
VENUE_RATE_LIMIT: Final = 80
VENUE_NOT_CONNECTED: Final = 81
VENUE_SIGNER: Final = 82
VENUE_OPEN_INTEREST: Final = 83
VENUE_PRICE: Final = 84
VENUE_SELF_TRADE: Final = 85
VENUE_EXPIRED: Final = 86
VENUE_CANCELLED: Final = 87
VENUE_NONCE: Final = 88
VENUE_OPEN_ORDERS: Final = 89
VENUE_POST_ONLY_PERIOD: Final = 90
# the engine itself
STATE_TIMEOUT: Final = 96
LATE_FILL: Final = 97
UNEXPECTED_EVENT: Final = 98
OVERFILL: Final = 99
RETRIES_EXHAUSTED: Final = 100
FEE_DIFFERS: Final = 101
LIQUIDATED: Final = 102
BACKSTOPPED: Final = 103
DELEVERAGED: Final = 104
FOREIGN_FILL: Final = 105
FOREIGN_ORDER: Final = 106
POSITION_DIFFERS: Final = 107
FEED_UNTRUSTED: Final = 108
# why a cancel was sent
CANCEL_REPRICE: Final = 112
CANCEL_WITHDRAWN: Final = 113
CANCEL_RISK: Final = 114
CANCEL_OPERATOR: Final = 115
CANCEL_TIMEOUT: Final = 116
CANCEL_SHUTDOWN: Final = 117
CANCEL_ESCALATE: Final = 118
CANCEL_STOP_LOSS: Final = 119
CANCEL_TAKE_PROFIT: Final = 120


class Reason(NamedTuple):
    """One entry: its stable key, who says it, the runbook's message, what it means and what to do."""

    key: str
    component: str
    message: str
    meaning: str
    remedy: str


REASONS: Final[dict[int, Reason]] = {
    ORDER_SIZE: Reason("order_size", "risk_manager", "Order denied: Order too large",
        "the order's size exceeds the limit per order", "lower the size or raise risk.instrument.NAME.max_order_size"),
    ORDER_NOTIONAL: Reason("order_notional", "risk_manager", "Order denied: Order notional too large",
        "price x size exceeds the limit per order", "lower the size or raise risk.instrument.NAME.max_order_notional"),
    POSITION_SIZE: Reason("position_size", "risk_manager", "Order denied: Position limit",
        "the worst-case position, with every open order filled, exceeds the instrument's limit",
        "cancel orders, reduce the position or raise risk.instrument.NAME.max_position"),
    POSITION_NOTIONAL: Reason("position_notional", "risk_manager", "Order denied: Position notional limit",
        "the worst-case position's notional exceeds the instrument's limit",
        "cancel orders, reduce the position or raise risk.instrument.NAME.max_position_notional"),
    STRATEGY_NOTIONAL: Reason("strategy_notional", "risk_manager", "Order denied: Strategy exposure limit",
        "the strategy's worst-case gross exposure exceeds its limit",
        "cancel orders, reduce positions or raise strategies.NAME.max_notional"),
    ACCOUNT_NOTIONAL: Reason("account_notional", "risk_manager", "Order denied: Account exposure limit",
        "the account's worst-case gross exposure exceeds its limit",
        "cancel orders, reduce positions or raise risk.account.max_account_notional"),
    ORDER_COUNT: Reason("order_count", "risk_manager", "Order denied: Too many open orders",
        "as many orders are live as the limit allows", "cancel orders or raise risk.account.max_open_orders"),
    ORDER_RATE: Reason("order_rate", "risk_manager", "Order denied: Order rate limit",
        "too many orders were sent in the current window of one second",
        "slow the strategy down or raise risk.account.max_orders_per_second"),
    LEVERAGE: Reason("leverage", "risk_manager", "Order denied: Leverage limit",
        "worst-case gross exposure over equity exceeds the limit",
        "add equity, reduce exposure or raise risk.account.max_leverage"),
    OVERRIDE_HALT: Reason("override_halt", "risk_manager", "Order denied: Trading halted",
        "an override forbids every new order", "find out who halted trading and why, then release the override"),
    OVERRIDE_REDUCE_ONLY: Reason("override_reduce_only", "risk_manager", "Order denied: Reduce-only override",
        "an override allows only orders that reduce the position", "release the override or send a reducing order"),
    OVERRIDE_CLOSE: Reason("override_close", "risk_manager", "Order denied: Close override",
        "an override allows only closing the position", "release the override once the position is flat"),
    OWN_ORDERS_CROSS: Reason("own_orders_cross", "risk_manager", "Order denied: Would cross own order",
        "an own order on the other side rests at this price or better", "cancel the other order first"),
    ORDER_UNKNOWN: Reason("order_unknown", "risk_manager", "Order denied: An order's outcome is unknown",
        "an order of this instrument is in state unknown, so its exposure is not known",
        "wait until the venue has answered, or reconcile"),
    NO_MARK: Reason("no_mark", "risk_manager", "Order denied: No price to value the position",
        "no mark or mid price has been seen, so exposure cannot be computed", "wait for market data"),
    SLOTS_EXHAUSTED: Reason("slots_exhausted", "risk_manager", "Order denied: Too many orders under way",
        "every order slot of the engine is in use", "cancel orders"),
    TICK_SIZE: Reason("tick_size", "api_validator", "Order rejected: Invalid tick size",
        "the price is not on the venue's price grid", "use the nearest valid price that is shown as the limit"),
    LOT_SIZE: Reason("lot_size", "api_validator", "Order rejected: Invalid lot size",
        "the size is zero or not a multiple of the lot", "round the size down to the lot that is shown as the limit"),
    MIN_NOTIONAL: Reason("min_notional", "api_validator", "Order rejected: Below minimum notional",
        "price x size is below the venue's minimum", "raise the size, or close the whole position reduce-only"),
    POST_ONLY_CROSSES: Reason("post_only_crosses", "api_validator", "Order rejected: Post-only would cross",
        "a post-only order at this price would trade at once", "use a price behind the opposite best that is shown"),
    REDUCE_ONLY: Reason("reduce_only", "api_validator", "Order rejected: Reduce-only violation",
        "a reduce-only order must be on the closing side and no larger than the position",
        "check the position and the order's side; use at most the size that is shown as the limit"),
    MARGIN: Reason("margin", "api_validator", "Order rejected: Insufficient margin",
        "initial margin for the worst case exceeds the account's equity", "reduce the size or add margin"),
    PRICE_BAND: Reason("price_band", "api_validator", "Order rejected: Price too far from reference",
        "the price lies outside the band around the reference price", "use a price inside the band that is shown"),
    STALE_BOOK: Reason("stale_book", "api_validator", "Order rejected: Market data is stale",
        "the book is older than the freshness limit", "wait for market data; check the feed"),
    NO_BOOK: Reason("no_book", "api_validator", "Order rejected: No market data",
        "one side of the book is empty or the book is crossed", "wait for a complete book; check the feed"),
    MAX_SIZE: Reason("max_size", "api_validator", "Order rejected: Size above the instrument's maximum",
        "the size exceeds what the instrument allows", "split the order"),
    MAX_PRICE: Reason("max_price", "api_validator", "Order rejected: Price outside the instrument's range",
        "the price is not positive or exceeds what the instrument allows", "check the price and its scale"),
    VENUE_POST_ONLY: Reason("venue_post_only", "venue", "Post only order would have immediately matched",
        "the book moved while the order was under way", "quote again from the new book"),
    VENUE_REDUCE_ONLY: Reason("venue_reduce_only", "venue", "Order rejected: Reduce-only violation",
        "the venue found that the order would increase the position", "check the position and the order's side"),
    VENUE_NO_MATCH: Reason("venue_no_match", "venue", "Order could not immediately match",
        "an immediate-or-cancel order found nothing at its limit", "raise the limit price or wait"),
    VENUE_NEVER_PLACED: Reason("venue_never_placed", "venue", "Order was never placed, already cancelled, or filled",
        "the venue does not have this order any more", "nothing: the order's own events say how it ended"),
    VENUE_MIN_NOTIONAL: Reason("venue_min_notional", "venue", "Order rejected: Below minimum notional",
        "the venue requires a larger order", "raise the size"),
    VENUE_TICK: Reason("venue_tick", "venue", "Order rejected: Invalid tick size",
        "the venue's price grid differs from ours", "refresh the instrument's definition"),
    VENUE_MARGIN: Reason("venue_margin", "venue", "Insufficient margin to place order.",
        "the venue found too little margin, on arrival or when a resting order was about to fill",
        "reduce the size, cancel other orders or add margin"),
    VENUE_OTHER: Reason("venue_other", "venue", "Order rejected by the venue",
        "the venue refused with a reason that has no number here", "read the venue's text in the journal"),
    VENUE_POSITION_TIER: Reason("venue_position_tier", "venue",
        "Order would cause position to exceed margin tier limit at current leverage",
        "larger positions allow less leverage than is set for this instrument",
        "reduce the size or lower the leverage"),
    VENUE_LIQUIDATED: Reason("venue_liquidated", "venue", "Cancelled: account liquidated",
        "the venue cancels resting orders when it liquidates",
        "see the liquidation's fills; add margin or trade smaller"),
    VENUE_RATE_LIMIT: Reason("venue_rate_limit", "venue", "Order rejected: Rate limit",
        "the venue's rate limits, as counted here or told by the venue, leave no room for an order now",
        "quote less often; trading raises the address budget by one action a USDC"),
    VENUE_NOT_CONNECTED: Reason("venue_not_connected", "venue", "Order rejected: No connection to the venue",
        "there was no connection to send it on, so nothing was sent", "wait for the connection; check the network"),
    VENUE_SIGNER: Reason("venue_signer", "venue", "Order rejected: Unknown signer or account",
        "the venue does not know the signing key, or its account has no funds",
        "check that the agent is approved, has not expired and signs for the right network"),
    VENUE_OPEN_INTEREST: Reason("venue_open_interest", "venue", "Order rejected: Open interest is capped",
        "the venue allows no more open interest in this instrument now", "wait, or only reduce"),
    VENUE_PRICE: Reason("venue_price", "venue", "Order rejected: Price too far from reference",
        "the venue found the price too far from its oracle or reference price", "check the price; quote nearer"),
    VENUE_SELF_TRADE: Reason("venue_self_trade", "venue", "Cancelled: would have traded with itself",
        "an own order on the other side reached it; the venue cancels the resting one", "nothing"),
    VENUE_EXPIRED: Reason("venue_expired", "venue", "Order rejected: Arrived too late",
        "it reached the venue after the time it was good for", "check network and clock"),
    VENUE_CANCELLED: Reason("venue_cancelled", "venue", "Cancelled by the venue or another program",
        "it was cancelled without this session asking for it",
        "read the status in the journal: the dead man's switch, a delisting, margin, or a person"),
    VENUE_NONCE: Reason("venue_nonce", "venue", "Order rejected: Nonce not accepted",
        "the venue had this nonce, or newer ones, already", "give every process an agent key of its own"),
    VENUE_OPEN_ORDERS: Reason("venue_open_orders", "venue", "Order rejected: Too many open orders at the venue",
        "the account has as many open orders as the venue allows", "cancel orders; the limit grows with volume"),
    VENUE_POST_ONLY_PERIOD: Reason("venue_post_only_period", "venue", "Order rejected: Post-only period",
        "after an upgrade the venue takes post-only orders only, for a short time", "wait, or quote post-only"),
    STATE_TIMEOUT: Reason("state_timeout", "state_machine", "System error: State machine timeout",
        "an answer did not come in time, so the order's state is unknown",
        "check performance and network; the engine cancels the order and asks until the answer is known"),
    LATE_FILL: Reason("late_fill", "state_machine", "Late fill",
        "a fill arrived for an order that had already ended; it was booked", "compare with the venue's fills"),
    UNEXPECTED_EVENT: Reason("unexpected_event", "state_machine", "System error: Unexpected order event",
        "the transition table has no such step; the state was left as it was", "reconcile with the venue"),
    OVERFILL: Reason("overfill", "state_machine", "System error: Filled more than ordered",
        "fills add up to more than the order's size; they were booked as the venue reported them",
        "reconcile with the venue"),
    RETRIES_EXHAUSTED: Reason("retries_exhausted", "state_machine", "System error: Cancel not confirmed",
        "an order's cancel was repeated as often as allowed without an answer",
        "its instrument stays blocked: check the order at the venue by hand"),
    FEE_DIFFERS: Reason("fee_differs", "portfolio", "Fee differs from the model",
        "the venue's fee lies outside the tolerance of our model", "refresh the fee tier"),
    LIQUIDATED: Reason("liquidated", "venue", "Position liquidated",
        "equity fell below the maintenance margin and the venue sold into the book",
        "add margin, lower the leverage or trade smaller; see risk.account.max_leverage"),
    BACKSTOPPED: Reason("backstopped", "venue", "Position taken over by the venue's backstop",
        "equity fell below two thirds of the maintenance margin; position and margin are gone",
        "add margin, lower the leverage or trade smaller; see risk.account.max_leverage"),
    DELEVERAGED: Reason("deleveraged", "venue", "Position auto-deleveraged",
        "the other side went bankrupt and the venue closed this position against it at the previous mark",
        "nothing to correct; the hedge elsewhere is open now: close it or open again"),
    FOREIGN_FILL: Reason("foreign_fill", "state_machine", "Fill of an order that is not ours",
        "the account traded beside this program; the position was changed by it",
        "stop what else trades this account"),
    FOREIGN_ORDER: Reason("foreign_order", "state_machine", "An order that is not ours is open",
        "reconciliation found an open order without our prefix; it is left alone",
        "cancel it by hand if it is not wanted"),
    POSITION_DIFFERS: Reason("position_differs", "portfolio", "System error: Position differs from the venue's",
        "reconciliation found another position at the venue than in the books; no new risk is taken",
        "compare fills with the venue's, then run `hat resume`"),
    FEED_UNTRUSTED: Reason("feed_untrusted", "market_view", "Market data cannot be trusted",
        "the feed is stale, broken or contradicts itself; nothing is quoted on it",
        "wait for the resync; check the connection"),
    CANCEL_REPRICE: Reason("reprice", "maker_router", "Cancelled to requote",
        "the wanted price or size changed", "nothing"),
    CANCEL_WITHDRAWN: Reason("withdrawn", "maker_router", "Cancelled: quote withdrawn",
        "the strategy no longer wants this quote", "nothing"),
    CANCEL_RISK: Reason("cancel_risk", "risk_manager", "Cancelled by risk",
        "an override or a limit withdrew the order", "see the override's cause"),
    CANCEL_OPERATOR: Reason("cancel_operator", "operator", "Cancelled by the operator",
        "an operator's command", "nothing"),
    CANCEL_TIMEOUT: Reason("cancel_timeout", "state_machine", "Cancelled after a state timeout",
        "its answer did not come in time", "see System error: State machine timeout"),
    CANCEL_SHUTDOWN: Reason("cancel_shutdown", "engine", "Cancelled at the end of the session",
        "the session ends", "nothing"),
    CANCEL_ESCALATE: Reason("escalate", "maker_router", "Cancelled to escalate",
        "an urgent order moves to a better price or takes; `hat orders --why` has the terms", "nothing"),
    CANCEL_STOP_LOSS: Reason("stop_loss", "maker_router", "Cancelled: stop-loss",
        "the desk leaves its position, so its quotes are withdrawn", "see router.stop_loss and router.stop_loss_bps"),
    CANCEL_TAKE_PROFIT: Reason("take_profit", "maker_router", "Cancelled: take-profit",
        "the desk leaves its position, so its quotes are withdrawn",
        "see router.take_profit and router.take_profit_bps"),
}  # fmt: skip


def explain(reason: int) -> Reason:
    """Return the catalogue's entry; raises KeyError for a number that was never assigned."""
    return REASONS[reason]
