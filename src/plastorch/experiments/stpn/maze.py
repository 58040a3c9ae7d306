"""Exploration of a maze by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Annotated, Any, Literal

import torch
from torch import nn

from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted, below
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, extreme, networks
from plastorch.experiments.preset_defaults import Count, CountOrZero, Range, Rate, Settings, Size
from plastorch.experiments.stpn.recurrent import (
    RecurrentModel,
    curves,
    trained_parameters,
    two_biases,
)
from plastorch.experiments.stpn.streams import EpisodeStream
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.learning.phases import Schedule
from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, mean_energy, play
from plastorch.rl.maze import OBSERVATION, Maze, random_reward, shortest_path_reward, walls
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, RNN, HebbFF, ModulatedPlasticity

EPISODES, AT_ONCE = 2048, 64
"""Episodes that judge a trained model; synapses of so many at once fit a CPU's cache."""
LONG = 5000
"""Iterations from which on claims are asserted; without plasticity, little is gained later."""
Variant = Literal["corrected", "faithful"]


def _rnn(size: int, faithful: bool) -> nn.Module:
    """Returns an RNN that starts with weak, positive recurrent weights."""
    core = RNN(OBSERVATION, size)
    parameter, bound = core.network.get_parameter, OBSERVATION**-0.5
    nn.init.uniform_(parameter("weight_ih_l0"), -bound, bound)
    nn.init.uniform_(parameter("bias_ih_l0"), -bound, bound)
    nn.init.uniform_(parameter("weight_hh_l0"), 0, 0.01)
    return core


def _stpnf(size: int, faithful: bool, scalar: bool = False) -> nn.Module:
    """Returns an STPNf; the paper's code leaves out the bias and does not rescale F."""
    norm: Any = "efficacy" if faithful else "pre"
    return STPN(
        OBSERVATION, size, plasticity="feedforward", norm=norm, scalar=scalar, bias=not faithful
    )


MAIN = {
    "stpn": RecurrentModel(
        55, lambda size, faithful: STPN(OBSERVATION, size, norm="post", clamp=1.0)
    ),
    "rnn": RecurrentModel(100, _rnn),
    "lstm": RecurrentModel(47, lambda size, faithful: two_biases(LSTM(OBSERVATION, size)), gates=4),
    "modulated": RecurrentModel(73, lambda size, faithful: ModulatedPlasticity(OBSERVATION, size)),
}
"""Models of the paper's comparison, made of a hidden size, faithful to the paper's code or not."""
MODELS = MAIN | {
    "stpn-pre": RecurrentModel(30, lambda size, faithful: STPN(OBSERVATION, size)),
    "stpn-scalar": RecurrentModel(55, lambda size, faithful: STPN(OBSERVATION, size, scalar=True)),
    "stpnf": RecurrentModel(76, _stpnf),
    "stpnf-scalar": RecurrentModel(181, lambda size, faithful: _stpnf(size, faithful, True)),
    "hebbff": RecurrentModel(
        181, lambda size, faithful: HebbFF(OBSERVATION, size, faithful=faithful)
    ),
}
"""Models of the comparison and, with a third of the parameters, of the paper's ablations."""


@dataclass(frozen=True)
class MazeConfig(Settings):
    """Settings of stpn-maze; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        variant: "faithful" computes what the paper's code does: the value of the first agent is the
            baseline of all, and rewarded agents may continue at their goal; "corrected" does
            neither.
        size: number of cells along a side of the maze, walls included.
        steps: length of an episode.
        agents: number of agents that play at once.
        iterations: number of updates, each after an episode of all agents.
        warm_up: number of first iterations without an update.
        learning_rate: initial learning rate of Adam.
        schedule: whether the rate is constant, or falls linearly to 0.
        learning_rates: rates of which each model takes the one that earns most while it is tried;
            if there are none, all take learning_rate.
        tuning_iterations: number of iterations with each of these rates; training then starts again
            from the initial weights.
    """

    models: tuple[str, ...] = tuple(MAIN)
    variant: Variant = "corrected"
    size: Annotated[int, Range(5, 9999)] = 13
    steps: Count = 200
    agents: Size = 512
    iterations: Count = 50_000
    warm_up: CountOrZero = 101
    learning_rate: Rate = 1e-4
    schedule: Schedule = "constant"
    learning_rates: tuple[Rate, ...] = ()
    tuning_iterations: Count = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        tuned = bool(self.learning_rates)
        for name in ("iterations", *["tuning_iterations"] * tuned):
            if self.warm_up >= (count := getattr(self, name)):
                raise InputError(f"warm_up is {self.warm_up}; expected less than {count}, {name}")
        cells = int(walls(self.size).logical_not().sum())
        check_memory(2 * 8 * cells**2, size=self.size)  # for the expectation of random actions
        hidden = max(MODELS[name].hidden_size for name in self.models)
        played = 4 * (OBSERVATION + hidden) * self.steps * self.agents
        check_memory(played, steps=self.steps, agents=self.agents)

    @property
    def faithful(self) -> bool:
        """Whether the paper's code is followed."""
        return self.variant == "faithful"

    def network(self, name: str) -> ActorCritic:
        """Returns a new model by name."""
        model = MODELS[name]
        return ActorCritic(model.make(model.hidden_size, self.faithful), model.hidden_size)


