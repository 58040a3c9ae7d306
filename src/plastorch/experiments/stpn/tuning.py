"""Choice of each model's learning rate with the same budget for all, on data not tested on."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import NamedTuple

from torch import nn

from plastorch.engine.loop import Loop
from plastorch.engine.phases import Phase

TUNING = "tuning-"
"""Prefix of the phase in which a rate is tried."""
SCORE = "validation_accuracy"


class Trial(NamedTuple):
    """A learning rate that was tried on a model, where it did best in its course."""

    model: str
    learning_rate: float
    steps: int
    """Number of epochs, updates or iterations up to there."""
    score: float


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
    score: str = SCORE,
) -> list[Trial]:
    """Trains a copy of a model with each rate, and returns what came out on data not tested on.

    ``training`` makes the phase that trains the network of a name with a rate. Its records have, in
    the field ``place``, the number of steps so far, and in the field ``score`` what is to be high.
    """
    trials = []
    for number, rate in enumerate(rates):
        phase = _phase(name, number)
        loop.run(training(phase, rate))
        # From the log, because a phase that was done before a stop is skipped.
        rows = [row for row in loop.run_folder.records() if row["phase"] == phase]
        top = max(rows, key=lambda row: float(row[score]))
        trials.append(Trial(name, rate, int(top[place]), float(top[score])))
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """Returns the trial with the highest score, the first of several."""
    return max(trials, key=lambda trial: trial.score)


def shown(trials: Sequence[Trial], score: str = SCORE) -> list[dict[str, float | str]]:
    """Returns trials as they are in ``result.json``, where the score has its own name."""
    return [
        {
            "model": trial.model,
            "learning_rate": trial.learning_rate,
            "steps": trial.steps,
            score: trial.score,
        }
        for trial in trials
    ]


def _phase(name: str, number: int) -> str:
    return f"{TUNING}{name}-{number}"
