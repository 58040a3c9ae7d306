"""Figures of learning with efference copies: gains, courses, predicted actions, transfer."""

import re
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Line, Spread
from plastorch.report.load import Array, Row, RunData, is_number, series
from plastorch.report.panel import Panel
from plastorch.report.panels import with_curves

METHODS = {"simclr": "SimCLR", "byol": "BYOL", "relic": "ReLIC"}
ROLES = {
    "baseline": "baseline",
    "stec": "S-TEC",
    "augself": "AugSelf",
    "equimod": "EquiMod",
    "essl": "E-SSL",
    "shuffled": "shuffled",
}
_MEAN = "mean of seeds, 95 % interval"
PHASE = rf"(?:probe-)?(simclr|byol|relic)-({'|'.join(ROLES)}|swept\d+)-(\d+).*"
"""Regular expression of the phases in which methods are trained and probed."""
CLASSIFIERS = {
    "logistic_accuracy": "a logistic regression on frozen features",
    "accuracy": "a linear layer that learned beside the method",
}
PROBES = {
    "logistic_accuracy": "logistic regression",
    "knn_accuracy": "nearest neighbors",
    "ridge_accuracy": "ridge regression",
    "few_labels_accuracy": "10 labels per class",
}
TRIED = {
    "place_r2": "place",
    "size_r2": "size",
    "color_r2": "color",
    "orientation_accuracy": "orientation",
    "segmentation_iou": "pixels",
    "detection_ap50": "boxes",
}


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run with efference copies has data for."""
    gains = (_gain(run, kind, classifier) for kind, classifier in CLASSIFIERS.items())
    told = (_told(run, method) for method in METHODS)
    found = [*gains, _sweep(run), _probes(run), _courses(run), *told, _transfer(run)]
    found.append(_geometry(run))
    return with_curves(run, found, f"stec-(measure|control|transfer)|{PHASE}")


def _rows(run: RunData, phase: str) -> list[Row]:
    return [
        row for row in run.rows if row.get("phase") == phase and isinstance(row.get("arm"), str)
    ]


def _title(arm: str) -> str:
    """Returns an arm such as "simclr-stec" in words."""
    method, _, role = arm.partition("-")
    return f"{METHODS.get(method, method)} {ROLES.get(role, role)}"


def _accuracies(run: RunData, kind: str) -> dict[str, dict[int, float]]:
    """Returns test accuracy by arm and seed, averaged over exams."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(run, "stec-measure"):
        found[str(row["arm"])][int(row["seed"])].append(float(row[kind]))
    return {arm: {seed: fmean(v) for seed, v in of.items()} for arm, of in found.items()}


def _gain(run: RunData, kind: str, classifier: str) -> Panel | None:
    right, metrics = _accuracies(run, kind), run.result.get("metrics", {})
    gains: dict[str, dict[str, Spread]] = {}
    for arm, of in right.items():
        method, _, role = arm.partition("-")
        baseline = right.get(f"{method}-baseline", {})
        names = [f"{method}_{role}_gain_{name}_{kind}" for name in ("mean", "low", "high")]
        if role == "baseline" or not baseline or not all(name in metrics for name in names):
            continue
        mean, low, high = (100 * float(metrics[name]) for name in names)
        seeds = [100 * (of[seed] - baseline[seed]) for seed in of if seed in baseline]
        gains[_title(arm)] = {_MEAN: Spread(mean, low, high, seeds)}
    if not gains:
        return None
    words = "; ".join(f"{name} {of[_MEAN].mean:+.2f}" for name, of in gains.items())
    return Panel(
        name=f"gains-{kind}",
        title=f"What efference copies bring: {classifier}",
        caption=f"Test accuracy of {classifier}, of methods with efference copies (S-TEC), or with "
        "those of other pairs of views (shuffled), less that of the baseline without, in points. "
        "Small dots are seeds, which begin alike and see the same views in both; the mark is their "
        f"mean, with its 95 % confidence interval. {words}.",
        alt=f"Mean differences of test accuracy, with intervals, in points: {words}.",
        draw=lambda theme: charts.points(
            {"": gains}, x="points of test accuracy", at_x=[0], theme=theme
        ),
    )


def _courses(run: RunData) -> Panel | None:
    found: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for phase in dict.fromkeys(str(row.get("phase")) for row in run.rows):
        match = re.fullmatch(PHASE, phase)
        if match and match[2] in ROLES and not phase.startswith("probe"):
            rows = series(run.rows, phase, "step", ["test_accuracy"])
            found[METHODS[match[1]]][ROLES[match[2]]].append([row["test_accuracy"] for row in rows])
    courses = {
        method: {role: _course(seeds) for role, seeds in roles.items()}
        for method, roles in found.items()
    }
    if not any(course.size for roles in courses.values() for course in roles.values()):
        return None
    return Panel(
        name="stec-courses",
        title="During training",
        caption="Test accuracy, after each epoch, of a linear layer that learns from the method's "
        "features without affecting them; mean over seeds.",
        alt=f"Line plots of test accuracy against the epoch: {', '.join(courses)}.",
        draw=lambda theme: charts.lines(courses, x="epoch", y_unit="%", theme=theme),
    )


def _course(seeds: list[list[float]]) -> Array:
    """Returns epochs and per cent, the mean over seeds [2, epochs]."""
    means = [100 * fmean(values) for values in zip(*seeds, strict=False)]
    return np.array([range(1, len(means) + 1), means])


