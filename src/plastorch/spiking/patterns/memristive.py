"""Trained networks with weights stored as conductances of phase-change memory devices.

Training uses ordinary numbers. Then each weight is written once into pairs of devices, as exactly
as possible, and read whenever the network is used. Devices drift and readings are noisy, see
:class:`plastorch.spiking.phase_change.PhaseChangeSynapses`. Drift common to all devices of a layer
can be compensated by one factor per layer. Stanojevic, Cherubini, Moraitis, Sebastian, *File
classification based on spiking neural networks*, ISCAS 2020, arXiv 2004.03953, has memristive
synapses; Joshi et al., *Accurate deep neural network inference using computational phase-change
memory*, Nat. Commun. 11 (2020) 2473, writes trained weights and compensates their drift.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.phase_change import PhaseChangeState, PhaseChangeSynapses

LAYERS = ("hidden_weight", "output_weight")
"""Weights that are written into devices; biases are constant currents and stay numbers."""


class _Layer(NamedTuple):
    """Devices of a layer."""

    synapses: PhaseChangeSynapses
    state: PhaseChangeState
    total: Tensor
    """Sum of the absolute weights, as read right after writing."""


class MemristiveNetwork:
    """Weights of a network, written into phase-change devices at time 0.

    A layer's largest weight corresponds to the largest difference of conductances of a pair of
    devices.

    Args:
        network: trained network; it is not changed.
        generator: random generator for writing and reading noise.
        pairs: number of device pairs per weight.

    Raises:
        InputError: if a weight is not finite, or ``pairs`` is not positive.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> network = PatternNetwork(40, 16, 3, generator=random)
        >>> devices = MemristiveNetwork(network, random)
        >>> day = devices.read(86400.0, random), devices.read(86400.0, random, compensated=True)
        >>> total = network.hidden_weight.detach().abs().sum()
        >>> [round(float(found.hidden_weight.abs().sum() / total), 1) for found in day]
        [0.6, 1.0]
    """

    def __init__(self, network: PatternNetwork, generator: torch.Generator, pairs: int = 1) -> None:
        self._network = network
        self._layers: dict[str, _Layer] = {}
        for name in LAYERS:
            weight = getattr(network, name).detach().mT  # a row of devices per input
            bound = float(weight.abs().max()) or 1.0
            synapses = PhaseChangeSynapses(-bound, bound, pairs)
            state = synapses.write(weight, 0.0, generator)
            total = synapses.read(state, 0.0, generator).abs().sum()
            self._layers[name] = _Layer(synapses, state, total)

    def read(
        self, time: float, generator: torch.Generator, compensated: bool = False
    ) -> PatternNetwork:
        """Returns a network with the weights as read at a time.

        Args:
            time: time since writing, seconds.
            generator: random generator for the reading noise.
            compensated: whether each layer's weights are scaled so that the sum of their absolute
                values is what it was right after writing.

        Raises:
            InputError: if the time is negative.
        """
        if not time >= 0:
            raise InputError(f"time is {time}; expected 0 s or more")
        network = copy.deepcopy(self._network).requires_grad_(False)
        for name, (synapses, state, total) in self._layers.items():
            weight = synapses.read(state, time, generator)
            if compensated and bool(weight.any()):
                weight = weight * (total / weight.abs().sum())
            getattr(network, name).copy_(weight.mT)
        return network
