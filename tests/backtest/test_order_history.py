"""Orders followed many at a time are those that a plain walk through the records finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest import order_history as h
from hatmanifesto.backtest.order_history import OrderHistory
from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    CONFIRM_CANCEL,
    DONE_STATES,
    EXPIRE,
    FILL_PART,
    FILL_WHOLE,
    FIND_OPEN,
    REJECT,
    REQUEST_CANCEL,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
)
from hatmanifesto.model.record import CANCEL, DENY, FILL, ORDER_EVENT, SUBMIT, TIMEOUT, VIEW


def batch(records: list[tuple[int, int, list[int]]], first_seq: int = 0) -> Batch:
    """Pack (kind, aux, words from the time on) without checks."""
    words: list[int] = []
    starts = []
    for kind, aux, rest in records:
        starts.append(len(words))
        words += [kind | (1 + len(rest)) << 8 | aux << 16, *rest]
    return Batch(
        np.array(words, dtype=np.int64),
        np.array(starts, dtype=np.int64),
        np.arange(first_seq, first_seq + len(records)),
        np.array([kind for kind, _, _ in records], dtype=np.uint8),
        b"",
    )


def view(ts: int, bid: int, ask: int):
    return (VIEW, 0, [ts, 0, bid, 5, ask, 5, ts, 0, 0, 0, 0, 0])


def submit(ts: int, order_id: int, price: int = 100, size: int = 10, buy: bool = True):
    return (SUBMIT, 0, [ts, order_id, price, size, int(buy)])


def event(ts: int, order_id: int, trigger: int, reason: int = 0):
    return (ORDER_EVENT, trigger | reason << 8, [ts, order_id, ts - 3])


def fill(ts: int, order_id: int, size: int, taker: bool = False):
    return (FILL, int(taker), [ts, order_id, 100, size, 1, ts - 3, 77, 1])


def cancel(ts: int, order_id: int, reason: int = 110):
    return (CANCEL, reason, [ts, order_id])


def test_one_order_from_submit_to_fill_in_one_batch():
    history = OrderHistory()
    done = history.feed(
        batch(
            [
                view(10, 99, 101),
                submit(10, 7),
                event(20, 7, ACKNOWLEDGE),
                fill(30, 7, 4),
                fill(40, 7, 6),
                fill(50, 7, 1),  # late, and more than there was: booked, but no longer the order's
            ]
        )
    )
    (order,) = done.table[:, done.ended].T
    assert order[h.STATE] == TRANSITIONS[(SUBMITTED, FILL_WHOLE)]
    assert order[h.FILLED] == 10
    assert (order[h.BID], order[h.ASK]) == (99, 101)
    assert (order[h.SUBMITTED_NS], order[h.ACKED_NS], order[h.ENDED_NS]) == (10, 20, 40)
    assert (order[h.ARRIVED_EXCH_NS], order[h.RESTING_EXCH_NS], order[h.ENDED_EXCH_NS]) == (17, 17, 37)
    assert order[h.ENDED_SEQ] == 4
    assert done.fills[h.F_SIZE].tolist() == [4, 6, 1]
    assert done.fills[h.F_DECISION_MID].tolist() == [200, 200, 200]
    assert history.working().shape[1] == 0


def test_a_late_fill_finds_its_strategy_in_a_later_batch_and_a_stranger_has_none():
    history = OrderHistory()
    order = (SUBMIT, 3 << 8, [10, 7, 100, 10, 1])
    history.feed(batch([view(10, 99, 101), order, event(20, 7, ACKNOWLEDGE), cancel(25, 7)]))
    history.feed(batch([event(30, 7, CONFIRM_CANCEL)]))
    done = history.feed(batch([fill(40, 7, 2), fill(50, 8, 2)]))
    assert done.fills[h.F_STRATEGY].tolist() == [3, -1]
    assert done.fills[h.F_DECISION_MID].tolist() == [200, 0]
    assert done.fills[h.F_PLACE].tolist() == [-1, -1]


def test_a_denied_order_keeps_value_limit_and_the_touch_it_saw():
    deny = (DENY, 5, [12, 0, 100, 10, 0, 11, 9, 2 << 8 | 1])
    done = OrderHistory().feed(batch([view(10, 99, 101), deny, view(13, 1, 2)]))
    (order,) = done.denied.T
    assert (order[h.REASON], order[h.VALUE], order[h.LIMIT], order[h.SIDE]) == (5, 11, 9, -1)
    assert (order[h.STRATEGY], order[h.INSTRUMENT], order[h.BID], order[h.ASK]) == (2, 1, 99, 101)


class Walk:
    """The plain way: record by record, a dictionary of orders."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, int]] = {}

    def take(self, kind: int, aux: int, words: list[int], seq: int) -> None:
        ts, order_id = words[0], words[1]
        if kind == SUBMIT:
            self.orders[order_id] = dict.fromkeys(
                ("acked", "ended", "filled", "reason", "cancel_reason", "cancelled", "seq", "arrived"), 0
            ) | {"state": SUBMITTED, "size": words[3]}
            return
        order = self.orders.get(order_id)
        if order is None or order["ended"]:
            return
        if kind in (ORDER_EVENT, FILL) and not order["arrived"]:
            order["arrived"] = words[2] if kind == ORDER_EVENT else words[5]
        if kind == CANCEL:
            order["cancelled"], order["cancel_reason"] = ts, aux
            trigger = REQUEST_CANCEL
        elif kind == TIMEOUT:
            trigger = TIME_OUT
        elif kind == FILL:
            order["filled"] += words[3]
            trigger = FILL_WHOLE if order["filled"] >= order["size"] else FILL_PART
        else:
            trigger = aux & 0xFF
            order["reason"] = aux >> 8 or order["reason"]
            if trigger in (ACKNOWLEDGE, FIND_OPEN) and not order["acked"]:
                order["acked"] = ts
        after = TRANSITIONS.get((order["state"], trigger))
        if after is None:
            return
        order["state"] = after
        if after in DONE_STATES:
            order["ended"], order["seq"] = ts, seq


