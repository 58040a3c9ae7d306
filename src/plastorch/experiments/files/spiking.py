"""The supervised network on spike patterns of a fold, and how it does under other conditions.

The conditions: weights in phase-change devices, keys that arrive one by one, and another hash.
"""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import row, scores
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.stream import stream
from plastorch.experiments.files.streams import FoldStream
from plastorch.spiking.patterns.memristive import MemristiveNetwork
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE, decide
from plastorch.spiking.patterns.training import answer, train

HOUR, DAY = 3600.0, 86400.0
TIMES = (25.0, HOUR, DAY, 30 * DAY, 365 * DAY)
"""Seconds since the weights were written."""
OPERATION_NJ = 0.01
"""Energy of a synaptic operation, 10 pJ."""


class Way(NamedTuple):
    """Share and kind of input that training leaves out."""

    dropout: float
    """Share of input spikes that are left out."""
    partial: bool
    """Whether three of four presentations lack keys."""


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """Settings of the network's training and of its tests.

    Args:
        ways: ways to train, of which the one is taken that is best on held-out training records.
        weight_noise: noise in the last third of the epochs, as a share of a layer's largest weight.
        pairs: pairs of phase-change devices per weight.
        instances: number of times that the weights are written into devices.
        tested: maximum number of test records where the network is tested many times.
        hashes: number of other hashes, with which the network has not learned.
        population: output neurons per class.
        key_pairs: maximum number of pairs of keys that have patterns of their own.
        neurons_per_pair: input neurons for each of these.
    """

    hidden: int
    epochs: int
    ways: tuple[Way, ...]
    weight_noise: float = 0.0
    pairs: int = 1
    instances: int = 1
    tested: int = 1
    hashes: int = 1
    population: int = 1
    key_pairs: int = 0
    neurons_per_pair: int = 20


def supervised(fold: Fold, settings: Supervised, shown: bool) -> list[Record]:
    """Trains the network; returns records of the models ``snn``, ``confusion`` if shown,
    ``memristive`` and, in the first fold only, ``stream``, ``early`` and ``other-hash``."""
    plain, (fold, network, record, answers) = fold, learn(fold, settings)
    found = [record]
    if shown:
        found += _confusions(fold, answers)
    some = torch.from_numpy(fold.some(fold.test.height, settings.tested, FoldStream.TESTED))
    found += _memristive(fold, network, settings, some)
    if fold.number == 0:
        found += [_other_hash(fold, network, number) for number in range(settings.hashes)]
        if fold is not plain or not record["partial"]:  # keys arrive, and pairs don't
            way = Way(float(record["dropout"]), True)
            network = _trained(plain, settings, torch.arange(plain.train.height), way)
        found += stream(plain, network)
    return found


class Learned(NamedTuple):
    """A network that has learned, and how it does on the test records."""

    fold: Fold
    """Records that it learned from, with pairs of keys if asked for."""
    network: PatternNetwork
    record: Record
    """Figures for the log."""
    answers: NDArray[np.int64]
    """Classes of the test records [B]."""


def learn(fold: Fold, settings: Supervised) -> Learned:
    """Trains and tests the network."""
    fold = fold.paired(settings.key_pairs, settings.neurons_per_pair)
    rows = torch.arange(len(fold.train_bins))  # patterns are prepared before timing
    start = time.process_time()
    way, validated = _best_way(fold, settings)
    network = _trained(fold, settings, rows, way)
    fitted = time.process_time() - start
    tested, labels = fold.test_bins, torch.from_numpy(fold.test_labels)
    start = time.process_time()
    response = answer(network, tested)
    answers = decide(response).numpy()
    seconds = time.process_time() - start
    inputs = float((tested != NO_SPIKE).sum(1).double().mean())
    hidden = float(response.hidden_spikes.mean())
    operations = inputs * settings.hidden + hidden * len(fold.classes) * settings.population
    record: Record = {
        **row("snn", fold),
        **scores(answers, fold.test_labels),
        "fit_seconds": fitted,
        "microseconds": 1e6 * seconds / len(answers),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "operations": operations,
        "energy_nj": OPERATION_NJ * operations,
        "epochs": settings.epochs,
        "dropout": way.dropout,
        "partial": int(way.partial),
        **validated,
        "pairs": len(fold.pairs),
        "input_spikes": inputs,
        "hidden_spikes": hidden,
        "output_spikes": float(response.output_spikes.mean()),
        "silent": float((response.output_spikes == 0).double().mean()),
        "distance_before": _own_distance(_network(fold, settings), tested, labels),
        "distance": float(response.distance.gather(1, labels[:, None]).mean()),
    }
    return Learned(fold, network, record, answers)


