"""What a session's first and last records say of it, whatever drove it."""

import hashlib
from typing import Any

import msgspec

from hatmanifesto.config.assembly import Session
from hatmanifesto.config.settings import Draft


def config_hash(draft: Draft) -> str:
    """Return the BLAKE2b-128 of the settings with every default written out."""
    encoded = msgspec.json.encode(draft.settings.as_json(), order="deterministic")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def closing_of(session: Session, end_ns: int | None = None) -> dict[str, Any]:
    """Return the journal's last record: where the account stands, in integers of the plan's units."""
    engine, portfolio = session.engine, session.portfolio
    return {
        "equity": int(portfolio.value()),
        "cash": int(portfolio.cash()),
        "peak_equity": int(portfolio.peak_equity),
        "max_drawdown": int(portfolio.max_drawdown),
        "positions": {
            entry.name: {"size": int(holding.position.size), "mark_price": int(holding.mark_price)}
            for entry, holding in zip(session.plan.instruments, portfolio.holdings, strict=True)
        },
        "decisions": sum(int(clock.decisions) for clock in session.clocks),
        "requests": int(engine.orders.requests),
        "orders_placed": int(engine.orders.placed),
        "orders_denied": int(engine.orders.denied),
        "cancels_sent": int(engine.orders.cancels_sent),
        "faults": int(engine.orders.faults),
        "end_ns": int(engine.now) if end_ns is None else end_ns,
    }
