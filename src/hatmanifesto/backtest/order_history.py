"""Every order's life, told from the journal by the transition table, many orders at a time.

An order is a column of one integer matrix while it lives. The records of a batch are sorted by order, and the n-th
record of every order is applied at once: as many steps as the busiest order has records, whatever the orders' number.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.journal.columns import Batch
from hatmanifesto.model.order_state import (
    ACKNOWLEDGE,
    DENIED,
    DONE_STATES,
    FILL_LATE,
    FILL_PART,
    FILL_WHOLE,
    FIND_OPEN,
    OPEN,
    PARTIALLY_FILLED,
    REQUEST_CANCEL,
    STATE_COUNT,
    SUBMITTED,
    TIME_OUT,
    TRANSITIONS,
)
from hatmanifesto.model.record import ADOPT, CANCEL, DENY, FILL, ORDER_EVENT, SUBMIT, TIMEOUT, VIEW

Ints = NDArray[np.int64]
Places = NDArray[np.intp]

REMEMBERED: Final = 16_384
"""Ended orders that are still known, so that a late fill finds its strategy."""
FOLLOWED: Final = np.array([SUBMIT, CANCEL, ORDER_EVENT, FILL, TIMEOUT])

(
    ORDER_ID, INSTRUMENT, STRATEGY, SIDE, PRICE, SIZE, FLAGS, STATE, FILLED, REASON, CANCEL_REASON, VALUE, LIMIT,
    SUBMITTED_NS, ACKED_NS, CANCEL_NS, ENDED_NS, BID, ASK, ENDED_SEQ,
    ARRIVED_EXCH_NS, RESTING_EXCH_NS, ENDED_EXCH_NS, ARRIVAL_MID, AHEAD, END_MID,
) = range(26)  # fmt: skip
"""Rows of the orders' matrix: the instrument's integers, times in ns, 0 = not yet.

EXCH times are the venue's clock: the venue's first answer, the beginning of rest, the end. MID rows are twice a mid
price, 0 = unknown; AHEAD is the size shown at the price on arrival, UNKNOWN_AHEAD where nobody can tell. The last three
are filled in by whoever knows the market.
"""
ROWS: Final = END_MID + 1
UNKNOWN_AHEAD: Final = -1
_KEPT: Final = [ORDER_ID, STRATEGY, BID, ASK]
"""What is remembered of an ended order."""

(
    F_TS, F_EXCH, F_ORDER, F_TRADE, F_INSTRUMENT, F_STRATEGY, F_SIDE, F_PRICE, F_SIZE, F_FEE, F_TAKER, F_DECISION_MID,
    F_REALIZED, F_POSITION, F_PLACE,
) = range(15)  # fmt: skip
"""Rows of a batch's fills. F_STRATEGY is -1 when the order is not known; F_PLACE is its column in `table`, or -1.

