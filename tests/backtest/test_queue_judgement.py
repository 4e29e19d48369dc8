"""The judgement of queue models runs on a small generated recording, and a model that is right scores best."""

import json
import sys

import pytest

from benchmarks import queue_models
from benchmarks.generated_level3 import write_recording


def test_the_benchmark_scores_each_model_on_each_feed_and_draws_a_chart(tmp_path, monkeypatch, capsys):
    source = write_recording(tmp_path, seed=1, events=700)
    chart = tmp_path / "chart.svg"
    chosen = {name: queue_models.MODELS[name] for name in ("risk_averse", "traced 3", "power 1")}
    monkeypatch.setattr(queue_models.run, "__kwdefaults__", {"chart": None, "models": tuple(chosen)})
    words = ["queue_models", "--source", str(source), "--orders", "12", "--chart", str(chart), "--json"]
    monkeypatch.setattr(sys, "argv", words)
    queue_models.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 * 3 * len(chosen)
    for line in lines:
        assert set(line) >= {"name", "ours", "peer", "ratio", "unit", "notes"}
        assert 0 <= line["ours"] <= 1
        low, high = line["notes"]["difference_95"]
        assert low <= high
        assert line["notes"]["orders"] > 0
    averse = [line for line in lines if line["model"] == "risk_averse"]
    assert all(line["notes"]["size_ahead_at_prints"]["bias_coins"] >= 0 for line in averse), (
        "it only errs to the safe side"
    )
    assert chart.read_text().startswith("<svg")


def test_a_perfect_prediction_has_no_error(tmp_path):
    write_recording(tmp_path, seed=1, events=700)
    from hatmanifesto.backtest.queue_truth import GONE, Truth
    from hatmanifesto.backtest.tape.importers.bitstamp_events import read_level3

    truth = Truth(read_level3([tmp_path / "orders.csv", tmp_path / "trades.csv"]))
    cases = queue_models.hypothetical(truth, 30, 1).cases
    perfect = [
        queue_models.Prediction(
            case.fills,
            [(ahead, ahead, row[3]) for row, ahead in zip(case.rows, case.ahead, strict=True) if ahead != GONE],
            [(ahead, ahead) for ahead in case.ahead if ahead != GONE],
        )
        for case in cases
    ]
    verdict = queue_models.judge(cases, perfect, 1000)
    assert (verdict["brier"], verdict["bias"], verdict["filled_wrongly"], verdict["missed"]) == (0, 0, 0, 0)
    assert verdict["size_ahead_at_prints"]["reached_wrongly_said"] == 0
    assert all(point["predicted"] == pytest.approx(point["true"]) for point in verdict["calibration"])
    never = [queue_models.Prediction([], [], []) for _ in cases]
    verdict = queue_models.judge(cases, never, 1000)
    assert verdict["bias"] < 0
    assert verdict["missed"] == sum(case.filled() == case.size for case in cases)
