"""`hat calibrate` finds a, k and sigma of a market made with known ones, and says where it cannot."""

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hatmanifesto.backtest.calibration.calibrate import Report, calibrate_tape
from hatmanifesto.backtest.calibration.estimate import Estimate
from hatmanifesto.backtest.calibration.samples import sample, span_of, step_for
from hatmanifesto.backtest.harness import run_tape
from hatmanifesto.backtest.tape.format import EXCH, LOCAL, META, PRICE, Source, TapeLike, as_rows
from hatmanifesto.backtest.tape.importers.detect import IMPORTERS, find_source
from hatmanifesto.backtest.tape.importers.request import ImportRequest
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.slice import SlicedTape, Span, whole_span
from hatmanifesto.backtest.tape.writer import TapeWriter
from hatmanifesto.cli.main import app
from hatmanifesto.config.settings import load
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import INSTRUMENT_SHIFT, KIND_MASK, TRADE
from support.known_market import START_NS, STEP_NS, known_market
from support.toy_market import generate
from tape.samples import BTC

S = 1_000_000_000
A, K, SIGMA = 0.5, 0.5, 0.3


@pytest.fixture(scope="module")
def known() -> MemoryTape:
    return known_market(a=A, k=K, sigma=SIGMA, noise=0.1, minutes=30, names=("BTC", "ETH"))


@pytest.fixture(scope="module")
def report(known: MemoryTape) -> Report:
    return calibrate_tape(known, [], horizon_ns=S)


def written(tape: TapeLike, path: Path) -> Path:
    """Write a tape of the tests to a file."""
    stream = tape.stream("exchange")
    with TapeWriter(path) as writer:
        writer.begin("exchange")
        for number in range(stream.count):
            writer.append(as_rows(stream.chunk(number)))
        specs = [BTC.__class__(name=one.name, venue="test", price_scale=2, size_scale=4) for one in tape.instruments]
        writer.finish(instruments=specs, source=Source(format="test"), statistics={})
    return path


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


# -- what is found ----------------------------------------------------------------------------------------------


def test_known_values_come_back_within_the_stated_error(report: Report) -> None:
    for one in report.found:
        assert one.k.value == pytest.approx(K, rel=0.08)
        assert one.a.value == pytest.approx(A, rel=0.08)
        assert one.volatility.sigma.value == pytest.approx(SIGMA, rel=0.06)
        for estimate in (one.a, one.k, one.volatility.sigma):
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.low < estimate.value < estimate.high
    assert [one.instrument for one in report.found] == ["BTC", "ETH"]


def test_where_trades_tell_nothing_a_fill_earns_its_depth(report: Report) -> None:
    for one in report.found:
        assert one.pays
        deep = [row for row in one.earned if row.fills >= 100]
        assert len(deep) >= 5
        for row in deep:
            assert row.bps.low is not None
            assert row.bps.high is not None
            assert row.bps.low < row.bps.value < row.bps.high
            assert row.bps.value == pytest.approx(row.depth, abs=0.6)
    assert not any("at no depth" in note for note in report.notes)


