"""Whole backtests with fees, funding, margin and liquidation: a long story, and books that always add up."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hatmanifesto.backtest.backtest import Run, run_backtest
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.backtest.tape.format import Rows as Table
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.backtest.venue_clock import ClockedStream, FundingRates
from hatmanifesto.config.settings import parse
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.model import market_row as mr
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.record import FAULT, FILL, FUNDING_PAYMENT
from support.rows import Rows

S = 1_000_000_000
HOUR = 3_600 * S
T0 = 1_767_225_600 * S  # 2026-01-01 00:00 UTC
USD = 10**6

BUYER = '''
"""Buys once and holds; a second of its kind sells half as much on the same instrument."""
from hatmanifesto.core.strategy import BEST_CHANGED, OWN_EVENT, TIMER, Strategy


class Holder(Strategy):
    triggers = BEST_CHANGED | OWN_EVENT | TIMER
    interval_ns = 20_000_000_000

    def __init__(self, size: int, side: int = 1) -> None:
        self.size, self.side, self.sent = size, side, False
        self.turns = 0 if side > 0 else -3  # the seller comes later, or the two orders would cross

    def quote(self, view, quotes):
        self.turns += 1
        if self.turns < 0:
            return
        if not self.sent:
            self.sent = True
            quotes.take(self.side, view.ask_price if self.side > 0 else view.bid_price, self.size)
        elif view.position == 0:
            quotes.bid(view.bid_price - 50, 10)
'''


def instrument(name: str = "BTC", index: int = 0) -> Instrument:
    """Price in tenths, size in hundred-thousandths, as the venue's BTC; base fees."""
    return Instrument(
        name, index=index, price_scale=1, size_scale=5, max_price=10**7, max_leverage=40, maker_fee=150_000,
        taker_fee=450_000,
    )  # fmt: skip


def tape(
    prices: list[int], step_ns: int, size: int, *, context: bool = True, instruments: int = 1, venue: str = ""
) -> MemoryTape:
    """A snapshot of five levels a side around each price, with mark, oracle and funding rate; in dollars."""
    rows = Rows(delay_ns=1_000_000)
    for at, price in enumerate(prices):
        now = T0 + at * step_ns + 1
        for which in range(instruments):
            middle = price * 10
            bids = {middle - 10 * (n + 1): size for n in range(5)}
            asks = {middle + 10 * (n + 1): size for n in range(5)}
            rows.snapshot(now, bids, asks, instrument=which)
            rows.trade(now + 1, 1, middle + 10, 1, instrument=which)
            if context:
                for kind, value, more in (
                    (mr.MARK, middle, 0),
                    (mr.ORACLE, middle + 20, 0),
                    (mr.FUNDING, 12_500_000, 3_600),
                ):
                    rows.add(kind, mr.CHANNEL_CONTEXT, now + 2, 0, value, more, instrument=which)
    table: Table = np.array(rows.rows, dtype="<i8")
    made = [instrument(f"C{n}" if n else "BTC", n) for n in range(instruments)]
    return MemoryTape(table, made, chunk_rows=200, venues=[venue] * instruments)


