"""Own orders between sending and end: says each thing about an order once, and its end after its fills.

The same news arrives several times and in any order: the answer to the request, the order's updates, its fills, a
question's answer. The engine is told the first of each. An end that counts fills which are not here yet waits for them.
"""

from typing import Final

from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    EXPIRE,
    FILL_WHOLE,
    FIND_ABSENT,
    FIND_OPEN,
    REFUSE_CANCEL,
)
from hatmanifesto.model.reasons import NONE, VENUE_NO_MATCH
from hatmanifesto.venues.port import VenueListener

SECOND_NS: Final = 1_000_000_000
FILL_PATIENCE_NS: Final = 10 * SECOND_NS
"""How long an end waits for the fills that it counts."""


class _Nobody(VenueListener):
    """The listener before there is one: nothing can have been sent, so whatever is told to it is a defect."""

    def on_rows(self, *told: object) -> None:
        raise RuntimeError("the venue was not started")

    on_order_event = on_outcome_unknown = on_fill = on_funding = on_trust = on_notice = on_rows  # type: ignore[assignment]


NOBODY: Final = _Nobody()


class Live:
    """One order that the venue has or may have."""

    __slots__ = (
        "acked", "cloid", "done", "end", "end_due_ns", "expires_ms", "instrument", "order_id", "seen", "size", "tif",
        "venue_order_id", "version",
    )  # fmt: skip

    def __init__(self, order_id: int, instrument: int, cloid: str, size: int, tif: int, expires_ms: int) -> None:
        self.order_id: Final = order_id
        self.instrument: Final = instrument
        self.cloid: Final = cloid
        self.size: Final = size
        self.tif: Final = tif
        self.expires_ms: Final = expires_ms
        self.venue_order_id = 0
        self.seen = 0
        """Size filled so far, as fills told."""
        self.acked = False
        self.done = False
        """The engine knows its end: whatever is said of it now is old."""
        self.version = 0
        """Counts what the engine was told, so that an answer knows whether it is the latest word."""
        self.end: tuple[int, int, int, int] | None = None
        """Trigger, reason, the filled size it counts, venue time: an end that waits for its fills."""
        self.end_due_ns = 0


