"""Weights in pairs of simulated phase-change memory devices."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import check_counts, check_positive
from plastorch.spiking.neurons import Random, check_not_negative, single, uniform
from plastorch.spiking.synapses import check_bounds, check_weight

DRIFT_START = 20.0
"""Seconds after programming at which the conductance counts as the programmed one."""
READ_TIME = 250e-9
"""Duration of a reading, seconds."""
EMPTY = 1e-6
"""Share of the largest conductance below which a device's statistics no longer change."""


class PhaseChangeState(NamedTuple):
    """Devices [..., 2, P]: P pairs of a device that raises the weight and one that lowers it."""

    conductance: Tensor
    """Conductance when programmed, µS."""
    exponent: Tensor
    """Exponent of the drift."""
    programmed: Tensor
    """Time of programming, seconds."""


torch.serialization.add_safe_globals([PhaseChangeState])


@dataclass(frozen=True)
class PhaseChangeSynapses:
    """Weights in pairs of phase-change memory devices, which grow by pulses and shrink by reset.

    A weight is the middle of its bounds plus the difference of a pair's conductances, or the mean
    difference of several pairs; the largest difference spans the bounds. A pulse crystallizes a
    part of a device, so that its conductance grows by a random share of what is left to grow; the
    mean share is constant. Only a reset makes it shrink. So a weight falls when the other device of
    its pair grows, and a pair that is nearly full is rewritten. Pulses are large: a small change
    becomes a pulse with the probability that is right on average, in a randomly chosen pair.

    The model and its statistics, with the values that are the defaults:

    - growth by pulses, g + δ (1 - g / g_max) (1 + 0.5 N(0, 1)), and several devices per synapse:
      Boybat et al., *Neuromorphic computing with multi-memristive synapses*, Nat. Commun. 9 (2018)
      2514; Nandakumar et al., *A phase-change memory model for neuromorphic computing*, J. Appl.
      Phys. 124 (2018) 152135, where drift also restarts with each pulse;
    - noise of writing and reading, and drift exponents, as functions of the conductance, from a
      million devices: Joshi et al., *Accurate deep neural network inference using computational
      phase-change memory*, Nat. Commun. 11 (2020) 2473; Nandakumar et al., *Phase-change memory
      models for deep learning training and inference*, ICECS 2019;
    - drift as a power of time: Le Gallo et al., *Collective structural relaxation in phase-change
      memory devices*, Adv. Electron. Mater. 4 (2018) 1700627. Review of all: Le Gallo, Sebastian,
      *An overview of phase-change memory device physics*, J. Phys. D 53 (2020) 213002.

    Devices are simulated in single precision at least, for weights of half precision as well.

    A power law diverges at time 0, so time counts from 20 s before programming: at first, readings
    give the programmed values, and after some minutes the drift follows the power law.

    Args:
        low: lower bound of the weights.
        high: upper bound of the weights.
        pairs: number P of pairs per weight.
        max_conductance: largest conductance g_max, µS.
        pulse: growth δ of an empty device by a pulse, µS.
        pulse_noise: standard deviation of a pulse, as a share of its mean.
        refresh: share of g_max above which both devices of a pair make it due for rewriting.
        writing_noise: factor of the writing noise; 0 for none.
        drift: factor of the drift exponents; 0 for none.
        read_noise: factor of the reading noise; 0 for none.

    Raises:
        InputError: if bounds are not in order, ``pairs`` is not a whole number above 0, a
            conductance or ``refresh`` is not positive, or a factor is negative.

    Example:
        >>> synapses, random = PhaseChangeSynapses(), torch.Generator().manual_seed(0)
        >>> state = synapses.initial(torch.full((10_000,), 0.5))
        >>> for second in range(5):
        ...     state = synapses.program(state, torch.full((10_000,), 0.01), second, random)
        >>> round(float(synapses.read(state, 5.0, random).mean()), 2)
        0.55
    """

    low: float = 0.0
    high: float = 1.0
    pairs: int = 1
    max_conductance: float = 25.0
    pulse: float = 1.0
    pulse_noise: float = 0.5
    refresh: float = 0.8
    writing_noise: float = 1.0
    drift: float = 1.0
    read_noise: float = 1.0

    def __post_init__(self) -> None:
        check_bounds(self.low, self.high)
        check_counts(pairs=self.pairs)
        check_positive(
            max_conductance=self.max_conductance,
            pulse=self.pulse,
            refresh=self.refresh,
        )
        check_not_negative(
            pulse_noise=self.pulse_noise,
            writing_noise=self.writing_noise,
            drift=self.drift,
            read_noise=self.read_noise,
        )

    @property
    def weight_step(self) -> float:
        """Mean change of a weight by a pulse on an empty device."""
        return self._per_conductance * self.pulse / self.pairs

    def initial(self, weight: Tensor) -> PhaseChangeState:
        """Returns pairs that hold these weights exactly, with one device of each pair empty.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        conductance = self._target(single(weight))
        mean, _ = self._drift_statistics(conductance)
        return PhaseChangeState(conductance, self.drift * mean, torch.zeros_like(conductance))

    def write(self, weight: Tensor, time: float, generator: Random = None) -> PhaseChangeState:
        """Writes weights into pairs at a time, as exactly as their noise allows.

        Args:
            weight: weights of any shape.
            time: time of writing, seconds.
            generator: random generator for the noise.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        return self._written(self._target(single(weight)), time, generator)

    def read(self, state: PhaseChangeState, time: float, generator: Random = None) -> Tensor:
        """Returns the weights at a time, with drift and noise, clamped to the bounds."""
        conductance = self.conductance(state, time)
        plus, minus = conductance.mean(-1).unbind(-1)
        weight = (self.low + self.high) / 2 + self._per_conductance * (plus - minus)
        if self.read_noise > 0:
            squares = self._read_deviation(state, conductance, time).square().sum(dim=(-2, -1))
            scale = self._per_conductance / self.pairs
            weight = weight + scale * squares.sqrt() * _normal(weight, generator)
        return weight.clamp(self.low, self.high)

    def program(
        self, state: PhaseChangeState, delta: Tensor, time: float, generator: Random = None
    ) -> PhaseChangeState:
        """Applies pulses that add up to ``delta`` on average, and rewrites pairs that are due."""
        delta = single(delta)
        wanted = torch.stack([delta, -delta], dim=-1).clamp(min=0) / self.weight_step
        pulses = (wanted + uniform(wanted, generator)).floor()
        turn = (self.pairs * uniform(delta, generator)).floor()[..., None, None]
        chosen = turn == torch.arange(self.pairs, device=delta.device)
        pulses = torch.where(chosen, pulses[..., None], 0.0)
        conductance = self.conductance(state, time)
        most = 0 if pulses.is_meta else int(pulses.max())  # the one wait for a GPU
        for number in range(most):
            share = 1 + self.pulse_noise * _normal(conductance, generator)
            grown = conductance + self.pulse * (1 - conductance / self.max_conductance) * share
            grown = grown.clamp(0, self.max_conductance)
            conductance = torch.where(pulses > number, grown, conductance)
        state = _merged(pulses > 0, self._programmed(conductance, time, generator), state)
        full = state.conductance > self.refresh * self.max_conductance
        due = full.all(-2, keepdim=True) & (pulses > 0).any(-2, keepdim=True)
        none = due.is_cpu and not bool(due.any())
        return state if none else self._rewritten(state, due, time, generator)

    def conductance(self, state: PhaseChangeState, time: float) -> Tensor:
        """Returns the conductances at a time, after their drift, µS [..., 2, P]."""
        elapsed = (time - state.programmed).clamp(min=0)
        # (1 + t / t0) ** -ν, by functions that are several times faster.
        return state.conductance * (-state.exponent * (elapsed / DRIFT_START).log1p()).exp()

    @property
    def _per_conductance(self) -> float:
        """Change of a weight per 1 µS in one device of each pair."""
        return (self.high - self.low) / (2 * self.max_conductance)

    def _target(self, weight: Tensor) -> Tensor:
        """Returns the conductances for weights; one of each pair is 0."""
        difference = (weight - (self.low + self.high) / 2) / self._per_conductance
        target = torch.stack([difference, -difference], dim=-1).clamp(min=0)
        return target[..., None].expand(*target.shape, self.pairs)

    def _written(self, target: Tensor, time: float, generator: Random) -> PhaseChangeState:
        """Writes conductances into devices, with writing noise."""
        share = target / self.max_conductance
        deviation = (-1.1731 * share**2 + 1.9650 * share + 0.2635).clamp(min=0)
        noise = self.writing_noise * deviation * _normal(target, generator)
        return self._programmed((target + noise).clamp(0, self.max_conductance), time, generator)

    def _programmed(self, conductance: Tensor, time: float, generator: Random) -> PhaseChangeState:
        """Returns devices that have these conductances now and drift from there."""
        mean, deviation = self._drift_statistics(conductance)
        exponent = (mean + deviation * _normal(conductance, generator)).clamp(min=0)
        start = torch.full_like(conductance, time)
        return PhaseChangeState(conductance, self.drift * exponent, start)

    def _rewritten(
        self, state: PhaseChangeState, due: Tensor, time: float, generator: Random
    ) -> PhaseChangeState:
        """Rewrites the pairs that are due, each with its difference in one device."""
        conductance = self.conductance(state, time)
        deviation = self._read_deviation(state, conductance, time)
        measured = conductance + deviation * _normal(conductance, generator)
        target = measured - measured.flip(-2)
        target = target.clamp(0, self.max_conductance)
        return _merged(due, self._written(target, time, generator), state)

    def _drift_statistics(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and standard deviation of drift exponents."""
        logarithm = (conductance / self.max_conductance).clamp(min=EMPTY).log()
        mean = (0.0244 - 0.0155 * logarithm).clamp(0.049, 0.1)
        return mean, (-0.0059 - 0.0125 * logarithm).clamp(0.008, 0.045)

    def _read_deviation(self, state: PhaseChangeState, conductance: Tensor, time: float) -> Tensor:
        """Returns the reading noise, µS; it grows with the time since programming."""
        share = (state.conductance / self.max_conductance).clamp(min=EMPTY)
        strength = 0.0088 * (-0.65 * share.log()).exp()
        elapsed = (time - state.programmed).clamp(min=READ_TIME)
        growth = ((elapsed + READ_TIME) / (2 * READ_TIME)).log().sqrt()
        return self.read_noise * conductance * strength.clamp(max=0.2) * growth


def _merged(where: Tensor, new: PhaseChangeState, old: PhaseChangeState) -> PhaseChangeState:
    """Takes new devices where ``where`` is true, old ones elsewhere."""
    return PhaseChangeState(*(torch.where(where, a, b) for a, b in zip(new, old, strict=True)))


def _normal(like: Tensor, generator: Random) -> Tensor:
    """Draws standard normal numbers on the generator's device, then moves them to ``like``'s."""
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(like)
