"""A TWAP over the protocol: its answers, its history, the fills of its suborders, and what streams say of it."""

from typing import Any

from loopback.clients import RawClient, connected
from loopback.desk import BTC, Desk
from loopback.running import Stage, play

PLAIN: dict[str, Any] = {"a": BTC, "b": True, "s": "0.0022", "r": False, "m": 5, "t": False}


def twap(**changes: Any) -> dict[str, Any]:
    return {"type": "twapOrder", "twap": {**PLAIN, **changes}}


def test_a_twap_is_worked_and_told_as_the_venue_tells_it() -> None:
    desk = Desk()
    answer = desk.send(twap())
    assert answer == {"status": "ok", "response": {"type": "twapOrder", "data": {"status": {"running": {"twapId": 1}}}}}
    for _ in range(10):
        desk.pass_time(30)
    (newest, *_, first) = desk.ask("userTwapSliceFills")
    assert first["twapId"] == first["fill"]["twapId"] == 1
    assert first["fill"]["hash"] == "0x" + "0" * 64
    assert first["fill"]["sz"] == newest["fill"]["sz"] == "0.0002"
    assert desk.position()["szi"] == "0.0022"
    ended, begun = desk.ask("twapHistory")
    assert (begun["status"], ended["status"]) == ({"status": "activated"}, {"status": "finished"})
    assert begun["time"] == begun["state"]["timestamp"] // 1000
    assert ended["state"] == {
        "coin": "BTC",
        "user": desk.accounts[0].address,
        "side": "B",
        "sz": "0.0022",
        "executedSz": "0.0022",
        "executedNtl": "132.022",
        "minutes": 5,
        "reduceOnly": False,
        "randomize": False,
        "timestamp": begun["state"]["timestamp"],
        "stopPx": None,
        "trigger": None,
    }
    from_the_middle = desk.ask("userTwapSliceFillsByTime", startTime=newest["fill"]["time"])
    assert from_the_middle == [newest]
    assert {entry["order"]["orderType"] for entry in desk.ask("historicalOrders")} == {"Twap Slice"}


def test_refusals_and_cancels_are_answered_in_the_venues_words() -> None:
    desk = Desk()

    def status(action: dict[str, Any]) -> Any:
        return desk.send(action)["response"]["data"]["status"]

    cancel = {"type": "twapCancel", "a": BTC, "t": 1}
    assert status(cancel) == {"error": "TWAP was never placed, already canceled, or filled."}
    assert status(twap(m=1)) == {"error": "Invalid TWAP duration: 1 min(s)"}
    assert status(twap(r=True)) == {"error": "Reduce-only TWAP order would increase position."}
    assert status(twap(s="0.001")) == {"error": "TWAP order value too small. Min is $100."}
    assert desk.send(twap(s="0.0000001"))["response"] == "Order has invalid size."
    details = {"t": {"p": "61000", "a": True}, "s": None}
    assert status({**twap(), "details": details}) == {"running": {"twapId": 1}}
    (entry,) = desk.ask("twapHistory")
    assert entry["status"] == {"status": "waitingForTrigger"}
    assert entry["state"]["trigger"] == {"px": "61000.0", "above": True}
    assert status(cancel) == "success"
    assert desk.ask("twapHistory")[0]["status"] == {"status": "terminated"}


def test_streams_follow_a_twap() -> None:
    async def story(stage: Stage) -> None:
        desk = stage.accounts[0]
        async with connected(stage) as client:
            for kind in ("userTwapHistory", "userTwapSliceFills", "twapStates", "userEvents"):
                await client.subscribe(kind, user=desk.address)
            await client.until(lambda: len(client.on("subscriptionResponse")) == 4)
            assert client.on("userTwapHistory") == [{"isSnapshot": True, "user": desk.address, "history": []}]
            await place(stage, client)
            await client.until(lambda: len(client.on("userTwapSliceFills")) == 2)
            (told,) = client.on("userTwapHistory")[1]["history"]
            assert told["status"] == {"status": "activated"}
            (fill,) = client.on("userTwapSliceFills")[1]["twapSliceFills"]
            assert fill["twapId"] == told["twapId"] == 1
            events = {name for event in client.on("user") for name in event}
            assert {"twapHistory", "twapSliceFills", "fills"} <= events

    play(story)


async def place(stage: Stage, client: RawClient) -> None:
    """Send a TWAP over the socket."""
    body = Desk().body(twap(s="0.011"), stage.accounts[0].agent_key, nonce=stage.loopback.now_ms)
    await client.send({"method": "post", "id": 1, "request": {"type": "action", "payload": body}})
    await client.until(lambda: client.on("post"))
    (answer,) = client.on("post")
    assert answer["response"]["payload"]["response"]["data"]["status"] == {"running": {"twapId": 1}}
