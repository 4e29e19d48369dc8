"""One instrument's prices beside its book: mark, oracle, last trade, and how much is open."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.live.order_book import LiveBook


@final
class Prices:
    """Price units, 0 while unknown. `open_interest` is the sum of all long positions; its cap 0 means none."""

    def __init__(self, book: LiveBook) -> None:
        self._book: Final[LiveBook] = book
        self.mark: i64 = 0
        self.oracle: i64 = 0
        self.last: i64 = 0
        self.open_interest: i64 = 0
        self.open_interest_cap: i64 = 0

    def capped(self) -> bool:
        """Tell whether open interest has reached its cap."""
        return 0 < self.open_interest_cap <= self.open_interest

    def reference(self) -> i64:
        """Return the price that order prices are held against: mark, else oracle, else mid."""
        if self.mark > 0:
            return self.mark
        return self.oracle if self.oracle > 0 else self._book.mid()
