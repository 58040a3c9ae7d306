"""Atari Pong by short-term plasticity neurons and an LSTM.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022. Its agents play PongNoFrameskip-v4; the same game is ALE/Pong-v5 with a
frame-skip of 1 and no sticky actions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Literal, NamedTuple

from torch import nn

from plastorch.engine.errors import check_names
from plastorch.engine.run import Claim
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Processes, ProcessesOrNone, Settings
from plastorch.experiments.stpn import agents as stpn_agents
from plastorch.experiments.stpn.agents import Model, Work, lstm
from plastorch.rl.agent import FEATURES, Agent, FrameEncoder
from plastorch.rl.environments import make_frames, outputs
from plastorch.rl.training import ppo
from plastorch.stp import STPN

EPISODES = 5
"""Number of games that judge a trained model, with sampled actions: all games begin alike."""
MOST = 108_000
"""Maximum number of frames of a game, as in the emulator."""
ENOUGH = 20.99
"""Mean return at which training ends; 21 is the maximum."""
LONG = 500_000
"""Number of steps from which on the claims of a short training are asserted."""

NONE = 1e9
"""Bound that is never reached."""


class Protocol(NamedTuple):
    """Settings of the agents' learning."""

    steps: int
    """Number of environment steps per model."""
    frame_skip: int
    """Number of frames for which an action is held."""
    runners: int
    """Number of processes that play; with 0, the learner plays."""
    envs: int
    """Number of games that each plays side by side."""
    batch: int
    """Number of steps between updates."""
    minibatch: int
    """Number of steps per update."""
    epochs: int
    """Number of passes over each batch."""
    rates: dict[str, float]
    """Initial learning rate of each model."""
    rate_ends: int | None
    """Number of steps after which it would be 0; None is the end of the training."""
    trace: float
    """λ of generalized advantage estimation."""
    clip: float
    """Largest change of an action's probability that still has a gradient."""
    gradient_norm: float
    """Norm at which gradients are clipped."""


PROTOCOLS = {
    "paper": Protocol(
        steps=100_000_000,
        frame_skip=1,
        runners=64,
        envs=1,
        batch=3200,
        minibatch=3200,
        epochs=1,
        rates={"stpn": 7e-4, "lstm": 1e-4},
        rate_ends=200_000_000,
        trace=1.0,
        clip=NONE,
        gradient_norm=40.0,
    ),
    "short": Protocol(
        steps=1_000_000,
        frame_skip=4,
        runners=0,
        envs=8,
        batch=1024,
        minibatch=256,
        epochs=3,
        rates={"stpn": 5e-4, "lstm": 5e-4},
        rate_ends=None,
        trace=0.95,
        clip=0.1,
        gradient_norm=0.5,
    ),
}
"""The paper's advantage actor-critic, which RLlib no longer has: with one pass over one batch,
proximal policy optimization is the same, except that RLlib scales advantages to deviation 1. And
one for a machine without a cluster."""


def _stpn(inputs: int, size: int) -> nn.Module:
    return STPN(inputs, size)


MODELS = {"stpn": Model(64, _stpn), "lstm": Model(48, lstm)}
"""Models with about the same number of parameters."""


@dataclass(frozen=True)
class PongConfig(Settings):
    """Settings of stpn-pong.

    Args:
        models: models that learn, one after the other.
        protocol: "paper" is the published one, for a cluster; "short" skips frames and reuses
            batches, for a machine with a few cores.
        env: id of an Atari game.
        steps: number of environment steps per model; None takes the protocol's, as below.
        runners: number of processes that play, beside the learner; with 0, the learner plays.
        envs: number of games that each of them plays side by side.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto for the one that
            was started on it; None starts Ray on this machine.
    """

    models: tuple[str, ...] = tuple(MODELS)
    protocol: Literal["paper", "short"] = "short"
    env: str = "ALE/Pong-v5"
    steps: Count | None = None
    runners: ProcessesOrNone | None = None
    envs: Processes | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)

    @property
    def settings(self) -> Protocol:
        """Returns the protocol with the configured changes."""
        own = {name: getattr(self, name) for name in ("steps", "runners", "envs")}
        given = {name: value for name, value in own.items() if value is not None}
        return PROTOCOLS[self.protocol]._replace(**given)


