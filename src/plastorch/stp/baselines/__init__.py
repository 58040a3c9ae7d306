"""Baselines of short-term plasticity neurons, each in its own file.

All take sequences [T, B, I] and return activities [T, B, H] and the last state; ``energy``
returns the energy of each neuron's synapses at each step.
"""

from plastorch.stp.baselines.fast_weights import FastWeights, FastWeightsState
from plastorch.stp.baselines.feedforward import MLP
from plastorch.stp.baselines.hebbff import HebbFF
from plastorch.stp.baselines.modulated import ModulatedPlasticity, ModulatedState
from plastorch.stp.baselines.squashed import Squashed
from plastorch.stp.baselines.static import LSTM, RNN

__all__ = [
    "LSTM",
    "MLP",
    "RNN",
    "FastWeights",
    "FastWeightsState",
    "HebbFF",
    "ModulatedPlasticity",
    "ModulatedState",
    "Squashed",
]
