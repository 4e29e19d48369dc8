"""Why a trade happened, in the words of traders."""

from typing import Final

from hatmanifesto.model.order import STOP_LOSS, TAKE_PROFIT

SIGNAL_ENTRY: Final = "signal_entry"
SIGNAL_EXIT: Final = "signal_exit"
STOPPED: Final = "stop_loss"
TOOK_PROFIT: Final = "take_profit"
FUNDING_ARBITRAGE: Final = "funding_arbitrage"
RISK_REDUCTION: Final = "risk_reduction"
REBALANCE: Final = "rebalance"
EMERGENCY_EXIT: Final = "emergency_exit"
LIQUIDATED: Final = "liquidation"
MANUAL: Final = "manual"

MEANINGS: Final = {
    SIGNAL_ENTRY: "a strategy's quote was filled and the position grew, or turned to the other side",
    SIGNAL_EXIT: "a strategy's quote or exit was filled and the position shrank",
    STOPPED: "the router's stop-loss",
    TOOK_PROFIT: "the router's take-profit",
    FUNDING_ARBITRAGE: "a fill of the strategy funding_arbitrage",
    RISK_REDUCTION: "the position shrank while an override allowed only that, or because a session's end closes it",
    REBALANCE: "a fill of a strategy whose class says that it rebalances",
    EMERGENCY_EXIT: "the position was closed by the kill switch or the guard",
    LIQUIDATED: "the venue forced it: liquidation, backstop or deleveraging",
    MANUAL: "an operator closed the position, or the account traded beside this program",
}


def reason_code(order_id: int, strategy: str, cls: str, purpose: int, closing: str, held: int, change: int) -> str:
    """Return a fill's reason code.

    `closing` is the code of the command that closes the desk ("" = none), `held` the desk's position before the fill.
    """
    if order_id < 0:
        return LIQUIDATED
    if not strategy:
        return MANUAL
    if purpose == STOP_LOSS:
        return STOPPED
    if purpose == TAKE_PROFIT:
        return TOOK_PROFIT
    shrinks = held * change < 0 and abs(change) <= abs(held)
    if closing and shrinks:
        return closing
    name = cls.lower()
    if "funding" in name and "arbitrage" in name:
        return FUNDING_ARBITRAGE
    if "rebalanc" in name:
        return REBALANCE
    return SIGNAL_EXIT if shrinks else SIGNAL_ENTRY


def closing_code(command: dict[str, object]) -> str:
    """Return the code of fills that follow a command to close: who gave it, and why."""
    told = f"{command.get('source', '')} {command.get('by', '')} {command.get('reason', '')}".lower()
    if any(word in told for word in ("kill", "guard", "emergency")):
        return EMERGENCY_EXIT
    return MANUAL if command.get("by") else RISK_REDUCTION
