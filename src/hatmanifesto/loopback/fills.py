"""Fills put together: `aggregateByTime`."""

from decimal import Decimal
from typing import Any, Final

from hatmanifesto.loopback.text import decimal_text

_SUMMED: Final = ("sz", "closedPnl", "fee", "builderFee")


def aggregated(fills: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return fills with those of one order in one block made one: sizes and money summed, the price averaged.

    It keeps the first one's position and trade id.
    """
    made: list[dict[str, Any]] = []
    for fill in fills:
        last = made[-1] if made else None
        if last is None or any(last[name] != fill[name] for name in ("time", "oid", "coin", "crossed")):
            made.append(dict(fill))
            continue
        before, size = Decimal(last["sz"]), Decimal(fill["sz"])
        mean = (Decimal(last["px"]) * before + Decimal(fill["px"]) * size) / (before + size)
        last["px"] = decimal_text(round(mean, 8))
        for name in _SUMMED:
            if name in fill:
                last[name] = decimal_text(Decimal(last.get(name, "0")) + Decimal(fill[name]))
    return made
