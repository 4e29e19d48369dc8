"""Journals made for tests: a plan of two instruments and three desks, and histories that anything may happen in."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from hatmanifesto.config.plan import DeskPlan, ExchangePlan, InstrumentPlan, SessionPlan, StrategyPlan
from hatmanifesto.journal.format import pack_blob
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.ledger.venue_history import pack_records
from hatmanifesto.model import record
from hatmanifesto.model.order import SEQ_SHIFT, SLOT_BITS

T0 = 1_767_225_600_000_000_000
DEPOSIT = 50_000_000_000
MS = 1_000_000


def instrument(name: str, price_scale: int, size_scale: int) -> InstrumentPlan:
    return InstrumentPlan(
        name=name, price_scale=price_scale, size_scale=size_scale, money_scale=6, tick_size=1, lot_size=1,
        significant_figures=0, min_notional=0, max_price=10**7, max_size=10**6, maker_fee=-10_000, taker_fee=450_000,
        max_leverage=20, price_band=0, leverage=10, max_order_size=1, max_order_notional=1, max_position=1,
        max_position_notional=1,
    )  # fmt: skip


def desk(strategy: int, which: int) -> DeskPlan:
    return DeskPlan(
        strategy=strategy, instrument=which, params={}, triggers=1, interval_ns=1, min_interval_ns=1, depth=1,
        refresh_tolerance=0,
    )  # fmt: skip


PLAN = SessionPlan(
    seed=0, money_scale=6, deposit=DEPOSIT, max_account_notional=1, max_leverage_hundredths=1, max_open_orders=1,
    max_orders_per_second=1, answer_timeout_ns=1, max_cancel_attempts=1, max_book_age_ns=1, equity_interval_ns=1,
    router="keep", exchange=ExchangePlan(model="queue", entry_ns=0, response_ns=0),
    instruments=[instrument("AAA", 1, 5), instrument("BBB", 2, 3)],
    strategies=[StrategyPlan(name=name, cls=name, source_hash="", max_notional=1) for name in ("north", "south")],
    desks=[desk(0, 0), desk(1, 0), desk(0, 1)],
)  # fmt: skip
FACTORS = [1, 10]


class Event(NamedTuple):
    """A record: packed fields, or a blob's content."""

    ts: int
    kind: int
    aux: int = 0
    fields: tuple[int, ...] = ()
    content: Any = None


def order_id(number: int, at: int) -> int:
    return number << SEQ_SHIFT | at << SLOT_BITS | number & 1


def view(ts: int, which: int, bid: int, ask: int, mark: int, at: int = 0) -> Event:
    return Event(ts, record.VIEW, which, (at | 1 << 8, bid, 5, ask, 5, ts, mark, 0, 0, 0, 0))


def submit(ts: int, number: int, at: int, price: int, size: int, side: int, purpose: int = 0) -> Event:
    aux = PLAN.desks[at].instrument | PLAN.desks[at].strategy << 8
    flags = (1 if side > 0 else 0) | purpose << 8
    return Event(ts, record.SUBMIT, aux, (order_id(number, at), price, size, flags))


def fill(
    ts: int, order: int, which: int, side: int, price: int, size: int, fee: int, trade: int, taker: bool = False
) -> Event:
    return Event(ts, record.FILL, int(taker) | which << 8, (order, price, size, fee, ts, trade, side))


def funding(ts: int, which: int, amount: int) -> Event:
    return Event(ts, record.FUNDING_PAYMENT, which, (amount, 0, 0, 0, ts))


def operator(ts: int, **content: Any) -> Event:
    return Event(ts, record.OPERATOR, content=content)


def write(path: Path, events: list[Event], cuts: tuple[int, ...] = (), start_ns: int = T0) -> None:
    """Write a backtest's journal of these events; a group ends at each cut."""
    opening = {"kind": "backtest", "plan": msgspec.to_builtins(PLAN), "start_ns": start_ns}
    with JournalWriter(path, {"kind": "test"}, sync_interval_s=0) as writer:
        writer.append_blob(record.SESSION, T0, msgspec.json.encode(opening))
        seq = writer.next_seq
        held: list[Event] = []

        def flush() -> None:
            nonlocal seq
            if held:
                packed = [(one.ts, one.kind, one.aux, list(one.fields)) for one in held]
                writer.append(seq, len(held), pack_records(packed, seq))
                seq += len(held)
                held.clear()

        for at, one in enumerate(events):
            if one.content is not None or at in cuts:
                flush()
            if one.content is None:
                held.append(one)
            else:
                payload = msgspec.json.encode(one.content)
                writer.append(seq, 1, pack_blob(one.kind, one.ts, 0, payload, seq))
                seq += 1
        flush()
        writer.close(events[-1].ts if events else T0, {})


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Views, orders, fills of them (partial, more than whole, late), foreign and forced fills, funding, transfers."""
    now = T0
    events: list[Event] = []
    prices = [600_000, 30_000]
    sent: list[tuple[int, int, int]] = []
    trade = 0
    sizes = [[0, 0], [0, 0]]
    for number in range(draw(st.integers(1, 40))):
        now += draw(
            st.sampled_from([0, MS, 900 * MS, 4_999 * MS, 5_000 * MS, 31_000 * MS, 301_000 * MS, 3_600_000 * MS])
        )
        which = draw(st.integers(0, 1))
        what = draw(st.sampled_from(["view", "view", "order", "fill", "fill", "foreign", "forced", "pay", "money"]))
        side = draw(st.sampled_from([1, -1]))
        price = prices[which] + draw(st.integers(-50, 50))
        size = draw(st.integers(1, 9_999))
        fee = draw(st.integers(-3_000, 9_000))
        if what == "view":
            prices[which] = price
            spread = draw(st.integers(1, 7))
            mark = draw(st.sampled_from([0, price, price + 3]))
            one_sided = draw(st.integers(0, 9)) == 0
            events.append(view(now, which, 0 if one_sided else price - spread // 2, price - spread // 2 + spread, mark))
        elif what == "order":
            at = draw(st.integers(0, 2))
            events.append(submit(now, number + 1, at, price, size, side))
            sent.append((order_id(number + 1, at), PLAN.desks[at].instrument, side))
            if draw(st.booleans()):
                events.append(Event(now + MS, record.ORDER_EVENT, 5, (sent[-1][0], now)))
                now += MS
        elif what in ("fill", "foreign"):
            owner = draw(st.sampled_from(sent)) if sent and what == "fill" else (0, which, side)
            trade += 1
            events.append(fill(now, *owner, prices[owner[1]], size, fee, trade, draw(st.booleans())))
            sizes[owner[1]][0] += owner[2] * size
        elif what == "forced" and sizes[which][0]:
            held = sizes[which][0]
            closed = draw(st.integers(1, abs(held)))
            trade += 1
            forced = draw(st.sampled_from([-1, -2, -3]))
            events.append(fill(now, forced, which, -1 if held > 0 else 1, price, closed, fee, trade, True))
            sizes[which][0] -= closed if held > 0 else -closed
        elif what == "pay":
            events.append(funding(now, which, draw(st.integers(-(10**6), 10**6))))
        elif what == "money":
            amount = draw(st.integers(-(10**9), 10**9).filter(bool))
            if draw(st.booleans()):
                events.append(operator(now, command="transfer", amount=amount))
            else:
                events.append(operator(now, command="collateral", currency="BTC", scale=8, amount=amount, by="jo"))
    return events