F_REALIZED and F_POSITION are what booking the fill gave, filled in by who books it.
"""


def _transition_table() -> NDArray[np.int8]:
    table = np.full((STATE_COUNT, 256), -1, dtype=np.int8)
    for (state, trigger), after in TRANSITIONS.items():
        table[state, trigger] = after
    return table


_TABLE: Final = _transition_table()
_DONE: Final = np.isin(np.arange(STATE_COUNT), list(DONE_STATES))


class Followed(NamedTuple):
    """What a batch did to the orders; columns are places in `table` (live ones and those that ended in it).

    `submitted` and `ended` are in order of the journal, `answered` those with their first answer in this batch;
    `denied` orders were never sent and have a matrix of their own; `cancels` holds the place (-1: not live) and
    the reason of every cancel sent.
    """

    table: Ints
    submitted: Places
    submitted_seq: Ints
    answered: Places
    ended: Places
    fills: Ints
    denied: Ints
    cancels: Ints


class _Events(NamedTuple):
    """Records that concern orders: place of the order, kind, aux, times, size of a fill, sequence number."""

    place: Places
    kind: NDArray[np.uint8]
    aux: Ints
    ts: Ints
    exch: Ints
    size: Ints
    seq: Ints

    def at(self, chosen: Places) -> "_Events":
        return _Events(
            self.place[chosen], self.kind[chosen], self.aux[chosen], self.ts[chosen],
            self.exch[chosen], self.size[chosen], self.seq[chosen],
        )  # fmt: skip


class OrderHistory:
    """Feed it batches in order; `table` then has the orders that live, plus those that ended in the last batch."""

    def __init__(self) -> None:
        self.table: Ints = np.zeros((ROWS, 0), dtype=np.int64)
        self._gone: Ints = np.zeros((len(_KEPT), 0), dtype=np.int64)  # of the last REMEMBERED ended orders
        self._view = (0, 0)

    def feed(self, batch: Batch) -> Followed:
        """Follow the orders through a batch of records."""
        self._forget_ended()
        words, starts = batch.words, batch.starts
        chosen = np.flatnonzero(np.isin(batch.kinds, FOLLOWED))
        at, kinds = starts[chosen], batch.kinds[chosen]
        aux = (words[at] >> 16) & 0xFFFF
        sent = (batch.kinds == SUBMIT) | (batch.kinds == ADOPT)
        seen, denied_at = self._views(batch, sent), self._views(batch, batch.kinds == DENY)
        self._submit(words, starts[sent], seen)
        new = np.arange(self.table.shape[1] - len(seen[0]), self.table.shape[1])
        place = _find(self.table[ORDER_ID], words[at + 2])
        fill = kinds == FILL
        event = kinds == ORDER_EVENT
        ts = words[at + 1]
        exch = ts.copy()
        exch[event] = words[at[event] + 3]
        exch[fill] = words[at[fill] + 6]
        exch[exch <= 0] = ts[exch <= 0]
        size = np.zeros(len(at), dtype=np.int64)
        size[fill] = words[at[fill] + 4]
        cancel = kinds == CANCEL
        cancels = np.stack((place[cancel].astype(np.int64), aux[cancel]))
        fills = self._fills(words, at[fill], aux[fill], place[fill])
        before = self.table[ARRIVED_EXCH_NS] == 0
        known = np.flatnonzero((place >= 0) & (kinds != SUBMIT))
        self._apply(_Events(place, kinds, aux, ts, exch, size, batch.seqs[chosen]).at(known))
        ended = np.flatnonzero(self.table[ENDED_NS] > 0)
        self._remember_view(batch)
        return Followed(
            table=self.table,
            submitted=new,
            submitted_seq=batch.seqs[sent],
            answered=np.flatnonzero(before & (self.table[ARRIVED_EXCH_NS] > 0)),
            ended=ended[np.argsort(self.table[ENDED_SEQ, ended], kind="stable")],
            fills=fills,
            denied=_denied(words, starts[batch.kinds == DENY], batch.seqs[batch.kinds == DENY], denied_at),
            cancels=cancels,
        )

    def working(self) -> Ints:
        """Return the orders that still live, as they stand."""
        self._forget_ended()
        return self.table

    def _forget_ended(self) -> None:
        ended = self.table[ENDED_NS] > 0
        if ended.any():
            self._gone = np.concatenate((self._gone, self.table[_KEPT][:, ended]), axis=1)[:, -REMEMBERED:]
            self.table = self.table[:, ~ended]

    def _views(self, batch: Batch, of: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """Return best bid and ask of the last view before each chosen record."""
        views = np.flatnonzero(batch.kinds == VIEW)
        at = batch.starts[views]
        # the view before this batch stands first
        bids = np.concatenate(([self._view[0]], batch.words[at + 3]))
        asks = np.concatenate(([self._view[1]], batch.words[at + 5]))
        last = np.searchsorted(views, np.flatnonzero(of))
        return bids[last], asks[last]

    def _remember_view(self, batch: Batch) -> None:
        views = np.flatnonzero(batch.kinds == VIEW)
        if len(views):
            at = int(batch.starts[views[-1]])
            self._view = (int(batch.words[at + 3]), int(batch.words[at + 5]))

    def _submit(self, words: Ints, at: Ints, touch: tuple[Ints, Ints]) -> None:
        new = np.zeros((ROWS, len(at)), dtype=np.int64)
        code = (words[at] >> 16) & 0xFFFF
        new[ORDER_ID], new[PRICE], new[SIZE], new[FLAGS] = (words[at + step] for step in (2, 3, 4, 5))
        new[INSTRUMENT], new[STRATEGY] = code & 0xFF, code >> 8
        new[SIDE] = np.where(new[FLAGS] & 1, 1, -1)
        new[STATE] = SUBMITTED
        new[SUBMITTED_NS] = words[at + 1]
        new[BID], new[ASK] = touch
        new[AHEAD] = UNKNOWN_AHEAD
        adopted = np.flatnonzero((words[at] & 0xFF) == ADOPT)
        new[FILLED, adopted] = words[at[adopted] + 6]
        new[STATE, adopted] = np.where(new[FILLED, adopted] > 0, PARTIALLY_FILLED, OPEN)
        new[ACKED_NS, adopted] = new[SUBMITTED_NS, adopted]
        self.table = np.concatenate((self.table, new), axis=1)

    def _fills(self, words: Ints, at: Ints, aux: Ints, place: Places) -> Ints:
        fills = np.zeros((F_PLACE + 1, len(at)), dtype=np.int64)
        fills[F_TS] = words[at + 1]
        for row, step in (
            (F_ORDER, 2), (F_PRICE, 3), (F_SIZE, 4), (F_FEE, 5), (F_EXCH, 6), (F_TRADE, 7), (F_SIDE, 8)
        ):  # fmt: skip
            fills[row] = words[at + step]
        fills[F_EXCH] = np.where(fills[F_EXCH] > 0, fills[F_EXCH], fills[F_TS])
        fills[F_TAKER], fills[F_INSTRUMENT] = aux & 1, aux >> 8
        fills[F_STRATEGY] = -1
        fills[F_PLACE] = place
        late = np.flatnonzero(place < 0)
        gone = np.full(len(place), -1, dtype=np.intp)
        if len(late):
            gone[late] = _find(self._gone[0], fills[F_ORDER, late])
        for source, found in ((self.table[_KEPT], place), (self._gone, gone)):
            mine = (found >= 0) & (fills[F_STRATEGY] < 0)
            there = found[mine]
            _, fills[F_STRATEGY, mine], bid, ask = source[:, there]
            fills[F_DECISION_MID, mine] = np.where((bid > 0) & (ask > 0), bid + ask, 0)
        return fills

    def _apply(self, events: _Events) -> None:
        """Apply each order's records one after another, all orders side by side."""
        count = len(events.place)
        if not count:
            return
        events = events.at(np.argsort(events.place, kind="stable"))
        first = np.flatnonzero(np.diff(events.place, prepend=-1))
        rank = np.arange(count) - np.repeat(first, np.diff(first, append=count))
        by_rank = np.argsort(rank, kind="stable")
        ends = np.cumsum(np.bincount(rank))
        for begin, end in zip(np.concatenate(([0], ends[:-1])).tolist(), ends.tolist(), strict=True):
            self._step(events.at(by_rank[begin:end]))

    def _step(self, events: _Events) -> None:
        """Apply at most one record to each order; an ended order takes no other change than a late fill's."""
        table = self.table
        lives = table[ENDED_NS, events.place] == 0
        if not lives.all():
            events = events.at(np.flatnonzero(lives))
        place = events.place
        fill, event, cancel = events.kind == FILL, events.kind == ORDER_EVENT, events.kind == CANCEL

        answer = fill | event
        arrived = place[answer & (table[ARRIVED_EXCH_NS, place] == 0)]
        table[ARRIVED_EXCH_NS, arrived] = events.exch[answer & (table[ARRIVED_EXCH_NS, place] == 0)]

        table[CANCEL_NS, place[cancel]] = events.ts[cancel]
        table[CANCEL_REASON, place[cancel]] = events.aux[cancel]
        table[FILLED, place[fill]] += events.size[fill]
        whole = table[FILLED, place] >= table[SIZE, place]
        trigger = np.where(event, events.aux & 0xFF, np.where(cancel, REQUEST_CANCEL, TIME_OUT))
        trigger = np.where(fill, np.where(whole, FILL_WHOLE, FILL_PART), trigger)

        opened = event & ((trigger == ACKNOWLEDGE) | (trigger == FIND_OPEN)) & (table[ACKED_NS, place] == 0)
        table[ACKED_NS, place[opened]] = events.ts[opened]
        table[RESTING_EXCH_NS, place[opened]] = events.exch[opened]
        said = event & (events.aux >> 8 > 0)
        table[REASON, place[said]] = events.aux[said] >> 8

        after = _TABLE[table[STATE, place], trigger].astype(np.int64)
        moves = after >= 0
        table[STATE, place[moves]] = after[moves]
        ends = moves & _DONE[after]
        table[ENDED_NS, place[ends]] = events.ts[ends]
        table[ENDED_EXCH_NS, place[ends]] = events.exch[ends]
        table[ENDED_SEQ, place[ends]] = events.seq[ends]


