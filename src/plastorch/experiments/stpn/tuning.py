"""Choice of each model's learning rate on validation data, with the same budget for all models."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import NamedTuple

from torch import nn

from plastorch.engine.loop import Loop
from plastorch.engine.phases import Phase

TUNING = "tuning-"
"""Prefix of the phase in which a rate is tried."""


class Trial(NamedTuple):
    """A learning rate that was tried on a model, where it did best on validation data."""

    model: str
    learning_rate: float
    steps: int
    """Number of epochs or updates up to there."""
    validation_accuracy: float


def with_copies(nets: nn.ModuleDict, rates: Sequence[float]) -> nn.ModuleDict:
    """Returns a run's models, and copies of each, one per rate, all with its initial weights."""
    copies = {
        _phase(name, number): deepcopy(net)
        for name, net in nets.items()
        for number in range(len(rates))
    }
    return nn.ModuleDict({**nets, **copies})


def tried(
    name: str,
    rates: Sequence[float],
    training: Callable[[str, float], Phase],
    loop: Loop,
    *,
    place: str,
) -> list[Trial]:
    """Trains a copy of a model with each rate, and returns what came out on validation data.

    ``training`` makes the phase that trains the network of a name with a rate. Its records have
    ``validation_accuracy`` and, in the field ``place``, the number of steps so far.
    """
    trials = []
    for number, rate in enumerate(rates):
        phase = _phase(name, number)
        loop.run(training(phase, rate))
        # From the log, because a phase that was done before a stop is skipped.
        rows = [row for row in loop.run_folder.records() if row["phase"] == phase]
        top = max(rows, key=lambda row: float(row["validation_accuracy"]))
        accuracy = float(top["validation_accuracy"])
        trials.append(Trial(name, rate, int(top[place]), accuracy))
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """Returns the trial with the highest accuracy on validation data, the first of several."""
    return max(trials, key=lambda trial: trial.validation_accuracy)


def _phase(name: str, number: int) -> str:
    return f"{TUNING}{name}-{number}"