def measure(config: MazeConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, and lets each play on; returns ``result.json``."""
    if context.quick:
        config = replace(
            config, agents=16, steps=50, iterations=20, tuning_iterations=10, warm_up=2
        )
        context.tell("smoke run of 20 iterations of 16 agents and 50 steps")
    check_parts(agents=config.agents)
    maze = Maze(config.size, config.steps, faithful=config.faithful, device=context.device)
    models = networks(config.models, MODELS, (context.seed,), config.network)
    nets = with_copies(models, config.learning_rates).to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, _data(config, maze))
    trials: list[Trial] = []

    def measured(name: str, net: ActorCritic) -> dict[str, float]:
        path = context.seed, list(MODELS).index(name)

        def training(phase: str, rate: float, iterations: int) -> ActorCriticTraining:
            own: Any = nets[phase]
            return ActorCriticTraining(
                phase,
                own,
                maze,
                agents=config.agents,
                iterations=iterations,
                path=(*path, EpisodeStream.TRAINING),
                learning_rate=rate,
                schedule=config.schedule,
                warm_up=config.warm_up,
                faithful=config.faithful,
            )

        rates, rate = config.learning_rates, config.learning_rate
        short = partial(training, iterations=config.tuning_iterations)
        if found := tried(name, rates, short, loop, place="iteration", score="reward"):
            rate = best(found).learning_rate
            trials.extend(found)
        loop.run(training(name, rate, config.iterations))
        figures = evaluate(net, MODELS[name], maze, (*path, EpisodeStream.TEST))
        return figures | {"learning_rate": rate}

    metrics = compare(models, measured)
    metrics["random_reward"] = random_reward(maze)
    metrics["shortest_path_reward"] = shortest_path_reward(maze)
    started["tuning"] = shown(trials, "reward")
    rows = [row for row in context.run.records() if row["phase"] in list(models)]
    kinds = ("reward", "energy_per_neuron")
    started["curves"] = curves(rows, "iteration", config.iterations, kinds)
    return context.finish(started, loop, metrics, claims(config, metrics, context.quick))


def _data(config: MazeConfig, maze: Maze) -> dict[str, Any]:
    return {
        "name": f"maze {config.size}x{config.size}",
        "n_train": config.agents * config.iterations,
        "n_test": EPISODES,
        "source": "generated; counted are episodes",
        "sha256": fingerprint(maze.walls),
    }


def evaluate(
    net: ActorCritic, model: RecurrentModel, maze: Maze, path: tuple[int, ...]
) -> dict[str, float]:
    """Measures a trained model on episodes of a stream: reward, its standard error, and energy.

    Energy is of a step: of the whole network, and per neuron (per gate of an LSTM, as published).
    """
    played = [play(net, maze, AT_ONCE, stream(*path, part)) for part in range(EPISODES // AT_ONCE)]
    rewards = torch.cat([episode.rewards.sum(0).double() for episode in played])
    # It differs little from agent to agent, and takes longer than playing.
    energy = fmean(mean_energy(net, episode.observations) for episode in played[:4])
    return {
        "reward": float(rewards.mean()),
        "reward_error": float(rewards.std()) / len(rewards) ** 0.5,
        "energy": energy * model.hidden_size * model.gates,
        "energy_per_neuron": energy,
        "parameters": trained_parameters(net),
    }


def claims(config: MazeConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract that the trained models can test."""
    if "stpn" not in config.models:
        return []
    reward, found = metrics["stpn_reward"], []
    rivals = [name for name in MAIN if name in config.models and name != "stpn"]
    if rivals:
        best, most = extreme(metrics, rivals, "reward")
        statement = f"STPN gains more reward than each model of its size; the next is {best}"
        found.append(above("reward-best", statement, reward, most, origin="paper"))
        least, energy = extreme(metrics, rivals, "energy", min)
        statement = f"STPN's synapses need the least energy of the models of its size; then {least}"
        mine = metrics["stpn_energy"]
        found.append(below("energy-lowest", statement, mine, energy, origin="paper"))
    statement = "STPN gains more reward than random actions"
    found.append(above("reward-above-random", statement, reward, metrics["random_reward"]))
    same_maze = (config.size, config.steps) == (MazeConfig.size, MazeConfig.steps)
    long = config.iterations >= LONG and set(MAIN) <= set(config.models)
    return asserted(found, same_maze and long and not quick)
