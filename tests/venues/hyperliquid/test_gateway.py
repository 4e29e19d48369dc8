"""What the engine asks becomes signed actions; what the venue answers becomes triggers, once, fills before ends."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.model import reasons
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.venues.hyperliquid.cloid import make_cloid, parse_cloid
from hatmanifesto.venues.hyperliquid.feed.account import AccountFeed
from hatmanifesto.venues.hyperliquid.limits import Limits, Notice
from hatmanifesto.venues.hyperliquid.nonces import NonceSource
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway
from hatmanifesto.venues.hyperliquid.orders.questions import LAG_NS
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.orders.words import fate_of, reason_of
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer, recover_l1
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire import stream as wire
from hatmanifesto.venues.hyperliquid.wire.actions import action_msgpack, parse_action
from hatmanifesto.venues.hyperliquid.wire.info import FrontendOrder
from hatmanifesto.venues.hyperliquid.wire.stream import Post, parse_message
from hatmanifesto.venues.port import OrderFate, Trust
from venues.listening import Diary

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
SESSION = 77
USER = "0x" + "ab" * 20
KEY = PrivateKey(bytes(31) + b"\x07")


class Desk:
    """A gateway whose stream is a list, and its answers."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.now = START
        self.up = True
        self.later: list[Coroutine[Any, Any, None]] = []
        self.sent: list[dict[str, Any]] = []
        self.diary = Diary()
        self.limit_notices: list[Notice] = []
        self.limits = Limits(self.limit_notices.append, **limits)
        self.posts = Posts(self._send, lambda: self.up, answer_timeout_ns=4 * SECOND)
        self.nonces = NonceSource(folder, KEY.address, lambda: self.now // 1_000_000)
        self.btc = Instrument("BTC", price_scale=1, size_scale=5)
        self.eth = Instrument("ETH", index=1, price_scale=2, size_scale=4)
        self.gateway = HyperliquidGateway(
            instruments=[self.btc, self.eth],
            assets=[0, 4],
            user=USER,
            signer=ActionSigner(L1Signer(KEY, mainnet=False), self.nonces),
            posts=self.posts,
            http=HttpChannel("http://127.0.0.1:9"),
            limits=self.limits,
            spawn=self.spawn,
            clock_ns=lambda: self.now,
        )
        self.gateway.begin(self.diary, SESSION)
        self.account = AccountFeed(
            {"BTC": self.btc, "ETH": self.eth}, SESSION, self.gateway, self.limits.address, self.diary
        )
        self.account.begin(START)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep what is to be told in a turn of its own; requests over HTTP go nowhere here."""
        if work.__name__ == "_tell_all":
            self.later.append(work)
        else:
            work.close()

    def next_turn(self) -> None:
        """Run what was put off."""
        later, self.later = self.later, []
        for work in later:
            with pytest.raises(StopIteration):
                work.send(None)

    def _send(self, payload: bytes) -> bool:
        if self.up:
            self.sent.append(json.loads(payload))
        return self.up

    def place(
        self, order_id: int, *, side: int = 1, price: int = 837_560, size: int = 100, tif: int = POST_ONLY,
        reduce_only: bool = False, instrument: int = 0,
    ) -> None:  # fmt: skip
        self.gateway.place(self.now, order_id, instrument, side, price, size, tif, reduce_only)

    def flush(self) -> list[dict[str, Any]]:
        """Flush and return the actions that left."""
        before = len(self.sent)
        self.gateway.flush(self.now)
        return [message["request"]["payload"] for message in self.sent[before:]]

    def answer(self, post_id: int, payload: Any, kind: str = "action") -> None:
        message = {"channel": "post", "data": {"id": post_id, "response": {"type": kind, "payload": payload}}}
        parsed = parse_message(json.dumps(message).encode())
        assert isinstance(parsed, Post)
        self.posts.on_answer(self.now, parsed.data)

    def statuses(self, post_id: int, *statuses: Any, kind: str = "order") -> None:
        self.answer(post_id, {"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}})

    def told(self, post_id: int, status: str, remaining: str = "0.001", oid: int = 900) -> None:
        """Answer a question about an order."""
        order = {
            "coin": "BTC", "side": "B", "limitPx": "83756.0", "sz": remaining, "oid": oid, "timestamp": 1,
            "origSz": "0.001", "orderType": "Limit", "reduceOnly": False, "isTrigger": False, "triggerPx": "0.0",
            "triggerCondition": "N/A", "isPositionTpsl": False, "children": [], "tif": "Alo", "cloid": None,
        }  # fmt: skip
        data: dict[str, Any] = {"status": "order", "order": {"order": order, "status": status, "statusTimestamp": 5}}
        if status == "unknownOid":
            data = {"status": "unknownOid"}
        self.answer(post_id, {"type": "orderStatus", "data": data}, kind="info")

    def update(self, order_id: int, status: str, remaining: str = "0.001", oid: int = 900) -> None:
        live = self.gateway.tracker.live.get(order_id)
        order = {"coin": "BTC", "side": "B", "limitPx": "83756.0", "sz": remaining, "oid": oid, "timestamp": 1}
        if live is not None:
            order["cloid"] = live.cloid
        message = {"channel": "orderUpdates", "data": [{"order": order, "status": status, "statusTimestamp": 6}]}
        parsed = parse_message(json.dumps(message).encode())
        assert isinstance(parsed, wire.OrderUpdates)
        self.account.on_updates(parsed, self.now)

    def fill(self, order_id: int, size: str, tid: int, *, time: int | None = None, **changes: Any) -> None:
        fill = {
            "coin": "BTC", "px": "83756.0", "sz": size, "side": "B", "time": time or self.now // 1_000_000,
            "startPosition": "0.0", "dir": "Open Long", "closedPnl": "0.0", "hash": "0x0", "oid": 900, "crossed": False,
            "fee": "0.012563", "tid": tid, "feeToken": "USDC", "cloid": make_cloid(SESSION, order_id, 0), **changes,
        }  # fmt: skip
        message = {"channel": "userFills", "data": {"user": USER, "fills": [fill]}}
        parsed = parse_message(json.dumps(message).encode())
        assert isinstance(parsed, wire.UserFills)
        self.account.on_fills(parsed.data.fills, self.now)

    def resting(self, order_id: int, oid: int = 900, **order: Any) -> None:
        """Place an order and let it rest."""
        self.place(order_id, **order)
        self.flush()
        self.statuses(self.sent[-1]["id"], {"resting": {"oid": oid}})


def open_order(oid: int, cloid: str) -> FrontendOrder:
    return FrontendOrder(
        "BTC", "B", "83756.0", "0.001", oid, 1, "0.001", "Limit", False, False, "0.0", "N/A", False, [], "Alo", cloid
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class TestSending:
    def test_an_order_leaves_signed_with_its_client_order_id_and_an_expiry(self, desk: Desk) -> None:
        desk.place(123 << 22 | 5)
        assert not desk.sent, "nothing leaves before the turn is journaled"
        (request,) = desk.flush()
        order = request["action"]["orders"][0]
        assert order == {
            "a": 0, "b": True, "p": "83756", "s": "0.001", "r": False, "t": {"limit": {"tif": "Alo"}}, "c": order["c"],
        }  # fmt: skip
        assert parse_cloid(order["c"]) == (SESSION, 123 << 22 | 5, 0)
        assert request["expiresAfter"] == START // 1_000_000 + 10_000
        signature = Signature(*(int(request["signature"][part], 16) for part in "rs"), request["signature"]["v"])
        packed = action_msgpack(parse_action(json.dumps(request["action"])))
        signer = recover_l1(packed, request["nonce"], None, request["expiresAfter"], signature, mainnet=False)
        assert signer == KEY.address

    def test_one_turn_is_cancels_then_post_only_then_the_rest(self, desk: Desk) -> None:
        desk.resting(1)
        desk.place(2)
        desk.place(3, tif=IMMEDIATE_OR_CANCEL, side=-1, reduce_only=True)
        desk.place(4, instrument=1, price=189_140, size=1_0000, side=-1)
        desk.place(5, tif=GOOD_TILL_CANCEL)
        desk.gateway.cancel(desk.now, 1, 0)
        kinds = [request["action"] for request in desk.flush()]
        assert [action["type"] for action in kinds] == ["cancelByCloid", "order", "order"]
        assert kinds[0]["f"] is True
        assert [(order["a"], order["p"], order["t"]["limit"]["tif"]) for order in kinds[1]["orders"]] == [
            (0, "83756", "Alo"),
            (4, "1891.4", "Alo"),
        ]
        assert [(order["t"]["limit"]["tif"], order["r"]) for order in kinds[2]["orders"]] == [
            ("Ioc", True),
            ("Gtc", False),
        ]
        nonces = [message["request"]["payload"]["nonce"] for message in desk.sent]
        assert nonces == sorted(set(nonces))

    def test_without_a_connection_an_order_is_refused_in_a_turn_of_its_own(self, desk: Desk) -> None:
        desk.up = False
        desk.place(1)
        desk.gateway.flush(desk.now)
        assert not desk.diary.orders, "the driver is in the middle of a turn"
        desk.next_turn()
        assert [(told.trigger, told.reason) for told in desk.diary.orders] == [("reject", reasons.VENUE_NOT_CONNECTED)]
        assert not desk.sent
        assert desk.nonces.last < START // 1_000_000

    def test_a_limit_refuses_orders_holds_cancels_and_lets_them_go_later(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path, reserve_actions=0)
        desk.resting(1)
        desk.limits.address.correct(20_000, 10_000)
        desk.place(2)
        desk.flush()
        desk.next_turn()
        assert desk.diary.orders[-1][1:3] == ("reject", reasons.VENUE_RATE_LIMIT)
        desk.gateway.cancel(desk.now, 1, 0)
        assert [request["action"]["type"] for request in desk.flush()] == ["cancelByCloid"], "the trickle"
        desk.statuses(desk.sent[-1]["id"], {"error": "Too many cumulative requests sent"}, kind="cancel")
        desk.now += SECOND
        desk.gateway.cancel(desk.now, 1, 0)
        assert not desk.flush()
        before = len(desk.sent)
        desk.now += 5 * SECOND
        desk.gateway.tick(desk.now)
        assert len(desk.sent) == before
        desk.now += 5 * SECOND
        desk.gateway.tick(desk.now)
        assert len(desk.sent) == before + 1
        assert desk.limit_notices[0].rule == "address actions"

    def test_a_clock_that_went_back_sends_nothing_and_says_so_after_the_turn(self, desk: Desk) -> None:
        desk.resting(1)
        desk.now -= 30 * 3600 * SECOND
        desk.place(2)
        assert not desk.flush()
        assert desk.diary.triggers(2) == []
        assert not desk.diary.notices
        desk.next_turn()
        assert desk.diary.triggers(2) == ["reject"]
        assert desk.diary.notices[-1][0] == "no_nonce"


class TestAnswers:
    ERRORS = {
        "Post only order would have immediately matched, bbo was 1891.1@1891.4. asset=4": reasons.VENUE_POST_ONLY,
        "Reduce only order would increase position. asset=3": reasons.VENUE_REDUCE_ONLY,
        "Order could not immediately match against any resting orders. asset=0": reasons.VENUE_NO_MATCH,
        "Order must have minimum value of $10. asset=0": reasons.VENUE_MIN_NOTIONAL,
        "Price must be divisible by tick size. asset=0": reasons.VENUE_TICK,
        "Insufficient margin to place order. asset=0": reasons.VENUE_MARGIN,
        "Order price cannot be more than 95% away from the reference price": reasons.VENUE_PRICE,
        "Order would increase open interest while open interest is capped": reasons.VENUE_OPEN_INTEREST,
        "Only post-only orders allowed immediately after network upgrade": reasons.VENUE_POST_ONLY_PERIOD,
        "Order would cause position to exceed margin tier limit at current leverage": reasons.VENUE_POSITION_TIER,
        "Something new": reasons.VENUE_OTHER,
    }

    @pytest.mark.parametrize("text", ERRORS)
    def test_an_error_is_a_rejection_with_its_reason(self, desk: Desk, text: str) -> None:
        desk.place(1)
        desk.flush()
        desk.statuses(1, {"error": text})
        assert [(told.trigger, told.reason) for told in desk.diary.orders] == [("reject", self.ERRORS[text])]
        assert not desk.gateway.tracker.live

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("User or API Wallet 0x12 does not exist.", reasons.VENUE_SIGNER),
            ("Must deposit before performing actions. User: 0x12", reasons.VENUE_SIGNER),
            ("Invalid nonce: duplicate nonce 5", reasons.VENUE_NONCE),
            ("Action already expired", reasons.VENUE_EXPIRED),
            ("Too many cumulative requests sent (37986 > 10436) for cumulative", reasons.VENUE_RATE_LIMIT),
        ],
    )
    def test_a_refused_action_refuses_every_order_in_it(self, desk: Desk, text: str, reason: int) -> None:
        desk.place(1)
        desk.place(2)
        desk.flush()
        desk.answer(1, {"status": "err", "response": text})
        assert [(told.order_id, told.trigger, told.reason) for told in desk.diary.orders] == [
            (1, "reject", reason),
            (2, "reject", reason),
        ]

    def test_news_that_comes_twice_is_told_once_in_any_order(self, desk: Desk) -> None:
        desk.place(1)
        desk.flush()
        desk.update(1, "open")
        desk.statuses(1, {"resting": {"oid": 900}})
        desk.update(1, "open")
        assert desk.diary.triggers(1) == ["acknowledge"]
        desk.gateway.cancel(desk.now, 1, 0)
        desk.flush()
        desk.update(1, "canceled")
        desk.statuses(2, "success", kind="cancel")
        desk.update(1, "canceled")
        assert desk.diary.triggers(1) == ["acknowledge", "confirm_cancel"]

    def test_an_end_waits_for_the_fills_it_counts(self, desk: Desk) -> None:
        desk.resting(1)
        desk.update(1, "canceled", remaining="0.0004")
        assert desk.diary.triggers(1) == ["acknowledge"], "0.0006 was filled, and no fill is here"
        desk.fill(1, "0.0002", 1)
        desk.fill(1, "0.0004", 2)
        assert desk.diary.triggers(1) == ["acknowledge", "confirm_cancel"]
        assert [fill.size for fill in desk.diary.fills] == [20, 40]
        assert desk.gateway.tracker.waiting_ends == 0

    def test_fills_that_never_come_end_it_with_a_notice(self, desk: Desk) -> None:
        desk.resting(1)
        desk.update(1, "canceled", remaining="0.0004")
        desk.now += 11 * SECOND
        desk.gateway.tick(desk.now)
        assert desk.diary.triggers(1) == ["acknowledge", "confirm_cancel"]
        assert desk.diary.notices[-1][0] == "fills_missing"
        assert desk.gateway.tracker.waiting_ends == 0

    @pytest.mark.parametrize("early", [True, False])
    def test_an_order_filled_at_once(self, desk: Desk, early: bool) -> None:
        desk.place(1, tif=GOOD_TILL_CANCEL)
        desk.flush()
        if early:
            desk.fill(1, "0.001", 1)
        desk.statuses(1, {"filled": {"totalSz": "0.001", "avgPx": "83756.0", "oid": 900}})
        if not early:
            assert desk.diary.triggers(1) == ["acknowledge", "fill_whole"]
            desk.fill(1, "0.001", 1)
        desk.update(1, "filled", remaining="0.0")
        assert len(desk.diary.fills) == 1
        assert desk.diary.triggers(1) == ([] if early else ["acknowledge", "fill_whole"])
        assert not desk.gateway.tracker.live
        assert desk.gateway.tracker.waiting_ends == 0

    @pytest.mark.parametrize("early", [True, False])
    def test_what_an_ioc_does_not_fill_expires_after_its_fills(self, desk: Desk, early: bool) -> None:
        desk.place(1, tif=IMMEDIATE_OR_CANCEL)
        desk.flush()
        if early:
            desk.fill(1, "0.0004", 1)
        desk.statuses(1, {"filled": {"totalSz": "0.0004", "avgPx": "83756.0", "oid": 900}})
        if not early:
            assert desk.diary.triggers(1) == ["acknowledge"]
            desk.fill(1, "0.0004", 1)
        assert desk.diary.triggers(1) == ["acknowledge", "expire"]

    def test_a_gtc_that_took_a_part_rests_with_the_rest(self, desk: Desk) -> None:
        desk.place(1, tif=GOOD_TILL_CANCEL)
        desk.flush()
        desk.statuses(1, {"filled": {"totalSz": "0.0004", "avgPx": "83756.0", "oid": 900}})
        assert desk.diary.triggers(1) == ["acknowledge"]
        assert 1 in desk.gateway.tracker.live

    @pytest.mark.parametrize(
        ("status", "trigger", "reason"),
        [
            ("selfTradeCanceled", "confirm_cancel", reasons.VENUE_SELF_TRADE),
            ("scheduledCancel", "confirm_cancel", reasons.VENUE_CANCELLED),
            ("liquidatedCanceled", "confirm_cancel", reasons.VENUE_LIQUIDATED),
            ("somethingNewCanceled", "confirm_cancel", reasons.VENUE_CANCELLED),
            ("badAloPxRejected", "reject", reasons.VENUE_POST_ONLY),
            ("somethingNewRejected", "reject", reasons.VENUE_OTHER),
        ],
    )
    def test_statuses_of_the_stream(self, desk: Desk, status: str, trigger: str, reason: int) -> None:
        desk.place(1)
        desk.flush()
        desk.update(1, status)
        assert (desk.diary.orders[-1].trigger, desk.diary.orders[-1].reason) == (trigger, reason)
        desk.statuses(1, {"error": "Post only order would have immediately matched"})
        assert sum(told.trigger == trigger for told in desk.diary.orders) == 1

    def test_a_status_that_means_nothing_is_told_and_asked_about(self, desk: Desk) -> None:
        desk.resting(1)
        desk.update(1, "levitating")
        assert desk.diary.notices[-1][0] == "unknown_status"
        desk.gateway.tick(desk.now)
        assert desk.sent[-1]["request"]["payload"]["type"] == "orderStatus"


class TestUnknownOutcomes:
    LOSSES: dict[str, Callable[[Desk], None]] = {
        "connection lost": lambda desk: desk.posts.on_down(desk.now, "cut"),
        "no answer in time": lambda desk: desk.posts.expire(desk.now + 5 * SECOND),
        "server error": lambda desk: desk.answer(1, "502: bad gateway", kind="error"),
        "an answer that says nothing": lambda desk: desk.answer(1, {"status": "ok"}),
        "statuses that do not fit": lambda desk: desk.statuses(1, {"resting": {"oid": 1}}, {"resting": {"oid": 2}}),
    }

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_lost_answer_is_unknown_not_failed(self, desk: Desk, loss: str) -> None:
        desk.place(1)
        desk.flush()
        self.LOSSES[loss](desk)
        assert desk.diary.unknown == [1]
        assert not desk.diary.orders
        assert 1 in desk.gateway.tracker.live

    @pytest.mark.parametrize("status", [429, 422])
    def test_a_definite_refusal_is_a_rejection(self, desk: Desk, status: int) -> None:
        desk.place(1)
        desk.flush()
        desk.answer(1, f"{status}: no", kind="error")
        assert not desk.diary.unknown
        reason = reasons.VENUE_RATE_LIMIT if status == 429 else reasons.VENUE_OTHER
        assert [(told.trigger, told.reason) for told in desk.diary.orders] == [("reject", reason)]
        assert (desk.limits.back_off.until_ns > desk.now) == (status == 429)

    def test_what_an_update_told_already_is_not_unknown(self, desk: Desk) -> None:
        desk.place(1)
        desk.flush()
        desk.update(1, "open")
        desk.posts.on_down(desk.now, "cut")
        assert not desk.diary.unknown

    def lost(self, desk: Desk) -> None:
        """An order whose answer is lost, and the engine asks."""
        desk.place(1)
        desk.flush()
        desk.posts.on_down(desk.now, "cut")
        desk.gateway.query(desk.now, 1, 0)
        desk.flush()
        question = desk.sent[-1]["request"]["payload"]
        assert question["type"] == "orderStatus"
        assert parse_cloid(question["oid"]) == (SESSION, 1, 0)

    @pytest.mark.parametrize(
        ("status", "remaining", "triggers"),
        [
            ("open", "0.001", ["find_open"]),
            ("canceled", "0.001", ["acknowledge", "confirm_cancel"]),
            ("filled", "0.0", ["acknowledge", "fill_whole"]),
            ("badAloPxRejected", "0.001", ["reject"]),
        ],
    )
    def test_the_venue_is_asked_until_it_is_known(
        self, desk: Desk, status: str, remaining: str, triggers: list[str]
    ) -> None:
        self.lost(desk)
        desk.told(desk.sent[-1]["id"], status, remaining)
        assert desk.diary.triggers(1) == triggers
        assert len(desk.gateway.questions) == 0

    def test_absence_is_believed_only_after_the_order_can_no_longer_arrive(self, desk: Desk) -> None:
        self.lost(desk)
        asked = 0
        while desk.now < START + 10 * SECOND + LAG_NS:
            desk.told(desk.sent[-1]["id"], "unknownOid")
            assert not desk.diary.orders
            before = len(desk.sent)
            while len(desk.sent) == before:
                desk.now += SECOND // 10
                desk.gateway.tick(desk.now)
            asked += 1
        assert 4 < asked < 30, "again and again, but not in a storm"
        desk.told(desk.sent[-1]["id"], "unknownOid")
        assert desk.diary.triggers(1) == ["find_absent"]
        assert len(desk.gateway.questions) == 0
        assert not desk.gateway.tracker.live

    def test_an_answer_older_than_other_news_is_no_news(self, desk: Desk) -> None:
        self.lost(desk)
        question = desk.sent[-1]["id"]
        desk.update(1, "open")
        desk.told(question, "open")
        assert desk.diary.triggers(1) == ["acknowledge"]

    def test_a_question_without_answer_is_asked_again(self, desk: Desk) -> None:
        self.lost(desk)
        desk.answer(desk.sent[-1]["id"], "500: null", kind="error")
        before = len(desk.sent)
        desk.now += SECOND
        desk.gateway.tick(desk.now)
        assert len(desk.sent) == before + 1

    def test_after_a_reconnect_orders_that_are_not_open_are_asked_about(self, desk: Desk) -> None:
        for order_id in (1, 2, 3):
            desk.resting(order_id, oid=900 + order_id)
        desk.place(4)
        desk.flush()
        desk.fill(1, "0.001", 1)
        cloids = {order_id: desk.gateway.tracker.live[order_id].cloid for order_id in (3, 4)}
        desk.posts.on_down(desk.now, "cut")
        before = len(desk.sent)
        desk.gateway.resync(desk.now, [open_order(903, cloids[3]), open_order(904, cloids[4])])
        assert len(desk.sent) == before + 1, "order 1 has ended, 3 and 4 are open"
        assert desk.diary.triggers(3) == desk.diary.triggers(4) == ["acknowledge"]
        desk.told(desk.sent[-1]["id"], "canceled", oid=902)
        assert desk.diary.triggers(2) == ["acknowledge", "confirm_cancel"]


class TestCancels:
    def test_a_cancel_that_finds_nothing_is_refused_and_asked_about(self, desk: Desk) -> None:
        desk.resting(1)
        desk.gateway.cancel(desk.now, 1, 0)
        desk.flush()
        text = "Order was never placed, already canceled, or filled. asset=0"
        desk.statuses(2, {"error": text}, kind="cancel")
        assert desk.diary.orders[-1][1:3] == ("refuse_cancel", reasons.VENUE_NEVER_PLACED)

    def test_a_cancel_that_met_a_429_goes_again(self, desk: Desk) -> None:
        desk.resting(1)
        desk.gateway.cancel(desk.now, 1, 0)
        desk.flush()
        desk.answer(2, "429: null", kind="error")
        assert desk.diary.triggers(1) == ["acknowledge"]
        desk.now += 2 * SECOND
        desk.gateway.tick(desk.now)
        assert desk.sent[-1]["request"]["payload"]["action"]["type"] == "cancelByCloid"

    def test_a_cancel_of_what_has_ended_is_not_sent(self, desk: Desk) -> None:
        desk.resting(1)
        desk.fill(1, "0.001", 1)
        desk.gateway.cancel(desk.now, 1, 0)
        assert not desk.flush()


class TestFills:
    def test_each_fill_is_told_once_and_earns_budget(self, desk: Desk) -> None:
        desk.resting(1)
        cap = desk.limits.address.cap
        for _ in range(3):
            desk.fill(1, "0.0004", 7)
        assert desk.diary.fills == [(1, 0, 1, 837_560, 40, 12_563, False, 7)]
        assert desk.limits.address.cap == cap + 33

    def test_a_fill_may_come_before_the_answer(self, desk: Desk) -> None:
        desk.place(1)
        desk.flush()
        desk.fill(1, "0.0004", 7)
        desk.statuses(1, {"resting": {"oid": 900}})
        assert desk.diary.triggers(1) == ["acknowledge"]
        assert len(desk.diary.fills) == 1

    def test_earlier_and_booked_fills_are_left_out(self, desk: Desk) -> None:
        desk.fill(1, "0.0004", 7, time=START // 1_000_000 - 1)
        desk.account.skip([(START // 1_000_000, "BTC", 8, "B")])
        desk.fill(1, "0.0004", 8)
        assert not desk.diary.fills

    def test_fills_of_others_are_booked_without_an_order_and_told(self, desk: Desk) -> None:
        desk.fill(1, "0.0004", 7, cloid="0x" + "12" * 16)
        desk.fill(1, "0.0004", 8, cloid=None, side="A")
        desk.fill(1, "0.0004", 9, coin="DOGE")
        assert [(fill.order_id, fill.side) for fill in desk.diary.fills] == [(0, 1), (0, -1)]
        assert [kind for kind, _ in desk.diary.notices] == ["foreign_fill"] * 3

    def test_an_earlier_sessions_order_keeps_its_id_unless_that_is_taken(self, desk: Desk) -> None:
        desk.resting(1)
        desk.fill(1, "0.0004", 7, cloid=make_cloid(SESSION - 1, 1, 0), oid=5)
        desk.fill(1, "0.0004", 8, cloid=make_cloid(SESSION - 1, 2, 0), oid=6)
        assert [fill.order_id for fill in desk.diary.fills] == [0, 2]
        assert desk.gateway.tracker.live[1].seen == 0

    @pytest.mark.parametrize(
        "change", [{"px": "1.23456789"}, {"sz": "x"}, {"fee": ""}, {"feeToken": "HYPE"}, {"sz": "0.0"}]
    )
    def test_a_fill_that_cannot_be_read_breaks_trust_in_own_events(self, desk: Desk, change: dict[str, str]) -> None:
        size = change.pop("sz", "0.0004")
        desk.fill(1, size, 7, **change)
        assert not desk.diary.fills
        assert desk.diary.trust == {-1: Trust.BROKEN}
        assert desk.account.broken

    def test_both_sides_of_a_trade_with_oneself_are_two_fills(self, desk: Desk) -> None:
        for side in "BABA":
            desk.fill(1, "0.0004", 7, side=side)
        assert [(fill.side, fill.trade_id) for fill in desk.diary.fills] == [(1, 7), (-1, 7)]

    def test_a_rebate_is_negative(self, desk: Desk) -> None:
        desk.fill(1, "0.0004", 7, fee="-0.000378")
        assert desk.diary.fills[0].fee == -378

    def test_funding_is_told_once(self, desk: Desk) -> None:
        payment = wire.FundingPayment(START // 1_000_000, "BTC", "-0.044263", "0.01", "0.0000369155")
        old = wire.FundingPayment(START // 1_000_000 - 1, "BTC", "-0.044263", "0.01", "0.0000369155")
        desk.account.on_fundings([payment, payment, old], desk.now)
        assert desk.diary.fundings == [(0, -44_263, 36_915_500, 1_000)]


@pytest.mark.parametrize("text", ["", "x", "POST ONLY ORDER WOULD HAVE IMMEDIATELY MATCHED"])
def test_reasons_are_matched_loosely(text: str) -> None:
    assert reason_of(text) == (reasons.VENUE_POST_ONLY if len(text) > 1 else reasons.VENUE_OTHER)


def test_fates_of_unknown_statuses() -> None:
    assert fate_of("xCanceled") == (OrderFate.CANCELLED, reasons.VENUE_CANCELLED)
    assert fate_of("weird") is None