def _best_way(fold: Fold, settings: Supervised) -> tuple[Way, Record]:
    """Returns the way to train that is best on training records that the network has not learned
    from, and its accuracy there."""
    if len(settings.ways) == 1:
        return settings.ways[0], {}
    held, rest = fold.validation()
    bins, labels = fold.train_bins[held], fold.train_labels[held.numpy()]
    scores = {
        way: _accuracy(_trained(fold, settings, rest, way), bins, labels) for way in settings.ways
    }
    best = max(scores, key=lambda way: scores[way])
    return best, {"validation_accuracy": scores[best]}


def _network(fold: Fold, settings: Supervised) -> PatternNetwork:
    classes = len(fold.classes)
    return PatternNetwork(
        fold.neurons,
        settings.hidden,
        classes,
        population=settings.population,
        generator=fold.random(FoldStream.WEIGHTS),
    )


def _trained(fold: Fold, settings: Supervised, rows: Tensor, way: Way) -> PatternNetwork:
    network = _network(fold, settings)
    train(
        network,
        fold.train_bins[rows],
        torch.from_numpy(fold.train_labels)[rows],
        fold.random(FoldStream.TRAINING),
        epochs=settings.epochs,
        dropout=way.dropout,
        weight_noise=settings.weight_noise,
        key_of_neuron=fold.key_of_neuron if way.partial else None,
    )
    return network


def _own_distance(network: PatternNetwork, bins: Tensor, labels: Tensor) -> float:
    return float(answer(network, bins).distance.gather(1, labels[:, None]).mean())


def _confusions(fold: Fold, answers: NDArray[np.int64]) -> list[Record]:
    counts = confusion_matrix(fold.test_labels, answers, labels=range(len(fold.classes)))
    return [
        {
            **row("confusion", fold),
            "class": str(fold.classes[truth]),
            "answer": str(fold.classes[told]),
            "count": int(counts[truth, told]),
        }
        for truth, told in np.argwhere(counts)
    ]


def _memristive(
    fold: Fold, network: PatternNetwork, settings: Supervised, some: Tensor
) -> list[Record]:
    """Measures accuracy with weights in devices; after the first fold, fewer times, at one day."""
    bins, labels = fold.test_bins[some], fold.test_labels[some.numpy()]
    ideal = _accuracy(network, bins, labels)
    first = fold.number == 0
    points = [(t, c) for t in TIMES for c in (True, False)] if first else [(DAY, True)]
    found: list[Record] = []
    for instance in range(settings.instances if first else -(-settings.instances // 5)):
        devices = MemristiveNetwork(
            network, fold.random(FoldStream.DEVICES, instance), settings.pairs
        )
        for place, (at, compensated) in enumerate(points):
            random = fold.random(FoldStream.DEVICE_READING, instance, place)
            read = devices.read(at, random, compensated)
            found.append(
                {
                    **row("memristive", fold),
                    "instance": instance,
                    "seconds": at,
                    "compensated": int(compensated),
                    "accuracy": _accuracy(read, bins, labels),
                    "ideal": ideal,
                }
            )
    return found


def _accuracy(network: PatternNetwork, bins: Tensor, labels: NDArray[np.int64]) -> float:
    return float((decide(answer(network, bins)).numpy() == labels).mean())


def _other_hash(fold: Fold, network: PatternNetwork, number: int) -> Record:
    """Tests the network on the same records with a hash that it does not know."""
    seed = fold.random(FoldStream.OTHER_HASH, number).initial_seed()
    bins = torch.from_numpy(replace(fold.encoder, seed=seed).encode(fold.test))
    answers = decide(answer(network, bins)).numpy()
    return {**row("other-hash", fold), "hash": number, **scores(answers, fold.test_labels)}
