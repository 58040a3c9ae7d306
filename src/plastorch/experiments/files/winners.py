"""Neurons that find groups of patterns by STDP without labels, and are then named by labels."""

import time

import torch

from plastorch.engine.run import Record
from plastorch.experiments.files.clusters import by_labels, count_clusters
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.spiking import OPERATION_NJ
from plastorch.experiments.files.streams import FoldStream
from plastorch.files.features import Codes
from plastorch.spiking.patterns.winners import PatternWinners
from plastorch.spiking.patterns.winners_readout import (
    class_probabilities,
    label_neurons,
    learn_orders,
)
from plastorch.spiking.patterns.winners_rule import WinnerRule


def unsupervised(fold: Fold) -> list[Record]:
    """Learns patterns without labels, then names neurons by the labels of few, some and all.

    Keys have equal shares of the input, because their relevance to the classes is unknown. The
    model ``stdp`` predicts from the order in which the first neurons fire, ``stdp-first`` from the
    first alone.
    """
    patterns, tested = fold.equal_bins
    neurons, classes = count_clusters(fold), len(fold.classes)
    rule = WinnerRule()
    rule = WinnerRule(spikes=min(rule.spikes, neurons))
    start = time.process_time()
    weights = fold.random(FoldStream.WINNER_WEIGHTS)
    layer = PatternWinners(fold.neurons, neurons, rule=rule, generator=weights)
    layer.fit(patterns, fold.random(FoldStream.WINNER_TRAINING))
    known = layer(patterns).order
    fitted = time.process_time()
    order = layer(tested).order
    seconds = time.process_time() - fitted
    # Later input spikes are ignored; others reach all neurons.
    input_spikes = float((tested < rule.steps).sum(1).double().mean())
    operations = input_spikes * neurons
    costs: Record = {
        "fit_seconds": fitted - start,
        "microseconds": 1e6 * seconds / len(tested),
        "parameters": layer.weight.numel() + neurons,
        "operations": operations,
        "energy_nj": OPERATION_NJ * operations,
        "input_spikes": input_spikes,
        "output_spikes": float(rule.spikes),
    }
    labels = torch.from_numpy(fold.train_labels)

    def answers(told: Codes) -> dict[str, Codes]:
        readout = learn_orders(known[told], labels[told], neurons, classes)
        names = label_neurons(known[told, 0], labels[told], neurons, classes)
        return {
            "stdp": class_probabilities(order, readout).argmax(1).numpy(),
            "stdp-first": names[order[:, 0]].numpy(),
        }

    return by_labels(fold, costs, answers)
