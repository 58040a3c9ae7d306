"""Agents as modules of Ray RLlib's new API stack. Import requires the extra ``rl``.

A module receives its agent. Any recurrent core can thus learn by any RLlib algorithm that takes a
stateful ``RLModule`` with a value function.
"""

from typing import Any

import numpy as np
import torch
import tree
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDiagGaussian
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from plastorch.rl.agent import Agent
from plastorch.rl.environments import as_tensor

ENERGY_STEPS = 50
"""Number of steps used to measure energy, in the first piece of an episode in a batch."""


class SoftplusGaussian(TorchDiagGaussian):  # type: ignore[misc]
    """Normal distributions; the second half of the policy parameters is spread before softplus."""

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> "SoftplusGaussian":
        """Makes distributions from policy parameters [..., 2 A]."""
        mean, raw = logits.chunk(2, dim=-1)
        return cls(loc=mean, scale=torch.nn.functional.softplus(raw))


class AgentModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """Agent whose core state passes through RLlib as a flat dictionary of tensors.

    ``model_config`` holds ``agent``, a function that makes a :class:`plastorch.rl.agent.Agent`, and
    ``max_seq_len``, the number of steps of backpropagation through time.
    """

    @torch.no_grad()
    def setup(self) -> None:
        """Makes the agent; RLlib calls this."""
        self.agent: Agent = self.model_config["agent"]()
        if not hasattr(self.action_space, "n"):
            self.action_dist_cls = SoftplusGaussian
        seen = as_tensor(np.zeros(self.observation_space.shape, self.observation_space.dtype))
        _, _, self._structure = self.agent(seen[None, None])

    def get_initial_state(self) -> dict[str, Any]:
        """Returns zeros without a batch dimension; empty if the core has no state."""
        if self._structure is None:
            return {}
        flat = tree.flatten(self._structure)
        return {str(i): np.zeros(t.shape[1:], np.float32) for i, t in enumerate(flat)}

    def energy(self, observations: Any, state: dict[str, Any]) -> float:
        """Returns the mean energy per step over part of an episode [T, ...] from a stored state."""
        batched = {name: torch.as_tensor(part)[None] for name, part in state.items()}
        seen = as_tensor(observations)[:, None]
        return float(self.agent.energy(seen, self._unflattened(batched)).mean())

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """Returns the values of all observations in a batch."""
        if embeddings is None:
            embeddings, _ = self._activity(batch)
        values: Tensor = self.agent.critic(embeddings).squeeze(-1)
        return values

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        activity, state = self._activity(batch)
        found = {Columns.ACTION_DIST_INPUTS: self.agent.actor(activity)}
        return found | ({Columns.STATE_OUT: state} if state else {})

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        activity, _ = self._activity(batch)
        policy = self.agent.actor(activity)
        return {Columns.ACTION_DIST_INPUTS: policy, Columns.EMBEDDINGS: activity}

    def _activity(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns activities [B, T, H] ([B, H] if the core has no state), and the state."""
        seen = batch[Columns.OBS]
        if self._structure is None:
            activity, _ = self.agent.core(self.agent.encode(seen[None]), None)
            return activity[0], {}
        state = self._unflattened(batch[Columns.STATE_IN])
        activity, state = self.agent.core(self.agent.encode(seen.transpose(0, 1)), state)
        flat = {str(i): tensor for i, tensor in enumerate(tree.flatten(state))}
        return activity.transpose(0, 1), flat

    def _unflattened(self, state: dict[str, Tensor]) -> Any:
        if self._structure is None:
            return None
        return tree.unflatten_as(self._structure, [state[str(i)] for i in range(len(state))])


class StateCallback(RLlibCallback):  # type: ignore[misc]
    """Callback that measures energy and drops states from which no sequence starts.

    RLlib keeps the state of every step, even in unfinished episodes. The synaptic states of an
    agent for Pong would fill the memory.
    """

    def __init__(self) -> None:
        self.before: list[Any] = []

    def on_sample_end(
        self, *, env_runner: Any, metrics_logger: Any, samples: list[Any], **kwargs: Any
    ) -> None:
        """Handles sampled episodes, or pieces of them."""
        for episode in self.before:
            episode.extra_model_outputs.pop(Columns.STATE_OUT, None)
        self.before = samples
        module = env_runner.module
        steps = slice(0, min(len(samples[0]), ENERGY_STEPS))
        seen = samples[0].get_observations(steps)
        energy = module.energy(seen, _first(samples[0], module))
        metrics_logger.log_value("energy", energy, window=1)  # no moving average
        if module.is_stateful():
            for episode in samples:
                _thin(episode, module.model_config["max_seq_len"])


def _first(episode: Any, module: AgentModule) -> dict[str, Any]:
    """Returns the state at the start of an episode or piece of one."""
    if episode.t_started == 0 or not module.is_stateful():
        return module.get_initial_state()
    state: dict[str, Any] = episode.get_extra_model_outputs(
        Columns.STATE_OUT, -1, neg_index_as_lookback=True
    )
    return state


def _thin(episode: Any, length: int) -> None:
    """Keeps one state per sequence, the last one, where the next sequence starts."""
    states = episode.extra_model_outputs[Columns.STATE_OUT]
    kept = states.data
    begin, end = states.lookback, len(kept) - 1
    for i in range(begin, len(kept)):
        kept[i] = kept[min(end, begin + (i - begin) // length * length + length - 1)]
