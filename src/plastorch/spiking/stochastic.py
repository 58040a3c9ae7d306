"""Neurons that fire at random: leaky ones and a soft winner-take-all, as pure step functions.

Steps and shapes are those of :mod:`plastorch.spiking.neurons`.
"""

from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.neurons import (
    SAME_TIME,
    check_below_threshold,
    check_not_negative,
    check_tau,
)


class ExpLIFState(NamedTuple):
    """State of neurons with an exponential firing probability, between two steps."""

    membrane: Tensor
    """Potential [B, K]."""
    refractory: Tensor
    """Seconds until a neuron takes input again, float64 [B, K]."""


@dataclass(frozen=True)
class ExpLIF:
    """Leaky neurons that fire at random, at ``rate exp((membrane - threshold) / width)``.

    Gerstner, Kistler, Naud, Paninski, *Neuronal Dynamics*, 2014, chapter 9 (escape noise).

    Args:
        tau: time constant of the membrane, seconds; infinite for no leak.
        threshold: membrane potential at which a neuron fires at ``rate``.
        width: rise of the membrane potential that makes a neuron fire e times as often.
        rate: firing rate at the threshold, Hz.
        reset: membrane potential after a spike.
        rest: membrane potential to which a neuron decays.
        refractory: time without input or spikes after a spike, seconds.

    Raises:
        InputError: if a constant is out of range.
    """

    tau: float = 0.02
    threshold: float = 1.0
    width: float = 0.1
    rate: float = 100.0
    reset: float = 0.0
    rest: float = 0.0
    refractory: float = 0.0

    def __post_init__(self) -> None:
        check_tau(self.tau)
        check_positive(width=self.width, rate=self.rate)
        check_below_threshold(self.threshold, reset=self.reset, rest=self.rest)
        check_not_negative(refractory=self.refractory)

    def initial(self, like: Tensor) -> ExpLIFState:
        """Returns the state of neurons at rest, for inputs like these [B, K]."""
        membrane = torch.full_like(like, self.rest)
        return ExpLIFState(membrane, torch.zeros_like(like, dtype=torch.float64))

    def step(
        self,
        drive: Tensor,
        state: ExpLIFState,
        dt: float,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ExpLIFState]:
        """Runs :func:`exp_lif_step`."""
        return exp_lif_step(drive, state, self, dt, generator)


def exp_lif_step(
    drive: Tensor,
    state: ExpLIFState,
    neuron: ExpLIF,
    dt: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, ExpLIFState]:
    """Runs one step of leaky neurons that fire with probability 1 - exp(-rate(u) dt).

    Args:
        drive: jumps of the membranes at the beginning of the step [B, K].
        state: state before the step.
        neuron: constants of the neurons.
        dt: duration of the step, seconds.
        generator: random generator for the spikes.

    Returns:
        Spikes, at most one per neuron, bool [B, K], and the state at the end of the step.

    Example:
        >>> neuron, drive = ExpLIF(), torch.tensor([[0.0, 3.0]])
        >>> exp_lif_step(drive, neuron.initial(drive), neuron, dt=0.001)[0]
        tensor([[False,  True]])
    """
    takes_input = state.refractory <= SAME_TIME
    membrane = torch.where(takes_input, state.membrane + drive, state.membrane)
    expected = neuron.rate * dt * ((membrane - neuron.threshold) / neuron.width).exp()
    spikes = takes_input & (_uniform(membrane, generator) < -torch.expm1(-expected))
    membrane = membrane.masked_fill(spikes, neuron.reset)
    refractory = state.refractory.masked_fill(spikes, neuron.refractory)
    return spikes, ExpLIFState(
        neuron.rest + (membrane - neuron.rest) * exp(-dt / neuron.tau),
        (refractory - dt).clamp(min=0),
    )


class SoftWTAState(NamedTuple):
    """State of competing neurons between two steps."""

    membrane: Tensor
    """Potential u [B, K]."""


@dataclass(frozen=True)
class SoftWTA:
    """Neurons that fire one at a time, neuron k with probability softmax(u)_k.

    Each output spike is a sample of the posterior of a hidden cause, given the input. Nessler,
    Pfeiffer, Buesing, Maass, *Bayesian computation emerges in generic cortical microcircuits
    through spike-timing-dependent plasticity*, 2013.

    Args:
        tau: time constant with which potentials decay to 0, seconds; infinite for no decay.
        rate: firing rate of all neurons together, Hz.

    Raises:
        InputError: if a constant is not positive.
    """

    tau: float = 0.015
    rate: float = 200.0

    def __post_init__(self) -> None:
        check_tau(self.tau)
        check_positive(rate=self.rate)

    def initial(self, like: Tensor) -> SoftWTAState:
        """Returns potentials of 0, for inputs like these [B, K]."""
        return SoftWTAState(torch.zeros_like(like))

    def step(
        self,
        drive: Tensor,
        state: SoftWTAState,
        dt: float,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, SoftWTAState]:
        """Runs :func:`soft_wta_step`."""
        return soft_wta_step(drive, state, self, dt, generator)


def winners(
    potential: Tensor, rate: float, dt: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draws at most one spike per network in a step, with probability rate dt: that of neuron k
    with probability softmax(u)_k.

    Args:
        potential: potentials u [B, K].
        rate: firing rate of all neurons together, Hz.
        dt: duration of the step, seconds.
        generator: random generator for the spikes.

    Returns:
        Spikes, bool [B, K].

    Raises:
        InputError: if the rate is above one spike per step.

    Example:
        >>> winners(torch.tensor([[0.0, 50.0]]), rate=1000.0, dt=0.001)
        tensor([[False,  True]])
    """
    if rate * dt > 1:
        raise InputError(f"rate is {rate} Hz; expected at most one spike per dt of {dt} s")
    bounds = potential.softmax(dim=-1).cumsum(dim=-1)
    first = potential[:, :1]
    place = _uniform(first, generator) * bounds[:, -1:]
    winner = (bounds <= place).sum(dim=-1).clamp(max=potential.shape[-1] - 1)
    fires = _uniform(first, generator) < rate * dt
    return F.one_hot(winner, potential.shape[-1]).bool() & fires


def soft_wta_step(
    drive: Tensor,
    state: SoftWTAState,
    neuron: SoftWTA,
    dt: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, SoftWTAState]:
    """Runs one step of a soft winner-take-all; a spike doesn't reset the potentials.

    Args:
        drive: jumps of the potentials at the beginning of the step [B, K].
        state: state before the step.
        neuron: constants of the neurons.
        dt: duration of the step, seconds.
        generator: random generator for the spikes.

    Returns:
        Spikes, at most one per network, bool [B, K], and the state at the end of the step.

    Raises:
        InputError: if the rate is above one spike per step.
    """
    membrane = state.membrane + drive
    spikes = winners(membrane, neuron.rate, dt, generator)
    return spikes, SoftWTAState(membrane * exp(-dt / neuron.tau))


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws uniform numbers in [0, 1) on the generator's device, then moves them to ``like``'s."""
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=device, dtype=like.dtype).to(like)
