"""Neurons that fire at random: leaky ones and a soft winner-take-all, as pure steps.

Steps and shapes are those of :mod:`plastorch.spiking.neurons`.
"""

from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.neurons import (
    SAME_TIME,
    Random,
    check_below_threshold,
    check_not_negative,
    check_tau,
    uniform,
)


class ExpLIFState(NamedTuple):
    """State of neurons with an exponential firing probability, between two steps."""

    membrane: Tensor
    """Potential [B, K]."""
    refractory: Tensor
    """Seconds until a neuron takes input again, float64 [B, K]."""


torch.serialization.add_safe_globals([ExpLIFState])


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
        self, drive: Tensor, state: ExpLIFState, dt: float, generator: Random = None
    ) -> tuple[Tensor, ExpLIFState]:
        """Runs one step: neurons fire with probability 1 - exp(-rate(u) dt).

        Args:
            drive: jumps of the membranes at the beginning of the step [B, K].
            state: state before the step.
            dt: duration of the step, seconds.
            generator: random generator for the spikes.

        Returns:
            Spikes, at most one per neuron, bool [B, K], and the state at the end of the step.

        Example:
            >>> neuron, drive = ExpLIF(), torch.tensor([[0.0, 3.0]])
            >>> neuron.step(drive, neuron.initial(drive), dt=0.001)[0]
            tensor([[False,  True]])
        """
        takes_input = state.refractory <= SAME_TIME
        membrane = torch.where(takes_input, state.membrane + drive, state.membrane)
        expected = self.rate * dt * ((membrane - self.threshold) / self.width).exp()
        spikes = takes_input & (uniform(membrane, generator) < -torch.expm1(-expected))
        membrane = membrane.masked_fill(spikes, self.reset)
        refractory = state.refractory.masked_fill(spikes, self.refractory)
        return spikes, ExpLIFState(
            self.rest + (membrane - self.rest) * exp(-dt / self.tau),
            (refractory - dt).clamp(min=0),
        )


class SoftWTAState(NamedTuple):
    """State of competing neurons between two steps."""

    membrane: Tensor
    """Potential u [B, K]."""


torch.serialization.add_safe_globals([SoftWTAState])


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
        self, drive: Tensor, state: SoftWTAState, dt: float, generator: Random = None
    ) -> tuple[Tensor, SoftWTAState]:
        """Runs one step: one neuron fires with probability rate dt, and potentials stay.

        Args:
            drive: jumps of the potentials at the beginning of the step [B, K].
            state: state before the step.
            dt: duration of the step, seconds.
            generator: random generator for the spikes.

        Returns:
            Spikes, at most one per network, bool [B, K], and the state at the end of the step.

        Raises:
            InputError: if the rate is above one spike per step.

        Example:
            >>> neuron, drive = SoftWTA(rate=1000.0), torch.tensor([[0.0, 50.0]])
            >>> neuron.step(drive, neuron.initial(drive), dt=0.001)[0]
            tensor([[False,  True]])
        """
        if self.rate * dt > 1:
            raise InputError(f"rate is {self.rate} Hz; expected at most one spike per dt of {dt} s")
        potential = state.membrane + drive
        bounds = potential.softmax(dim=-1).cumsum(dim=-1)
        first = potential[:, :1]
        place = uniform(first, generator) * bounds[:, -1:]
        winner = (bounds <= place).sum(dim=-1).clamp(max=potential.shape[-1] - 1)
        # Where a potential is NaN, nobody fires, as no neuron is above its threshold then.
        fires = (uniform(first, generator) < self.rate * dt) & (bounds[:, -1:] > 0)
        spikes = torch.arange(potential.shape[-1], device=potential.device) == winner[:, None]
        return spikes & fires, SoftWTAState(potential * exp(-dt / self.tau))
