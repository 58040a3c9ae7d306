"""The environment of short-term plasticity: its statistics, and the theory of what is optimal."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.theory import recognized
from plastorch.spiking.shortterm.environment import (
    World,
    observe,
    steady_gain,
    tracking_error,
)
from plastorch.spiking.shortterm.filters import Belief, kalman_filter, predict
from plastorch.spiking.shortterm.rule import ShortTerm

LIMIT = 4.5
"""Standard errors."""


def test_deviations_have_the_conditional_mean_and_variance() -> None:
    """Of all deviations that a noisy estimate of variance P puts at m, some time later."""
    world = World(objects=1, inputs=100, sd=1.5, tau=6.0)
    seen = observe(world, 9, stream(0), courses=400)
    z = seen.deviations[:, :, 0].flatten(1)
    noise = 0.5 * torch.randn(z[0].shape, generator=stream(1), dtype=z.dtype)
    gain = world.sd**2 / (world.sd**2 + 0.25)
    estimate, variance = gain * (z[0] + noise), 0.25 * gain
    for lag in (1, 3, 8):
        belief = Belief(estimate, torch.tensor(variance))
        for _ in range(lag):
            belief = predict(belief, world)
        mean, spread = belief.mean, float(belief.variance)
        wrong = (z[lag] - mean).square()
        count = len(wrong)
        assert abs(float(wrong.mean()) / spread - 1) < LIMIT * math.sqrt(2 / count)
        slope = float((z[lag] * estimate).sum() / estimate.square().sum())
        assert slope == pytest.approx(math.exp(-lag / world.tau), abs=LIMIT / math.sqrt(count))


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.5, 1000))
def test_steady_gain_is_where_the_recursion_ends(sd: float, noise: float, tau: float) -> None:
    gamma, variance = steady_gain(sd, noise, tau)
    left = math.exp(-2 / tau)
    again = left * variance * (1 - gamma) + sd**2 * (1 - left)
    assert again == pytest.approx(variance, rel=1e-9)
    assert 0 < gamma < 1 and variance <= sd**2 * (1 + 1e-12)


def test_a_single_object_is_tracked_as_by_the_kalman_filter() -> None:
    world = World(objects=1)
    seen = observe(world, 1500, stream(2), courses=4)
    error = tracking_error(seen, world.short_term())
    _, estimates = kalman_filter(seen.x, seen.means, world)
    predicted = world.kept * estimates[:-1]
    exact = float((predicted - seen.deviations[1:]).square().mean())
    assert error == pytest.approx(exact, rel=0.01)
    assert error == pytest.approx(steady_gain(1.0, 1.0, 40.0)[1], rel=0.05)
    static = tracking_error(seen, ShortTerm(gamma=0.0, score="distance"))
    assert static == pytest.approx(1.0, rel=0.05)


def test_the_predicted_gain_is_the_best() -> None:
    world = World(objects=1, inputs=20)
    seen = observe(world, 800, stream(3), courses=20)
    gamma = world.short_term().gamma
    errors = [
        tracking_error(seen, ShortTerm(0.5, ratio * gamma, world.tau, score="distance"))
        for ratio in (0.5, 0.75, 1.0, 1.5, 2.0)
    ]
    assert errors.index(min(errors)) == 2


def test_the_environments_time_constant_is_the_best() -> None:
    world = World()
    seen = observe(world, 500, stream(4), courses=16)
    circuit = world.short_term()
    taus = [world.tau * ratio for ratio in (0.1, 0.25, 1.0, 4.0, 16.0)]
    errors = [
        tracking_error(seen, ShortTerm(circuit.kappa, circuit.gamma, tau, score="distance"))
        for tau in taus
    ]
    assert errors.index(min(errors)) == 2
    assert errors[-1] > 1  # worse than no plasticity


@pytest.mark.parametrize("tau", [5.0, 40.0, 200.0])
def test_objects_are_recognized_better_than_by_static_weights(tau: float) -> None:
    (record,) = recognized(tau, 6000, (0,))
    assert float(record["short_term"]) >= float(record["static"]) + 0.05
    assert float(record["static"]) == pytest.approx(0.8, abs=0.04)


def test_observations_are_of_the_visible_object() -> None:
    world = World(objects=3, inputs=4, bout=5, noise=1e-9)
    seen = observe(world, 23, stream(6), courses=2)
    for t in range(23):
        for s in range(2):
            k = int(seen.shown[t, s])
            expected = seen.means[k] + seen.deviations[t, s, k]
            torch.testing.assert_close(seen.x[t, s], expected, atol=1e-7, rtol=0)
        assert torch.equal(seen.shown[t], seen.shown[t - t % 5])


@pytest.mark.parametrize("name", ["objects", "inputs", "sd", "noise", "tau", "bout", "separation"])
def test_bad_worlds(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0; expected more than 0"):
        World(**{name: 0})  # type: ignore[arg-type]


def test_bad_steps() -> None:
    with pytest.raises(InputError, match="steps is 0"):
        observe(World(), 0, stream(0))
