"""Whatever arrives at /info, /exchange and /ws is answered, refused or called malformed; nothing else is raised."""

import asyncio
import contextlib
import json
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from hatmanifesto.loopback.info.answers import ANSWERS, answer
from hatmanifesto.loopback.signer import Malformed, Refused, canonical_number, read_envelope
from hatmanifesto.loopback.subscriptions import KINDS
from hatmanifesto.venues.hyperliquid.signing.user_signed import SIGNED_FIELDS
from hatmanifesto.venues.hyperliquid.wire.actions import Action, parse_action
from loopback.clients import RawClient, connected
from loopback.desk import Desk
from loopback.running import Stage, play

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["BTC", "0x" + "0" * 40, "1m", "0.01", "50000", "0x" + "a" * 32]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WORDS = "user coin oid startTime endTime req interval nSigFigs mantissa dex id builder".split()  # noqa: SIM905
QUESTIONS = st.fixed_dictionaries({"type": st.sampled_from(sorted(ANSWERS))}, optional=dict.fromkeys(WORDS, JSON))
FIELDS = (
    *("orders", "grouping", "cancels", "oid", "order", "modifies", "time", "asset", "isCross", "leverage", "ntli"),
    *("a", "f", "t", "name", "usd", "weight", "twap", "signatureChainId", "hyperliquidChain", "nonce"),
    *("destination", "amount", "agentAddress", "agentName"),
)
ACTIONS = [action.__struct_config__.tag for action in get_args(Action)]
ORDER = st.fixed_dictionaries(
    {},
    optional={
        "a": st.integers(-2, 5) | JSON,
        "b": st.booleans() | JSON,
        "p": st.from_regex(r"-?[0-9]{0,12}(\.[0-9]{0,9})?", fullmatch=True) | JSON,
        "s": st.from_regex(r"-?[0-9]{0,12}(\.[0-9]{0,9})?", fullmatch=True) | JSON,
        "r": st.booleans() | JSON,
        "t": st.sampled_from([{"limit": {"tif": "Gtc"}}, {"limit": {"tif": "Ioc"}}]) | JSON,
        "c": JSON,
    },
)
ACTION = st.fixed_dictionaries(
    {"type": st.sampled_from([*ACTIONS, *SIGNED_FIELDS])},
    optional={**dict.fromkeys(FIELDS, JSON), "orders": st.lists(ORDER | JSON, max_size=3)},
)
TEXTS = st.sampled_from(["", "0", "1", "0.01", "-1", "50000", "1e3", "USDC", "spot", "xyz", "0x" + "a" * 40]) | st.text(
    max_size=12
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type, so that what is signed can be read."""
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(-3, 5) | st.integers(-(1 << 63), (1 << 64) - 1)
    if kind is str:
        return TEXTS
    if kind is type(None):
        return st.none()
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each is not msgspec.UnsetType]
    if origin is list:
        return st.lists(values(inner[0]), max_size=3)
    if origin is Literal:
        return st.sampled_from(inner)
    if inner:
        return st.one_of([values(each) for each in inner])
    needed = {field.encode_name: values(field.type) for field in fields(kind) if field.required}
    optional = {field.encode_name: values(field.type) for field in fields(kind) if not field.required}
    tag = kind.__struct_config__.tag
    return st.fixed_dictionaries(needed | ({"type": st.just(tag)} if tag else {}), optional=optional)


SIGNABLE = st.one_of([values(kind) for kind in get_args(Action)])
OF_USERS = st.one_of(
    [
        st.tuples(
            st.just(kind),
            st.fixed_dictionaries(
                {
                    name: {"bool": st.booleans(), "uint64": st.integers(0, 1 << 40)}.get(
                        form, TEXTS if form == "string" else st.from_regex(r"0x[0-9a-fA-F]{40}", fullmatch=True)
                    )
                    for form, name in signed
                    if name not in ("time", "nonce")
                }
            ),
        )
        for kind, (_, signed) in SIGNED_FIELDS.items()
        if kind != "multiSig"
    ]
)
PART = st.from_regex(r"0x[0-9a-f]{1,64}", fullmatch=True)
BODY = st.fixed_dictionaries(
    {
        "action": ACTION | JSON,
        "nonce": st.integers() | JSON,
        "signature": st.fixed_dictionaries({"r": PART, "s": PART, "v": st.sampled_from([27, 28, 0])}) | JSON,
    },
    optional={"vaultAddress": JSON, "expiresAfter": st.integers() | JSON},
)


@pytest.fixture(scope="module")
def desk() -> Desk:
    made = Desk()
    made.order(True, "0.01", "60010", "Ioc")
    return made


@settings(max_examples=300)
@given(QUESTIONS | JSON)
def test_any_question_is_answered_or_malformed(desk: Desk, question: Any) -> None:
    with contextlib.suppress(Malformed):
        json.dumps(answer(desk.loopback, question))


@settings(max_examples=300)
@given(BODY | JSON)
def test_any_envelope_is_read_refused_or_malformed(desk: Desk, body: Any) -> None:
    with contextlib.suppress(Malformed, Refused):
        desk.loopback.act(read_envelope(body), lambda found: None)


@settings(max_examples=200)
@given(st.lists(ORDER, max_size=3), st.sampled_from(["na", "normalTpsl", "positionTpsl"]))
def test_any_orders_of_a_known_account_are_answered(desk: Desk, orders: list[Any], grouping: str) -> None:
    action = {"type": "order", "orders": orders, "grouping": grouping}
    try:
        parse_action(msgspec.json.encode(action))
    except msgspec.ValidationError:
        return  # nobody could sign it
    found = desk.send(action)
    assert found["status"] in ("ok", "err")
    assert desk.loopback.waiting == 0


@settings(max_examples=400)
@given(SIGNABLE, st.booleans())
def test_any_signed_action_of_a_known_account_is_answered(desk: Desk, action: dict[str, Any], master: bool) -> None:
    key = desk.accounts[0].key if master else desk.accounts[0].agent_key
    try:
        body = desk.body(action, key)
    except (msgspec.ValidationError, OverflowError):
        return  # nobody could sign it
    try:
        found = desk.submit(body)
    except Malformed:
        return
    assert found["status"] in ("ok", "err")
    assert desk.loopback.waiting == 0
    whole(desk)


@settings(max_examples=400)
@given(OF_USERS)
def test_any_action_that_a_user_signs_is_answered(desk: Desk, signed: tuple[str, dict[str, Any]]) -> None:
    kind, told = signed
    try:
        found = desk.send_as_user(kind, told, who=1)
    except Malformed:
        return
    assert found["status"] in ("ok", "err")
    whole(desk)


def whole(desk: Desk) -> None:
    """Whatever was done, every account's books are those of its margin, and its answers can be written."""
    for participant in desk.loopback.participants.values():
        margin = desk.loopback.rules.of(participant.account)
        for holding, leg in zip(participant.account.holdings, margin.legs, strict=True):
            assert int(holding.position.size) == int(leg.position.size)
        assert participant.spot >= 0
    json.dumps([desk.ask("clearinghouseState"), desk.ask("webData2", 1), desk.ask("twapHistory")])


@settings(max_examples=200)
@given(st.text(max_size=30) | st.from_regex(r"-?0*[0-9]{1,9}(\.[0-9]{1,9}0*)?", fullmatch=True))
def test_a_canonical_number_is_the_same_number_and_stays_as_it_is(text: str) -> None:
    try:
        found = canonical_number(text)
    except Malformed:
        return
    assert canonical_number(found) == found
    assert float(found) == float(text)


def test_any_frame_is_answered() -> None:
    requests = st.fixed_dictionaries(
        {"method": st.sampled_from(["subscribe", "unsubscribe", "post", "ping"])},
        optional={
            "subscription": st.fixed_dictionaries(
                {"type": st.sampled_from(sorted(KINDS))},
                optional={
                    "coin": st.sampled_from(["BTC", "ETH"]) | JSON,
                    "user": st.just("0x" + "0" * 40) | JSON,
                    **dict.fromkeys(("interval", "nSigFigs", "mantissa", "fast", "aggregateByTime"), JSON),
                },
            )
            | JSON,
            "id": st.integers(0, 9) | JSON,
            "request": st.fixed_dictionaries({"type": st.sampled_from(["info", "action"]), "payload": QUESTIONS | BODY})
            | JSON,
        },
    )

    async def story(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        async with connected(stage) as client:

            @settings(max_examples=150)
            @given(requests | JSON | st.text(max_size=30))
            def send(message: Any) -> None:
                asyncio.run_coroutine_threadsafe(alive(client, message), loop).result()

            await asyncio.to_thread(send)

    async def alive(client: RawClient, message: Any) -> None:
        pongs = len(client.on("pong"))
        await client.send(message)
        await client.send({"method": "ping"})
        await client.until(lambda: len(client.on("pong")) > pongs or client.closed_with is not None)
        assert client.closed_with is None

    play(story)
