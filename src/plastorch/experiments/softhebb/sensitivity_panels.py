"""Figures of how learning settles, and how it depends on temperature and initial radius."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Line, Plot
from plastorch.report.format import number, percent
from plastorch.report.load import Array, Row, RunData, is_number
from plastorch.report.panel import Panel

if TYPE_CHECKING:
    from plastorch.hebbian.analysis.convergence import Convergence

RULES = {"softkrotov": "anti-Hebbian losers", "soft": "plain softmax", "hard": "hard"}
AXES = {"temperature": "temperature T = 1/t", "radius": "initial radius R"}
_FIELDS = ("seed", "test_accuracy", "r1_share")
_R1 = "neurons with r = 1 (R1)"


def convergence(run: RunData) -> Panel | None:
    """Returns the panel of how unsupervised learning settles, if the run logged it."""
    rows = [row for row in run.rows if row.get("phase") == "unsupervised"]
    if not rows:
        return None
    from plastorch.hebbian.analysis.convergence import (  # importing torch takes two seconds
        FIELDS,
        convergence,
    )

    known = [row for row in rows if all(is_number(row.get(name)) for name in ("layer", *FIELDS))]
    if not known or any(row["neurons"] <= 0 for row in known):
        return None
    courses = convergence(known)
    last = {row["layer"]: row for row in known}
    ends = "; ".join(
        f"layer {layer + 1}: {number(last[layer]['r1_neurons'])} of "
        f"{number(last[layer]['neurons'])}"
        for layer in courses
    )
    return Panel(
        name="convergence",
        title="How learning settles",
        caption="A neuron has settled when its weight vector has length r = 1 (R1): its learning "
        f"rate falls with |r − 1|. Settled at the end, {ends}.",
        alt="Line plots per layer of the share of settled neurons, their mean distance from r = 1, "
        f"and the mean learning rate. Settled at the end, {ends}.",
        draw=lambda theme: charts.chart(*_settling(courses), theme=theme),
    )


def sweep(run: RunData, setting: str) -> Panel | None:
    """Returns the panel of a sweep of "temperature" or "radius", if the run did one."""
    points = {
        (row["competition"], row[setting], row["seed"]): row
        for row in run.rows
        if row.get("phase") == f"{setting}-sweep"
        and all(is_number(row.get(name)) for name in (setting, *_FIELDS))
        and isinstance(row.get("competition"), str)
        and row[setting] > 0
    }
    if not points:
        return None
    rows = list(points.values())
    best = max(rows, key=lambda row: float(row["test_accuracy"]))
    most = (
        f"The best of {number(len(rows))} networks, at {percent(best['test_accuracy'])}, has "
        f"{setting} {best[setting]:.3g} and {RULES.get(best['competition'], best['competition'])}"
    )
    accuracy, settled = (_over_seeds(rows, setting, field) for field in _FIELDS[1:])
    meaning = {
        "temperature": "A low temperature makes the competition hard, a high one even.",
        "radius": "Initial weight vectors have length R; neurons learn on the way from R to 1.",
    }
    return Panel(
        name=f"{setting}-sweep",
        title=f"How accuracy depends on the {setting}",
        caption=f"{meaning[setting]} Each point is a network trained on part of the images, with a "
        f"quick readout: compare the points only with each other. {most}.",
        alt=f"Line plots of accuracy and of the share of R1 neurons against {setting}. {most}.",
        draw=lambda theme: charts.lines(
            {"test accuracy": accuracy, _R1: settled},
            x=AXES[setting],
            log="x",
            y_unit="%",
            theme=theme,
        ),
    )


def _settling(courses: "Mapping[int, Convergence]") -> list[Plot]:
    """Returns plots of share of neurons at r = 1, distance of the mean neuron, learning rate."""
    shares, distances, rates = (
        [
            Line(x=course.examples, y=factor * course[place], name=f"layer {layer + 1}")
            for layer, course in courses.items()
        ]
        for place, factor in ((1, 100), (2, 1), (3, 1))
    )
    # From 0 to the largest, so that small shares keep their shape.
    top = max(10.0, *(100 * course.r1_share.max() for course in courses.values()))
    return [
        Plot(marks=shares, title=_R1, log="x", y_unit="%", y_range=(-0.05 * top, 1.05 * top)),
        Plot(marks=distances, title="mean distance |r − 1|", log="xy"),
        Plot(marks=rates, title="mean learning rate", log="xy", x="training examples seen"),
    ]


def _over_seeds(rows: Sequence[Row], setting: str, field: str) -> dict[str, list[Array]]:
    """Returns values of a setting, and mean, lowest and highest per cent of a field, by rule."""
    curves = {}
    for rule in dict.fromkeys(row["competition"] for row in rows):
        mine = [row for row in rows if row["competition"] == rule]
        values = sorted({row[setting] for row in mine})
        found = [[100 * row[field] for row in mine if row[setting] == value] for value in values]
        spread = ([kind(each) for each in found] for kind in (np.mean, np.min, np.max))
        curves[RULES.get(rule, str(rule))] = [np.array(of) for of in (values, *spread)]
    return curves
