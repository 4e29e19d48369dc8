"""The operator's socket: one JSON object a line in, one out, over a Unix socket that only its owner may open.

    {"do": "status"} {"do": "orders"} {"do": "positions"} {"do": "reconcile"}
    {"do": "pause", "desk": 0} {"do": "resume"} {"do": "flatten", "slippage_bps": 50}
    {"do": "cancel", "order_id": 1} {"do": "cancel"} {"do": "set", "changes": ["risk.account.max_open_orders=20"]}
    {"do": "stop", "flatten": true}

`desk` left out means all. What changes something is journaled with who asked (`by`) and why (`reason`).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from hatmanifesto.config.changes import changes
from hatmanifesto.config.resolve import resolve
from hatmanifesto.config.settings import Draft
from hatmanifesto.errors import UserError
from hatmanifesto.trading.session import LiveSession
from hatmanifesto.trading.status import orders, positions, status
from hatmanifesto.venues.port import VenueError

SOCKET: Final = "control.sock"
LONGEST: Final = 1 << 16
"""Bytes of a request at most."""
ANSWER_S: Final = 30.0

Redraft = Callable[[list[str]], Draft]
"""Returns the session's configuration with these `key=value` settings over it."""


class ControlServer:
    """Answers operators of one session. `redraft` reads the configuration again with changes over it."""

    def __init__(self, live: LiveSession, redraft: Redraft) -> None:
        self.live = live
        self.redraft = redraft
        self.path = live.folder / SOCKET
        self._applied: list[str] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket that a killed session left behind is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=LONGEST)
        except OSError as error:
            raise UserError(
                f"cannot listen at {self.path}: {error}", "use a shorter --folder, on a local disk"
            ) from error
        finally:
            os.umask(old)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a line that is too long, or a caller that went away: nothing to answer
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            return {"ok": True, **await self.act(request)}
        except msgspec.DecodeError as error:
            return {"error": {"message": f"not a JSON object: {error}", "remedy": "see docs/operating.md"}}
        except UserError as error:
            return {"error": {"message": error.message, "remedy": error.remedy}}
        except VenueError as error:
            return {"error": {"message": f"the venue does not answer: {error}", "remedy": "try again"}}

    async def act(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request. Raises UserError or VenueError."""
        action = _ACTIONS.get(str(request.get("do")))
        if action is None:
            raise UserError(f"there is no action {request.get('do')!r}", f"use one of {', '.join(_ACTIONS)}")
        return await action(self, request)

    def _command(self, request: dict[str, Any], command: dict[str, Any]) -> None:
        told: dict[str, Any] = {name: str(request[name])[:200] for name in ("by", "reason") if name in request}
        self.live.trader.command({**command, **told})

    def _desks(self, request: dict[str, Any]) -> list[int]:
        desk = request.get("desk", -1)
        names = [self.live.session.desk_name(index) for index in range(len(self.live.session.clocks))]
        if isinstance(desk, str):
            found = [
                at for at, name in enumerate(names) if desk in (name, name.split(" on ")[0], name.split(" on ")[1])
            ]
            if not found:
                raise UserError(f"there is no desk {desk}", f"desks are {'; '.join(names)}")
            return found
        if not isinstance(desk, int) or not -1 <= desk < len(names):
            raise UserError(f"there is no desk {desk}", f"desks are 0 to {len(names) - 1}: {'; '.join(names)}")
        return list(range(len(names))) if desk < 0 else [desk]

    # -- actions ----------------------------------------------------------------------------------

    async def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"status": status(self.live), "positions": positions(self.live), "orders": orders(self.live)}

    async def _orders(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"orders": orders(self.live)}

    async def _positions(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"positions": positions(self.live)}

    async def _reconcile(self, request: dict[str, Any]) -> dict[str, Any]:
        found = await self.live.reconciler.run("asked for")
        self.live.last_reconciled = found
        return {"reconciliation": found.as_json()}

    async def _pause(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("desk", -1) == -1:
            self._command(request, {"command": "override", "override": "halt"})
        else:
            for desk in self._desks(request):
                self._command(request, {"command": "override", "override": "halt", "desk": desk})
        self.live.trader.checkpoint()
        return {"state": status(self.live)["state"]}

    async def _resume(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("desk", -1) == -1:
            self._command(request, {"command": "override", "override": "none"})
        for desk in self._desks(request):
            self._command(request, {"command": "open", "desk": desk})
        self.live.trader.checkpoint()
        return {"state": status(self.live)["state"], "held_by": status(self.live)["held_by"]}

    async def _flatten(self, request: dict[str, Any]) -> dict[str, Any]:
        slippage = request.get("slippage_bps", 50)
        for desk in self._desks(request):
            self._command(request, {"command": "close", "desk": desk, "slippage_bps": slippage})
        self.live.trader.checkpoint()
        return {"positions": positions(self.live)}

    async def _cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        if "order_id" in request:
            self._command(request, {"command": "cancel", "order_id": request["order_id"]})
        else:
            self._command(request, {"command": "cancel_all"})
        return {"orders": orders(self.live)}

    async def _set(self, request: dict[str, Any]) -> dict[str, Any]:
        asked = request.get("changes")
        if not isinstance(asked, list) or not asked or not all(isinstance(change, str) for change in asked):
            raise UserError("nothing to set", "name settings: hat set risk.account.max_open_orders=20")
        session = self.live.session
        prices = {index: entry.reference_price for index, entry in enumerate(session.plan.instruments)}
        draft = self.redraft(self._applied + asked)
        wanted = changes(self.live.plan, resolve(draft, session.instruments, prices).plan)
        for command in wanted:
            self._command(request, command)
        self._applied += asked
        self.live.plan = resolve(draft, session.instruments, prices).plan
        return {"changed": wanted}

    async def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        self.live.flatten_at_end = bool(request.get("flatten", self.live.flatten_at_end))
        self.live.request_stop(str(request.get("reason", "asked to")))
        return {"stopping": True}


_Act = Callable[[ControlServer, dict[str, Any]], Awaitable[dict[str, Any]]]
_ACTIONS: Final[dict[str, _Act]] = {
    "status": ControlServer._status,
    "orders": ControlServer._orders,
    "positions": ControlServer._positions,
    "reconcile": ControlServer._reconcile,
    "pause": ControlServer._pause,
    "resume": ControlServer._resume,
    "flatten": ControlServer._flatten,
    "cancel": ControlServer._cancel,
    "set": ControlServer._set,
    "stop": ControlServer._stop,
}


def ask(folder: Path, request: dict[str, Any], timeout_s: float = ANSWER_S) -> dict[str, Any]:
    """Ask a running session, from another process. UserError with its refusal, or when none runs there."""
    path = folder / SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise UserError(f"no session runs in {folder}", "start one with hat run, or name its --folder") from None
        except OSError as error:
            raise UserError(
                f"the session in {folder} does not answer: {error}", "see hat status, or its log"
            ) from error
    if not line:
        raise UserError(f"the session in {folder} ended before it answered", "see its log")
    answer = msgspec.json.decode(line, type=dict[str, Any])
    refused = answer.get("error")
    if refused:
        raise UserError(refused["message"], refused["remedy"])
    return answer
