"""Agents that learn by RLlib: small whole runs, stops and restarts, claims, and bad settings."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.engine.cluster import cluster, needs_ray
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.stpn import agents as stpn_agents
from plastorch.experiments.stpn import pendulum as stpn_pendulum
from plastorch.experiments.stpn import pong as stpn_pong
from plastorch.experiments.stpn.panels import panels
from plastorch.experiments.stpn.pendulum import PendulumConfig
from plastorch.experiments.stpn.pong import PROTOCOLS, PongConfig
from plastorch.report import write_report
from plastorch.rl.training import AgentTraining

EXPERIMENT = "stpn-pendulum"
pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib's own
TINY = PendulumConfig(models=("stpn", "mlp"), steps=256, envs=2)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Ray takes seconds to start; these tests share it."""
    needs_ray("ray.rllib")
    with cluster(None):
        yield


@pytest.fixture
def small(ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    protocols = {
        name: protocol._replace(batch=128, epochs=1)
        for name, protocol in stpn_pendulum.PROTOCOLS.items()
    }
    monkeypatch.setattr(stpn_pendulum, "PROTOCOLS", protocols)
    monkeypatch.setattr(stpn_pendulum, "EPISODES", 2)


def rllib_checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoint").glob("rllib-*"))


def test_what_was_stopped_goes_on(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    """In the first model; RLlib's counters and the weights come back."""
    step, count = AgentTraining.step, 0

    def stopping(self: AgentTraining) -> Any:
        nonlocal count
        count += 1
        if count == 1:
            signal.raise_signal(signal.SIGINT)
        if count == 2:
            there = self.algorithm.get_module().agent.state_dict()
            restored.update({name: tensor.clone() for name, tensor in there.items()})
        return step(self)

    restored: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(AgentTraining, "step", stopping)
    with pytest.raises(Interrupted):
        stpn_pendulum.measure(TINY, context(tmp_path, quick=False))
    assert not json.loads((tmp_path / "result.json").read_text())["complete"]
    assert rllib_checkpoints(tmp_path) == ["rllib-stpn-00000001"]
    before = {
        name.removeprefix("model.stpn."): tensor
        for name, tensor in torch_tensors(tmp_path).items()
        if name.startswith("model.stpn.")
    }

    damaged = tmp_path.with_name("damaged")
    shutil.copytree(tmp_path, damaged)
    shutil.rmtree(damaged / "checkpoint" / "rllib-stpn-00000001")
    with pytest.raises(InputError, match="rllib-stpn-00000001 is not a checkpoint of RLlib"):
        stpn_pendulum.measure(TINY, context(damaged, quick=False))

    result = stpn_pendulum.measure(TINY, context(tmp_path, quick=False))
    assert before.keys() == restored.keys()
    assert all(torch.equal(before[name], restored[name]) for name in before)
    assert count == 4 and result["complete"]
    assert rllib_checkpoints(tmp_path) == ["rllib-mlp-00000002", "rllib-stpn-00000002"]
    assert "ray" in result["versions"]
    rows = RunFolder(tmp_path).records()
    assert [(row["phase"], row["iteration"]) for row in rows] == [
        ("stpn", 1),
        ("stpn", 2),
        ("mlp", 1),
        ("mlp", 2),
    ]
    steps = [float(row["env_steps"]) for row in rows]
    assert 128 <= steps[0] < 140 and 256 <= steps[1] < 280
    assert all(float(row["energy"]) > 0 and float(row["return"]) >= 1 for row in rows)
    metrics = result["metrics"]
    assert next(iter(metrics)) == "stpn_return"
    assert (metrics["stpn_parameters"], metrics["mlp_parameters"]) == (1027, 515)
    assert metrics["stpn_return"] == metrics["stpn_length"] - 1 >= 1  # none for the step it falls
    for name in ("stpn", "mlp"):
        returns = [float(row["return"]) for row in rows if row["phase"] == name]
        assert metrics[f"{name}_mean_return"] == pytest.approx(sum(returns) / 2)
        shown = [point["return"] for point in result["curves"][name]]
        assert shown == pytest.approx(returns, abs=1e-3)
        assert metrics[f"{name}_energy_same_inputs"] > 0
    page = write_report(tmp_path, panels).read_text()
    for title in ("Return of an episode", "Energy of the synapses", "The pole", "Inside the agent"):
        assert f"<h3>{title}</h3>" in page


def torch_tensors(folder: Path) -> dict[str, torch.Tensor]:
    from plastorch.engine.checkpoint import load_checkpoint

    found = load_checkpoint(folder / "checkpoint")
    assert found is not None
    return found[0]


def test_equal_seeds_give_equal_figures_and_learning_changes_weights(
    tmp_path: Path, small: None, context: Callable[..., Context]
) -> None:
    config = replace(TINY, models=("rnn",), steps=128)
    logs, weights = [], []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        stpn_pendulum.measure(config, context(tmp_path / name, seed=seed, quick=False))
        logs.append((tmp_path / name / "metrics.jsonl").read_bytes())
        weights.append(torch_tensors(tmp_path / name))
    assert logs[0] == logs[1] != logs[2]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    start = stpn_agents.seeded(lambda: stpn_pendulum.agent(4, 2, "rnn"), 0, 2).state_dict()
    assert not any(torch.equal(start[name], weights[0][f"model.rnn.{name}"]) for name in start)
    difference = max(
        float((start[name] - weights[0][f"model.rnn.{name}"]).abs().max()) for name in start
    )
    assert difference < 0.01  # an update by Adam of 1e-3 from these very weights


def test_pong(tmp_path: Path, small: None, context: Callable[..., Context]) -> None:
    result = stpn_pong.measure(PongConfig(models=("stpn",)), context(tmp_path, quick=True))
    assert result["complete"] and result["metrics"]["stpn_parameters"] == 519735
    assert result["config"]["settings"]["frame_skip"] == 4
    assert {claim["holds"] for claim in result["claims"]} == {None}
    page = write_report(tmp_path, panels).read_text()
    assert "<h3>What the agent sees</h3>" in page and "<h3>Inside the agent</h3>" in page


def test_more_runners_than_cpus_would_wait_for_ever(
    tmp_path: Path, small: None, context: Callable[..., Context]
) -> None:
    with pytest.raises(InputError, match=r"runners is 999; expected at most \d+, the CPUs"):
        stpn_pendulum.measure(replace(TINY, runners=999), context(tmp_path, quick=False))
    assert not list(tmp_path.iterdir())


PARAMETERS = {"stpn": 1027, "lstm": 18115, "rnn": 4675, "mlp": 515}
"""As published."""


def test_sizes_are_the_papers() -> None:
    for name, size in PARAMETERS.items():
        net = stpn_pendulum.agent(4, 2, name)
        assert sum(p.numel() for p in net.parameters() if p.requires_grad) == size
    for name, size in {"stpn": 519735, "lstm": 516871}.items():
        net = stpn_pong.agent(6, name)
        assert sum(p.numel() for p in net.parameters() if p.requires_grad) == size


POLE = {f"{name}_return": 1000.0 for name in PARAMETERS}
POLE |= {f"{name}_mean_return": 400.0 for name in PARAMETERS} | {"stpn_mean_return": 500.0}
POLE |= {f"{name}_energy_same_inputs": 9.0 for name in PARAMETERS}
POLE |= {"stpn_energy_same_inputs": 6.0, "rnn_energy_same_inputs": 8.0}
POLE |= {"stpn_energy": 5.0, "mlp_energy": 7.0, "rnn_energy": 20.0, "lstm_energy": 90.0}


def test_claims_of_the_pendulum() -> None:
    found = {claim.id: claim for claim in stpn_pendulum.claims(PendulumConfig(), POLE, False)}
    assert list(found) == ["solved", "energy-lowest", "speed", "energy-same-inputs"]
    assert all(claim.holds is True for claim in found.values())
    solved, lowest, speed, same = found.values()
    assert (solved.target, lowest.target, lowest.measured) == (950.0, 7.0, 5.0)
    assert lowest.statement.endswith("mlp") and lowest.origin == "paper"
    assert (speed.target, speed.measured, speed.origin) == (400.0, 500.0, "ours")
    assert (same.target, same.measured, same.origin) == (8.0, 6.0, "ours")
    assert same.statement.endswith("rnn")
    exactly = stpn_pendulum.claims(PendulumConfig(), POLE | {"stpn_return": 950.0}, False)
    assert exactly[0].holds is True


def test_claims_of_the_pendulum_can_fail() -> None:
    worse = {"stpn_energy": 8.0, "stpn_mean_return": 400.0, "stpn_energy_same_inputs": 8.0}
    found = stpn_pendulum.claims(PendulumConfig(), POLE | worse, False)
    assert [claim.holds for claim in found] == [True, False, False, False]
    fallen = stpn_pendulum.claims(PendulumConfig(), POLE | {"stpn_return": 949.9}, False)
    assert [claim.holds for claim in fallen] == [False, True, True, None]


def test_only_models_that_balance_the_pole_are_compared_on_the_same_observations() -> None:
    fallen = POLE | {"rnn_return": 949.9}
    *_, same = stpn_pendulum.claims(PendulumConfig(), fallen, False)
    assert same.target == 9.0
    alone = fallen | {"lstm_return": 5.0, "mlp_return": 5.0}
    assert [claim.id for claim in stpn_pendulum.claims(PendulumConfig(), alone, False)][
        -1
    ] == "speed"


@pytest.mark.parametrize(
    ("settings", "quick", "holds"),
    [
        ({}, True, [None] * 4),
        ({"steps": 99_999}, False, [None] * 4),
        ({"env": "Hopper-v5"}, False, [None] * 4),
        ({"learning_rate": 3e-4}, False, [True] * 4),
        ({"models": ("stpn", "mlp")}, False, [True, None, None, None]),
        ({"models": ("stpn",)}, False, [True]),
        ({"models": ("mlp",)}, False, []),
    ],
)
def test_claims_of_the_pendulum_are_asserted_of_long_runs(
    settings: dict[str, Any], quick: bool, holds: list[bool | None]
) -> None:
    found = stpn_pendulum.claims(PendulumConfig(**settings), POLE, quick)
    assert [claim.holds for claim in found] == holds


PONG = {
    "stpn_return": -10.0,
    "random_return": -20.3,
    "stpn_first_return": -20.5,
    "stpn_last_return": -12.0,
    "stpn_energy": 7.0,
    "lstm_energy": 160.0,
    "lstm_last_return": -13.0,
    "stpn_env_steps": 1_000_900.0,
    "lstm_env_steps": 1_000_100.0,
}


@pytest.mark.parametrize(
    ("settings", "holds"),
    [
        ({}, [True, True, None, True, True]),
        ({"steps": 499_999}, [None] * 5),
        ({"protocol": "paper"}, [True, True, False, True, True]),
        ({"protocol": "paper", "steps": 2_000_000}, [True, True, None, True, True]),
        ({"env": "ALE/Breakout-v5"}, [None] * 5),
    ],
)
def test_claims_of_pong(settings: dict[str, Any], holds: list[bool | None]) -> None:
    found = stpn_pong.claims(PongConfig(**settings), PONG, False)
    names = ["above-random", "return-rises", "solved", "energy-below-lstm", "return-above-lstm"]
    assert [claim.id for claim in found] == names
    assert [claim.holds for claim in found] == holds


def test_pongs_models_are_compared_where_they_learned_equally_long() -> None:
    def compared(**metrics: float) -> Any:
        return stpn_pong.claims(PongConfig(), PONG | metrics, False)[-1]

    claim = compared()
    assert (claim.id, claim.origin) == ("return-above-lstm", "paper")
    assert (claim.target, claim.measured, claim.holds) == (-13.0, -12.0, True)
    assert compared(lstm_last_return=-12.0).holds is False
    assert compared(lstm_env_steps=900_000.0).holds is None


def test_the_papers_settings_of_the_pendulum() -> None:
    paper = PendulumConfig(protocol="paper").settings
    assert (paper.steps, paper.rates["stpn"], paper.minibatch) == (1_000_000, 3e-4, 64)
    values = [paper.ppo[name] for name in ("vf_clip_param", "vf_loss_coeff", "entropy_coeff")]
    assert values == [10.0, 1.0, 0.01] and (paper.batch, paper.epochs) == (2048, 10)
    assert set(PendulumConfig(learning_rate=0.01).settings.rates.values()) == {0.01}
    few = PendulumConfig(steps=7).settings
    assert few == stpn_pendulum.PROTOCOLS["short"]._replace(steps=7, batch=7, minibatch=7)


def test_the_papers_settings_are_advantage_actor_critic() -> None:
    """One pass over one batch: the ratio is 1, so nothing is clipped."""
    paper = PROTOCOLS["paper"]
    assert paper.epochs == 1 and paper.minibatch == paper.batch == 64 * 50
    assert (paper.frame_skip, paper.ppo["lambda_"], paper.runners) == (1, 1.0, 64)
    assert PongConfig(protocol="paper", runners=2, envs=32).settings.runners == 2


@pytest.mark.parametrize(
    ("config", "setting", "words"),
    [
        (PendulumConfig, {"models": ("gru",)}, "models are"),
        (PendulumConfig, {"steps": 0}, "steps is 0"),
        (PendulumConfig, {"envs": 0}, "envs is 0"),
        (PendulumConfig, {"learning_rate": 0.0}, "learning_rate is 0.0"),
        (PendulumConfig, {"protocol": "ours"}, "protocol is 'ours'; expected one of paper, short"),
        (PendulumConfig, {"runners": -1}, "runners is -1"),
        (PongConfig, {"models": ("rnn",)}, "models are"),
        (PongConfig, {"protocol": "fast"}, "protocol is 'fast'; expected one of paper, short"),
        (PongConfig, {"steps": 0}, "steps is 0"),
        (PongConfig, {"envs": 0}, "envs is 0"),
        (PongConfig, {"runners": -2}, "runners is -2"),
    ],
)
def test_bad_settings(config: Any, setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        config(**setting)


@pytest.mark.parametrize(
    ("experiment", "arguments", "words"),
    [
        ("stpn-pendulum", ["--env", "InvertedPendulum-v9"], "env is 'InvertedPendulum-v9'"),
        ("stpn-pendulum", ["--address", "localhost:1"], "no Ray cluster answers there"),
        ("stpn-pendulum", ["--address", "nowhere"], "expected HOST:PORT of a Ray cluster"),
        ("stpn-pong", ["--env", "CartPole-v1"], "expected an Atari game"),
        ("stpn-pong", ["--address", "localhost:1"], "start one with: ray start --head --port=1"),
    ],
)
def test_bad_input_is_one_line(
    experiment: str,
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_ray("ray.rllib")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    command = ["run", experiment, "--quick", "--out", str(tmp_path), *arguments]
    assert main(command) == 2
    (line,) = (
        line for line in capsys.readouterr().err.splitlines() if line.startswith("plastorch:")
    )
    assert words in line
    assert not list((tmp_path / experiment).iterdir())


def test_a_missing_extra_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plastorch.engine.errors.find_spec", lambda name: None)
    assert main(["run", "stpn-pong", "--quick", "--out", str(tmp_path)]) == 2
    assert 'ray is missing; expected: pip install "plastorch[rl]"' in capsys.readouterr().err
