"""The replay market: steps a recorded tape, own requests and the engine through time, in one deterministic order.

Two clocks: rows reach the venue at their exchange stamp and the engine at their receipt stamp. Same-time
ties: receiver rows, then answers, then the engine's timers, then exchange rows, then own requests as sent.
"""

from typing import Final, final

from librt.vecs import vec
from mypy_extensions import i64

from hatmanifesto.model.market_row import (
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    ROW_WORDS,
    WORD_EXCH_TS,
    WORD_LOCAL_TS,
    WORD_META,
)
from hatmanifesto.model.ports import NEVER, ChunkSource, EngineInput, OrderGateway
from hatmanifesto.simulation.latency import OrderLatency
from hatmanifesto.simulation.matcher import Matcher
from hatmanifesto.simulation.wire import CANCEL, EVENT, FUNDED, PLACE, QUERY, Line


@final
class Cursor:
    """A position in a stream of rows; `next_ns` is the stamp of the row there, NEVER at the end."""

    def __init__(self, source: ChunkSource, clock_word: i64, delay_ns: i64) -> None:
        self.source: Final[ChunkSource] = source
        self.clock_word: Final[i64] = clock_word
        self.delay_ns: Final[i64] = delay_ns
        self.index: i64 = 0
        self.rows: vec[i64] = source.words(0)
        self.at: i64 = 0
        self.end: i64 = len(self.rows)
        self.next_ns: i64 = NEVER
        self._rows_before: i64 = 0
        self.look()

    def look(self) -> None:
        """Note the stamp at the present place, going on to the next chunk where this one has ended."""
        while self.at >= self.end:
            if self.end == 0:
                self.next_ns = NEVER
                return
            self._rows_before += self.end // ROW_WORDS
            self.index += 1
            self.rows = self.source.words(int(self.index))
            self.at = 0
            self.end = len(self.rows)
        self.next_ns = self.rows[self.at + self.clock_word] + self.delay_ns

    def rows_done(self) -> int:
        """Return how many rows lie behind."""
        return int(self._rows_before + self.at // ROW_WORDS)


@final
class ReplayMarket(OrderGateway):
    """Drives one engine through a tape. Feed latency: as recorded, or constant after the exchange stamp.

    `clocked_rows` are the exchange's rows with the venue's clock among them, for the matchers alone.
    """

    def __init__(
        self,
        exchange_rows: ChunkSource,
        receiver_rows: ChunkSource,
        matchers: list[Matcher],
        requests: Line,
        responses: Line,
        latency: OrderLatency,
        constant_feed_ns: int = -1,
        clocked_rows: ChunkSource | None = None,
    ) -> None:
        self.matchers: Final[list[Matcher]] = matchers
        self.requests: Final[Line] = requests
        self.responses: Final[Line] = responses
        self.latency: Final[OrderLatency] = latency
        venue_rows = clocked_rows if clocked_rows is not None else exchange_rows
        self.exchange: Final[Cursor] = Cursor(venue_rows, WORD_EXCH_TS, 0)
        if constant_feed_ns >= 0:
            self.receiver: Cursor = Cursor(exchange_rows, WORD_EXCH_TS, constant_feed_ns)
        else:
            self.receiver = Cursor(receiver_rows, WORD_LOCAL_TS, 0)
        self.start_ns: Final[i64] = self.exchange.next_ns
        self.now: i64 = self.exchange.next_ns
        self.steps: i64 = 0
        self.finished: bool = self.exchange.next_ns == NEVER

    # -- requests from the engine -----------------------------------------------------------------

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
        message = self.requests.send(self.latency.at_venue_ns(now), PLACE, order_id)
        message.instrument = instrument
        message.side = side
        message.price = price
        message.size = size
        message.time_in_force = time_in_force
        message.reduce_only = reduce_only

    def cancel(self, now: i64, order_id: i64, instrument: i64) -> None:
        self.requests.send(self.latency.at_venue_ns(now), CANCEL, order_id).instrument = instrument

    def query(self, now: i64, order_id: i64, instrument: i64) -> None:
        self.requests.send(self.latency.at_venue_ns(now), QUERY, order_id).instrument = instrument

    # -- time -------------------------------------------------------------------------------------

    def run(self, engine: EngineInput, turns: int) -> bool:
        """Go on for at most `turns` engine moments; False once the tape has ended and all answers are in.

        Bounded so that the caller can show progress and react to Ctrl-C: a compiled loop does neither.
        """
        left: i64 = turns
        exchange = self.exchange
        receiver = self.receiver
        responses = self.responses
        requests = self.requests
        while left > 0:
            left -= 1
            timer = engine.next_timer_ns
            if receiver.next_ns == NEVER and exchange.next_ns == NEVER:
                # the data has ended: outstanding requests are void, outstanding answers still arrive
                timer = NEVER
                if responses.next_ns == NEVER:
                    self.finished = True
                    return False
            local = receiver.next_ns
            if responses.next_ns < local:
                local = responses.next_ns
            if timer < local:
                local = timer
            venue = exchange.next_ns
            if requests.next_ns < venue and exchange.next_ns != NEVER:
                venue = requests.next_ns
            if venue < local:
                self._run_venue(exchange, requests, responses, local)
                continue
            self.now = local
            if receiver.next_ns == local:
                until = venue
                if responses.next_ns < until:
                    until = responses.next_ns
                receiver.at = engine.on_rows(
                    receiver.rows, receiver.at, receiver.end, until, receiver.clock_word, receiver.delay_ns
                )
                receiver.look()
            elif responses.next_ns == local:
                while responses.next_ns == local:
                    self._deliver(local, responses, engine)
            else:
                self.steps += 1
                engine.on_timer(local)
        return True

    def _run_venue(self, exchange: Cursor, requests: Line, responses: Line, until_ns: i64) -> None:
        """Run the venue's side up to, but not including, a moment; stop early when an answer is due before it."""
        while True:
            limit = until_ns
            if responses.next_ns < limit:
                limit = responses.next_ns
            due = requests.next_ns
            if due < limit:
                limit = due + 1  # rows stamped like a request come before it
            if exchange.next_ns < limit:
                at = exchange.at + WORD_META
                instrument = exchange.rows[at] >> INSTRUMENT_SHIFT
                exchange.at = self.matchers[instrument & INSTRUMENT_MASK].take_rows(
                    exchange.rows, exchange.at, exchange.end, limit
                )
                exchange.look()
            elif due < until_ns and due < responses.next_ns and exchange.next_ns != NEVER:
                # those sent together arrive together
                while requests.next_ns == due < responses.next_ns:
                    self._take_request(due, requests)
            else:
                return

    def _take_request(self, now: i64, requests: Line) -> None:
        message = requests.take()
        matcher = self.matchers[message.instrument]
        if message.kind == PLACE:
            matcher.arrive(
                now,
                message.order_id,
                message.side,
                message.price,
                message.size,
                message.time_in_force,
                message.reduce_only,
            )
        elif message.kind == CANCEL:
            matcher.cancel(now, message.order_id)
        else:
            matcher.query(now, message.order_id)

    def _deliver(self, now: i64, responses: Line, engine: EngineInput) -> None:
        message = responses.take()
        if message.kind == EVENT:
            engine.on_order_event(now, message.order_id, message.trigger, message.reason, message.exch_ts, 0)
            return
        if message.kind == FUNDED:
            engine.on_funding(
                now, message.instrument, message.fee, message.rate, message.size, message.price, message.exch_ts
            )
            return
        engine.on_fill(
            now,
            message.order_id,
            message.instrument,
            message.side,
            message.price,
            message.size,
            message.fee,
            message.taker,
            message.exch_ts,
            message.trade_id,
        )
