"""Tasks of memory, after POPGym, for short-term plasticity neurons and other memories.

Tasks: Morad, Kortvelesy, Bettini, Liwicki, Prorok, *POPGym: Benchmarking Partially Observable
Reinforcement Learning*, ICLR 2023, arXiv 2303.01859. Units: Garcia Rodriguez, Guo, Moraitis,
*Short-Term Plasticity Neurons Learning to Learn and Forget*, ICML 2022.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import nn

from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.stpn.popgym_models import MODELS, width_of
from plastorch.experiments.stpn.recurrent import curves, trained_parameters
from plastorch.experiments.stpn.streams import TaskStream
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, Environment, play
from plastorch.rl.agent import Agent
from plastorch.rl.cards import Autoencode, CountRecall, RepeatFirst, RepeatPrevious
from plastorch.rl.cart_pole import PositionOnlyCartPole
from plastorch.stp.baselines import MLP

EPISODES, AT_ONCE = 512, 64
"""Episodes that judge a trained model, and how many are played at once."""
EPSILON = 1e-8
"""Constant in Adam's denominator; gradients are small while only the first answers are right."""


class Task(NamedTuple):
    """A task, and how it is learned."""

    make: Callable[..., Environment]
    """Function that makes the environment; takes a device."""
    discount: float = 0.0
    """Discount of later rewards; answers to cards change nothing later."""
    reward: float = 1.0
    """Size of a step's reward where it is learned from."""


Name = Literal[
    "repeat-first-easy",
    "repeat-first-medium",
    "repeat-previous-easy",
    "repeat-previous-medium",
    "autoencode-easy",
    "autoencode-medium",
    "count-recall-easy",
    "count-recall-medium",
    "position-only-cart-pole-easy",
    "position-only-cart-pole-medium",
]
TASKS: dict[Name, Task] = {
    "repeat-first-easy": Task(RepeatFirst),
    "repeat-first-medium": Task(partial(RepeatFirst, 8)),
    "repeat-previous-easy": Task(RepeatPrevious),
    "repeat-previous-medium": Task(partial(RepeatPrevious, 2, 32)),
    "autoencode-easy": Task(Autoencode),
    "autoencode-medium": Task(partial(Autoencode, 2)),
    "count-recall-easy": Task(CountRecall),
    "count-recall-medium": Task(partial(CountRecall, 2, "suits")),
    "position-only-cart-pole-easy": Task(PositionOnlyCartPole, 0.99, 0.05),
    "position-only-cart-pole-medium": Task(partial(PositionOnlyCartPole, 400), 0.99, 0.05),
}
"""Tasks as POPGym has them; its names are those of the classes."""


@dataclass(frozen=True)
class PopgymConfig(Settings):
    """Settings of stpn-popgym.

    Args:
        task: task that all models learn.
        models: models that learn, one after the other.
        units: number of STPN's neurons; the other models have the same number of parameters.
        agents: number of agents that play at once.
        iterations: number of updates, each after an episode of all agents.
        learning_rates: initial learning rates, of which each model takes the one that earns most
            while it is tried; a single one is used as is.
        tuning_iterations: number of iterations with each of these rates; training then starts again
            from the initial weights.
    """

    task: Name = "repeat-previous-easy"
    models: tuple[str, ...] = tuple(MODELS)
    units: Annotated[int, Range(1, 4096)] = 48
    agents: Size = 64
    iterations: Count = 1000
    learning_rates: tuple[Rate, ...] = (0.003, 0.01)
    tuning_iterations: Count = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        if not self.learning_rates:
            raise InputError("learning_rates are (); expected one or more")
        environment = TASKS[self.task].make()
        width = max(self.width(name, environment) for name in self.models)
        check_memory(
            4 * (environment.inputs + width) * environment.steps * self.agents, agents=self.agents
        )

    def width(self, name: str, environment: Environment) -> int:
        """Returns the number of a model's units."""
        return width_of(name, environment.inputs, self.units, environment.actions)

    def network(self, environment: Environment, name: str) -> Agent:
        """Returns a new agent by the name of its model."""
        sizes = environment.inputs, self.width(name, environment), environment.actions
        return MODELS[name](*sizes)


