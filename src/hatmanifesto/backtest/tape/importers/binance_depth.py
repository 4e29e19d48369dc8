"""Binance's order book as the venue tells it: a snapshot from REST, and numbered updates that must join it.

The rule (Binance docs, "How to manage a local order book correctly"): updates that the snapshot already
contains are passed over; the next must begin where the snapshot ends; after that each must continue the
one before, on futures by `pu` = the previous `u`, on spot by `U` = the previous `u` + 1. A break makes the
book unknown until the next snapshot.
"""

from typing import Final, NamedTuple

import msgspec

Level = tuple[str, str]

_MOST_WAITING: Final = 20_000
"""Updates remembered while there is no snapshot."""
_MOST_GAPS_LISTED: Final = 20


class DepthUpdate(NamedTuple):
    """One diff: where it was read, both clocks in ns, update ids (previous is -1 on spot), changed levels."""

    line: int
    exch_ns: int
    local_ns: int
    first: int
    last: int
    previous: int
    bids: list[Level]
    asks: list[Level]

    def follows(self, last: int) -> bool:
        """Tell whether nothing is missing between update id `last` and this update."""
        return self.previous <= last if self.previous >= 0 else self.first <= last + 1


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A break of the sequence: the id expected, the one found, and where."""

    file: str
    line: int
    after_id: int
    found_id: int
    exch_ns: int


class DepthCounts(msgspec.Struct):
    """What became of an instrument's snapshots and updates."""

    snapshots_read: int = 0
    snapshots_used: int = 0
    snapshots_not_needed_dropped: int = 0
    snapshots_too_old_dropped: int = 0
    updates_read: int = 0
    updates_kept: int = 0
    updates_before_snapshot_dropped: int = 0
    updates_repeated_dropped: int = 0
    updates_after_gap_dropped: int = 0
    gaps: int = 0
    gap_list: list[Gap] = msgspec.field(default_factory=list)


class DepthChain:
    """Decides which updates of one instrument can be applied, and when the book is known."""

    def __init__(self, counts: DepthCounts) -> None:
        self.counts: Final = counts
        self.live = False
        self.last = 0
        """The update id that the book stands at, once it is live."""
        self._broken = False
        self._waiting: list[DepthUpdate] = []

    def update(self, update: DepthUpdate, file: str) -> tuple[bool, Gap | None]:
        """Take the next update; returns whether to apply it, and the gap when it does not continue the last one."""
        counts = self.counts
        counts.updates_read += 1
        if not self.live:
            gap = None
            if self._waiting and update.last <= self._waiting[-1].last:
                counts.updates_repeated_dropped += 1
                return False, None
            if self._waiting and not update.follows(self._waiting[-1].last):
                gap = self._gap(update, self._waiting[-1].last, file)
                self._forget(len(self._waiting))
            self._waiting.append(update)
            if len(self._waiting) > _MOST_WAITING:
                self._forget(len(self._waiting) // 2)
            return False, gap
        if update.last <= self.last:
            counts.updates_repeated_dropped += 1
            return False, None
        if update.follows(self.last):
            self.last = update.last
            counts.updates_kept += 1
            return True, None
        gap = self._gap(update, self.last, file)
        self.live = False
        self._waiting = [update]
        return False, gap

    def snapshot(self, last_id: int) -> tuple[bool, int, list[DepthUpdate]]:
        """Take a snapshot that stands at `last_id`.

        Returns whether to use it, the venue's time of the newest update that it contains (0: none known), and the
        updates that waited for it and follow it.
        """
        counts = self.counts
        counts.snapshots_read += 1
        if self.live:
            if last_id <= self.last:
                counts.snapshots_not_needed_dropped += 1
                return False, 0, []
            self.last = last_id
            counts.snapshots_used += 1
            return True, 0, []
        contained = 0
        while contained < len(self._waiting) and self._waiting[contained].last <= last_id:
            contained += 1
        following = self._waiting[contained:]
        if following and not following[0].follows(last_id):
            counts.snapshots_too_old_dropped += 1
            return False, 0, []
        contained_ns = self._waiting[contained - 1].exch_ns if contained else 0
        self._forget(contained)
        self._waiting = []
        self.live = True
        self._broken = False
        self.last = following[-1].last if following else last_id
        counts.snapshots_used += 1
        counts.updates_kept += len(following)
        return True, contained_ns, following

    def end(self) -> None:
        """Count the updates that no snapshot came for."""
        self._forget(len(self._waiting))

    def _forget(self, count: int) -> None:
        if self._broken:
            self.counts.updates_after_gap_dropped += count
        else:
            self.counts.updates_before_snapshot_dropped += count
        del self._waiting[:count]

    def _gap(self, update: DepthUpdate, last: int, file: str) -> Gap:
        gap = Gap(
            file=file,
            line=update.line,
            after_id=last,
            found_id=update.previous if update.previous >= 0 else update.first,
            exch_ns=update.exch_ns,
        )
        self.counts.gaps += 1
        if self.live:
            self._broken = True
        if len(self.counts.gap_list) < _MOST_GAPS_LISTED:
            self.counts.gap_list.append(gap)
        return gap
