"""Any interleaving of requests, answers, updates, fills, losses and reconnects: the engine's table takes every step.

A small model of the venue holds the truth of one order. Requests reach it and messages leave it in an order that
hypothesis chooses; answers may be lost and the connection may be cut. Whatever happens, each trigger that the adapter
tells must be a step of the engine's transition table, and in the end the engine knows the truth.
"""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    CANCEL_PENDING,
    CANCELLED,
    EXPIRED,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    FILLED,
    OPEN,
    PARTIALLY_FILLED,
    REFUSE_CANCEL,
    REJECTED,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
    UNKNOWN,
)
from venues.hyperliquid.test_gateway import SECOND, Desk, open_order
from venues.listening import Diary

SIZE = 100
DONE = {FILLED, CANCELLED, REJECTED, EXPIRED}


class Engine(Diary):
    """The engine's side: one order's state by the real table, and what the engine asks when it does not know."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.state = SUBMITTED
        self.filled = 0
        self.late = 0
        self.excused = False
        """Whether a fill may be late: a cancel's answer overtook it, or it did not come while it was waited for."""
        self.history: list[tuple[int, int]] = []

    def step(self, trigger: int) -> None:
        assert (self.state, trigger) in TRANSITIONS, f"{self.state} has no step {trigger}; so far {self.history}"
        self.history.append((self.state, trigger))
        self.state = TRANSITIONS[(self.state, trigger)]

    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None:
        assert self.state not in DONE, f"{trigger} was told of an order that has ended: {self.history}"
        if trigger == FILL_WHOLE:
            return
        before = self.state
        self.step(trigger)
        if self.state == UNKNOWN and trigger == REFUSE_CANCEL:
            self.desk.gateway.query(now_ns, 1, 0)
        elif before == UNKNOWN and self.state == CANCEL_PENDING:
            self.pursue(now_ns)
        elif trigger == ACKNOWLEDGE:
            assert self.state in (OPEN, PARTIALLY_FILLED, CANCEL_PENDING)

    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None:
        self.time_out(now_ns)

    def pursue(self, now_ns: int) -> None:
        self.desk.gateway.cancel(now_ns, 1, 0)
        self.desk.gateway.query(now_ns, 1, 0)

    def on_fill(self, now_ns: int, order_id: int, *told: Any) -> None:
        size = told[3]
        assert order_id == 1
        self.filled += size
        assert self.filled <= SIZE
        if self.state in DONE:
            self.late += size
            self.step(FILL_LATE)
        else:
            self.step(FILL_WHOLE if self.filled == SIZE else FILL_PART)

    def time_out(self, now_ns: int) -> None:
        """An answer is overdue, as the engine's own deadlines say."""
        if self.state in (SUBMITTED, CANCEL_PENDING, UNKNOWN):
            self.step(TIME_OUT)
            self.pursue(now_ns)

    def ask_to_cancel(self, now_ns: int) -> None:
        if (self.state, REQUEST_CANCEL) in TRANSITIONS:
            self.step(REQUEST_CANCEL)
            self.desk.gateway.cancel(now_ns, 1, 0)


