"""The range of traded prices and the reason for holding back: in the view, in the journal, and the same in a replay."""

from pathlib import Path

import pytest

from conftest import REPOSITORY
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.replay import RECORDED, replay_journal
from hatmanifesto.config.settings import parse
from hatmanifesto.core.market_view import MarketView, TradedRange
from hatmanifesto.core.strategy import QuoteError, Quotes, View
from hatmanifesto.journal.reader import JournalReader, decode_columns
from hatmanifesto.model import record
from hatmanifesto.model.holds import FIRST_OWN_HOLD, HOLD_NO_BOOK, HOLDS, hold_key
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.market_row import CHANNEL_TRADES, TRADE, make_meta
from support.toy_market import generate

RANGED = '''
from hatmanifesto.core.strategy import BEST_CHANGED, TIMER, Strategy


class Ranged(Strategy):
    """Quotes where trades have been, and says 77 where none were."""

    triggers = BEST_CHANGED | TIMER
    interval_ns = 300_000_000
    depth = 2
    traded_range = True

    def quote(self, view, quotes):
        if view.lowest_sell_price():
            quotes.bid(view.lowest_sell_price(), 100)
        else:
            quotes.hold(77)
        if view.highest_buy_price():
            quotes.ask(view.highest_buy_price() + view.bid_price_at(1) * 0, 100)
'''
BUY = make_meta(TRADE, 1, CHANNEL_TRADES, 0)
SELL = make_meta(TRADE, -1, CHANNEL_TRADES, 0)
UNKNOWN_SIDE = make_meta(TRADE, 0, CHANNEL_TRADES, 0)


@pytest.mark.parametrize(
    ("trades", "highest", "lowest"),
    [
        ([], 0, 0),
        ([(BUY, 105)], 105, 0),
        ([(SELL, 95)], 0, 95),
        ([(BUY, 105), (BUY, 103), (SELL, 97), (SELL, 95), (SELL, 99)], 105, 95),
        ([(UNKNOWN_SIDE, 100)], 100, 100),
    ],
)
def test_a_range_holds_the_highest_bought_and_the_lowest_sold(
    trades: list[tuple[int, int]], highest: int, lowest: int
) -> None:
    market, traded = MarketView(), TradedRange()
    market.add_range(traded)
    for meta, price in trades:
        market.apply(meta, price, 5, 1)
    assert (traded.highest_buy, traded.lowest_sell) == (highest, lowest)


def test_each_desk_has_its_range_since_its_own_last_decision() -> None:
    market, first, second = MarketView(), TradedRange(), TradedRange()
    market.add_range(first)
    market.add_range(second)
    view = View(Instrument("BTC", price_scale=1, size_scale=5))
    view.deepen(1, True)
    market.apply(BUY, 105, 5, 1)
    view.take_range(first)
    assert (view.highest_buy_price(), view.lowest_sell_price()) == (105, 0)
    market.apply(BUY, 103, 5, 2)
    assert (first.highest_buy, second.highest_buy) == (103, 105)


def test_a_view_without_the_range_says_what_to_set() -> None:
    view = View(Instrument("BTC", price_scale=1, size_scale=5))
    with pytest.raises(IndexError, match="traded_range"):
        view.highest_buy_price()


def test_a_reason_for_holding_back_is_a_number_of_the_catalogue() -> None:
    quotes = Quotes()
    for wrong in (0, -1, 256):
        with pytest.raises(QuoteError, match="between 1 and 255"):
            quotes.hold(wrong)
    assert hold_key(HOLD_NO_BOOK) == "no_book"
    assert hold_key(77) == "own_77"
    assert all(number < FIRST_OWN_HOLD and hold.meaning and hold.remedy for number, hold in HOLDS.items())
    assert len({hold.key for hold in HOLDS.values()}) == len(HOLDS)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranged")
    (folder / "ranged.py").write_text(RANGED)
    strategies = {"ranged": {"class": "ranged.py:Ranged"}, "joiner": {"class": "touch_joiner"}}
    run_tape(generate(seed=4, minutes=1), parse({"strategies": strategies}, folder=folder), folder / "journal")
    return folder / "journal"


@pytest.mark.parametrize("strategy", ["", RECORDED])
def test_range_and_reason_are_journaled_and_replay_to_the_bit(journal: Path, strategy: str) -> None:
    outcome = replay_journal(journal, strategy)
    assert outcome.difference is None, outcome.difference.describe()
    reasons, highest = set(), set()
    with JournalReader(journal) as reader:
        for entry in reader.records(kinds={record.VIEW}):
            fields = entry.fields()
            reasons.add((fields["decision"] >> 32 & 0xFF, "highest_buy_price" in fields))
            highest.add(fields.get("highest_buy_price", 0))
            if fields["decision"] >> 24 & 0xFF and "highest_buy_price" in fields:
                assert fields["wanted_price_1"] in (fields["highest_buy_price"], fields["lowest_sell_price"])
    assert reasons == {(77, True), (0, True), (0, False)}
    assert len(highest) > 3


def test_columns_of_views_have_the_range_where_it_was_asked_for(journal: Path) -> None:
    with JournalReader(journal) as reader:
        rows = [entry.fields() for entry in reader.records(kinds={record.VIEW})]
    columns = decode_columns(journal)[record.VIEW]
    assert columns["highest_buy_price"].tolist() == [row.get("highest_buy_price", 0) for row in rows]
    assert columns["wanted_price_1"].tolist() == [row.get("wanted_price_1", 0) for row in rows]


def test_every_reason_for_holding_back_stands_in_the_docs() -> None:
    page = (REPOSITORY / "docs" / "strategies.md").read_text(encoding="utf-8")
    for number, hold in HOLDS.items():
        assert f"| {number} | `{hold.key}` | {hold.meaning} | {hold.remedy} |" in page