def _find(ids: Ints, wanted: Ints) -> Places:
    """Return the place of each wanted id, -1 where it is not there."""
    if not len(ids):
        return np.full(len(wanted), -1, dtype=np.intp)
    order = np.argsort(ids, kind="stable")
    found = order[np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)


def _denied(words: Ints, at: Ints, seqs: Ints, touch: tuple[Ints, Ints]) -> Ints:
    """Return the orders that were refused locally."""
    denied = np.zeros((ROWS, len(at)), dtype=np.int64)
    code = words[at + 8]
    denied[ORDER_ID], denied[PRICE], denied[SIZE], denied[FLAGS] = (words[at + step] for step in (2, 3, 4, 5))
    denied[VALUE], denied[LIMIT] = words[at + 6], words[at + 7]
    denied[INSTRUMENT], denied[STRATEGY] = code & 0xFF, code >> 8
    denied[SIDE] = np.where(denied[FLAGS] & 1, 1, -1)
    denied[STATE] = DENIED
    denied[REASON] = (words[at] >> 16) & 0xFFFF
    denied[ENDED_NS] = words[at + 1]
    denied[ENDED_SEQ] = seqs
    denied[BID], denied[ASK] = touch
    denied[AHEAD] = UNKNOWN_AHEAD
    return denied


# a late fill leaves an ended order's state as it is, which is what makes skipping it in _step right
assert all(TRANSITIONS[(state, FILL_LATE)] == state for state in DONE_STATES if (state, FILL_LATE) in TRANSITIONS)
