"""Environment in which short-term plasticity is Bayes-optimal.

Each of K objects has an appearance θ_k(t) = μ_k + z_k(t), with a mean at rest and a deviation that
reverts to 0 at random (an Ornstein-Uhlenbeck process). One object at a time is visible, with noise:
x = θ_c + r n. Time is in steps. Moraitis, Sebastian, Eleftheriou, arXiv 2009.06808.
"""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.data.tasks.streams import ornstein_uhlenbeck
from plastorch.engine.errors import check_positive
from plastorch.spiking.shortterm.rule import (
    ShortTerm,
    compete,
    decay,
    initial_state,
    scores,
    update,
)


@dataclass(frozen=True)
class World:
    """Objects that transform randomly but continuously.

    Args:
        objects: number of objects K.
        inputs: number of inputs D.
        separation: standard deviation of the means at rest.
        sd: standard deviation s of the deviations from rest.
        noise: standard deviation r of an observation's noise.
        tau: time constant of a deviation, in steps.
        bout: number of steps for which an object stays visible.

    Raises:
        InputError: if a number is not positive.
    """

    objects: int = 10
    inputs: int = 50
    separation: float = 0.5
    sd: float = 1.0
    noise: float = 1.0
    tau: float = 40.0
    bout: int = 8

    def __post_init__(self) -> None:
        check_positive(**asdict(self))

    @property
    def kept(self) -> float:
        """Factor a = exp(-1 / τ) by which a deviation's mean decays per step."""
        return math.exp(-1 / self.tau)

    def short_term(self, every: float = 1.0) -> ShortTerm:
        """Returns the circuit that is optimal here: gain and decay of the steady-state Kalman
        filter, competition at the precision of its predictions.

        Args:
            every: number of steps between observations of an object.
        """
        gamma, variance = steady_gain(self.sd, self.noise, self.tau / every)
        kappa = 1 / (variance + self.noise**2)
        return ShortTerm(kappa=kappa, gamma=gamma, tau=self.tau, score="distance")


class Observed(NamedTuple):
    """Observations of S independent courses of a world."""

    x: Tensor
    """Observations [T, S, D]."""
    shown: Tensor
    """Index of the visible object [T, S]."""
    deviations: Tensor
    """Deviations z of all objects [T, S, K, D]."""
    means: Tensor
    """Means μ, the same in all courses [K, D]."""


def observe(world: World, steps: int, generator: torch.Generator, courses: int = 1) -> Observed:
    """Draws means at rest, and the course of the world.

    Args:
        world: world to observe.
        steps: number of steps T.
        generator: random generator on the CPU.
        courses: number of courses S.

    Example:
        >>> observe(World(objects=2, inputs=3), 5, torch.Generator().manual_seed(0)).x.shape
        torch.Size([5, 1, 3])
    """
    check_positive(steps=steps, courses=courses)
    size = courses, world.objects, world.inputs

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    means = world.separation * normal(*size[1:])
    bouts = math.ceil(steps / world.bout)
    shown = torch.randint(world.objects, (bouts, courses), generator=generator)
    shown = shown.repeat_interleave(world.bout, dim=0)[:steps]
    deviations = world.sd * ornstein_uhlenbeck(normal(*size), steps, world.tau, generator)
    seen = (means + deviations).gather(2, shown[..., None, None].expand(-1, -1, 1, size[2]))
    x = seen.squeeze(2) + world.noise * normal(steps, courses, world.inputs)
    return Observed(x, shown, deviations, means)


def steady_gain(sd: float, noise: float, tau: float) -> tuple[float, float]:
    """Returns the steady-state gain γ = P / (P + r²) and predictive variance P of the Kalman
    filter: P = a² P (1 - γ) + s² (1 - a²).

    Args:
        sd: standard deviation s of a deviation.
        noise: standard deviation r of an observation's noise.
        tau: time constant of a deviation, in observations.

    Example:
        >>> gamma, variance = steady_gain(sd=1.0, noise=1.0, tau=40.0)
        >>> round(gamma, 3), round(variance, 3)
        (0.181, 0.221)
    """
    check_positive(sd=sd, noise=noise, tau=tau)
    left, r2 = math.exp(-2 / tau), noise**2
    fresh = sd**2 * (1 - left)
    # P² + P (r² (1 - a²) - fresh) - fresh r² = 0
    half = (r2 * (1 - left) - fresh) / 2
    variance = math.sqrt(half * half + fresh * r2) - half
    return variance / (variance + r2), variance


def tracking_error(observed: Observed, constants: ShortTerm) -> float:
    """Returns the mean square error, per dimension, of F as the prediction of the deviation of the
    visible object, where objects are never named.

    Args:
        observed: observations of the world.
        constants: constants of the circuit.
    """
    x, shown, deviations, means = observed
    state = initial_state(x.shape[1], means)
    bias = means.new_zeros(len(means))
    total = 0.0
    for now, visible, z in zip(x, shown, deviations, strict=True):
        state = decay(state, constants)
        row = torch.arange(len(now)), visible
        total += float((z[row] - state.F[row]).square().mean())
        y = compete(scores(now, state, means, bias, constants), constants.competition)
        state = update(now, y, state, means, constants)
    return total / len(x)
