"""Metrics of an fstdp-synthetic run from its log, and arrays for the report."""

from collections import defaultdict
from collections.abc import Sequence
from math import log10, sqrt
from statistics import mean, median

import numpy as np
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
    """Returns the figures of a run by name.

    Args:
        records: lines of ``metrics.jsonl``.

    Example:
        >>> metrics([{"phase": "streams", "condition": "fast", "rule": "stdp", "auc": 0.5}])
        {'fast_stdp_auc': 0.5, 'fast_stdp_auc_worst': 0.5}
    """
    phases: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        phases[str(record["phase"])].append(record)
    found = _of_streams(phases["streams"])
    if phases["theory"]:
        found |= _of_theory(phases["theory"])
    if phases["boundary"]:
        found |= _of_boundary(phases["boundary"])
    if phases["memristive"]:
        found |= _of_memristive(phases["memristive"])
    if phases["agreement"]:
        rows = phases["agreement"]
        found["engines_same_spikes"] = min(float(row["same_spikes"]) for row in rows)
        found["engines_weight_difference"] = max(float(row["weight_difference"]) for row in rows)
    return found


def _of_streams(rows: Sequence[Record]) -> dict[str, float]:
    """Returns means over spike trains, and the worst area under the ROC curve."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        name = f"{row['condition']}_{row['rule']}".replace("-", "_")
        groups[name].append(row)
    found = {}
    for name, group in groups.items():
        for figure in AVERAGED:
            values = [float(row[figure]) for row in group if figure in row]
            if values:
                found[f"{name}_{figure}"] = mean(values)
        areas = [float(row["auc"]) for row in group]
        found[f"{name}_auc_worst"] = max(areas) if "_stdp" in name else min(areas)
    return found


def _of_theory(rows: Sequence[Record]) -> dict[str, float]:
    """Returns errors of the mean resource, of ratios of drive, and of the mean-field drift."""
    resource = {(r["rate"], r["tau_fatigue"]): r for r in rows if "resource" in r}
    errors = [float(r["resource"]) / float(r["expected"]) - 1 for r in resource.values()]
    slow, fast = 10.0, 40.0
    taus = sorted({float(tau) for _, tau in resource})
    ratios = {
        kind: [
            fast / slow * float(resource[fast, tau][kind]) / float(resource[slow, tau][kind])
            for tau in taus
        ]
        for kind in ("resource", "expected")
    }
    drifts = [row for row in rows if "drift" in row]
    wrong = [float(row["drift"]) - float(row["drift_expected"]) for row in drifts]
    size = [float(row["drift"]) for row in drifts]
    thetas = [abs(float(r["theta"]) / float(r["theta_expected"]) - 1) for r in drifts]
    pairs = zip(ratios["resource"], ratios["expected"], strict=True)
    return {
        "resource_error": max(abs(error) for error in errors),
        "drive_ratio_error": max(abs(one / other - 1) for one, other in pairs),
        "drive_ratio_least_fatigued": ratios["resource"][0],
        "drive_ratio_most_fatigued": ratios["resource"][-1],
        "drift_error": sqrt(mean(e**2 for e in wrong) / mean(s**2 for s in size)),
        "theta_error": mean(thetas),
    }


def _of_boundary(rows: Sequence[Record]) -> dict[str, float]:
    """Returns how well the condition predicts where correlated inputs beat fast ones."""
    right = [(float(row["margin"]) > 0) == (float(row["auc_fast"]) > 0.5) for row in rows]
    found = {"condition_agreement": mean(map(float, right))}
    pairs = []
    for ratio, c in sorted({(float(row["ratio"]), float(row["correlation"])) for row in rows}):
        curve = _curve(rows, ratio, c)
        simulated = _crossing(curve, "auc_fast", 0.5)
        predicted = _crossing(curve, "margin", 0.0)
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


def _curve(rows: Sequence[Record], ratio: float, correlation: float) -> list[Record]:
    """Returns means over spike trains by strength of fatigue."""
    chosen = [r for r in rows if (r["ratio"], r["correlation"]) == (ratio, correlation)]
    strengths = sorted({float(row["strength"]) for row in chosen})
    curve: list[Record] = []
    for x in strengths:
        rows_of_x = [row for row in chosen if row["strength"] == x]
        means = {n: mean(float(row[n]) for row in rows_of_x) for n in ("auc_fast", "margin")}
        curve.append({"strength": x, **means})
    return curve


def _crossing(curve: Sequence[Record], name: str, level: float) -> float | None:
    """Returns the strength at which a figure first exceeds a level, on a log scale; None if it is
    never below or never above."""
    before = None
    for point in curve:
        x, y = float(point["strength"]), float(point[name])
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
        losses = {}
        for c in sorted({float(row["correlation"]) for row in rows}):
            group = [r for r in rows if (r["pairs"], r["correlation"]) == (pairs, c)]
            found[f"{name}_{c}_auc"] = mean(float(row["auc"]) for row in group)
            losses[c] = mean(float(row["ideal"]) - float(row["auc"]) for row in group)
        found |= {f"{name}_{c}_loss": loss for c, loss in losses.items()}
        found[f"{name}_loss"] = max(loss for c, loss in losses.items() if c in CLEAR)
    return found


def grid_arrays(records: Sequence[Record]) -> dict[str, Tensor]:
    """Returns arrays of the grids for the report: axes, and means over spike trains.

    Args:
        records: lines of ``metrics.jsonl``.
    """
    arrays = {}
    rows = [row for row in records if row["phase"] == "boundary"]
    axes = ("ratio", "correlation", "strength")
    for name in ("auc", "auc_fast", "margin"):
        arrays[f"boundary_{name}"] = _table(rows, axes, name)
    arrays |= {f"boundary_{axis}s": _axis(rows, axis) for axis in axes}
    rows = [row for row in records if row["phase"] == "grid"]
    axes = ("correlation", "ratio", "jitter")
    arrays |= {f"grid_{axis}s": _axis(rows, axis) for axis in axes}
    for place in ("slow", "fast", "both"):
        for rule in ("stdp", "fstdp"):
            chosen = [row for row in rows if (row["place"], row["rule"]) == (place, rule)]
            arrays[f"grid_{place}_{rule}"] = _table(chosen, axes, "auc", rows)
    rows = [row for row in records if row["phase"] == "theory" and "drift" in row]
    arrays["drift"] = torch.tensor(
        [[float(row["drift_expected"]), float(row["drift"])] for row in rows]
    )
    curve = [
        (float(str(row["rule"]).split("-")[1]), float(row["auc"]))
        for row in records
        if row["phase"] == "streams" and str(row["rule"]).startswith("strength")
    ]
    points = sorted({x for x, _ in curve})
    values = [[auc for x, auc in curve if x == point] for point in points]
    lines = [[x, mean(v), min(v), max(v)] for x, v in zip(points, values, strict=True)]
    arrays["auc_by_strength"] = torch.tensor(lines).view(-1, 4).T.contiguous()
    return arrays


def _axis(rows: Sequence[Record], axis: str) -> Tensor:
    return torch.tensor(sorted({float(row[axis]) for row in rows}))


def _table(
    rows: Sequence[Record], axes: Sequence[str], name: str, all_rows: Sequence[Record] = ()
) -> Tensor:
    """Returns means of a figure by the values of some settings; NaN where there is none."""
    places = [sorted({float(row[axis]) for row in all_rows or rows}) for axis in axes]
    total, count = np.zeros([len(p) for p in places]), np.zeros([len(p) for p in places])
    for row in rows:
        at = tuple(p.index(float(row[a])) for p, a in zip(places, axes, strict=True))
        total[at] += float(row[name])
        count[at] += 1
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(total / count).float()