STEPS = st.lists(
    st.tuples(
        st.integers(1, 6),  # the order
        st.sampled_from(
            ["submit", "ack", "found", "cancel", "confirm", "reject", "expire", "timeout", "fill", "fill", "fill"]
        ),
        st.booleans(),  # whether a batch ends here
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_sequence_of_records_in_any_batches_gives_what_a_plain_walk_gives(steps):
    walk, history = Walk(), OrderHistory()
    known: set[int] = set()
    held: list[tuple[int, int, list[int]]] = []
    ended: dict[int, np.ndarray] = {}
    seq = first = 0

    def feed() -> None:
        nonlocal held, first
        if held:
            done = history.feed(batch(held, first))
            sequence = done.table[h.ENDED_SEQ, done.ended]
            assert sequence.tolist() == sorted(sequence.tolist())
            for order in done.table[:, done.ended].T:
                ended[int(order[h.ORDER_ID])] = order
        held, first = [], seq

    for number, (order_id, what, last) in enumerate(steps):
        ts = 1_000 + 10 * number
        if what == "submit" and order_id in known:
            continue
        known.add(order_id)
        record = {
            "submit": submit(ts, order_id),
            "ack": event(ts, order_id, ACKNOWLEDGE),
            "found": event(ts, order_id, FIND_OPEN),
            "cancel": cancel(ts, order_id),
            "confirm": event(ts, order_id, CONFIRM_CANCEL, 113),
            "reject": event(ts, order_id, REJECT, 60),
            "expire": event(ts, order_id, EXPIRE, 61),
            "timeout": (TIMEOUT, TIME_OUT, [ts, order_id]),
            "fill": fill(ts, order_id, 4),
        }[what]
        walk.take(*record, seq)
        held.append(record)
        seq += 1
        if last:
            feed()
    feed()
    found = ended | {int(order[h.ORDER_ID]): order for order in history.working().T}
    assert set(found) == set(walk.orders)
    for order_id, expected in walk.orders.items():
        order = found[order_id]
        assert {
            "acked": order[h.ACKED_NS], "ended": order[h.ENDED_NS], "filled": order[h.FILLED],
            "reason": order[h.REASON], "cancel_reason": order[h.CANCEL_REASON], "cancelled": order[h.CANCEL_NS],
            "seq": order[h.ENDED_SEQ], "arrived": order[h.ARRIVED_EXCH_NS], "state": order[h.STATE],
            "size": order[h.SIZE],
        } == expected  # fmt: skip


@pytest.mark.parametrize("count", [1, 5_000])
def test_an_order_of_many_fills_in_one_batch_is_filled_by_all_of_them(count):
    fills = [fill(30 + at, 7, 1) for at in range(count)]
    done = OrderHistory().feed(batch([submit(10, 7, size=count), event(20, 7, ACKNOWLEDGE), *fills]))
    (order,) = done.table[:, done.ended].T
    assert order[h.FILLED] == count
    assert order[h.ENDED_NS] == 29 + count
