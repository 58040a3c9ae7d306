"""Results of reading networks at many thresholds, and comparison of networks at equal times."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import isnan
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.run import Record
from plastorch.experiments.models import field
from plastorch.rank import Batch, RankCoder, Readings
from plastorch.rank.criterion import answer
from plastorch.rank.objectives import Objective

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Thresholds at which a network is read."""


class Measured(NamedTuple):
    """Metrics and arrays of a network."""

    metrics: dict[str, float]
    arrays: dict[str, Tensor]


def thresholds_with(*own: float, common: tuple[float, ...] = THRESHOLDS) -> tuple[float, ...]:
    """Returns all thresholds at which a network is read, its own among them."""
    return tuple(sorted({*common, *own}))


def validation(
    batches: Sequence[Batch], objective: Objective = "first"
) -> Callable[[RankCoder], Record]:
    """Returns a function that measures answers at t*, or at the end for objectives without t*."""

    @torch.no_grad()
    def validate(net: RankCoder) -> Record:
        right = steps = count = 0
        for x, labels, lengths, _ in batches:
            if objective not in ("last", "all"):
                decision = net(x, lengths)
                label, step = decision.label, decision.step
            else:
                logits = net.all_steps(x, lengths)
                last = torch.full_like(labels, len(x)) if lengths is None else lengths
                step = last.to(labels) - 1
                label = answer(logits[step, torch.arange(len(step), device=step.device)])
            right, steps = right + int((label == labels).sum()), steps + int(step.sum())
            count += len(labels)
        return {"validation_accuracy": right / count, "validation_mean_step": steps / count}

    return validate


def least_rise(values: Iterable[float]) -> float:
    """Returns the smallest rise from a value to the next."""
    return min(later - earlier for earlier, later in pairwise(values))


def measured(name: str, readings: Readings, threshold: float) -> Measured:
    """Measures how good a network's answers are, and how early, by metrics and arrays.

    ``curve`` has mean step, accuracy, θ and share without crossing for each θ [K, 4]; ``fixed``
    accuracy at each step [T]; ``steps`` numbers of right and of wrong answers at each step, then of
    those without crossing [2, T + 1]. Other metrics are at ``threshold``.
    """
    timings = [readings.timing(each) for each in readings.thresholds]
    place, steps = readings.thresholds.index(threshold), len(readings.accuracy_at)
    curve = [
        (timing.mean_step, timing.accuracy, each, timing.uncrossed)
        for timing, each in zip(timings, readings.thresholds, strict=True)
    ]
    metrics = timings[place]._asdict() | {
        "first_accuracy": float(readings.accuracy_at[0]),
        "last_accuracy": float(readings.accuracy_at[-1]),
        "area": float(readings.accuracy_at.mean()),
        "skipped": readings.skipped(threshold),
    }
    when = torch.where(readings.crossed[place], readings.step[place], steps)
    right = readings.right[place]
    counts = [torch.bincount(when[of], minlength=steps + 1) for of in (right, ~right)]
    arrays = {
        "curve": torch.tensor(curve, dtype=torch.float64),
        "fixed": readings.accuracy_at,
        "steps": torch.stack(counts),
    }
    return Measured(
        {field(name, kind): value for kind, value in metrics.items() if not isnan(value)},
        {f"{name}.{kind}": array for kind, array in arrays.items()},
    )


def validated(name: str, readings: Readings, threshold: float) -> dict[str, float]:
    """Returns a network's figures on data held out from training, by which settings are chosen."""
    timing = readings.timing(threshold)
    figures = {
        "first_accuracy": float(readings.accuracy_at[0]),
        "accuracy": timing.accuracy,
        "mean_step": timing.mean_step,
    }
    return {field(name, f"validation_{kind}"): value for kind, value in figures.items()}


def accuracy_by(readings: Readings, step: float) -> float:
    """Returns the accuracy of answers that come at this step on average, from 0.

    It is interpolated between thresholds, and the answers of all after the first step.
    """
    timings = [readings.timing(each) for each in readings.thresholds]
    points = [(0.0, float(readings.accuracy_at[0]))]
    points += sorted((timing.mean_step, timing.accuracy) for timing in timings)
    times, right = zip(*points, strict=True)
    return float(np.interp(step, times, right))


def best_points(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the readings (mean step, accuracy) that none beats in both, the earliest first."""
    order = np.lexsort((-points[:, 1], points[:, 0]))
    best = np.maximum.accumulate(points[order, 1])
    kept = np.concatenate([[True], best[1:] > best[:-1]])
    found: NDArray[np.intp] = order[kept]
    return found


def time_to_reach(curve: NDArray[np.float64], accuracy: float) -> float:
    """Returns the earliest mean step at which a curve is that accurate; the last if it never is.

    The curve has mean step and accuracy of several readings [K, 2 or more], in any order.
    """
    steps, right = curve[curve[:, 0].argsort()][:, :2].T
    right = np.maximum.accumulate(right)
    after = int(np.searchsorted(right, accuracy))
    if after == 0 or after == len(right):
        return float(steps[0 if after == 0 else -1])
    share = (accuracy - right[after - 1]) / (right[after] - right[after - 1])
    return float(steps[after - 1] + share * (steps[after] - steps[after - 1]))


def gains(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], count: int = 50
) -> NDArray[np.float64]:
    """Returns how far our curve is above theirs at ``count`` times that both have, evenly spread.

    Curves have mean step and accuracy of several readings [K, 2], in any order; the result has
    times and gains [count, 2], and is empty if they have no time in common.
    """
    ours, theirs = ours[ours[:, 0].argsort()], theirs[theirs[:, 0].argsort()]
    first, last = max(ours[0, 0], theirs[0, 0]), min(ours[-1, 0], theirs[-1, 0])
    if first > last:
        return np.zeros((0, 2))
    times = np.linspace(first, last, count)
    gain = np.interp(times, *ours[:, :2].T) - np.interp(times, *theirs[:, :2].T)
    return np.stack([times, gain], axis=1)
