"""What an operator's record does to a session: the one place where commands act, live and in replay.

A command is a JSON object in an OPERATOR record, in integers of the plan's units:

    {"command": "override", "desk": -1, "override": "halt", "source": "operator", "scale_percent": 100}
    {"command": "cancel_all"}                             {"command": "cancel", "order_id": 4194304}
    {"command": "close", "desk": 0, "slippage_bps": 50}   {"command": "open", "desk": 0}
    {"command": "set_limit", "scope": "account" | "instrument" | "strategy", "index": 0, "name": …, "value": …}
    {"command": "set_param", "desk": 0, "name": …, "value": …}
    {"command": "transfer", "amount": …}            money paid in, or taken out (negative)

Desk -1 is the whole account (for close and open: every desk). Other keys (`by`, `reason`) and other commands only
tell. Who may say what, and in which words, is the control socket's business.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from hatmanifesto.config.assembly import Session
from hatmanifesto.core.risk_manager import OVERRIDE_NAMES, SOURCE_NAMES
from hatmanifesto.errors import UserError
from hatmanifesto.model.reasons import CANCEL_OPERATOR

OVERRIDES: Final = {name: number for number, name in OVERRIDE_NAMES.items()}
SOURCES: Final = {name: number for number, name in SOURCE_NAMES.items()}
LIMITS: Final = {
    "account": ("max_account_notional", "max_leverage_hundredths", "max_open_orders"),
    "instrument": ("max_order_size", "max_order_notional", "max_position", "max_position_notional"),
    "strategy": ("max_notional",),
}
"""Limits that can be changed while a session runs."""


def carry_out(session: Session, now: int, command: Mapping[str, Any]) -> None:
    """Do what a command says at `now` (ns). UserError, and nothing changed, when it cannot be done."""
    act = _COMMANDS.get(str(command.get("command")))
    if act is not None:
        act(session, now, command)


def _override(session: Session, now: int, command: Mapping[str, Any]) -> None:
    override = _one_of(OVERRIDES, command.get("override"), "override")
    source = _one_of(SOURCES, command.get("source", "operator"), "source of overrides")
    desk = _desk(session, command, -1)
    session.engine.set_override(now, desk, override, int(command.get("scale_percent", 100)), source)


def _cancel_all(session: Session, now: int, command: Mapping[str, Any]) -> None:
    session.engine.cancel_all(now, int(command.get("reason", CANCEL_OPERATOR)))


def _cancel(session: Session, now: int, command: Mapping[str, Any]) -> None:
    order_id = int(command.get("order_id", 0))
    if not session.engine.cancel_order(now, order_id):
        raise UserError(f"order {order_id} is not working", "see the open orders: hat orders")


def _close(session: Session, now: int, command: Mapping[str, Any]) -> None:
    slippage = int(command.get("slippage_bps", 50))
    if not 0 <= slippage <= 1_000:
        raise UserError(f"slippage of {slippage} bps is not allowed", "use 0 to 1000 bps")
    for desk in _desks(session, command):
        session.engine.close_desk(now, desk, slippage)


def _open(session: Session, now: int, command: Mapping[str, Any]) -> None:
    for desk in _desks(session, command):
        session.engine.open_desk(now, desk)


def _set_limit(session: Session, now: int, command: Mapping[str, Any]) -> None:
    scope, name = str(command.get("scope")), str(command.get("name"))
    if name not in LIMITS.get(scope, ()):
        raise UserError(f"{scope} has no limit {name} that can be changed now", "change it in the configuration")
    value, index = int(command["value"]), int(command.get("index", 0))
    if value < 0:
        raise UserError(f"{name} must not be negative, got {value}", "0 allows nothing")
    if scope == "account":
        setattr(session.risk.account, name, value)
    elif scope == "instrument":
        setattr(session.portfolio.holdings[index].limits, name, value)
        for clock in session.clocks:
            if name == "max_position" and clock.desk.holding.instrument.index == index:
                clock.view.max_position = value
    else:
        for clock in session.clocks:
            if clock.desk.strategy == index:
                clock.desk.max_strategy_notional = value


def _set_param(session: Session, now: int, command: Mapping[str, Any]) -> None:
    desk = _desk(session, command, None)
    name, value = str(command.get("name")), command.get("value")
    strategy = session.clocks[desk].strategy
    if name.startswith("_") or not hasattr(strategy, name):
        raise UserError(
            f"{session.desk_name(desk)} has no parameter {name} that can be changed now",
            "a strategy must keep it in an attribute of the same name; otherwise restart with the new value",
        )
    try:
        setattr(strategy, name, value)
    except (TypeError, AttributeError) as error:
        raise UserError(f"{name} cannot be set to {value!r}: {error}", "restart with the new value") from error


def _transfer(session: Session, now: int, command: Mapping[str, Any]) -> None:
    amount, portfolio = int(command.get("amount", 0)), session.portfolio
    portfolio.deposit += amount
    portfolio.peak_equity += amount  # what is taken out is no drawdown
    portfolio.equity += amount


_COMMANDS: Final[dict[str, Callable[[Session, int, Mapping[str, Any]], None]]] = {
    "override": _override,
    "cancel_all": _cancel_all,
    "cancel": _cancel,
    "close": _close,
    "open": _open,
    "set_limit": _set_limit,
    "set_param": _set_param,
    "transfer": _transfer,
}


def _one_of(names: Mapping[str, int], name: object, what: str) -> int:
    number = names.get(str(name))
    if number is None:
        raise UserError(f"there is no {what} {name!r}", f"use one of {', '.join(names)}")
    return number


def _desk(session: Session, command: Mapping[str, Any], otherwise: int | None) -> int:
    desk = command.get("desk", otherwise)
    least = 0 if otherwise is None else otherwise
    if not isinstance(desk, int) or not least <= desk < len(session.clocks):
        raise UserError(f"there is no desk {desk}", f"desks are 0 to {len(session.clocks) - 1}")
    return desk


def _desks(session: Session, command: Mapping[str, Any]) -> list[int]:
    desk = _desk(session, command, -1)
    return list(range(len(session.clocks))) if desk < 0 else [desk]