class Truth:
    """The venue's side: the order as it is, and what was sent and is under way to us."""

    def __init__(self, desk: Desk, engine: Engine, tif: int, takes: int) -> None:
        self.desk = desk
        self.desk_engine = engine
        self.tif = tif
        self.takes = takes
        self.status = ""
        self.filled = 0
        self.taken = 0
        self.requests: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str, Any]] = []
        self.updates: list[str] = []
        self.fills: list[tuple[int, int]] = []
        self.all_fills: list[tuple[int, int]] = []
        self.seen = 0

    def collect(self) -> None:
        self.requests += self.desk.sent[self.seen :]
        self.seen = len(self.desk.sent)

    def rest(self) -> str:
        return f"{(SIZE - self.filled) / 100_000:.5f}"

    def fill(self, size: int) -> None:
        size = min(size, SIZE - self.filled)
        if size:
            self.filled += size
            self.taken += 1
            self.fills.append((size, self.taken))
            self.all_fills.append((size, self.taken))
            if self.filled == SIZE:
                self.change("filled")

    def change(self, status: str) -> None:
        self.status = status
        self.updates.append(f"{status} {self.rest()}")

    def execute(self, at: int) -> None:
        """Execute a request that arrived; its answer is under way from now on."""
        request = self.requests.pop(at)
        post_id, payload = request["id"], request["request"]["payload"]
        if request["request"]["type"] == "info":
            self.answers.append((post_id, "status", (self.status, self.rest())))
        elif payload["action"]["type"] == "order":
            self.answers.append((post_id, "order", self.place(payload)))
        elif self.status == "open":
            self.change("canceled")
            self.answers.append((post_id, "cancel", "success"))
        else:
            text = "Order was never placed, already canceled, or filled. asset=0"
            self.answers.append((post_id, "cancel", {"error": text}))

    def place(self, payload: dict[str, Any]) -> Any:
        if payload["expiresAfter"] < self.desk.now // 1_000_000:
            return {"error": "Action already expired"}
        if self.tif == POST_ONLY and self.takes:
            self.change("badAloPxRejected")
            return {"error": "Post only order would have immediately matched, bbo was 1@2. asset=0"}
        if self.tif == IMMEDIATE_OR_CANCEL and not self.takes:
            self.change("iocCancelRejected")
            return {"error": "Order could not immediately match against any resting orders. asset=0"}
        self.status = "open"
        self.fill(self.takes)
        if self.status == "open":
            self.change("canceled" if self.tif == IMMEDIATE_OR_CANCEL else "open")
        if self.takes:
            return {"filled": {"totalSz": f"{self.filled / 100_000:.5f}", "avgPx": "83756.0", "oid": 900}}
        return {"resting": {"oid": 900}}

    def deliver_answer(self, at: int) -> None:
        post_id, kind, answer = self.answers.pop(at)
        if answer == "success" and self.desk_engine.filled < self.filled:
            self.desk_engine.excused = True
        if kind == "status":
            self.desk.told(post_id, answer[0] or "unknownOid", answer[1])
        elif kind == "order" and answer == {"error": "Action already expired"}:
            self.desk.answer(post_id, {"status": "err", "response": "Action already expired"})
        else:
            self.desk.statuses(post_id, answer, kind=kind)

    def deliver_update(self, repeat: bool) -> None:
        status, remaining = self.updates[0].split()
        if not repeat:
            self.updates.pop(0)
        self.desk.update(1, status, remaining)

    def deliver_fill(self, repeat: bool) -> None:
        size, tid = self.fills[0]
        if not repeat:
            self.fills.pop(0)
        self.tell_fill(size, tid)

    def tell_fill(self, size: int, tid: int) -> None:
        self.desk.fill(1, f"{size / 100_000:.5f}", tid, time=self.desk.now_ms0 + tid)

    def cut(self) -> None:
        """The connection ends: answers and events under way are gone; afterwards what was missed is asked for."""
        self.answers.clear()
        self.updates.clear()
        self.fills.clear()
        self.desk.posts.on_down(self.desk.now, "cut")
        self.desk.gateway.flush(self.desk.now)
        self.recover()

    def recover(self) -> None:
        for size, tid in self.all_fills:
            self.tell_fill(size, tid)
        live = self.desk.gateway.tracker.live.get(1)
        orders = [open_order(900, live.cloid)] if live is not None and self.status == "open" else []
        self.desk.gateway.resync(self.desk.now, orders)


MOVES = (
    "execute", "answer", "lose", "update", "again", "fill", "fill again", "trade", "venue cancels", "cancel", "cut",
    "wait",
)  # fmt: skip


