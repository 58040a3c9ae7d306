"""Shared parts of the experiments whose agents learn by Ray RLlib."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from math import inf
from statistics import fmean
from typing import Any, NamedTuple

from torch import Tensor, nn

from plastorch.engine.cluster import cluster, needs_ray
from plastorch.engine.distributed import workers
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Loop
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, networks, seeded
from plastorch.experiments.stpn.recurrent import (
    RecurrentModel,
    curves,
    trained_parameters,
    two_biases,
)
from plastorch.rl.agent import Agent
from plastorch.rl.environments import needs_rl
from plastorch.rl.evaluate import Trace, energy_of, play_episodes, random_games
from plastorch.rl.training import AgentTraining, ppo
from plastorch.stp.baselines import LSTM

ENGINES = ("ray", "gymnasium", "mujoco", "ale-py")
"""Packages whose versions matter."""
STRIP = 10
"""Number of frames in a strip."""
NONE = 1e9
"""Bound that is never reached."""


class Protocol(NamedTuple):
    """Settings of the agents' learning."""

    steps: int
    """Number of environment steps per model."""
    batch: int
    """Number of steps between updates."""
    minibatch: int
    """Number of steps per update."""
    epochs: int
    """Number of passes over each batch."""
    rates: Mapping[str, float]
    """Initial learning rate of each model."""
    ppo: Mapping[str, Any]
    """Further settings of proximal policy optimization, as RLlib names them."""
    rate_ends: int | None = None
    """Number of steps after which the rate would be 0; None is the end of the training."""
    runners: int = 0
    """Number of processes that play; with 0, the learner plays."""
    envs: int = 8
    """Number of environments that each plays side by side."""
    frame_skip: int = 1
    """Number of frames for which an action is held."""


