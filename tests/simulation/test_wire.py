"""The line between engine and venue against a plain queue: nothing lost, nothing overtaken, however many wait."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.ports import NEVER
from hatmanifesto.simulation.wire import EVENT, Line

# how many to send, how much time passes before each, and how many to take then
STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(-3, 5), st.integers(0, 40)), max_size=30)


@given(STEPS)
def test_a_line_delivers_what_was_sent_in_its_order_and_never_backwards(steps):
    line = Line()
    expected: deque[tuple[int, int]] = deque()
    now = last = sent = 0
    for sends, passes, takes in steps:
        for _ in range(sends):
            now = max(0, now + passes)
            sent += 1
            line.send(now, EVENT, sent).exch_ts = now
            last = max(last, now)
            expected.append((last, sent))
            assert line.next_ns == expected[0][0]
        for _ in range(min(takes, len(expected))):
            arrival, order_id = expected.popleft()
            assert line.next_ns == arrival
            assert line.take().order_id == order_id
            assert line.next_ns == (expected[0][0] if expected else NEVER)


def test_a_message_taken_stays_as_it_was_until_the_line_has_gone_round():
    line = Line()
    line.send(1, EVENT, 1)
    message = line.take()
    for order_id in range(2, 16):
        line.send(order_id, EVENT, order_id)
        assert line.take().order_id == order_id
    assert message.order_id == 1
