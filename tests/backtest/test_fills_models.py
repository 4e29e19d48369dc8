"""Base and pessimistic fills of one tape, side by side in one folder."""

import json
from decimal import Decimal

import pytest

from backtest.runs import FILES, OF_BOTH, market, run
from hatmanifesto.backtest.fills_models import COMPARED, read_as, side_by_side
from hatmanifesto.backtest.journal_scan import read_opening
from hatmanifesto.backtest.replay import replay_journal
from hatmanifesto.errors import UserError
from hatmanifesto.journal.verify import verify

SETTINGS = ("exchange.queue_model=power2", "exchange.order_entry_latency=7ms", "exchange.response_latency=4ms")
TABLES = {"journal", "fills.parquet", "orders.parquet", "equity.parquet"}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return run(tmp_path_factory.mktemp("both") / "run", *SETTINGS, tape=market(8), fills=None)


def test_both_journals_are_kept_whole_and_say_which_reading_they_are(both):
    assert {path.name for path in both.folder.iterdir()} == OF_BOTH
    assert {path.name for path in (both.folder / "pessimistic").iterdir()} == TABLES
    for fills, model in both.summary["fills_models"].items():
        journal = both.folder / model["journal"]
        assert verify(journal).final_digest == model["journal_digest"]
        assert read_opening(journal).facts["fills"] == fills


def test_base_is_the_run_alone_and_pessimistic_is_the_risk_averse_queue_with_slower_answers(both, tmp_path):
    base = run(tmp_path / "base", *SETTINGS, tape=market(8), fills="base")
    assert {path.name for path in base.folder.iterdir()} == FILES
    for name in TABLES:
        assert (base.folder / name).read_bytes() == (both.folder / name).read_bytes()
    slow = ("exchange.queue_model=risk_averse", "exchange.order_entry_latency=14ms", "exchange.response_latency=8ms")
    by_hand = run(tmp_path / "slow", *slow, tape=market(8), fills="base")
    for name in TABLES - {"journal"}:  # the journal also holds the settings
        assert (by_hand.folder / name).read_bytes() == (both.folder / "pessimistic" / name).read_bytes()
    assert both.summary["pessimistic"]["pnl"] == by_hand.summary["pnl"] != both.summary["pnl"]
    assert both.summary["fills_models"]["pessimistic"]["order_entry_latency"] == "14ms"
    assert both.summary["pessimistic"]["maker"] == by_hand.summary["maker"]


def test_what_stands_side_by_side_is_what_each_reading_says(both):
    beside = both.summary["side_by_side"]
    assert set(beside) == set(COMPARED)
    assert beside["net_pnl"] == {
        "base": both.summary["pnl"]["net"],
        "pessimistic": both.summary["pessimistic"]["pnl"]["net"],
    }
    assert beside["fills"] == {"base": both.summary["fills"], "pessimistic": both.summary["pessimistic"]["fills"]}
    assert min(beside["fills"].values()) > 0
    assert len(set(beside["net_pnl"].values())) == 2
    assert beside == side_by_side({"base": both.summary, "pessimistic": both.summary["pessimistic"]})
    text = (both.folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(text[text.index('id="data">') + len('id="data">') :].partition("</script>")[0])
    assert [one["name"] for one in data["readings"]] == ["base", "pessimistic"]
    assert data["summary"]["side_by_side"] == beside
    assert len(text) < 2_000_000


def test_the_same_two_readings_again_are_the_same_bytes(both, tmp_path):
    again = run(tmp_path / "again", *SETTINGS, tape=market(8), fills="both")
    for name in sorted(FILES - {"summary.json"} | {f"pessimistic/{table}" for table in TABLES}):
        assert (again.folder / name).read_bytes() == (both.folder / name).read_bytes(), name
    first, second = (json.loads((one.folder / "summary.json").read_text()) for one in (both, again))
    assert first.pop("wall_clock") != second.pop("wall_clock")
    assert first == second


def test_a_pessimistic_journal_replays(both):
    assert replay_journal(both.folder / "pessimistic" / "journal").difference is None


def test_the_factor_of_the_latencies_can_be_chosen_and_measured_ones_are_slowed_too(tmp_path):
    samples = tmp_path / "latency.csv"
    samples.write_text("1,1000,3000\n2000000000000000000,5000,7000\n")
    found = run(
        tmp_path / "run",
        f"exchange.latency_file={samples}",
        "exchange.pessimistic_latency_factor=1.5",
        fills="pessimistic",
    )
    plan = read_opening(found.folder / "journal").plan
    assert plan.exchange.latency_samples[0] == (1, 1500, 4500)
    assert found.summary["fills_models"]["pessimistic"]["response_latency"] == "recorded"
    assert read_as("base", plan) is plan


@pytest.mark.parametrize(("model", "fills"), [("reference", None), ("cross", None)])
def test_left_out_there_is_one_reading_where_there_is_no_queue_to_be_read(tmp_path, model, fills):
    found = run(tmp_path / "run", f"exchange.model={model}", tape=market(2), fills=fills)
    assert list(found.summary["fills_models"]) == ["base"]
    assert "pessimistic" not in found.summary


def test_the_reference_contract_refuses_a_pessimistic_reading_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="reference has no pessimistic reading"):
        run(tmp_path / "run", "exchange.model=reference", tape=market(2), fills="both")
    assert list(tmp_path.iterdir()) == []


def test_shares_and_ratios_of_both_readings_are_comparable(both):
    for fills in both.summary["side_by_side"]["quote_uptime_within_10_bps"].values():
        assert 0 < Decimal(fills) <= 1
