"""Baselines for short-term plasticity neurons, each in its own file.

All take sequences [T, B, I] and return activities [T, B, H] and the last state; ``energy``, where
there is one, returns the energy of each neuron's synapses at each step.

Initial weights come from a ``generator``, on a ``device`` and in a ``dtype``; None is torch's
default.
"""

from plastorch.stp.baselines.attention import Cache, SoftmaxAttention
from plastorch.stp.baselines.delta_net import DeltaNet
from plastorch.stp.baselines.factored import FactoredSTPN
from plastorch.stp.baselines.fast_weights import FastWeights, FastWeightsState
from plastorch.stp.baselines.feedforward import MLP, Stacked
from plastorch.stp.baselines.hebbff import HebbFF
from plastorch.stp.baselines.linear_attention import (
    GatedLinearAttention,
    LinearAttention,
    LinearState,
)
from plastorch.stp.baselines.modulated import ModulatedPlasticity, ModulatedState
from plastorch.stp.baselines.squashed import Squashed
from plastorch.stp.baselines.static import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "Cache",
    "DeltaNet",
    "FactoredSTPN",
    "FastWeights",
    "FastWeightsState",
    "GatedLinearAttention",
    "HebbFF",
    "LinearAttention",
    "LinearState",
    "ModulatedPlasticity",
    "ModulatedState",
    "SoftmaxAttention",
    "Squashed",
    "Stacked",
]
