"""Short forms of the records that a maker writes most, and the way back to the long ones.

A short form says what its long one says (model.record), in fewer words; its kind is the long kind + SHORT. Recorders
use it where the numbers are small enough and the times left out are those of the records before, in the same group:

    view          one level, no extras; words 3 and on are
                      bid_price
                      ask_price - bid_price, mark_price - bid_price
                      bid_size, ask_size
                      buy_volume, sell_volume
                      ts_ns - book_ts_ns, order_flow_imbalance
                  two numbers a word, the first in bits 0-31, the second in bits 32-62; trades in bits 48-62 of
                  `decision`; then one word a wanted quote: price - bid_price, size, side_flags
    order_event   order_id; ts_ns is that of the record before, exch_ts_ns that of the order event before
    submit        order_id; price, size and side_flags in one word; ts_ns is that of the record before
    cancel        order_id; ts_ns is that of the record before

Differences and the imbalance are stored with half of their range added, so that nothing stored is negative.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from hatmanifesto.model.market_row import row_words
from hatmanifesto.model.record import CANCEL, FIRST_BLOB, HEADER_LOW, ORDER_EVENT, SUBMIT, VIEW

SHORT: Final = 64
SHORT_KINDS: Final = frozenset({VIEW, ORDER_EVENT, SUBMIT, CANCEL})
"""Kinds that have a short form."""

LOW_BITS: Final = 32
LOW_MASK: Final = (1 << LOW_BITS) - 1
LOW_BIAS: Final = 1 << (LOW_BITS - 1)
HIGH_BITS: Final = 31
HIGH_BIAS: Final = 1 << (HIGH_BITS - 1)
TRADES_SHIFT: Final = 48
TRADES_BITS: Final = 15
DECISION_MASK: Final = (1 << TRADES_SHIFT) - 1
ONE_LEVEL: Final = 1 << 8
"""The parts of a view's `decision` that tell levels and extras, of one level and none."""
SHORT_VIEW_WORDS: Final = 8

# a wanted quote's word
WANTED_BITS: Final = 26
WANTED_MASK: Final = (1 << WANTED_BITS) - 1
WANTED_BIAS: Final = 1 << (WANTED_BITS - 1)
WANTED_FLAG_BITS: Final = 11

# a submit's word
PRICE_BITS: Final = 31
PRICE_MASK: Final = (1 << PRICE_BITS) - 1
SIZE_BITS: Final = 22
SIZE_MASK: Final = (1 << SIZE_BITS) - 1
FLAG_BITS: Final = 10
NO_WORD: Final = -1
"""What does not fit one word."""

_VIEW_WORDS: Final = 13
_WANTED_WORDS: Final = 3
_BLOB_WORDS: Final = 4
_FARTHEST: Final = 1 << 61


def long_kind(kind: int) -> int:
    """Return the kind of a record whose form may be the short one."""
    return kind - SHORT if kind & ~SHORT in SHORT_KINDS and kind & SHORT else kind


def pack_wanted(offset: i64, size: i64, side_flags: i64) -> i64:
    """Return a wanted quote's word, its price given as the distance from the best bid; NO_WORD when it does not fit."""
    biased = offset + WANTED_BIAS
    if (biased | size) >> WANTED_BITS != 0 or side_flags >> WANTED_FLAG_BITS != 0:
        return NO_WORD
    return biased | size << WANTED_BITS | side_flags << (2 * WANTED_BITS)


def pack_order(price: i64, size: i64, side_flags: i64) -> i64:
    """Return a submitted order's word; NO_WORD when it does not fit."""
    if price >> PRICE_BITS != 0 or size >> SIZE_BITS != 0 or side_flags >> FLAG_BITS != 0:
        return NO_WORD
    return price | size << PRICE_BITS | side_flags << (PRICE_BITS + SIZE_BITS)