class OrderTracker:
    """The session's live orders. Every method takes the receipt stamp first."""

    def __init__(self) -> None:
        self.listener: VenueListener = NOBODY
        self.live: Final[dict[int, Live]] = {}
        self._by_venue_id: Final[dict[int, int]] = {}
        self.waiting_ends = 0
        """Ends that wait for fills: while there are any, fills are worth asking for."""

    def track(self, order_id: int, instrument: int, cloid: str, size: int, tif: int, expires_ms: int) -> Live:
        """An order is about to be sent."""
        live = self.live[order_id] = Live(order_id, instrument, cloid, size, tif, expires_ms)
        return live

    def adopt(self, order_id: int, instrument: int, cloid: str, size: int, filled: int, venue_order_id: int) -> None:
        """An order of an earlier session, open at the venue, is one of this session's from here on."""
        live = self.track(order_id, instrument, cloid, size, GOOD_TILL_CANCEL, 0)
        live.acked = True
        live.seen = filled
        live.venue_order_id = venue_order_id
        self._by_venue_id[venue_order_id] = order_id

    def order_of(self, venue_order_id: int) -> int:
        """Return our id of a venue's order id, 0 when it is not known."""
        return self._by_venue_id.get(venue_order_id, 0)

    def acknowledge(self, now_ns: int, live: Live, venue_order_id: int, exch_ns: int) -> None:
        """The venue has it."""
        if live.done:
            return
        if live.venue_order_id == 0 and venue_order_id:
            live.venue_order_id = venue_order_id
            self._by_venue_id[venue_order_id] = live.order_id
        if live.acked or live.end is not None:
            return
        live.acked = True
        self._tell(now_ns, live, ACKNOWLEDGE, NONE, exch_ns)

    def fill(self, now_ns: int, order_id: int, size: int) -> None:
        """A fill was told to the engine, which ends the order by itself when it is whole."""
        live = self.live.get(order_id)
        if live is None:
            return
        live.seen += size
        live.version += 1
        if live.seen >= live.size:
            self._forget(live)
        elif live.end is not None and live.seen >= live.end[2]:
            self._finish(now_ns, live)

    def filled(self, now_ns: int, live: Live, total: int, exch_ns: int) -> None:
        """The venue says how much of an order was filled; only fills fill, so this makes sure that they come."""
        if live.done:
            return
        if total >= live.size:
            if live.seen < live.size and live.end is None:
                live.end = (FILL_WHOLE, NONE, live.size, exch_ns)
                live.end_due_ns = now_ns + FILL_PATIENCE_NS
                self.waiting_ends += 1
                self._tell(now_ns, live, FILL_WHOLE, NONE, exch_ns)
        elif live.tif == IMMEDIATE_OR_CANCEL:
            self.finish(now_ns, live, EXPIRE, VENUE_NO_MATCH, exch_ns, total)

    def finish(self, now_ns: int, live: Live, trigger: int, reason: int, exch_ns: int, counted: int = 0) -> None:
        """The order ended with `counted` of its size filled; told when these fills have been seen."""
        if live.done or live.end is not None:
            return
        live.end = (trigger, reason, counted, exch_ns)
        if live.seen >= counted:
            self._finish(now_ns, live, waited=False)
        else:
            live.end_due_ns = now_ns + FILL_PATIENCE_NS
            self.waiting_ends += 1

    def refuse_cancel(self, now_ns: int, live: Live, reason: int) -> None:
        """A cancel found nothing to cancel; the engine asks what became of the order."""
        if not live.done and live.end is None:
            self._tell(now_ns, live, REFUSE_CANCEL, reason, 0)

    def found_open(self, now_ns: int, live: Live, version: int, venue_order_id: int, exch_ns: int) -> None:
        """A question's answer: it works. Old news when something was told since the question (`version`)."""
        if live.venue_order_id == 0 and venue_order_id:
            live.venue_order_id = venue_order_id
            self._by_venue_id[venue_order_id] = live.order_id
        if live.version != version or live.end is not None:
            return
        live.acked = True
        self._tell(now_ns, live, FIND_OPEN, NONE, exch_ns)

    def found_absent(self, now_ns: int, live: Live, version: int) -> bool:
        """A question's answer: it is not there, and no longer can arrive. True when that was news."""
        if live.version != version or live.end is not None or live.acked or live.seen:
            return False
        self._tell(now_ns, live, FIND_ABSENT, NONE, 0)
        self._forget(live)
        return True

    def unknown(self, now_ns: int, live: Live) -> None:
        """The answer to its request was lost, and nothing else told of it yet."""
        if not live.done and not live.acked and live.end is None and not live.seen:
            self.listener.on_outcome_unknown(now_ns, live.order_id)

    def check(self, now_ns: int) -> None:
        """Tell ends whose fills did not come in time: what comes later is booked late."""
        if not self.waiting_ends:
            return
        for live in [live for live in self.live.values() if live.end is not None and live.end_due_ns <= now_ns]:
            assert live.end is not None
            self.listener.on_notice(
                now_ns,
                "fills_missing",
                {"order_id": live.order_id, "seen": live.seen, "counted": live.end[2], "venue_id": live.venue_order_id},
            )
            if live.end[0] == FILL_WHOLE:
                live.end_due_ns = now_ns + FILL_PATIENCE_NS  # only fills end it: go on asking
            else:
                self._finish(now_ns, live)

    def _finish(self, now_ns: int, live: Live, *, waited: bool = True) -> None:
        assert live.end is not None
        trigger, reason, _, exch_ns = live.end
        if waited:
            self.waiting_ends -= 1
        if trigger != FILL_WHOLE:
            self._tell(now_ns, live, trigger, reason, exch_ns)
        live.end = None
        self._forget(live)

    def _tell(self, now_ns: int, live: Live, trigger: int, reason: int, exch_ns: int) -> None:
        live.version += 1
        self.listener.on_order_event(now_ns, live.order_id, trigger, reason, exch_ns, live.venue_order_id)

    def _forget(self, live: Live) -> None:
        if live.end is not None:
            self.waiting_ends -= 1
        live.done = True
        self.live.pop(live.order_id, None)
        self._by_venue_id.pop(live.venue_order_id, None)
