"""A strategy for measurements: many small orders at fixed prices far from the market, which it never changes."""

from hatmanifesto.core.strategy import Quotes, Strategy, View


class Ladder(Strategy):
    """`levels` bids below `bottom` and as many asks above `top`, `step` price units apart; `size` each."""

    def __init__(self, bottom: int, top: int, step: int, levels: int, size: int) -> None:
        self.bottom, self.top, self.step, self.levels, self.size = bottom, top, step, levels, size

    def quote(self, view: View, quotes: Quotes) -> None:
        for level in range(self.levels):
            quotes.bid(self.bottom - level * self.step, self.size)
            quotes.ask(self.top + level * self.step, self.size)
