"""Atari Pong by short-term plasticity neurons and an LSTM.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022. Its agents play PongNoFrameskip-v4; the same game is ALE/Pong-v5 with a
frame-skip of 1 and no sticky actions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Literal

from plastorch.engine.errors import check_names
from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, below
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Processes, ProcessesOrNone, Settings
from plastorch.experiments.stpn import agents
from plastorch.experiments.stpn.agents import NONE, AgentTask, Protocol, lstm
from plastorch.experiments.stpn.recurrent import RecurrentModel
from plastorch.rl.agent import FEATURES, Agent, FrameEncoder
from plastorch.rl.environments import make_frames, outputs
from plastorch.stp import STPN

EPISODES = 5
"""Number of games that judge a trained model, with sampled actions: all games begin alike."""
MOST = 108_000
"""Maximum number of frames of a game, as in the emulator."""
ENOUGH = 20.99
"""Mean return at which training ends; 21 is the maximum."""
LONG = 500_000
"""Number of steps from which on the claims of a short training are asserted."""
PPO = {"use_kl_loss": False, "vf_loss_coeff": 0.5, "vf_clip_param": NONE, "entropy_coeff": 0.01}
"""Settings of both protocols, as RLlib names them."""

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
        ppo=PPO | {"lambda_": 1.0, "clip_param": NONE, "grad_clip": 40.0},
    ),
    "short": Protocol(
        steps=1_000_000,
        frame_skip=4,
        batch=1024,
        minibatch=256,
        epochs=3,
        rates={"stpn": 5e-4, "lstm": 5e-4},
        ppo=PPO | {"lambda_": 0.95, "clip_param": 0.1, "grad_clip": 0.5},
    ),
}
"""The paper's advantage actor-critic, which RLlib no longer has: with one pass over one batch,
proximal policy optimization is the same, except that RLlib scales advantages to deviation 1. And
one for a machine without a cluster."""


MODELS = {"stpn": RecurrentModel(64, STPN), "lstm": RecurrentModel(48, lstm)}
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
        runners: number of processes that play, besides the learner; with 0, the learner plays.
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
    """Trains the models one after the other, and lets each play; returns ``result.json``."""
    protocol = config.settings
    if context.quick:
        protocol = protocol._replace(steps=64, runners=0, envs=2, batch=64, minibatch=64, epochs=1)
        config = replace(config, steps=64, runners=0, envs=2)
        context.tell("smoke run of one update")
    make_env = partial(make_frames, config.env, protocol.frame_skip, 0.0)
    _, actions = agents.checked_spaces(make_env)
    task = AgentTask(
        config=config,
        known=MODELS,
        make_env=make_env,
        make_agent=partial(agent, outputs(actions)),
        protocol=protocol,
        enough=ENOUGH if config.env == PongConfig.env else inf,
        episodes=1 if context.quick else EPISODES,
        most=100 if context.quick else MOST // protocol.frame_skip,
        frames=True,
        drawn=True,
    )
    return agents.measure(task, context, partial(claims, config, quick=context.quick))


def claims(config: PongConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Claims that returns rise, and of the published training what the paper says."""
    if "stpn" not in config.models:
        return []
    settings, published = config.settings, PROTOCOLS["paper"]
    pong = config.env == PongConfig.env and not quick
    some = pong and settings.steps * settings.frame_skip >= LONG * PROTOCOLS["short"].frame_skip
    full = pong and config.protocol == "paper" and settings.steps >= published.steps
    measured = metrics["stpn_return"]
    statement = "STPN's mean return is above that of random actions"
    found = asserted([above("above-random", statement, measured, metrics["random_return"])], some)
    if "stpn_first_return" in metrics:
        first, last = metrics["stpn_first_return"], metrics["stpn_last_return"]
        statement = (
            "STPN's mean return is higher in the last tenth of the training than in the first"
        )
        found += asserted([above("return-rises", statement, last, first)], some)
    statement = "STPN wins almost every ball of the published training's 10⁸ steps"
    found += asserted([above("solved", statement, measured, 20.0)], full)
    if "lstm" in config.models:
        energies = metrics["stpn_energy"], metrics["lstm_energy"]
        statement = "STPN's synapses need less energy than those of an LSTM of its size"
        found += asserted([below("energy-below-lstm", statement, *energies, origin="paper")], some)
        found += asserted(_return_claims(metrics), some and _equally_long(metrics, settings.batch))
    return found


def _return_claims(metrics: Mapping[str, float]) -> Iterator[Claim]:
    """Yields the comparison of both models, on the many games of the last tenth of training."""
    if "stpn_last_return" in metrics and "lstm_last_return" in metrics:
        returns = metrics["stpn_last_return"], metrics["lstm_last_return"]
        statement = (
            "STPN's mean return in the last tenth of the training is above that of an LSTM of its "
            "size"
        )
        yield above("return-above-lstm", statement, *returns, origin="paper")


def _equally_long(metrics: Mapping[str, float], batch: int) -> bool:
    """Whether both models saw as many steps, to a batch: one that wins stops earlier."""
    return abs(metrics["stpn_env_steps"] - metrics["lstm_env_steps"]) <= batch
