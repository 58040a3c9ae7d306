"""Metrics by name of answers to the toy tasks, and arrays for the report."""

from math import nan

import torch
from scipy.stats import spearmanr
from torch import Tensor

from plastorch.data.tasks.evidence import (
    RUN_STEPS,
    SIGMAS,
    Runs,
    Signals,
    run_log_odds,
)
from plastorch.experiments.models import field
from plastorch.experiments.rank.frontier import best_frontier, evidence, excess
from plastorch.experiments.rank.reading import Measured, measured, thresholds_with
from plastorch.rank import Batch, Readings
from plastorch.rank.evaluate import read

THRESHOLDS = (0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
"""Thresholds at which a network is read."""
EARLY = 7
"""Steps at which answers to noisy signals are mostly mistakes, whatever the noise."""
NOISE_LEVELS = 10
PART = 2000
"""Number of sequences that are read at a time."""


def measured_signals(name: str, readings: Readings, data: Signals, threshold: float) -> Measured:
    """Measures answers to noisy signals: how good, how early, and whether noise delays them.

    ``threshold_time`` and ``threshold_gain`` are the smallest increases of t* and of accuracy from
    one threshold to the next.
    """
    metrics, arrays = measured(name, readings, threshold)
    rises = arrays[f"{name}.curve"][:, :2].diff(dim=0).amin(dim=0).tolist()
    more = dict(zip(("threshold_time", "threshold_gain"), rises, strict=True))
    step = readings.step[readings.thresholds.index(threshold)]
    late = step >= EARLY
    if late.any() and step[late].min() < step[late].max():
        more["noise_rank"] = float(spearmanr(data.sigma[late], step[late]).statistic)
    low, high = SIGMAS
    level = ((data.sigma - low) / (high - low) * NOISE_LEVELS).long().clamp(max=NOISE_LEVELS - 1)
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    groups = [step[level == i].double() for i in range(NOISE_LEVELS)]
    times = [of.quantile(quarters) if len(of) else torch.full_like(quarters, nan) for of in groups]
    return Measured(
        metrics | {field(name, kind): value for kind, value in more.items()},
        arrays | {f"{name}.noise": torch.stack(times)},
    )


def measured_runs(name: str, readings: Readings, data: Runs, threshold: float) -> Measured:
    """Measures answers to sequences of bits: how good, and how long after a run of equal bits.

    ``early`` is the share of all sequences that cross before the answer could be known. Of those
    with a run, ``missed`` is the share answered wrong, and ``lag`` the mean number of steps from
    the run's last bit to an answer that is right and not early.
    """
    metrics, arrays = measured(name, readings, threshold)
    place = readings.thresholds.index(threshold)
    step, right, positive = readings.step[place], readings.right[place], data.labels == 1
    lag = (step - data.known)[positive & right & (step >= data.known)]
    more = {
        "early": readings.early(threshold, data.known),
        "missed": float((positive & ~right).sum()) / float(positive.sum()),
        "timing_loss": timing_loss(readings, data, threshold),
    }
    if len(lag):
        more["lag"] = float(lag.double().mean())
    return Measured(
        metrics | {field(name, kind): value for kind, value in more.items()},
        arrays | {f"{name}.lag": torch.bincount(lag, minlength=RUN_STEPS)},
    )


def timing_loss(readings: Readings, data: Runs, threshold: float) -> float:
    """Returns the mean of 1 for a wrong or luckily early answer, else 1/20 per step of lag.

    The paper chooses the best weights by it; never crossing counts as crossing after the last step.
    """
    place = readings.thresholds.index(threshold)
    step, right, positive = readings.step[place], readings.right[place], data.labels == 1
    lag = (step + (~readings.crossed[place]).long() - data.known).double() / 20
    late = torch.where(lag < 0, 1.0, lag)
    return float(torch.where(right, torch.where(positive, late, 0.0), 1.0).mean())


def measured_observers(
    signals: Signals, runs: Runs, learn: Signals, threshold: float
) -> dict[str, Measured]:
    """Measures both tasks' ideal observers, and stopping rules found from the signals ``learn``."""
    thresholds, seen = thresholds_with(threshold, common=THRESHOLDS), evidence(signals)
    signal_parts = zip(
        torch.split(seen.log_odds[..., None], PART, dim=1),
        Batch(*signals[:2]).split(PART),
        strict=True,
    )
    run_parts = [(run_log_odds(batch.x), batch) for batch in Batch(*runs[:2]).split(PART)]
    frontier = best_frontier(evidence(learn), seen, signals.labels)
    return {
        "signal-observer": measured_signals(
            "signal-observer", read(signal_parts, thresholds), signals, threshold
        ),
        "runs-observer": measured_runs(
            "runs-observer", read(run_parts, thresholds), runs, threshold
        ),
        "signal-best": Measured({}, {"signal-best.curve": torch.from_numpy(frontier)}),
    }


def beyond_observers(found: dict[str, Measured]) -> dict[str, float]:
    """Returns by how much networks are more often right than observers that take as long.

    Networks are read at each threshold, and also all at the same time, at each step.
    ``beyond_best`` compares with the best stopping rules, ``beyond_threshold`` with an observer
    whose threshold is constant. The latter is no limit: see :func:`stopping_rules`.
    """
    limits = {"signal-best": "beyond_best", "signal-observer": "beyond_threshold"}
    points = [
        readings
        for name, each in found.items()
        if name.startswith("signal") and name not in limits
        for readings in (each.arrays[f"{name}.curve"][:, :2], _timed(each.arrays[f"{name}.fixed"]))
    ]
    if not points:
        return {}
    reached = torch.cat(points).numpy()
    return {
        kind: excess(reached, found[name].arrays[f"{name}.curve"][:, :2].numpy())
        for name, kind in limits.items()
    }


def _timed(accuracy: Tensor) -> Tensor:
    """Returns step and accuracy of reading at each step [T, 2]."""
    return torch.stack([torch.arange(len(accuracy)).to(accuracy), accuracy], dim=1)
