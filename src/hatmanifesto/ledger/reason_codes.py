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


def code_of_class(cls: str) -> str:
    """Return the code of everything that a strategy of this class does, "" where it depends on the fill."""
    name = cls.lower()
    if "funding" in name and "arbitrage" in name:
        return FUNDING_ARBITRAGE
    return REBALANCE if "rebalanc" in name else ""


OF_PURPOSES: Final = {STOP_LOSS: STOPPED, TAKE_PROFIT: TOOK_PROFIT}
"""What an order's purpose says of a strategy's fill, before anything else."""


def codes_of_desk(desk_code: str, owned: bool, closing: str) -> tuple[str, str]:
    """Return the codes of a desk's fills: of those that let its position grow or turn, and of those that shrink it.

    `desk_code` is `code_of_class` of its strategy, `owned` whether a strategy owns it, `closing` the code of the
    command that closes it ("" = none).
    """
    if not owned:
        return MANUAL, MANUAL
    return desk_code or SIGNAL_ENTRY, closing or desk_code or SIGNAL_EXIT


def closing_code(command: dict[str, object]) -> str:
    """Return the code of fills that follow a command to close: who gave it, and why."""
    told = f"{command.get('source', '')} {command.get('by', '')} {command.get('reason', '')}".lower()
    if any(word in told for word in ("kill", "guard", "emergency")):
        return EMERGENCY_EXIT
    return MANUAL if command.get("by") else RISK_REDUCTION
