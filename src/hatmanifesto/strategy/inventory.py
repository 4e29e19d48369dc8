"""How large a quote may be so that the position stays inside a limit, whatever is still under way."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.core.strategy import View
from hatmanifesto.model.holds import HOLD_LIMIT_IN_FLIGHT, HOLD_POSITION_LIMIT


@final
class _Side:
    """What was wanted last on one side."""

    def __init__(self) -> None:
        self.price: i64 = 0
        self.size: i64 = 0
        self.position: i64 = 0


@final
class InventoryLimit:
    """Sizes of quotes that cannot take the position beyond `max_position` (size units) on either side.

    A repriced quote and the order it replaces live side by side until the venue has confirmed the cancel, and both
    may fill. While there is room for both, a quote has its full size. Near the limit it is kept only where nothing
    has changed, and otherwise left out until what is under way has ended; then it is what fits.
    """

    def __init__(self, max_position: int) -> None:
        if max_position <= 0:
            raise ValueError(f"max_position must be positive, got {max_position}")
        self.max_position: Final[i64] = max_position
        self.reason: i64 = 0
        self._bid: Final[_Side] = _Side()
        self._ask: Final[_Side] = _Side()

    def size(self, view: View, side: i64, price: i64, wanted: i64) -> i64:
        """Return the size to quote at a price, at most `wanted`; 0: leave the side out, `reason` says why."""
        instrument = view.instrument
        own = self._bid if side > 0 else self._ask
        under_way = view.open_buy_size if side > 0 else view.open_sell_size
        room = self.max_position - side * view.position
        self.reason = 0
        found: i64 = 0
        if under_way + wanted <= room:
            found = wanted
        elif under_way == 0:
            found = instrument.snap_size(wanted if wanted < room else room) if room > 0 else 0
            if found <= 0 or instrument.notional(price, found) < instrument.min_notional:
                found = 0
                self.reason = HOLD_POSITION_LIMIT
        elif price == own.price and view.position == own.position and own.size > 0 and under_way <= room:
            found = own.size
        else:
            self.reason = HOLD_POSITION_LIMIT if room <= 0 else HOLD_LIMIT_IN_FLIGHT
        own.price = price
        own.size = found
        own.position = view.position
        return found
