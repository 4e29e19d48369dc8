"""Every scripted fault, once each, as a client meets it; and that the same seed means the same fate."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hatmanifesto.errors import UserError
from hatmanifesto.loopback.faults import Fate, Faults, FaultSettings, load_faults
from loopback.clients import connected, post
from loopback.desk import Desk
from loopback.running import Stage, play, until

PING = {"method": "ping"}


def faults(**settings: Any) -> Faults:
    return Faults(FaultSettings(**settings))


def test_the_same_seed_means_the_same_fate_whatever_happens_beside_it() -> None:
    shares = {"seed": 5, "drop_message": 0.2, "delay_message": 0.2, "reorder_message": 0.2, "duplicate_message": 0.2}
    one, other = faults(**shares), faults(**shares, lost_answer=0.5, http_429=0.5)
    fates = []
    for _ in range(300):
        other.lost_answer()
        other.http()
        fates.append(other.message())
    assert fates == [one.message() for _ in range(300)]
    assert set(fates) == set(Fate)
    assert [faults(**{**shares, "seed": 6}).message() for _ in range(300)] != fates


def test_without_settings_nothing_happens() -> None:
    quiet = Faults()
    assert quiet.message() is Fate.SENT
    happened = [quiet.disconnects(), quiet.lost_answer(), quiet.rejected_signature(), quiet.stale, quiet.half_open]
    assert not any(happened)
    assert [quiet.http(), quiet.answer_delay_s(), quiet.clock_error_s] == [0, 0, 0]


async def told(stage: Stage, count: int) -> list[int]:
    """Send a client numbered messages and return the numbers that it heard, in order."""
    async with connected(stage) as client:
        await until(lambda: stage.server.connections)
        (connection,) = stage.server.connections
        for number in range(count):
            connection.stream.tell("notification", number)
        for count in (1, 2):  # what is held back goes out after the first pong
            await client.send(PING)
            await client.until(lambda count=count: len(client.on("pong")) == count)
        heard: list[int] = client.on("notification")
        return heard


def test_dropped_messages_never_arrive() -> None:
    async def story(stage: Stage) -> None:
        dice = faults(drop_message=0.5, seed=3)
        kept = [number for number in range(50) if dice.message() is not Fate.DROPPED]
        assert await told(stage, 50) == kept
        assert stage.server.faults.done["drop_message"] == 50 - len(kept)

    play(story, faults=faults(drop_message=0.5, seed=3))


def test_duplicated_messages_arrive_twice() -> None:
    async def story(stage: Stage) -> None:
        assert await told(stage, 3) == [0, 0, 1, 1, 2, 2]

    play(story, faults=faults(duplicate_message=1))


def test_reordered_messages_arrive_after_the_next_one() -> None:
    async def story(stage: Stage) -> None:
        heard = await told(stage, 40)
        assert heard != sorted(heard)
        dice = faults(reorder_message=0.5, seed=1)
        expected: list[int] = []
        held: list[int] = []
        for number in range(40):
            if dice.message() is Fate.REORDERED:
                held.append(number)
            else:
                expected += [number, *held]
                held = []
        assert heard == expected + held

    play(story, faults=faults(reorder_message=0.5, seed=1))


def test_delayed_messages_arrive_late() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            await until(lambda: stage.server.connections)
            (connection,) = stage.server.connections
            connection.stream.tell("notification", 1)
            await client.send(PING)
            await client.until(lambda: client.on("notification"))
            assert [message["channel"] for message in client.heard] == ["pong", "notification"]

    play(story, faults=faults(delay_message=1, delay_ms=300))


def test_a_connection_is_cut() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            await client.subscribe("allMids")
            await client.until(lambda: client.closed_with is not None)
            assert client.closed_with == aiohttp.WSCloseCode.ABNORMAL_CLOSURE

    play(story, faults=faults(disconnect=1))


def test_an_answer_is_lost_after_the_order_was_accepted() -> None:
    async def story(stage: Stage) -> None:
        body = signed_order(stage)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(stage, "/exchange", body)
        assert len(stage.loopback.participants[stage.accounts[0].address].account.orders) == 1
        async with connected(stage) as client:
            request = {"type": "action", "payload": signed_order(stage)}
            await client.send({"method": "post", "id": 1, "request": request})
            orders = stage.loopback.participants[stage.accounts[0].address].account.orders
            await until(lambda: len(orders) == 2)
            await client.send({"method": "post", "id": 2, "request": {"type": "info", "payload": {"type": "meta"}}})
            await client.until(lambda: client.on("post"))
            assert [answer["id"] for answer in client.on("post")] == [2]

    play(story, faults=faults(lost_answer=1))


def signed_order(stage: Stage) -> dict[str, Any]:
    """Return a signed body for a running exchange."""
    order = {"a": 0, "b": True, "p": "50000", "s": "0.01", "r": False, "t": {"limit": {"tif": "Alo"}}}
    desk = Desk.__new__(Desk)
    desk.now_ms = desk._nonce = time.time_ns() // 1_000_000
    return desk.body({"type": "order", "orders": [order], "grouping": "na"}, stage.accounts[0].agent_key)


def test_an_answer_is_late() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            request = {"type": "action", "payload": signed_order(stage)}
            await client.send({"method": "post", "id": 1, "request": request})
            await client.send({"method": "post", "id": 2, "request": {"type": "info", "payload": {"type": "meta"}}})
            await client.until(lambda: len(client.on("post")) == 2)
            assert [answer["id"] for answer in client.on("post")] == [2, 1]

    play(story, faults=faults(delay_answer=1, delay_ms=300))


def test_a_good_signature_is_refused() -> None:
    async def story(stage: Stage) -> None:
        status, text = await post(stage, "/exchange", signed_order(stage))
        assert (status, "does not exist" in text) == (200, True)
        assert not stage.loopback.participants[stage.accounts[0].address].account.orders

    play(story, faults=faults(reject_signature=1))


@pytest.mark.parametrize("status", [429, 500])
def test_http_answers_with_a_status_and_null(status: int) -> None:
    async def story(stage: Stage) -> None:
        assert await post(stage, "/info", {"type": "meta"}) == (status, "null")
        assert await post(stage, "/exchange", signed_order(stage)) == (status, "null")

    play(story, faults=faults(**{f"http_{status}": 1}))


def test_books_are_stale_while_own_orders_are_told() -> None:
    async def story(stage: Stage) -> None:
        account = stage.accounts[0]
        async with connected(stage) as client:
            await client.subscribe("bbo", coin="BTC")
            await client.subscribe("orderUpdates", user=account.address)
            await client.until(lambda: len(client.on("subscriptionResponse")) == 2)
            best = len(client.on("bbo"))
            stage.market.prices["BTC"] = 61_000
            await post(stage, "/exchange", signed_order(stage))
            await client.until(lambda: client.on("orderUpdates"))
            assert len(client.on("bbo")) == best

    play(story, faults=faults(stale_books=[(0, 3600)]))


def test_a_half_open_connection_stays_up_and_carries_nothing() -> None:
    now = [0.0]

    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            await client.send(PING)
            await client.until(lambda: client.on("pong"))
            now[0] = 15.0
            await client.send(PING)
            await client.subscribe("allMids")
            blocks = stage.server.counts["blocks"]
            await until(lambda: stage.server.counts["blocks"] > blocks + 10)
            assert (len(client.heard), client.closed_with) == (1, None)
            now[0] = 25.0
            await client.send(PING)
            await client.until(lambda: len(client.on("pong")) == 2)

    play(story, faults=Faults(FaultSettings(half_open=((10, 20),)), clock=lambda: now[0]))


def test_the_exchanges_clock_jumps() -> None:
    now = [0.0]

    async def story(stage: Stage) -> None:
        before = stage.loopback.now_ms
        now[0] = 6.0
        await until(lambda: stage.loopback.now_ms > before + 3_600_000)
        now[0] = 11.0  # back again: time stands still, blocks go on
        high = stage.loopback.now_ms
        blocks = stage.server.counts["blocks"]
        await until(lambda: stage.server.counts["blocks"] > blocks + 10)
        assert high < stage.loopback.now_ms < high + 1_000
        status, text = await post(stage, "/exchange", signed_order(stage))
        assert (status, '"resting"' in text) == (200, True)

    jumps = ((5.0, 3_600.0), (10.0, -3_600.0))
    play(story, faults=Faults(FaultSettings(clock_jumps=jumps), clock=lambda: now[0]))


def test_a_silent_connection_is_closed() -> None:
    async def story(stage: Stage) -> None:
        async with connected(stage) as client:
            await client.until(lambda: client.closed_with is not None)
            assert client.closed_with == aiohttp.WSCloseCode.OK

    play(story, silence_s=0.05)


def test_a_file_of_faults_names_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text("seed = 7\ndrop_message = 0.01\nhalf_open = [[1.0, 2.0]]\n")
    assert load_faults(file).settings == FaultSettings(seed=7, drop_message=0.01, half_open=((1.0, 2.0),))
    file.write_text("drop_message = 2\nlose_message = 1\n")
    with pytest.raises(UserError, match=r"drop_message: .*; lose_message: Extra inputs are not permitted"):
        load_faults(file)
    file.write_text("stale_books = [[5.0, 5.0]]\n")
    with pytest.raises(UserError, match="a span must end after it begins, not at 5 after 5"):
        load_faults(file)
    file.write_text("seed = \n")
    with pytest.raises(UserError, match="is no TOML"):
        load_faults(file)
    with pytest.raises(UserError, match="cannot read"):
        load_faults(tmp_path / "none.toml")


def test_the_example_names_every_fault() -> None:
    example = Path(__file__).parents[2] / "examples" / "faults.toml"
    settings = load_faults(example).settings
    assert settings.model_fields_set == set(FaultSettings.model_fields)


def test_only_post_only_orders_are_taken_after_an_upgrade() -> None:
    async def story(stage: Stage) -> None:
        body = signed_order(stage)
        status, text = await post(stage, "/exchange", body)
        assert (status, '"resting"' in text) == (200, True)
        desk = Desk.__new__(Desk)
        desk.now_ms = desk._nonce = body["nonce"] + 1
        order = {**body["action"]["orders"][0], "t": {"limit": {"tif": "Gtc"}}}
        action = {"type": "order", "orders": [order], "grouping": "na"}
        status, text = await post(stage, "/exchange", desk.body(action, stage.accounts[0].agent_key))
        assert (status, "Only post-only orders allowed immediately after network upgrade" in text) == (200, True)

    play(story, faults=faults(post_only=[(0, 3600)]))
