"""A run: its folder, that it repeats to the bit, and that its numbers are the journal's."""

import errno
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from backtest.runs import FILES, market, run
from hatmanifesto.backtest.backtest import Run
from hatmanifesto.backtest.journal_scan import read_opening
from hatmanifesto.backtest.tape.reader import MemoryTape
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader, decode_columns
from hatmanifesto.journal.verify import verify
from hatmanifesto.journal.writer import JournalWriteError
from hatmanifesto.model.market_row import KIND_MASK, TRADE
from hatmanifesto.model.money import format_decimal
from hatmanifesto.model.record import CLOSE, DENY, FILL, SUBMIT


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("runs") / "one", "exchange.maker_fee_bps=-0.3", tape=market(10))


def table(done: Run, name: str) -> pl.DataFrame:
    return pl.read_parquet(done.folder / f"{name}.parquet")


def closing_of(done: Run) -> dict:
    with JournalReader(done.folder / "journal") as reader:
        (record,) = list(reader.records(kinds={CLOSE}))
    return json.loads(record.payload)


def test_the_folder_holds_what_was_promised_and_nothing_else(done):
    assert {path.name for path in done.folder.iterdir()} == FILES
    assert [path.name for path in done.folder.parent.iterdir()] == ["one"]


def test_the_journal_is_whole_and_begins_with_the_session(done):
    report = verify(done.folder / "journal")
    assert report.ok
    assert report.closed
    assert report.final_digest == done.summary["journal"]["digest"]
    opening = read_opening(done.folder / "journal")
    assert opening.facts["exchange_models"] == ["queue", "queue"]
    assert opening.plan.hash() == opening.facts["plan_hash"]


def test_the_same_run_twice_gives_the_same_bytes_but_for_the_wall_clock(done, tmp_path):
    again = run(tmp_path / "two", "exchange.maker_fee_bps=-0.3", tape=market(10))
    for name in FILES - {"summary.json"}:
        assert (again.folder / name).read_bytes() == (done.folder / name).read_bytes(), name
    first, second = (json.loads((one.folder / "summary.json").read_text()) for one in (done, again))
    assert first.pop("wall_clock") != second.pop("wall_clock")
    assert first == second


def test_another_configuration_is_another_run(done, tmp_path):
    other = run(tmp_path / "two", "exchange.maker_fee_bps=-0.4", tape=market(10))
    assert other.summary["journal"]["digest"] != done.summary["journal"]["digest"]


def test_orders_and_fills_are_those_of_the_journal(done):
    records = decode_columns(done.folder / "journal", {SUBMIT, FILL, DENY})
    orders, fills = table(done, "orders"), table(done, "fills")
    assert fills.height == len(records[FILL]["seq"]) == done.summary["fills"] > 10
    denied = len(records[DENY]["seq"]) if DENY in records else 0
    assert orders.height == len(records[SUBMIT]["seq"]) + denied
    assert orders.filter(pl.col("state") == "denied").height == denied == done.summary["orders"]["denied"]
    assert set(orders["state"].unique()) <= {
        "filled", "cancelled", "rejected", "denied", "expired", "open", "partially_filled", "submitted",
        "cancel_pending", "unknown",
    }  # fmt: skip


def test_an_orders_filled_size_is_the_sum_of_its_fills(done):
    of_fills = table(done, "fills").group_by("order_id").agg(pl.col("size").sum().alias("sum"))
    both = table(done, "orders").filter(pl.col("filled") > 0).join(of_fills, on="order_id", how="full")
    assert both.filter(pl.col("filled") != pl.col("sum")).height == 0
    assert both.null_count()["sum"][0] == both.null_count()["filled"][0] == 0
    whole = table(done, "orders").filter(pl.col("state") == "filled")
    assert whole.filter(pl.col("filled") != pl.col("size")).height == 0


