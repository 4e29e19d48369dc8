"""Closing a desk on an operator's or the kill switch's word: what is quoted in place of its strategy's quotes."""

from typing import Final

from mypy_extensions import i64

from hatmanifesto.core.portfolio import Desk
from hatmanifesto.core.strategy import Quotes, View

NOT_CLOSING: Final = -1
RETRY_NS: Final = 250_000_000
"""How long a closing desk waits for an answer and for the book before it asks for the rest again."""


def quote_close(desk: Desk, view: View, quotes: Quotes) -> None:
    """Want the desk's position gone: reduce-only, immediate-or-cancel, at most closing_bps beyond the best price.

    Only as much as one order may have under the limits, and no more than the instrument's net position, since a
    desk may hold what another one on the same instrument offsets; the rest is asked for again.
    """
    held = view.position
    holding = desk.holding
    net = holding.position.size
    if held == 0 or net == 0 or (held > 0) != (net > 0):
        return
    side: i64 = -1 if held > 0 else 1
    best = view.bid_price if side < 0 else view.ask_price
    price = best + side * (best * desk.closing_bps // 10_000)
    size = held if held > 0 else -held
    if size > net * -side:
        size = net * -side
    limits = holding.limits
    if size > limits.max_order_size:
        size = limits.max_order_size
    if size > holding.instrument.max_size:
        size = holding.instrument.max_size
    worth = (price if price > view.mark_price else view.mark_price) * holding.factor
    if worth > 0 and size > limits.max_order_notional // worth:
        size = limits.max_order_notional // worth
    size -= size % holding.instrument.lot_size
    if price > 0 and size > 0:
        quotes.exit(side, price, size, False)
