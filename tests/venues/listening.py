"""A listener that writes down what it is told."""

from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

from hatmanifesto.model.market_row import CHANNEL_MASK, CHANNEL_NAMES, CHANNEL_SHIFT, FIRST, KIND_MASK, MORE, meta_side
from hatmanifesto.model.order_state import Trigger
from hatmanifesto.venues.port import Trust, VenueListener


class Row(NamedTuple):
    """A market row taken apart."""

    exch_ns: int
    local_ns: int
    kind: int
    side: int
    price: int
    size: int
    channel: str
    first: bool
    more: bool


class Told(NamedTuple):
    """An order event."""

    order_id: int
    trigger: str
    reason: int
    venue_order_id: int


class Fill(NamedTuple):
    """A fill."""

    order_id: int
    instrument: int
    side: int
    price: int
    size: int
    fee: int
    taker: bool
    trade_id: int


class Diary(VenueListener):
    """Everything that was told, by kind, and in one list in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, list[Row]]] = []
        self.orders: list[Told] = []
        self.fills: list[Fill] = []
        self.fundings: list[tuple[int, int, int, int]] = []
        self.unknown: list[int] = []
        self.trust: dict[int, Trust] = {}
        self.trust_changes: list[tuple[int, Trust, str]] = []
        self.notices: list[tuple[str, dict[str, Any]]] = []
        self.last_ns = 0

    def _clock(self, now_ns: int) -> None:
        self.last_ns = now_ns

    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        self._clock(now_ns)
        words = array("q", rows).tolist()
        assert len(words) % 5 == 0
        message = [
            Row(
                words[at],
                words[at + 1],
                words[at + 2] & KIND_MASK,
                meta_side(words[at + 2]),
                words[at + 3],
                words[at + 4],
                CHANNEL_NAMES[words[at + 2] >> CHANNEL_SHIFT & CHANNEL_MASK],
                bool(words[at + 2] & FIRST),
                bool(words[at + 2] & MORE),
            )
            for at in range(0, len(words), 5)
        ]
        assert not message[-1].more, "a message was left open"
        self.rows.append((instrument, message))

    def on_order_event(
        self, now_ns: int, order_id: int, trigger: int, reason: int, exch_ts_ns: int, venue_order_id: int
    ) -> None:
        self._clock(now_ns)
        self.orders.append(Told(order_id, Trigger(trigger).name, reason, venue_order_id))

    def on_outcome_unknown(self, now_ns: int, order_id: int) -> None:
        self._clock(now_ns)
        self.unknown.append(order_id)

    def on_fill(
        self,
        now_ns: int,
        order_id: int,
        instrument: int,
        side: int,
        price: int,
        size: int,
        fee: int,
        taker: bool,
        exch_ts_ns: int,
        trade_id: int,
    ) -> None:
        self._clock(now_ns)
        self.fills.append(Fill(order_id, instrument, side, price, size, fee, taker, trade_id))

    def on_funding(
        self,
        now_ns: int,
        instrument: int,
        amount: int,
        rate: int,
        position_size: int,
        oracle_price: int,
        exch_ts_ns: int,
    ) -> None:
        self._clock(now_ns)
        self.fundings.append((instrument, amount, rate, position_size))

    def on_trust(self, now_ns: int, instrument: int, trust: Trust, why: str) -> None:
        self.trust[instrument] = trust
        self.trust_changes.append((instrument, trust, why))

    def on_notice(self, now_ns: int, kind: str, data: Mapping[str, int | str]) -> None:
        assert all(isinstance(value, int | str) for value in data.values())
        self.notices.append((kind, dict(data)))

    def triggers(self, order_id: int) -> list[str]:
        """Return what was told of one order."""
        return [told.trigger for told in self.orders if told.order_id == order_id]