def widen(payload: bytes) -> tuple[bytes, bytes]:
    """Return a payload's records in their long forms, without checks, and at which word each begins.

    Both as packed 64-bit words in the machine's order. Raises ValueError where something is no record.
    """
    words = row_words(payload)
    wide = vec[i64](capacity=2 * len(words))
    starts = vec[i64]()
    at: i64 = 0
    end: i64 = len(words)
    ts: i64 = 0
    event_exch_ts: i64 = 0
    timed = False
    told = False  # a long order event has been met
    while at < end:
        head = words[at] & HEADER_LOW
        kind = head & 0xFF
        count = (head >> 8) & 0xFF
        starts = append(starts, i64(len(wide)))
        if kind >= FIRST_BLOB:
            if count != _BLOB_WORDS or at + count > end or words[at + 2] < 0 or words[at + 2] > (end - at) * 8:
                raise ValueError("a record has an impossible length")
            count += (words[at + 2] + 7) >> 3
        if count < 2 or at + count > end:
            raise ValueError("a record has an impossible length")
        if kind >= FIRST_BLOB or kind < SHORT:
            ts = words[at + 1]
            timed = True
            if kind == ORDER_EVENT and count == 4:
                event_exch_ts = words[at + 3]
                told = True
            wide = append(wide, head)
            for place in range(at + 1, at + count):
                wide = append(wide, words[place])
        elif kind == VIEW | SHORT and count >= SHORT_VIEW_WORDS:
            ts = words[at + 1]
            timed = True
            wide = _widen_view(wide, words, at, count)
        elif not timed:
            raise ValueError("a group begins with a record without a time")
        elif kind == ORDER_EVENT | SHORT and count == 2 and told:
            wide = append(wide, _long_head(head, 4))
            wide = append(wide, ts)
            wide = append(wide, words[at + 1])
            wide = append(wide, event_exch_ts)
        elif kind == CANCEL | SHORT and count == 2:
            wide = append(wide, _long_head(head, 3))
            wide = append(wide, ts)
            wide = append(wide, words[at + 1])
        elif kind == SUBMIT | SHORT and count == 3:
            order = words[at + 2]
            wide = append(wide, _long_head(head, 6))
            wide = append(wide, ts)
            wide = append(wide, words[at + 1])
            wide = append(wide, order & PRICE_MASK)
            wide = append(wide, (order >> PRICE_BITS) & SIZE_MASK)
            wide = append(wide, order >> (PRICE_BITS + SIZE_BITS))
        else:
            raise ValueError("a record has a form that nobody assigned")
        at += count
    return bytes(memoryview(wide)[: len(wide)]), bytes(memoryview(starts)[: len(starts)])


def _long_head(head: i64, count: i64) -> i64:
    return (head & ~0xFFFF) | (head & 0xFF) - SHORT | count << 8


def _widen_view(wide: vec[i64], words: vec[i64], at: i64, count: i64) -> vec[i64]:
    wanted = count - SHORT_VIEW_WORDS
    ts = words[at + 1]
    decision = words[at + 2]
    bid = words[at + 3]
    prices = words[at + 4]
    sizes = words[at + 5]
    volumes = words[at + 6]
    rest = words[at + 7]
    if not (-_FARTHEST < bid < _FARTHEST and -_FARTHEST < ts < _FARTHEST):
        raise ValueError("a view has an impossible price or time")
    wide = append(wide, _long_head(words[at] & HEADER_LOW, _VIEW_WORDS + _WANTED_WORDS * wanted))
    wide = append(wide, ts)
    wide = append(wide, decision & DECISION_MASK)
    wide = append(wide, bid)
    wide = append(wide, sizes & LOW_MASK)
    wide = append(wide, bid + (prices & LOW_MASK) - LOW_BIAS)
    wide = append(wide, sizes >> LOW_BITS)
    wide = append(wide, ts - (rest & LOW_MASK))
    wide = append(wide, bid + (prices >> LOW_BITS) - HIGH_BIAS)
    wide = append(wide, volumes & LOW_MASK)
    wide = append(wide, volumes >> LOW_BITS)
    wide = append(wide, decision >> TRADES_SHIFT)
    wide = append(wide, (rest >> LOW_BITS) - HIGH_BIAS)
    for place in range(at + SHORT_VIEW_WORDS, at + count):
        quote = words[place]
        wide = append(wide, bid + (quote & WANTED_MASK) - WANTED_BIAS)
        wide = append(wide, (quote >> WANTED_BITS) & WANTED_MASK)
        wide = append(wide, quote >> (2 * WANTED_BITS))
    return wide