@dataclass(frozen=True, kw_only=True)
class AgentTask:
    """An environment, and how models learn in it and are judged.

    ``known`` has all models in the order in which they learn; ``make_agent`` draws weights from
    torch's generator. Training ends at ``enough``, a mean return of a hundred iterations. Models
    are judged by ``episodes`` of at most ``most`` steps; their actions are sampled if ``drawn``,
    because all episodes begin alike. ``frames`` says that observations are images.
    """

    config: Any
    known: Mapping[str, RecurrentModel]
    make_env: Callable[[], Any]
    make_agent: Callable[[str], Agent]
    protocol: Protocol
    enough: float = inf
    episodes: int
    most: int
    frames: bool = False
    drawn: bool = False

    @property
    def iterations(self) -> int:
        """Number of iterations per model."""
        return -(-self.protocol.steps // self.protocol.batch)

    def algorithm(self, context: Context, name: str) -> Any:
        """Returns RLlib's settings of a model, which it makes with its initial weights."""
        protocol, place = self.protocol, list(self.known).index(name)
        return ppo(
            self.make_env,
            partial(seeded, partial(self.make_agent, name), context.seed, place),
            context.seed,
            envs=protocol.envs,
            runners=protocol.runners,
            device=context.device,
            lr=[[0, protocol.rates[name]], [protocol.rate_ends or protocol.steps, 1e-12]],
            train_batch_size_per_learner=protocol.batch,
            minibatch_size=protocol.minibatch,
            num_epochs=protocol.epochs,
            gamma=0.99,
            **protocol.ppo,
        )


def lstm(inputs: int, size: int) -> nn.Module:
    """Returns the paper's LSTM from an input and a hidden size."""
    return two_biases(LSTM(inputs, size))


def checked_spaces(make_env: Callable[[], Any]) -> tuple[Any, Any]:
    """Returns spaces of observations and actions; also checks that everything is installed."""
    if workers() > 1:
        raise InputError("torchrun has more than one worker; expected Ray: see --address")
    needs_rl()
    needs_ray("ray.rllib")
    env = make_env()
    env.close()
    return env.observation_space, env.action_space


def check_runners(runners: int) -> None:
    """Raises InputError if there are too few CPUs: processes would wait forever to start."""
    import ray

    cpus = int(ray.cluster_resources().get("CPU", 0))
    if runners > cpus:
        raise InputError(
            f"runners is {runners}; expected at most {cpus}, the CPUs of this Ray cluster"
        )


def measure(
    task: AgentTask, context: Context, claims: Callable[[Mapping[str, float]], list[Any]]
) -> dict[str, Any]:
    """Trains the models one after the other, and lets each play; returns ``result.json``."""
    nets = networks(task.config.models, task.known, (context.seed,), task.make_agent)
    with _ray(task.config.address):
        check_runners(task.protocol.runners)
        loop = Loop(context.run, nets)
        versions = {name: version(name) for name in ENGINES}
        started = context.start(task.config, _data(task), versions)
        started["config"]["settings"] = task.protocol._asdict()
        for name, net in nets.items():
            _train(task, context, loop, name, net)
    arrays: dict[str, Tensor] = {}
    by_chance, seen = random_games(task.make_env, task.episodes, context.seed + 1000, task.most)

    def measured(name: str, net: Agent) -> dict[str, float]:
        figures, trace = _judged(task, net, context.seed)
        figures["energy_same_inputs"] = energy_of(net, seen)
        kept = _kept(trace, task.frames)
        arrays.update({f"{name}.{kind}": array for kind, array in kept.items()})
        return figures | _ends(context, name)

    metrics = compare(nets, measured)
    metrics["random_return"] = by_chance
    records, steps = context.run.records(), task.protocol.steps
    started["curves"] = curves(records, "env_steps", steps, ("return", "energy"))
    context.run.write_arrays(arrays)
    return context.finish(started, loop, metrics, claims(metrics))


def _ray(address: str | None) -> contextlib.AbstractContextManager[None]:
    """Returns a connection to Ray; a trial of a sweep has one already."""
    import ray

    return contextlib.nullcontext() if ray.is_initialized() else cluster(address)


def _train(task: AgentTask, context: Context, loop: Loop, name: str, net: Any) -> None:
    training = AgentTraining(
        name,
        net,
        task.algorithm(context, name),
        iterations=task.iterations,
        folder=context.run.checkpoint,
        enough=task.enough,
    )
    try:
        loop.run(training)
    finally:
        training.close()


def _judged(task: AgentTask, net: Agent, seed: int) -> tuple[dict[str, float], Trace]:
    """Returns figures of a trained model, and the trace of an episode."""
    games, trace = play_episodes(
        net,
        task.make_env,
        episodes=task.episodes,
        seed=seed + 1000,
        most=task.most,
        drawn=task.drawn,
    )
    return {
        "return": float(games.returns.mean()),
        "return_sd": float(games.returns.std(correction=0)),
        "length": float(games.lengths.mean()),
        "energy": float(games.energies.mean()),
        "parameters": trained_parameters(net),
    }, trace


def _ends(context: Context, name: str) -> dict[str, float]:
    """Returns a model's steps, and mean returns in all of its training, its first and last tenth.

    The mean is over updates, with as many steps each: the area under the learning curve.
    """
    rows = [row for row in context.run.records() if row["phase"] == name]
    returns = [float(row["return"]) for row in rows if "return" in row]
    found = {"env_steps": float(rows[-1]["env_steps"])}
    if returns:
        tenth = max(1, len(returns) // 10)
        found["first_return"] = fmean(returns[:tenth])
        found["last_return"] = fmean(returns[-tenth:])
        found["mean_return"] = fmean(returns)
    return found


def _kept(trace: Trace, frames: bool) -> dict[str, Tensor]:
    """Returns arrays for the report; of frames, some from the middle of the episode."""
    kept = trace._asdict()
    if frames:
        middle = len(trace.observations) // 2
        kept["observations"] = trace.observations[middle : middle + 4 * STRIP : 4].clone()
    return {name: array for name, array in kept.items() if array.numel()}


def _data(task: AgentTask) -> dict[str, Any]:
    env = task.config.env
    return {
        "name": env,
        "n_train": task.protocol.batch * task.iterations,
        "n_test": task.episodes,
        "source": "simulated; counted are steps in training, and episodes in the test",
        "sha256": hashlib.sha256(env.encode()).hexdigest(),
    }
