"""The journal's records: kinds, packed layouts, and the check that names what was changed or moved.

A record is little-endian signed 64-bit words:

    word 0   kind (bits 0-7) | words in all (bits 8-15) | aux (bits 16-31) | check (bits 32-62)
    word 1   ts_ns, the engine's `now` when it was written
    word 2…  the kind's fields, see FIELDS

The kinds that a maker writes most also have a short form (model.record_forms), which says the same in fewer words.

A record's sequence number is not stored: a group's header has the first one and records follow
without gaps. It enters the check instead, so a record that lies in another's place says whose place
it came from. Kinds from 128 on carry a blob (UTF-8 JSON): word count 4, word 2 its length in bytes, word 3
its CRC-32, then the bytes padded with zeros to a multiple of eight.
"""

from typing import Final

from mypy_extensions import i64

VERSION: Final = 2

# inputs of the engine
VIEW: Final = 1
ORDER_EVENT: Final = 2
FILL: Final = 3
TIMEOUT: Final = 4
CONTEXT: Final = 5
FUNDING_PAYMENT: Final = 6
VENUE_ID: Final = 7
ADOPT: Final = 8
# outputs of the engine
SUBMIT: Final = 33
CANCEL: Final = 34
DENY: Final = 35
EQUITY: Final = 36
QUERY: Final = 37
ADJUSTED: Final = 38
FAULT: Final = 39
ROUTE: Final = 48
# blobs
SESSION: Final = 128
CHECKPOINT: Final = 129
OPERATOR: Final = 130
NOTE: Final = 131
CLOSE: Final = 132
FIRST_BLOB: Final = 128

KIND_NAMES: Final = {
    VIEW: "view",
    ORDER_EVENT: "order_event",
    FILL: "fill",
    TIMEOUT: "timeout",
    CONTEXT: "context",
    FUNDING_PAYMENT: "funding_payment",
    VENUE_ID: "venue_id",
    ADOPT: "adopt",
    SUBMIT: "submit",
    CANCEL: "cancel",
    DENY: "deny",
    EQUITY: "equity",
    QUERY: "query",
    ADJUSTED: "adjusted",
    FAULT: "fault",
    ROUTE: "route",
    SESSION: "session",
    CHECKPOINT: "checkpoint",
    OPERATOR: "operator",
    NOTE: "note",
    CLOSE: "close",
}

INPUTS: Final = frozenset({VIEW, ORDER_EVENT, FILL, TIMEOUT, CONTEXT, FUNDING_PAYMENT, VENUE_ID, ADOPT, OPERATOR})
"""Kinds that went into the engine (a VIEW also says what the strategy answered); the other packed kinds came out."""

