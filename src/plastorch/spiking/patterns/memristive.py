"""A trained network whose weights are conductances of phase-change memory devices.

Training is done in numbers; then each weight is written, once, into pairs of devices, as well as
that can be done, and read whenever the network is used. Devices drift and their readings are noisy;
:class:`plastorch.spiking.synapses.PhaseChangeSynapses` says how. What drifts alike can be made up
for: one factor per layer. Stanojevic, Cherubini, Moraitis, Sebastian, *File classification based on
spiking neural networks*, ISCAS 2020, arXiv 2004.03953, has memristive synapses; Joshi et al.,
*Accurate deep neural network inference using computational phase-change memory*, Nat. Commun. 11
(2020) 2473, the writing of trained weights and the compensation of their drift.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.synapses import PhaseChangeState, PhaseChangeSynapses

LAYERS = ("hidden_weight", "output_weight")
"""What is written into devices; biases are constant currents of the neurons and stay numbers."""


class _Layer(NamedTuple):
    """The devices of a layer."""

    synapses: PhaseChangeSynapses
    state: PhaseChangeState
    total: Tensor
    """Sum of the sizes of the weights, as read when they had just been written."""


class MemristiveNetwork:
    """A network's weights, written into phase-change devices at time 0.

    A layer's largest weight is the largest difference of conductances that a pair of devices can
    have.

    Args:
        network: trained; it is not changed.
        generator: of the noise of writing and reading.
        pairs: of devices per weight.

    Raises:
        InputError: if a weight is not finite, or there is no pair.

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
            weight = getattr(network, name).detach()
            bound = float(weight.abs().max()) or 1.0
            synapses = PhaseChangeSynapses(-bound, bound, pairs)
            state = synapses.write(weight, 0.0, generator)
            total = synapses.read(state, 0.0, generator).abs().sum()
            self._layers[name] = _Layer(synapses, state, total)

    def read(
        self, time: float, generator: torch.Generator, compensated: bool = False
    ) -> PatternNetwork:
        """A network with the weights as they are read at a time.

        Args:
            time: since they were written, seconds.
            generator: of the noise of reading.
            compensated: whether each layer's weights are scaled so that the sum of their sizes is
                what it was when they had just been written.

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
            getattr(network, name).copy_(weight)
        return network