def measure(config: PopgymConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, and lets each play on; returns ``result.json``."""
    if context.quick:
        config = replace(config, iterations=40, learning_rates=config.learning_rates[-1:])
        context.tell("smoke run of 40 iterations")
    check_parts(agents=config.agents)
    environment = TASKS[config.task].make(device=context.device)
    make = partial(config.network, environment)
    models = networks(config.models, MODELS, (context.seed, TaskStream.WEIGHTS), make)
    nets = with_copies(models, config.learning_rates).to(context.device)
    loop = Loop(context.run, nets)
    test = context.seed, TaskStream.TEST
    started = context.start(config, _data(config, environment, test))
    trials: list[Trial] = []

    def measured(name: str, net: Agent) -> dict[str, float]:
        path = context.seed, TaskStream.TRAINING, list(MODELS).index(name)
        training = partial(_training, config, environment, nets, path)
        rates, rate = config.learning_rates, config.learning_rates[0]
        if len(rates) > 1:
            short = partial(training, iterations=config.tuning_iterations)
            found = tried(name, rates, short, loop, place="iteration", score="reward")
            rate = best(found).learning_rate
            trials.extend(found)
        loop.run(training(name, rate, config.iterations))
        rewards = [float(row["reward"]) for row in context.run.records() if row["phase"] == name]
        return evaluate(net, environment, test) | {
            "training_return": fmean(rewards),
            "best_training_return": max(rewards),
            "units": config.width(name, environment),
            "parameters": trained_parameters(net),
            "learning_rate": rate,
        }

    metrics = compare(models, measured)
    metrics["random_return"] = random_return(environment, test)
    started["tuning"] = shown(trials, "reward")
    rows = [row for row in context.run.records() if row["phase"] in list(models)]
    started["curves"] = curves(rows, "iteration", config.iterations, ("reward",))
    return context.finish(started, loop, metrics, claims(config, metrics, context.quick))


def _training(
    config: PopgymConfig,
    environment: Environment,
    nets: nn.ModuleDict,
    path: tuple[int, ...],
    phase: str,
    rate: float,
    iterations: int,
) -> ActorCriticTraining:
    """Returns a training of the phase's network."""
    task = TASKS[config.task]
    net: Any = nets[phase]
    return ActorCriticTraining(
        phase,
        net,
        environment,
        agents=config.agents,
        iterations=iterations,
        path=path,
        learning_rate=rate,
        schedule="linear",
        warm_up=0,
        discount=task.discount,
        scale=task.reward * environment.steps,
        epsilon=EPSILON,
    )


def _data(config: PopgymConfig, environment: Environment, test: tuple[int, ...]) -> dict[str, Any]:
    first = [
        environment.begin(AT_ONCE, stream(*test, part), lambda drawn, dim: drawn)[0]
        for part in range(EPISODES // AT_ONCE)
    ]
    return {
        "name": config.task,
        "n_train": config.agents * config.iterations,
        "n_test": EPISODES,
        "source": "generated as popgym 1.0.7 defines it; counted are episodes",
        "sha256": fingerprint(*map(environment.observe, first)),
    }


def evaluate(net: ActorCritic, environment: Environment, path: tuple[int, ...]) -> dict[str, float]:
    """Measures an agent on episodes of a stream: mean return, its standard error, and the best."""
    returns = torch.cat(
        [
            play(net, environment, AT_ONCE, stream(*path, part)).rewards.double().sum(0)
            for part in range(EPISODES // AT_ONCE)
        ]
    )
    return {
        "return": float(returns.mean()),
        "return_error": float(returns.std()) / EPISODES**0.5,
        "best_return": float(returns.max()),
    }


def random_return(environment: Environment, path: tuple[int, ...]) -> float:
    """Returns the mean return of agents that take all actions equally often."""
    net = ActorCritic(MLP(environment.inputs, 1), 1, environment.actions).to(environment.device)
    for parameter in net.actor.parameters():
        nn.init.zeros_(parameter)
    return evaluate(net, environment, path)["return"]


def claims(config: PopgymConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims about the task that the trained models can test."""
    if "stpn" not in config.models:
        return []
    usual = PopgymConfig()
    same = replace(config, task=usual.task, models=usual.models, iterations=usual.iterations)
    evidence = same == usual and config.iterations >= usual.iterations and not quick
    stpn, rest = metrics["stpn_return"], f"in {config.task}, mean return of {EPISODES} episodes"
    statement = f"STPN gains more than random actions {rest}"
    found = [above("above-random", statement, stpn, metrics["random_return"])]
    if "lstm" in config.models:
        statement = f"STPN gains more than an LSTM of as many parameters {rest}"
        found.append(above("above-lstm", statement, stpn, metrics["lstm_return"]))
        statement = f"STPN learns {config.task} faster than the LSTM: mean return of its training"
        course = metrics["stpn_training_return"], metrics["lstm_training_return"]
        found.append(above("faster-than-lstm", statement, *course))
    found = asserted(found, evidence)
    if "gru" in config.models:
        statement = f"an aim, not asserted: STPN gains more than a GRU of as many parameters {rest}"
        aim = above("above-gru", statement, stpn, metrics["gru_return"])
        found += asserted([aim], False)
    return found
