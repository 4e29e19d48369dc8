"""A trace's id from an order's: logs, ledger rows and traces are joined by it, without anything being stored."""

import hashlib


def trace_id(session: int, order_id: int) -> str:
    """Return the 128-bit trace id, 32 hexadecimal digits, of an order of a session."""
    return hashlib.blake2b(
        session.to_bytes(8, "little") + (order_id & (1 << 64) - 1).to_bytes(8, "little"), digest_size=16
    ).hexdigest()
