"""Balancing a pole by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022. Its agents see MuJoCo's InvertedPendulum-v2, ours InvertedPendulum-v5.
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
from plastorch.experiments.stpn.agents import Model, Work, lstm, two_biases
from plastorch.rl.agent import Agent
from plastorch.rl.environments import make_vectors, outputs
from plastorch.rl.training import ppo
from plastorch.stp import STPN
from plastorch.stp.baselines import MLP, RNN

EPISODES = 20
"""Number of episodes by which a trained model is judged."""
SOLVED = 950.0
"""Mean return that solves the task, of at most 1000."""
LONG = 100_000
"""Number of steps from which on claims are asserted."""


class Protocol(NamedTuple):
    """Settings of the agents' learning."""

    steps: int
    """Number of environment steps per model."""
    learning_rate: float
    """Learning rate of Adam at the start."""
    rate_ends: int | None
    """Number of steps after which the learning rate would be 0; None is the end of the training."""
    minibatch: int
    """Number of steps per update."""
    value_clip: float
    """Squared error of a value beyond which it has no gradient."""
    value_weight: float
    """Weight of the value's loss."""
    entropy: float
    """Weight of the entropy of actions."""


PROTOCOLS = {
    "paper": Protocol(1_000_000, 3e-4, 400_000_000, 64, 10.0, 1.0, 0.01),
    "short": Protocol(300_000, 1e-3, None, 256, 1e9, 0.05, 0.01),
}
"""Published settings; and ours, in which values far from the truth are learned too."""
BATCH = 2048
"""Number of steps between updates."""
EPOCHS = 10
"""Number of passes over each batch."""
QUICK = 512
"""Number of steps of a smoke run."""


def _stpnf(inputs: int, size: int) -> nn.Module:
    return STPN(inputs, size, plasticity="feedforward", norm="none", clamp=0.1)


def _rnn(inputs: int, size: int) -> nn.Module:
    return two_biases(RNN(inputs, size))


MODELS = {
    "stpn": Model(64, _stpnf),
    "lstm": Model(64, lstm),
    "rnn": Model(64, _rnn),
    "mlp": Model(64, MLP),
}
"""Models of the same width but different sizes, as published."""


@dataclass(frozen=True)
class PendulumConfig(Settings):
    """Settings of stpn-pendulum.

    Args:
        models: models that learn, one after the other.
        env: id of an environment whose observations and actions are vectors.
        protocol: "paper" is the published one; "short" learns in fewer steps.
        steps: number of environment steps per model; None takes the protocol's.
        envs: number of environments that each process plays side by side.
        runners: number of processes that play, beside the learner; with 0, the learner plays.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto for the one that
            was started on it; None starts Ray on this machine.
    """

    models: tuple[str, ...] = tuple(MODELS)
    env: str = "InvertedPendulum-v5"
    protocol: Literal["paper", "short"] = "short"
    steps: Count | None = None
    envs: Processes = 8
    runners: ProcessesOrNone = 0
    address: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)

    @property
    def settings(self) -> Protocol:
        """Returns the protocol with the configured steps."""
        protocol = PROTOCOLS[self.protocol]
        return protocol if self.steps is None else protocol._replace(steps=self.steps)


def agent(inputs: int, numbers: int, name: str) -> Agent:
    """Returns a new model by name, for an observation size and a number of policy outputs."""
    model = MODELS[name]
    core = model.make(inputs, model.hidden_size)
    return Agent(nn.Identity(), core, model.hidden_size, numbers)


def measure(config: PendulumConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, then lets each play 20 episodes.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: packages, the environment or the cluster are missing, or a checkpoint to
            resume is unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    if context.quick:
        config = replace(config, steps=QUICK)
        context.tell(f"smoke run of {QUICK} steps")
    batch = min(BATCH, config.settings.steps)
    make_env = partial(make_vectors, config.env)
    observed, actions = stpn_agents.checked_spaces(make_env)
    work = Work(
        experiment="stpn-pendulum",
        config=stpn_agents.plain(config) | {"settings": config.settings._asdict()},
        models=config.models,
        known=tuple(MODELS),
        env=config.env,
        make_env=make_env,
        make_agent=partial(agent, observed.shape[0], outputs(actions)),
        algorithm=partial(_algorithm, config, context, batch, make_env),
        batch=batch,
        steps=config.settings.steps,
        address=config.address,
        runners=config.runners,
        enough=inf,
        episodes=EPISODES,
        most=200 if context.quick else 1000,
        frames=False,
    )
    return stpn_agents.measure(work, context, partial(claims, config, quick=context.quick))


def _algorithm(
    config: PendulumConfig,
    context: Context,
    batch: int,
    make_env: Callable[[], Any],
    name: str,
    make: Callable[[], Agent],
) -> Any:
    settings = config.settings
    return ppo(
        make_env,
        make,
        context.seed,
        envs=config.envs,
        runners=config.runners,
        device=context.device,
        lr=[[0, settings.learning_rate], [settings.rate_ends or settings.steps, 1e-12]],
        train_batch_size_per_learner=batch,
        minibatch_size=min(settings.minibatch, batch),
        num_epochs=EPOCHS,
        gamma=0.99,
        lambda_=0.95,
        clip_param=0.2,
        kl_coeff=0.2,
        kl_target=0.01,
        vf_loss_coeff=settings.value_weight,
        vf_clip_param=settings.value_clip,
        entropy_coeff=settings.entropy,
        grad_clip=40.0,
    )


def claims(config: PendulumConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims about the pendulum, and about energy as in the paper's abstract."""
    if "stpn" not in config.models:
        return []
    ordinary = config.env == PendulumConfig.env and config.settings.steps >= LONG and not quick
    measured = metrics["stpn_return"]
    found = [
        Claim(
            "solved",
            f"STPN balances the pole: mean return of {EPISODES} episodes, of 1000 at most",
            SOLVED,
            measured,
            measured >= SOLVED if ordinary else None,
            "ours",
        )
    ]
    rivals = [name for name in config.models if name != "stpn"]
    if rivals:
        least = min(rivals, key=lambda name: metrics[f"{name}_energy"])
        target, energy = metrics[f"{least}_energy"], metrics["stpn_energy"]
        found.append(
            Claim(
                "energy-lowest",
                f"STPN's synapses need the least energy of the models of its width; then {least}",
                target,
                energy,
                energy < target if ordinary and set(config.models) == set(MODELS) else None,
                "paper",
            )
        )
    return found