def config(**changes: Any) -> dict[str, Any]:
    """A session that may do much; `exchange` parts are merged in."""
    return {
        "account": {"deposit": "20000"},
        "risk": {
            "account": {"max_account_notional": "100000000", "max_leverage": "40"},
            "instrument": {
                "default": {"max_order_notional": "10000000", "max_position_notional": "10000000", "leverage": 40}
            },
        },
        "engine": {"max_book_age": "2h"},
        "exchange": {
            "order_entry_latency": "1ms",
            "response_latency": "1ms",
            "funding": {"source": "tape"},
            "margin": {"mode": "cross"},
            **changes,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clearing")
    (path / "buyer.py").write_text(BUYER, encoding="utf-8")
    return path


def holder(size: int, side: int = 1) -> dict[str, Any]:
    return {"class": "buyer.py:Holder", "params": {"size": size, "side": side}, "min_decision_interval": "0ns"}


def records(journal: Path, kind: int) -> list[dict[str, int]]:
    with JournalReader(journal) as reader:
        return [{"ts_ns": e.ts_ns, "aux": e.aux, **e.fields()} for e in reader.records(kinds={kind})]


def audit(run: Run) -> None:
    """Cash and positions from the journal alone equal what the engine says at the end; the replay is equal."""
    journal = run.folder / "journal"
    cash: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for fill in records(journal, FILL):
        which = fill["aux"] >> 8
        value = fill["price"] * fill["size"] * fill["side"]
        cash[which] = cash.get(which, 0) - value - fill["fee"]
        sizes[which] = sizes.get(which, 0) + fill["side"] * fill["size"]
    for payment in records(journal, FUNDING_PAYMENT):
        cash[payment["aux"]] = cash.get(payment["aux"], 0) + payment["amount"]
    with JournalReader(journal) as reader:
        closing = json.loads(list(reader.records())[-1].payload)
    names = list(closing["positions"])
    assert {name: closing["positions"][name]["size"] for name in names} == {
        name: sizes.get(at, 0) for at, name in enumerate(names)
    }
    held = sum(closing["positions"][name]["size"] * closing["positions"][name]["mark_price"] for name in names)
    deposit = int(float(run.summary["deposit"]) * USD)
    assert closing["equity"] == deposit + sum(cash.values()) + held
    assert replay_journal(journal).equal
    # what strategies made adds up to what the account made
    for part in ("fees", "rebates", "funding", "net"):  # what is realized differs: the account nets them
        total = sum(round(float(entry["pnl"][part]) * USD) for entry in run.summary["strategies"].values())
        assert total == round(float(run.summary["pnl"][part]) * USD), part


def test_a_story_from_opening_through_funding_to_the_backstop(folder: Path) -> None:
    """2 BTC at 100,000 with 20,000 of deposit and 40x: three hours of funding, then the price falls."""
    falling = [100_000] * 100 + [95_000, 92_600, 92_300, 92_250, 92_240] + [91_000, 80_000, 80_000]
    prices = falling[:100] + [price for price in falling[100:] for _ in range(2)]
    run = run_backtest(
        tape(prices, 108 * S, 3 * 10**5),
        parse({**config(), "strategies": {"holder": holder(200_000)}}, folder=folder),
        folder / "story",
    )
    journal = run.folder / "journal"
    payments = records(journal, FUNDING_PAYMENT)
    assert [(p["amount"], p["rate"], p["position_size"], p["oracle_price"]) for p in payments] == [
        (-2_500_050, 12_500_000, 200_000, 1_000_020)  # 2 x 100,002 x 0.00125 %
    ] * 3
    assert [p["ts_ns"] - T0 for p in payments] == [hour * HOUR + 1_000_000 for hour in (1, 2, 3)]
    forced = [f for f in records(journal, FILL) if f["order_id"] < 0]
    # 20,000 - 90 - 20 - 7.5 in fees, a tick and funding; maintenance of 2 x 92,300 is 2,307.5
    # value at 92,300: 20,000 - 15,420 + ... = about 4,480; at 91,000 about 1,880: below maintenance, above two thirds
    sold = [(f["side"], f["size"]) for f in forced if f["order_id"] == -1]
    assert sold[0] == (-1, 40_000)  # worth more than 100,000: a fifth first
    assert all(f["order_id"] in (-1, -2) for f in forced)
    assert sum(f["size"] for f in forced) == 200_000
    assert run.summary["funding"] == {
        "payments": 3, "received": "0", "paid": "7.50015", "net": "-7.50015",
        "instruments": {"BTC": {"payments": 3, "received": "0", "paid": "7.50015", "net": "-7.50015"}},
    }  # fmt: skip
    assert run.summary["forced_fills"]["liquidated"]["fills"] == len(sold)
    reasons = {entry["reason"]: entry["count"] for entry in run.summary["fault_reasons"]}
    assert reasons["liquidated"] == len(sold)
    assert reasons.get("backstopped", 0) == len(forced) - len(sold)
    assert [f["value"] for f in records(journal, FAULT)][: len(sold)] == [size for _, size in sold]
    assert run.summary["pnl"]["funding"] == "-7.50015"
    assert float(run.summary["equity"]) >= 0
    fills = pl.read_parquet(run.folder / "fills.parquet")
    assert fills.filter(pl.col("order_id") < 0)["strategy"].unique().to_list() == [""]
    audit(run)


@pytest.mark.parametrize(("venue", "payments", "forced"), [("hyperliquid", 1, True), ("elsewhere", 1, False)])
def test_what_the_venue_does_is_done_without_being_asked(folder: Path, venue: str, payments: int, forced: bool) -> None:
    """An hour of holding 2 BTC at 40x, then a fall: only where margin rules are known is anything sold."""
    prices = [100_000] * 5 + [80_000] * 3
    settings = config()
    settings["exchange"] = {"order_entry_latency": "1ms", "response_latency": "1ms"}
    run = run_backtest(
        tape(prices, 900 * S, 3 * 10**5, venue=venue),
        parse({**settings, "strategies": {"holder": holder(200_000)}}, folder=folder),
        folder / venue,
    )
    assert run.summary["funding"]["payments"] == payments
    assert (sum(entry["fills"] for entry in run.summary["forced_fills"].values()) > 0) is forced
    assert (float(run.summary["equity"]) >= 0) is forced
    assert run.summary["venue_rules"]["margin"].startswith("cross" if forced else "not simulated: no margin rules")
    audit(run)


def test_without_margin_the_same_fall_leaves_a_debt_that_nobody_collects(folder: Path) -> None:
    prices = [100_000] * 5 + [80_000] * 5
    run = run_backtest(
        tape(prices, 60 * S, 3 * 10**5),
        parse(
            {**config(margin={"mode": "off"}, funding={"source": "off"}), "strategies": {"holder": holder(200_000)}},
            folder=folder,
        ),
        folder / "nothing",
    )
    assert float(run.summary["equity"]) < -20_000
    assert run.summary["funding"]["payments"] == 0
    assert sum(entry["fills"] for entry in run.summary["forced_fills"].values()) == 0
    assert any("no position is ever liquidated" in words for words in run.summary["assumptions"])
    audit(run)


def test_strategies_share_funding_and_liquidation_by_what_they_hold(folder: Path) -> None:
    """One holds 2 long, one 1 short: the account pays for 1, of which one pays twice and the other receives."""
    prices = [100_000] * 70 + [91_000, 82_000, 60_000]
    run = run_backtest(
        tape(prices, 60 * S, 3 * 10**5),
        parse(
            {**config(), "strategies": {"long": holder(200_000), "short": holder(100_000, -1)}},
            folder=folder,
        ),
        folder / "shared",
    )
    own = {name: entry["pnl"]["funding"] for name, entry in run.summary["strategies"].items()}
    assert own == {"long": "-2.50005", "short": "1.250025"}
    assert run.summary["pnl"]["funding"] == "-1.250025"
    assert run.summary["instruments"]["BTC"]["position"] == "0"
    audit(run)


def test_the_venue_refuses_what_the_engine_s_own_check_let_through(folder: Path) -> None:
    """At 40x the engine's worst case fits; the venue wants the taker fee beside it."""
    run = run_backtest(
        tape([100_000] * 5, 60 * S, 9 * 10**5),
        parse({**config(), "strategies": {"holder": holder(799_900)}}, folder=folder),
        folder / "refused",
    )
    assert [(entry["reason"], entry["message"]) for entry in run.summary["rejections"]] == [
        ("venue_margin", "Insufficient margin to place order.")
    ]
    audit(run)


@pytest.mark.parametrize(
    ("exchange", "paid"),
    [
        ({"funding": {"source": "constant", "rate": "0.0001", "interval": "8h"}}, []),
        ({"funding": {"source": "constant", "rate": "0.0001", "interval": "1h"}}, [-10_000_200]),
        ({"funding": {"source": "constant", "rate": "-0.0001", "interval": "30min"}}, [10_000_200, 10_000_200]),
        ({"funding": {"source": "tape", "interval": "30min"}}, [-625_012, -625_012]),
        ({"funding": {"source": "file", "file": "rates.csv"}}, [-4_321_086]),
    ],
)
def test_where_rates_come_from(folder: Path, exchange: dict[str, Any], paid: list[int]) -> None:
    (folder / "rates.csv").write_text(
        f"time_ns,instrument,rate\n{T0},BTC,0.01\n{T0 + HOUR + 76_000_000},BTC,0.00004321\n{T0 + 2 * HOUR},BTC,0.02\n"
    )
    run = run_backtest(
        tape([100_000] * 20, 200 * S, 3 * 10**5),
        parse({**config(**exchange), "strategies": {"holder": holder(100_000)}}, folder=folder),
        folder / "rates",
        force=True,
    )
    assert [p["amount"] for p in records(run.folder / "journal", FUNDING_PAYMENT)] == paid
    audit(run)


def test_a_tier_reached_during_the_run_changes_the_fees(folder: Path) -> None:
    fees = {"schedule": "hyperliquid", "volume_14d": "4999999", "referred": True, "builder_fee_bps": "1"}
    run = run_backtest(
        tape([100_000] * 5, 60 * S, 3 * 10**5),
        parse({**config(fees=fees), "strategies": {"holder": holder(100_000)}}, folder=folder),
        folder / "tier",
    )
    # 100,001 x (4.5 bps - 4 %) and a builder's bp
    assert [f["fee"] for f in records(run.folder / "journal", FILL)] == [43_200_432 + 10_000_100]
    audit(run)


def test_the_clock_s_rows_reach_neither_the_engine_nor_the_rows_counted(folder: Path) -> None:
    quiet = {"margin": {"mode": "cross", "mark_interval": "1s"}, "feed": "2ms"}
    run = run_backtest(
        tape([100_000] * 5, 60 * S, 3 * 10**5, context=False),
        parse({**config(**quiet), "strategies": {"holder": holder(100_000)}}, folder=folder),
        folder / "clock",
    )
    assert run.summary["rows"] == 5 * 11
    audit(run)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"model": "reference"}, "knows neither funding nor margin"),
    ({"fees": {"staked": "5"}}, 'counts only with schedule = "hyperliquid"'),
    ({"fees": {"schedule": "hyperliquid", "builder_fee_bps": "0.15"}}, "at most 1 decimals"),
    ({"fees": {"schedule": "gold"}}, "exchange.fees.schedule"),
    ({"funding": {"source": "file"}}, "needs a file"),
    ({"funding": {"source": "file", "file": "nowhere.csv"}}, "cannot be read"),
    ({"funding": {"source": "constant", "rate": "1"}}, "between -0.5 and 0.5"),
    ({"funding": {"source": "constant", "rate": "0.0000000000001"}}, "at most 12 decimals"),
    ({"funding": {"source": "tape", "interval": "1ms"}}, "exchange.funding.interval"),
    ({"margin": {"mode": "portfolio"}}, "exchange.margin.mode"),
    ({"margin": {"mode": "cross", "deleverage_percent": 0}}, "exchange.margin.deleverage_percent"),
]


