"""The packed market-data row: one layout for tapes, live feeds and the engine's inner loop.

A row is five little-endian signed 64-bit words, 40 bytes:

    word 0  exch_ts_ns   the venue's clock, nanoseconds since 1970 UTC
    word 1  local_ts_ns  the receiver's clock, nanoseconds since 1970 UTC
    word 2  meta         kind | side | flags | channel | instrument (bit fields below)
    word 3  price        in the instrument's price scale
    word 4  size         in the instrument's size scale

Several rows may make one venue message (a snapshot, a multi-level diff): all but its last row carry
MORE, and a reader acts only on the last, so that no half-applied message is ever visible.
"""

import sys
from array import array
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

ROW_BYTES: Final = 40
ROW_WORDS: Final = 5
WORD_EXCH_TS: Final = 0
WORD_LOCAL_TS: Final = 1
WORD_META: Final = 2
WORD_PRICE: Final = 3
WORD_SIZE: Final = 4

# kind, bits 0-7
DEPTH: Final = 1
"""A level's new total size; 0 means that the level is gone."""
TRADE: Final = 2
"""A print; side is the aggressor's, 0 when the venue lost it."""
BBO: Final = 3
"""Best price and size of one side; better levels of that side no longer exist. Size 0: side empty."""
SNAPSHOT: Final = 4
"""One level of a full visible book. The first row of the message carries FIRST and clears both sides."""
MARK: Final = 5
"""price = the venue's mark price; size is 0."""
ORACLE: Final = 6
"""price = the venue's oracle (index) price; size is 0."""
FUNDING: Final = 7
"""price = funding rate of the interval in 10^-12 (signed, see model.funding); size = interval in seconds."""
CLOCK: Final = 8
"""The simulated venue's clock strikes; never on a tape nor shown to the engine. price = what is due; size is 0."""
CLOCK_MARK: Final = 1
"""A mark is due, where the tape has none, and margins are looked at."""
CLOCK_FUNDING: Final = 2
"""Funding is settled."""
KIND_MASK: Final = 0xFF

# side, bits 8-9
BUY_SHIFT: Final = 8
BUY_BIT: Final = 1 << 8
"""Bid side of a book row, or a buying aggressor of a trade."""
SELL_SHIFT: Final = 9
SELL_BIT: Final = 1 << 9
"""Ask side of a book row, or a selling aggressor of a trade."""

# flags, bits 10-11
MORE: Final = 1 << 10
FIRST: Final = 1 << 11

# channel, bits 12-15: which of the venue's feeds said so
CHANNEL_SHIFT: Final = 12
CHANNEL_MASK: Final = 0xF
CHANNEL_BOOK: Final = 1
CHANNEL_BBO: Final = 2
CHANNEL_TRADES: Final = 3
CHANNEL_CONTEXT: Final = 4
CHANNEL_NAMES: Final = {1: "book", 2: "bbo", 3: "trades", 4: "context"}

# instrument index in the tape's list, bits 16-31
INSTRUMENT_SHIFT: Final = 16
INSTRUMENT_MASK: Final = 0xFFFF

INSTRUMENT_BITS: Final = INSTRUMENT_MASK << INSTRUMENT_SHIFT
WHOLE_ROW_BITS: Final = INSTRUMENT_BITS | KIND_MASK | MORE
"""Bits of a meta word to compare with `instrument << INSTRUMENT_SHIFT | kind`: a message of one row."""


def row_words(rows: bytes) -> vec[i64]:
    """Return packed rows as words, which inner loops read faster than bytes. One copy, about 0.5 ns a word."""
    words = array("q", rows)
    if sys.byteorder == "big":
        words.byteswap()
    return vec[i64](words)


def make_meta(kind: int, side: int, channel: int, instrument: int, flags: int = 0) -> int:
    """Pack a row's meta word. `side` is +1 (bid, buyer), -1 (ask, seller) or 0 (unknown, none)."""
    bit = BUY_BIT if side > 0 else SELL_BIT if side < 0 else 0
    return kind | bit | flags | channel << CHANNEL_SHIFT | instrument << INSTRUMENT_SHIFT


def meta_side(meta: int) -> int:
    """Return +1, -1 or 0 from a meta word."""
    return (1 if meta & BUY_BIT else 0) - (1 if meta & SELL_BIT else 0)