def test_the_sum_of_fills_is_the_position_and_postings_are_the_equity(done):
    plan = read_opening(done.folder / "journal").plan
    closing = closing_of(done)
    cash = plan.deposit
    for entry in plan.instruments:
        fills = table(done, "fills").filter(pl.col("instrument") == entry.name)
        size = int((fills["side"].cast(pl.Int64) * fills["size"]).sum())
        assert size == closing["positions"][entry.name]["size"]
        assert fills["position"][-1] == size
        factor = 10 ** (plan.money_scale - entry.price_scale - entry.size_scale)
        paid = sum(
            side * price * amount * factor + fee
            for side, price, amount, fee in fills.select("side", "price", "size", "fee").iter_rows()
        )
        cash += size * closing["positions"][entry.name]["mark_price"] * factor - paid
    assert cash == closing["equity"]
    assert done.summary["equity"] == format_decimal(cash, plan.money_scale)


def test_profit_parts_add_up_exactly(done):
    deposit, equity = Decimal(done.summary["deposit"]), Decimal(done.summary["equity"])
    for one in (done.summary, *done.summary["instruments"].values(), *done.summary["strategies"].values()):
        parts = {name: Decimal(value) for name, value in one["pnl"].items()}
        assert parts.pop("net") == sum(parts.values())
    assert equity - deposit == Decimal(done.summary["pnl"]["net"])
    assert Decimal(done.summary["pnl"]["rebates"]) > 0
    assert -0.3 <= float(done.summary["average_fee_bps"]) < -0.299  # every rebate is truncated


def test_counts_are_consistent(done):
    orders, intents = done.summary["orders"], done.summary["intents"]
    ended = ("filled", "cancelled", "rejected", "expired", "working_at_end")
    assert orders["placed"] == sum(orders[name] for name in ended)
    assert intents["placed"] == sum(value for name, value in intents.items() if name != "placed")
    assert orders["placed"] == closing_of(done)["orders_placed"]
    assert orders["denied"] == closing_of(done)["orders_denied"]
    assert 0 < intents["placed"] < orders["placed"]


def test_equity_rows_keep_deposit_plus_profit(done):
    equity = table(done, "equity")
    assert equity["ts_ns"].is_sorted()
    assert equity.filter(pl.col("equity") != pl.col("cash") + pl.col("unrealized")).height == 0
    assert equity["drawdown"].max() <= closing_of(done)["max_drawdown"]
    scale = pl.read_parquet_metadata(done.folder / "equity.parquet")["hatmanifesto.money_scale"]
    assert scale == str(read_opening(done.folder / "journal").plan.money_scale)


def test_the_manifest_names_everything_that_made_the_run(done):
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["journal_digest"] == done.summary["journal"]["digest"]
    assert manifest["strategies"]["touch_joiner"]["source_hash"]
    for part in (manifest["code"]["engine"], manifest["config"]["hash"], manifest["data"]["content_hash"]):
        assert len(part) >= 32
    assert manifest["seed"] == 0
    assert "librt" in manifest["libraries"]


def test_the_report_is_one_file_that_loads_nothing(done):
    text = (done.folder / "report.html").read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    assert "@@" not in text
    for outside in ("src=", "href=", "@import", "url(http"):
        assert outside not in text
    begin = text.index('id="data">') + len('id="data">')
    data = json.loads(text[begin : text.index("</script>", begin)])
    assert data["summary"]["pnl"] == done.summary["pnl"]
    assert "wall_clock" not in data["summary"]
    for entry in data["instruments"]:
        assert len(entry["price"]["t"]) == len(entry["price"]["v"]) > 10
        assert entry["price"]["t"] == sorted(entry["price"]["t"])
        assert sum(mark[5] for mark in entry["marks"]) == done.summary["instruments"][entry["name"]]["fills"]


def without_trades(tape: MemoryTape, instrument: int | None = None) -> MemoryTape:
    from hatmanifesto.backtest.tape.format import META, as_rows

    stream = tape.stream("exchange")
    rows = as_rows(b"".join(stream.chunk(i) for i in range(stream.count)))
    gone = (rows[:, META] & KIND_MASK) == TRADE
    if instrument is not None:
        gone &= (rows[:, META] >> 16) & 0xFFFF == instrument
    return MemoryTape(rows[~gone], tape.instruments)


def test_a_tape_without_trades_is_traded_by_cross_with_a_word_and_refused_by_queue(tmp_path):
    tape = without_trades(market(2))
    done = run(tmp_path / "auto", tape=tape)
    assert set(done.summary["exchange_models"].values()) == {"cross"}
    assert "no trades of BTC, ETH" in done.notes[0]
    for model in ("queue", "reference"):
        with pytest.raises(UserError, match=f"model {model} needs trades"):
            run(tmp_path / model, f"exchange.model={model}", tape=tape)
        assert not (tmp_path / model).exists()


