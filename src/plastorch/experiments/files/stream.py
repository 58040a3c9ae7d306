"""Records whose keys arrive one by one: accuracy after each key, and decisions before the last."""

from collections.abc import Iterator

import torch
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import row
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.streams import FoldStream
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE, decide
from plastorch.spiking.patterns.training import answer, probabilities

DELAY = 50.0
"""Mean delay of a key, milliseconds; it is distributed exponentially."""
SURE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Class probabilities that are tried as thresholds for deciding before all keys have come."""
LOSS = 0.01
"""Accuracy that early decisions may cost on the records with which the threshold is chosen."""


def stream(fold: Fold, network: PatternNetwork) -> list[Record]:
    """Returns a record of the model ``stream`` for each number of keys, and one of ``early``, which
    decides before all keys have come; every other record serves to choose its threshold."""
    bins, labels = fold.test_bins, torch.from_numpy(fold.test_labels)
    keys = len(fold.keys)
    chance = torch.rand(
        len(bins), keys, generator=fold.random(FoldStream.ARRIVAL), dtype=torch.float64
    )
    arrival, order = (-DELAY * torch.log1p(-chance)).sort(dim=1)
    responses = [answer(network, part) for part in arriving(fold, bins, order)]
    right = torch.stack([decide(response) == labels for response in responses], dim=1)
    sure = torch.stack([probabilities(r.distance).max(1).values for r in responses], dim=1)
    found: list[Record] = [
        {
            **row("stream", fold),
            "keys": (number + 1) / keys,
            "milliseconds": float(arrival[:, number].mean()),
            "accuracy": float(right[:, number].double().mean()),
        }
        for number in range(keys)
    ]
    known, rest = torch.arange(len(bins)) % 2 == 1, torch.arange(len(bins)) % 2 == 0
    threshold = sure_enough(sure[known], right[known])
    when = moment(sure[rest], threshold)[:, None]
    early: Record = {
        **row("early", fold),
        "sure": threshold,
        "accuracy": float(right[rest].gather(1, when).double().mean()),
        "whole_accuracy": float(right[rest, -1].double().mean()),
        "early": float((when < keys - 1).double().mean()),
        "keys": float((when + 1).double().mean() / keys),
        "milliseconds": float(arrival[rest].gather(1, when).mean()),
        "all_milliseconds": float(arrival[rest, -1].mean()),
    }
    return [*found, early]


def arriving(fold: Fold, bins: Tensor, order: Tensor) -> Iterator[Tensor]:
    """Yields patterns [B, N] with the first keys in ``order`` [B, M], one more key each time."""
    rank = order.argsort(dim=1)
    for number in range(1, len(fold.keys) + 1):
        yield bins.masked_fill((rank >= number)[:, fold.key_of_neuron], NO_SPIKE)


def moment(sure: Tensor, threshold: float) -> Tensor:
    """Returns the key at which each record is decided, the first one sure enough or the last [B];
    ``sure`` is the probability of the most probable class after each key [B, M]."""
    enough = sure >= threshold
    enough[:, -1] = True
    return enough.double().argmax(dim=1)


def sure_enough(sure: Tensor, right: Tensor) -> float:
    """Returns the lowest threshold that costs at most a point of accuracy, above 1 if none does;
    ``sure`` is as for :func:`moment`, ``right`` whether that class is the right one [B, M]."""
    whole = right[:, -1].double().mean()
    for threshold in SURE:
        when = moment(sure, threshold)[:, None]
        if right.gather(1, when).double().mean() >= whole - LOSS:
            return threshold
    return 2.0
