"""The transition table: what must and what must not be in it."""

import pytest

from hatmanifesto.core.state_machine import StateMachine
from hatmanifesto.model import order_state as states
from hatmanifesto.model.order_state import (
    DONE_BITS,
    DONE_STATES,
    LIVE_BITS,
    LIVE_STATES,
    STATE_COUNT,
    STATE_MEANINGS,
    TRANSITIONS,
    TRIGGER_COUNT,
    OrderState,
    Trigger,
)


def test_the_state_machine_moves_by_the_table_and_by_nothing_else() -> None:
    machine = StateMachine()
    order = machine.take_order(0)
    assert order is not None
    for state in range(STATE_COUNT):
        for trigger in range(TRIGGER_COUNT):
            order.state = state
            assert machine.move(order, trigger) == ((state, trigger) in TRANSITIONS)
            assert order.state == TRANSITIONS.get((state, trigger), state)


@pytest.mark.parametrize("live", [0, 3, 15, 16, 100, 5000])
def test_an_ended_order_is_found_until_fifteen_others_were_sent_however_many_rest(live: int) -> None:
    machine = StateMachine()
    resting = [machine.take_order(0) for _ in range(live)]
    assert None not in resting
    ended = machine.take_order(0)
    assert ended is not None
    order_id = ended.order_id
    machine.free_order(ended)
    for _ in range(15):
        assert machine.find(order_id) is ended
        other = machine.take_order(0)
        assert other is not None
        machine.free_order(other)
    assert machine.find(order_id) is ended


def test_states_and_triggers_are_numbered_without_gaps_and_all_have_a_meaning() -> None:
    assert sorted(OrderState) == list(range(STATE_COUNT))
    assert sorted(Trigger) == list(range(TRIGGER_COUNT))
    assert set(STATE_MEANINGS) == set(OrderState)


def test_every_state_can_be_reached_and_every_one_leads_to_attributed() -> None:
    reached = {states.IDLE}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(range(STATE_COUNT))
    ends = {states.ATTRIBUTED}
    while True:
        more = {before for (before, _), after in TRANSITIONS.items() if after in ends} - ends
        if not more:
            break
        ends |= more
    assert ends == set(range(STATE_COUNT))


def test_only_a_late_fill_happens_after_attribution() -> None:
    assert {trigger for (state, trigger) in TRANSITIONS if state == states.ATTRIBUTED} == {states.FILL_LATE}


@pytest.mark.parametrize("state", sorted(LIVE_STATES))
def test_a_live_order_can_always_be_filled_and_cancel_confirmed(state: int) -> None:
    assert TRANSITIONS[state, states.FILL_WHOLE] == states.FILLED
    assert (state, states.FILL_PART) in TRANSITIONS
    assert TRANSITIONS[state, states.CONFIRM_CANCEL] == states.CANCELLED


@pytest.mark.parametrize("state", sorted(DONE_STATES))
def test_an_ended_order_never_lives_again(state: int) -> None:
    after = {TRANSITIONS[key] for key in TRANSITIONS if key[0] == state}
    assert after <= {state, states.ATTRIBUTED}


def test_only_a_definite_answer_leaves_unknown() -> None:
    stays = {t for (s, t), after in TRANSITIONS.items() if s == states.UNKNOWN and after == states.UNKNOWN}
    assert stays == {states.TIME_OUT, states.FILL_PART, states.REFUSE_CANCEL}
    assert (states.UNKNOWN, states.REQUEST_CANCEL) not in TRANSITIONS


def test_nothing_is_sent_before_risk_and_validator_have_agreed() -> None:
    assert {key for key, after in TRANSITIONS.items() if after == states.SUBMITTED} == {
        (states.VALIDATED, states.SUBMIT)
    }
    assert {key for key, after in TRANSITIONS.items() if after == states.VALIDATED} == {
        (states.APPROVED, states.VALIDATE)
    }


def test_denied_is_local_and_rejected_is_the_venues() -> None:
    before_denied = {key[0] for key, after in TRANSITIONS.items() if after == states.DENIED}
    assert before_denied == {states.SIGNAL, states.APPROVED, states.VALIDATED, states.DENIED} - {states.DENIED}
    before_rejected = {key[0] for key, after in TRANSITIONS.items() if after == states.REJECTED}
    assert before_rejected - {states.REJECTED} <= set(LIVE_STATES)


def test_the_bit_sets_are_the_sets() -> None:
    assert {s for s in range(STATE_COUNT) if LIVE_BITS >> s & 1} == set(LIVE_STATES)
    assert {s for s in range(STATE_COUNT) if DONE_BITS >> s & 1} == set(DONE_STATES)
