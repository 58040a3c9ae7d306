"""Returns and energy of trained agents, measured without RLlib."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.errors import check_positive
from plastorch.engine.streams import stream
from plastorch.rl.agent import Agent
from plastorch.rl.environments import as_tensor, best_action, drawn_action

TRACE = 1000
"""Maximum number of steps in a trace."""


class Games(NamedTuple):
    """Statistics of E episodes."""

    returns: Tensor
    """Total reward of each episode [E]."""
    lengths: Tensor
    """Number of steps of each episode [E]."""
    energies: Tensor
    """Energy of the core's synapses per step, mean over each episode [E]."""


class Trace(NamedTuple):
    """Internal recording of the first episode."""

    observations: Tensor
    """Observations [T, ...]."""
    activity: Tensor
    """Activity of the core's neurons [T, H]."""
    memory: Tensor
    """Norm of each neuron's synaptic state [T, H]; [T, 0] for a core without one."""
    energy: Tensor
    """Energy of all synapses [T]."""


@torch.no_grad()
def play_episodes(
    agent: Agent,
    make_env: Callable[[], Any],
    *,
    episodes: int,
    seed: int,
    most: int,
    drawn: bool = False,
) -> tuple[Games, Trace]:
    """Plays episodes with a trained agent.

    Args:
        agent: trained agent, on the CPU.
        make_env: function that makes an environment.
        episodes: number of episodes E, played side by side.
        seed: seed of the first environment; the others take the following numbers.
        most: maximum number of steps of an episode.
        drawn: whether to sample actions as in training, instead of taking the most probable ones;
            otherwise episodes that begin alike are all the same.

    Returns:
        Statistics of the episodes and a recording of the first one.
    """
    check_positive(episodes=episodes, most=most)
    envs = [make_env() for _ in range(episodes)]
    seen = [env.reset(seed=seed + i)[0] for i, env in enumerate(envs)]
    random = [stream(seed + i) for i in range(episodes)]
    returns, lengths, energies = torch.zeros(3, episodes, dtype=torch.double)
    alive, state, course = set(range(episodes)), None, []
    for step in range(most):
        features = agent.encode(as_tensor(np.stack(seen))[None])
        energy = agent.core.energy(features, state).sum(-1)[0]  # type: ignore[operator]
        activity, state = agent.core(features, state)
        if 0 in alive and step < TRACE:
            memory = state.F[0].norm(dim=-1) if hasattr(state, "F") else torch.zeros(0)
            course.append((as_tensor(seen[0]), activity[0, 0], memory, energy[0]))
        policy, space = agent.actor(activity[0]), envs[0].action_space
        actions = drawn_action(policy, random) if drawn else best_action(policy, space)
        for i in sorted(alive):
            seen[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
            returns[i] += float(reward)
            lengths[i] += 1
            energies[i] += energy[i]
            if terminated or truncated:
                alive.remove(i)
        if not alive:
            break
    for env in envs:
        env.close()
    trace = Trace(*(torch.stack(parts) for parts in zip(*course, strict=True)))
    return Games(returns, lengths, energies / lengths), trace


@torch.no_grad()
def energy_of(agent: Agent, episodes: Sequence[Tensor]) -> float:
    """Returns the energy of the core's synapses per step, on observations [T, ...] of episodes.

    Unlike the energy in episodes that the agent plays itself, this doesn't depend on its actions.
    """
    energies = [agent.energy(seen.unsqueeze(1)) for seen in episodes]
    return float(torch.cat(energies).mean())


def random_games(
    make_env: Callable[[], Any], episodes: int, seed: int, most: int
) -> tuple[float, list[Tensor]]:
    """Returns the mean return of random actions, and the observations [T, ...] of each episode.

    Args:
        make_env: function that makes an environment.
        episodes: number of episodes.
        seed: seed of the first episode; the others take the following numbers.
        most: maximum number of steps of an episode.
    """
    env, total, seen = make_env(), 0.0, []
    for number in range(seed, seed + episodes):
        observation, _ = env.reset(seed=number)
        env.action_space.seed(number)
        course = []
        for _ in range(most):
            course.append(as_tensor(observation))
            observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            if terminated or truncated:
                break
        seen.append(torch.stack(course))
    env.close()
    return total / episodes, seen
