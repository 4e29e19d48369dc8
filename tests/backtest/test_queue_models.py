"""The queue model of the configuration is the one that runs, and the report says so."""

import pytest

from backtest.runs import market, run


@pytest.mark.parametrize("name", ["risk_averse", "traced", "power", "power2", "power3", "log", "log2"])
def test_the_chosen_queue_model_is_named_with_what_it_assumes(tmp_path, name):
    done = run(tmp_path / name, f"exchange.queue_model={name}", tape=market(1))
    assert any(text.startswith(f"queue model {name}:") for text in done.summary["assumptions"])
    assert done.summary["fills"] > 0


def test_a_probable_queue_is_quicker_than_the_risk_averse_one_and_repeats_itself(tmp_path):
    tape = market(10)
    averse = run(tmp_path / "averse", tape=tape).summary
    probable = run(tmp_path / "one", "exchange.queue_model=power", "exchange.queue_power=1", tape=tape).summary
    again = run(tmp_path / "two", "exchange.queue_model=power", "exchange.queue_power=1", tape=tape).summary
    assert probable["fills"] > averse["fills"]
    assert probable["journal"]["digest"] == again["journal"]["digest"]
