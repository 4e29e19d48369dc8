"""From the matcher's events to what the venue tells: order updates, fills, prints, funding payments."""

from collections.abc import Sequence
from typing import Any

from mypy_extensions import i64

from hatmanifesto.loopback.directory import Directory
from hatmanifesto.loopback.margin_rules import MarginRules
from hatmanifesto.loopback.market_state import RATE_DIGITS, MarketState
from hatmanifesto.loopback.news import BlockNews
from hatmanifesto.loopback.orders import basic_order, fill_object
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.text import money_text, price_text, rate_text, size_text
from hatmanifesto.loopback.twaps import history_entry, twap_state
from hatmanifesto.model.fees import fill_fee
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.events import (
    Event,
    Fill,
    FundingPaid,
    LevelChanged,
    OrderChanged,
    Trade,
    TwapChanged,
)
from hatmanifesto.simulation.live.orders import BY_OWNER, LIQUIDATED, TAKEN_OVER, LiveOrder


class Reporter:
    """Keeps histories and adds to a block's news."""

    def __init__(self, states: Sequence[MarketState], directory: Directory, rules: MarginRules) -> None:
        self._states = states
        self._directory = directory
        self._rules = rules
        self._liquidation: tuple[int, dict[str, Any]] = (0, {})  # of the trade whose fills come next
        self._venues_tid = 0  # the trade whose fills come next, when the venue sent the order that took

    def take(self, event: Event, news: BlockNews) -> None:
        """Take one event, in the order in which it happened."""
        if isinstance(event, LevelChanged):
            news.books.add(self._states[event.instrument].instrument.name)
        elif isinstance(event, OrderChanged):
            self._changed(event, news)
        elif isinstance(event, Fill):
            self._filled(event, news)
        elif isinstance(event, Trade):
            self._traded(event, news)
        elif isinstance(event, FundingPaid):
            self._paid(event, news)
        elif isinstance(event, TwapChanged):
            self._twap_changed(event, news)

    def _changed(self, event: OrderChanged, news: BlockNews) -> None:
        participant = self._directory.by_index.get(int(event.order.account))
        if participant is None:
            return
        order, remaining = event.order, int(event.remaining)
        if int(order.oid) not in participant.orders and _was_taken(event.status):
            # what matches at once was open before, with its whole size, says the venue's history
            self._status(participant, order, wording.OPEN, int(order.size), news)
            if event.status == wording.OPEN:
                return
        self._status(participant, order, event.status, remaining, news)

    def _status(self, participant: Participant, order: LiveOrder, status: str, remaining: int, news: BlockNews) -> None:
        participant.remember(order, status, remaining, news.time_ms)
        shown = basic_order(self._states[order.instrument].instrument, order, remaining)
        news.order_updates[participant.address].append(
            {"order": shown, "status": status, "statusTimestamp": news.time_ms}
        )

    def _traded(self, event: Trade, news: BlockNews) -> None:
        state = self._states[event.instrument]
        if event.by_venue:
            self._venues_tid = int(event.tid)
        address_of = self._directory.address_of
        shown = state.traded(event, address_of(int(event.buyer)), address_of(int(event.seller)), news.time_ms)
        news.trades[state.instrument.name].append(shown)

    def _filled(self, event: Fill, news: BlockNews) -> None:
        order = event.order
        state = self._states[order.instrument]
        instrument = state.instrument
        closing = int(order.closing)
        if event.crossed and closing in (LIQUIDATED, TAKEN_OVER):
            self._liquidation = (
                int(event.tid),
                {
                    "liquidatedUser": self._directory.address_of(int(order.account)),
                    "markPx": price_text(instrument, int(state.live.prices.mark)),
                    "method": "market" if closing == LIQUIDATED else "backstop",
                },
            )
        participant = self._directory.by_index.get(int(order.account))
        if participant is None:
            return
        by_venue = closing != BY_OWNER or self._venues_tid == int(event.tid)
        shown = fill_object(instrument, event, news.time_ms, by_venue=by_venue)
        if self._liquidation[0] == int(event.tid):
            shown["liquidation"] = self._liquidation[1]
        notional = int(instrument.notional(event.price, event.size))
        builder = self._directory.by_index.get(int(order.builder))
        if builder is not None and int(order.builder_tenths):
            amount = int(fill_fee(i64(notional), i64(0), order.builder_tenths))
            self._rules.pay(builder.account, amount)
            shown["builderFee"] = money_text(amount)
        opens = int(event.start) == 0
        participant.filled(shown, int(order.instrument), notional, bool(event.crossed), opens, news.time_ms)
        news.fills[participant.address].append(shown)
        if order.twap:
            of_slice = {"fill": shown, "twapId": int(order.twap)}
            participant.twap_fills.append(of_slice)
            news.twap_fills[participant.address].append(of_slice)

    def _twap_changed(self, event: TwapChanged, news: BlockNews) -> None:
        twap = event.twap
        participant = self._directory.by_index.get(int(twap.account))
        if participant is None:
            return
        instrument = self._states[twap.request.instrument].instrument
        user, size, value = participant.address, int(event.executed_size), int(event.executed_value)
        state = twap_state(instrument, user, twap, size, value)
        entry = history_entry(news.time_ms, state, int(twap.number), int(event.status), event.why)
        participant.twap_history.append(entry)
        news.twap_history[user].append(entry)

    def _paid(self, event: FundingPaid, news: BlockNews) -> None:
        participant = self._directory.by_index.get(int(event.account))
        if participant is None:
            return
        index, amount = int(event.instrument), int(event.amount)
        instrument = self._states[index].instrument
        delta = {
            "coin": instrument.name,
            "usdc": money_text(amount),
            "szi": size_text(instrument, int(event.size)),
            "fundingRate": rate_text(int(event.rate), RATE_DIGITS),
            "nSamples": None,
        }
        record = {"time": news.time_ms, "hash": "0x" + "0" * 64, "delta": {"type": "funding", **delta}}
        participant.funded(record, index, amount)
        news.funding[participant.address].append({"time": news.time_ms, **delta})


def _was_taken(status: str) -> bool:
    """Tell whether an order with this first status was taken."""
    return status != wording.REJECTED and not status.endswith("Rejected")
