"""Metrics of an fstdp-synthetic run from its log, and arrays for the report."""

from collections import defaultdict
from collections.abc import Sequence
from math import log10, sqrt
from statistics import mean, median
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from plastorch.engine.run import Record

AVERAGED = (
    *("auc", "auc_slow", "auc_fast", "auc_distractors", "auc_efficacy", "separation"),
    *("time_to_95", "precision", "output_rate", "weight_members", "weight_others"),
    *("rank_with_covariance", "rank_with_rate", "rank_of_members"),
)
"""Figures of each condition and rule, as means over spike trains."""
CLEAR = (0.1, 0.2, 0.5, 0.8)
"""Correlations that the claims are about; 0.05 is measured besides."""


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run by name."""
    phases = _grouped(records, "phase")
    parts = {
        "streams": _of_streams,
        "theory": _of_theory,
        "boundary": _of_boundary,
        "memristive": _of_memristive,
        "agreement": _of_agreement,
    }
    found: dict[str, float] = {}
    for name, figures in parts.items():
        if (name,) in phases:
            found |= figures(phases[name,])
    return found


def _grouped(rows: Sequence[Record], *names: str) -> dict[tuple[Any, ...], list[Record]]:
    """Returns the rows by the values of some settings, in the order in which they come."""
    groups: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _mean(rows: Sequence[Record], name: str) -> float:
    return mean(float(row[name]) for row in rows)


def _of_streams(rows: Sequence[Record]) -> dict[str, float]:
    """Returns means over spike trains, and the worst area under the ROC curve."""
    found = {}
    for (condition, rule), group in _grouped(rows, "condition", "rule").items():
        name = f"{condition}_{rule}".replace("-", "_")
        for figure in AVERAGED:
            having = [row for row in group if figure in row]
            if having:
                found[f"{name}_{figure}"] = _mean(having, figure)
        areas = [float(row["auc"]) for row in group]
        found[f"{name}_auc_worst"] = max(areas) if "_stdp" in name else min(areas)
    return found


def _of_theory(rows: Sequence[Record]) -> dict[str, float]:
    """Returns errors of the mean resource, of ratios of drive, and of the mean-field drift."""
    resource = {(r["rate"], r["tau_fatigue"]): r for r in rows if "resource" in r}
    errors = [float(r["resource"]) / float(r["expected"]) - 1 for r in resource.values()]
    slow, fast = 10.0, 40.0
    taus = sorted({float(tau) for _, tau in resource})
    drive, expected = (
        [
            fast / slow * float(resource[fast, t][kind]) / float(resource[slow, t][kind])
            for t in taus
        ]
        for kind in ("resource", "expected")
    )
    drifts = [row for row in rows if "drift" in row]
    wrong = [float(row["drift"]) - float(row["drift_expected"]) for row in drifts]
    size = [float(row["drift"]) for row in drifts]
    thetas = [abs(float(r["theta"]) / float(r["theta_expected"]) - 1) for r in drifts]
    return {
        "resource_error": max(abs(error) for error in errors),
        "drive_ratio_error": max(abs(a / b - 1) for a, b in zip(drive, expected, strict=True)),
        "drive_ratio_least_fatigued": drive[0],
        "drive_ratio_most_fatigued": drive[-1],
        "drift_error": sqrt(mean(e**2 for e in wrong) / mean(s**2 for s in size)),
        "theta_error": mean(thetas),
    }


def _of_boundary(rows: Sequence[Record]) -> dict[str, float]:
    """Returns how well the condition predicts where correlated inputs beat fast ones."""
    right = [(float(row["margin"]) > 0) == (float(row["auc_fast"]) > 0.5) for row in rows]
    found = {"condition_agreement": mean(map(float, right))}
    pairs = []
    for (ratio, c), group in sorted(_grouped(rows, "ratio", "correlation").items()):
        simulated, predicted = _crossing(group, "auc_fast", 0.5), _crossing(group, "margin", 0.0)
        if simulated and predicted:
            found[f"threshold_{ratio:g}_{c}"] = simulated
            found[f"threshold_{ratio:g}_{c}_predicted"] = predicted
            pairs.append((simulated, predicted))
    if len(pairs) > 2:
        logs = [abs(log10(one / other)) for one, other in pairs]
        found["threshold_factor"] = 10 ** median(logs)
        rank = spearmanr(*zip(*pairs, strict=True)).statistic
        found["threshold_rank_correlation"] = float(rank)
        found["thresholds"] = len(pairs)
    return found


def _crossing(rows: Sequence[Record], name: str, level: float) -> float | None:
    """Returns the strength at which a figure's mean first exceeds a level, on a log scale; None if
    it is never below or never above."""
    before = None
    curve = {float(x): _mean(group, name) for (x,), group in _grouped(rows, "strength").items()}
    for x, y in sorted(curve.items()):
        if y > level:
            if before is None:
                return None
            share = (level - before[1]) / (y - before[1])
            return float(before[0] * (x / before[0]) ** share)
        before = x, y
    return None


def _of_memristive(rows: Sequence[Record]) -> dict[str, float]:
    """Returns areas under the ROC curve with phase-change synapses, and their losses."""
    found = {}
    several = max(int(row["pairs"]) for row in rows)
    for pairs, name in ((1, "one_pair"), (several, "several_pairs")):
        chosen = [row for row in rows if row["pairs"] == pairs]
        losses = {}
        for (c,), group in sorted(_grouped(chosen, "correlation").items()):
            found[f"{name}_{c}_auc"] = _mean(group, "auc")
            losses[c] = mean(float(row["ideal"]) - float(row["auc"]) for row in group)
        found |= {f"{name}_{c}_loss": loss for c, loss in losses.items()}
        found[f"{name}_loss"] = max(loss for c, loss in losses.items() if c in CLEAR)
    return found


def _of_agreement(rows: Sequence[Record]) -> dict[str, float]:
    """Returns whether engines give the same spikes, and the largest difference of a weight."""
    return {
        "engines_same_spikes": min(float(row["same_spikes"]) for row in rows),
        "engines_weight_difference": max(float(row["weight_difference"]) for row in rows),
    }


def boundary_arrays(records: Sequence[Record]) -> dict[str, Tensor]:
    """Returns the arrays of the boundary for the report: axes, and means over spike trains."""
    rows = [row for row in records if row["phase"] == "boundary"]
    axes = ("ratio", "correlation", "strength")
    places = [sorted({float(row[axis]) for row in rows}) for axis in axes]
    arrays = {f"boundary_{a}s": torch.tensor(p) for a, p in zip(axes, places, strict=True)}
    for name in ("auc_fast", "margin"):
        table = torch.full([len(place) for place in places], torch.nan)
        for point, group in _grouped(rows, *axes).items():
            at = [place.index(x) for place, x in zip(places, point, strict=True)]
            table[tuple(at)] = _mean(group, name)
        arrays[f"boundary_{name}"] = table
    return arrays
