"""Balancing a pole by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022. Its agents see MuJoCo's InvertedPendulum-v2, ours InvertedPendulum-v5.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from torch import nn

from plastorch.engine.errors import check_names
from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_least, below
from plastorch.experiments.context import Context
from plastorch.experiments.models import extreme, field
from plastorch.experiments.preset_defaults import Count, Processes, ProcessesOrNone, Rate, Settings
from plastorch.experiments.stpn import agents
from plastorch.experiments.stpn.agents import NONE, AgentTask, Protocol, lstm
from plastorch.experiments.stpn.recurrent import RecurrentModel, two_biases
from plastorch.rl.agent import Agent
from plastorch.rl.environments import make_vectors, outputs
from plastorch.stp import STPN
from plastorch.stp.baselines import MLP, RNN

EPISODES = 20
"""Number of episodes by which a trained model is judged."""
SOLVED = 950.0
"""Mean return that solves the task, of at most 1000."""
LONG = 100_000
"""Number of steps from which on claims are asserted."""


QUICK = 512
"""Number of steps of a smoke run."""


def _stpnf(inputs: int, size: int) -> nn.Module:
    return STPN(inputs, size, plasticity="feedforward", norm="none", clamp=0.1)


def _rnn(inputs: int, size: int) -> nn.Module:
    return two_biases(RNN(inputs, size))


MODELS = {
    "stpn": RecurrentModel(64, _stpnf),
    "lstm": RecurrentModel(64, lstm),
    "rnn": RecurrentModel(64, _rnn),
    "mlp": RecurrentModel(64, MLP),
}
"""Models of the same width but different sizes, as published."""
PPO = {
    "lambda_": 0.95,
    "clip_param": 0.2,
    "kl_coeff": 0.2,
    "kl_target": 0.01,
    "entropy_coeff": 0.01,
    "grad_clip": 40.0,
}
"""Settings of both protocols, as RLlib names them."""

PROTOCOLS = {
    "paper": Protocol(
        steps=1_000_000,
        batch=2048,
        minibatch=64,
        epochs=10,
        rates=dict.fromkeys(MODELS, 3e-4),
        rate_ends=400_000_000,
        ppo=PPO | {"vf_loss_coeff": 1.0, "vf_clip_param": 10.0},
    ),
    "short": Protocol(
        steps=300_000,
        batch=2048,
        minibatch=256,
        epochs=10,
        rates=dict.fromkeys(MODELS, 1e-3),
        ppo=PPO | {"vf_loss_coeff": 0.05, "vf_clip_param": NONE},
    ),
}
"""Published settings; and ours, in which values far from the truth are learned too."""


@dataclass(frozen=True)
class PendulumConfig(Settings):
    """Settings of stpn-pendulum.

    Args:
        models: models that learn, one after the other.
        env: id of an environment whose observations and actions are vectors.
        protocol: "paper" is the published one; "short" learns in fewer steps.
        steps: number of environment steps per model; None takes the protocol's.
        learning_rate: initial learning rate of all models; None takes the protocol's.
        envs: number of environments that each process plays side by side.
        runners: number of processes that play, besides the learner; with 0, the learner plays.
        address: HOST:PORT of a Ray cluster that this machine is part of, or auto for the one that
            was started on it; None starts Ray on this machine.
    """

    models: tuple[str, ...] = tuple(MODELS)
    env: str = "InvertedPendulum-v5"
    protocol: Literal["paper", "short"] = "short"
    steps: Count | None = None
    learning_rate: Rate | None = None
    envs: Processes = 8
    runners: ProcessesOrNone = 0
    address: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)

    @property
    def settings(self) -> Protocol:
        """Returns the protocol with the configured steps, rate and processes."""
        protocol = PROTOCOLS[self.protocol]
        rate = self.learning_rate
        steps = self.steps or protocol.steps
        batch = min(protocol.batch, steps)
        return protocol._replace(
            steps=steps,
            batch=batch,
            minibatch=min(protocol.minibatch, batch),
            rates=dict.fromkeys(MODELS, rate) if rate else protocol.rates,
            runners=self.runners,
            envs=self.envs,
        )


def agent(inputs: int, numbers: int, name: str) -> Agent:
    """Returns a new model by name, for an observation size and a number of policy outputs."""
    model = MODELS[name]
    core = model.make(inputs, model.hidden_size)
    return Agent(nn.Identity(), core, model.hidden_size, numbers)


def measure(config: PendulumConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, and lets each play; returns ``result.json``."""
    if context.quick:
        config = replace(config, steps=QUICK)
        context.tell(f"smoke run of {QUICK} steps")
    make_env = partial(make_vectors, config.env)
    observed, actions = agents.checked_spaces(make_env)
    task = AgentTask(
        config=config,
        known=MODELS,
        make_env=make_env,
        make_agent=partial(agent, observed.shape[0], outputs(actions)),
        protocol=config.settings,
        episodes=EPISODES,
        most=200 if context.quick else 1000,
    )
    return agents.measure(task, context, partial(claims, config, quick=context.quick))


def claims(config: PendulumConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims about the pendulum, and about energy as in the paper's abstract."""
    if "stpn" not in config.models:
        return []
    ordinary = config.env == PendulumConfig.env and config.settings.steps >= LONG and not quick
    statement = f"STPN balances the pole: mean return of {EPISODES} episodes, of 1000 at most"
    found = asserted([at_least("solved", statement, metrics["stpn_return"], SOLVED)], ordinary)
    rivals = [name for name in config.models if name != "stpn"]
    if rivals:
        compared = ordinary and set(config.models) == set(MODELS)
        found += asserted(_comparisons(rivals, metrics), compared)
    return found


def _comparisons(rivals: Sequence[str], metrics: Mapping[str, float]) -> Iterator[Claim]:
    least, target = extreme(metrics, rivals, "energy", min)
    statement = f"STPN's synapses need the least energy of the models of its width; then {least}"
    yield below("energy-lowest", statement, metrics["stpn_energy"], target, origin="paper")
    next_one, target = extreme(metrics, rivals, "mean_return")
    statement = f"STPN learns fastest: its mean return over the training is above {next_one}'s"
    yield above("speed", statement, metrics["stpn_mean_return"], target)
    solvers = [name for name in rivals if metrics[field(name, "return")] >= SOLVED]
    if solvers:
        least, target = extreme(metrics, solvers, "energy_same_inputs", min)
        statement = (
            "of the models that balance the pole, STPN's synapses need the least energy on the "
            f"same observations, those of random actions; then {least}"
        )
        claim = below("energy-same-inputs", statement, metrics["stpn_energy_same_inputs"], target)
        yield from asserted([claim], metrics["stpn_return"] >= SOLVED)
