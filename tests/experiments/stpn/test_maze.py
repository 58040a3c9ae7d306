"""The maze experiment: small whole runs, stops and restarts, claims, and bad settings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import nn

from plastorch.cli import main
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.models import networks
from plastorch.experiments.stpn import maze as stpn_maze
from plastorch.experiments.stpn.maze import MAIN, MODELS, MazeConfig, claims, measure
from plastorch.rl.a2c import play
from plastorch.rl.maze import Maze

EXPERIMENT = "stpn-maze"
TINY = MazeConfig(size=5, steps=6, agents=3, iterations=12, warm_up=2, learning_rate=1e-2)
PARAMETERS = {
    "stpn": 12215,
    "rnn": 12305,
    "lstm": 12648,
    "modulated": 12416,
    "stpn-pre": 4415,
    "stpn-scalar": 4297,
    "stpnf": 4337,
    "stpnf-scalar": 4170,
    "hebbff": 4170,
}
"""As published."""


def models_of(config: MazeConfig, seed: int) -> nn.ModuleDict:
    return networks(config.models, MODELS, (seed,), config.network)


def figures(result: dict[str, Any]) -> dict[str, float]:
    """All metrics but those of the machine."""
    return {k: v for k, v in result["metrics"].items() if not k.endswith(("_s", "_gb"))}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = (folder / "checkpoint").glob("*.safetensors")
    return load_tensors(file)


@pytest.mark.parametrize("variant", ["corrected", "faithful"])
def test_a_run_has_reward_energy_and_size_of_every_model(
    tmp_path: Path, variant: Any, context: Callable[..., Context]
) -> None:
    result = measure(
        replace(TINY, models=tuple(MODELS), variant=variant), context(tmp_path, quick=False)
    )
    metrics = result["metrics"]
    assert result["complete"] and next(iter(metrics)) == "stpn_reward"
    for name, model in MODELS.items():
        field = name.replace("-", "_")
        assert metrics[f"{field}_reward"] >= 0 and metrics[f"{field}_s"] > 0
        rows = model.hidden_size * (4 if name == "lstm" else 1)
        per_neuron = metrics[f"{field}_energy_per_neuron"]
        assert metrics[f"{field}_energy"] == pytest.approx(rows * per_neuron) and per_neuron > 0
        unused = {"stpnf": 76, "stpnf-scalar": 181}.get(name, 0) * (variant == "faithful")
        assert metrics[f"{field}_parameters"] + unused == PARAMETERS[name]
    assert 0 < metrics["random_reward"] < metrics["shortest_path_reward"]
    assert result["data"]["n_train"] == 36
    rows = RunFolder(tmp_path).records()
    assert list(dict.fromkeys(row["phase"] for row in rows)) == list(MODELS)
    lstm = [row for row in rows if row["phase"] == "lstm"]
    assert [row["iteration"] for row in lstm] == [10, 12]
    for kind in ("iteration", "reward", "energy_per_neuron"):
        of_log = [row[kind] for row in lstm]
        assert [row[kind] for row in result["curves"]["lstm"]] == pytest.approx(of_log, abs=1e-3)
    assert list(result["curves"]) == list(MODELS)


def test_an_error_is_that_of_a_mean_over_episodes() -> None:
    torch.manual_seed(0)
    net, maze = TINY.network("rnn"), Maze(TINY.size, TINY.steps)
    found = stpn_maze.evaluate(net, MODELS["rnn"], maze, (3, 1))
    episodes = [play(net, maze, 64, stream(3, 1, part)) for part in range(32)]
    earned = torch.cat([episode.rewards.sum(0) for episode in episodes]).double().numpy()
    assert found["reward"] == pytest.approx(earned.mean())
    assert found["reward_error"] == pytest.approx(stats.sem(earned)) and found["reward_error"] > 0


def test_each_model_learns_with_the_rate_that_earned_most(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    rates = (1e-9, 1e-2)
    config = replace(
        TINY, models=("rnn", "lstm"), learning_rates=rates, tuning_iterations=15, iterations=12
    )
    tuned = measure(config, context(tmp_path, quick=False))
    assert list(tuned["curves"]) == ["rnn", "lstm"]
    for name in config.models:
        own = [trial for trial in tuned["tuning"] if trial["model"] == name]
        assert [trial["learning_rate"] for trial in own] == list(rates)
        assert all(trial["steps"] in (10, 15) for trial in own)
        top = max(own, key=lambda trial: trial["reward"])
        assert tuned["metrics"][f"{name}_learning_rate"] == top["learning_rate"]


@pytest.mark.parametrize("stop", [1, 6, 12, 20], ids=lambda at: f"iteration{at}")
def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, stop_at: Callable[[int], list[int]], stop: int, context: Callable[..., Context]
) -> None:
    """In the warm-up, among updates, at a model's end, and in the second model."""
    config = replace(TINY, models=("stpn", "lstm"))
    whole = measure(config, context(tmp_path / "whole", quick=False))
    steps = stop_at(stop)
    with pytest.raises(Interrupted):
        measure(config, context(tmp_path / "stopped", quick=False))
    assert not json.loads((tmp_path / "stopped" / "result.json").read_text())["complete"]
    again = replace(config, models=list(config.models))  # type: ignore[arg-type]
    stopped = measure(again, context(tmp_path / "stopped", quick=False))
    assert len(steps) == 24 and figures(stopped) == figures(whole)
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_seeds_differ(tmp_path: Path, context: Callable[..., Context]) -> None:
    config = replace(TINY, models=("rnn",), iterations=1, warm_up=0)
    first, second = (
        measure(config, context(tmp_path / str(s), seed=s, quick=False)) for s in (0, 1)
    )
    assert figures(first) != figures(second)


