"""Advantage actor-critic on whole episodes, by backpropagation through time.

Paper: Garcia Rodriguez et al., ICML 2022, arXiv 2206.14048, with the objective of Miconi et al.,
*Backpropamine*, ICLR 2019.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, get_args

import torch
from torch import Tensor, nn

from plastorch.engine.distributed import check_parts, gathered, part, sum_gradients
from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.phases import Phase, Schedule, set_rate
from plastorch.rl.maze import ACTIONS

DISCOUNT = 0.9
CONCENTRATION = 0.03
"""Weight of the squared action probabilities, which replace an entropy bonus."""
VALUE_WEIGHT = 0.1
GRADIENT_NORM = 4.0
"""Maximum gradient norm."""
LOG_EVERY = 10
"""Number of iterations between records."""
ENERGY_AGENTS = 32
"""Number of agents whose energy is logged during training."""
CPU_AGENTS = 64
"""Number of agents per backward pass on a CPU; plastic synapses need much memory."""


class Environment(Protocol):
    """Rules of a game that B agents play at once, each in its own copy, for T steps."""

    steps: int
    """Length T of an episode."""
    inputs: int
    """Size O of an observation."""
    actions: int
    """Number of actions A."""
    device: torch.device

    def begin(
        self, agents: int, random: torch.Generator, own: Callable[[Tensor, int], Tensor]
    ) -> tuple[Any, Sequence[tuple[Tensor, ...]]]:
        """Returns the initial state, and the further arguments of each step.

        All random numbers of the agents pass through ``own``, with the dimension of the agents.
        """

    def observe(self, state: Any) -> Tensor:
        """Returns the observations [B, O]."""

    @property
    def step(self) -> Callable[..., Any]:
        """Function from state, actions [B] and further arguments to the next state.

        The reward [B] is in the state's field ``reward``.
        """


class ActorCritic(nn.Module):
    """Recurrent core with two linear readouts: action scores and state value.

    Args:
        core: module from inputs [T, B, I] and a state to activities [T, B, H] and the next state.
        hidden_size: size of the activities H.
        actions: number of actions A.

    Example:
        >>> scores, values, state = ActorCritic(nn.RNN(17, 8), 8)(torch.randn(3, 2, 17))
        >>> scores.shape, values.shape
        (torch.Size([3, 2, 4]), torch.Size([3, 2]))
    """

    def __init__(self, core: nn.Module, hidden_size: int, actions: int = ACTIONS) -> None:
        super().__init__()
        self.core = core
        self.actor = nn.Linear(hidden_size, actions)
        self.critic = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Tensor, Any]:
        """Returns scores [T, B, A] and values [T, B] of inputs [T, B, I], and the next state."""
        activity, state = self.core(x, state)
        return self.actor(activity), self.critic(activity).squeeze(-1), state


class Episode(NamedTuple):
    """Observations, network outputs, actions and rewards of B agents over T steps."""

    observations: Tensor
    """Observations [T, B, O]."""
    scores: Tensor
    """Action scores [T, B, A]."""
    values: Tensor
    """State values [T, B]."""
    actions: Tensor
    """Actions [T, B]."""
    rewards: Tensor
    """Rewards [T, B]."""


@torch.no_grad()
def play(
    net: ActorCritic,
    environment: Environment,
    agents: int,
    random: torch.Generator,
    shared: bool = False,
) -> Episode:
    """Plays an episode; agents sample actions from the network's probabilities.

    Args:
        net: network of all agents.
        environment: environment in which the agents act.
        agents: number of agents B.
        random: random generator on the CPU.
        shared: whether each worker plays only its part of the agents; all get the complete episode.

    Returns:
        Episode, without gradients.

    Example:
        >>> from plastorch.rl.maze import Maze
        >>> net, random = ActorCritic(nn.RNN(17, 8), 8), torch.Generator()
        >>> play(net, Maze(5, steps=20), 2, random).scores.shape
        torch.Size([20, 2, 4])
    """

    def own(drawn: Tensor, dim: int) -> Tensor:
        return (part(drawn, dim) if shared else drawn).to(environment.device)

    state, draws = environment.begin(agents, random, own)
    # Gumbel trick: the maximum of scores - log(exponential noise) has softmax probabilities.
    exponential = torch.empty(environment.steps, agents, environment.actions)
    luck = own(-exponential.exponential_(generator=random).log(), 1)
    course, memory = [], None
    for lucky, draw in zip(luck, draws, strict=True):
        seen = environment.observe(state)
        scores, values, memory = net(seen.unsqueeze(0), memory)
        action = (scores[0] + lucky).argmax(-1)
        state = environment.step(state, action, *draw)
        course.append((seen, scores[0], values[0], action, state.reward))
    episode = Episode(*(torch.stack(parts) for parts in zip(*course, strict=True)))
    if not shared:
        return episode
    return Episode(*(gathered(of.transpose(0, 1)).transpose(0, 1) for of in episode))


def returns(rewards: Tensor, discount: float = DISCOUNT) -> Tensor:
    """Computes R(t) = r(t) + discount R(t+1), with 0 after the end: [T, ...] to [T, ...]."""
    found = rewards.clone()
    for t in range(len(rewards) - 2, -1, -1):
        found[t] += discount * found[t + 1]
    return found


def a2c_loss(
    scores: Tensor,
    values: Tensor,
    actions: Tensor,
    rewards: Tensor,
    *,
    faithful: bool = False,
    discount: float = DISCOUNT,
    concentration: float = CONCENTRATION,
    value_weight: float = VALUE_WEIGHT,
) -> Tensor:
    """Returns c Σ y² - log y(a) A + w A² with advantage A = R - v, mean over steps and agents.

    Maze objective of Garcia Rodriguez et al., ICML 2022; y are the action probabilities, and the
    policy term has no gradient through A.

    Args:
        scores: action scores [T, B, A].
        values: state values v [T, B].
        actions: actions taken, a [T, B].
        rewards: rewards r [T, B].
        faithful: whether to use the first agent's value as v for all, as the paper's code does.
        discount: discount of later rewards in R.
        concentration: weight c of the squared probabilities.
        value_weight: weight w of the value term.

    Returns:
        Loss, a scalar.

    Example:
        >>> scores, nothing = torch.zeros(2, 3, 4), torch.zeros(2, 3)
        >>> a2c_loss(scores, nothing, nothing.long(), nothing)
        tensor(0.0075)
    """
    advantage = returns(rewards, discount) - (values[:, :1] if faithful else values)
    log_probability = scores.log_softmax(-1)
    done = log_probability.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    squared = log_probability.exp().square().sum(-1)
    policy = done * advantage.detach()
    return (concentration * squared - policy + value_weight * advantage.square()).mean()


def backpropagate(
    net: ActorCritic, episode: Episode, faithful: bool = False, discount: float = DISCOUNT
) -> None:
    """Adds the gradients of :func:`a2c_loss` to those of the network.

    Gradients of scores and values come from the episode as played. The core then recomputes the
    episode for the backward pass, on a CPU a few agents at a time. Each worker does this for its
    part of the agents, and all workers get the sum.
    """
    outputs = episode.scores.clone().requires_grad_(), episode.values.clone().requires_grad_()
    done = episode.actions, episode.rewards
    loss = a2c_loss(*outputs, *done, faithful=faithful, discount=discount)
    gradients = torch.autograd.grad(loss, outputs)
    own = [part(of, 1) for of in (episode.observations, *gradients)]
    at_once = CPU_AGENTS if own[0].device.type == "cpu" else own[0].shape[1]
    parts = (torch.split(tensor, at_once, 1) for tensor in own)
    for x, of_scores, of_values in zip(*parts, strict=True):
        scores, values, _ = net(x)
        torch.autograd.backward((scores, values), (of_scores, of_values))
    sum_gradients(net.parameters())


class ActorCriticTraining(Phase):
    """Phase of a run in which an iteration is one episode of all agents and one Adam update.

    A record, every tenth iteration and after the last, has ``reward`` per episode, mean over agents
    and over iterations since the previous record, and ``energy_per_neuron`` per step, mean over
    some agents of the iteration, if the core has a method ``energy``.

    Args:
        name: name of the phase.
        net: network to train.
        environment: environment in which the agents act.
        agents: number of agents that play at once, over all workers.
        iterations: number of iterations.
        path: seed, and name of the random stream of the episodes.
        learning_rate: initial learning rate of Adam.
        schedule: course of the learning rate, "constant" or "linear" (falls to 0).
        warm_up: number of first iterations that are played and logged without an update.
        faithful: see :func:`a2c_loss`.
        discount: discount of later rewards.
        scale: factor on the rewards in learning; records have unscaled rewards.
        epsilon: constant in Adam's denominator.

    Raises:
        InputError: a number is out of range, or the schedule is unknown.
    """

    def __init__(
        self,
        name: str,
        net: ActorCritic,
        environment: Environment,
        *,
        agents: int,
        iterations: int,
        path: tuple[int, ...],
        learning_rate: float = 1e-4,
        schedule: Schedule = "constant",
        warm_up: int = 0,
        faithful: bool = False,
        discount: float = DISCOUNT,
        scale: float = 1.0,
        epsilon: float = 1e-4,
    ) -> None:
        super().__init__(name, iterations)
        check_positive(agents=agents, iterations=iterations)
        check_one_of(get_args(Schedule), schedule=schedule)
        check_parts(agents=agents)
        if not 0 <= warm_up < iterations:
            raise InputError(f"warm_up is {warm_up}; expected 0 to {iterations - 1}")
        self.net, self.environment, self.agents, self.path = net, environment, agents, path
        self.warm_up, self.faithful = warm_up, faithful
        self.discount, self.scale = discount, scale
        self.learning_rate, self.schedule = learning_rate, schedule
        self.trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, learning_rate, eps=epsilon)
        self.optimizers = [self.optimizer]
        self.reward = torch.zeros((), device=environment.device)
        """Reward, mean over agents, summed over iterations since the last record."""

    def step(self) -> list[Record]:
        """Runs one iteration."""
        random = stream(*self.path, self.position)
        episode = play(self.net, self.environment, self.agents, random, shared=True)
        if self.position >= self.warm_up:
            self.optimizer.zero_grad()
            learned = episode._replace(rewards=self.scale * episode.rewards)
            backpropagate(self.net, learned, self.faithful, self.discount)
            nn.utils.clip_grad_norm_(self.trained, GRADIENT_NORM)
            course = self.learning_rate, self.schedule, self.position, self.total
            set_rate(self.optimizer, *course)
            self.optimizer.step()
        self.reward += episode.rewards.sum(0).mean()
        self.position += 1
        logs = self.position % LOG_EVERY == 0 or self.position == self.total
        return self._record(episode) if logs else []

    def state_dict(self) -> dict[str, Tensor]:
        """Returns Adam's moments and the rewards since the last record."""
        return {"reward": self.reward.clone(), **super().state_dict()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a state from :meth:`state_dict`."""
        self.reward = state["reward"].to(self.reward.device, copy=True)
        super().load_state_dict(state)

    def _record(self, episode: Episode) -> list[Record]:
        since = self.position - (self.position - 1) // LOG_EVERY * LOG_EVERY
        reward, self.reward = float(self.reward) / since, torch.zeros_like(self.reward)
        record: Record = {"phase": self.name, "iteration": self.position, "reward": reward}
        if hasattr(self.net.core, "energy"):
            seen = episode.observations[:, :ENERGY_AGENTS]
            record["energy_per_neuron"] = mean_energy(self.net, seen)
        return [record]


def mean_energy(net: ActorCritic, observations: Tensor) -> float:
    """Returns energy per step and neuron (LSTM: per gate), mean over agents and steps."""
    energy: Callable[[Tensor], Tensor] = net.core.energy  # type: ignore[assignment]
    return float(energy(observations).mean())
