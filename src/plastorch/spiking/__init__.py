"""Spiking networks: neurons, encoders, and plasticity rules driven by the timing of spikes."""

from plastorch.spiking.events import Events, from_raster, to_raster
from plastorch.spiking.exchange import from_nir, to_nir
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF, Neurons
from plastorch.spiking.stdp import PairSTDP, bayesian_stdp, pair_stdp
from plastorch.spiking.stochastic import ExpLIF, SoftWTA

__all__ = [
    "LIF",
    "Events",
    "ExpLIF",
    "Neurons",
    "PairSTDP",
    "STDPLayer",
    "SoftWTA",
    "bayesian_stdp",
    "from_nir",
    "from_raster",
    "pair_stdp",
    "to_nir",
    "to_raster",
]