@pytest.mark.parametrize(("exchange", "says"), MISTAKES)
def test_mistakes_are_named_and_nothing_is_written(folder: Path, exchange: dict[str, Any], says: str) -> None:
    draft = parse({**config(**exchange), "strategies": {"holder": holder(100)}}, folder=folder)
    with pytest.raises(UserError, match=says):
        run_backtest(tape([100_000] * 2, S, 10**5), draft, folder / "never")
    assert not (folder / "never").exists()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("1,BTC\n", "line 1"),
        ("time_ns,instrument,rate\n1,BTC,much\n", "line 2"),
        ("1,BTC,0.7\n", "between -0.5 and 0.5"),
        ("1,DOGE,0.1\n", "no rate of BTC"),
        ("", "no rate of BTC"),
    ],
)
def test_a_file_of_rates_that_cannot_be_used_is_named_by_its_line(folder: Path, lines: str, says: str) -> None:
    (folder / "wrong.csv").write_text(lines)
    exchange = {"funding": {"source": "file", "file": "wrong.csv"}}
    draft = parse({**config(**exchange), "strategies": {"holder": holder(100)}}, folder=folder)
    with pytest.raises(UserError, match=says):
        run_tape(tape([100_000] * 2, S, 10**5), draft, folder / "never.journal")


