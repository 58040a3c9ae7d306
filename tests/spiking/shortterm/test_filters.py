"""Exact inference: against conditioning on all observations at once, and every assignment."""

from itertools import product

import numpy as np
import pytest
import torch

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.theory import SMALL, named_world, unnamed_world
from plastorch.spiking.shortterm.environment import World, observe
from plastorch.spiking.shortterm.filters import (
    exact_posterior,
    exact_prediction,
    initial_belief,
    kalman_filter,
    kalman_update,
    log_likelihoods,
    predict,
)

WORLD = World(objects=2, inputs=3, separation=1.0, sd=0.8, noise=0.6, tau=7.0, bout=1)


def log_evidence(x: np.ndarray, assigned: tuple[int, ...], means: np.ndarray) -> float:
    """log p(x_1 ... x_T | assignment), from the joint covariance of all observations."""
    total = 0.0
    for k in range(len(means)):
        when = np.array([t for t, one in enumerate(assigned) if one == k])
        if len(when) == 0:
            continue
        lag = np.abs(when[:, None] - when)
        covariance = WORLD.sd**2 * np.exp(-lag / WORLD.tau) + WORLD.noise**2 * np.eye(len(when))
        residual = x[when] - means[k]
        _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
        squared = (residual * np.linalg.solve(covariance, residual)).sum()
        total -= 0.5 * (squared + x.shape[1] * log_determinant)
    return total


def test_exact_posterior_is_that_of_all_assignments() -> None:
    seen = observe(WORLD, 7, stream(0))
    x, means = seen.x[:, 0], seen.means
    found = exact_posterior(x, means, WORLD)
    for t in range(7):
        chances = np.zeros(2)
        for assigned in product(range(2), repeat=t + 1):
            evidence = log_evidence(x[: t + 1].numpy(), assigned, means.numpy())
            chances[assigned[-1]] += np.exp(evidence)
        np.testing.assert_allclose(found[t].numpy(), chances / chances.sum(), atol=1e-9)


def test_kalman_filter_is_the_conditional_mean() -> None:
    world = World(objects=1, inputs=3, sd=0.8, noise=0.6, tau=7.0)
    seen = observe(world, 9, stream(1), courses=2)
    belief = initial_belief(2, world)
    for t in range(9):
        belief = predict(belief, world)
        if t > 0:
            mean, variance = exact_prediction(seen.x[:t] - seen.means, world)
            torch.testing.assert_close(belief.mean[:, 0], mean)
            assert float(belief.variance[0, 0]) == pytest.approx(variance)
        belief = kalman_update(seen.x[t], torch.ones(2, 1).double(), belief, seen.means, world)
    _, estimates = kalman_filter(seen.x, seen.means, world)
    torch.testing.assert_close(estimates[-1], belief.mean)


def test_likelihoods_are_normal_densities() -> None:
    belief = initial_belief(1, WORLD)
    x, means = torch.randn(1, 3).double(), torch.randn(2, 3).double()
    scale = (WORLD.sd**2 + WORLD.noise**2) ** 0.5
    expected = torch.distributions.Normal(means, scale).log_prob(x).sum(1)
    torch.testing.assert_close(log_likelihoods(x, belief, means, WORLD)[0], expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_circuit_is_bayes_optimum_where_objects_are_named(seed: int) -> None:
    (record,) = named_world(SMALL, (seed,))
    assert float(record["difference"]) < 1e-6 and float(record["prediction_difference"]) < 1e-6


def test_circuit_is_nearer_to_bayes_than_static_weights() -> None:
    (record,) = unnamed_world(SMALL, (0,))
    gaps = [float(record[f"{name}_gap"]) for name in ("kalman", "short_term", "static")]
    assert gaps == sorted(gaps) and gaps[1] < 0.8 * gaps[2]


def test_too_many_assignments() -> None:
    means = torch.zeros(3, 4, dtype=torch.float64)
    with pytest.raises(InputError, match="x has 12 observations of one of 3 objects"):
        exact_posterior(torch.zeros(12, 4, dtype=torch.float64), means, SMALL)
