"""What a replay matcher asks about money: the seam to fees, funding, margin and liquidation.

A matcher without a venue account charges the instrument's own rates and knows nothing of the rest.
"""

from abc import abstractmethod

from mypy_extensions import i64


class VenueAccount:
    """The account that own orders trade on, as the simulated venue sees it."""

    @abstractmethod
    def charge(self, instrument: i64, side: i64, price: i64, size: i64, taker: bool, now: i64) -> i64:
        """Book a fill and return its fee in money units."""

    @abstractmethod
    def refusal(self, instrument: i64, side: i64, price: i64, size: i64) -> i64:
        """Return why an order that may open something is refused, NONE when it is not.

        Size 0: whether an order that rests already may be filled.
        """

    @abstractmethod
    def context(self, instrument: i64, kind: i64, price: i64, size: i64, now: i64) -> None:
        """Take a row that is neither book nor trade: mark, oracle, funding rate, the venue's clock."""