# -- the clock among the rows -----------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([None, 7]),
)
def test_the_clock_strikes_once_at_every_multiple_whatever_the_chunks(
    steps: list[int], chunk_rows: int, mark: int, funding: int, constant: int | None
) -> None:
    base_ns = 10**9
    times = np.cumsum(steps) + base_ns
    table = np.zeros((len(times), 5), dtype="<i8")
    table[:, 0] = table[:, 1] = times
    table[:, 2] = mr.make_meta(mr.TRADE, 1, mr.CHANNEL_TRADES, 0)
    memory = MemoryTape(table, [instrument()], chunk_rows=chunk_rows)
    stream = ClockedStream(memory.stream("exchange"), 1, mark, funding, FundingRates(constant))
    got = np.concatenate([np.frombuffer(stream.chunk(at), "<i8").reshape(-1, 5) for at in range(stream.count)])
    assert (np.diff(got[:, 0]) >= 0).all()
    kinds = got[:, 2] & mr.KIND_MASK
    assert (got[kinds == mr.TRADE] == table).all()
    first, last = int(times[0]), int(times[-1])
    due: dict[int, int] = {}
    for interval, what in ((mark, mr.CLOCK_MARK), (funding, mr.CLOCK_FUNDING)):
        if interval:
            for moment in range(-(-first // interval) * interval, last + 1, interval):
                due[moment] = due.get(moment, 0) | what
    assert [(int(row[0]), int(row[3])) for row in got[kinds == mr.CLOCK]] == sorted(due.items())
    rates = got[kinds == mr.FUNDING]
    assert len(rates) == (0 if constant is None else sum(1 for what in due.values() if what & mr.CLOCK_FUNDING))
    places = np.flatnonzero(kinds == mr.CLOCK)
    assert all(
        place + 1 == len(got) or got[place + 1, 0] > got[place, 0] or kinds[place + 1] != mr.CLOCK for place in places
    )
    assert stream.chunk(stream.count) == b""
    # a chunk asked for out of order is the same
    again = ClockedStream(memory.stream("exchange"), 1, mark, funding, FundingRates(constant))
    assert again.chunk(stream.count - 1) == stream.chunk(stream.count - 1)


# -- books that add up ------------------------------------------------------------------------------


@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(st.integers(-6_000, 6_000), min_size=10, max_size=40),
    st.sampled_from(["cross", "isolated"]),
    st.integers(10_000, 700_000),
    st.booleans(),
    st.sampled_from(["0", "200"]),
)
def test_cash_is_the_sum_of_postings_in_any_market(
    folder: Path, moves: list[int], mode: str, size: int, context: bool, deleverage: str
) -> None:
    prices = [100_000]
    for move in moves:
        prices.append(max(5_000, prices[-1] + move))
    exchange = {
        "margin": {"mode": mode, "deleverage_move_bps": deleverage, "deleverage_percent": 30},
        "funding": {"source": "constant", "rate": "0.0013"},
    }
    run = run_backtest(
        tape(prices, 600 * S, 4 * 10**5, context=context, instruments=2),
        parse({**config(**exchange), "strategies": {"a": holder(size), "b": holder(size // 3, -1)}}, folder=folder),
        folder / "any",
        force=True,
    )
    audit(run)


# -- real rates -------------------------------------------------------------------------------------


def test_recorded_rates_of_the_venue_can_be_paid(shared_dir: Path, folder: Path) -> None:
    """Three hours of BTC's own history of 2024 through a file, as it is published."""
    file = shared_dir / "data" / "funding" / "yuchengzhang" / "hl_BTC_funding_rates.json.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    rows = json.loads(gzip.decompress(file.read_bytes()))[:4]
    shift = T0 // 10**6 - rows[0]["time"] // 3_600_000 * 3_600_000
    with (folder / "recorded.csv").open("w", newline="") as out:
        csv.writer(out).writerows([((row["time"] + shift) * 10**6, "BTC", row["funding_rate"]) for row in rows])
    run = run_backtest(
        tape([100_000] * 55, 200 * S, 3 * 10**5),
        parse(
            {
                **config(funding={"source": "file", "file": "recorded.csv"}),
                "strategies": {"holder": holder(100_000)},
            },
            folder=folder,
        ),
        folder / "recorded",
    )
    expected = [int(100_002 * 10**6 * int(row["funding_rate"].replace("0.", "")) / 10**10) for row in rows[1:4]]
    paid = [-p["amount"] for p in records(run.folder / "journal", FUNDING_PAYMENT)]
    assert paid == expected[: len(paid)]
    assert len(paid) == 3
    audit(run)
