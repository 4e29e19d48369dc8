"""What the engine asks of the venue in one turn, kept until the turn is journaled, then handed on together."""

from typing import Final

from hatmanifesto.model.ports import OrderGateway
from hatmanifesto.venues.port import VenueGateway

_CANCEL: Final = 1
_QUERY: Final = 2


class Outbox(OrderGateway):
    """The engine's gateway in a live session; `venue` is the adapter's, which exists once it has been started."""

    def __init__(self) -> None:
        self.venue: VenueGateway | None = None
        self._places: list[tuple[int, int, int, int, int, int, int, bool]] = []
        self._others: list[tuple[int, int, int, int]] = []

    def place(
        self,
        now: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        time_in_force: int,
        reduce_only: bool,
    ) -> None:
        """Keep a new order."""
        self._places.append((now, order_id, instrument, side, price, size, time_in_force, reduce_only))

    def cancel(self, now: int, order_id: int, instrument: int) -> None:
        """Keep a cancel."""
        self._others.append((_CANCEL, now, order_id, instrument))

    def query(self, now: int, order_id: int, instrument: int) -> None:
        """Keep a question."""
        self._others.append((_QUERY, now, order_id, instrument))

    def send(self, now: int) -> None:
        """Hand on what there is, cancels first. Without a venue it is dropped: the engine's deadlines notice."""
        if not self._others and not self._places:
            return
        others, self._others = self._others, []
        places, self._places = self._places, []
        venue = self.venue
        if venue is None:
            return
        for kind, asked, order_id, instrument in others:
            if kind == _CANCEL:
                venue.cancel(asked, order_id, instrument)
            else:
                venue.query(asked, order_id, instrument)
        for order in places:
            venue.place(*order)
        venue.flush(now)

    def drop(self) -> None:
        """Forget everything: the turn was not journaled."""
        self._others.clear()
        self._places.clear()
