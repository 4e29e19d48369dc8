"""Every answer and message, as literals, against the types of @nktkas/hyperliquid, the most complete that are public.

TypeScript refuses a missing field, one too many, and a value of another type or form. The package and the compiler are
installed with the other clients (test_other_clients.py); where they are not, the test says so.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer_environment import PEERS
from hatmanifesto.loopback.feeds import block_messages, first_messages
from hatmanifesto.loopback.info.answers import ANSWERS
from hatmanifesto.loopback.spot import USDC_TOKEN
from hatmanifesto.loopback.subscriptions import KINDS, read_subscription
from loopback.desk import BTC, ETH, Desk
from loopback.test_other_clients import node, node_is_installed

CLOID, OTHER_CLOID = "0x" + "ab" * 16, "0x" + "cd" * 16
UNTYPED = {
    "vaultDetails": "null, since there are no vaults, is not among its types",
    "fastAssetCtxs": "it types what is unpacked from the text on the wire",
    "webData2": "it has dropped the stream, and still has the question",
    "outcomeMetaUpdates": "nothing is ever told",
    "notification": "nothing is ever told",
}
STOP = {"b": False, "r": True, "t": {"trigger": {"isMarket": True, "triggerPx": "58000", "tpsl": "sl"}}}
TWAP = {"a": BTC, "b": True, "s": "0.02", "r": False, "m": 5, "t": True}
Typed = tuple[str, str, Any]
"""Module, name of the type, value."""


def order(price: str, tif: str = "Gtc", **changes: Any) -> dict[str, Any]:
    return {"a": BTC, "b": True, "p": price, "s": "0.01", "r": False, "t": {"limit": {"tif": tif}}, **changes}


def orders(*placed: dict[str, Any], grouping: str = "na") -> dict[str, Any]:
    return {"type": "order", "orders": list(placed), "grouping": grouping}


def lived() -> tuple[Desk, list[Typed]]:
    """Return an exchange at which an account has done a bit of everything, and what its actions were answered."""
    desk = Desk()
    other = desk.accounts[1].address
    acts: list[tuple[str, dict[str, Any]]] = [
        ("Order", orders(order("60010", "Ioc", s="0.02", c=CLOID), order("60010", "Alo"), order("49000", "Ioc"))),
        ("UpdateLeverage", {"type": "updateLeverage", "asset": ETH, "isCross": False, "leverage": 5}),
        ("Order", orders(order("2999", "Ioc", a=ETH, b=False, s="1"))),
        ("Order", orders(order("50000", "Alo", c=OTHER_CLOID), order("50000.5"))),
        ("Modify", {"type": "modify", "oid": OTHER_CLOID, "order": order("51000", c=OTHER_CLOID)}),
        ("BatchModify", {"type": "batchModify", "modifies": [{"oid": OTHER_CLOID, "order": order("52000")}]}),
        ("CancelByCloid", {"type": "cancelByCloid", "cancels": [{"asset": BTC, "cloid": OTHER_CLOID}]}),
        ("Cancel", {"type": "cancel", "cancels": [{"a": BTC, "o": 1}]}),
        ("Order", orders(order("55000", **STOP))),
        ("Order", orders(order("55000", **{**STOP, "s": "0"}), grouping="positionTpsl")),
        ("Order", orders(order("59000"), order("55000", **STOP), grouping="normalTpsl")),
        ("TwapOrder", {"type": "twapOrder", "twap": TWAP}),
        ("TwapOrder", {"type": "twapOrder", "twap": TWAP, "details": {"t": {"p": "70000", "a": True}, "s": "80000"}}),
        ("TwapOrder", {"type": "twapOrder", "twap": {**TWAP, "m": 1}}),
        ("TwapCancel", {"type": "twapCancel", "a": BTC, "t": 2}),
        ("TwapCancel", {"type": "twapCancel", "a": BTC, "t": 9}),
        ("ScheduleCancel", {"type": "scheduleCancel"}),
        ("CreateSubAccount", {"type": "createSubAccount", "name": "desk"}),
        ("Noop", {"type": "noop"}),
    ]
    answers = [("exchange", f"{name}Response", desk.send(action)) for name, action in acts]
    send = {"destination": other, "token": USDC_TOKEN, "amount": "1"}
    asset = {**send, "sourceDex": "", "destinationDex": "spot", "fromSubAccount": ""}
    for kind, fields in (
        ("usdClassTransfer", {"amount": "10", "toPerp": False}),
        ("usdSend", {"destination": other, "amount": "10"}),
        ("withdraw3", {"destination": other, "amount": "10"}),
        ("spotSend", send),
        ("sendAsset", asset),
        ("approveBuilderFee", {"maxFeeRate": "0.01%", "builder": other}),
    ):
        told = desk.send_as_user(kind, fields)
        answers.append(("exchange", f"{kind[0].upper()}{kind[1:]}Response", told))
    desk.loopback.next_funding_ms = 1
    desk.pass_time(35)
    desk.pass_time(61)
    return desk, answers


def typed(desk: Desk) -> Iterator[Typed]:
    """Return the answer to every question, and of every stream one message of each form."""
    about = {
        "coin": "BTC",
        "startTime": 0,
        "id": 56,
        "oid": CLOID,
        "builder": desk.accounts[1].address,
        "tokenId": USDC_TOKEN.partition(":")[2],
        "req": {"coin": "BTC", "interval": "1m", "startTime": 0},
    }
    for kind in ANSWERS:
        if kind not in UNTYPED or kind == "webData2":
            yield "info", f"{kind[0].upper()}{kind[1:]}Response", desk.ask(kind, **about)
    for kind in sorted(KINDS - set(UNTYPED)):
        asked = {"type": kind, "user": desk.accounts[0].address, "coin": "BTC", "interval": "1m"}
        subscription = read_subscription(desk.loopback, asked)
        messages = list(first_messages(desk.loopback, subscription))
        for news in desk.news:
            subscription.due_ms = 0
            messages += block_messages(desk.loopback, subscription, news)
        assert messages, kind
        forms = {tuple(data) if isinstance(data, dict) else (): data for _, data in messages}
        for data in forms.values():
            yield "subscription", f"{kind[0].upper()}{kind[1:]}Event", data


def check(folder: Path) -> None:
    """Write everything as literals of its type and let the compiler judge."""
    desk, answers = lived()
    lines = [f'import type * as {name} from "@nktkas/hyperliquid/api/{name}";' for name in ("info", "exchange")]
    lines.append('import type * as subscription from "@nktkas/hyperliquid/api/subscription";')
    for number, (module, name, value) in enumerate([*answers, *typed(desk)]):
        lines.append(f"export const v{number}: {module}.{name} = {json.dumps(value)};")
    assert len(lines) > 110
    (folder / "answers.ts").write_text("\n".join(lines))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]
    options += ["--module", "nodenext", "--moduleResolution", "nodenext"]
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    found = subprocess.run(
        ["node", str(compiler), *options, "answers.ts"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.stdout == ""
    assert found.returncode == 0


def test_every_answer_has_the_types_of_the_typescript_client() -> None:
    if not node_is_installed():
        pytest.skip("the clients from npm are not installed: `pytest -m soak tests/loopback` does it")
    check(PEERS / "node")


@pytest.mark.soak
def test_the_typescript_client_is_installed_and_every_answer_has_its_types() -> None:
    if not node("nktkas.mjs")():
        pytest.skip("the clients from npm cannot be installed here: that needs node, npm and their registry")
    check(PEERS / "node")
