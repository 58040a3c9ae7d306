"""Figures of softhebb-digits."""

import numpy as np

from plastorch.report import charts
from plastorch.report.format import number, percent
from plastorch.report.load import RunData, columns, is_number
from plastorch.report.panel import Panel
from plastorch.report.panels import confusion, with_curves

SHOWN = 100
"""Number of neurons whose weights are shown."""
WEIGHTS = {
    "filters": "learned",
    "untrained": "the same neurons before they learned",
    "sampled": "single training images in their place",
}
"""Arrays of weights, and what they are."""


def panels(run: RunData) -> list[Panel]:
    """Returns the figures that a run has data for, most telling first."""
    return with_curves(run, [_weights(run), _accuracy(run), confusion(run)], ".*")


def _weights(run: RunData) -> Panel | None:
    found = {title: run.arrays[name] for name, title in WEIGHTS.items() if name in run.arrays}
    if not found:
        return None
    neurons = len(next(iter(found.values())))
    sample = f" {SHOWN} are shown." * (neurons > SHOWN)
    return Panel(
        name="weights",
        title="What the neurons look for",
        caption=f"Weights of {number(neurons)} neurons as pictures, each stretched from its "
        f"smallest to its largest.{sample} The neurons were not told what a digit is: each came to "
        "stand for many similar images.",
        alt="Grids of small pictures: weights that were learned, untrained ones, which are noise, "
        "and single images.",
        draw=lambda theme: charts.images(
            {title: charts.filters(weights, most=SHOWN) for title, weights in found.items()},
            columns=20,
            theme=theme,
        ),
    )


def _accuracy(run: RunData) -> Panel | None:
    rows = [row for row in run.rows if is_number(row.get("test_accuracy"))]
    course = [row for row in rows if row["phase"] == "learning"]
    if not course:
        return None
    batch = run.result["config"]["batch_size"]
    curve = columns(course, "step", "test_accuracy") * [[batch], [100]]
    ends = {row["phase"]: row["test_accuracy"] for row in rows if row["phase"] != "learning"}
    curves = {"learned": curve}
    for phase, name in (("sampled", "single images"), ("untrained", "untrained")):
        if phase in ends:
            curves[name] = np.array([[curve[0, 0], curve[0, -1]], [100 * ends[phase]] * 2])
    told = ", ".join(f"{name} {percent(right[1, -1] / 100)}" for name, right in curves.items())
    return Panel(
        name="accuracy-over-images",
        title="Accuracy over images seen",
        caption="Share of correct answers while the neurons learn without labels. For each point, "
        "labels of some training images name the neurons: a neuron stands for the class that it "
        f"wins most often. At the end: {told}.",
        alt=f"Line plot of accuracy against images seen; at the end: {told}.",
        draw=lambda theme: charts.lines(
            {"": curves}, x="images seen", log="x", y_unit="%", theme=theme
        ),
    )
