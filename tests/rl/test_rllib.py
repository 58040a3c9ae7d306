"""Agents as RLlib's modules, against their cores run by hand. None of this starts Ray."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from plastorch.rl.agent import Agent
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, MLP, RNN

pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib's own

CORES: dict[str, Callable[[], nn.Module]] = {
    "stpn": lambda: STPN(4, 3),
    "stpnf": lambda: STPN(4, 3, plasticity="feedforward", norm="none", clamp=0.1),
    "lstm": lambda: LSTM(4, 3),
    "rnn": lambda: RNN(4, 3),
}
SEQUENCE = 4


def make_agent(core: str) -> Agent:
    torch.manual_seed(0)
    made = Agent(nn.Identity(), MLP(4, 3) if core == "mlp" else CORES[core](), 3, 2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)  # so that plasticity matters
    return made


def make_module(core: str) -> Any:
    from gymnasium.spaces import Box

    from plastorch.rl.rllib import AgentModule

    return AgentModule(
        observation_space=Box(-1, 1, (4,), np.float64),
        action_space=Box(-1, 1, (1,), np.float32),
        model_config={"agent": lambda: make_agent(core), "max_seq_len": SEQUENCE},
    )


def batched(states: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {
        name: torch.stack([torch.as_tensor(state[name]) for state in states]) for name in states[0]
    }


def stepped(module: Any, seen: torch.Tensor, resets: dict[int, int]) -> tuple[Any, Any]:
    """Policies [T, B, 2] step by step, and the state before each step; sample by time resets."""
    start = module.get_initial_state()
    state = batched([start] * seen.shape[1])
    policies, states = [], []
    for t, x in enumerate(seen):
        for sample in [sample for sample, time in resets.items() if time == t]:
            for name, zeros in start.items():
                state[name][sample] = torch.as_tensor(zeros)
        states.append({name: tensor.clone() for name, tensor in state.items()})
        found = module.forward_inference({"obs": x[:, None], "state_in": state})
        policies.append(found["action_dist_inputs"][:, 0])
        state = found["state_out"]
    return torch.stack(policies), states


@pytest.mark.parametrize("core", CORES)
def test_steps_with_resets_are_the_core_run_by_hand(core: str) -> None:
    module, net = make_module(core), make_agent(core)
    seen = torch.randn(9, 2, 4)
    policies, _ = stepped(module, seen, {1: 5})
    with torch.no_grad():
        whole, _, _ = net(seen)
        again, _, _ = net(seen[5:, 1:])
    torch.testing.assert_close(policies[:, 0], whole[:, 0])
    torch.testing.assert_close(policies[:5, 1], whole[:5, 1])
    torch.testing.assert_close(policies[5:, 1], again[:, 0])
    assert not torch.allclose(again[:, 0], whole[5:, 1])


@pytest.mark.parametrize("core", CORES)
def test_training_goes_through_sequences_from_their_states(core: str) -> None:
    module, net = make_module(core), make_agent(core)
    seen = torch.randn(8, 1, 4)
    _, states = stepped(module, seen, {})
    two = torch.stack([seen[:4, 0], seen[4:, 0]])  # one episode as two sequences
    state = {name: torch.cat([s[name] for s in (states[0], states[4])]) for name in states[0]}
    batch = {"obs": two, "state_in": state}
    found = module.forward_train(batch)
    policy, values, _ = net(seen)
    torch.testing.assert_close(found["action_dist_inputs"].flatten(0, 1), policy[:, 0])
    for embeddings in (found["embeddings"], None):
        torch.testing.assert_close(module.compute_values(batch, embeddings).flatten(), values[:, 0])
    found["action_dist_inputs"].square().sum().backward()
    gradients = [p.grad for p in module.agent.core.parameters() if p.requires_grad]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_states_are_flat_and_have_no_batch() -> None:
    shapes = {
        core: {name: part.shape for name, part in make_module(core).get_initial_state().items()}
        for core in CORES
    }
    assert shapes == {
        "stpn": {"0": (3,), "1": (3, 7)},
        "stpnf": {"0": (3,), "1": (3, 4)},
        "lstm": {"0": (3,), "1": (3,)},
        "rnn": {"0": (3,)},
    }
    assert all(make_module(core).is_stateful() for core in CORES)


def test_a_core_without_a_state_sees_no_time() -> None:
    module, net = make_module("mlp"), make_agent("mlp")
    assert module.get_initial_state() == {} and not module.is_stateful()
    seen = torch.randn(5, 4)
    found = module.forward_train({"obs": seen})
    policy, values, _ = net(seen[None])
    torch.testing.assert_close(found["action_dist_inputs"], policy[0])
    torch.testing.assert_close(module.compute_values({"obs": seen}), values[0])
    assert "state_out" not in module.forward_inference({"obs": seen})


def test_spreads_are_softplus() -> None:
    normal = make_module("rnn").get_train_action_dist_cls().from_logits(torch.tensor([[0.5, -1.0]]))
    spread = math.log(1 + math.exp(-1))
    by_hand = -((2 - 0.5) ** 2) / (2 * spread**2) - math.log(spread * math.sqrt(2 * math.pi))
    assert float(normal.logp(torch.tensor([[2.0]]))) == pytest.approx(by_hand)


def episode(module: Any, steps: int, begun: int) -> Any:
    """A piece of an episode, as a runner samples it, of a module's own states."""
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode

    rng, first = np.random.default_rng(0), module.get_initial_state()
    states = [
        {name: rng.random(part.shape, part.dtype) for name, part in first.items()}
        for _ in range(steps + (begun > 0))
    ]
    look = int(begun > 0)
    return SingleAgentEpisode(
        id_="one",
        observations=list(rng.random((steps + 1 + look, 4))),
        actions=[0] * (steps + look),
        rewards=[1.0] * (steps + look),
        extra_model_outputs={"state_out": states},
        t_started=begun,
        len_lookback_buffer=look,
    )


