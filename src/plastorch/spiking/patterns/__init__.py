"""Networks that learn to classify patterns of spikes, with one spike per input."""

from plastorch.spiking.patterns.attribution import attribute
from plastorch.spiking.patterns.memristive import MemristiveNetwork
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE, PatternNeuron, Response, decide
from plastorch.spiking.patterns.training import answer, probabilities, train, update
from plastorch.spiking.patterns.winners import PatternWinners
from plastorch.spiking.patterns.winners_readout import (
    class_probabilities,
    label_neurons,
    learn_orders,
)
from plastorch.spiking.patterns.winners_rule import WinnerRule, Winners

__all__ = [
    "NO_SPIKE",
    "MemristiveNetwork",
    "PatternNetwork",
    "PatternNeuron",
    "PatternWinners",
    "Response",
    "WinnerRule",
    "Winners",
    "answer",
    "attribute",
    "class_probabilities",
    "decide",
    "label_neurons",
    "learn_orders",
    "probabilities",
    "train",
    "update",
]
