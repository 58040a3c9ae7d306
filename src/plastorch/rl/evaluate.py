"""What trained agents gain and what it costs, played without RLlib."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.engine.device import generator
from plastorch.engine.errors import check_positive
from plastorch.rl.agent import Agent
from plastorch.rl.environments import as_tensor, best_action, drawn_action

TRACE = 1000
"""Steps of the first episode that a trace has at most."""


class Games(NamedTuple):
    """Episodes of an agent."""

    returns: Tensor
    """Reward of each [E]."""
    lengths: Tensor
    """Steps of each [E]."""
    energies: Tensor
    """Of the core's synapses in a step, mean over each [E]."""


class Trace(NamedTuple):
    """The first of the episodes, from within."""

    observations: Tensor
    """[T, ...]."""
    activity: Tensor
    """Of the core's neurons [T, H]."""
    memory: Tensor
    """Length of each neuron's synaptic state [T, H]; [T, 0] of a core without one."""
    energy: Tensor
    """Of all synapses [T]."""


@torch.no_grad()
def play_episodes(
    agent: Agent,
    make_env: Callable[[], Any],
    episodes: int,
    seed: int,
    most: int,
    drawn: bool = False,
) -> tuple[Games, Trace]:
    """Episodes of an agent that has learned.

    Args:
        agent: on the CPU.
        make_env: makes an environment.
        episodes: E; they are played side by side.
        seed: of the first environment; the others have the numbers that follow.
        most: steps after which an episode ends whatever happens.
        drawn: actions are drawn, as in training, instead of the likeliest: where episodes all begin
            alike, those of the likeliest actions would be one and the same.

    Returns:
        What came of it, and the first episode.
    """
    check_positive(episodes=episodes, most=most)
    envs = [make_env() for _ in range(episodes)]
    seen = [env.reset(seed=seed + i)[0] for i, env in enumerate(envs)]
    random = [generator(seed + i) for i in range(episodes)]
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


def random_return(make_env: Callable[[], Any], episodes: int, seed: int, most: int) -> float:
    """Mean return of actions drawn from the space of actions.

    Args:
        make_env: makes an environment.
        episodes: how many.
        seed: of the first; the others have the numbers that follow.
        most: steps after which an episode ends whatever happens.
    """
    env, total = make_env(), 0.0
    for number in range(seed, seed + episodes):
        env.reset(seed=number)
        env.action_space.seed(number)
        for _ in range(most):
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            if terminated or truncated:
                break
    env.close()
    return total / episodes
