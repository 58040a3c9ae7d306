"""A competing layer whose weights are conductances of phase-change memory devices.

Either trained weights are written into devices, once, and read whenever the layer is used; or the
devices themselves learn, from pattern to pattern, by pulses. They drift and are noisy;
:class:`plastorch.spiking.synapses.PhaseChangeSynapses` says how. Thresholds stay numbers.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns.winners import PatternWinners
from plastorch.spiking.patterns.winners_rule import WinnersState, initial_state, run
from plastorch.spiking.synapses import PhaseChangeSynapses

MIDDLE = 0.5
"""A weight of which both devices of a pair hold the same: it doesn't drift."""


class MemristiveWinners:
    """A layer's weights, written into phase-change devices at time 0.

    Args:
        layer: trained; it is not changed.
        generator: of the noise of writing and reading.
        pairs: of devices per weight.

    Raises:
        InputError: if there is no pair.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> layer = PatternWinners(50, 4, generator=random)
        >>> devices = MemristiveWinners(layer, random)
        >>> day = devices.read(86400.0, random), devices.read(86400.0, random, compensated=True)
        >>> [float(found.weight.std() / layer.weight.std()) < 0.85 for found in day]
        [True, False]
    """

    def __init__(self, layer: PatternWinners, generator: torch.Generator, pairs: int = 1) -> None:
        self._layer, self._synapses = layer, PhaseChangeSynapses(pairs=pairs)
        self._state = self._synapses.write(layer.weight, 0.0, generator)
        self._total = self._size(self._synapses.read(self._state, 0.0, generator))

    def read(
        self, time: float, generator: torch.Generator, compensated: bool = False
    ) -> PatternWinners:
        """A layer with the weights as they are read at a time.

        Args:
            time: since they were written, seconds.
            generator: of the noise of reading.
            compensated: whether the weights are scaled so that the sum of their distances from the
                middle of their range is what it was when they had just been written.

        Raises:
            InputError: if the time is negative.
        """
        if not time >= 0:
            raise InputError(f"time is {time}; expected 0 s or more")
        weight = self._synapses.read(self._state, time, generator)
        if compensated and bool((weight != MIDDLE).any()):
            weight = MIDDLE + (weight - MIDDLE) * (self._total / self._size(weight))
        return _with(self._layer, weight.clamp(0, 1))

    @staticmethod
    def _size(weight: Tensor) -> Tensor:
        return (weight - MIDDLE).abs().sum()


def learn_in_devices(
    layer: PatternWinners, bins: Tensor, generator: torch.Generator, pairs: int = 1
) -> tuple[PatternWinners, WinnersState]:
    """Learns patterns, one after the other, by pulses on devices that begin with a layer's weights.

    Each pattern is a step of its own, in torch, with the noise of all readings: a thousand or so
    per second.

    Args:
        layer: where learning begins; it is not changed.
        bins: as in :meth:`plastorch.spiking.patterns.winners.PatternWinners.partial_fit` [B, N].
        generator: of the noise.
        pairs: of devices per weight.

    Returns:
        A layer with what is read from the devices at the end, and the devices' state, of one
        network.

    Raises:
        InputError: for patterns of another size or type.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> layer = PatternWinners(50, 4, generator=random)
        >>> bins = torch.randint(0, 20, (5, 50), dtype=torch.uint8, generator=random)
        >>> learned, state = learn_in_devices(layer, bins, random)
        >>> int(learned.wins.sum()), state.synapses.conductance.shape
        (5, torch.Size([1, 4, 50, 2, 1]))
    """
    layer.check(bins)
    synapses: Any = PhaseChangeSynapses(pairs=pairs)
    state = initial_state(layer.weight[None], synapses)
    state = state._replace(theta=layer.theta[None], wins=layer.wins[None])
    _, state = run(bins[:, None], state, layer.rule, synapses, generator=generator)
    learned = _with(layer, synapses.read(state.synapses, state.time, generator)[0])
    learned.theta.copy_(state.theta[0])
    learned.wins.copy_(state.wins[0])
    return learned, state


def _with(layer: PatternWinners, weight: Tensor) -> PatternWinners:
    """A copy with other weights."""
    layer = copy.deepcopy(layer)
    layer.weight.copy_(weight)
    return layer