FIELDS: Final = {
    # aux: instrument. `decision` = desk | levels a side << 8 | triggers << 16 | wanted quotes << 24
    # | reason for holding back << 32 (model.holds; 0 = none) | extra words << 40.
    # After the named words come the levels beyond the first, four words each (bid price, bid size, ask price,
    # ask size), then the extra words (EXTRA_NAMES) if the strategy asked for them, then what it wanted, three
    # words each (price, size, side_flags as in SUBMIT).
    VIEW: (
        "decision",
        "bid_price",
        "bid_size",
        "ask_price",
        "ask_size",
        "book_ts_ns",
        "mark_price",
        "buy_volume",
        "sell_volume",
        "trades",
        "order_flow_imbalance",
    ),
    # aux: order_state trigger | reason << 8
    ORDER_EVENT: ("order_id", "exch_ts_ns"),
    # the venue's own id of an order, where it has one
    VENUE_ID: ("order_id", "venue_order_id"),
    # aux: instrument | strategy << 8. An order that an earlier session left open at the venue is taken over;
    # side_flags as in SUBMIT, `filled` is what had been booked of it
    ADOPT: ("order_id", "price", "size", "side_flags", "filled", "session", "venue_order_id"),
    # aux: 1 taker, 0 maker; instrument << 8. side is +1 or -1; fee in money units, negative = rebate
    FILL: ("order_id", "price", "size", "fee", "exch_ts_ns", "trade_id", "side"),
    # aux: order_state trigger
    TIMEOUT: ("order_id",),
    # aux: instrument
    CONTEXT: ("mark_price", "oracle_price", "funding_rate"),
    # aux: instrument; amount is the balance change in money units
    FUNDING_PAYMENT: ("amount", "rate", "position_size", "oracle_price", "exch_ts_ns"),
    # aux: instrument | strategy << 8; side_flags: bit 0 buy, bits 1-2 time in force, bit 4 reduce-only, bits 5-6
    # urgency, bits 8- purpose
    SUBMIT: ("order_id", "price", "size", "side_flags"),
    # aux: reason
    CANCEL: ("order_id",),
    # aux: reason. order_id 0 when the intent never became an order
    DENY: ("order_id", "price", "size", "side_flags", "value", "limit", "instrument_strategy"),
    # money units
    EQUITY: ("equity", "cash", "unrealized", "gross_exposure", "drawdown"),
    QUERY: ("order_id",),
    # aux: instrument; the price asked for and the valid price that was used instead
    ADJUSTED: ("asked_price", "price", "side"),
    # aux: reason; a breach of what the engine expects from the venue
    FAULT: ("order_id", "value", "limit"),
    # aux: verdict (model.routing) | desk << 8. Why the router did what it did, written before what it did. order_id is
    # 0 for an order to come: those of one decision belong, in sequence, to the submits and denials that follow.
    # ppb: parts per billion of the mid. stage_urgency: stage | urgency << 8. Budgets left: -1 without a
    # limit. Fields that did not matter are 0.
    ROUTE: (
        "order_id",
        "price",
        "size",
        "side_flags",
        "stage_urgency",
        "age_ns",
        "fill_chance_ppm",
        "saved_ppb",
        "fee_saved_ppb",
        "adverse_ppb",
        "opportunity_ppb",
        "value_ppb",
        "other_value_ppb",
        "queue_ahead",
        "limit_price",
        "desk_cancels_left",
        "desk_actions_left",
        "account_cancels_left",
        "account_actions_left",
    ),
}
"""Names of a packed kind's words from word 2 on; the source of the journal's documentation and decoders."""
EXTRA_NAMES: Final = ("highest_buy_price", "lowest_sell_price")
"""A view's extra words, in their order: the range of prices traded since the desk's last decision, 0 = none."""

HEADER_LOW: Final = 0xFFFFFFFF
CHECK_MASK: Final = 0x7FFFFFFF
SEQ_FACTOR: Final = 29_510_161
"""Odd, so that a sequence number can be recovered from a check by its inverse modulo 2^31."""
SEQ_INVERSE: Final = pow(29_510_161, -1, 1 << 31)
FIRST_FACTOR: Final = 10_007
FACTOR_STEP: Final = 80_018
"""A word's factor is FIRST_FACTOR + place x FACTOR_STEP: odd, below 2^25."""
HIGH_FACTOR: Final = 27_182_819


def high_bits(word: i64) -> i64:
    """Fold the 33 bits above the low 31 to 31 bits."""
    return ((word >> 31) ^ (word >> 62)) & 0x7FFFFFFF


def check_words(words: list[int], seq: int) -> int:
    """Return the check of a record given as words (the check bits of word 0 are ignored).

    The low 31 bits of each word count with a factor of its place; the other bits are combined by exclusive or. Any
    change of one word shows. What is changed with more care is found by the chain of digests over groups.
    """
    total = 0
    high = 0
    for place in range(len(words)):
        word = words[place] & HEADER_LOW if place == 0 else words[place]
        total += (word & CHECK_MASK) * (FIRST_FACTOR + place * FACTOR_STEP)
        high ^= word
    return (total + high_bits(high) * HIGH_FACTOR + (seq & CHECK_MASK) * SEQ_FACTOR) & CHECK_MASK


def stored_seq(words: list[int]) -> int:
    """Return the sequence number (modulo 2^31) that the record's check was made with, if it is unchanged."""
    stored = (words[0] >> 32) & CHECK_MASK
    rest = check_words(words, 0)
    return ((stored - rest) * SEQ_INVERSE) & CHECK_MASK
