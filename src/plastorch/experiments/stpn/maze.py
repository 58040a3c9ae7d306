"""Exploration of a maze by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import nn

from plastorch.engine.device import check_memory, generator
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim, Record, result
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, CountOrZero, Range, Rate, Settings, Size
from plastorch.experiments.stpn import PAPER
from plastorch.experiments.stpn.recurrent import field, networks
from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, mean_energy, play
from plastorch.rl.maze import OBSERVATION, Maze, random_reward, shortest_path_reward, walls
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, RNN, HebbFF, ModulatedPlasticity

EPISODES, AT_ONCE = 2048, 64
"""Episodes that judge a trained model; synapses of so many at once fit a CPU's cache."""
LONG = 5000
"""Iterations from which on claims are asserted; without plasticity, little is gained later."""
POINTS = 40
"""Number of points of a model's curve in the result; the log has more."""
Variant = Literal["corrected", "faithful"]


class Model(NamedTuple):
    """A model of the comparison."""

    hidden_size: int
    """Hidden size, as in the paper: main models have about as many parameters, others a third."""
    make: Callable[[int, bool], nn.Module]
    """Function that makes the core from a hidden size, faithful to the paper's code or not."""
    gates: int = 1
    """Rows of weights per neuron."""


def _rnn(size: int, faithful: bool) -> nn.Module:
    """Returns an RNN that starts with weak, positive recurrent weights."""
    core = RNN(OBSERVATION, size)
    parameter, bound = core.network.get_parameter, OBSERVATION**-0.5
    nn.init.uniform_(parameter("weight_ih_l0"), -bound, bound)
    nn.init.uniform_(parameter("bias_ih_l0"), -bound, bound)
    nn.init.uniform_(parameter("weight_hh_l0"), 0, 0.01)
    return core


def _lstm(size: int, faithful: bool) -> nn.Module:
    """Returns an LSTM with two biases, as torch's own."""
    core = LSTM(OBSERVATION, size)
    bias = core.network.get_parameter("bias_hh_l0").requires_grad_()
    nn.init.uniform_(bias, -(size**-0.5), size**-0.5)
    return core


def _stpnf(size: int, faithful: bool, scalar: bool = False) -> nn.Module:
    """Returns an STPNf; the paper's code leaves out the bias and does not rescale F."""
    norm: Any = "efficacy" if faithful else "pre"
    return STPN(
        OBSERVATION, size, plasticity="feedforward", norm=norm, scalar=scalar, bias=not faithful
    )


MAIN = {
    "stpn": Model(55, lambda size, faithful: STPN(OBSERVATION, size, norm="post", clamp=1.0)),
    "rnn": Model(100, _rnn),
    "lstm": Model(47, _lstm, gates=4),
    "modulated": Model(73, lambda size, faithful: ModulatedPlasticity(OBSERVATION, size)),
}
"""Models of the paper's comparison."""
MODELS = MAIN | {
    "stpn-pre": Model(30, lambda size, faithful: STPN(OBSERVATION, size)),
    "stpn-scalar": Model(55, lambda size, faithful: STPN(OBSERVATION, size, scalar=True)),
    "stpnf": Model(76, _stpnf),
    "stpnf-scalar": Model(181, lambda size, faithful: _stpnf(size, faithful, True)),
    "hebbff": Model(181, lambda size, faithful: HebbFF(OBSERVATION, size, faithful=faithful)),
}
"""Models of the comparison and of the paper's ablations."""


