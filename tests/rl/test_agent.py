"""Agents, environments and how they are judged; nothing here needs Ray to run."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.learning.phases import run_phase
from plastorch.rl.agent import FEATURES, Agent, FrameEncoder
from plastorch.rl.environments import (
    best_action,
    frame,
    make,
    make_frames,
    make_vectors,
    needs_rl,
    outputs,
)
from plastorch.rl.evaluate import energy_of, play_episodes, random_games
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, MLP, RNN


class Countdown:
    """Ends after ``length`` steps with a reward of 1 each; shows what was done before."""

    def __init__(self, length: int) -> None:
        from gymnasium.spaces import Box

        self.length = length
        self.action_space = Box(-0.5, 0.5, (1,), np.float32)
        self.actions: list[float] = []

    def reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        self.left = self.length + seed
        return np.ones(2), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(float(action[0]))
        self.left -= 1
        return np.array([float(action[0]), self.left]), 1.0, self.left == 0, False, {}

    def close(self) -> None:
        pass


def agent(core: nn.Module, size: int = 3) -> Agent:
    torch.manual_seed(0)
    return Agent(nn.Identity(), core, size, 2)


def test_an_agent_is_its_parts_in_a_row() -> None:
    torch.manual_seed(0)
    net = Agent(FrameEncoder(), LSTM(2592, 5), 5, 6)
    seen = torch.randint(0, 256, (3, 2, 84, 84), dtype=torch.uint8)
    policy, values, (h, _) = net(seen)
    features = torch.stack([net.encoder(step) for step in seen])
    activity, _ = net.core(features)
    torch.testing.assert_close(policy, net.actor(activity))
    torch.testing.assert_close(values, net.critic(activity)[..., 0])
    torch.testing.assert_close(h, activity[-1])
    torch.testing.assert_close(net.energy(seen), net.core.energy(features).sum(-1))


def test_frames_are_scaled_to_plus_minus_one() -> None:
    gray = FrameEncoder()(torch.full((1, 84, 84), 128, dtype=torch.uint8))
    net = FrameEncoder()
    with torch.no_grad():
        biased = net.layers[2](net.layers[0](torch.zeros(1, 1, 84, 84)).relu()).relu().flatten(1)
    assert gray.shape == (1, 2592)
    torch.testing.assert_close(net(torch.full((1, 84, 84), 128, dtype=torch.uint8)), biased)


def test_a_layer_without_memory_counts_its_synapses() -> None:
    core = MLP(3, 5)
    x = torch.randn(4, 2, 3)
    output, state = core(x)
    assert state is None
    by_hand = torch.einsum("ij,tbj->tbi", core.linear.weight.abs(), x**2)
    torch.testing.assert_close(core.energy(x), by_hand.detach())
    torch.testing.assert_close(output, torch.tanh(core.linear(x)))


@pytest.mark.parametrize(
    "core",
    [STPN(2, 3), STPN(2, 3, plasticity="feedforward", norm="none", clamp=0.1), RNN(2, 3)],
    ids=["stpn", "stpnf", "rnn"],
)
def test_episodes_side_by_side_are_those_played_alone(core: nn.Module) -> None:
    net = agent(core)
    games, trace = play_episodes(net, partial(Countdown, 4), episodes=3, seed=1, most=100)
    assert games.returns.tolist() == games.lengths.tolist() == [5.0, 6.0, 7.0]
    for i, energy in enumerate(games.energies):
        alone, _ = play_episodes(net, partial(Countdown, 4), episodes=1, seed=1 + i, most=100)
        assert float(alone.energies[0]) == pytest.approx(float(energy), rel=1e-5)
    policy, _, _ = net(trace.observations[:, None])
    first = torch.cat([torch.ones(1, 2), trace.observations[1:]])
    torch.testing.assert_close(trace.observations, first)
    done = policy[:-1, 0, 0].clamp(-0.5, 0.5).detach()
    torch.testing.assert_close(trace.observations[1:, 0], done)
    torch.testing.assert_close(trace.energy, net.energy(trace.observations[:, None])[:, 0])
    activity, _ = net.core(trace.observations[:, None])
    torch.testing.assert_close(trace.activity, activity[:, 0].detach())
    assert trace.memory.shape == (5, 3 if isinstance(core, STPN) else 0)


def test_memory_of_a_trace_is_the_length_of_each_neurons_state() -> None:
    net = agent(STPN(2, 3))
    _, trace = play_episodes(net, partial(Countdown, 4), episodes=1, seed=0, most=100)
    state: Any = None
    for seen, memory in zip(trace.observations, trace.memory, strict=True):
        _, state = net.core(seen[None, None], state)
        torch.testing.assert_close(memory, state.F[0].square().sum(-1).sqrt().detach())


def test_episodes_end_at_most_then() -> None:
    games, trace = play_episodes(
        agent(RNN(2, 3)), partial(Countdown, 9), episodes=2, seed=0, most=3
    )
    assert games.lengths.tolist() == [3.0, 3.0] and len(trace.energy) == 3


def test_games_that_begin_alike_differ_if_actions_are_drawn() -> None:
    pong = partial(make_frames, "ALE/Pong-v5", 4, 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Agent(FrameEncoder(), RNN(FEATURES, 4), 4, 6)
    alike, _ = play_episodes(net, pong, episodes=2, seed=0, most=20)
    assert alike.energies[0] == pytest.approx(alike.energies[1])
    games, _ = play_episodes(net, pong, episodes=2, seed=0, most=20, drawn=True)
    assert games.energies[0] != pytest.approx(games.energies[1])
    again, _ = play_episodes(net, pong, episodes=1, seed=1, most=20, drawn=True)
    assert again.energies[0] == pytest.approx(games.energies[1])


def test_random_actions() -> None:
    mean, seen = random_games(partial(Countdown, 4), 3, seed=1, most=100)
    assert mean == 6.0 and [len(course) for course in seen] == [5, 6, 7]
    mean, seen = random_games(partial(Countdown, 4), 3, seed=1, most=2)
    assert mean == 2.0 and [len(course) for course in seen] == [2, 2, 2]


def test_energy_on_given_observations_is_a_mean_over_all_steps() -> None:
    agent = Agent(nn.Identity(), MLP(2, 1), 1, 2)
    with torch.no_grad():
        agent.core.linear.weight.copy_(torch.tensor([[1.0, -2.0]]))
    long, short = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 1.0]])
    assert energy_of(agent, [long, short]) == pytest.approx((1 + 2 + 11) / 3)


def test_the_likeliest_action() -> None:
    from gymnasium.spaces import Box, Discrete

    scores = torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert best_action(scores, Discrete(3)).tolist() == [1, 0]
    space = Box(-1, 1, (2,), np.float32)
    found = best_action(torch.tensor([[0.25, -5.0, 9.0, 9.0]]), space)
    assert found.tolist() == [[0.25, -1.0]]
    assert outputs(space) == 4 and outputs(Discrete(3)) == 3


def test_the_pendulum_and_pong() -> None:
    env = make_vectors("InvertedPendulum-v5")
    seen, _ = env.reset(seed=0)
    assert seen.shape == (4,) and env.action_space.shape == (1,)
    _, reward, *_ = env.step(np.zeros(1, np.float32))
    assert reward == 1
    pong = make_frames("ALE/Pong-v5", 4, 0.0)
    seen, _ = pong.reset(seed=0)
    settings = pong.spec.kwargs  # type: ignore[union-attr]
    assert (settings["frameskip"], settings["repeat_action_probability"]) == (4, 0.0)
    assert seen.shape == (84, 84) and seen.dtype == np.uint8 and outputs(pong.action_space) == 6
    assert pong.observation_space.contains(seen)


def test_a_frame_is_the_middle_of_the_screen() -> None:
    screen = np.zeros((210, 160), np.uint8)
    screen[:25] = screen[-25:] = 255
    assert not frame(screen).any()
    screen[25 + 80 :] = 200
    seen = frame(screen)
    assert not seen[:41].any() and (seen[43:] == 200).all()


@pytest.mark.parametrize(
    ("make_one", "name", "words"),
    [
        (make, "Pendulum-v99", "env is 'Pendulum-v99'; expected an id that gymnasium knows"),
        (make, "InvertedPendulumm-v5", "Did you mean: `InvertedPendulum`"),
        (make, "InvertedPendulum-v2", "gymnasium knows"),
        (make_vectors, "ALE/Pong-v5", "expected vectors of numbers"),
        (make_vectors, "CartPole-v1", "expected vectors of numbers"),
        (make_vectors, "nothing", "pprint_registry"),
        (partial(make_frames, frame_skip=4, sticky=0.0), "CartPole-v1", "expected an Atari game"),
        (partial(make_frames, frame_skip=4, sticky=0.0), "ALE/Pongg-v5", "ALE/Pongg-v5"),
    ],
)
def test_a_wrong_id_is_one_clear_line(make_one: Any, name: str, words: str) -> None:
    with pytest.raises(InputError, match=r"env is") as caught:
        make_one(name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ray", "gymnasium", "mujoco", "ale_py"])
def test_a_missing_package_is_one_line_with_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {other: object() for other in ("ray", "gymnasium", "mujoco", "ale_py")}
    found[name] = None  # type: ignore[assignment]
    monkeypatch.setattr("plastorch.engine.errors.find_spec", found.get)
    with pytest.raises(InputError, match=rf'^{name} is missing; .*"plastorch\[rl\]"$'):
        needs_rl()


def test_importing_the_room_loads_no_engine() -> None:
    import subprocess

    code = (
        "import sys, plastorch.experiments, plastorch.rl.training, plastorch.rl.evaluate;"
        "sys.exit(any(name in sys.modules for name in ('ray', 'gymnasium', 'mujoco', 'ale_py')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def playing(net: Agent, played: Callable[[int], dict[str, Any]]) -> type[Any]:
    """Settings of an algorithm that trains nothing, and plays by the number of its trainings."""

    class Module:
        agent = net

    class Algorithm:
        def __init__(self) -> None:
            self.trained = 0

        def train(self) -> dict[str, Any]:
            self.trained += 1
            steps = {"num_env_steps_sampled_lifetime": 8 * self.trained}
            return {"env_runners": played(self.trained), **steps}

        def get_module(self) -> type[Module]:
            return Module

        def save_to_path(self, path: Path) -> None:
            path.mkdir()
            (path / "trained").write_text(str(self.trained))

        def restore_from_path(self, path: Path) -> None:
            self.trained = int((path / "trained").read_text())

        def stop(self) -> None:
            pass

    class Config:
        build_algo = Algorithm

    return Config


def test_training_ends_when_a_hundred_returns_are_enough(tmp_path: Path) -> None:
    from plastorch.rl.training import MEMORY, AgentTraining

    def played(trained: int) -> dict[str, Any]:
        mean = {} if trained % 2 else {"episode_return_mean": 1.0 + (trained > 20)}
        return mean | {"episode_len_mean": math.nan, "energy": 3.0}

    net = agent(RNN(2, 3))
    config = playing(net, played)
    training = AgentTraining("rnn", net, config, iterations=10_000, folder=tmp_path, enough=2.0)
    first, second = training.step(), training.step()
    assert first == [{"phase": "rnn", "iteration": 1, "env_steps": 8, "energy": 3.0}]
    assert second == [{**first[0], "iteration": 2, "env_steps": 16, "return": 1.0}]
    run_phase(training)
    assert training.algorithm.trained == 20 + 2 * MEMORY
    assert [path.name for path in tmp_path.iterdir()] == ["rllib-rnn-00010000"]


def test_a_training_that_was_stopped_ends_where_it_would_have(tmp_path: Path) -> None:
    """The checkpoint of the stop stays until the run names the last one."""
    from plastorch.rl.training import MEMORY, AgentTraining

    net = agent(RNN(2, 3))
    config = playing(net, lambda trained: {"episode_return_mean": float(trained - 1)})

    def training(enough: float) -> AgentTraining:
        return AgentTraining("rnn", net, config, iterations=500, folder=tmp_path, enough=enough)

    # returns 20 to 119 have a mean of 69.5
    first = training(69.5)
    for _ in range(MEMORY - 10):
        first.step()
    state = first.state_dict()
    rest = training(69.5)
    rest.position = MEMORY - 10
    rest.load_state_dict(state)
    run_phase(rest)
    assert rest.algorithm.trained == 120
    rest.state_dict()
    names = {"rllib-rnn-00000090", "rllib-rnn-00000500"}
    assert {path.name for path in tmp_path.iterdir()} == names
    rest.close()
    assert {path.name for path in tmp_path.iterdir()} == {"rllib-rnn-00000500"}
