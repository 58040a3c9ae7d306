"""Shared parts of the experiments whose agents learn by Ray RLlib."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.engine.cluster import cluster, needs_ray
from plastorch.engine.device import generator
from plastorch.engine.distributed import workers
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Loop
from plastorch.engine.run import result
from plastorch.experiments.context import Context
from plastorch.experiments.stpn import PAPER
from plastorch.experiments.stpn.recurrent import field, networks
from plastorch.rl.agent import Agent
from plastorch.rl.environments import needs_rl
from plastorch.rl.evaluate import Trace, play_episodes, random_return
from plastorch.rl.training import AgentTraining
from plastorch.stp.baselines import LSTM, RNN

ENGINES = ("ray", "gymnasium", "mujoco", "ale-py")
"""Packages whose versions matter."""
STRIP = 10
"""Number of frames in a strip."""


class Model(NamedTuple):
    """A model of the comparison."""

    hidden_size: int
    """Hidden size, as in the paper."""
    make: Callable[[int, int], nn.Module]
    """Function that makes the core from an input and a hidden size."""


@dataclass(frozen=True)
class Work:
    """Work that an experiment hands over.

    Args:
        experiment: name of the experiment.
        config: plain values for ``result.json``.
        models: names of the models, in the order in which they learn.
        known: names of all known models.
        env: id of the environment.
        make_env: function that makes the environment.
        make_agent: function that makes an agent by model name; torch's generator draws its weights.
        algorithm: RLlib's settings of a model, from its name and the function that makes the agent.
        batch: number of steps per iteration.
        steps: number of environment steps per model.
        address: address of a Ray cluster; None starts Ray here.
        runners: number of processes that play.
        enough: mean return of a hundred iterations at which training ends.
        episodes: number of episodes by which a trained model is judged.
        most: maximum number of steps of such an episode.
        frames: whether observations are images.
        drawn: whether actions of these episodes are sampled, because all begin alike.
    """

    experiment: str
    config: dict[str, Any]
    models: tuple[str, ...]
    known: tuple[str, ...]
    env: str
    make_env: Callable[[], Any]
    make_agent: Callable[[str], Agent]
    algorithm: Callable[[str, Callable[[], Agent]], Any]
    batch: int
    steps: int
    address: str | None
    runners: int
    enough: float
    episodes: int
    most: int
    frames: bool
    drawn: bool = False

    @property
    def iterations(self) -> int:
        """Number of iterations per model."""
        return -(-self.steps // self.batch)


def two_biases(core: RNN | LSTM) -> nn.Module:
    """Adds torch's second bias, as in the paper's code."""
    bound = core.hidden_size**-0.5
    bias = core.network.get_parameter("bias_hh_l0").requires_grad_()
    nn.init.uniform_(bias, -bound, bound)
    return core


def lstm(inputs: int, size: int) -> nn.Module:
    """Returns the paper's LSTM from an input and a hidden size."""
    return two_biases(LSTM(inputs, size))


def checked_spaces(make_env: Callable[[], Any]) -> tuple[Any, Any]:
    """Returns spaces of observations and actions; also checks that everything is installed.

    Raises:
        InputError: packages or the environment are missing.
    """
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


def seeded(make: Callable[[], Agent], seed: int, place: int) -> Agent:
    """Returns an agent with its own initial weights, the same wherever it is made."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, place).initial_seed())
        return make()


def measure(
    work: Work, context: Context, claims: Callable[[Mapping[str, float]], list[Any]]
) -> dict[str, Any]:
    """Trains the models one after the other, then lets each play.

    Args:
        work: models to train, and how.
        context: run folder, data, seed and device.
        claims: function from metrics to claims.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: a checkpoint to resume is unusable, or there is no cluster.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    nets = networks(work.models, work.known, (context.seed,), work.make_agent)
    with _ray(work.address):
        check_runners(work.runners)
        loop = Loop(context.run, nets)
        started = _result(work, context)
        context.run.write_result(started)
        for place, name in enumerate(work.known):
            if name in nets:
                _train(work, context, loop, name, place)
    metrics: dict[str, float] = {}
    arrays: dict[str, Tensor] = {}
    for name, net in nets.items():
        assert isinstance(net, Agent)
        found, trace = _judged(work, net, context.seed)
        metrics |= {field(name, kind): value for kind, value in found.items()}
        arrays |= {f"{name}.{kind}": array for kind, array in _kept(trace, work.frames).items()}
    metrics["random_return"] = random_return(
        work.make_env, work.episodes, context.seed + 1000, work.most
    )
    metrics |= _ends(work, context)
    context.run.write_arrays(arrays)
    return context.finish(started, loop, metrics, claims(metrics))


def _ray(address: str | None) -> contextlib.AbstractContextManager[None]:
    """Returns a connection to Ray; a trial of a sweep has one already."""
    import ray

    return contextlib.nullcontext() if ray.is_initialized() else cluster(address)


def _train(work: Work, context: Context, loop: Loop, name: str, place: int) -> None:
    net = loop.model.get_submodule(name)
    assert isinstance(net, Agent)
    make = partial(seeded, partial(work.make_agent, name), context.seed, place)
    training = AgentTraining(
        name,
        net,
        work.algorithm(name, make),
        work.iterations,
        context.run.checkpoint,
        work.enough,
    )
    try:
        loop.run(training)
    finally:
        training.close()


def _judged(work: Work, net: Agent, seed: int) -> tuple[dict[str, float], Trace]:
    """Returns figures of a trained model, and the trace of an episode."""
    games, trace = play_episodes(
        net, work.make_env, work.episodes, seed + 1000, work.most, work.drawn
    )
    return {
        "return": float(games.returns.mean()),
        "return_sd": float(games.returns.std(correction=0)),
        "length": float(games.lengths.mean()),
        "energy": float(games.energies.mean()),
        "parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }, trace


def _ends(work: Work, context: Context) -> dict[str, float]:
    """Returns each model's mean return in the first and last tenth of training, and its steps."""
    found: dict[str, float] = {}
    for name in work.models:
        rows = [row for row in context.run.records() if row["phase"] == name]
        returns = [float(row["return"]) for row in rows if "return" in row]
        found[field(name, "env_steps")] = float(rows[-1]["env_steps"])
        if returns:
            tenth = max(1, len(returns) // 10)
            found[field(name, "first_return")] = fmean(returns[:tenth])
            found[field(name, "last_return")] = fmean(returns[-tenth:])
    return found


def _kept(trace: Trace, frames: bool) -> dict[str, Tensor]:
    """Returns arrays for the report; of frames, some from the middle of the episode."""
    kept = trace._asdict()
    if frames:
        middle = len(trace.observations) // 2
        kept["observations"] = trace.observations[middle : middle + 4 * STRIP : 4].clone()
    return {name: array for name, array in kept.items() if array.numel()}


def _result(work: Work, context: Context) -> dict[str, Any]:
    data = {
        "name": work.env,
        "n_train": work.batch * work.iterations,
        "n_test": work.episodes,
        "source": "simulated; counted are steps in training, and episodes in the test",
        "sha256": hashlib.sha256(work.env.encode()).hexdigest(),
    }
    settings = work.config | {"seed": context.seed, "quick": context.quick}
    found = result(work.experiment, PAPER, settings, data, context.device)
    found["versions"] |= {name: version(name) for name in ENGINES}
    return found


def plain(config: Any) -> dict[str, Any]:
    """Returns a configuration as plain values."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