def _means(rows: Iterable[Row], start: str) -> dict[str, float]:
    """Returns means of the fields with this prefix, by the rest of their names."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            if name.startswith(start) and is_number(value):
                values[name.removeprefix(start)].append(float(value))
    return {name: fmean(of) for name, of in values.items()}


def _told(run: RunData, method: str) -> Panel | None:
    trained = [row for row in _rows(run, "stec-measure") if row["arm"] == f"{method}-stec"]
    frozen = _rows(run, "stec-control")
    kinds = {"with the encoder": _means(trained, "found_")}
    for role in ("stec", "baseline"):
        mine = [row for row in frozen if row["arm"] == f"{method}-{role}"]
        kinds[f"later, {ROLES[role]}"] = _means(mine, "found_")
    kinds["most frequent"] = _means(trained, "majority_")
    factors = list(kinds["with the encoder"])
    if not factors:
        return None
    groups = {
        factor.replace("_", " "): {
            kind: 100 * of[factor] for kind, of in kinds.items() if factor in of
        }
        for factor in factors
    }
    return Panel(
        name=f"told-{method}",
        title=f"{METHODS[method]}: which actions features reveal",
        caption="Share of pairs of views of test images for which each factor of the action "
        "between them is predicted correctly: by the inverse model that learned with the encoder, "
        "and by new ones that learned later on frozen encoders, of S-TEC and of the baseline. "
        "Beside them, the share of the most frequent class.",
        alt=f"Shares of right answers for {', '.join(groups)}.",
        draw=lambda theme: charts.points({"": groups}, x="right answers", x_unit="%", theme=theme),
    )


def _groups(rows: list[Row], fields: dict[str, str]) -> dict[str, dict[str, float]]:
    """Returns means over seeds by field and method, and by role."""
    groups: dict[str, dict[str, float]] = {}
    for field, words in fields.items():
        for method, title in METHODS.items():
            found: dict[str, list[float]] = defaultdict(list)
            for row in (row for row in rows if field in row):
                own, _, role = str(row["arm"]).partition("-")
                if own == method and role in ROLES:
                    found[ROLES[role]].append(float(row[field]))
            if found:
                groups[f"{title} {words}"] = {name: fmean(of) for name, of in found.items()}
    return groups


def _probes(run: RunData) -> Panel | None:
    shares = _groups(_rows(run, "stec-measure"), PROBES)
    groups = {name: {k: 100 * v for k, v in of.items()} for name, of in shares.items()}
    if not groups:
        return None
    return Panel(
        name="probes",
        title="What features are worth",
        caption="Test accuracy of classifiers on frozen features, mean over seeds: two linear ones "
        "trained to convergence, the majority of 20 nearest neighbors, and a logistic regression "
        "that learned from only 10 labels of each class.",
        alt=f"Test accuracy for {', '.join(groups)}.",
        draw=lambda theme: charts.points({"": groups}, x="test accuracy", x_unit="%", theme=theme),
    )


def _transfer(run: RunData) -> Panel | None:
    groups = _groups(_rows(run, "stec-transfer"), TRIED)
    if not groups:
        return None
    return Panel(
        name="transfer",
        title="Where things are",
        caption="Frozen encoders on scenes of digits that are pasted on images. "
        "Place, size, color: share of their variance, in scenes of one object, that a linear map "
        "of features explains. Orientation: share of rotated scenes whose angle, of four, is "
        "predicted correctly. "
        "Pixels: mean intersection over union of classes. Boxes: AP50 of detection. "
        "The last two are by small heads on the last feature map.",
        alt=f"Figures of transfer for {', '.join(groups)}.",
        draw=lambda theme: charts.points({"": groups}, theme=theme),
    )


def _geometry(run: RunData) -> Panel | None:
    rows = _rows(run, "stec-measure")
    groups: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(str(row["arm"]) for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        if arm.partition("-")[2] in ROLES:
            names = {"within classes": "within", "between classes": "between"}
            groups[_title(arm)] = {
                words: fmean(float(row[field]) for row in mine) for words, field in names.items()
            }
    if not groups:
        return None
    return Panel(
        name="stec-geometry",
        title="How well classes are separated",
        caption="Mean cosine of the features of two test images of one class, and of two of "
        "different classes; the further apart the two marks, the better classes are separated.",
        alt=f"Mean cosines within and between classes for {', '.join(groups)}.",
        draw=lambda theme: charts.points({"": groups}, x="mean cosine", theme=theme),
    )


def _sweep(run: RunData) -> Panel | None:
    accuracies: dict[float, list[float]] = defaultdict(list)
    for row in _rows(run, "stec-measure"):
        if "swept" in str(row["arm"]):
            accuracies[float(row["weight"])].append(float(row["logistic_accuracy"]))
    if not accuracies:
        return None
    places, seeds = zip(
        *((n, 100 * right) for n, w in enumerate(sorted(accuracies)) for right in accuracies[w]),
        strict=True,
    )
    means = [100 * fmean(accuracies[weight]) for weight in sorted(accuracies)]
    ticks = {float(n): f"{weight:g}" for n, weight in enumerate(sorted(accuracies))}
    curves = {
        "mean": Line(x=list(ticks), y=means),
        "seeds": Line(x=places, y=seeds, color="muted", marker="o", joined=False),
    }
    best = max(accuracies, key=lambda weight: fmean(accuracies[weight]))
    return Panel(
        name="sweep",
        title="Weight of the inverse model",
        caption="Accuracy of a logistic regression on images held out from training, against the "
        f"weight of the inverse model; dots are seeds. The best is {best:g}.",
        alt=f"Line plot of accuracy against the weight of the inverse model; best at {best:g}.",
        draw=lambda theme: charts.lines(
            {"": curves},
            x="weight of the inverse model",
            x_ticks=ticks,
            y_unit="%",
            theme=theme,
        ),
    )
