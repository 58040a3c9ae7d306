"""Spiking networks: neurons, encoders, and plasticity rules driven by the timing of spikes."""

from plastorch.spiking.events import Events, from_raster, to_raster
from plastorch.spiking.fatigue.layer import FatiguingNeuron
from plastorch.spiking.fatigue.rule import FatiguingSTDP
from plastorch.spiking.layer import SpikingLayer
from plastorch.spiking.naming import class_scores, count_spikes, name_neurons
from plastorch.spiking.network import STDPLayer
from plastorch.spiking.neurons import LIF, Neurons
from plastorch.spiking.nir import from_nir, to_nir
from plastorch.spiking.phase_change import PhaseChangeSynapses
from plastorch.spiking.shortterm.course import SpikeTiming
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.longterm import LongTerm
from plastorch.spiking.shortterm.rule import ShortTerm
from plastorch.spiking.stdp import PairSTDP, bayesian_stdp, pair_stdp
from plastorch.spiking.stochastic import ExpLIF, SoftWTA
from plastorch.spiking.synapses import IdealSynapses, Synapses

__all__ = [
    "LIF",
    "Events",
    "ExpLIF",
    "FatiguingNeuron",
    "FatiguingSTDP",
    "IdealSynapses",
    "LongTerm",
    "Neurons",
    "PairSTDP",
    "PhaseChangeSynapses",
    "STDPLayer",
    "ShortTerm",
    "ShortTermWTA",
    "SoftWTA",
    "SpikeTiming",
    "SpikingLayer",
    "Synapses",
    "bayesian_stdp",
    "class_scores",
    "count_spikes",
    "from_nir",
    "from_raster",
    "name_neurons",
    "pair_stdp",
    "to_nir",
    "to_raster",
]
