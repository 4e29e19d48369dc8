"""TWAPs as the venue shows them: their state, and their history entry by entry."""

from typing import Any, Final

from hatmanifesto.loopback.text import money_text, price_text, size_text
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.simulation.live.twap_order import (
    ACTIVATED,
    FAILED,
    FINISHED,
    STOPPED,
    TERMINATED,
    WAITING_FOR_TRIGGER,
    Twap,
)

_STATUSES: Final = {
    ACTIVATED: "activated",
    WAITING_FOR_TRIGGER: "waitingForTrigger",
    FINISHED: "finished",
    TERMINATED: "terminated",
    STOPPED: "stopped",
}


def twap_state(
    instrument: Instrument, user: str, twap: Twap, executed_size: int, executed_value: int
) -> dict[str, Any]:
    """Return a TwapState with so much executed; `executed_value` is a sum of price x size."""
    request = twap.request
    trigger = None
    if request.trigger_price:
        trigger = {"px": price_text(instrument, int(request.trigger_price)), "above": bool(request.above)}
    return {
        "coin": instrument.name,
        "user": user,
        "side": "B" if request.side > 0 else "A",
        "sz": size_text(instrument, int(request.size)),
        "executedSz": size_text(instrument, executed_size),
        "executedNtl": money_text(executed_value * int(instrument.notional_factor)),
        "minutes": int(request.minutes),
        "reduceOnly": bool(request.reduce_only),
        "randomize": bool(request.randomize),
        "timestamp": int(twap.placed_ns) // 1_000_000,
        "stopPx": price_text(instrument, int(request.stop_price)) if request.stop_price else None,
        "trigger": trigger,
    }


def running_state(instrument: Instrument, user: str, twap: Twap) -> dict[str, Any]:
    """Return the state of a TWAP as it is now."""
    return twap_state(instrument, user, twap, int(twap.executed_size), int(twap.executed_value))


def history_entry(now_ms: int, state: dict[str, Any], number: int, status: int, why: str) -> dict[str, Any]:
    """Return an entry of the history; its time is in seconds, as nowhere else."""
    told = {"status": "error", "description": why} if status == FAILED else {"status": _STATUSES[status]}
    return {"time": now_ms // 1_000, "state": state, "status": told, "twapId": number}