@pytest.mark.parametrize("begun", [0, 7])
@pytest.mark.parametrize("steps", [1, 3, 4, 5, 8, 11])
def test_sequences_start_from_the_same_states_when_others_are_forgotten(
    steps: int, begun: int
) -> None:
    from ray.rllib.connectors.common import AddStatesFromEpisodesToBatch
    from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate

    from plastorch.rl.rllib import StateCallback

    class Metrics:
        def log_value(self, key: str, value: float, window: int) -> None:
            logged.append((key, value))

    class Runner:
        module = make_module("stpn")

    def starts(of: Any) -> list[Any]:
        AddOneTsToEpisodesAndTruncate()(
            rl_module=Runner.module, batch={}, episodes=[of], shared_data={}
        )
        connector = AddStatesFromEpisodesToBatch(as_learner_connector=True)
        batch = connector(rl_module=Runner.module, batch={}, episodes=[of], shared_data={})
        (found,) = batch["state_in"].values()
        return list(found)

    logged: list[tuple[str, float]] = []
    thin = episode(Runner.module, steps, begun)
    callback = StateCallback()
    callback.on_sample_end(env_runner=Runner, metrics_logger=Metrics(), samples=[thin])
    kept = thin.extra_model_outputs["state_out"].data[begun > 0 :]
    assert len({id(state) for state in kept}) == math.ceil(steps / SEQUENCE)
    whole = starts(episode(Runner.module, steps, begun))
    forgetful = starts(thin)
    assert len(whole) == len(forgetful) == math.ceil((steps + 1) / SEQUENCE)
    for one, other in zip(whole, forgetful, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    ((name, energy),) = logged
    assert name == "energy" and energy > 0
    next_one = episode(Runner.module, steps, begun + steps)
    callback.on_sample_end(env_runner=Runner, metrics_logger=Metrics(), samples=[next_one])
    assert "state_out" not in thin.extra_model_outputs