def test_auto_chooses_for_each_instrument(tmp_path):
    done = run(tmp_path / "auto", tape=without_trades(market(2), instrument=1))
    assert done.summary["exchange_models"] == {"BTC": "queue", "ETH": "cross"}
    only = 'strategies.a={instruments=["BTC"]}'
    assert run(tmp_path / "q", "exchange.model=queue", only, tape=without_trades(market(2), 1)).summary["fills"] >= 0


def test_a_run_folder_is_replaced_only_when_asked_and_only_when_it_is_one(tmp_path):
    from hatmanifesto.backtest.run_folder import run_folder

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("keep me")
    for force in (False, True):
        with pytest.raises(UserError), run_folder(mine, force=force):
            raise AssertionError("not reached")
    assert (mine / "letter.txt").read_text() == "keep me"
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path / "new"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("kind", [OSError, JournalWriteError])
def test_a_full_disk_is_a_persons_error_that_points_at_nothing_removed(tmp_path, kind):
    from hatmanifesto.backtest.run_folder import run_folder

    def fill_the_disk() -> None:
        with run_folder(tmp_path / "new") as partial:
            (partial / "journal").write_bytes(b"some")
            if kind is OSError:
                raise OSError(errno.ENOSPC, "No space left on device")
            raise JournalWriteError(f"cannot write {partial}/journal: No space left on device", "hat journal repair")

    with pytest.raises(UserError) as caught:
        fill_the_disk()
    assert caught.value.message.startswith(f"cannot write {tmp_path / 'new'}")
    assert "No space left" in caught.value.message
    assert "make room" in caught.value.remedy
    assert "repair" not in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_is_an_operating_system_error(monkeypatch, tmp_path):
    def full(*arguments: object, **options: object) -> None:
        raise pl.exceptions.ComputeError("underlying IO error: No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(UserError, match=r"cannot write .*one: .*No space left"):
        run(tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_slices_that_stand_still_are_given_up(tmp_path, monkeypatch):
    from hatmanifesto.backtest import harness

    class Stuck:
        start_ns = now = 5

        def run(self, engine: object, turns: int) -> bool:
            return True

    prepared = harness.Prepared(
        type("Session", (), {"engine": type("E", (), {"start": lambda self, now: None, "now": 5})(),
             "strategies": [], "clocks": []})(),
        Stuck(), [], type("Survey", (), {"rows": 1})(), {}, [],
    )  # fmt: skip
    Stuck.exchange = type("Cursor", (), {"rows_done": lambda self: 0})()
    with pytest.raises(RuntimeError, match="no headway"):
        harness._drive(prepared, lambda done, total: None)


def test_two_strategies_share_an_account(tmp_path):
    done = run(
        tmp_path / "two",
        'strategies.a={class="touch_joiner", instruments=["BTC"]}',
        'strategies.b={class="touch_joiner", params={order_size="50 USD"}}',
    )
    names = done.summary["strategies"]
    assert set(names) == {"a", "b"}
    total = sum(Decimal(one["pnl"]["net"]) for one in names.values())
    assert total == Decimal(done.summary["pnl"]["net"])


def test_a_recording_of_the_venue_is_traded_end_to_end(shared_dir: Path, tmp_path):
    from hatmanifesto.backtest.tape.format import as_rows
    from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
    from hatmanifesto.backtest.tape.importers.request import ImportRequest
    from hatmanifesto.backtest.tape.reader import Tape
    from hatmanifesto.backtest.tape.writer import TapeWriter

    found, files = find_source([shared_dir / "data" / "hyperliquid" / "recorder_20250904"])
    with TapeWriter(tmp_path / "wlfi.tape") as writer:
        IMPORTERS[found](ImportRequest(files=files, instruments=["WLFI"]), writer, lambda done, total: None)
    with Tape.open(tmp_path / "wlfi.tape") as tape:
        first = MemoryTape(as_rows(tape.stream("exchange").chunk(0)), tape.instruments)
    done = run(tmp_path / "run", tape=first)
    assert done.summary["fills"] > 0
    assert done.summary["faults"] == 0
    assert done.summary["maker_ratio"] == "1"
