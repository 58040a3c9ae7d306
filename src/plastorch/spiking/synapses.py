"""What a weight is stored in: a number, or a pair of phase-change devices.

A rule says by how much a weight should change; synapses say what becomes of it. Rules use them
by three pure functions: :meth:`Synapses.initial`, :meth:`Synapses.read` and
:meth:`Synapses.program`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive

State = TypeVar("State", bound=tuple[Any, ...])

DRIFT_START = 20.0
"""Seconds from programming to the conductance that counts as programmed."""
READ_TIME = 250e-9
"""Seconds that a reading takes."""
EMPTY = 1e-6
"""Share of the largest conductance below which a device's statistics don't change any more."""


class Synapses(Protocol[State]):
    """What stores the weights of a network, of any shape."""

    def initial(self, weight: Tensor) -> State:
        """Synapses with these weights, at time 0."""

    def read(self, state: State, time: float, generator: torch.Generator | None = None) -> Tensor:
        """The weights as they are at a time, in seconds."""

    def program(
        self,
        state: State,
        delta: Tensor,
        time: float,
        generator: torch.Generator | None = None,
    ) -> State:
        """Synapses whose weights were to change by ``delta`` at a time; 0 leaves one alone."""


class IdealState(NamedTuple):
    """Synapses that are numbers."""

    weight: Tensor


@dataclass(frozen=True)
class IdealSynapses:
    """Weights that change by what they are told to, within bounds.

    Args:
        low: bound of the weights.
        high: bound of the weights.

    Raises:
        InputError: if the bounds are not in order.

    Example:
        >>> synapses = IdealSynapses()
        >>> state = synapses.program(synapses.initial(torch.tensor([0.5, 0.9])), 0.25, 0.0)
        >>> synapses.read(state, 0.0)
        tensor([0.7500, 1.0000])
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high)

    def initial(self, weight: Tensor) -> IdealState:
        """Synapses with these weights.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        return IdealState(weight)

    def read(
        self, state: IdealState, time: float, generator: torch.Generator | None = None
    ) -> Tensor:
        """The weights."""
        return state.weight

    def program(
        self,
        state: IdealState,
        delta: Tensor,
        time: float,
        generator: torch.Generator | None = None,
    ) -> IdealState:
        """The weights plus ``delta``, within the bounds."""
        return IdealState((state.weight + delta).clamp(self.low, self.high))


class PhaseChangeState(NamedTuple):
    """Devices of shape [..., 2, P]: one that raises the weight and one that lowers it, P times."""

    conductance: Tensor
    """When it was programmed, µS."""
    exponent: Tensor
    """Of its drift."""
    programmed: Tensor
    """When that was, seconds."""


@dataclass(frozen=True)
class PhaseChangeSynapses:
    """Weights in pairs of phase-change memory devices, of which only one can be made to grow.

    A weight is the middle of its bounds plus the difference of a pair's conductances, or the mean
    difference of several pairs; the largest difference spans the bounds. A device grows by pulses
    that crystallise a part of it: by the same share of what is left to grow, and by chance. It
    shrinks by a reset only; so a weight falls by growth of the partner, and a pair that is nearly
    full is written anew. Pulses are large: a small change becomes one with a probability that is
    right on average, in a pair chosen by chance.

    The model and its statistics, with the figures that are the defaults:

    - growth by pulses, g + δ (1 - g / g_max) (1 + 0.5 N(0, 1)), and several devices per synapse:
      Boybat et al., *Neuromorphic computing with multi-memristive synapses*, Nat. Commun. 9 (2018)
      2514; Nandakumar et al., *A phase-change memory model for neuromorphic computing*, J. Appl.
      Phys. 124 (2018) 152135, where drift starts again with each pulse, too;
    - noise of writing and reading and exponents of drift as functions of the conductance, from a
      million devices: Joshi et al., *Accurate deep neural network inference using computational
      phase-change memory*, Nat. Commun. 11 (2020) 2473; Nandakumar et al., *Phase-change memory
      models for deep learning training and inference*, ICECS 2019;
    - drift as a power of time: Le Gallo et al., *Collective structural relaxation in phase-change
      memory devices*, Adv. Electron. Mater. 4 (2018) 1700627. All in review: Le Gallo, Sebastian,
      *An overview of phase-change memory device physics*, J. Phys. D 53 (2020) 213002.

    A power law has no beginning; here time counts from 20 s before programming, so that what is
    programmed is what is read at first, and drift is the power law from some minutes on.

    Args:
        low: bound of the weights.
        high: bound of the weights.
        pairs: P, per weight.
        max_conductance: g_max, µS.
        pulse: δ, growth of an empty device by a pulse, µS.
        pulse_noise: standard deviation of a pulse, as a share of its mean.
        refresh: share of g_max above which both devices of a pair are to be written anew.
        writing_noise: factor of the noise of writing; 0 for none.
        drift: factor of the exponents of drift; 0 for none.
        read_noise: factor of the noise of reading; 0 for none.

    Raises:
        InputError: if bounds are not in order, a number of devices, a conductance or the refresh
            is not positive, or a factor negative.

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
        _check_bounds(self.low, self.high)
        check_positive(
            pairs=self.pairs,
            max_conductance=self.max_conductance,
            pulse=self.pulse,
            refresh=self.refresh,
        )
        for name in ("pulse_noise", "writing_noise", "drift", "read_noise"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 or more")

    @property
    def weight_step(self) -> float:
        """Mean change of a weight by a pulse on an empty device."""
        return self._per_conductance * self.pulse / self.pairs

    def initial(self, weight: Tensor) -> PhaseChangeState:
        """Pairs that hold these weights exactly: one device of each is empty.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        conductance = self._target(weight)
        mean, _ = self._drift_statistics(conductance)
        return PhaseChangeState(conductance, self.drift * mean, torch.zeros_like(conductance))

    def write(
        self, weight: Tensor, time: float, generator: torch.Generator | None = None
    ) -> PhaseChangeState:
        """Pairs into which these weights were written at a time, as well as that can be done.

        Args:
            weight: of any shape.
            time: seconds.
            generator: of the noise.

        Raises:
            InputError: if a weight is out of bounds.
        """
        check_weight(weight, self.low, self.high)
        return self._written(self._target(weight), time, generator)

    def read(
        self, state: PhaseChangeState, time: float, generator: torch.Generator | None = None
    ) -> Tensor:
        """The weights at a time: drifted, noisy, and within the bounds, as converters are."""
        conductance = self.conductance(state, time)
        plus, minus = conductance.mean(-1).unbind(-1)
        weight = (self.low + self.high) / 2 + self._per_conductance * (plus - minus)
        if self.read_noise > 0:
            squares = self._read_deviation(state, conductance, time).square().sum(dim=(-2, -1))
            scale = self._per_conductance / self.pairs
            weight = weight + scale * squares.sqrt() * _normal(weight, generator)
        return weight.clamp(self.low, self.high)

    def program(
        self,
        state: PhaseChangeState,
        delta: Tensor,
        time: float,
        generator: torch.Generator | None = None,
    ) -> PhaseChangeState:
        """Pairs after the pulses that make up ``delta`` on average, refreshed where that is due."""
        wanted = torch.stack([delta, -delta], dim=-1).clamp(min=0) / self.weight_step
        pulses = (wanted + _uniform(wanted, generator)).floor()
        turn = (self.pairs * _uniform(delta, generator)).floor()[..., None, None]
        chosen = turn == torch.arange(self.pairs, device=delta.device)
        pulses = torch.where(chosen, pulses[..., None], 0.0)
        conductance = self.conductance(state, time)
        for number in range(int(pulses.max())):
            share = 1 + self.pulse_noise * _normal(conductance, generator)
            grown = conductance + self.pulse * (1 - conductance / self.max_conductance) * share
            grown = grown.clamp(0, self.max_conductance)
            conductance = torch.where(pulses > number, grown, conductance)
        state = _merged(pulses > 0, self._programmed(conductance, time, generator), state)
        full = state.conductance > self.refresh * self.max_conductance
        due = full.all(-2, keepdim=True) & (pulses > 0).any(-2, keepdim=True)
        return self._rewritten(state, due, time, generator) if bool(due.any()) else state

    def conductance(self, state: PhaseChangeState, time: float) -> Tensor:
        """Conductances at a time, after their drift, µS [..., 2, P]."""
        elapsed = (time - state.programmed).clamp(min=0)
        # (1 + t / t0) ** -ν, by functions that are several times as fast.
        return state.conductance * (-state.exponent * (elapsed / DRIFT_START).log1p()).exp()

    @property
    def _per_conductance(self) -> float:
        """Change of a weight by 1 µS in one device of each pair."""
        return (self.high - self.low) / (2 * self.max_conductance)

    def _target(self, weight: Tensor) -> Tensor:
        """Conductances for weights; one of a pair is 0."""
        difference = (weight - (self.low + self.high) / 2) / self._per_conductance
        target = torch.stack([difference, -difference], dim=-1).clamp(min=0)
        return target[..., None].expand(*target.shape, self.pairs)

    def _written(
        self, target: Tensor, time: float, generator: torch.Generator | None
    ) -> PhaseChangeState:
        """Devices into which conductances were written, with the noise of writing them."""
        share = target / self.max_conductance
        deviation = (-1.1731 * share**2 + 1.9650 * share + 0.2635).clamp(min=0)
        noise = self.writing_noise * deviation * _normal(target, generator)
        return self._programmed((target + noise).clamp(0, self.max_conductance), time, generator)

    def _programmed(
        self, conductance: Tensor, time: float, generator: torch.Generator | None
    ) -> PhaseChangeState:
        """Devices that have these conductances now, from where they drift."""
        mean, deviation = self._drift_statistics(conductance)
        exponent = (mean + deviation * _normal(conductance, generator)).clamp(min=0)
        start = torch.full_like(conductance, time)
        return PhaseChangeState(conductance, self.drift * exponent, start)

    def _rewritten(
        self,
        state: PhaseChangeState,
        due: Tensor,
        time: float,
        generator: torch.Generator | None,
    ) -> PhaseChangeState:
        """Pairs of which those that are due hold their difference in one device."""
        conductance = self.conductance(state, time)
        deviation = self._read_deviation(state, conductance, time)
        measured = conductance + deviation * _normal(conductance, generator)
        target = measured - measured.flip(-2)
        target = target.clamp(0, self.max_conductance)
        return _merged(due, self._written(target, time, generator), state)

    def _drift_statistics(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of exponents."""
        logarithm = (conductance / self.max_conductance).clamp(min=EMPTY).log()
        mean = (0.0244 - 0.0155 * logarithm).clamp(0.049, 0.1)
        return mean, (-0.0059 - 0.0125 * logarithm).clamp(0.008, 0.045)

    def _read_deviation(self, state: PhaseChangeState, conductance: Tensor, time: float) -> Tensor:
        """Standard deviation of reading; it grows with the time since programming, µS."""
        share = (state.conductance / self.max_conductance).clamp(min=EMPTY)
        strength = 0.0088 * (-0.65 * share.log()).exp()
        elapsed = (time - state.programmed).clamp(min=READ_TIME)
        growth = ((elapsed + READ_TIME) / (2 * READ_TIME)).log().sqrt()
        return self.read_noise * conductance * strength.clamp(max=0.2) * growth


def _merged(where: Tensor, new: PhaseChangeState, old: PhaseChangeState) -> PhaseChangeState:
    """New devices at some places, old ones elsewhere."""
    return PhaseChangeState(*(torch.where(where, a, b) for a, b in zip(new, old, strict=True)))


def check_weight(weight: Tensor, low: float, high: float) -> None:
    """Raises InputError unless weights are within bounds.

    Example:
        >>> check_weight(torch.tensor([0.0, 1.0]), low=0.0, high=1.0)
    """
    bad = ~((weight >= low) & (weight <= high))
    if bool(bad.any()):
        raise InputError(f"weight holds {float(weight[bad][0])}; expected {low} to {high}")


def _check_bounds(low: float, high: float) -> None:
    if not low < high:
        raise InputError(f"low is {low} and high is {high}; expected low below high")


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, drawn where the generator is."""
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(like)


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1), drawn where the generator is."""
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=device, dtype=like.dtype).to(like)