def agent(actions: int, name: str) -> Agent:
    """Returns a new model by name, for frames and a number of actions."""
    model = MODELS[name]
    core = model.make(FEATURES, model.hidden_size)
    return Agent(FrameEncoder(), core, model.hidden_size, actions)


def measure(config: PongConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, then lets each play.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: packages, the game or the cluster are missing, or a checkpoint to resume is
            unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    settings = config.settings
    if context.quick:
        settings = settings._replace(steps=64, runners=0, envs=2, batch=64, minibatch=64, epochs=1)
        config = replace(config, steps=64, runners=0, envs=2)
        context.tell("smoke run of one update")
    make_env = partial(make_frames, config.env, settings.frame_skip, 0.0)
    _, actions = stpn_agents.checked_spaces(make_env)
    work = Work(
        experiment="stpn-pong",
        config=stpn_agents.plain(config) | {"settings": settings._asdict()},
        models=config.models,
        known=tuple(MODELS),
        env=config.env,
        make_env=make_env,
        make_agent=partial(agent, outputs(actions)),
        algorithm=partial(_algorithm, settings, context, make_env),
        batch=settings.batch,
        steps=settings.steps,
        address=config.address,
        runners=settings.runners,
        enough=ENOUGH if config.env == PongConfig.env else inf,
        episodes=1 if context.quick else EPISODES,
        most=100 if context.quick else MOST // settings.frame_skip,
        frames=True,
        drawn=True,
    )
    return stpn_agents.measure(work, context, partial(claims, config, quick=context.quick))


def _algorithm(
    settings: Protocol,
    context: Context,
    make_env: Callable[[], Any],
    name: str,
    make: Callable[[], Agent],
) -> Any:
    return ppo(
        make_env,
        make,
        context.seed,
        envs=settings.envs,
        runners=settings.runners,
        device=context.device,
        lr=[[0, settings.rates[name]], [settings.rate_ends or settings.steps, 1e-12]],
        train_batch_size_per_learner=settings.batch,
        minibatch_size=settings.minibatch,
        num_epochs=settings.epochs,
        gamma=0.99,
        lambda_=settings.trace,
        clip_param=settings.clip,
        use_kl_loss=False,
        vf_loss_coeff=0.5,
        vf_clip_param=NONE,
        entropy_coeff=0.01,
        grad_clip=settings.gradient_norm,
    )


def claims(config: PongConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Claims that returns rise, and of the published training what the paper says."""
    if "stpn" not in config.models:
        return []
    settings, published = config.settings, PROTOCOLS["paper"]
    pong = config.env == PongConfig.env and not quick
    some = pong and settings.steps * settings.frame_skip >= LONG * PROTOCOLS["short"].frame_skip
    full = pong and config.protocol == "paper" and settings.steps >= published.steps
    measured, chance = metrics["stpn_return"], metrics["random_return"]
    found = [
        Claim(
            "above-random",
            "STPN's mean return is above that of random actions",
            chance,
            measured,
            measured > chance if some else None,
            "ours",
        ),
        Claim(
            "solved",
            "STPN wins almost every ball of the published training's 10⁸ steps",
            20.0,
            measured,
            measured > 20 if full else None,
            "ours",
        ),
    ]
    if "stpn_first_return" in metrics:
        first, last = metrics["stpn_first_return"], metrics["stpn_last_return"]
        rises = Claim(
            "return-rises",
            "STPN's mean return is higher in the last tenth of the training than in the first",
            first,
            last,
            last > first if some else None,
            "ours",
        )
        found.insert(1, rises)
    if "lstm" in config.models:
        target, energy = metrics["lstm_energy"], metrics["stpn_energy"]
        found.append(
            Claim(
                "energy-below-lstm",
                "STPN's synapses need less energy than those of an LSTM of its size",
                target,
                energy,
                energy < target if some else None,
                "paper",
            )
        )
    return found
