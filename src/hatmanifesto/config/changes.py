"""What may change while a session runs: the difference of two plans as commands; a refusal says what may not."""

from typing import Any, Final

import msgspec

from hatmanifesto.config.commands import LIMITS
from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.errors import UserError

_UNTOUCHED: Final = frozenset({"seed", "exchange"})
"""What a live session has no use for."""


def changes(old: SessionPlan, new: SessionPlan) -> list[dict[str, Any]]:
    """Return the commands that turn one plan's session into the other's.

    UserError when they differ in more than limits and strategies' parameters.
    """
    commands: list[dict[str, Any]] = []
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    for name in LIMITS["account"]:
        _limit(commands, "account", 0, name, before, after)
    for scope, names in (("instrument", LIMITS["instrument"]), ("strategy", LIMITS["strategy"])):
        plural = "instruments" if scope == "instrument" else "strategies"
        for index, (was, now) in enumerate(zip(before[plural], after[plural], strict=False)):
            for name in names:
                _limit(commands, scope, index, name, was, now)
    for index, (was, now) in enumerate(zip(before["desks"], after["desks"], strict=False)):
        for name, value in now["params"].items():
            if was["params"].get(name) != value:
                commands.append({"command": "set_param", "desk": index, "name": name, "value": value})
        was["params"] = now["params"] = {}
    for name in _UNTOUCHED:
        before.pop(name)
        after.pop(name)
    fixed = [name for name in before if before[name] != after[name]]
    if fixed:
        raise UserError(
            f"{', '.join(fixed)} cannot change while the session runs",
            "only limits and parameters can: stop, change the configuration, and start again",
        )
    return commands


def _limit(
    commands: list[dict[str, Any]], scope: str, index: int, name: str, was: dict[str, Any], now: dict[str, Any]
) -> None:
    if was[name] != now[name]:
        commands.append({"command": "set_limit", "scope": scope, "index": index, "name": name, "value": now[name]})
    was[name] = now[name] = None
