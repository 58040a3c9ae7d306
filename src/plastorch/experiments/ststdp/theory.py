"""Short-term plasticity against Bayes' optimum, in worlds where the optimum can be computed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.spiking.shortterm.environment import World, observe, tracking_error
from plastorch.spiking.shortterm.filters import exact_posterior, exact_prediction, kalman_filter
from plastorch.spiking.shortterm.frames import run
from plastorch.spiking.shortterm.rule import (
    ShortTerm,
    compete,
    decay,
    initial_state,
    scores,
    update,
)
from plastorch.spiking.shortterm.streams import Stream, Theory

Job = Callable[[], list[Record]]

TAUS = (5.0, 40.0, 200.0)
"""Time constants of the environments in which recognition is measured."""
MISMATCHES = tuple(2.0**i for i in range(-3, 5))
"""Time constants of the short-term weights, as multiples of the environment's."""
WORLDS, HORIZON = 5, 9
"""Number of small worlds that are followed, and of steps."""
COURSES = 8
"""Number of independent courses over which an error is averaged."""
SMALL = World(objects=3, inputs=4, separation=1.0, tau=20.0, bout=1)
"""World of few objects, drawn anew in each step, so that every assignment can be followed."""


def jobs(seed: int, steps: int) -> list[Job]:
    """Returns the jobs for a seed and a number of steps of each environment."""
    path = (seed, Stream.THEORY)
    return [
        partial(named_world, SMALL, (*path, Theory.NAMED)),
        partial(unnamed_world, SMALL, (*path, Theory.UNNAMED)),
        partial(one_object, steps, (*path, Theory.ONE_OBJECT)),
        partial(mismatched, steps, (*path, Theory.MISMATCH)),
        *(partial(recognized, tau, steps, (*path, Theory.RECOGNITION)) for tau in TAUS),
    ]


def named_world(world: World, path: tuple[int, ...], rounds: int = 400) -> list[Record]:
    """Returns the largest difference of a posterior from Bayes', where the circuit's is exact.

    Each object was seen and named once per step, for long; then one without a name comes. Bayes'
    posterior comes from conditioning on all observations at once.
    """
    random = stream(*path)
    seen = observe(world, rounds + 1, random)
    means, thetas = seen.means, seen.means + seen.deviations[:, 0]
    x = thetas + world.noise * torch.randn(thetas.shape, generator=random, dtype=torch.float64)
    circuit = world.short_term()
    state = initial_state(1, means)
    for now in x[:-1]:
        state = decay(state, circuit)
        for name, one in enumerate(now):
            y = torch.eye(len(means), dtype=means.dtype)[name : name + 1]
            state = update(one.unsqueeze(0), y, state, means, circuit)
    state = decay(state, circuit)
    probes = x[-1]
    everywhere = state._replace(F=state.F.expand(len(probes), -1, -1))
    ours = compete(scores(probes, everywhere, means, means.new_zeros(len(means)), circuit))
    expected, variance = exact_prediction(x[:-1] - means, world)
    distance = (probes.unsqueeze(1) - means - expected).square().sum(2)
    exact = (-distance / (2 * (variance + world.noise**2))).softmax(1)
    return [
        {
            "world": "named",
            "difference": float((ours - exact).abs().max()),
            "prediction_difference": float((state.F[0] - expected).abs().max()),
        }
    ]


def unnamed_world(world: World, path: tuple[int, ...]) -> list[Record]:
    """Returns the mean total variation between Bayes' posterior and others, objects never named."""
    gaps = torch.tensor([_gaps(world, (*path, number)) for number in range(WORLDS)])
    names = ("short_term_gap", "kalman_gap", "static_gap")
    return [{"world": "unnamed", **dict(zip(names, gaps.mean(0).tolist(), strict=True))}]


def _gaps(world: World, path: tuple[int, ...]) -> list[float]:
    """Returns distances of circuit, Kalman filters and static weights from Bayes' posterior."""
    seen = observe(world, HORIZON, stream(*path), COURSES)
    means, bias = seen.means, seen.means.new_zeros(world.objects)
    exact = torch.stack([exact_posterior(x, means, world) for x in seen.x.unbind(1)], dim=1)
    circuit = world.short_term(every=world.objects)
    ours, _ = run(seen.x, initial_state(COURSES, means), means, bias, circuit)
    filters, _ = kalman_filter(seen.x, means, world)
    others = (ours, filters, static_posterior(seen.x, means, world))
    return [float((other - exact).abs().sum(2).mean() / 2) for other in others]


def static_posterior(x: Tensor, means: Tensor, world: World) -> Tensor:
    """Returns Bayes' posterior if earlier observations are forgotten [T, S, K]."""
    kappa = 1 / (world.sd**2 + world.noise**2)
    circuit = ShortTerm(kappa=kappa, site="none", score="distance")
    state = initial_state(x.shape[1], means, "none")
    return run(x, state, means, means.new_zeros(len(means)), circuit)[0]


def one_object(steps: int, path: tuple[int, ...]) -> list[Record]:
    """Returns the error of the prediction of one object, against the Kalman filter's, and the gain
    that is best among multiples of the predicted one."""
    world = World(objects=1)
    seen = observe(world, max(2, steps // COURSES), stream(*path), COURSES)
    optimum = world.short_term()
    error = tracking_error(seen, optimum)
    _, estimates = kalman_filter(seen.x, seen.means, world)
    predicted = world.kept * estimates[:-1]
    kalman = float((predicted - seen.deviations[1:]).square().mean())
    gains = [optimum.gamma * 2 ** (i / 4) for i in range(-8, 9)]
    errors = [tracking_error(seen, replace(optimum, gamma=min(gain, 1.0))) for gain in gains]
    best = gains[errors.index(min(errors))]
    static = float(seen.deviations.square().mean())
    return [
        {
            "world": "one object",
            "error": error,
            "kalman_error": kalman,
            "static_error": static,
            "best_gain": best / optimum.gamma,
        }
    ]


def mismatched(steps: int, path: tuple[int, ...]) -> list[Record]:
    """Returns the error of the prediction of the visible object if F decays faster or slower than
    the environment, objects never named."""
    world = World()
    seen = observe(world, max(2, steps // COURSES), stream(*path), COURSES)
    circuit = world.short_term()
    errors = [tracking_error(seen, replace(circuit, tau=world.tau * ratio)) for ratio in MISMATCHES]
    found: list[Record] = [
        {"world": "mismatch", "ratio": ratio, "error": error}
        for ratio, error in zip(MISMATCHES, errors, strict=True)
    ]
    return found


def recognized(tau: float, steps: int, path: tuple[int, ...]) -> list[Record]:
    """Returns the share of steps in which the visible object is recognized, objects never named."""
    world = World(tau=tau)
    seen = observe(world, steps, stream(*path))
    circuit = world.short_term()
    state, bias = initial_state(1, seen.means), seen.means.new_zeros(world.objects)
    ours, _ = run(seen.x, state, seen.means, bias, circuit)
    filters, _ = kalman_filter(seen.x, seen.means, world)
    static = static_posterior(seen.x, seen.means, world)

    def accuracy(posterior: Tensor) -> float:
        return float((posterior.argmax(2) == seen.shown).double().mean())

    return [
        {
            "world": "objects",
            "tau": tau,
            "short_term": accuracy(ours),
            "kalman": accuracy(filters),
            "static": accuracy(static),
        }
    ]
