"""Reinforcement learning by Ray RLlib as a phase of a run, with checkpoints and resumption.

Ray is imported only when a phase starts.
"""

import logging
import math
import shutil
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.device import seed32
from plastorch.engine.errors import InputError
from plastorch.engine.run import Record
from plastorch.learning.phases import Phase
from plastorch.rl.agent import Agent

THEIRS = "rllib-single-agent-env-v0"
"""Name under which RLlib registers environments; it warns if the name is in use."""

MOST_SEED = 2**32 - 2**21
"""Upper bound of seeds: RLlib adds process numbers and a million to a 32-bit seed."""
MEMORY = 100
"""Number of iterations with a return over which the mean must reach the goal."""


def ppo(
    make_env: Callable[[], Any],
    make_agent: Callable[[], Agent],
    seed: int,
    *,
    envs: int,
    runners: int = 0,
    device: torch.device | None = None,
    sequence: int = 20,
    **training: Any,
) -> Any:
    """Returns settings of RLlib's proximal policy optimization on the new API stack.

    Args:
        make_env: function that makes an environment; importable on all machines.
        make_agent: function that makes an agent with fixed initial weights; importable as well.
        seed: random seed of RLlib.
        envs: number of environments per runner.
        runners: number of playing processes; 0 plays in this process.
        device: device of the learner.
        sequence: number of steps of backpropagation through time.
        training: arguments of ``PPOConfig.training``.
    """
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec
    from ray.tune.registry import register_env

    from plastorch.rl.rllib import AgentModule, StateCallback

    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    register_env("plastorch", partial(_made, make_env))
    model = {"agent": make_agent, "max_seq_len": sequence}
    on_gpu = device is not None and device.type == "cuda"
    return (
        PPOConfig()
        .environment("plastorch", clip_actions=True, normalize_actions=False)
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=envs,
            episodes_to_numpy=False,
        )
        .learners(num_learners=0, num_gpus_per_learner=int(on_gpu))
        .callbacks(StateCallback)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=AgentModule, model_config=model))
        .training(**training)
        .debugging(seed=seed32(seed) % MOST_SEED, log_level="ERROR")
    )


def _made(make_env: Callable[[], Any], context: Any) -> Any:
    return make_env()


class AgentTraining(Phase):
    """Phase of a run in which each step is one iteration of an RLlib algorithm.

    A record has ``env_steps`` so far; ``return`` and ``length`` per episode, mean over episodes
    that ended in the iteration, if any; and ``energy`` per step, summed over the core's synapses.

    Args:
        name: name of the phase.
        agent: agent that receives the learned weights.
        config: settings of the algorithm; see :func:`ppo`.
        iterations: number of iterations.
        folder: folder of RLlib's checkpoints.
        enough: mean return over a hundred iterations at which training stops.
    """

    def __init__(
        self,
        name: str,
        agent: Agent,
        config: Any,
        *,
        iterations: int,
        folder: Path,
        enough: float = math.inf,
    ) -> None:
        super().__init__(name, iterations)
        self.agent, self.config, self.folder, self.enough = agent, config, folder, enough
        self._returns: deque[float] = deque(maxlen=MEMORY)
        self._algorithm: Any = None
        self._kept: Path | None = None
        """Checkpoint that the run's own checkpoint names, until it names the next one."""

    def step(self) -> list[Record]:
        """Runs one iteration: plays a batch of steps and learns from it."""
        found = self.algorithm.train()
        self.position += 1
        trained = self.algorithm.get_module().agent.state_dict()
        self.agent.load_state_dict(trained)
        played = found["env_runners"]
        record: Record = {"phase": self.name, "iteration": self.position}
        record["env_steps"] = int(found["num_env_steps_sampled_lifetime"])
        for field, theirs in (
            ("return", "episode_return_mean"),
            ("length", "episode_len_mean"),
            ("energy", "energy"),
        ):
            value = float(played.get(theirs, math.nan))
            if math.isfinite(value):
                record[field] = value
        if "return" in record:
            self._returns.append(float(record["return"]))
        if len(self._returns) == MEMORY and fmean(self._returns) >= self.enough:
            self.position = self.total
        if self.position == self.total:
            self.state_dict()
        return [record]

    @property
    def algorithm(self) -> Any:
        """RLlib's algorithm, made when first needed."""
        if self._algorithm is None:
            import gymnasium

            gymnasium.registry.pop(THEIRS, None)
            self._algorithm = self.config.build_algo()
        return self._algorithm

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the number of RLlib's checkpoint and the latest returns.

        It writes RLlib's checkpoint, unless there is one of this iteration.
        """
        path = self._checkpoint(self.position)
        if path != self._kept:
            self._forget_others()
            self.algorithm.save_to_path(path)
            self._kept = path
        returns = torch.tensor(list(self._returns), dtype=torch.float64)
        return {"iteration": torch.tensor(self.position), "returns": returns}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resumes from the checkpoint that :meth:`state_dict` wrote.

        Raises:
            InputError: the checkpoint is missing or damaged.
        """
        path = self._checkpoint(int(state["iteration"]))
        try:
            self.algorithm.restore_from_path(path)
        except Exception as error:
            raise InputError(f"{path} is not a checkpoint of RLlib, or damaged: {error}") from None
        self._kept = path
        self._returns = deque(state["returns"].tolist(), maxlen=MEMORY)

    def close(self) -> None:
        """Stops the algorithm's processes; after complete training, one checkpoint stays."""
        if self.position == self.total:
            self._forget_others()
        if self._algorithm is not None:
            self._algorithm.stop()
            self._algorithm = None

    def _forget_others(self) -> None:
        for path in self.folder.glob(f"rllib-{self.name}-*"):
            if path.resolve() != self._kept:
                shutil.rmtree(path)

    def _checkpoint(self, iteration: int) -> Path:
        return (self.folder / f"rllib-{self.name}-{iteration:08}").resolve()
