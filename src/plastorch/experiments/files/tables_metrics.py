"""Metrics of a files-tables run from its log: figures of models on tables."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from statistics import mean, stdev
from typing import Any

from plastorch.engine.run import Record

IDENTIFIERS = ("phase", "step", "table", "fold", "model", "labeled", "hash")
"""Fields that say what was measured; all others are figures."""
BINS = 15
"""Number of bins of the confidence, as of a reliability curve."""
PERIODS = {
    25.0: "25_seconds",
    3600.0: "hour",
    86_400.0: "day",
    30 * 86_400.0: "month",
    365 * 86_400.0: "year",
}
"""Names of times since the weights were written into devices."""


def metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns the figures of a run by name: means over folds."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if "table" in record:
            groups[str(record["table"]), str(record["model"])].append(record)
    found: dict[str, float] = {}
    for (table, model), rows in groups.items():
        name = field(table, model)
        if model == "memristive":
            found |= _of_devices(name, rows)
        elif model == "stream":
            found |= _of_stream(name, rows)
        elif model == "other-hash":
            found |= _means(name, rows) | _of_hashes(name, rows)
        elif model == "reliability":
            found |= _of_reliability(name, rows)
        elif model != "confusion":
            found |= _of_labels(name, rows)
    for table, model in list(groups):
        if model == "logistic":  # for comparison with models tested in the first fold only
            first = groups[table, model][0]
            found[field(table, "first-logistic") + "_accuracy"] = float(first["accuracy"])
    for own in ("snn", "estimator"):
        accuracies = [found[field(t, m) + "_accuracy"] for t, m in groups if m == own]
        if accuracies:
            return {"test_accuracy": mean(accuracies)} | found
    return found


def field(table: str, model: str) -> str:
    """Returns the prefix of the figures of a model on a table, such as "adult_linear_svm"."""
    return f"{table}_{model}".replace("-", "_")


def _means(name: str, rows: Sequence[Record]) -> dict[str, float]:
    figures = [field for field in rows[0] if field not in IDENTIFIERS]
    return {f"{name}_{figure}": mean(float(row[figure]) for row in rows) for figure in figures}


def _of_labels(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Returns figures of a model that has all labels; of clusters also with few of them."""
    whole = [row for row in rows if row.get("labeled", 1) == 1]
    found = _means(name, whole)
    if len(whole) > 1 and "accuracy" in whole[0]:
        found[f"{name}_accuracy_deviation"] = stdev(float(row["accuracy"]) for row in whole)
    for share in sorted({float(row.get("labeled", 1)) for row in rows} - {1.0}):
        few = [row for row in rows if row.get("labeled") == share]
        found[f"{name}_accuracy_{100 * share:g}_percent"] = mean(float(r["accuracy"]) for r in few)
    return found


def _of_devices(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Returns figures of weights in devices by time; losses are against weights as numbers. Folds
    count alike, though weights are written more often in the first one."""
    found = {}
    for seconds, compensated in sorted({(float(r["seconds"]), r["compensated"]) for r in rows}):
        chosen = [r for r in rows if (r["seconds"], r["compensated"]) == (seconds, compensated)]
        at = f"{name}_{PERIODS[seconds]}" + ("" if compensated else "_uncompensated")
        found[f"{at}_accuracy"] = _over_folds(chosen, "accuracy")
        found[f"{at}_accuracy_loss"] = _over_folds(chosen, "ideal") - found[f"{at}_accuracy"]
        first = [float(row["accuracy"]) for row in chosen if row["fold"] == 0]
        if len(first) > 1:
            found[f"{at}_accuracy_deviation"] = stdev(first)
    return found


def _over_folds(rows: Sequence[Record], figure: str) -> float:
    folds: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        folds[row["fold"]].append(float(row[figure]))
    return mean(map(mean, folds.values()))


def _of_hashes(name: str, rows: Sequence[Record]) -> dict[str, float]:
    largest = max(float(row["kappa"]) for row in rows)
    return {f"{name}_kappa_largest": largest, f"{name}_hashes": len(rows)}


def _of_reliability(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Returns the expected calibration error of all folds together: the answers of a fold alone are
    so few in a bin that chance would make up most of it."""
    bins: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for row in rows:
        sure, share, count = (float(row[n]) for n in ("confidence", "accuracy", "answers"))
        bins[ceil(sure * BINS)].append((sure * count, share * count, count))
    sums = [tuple(map(sum, zip(*parts, strict=True))) for parts in bins.values()]
    answers = sum(count for _, _, count in sums)
    error = sum(abs(sure - right) for sure, right, _ in sums) / answers
    return {f"{name}_calibration_error": error, f"{name}_answers": answers}


def _of_stream(name: str, rows: Sequence[Record]) -> dict[str, float]:
    """Returns figures of arriving keys: how far accuracy ever falls with one more key."""
    course = [float(row["accuracy"]) for row in sorted(rows, key=lambda row: float(row["keys"]))]
    falls = [one - two for one, two in pairwise(course)]
    return {
        f"{name}_largest_fall_of_accuracy": max([0.0, *falls]),
        f"{name}_accuracy_first_key": course[0],
        f"{name}_accuracy_half_of_keys": course[(len(course) - 1) // 2],
        f"{name}_accuracy_all_keys": course[-1],
    }
