"""The two interfaces that meet at the engine: what a driver tells it, and what it asks of a venue.

Both are compiled base classes with integer arguments, so that a call costs nanoseconds and neither side
imports the other. They are abstract without deriving from ABC, which would make the compiler check every
attribute for being defined.
"""

from abc import abstractmethod
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr

from hatmanifesto.model.market_row import row_words

NEVER: Final = (1 << 62) - 1
"""A time that is never reached, nanoseconds."""


@mypyc_attr(allow_interpreted_subclasses=True)
class OrderGateway:
    """What the engine asks of a venue. Every request is answered later through EngineInput, or never."""

    @abstractmethod
    def place(
        self,
        now: i64,
        order_id: i64,
        instrument: i64,
        side: i64,
        price: i64,
        size: i64,
        time_in_force: i64,
        reduce_only: bool,
    ) -> None:
        """Send a new order."""

    @abstractmethod
    def cancel(self, now: i64, order_id: i64, instrument: i64) -> None:
        """Ask to cancel an order by its client order id."""

    @abstractmethod
    def query(self, now: i64, order_id: i64, instrument: i64) -> None:
        """Ask what became of an order; answered with an order event that says open, absent, or its end."""


class EngineInput:
    """What a driver tells the engine. `now` is the receipt stamp of the event, nanoseconds, never decreasing."""

    next_timer_ns: i64 = NEVER

    @abstractmethod
    def on_rows(self, rows: vec[i64], at: i64, end: i64, until_ns: i64, clock_word: i64, delay_ns: i64) -> i64:
        """Take packed market rows from word `at` on while their receipt time is at most until_ns and the next timer.

        The receipt time is the row's word at clock_word plus delay_ns. Returns the index of the first row's
        first word not taken; returns early after a decision, since requests may then be under way.
        """

    @abstractmethod
    def on_order_event(
        self, now: i64, order_id: i64, trigger: i64, reason: i64, exch_ts: i64, venue_order_id: i64
    ) -> None:
        """Take the venue's word on an order: a trigger of model.order_state and a reason."""

    @abstractmethod
    def on_fill(
        self,
        now: i64,
        order_id: i64,
        instrument: i64,
        side: i64,
        price: i64,
        size: i64,
        fee: i64,
        taker: bool,
        exch_ts: i64,
        trade_id: i64,
    ) -> None:
        """Take a fill; fee as charged by the venue in money units, negative = rebate."""

    @abstractmethod
    def on_funding(
        self, now: i64, instrument: i64, amount: i64, rate: i64, position_size: i64, oracle_price: i64, exch_ts: i64 = 0
    ) -> None:
        """Take a funding payment: amount is the balance change in money units."""

    @abstractmethod
    def on_timer(self, now: i64) -> None:
        """Run whatever is due at `now`; call it when the clock reaches next_timer_ns."""


@mypyc_attr(allow_interpreted_subclasses=True)
class RecordSink:
    """Where packed journal records go, group by group."""

    @abstractmethod
    def append(self, first_seq: int, count: int, payload: bytes | memoryview) -> None:
        """Take a group of whole records; raises OSError when they cannot be kept.

        A view is of a buffer that is written anew after the call: what is kept must be copied.
        """


@mypyc_attr(allow_interpreted_subclasses=True)
class ChunkSource:
    """A stream of packed market rows in whole chunks."""

    @abstractmethod
    def chunk(self, index: int) -> bytes:
        """Return the chunk with this index, counted from 0; empty bytes after the last one."""

    def words(self, index: int) -> vec[i64]:
        """Return the same chunk as words."""
        return row_words(self.chunk(index))
