"""The list of live orders, against a plain list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatmanifesto.model.order import Order, OrderList


def an_order(number: int) -> Order:
    order = Order(number)
    order.order_id = number
    return order


@given(st.lists(st.one_of(st.just(-1), st.just(-1), st.integers(0, 9), st.just(99)), max_size=80))
def test_it_is_a_list_whose_storage_stays_near_the_most_it_ever_held(steps: list[int]) -> None:
    """-1 adds an order, 99 clears, other numbers take out the order at that place."""
    orders, plain, number, most = OrderList(), list[Order](), 0, 0
    for step in steps:
        if step == 99:
            orders.clear()
            plain.clear()
        elif step < 0:
            number += 1
            plain.append(an_order(number))
            orders.append(plain[-1])
        elif step < len(plain):
            orders.remove(plain.pop(step))
        most = max(most, len(plain))
        assert orders.count == len(plain)
        assert [order.order_id for order in orders.snapshot()] == [order.order_id for order in plain]
        assert len(orders.items) <= 2 * most + 1


def test_an_order_that_is_not_there_cannot_be_taken_out() -> None:
    orders = OrderList()
    first, second = an_order(1), an_order(2)
    orders.append(first)
    orders.append(second)
    orders.remove(first)
    with pytest.raises(IndexError, match="order 1 is not among these"):
        orders.remove(first)
    assert orders.snapshot() == [second]