def test_where_the_price_follows_trades_a_fill_earns_nothing_and_a_note_says_so(known: MemoryTape) -> None:
    """After each trade the book goes on as far as the trade went, and farther."""
    rows = np.concatenate([as_rows(known.stream("exchange").chunk(n)) for n in range(known.stream("exchange").count)])
    rows = rows[(rows[:, META] >> INSTRUMENT_SHIFT) == 0].copy()
    shift, mid = 0, 0
    for row in rows:
        if row[META] & KIND_MASK == TRADE:
            reached = int(row[PRICE]) - mid
            row[PRICE] += shift
            shift += reached * 3 // 2
        else:
            mid = int(row[PRICE])
            row[PRICE] += shift
    tape = MemoryTape(rows, known.instruments[:1])
    report = calibrate_tape(tape, [], horizon_ns=S)
    assert not report.found[0].pays
    assert all(row.bps.value < row.depth for row in report.found[0].earned if row.fills >= 100)
    assert any("did fills earn the maker fee of 1.5 bps" in note for note in report.notes)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Eight markets of ten minutes: 95 % intervals of a, k and sigma, a little narrow on so few blocks."""
    covered = 0
    for seed in range(8):
        tape = known_market(a=A, k=K, sigma=SIGMA, minutes=10, seed=seed + 50)
        (one,) = calibrate_tape(tape, [], horizon_ns=S).found
        covered += covers(one.a, A) + covers(one.k, K) + covers(one.volatility.sigma, SIGMA)
    assert covered >= 19


def test_noise_is_told_apart_from_volatility(report: Report) -> None:
    volatility = report.found[0].volatility
    assert volatility.noise == pytest.approx(0.1, rel=0.1)
    assert volatility.plain["0.1s"] > 1.5 * SIGMA


def test_an_exponential_market_fits_well_and_another_one_does_not(report: Report) -> None:
    goodness = report.found[0].goodness
    assert goodness.r_squared is not None
    assert goodness.r_squared > 0.99
    assert goodness.probability is not None
    assert goodness.probability > 0.001
    tape = known_market(a=A, k=K, sigma=SIGMA, minutes=30)
    rows = as_rows(tape.stream("exchange").chunk(0)).copy()
    for number in range(1, tape.stream("exchange").count):
        rows = np.concatenate([rows, as_rows(tape.stream("exchange").chunk(number))])
    # every trade at one of two depths: no exponential
    trades = (rows[:, 2] & KIND_MASK) == TRADE
    sides = np.where(rows[:, 2] & (1 << 8), 1, -1)
    far = np.where(np.arange(len(rows)) % 3 == 0, 900, 100)
    rows[trades, 3] = (1_000_000 + sides * far)[trades]
    rows[~trades, 3] = np.where(sides > 0, 999_996, 1_000_004)[~trades]
    moved = known_market(a=A, k=K, sigma=SIGMA, minutes=30)  # a path for sigma on the second instrument
    both = MemoryTape(rows, moved.instruments)
    with pytest.raises(UserError, match="never moved"):
        calibrate_tape(both, [], horizon_ns=S)
    rows[::40, 3] += 1
    (one,) = calibrate_tape(MemoryTape(rows, moved.instruments), [], horizon_ns=S).found
    assert one.goodness.probability is not None
    assert one.goodness.probability < 1e-6


def test_the_first_share_looks_at_nothing_behind_it(known: MemoryTape) -> None:
    half = calibrate_tape(known, ["ETH"], horizon_ns=S, share=0.5)
    first = [as_rows(known.stream("receiver").chunk(at)) for at in range(known.stream("receiver").count)]
    rows = np.concatenate(first)
    cut = MemoryTape(rows[rows[:, LOCAL] < half.end_ns], known.instruments)
    again = calibrate_tape(cut, ["ETH"], horizon_ns=S).found[0]
    assert again.k == half.found[0].k
    assert half.found[0].windows == pytest.approx(900, abs=2)


def test_calibrating_twice_gives_the_same(known: MemoryTape, report: Report) -> None:
    assert calibrate_tape(known, ["BTC"], horizon_ns=S).found[0] == report.found[0]


def test_samples_are_the_state_at_each_step_and_old_books_are_left_out() -> None:
    tape = generate(seed=3, minutes=1, instruments=("BTC",))
    span = span_of(tape)
    (found,) = sample(tape, [0], span, 100_000_000)
    assert found.seconds == pytest.approx(60, abs=1.5)
    rows = np.concatenate([as_rows(tape.stream("receiver").chunk(at)) for at in range(tape.stream("receiver").count)])
    trades = rows[(rows[:, 2] & KIND_MASK) == TRADE]
    assert found.trades == len(trades)
    bought = trades[(trades[:, 2] & (1 << 8)) != 0]
    at = -(-(bought[:, LOCAL] - span.begin_ns) // 100_000_000)
    for step, price in zip(at.tolist(), bought[:, 3].tolist(), strict=True):
        if step < len(found.highest_buy):
            assert found.highest_buy[step] >= price
    # half a minute of silence in the middle: a book older than ten seconds is not looked at
    middle = span.begin_ns + 15 * S
    gone = rows[(rows[:, LOCAL] < middle) | (rows[:, LOCAL] > middle + 30 * S)]
    (holed,) = sample(MemoryTape(gone, tape.instruments), [0], span, 100_000_000)
    assert np.count_nonzero(~holed.usable) == pytest.approx(200, abs=60)
    assert not holed.usable[270:440].any()
    assert holed.usable[20:240].all()


def test_a_very_long_tape_is_sampled_at_longer_steps() -> None:
    tape = known_market(a=A, k=K, sigma=SIGMA, minutes=0.1)
    assert step_for(span_of(tape)) == 100_000_000
    assert step_for(span_of(tape)._replace(end_ns=START_NS + 30 * 86_400 * S)) == 1_300_000_000


# -- the rest of the tape ---------------------------------------------------------------------------------------


def test_the_rest_begins_with_the_book_as_it_stood(known: MemoryTape) -> None:
    moment = START_NS + 600 * S + STEP_NS // 2
    rest = SlicedTape(known, Span(moment, whole_span(known).end_ns))
    whole = sample(known, [0, 1], span_of(known), STEP_NS)
    for before, after in zip(whole, sample(rest, [0, 1], span_of(rest), STEP_NS), strict=True):
        skipped = (after.first_ns - before.first_ns) // STEP_NS
        assert after.first_ns == moment
        # samples of the rest lie half a step later; the book only changes on whole steps
        assert after.bid_price[1:].tolist() == before.bid_price[skipped + 1 :][: len(after.bid_price) - 1].tolist()
    rows = as_rows(rest.stream("exchange").chunk(0))
    assert (np.diff(rows[:, EXCH]) >= 0).all()
    with pytest.raises(UserError, match="no part of the tape"):
        SlicedTape(known, Span(START_NS + 3600 * S, START_NS + 3601 * S))


# -- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instruments": ["DOGE"]}, "no instrument DOGE"),
        ({"share": 0.0}, "share of 0"),
        ({"share": 1.5}, "share of 1.5"),
        ({"horizon_ns": 150_000_000}, "horizon of 0.15"),
        ({"horizon_ns": 1}, "horizon of 1e-09"),
    ],
)
def test_what_cannot_be_asked_is_refused(known: MemoryTape, options: dict[str, object], words: str) -> None:
    values = {"instruments": [], "horizon_ns": S, **options}
    with pytest.raises(UserError, match=words):
        calibrate_tape(known, **values)  # type: ignore[arg-type]


def test_a_tape_without_trades_is_refused_and_one_with_few_says_how_many() -> None:
    silent = known_market(a=A, k=K, sigma=SIGMA, minutes=1, trades=False)
    with pytest.raises(UserError, match="no trades"):
        calibrate_tape(silent, [], horizon_ns=S)
    short = known_market(a=A, k=K, sigma=SIGMA, minutes=0.5)
    with pytest.raises(UserError, match=r"\d+ windows had trades .* 30 are needed"):
        calibrate_tape(short, [], horizon_ns=S)
    with pytest.raises(UserError, match=r"BTC: \d+ windows"):
        calibrate_tape(short, ["BTC"], horizon_ns=S)


# -- the command ------------------------------------------------------------------------------------------------


def hat(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["calibrate", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def tape_file(known: MemoryTape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(known, tmp_path_factory.mktemp("known") / "known.tape")


def test_the_command_writes_a_configuration_that_trades(tape_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.toml"
    code, text, _ = hat(tape_file, "--share", "0.5", "--out", out)
    assert code == 0
    assert "BTC: rate at which trades reach a depth" in text
    assert max(len(line) for line in text.splitlines() if "made" not in line) <= 100
    draft = load(out)
    assert draft.problems == []
    assert set(draft.settings.strategies) == {"market_making_BTC", "market_making_ETH"}
    assert draft.settings.strategies["market_making_ETH"].instruments == ["ETH"]
    with Tape.open(tape_file) as tape:
        rest = SlicedTape(tape, Span(START_NS + 1620 * S, whole_span(tape).end_ns))
        prepared, finished = run_tape(rest, draft, tmp_path / "journal")
    assert finished.closing["decisions"] > 1000
    assert float(prepared.session.plan.desks[0].params["k"]) == pytest.approx(K, rel=0.1)


def test_the_command_prints_one_object_with_every_number(tape_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "chart.svg"
    code, text, _ = hat(tape_file, "--instrument", "BTC", "--chart", picture, "--json")
    assert code == 0
    found = json.loads(text)
    assert set(found["instruments"]) == {"BTC"}
    btc = found["instruments"]["BTC"]
    assert btc["k_per_bps"]["low"] < btc["k_per_bps"]["value"] < btc["k_per_bps"]["high"]
    assert found["config"] is None
    root = ET.parse(picture).getroot()
    circles = root.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(btc["points"])
    assert "http" not in picture.read_text().replace("http://www.w3.org/2000/svg", "")
    for point in btc["points"]:
        expected = btc["a_per_second"]["value"] * math.exp(-btc["k_per_bps"]["value"] * point["depth"])
        assert point["fitted"] == pytest.approx(expected)


def test_files_are_replaced_only_with_force_and_mistakes_leave_none(tape_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.toml"
    out.write_text("mine")
    code, _, err = hat(tape_file, "--out", out)
    assert code == 2
    assert "exists already" in err
    assert out.read_text() == "mine"
    assert hat(tape_file, "--instrument", "BTC", "--out", out, "--force")[0] == 0
    assert "market_making" in out.read_text()
    for words in (
        ["--horizon", "soon"],
        ["--order-usd", "-5"],
        ["--order-usd", "many"],
        ["--out", str(tmp_path / "no" / "such.toml")],
        ["--out", str(tmp_path)],
        ["--instrument", "DOGE", "--out", str(tmp_path / "other.toml")],
    ):
        code, text, err = hat(tape_file, "--json", *words)
        assert code == 2, words
        assert json.loads(text)["error"]["remedy"]
        assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.svg", "made.toml"]


def test_a_missing_tape_is_said(tmp_path: Path) -> None:
    code, _, err = hat(tmp_path / "none.tape")
    assert code == 2
    assert "cannot open" in err


def test_hyperliquid_recordings_can_be_calibrated(shared_dir: Path, tmp_path: Path) -> None:
    name, files = find_source([shared_dir / "data/hyperliquid/recorder_20250904"], "")
    with TapeWriter(tmp_path / "hl.tape") as writer:
        IMPORTERS[name](ImportRequest(files=files, instruments=["BTC"]), writer, lambda done, total: None)
    with Tape.open(tmp_path / "hl.tape") as tape:
        (one,) = calibrate_tape(tape, [], horizon_ns=S).found
    assert one.goodness.r_squared is not None
    assert one.goodness.r_squared > 0.9
    assert 0.5 < one.k.value < 5
    assert 0.2 < one.volatility.sigma.value < 2
