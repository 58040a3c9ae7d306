"""Bayes-optimal filters in the environment of short-term plasticity, to compare the circuit with.

The world is that of :mod:`plastorch.spiking.shortterm.environment`. If the shown object is known, a
Kalman filter per object is exact; if not, every assignment has to be followed.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.shortterm.environment import World

MOST_ASSIGNMENTS = 1 << 18
"""Largest number of assignments of observations to objects that are followed."""


class Belief(NamedTuple):
    """Gaussian beliefs about the deviations of all objects."""

    mean: Tensor
    """Means m [S, K, D]."""
    variance: Tensor
    """Variances P, the same in each dimension [S, K]."""


def initial_belief(courses: int, world: World) -> Belief:
    """Returns the belief before any observation: deviations of 0 with their variance at rest."""
    mean = torch.zeros(courses, world.objects, world.inputs, dtype=torch.float64)
    return Belief(mean, torch.full(mean.shape[:2], world.sd**2, dtype=torch.float64))


def predict(belief: Belief, world: World) -> Belief:
    """Returns the belief one step later, of deviations that revert to 0: mean a m, variance
    s² + a² (P - s²)."""
    rest = world.sd**2
    return Belief(world.kept * belief.mean, rest + world.kept**2 * (belief.variance - rest))


def log_likelihoods(x: Tensor, belief: Belief, means: Tensor, world: World) -> Tensor:
    """Returns log p(x | object k), as predicted: [S, D] to [S, K]."""
    variance = belief.variance + world.noise**2
    distance = (x.unsqueeze(1) - means - belief.mean).square().sum(-1)
    return -0.5 * (distance / variance + world.inputs * (2 * math.pi * variance).log())


def kalman_update(x: Tensor, y: Tensor, belief: Belief, means: Tensor, world: World) -> Belief:
    """Updates the belief by observations x [S, D] of objects, known or with shares y [S, K]."""
    gain = y * belief.variance / (belief.variance + world.noise**2)
    surprise = x.unsqueeze(1) - means - belief.mean
    return Belief(belief.mean + gain.unsqueeze(-1) * surprise, belief.variance * (1 - gain))


def kalman_filter(x: Tensor, means: Tensor, world: World) -> tuple[Tensor, Tensor]:
    """Runs a Kalman filter per object, which takes its share of the posterior; exact for one
    object.

    Args:
        x: observations [T, S, D].
        means: means μ at rest [K, D].
        world: world of the observations.

    Returns:
        Posteriors [T, S, K], with equal priors, and means of the deviations after each step
        [T, S, K, D].
    """
    belief = initial_belief(x.shape[1], world)
    posteriors, estimates = [], []
    for now in x:
        belief = predict(belief, world)
        posterior = log_likelihoods(now, belief, means, world).softmax(1)
        belief = kalman_update(now, posterior, belief, means, world)
        posteriors.append(posterior)
        estimates.append(belief.mean)
    return torch.stack(posteriors), torch.stack(estimates)


def exact_prediction(x: Tensor, world: World) -> tuple[Tensor, float]:
    """Returns the mean and variance of a deviation one step after its last observation, by
    conditioning the Gaussian process on all observations at once.

    Args:
        x: observations of an object minus its mean at rest, one per step [T, ...].
        world: world of the observations.

    Returns:
        Mean [...], and variance of each dimension.

    Example:
        >>> mean, variance = exact_prediction(torch.zeros(1, 2, dtype=torch.float64), World())
        >>> mean.tolist(), round(variance, 3)
        ([0.0, 0.0], 0.524)
    """
    when = torch.arange(len(x) + 1, dtype=x.dtype)
    lag = (when.unsqueeze(1) - when).abs()
    covariance = world.sd**2 * (-lag / world.tau).exp()
    seen = covariance[:-1, :-1] + world.noise**2 * torch.eye(len(x), dtype=x.dtype)
    share = torch.linalg.solve(seen, covariance[:-1, -1])
    mean = (share @ x.flatten(1)).view(x.shape[1:])
    return mean, world.sd**2 - float(share @ covariance[:-1, -1])


def exact_posterior(x: Tensor, means: Tensor, world: World) -> Tensor:
    """Returns Bayes' posterior of the visible object, following every assignment of observations.

    The object is assumed to be drawn anew in each step (a ``bout`` of 1), all with equal chances.

    Args:
        x: observations [T, D].
        means: means μ at rest [K, D].
        world: world of the observations.

    Returns:
        Posterior [T, K].

    Raises:
        InputError: if there are more than 262,144 assignments.

    Example:
        >>> world = World(objects=2, inputs=3)
        >>> x = torch.zeros(4, 3, dtype=torch.float64)
        >>> exact_posterior(x, x[:2], world)[0]
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    objects = len(means)
    if objects ** len(x) > MOST_ASSIGNMENTS:
        raise InputError(
            f"x has {len(x)} observations of one of {objects} objects; expected at most "
            f"{MOST_ASSIGNMENTS:,} assignments"
        )
    belief = initial_belief(1, world)
    log_weight = torch.zeros(1, dtype=x.dtype)
    each = torch.eye(objects, dtype=x.dtype)
    posteriors = []
    for now in x:
        belief = predict(belief, world)
        seen = now.expand(len(log_weight), -1)
        joint = log_weight.unsqueeze(1) + log_likelihoods(seen, belief, means, world)
        posteriors.append(joint.logsumexp(0).softmax(0))
        log_weight = joint.flatten()
        parents = Belief(*(part.repeat_interleave(objects, dim=0) for part in belief))
        y = each.repeat(len(seen), 1)
        belief = kalman_update(now.expand(len(y), -1), y, parents, means, world)
    return torch.stack(posteriors)
