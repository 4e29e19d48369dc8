"""touch_joiner: joins the best bid and the best ask with a fixed size, inside an inventory limit."""

from mypy_extensions import i64

from hatmanifesto.core.strategy import Quotes, Strategy, View


class TouchJoiner(Strategy):
    """Quotes `order_size` at the best prices; a side is left out once the position has reached `max_position` there.

    Sizes in the instrument's size units.
    """

    def __init__(self, order_size: int, max_position: int) -> None:
        if order_size <= 0 or max_position <= 0:
            raise ValueError(
                f"touch_joiner needs a positive order_size and max_position, got {order_size} and {max_position}"
            )
        self.order_size: i64 = order_size
        self.max_position: i64 = max_position

    def quote(self, view: View, quotes: Quotes) -> None:
        if view.position < self.max_position:
            quotes.bid(view.bid_price, self.order_size)
        if view.position > -self.max_position:
            quotes.ask(view.ask_price, self.order_size)