INTERLEAVINGS = {
    "tif": st.sampled_from([POST_ONLY, GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL]),
    "takes": st.sampled_from([0, 40, 100]),
    "moves": st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 5)), max_size=30),
}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(**INTERLEAVINGS)
# a question is answered after the order stream told the same
@example(0, 0, [("wait", 2), ("execute", 0), ("execute", 1), ("update", 0), ("answer", 1)])
# a question overtakes the order that it asks about
@example(0, 0, [("wait", 2), ("execute", 2), ("answer", 0)])
# the end overtakes the fill that it counts
@example(0, 0, [("execute", 0), ("answer", 0), ("trade", 0), ("venue cancels", 0), ("update", 0), ("update", 0)])
def test_every_interleaving_is_a_path_through_the_table(tif: int, takes: int, moves: list[tuple[str, int]]) -> None:
    follow(tif, takes, moves)


@pytest.mark.soak
@settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(**INTERLEAVINGS)
def test_ten_thousand_interleavings_are_paths_through_the_table(
    tif: int, takes: int, moves: list[tuple[str, int]]
) -> None:
    follow(tif, takes, moves)


def follow(tif: int, takes: int, moves: list[tuple[str, int]]) -> None:
    """Play one interleaving to its end and compare what the engine knows with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder), ip_weight=1 << 30)
        desk.now_ms0 = desk.now // 1_000_000  # type: ignore[attr-defined]
        engine = Engine(desk)
        desk.diary = engine
        desk.gateway.begin(engine, 77)
        desk.account._listener = engine
        truth = Truth(desk, engine, tif, takes)
        desk.place(1, tif=tif, size=SIZE)
        desk.flush()
        truth.collect()
        for move, pick in moves:
            play(desk, engine, truth, move, pick)
            desk.gateway.flush(desk.now)
            truth.collect()
        settle(desk, engine, truth)
        desk.nonces.close()
    assert engine.excused or not engine.late, engine.history
    assert engine.filled == truth.filled
    expected = {"filled": {FILLED}, "canceled": {CANCELLED, EXPIRED}, "": {REJECTED}}.get(truth.status, {REJECTED})
    assert engine.state in expected, (engine.state, truth.status, engine.history)


def play(desk: Desk, engine: Engine, truth: Truth, move: str, pick: int) -> None:
    """Do one thing, if it can be done."""
    match move:
        case "execute" if truth.requests:
            truth.execute(pick % len(truth.requests))
        case "answer" if truth.answers:
            truth.deliver_answer(pick % len(truth.answers))
        case "lose" if truth.answers:
            truth.answers.pop(pick % len(truth.answers))
        case "update" | "again" if truth.updates:
            truth.deliver_update(move == "again")
        case "fill" | "fill again" if truth.fills:
            truth.deliver_fill(move == "fill again")
        case "trade" if truth.status == "open":
            truth.fill(20)
        case "venue cancels" if truth.status == "open":
            truth.change("selfTradeCanceled" if pick else "canceled")
            truth.status = "canceled"
        case "cancel":
            engine.ask_to_cancel(desk.now)
        case "cut":
            truth.cut()
        case "wait":
            desk.now += (1, 3, 6, 11, 20, 40)[pick] * SECOND
            engine.excused |= desk.gateway.tracker.waiting_ends > 0
            desk.gateway.tick(desk.now)


def settle(desk: Desk, engine: Engine, truth: Truth) -> None:
    """Let everything arrive, and time pass, until the engine knows; an order that works is cancelled."""
    for second in range(200):
        truth.collect()
        while truth.requests:
            truth.execute(0)
        while truth.fills:
            truth.deliver_fill(False)
        while truth.updates:
            truth.deliver_update(False)
        while truth.answers:
            truth.deliver_answer(0)
        desk.gateway.flush(desk.now)
        truth.collect()
        if engine.state in DONE and not truth.requests and not truth.fills:
            return
        if engine.state in (OPEN, PARTIALLY_FILLED):
            engine.ask_to_cancel(desk.now)
        elif second % 5 == 4:
            engine.time_out(desk.now)
        desk.now += SECOND
        desk.gateway.tick(desk.now)
        if engine.state not in DONE and not truth.requests:
            truth.recover()
        desk.gateway.flush(desk.now)
    raise AssertionError(f"the engine never came to know: {engine.state}, venue {truth.status!r}, {engine.history}")