@dataclass(frozen=True)
class MazeConfig(Settings):
    """Settings of stpn-maze; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        variant: "faithful" computes what the paper's code does: the value of the first agent is the
            baseline of all, and rewarded agents may go on at their goal; "corrected" does neither.
        size: cells along a side of the maze, walls included.
        steps: length of an episode.
        agents: number of agents that play at once.
        iterations: number of updates, each after an episode of all agents.
        warm_up: number of first iterations that update nothing.
        learning_rate: learning rate of Adam.
    """

    models: tuple[str, ...] = tuple(MAIN)
    variant: Variant = "corrected"
    size: Annotated[int, Range(5, 9999)] = 13
    steps: Count = 200
    agents: Size = 512
    iterations: Count = 50_000
    warm_up: CountOrZero = 101
    learning_rate: Rate = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
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
    """Trains the models one after the other, then lets them play on without learning.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: a checkpoint to resume is unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    if context.quick:
        config = replace(config, agents=16, steps=50, iterations=20, warm_up=2)
        context.tell("smoke run of 20 iterations of 16 agents and 50 steps")
    check_parts(agents=config.agents)
    maze = Maze(config.size, config.steps, faithful=config.faithful, device=context.device)
    nets = networks(config.models, MODELS, (context.seed,), config.network).to(context.device)
    loop = Loop(context.run, nets)
    started = _result(config, context, maze)
    context.run.write_result(started)
    metrics: dict[str, float] = {}
    for place, (name, model) in enumerate(MODELS.items()):
        if name in nets:
            net, path = nets[name], (context.seed, place)
            assert isinstance(net, ActorCritic)
            loop.run(
                ActorCriticTraining(
                    name,
                    net,
                    maze,
                    config.agents,
                    config.iterations,
                    (*path, 0),
                    config.learning_rate,
                    config.warm_up,
                    config.faithful,
                )
            )
            found = evaluate(net, model, maze, (*path, 1))
            metrics |= {field(name, kind): value for kind, value in found.items()}
    metrics["random_reward"] = random_reward(maze)
    metrics["shortest_path_reward"] = shortest_path_reward(maze)
    started["curves"] = curves(context.run.records(), config.iterations)
    return context.finish(started, loop, metrics, claims(config, metrics, context.quick))


def curves(records: Sequence[Record], iterations: int) -> dict[str, list[dict[str, float]]]:
    """Returns each model's learning curve: means over equal spans of its training, if recorded.

    Args:
        records: records of :class:`plastorch.rl.a2c.ActorCriticTraining`, of all models.
        iterations: number of iterations per model.

    Returns:
        By model and span, the last ``iteration``, and mean ``reward`` and ``energy_per_neuron``.

    Example:
        >>> rows = [{"phase": "rnn", "iteration": i, "reward": float(i), "energy_per_neuron": 1.0}
        ...         for i in (10, 20, 30, 400)]
        >>> [(row["iteration"], row["reward"]) for row in curves(rows, 800)["rnn"]]
        [(20, 15.0), (30, 30.0), (400, 400.0)]
    """
    spans: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for row in records:
        spans[str(row["phase"]), -(-POINTS * int(row["iteration"]) // iterations)].append(row)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for (name, _), rows in spans.items():
        means = {
            kind: round(fmean(float(row[kind]) for row in rows), 3)
            for kind in ("reward", "energy_per_neuron")
        }
        found[name].append({"iteration": int(rows[-1]["iteration"])} | means)
    return dict(found)


def evaluate(net: ActorCritic, model: Model, maze: Maze, path: tuple[int, ...]) -> dict[str, float]:
    """Measures the reward and the energy of a trained model.

    Args:
        net: the model.
        model: model with its sizes.
        maze: maze to play in.
        path: path of numbers that seeds the episodes.

    Returns:
        Reward of an episode, and the standard error of its mean; energy of a step, of the whole
        network and per neuron (per gate of an LSTM, as in the paper); trained parameters.
    """
    played = [
        play(net, maze, AT_ONCE, generator(*path, part)) for part in range(EPISODES // AT_ONCE)
    ]
    rewards = torch.cat([episode.rewards.sum(0).double() for episode in played])
    # It differs little from agent to agent, and takes longer than playing.
    energy = fmean(mean_energy(net, episode.observations) for episode in played[:4])
    return {
        "reward": float(rewards.mean()),
        "reward_error": float(rewards.std()) / len(rewards) ** 0.5,
        "energy": energy * model.hidden_size * model.gates,
        "energy_per_neuron": energy,
        "parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }


def claims(config: MazeConfig, metrics: dict[str, float], quick: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract that the trained models can test."""
    if "stpn" not in config.models:
        return []
    same_maze = (config.size, config.steps) == (MazeConfig.size, MazeConfig.steps)
    long = config.iterations >= LONG and set(MAIN) <= set(config.models)
    ordinary = same_maze and long and not quick
    reward, energy = metrics["stpn_reward"], metrics["stpn_energy"]
    found = []
    rivals = [name for name in MAIN if name in config.models and name != "stpn"]
    if rivals:
        best = max(rivals, key=lambda name: metrics[f"{name}_reward"])
        least = min(rivals, key=lambda name: metrics[f"{name}_energy"])
        most_reward, least_energy = metrics[f"{best}_reward"], metrics[f"{least}_energy"]
        found = [
            Claim(
                "reward-best",
                f"STPN gains more reward than each model of its size; the next is {best}",
                most_reward,
                reward,
                reward > most_reward if ordinary else None,
                "paper",
            ),
            Claim(
                "energy-lowest",
                f"STPN's synapses need the least energy of the models of its size; then {least}",
                least_energy,
                energy,
                energy < least_energy if ordinary else None,
                "paper",
            ),
        ]
    chance = metrics["random_reward"]
    above = Claim(
        "reward-above-random",
        "STPN gains more reward than random actions",
        chance,
        reward,
        reward > chance if ordinary else None,
        "ours",
    )
    return [*found, above]


def _result(config: MazeConfig, context: Context, maze: Maze) -> dict[str, Any]:
    data = {
        "name": f"maze {config.size}x{config.size}",
        "n_train": config.agents * config.iterations,
        "n_test": EPISODES,
        "source": "generated; counted are episodes",
        "sha256": hashlib.sha256(maze.walls.numpy().tobytes()).hexdigest(),
    }
    settings = {**asdict(config), "models": list(config.models)}
    settings |= {"seed": context.seed, "quick": context.quick}
    return result("stpn-maze", PAPER, settings, data, context.device)
