"""Invariants of the expected-value router over random markets and settings; every journal replays to the bit."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import RECORDED, replay_journal
from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.config.settings import parse
from hatmanifesto.journal.reader import JournalReader, Record
from hatmanifesto.model import record
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, REDUCE_ONLY_BIT, side_of, time_in_force_of, urgency_of
from hatmanifesto.model.routing import (
    POST,
    POST_CAPPED,
    POST_VALUE,
    REPRICE,
    STOP_LOSS,
    TAKE_AGE,
    TAKE_ASKED,
    TAKE_PROFIT,
    TAKE_VALUE,
)

WISHES = '''
"""Wants a changing mixture of quotes, urgent orders, takers and exits, by a small generator of its own."""
from hatmanifesto.core.strategy import BEST_CHANGED, OWN_EVENT, TIMER, Strategy


class Wishes(Strategy):
    triggers = BEST_CHANGED | OWN_EVENT | TIMER
    interval_ns = 500_000_000
    min_decision_interval_ns = 100_000_000

    def __init__(self, order_size: int, seed: int, depth: int) -> None:
        self.order_size = order_size
        self.state = seed
        self.depth = depth
        self.mode = 0

    def quote(self, view, quotes):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        if self.state >> 60 == 0:
            self.mode = (self.state >> 40) % 7
        size, tick = self.order_size, view.instrument.tick_at(view.bid_price)
        if self.mode in (0, 1, 5):
            quotes.bid(view.bid_price - tick * ((self.state >> 50) % 3), size)
            quotes.ask(view.ask_price + tick * ((self.state >> 52) % 3), size)
        if self.mode in (1, 2, 3):
            side = 1 if self.mode < 3 else -1
            best = view.bid_price if side > 0 else view.ask_price
            quotes.work(side, best - side * 3 * tick, size, 1 + (self.mode + side) % 3)
        if self.mode == 4 and view.position != 0:
            side = -1 if view.position > 0 else 1
            quotes.exit(side, view.ask_price if side < 0 else view.bid_price, abs(view.position), True, 2)
        if self.mode == 5 and self.state % 19 == 0:
            quotes.take(1, view.ask_price, size)
'''

TAPES = {seed: generate(seed=seed, minutes=1) for seed in (1, 2, 3)}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    ages = sorted(draw(st.lists(st.integers(0, 20_000), min_size=3, max_size=3)))
    urgency = {
        "improve_after": f"{ages[0]}ms",
        "touch_after": f"{ages[1]}ms",
        "take_after": f"{max(1, ages[2])}ms",
        "slippage_cap_bps": str(draw(st.sampled_from(["0.5", "2", "10", "100"]))),
        "weight": draw(st.sampled_from(["0", "1", "5"])),
    }
    router: dict[str, Any] = {
        "urgency": {name: urgency for name in ("low", "normal", "high")},
        "max_keep_ticks": draw(st.integers(0, 5)),
        "layers": draw(st.sampled_from([[100], [60, 40], [40, 30, 30]])),
        "inventory_skew_ticks": draw(st.integers(0, 5)),
        "funding_skew_intervals": draw(st.integers(0, 3)),
        "imbalance_lean_bps": draw(st.sampled_from(["0", "0.5", "5"])),
        "imbalance_drift_bps": draw(st.sampled_from(["0", "20"])),
        "improve_inside": draw(st.booleans()),
        "prior_weight": draw(st.integers(0, 30)),
        "reenter_after": "2s",
    }
    for name, burst in (("cancels_per_minute", "cancel_burst"), ("actions_per_minute", "action_burst")):
        if draw(st.booleans()):
            router[name] = draw(st.sampled_from([0, 30, 300]))
            router[burst] = draw(st.integers(1, 5))
    if draw(st.booleans()):
        router[draw(st.sampled_from(["stop_loss_bps", "take_profit_bps"]))] = draw(st.sampled_from(["0.5", "3"]))
    return router


class Account:
    """Follows a journal: what each desk holds, saw and wanted."""

    def __init__(self, router: dict[str, Any]) -> None:
        self.router = router
        self.positions: dict[int, int] = {}
        self.views: dict[int, Record] = {}
        self.arrivals: dict[tuple[int, int, int], int] = {}
        self.furthest: dict[tuple[int, int], int] = {}
        self.interrupted = False
        self.orders: dict[int, Record] = {}
        self.waiting: list[Record] = []
        self.counted: dict[tuple[str, int], list[int]] = {}
        self.kinds: set[int] = set()

    def take(self, entry: Record) -> None:
        self.kinds.add(entry.kind)
        handler = {
            record.VIEW: self.view, record.ROUTE: self.route, record.SUBMIT: self.sent, record.DENY: self.sent,
            record.FILL: self.fill,
        }.get(entry.kind)  # fmt: skip
        if handler is not None:
            handler(entry)

    def view(self, entry: Record) -> None:
        assert not self.waiting, "announced and not sent"
        fields = entry.fields()
        self.views[entry.aux] = entry
        count = fields["decision"] >> 24 & 0xFF
        flags = [fields[f"wanted_side_flags_{at + 1}"] for at in range(count)]
        wanted = {(side_of(one), one & REDUCE_ONLY_BIT) for one in flags if urgency_of(one)}
        for key in [key for key in self.arrivals if key[0] == entry.aux and key[1:] not in wanted]:
            del self.arrivals[key]
        for side, reduce_only in wanted:
            key = (entry.aux, side, reduce_only)
            self.arrivals.setdefault(key, fields["bid_price"] + fields["ask_price"])
            worst = max if side > 0 else min
            mid = fields["bid_price"] + fields["ask_price"]
            self.furthest[(entry.aux, side)] = worst(self.furthest.get((entry.aux, side), mid), mid)

    def route(self, entry: Record) -> None:
        fields, verdict = entry.fields(), entry.aux & 0xFF
        if verdict in (POST, POST_VALUE, POST_CAPPED, TAKE_VALUE, TAKE_AGE, TAKE_ASKED):
            self.waiting.append(entry)
        elif verdict in (STOP_LOSS, TAKE_PROFIT):
            self.interrupted = True
        elif verdict == REPRICE:
            self.count("cancel", entry.aux >> 8, entry.ts_ns)
            self.count("action", entry.aux >> 8, entry.ts_ns)
        assert 0 <= fields["fill_chance_ppm"] <= 1_000_000

    def count(self, what: str, desk: int, now: int) -> None:
        """No more than the burst, and what has been refilled since the first action, was ever used."""
        used = self.counted.setdefault((what, desk), [])
        used.append(now)
        rate = self.router.get(f"{what}s_per_minute")
        if rate is not None:
            burst = self.router.get(f"{what}_burst")
            assert len(used) <= burst + (now - used[0]) * rate // 60_000_000_000 + 1

    def sent(self, entry: Record) -> None:
        why = self.waiting.pop(0)
        order = entry.fields()
        flags, price, size = order["side_flags"], order["price"], order["size"]
        assert (why.fields()["price"], why.fields()["size"], why.fields()["side_flags"]) == (price, size, flags)
        assert price > 0
        assert size > 0
        side, verdict = side_of(flags), why.aux & 0xFF
        instrument = entry.aux & 0xFF if entry.kind == record.SUBMIT else order["instrument_strategy"] & 0xFF
        seen = self.views[instrument].fields()
        assert 0 < seen["bid_price"] < seen["ask_price"]
        opposite = seen["ask_price"] if side > 0 else seen["bid_price"]
        if time_in_force_of(flags) == IMMEDIATE_OR_CANCEL:
            assert verdict in (TAKE_VALUE, TAKE_AGE, TAKE_ASKED), "a taker that nobody decided on"
        else:
            assert verdict in (POST, POST_VALUE, POST_CAPPED)
            assert (price - opposite) * side < 0, "post-only never reaches the opposite best"
        if urgency_of(flags):
            self.check_cap(instrument, side, flags, price, seen)
        held = self.positions.get(instrument, 0)
        if held * side >= 0 or size > abs(held):
            self.count("action", why.aux >> 8, entry.ts_ns)
        if entry.kind == record.SUBMIT:
            self.orders[order["order_id"]] = entry

    def check_cap(self, instrument: int, side: int, flags: int, price: int, seen: dict[str, int]) -> None:
        cap = float(self.router["urgency"]["normal"]["slippage_cap_bps"]) / 10_000
        mid = (seen["bid_price"] + seen["ask_price"]) / 2
        if not flags & REDUCE_ONLY_BIT:
            mid = self.arrivals[(instrument, side, 0)] / 2
            if self.interrupted:
                # a stop ends what was wanted; where it began anew is not in the journal, only where it may have
                mid = self.furthest[(instrument, side)] / 2
        assert (price - mid) * side <= mid * cap + 1e-6, "beyond the slippage cap"

    def fill(self, entry: Record) -> None:
        fields, instrument = entry.fields(), entry.aux >> 8
        order = self.orders[fields["order_id"]].fields()
        before = self.positions.get(instrument, 0)
        after = before + fields["side"] * fields["size"]
        if order["side_flags"] & REDUCE_ONLY_BIT:
            assert abs(after) < abs(before), "an exit made the position larger"
            assert after * before >= 0, "an exit turned the position around"
        assert (fields["price"] - order["price"]) * fields["side"] <= 0
        self.positions[instrument] = after


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("routing")
    (made / "wishes.py").write_text(WISHES)
    return made


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(TAPES)), configurations(), st.integers(0, 2**32), st.sampled_from([1, 3]), st.booleans())
def test_whatever_is_wished_for_the_rules_hold_and_the_journal_replays(
    folder: Path, tape: int, router: dict[str, Any], seed: int, depth: int, recorded: bool
) -> None:
    journal = folder / "journal"
    journal.unlink(missing_ok=True)
    config = {
        "engine": {"router": "expected_value"},
        "router": router,
        "risk": {"account": {"max_leverage": "100"}},
        "strategies": {
            "wishes": {
                "class": "wishes.py:Wishes",
                "params": {"order_size": "150 USD", "seed": seed, "depth": depth},
                "instruments": ["BTC"],
            }
        },
    }
    run_tape(TAPES[tape], parse(config, folder=folder), journal)
    account = Account(router)
    with JournalReader(journal) as reader:
        for entry in reader.records():
            account.take(entry)
    assert record.SUBMIT in account.kinds or router.get("actions_per_minute") == 0
    outcome = replay_journal(journal, RECORDED if recorded else "")
    assert outcome.difference is None, outcome.difference.describe()
    assert outcome.closed
