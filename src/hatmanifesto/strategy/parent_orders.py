"""parent_orders: buys and sells a fixed size within a time, again and again, to compare ways of execution."""

from typing import Final

from mypy_extensions import i64

from hatmanifesto.core.strategy import BEST_CHANGED, NORMAL, OWN_EVENT, TIMER, Quotes, Strategy, View

STYLES: Final = ("routed", "passive", "cross")


class ParentOrders(Strategy):
    """From `delay` after its first decision on, every `every` ns, one parent order of `order_size`, the sides in turn.

    `first_side` is that of the first, +1 buys. `style`: `routed` hands it to the router with normal urgency, whose
    `take_after` should be `within`; `passive` joins the best price for `within` ns and then takes; `cross` takes at
    once. Takers pay at most `reach_bps` beyond the opposite best; what is below the venue's minimum is left.

    Raises ValueError for values that make no schedule.
    """

    def __init__(
        self,
        order_size: int,
        every: int,
        within: int,
        style: str = "routed",
        delay: int = 0,
        first_side: int = 1,
        reach_bps: int = 20,
    ) -> None:
        if order_size <= 0 or not 0 < within < every or delay < 0:
            raise ValueError(
                f"parent_orders needs order_size > 0, delay >= 0 and 0 < within < every, got {order_size}, {delay}, "
                f"{within} and {every}"
            )
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
        if first_side != 1 and first_side != -1:
            raise ValueError(f"first_side must be 1 or -1, got {first_side}")
        if not 0 <= reach_bps <= 1000:
            raise ValueError(f"reach_bps must lie between 0 and 1000, got {reach_bps}")
        self.triggers = BEST_CHANGED | OWN_EVENT | TIMER
        self.interval_ns = 250_000_000
        self.order_size: i64 = order_size
        self.every: i64 = every
        self.within: i64 = within
        self.style: str = style
        self.delay: i64 = delay
        self.first_side: i64 = first_side
        self.reach_bps: i64 = reach_bps
        self.begin_ns: i64 = -1
        self.number: i64 = -1
        self.side: i64 = first_side
        self.target: i64 = 0

    def quote(self, view: View, quotes: Quotes) -> None:
        now = view.now_ns
        if self.begin_ns < 0:
            self.begin_ns = now + self.delay
        if now < self.begin_ns:
            return
        number = (now - self.begin_ns) // self.every
        if number != self.number:
            self.number = number
            self.side = self.first_side if number % 2 == 0 else -self.first_side
            self.target = view.position + self.side * self.order_size
        side = self.side
        rest = (self.target - view.position) * side
        best = view.bid_price if side > 0 else view.ask_price
        instrument = view.instrument
        if rest <= 0 or instrument.notional(best, rest) < instrument.min_notional:
            return
        late = now - self.begin_ns - number * self.every >= self.within
        if self.style == "cross" or (late and self.style == "passive"):
            opposite = view.ask_price if side > 0 else view.bid_price
            quotes.take(side, opposite + side * (opposite * self.reach_bps // 10_000), rest)
        elif self.style == "passive":
            if side > 0:
                quotes.bid(best, rest)
            else:
                quotes.ask(best, rest)
        else:
            quotes.work(side, best, rest, NORMAL)
