"""The experiment on tasks of memory: equal sizes, whole runs, a stop, claims, and bad settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.stpn import popgym
from plastorch.experiments.stpn.panels import NAMES
from plastorch.experiments.stpn.popgym import (
    TASKS,
    PopgymConfig,
    claims,
    evaluate,
    measure,
    random_return,
)
from plastorch.experiments.stpn.popgym_models import MODELS
from plastorch.experiments.stpn.recurrent import trained_parameters
from plastorch.rl.a2c import play
from plastorch.rl.cart_pole import PositionOnlyCartPole

EXPERIMENT = "stpn-popgym"
TINY = PopgymConfig(
    units=4, agents=3, iterations=2, learning_rates=(0.001, 0.01), tuning_iterations=1
)


@pytest.fixture(autouse=True)
def few_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popgym, "EPISODES", 8)
    monkeypatch.setattr(popgym, "AT_ONCE", 4)


@pytest.mark.parametrize("task", TASKS)
def test_models_have_as_many_parameters_as_the_stpn(task: Any) -> None:
    """Within 5 %, at the default size."""
    config, environment = PopgymConfig(task=task), TASKS[task].make(device="meta")
    with torch.device("meta"):
        nets = {name: config.network(environment, name) for name in MODELS}
    counts = {name: trained_parameters(net) for name, net in nets.items()}
    assert all(abs(count / counts["stpn"] - 1) < 0.05 for count in counts.values()), counts
    assert set(MODELS) <= set(NAMES)


def test_a_run_has_returns_and_size_of_every_model(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(TINY, context(tmp_path, quick=False))
    metrics = result["metrics"]
    assert result["complete"] and next(iter(metrics)) == "stpn_return"
    for name in MODELS:
        field = name.replace("-", "_")
        assert -1 <= metrics[f"{field}_return"] <= metrics[f"{field}_best_return"] <= 1
        assert metrics[f"{field}_training_return"] == metrics[f"{field}_best_training_return"]
        assert metrics[f"{field}_s"] > 0 and metrics[f"{field}_units"] > 0
        own = [trial for trial in result["tuning"] if trial["model"] == name]
        assert [trial["learning_rate"] for trial in own] == [0.001, 0.01]
        top = max(own, key=lambda trial: trial["reward"])
        assert metrics[f"{field}_learning_rate"] == top["learning_rate"]
    assert result["data"]["n_train"] == 6 and result["data"]["name"] == "repeat-previous-easy"
    rows = [row for row in RunFolder(tmp_path).records() if row["phase"] in MODELS]
    assert [row["phase"] for row in rows] == list(result["curves"]) == list(MODELS)


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, stop_at: Callable[[int], list[int]], context: Callable[..., Context]
) -> None:
    """In the training of the first model, whose rate was chosen before."""
    config = replace(TINY, models=("gru", "mlp-stacked"))
    whole = measure(config, context(tmp_path / "whole", quick=False))
    steps = stop_at(3)
    with pytest.raises(Interrupted):
        measure(config, context(tmp_path / "stopped", quick=False))
    assert not json.loads((tmp_path / "stopped" / "result.json").read_text())["complete"]
    stopped = measure(config, context(tmp_path / "stopped", quick=False))
    assert len(steps) == 8 and stopped["tuning"] == whole["tuning"]
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    for metric, value in whole["metrics"].items():
        assert metric.endswith(("_s", "_gb")) or stopped["metrics"][metric] == value


def test_agents_learn_to_repeat(tmp_path: Path, context: Callable[..., Context]) -> None:
    """The last four cards are what a layer sees that gets as many observations."""
    config = PopgymConfig(models=("mlp-stacked",), units=16, learning_rates=(0.01,), iterations=20)
    metrics = measure(config, context(tmp_path, quick=False))["metrics"]
    assert metrics["mlp_stacked_return"] > metrics["random_return"] + 0.2


def test_figures_are_of_the_episodes_of_a_stream() -> None:
    environment = PositionOnlyCartPole(20)
    torch.manual_seed(0)
    net = PopgymConfig().network(environment, "gru")
    found = evaluate(net, environment, (3, 1))
    episodes = [play(net, environment, 4, stream(3, 1, part)) for part in range(2)]
    returns = torch.cat([episode.rewards.sum(0) for episode in episodes]).double()
    assert found["return"] == pytest.approx(float(returns.mean()))
    assert found["best_return"] == pytest.approx(float(returns.max()))
    assert found["return_error"] == pytest.approx(float(returns.std()) / 8**0.5)


def test_random_actions_answer_one_of_four_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 4800 answers of 100 episodes: within four standard errors of the returns."""
    monkeypatch.setattr(popgym, "EPISODES", 100)
    found = random_return(TASKS["repeat-previous-easy"].make(device="cpu"), (0,))
    assert found == pytest.approx(2 / 4 - 1, abs=4 * 2 * (3 / 16 / 4800) ** 0.5)


METRICS = {"stpn_return": 0.5, "lstm_return": 0.4, "gru_return": 0.6, "random_return": -0.5}
METRICS |= {"stpn_training_return": 0.3, "lstm_training_return": 0.2}


def test_claims() -> None:
    found = {claim.id: claim for claim in claims(PopgymConfig(), METRICS, False)}
    assert [claim.holds for claim in found.values()] == [True, True, True, None]
    assert found["above-lstm"].target == 0.4 and found["above-random"].target == -0.5
    assert found["faster-than-lstm"].target == 0.2
    gru = found["above-gru"]
    assert (gru.target, gru.measured, gru.origin) == (0.6, 0.5, "ours")
    assert "repeat-previous-easy" in gru.statement
    worse = claims(PopgymConfig(), METRICS | {"stpn_return": 0.3}, False)
    assert [claim.holds for claim in worse] == [True, False, True, None]


@pytest.mark.parametrize(
    ("settings", "quick", "asserted"),
    [
        ({"task": "autoencode-medium", "iterations": 2000}, False, True),
        ({"models": ("lstm", "stpn", "gru")}, False, True),
        ({}, True, False),
        ({"iterations": 999}, False, False),
        ({"units": 32}, False, False),
        ({"learning_rates": (0.01,)}, False, False),
    ],
)
def test_claims_are_asserted_of_runs_as_long_as_the_default(
    settings: dict[str, Any], quick: bool, asserted: bool
) -> None:
    found = claims(PopgymConfig(**settings), METRICS, quick)
    assert [claim.holds for claim in found][:3] == [True if asserted else None] * 3


def test_claims_need_the_stpn_and_a_rival() -> None:
    assert claims(PopgymConfig(models=("gru", "lstm")), METRICS, False) == []
    (only,) = claims(PopgymConfig(models=("stpn",)), METRICS, False)
    assert only.id == "above-random"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"task": "repeat-first"}, "task is 'repeat-first'; expected one of repeat-first-easy"),
        ({"models": ("mamba",)}, "models are .'mamba'.; expected some of"),
        ({"models": ()}, "models are"),
        ({"units": 0}, "units is 0; expected 1 to"),
        ({"agents": 0}, "agents is 0"),
        ({"agents": 10**6, "units": 4096}, "agents is 1000000: needs about"),
        ({"iterations": 0}, "iterations is 0"),
        ({"learning_rates": ()}, "learning_rates are (); expected one or more"),
        ({"learning_rates": (0.0,)}, "one of learning_rates is 0.0"),
        ({"tuning_iterations": 0}, "tuning_iterations is 0"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("()", r"\(\)")):
        PopgymConfig(**setting)
