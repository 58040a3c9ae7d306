"""Metrics of rank-speech from reading its networks, and arrays for the report."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plastorch.data.audio.frames import Frames
from plastorch.data.audio.logmel import LogMel
from plastorch.experiments.models import field
from plastorch.experiments.rank.frontier import sampling_error
from plastorch.experiments.rank.reading import (
    Measured,
    accuracy_by,
    best_points,
    measured,
    time_to_reach,
    validated,
)
from plastorch.rank import Readings

EARLY_MS = 700
"""Mean time of the answers at which all networks are compared, ms."""

PRICE = 0.8
"""Price α of a wrong answer against a late one at which each network's threshold is chosen anew."""


class Reading(NamedTuple):
    """A network, read at many thresholds."""

    validation: Readings
    test: Readings
    threshold: float
    """Threshold θ of the network."""
    entropy_weight: float
    """Entropy weight β of the network; 0 if it was not rank-coded."""


def chosen(readings: Mapping[str, Reading]) -> str:
    """Returns the rank-coded network to use: of those about as good as the best, the earliest.

    Good enough is a validation accuracy, at a network's own threshold, within a standard error.
    """
    own = {
        name: reading.validation.timing(reading.threshold)
        for name, reading in readings.items()
        if name.startswith("rank")
    }
    count = len(next(iter(readings.values())).validation.lengths)
    best = max(timing.accuracy for timing in own.values())
    good = [n for n, t in own.items() if t.accuracy >= best - sampling_error(best, count)]
    return min(good, key=lambda name: own[name].mean_step)


def measured_words(readings: Mapping[str, Reading], test: Frames, front: LogMel) -> Measured:
    """Returns metrics and arrays of all networks.

    ``rank.curve`` is the trade-off that all rank-coded networks together offer: of their readings
    at all thresholds, those that no other beats in time and accuracy on the validation set; times
    and accuracies are the test's. ``chosen`` is one network, for a fair comparison with others.
    """
    name = chosen(readings)
    ranked = {key: reading for key, reading in readings.items() if key.startswith("rank")}
    others = {key: reading for key, reading in readings.items() if key not in ranked}
    shown = {"chosen": readings[name], **others}
    metrics: dict[str, float] = {"test_accuracy": 0.0}
    arrays: dict[str, Tensor] = {}
    for title, reading in shown.items():
        found = measured(title, reading.test, reading.threshold)
        metrics |= found.metrics | _times(title, reading, test, front)
        arrays |= found.arrays
    metrics["test_accuracy"] = metrics["chosen_accuracy"]
    metrics["chosen_threshold"] = readings[name].threshold
    metrics["chosen_entropy_weight"] = readings[name].entropy_weight
    for key, reading in readings.items():
        metrics |= _early(key, reading, front) | _priced(key, reading, front)
    grid = []
    for key, reading in ranked.items():
        timing = reading.test.timing(reading.threshold)
        grid.append((reading.threshold, reading.entropy_weight, timing.mean_step, timing.accuracy))
        metrics[field(key, "accuracy")] = timing.accuracy
        metrics[field(key, "mean_ms")] = _ms(front, timing.mean_step)
        metrics[field(key, "uncrossed")] = timing.uncrossed
        metrics |= validated(key, reading.validation, reading.threshold)
    arrays["grid"] = torch.tensor(grid, dtype=torch.float64)
    arrays["rank.curve"] = _trade_off(ranked)
    saved = time_to_reach(arrays["last.curve"].numpy(), metrics["chosen_accuracy"])
    metrics["last_same_accuracy_ms"] = _ms(front, saved)
    return Measured(metrics, arrays)


def _trade_off(readings: Mapping[str, Reading]) -> Tensor:
    """Returns mean step and test accuracy of the best readings by validation [F, 2]."""
    points = [
        [tuple(part.timing(theta)) for part in (reading.validation, reading.test)]
        for reading in readings.values()
        for theta in reading.test.thresholds
    ]
    validation, test = np.array(points)[:, :, [1, 0]].transpose(1, 0, 2)
    return torch.from_numpy(test[best_points(validation)])


def _early(name: str, reading: Reading, front: LogMel) -> dict[str, float]:
    """Returns accuracies of the answers that come at the same mean time in all networks."""
    step = (EARLY_MS / 1000 * front.rate - front.window) / front.hop
    parts = {"validation_early_accuracy": reading.validation, "early_accuracy": reading.test}
    return {field(name, kind): accuracy_by(part, step) for kind, part in parts.items()}


def _priced(name: str, reading: Reading, front: LogMel) -> dict[str, float]:
    """Returns figures at the threshold that costs least on validation words.

    A network that is trained with noise may hardly ever cross the threshold of its training.
    """
    seen, test = reading.validation, reading.test
    threshold = min(seen.thresholds, key=lambda each: seen.cost(each, PRICE))
    timing = test.timing(threshold)
    figures = {
        "threshold": threshold,
        "cost": test.cost(threshold, PRICE),
        "accuracy": timing.accuracy,
        "mean_ms": _ms(front, timing.mean_step),
        "uncrossed": timing.uncrossed,
    }
    return {field(name, f"priced_{kind}"): value for kind, value in figures.items()}


def _times(title: str, reading: Reading, test: Frames, front: LogMel) -> dict[str, float]:
    """Returns milliseconds until the answer, from the recording's beginning and from the word's."""
    readings, timing = reading.test, reading.test.timing(reading.threshold)
    step = readings.step[readings.thresholds.index(reading.threshold)].double()
    times = {
        "mean_ms": timing.mean_step,
        "median_ms": timing.median_step,
        "late_ms": timing.late_step,
        "after_onset_ms": float((step - test.onset).clamp(min=0).mean()),
    }
    return {field(title, kind): _ms(front, value) for kind, value in times.items()}


def _ms(front: LogMel, step: float) -> float:
    """Returns milliseconds until a step, whole or not, is known."""
    return 1000 * (step * front.hop + front.window) / front.rate
