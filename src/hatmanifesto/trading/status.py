"""Where a running session stands, in text for people and machines: what `hat status`, `orders` and `positions` show."""

from typing import Any

from hatmanifesto.core.risk_manager import OVERRIDE_NAMES, SOURCE_NAMES
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.order_state import OrderState
from hatmanifesto.trading.session import LiveSession
from hatmanifesto.venues.port import Trust


def status(live: LiveSession) -> dict[str, Any]:
    """Return state, money, counts and times of a session."""
    session, trader, engine = live.session, live.trader, live.session.engine
    portfolio = session.portfolio
    scale = session.plan.money_scale
    equity = int(portfolio.value())
    filled = sum(int(holding.position.traded) for holding in portfolio.holdings)
    as_maker = sum(int(holding.position.maker_traded) for holding in portfolio.holdings)
    holds = {
        SOURCE_NAMES[source]: OVERRIDE_NAMES[override]
        for source, override in enumerate(session.risk.account_overrides)
        if override
    }
    desks = {
        session.desk_name(index): OVERRIDE_NAMES[int(clock.desk.override)]
        for index, clock in enumerate(session.clocks)
        if clock.desk.override
    }
    untrusted = {
        session.instruments[index].name: f"{trust.name.lower()}: {why}".rstrip(": ")
        for index, (trust, why) in trader.trust.items()
        if trust != Trust.LIVE
    }
    reconciled = live.last_reconciled or live.reconciler.last
    now = live.clock()
    times = trader.times
    return {
        "session": live.number,
        "state": "stopping" if live.stopping.is_set() else "held" if holds else "quoting",
        "held_by": holds,
        "desks_held": desks,
        "untrusted": untrusted,
        "running_seconds": round((now - live.started_ns) / 1e9, 1),
        "equity": money(equity, scale),
        "profit": money(equity - int(portfolio.deposit), scale),
        "realized": money(sum(int(holding.position.realized) for holding in portfolio.holdings), scale),
        "fees": money(sum(int(h.position.fees - h.position.rebates) for h in portfolio.holdings), scale),
        "funding": money(sum(int(holding.position.funding) for holding in portfolio.holdings), scale),
        "drawdown": money(max(0, int(portfolio.peak_equity) - equity), scale),
        "traded": money(filled, scale),
        "maker_ratio": round(as_maker / filled, 4) if filled else None,
        "fills": sum(int(holding.position.fills) for holding in portfolio.holdings),
        "orders_open": int(session.risk.live_orders),
        "orders_placed": int(engine.orders.placed),
        "orders_denied": int(engine.orders.denied),
        "cancels_sent": int(engine.orders.cancels_sent),
        "faults": {**trader.faults, **({"engine": int(engine.orders.faults)} if engine.orders.faults else {})},
        "foreign_fills": trader.faults.get("foreign_fill", 0),
        "decisions": sum(int(clock.decisions) for clock in session.clocks),
        "turns": trader.turns,
        "loop_us": {
            "mean": round(times.total_ns / times.count / 1e3, 1) if times.count else None,
            "p50": round(times.quantile_ns(0.5) / 1e3, 1),
            "p99": round(times.quantile_ns(0.99) / 1e3, 1),
            "longest": round(times.longest_ns / 1e3, 1),
        },
        "dead_mans_switch": live.dead_man.state,
        "reconciled_seconds_ago": None if reconciled is None else round((now - reconciled.ts_ns) / 1e9, 1),
        "differences": [] if reconciled is None else [found.text() for found in reconciled.differences],
    }


def summary_of(live: LiveSession) -> dict[str, Any]:
    """Return how a session ended: its status without what only matters while it runs, and its positions."""
    told = status(live)
    for name in ("state", "held_by", "desks_held", "untrusted", "reconciled_seconds_ago", "dead_mans_switch"):
        del told[name]
    return {
        **told,
        "seconds": told.pop("running_seconds"),
        "max_drawdown": money(int(live.session.portfolio.max_drawdown), live.session.plan.money_scale),
        "faults": sum(told["faults"].values()),
        "positions": positions(live),
    }


def orders(live: LiveSession) -> list[dict[str, Any]]:
    """Return every live order, oldest first."""
    session = live.session
    now = live.clock()
    found = []
    for index, clock in enumerate(session.clocks):
        for order in clock.desk.orders.snapshot():
            instrument = session.instruments[order.instrument]
            found.append(
                {
                    "order_id": int(order.order_id),
                    "desk": session.desk_name(index),
                    "instrument": instrument.name,
                    "side": "buy" if order.side > 0 else "sell",
                    "price": instrument.price_text(order.price),
                    "size": instrument.size_text(order.size),
                    "filled": instrument.size_text(order.filled),
                    "state": OrderState(int(order.state)).name,
                    "reduce_only": bool(order.reduce_only),
                    "age_seconds": round((now - int(order.submitted_ns)) / 1e9, 1),
                }
            )
    return sorted(found, key=lambda entry: entry["order_id"])


def positions(live: LiveSession) -> list[dict[str, Any]]:
    """Return every instrument's position and market."""
    session = live.session
    scale = session.plan.money_scale
    found = []
    for instrument, holding in zip(session.instruments, session.portfolio.holdings, strict=True):
        position = holding.position
        found.append(
            {
                "instrument": instrument.name,
                "bid": instrument.price_text(holding.bid_price),
                "ask": instrument.price_text(holding.ask_price),
                "mark": instrument.price_text(holding.mark_price),
                "size": instrument.size_text(position.size),
                "average_price": instrument.price_text(position.average_price),
                "notional": money(int(position.notional(holding.mark_price)), scale),
                "realized": money(int(position.realized), scale),
                "unrealized": money(int(position.unrealized(holding.mark_price)), scale),
                "fees": money(int(position.fees - position.rebates), scale),
                "funding": money(int(position.funding), scale),
                "fills": int(position.fills),
                "open_buy": instrument.size_text(holding.open_buy),
                "open_sell": instrument.size_text(holding.open_sell),
            }
        )
    return found


def money(amount: int, scale: int) -> str:
    """Return an amount in quote currency, in full."""
    return format_decimal(amount, scale)