def test_recurrent_weights_of_the_rnn_start_weak_and_positive() -> None:
    core = models_of(TINY, 0)["rnn"].core.network
    recurrent = core.weight_hh_l0.detach()
    assert float(recurrent.min()) >= 0 and 0.0099 < float(recurrent.max()) <= 0.01
    for weight in (core.weight_ih_l0, core.bias_ih_l0):
        assert 0.9 * 17**-0.5 < float(weight.detach().abs().max()) <= 17**-0.5
    assert not core.bias_hh_l0.any() and not core.bias_hh_l0.requires_grad


def test_a_model_starts_the_same_whichever_others_learn() -> None:
    alone, among = models_of(replace(TINY, models=("lstm",)), 3), models_of(TINY, 3)
    for one, other in zip(alone["lstm"].parameters(), among["lstm"].parameters(), strict=True):
        assert torch.equal(one, other)
    assert "hebbff" not in among


METRICS = {f"{name}_reward": 100.0 for name in MAIN} | {f"{name}_energy": 90.0 for name in MAIN}
METRICS |= {"stpn_reward": 150.0, "lstm_reward": 120.0, "stpn_energy": 40.0, "rnn_energy": 80.0}
METRICS |= {"random_reward": 5.5}


def test_claims_name_the_nearest_rival() -> None:
    found = {claim.id: claim for claim in claims(MazeConfig(), METRICS, False)}
    assert list(found) == ["reward-best", "energy-lowest", "reward-above-random"]
    assert all(claim.holds is True for claim in found.values())
    best, least, random = found.values()
    assert (best.target, best.measured, best.origin) == (120.0, 150.0, "paper")
    assert best.statement.endswith("lstm") and least.statement.endswith("rnn")
    assert (least.target, least.measured) == (80.0, 40.0)
    assert (random.target, random.origin) == (5.5, "ours")
    worse = METRICS | {"stpn_reward": 5.0, "stpn_energy": 99.0}
    assert [claim.holds for claim in claims(MazeConfig(), worse, False)] == [False] * 3


@pytest.mark.parametrize(
    ("settings", "quick", "asserted"),
    [
        ({"variant": "faithful"}, False, True),
        ({"models": (*MAIN, "stpn-pre")}, False, True),
        ({}, True, False),
        ({"iterations": 5000, "agents": 64, "learning_rate": 3e-4}, False, True),
        ({"iterations": 4999}, False, False),
        ({"size": 9}, False, False),
        ({"models": ("stpn", "rnn", "lstm")}, False, False),
    ],
)
def test_claims_are_asserted_of_long_runs_of_the_papers_comparison(
    settings: dict[str, Any], quick: bool, asserted: bool
) -> None:
    found = claims(MazeConfig(**settings), METRICS, quick)
    assert len(found) == 3 and {claim.holds for claim in found} == {True if asserted else None}


def test_claims_need_the_stpn_and_a_rival() -> None:
    assert claims(MazeConfig(models=("rnn", "lstm")), METRICS, False) == []
    (only,) = claims(MazeConfig(models=("stpn",)), METRICS, False)
    assert only.id == "reward-above-random" and only.holds is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("gru",)}, "models are .'gru'.; expected some of"),
        ({"models": ()}, "models are"),
        ({"variant": "paper"}, "variant is 'paper'"),
        ({"size": 12}, "size is 12; expected an odd number from 5"),
        ({"steps": 0}, "steps is 0"),
        ({"agents": 0}, "agents is 0"),
        ({"iterations": -1}, "iterations is -1"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"iterations": 101}, "warm_up is 101; expected less than 101, iterations"),
        (
            {"learning_rates": (0.1,), "tuning_iterations": 50},
            "warm_up is 101; expected less than 50, tuning_iterations",
        ),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rates": (0.0,)}, "one of learning_rates is 0.0"),
        ({"tuning_iterations": 0}, "tuning_iterations is 0"),
        ({"schedule": "cosine"}, "schedule is 'cosine'; expected one of constant, linear"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        MazeConfig(**setting)


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stpn_maze, "EPISODES", 64)
    command = ["run", "stpn-maze", "--quick", "--models", "rnn", "stpn", "--out", str(tmp_path)]
    assert main(command) == 0
    (folder,) = (tmp_path / "stpn-maze").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["config"]["models"] == ["rnn", "stpn"] and result["config"]["agents"] == 16
    assert next(iter(result["metrics"])) == "stpn_reward"
    assert "STPN gains more reward" in (folder / "result.json").read_text()
    assert "claim" not in capsys.readouterr().out
