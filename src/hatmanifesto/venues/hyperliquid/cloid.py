"""Client order ids: 128 bits from session, order and purpose, so that an order is found again after a crash.

bits 104-127  PREFIX, ours
bits 100-103  version of this layout
bits  96-99   purpose
bits  64-95   session
bits   0-63   the engine's order id (its sequence and slot)
"""

from typing import Final, NamedTuple

from hatmanifesto.model.order import EXIT, PURPOSE_NAMES, QUOTE

PREFIX: Final = 0x686174
VERSION: Final = 1
GUARD: Final = 14
"""Placed by the guard process, which has no engine."""
OPERATOR: Final = 15
"""Placed by a person's command, outside the engine."""
PURPOSES: Final = {**PURPOSE_NAMES, GUARD: "guard", OPERATOR: "operator"}
MAX_SESSION: Final = (1 << 32) - 1
_MAX_ORDER: Final = (1 << 63) - 1
_DIGITS: Final = frozenset("0123456789abcdef")

__all__ = ["EXIT", "GUARD", "OPERATOR", "QUOTE", "ClientOrderId", "cloid_head", "make_cloid", "parse_cloid"]


class ClientOrderId(NamedTuple):
    """What one of our client order ids says."""

    session: int
    order_id: int
    purpose: int


def cloid_head(session: int, purpose: int) -> str:
    """Return the part before the order id, for callers that make many; raises ValueError when out of range."""
    if not 0 <= session <= MAX_SESSION or not 0 <= purpose <= 15:
        raise ValueError(f"session {session} or purpose {purpose} does not fit a client order id")
    return f"0x{PREFIX:06x}{VERSION:x}{purpose:x}{session:08x}"


def make_cloid(session: int, order_id: int, purpose: int) -> str:
    """Return the client order id as the venue wants it: 0x and 32 digits; raises ValueError when out of range."""
    if not 0 <= order_id <= _MAX_ORDER:
        raise ValueError(f"order id {order_id} does not fit a client order id")
    return f"{cloid_head(session, purpose)}{order_id:016x}"


def parse_cloid(text: object) -> ClientOrderId | None:
    """Read a client order id back; None when it is not ours (whatever it is)."""
    if not isinstance(text, str) or len(text) != 34:
        return None
    body = text.lower()
    if body[:2] != "0x" or not _DIGITS.issuperset(body[2:]):
        return None
    value = int(body, 16)
    if value >> 104 != PREFIX or (value >> 100) & 0xF != VERSION or value & 1 << 63:
        return None
    return ClientOrderId((value >> 64) & MAX_SESSION, value & _MAX_ORDER, (value >> 96) & 0xF)
